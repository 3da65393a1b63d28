"""What runs at the start reads what only a later statement binds: a cold start would stumble there.

In a process that serves all names are bound; so a function that is called at the start, and a module in an
import circle, find there what they would not find at a cold start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..source import Source
from . import names, stars

if TYPE_CHECKING:
    from .books import Place
    from .draft import Draft


@dataclass(frozen=True)
class Side:
    """The app before the release, or after it."""

    draft: Draft
    uids: Mapping[str, list[int]]
    tree: Mapping[str, Source]

    def early(self, read: Iterable[tuple[str, str]], chain: tuple[Place, ...]) -> set[tuple[str, str]]:
        """Return the names, of those that are read, that are bound only below what a chain leads through."""
        places = {
            unit: self.uids[unit].index(uid)
            for unit, uid, within in chain
            if not within and uid in self.uids.get(unit, ())
        }
        found = set()
        for module, bound in read:
            unit = self.draft.program.unit_name(module)
            if unit in places and unit in self.tree:
                rows = enumerate(names.of_source(self.tree[unit]))
                first = next((index for index, row in rows if self._binds(row, bound)), -1)
                found |= {(unit, bound)} if first > places[unit] else set()
        return found

    def _binds(self, row: names.Names, bound: str) -> bool:
        return bound in row.binds or (row.star and bound in (stars.brought(row, self.tree) or ()))


def sides(draft: Draft) -> tuple[Side, Side]:
    """Return the app before the release, and after it."""
    books = draft.program.books
    after = Side(draft, {**books.uids, **draft.out.uids}, draft.out.target)
    return Side(draft, books.uids, draft.program.tree), after


def check(draft: Draft) -> None:
    """Refuse statements that would read, through what they call, what is bound further down."""
    before, after = sides(draft)
    moved = {module for module, _ in draft.out.moved}
    running = {module for module, _ in (*draft.acted, *draft.put_members)}
    there = sorted((moved | running) & draft.out.target.keys() & draft.program.tree.keys())
    there = [name for name in there if draft.program.loaded(name) is not None]
    for name in [*there, *draft.first_loaded]:
        whole = name in moved or name in draft.first_loaded
        for piece in draft.parsed(name).pieces if whole else draft.running(name):
            chain = draft.chain(name, piece)
            early = after.early(draft.judge(name).read(piece.node).names, chain)
            for unit, bound in sorted(early - _before(before, name, chain)):
                draft.refuse("name-order", draft.where(name, piece), said(unit, bound), HINT)


HINT = "define it above this line"


def said(unit: str, bound: str) -> str:
    """Return what is wrong with a name that is read."""
    return f"it reads {bound} of {unit}, which is bound only later"


def _before(side: Side, name: str, chain: tuple[Place, ...]) -> set[tuple[str, str]]:
    """Return what a statement read too early before: it did no harm."""
    uid = chain[-1][1] if chain and chain[-1][0] == name else 0
    if uid not in side.uids.get(name, ()):
        return set()
    piece = side.tree[name].parsed.pieces[side.uids[name].index(uid)]
    return side.early(side.draft.judge_before(name).read(piece.node).names, chain)
