"""Imports inside factories: whether modules would be executed at another time than they were.

Running an import again executes nothing, since the module is loaded; a cold start executes it where its first
import stands. That makes no difference for a module that was executed before the factory ran, or that does
nothing, and looks at nothing, that others change.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from ..piece import Piece
from . import names
from .diff import Kind, Pair, crosses
from .judge.findings import Findings

if TYPE_CHECKING:
    from .factory import Factory
    from .replays import Looked


def why_not(one: Factory, looked: Looked) -> str | None:
    """Return which module would be executed at another time, and why that matters; None if none would."""
    for pair in one.pairs:
        for module in sorted(_at_another_time(one, pair)):
            if not _is_harmless(one, pair, module, looked):
                return f"{module} would be executed at another time"
        for module in sorted(_in_arms(one, pair)):
            if not _is_harmless(one, pair, module, looked, _OWN):
                return f"{module} may not be imported this time"
    return None


def matters(one: Factory, pair: Pair, looked: Looked) -> bool:
    """Whether it makes a difference where an import stands, among those that a statement is, or passes by."""
    passed = [pair, *(other for other in one.pairs if crosses(pair, other))]
    return any(
        not _is_harmless(one, each, module, looked)
        for each in passed
        for module in _at_another_time(one, each)
    )


def _at_another_time(one: Factory, pair: Pair) -> set[str]:
    old, new = _modules(one, pair.old), _modules(one, pair.new)
    moved = pair.kind is Kind.MOVED or any(crosses(pair, other) for other in one.pairs)
    return {module for module in (old | new if moved else old ^ new) if _is_late(one, module)}


def _in_arms(one: Factory, pair: Pair) -> set[str]:
    """Return the modules that a statement which runs again has imported, and may not come to this time."""
    if pair.new is None or pair.new.index not in one.run:
        return set()
    return {module for module in _modules(one, pair.old, in_arm=True) if _is_late(one, module)}


def _modules(one: Factory, piece: Piece | None, *, in_arm: bool = False) -> set[str]:
    """Return the app's own modules that a statement imports; or those that it need not come to."""
    tree = one.draft.program.tree
    row = names.of_piece(piece, one.draft.out.target[one.module]) if piece is not None else names.Names()
    items = [item for item in row.imports if item.in_arm or not in_arm]
    found = {name for item in items for name in (item.module, f"{item.module}.{item.name}")}
    return {name for name in found if name in tree and name not in one.draft.out.dropped}


def _is_late(one: Factory, module: str) -> bool:
    """Whether a module was executed when the factory had begun, or behind it."""
    program = one.draft.program
    chain = program.books.chains.get(module)
    if chain is None or program.loaded(module) is None:
        return False
    if any(place[:2] == (one.module, one.uid) and place[2] for place in chain):
        return True
    uids = program.books.uids
    return any(program.position(chain, uids) > program.position(left.chain, uids) for left in one.runs)


_OWN = frozenset(["memo"])
_MOVING = _OWN | {"registers"}


def _is_harmless(
    one: Factory, pair: Pair, module: str, looked: Looked, allowed: Set[str] = frozenset()
) -> bool:
    """Whether executing a module, and what it imports first, comes out the same at another time."""
    draft, chains = one.draft, one.draft.program.books.chains
    stays = pair.old is not None and pair.new is not None
    allowed = allowed or (_MOVING if stays else _OWN)  # what it registers moves with the statement
    every = [module, *(name for name, chain in chains.items() if any(place[0] == module for place in chain))]
    for name in every:
        source = draft.out.target.get(name)
        for piece in source.parsed.pieces if source is not None else ():
            found: Findings = draft.judge(name).read(piece.node)
            if looked(found) or any(effect.kind not in allowed for effect in found.effects):
                return False
    return True
