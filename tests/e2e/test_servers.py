"""The same app under every usual server: the worker processes differ, what a person sees does not."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import APP, NO_CONTROL_SOCKET, TEXTS, Server, Start, children, free_port, program
from tests.e2e.laptops import Clone, Done
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Kind:
    """A server as people start it.

    Attributes:
        line: what is typed.
        workers: how many processes answer.
        replaces: another worker is started for one that dies.
        heals: a worker that can't follow a release may end itself, and gets a successor.
    """

    line: str
    workers: int = 2
    replaces: bool = True
    heals: bool = True

    def command(self, port: int) -> list[str]:
        name, *words = shlex.split(self.line.format(port=port))
        if not Path(program(name)).exists():
            pytest.skip(f"{name} is not installed")
        return [program(name), *words, *(NO_CONTROL_SOCKET if name == "gunicorn" else [])]


GUNICORN = "gunicorn -w 2 -b 127.0.0.1:{port} --graceful-timeout 5 app:app"
UWSGI = "uwsgi --master --processes 2 --module app:app"
GRANIAN = "granian --interface wsgi --workers 2 --port {port} app:app"

KINDS = {
    "sync": Kind(GUNICORN),
    "sync-preload": Kind(f"{GUNICORN} --preload"),
    "gthread": Kind(f"{GUNICORN} -k gthread --threads 4"),
    "gthread-preload": Kind(f"{GUNICORN} -k gthread --threads 4 --preload"),
    "gevent": Kind(f"{GUNICORN} -k gevent"),
    "gevent-preload": Kind(f"{GUNICORN} -k gevent --preload"),
    "uwsgi": Kind(f"{UWSGI} --http-socket 127.0.0.1:{{port}}"),
    "uwsgi-threads": Kind(f"{UWSGI} --http-socket 127.0.0.1:{{port}} --threads 2"),
    "uwsgi-lazy": Kind(f"{UWSGI} --http-socket 127.0.0.1:{{port}} --lazy-apps"),
    "uwsgi-router": Kind(f"{UWSGI} --http 127.0.0.1:{{port}}"),
    "waitress": Kind("waitress-serve --listen 127.0.0.1:{port} app:app", 1, replaces=False, heals=False),
    "granian": Kind(f"{GRANIAN} --respawn-failed-workers", heals=False),
    "granian-fragile": Kind(GRANIAN, replaces=False, heals=False),
    "flask": Kind("flask run --port {port}", 1, replaces=False, heals=False),
    "flask-debug": Kind("flask run --port {port} --debug", 1, replaces=False, heals=False),
}


def rows(
    *each_time: str, wanted: Callable[[str, Kind], bool] = lambda _name, _kind: True
) -> pytest.MarkDecorator:
    """Parametrize with the kinds of server that are wanted; those that don't run each time are `long`."""
    return pytest.mark.parametrize(
        "kind",
        [
            pytest.param(kind, id=name, marks=() if name in each_time else pytest.mark.long)
            for name, kind in KINDS.items()
            if wanted(name, kind)
        ],
    )


def is_gunicorn(_name: str, kind: Kind) -> bool:
    return kind.line.startswith("gunicorn")


POISON = '''

@app.get("/poison")
def poison():
    """Make this worker unable to follow any release."""
    from flask_habanero.errors import CommitError
    from flask_habanero.live.program import Program

    def commit(self, plan):
        raise CommitError("app", "out of memory")

    Program.commit = commit
    return {"pid": os.getpid()}
'''
SENDING = """

@app.get("/file")
def file():
    from flask import send_file

    return send_file(os.path.abspath("large"))


@app.get("/stream/<int:count>")
def stream(count):
    return (f"{text()} {number}\\n" for number in range(count))
"""
FILES = {"app": APP + POISON + SENDING, "texts": TEXTS}


Run = Callable[[Kind], Server]


@pytest.fixture
def launch(start: Start) -> Run:
    """Give a function that starts a server of a kind."""

    def launch(kind: Kind) -> Server:
        if "gevent" in kind.line:
            pytest.importorskip("gevent")
        port = free_port()
        return start(kind.command(port), port, FILES)

    return launch


