"""Keeps a release that ends or holds up workers from doing so to every one that is started in their place.

A worker on its way to a release notes its attempt in a file, and takes the note back when it has
arrived. Who dies in between (a crash in native code, no memory, `os._exit`) leaves its note. Who does not
come through is ended by a timer of the kernel's, which asks neither Python nor its lock, and so leaves its
note, too. After two of them nobody tries again.
"""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RefusedError, StoreError, UndoError

MOST_DEATHS = 2  # one may be chance
LIBRARIES_S = 30.0  # to plan, and to import what is new from other packages: those may be slow
COMMIT_S = 3.0  # the statements of releases: gates are closed, and the other workers' leases end after 2 s
log = logging.getLogger("flask_habanero")


class DeadlyError(RefusedError):
    """A release ended workers that came to it."""

    slug = "deadly"

    def __init__(self, number: int, deaths: int) -> None:
        workers = "a worker" if deaths == 1 else f"{deaths} workers"
        super().__init__(f"#{number} ended {workers} on their way to it, and is not tried again")
        self.number = number


@contextmanager
def attempt(path: Path, number: int, nonce: str = "", most: int = MOST_DEATHS) -> Iterator[None]:
    """Go to a release; one worker at a time, so that two deaths are two attempts.

    Args:
        path: the file of notes.
        number: of the release. Who comes to it takes away the notes of all before it, too.
        nonce: of the request, where it is not recorded yet: the number may be another's then.
        most: after how many deaths it is given up.

    Raises:
        DeadlyError: it has ended others.
        StoreError: the file can't be used.
    """
    try:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # the kernel drops it when we die
        note = f"{number}{nonce and '-'}{nonce}"
        deaths = _notes(fd).count(note)
        if deaths >= most:
            raise DeadlyError(number, deaths)
        os.write(fd, f"{note}\n".encode())
        try:
            yield
        except UndoError:
            raise  # it ends this worker as surely as a crash
        except BaseException:
            _forget(fd, number)
            raise
        _forget(fd, number)
    finally:
        os.close(fd)


def _notes(fd: int) -> list[str]:
    return os.pread(fd, 4096, 0).decode("ascii", "replace").split()


def _forget(fd: int, number: int) -> None:
    """Take away the notes of a release and of those before it; not of a later one that it stands in for."""
    later = [note for note in _notes(fd) if (n := note.partition("-")[0]).isdigit() and int(n) > number]
    os.ftruncate(fd, 0)
    os.write(fd, "".join(f"{note}\n" for note in later).encode())


@contextmanager
def importing(folder: Path, number: int) -> Iterator[None]:
    """Import modules of a release; many processes may do so at a time.

    A file in the folder is locked meanwhile, and stays there if this process fails, or dies. Who comes
    through takes away those of this release, and of all before it.
    """
    path = folder / f"{number}-{os.getpid()}-{secrets.token_hex(4)}"  # uWSGI's master starts again as it is
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        log.warning("%s: %s; what the release does to this process is not noted", path, error)
        yield
        return
    fcntl.flock(fd, fcntl.LOCK_EX)  # on purpose not given back by who fails: it ends soon
    yield
    os.close(fd)
    for path in folder.iterdir():
        of = path.name.partition("-")[0]
        if of.isdigit() and int(of) <= number:
            path.unlink(missing_ok=True)


def check_imports(folder: Path, number: int) -> None:
    """Raise DeadlyError if a release ended, or failed in, `MOST_DEATHS` processes that imported it."""
    deaths = sum(_is_dead(path) for path in folder.glob(f"{number}-*"))
    if deaths >= MOST_DEATHS:
        raise DeadlyError(number, deaths)


def _is_dead(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False  # it has come through
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return path.exists()  # it may have come through just now
    except BlockingIOError:
        return False  # it is at work
    finally:
        os.close(fd)


@contextmanager
def watched(seconds: float) -> Iterator[None]:
    """End this process if what is inside takes longer, with where each thread was on its stderr.

    By the timer and the signal of `alarm`, which are given back. In an app that uses those itself nothing
    is watched.
    """
    if signal.getsignal(signal.SIGALRM) != signal.SIG_DFL or signal.getitimer(signal.ITIMER_REAL)[0]:
        log.info("the app uses SIGALRM itself: going to a release is not watched")
        yield
        return
    stderr = _stderr()
    if stderr is not None:
        faulthandler.register(signal.SIGALRM, file=stderr, all_threads=True, chain=True)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if stderr is not None:
            faulthandler.unregister(signal.SIGALRM)


def _stderr() -> int | None:
    try:
        return None if sys.__stderr__ is None else sys.__stderr__.fileno()
    except (OSError, ValueError):
        return None  # closed: its number may be another file's by now
