"""Real gunicorn workers and what they do together; what servers do to workers is in test_servers.py."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import APP, TEXTS, Serve, Server
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SYNC = ("-w", "2")
THREADS = ("-w", "2", "-k", "gthread", "--threads", "4")
BOTH = pytest.mark.parametrize("kind", [SYNC, THREADS], ids=["sync", "gthread"])


def with_text(text: str) -> dict[str, str]:
    return {"app": APP.replace('"one"', f'"{text}"')}


@BOTH
def test_a_push_is_live_in_every_worker(serve: Serve, kind: tuple[str, ...]) -> None:
    server = serve(*kind)
    assert server.texts(2) == {"one"}
    hits = {pid: answer["hits"] for pid, answer in server.ask_all(2).items()}
    report = server.peer().push(with_text("two"))
    assert (report.outcome, report.release) == ("live", 1), report
    assert (report.workers.at_head, report.workers.asleep, report.workers.total) == (2, 0, 2)
    after = server.ask_all(2)
    assert {answer["text"] for answer in after.values()} == {"two"}
    assert after.keys() == hits.keys()  # nobody was restarted
    assert all(int(str(after[pid]["hits"])) > int(str(hits[pid])) for pid in hits)  # nor forgot anything


@BOTH
def test_a_helper_that_was_imported_by_name_changes_for_everyone(serve: Serve, kind: tuple[str, ...]) -> None:
    server = serve(*kind)
    server.ask_all(2)
    report = server.peer().push({"texts": TEXTS.replace("hello", "good morning")})
    assert report.outcome == "live", report
    assert {answer["greeting"] for answer in server.ask_all(2).values()} == {"good morning"}


def test_workers_that_have_not_served_are_asleep_and_wake_at_head(serve: Serve) -> None:
    server = serve("-w", "4")
    eventually(lambda: len(server.workers()) == 4)
    report = server.peer().push(with_text("two"))
    assert report.outcome == "live"
    assert report.workers.total == 4
    assert report.workers.at_head + report.workers.asleep == 4
    assert server.texts(4) == {"two"}
    assert server.peer().ask("status").workers.at_head == 4


MODELS = """\
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

db = SQLAlchemy()


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    {more}


{after}
"""
WITH_MODELS = APP.replace('"""An app', 'from models import User, db\n"""An app', 1).replace(
    'return "one"', "return [column.name for column in User.__table__.columns] + list(db.metadata.tables)"
)


def test_a_new_model_is_known_to_every_worker_also_to_one_that_comes_later_and_can_be_rolled_back(
    serve: Serve,
) -> None:
    pytest.importorskip("flask_sqlalchemy", reason="Flask-SQLAlchemy is not installed")
    old = MODELS.format(more="", after="")
    more = {
        "more": "nick: Mapped[str | None]",
        "after": "class Tag(db.Model):\n    id = db.Column(db.Integer, primary_key=True)",
    }
    server = serve(*SYNC, files={"app": WITH_MODELS, "texts": TEXTS, "models": old})
    server.ask_all(2)
    peer = server.peer()
    report = peer.push({"models": MODELS.format(**more)})
    assert report.outcome == "live", report
    assert any("needs a migration" in step for step in report.steps)
    before = server.workers()
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(server.workers() - before) == 1)
    for answer in server.ask_all(2).values():
        assert answer["text"] == ["id", "name", "nick", "user", "tag"]
    assert peer.push({"models": old}).outcome == "live"
    for answer in server.ask_all(2).values():
        assert answer["text"] == ["id", "name", "user"]


def test_the_pushed_code_may_be_deployed_cold(serve: Serve) -> None:
    server = serve(*SYNC)
    peer = server.peer()
    assert peer.push(with_text("two")).outcome == "live"
    before, epoch = server.workers(), peer.head.data["epoch"]
    (server.folder / "app.py").write_text(with_text("two")["app"])
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(server.workers()) == 2 and not server.workers() & before, 30)
    assert server.texts(2) == {"two"}
    head = peer.hello()
    assert (head.data["epoch"], head.release) == (epoch, 1)


def test_a_slow_request_that_ends_in_time_only_delays(serve: Serve) -> None:
    server = serve(*THREADS)
    server.ask_all(2)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.get, "/slow/0.6")
        eventually(lambda: not slow.done())
        report = server.peer().push(with_text("two"))
        assert report.outcome == "live", report
        assert slow.result(10)["text"] in ("one", "two")
    assert server.texts(2) == {"two"}


@BOTH
def test_under_load_every_answer_is_of_one_release_and_none_is_older_than_acknowledged(
    serve: Serve, kind: tuple[str, ...]
) -> None:
    server = serve(*kind)
    server.ask_all(2)
    peer = server.peer()
    acknowledged = [0]
    with asking(server, acknowledged) as answers:
        for number in range(1, 31):
            report = peer.push(numbered(number))
            assert (report.outcome, report.release) == ("live", number), report
            acknowledged[0] = number
        last = len(answers)
        eventually(lambda: len(answers) > last + 10)
    assert len(answers) > 30
    for least, answer in answers:
        text, greeting = int(str(answer["text"]).removeprefix("one") or 0), str(answer["greeting"])
        assert text == int(greeting.removeprefix("hello") or 0), answer
        assert text >= least, (least, answer)


def numbered(number: int) -> dict[str, str]:
    """Return a release of two modules that belong together."""
    return {
        "app": APP.replace('"one"', f'"one{number}"'),
        "texts": TEXTS.replace('"hello"', f'"hello{number}"'),
    }


@contextmanager
def asking(server: Server, acknowledged: list[int]) -> Iterator[list[tuple[int, dict[str, object]]]]:
    """Ask from three threads all the while; give the list of (newest acknowledged before, answer)."""
    answers: list[tuple[int, dict[str, object]]] = []
    end = threading.Event()

    def ask() -> None:
        while not end.is_set():
            least = acknowledged[0]
            answers.append((least, server.get()))

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(ask) for _ in range(3)]
        try:
            yield answers
        finally:
            end.set()
        for job in jobs:
            job.result(30)


LOOP = """

