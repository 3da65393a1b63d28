r"""The keys of a terminal, one by one, without Enter. The only place that sets a terminal.

How it was set before is put back on every way out: at the end of the block, however it ends; at Ctrl-Z,
until it goes on; at Ctrl-\ and when the terminal is closed. As long as we are in the background (`&`,
`bg`), the terminal is the shell's: nothing is set and no key is read.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

AWAY_S = 0.5  # how often it is looked whether the terminal is ours again
LOCAL = 3  # where tcgetattr has the flags of line editing and echo
CONTROL = 6
FINGERS = 3  # more keys than that at once were not pressed by them, but pasted


@contextmanager
def keys_of(fd: int, pressed: Callable[[str], None]) -> Iterator[None]:
    """Call a function, in a thread of its own, with each key that is pressed at a terminal.

    What is pasted, and what keys such as arrows send, is passed over.
    For the main thread, which is the one that signals come to.
    """
    terminal = _Terminal(fd)
    with terminal.signals(), _reading(terminal, pressed):
        terminal.take()
        try:
            yield
        finally:
            terminal.give_back()


class _Terminal:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before: list[Any] | None = None  # how it was set; None: it was never taken

    def is_ours(self) -> bool:
        """Whether we are in the foreground of it."""
        try:
            return os.tcgetpgrp(self.fd) == os.getpgrp()
        except OSError:  # it is gone, or not the terminal that controls us
            return False

    def take(self) -> None:
        """Let keys come at once, and unseen."""
        with contextlib.suppress(termios.error):
            if not self.is_ours():
                return
            now = termios.tcgetattr(self.fd)
            if now[LOCAL] & termios.ICANON:  # else it is as we have set it
                self._before = termios.tcgetattr(self.fd)
            now[LOCAL] &= ~(termios.ICANON | termios.ECHO)
            now[CONTROL][termios.VMIN], now[CONTROL][termios.VTIME] = 1, 0
            termios.tcsetattr(self.fd, termios.TCSANOW, now)

    def give_back(self) -> None:
        """Set it as it was."""
        with contextlib.suppress(termios.error):
            if self._before is not None and self.is_ours():
                termios.tcsetattr(self.fd, termios.TCSANOW, self._before)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Put it in order when we are stopped, continued, or ended by what runs no other line of ours."""
        ours = {
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: lambda *_: self.take(),
            signal.SIGQUIT: self._end,
            signal.SIGHUP: self._end,
        }
        # What is ignored stays so: by nohup, or by a shell that knows no jobs
        ours = {number: act for number, act in ours.items() if signal.getsignal(number) != signal.SIG_IGN}
        before = {number: signal.signal(number, act) for number, act in ours.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: object) -> None:
        self._by_default(number)  # here it stops; the next line is run when it goes on
        signal.signal(number, self._stop)
        self.take()

    def _end(self, number: int, _frame: object) -> None:
        self._by_default(number)

    def _by_default(self, number: int) -> None:
        self.give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


@contextmanager
def _reading(terminal: _Terminal, pressed: Callable[[str], None]) -> Iterator[None]:
    ended, end = os.pipe()
    stop = Event()
    reader = Thread(target=_read, args=(terminal, pressed, ended, stop), daemon=True)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        os.close(end)
        reader.join()
        os.close(ended)


def _read(terminal: _Terminal, pressed: Callable[[str], None], ended: int, stop: Event) -> None:
    # Who reads from the background is stopped, unless this signal is blocked: then it is an error
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
    while not stop.is_set():
        if not terminal.is_ours():
            stop.wait(AWAY_S)
            continue
        try:
            ready, _, _ = select.select([terminal.fd, ended], [], [])
            if terminal.fd not in ready or not terminal.is_ours():
                continue
            data = os.read(terminal.fd, 1024)
        except OSError:  # in the background by now, or gone
            stop.wait(AWAY_S)
            continue
        if not data:  # its end: nobody can press anything any more
            return
        if len(data) <= FINGERS and not data.startswith(b"\x1b"):
            for key in data.decode("ascii", "replace"):
                pressed(key)
