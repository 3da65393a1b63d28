"""Keeps a release that kills workers from killing every one that is started in their place.

A worker on its way to head notes its attempt in a file, and takes the note back when it has
arrived. Who dies in between (a crash in native code, an endless loop that the process manager
ends) leaves its note. After two of them nobody tries again: workers serve what is on disk and
say that they are behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RefusedError, StoreError, UndoError

MOST_DEATHS = 2  # one may be chance


class DeadlyError(RefusedError):
    """A release ended workers that came to it."""

    slug = "deadly"

    def __init__(self, number: int) -> None:
        super().__init__(f"#{number} ended {MOST_DEATHS} workers on their way to it, and is not tried again")
        self.number = number


@contextmanager
def attempt(path: Path, number: int) -> Iterator[None]:
    """Go to a release; one worker at a time, so that two deaths are two attempts.

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
        note = f"{number}\n".encode()
        if os.pread(fd, 4096, 0).split().count(note.strip()) >= MOST_DEATHS:
            raise DeadlyError(number)
        os.write(fd, note)
        try:
            yield
        except UndoError:
            raise  # it ends this worker as surely as a crash
        except BaseException:
            os.ftruncate(fd, 0)
            raise
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)
