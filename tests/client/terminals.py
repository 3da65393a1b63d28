"""A terminal with a program in it: what it shows, how it is set, and fingers for its keys."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.hosts import eventually

# A session of its own, whose terminal is stdin: then it runs the program that is named
CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
SHOWS_S = 20.0
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """One program in a terminal of its own.

    Attributes:
        text: all that it has shown.
    """

    def __init__(self, *words: str, folder: Path, environ: Mapping[str, str], columns: int = 120) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, columns))
        self._before = termios.tcgetattr(self._ours)
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLED, *words],
            cwd=folder,
            env=dict(environ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self._theirs = theirs
        self._at = 0
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the last program that had it is gone
            while data := os.read(self._ours, 65536):
                self.text += data.decode(errors="replace")

    def shows(self, text: str) -> None:
        """Wait until it shows a text, after the last one that was waited for."""

        def there() -> bool:
            return text in CODES.sub("", self.text)[self._at :]

        try:
            eventually(there, SHOWS_S)
        except AssertionError:
            raise AssertionError((text, self.text[-2000:])) from None
        self._at = CODES.sub("", self.text).index(text, self._at) + len(text)

    def press(self, keys: str) -> None:
        """Press keys, when those before have been read."""
        os.write(self._ours, keys.encode())
        eventually(lambda: not self._unread(), SHOWS_S)

    def _unread(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._theirs, termios.FIONREAD, bytes(4)), sys.byteorder)

    @property
    def reads_keys(self) -> bool:
        """Whether keys come to the program at once, unseen."""
        local = termios.tcgetattr(self._ours)[3]
        return not local & (termios.ICANON | termios.ECHO)

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._ours) == self._before

    def takes_keys(self) -> None:
        eventually(lambda: self.reads_keys, SHOWS_S)

    def gives_keys_back(self) -> None:
        eventually(lambda: not self.reads_keys, SHOWS_S)

    def wait(self) -> int:
        return self.process.wait(SHOWS_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        self._listener.join(SHOWS_S)
        os.close(self._ours)
