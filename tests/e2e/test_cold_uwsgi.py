"""Changes that can't be hot, below uWSGI: it ends all workers before it starts one, and no request fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import requests

from tests.e2e import laptops
from tests.e2e.conftest import TEXTS, Server, Start, accepts, free_port, program, with_gunicorn
from tests.e2e.laptops import Clone, Done, Laptop, restart
from tests.e2e.test_cold import BASES, MORTAL, RUN, TWICE, cold, fingerprints, hot, load
from tests.hosts import eventually
from tests.oracle.process import differences

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

UWSGI = "--master --processes 2 --module app:app --http-socket 127.0.0.1:{port}"
Run = Callable[..., Server]


@pytest.fixture
def run(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that starts uWSGI by `flask habanero run`, which restarts for cold changes."""
    monkeypatch.setenv("HABANERO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("HABANERO_COLD", "restart")
    monkeypatch.setattr(laptops, "SAYS_S", 120.0)  # a push goes on until its restart has ended
    if not Path(program("uwsgi")).exists():
        pytest.skip("uwsgi is not installed")

    def run(options: str = "", files: Mapping[str, str] | None = None) -> Server:
        port = free_port()
        command = [*RUN, program("uwsgi"), *f"{UWSGI} {options}".format(port=port).split()]
        server = start(command, port, files)
        server.ask_all(2)
        return server

    return run


def saved(laptop: Laptop, files: Mapping[str, str]) -> Done:
    """Save a new text of the app, and push it as a person does."""
    laptop.save(files["app"])
    return laptop.push()


def told(done: Done) -> tuple[object, ...]:
    last = done.last
    return done.code, last["outcome"], last["release"], last["restarted"], last["workers"]["total"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(words, id=name, marks=[pytest.mark.long] if words else [])
        for name, words in {"default": "", "lazy-apps": "--lazy-apps", "threads": "--threads 4"}.items()
    ],
)
def test_below_uwsgi_a_cold_change_is_restarted_into_and_no_request_fails(
    run: Run, clone: Clone, options: str
) -> None:
    server = run(options)
    laptop, old = clone(server), server.workers()
    with load(server) as seen:
        eventually(lambda: seen["one"] > 100, 60)
        done = saved(laptop, cold("two"))
        seen.acknowledged = "two"
        assert told(done) == (0, "live", 1, True, 2), done.said
        assert not old & server.workers()
        eventually(lambda: sum(seen.values()) > 1_000, 120)
    assert set(seen) == {"one", "two"}
    assert server.texts(2) == {"two"}


@pytest.mark.parametrize("options", ["", "--lazy-apps"])
def test_what_comes_after_a_cold_release_below_uwsgi(
    run: Run, clone: Clone, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """Hot releases, killed workers, a cold rollback and back, and what the process is then."""
    server = run(options, files={"app": BASES, "texts": TEXTS})
    laptop, peer = clone(server), server.peer()
    assert told(saved(laptop, {"app": TWICE})) == (0, "live", 1, True, 2)
    second = peer.push(hot("two", TWICE))
    assert (second.outcome, second.data.get("restarted"), second.steps) == ("live", None, ("app.py: ~text",))
    for pid in (killed := server.workers()):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not killed & server.workers(), 30)
    assert server.texts(2) == {"two"}
    back = laptop.run("rollback", "--yes", "--json", "--to", "0")
    assert told(back)[:3] == (0, "live", 3), back.said
    assert {(a["count"], a["text"]) for a in server.ask_all(2).values()} == {(1, "one")}
    again = laptop.run("rollback", "--yes", "--json", "--to", "2")
    assert told(again)[:3] == (0, "live", 4), again.said
    pushed = fingerprints(server)
    (server.folder / "app.py").write_text(hot("deployed", BASES)["app"])
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.texts(2) == {"deployed"}, 30)
    assert peer.hello().data["first"] == 4
    server.stop()

    monkeypatch.setenv("HABANERO_STORE", str(tmp_path / "other"))
    cold_start = with_gunicorn(start)("-w", "2", files={**hot("two", TWICE), "texts": TEXTS}, site="other")
    wanted = fingerprints(cold_start)[0]
    assert [differences(found, wanted) for found in pushed] == [[], []]


def test_below_uwsgi_a_change_whose_canary_fails_restarts_nothing(run: Run, clone: Clone) -> None:
    server = run()
    laptop, old, text = clone(server), server.workers(), cold("two")["app"]
    done = saved(laptop, {"app": text.replace("hits = []", "hits = []\nraise RuntimeError('no')")})
    assert (done.code, done.last["outcome"], done.last["reasons"][0]["code"]) == (1, "failed", "canary")
    assert (server.workers(), server.texts(2)) == (old, {"one"})
    assert server.peer().push(hot("two")).outcome == "live"


def test_a_leader_below_uwsgi_that_is_killed_before_the_reload_has_it_made_by_others(run: Run) -> None:
    server = run(files={"app": MORTAL, "texts": TEXTS})
    old, peer = server.workers(), server.peer()
    (server.folder / "dies").write_text("after the record")
    with load(server) as seen:
        with pytest.raises(requests.ConnectionError):
            peer.push(cold("two", MORTAL))
        asked = peer.hello()
        assert (asked.outcome, asked.release, asked.workers.at_head) == ("diverged", 0, 0), asked
        eventually(lambda: not old & server.workers(), 120)
        at_once = seen["one"]
        eventually(lambda: seen["two"] > 20, 30)
        assert seen["one"] == at_once
    assert not {text for text in seen if text not in ("one", "two", "ConnectionError")}
    assert (server.texts(2), peer.hello().release) == ({"two"}, 1)


def test_below_uwsgi_a_release_on_trial_is_taken_back_by_another_restart(run: Run) -> None:
    server = run()
    peer = server.peer()
    report = peer.push_on_trial(cold("two"), within=20)
    assert (report.outcome, report.data["restarting"], report.workers.at_head) == ("diverged", True, 0)
    eventually(lambda: server.texts(2) == {"two"}, 60)
    eventually(lambda: server.texts(2) == {"one"}, 90)
    eventually(lambda: (peer.hello().outcome, peer.head.release) == ("live", 2), 30)


def test_a_release_that_fails_as_uwsgi_starts_it_is_left_for_the_one_before(run: Run, clone: Clone) -> None:
    """With --need-app it ends; whoever starts it again after two failures gets the one before."""
    server = run("--need-app")
    laptop = clone(server)
    assert told(saved(laptop, cold("two")))[1] == "live"
    fails = "if os.path.exists(os.path.join(os.path.dirname(__file__), 'bad')):\n    raise RuntimeError('no')"
    done = saved(laptop, {"app": cold("three")["app"].replace("hits = []", f"hits = []\n{fails}")})
    assert told(done)[1:3] == ("live", 2), done.said
    (server.folder / "bad").touch()
    server.process.send_signal(signal.SIGHUP)
    assert server.process.wait(30)
    restart(server)
    assert server.process.wait(30)
    restart(server)
    eventually(lambda: accepts(server.port), 30)
    assert server.texts(2) == {"two"}
    assert server.peer().hello().outcome == "diverged"
