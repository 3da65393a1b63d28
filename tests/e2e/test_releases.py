"""From a save to an answer, with real workers, a real watcher and real files: nothing lost, nothing mixed."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
import requests

from tests.e2e.conftest import TEXTS, Serve, Server, answers
from tests.e2e.laptops import Clone, restart
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SYNC = ("-w", "2")
THREADS = ("-w", "2", "-k", "gthread", "--threads", "4")
BOTH = pytest.mark.parametrize("kind", [SYNC, THREADS], ids=["sync", "gthread"])
RELEASES = 200
READERS = 3

PAIR = '''\
"""An app whose every answer tells which release it is of, twice."""

import os
import time

from flask import Flask
from flask_habanero import Habanero

import left
from right import NUMBER, Right

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    before = left.number()
    time.sleep(0.002)  # a release in between would show
    return {"pid": os.getpid(), "left": before, "right": NUMBER, "method": Right().number()}
'''


def left(number: int) -> str:
    return f"def number():\n    return {number}\n"


def right(number: int) -> str:
    return f"NUMBER = {number}\n\n\nclass Right:\n    def number(self):\n        return {number}\n"


@dataclass
class Readers:
    """Threads that ask all the time, and what was wrong with the answers.

    Attributes:
        acknowledged: the newest release that the laptop was told is live; written by the test.
    """

    server: Server
    acknowledged: int = 0
    asked: int = 0
    wrong: list[object] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        while not self._stop.is_set():
            least = self.acknowledged  # before the request starts
            try:
                answer = self.ask()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.wrong.append(repr(error))
                continue
            self.asked += 1
            if not (answer["left"] == answer["right"] == answer["method"] >= least):
                self.wrong.append((least, answer))

    def ask(self) -> dict[str, int]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)) as line:
            line.request("GET", "/")
            answer = line.getresponse()
            body = answer.read()
            assert answer.status == 200, (answer.status, body)
            return dict(json.loads(body))

    @contextmanager
    def reading(self) -> Iterator[Readers]:
        with ThreadPoolExecutor(READERS) as pool:
            jobs = [pool.submit(self.read) for _ in range(READERS)]
            try:
                yield self
            finally:
                self._stop.set()
        for job in jobs:
            job.result()


@BOTH
def test_a_save_reaches_every_worker(serve: Serve, clone: Clone, kind: tuple[str, ...]) -> None:
    server = serve(*kind)
    before = server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    ann.edit('"one"', '"two"')
    event = watch.expect("live")
    assert (event["release"], event["files"], event["workers"]["at_head"]) == (1, ["app.py"], 2)
    after = server.ask_all(2)
    assert {answer["text"] for answer in after.values()} == {"two"}
    assert after.keys() == before.keys()
    assert watch.end() == 0


@BOTH
@pytest.mark.long
@pytest.mark.timeout(300)  # 200 releases, each with the pause that tells several files from one
def test_every_answer_under_200_releases_is_of_exactly_one(
    serve: Serve, clone: Clone, kind: tuple[str, ...]
) -> None:
    server = serve(*kind, files={"app": PAIR, "left": left(0), "right": right(0)})
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    with Readers(server).reading() as readers:
        for number in range(1, RELEASES + 1):
            with ann.many_files():
                ann.save(left(number), "left")
                ann.save(right(number), "right")
            event = watch.expect("live")
            assert (event["release"], len(event["files"])) == (number, 2), event
            readers.acknowledged = number
            assert not readers.wrong, readers.wrong[:3]
    assert not readers.wrong, readers.wrong[:3]
    assert readers.asked >= RELEASES  # they did ask all the time
    assert [event["release"] for event in watch.events] == list(range(1, RELEASES + 1))


@BOTH
def test_a_module_body_that_raises_changes_no_worker(
    serve: Serve, clone: Clone, kind: tuple[str, ...]
) -> None:
    server = serve(*kind)
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    ann.save(TEXTS.replace("hello", "bye") + "\n\nLIMIT = 1 // 0\n", "texts")
    event = watch.expect("failed")
    (reason,) = event["reasons"]
    assert "ZeroDivisionError" in reason["what"]
    assert reason["where"] == "texts:5"
    assert {answer["greeting"] for answer in server.ask_all(2).values()} == {"hello"}
    ann.save(TEXTS.replace("hello", "bye") + "\n\nLIMIT = 1\n", "texts")
    assert watch.expect("live")["release"] == 1
    assert {answer["greeting"] for answer in server.ask_all(2).values()} == {"bye"}


def test_a_traceback_shows_the_pushed_line(serve: Serve, clone: Clone) -> None:
    """The file on the server's disk has another text at that line, and never changes."""
    server = serve(*SYNC)
    server.ask_all(2)
    ann = clone(server)
    before = ann.read()
    ann.save(
        before.replace("import os\n", "import os\n\n# a comment\n").replace('"one"', "str(1 / 0)  # pushed")
    )
    assert ann.push().last["outcome"] == "live"
    line = next(n for n, text in enumerate(ann.read().splitlines(), 1) if "# pushed" in text)
    for _ in range(4):
        assert requests.get(server.url, timeout=30).status_code == 500
    log = server.log.read_text()
    assert f'app.py", line {line}, in text\n    return str(1 / 0)  # pushed\n' in log
    assert server.source() == before


