"""What is live and would be gone with the next cold deploy: changed by releases, not so in the working copy.

Only what releases changed since the epoch's base counts. Other modules may differ from git as well, because
HEAD has moved on since the deploy: those are counted, and left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..asset import is_asset_name
from ..errors import UnansweredError
from .archive import Told, releases, tree_at
from .copy import Copy, in_head
from .decide import ABSENT
from .desk import Desk
from .view import Entry, View


@dataclass(frozen=True)
class Drifted:
    """One module or asset that is live and not in a copy.

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
        modules: those that releases changed, and assets.
        others: names of modules that differ, and that no release changed.
        trouble: why it can't be told; empty if it can.
    """

    modules: tuple[Drifted, ...] = ()
    others: tuple[str, ...] = ()
    trouble: str = ""


def from_head(desk: Desk, view: View) -> Drift:
    """Return what is live and not in git's HEAD: nothing outside git, and nothing before a release."""
    if view.head == view.first:
        return Drift()
    try:
        base = tree_at(desk, view, view.first)
        copy = in_head(desk.target, view, pushed_assets(view, base))
        return find(desk, view, copy, base) if copy else Drift()
    except UnansweredError as error:  # `status` has more to tell
        return Drift(trouble=str(error))


def pushed_assets(view: View, base: Mapping[str, Entry]) -> set[str]:
    """Return the names of the assets that are live and others than in the base."""
    there = {name: entry.digest for name, entry in base.items() if is_asset_name(name)}
    return {name for name in {*view.assets, *there} if view.assets.get(name) != there.get(name)}


def find(desk: Desk, view: View, copy: Copy, base: Mapping[str, Entry]) -> Drift:
    """Return what is live and not in a copy.

    Args:
        desk: for whom.
        view: the server.
        copy: has the modules, and at least the assets that were pushed.
        base: what the epoch began with.

    Raises:
        UnansweredError: the server can't read its ledger.
    """
    live, pushed = tree_at(desk, view, view.head), pushed_assets(view, base)
    asked = [n for n in sorted({*live, *copy.files}) if n in pushed or not is_asset_name(n)]
    differ = [name for name in asked if _digest(live, name) != copy.digest_of(name)]
    hot = [name for name in differ if _digest(live, name) != _digest(base, name)]
    makers = who_made(releases(desk, view, view.head + 1), hot)
    modules = (Drifted(name, _path(name, copy, live), makers[name]) for name in hot)
    return Drift(tuple(modules), tuple(sorted(set(differ) - set(hot))))


def who_made(log: Iterable[Told], names: Collection[str]) -> dict[str, Told]:
    """Return module or asset -> the newest release that changed it. Reads no further than it must.

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
