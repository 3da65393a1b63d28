"""What runs at the start reads what only a later statement binds: a cold start would stumble there.

In a process that serves all names are bound; so a function that is called at the start, and a module in an
import circle, find there what they would not find at a cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..source import Piece, Source
from . import effects, names

if TYPE_CHECKING:
    from .draft import Draft


@dataclass(frozen=True)
class _Side:
    """The app before the release, or after it."""

    judge: effects.Judge
    uids: Mapping[str, list[int]]
    tree: Mapping[str, Source]


def check(draft: Draft) -> None:
    """Refuse statements that would read, through what they call, what is bound further down."""
    books, moved = draft.program.books, {module for module, _ in draft.out.moved}
    running = {module for module, _ in (*draft.acted, *draft.put_members)}
    for name in sorted((moved | running) & draft.out.target.keys() & draft.program.tree.keys()):
        if draft.program.loaded(name) is None:
            continue
        after = _Side(draft.judge(name), {**books.uids, **draft.out.uids}, draft.out.target)
        before = _Side(draft.judge_before(name), books.uids, draft.program.tree)
        for piece in draft.parsed(name).pieces if name in moved else draft.running(name):
            uid = draft.uids(name)[piece.index]
            for unit, bound in sorted(_early(draft, after, (name, uid), piece)):
                if (unit, bound) not in _before(draft, before, (name, uid)):
                    what = f"it reads {bound} of {unit}, which is bound only later"
                    draft.refuse("name-order", draft.where(name, piece), what, "define it above this line")


def _before(draft: Draft, side: _Side, where: tuple[str, int]) -> set[tuple[str, str]]:
    """Return what a statement read too early before: it did no harm."""
    module, uid = where
    if uid not in side.uids.get(module, ()):
        return set()
    return _early(draft, side, where, side.tree[module].parsed.pieces[side.uids[module].index(uid)])


def _early(draft: Draft, side: _Side, where: tuple[str, int], piece: Piece) -> set[tuple[str, str]]:
    """Return the names that a statement reads, and that are bound only below it, or below who imported it."""
    chain = (*draft.program.books.chains.get(where[0], ()), (*where, 0))
    places = {unit: side.uids[unit].index(uid) for unit, uid, _ in chain if uid in side.uids.get(unit, ())}
    found = set()
    for module, bound in side.judge.read(piece.node).names:
        unit = draft.program.unit_name(module)
        if unit in places and unit in side.tree:
            rows = names.of_source(side.tree[unit])
            first = next((index for index, row in enumerate(rows) if bound in row.binds), -1)
            found |= {(unit, bound)} if first > places[unit] else set()
    return found
