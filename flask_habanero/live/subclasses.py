"""Who asks a class for those that derive from it: they are others when one comes or goes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..piece import Piece
from ..source import Source
from . import names

if TYPE_CHECKING:
    from .draft import Draft
    from .flow import Flow

_ASKED = "__subclasses__"


def follow(flow: Flow) -> None:
    """Let all be stale that asked at the start, if classes come or go; refuse what comes in another order."""
    draft = flow.draft
    come, gone = list(_classes(draft, new=True)), list(_classes(draft, new=False))
    if not (come or gone):
        return
    asking = [name for name in flow.loaded if _ASKED in draft.out.target[name].text]
    if not asking:
        return
    for name, piece in gone:
        what = f"class {_name(piece)} goes, and is among the `{_ASKED}()` of its bases until it is collected"
        draft.refuse("removed-class", draft.where(name, piece), what)
    for name, piece in come:
        _in_its_place(draft, name, piece)
    for name in asking:
        source = draft.out.target[name]
        for index, row in enumerate(names.of_source(source)):
            if _ASKED in row.attributes:
                flow.stale_at(name, index, _ASKED)
            for key, owners in flow.ran_in(name):
                body = row.bodies.get(key[1].partition(".<locals>")[0])
                if body is not None and _ASKED in body.attributes:
                    flow.used(key, owners, set(), {_ASKED})


def _classes(draft: Draft, *, new: bool) -> Iterator[tuple[str, Piece]]:
    """Yield the classes at module level that loaded modules get, or lose: those with bases."""
    before, after = draft.program.tree, draft.out.target
    for name in (*draft.units, *draft.out.deletions):
        sides = (_defined(before.get(name)), _defined(after.get(name)))
        there, other = reversed(sides) if new else sides
        if draft.program.loaded(name) is not None:
            yield from ((name, piece) for bound, piece in there.items() if bound not in other)


def _defined(source: Source | None) -> dict[str, Piece]:
    pieces = source.parsed.pieces if source is not None else ()
    return {_name(one): one for one in pieces if isinstance(one.node, ast.ClassDef) and one.node.bases}


def _name(piece: Piece) -> str:
    return str(getattr(piece.node, "name", ""))


def _in_its_place(draft: Draft, name: str, piece: Piece) -> None:
    """Refuse a class that a cold start defines before another one of the same base: it would be behind it."""
    assert isinstance(piece.node, ast.ClassDef)
    for base in map(draft.judge(name).callee, piece.node.bases):
        derived: list[type] = base.__subclasses__() if type(base) is type and base is not object else []
        for other in derived:
            place = draft.rank_of(other.__module__, other.__name__)
            if place is not None and place > draft.rank(name, piece):
                what = f"`{_ASKED}()` is in use, and {other.__name__} is there already, though it comes later"
                draft.refuse("order", draft.where(name, piece), what)
