"""A fresh process: an interpreter of its own, bounded in time, that ends with all that it started.

It is no fork: a worker has threads, whose locks a child would inherit as they are held. The two talk by
lines of JSON. Each ends the other's waiting when it is gone: the one that started it kills its group, and
a process whose starter died kills its own.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from .errors import HabaneroError, Reason, ReasonedError

END_S = 2.0  # from its last word to its end
PIECE = 64 * 1024
LAST_LINES, LAST_BYTES, WIDTH = 20, 16 * 1024, 300  # of what it printed
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {0} import main; main()"

Said = dict[str, Any]
"""One line: `at` says what it does now, `came` what came of it."""


class RehearsalError(HabaneroError):
    """Tried in a fresh process, and failed there; nothing of the running app has changed."""

    slug = "rehearsal"
    outcome = "failed"

    def __init__(self, where: str, what: str, hint: str = "correct it; nothing was pushed") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.where, self.what, self.hint = where, what, hint

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with the place and what to do."""
        return (Reason(self.slug, self.where, self.what, self.hint),)


class CanaryError(ReasonedError, HabaneroError):
    """The change does not start in a fresh process, or does not answer there; nothing was restarted.

    Its reasons are what failed there, each with its place.
    """

    slug = "canary"


@dataclass(frozen=True)
class Ended:
    """A fresh process after its end.

    Attributes:
        came: what came of its task; empty if it did not say.
        why: if so: why it ended.
        output: the last lines of what it printed.
    """

    came: Said
    why: str
    output: tuple[str, ...]


def run(module: str, task: Mapping[str, Any], within_s: float) -> Ended:
    """Let a fresh process do a task: the `main` of a module, found where this process would find it.

    Raises:
        RehearsalError: it can't be started.
    """
    command = [_interpreter(), *["-O"] * sys.flags.optimize]
    command += ["-c", _START.format(module), json.dumps(sys.path)]
    try:
        with tempfile.TemporaryFile() as printed:
            # S603: our own module, by this very interpreter; of what was sent nothing is in its arguments
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=printed, process_group=0
            )
            came, why = _followed(process, task, within_s)
            return Ended(came, why, _last_lines(printed))
    except OSError as error:
        raise RehearsalError("", f"{command[0]} can't be started: {error.strerror}") from None


def _interpreter() -> str:
    """Return this Python. A server in which it is embedded names itself."""
    if Path(sys.executable or "").name.lower().startswith("python"):
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return str(Path(sys.prefix, "bin", version))


def _followed(process: subprocess.Popen[bytes], task: Mapping[str, Any], within_s: float) -> tuple[Said, str]:
    """Return what came of a task, or nothing and why. The process and its group have ended then."""
    assert process.stdin is not None
    assert process.stdout is not None
    deadline, at = time.monotonic() + within_s, "starting"
    try:
        with suppress(BrokenPipeError):  # it has ended already: its code is told below
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        for said in _lines(process.stdout, deadline):
            if "came" in said:
                return said["came"], ""
            at = str(said["at"])
        if time.monotonic() >= deadline:
            return {}, f"did not end within {within_s:g} s, while {at}"
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        return {}, f"ended by itself with {process.returncode}, while {at}"
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()


def _lines(pipe: IO[bytes], deadline: float) -> Iterator[Said]:
    """Yield the lines of a pipe until its end, or the deadline. What is no line of ours is passed over."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(pipe.fileno(), PIECE)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                with suppress(ValueError):
                    yield json.loads(line)


def _last_lines(printed: IO[bytes]) -> tuple[str, ...]:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - LAST_BYTES))
    lines = printed.read().decode("utf-8", "replace").splitlines()
    shown = ("".join(c if c.isprintable() else "?" for c in line[:WIDTH]) for line in lines if line.strip())
    return tuple(list(shown)[-LAST_LINES:])


class Starter:
    """The other side: who started this process, and hears what it says.

    What the app prints goes to the log, and its input is empty: the pipes are ours alone.
    """

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)  # not inherited by what is started here
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.dup2(2, 1)

    def task(self) -> dict[str, Any]:
        """Return the task. From then on this process ends with its starter."""
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(self._in, PIECE)
            if not piece:
                self._end()
            line += piece
        threading.Thread(target=self._watch, name="habanero-starter", daemon=True).start()
        task: dict[str, Any] = json.loads(line)
        return task

    def say(self, **said: Any) -> None:
        """Tell what happens."""
        os.write(self._out, json.dumps(said).encode() + b"\n")

    def wait(self) -> None:
        """Wait for the end, which is the starter's to make: no code of the app runs at it."""
        threading.Event().wait()

    def _watch(self) -> None:
        while os.read(self._in, PIECE):
            pass
        self._end()

    @staticmethod
    def _end() -> NoReturn:
        os.killpg(0, signal.SIGKILL)
        raise AssertionError  # nobody comes here
