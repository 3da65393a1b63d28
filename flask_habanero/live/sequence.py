"""When a cold start of the app, as it will be, ends each statement.

Told from the texts, and from the start of this process: functions imported modules while statements ran, and
statements came past imports. It is asked once all statements are paired.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from . import imports

if TYPE_CHECKING:
    from .books import Place
    from .draft import Draft


def of(draft: Draft) -> dict[tuple[str, int], int]:
    """Return (module, index of the statement) -> rank."""

    def comes_past(name: str, index: int, module: str) -> bool:
        return _comes_past(draft, (name, index), module)

    return imports.execution_order(draft.out.target, draft.roots, _late(draft), comes_past)


def _loader(chain: tuple[Place, ...]) -> tuple[str, int]:
    """Return the statement that a module was imported for: module and uid; "" if there was none."""
    return next((place[:2] for place in reversed(chain) if place[2] == 0), ("", 0))


def _comes_past(draft: Draft, statement: tuple[str, int], module: str) -> bool:
    """Whether a statement that stays named a module at the start, which another one that stays loaded."""
    (name, index), loader = statement, _loader(draft.program.books.chains.get(module, ()))
    if draft.program.loaded(name) is None or not _stays(draft, *loader):
        return False
    uid = draft.uids(name)[index]
    return (name, uid) != loader and _stays(draft, name, uid)


def _stays(draft: Draft, name: str, uid: int) -> bool:
    """Whether a statement that ran at the start is there as it was."""
    trees = draft.program.tree, draft.out.target
    if not all(name in tree for tree in trees) or draft.program.loaded(name) is None:
        return False
    sides = draft.program.uids(name), draft.uids(name)
    if not all(uid in side for side in sides):
        return False
    old, new = (tree[name].parsed.pieces[side.index(uid)] for tree, side in zip(trees, sides, strict=True))
    return old.digest == new.digest


def _late(draft: Draft) -> dict[tuple[str, int], list[str]]:
    """Return statement -> modules that functions imported at the start while it ran."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for module, chain in draft.program.books.chains.items():
        name, uid = _loader(chain)
        if name and chain[-1][2] and uid in (uids := draft.uids(name)):
            found[name, uids.index(uid)].append(module)
    return found
