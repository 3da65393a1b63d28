"""The process manager above us and its other workers. Only this file sends signals and reads ``/proc``."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def _command(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # pathlib takes as long as the kernel does
            return file.read()
    except OSError:
        return b""


def _has_manager() -> bool:
    """Whether our parent forked us to serve, and will fork another when we end.

    A server's master has its workers' very command line, or says what it is in its title (gunicorn
    with setproctitle). A shell, init, pytest or the reloader have others.
    """
    mine, parents = _command(os.getpid()), _command(os.getppid())
    if mine.startswith(b"gunicorn: worker"):
        return parents.startswith(b"gunicorn: master")
    return bool(mine) and mine == parents


def siblings() -> set[int]:
    """Return the processes that our server's master forked as it forked us, ourselves included."""
    if not _has_manager():
        return {os.getpid()}
    mine = _command(os.getpid())
    return {pid for pid in _children(os.getppid()) if _command(pid) == mine and not _children(pid)}


def _children(pid: int) -> set[int]:
    tasks: list[str] = []
    with suppress(OSError):
        tasks = os.listdir(f"/proc/{pid}/task")
    return {int(child) for task in tasks for child in _read(f"/proc/{pid}/task/{task}/children").split()}


class Manager:
    """The server's master above this process."""

    def would_replace(self) -> bool:
        """Whether another worker is started when this one ends."""
        return _has_manager()

    def end_this_worker(self) -> None:
        """End this worker once the requests that it has begun are answered: what SIGTERM means to it."""
        os.kill(os.getpid(), signal.SIGTERM)
