"""Laptops: working copies with real client processes, whose memory of the server is their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # it gives the fixture below to all tests
    from tests.e2e.conftest import Server

ROOT = Path(__file__).parents[2]
FLASK = [sys.executable, "-m", "flask", "habanero"]
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")  # not CI, COLUMNS: they change what tools print
SAYS_S = 30.0  # a loaded machine starts a client slowly

Event = dict[str, Any]


def secret_of(server: Server) -> str:
    """Return the secret of a server as text."""
    return server.key.spellings[2].decode()


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code, the last object on stdout, and all that it said."""

    code: int
    last: Event
    said: str


class Watch:
    """A running ``flask habanero watch --json``: its objects as they come, and its other words."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[Event] = []
        self.words: list[str] = []
        self._news = threading.Condition()
        self._told = 0  # events that `expect` has been through
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                if line.startswith("{"):
                    self.events.append(json.loads(line))
                else:
                    self.words.append(line)
                self._news.notify_all()

    def ready(self) -> Watch:
        """Wait until no save is missed any more."""
        with self._news:
            assert self._news.wait_for(lambda: any("watching " in w for w in self.words), SAYS_S), self.words
        return self

    def expect(self, outcome: str, file: str = "") -> Event:
        """Return the next event of an outcome (about a file), which must come; others are passed."""
        deadline = time.monotonic() + SAYS_S
        with self._news:
            while True:
                while self._told < len(self.events):
                    event = self.events[self._told]
                    self._told += 1
                    if event["outcome"] == outcome and (not file or file in event["files"]):
                        return event
                assert self._news.wait(deadline - time.monotonic()), (
                    outcome,
                    file,
                    self.events[-5:],
                    self.words,
                )

    def next(self) -> Event:
        """Return the next event, whatever it is; it must come."""
        with self._news:
            came = self._news.wait_for(lambda: self._told < len(self.events), SAYS_S)
            assert came, self.words
            self._told += 1
            return self.events[self._told - 1]

    def says(self, words: str) -> None:
        """Wait until it says something that is no event."""
        with self._news:
            assert self._news.wait_for(lambda: any(words in w for w in self.words), SAYS_S), self.words

    def end(self) -> int:
        """End it as a person does who is done; return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(10)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once; what it said until then was heard."""
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self._listener.join()
        self.process.stdout.close()


@dataclass
class Laptop:
    """One person's working copy.

    Attributes:
        name: who that is.
        folder: the working copy.
    """

    name: str
    folder: Path
    environ: dict[str, str]
    watches: list[Watch] = field(default_factory=list)

    def read(self, name: str = "app") -> str:
        return (self.folder / f"{name}.py").read_text()

    def save(self, text: str, name: str = "app") -> None:
        (self.folder / f"{name}.py").write_text(text)

    def edit(self, old: str, new: str, name: str = "app") -> None:
        """Replace some text of a file, which must be there."""
        text = self.read(name)
        assert old in text
        self.save(text.replace(old, new), name)

    def run(self, *words: str, **environ: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [*FLASK, *words],
            cwd=self.folder,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SAYS_S,
            check=False,
        )
        objects = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return Done(done.returncode, json.loads(objects[-1]) if objects else {}, done.stdout + done.stderr)

    def out(self, *words: str) -> bytes:
        """Return what a command prints on stdout, which must succeed."""
        done = subprocess.run(
            [*FLASK, *words],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def git(self, *words: str, folder: Path | None = None, given: bytes = b"") -> bytes:
        """Run git in the working copy, or in another folder."""
        who = ["-c", f"user.name={self.name}", "-c", f"user.email={self.name}@laptop"]
        done = subprocess.run(
            ["git", *who, *words],
            cwd=folder or self.folder,
            env=self.environ,
            input=given,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def push(self, *words: str) -> Done:
        return self.run("push", "--json", *words)

    def watch(self, *words: str) -> Watch:
        """Start to watch."""
        process = subprocess.Popen(
            [*FLASK, "watch", "--json", *words],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.watches.append(Watch(process))
        return self.watches[-1]

    @contextmanager
    def many_files(self) -> Iterator[None]:
        """Do as a checkout does while it writes several files: the lock is the next index."""
        index = self.folder / ".git" / "index"
        lock = index.with_suffix(".lock")
        lock.write_bytes(index.read_bytes())
        yield
        lock.replace(index)


Clone = Callable[..., Laptop]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """Give what `cloning` gives, for one test."""
    with cloning(tmp_path) as clone:
        yield clone


@contextmanager
def cloning(where: Path) -> Iterator[Clone]:
    """Give a function that makes a working copy of a server's sources: ``clone(server, "ann")``."""
    laptops: list[Laptop] = []

    def clone(server: Server, name: str = "ann") -> Laptop:
        place = where / name
        folder = place / "work"
        shutil.copytree(server.folder, folder, ignore=shutil.ignore_patterns("instance", "__pycache__"))
        environ = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "HABANERO_SECRET": secret_of(server),
            "HABANERO_URL": server.url,
            "PYTHONPATH": str(ROOT),
            "USER": name,
            "XDG_STATE_HOME": str(place / "state"),
        }
        for words in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *words], cwd=folder, check=True, env=environ)
        laptops.append(Laptop(name, folder, environ))
        return laptops[-1]

    yield clone
    for laptop in laptops:
        for watch in laptop.watches:
            watch.end()


def restart(server: Server) -> None:
    """Start a server again that has ended, at the same port."""
    environ = {**os.environ, "HABANERO_SECRET": secret_of(server), "PYTHONPATH": str(ROOT)}
    with server.log.open("ab") as out:
        server.process = subprocess.Popen(
            server.process.args, cwd=server.folder, env=environ, stdout=out, stderr=out
        )
