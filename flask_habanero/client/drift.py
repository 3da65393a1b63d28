"""What is live and would be gone with the next cold deploy: changed by releases, not so in the working copy.

Only what releases changed since the epoch's base counts. Other modules may differ from git as well, because
HEAD has moved on since the deploy: those are counted, and left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..errors import UnansweredError
from .archive import Told, releases, tree_at
from .copy import Copy, in_head
from .decide import ABSENT
from .desk import Desk
from .view import Entry, View


@dataclass(frozen=True)
class Drifted:
    """One module that is live and not in a copy.

    Attributes:
        path: of its file, as the copy has it or would have it.
        by: the release that made it what it is.
    """

    name: str
    path: str
    by: Told


@dataclass(frozen=True)
class Drift:
    """How the server differs from a working copy.

    Attributes:
        modules: those that releases changed.
        others: names of those that differ, and that no release changed.
        trouble: why it can't be told; empty if it can.
    """

    modules: tuple[Drifted, ...] = ()
    others: tuple[str, ...] = ()
    trouble: str = ""


def from_head(desk: Desk, view: View) -> Drift:
    """Return what is live and not in git's HEAD: nothing outside git, and nothing before a release."""
    copy = in_head(desk.target, view) if view.head > view.first else None
    try:
        return find(desk, view, copy) if copy else Drift()
    except UnansweredError as error:  # `status` has more to tell
        return Drift(trouble=str(error))


def find(desk: Desk, view: View, copy: Copy) -> Drift:
    """Return what is live and not in a copy. Raises UnansweredError."""
    base, live = tree_at(desk, view, view.first), view.tree
    differ = [name for name in sorted({*live, *copy.files}) if _digest(live, name) != copy.digest_of(name)]
    hot = [name for name in differ if _digest(live, name) != _digest(base, name)]
    makers = who_made(releases(desk, view, view.head + 1), hot)
    modules = (Drifted(name, _path(name, copy, live), makers[name]) for name in hot)
    return Drift(tuple(modules), tuple(sorted(set(differ) - set(hot))))


def who_made(log: Iterable[Told], names: Collection[str]) -> dict[str, Told]:
    """Return module -> the newest release that changed it. Reads no further than it must.

    A record that can't be believed stands for all that could be told only by way of it.
    """
    makers: dict[str, Told] = {}
    waiting = set(names)
    for record in log:
        known = waiting if record.trouble else waiting & record.changes.keys()
        makers |= dict.fromkeys(known, record)
        waiting -= known
        if not waiting:
            break
    return makers


def _digest(tree: Mapping[str, Entry], name: str) -> str:
    return tree[name].digest if name in tree else ABSENT


def _path(name: str, copy: Copy, live: Mapping[str, Entry]) -> str:
    return copy.place_of(name, package=live[name].package) if name in live else copy.files[name].path
