"""Records of the ledger as words and as JSON. Pure.

::

    #3    2026-11-28 14:09:40  bob@example.org          rollback  ~shop.views   back to #1   head
    #2    2026-11-28 14:08:40  ann@example.org          push      ~shop.views +shop.vat   1a2b3c4   taken back
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from .archive import Told
from .drift import Drift, Drifted
from .words import dim

SHOWN = 5  # modules in one line; more are counted
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("diff ", {"bold": True}),
    ("--- ", {"bold": True}),
    ("+++ ", {"bold": True}),
    ("@@", {"fg": "cyan"}),
    ("+", {"fg": "green"}),
    ("-", {"fg": "red"}),
)
_BACK_TO = re.compile(r"\Aback to #(\d+)(?:\Z|: )")  # after the colon: why the server did it by itself


def when(time: int) -> str:
    """Return a moment as people here write it."""
    return datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def standing(log: Iterable[Told], head: int) -> Iterator[tuple[Told, bool]]:
    """Yield records, newest first from the head on, and whether the head's state is made of each.

    The state of a rollback is the one that it went back to: what lies between is taken back.
    """
    at = head
    for record in log:
        stands = record.number == at
        if stands:
            back = _BACK_TO.match(record.note) if record.kind == "rollback" else None
            at = int(back[1]) if back else at - 1
        yield record, stands


def changes_words(changes: Mapping[str, str], shown: int = SHOWN) -> str:
    """Return which modules a release changed: ``~shop.views +shop.vat and 3 more``."""
    return listed([mark + name for name, mark in changes.items()], " ", shown)


def listed(words: Sequence[str], between: str = ", ", shown: int = SHOWN) -> str:
    """Return the first words, and how many more there are."""
    more = f" and {len(words) - shown} more" if len(words) > shown else ""
    return between.join(words[:shown]) + more


def record_lines(record: Told, marks: Iterable[str] = (), shown: int = SHOWN) -> list[str]:
    """Return a record in one line, and in a second why it can't be believed."""
    who, kind, note, changed, trouble = map(
        visible, (record.who, record.kind, record.note, changes_words(record.changes, shown), record.trouble)
    )  # what can't be believed is shown, and may be anything
    what = f"#{record.number:<4} {dim(when(record.time))}  {who:<24} {kind:<8}"
    lines = ["  ".join(part for part in (what, changed, note, *marks) if part).rstrip()]
    if trouble:
        lines.append(click.style(f"      not to be believed: {trouble}", fg="red"))
    return lines


def marks_of(record: Told, *, head: int, stands: bool) -> list[str]:
    """Return what became of a record: whether it is the head, and whether it was taken back."""
    words = [click.style("head", fg="green", bold=True)] if record.number == head else []
    return words if stands else [click.style("taken back", fg="yellow")]


def record_json(record: Told, epoch: str, *, head: int, stands: bool) -> dict[str, Any]:
    """Return a record as JSON values."""
    return {**asdict(record), "epoch": epoch, "head": record.number == head, "live": stands}


def drift_words(module: Drifted) -> str:
    """Return a module that is live and not in git, and which release made it so."""
    by = module.by
    maker = f"which release did it can't be told: {by.trouble}" if by.trouble else f"#{by.number} by {by.who}"
    return f"{module.path} ({maker})"


def drift_json(module: Drifted) -> dict[str, Any]:
    """Return a module that is live and not in git as JSON values."""
    return {"module": module.name, "path": module.path, "release": asdict(module.by)}


def maker_lines(by: Told | None) -> list[str]:
    """Return which release last changed something."""
    if by is None:
        return ["as it was deployed: no release changed it"]
    if by.trouble:
        return [click.style(f"which release last changed it can't be told: {by.trouble}", fg="red")]
    note = f": {by.note}" if by.note else ""
    return [f"last changed in #{by.number} by {by.who}, {when(by.time)} ({by.kind}{note})"]


def paint(line: str) -> str:
    """Return a line of a patch in its colour."""
    for start, look in _LOOKS:
        if line.startswith(start):
            return click.style(line, **look)
    return line


def visible(line: str) -> str:
    """Return one line as a terminal may have it: what would steer the terminal is written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)


def text_of(patch: bytes) -> str:
    """Return a patch as text for JSON, of which it can be made again: what is no UTF-8 is lone surrogates."""
    return patch.decode("utf-8", "surrogateescape")


def drift_lines(drift: Drift) -> list[str]:
    """Return the drift as `status` shows it; nothing if there is none."""
    if drift.trouble:
        return [f"  drift    can't be told: {drift.trouble}"]
    words = [drift_words(module) for module in drift.modules]
    lines = [f"  drift    live but not in git: {text}" for text in words[:SHOWN]]
    if len(words) > SHOWN:
        lines.append(f"           and {len(words) - SHOWN} more")
    return [*lines, dim("           as a patch: flask habanero export")] if lines else []
