"""Names that more than one statement of a module binds: the last one counts.

A statement that runs again and reads such a name must find what the one before it had bound, not what is left
at the end of the start; and a name must not end up with what an earlier statement made.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ..piece import Piece
from . import diff, names, reading, stars

if TYPE_CHECKING:
    from .draft import Draft

_HINT = "give each a name of its own, or restart"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def earlier(draft: Draft) -> list[tuple[str, int, str]]:
    """Return the statements that must run again for a later one to find what they had bound.

    Returns:
        Module, index of the statement, name.
    """
    modules = (
        {name for name, _ in (*draft.acted, *draft.put_members)}
        & draft.out.target.keys()
        & draft.program.tree.keys()
    )
    loaded = [name for name in sorted(modules) if draft.program.loaded(name) is not None]
    return [found for name in loaded for found in _earlier(draft, name)]


def _earlier(draft: Draft, name: str) -> list[tuple[str, int, str]]:
    parsed, uids = draft.parsed(name), draft.uids(name)
    rows, twice = names.of_source(parsed.source), diff.bound_twice(parsed)
    found = []
    for piece in draft.running(name) if twice else ():
        read = {bound for module, bound in draft.judge(name).read(piece.node).names if module == name} & twice
        for bound in sorted(read):
            binding = [index for index, row in enumerate(rows) if bound in row.binds]
            before = [index for index in binding if index < piece.index]
            if before and binding[-1] >= piece.index and (name, uids[before[-1]]) not in draft.acted:
                found.append((name, before[-1], bound))
    return found


def check(draft: Draft, name: str) -> None:
    """Refuse if a name would end up with what an earlier statement makes, or be read as it is in the end."""
    old, new = draft.program.tree[name].parsed, draft.parsed(name)
    if _is_written(draft, name):
        for piece, uid in zip(new.pieces, draft.uids(name), strict=True):
            if (name, uid) in draft.acted and isinstance(piece.node, ast.Assign):
                what = "names of this module are set by `globals()`, `exec` or `setattr`, too"
                draft.refuse("bound-twice", draft.where(name, piece), what, _HINT)
    for bound, index, _ in stars.overlaid(draft, name):
        what = f"{bound} comes by a star import, and is bound here"
        draft.refuse("bound-twice", draft.where(name, new.pieces[index]), what, stars.BY_NAME)
    for _, index, bound in _earlier(draft, name):
        _refuse(draft, name, new.pieces[index], bound)
    for bound in diff.bound_twice(old) | diff.bound_twice(new):
        runs = [
            (piece, (name, uid) in draft.acted or (name, uid) in draft.out.moved)
            for piece, uid in zip(new.pieces, draft.uids(name), strict=True)
            if bound in names.of_source(new.source)[piece.index].binds
        ]
        gone = any(
            bound in row.binds
            for piece, row in zip(old.pieces, names.of_source(old.source), strict=True)
            if _ends(draft, name, piece)
        )
        if runs and not runs[-1][1] and (gone or any(ran for _, ran in runs)):
            _refuse(draft, name, runs[-1][0], bound)


def _is_written(draft: Draft, name: str) -> bool:
    """Whether a module, or a function that ran at the start, may have set names that no text shows."""
    source = draft.program.tree[name]
    bodies = [reading.body_of(source, key[1]) for key in draft.program.books.ran if key[0] == name]
    ran = [(one.reads, one.attributes) for one in bodies if one is not None]
    ran += [(row.reads, row.attributes) for row in names.of_source(source)]
    return any(
        not reads.isdisjoint({"globals", "exec"}) or ("setattr" in reads and "modules" in attributes)
        for reads, attributes in ran
    )


def is_definition(piece: Piece) -> bool:
    """Whether a statement that runs again binds no name: what it defines changes in place."""
    return isinstance(piece.node, _DEFINITIONS)


def _refuse(draft: Draft, name: str, piece: Piece, bound: str) -> None:
    what = f"{bound} is bound by more than one statement"
    draft.refuse("bound-twice", draft.where(name, piece), what, _HINT)


def _ends(draft: Draft, name: str, piece: Piece) -> bool:
    uid = draft.program.uids(name)[piece.index]
    return uid not in draft.out.uids.get(name, [uid])
