"""`from … import …` that runs again because some of what it brings is another thing: it fetches only that.

The other names stay bound to what they were: where they come from, a function may have bound them anew since.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from types import CodeType
from typing import TYPE_CHECKING

from ..piece import Piece
from ..unit import compile_nodes

if TYPE_CHECKING:
    from .draft import Draft

_EVERYTHING = "*"


def note(draft: Draft, module: str, uid: int, brought: Iterable[str]) -> None:
    """Note for which of the names that a statement brings it is stale.

    Args:
        draft: the plan in the making.
        module: the statement's module.
        uid: its identity.
        brought: the names; if there are none, it is stale for another reason, and brings everything.
    """
    found = draft.fetched.get((module, uid))
    if found is None:  # what changed itself, or comes, runs as a whole
        found = draft.fetched[module, uid] = {_EVERYTHING} if (module, uid) in draft.acted else set()
    found |= set(brought) or {_EVERYTHING}


def part(piece: Piece, wanted: set[str] | None) -> Piece:
    """Return what of a statement runs: of an import, what fetches some names."""
    node = piece.node
    if not isinstance(node, ast.ImportFrom) or wanted is None or _EVERYTHING in wanted:
        return piece
    names = [one for one in node.names if (one.asname or one.name) in wanted]
    if not names or len(names) == len(node.names):
        return piece
    return replace(piece, node=ast.copy_location(ast.ImportFrom(node.module, names, node.level), node))


def code(draft: Draft, name: str, piece: Piece, whole: CodeType) -> CodeType:
    """Return the code of what of a statement runs; `whole` is that of all of it."""
    uid = draft.uids(name)[piece.index]
    found = part(piece, draft.fetched.get((name, uid)))
    if found is piece:
        return whole
    return compile_nodes([found.node], draft.parsed(name), draft.filename(name))


def bound(draft: Draft, statement: tuple[str, int], names: Iterable[str]) -> set[str]:
    """Return which of its names a statement binds when it runs."""
    wanted = draft.fetched.get(statement)
    return set(names) if wanted is None or _EVERYTHING in wanted else set(names) & wanted
