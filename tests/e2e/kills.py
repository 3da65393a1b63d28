"""Kills workers of real servers at random, while releases are pushed and requests ask without a pause.

``python -m tests.e2e.kills --kills 400 --json out.json`` kills so many of each kind of server.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import random
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from flask_habanero.change import Request
from flask_habanero.envelope import Key, Keyring, new_secret
from flask_habanero.ledger import Ledger
from flask_habanero.record import PUSH
from flask_habanero.release import Bundle, Report

from tests.e2e.conftest import NO_CONTROL_SOCKET, ROOT, Server, accepts, free_port, program
from tests.hosts import eventually
from tests.peer import Peer

WORKERS, READERS = 3, 3
GUNICORN = f"gunicorn -w {WORKERS} -b 127.0.0.1:{{port}} --graceful-timeout 5"
KINDS = {
    "sync": f"{GUNICORN} app:app",
    "gthread": f"{GUNICORN} -k gthread --threads 4 app:app",
    "gevent": f"{GUNICORN} -k gevent app:app",
    "preload": f"{GUNICORN} --preload app:app",
    "max-requests": f"{GUNICORN} --max-requests 50 app:app",
    "uwsgi": f"uwsgi --master --processes {WORKERS} --http-socket 127.0.0.1:{{port}} --module app:app",
}  # not granian: workers that die within seconds of each other end its master, as it means it
APP = """\
import os

from flask import Flask
from flask_habanero import Habanero

from other import second

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    return {"pid": os.getpid(), "first": first(), "second": second()}


def first():
    return 0
"""
OTHER = "def second():\n    return 0\n"
FILES = {"app": APP, "other": OTHER}


def changed(n: int) -> dict[str, str]:
    """Return two modules that belong together: an answer that has one of each is torn."""
    return {"app": APP.replace("return 0", f"return {n}"), "other": OTHER.replace("return 0", f"return {n}")}


@dataclass
class Killing:
    """What came of killing workers of one server."""

    server: Server
    kills: int = 0
    pushes: int = 0
    reads: int = 0
    cut_off: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    acknowledged: dict[int, int] = field(default_factory=dict)  # what was pushed -> its number
    newest: int = 0  # of what was acknowledged
    done: threading.Event = field(default_factory=threading.Event)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _served: int = 0

    # --- those who ask ---

    def read(self) -> None:
        """Ask until all is done: whole answers, and none older than what was acknowledged before it began."""
        while not self.done.is_set():
            floor = self.newest
            try:
                answer = requests.get(self.server.url, timeout=30)
            except requests.RequestException:
                self.cut_off += 1  # by a worker that died
                continue
            if answer.status_code != 200:
                self.refused[str(answer.status_code)] = self.refused.get(str(answer.status_code), 0) + 1
                continue
            self._check(answer.json(), floor)

    def _check(self, told: dict[str, int], floor: int) -> None:
        if told["first"] != told["second"]:
            self.wrong.append(f"torn: {told}")
        if told["first"] < floor:
            self.wrong.append(f"stale: {told}, and {floor} was acknowledged before it was asked")
        with self._news:
            self.reads += 1
            self._served += 1
            self._news.notify_all()

    # --- who pushes ---

    def push(self) -> None:
        """Push one release after the other until all is done; ask again for what was not answered."""
        peer, n = self._peer(), 0
        while not self.done.is_set():
            n += 1
            report = self._pushed(peer, n)
            if report is None or report.outcome not in ("live", "diverged"):
                outcome = "none" if report is None else report.outcome
                self.refused[outcome] = self.refused.get(outcome, 0) + 1
                continue
            self.acknowledged[n] = report.release
            with self._news:
                self.newest, self.pushes = n, self.pushes + 1
                self._news.notify_all()

    def _pushed(self, peer: Peer, n: int) -> Report | None:
        if self._asked(peer.hello) is None:
            return None
        body = peer.bundle(changed(n)).encode()
        nonce = secrets.token_hex(16)

        def ask() -> Report:
            now = int(time.time())  # the same request in a new envelope, once the old one has expired
            return peer.ask("push", body, n=nonce, iat=now, exp=now + 30)

        return self._asked(ask)

    def _asked(self, ask: Callable[[], Report]) -> Report | None:
        while not self.done.is_set():
            try:
                return ask()
            except requests.RequestException:
                self.cut_off += 1
            except AssertionError as error:  # no answer of ours: an error page in front of it
                self.refused[f"unsigned {error}"[:60]] = self.refused.get(f"unsigned {error}"[:60], 0) + 1
        return None

    def _peer(self) -> Peer:
        while self.server.process.poll() is None:
            with suppress(requests.RequestException):
                return self.server.peer()
        raise RuntimeError(f"the server has ended: {self.server.log.read_text()[-2000:]}")

    # --- who kills ---

    def kill(self, count: int, dice: random.Random, deadline: float) -> None:
        """Kill workers, each after something was served or acknowledged since the last one."""
        while self.kills < count and time.monotonic() < deadline and not self.wrong:
            with self._news:
                served, pushes, patient = self._served, self.pushes, dice.random() < 0.5
                self._news.wait_for(lambda served=served: self._served > served + 2, 20)
                if patient:  # else a slow machine would never come to the end of a push
                    self._news.wait_for(lambda pushes=pushes: self.pushes > pushes, 20)
            self.done.wait(dice.random() * 0.15)  # anywhere in what goes on
            workers = sorted(self.server.workers())
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(dice.choice(workers), signal.SIGKILL)
                    self.kills += 1

    # --- and afterwards ---

    def look_back(self) -> None:
        """Check the ledger: nothing acknowledged is lost, and nothing is in it twice."""
        ledger = Ledger(self.server.folder / "instance" / "habanero", "app", Keyring([self.server.key]))
        peer = self._peer()
        head = peer.hello()
        numbers: dict[int, list[int]] = {}
        for record in ledger.records(str(head.data["epoch"]), 10**6):
            if record.kind == PUSH:
                numbers.setdefault(_pushed_in(record, ledger), []).append(record.number)
        self.wrong += [f"twice: {n} is #{found}" for n, found in numbers.items() if len(found) > 1]
        for n, number in self.acknowledged.items():
            if numbers.get(n) != [number]:
                self.wrong.append(f"lost: {n} was acknowledged as #{number}, and is {numbers.get(n)}")
        state = ledger.state_at(str(head.data["epoch"]), head.release)
        last = numbers and max(n for n, found in numbers.items() if head.release in found)
        answer = self._last()
        if last and (answer["first"], state.tree["app"].text) != (last, changed(last)["app"]):
            self.wrong.append(f"at the end {answer} is served, and {last} is head")

    def _last(self) -> dict[str, int]:
        """Return what is answered when nobody kills any more; a loaded machine starts workers slowly."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return dict(requests.get(self.server.url, timeout=30).json())
            except requests.RequestException:
                if time.monotonic() > deadline:
                    raise


