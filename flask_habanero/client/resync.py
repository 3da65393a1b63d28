"""Hosts whose releases came apart: what the server says of it, the order for all of them, and its words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import EnvelopeError, UnansweredError
from ..release import Report
from .desk import Desk, request_for
from .records import visible
from .view import View
from .words import ago, dim, reach, tag

WITHIN_S = 60.0  # hosts are asked one after the other thing, and may go to head in one plan


@dataclass(frozen=True)
class Outlook:
    """What a resync would come to.

    Attributes:
        host: whose branch would stay.
        order: what the server wants to hear again: the branches as they are now.
        lost: releases that would be lost, each with the places where it is.
        told: all that the server said.
        now: its clock.
    """

    host: str
    order: Mapping[str, Any]
    lost: tuple[Mapping[str, Any], ...]
    told: Mapping[str, Any]
    now: int

    @property
    def is_loss(self) -> bool:
        """Whether a person must be asked."""
        return self._count > 0

    @property
    def question(self) -> str:
        """What to ask."""
        releases = "release" if self._count == 1 else "releases"
        return f"give up {self._count} {releases} for the branch of {visible(self.host)}?"

    @property
    def _count(self) -> int:
        return len(self.lost) + int(self.told["older"])


def look(desk: Desk, view: View, host: str) -> Outlook:
    """Ask what bringing all hosts to a host's branch would come to; "": to the longest one.

    Raises:
        UnansweredError: the server says why not.
        EnvelopeError: it says what this version does not understand.
    """
    report = desk.wire.ask(_request(view, host, None), within_s=WITHIN_S)
    told = report.data.get("resync")
    if report.reasons or type(told) is not dict:
        raise UnansweredError(report.outcome, report.reasons)
    try:
        lost, order, now = tuple(told["lost"]), told["order"], int(told["now"])
        found = Outlook(str(told["from"]), order, lost, told, now)
        outlook_lines(found)  # all that is shown is there
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EnvelopeError("an answer to resync that this version does not understand") from None
    return found


def carry_out(desk: Desk, view: View, found: Outlook) -> Report:
    """Have it done, if all is still as it was seen."""
    return desk.wire.ask(_request(view, found.host, found.order), within_s=WITHIN_S)


def _request(view: View, host: str, order: Mapping[str, Any] | None) -> Any:
    return request_for("resync", view, json.dumps({"from": host, "order": order}).encode())


def outlook_lines(found: Outlook) -> list[str]:
    """Return who has which branch, and what would be lost."""
    told = found.told
    lines = [_host_line(row, found.host) for row in told["hosts"]]
    lines += [f"  {visible(host)}: {visible(why)}" for host, why in told["trouble"].items()]
    lines += ["would be lost:"] if found.lost else []
    lines += [_lost_line(row, found.now) for row in found.lost]
    if told["older"]:
        lines.append(f"  and {int(told['older'])} releases before those")
    if told["strange"]:
        lines.append(
            f"  {int(told['strange'])} records in the shared store that none of ours made are replaced"
        )
    return lines


def _host_line(row: Mapping[str, Any], chosen: str) -> str:
    words = "stays" if row["stays"] else "another branch"
    if row["host"] == chosen:
        words = "stays, and is given to the others"
    return f"  {visible(row['host'])}  #{int(row['release'])}, {int(row['records']) - 1} releases: {words}"


def _lost_line(row: Mapping[str, Any], now: int) -> str:
    what = " ".join(map(str, row["modules"])) or str(row["kind"])
    when = f"{ago(int(row['time']), now)}  "
    places = ", ".join(map(str, row["at"]))
    return visible(f"  #{int(row['number'])}  {when}{row['who']}  {what}  (on {places})")


def came_lines(found: Outlook, report: Report) -> list[str]:
    """Return what was done, in one line."""
    told = report.data.get("resync")
    if type(told) is not dict:
        return [f"{tag(report.outcome)} nothing was changed"]
    written, given_up = int(told.get("written", 0)), told.get("given_up", {})
    parts = [f"{', '.join(sorted(given_up))} came to the branch of {found.host}"] if given_up else []
    parts += [f"{written} records written to the shared store"] if written else []
    done = visible("; ".join(parts)) or "nothing had come apart"
    return [f"{tag(report.outcome)} #{report.release}  {done}  {dim(reach(report.workers))}"]