def test_a_syntax_error_is_shown_and_not_sent(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    ann.edit("def text():", "def text(:")
    event = watch.expect("refused", "app.py")
    assert event["reasons"][0]["where"].startswith("app.py:")
    ann.edit("def text(:", "def text():")
    ann.edit('"hello"', '"good day"', "texts")
    assert watch.expect("live")["files"] == ["texts.py"]
    assert server.peer().hello().release == 1


def test_what_is_saved_while_the_server_is_down_is_sent_when_it_is_back(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    ann.edit('"one"', '"two"')
    watch.expect("live")
    server.stop()
    ann.edit('"two"', '"three"')
    away = watch.expect("unreachable")
    assert away["pending"] == 1
    ann.edit('"hello"', '"good day"', "texts")
    restart(server)
    eventually(lambda: answers(server), 30)
    assert server.get()["text"] == "two"  # what was live before it went down
    watch.expect("back")
    event = watch.expect("live")
    assert sorted(event["files"]) == ["app.py", "texts.py"]
    assert {(a["text"], a["greeting"]) for a in server.ask_all(2).values()} == {("three", "good day")}
    assert [e["outcome"] for e in watch.events].count("unreachable") == 1  # said once


def test_a_watcher_in_the_middle_of_a_push_ends_when_it_is_told_to(serve: Serve, clone: Clone) -> None:
    """The server hangs: the system takes connections for it, and nobody answers them."""
    server = serve(*SYNC)
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    server.pause()
    ann.edit('"one"', '"two"')
    away = watch.expect("unknown")  # said while it still waits
    assert (away["pending"], away["maybe_live"]) == (1, True)
    assert watch.end() == 0
    assert watch.events[-1]["outcome"] == "unknown"


def test_a_wrong_secret_ends_with_4_and_one_sentence(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    ann = clone(server)
    other = ann.run("secret").said.split()[0]
    for command in ("push", "watch", "status"):
        done = ann.run(command, HABANERO_SECRET=other)
        assert done.code == 4
        assert "Traceback" not in done.said
        assert done.said.count("error:") == 1
    assert ann.run("push", HABANERO_SECRET="").code == 4


def test_an_app_in_the_middle_of_requests_answers_all_of_them(serve: Serve, clone: Clone) -> None:
    """Slow requests hold a release up, or are waited for; none is cut off, whatever becomes of the push."""
    server = serve(*THREADS)
    server.ask_all(2)
    ann = clone(server)
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(server.get, "/slow/1.0") for _ in range(4)]
        ann.edit('"one"', '"two"')
        done = ann.push()
        assert done.last["outcome"] in ("live", "failed"), done.said
        assert {job.result()["text"] for job in slow} <= {"one", "two"}
    if done.last["outcome"] == "failed":
        assert done.last["reasons"][0]["code"] == "busy"
        assert server.texts(2) == {"one"}
        assert ann.push().last["outcome"] == "live"
    assert server.texts(2) == {"two"}
