"""A rehearsal, as the worker sees it that was asked for one: a fresh process, and what came of it there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import fresh
from .errors import Reason
from .fresh import RehearsalError
from .release import Report

if TYPE_CHECKING:
    from .change import Request

MODULE = "flask_habanero.rehearsal"


def rehearse(name: str, request: Request, pages: list[str], within_s: int) -> Report:
    """Return what became of a staged request in a fresh process. Nothing changes in this one.

    Args:
        name: under which the app is imported there.
        request: staged, so that the process finds it and believes it itself.
        pages: what is asked for when the change is hot there; none: those that it concerns.
        within_s: how long all of it may take.
    """
    task = {"app": name, "argv": sys.argv, "nonce": request.nonce, "pages": pages}
    ended = fresh.run(MODULE, task, within_s)
    if not ended.came:
        error = RehearsalError("", f"the fresh process {ended.why}")
        return Report(error.outcome, reasons=error.reasons, data=_about(name, ended, []))
    came = ended.came
    reasons = tuple(Reason(*map(str, row)) for row in came["reasons"])
    outcome, steps = str(came["outcome"]), tuple(map(str, came["steps"]))
    return Report(outcome, steps=steps, reasons=reasons, data=_about(name, ended, came["pages"]))


def _about(name: str, ended: fresh.Ended, pages: list[Any]) -> dict[str, Any]:
    held = ended.came.get("outcome") == "live"
    output = [] if held else list(ended.output)
    return {"rehearsed": pages, "app": name, "output": output, "unasked": ended.came.get("unasked", [])}
