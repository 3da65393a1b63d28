"""A release on trial whose views leave their band goes back by itself, on real workers."""

from __future__ import annotations

import re

import pytest
import requests

from tests.e2e.conftest import Serve, Server
from tests.e2e.laptops import Clone
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

APP = '''\
"""Two pages."""

import time

from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    return {"text": "one"}


@app.get("/cart")
def cart():
    return {"text": "cart"}
'''


def ask(server: Server, path: str, times: int) -> set[int]:
    """Return which statuses a page answers with, asked so many times."""
    with requests.Session() as session:
        return {session.get(server.url + path, timeout=30).status_code for _ in range(times)}


def note(server: Server) -> str:
    return str(server.peer().ask("status").data["log"][0]["note"])


def test_views_that_fail_among_many_that_do_not(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "1", files={"app": APP})
    ann = clone(server)
    ann.edit('return {"text": "one"}', "return 1 / 0")
    assert ann.push("--confirm-within", "3600").code == 0
    eventually(lambda: ask(server, "/cart", 3) | ask(server, "/", 1) == {200}, 30)
    assert re.fullmatch(r"back to #0: index: (\d+) of \1 answers were server errors", note(server))


def test_views_that_are_slower_than_before(
    serve: Serve, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is measured. What is not slower stays."""
    monkeypatch.setenv("HABANERO_MEASURE", "1")
    server = serve("-w", "1", files={"app": APP})
    ann = clone(server)
    assert ask(server, "/", 25) == ask(server, "/cart", 25) == {200}
    ann.edit('{"text": "one"}', '{"text": "two"}')
    assert ann.push("--confirm-within", "3600").code == 0
    assert ask(server, "/", 25) == ask(server, "/cart", 25) == {200}
    assert ann.run("confirm").code == 0
    ann.edit('return {"text": "two"}', 'time.sleep(0.2)\n    return {"text": "three"}')
    assert ann.push("--confirm-within", "3600").code == 0
    assert ask(server, "/", 20) == {200}
    eventually(lambda: note(server).startswith("back"), 30)
    assert server.get()["text"] == "two"
    assert note(server).startswith("back to #1: index: half of 20 answers took over 2")