def _pushed_in(record: Any, ledger: Ledger) -> int:
    request = Request.verified(record.header, record.body, ledger._keys)
    text = next(u.source.text for u in Bundle.decode(request.unpacked()).units if u.name == "other")
    return int(text.rpartition(" ")[2])


@contextmanager
def started(place: Path, line: str) -> Iterator[Server]:
    """Run a server of a kind over the app above; it is ended with the block."""
    port, secret = free_port(), new_secret("e2e")
    for name, text in FILES.items():
        (place / f"{name}.py").write_text(text)
    name, *words = shlex.split(line.format(port=port))
    command = [program(name), *words, *(NO_CONTROL_SOCKET if name == "gunicorn" else [])]
    environ = {**os.environ, "HABANERO_SECRET": secret, "PYTHONPATH": str(ROOT)}
    log = place / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=place, env=environ, stdout=out, stderr=out)
    server = Server(place, port, process, log, Key.parse(secret))
    try:
        eventually(lambda: accepts(port), 60)
        yield server
    finally:
        server.stop()


@contextmanager
def running(*jobs: Callable[[], None]) -> Iterator[None]:
    """Run jobs in threads; they must come to an end after the block."""
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(120)


def kill(server: Server, count: int, seed: int, seconds: float) -> Killing:
    """Kill so many workers of a server, within some seconds, and return what came of it."""
    killing = Killing(server)
    with running(killing.push, *[killing.read] * READERS):
        try:
            killing.kill(count, random.Random(seed), time.monotonic() + seconds)
        finally:
            killing.done.set()
    killing.look_back()
    return killing


def row(kind: str, killing: Killing, seconds: float) -> dict[str, Any]:
    """Return what is kept of it."""
    names = ("kills", "pushes", "reads", "cut_off", "refused", "wrong")
    return {"kind": kind, "seconds": round(seconds), **{name: getattr(killing, name) for name in names}}


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--kills", type=int, default=400, help="of each kind")
    parser.add_argument("--seconds", type=float, default=3600, help="for each kind at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for kind in given.kinds.split(","):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place, started(Path(place), KINDS[kind]) as server:
            killing = kill(server, given.kills, given.seed, given.seconds)
        rows.append(row(kind, killing, time.monotonic() - began))
        sys.stderr.write(f"{rows[-1]}\n")
    found = {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "workers": WORKERS,
        "kills": sum(r["kills"] for r in rows),
        "wrong": sum(len(r["wrong"]) for r in rows),
        "rows": rows,
    }
    text = json.dumps(found, indent=1) + "\n"
    sys.stdout.write(text)
    if given.json:
        given.json.write_text(text)
    sys.exit(bool(found["wrong"]))


if __name__ == "__main__":
    main()
