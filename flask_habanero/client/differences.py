"""Two versions of the app side by side, as a patch: releases, the server's disk, this tree, git's HEAD."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ..asset import Asset, is_asset_name
from ..errors import Reason, StoreError, UnansweredError
from ..source import Source
from .archive import State, Told, releases, sources_at, tree_at
from .copy import Copy, Kept, file_changes, in_head, on_disk
from .decide import ABSENT
from .desk import Desk, read, survey, tree_of
from .drift import Drifted, find, pushed_assets
from .patch import FileChange, unified
from .records import listed
from .states import HEAD, TREE, state
from .tree import Tree, is_on_disk
from .view import View

Version = Mapping[str, Source | Asset | Kept]
"""Some files as they are in one version: a source or an asset of the server, or a file of a working copy."""


Left = Mapping[str, Collection[str]]
"""Why some files are not in a difference -> their names."""

FOREIGN = "only on the server, never touched"
LOST = "the server's disk has another file by now, so not in this difference"


@dataclass(frozen=True)
class Difference:
    """What becomes of each file, from one version to another; and what is left out, in words."""

    old: str
    new: str
    files: tuple[FileChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def patch(self) -> bytes:
        """All of it, as `git apply` takes it."""
        return unified(self.files)

    @property
    def shown(self) -> bytes:
        """The same for a person: of what is no text only the sizes."""
        return unified(self.files, shown=True)


def made_by(desk: Desk, view: View, number: int) -> tuple[Told, Difference]:
    """Return a release, and the difference that it made.

    Raises:
        UnansweredError: there is none of that number.
        StoreError: it can't be believed.
    """
    record = next(releases(desk, view, number + 1), None)
    if record is None or record.number != number:
        what = f"there is no #{number} in this epoch, which began at #{view.first} and is at #{view.head}"
        raise UnansweredError("refused", (Reason("no-such-release", "", what, "flask habanero log"),))
    if record.trouble:
        raise StoreError(record.trouble)
    if not record.changes:
        return record, Difference(f"#{number}", f"#{number}")
    copy = on_disk(desk.target, tree_of(desk, view))
    return record, _between(copy, _of_server(desk, view, number - 1), _of_server(desk, view, number))


def compared(desk: Desk, view: View, words: Sequence[str]) -> Difference:
    """Return what differs from one state to another; from one alone to head, from head to this tree.

    Raises:
        ConfigError: a word is no state.
        UnansweredError: there is no such state.
    """
    from_, to = words if len(words) == 2 else (words[0], TREE if words[0] == HEAD else HEAD)
    tree = tree_of(desk, view)
    copy = on_disk(desk.target, tree)
    old, new = (
        _of_copy(copy, tree) if word == TREE else _of_server(desk, view, state(word, view))
        for word in (from_, to)
    )
    if TREE not in (from_, to):
        return _between(copy, old, new)
    absent = {*old.digests, *new.digests} - tree.digests.keys()
    here = {name for name in absent if is_on_disk(tree, name)}
    foreign = set(filter(is_asset_name, survey(desk, view, tree).decision.foreign)) & absent
    aside = {"ignored in this tree, not in this difference": here, FOREIGN: foreign - here}
    return _between(copy, old, new, aside)


def to_send(desk: Desk, view: View) -> Difference:
    """Return what a push would change, from head to this tree."""
    now = survey(desk, view, read(desk, view))
    decision, copy = now.decision, on_disk(desk.target, now.tree)
    names = {*decision.send, *decision.delete, *decision.differs, *decision.conflicts}
    old = _of_server(desk, view, view.head).fetch(names)
    new = {name: kept for name, kept in copy.files.items() if name in names}
    left = {"the server is newer, not in this difference": decision.newer, FOREIGN: decision.foreign}
    return _made(copy, (f"#{view.head}", old), (TREE, new), left)


@dataclass(frozen=True)
class Export:
    """What is live and not in a working copy.

    Attributes:
        missing_in: what the copy is: git's HEAD, or this tree.
        modules: what releases changed, and assets.
        difference: from the copy to what is live.
    """

    missing_in: str
    modules: tuple[Drifted, ...]
    difference: Difference


def exported(desk: Desk, view: View, *, everything: bool) -> Export:
    """Return what is live and not in git's HEAD, or outside git not in this tree.

    Args:
        desk: for whom.
        view: the server.
        everything: also what differs and no release changed.
    """
    base = tree_at(desk, view, view.first)
    copy = in_head(desk.target, view, pushed_assets(view, base))
    missing_in = "git's HEAD" if copy else "this tree"
    copy = copy or on_disk(desk.target, read(desk, view))
    drift = find(desk, view, copy, base)
    names = {module.name for module in drift.modules} | set(drift.others if everything else ())
    new = _of_server(desk, view, view.head).fetch(names)
    old = {name: kept for name, kept in copy.files.items() if name in names}
    why = f"differ from {missing_in}, and no release changed them (--all takes them, too)"
    left = {} if everything else {why: drift.others}
    return Export(missing_in, drift.modules, _made(copy, (missing_in, old), (f"#{view.head}", new), left))


# --- sides ---


@dataclass(frozen=True)
class _Side:
    """One of two versions: module or asset -> digest, and how some of them are had."""

    label: str
    digests: Mapping[str, str]
    fetch: Callable[[Collection[str]], Version]


def _of_server(desk: Desk, view: View, at: State) -> _Side:
    tree = tree_at(desk, view, at)

    def fetch(names: Collection[str]) -> Version:
        return sources_at(desk, view, at, {name: entry for name, entry in tree.items() if name in names})

    digests = {name: entry.digest for name, entry in tree.items()}
    return _Side(at if isinstance(at, str) else f"#{at}", digests, fetch)


def _of_copy(copy: Copy, tree: Tree) -> _Side:
    def fetch(names: Collection[str]) -> Version:
        return {name: kept for name, kept in copy.files.items() if name in names}

    return _Side(TREE, tree.digests, fetch)


def _between(copy: Copy, old: _Side, new: _Side, aside: Left | None = None) -> Difference:
    aside = aside or {}
    both = {*old.digests, *new.digests}.difference(*aside.values())
    names = {name for name in both if old.digests.get(name, ABSENT) != new.digests.get(name, ABSENT)}
    return _made(copy, (old.label, old.fetch(names)), (new.label, new.fetch(names)), aside)


def _made(copy: Copy, old: tuple[str, Version], new: tuple[str, Version], left: Left) -> Difference:
    """Return the difference of two versions, and what is left out of it, among that what is not to be had."""
    lost = {name for _, files in (old, new) for name, file in files.items() if _is_lost(file)}
    before, after = ({n: f for n, f in files.items() if n not in lost} for _, files in (old, new))
    every = {**left, LOST: lost}
    notes = tuple(f"{why}: {listed(sorted(names))}" for why, names in every.items() if names)
    return Difference(old[0], new[0], tuple(file_changes(copy, before, after)), notes)


def _is_lost(file: Source | Asset | Kept) -> bool:
    return isinstance(file, Asset) and file.data is None
