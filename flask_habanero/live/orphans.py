"""Modules that end: deleted ones, and those that no import of the app leads to any more.

A cold start would not have them. Nor would it have what only functions import from then on, if it
does not come to those lines. Such a module may stay as long as it did nothing but bind names of its
own: a request that comes to the import finds what it would have found. Else it is a reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..piece import Piece
from ..source import Source
from . import names, reach, reading, statements, steps
from .parts import first_line

if TYPE_CHECKING:
    from .draft import Draft
    from .reach import Tree


def find(draft: Draft) -> list[str]:
    """Return the loaded modules that no import of the app's own leads to any more."""
    program, tree, target = draft.program, draft.program.tree, draft.out.target
    loaded = {name: source for name, source in tree.items() if name in draft.loaded}
    if not reach.let_go(loaded, target):
        return []
    # only what an import of the app's own brought in: the server's are no business of the text
    brought = {n for n in loaded if any(p[0] in tree for p in program.books.chains.get(n, ())[-1:])}
    roots = loaded.keys() - brought
    held = reach.reached(target, roots)
    _doubtful(draft, loaded, roots, held & brought)
    return sorted((brought & target.keys()) - held)


def end(draft: Draft, orphans: list[str]) -> None:
    """Let deleted modules go, and those that nothing imports any more."""
    for name in draft.out.deletions:
        draft.say(name, "-module")
    program, tree = draft.program, draft.program.tree
    for name in (*draft.out.deletions, *orphans):
        module = program.loaded(name)
        if name in tree and module is not None and module.__name__ == name:
            draft.out.dropped.append(name)
            _drop(draft, name)


def _drop(draft: Draft, name: str) -> None:
    """All of a module's statements end, and the module."""
    for piece, uid in zip(draft.program.tree[name].parsed.pieces, draft.program.uids(name), strict=True):
        statements.removed(draft, name, piece, uid, quiet=True)
    draft.first(name, steps.DropModule(name))


def _doubtful(draft: Draft, loaded: Tree, roots: set[str], held: set[str]) -> None:
    """Refuse if a module was surely loaded by a start, and is no more, and did more than bind its names."""
    before = reach.reached(loaded, roots, lambda source: _surely_named(draft, source, after=False))
    after = reach.reached(draft.out.target, roots, lambda source: _surely_named(draft, source, after=True))
    for name in sorted((before - after) & held):
        if _acted(draft, loaded[name]) or _is_asked_of_its_package(draft, name):
            what = f"only functions import {name} from then on, and whether a start comes there can't be told"
            draft.refuse("removed-effect", name, what, f"import {name} at the top of a module, or restart")


def arms(draft: Draft) -> None:
    """Refuse if a statement runs again that may not come to an import this time, and its module acted."""
    program, target = draft.program, draft.out.target
    running = {name for name, _ in draft.acted} & target.keys()
    again = {name: lines for name in sorted(running) if (lines := _lines_in_arms(draft, name))}
    if not again:
        return
    loaded = {name: source for name, source in program.tree.items() if name in draft.loaded}
    brought = {n for n in loaded if any(p[0] in loaded for p in program.books.chains.get(n, ())[-1:])}

    def surely(source: Source) -> frozenset[str]:
        every = [item for row in names.of_source(source) for item in row.imports]
        lines = again.get(source.name, set())
        hanging = reach.named(item for item in every if item.line in lines)
        return _surely_named(draft, source, after=True) - (
            hanging - reach.named(item for item in every if item.line not in lines)
        )

    roots = loaded.keys() - brought
    before = reach.reached(loaded, roots, lambda source: _surely_named(draft, source, after=False))
    for name in sorted((before - reach.reached(target, roots, surely)) & brought & target.keys()):
        if _acted(draft, loaded[name]):
            what = f"a statement that imports {name} runs again, and may not come to it this time"
            draft.refuse("removed-effect", name, what)


def _lines_in_arms(draft: Draft, name: str) -> set[int]:
    """Return the lines of the imports in arms of a module's statements that run."""
    if name not in draft.loaded or name not in draft.program.tree:
        return set()
    rows = zip(names.of_source(draft.out.target[name]), draft.uids(name), strict=True)
    return {
        item.line for row, uid in rows if (name, uid) in draft.acted for item in row.imports if item.in_arm
    }


def _acted(draft: Draft, source: Source) -> bool:
    """Whether a module did more than bind names."""
    judge = draft.judge_before(source.name)
    return any(judge.effects(piece.node) for piece in source.parsed.pieces)


def _is_asked_of_its_package(draft: Draft, name: str) -> bool:
    """Whether something reads a module as an attribute of its package, which importing it has set."""
    package, _, own = name.rpartition(".")
    if not package:
        return False
    for source in (draft.out.target[unit] for unit in draft.loaded if unit in draft.out.target):
        rows = names.of_source(source)
        if own in reading.asked_inside(source) or any(own in row.attributes for row in rows):
            return True
    return False


def _surely_named(draft: Draft, source: Source, *, after: bool) -> frozenset[str]:
    """Return what the imports of a module name that a start comes to."""
    rows = names.of_source(source)
    sure = {line for piece in source.parsed.pieces for line in _sure_lines(draft, source, piece, after=after)}
    inner = [item for row in rows for item in row.inner_imports if item.line in sure]
    return reach.named([item for row in rows for item in row.imports] + inner)


def _sure_lines(draft: Draft, source: Source, piece: Piece, *, after: bool) -> Iterator[int]:
    """Yield the lines of the imports in a statement's functions that a start comes to.

    Of a function that stays as it is, those that ran; of a factory that changes, its own statements.
    """
    books, old = draft.program.books, draft.program.tree.get(source.name)
    was = next((one for one in old.parsed.pieces if one.digest == piece.digest), None) if old else None
    for qualname, node in names.functions_in(piece.node):
        first = first_line(node)
        key = source.name, qualname, first - piece.line + was.line if was else first
        ran = books.lines.get(key) if was else None
        if ran is not None:
            yield from (line + first - 1 for line in ran)
        elif any(one[:2] == key[:2] for one in books.runs):
            yield from (one.lineno for one in node.body if isinstance(one, ast.Import | ast.ImportFrom))
        elif key in books.ran and not after:
            yield from (line for line in range(first, (node.end_lineno or first) + 1))
