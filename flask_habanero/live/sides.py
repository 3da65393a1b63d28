"""A function's definition before and after: as it is loaded, and as it will be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..piece import Piece
from . import bodies, names
from .parts import first_line

if TYPE_CHECKING:
    from .draft import Draft
    from .startup import Function


def sides(draft: Draft, key: Function) -> tuple[bodies.Function, bodies.Function] | None:
    """Return both definitions of a top-level function or a method; None if one of them is not there."""
    module, qualname, first = key
    if module not in draft.program.tree or module not in draft.out.target:
        return None
    moved = (new for was, new in _renames(draft, module) if was == key)
    place = draft.out.renamed.get(key) or next(moved, key)
    old = _definition(draft.program.tree[module].parsed.pieces, qualname, first)
    new = _definition(draft.parsed(module).pieces, qualname, place[2])
    return None if old is None or new is None else (old, new)


def _renames(draft: Draft, module: str) -> Iterator[tuple[Function, Function]]:
    for old, new in draft.code_pairs[module]:
        if new is not None:
            yield (module, old.co_qualname, old.co_firstlineno), (module, new.co_qualname, new.co_firstlineno)


def _definition(pieces: Iterable[Piece], qualname: str, first: int) -> bodies.Function | None:
    for piece in pieces:
        for found, node in names.functions_in(piece.node):
            if found == qualname and first_line(node) == first:
                return node
    return None
