"""The process manager above us and its other workers. Only this file sends signals and reads ``/proc``."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
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
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, path.read_text().split()))
    return found


def end_this_worker() -> bool:
    """Ask our server for another worker in our place. Returns False if nobody would start one.

    SIGTERM lets the requests end that this worker has begun.
    """
    if not _has_manager():
        return False
    os.kill(os.getpid(), signal.SIGTERM)
    return True


def is_alive(pid: int) -> bool:
    """Whether there is such a process (in another container's view of the processes: perhaps)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