import threading

started = threading.Event()


@app.get("/thread")
def thread():
    threading.Thread(target=loop, daemon=True).start()
    started.wait()
    return {"pid": os.getpid()}


def loop():
    started.set()
    threading.Event().wait(600)
"""


def test_a_thread_inside_changing_code_makes_the_change_cold_on_all_workers(serve: Serve) -> None:
    """Code that runs in a thread can't change: whichever worker leads, nothing is recorded anywhere."""
    server = serve(*SYNC, files={"app": APP + LOOP, "texts": TEXTS})
    before = server.ask_all(2)
    assert server.get("/thread")["pid"] in before
    peer = server.peer()
    changed = {"app": (APP + LOOP).replace("600", "500").replace('"one"', '"two"')}
    for _ in range(4):  # either worker may lead
        report = peer.push(changed)
        assert (report.outcome, report.reasons[0].code) == ("cold", "running"), report
    after = server.ask_all(2)
    assert after.keys() == before.keys()
    assert {answer["text"] for answer in after.values()} == {"one"}


def test_with_gevent(serve: Serve) -> None:
    pytest.importorskip("gevent")
    server = serve("-w", "2", "-k", "gevent")
    assert server.texts(2) == {"one"}
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.get, "/slow/0.6")
        report = server.peer().push(with_text("two"))
        assert (report.outcome, report.workers.at_head) == ("live", 2), report
        slow.result(10)
    assert server.texts(2) == {"two"}


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "flask", "run"],
        ["-c", 'import app; app.app.run(port=int(__import__("os").environ["FLASK_RUN_PORT"]))'],
    ],
    ids=["run", "main"],
)
def test_below_the_development_server(develop: Serve, command: list[str]) -> None:
    server = develop(*command)
    assert server.texts(1) == {"one"}
    report = server.peer().push(with_text("two"))
    assert (report.outcome, report.workers.at_head, report.workers.total) == ("live", 1, 1)
    assert server.texts(1) == {"two"}


def test_any_worker_answers_for_all(serve: Serve) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    peer = server.peer()
    pids = set()

    def heard() -> bool:
        pids.add(peer.ask("status").data["fleet"][0]["pid"])
        return len(pids) == 2

    eventually(heard)
    assert pids == server.workers()
