"""How views answer, and whether those that a release changed left the band in which they did before.

A *band* is what a view took, and how often it failed, before the release. Notes for it are made only
where the app's owner asked for that, since every request pays for them; else a majority of errors is
all that there is to go by, and is noted only while a release is on trial.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from statistics import median
from typing import TYPE_CHECKING, Any

from flask import has_request_context, request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

KEPT = 64  # answers of each view, the newest
ENOUGH = 20  # so many answers are a band
FEWEST_ERRORS = 5  # fewer may be chance
MANY_TIMES = 3  # as many errors as before are too many
MUCH_MS = 50.0  # a view that is slower by less is let alone, however fast it was
_Answer = tuple[float, bool]
"""How many milliseconds it took, and whether it was a server error."""


class Tally:
    """Notes what a worker answers: all together, and the newest of each view.

    Views are told apart by their endpoints. What answers outside of a request of Flask's has none.
    """

    def __init__(self) -> None:
        self.answers = self.errors = 0
        self._lately: dict[str, deque[_Answer]] = {}

    def heed(self, start_response: StartResponse) -> StartResponse:
        """Return a `start_response` that notes the status, and when it came."""
        begun = time.perf_counter()

        def noting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self.note(_view(), (time.perf_counter() - begun) * 1000, status.startswith("5"))
            return start_response(status, headers, exc_info)

        return noting

    def note(self, view: str, ms: float, failed: bool) -> None:
        """Note one answer."""
        self.answers += 1
        self.errors += failed
        if view:
            answers = self._lately.get(view) or self._lately.setdefault(view, deque(maxlen=KEPT))
            answers.append((ms, failed))

    def take(self, other: Tally) -> None:
        """Add the answers of views that another one noted later."""
        for view in other.views():
            self._lately.setdefault(view, deque(maxlen=KEPT)).extend(other.of(view))

    def views(self) -> list[str]:
        """Return the views that have answered."""
        return sorted(self._lately.copy())

    def of(self, view: str) -> list[_Answer]:
        """Return the newest answers of a view; other threads may add some meanwhile."""
        return list(self._lately.get(view, ()))


def _view() -> str:
    return (request.endpoint or "") if has_request_context() else ""


def left(now: Tally, before: Tally, changed: Collection[str]) -> str:
    """Return why a release is not what it should be, or "".

    Args:
        now: what was answered since it is live.
        before: what was answered until then; empty if nobody asked for it.
        changed: the views that the release concerns.
    """
    if now.errors >= FEWEST_ERRORS and now.errors * 2 >= now.answers:
        return f"{now.errors} of {now.answers} answers were server errors"
    concerned = [view for view in now.views() if view in changed]
    others = [view for view in now.views() if view not in changed]
    failing = (_fails(view, now.of(view), before.of(view)) for view in concerned)
    if why := next(filter(None, failing), ""):
        return why
    if any(_is_slow(now.of(view), before.of(view)) for view in others):
        return ""  # it is the machine that is slow, or what they share
    slow = [view for view in concerned if _is_slow(now.of(view), before.of(view))]
    return _slowness(slow[0], now.of(slow[0]), before.of(slow[0])) if slow else ""


def _fails(view: str, now: list[_Answer], before: list[_Answer]) -> str:
    errors, earlier = _errors(now), _errors(before)
    if errors < FEWEST_ERRORS:
        return ""
    what = f"{view}: {errors} of {len(now)} answers were server errors"
    if len(before) < ENOUGH:
        return what if errors * 2 >= len(now) else ""
    # one more than there were: that there was none may be chance
    many = errors * (len(before) + 1) >= MANY_TIMES * (earlier + 1) * len(now)
    return f"{what}, and {earlier} of {len(before)} before" if many else ""


def _errors(answers: list[_Answer]) -> int:
    return sum(failed for _, failed in answers)


def _is_slow(now: list[_Answer], before: list[_Answer]) -> bool:
    """Whether half of the answers take twice as long as almost all did before."""
    if len(now) < ENOUGH or len(before) < ENOUGH:
        return False
    return _half(now) > max(2 * _most(before), _most(before) + MUCH_MS)


def _half(answers: list[_Answer]) -> float:
    return median(ms for ms, _ in answers)


def _most(answers: list[_Answer]) -> float:
    """Return within how many milliseconds 19 of 20 answers came."""
    return sorted(ms for ms, _ in answers)[len(answers) * 19 // 20 - 1]


def _slowness(view: str, now: list[_Answer], before: list[_Answer]) -> str:
    half, most = _half(now), _most(before)
    return f"{view}: half of {len(now)} answers took over {half:.0f} ms, before 19 of 20 within {most:.0f} ms"
