"""What the keys of a terminal do while `watch` runs.

They are pressed in another thread and act in the session's, between two saves. Only q acts at once:
it ends the session when what is under way is done.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Protocol

from ..errors import HabaneroError
from . import desk, push
from .drift import from_head
from .push import Result

if TYPE_CHECKING:
    from .session import Session
    from .show import Lines
    from .view import View

HELP = {
    "h": "this help",
    "s": "status: what the server runs, what is held here",
    "l": "log: what this window has shown so far",
    "p": "push what is held again, as it is (r does the same)",
    "u": "undo: take the newest release back; asks",
    "c": "clear the screen",
    "q": "quit, as Ctrl-C does, when what is under way is done",
}
SHORT = "h help   s status   u undo   p push held   q quit"


class Keys(Protocol):
    """What a session is told by its person besides the files that they save."""

    def listening(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Listen, and call `wake` when there is something to act on."""

    def act(self) -> None:
        """Do what was asked for."""


class Keyboard:
    """The keys of a terminal, for one session."""

    def __init__(self, fd: int, session: Session, screen: Lines, stop: Event) -> None:
        self._fd, self._session, self._screen, self._stop = fd, session, screen, stop
        self._pressed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._asked: Callable[[], None] | None = None  # what y answers
        self._acts: dict[str, Callable[[], None]] = {
            "h": self._help,
            "s": self._status,
            "l": screen.recall,
            "p": session.send_again,
            "r": session.send_again,
            "u": self._undo,
            "c": screen.clear,
        }

    @contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Listen to the terminal, and put it back as it was."""
        from .terminal import keys_of

        def pressed(key: str) -> None:
            if key == "q":
                self._stop.set()
            self._pressed.put(key)
            wake()

        with keys_of(self._fd, pressed):
            self._screen.hint(SHORT)
            yield

    def act(self) -> None:
        """Do what was pressed, in order. What goes wrong is shown, and ends nothing."""
        while not self._pressed.empty():
            key, asked = self._pressed.get(), self._asked
            self._asked = None
            try:
                if asked is not None:
                    asked() if key in "yY" else self._screen.note("nothing was taken back")
                else:
                    self._acts.get(key, _nothing)()
            except HabaneroError as error:
                self._screen.error(error)
            except Exception as error:  # noqa: BLE001  # a fault of ours, shown whole; the saves go on
                self._screen.fault(error)

    def _help(self) -> None:
        for key, text in HELP.items():
            self._screen.note(f"  {key}  {text}")

    def _status(self) -> None:
        at = self._session.desk
        view = desk.look(at)
        report = desk.read_log(at, view)
        self._screen.status(report, desk.survey(at, view, desk.tree_of(at, view)), from_head(at, view))

    def _undo(self) -> None:
        view = desk.look(self._session.desk)
        if view.head == view.first:
            self._screen.note(f"#{view.head} is the base, as it was deployed: there is nothing to take back")
            return
        by = f" by {view.last['who']}" if view.last.get("who") else ""
        self._screen.note(f"take back #{view.head}{by}?  y: yes, any other key: no")
        self._asked = lambda: self._take_back(view)

    def _take_back(self, view: View) -> None:
        at, begun = self._session.desk, time.monotonic()
        report = push.rollback(at, view, None, self._screen.unsure)
        self._screen.result(Result(push.timed(report, begun)))
        self._session.look_again()


def _nothing() -> None:
    """Do nothing: what a key does that has no meaning."""


class NoKeys:
    """Nobody who could press anything."""

    @contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:  # noqa: ARG002  # nobody wakes
        """Listen to nobody."""
        yield

    def act(self) -> None:
        """Do nothing."""


def keys_for(session: Session, screen: Lines, stop: Event, *, for_programs: bool) -> Keyboard | NoKeys:
    """Return the keyboard of the terminal, if there is one; a program that reads us presses nothing."""
    if for_programs or not sys.stdin.isatty():
        return NoKeys()
    return Keyboard(sys.stdin.fileno(), session, screen, stop)
