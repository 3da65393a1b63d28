"""While the server may go on by itself: when to look whether it did, so that `watch` knows.

It may take a release back that is on trial. And what a watcher sent that was killed may still be on its way.
"""

from __future__ import annotations

from ..release import Report
from .view import View

EVERY_S = 2.0  # a look is a request
LATER_S = 3.0  # after its time is over: the server looks each second
UNHEARD_S = 20.0  # a server that has a push tries for less than that


class Suspense:
    """Of the newest release of one `watch`. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._number, self._next, self._until = 0, 0.0, 0.0

    def begin(self, report: Report, now: float) -> None:
        """Learn of a release: whether it is on trial, and for how long."""
        trial = report.data.get("trial")
        self._number, self._next = report.release, now + EVERY_S
        self._until = now + trial["within"] + LATER_S if trial else 0.0

    def begin_unheard(self, head: int, now: float) -> None:
        """Learn that something may be on its way to a server whose head was that."""
        self._number, self._next, self._until = head, now + EVERY_S, now + UNHEARD_S

    def is_due(self, now: float) -> bool:
        """Whether it is time to look at the server."""
        if not self._next <= now < self._until:
            return False
        self._next = now + EVERY_S
        return True

    def end(self, view: View) -> str:
        """Take note of the server as it is now. Returns why it took the newest release back, if it did."""
        if view.head == self._number:
            return ""
        self._until = 0.0
        _, by_itself, why = str(view.last.get("note", "")).partition(": ")  # a person's rollback says no why
        if view.head != self._number + 1 or view.last.get("kind") != "rollback" or not by_itself:
            return ""
        return why
