"""The process manager above us and its other workers. Only this file sends signals and reads ``/proc``."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

# uWSGI ends these at a reload, with the requests that they hold; nginx in front, or --http-socket, has none
_ROUTERS = frozenset({"http", "httprouter", "https", "https2", "fastrouter", "rawrouter", "sslrouter"})


def _uwsgi() -> Any:
    """Return uWSGI's own module, None elsewhere: only the server itself has it, no package does."""
    return sys.modules.get("uwsgi")


def _command(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # pathlib takes as long as the kernel does
            return file.read()
    except OSError:
        return b""


def _was_forked() -> bool:
    """Whether our parent forked us to serve, as others beside us.

    A server's master has its workers' very command line, or says what it is in its title (gunicorn
    with setproctitle). A shell, init and pytest have others.
    """
    mine, parents = _command(os.getpid()), _command(os.getppid())
    if mine.startswith(b"gunicorn: worker"):
        return parents.startswith(b"gunicorn: master")
    return bool(mine) and mine == parents


def siblings() -> set[int]:
    """Return the processes that our server's master forked as it forked us, ourselves included."""
    uwsgi = _uwsgi()
    if uwsgi is not None:  # its routers and mules are forked, too, and look like workers
        return {worker["pid"] for worker in uwsgi.workers() if worker["pid"]} | {os.getpid()}
    if not _was_forked() or "mod_wsgi" in sys.modules:  # Apache forks those that serve no app, too
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
        """Whether another worker is started when this one ends.

        Only masters count that were seen to do so. Others that fork look the same from below: granian ends
        them all when one ends, and so does the development server's reloader.
        """
        uwsgi = _uwsgi()
        if uwsgi is not None:
            return bool(uwsgi.masterpid())  # without --master nobody looks after the workers
        return "gunicorn.arbiter" in sys.modules and _was_forked()

    def end_this_worker(self) -> None:
        """End this worker once the requests that it has begun are answered."""
        # To uWSGI's workers SIGTERM means at once
        os.kill(os.getpid(), signal.SIGTERM if _uwsgi() is None else signal.SIGHUP)

    def replace_this_worker(self) -> None:
        """Have another worker in this one's place, with the app loaded again."""
        if _uwsgi() is None or not self.start_all_anew():  # uWSGI forks it from what its master has loaded
            self.end_this_worker()

    @property
    def keeps_imports(self) -> bool:
        """Whether new workers have what its master imported once, also when all are started anew."""
        return _uwsgi() is None  # uWSGI's starts its own program again, too

    @property
    def waits_for_all(self) -> bool:
        """Whether it starts no new worker before all old ones have given their last answer."""
        return _uwsgi() is not None

    def why_not_all(self, *, preloaded: bool) -> str:
        """Return why it can't start all workers anew, with the app loaded again; "" if it can.

        Args:
            preloaded: the app was loaded before its workers were forked.
        """
        uwsgi = _uwsgi()
        if uwsgi is not None:
            return _why_not_uwsgi(uwsgi)
        if not self.would_replace():
            return "the process above this one is no gunicorn"
        if preloaded:
            return "gunicorn loaded the app before it forked (--preload): new workers don't load it again"
        return ""

    def start_all_anew(self) -> bool:
        """Have all workers replaced, each after its last answer. Returns whether anybody does so."""
        if not self.would_replace():
            return False  # the master has died meanwhile
        os.kill(self.pid, signal.SIGHUP)
        return True

    @property
    def pid(self) -> int:
        """The master's."""
        uwsgi = _uwsgi()
        return os.getppid() if uwsgi is None else int(uwsgi.masterpid())


def _why_not_uwsgi(uwsgi: Any) -> str:
    if not uwsgi.masterpid():
        return "uWSGI runs without --master"
    routers = sorted(_ROUTERS.intersection(map(_text, uwsgi.opt)))
    if routers:
        return f"uWSGI drops what its router (--{routers[0]}) holds when it starts workers anew"
    return ""


def _text(word: str | bytes) -> str:
    return word.decode("latin-1") if isinstance(word, bytes) else word
