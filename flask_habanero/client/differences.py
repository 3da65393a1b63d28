"""Two versions of the app side by side, as a patch: releases, the server's disk, this tree, git's HEAD."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..asset import is_asset_name
from ..errors import Reason, StoreError, UnansweredError
from ..source import Source
from .archive import State, Told, releases, sources_at, tree_at
from .copy import Copy, Kept, file_changes, in_head, on_disk
from .decide import ABSENT
from .desk import Desk, read, survey
from .drift import Drifted, find
from .patch import FileChange, unified
from .records import listed
from .states import HEAD, TREE, state
from .tree import Tree, is_on_disk, read_tree
from .view import View

Version = Mapping[str, Source | Kept]
"""Some modules as they are in one version: a source of the server, or a file of a working copy."""


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
    copy = on_disk(desk.target, _tree(desk, view))
    found = _between(copy, _of_server(desk, view, number - 1), _of_server(desk, view, number))
    return record, replace(found, notes=(*found.notes, *_left_out(record.changes)))


def compared(desk: Desk, view: View, words: Sequence[str]) -> Difference:
    """Return what differs from one state to another; from one alone to head, from head to this tree.

    Raises:
        ConfigError: a word is no state.
        UnansweredError: there is no such state.
    """
    from_, to = words if len(words) == 2 else (words[0], TREE if words[0] == HEAD else HEAD)
    tree = _tree(desk, view)
    copy = on_disk(desk.target, tree)
    old, new = (
        _of_copy(copy, tree) if word == TREE else _of_server(desk, view, state(word, view))
        for word in (from_, to)
    )
    if TREE not in (from_, to):
        found = _between(copy, old, new)
        return replace(found, notes=(*found.notes, *_left_out(_pushed(desk, view))))
    absent = {*old.digests, *new.digests} - tree.digests.keys()
    return _between(copy, old, new, {name for name in absent if is_on_disk(tree, name)})


def to_send(desk: Desk, view: View) -> Difference:
    """Return what a push would change, from head to this tree."""
    now = survey(desk, view, read(desk, view))
    decision, copy = now.decision, on_disk(desk.target, now.tree)
    names = {*decision.send, *decision.delete, *decision.differs, *decision.conflicts}
    old = sources_at(desk, view, view.head, {name: e for name, e in view.tree.items() if name in names})
    new = {name: kept for name, kept in copy.files.items() if name in names}
    left = {
        "the server is newer, not in this difference": decision.newer,
        "only on the server, never touched": decision.foreign,
    }
    notes = tuple(f"{why}: {listed(modules)}" for why, modules in left.items() if modules)
    notes += _left_out(names)
    return Difference(f"#{view.head}", TREE, tuple(file_changes(copy, old, new)), notes)


def _pushed(desk: Desk, view: View) -> set[str]:
    """Return all that releases of this epoch changed."""
    return {name for told in releases(desk, view, view.head + 1) for name in told.changes}


def _left_out(names: Iterable[str]) -> tuple[str, ...]:
    """Say of which files no patch is made: those that are no code."""
    assets = sorted(name for name in names if is_asset_name(name))
    return (f"pushed, but no code, and in no patch: {listed(assets)}",) if assets else ()


@dataclass(frozen=True)
class Export:
    """What is live and not in a working copy.

    Attributes:
        missing_in: what the copy is: git's HEAD, or this tree.
        modules: what releases changed.
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
    copy = in_head(desk.target, view)
    missing_in = "git's HEAD" if copy else "this tree"
    copy = copy or on_disk(desk.target, read(desk, view))
    drift = find(desk, view, copy)
    names = {module.name for module in drift.modules} | set(drift.others if everything else ())
    new = sources_at(desk, view, view.head, {name: e for name, e in view.tree.items() if name in names})
    old = {name: kept for name, kept in copy.files.items() if name in names}
    notes: tuple[str, ...] = ()
    if drift.others and not everything:
        left = f"differ from {missing_in}, and no release changed them: {listed(drift.others)}"
        notes = (f"{left}; --all takes them, too",)
    notes += _left_out(_pushed(desk, view))
    files = tuple(file_changes(copy, old, new))
    return Export(missing_in, drift.modules, Difference(missing_in, f"#{view.head}", files, notes))


# --- sides ---


@dataclass(frozen=True)
class _Side:
    """One of two versions: module -> digest, and how some modules of it are had."""

    label: str
    digests: Mapping[str, str]
    fetch: Callable[[Collection[str]], Version]


def _tree(desk: Desk, view: View) -> Tree:
    return read_tree(desk.target.roots, view.modules, view.tree)


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


def _between(copy: Copy, old: _Side, new: _Side, aside: Collection[str] = ()) -> Difference:
    both = {*old.digests, *new.digests} - set(aside)
    names = {name for name in both if old.digests.get(name, ABSENT) != new.digests.get(name, ABSENT)}
    files = file_changes(copy, old.fetch(names), new.fetch(names))
    notes = (f"ignored in this tree, not in this difference: {listed(sorted(aside))}",) if aside else ()
    return Difference(old.label, new.label, tuple(files), notes)
