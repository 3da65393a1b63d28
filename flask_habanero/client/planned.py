"""What stands beneath the first line of a plan: pure.

::

      ~ shop/views.py                             ~index
          index: body
          > index: the new body goes into the function that there is; whoever has it keeps it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Reason
from ..release import Report
from .push import Result
from .records import visible
from .words import PATH_WIDTH, dim, reason_lines, report_lines, some, unimported_lines

EDITS = 12  # of what an edit means, for each file


@dataclass(frozen=True)
class Hot:
    """What a server says would be hot: of a cold change, the rest, without the edits that are in its way.

    Attributes:
        steps: as in a report.
        how: path -> how each of its steps is done; under "" what is true of all.
        without: the edits that would have to stay out; none if all is hot.
        reasons: why, of those that the report's reasons had hidden.
    """

    steps: tuple[str, ...] = ()
    how: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def hot_of(report: Report) -> Hot:
    """Return what a plan's report says would be hot. What is malformed in it is left out."""
    apart = report.data.get("apart")
    if not isinstance(apart, dict):
        return Hot(report.steps, _how(report.data.get("how")))
    reasons = apart.get("reasons")
    return Hot(
        _texts(apart.get("steps")),
        _how(apart.get("how")),
        _texts(apart.get("without")),
        tuple(map(_reason, filter(_is_reason, reasons if isinstance(reasons, list) else ()))),
    )


def plan_lines(result: Result) -> list[str]:
    """Return each file with its steps, what its edit means and how it goes live, what is in the way."""
    hot, deleted = hot_of(result.report), set(result.decision.delete)
    lines = []
    for name, path in zip(result.sent, result.paths, strict=True):
        parts = (step.partition(": ") for step in hot.steps)
        steps = "  ".join(verb for where, _, verb in parts if where in (name, path))
        lines.append(f"  {'-' if name in deleted else '~'} {path:<{PATH_WIDTH}}  {steps}".rstrip())
        edits = _beneath("", result.edits.get(path, ()))
        lines += [dim(visible(line)) for line in (*edits, *_beneath("> ", hot.how.get(path, ())))]
    lines += [dim(visible(line)) for line in _beneath("> ", hot.how.get("", ()))]
    lines += [*unimported_lines(result), *report_lines(result.report), *reason_lines(hot.reasons)]
    if hot.without:
        lines.append(f"          hot are the steps above, without {visible(some(hot.without))}")
    counts = f"{len(result.decision.send)} to send, {len(deleted)} to remove"
    return [*lines, f"Plan: {counts}, {_also(result, len(hot.reasons))}"]


def _beneath(mark: str, texts: Iterable[str]) -> list[str]:
    lines = [f"      {mark}{text}" for text in texts]
    more = [f"      {mark}... {len(lines) - EDITS} more"] if len(lines) > EDITS else []
    return [*lines[:EDITS], *more]


def _also(result: Result, hidden: int) -> str:
    newer = f"{len(result.decision.newer)} newer on the server"
    if result.report.data.get("restarts"):
        return f"{newer}; cold, the workers would be restarted"
    return f"{newer}, {len(result.report.reasons) + hidden} in the way"


def _how(told: Any) -> dict[str, tuple[str, ...]]:
    return {path: _texts(said) for path, said in told.items()} if isinstance(told, dict) else {}


def _texts(told: Any) -> tuple[str, ...]:
    return tuple(text for text in told if isinstance(text, str)) if isinstance(told, list) else ()


def _is_reason(told: Any) -> bool:
    return isinstance(told, dict) and all(isinstance(told.get(key), str) for key in _KEYS)


def _reason(told: Mapping[str, str]) -> Reason:
    return Reason(*(told[key] for key in _KEYS))


_KEYS = ("code", "where", "what", "hint")