@pytest.fixture
def run(launch: Run) -> Run:
    """Give a function that starts a server of a kind, of which every worker has served."""

    def run(kind: Kind) -> Server:
        server = launch(kind)
        assert server.texts(kind.workers) == {"one"}
        return server

    return run


def seen(server: Server) -> set[int]:
    """Return who answers a few requests; nobody while the server lets connections down."""
    with suppress(requests.ConnectionError):
        return set(server.ask_all(1))
    return set()


def live(done: Done, count: int) -> bool:
    """Check that a push is live on so many workers, as the laptop was told."""
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    workers = done.last["workers"]
    assert (workers["at_head"], workers["total"], workers["behind"]) == (count, count, []), done.said
    return True


@rows("gthread-preload", "waitress", "granian")
def test_a_push_a_refusal_and_a_rollback_reach_all_workers_or_none(
    run: Run, clone: Clone, kind: Kind
) -> None:
    server = run(kind)
    before = server.ask_all(kind.workers).keys()
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert live(laptop.push(), kind.workers)
    assert server.texts(kind.workers) == {"two"}

    laptop.edit('"two"', '"three"')
    laptop.edit("Flask(__name__)", "Flask(__name__, static_folder=None)")
    refused = laptop.push()
    assert (refused.code, refused.last["outcome"]) == (1, "cold"), refused.said
    assert server.texts(kind.workers) == {"two"}

    assert live(laptop.run("rollback", "--json", "--yes"), kind.workers)
    assert server.texts(kind.workers) == {"one"}
    assert server.ask_all(kind.workers).keys() == before  # nobody was restarted


@rows("granian", wanted=lambda _, kind: kind.workers > 1)
def test_workers_that_have_not_served_are_asleep_and_wake_at_head(
    launch: Run, clone: Clone, kind: Kind
) -> None:
    server = launch(kind)
    server.get()
    eventually(lambda: len(server.workers()) >= kind.workers)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    done = laptop.push()
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    workers = done.last["workers"]
    assert workers["total"] == workers["at_head"] + workers["asleep"] == kind.workers, done.said
    assert server.texts(kind.workers) == {"two"}


@rows("gthread", wanted=lambda _, kind: kind.replaces)
def test_a_worker_that_is_killed_comes_back_at_head(run: Run, clone: Clone, kind: Kind) -> None:
    server = run(kind)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert live(laptop.push(), kind.workers)
    before = server.ask_all(kind.workers).keys()
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(seen(server) - before) == 1, 30)
    assert server.texts(kind.workers) == {"two"}
    laptop.edit('"two"', '"three"')
    assert live(laptop.push(), kind.workers)
    assert server.texts(kind.workers) == {"three"}


@rows("granian", wanted=lambda _, kind: kind.workers > 1)
def test_a_worker_that_can_not_follow_is_named_and_the_app_stays_up(
    run: Run, clone: Clone, kind: Kind
) -> None:
    server = run(kind)
    laptop = clone(server)
    sick = server.get("/poison")["pid"]
    laptop.edit('"one"', '"two"')
    done = laptop.push()
    while done.last["outcome"] == "failed":  # the sick worker itself led: nothing has changed
        assert server.texts(kind.workers) == {"one"}
        done = laptop.push()
    assert (done.code, done.last["outcome"]) == (5, "diverged"), done.said
    (behind,) = done.last["workers"]["behind"]
    assert f"/{sick}: " in behind
    if kind.heals:
        eventually(lambda: not Path(f"/proc/{sick}").exists(), 30)  # until then it may answer 503
        assert server.texts(kind.workers) == {"two"}
    else:
        texts = {pid: answer["text"] for pid, answer in server.ask_all(kind.workers).items()}
        assert texts.pop(int(str(sick))) == "one"  # nobody would replace it: it serves what it has
        assert set(texts.values()) == {"two"}


@rows("granian")
def test_files_and_streams_come_whole_before_and_after_a_push(run: Run, clone: Clone, kind: Kind) -> None:
    server = run(kind)
    (server.folder / "large").write_bytes(os.urandom(1 << 20))
    laptop = clone(server)
    check_what_is_sent(server, "one")
    laptop.edit('"one"', '"two"')
    assert live(laptop.push(), kind.workers)  # the streams that were cut off hold nothing up
    check_what_is_sent(server, "two")


