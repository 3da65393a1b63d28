"""Releases on trial, on real workers: what is confirmed stays, what is not goes, whoever has died."""

from __future__ import annotations

import os
import signal

import pytest
import requests

from tests.e2e.conftest import Serve, Server
from tests.e2e.laptops import Clone, Laptop
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def push(ann: Laptop, old: str, new: str, within: int) -> None:
    ann.edit(f'"{old}"', f'"{new}"')
    done = ann.push("--confirm-within", str(within))
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    assert f"flask habanero confirm {done.last['release']}" in done.said


def kinds(server: Server) -> list[str]:
    return [record["kind"] for record in server.peer().ask("status").data["log"]]


def test_a_release_on_trial_goes_unless_it_is_confirmed(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    ann = clone(server)
    push(ann, "one", "two", 300)
    assert server.texts(2) == {"two"}
    assert "unless confirmed" in ann.run("status").said
    confirmed = ann.run("confirm", "1", "--json")
    assert (confirmed.code, confirmed.last["data"]["confirmed"]) == (0, 1), confirmed.said
    assert "unless confirmed" not in ann.run("status").said

    push(ann, "two", "three", 7)
    for worker in server.workers():  # one of them took the push: both are started again
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: server.get()["text"] == "two", 30)
    assert server.texts(2) == {"two"}
    assert kinds(server) == ["rollback", "push", "push", "base"]
    late = ann.run("confirm", "2", "--json")
    assert (late.code, late.last["reasons"][0]["what"]) == (1, "#2 can't be confirmed: #3 is live")

    ann.save(ann.read().replace('"three"', '"two"'))
    ann.edit('return "two"', "return 1 / 0")
    assert ann.push("--confirm-within", "3600").code == 0
    eventually(lambda: requests.get(server.url, timeout=30).status_code == 200, 60)
    assert server.texts(2) == {"two"}
    (head, *_) = server.peer().ask("status").data["log"]
    assert head["note"].startswith("back to #3: ")
    assert head["note"].endswith("answers were server errors")


def test_a_save_that_fails_is_taken_back_and_its_window_says_so(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "2")
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch("--unless-failing", "300").ready()
    ann.edit('"one"', '"two"')
    assert watch.expect("live")["data"]["trial"]["stays"] is True
    assert "unless it fails" in ann.run("status").said

    ann.edit('return "two"', "return 1 / 0")  # on top of the one that is on trial
    watch.expect("live")
    eventually(lambda: requests.get(server.url, timeout=30).status_code == 200, 60)
    taken_back = watch.expect("taken-back")
    assert (taken_back["release"], "server errors" in taken_back["data"]["why"]) == (2, True)
    assert watch.expect("held", "app.py")["reasons"][0]["code"] == "rolled-back"
    assert server.texts(2) == {"two"}

    ann.edit("return 1 / 0", 'return "three"')
    watch.expect("live")
    assert server.texts(2) == {"three"}
    assert kinds(server) == ["push", "rollback", "push", "push", "base"]


@pytest.mark.long
def test_it_outlives_a_restart_of_the_whole_server(serve: Serve, clone: Clone) -> None:
    first = serve("-w", "2")
    first.ask_all(2)
    push(clone(first), "one", "two", 7)
    first.stop()
    second = serve("-w", "2", files={})
    eventually(lambda: second.get()["text"] == "one", 30)
    assert second.texts(2) == {"one"}
    assert kinds(second) == ["rollback", "push", "base"]
