"""What the server's ledger holds: its releases, and the sources of any state of it.

Each answer is bounded; the rest is asked for here. What is signed and makes no sense is an error, never a
shorter list. Reads only, and remembers nothing.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..asset import Asset, is_asset_name
from ..errors import EnvelopeError, UnansweredError
from ..release import MAX_UNITS
from ..source import Source
from .desk import Desk, request_for
from .view import Entry, View, checked

DISK = "disk"  # the code that the answering worker was started from

State = int | str
"""Number of a release, or `DISK`."""


@dataclass(frozen=True)
class Told:
    """One record as the server tells it.

    Attributes:
        kind: "push", "rollback", or "base": the code that the epoch began with.
        who: who made it, by their own word.
        key: id of the key that signed it, which is proven.
        time: seconds, by the server's clock.
        digest: of the tree that it led to.
        changes: module or asset -> ``+`` new, ``~`` changed, ``-`` gone; against the state before.
        trouble: why it can't be believed; empty if it can.
    """

    number: int
    kind: str
    who: str
    key: str
    time: int
    note: str
    digest: str
    changes: Mapping[str, str]
    trouble: str


def releases(desk: Desk, view: View, below: int | None = None) -> Iterator[Told]:
    """Yield the records of the server's epoch, newest first, from below a number on or from the head.

    Raises:
        UnansweredError: the server can't read its ledger.
    """
    while True:
        data = _ask(desk, view, "log", below=below)
        rows = _rows(data)
        yield from rows
        below = data.get("next")
        if below is None:
            return
        if not rows or below != rows[-1].number:  # it would never end
            raise EnvelopeError("a log that does not go on where it ends")


def tree_at(desk: Desk, view: View, at: State) -> dict[str, Entry]:
    """Return module or asset -> what it was, at a state. Raises UnansweredError: there is no such state."""
    if at == view.head:
        return {**view.tree, **_entries(view.assets)}
    data = _ask(desk, view, "tree", at=at)
    try:
        tree = {str(name): Entry(str(d), str(p), bool(x)) for name, (d, p, x) in data["tree"].items()}
        return {**tree, **_entries(checked(data["assets"]))}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _senseless("tree", error) from None


def _entries(assets: Mapping[str, str]) -> dict[str, Entry]:
    return {name: Entry(digest, name, package=False) for name, digest in assets.items()}


def sources_at(desk: Desk, view: View, at: State, tree: Mapping[str, Entry]) -> dict[str, Source | Asset]:
    """Return the sources of some modules of a state, and some assets, which are those of its tree.

    An asset is without data if the server has not got it any more.

    Raises:
        UnansweredError: the server can't tell them.
        EnvelopeError: it told others.
    """
    found: dict[str, Source | Asset] = {}
    waiting = sorted(tree)
    while waiting:
        asked, later = waiting[:MAX_UNITS], waiting[MAX_UNITS:]
        data = _ask(desk, view, "sources", at=at, names=asked)
        try:
            told = [_source(row, tree) for row in data["sources"]]
            left = [name for name in map(str, data["left"]) if name in asked]
        except (KeyError, TypeError, ValueError) as error:
            raise _senseless("sources", error) from None
        if len(left) == len(asked):  # it would never end
            raise EnvelopeError("sources, and none of those that were asked for")
        found.update((one.name, one) for one in told)
        waiting = left + later
    wrong = [name for name in tree if name not in found or found[name].digest != tree[name].digest]
    if wrong:
        raise EnvelopeError(f"sources that are not those of their tree: {', '.join(wrong[:10])}")
    return found


def _source(row: list[Any], tree: Mapping[str, Entry]) -> Source | Asset:
    """Return a row of an answer. Raises KeyError, TypeError or ValueError if it is none."""
    name, *rest = row
    digest = tree[name].digest  # also: nothing else was asked for
    if is_asset_name(name):
        (data,) = rest
        return Asset(name, digest, None) if data is None else Asset.of(name, b64decode(data, validate=True))
    path, package, text = rest
    return Source(str(name), str(path), bool(package), str(text))


def _ask(desk: Desk, view: View, op: str, **wishes: Any) -> Mapping[str, Any]:
    report = desk.wire.ask(request_for(op, view, json.dumps(wishes).encode()))
    if report.outcome != "unchanged":
        raise UnansweredError(report.outcome, report.reasons)
    return report.data


def _rows(data: Mapping[str, Any]) -> list[Told]:
    try:
        return [_row(row) for row in data["log"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _senseless("log", error) from None


def _row(row: Mapping[str, Any]) -> Told:
    number, kind, who, key = int(row["number"]), str(row["kind"]), str(row["who"]), str(row["key"])
    changes = {str(name): str(mark) for name, mark in row["changes"].items()}
    more = (str(row[name]) for name in ("note", "digest", "trouble"))
    note, digest, trouble = more
    return Told(number, kind, who, key, int(row["time"]), note, digest, changes, trouble)


def _senseless(op: str, error: Exception) -> EnvelopeError:
    return EnvelopeError(f"an answer to {op} that this version does not understand: {error!r}")
