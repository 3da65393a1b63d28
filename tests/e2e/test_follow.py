"""Processes without requests, beside a server: at head before each task, and nobody waits for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import APP, ROOT, TEXTS, Serve, Server
from tests.e2e.laptops import secret_of
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WORK = '''\
"""Does a task for each line that it reads, as a worker of a queue does."""

import json
import os
import sys
import threading

from flask_habanero import follow

from app import app, text
from texts import greeting

following = follow(app)
begun = threading.Event()


def loop():
    begun.set()
    threading.Event().wait(600)


def tell():
    print(json.dumps([os.getpid(), text(), greeting()]), flush=True)


def main():
    for line in sys.stdin:
        if line == "fork\\n":
            if os.fork():
                os.wait()
                continue
        with following.task():
            tell()
            if line == "loop\\n":
                threading.Thread(target=loop, daemon=True).start()
                begun.wait()
            if line == "long\\n":
                sys.stdin.readline()
                tell()
        if line == "fork\\n":
            os._exit(0)


main()
'''
FILES = {"app": APP, "texts": TEXTS, "work": WORK}


@dataclass
class Work:
    """A running script that works beside a server."""

    process: subprocess.Popen[str]

    def begin(self, task: str = "short") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{task}\n")
        self.process.stdin.flush()

    def told(self) -> list[Any]:
        """Return what the task that runs has said next: pid, text, greeting."""
        assert self.process.stdout is not None
        return list(json.loads(self.process.stdout.readline()))

    def texts(self, task: str = "short") -> list[Any]:
        """Do a task; return what it saw."""
        self.begin(task)
        return self.told()[1:]


@pytest.fixture
def work() -> Iterator[Callable[..., Work]]:
    """Give a function that starts the script beside a server."""
    processes: list[subprocess.Popen[str]] = []

    def work(server: Server, *arguments: str) -> Work:
        environ = {**os.environ, "HABANERO_SECRET": secret_of(server), "PYTHONPATH": str(ROOT)}
        processes.append(
            subprocess.Popen(
                [sys.executable, *(arguments or ["work.py"])],
                cwd=server.folder,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return Work(processes[-1])

    yield work
    for process in processes:
        process.kill()
        process.communicate(timeout=10)


Works = Callable[..., Work]


def both(text: str) -> dict[str, str]:
    return {"app": APP.replace('"one"', f'"{text}"'), "texts": TEXTS.replace("hello", text)}


def test_a_script_is_at_head_before_each_task(serve: Serve, work: Works) -> None:
    server = serve("-w", "2", files=FILES)
    server.ask_all(2)
    peer = server.peer()
    assert peer.push(both("two")).outcome == "live"
    script = work(server)
    assert script.texts() == ["two", "two"]  # it loaded the disk's code
    for text in ("three", "four"):
        report = peer.push(both(text))
        assert (report.outcome, report.workers.at_head, report.workers.asleep) == ("live", 2, 1), report
        assert script.texts() == [text, text]
    assert peer.rollback().outcome == "live"
    assert script.texts() == ["three", "three"]
    status = peer.ask("status")
    assert (status.outcome, status.workers.at_head, status.workers.total) == ("live", 3, 3)
    assert script.process.pid in {row["pid"] for row in status.data["fleet"]}


def test_a_task_runs_on_one_release_and_no_push_waits_for_it(serve: Serve, work: Works) -> None:
    server = serve("-w", "2", files=FILES)
    server.ask_all(2)
    script = work(server)
    script.begin("long")
    assert script.told()[1:] == ["one", "hello"]
    peer = server.peer()
    report = peer.push(both("two"))
    assert (report.outcome, report.workers.at_head, report.workers.asleep) == ("live", 2, 1), report
    assert server.texts(2) == {"two"}
    status = peer.ask("status")
    assert (status.outcome, status.workers.at_head, status.workers.asleep) == ("live", 2, 1)
    assert [row["state"] for row in status.data["fleet"] if row["pid"] == script.process.pid] == ["asleep"]
    script.begin("end")
    assert script.told()[1:] == ["one", "hello"]
    assert script.texts() == ["two", "two"]


def test_who_has_nothing_to_do_comes_to_head_by_itself(serve: Serve, work: Works) -> None:
    server = serve("-w", "1", files=FILES)
    server.ask_all(1)
    script = work(server)
    assert script.texts() == ["one", "hello"]
    peer = server.peer()
    assert peer.push(both("two")).outcome == "live"
    eventually(lambda: peer.ask("status").workers.at_head == 2)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("wait(600)", "wait(500)", "loop is running in a thread that does not end"),
        ("for line in sys.stdin", "for line in iter(sys.stdin)", "main runs only at the start"),
    ],
    ids=["thread", "main"],
)
def test_what_runs_between_the_tasks_is_not_half_changed_and_who_stays_behind_is_named(
    serve: Serve, work: Works, old: str, new: str, why: str
) -> None:
    module = WORK.replace("\nmain()\n", "")
    server = serve("-w", "1", files={**FILES, "work": module})
    server.ask_all(1)
    script = work(server, "-c", "import work; work.main()")
    assert script.texts("loop") == ["one", "hello"]
    assert script.texts() == ["one", "hello"]
    peer = server.peer()
    assert peer.push({**both("two"), "work": module.replace(old, new)}).outcome == "live"  # not loaded there
    assert script.texts() == ["one", "hello"]
    status = peer.ask("status")
    assert status.outcome == "diverged"
    (behind,) = status.workers.behind
    assert f"/{script.process.pid}: " in behind
    assert why in behind


def test_a_process_that_is_forked_for_a_task_is_at_head(serve: Serve, work: Works) -> None:
    server = serve("-w", "1", files=FILES)
    server.ask_all(1)
    script = work(server)
    peer = server.peer()
    assert script.texts("fork") == ["one", "hello"]
    for text in ("two", "three"):
        assert peer.push(both(text)).outcome == "live"
        script.begin("fork")
        pid, *said = script.told()
        assert said == [text, text]
        assert pid != script.process.pid


def test_a_script_that_was_killed_is_not_counted(serve: Serve, work: Works) -> None:
    server = serve("-w", "1", files=FILES)
    server.ask_all(1)
    script = work(server)
    assert script.texts() == ["one", "hello"]
    script.process.send_signal(signal.SIGKILL)
    script.process.wait(10)
    report = server.peer().push(both("two"))
    assert (report.outcome, report.workers.total) == ("live", 1), report