def check_what_is_sent(server: Server, text: str) -> None:
    large = (server.folder / "large").read_bytes()
    for _ in range(4):  # of which some are answered by the other worker
        assert requests.get(f"{server.url}/file", timeout=30).content == large
        lines = requests.get(f"{server.url}/stream/1000", timeout=30).text.splitlines()
        assert lines == [f"{text} {number}" for number in range(1000)]
        with requests.get(f"{server.url}/stream/100000", timeout=30, stream=True) as cut_off:
            assert next(cut_off.iter_content(100)).startswith(text.encode())
    assert requests.head(f"{server.url}/file", timeout=30).headers["Content-Length"] == str(len(large))


def reloaded(server: Server, count: int) -> None:
    """Have a server start all its workers anew by its own means, and wait until only new ones answer."""
    before = server.ask_all(count).keys()
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: (pids := seen(server)) and not pids & before, 30)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before), 30)


@rows("sync", wanted=lambda _, kind: kind.replaces)
def test_a_reload_comes_to_head_and_other_code_on_disk_ends_the_releases(
    run: Run, clone: Clone, kind: Kind
) -> None:
    server = run(kind)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert live(laptop.push(), kind.workers)
    reloaded(server, kind.workers)
    assert server.texts(kind.workers) == {"two"}

    (server.folder / "app.py").write_text(FILES["app"].replace('"one"', '"a new deploy"'))
    reloaded(server, kind.workers)
    # gunicorn's master loads a preloaded app once: what is live is not what lies on the disk
    text = "two" if "preload" in kind.line else "a new deploy"
    assert server.texts(kind.workers) == {text}
    laptop.save(FILES["app"].replace('"one"', '"three"'))
    assert live(laptop.push("--sync"), kind.workers)
    assert server.texts(kind.workers) == {"three"}


@rows("gthread", wanted=is_gunicorn)
def test_a_worker_that_is_added_starts_at_head_and_one_that_is_taken_is_not_missed(
    run: Run, clone: Clone, kind: Kind
) -> None:
    server = run(kind)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert live(laptop.push(), 2)
    server.process.send_signal(signal.SIGTTIN)
    eventually(lambda: len(server.workers()) == 3, 30)
    assert server.texts(3) == {"two"}
    laptop.edit('"two"', '"three"')
    assert live(laptop.push(), 3)
    server.process.send_signal(signal.SIGTTOU)
    eventually(lambda: len(server.workers()) == 2, 30)
    laptop.edit('"three"', '"four"')
    assert live(laptop.push(), 2)
    assert server.texts(2) == {"four"}


@rows("sync", wanted=is_gunicorn)
def test_a_second_master_shares_the_releases_and_goes_on_alone(run: Run, clone: Clone, kind: Kind) -> None:
    server = run(kind)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    assert live(laptop.push(), 2)
    before = server.workers()
    server.process.send_signal(signal.SIGUSR2)
    eventually(lambda: seen(server) - before, 30)  # the new master has its own two
    assert server.texts(4) == {"two"}
    laptop.edit('"two"', '"three"')
    assert live(laptop.push(), 4)
    assert server.texts(4) == {"three"}
    (master,) = (pid for pid in server.workers() - before if children(pid))
    try:
        server.process.send_signal(signal.SIGQUIT)  # as an upgrade ends; its workers end with it
        eventually(lambda: children(master) >= seen(server) != set(), 30)
        laptop.edit('"three"', '"four"')
        assert live(laptop.push(), 2)
        assert server.texts(2) == {"four"}
    finally:
        for pid in (master, *children(master)):  # it is nobody's child by now
            os.kill(pid, signal.SIGKILL)


@rows("gthread", wanted=lambda name, kind: is_gunicorn(name, kind) or name.startswith("uwsgi"))
def test_a_worker_that_is_recycled_comes_back_at_head(run: Run, clone: Clone, kind: Kind) -> None:
    kind = replace(kind, line=f"{kind.line} --max-requests 9")
    server = run(kind)
    laptop = clone(server)
    laptop.edit('"one"', '"two"')
    done = laptop.push()
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    pids: set[int] = set()

    def many() -> bool:
        answers = server.ask_all(1)
        assert {answer["text"] for answer in answers.values()} == {"two"}
        pids.update(answers)
        return len(pids) > 4

    eventually(many, 60)
