"""Statements that change places: whether what they do, and read, comes out the same in the other order.

What only binds names, or registers by Flask's methods, is followed elsewhere. Here it is about objects that
were there before: two statements that put something into one registry leave it in another order, and of two
that set the same key, another one has the last word.
"""

from __future__ import annotations

import ast
import itertools
from typing import TYPE_CHECKING

from ..piece import Piece
from .effects import WRITTEN_DOWN
from .judge.findings import Effect, Findings
from .judge.values import Live

if TYPE_CHECKING:
    from .draft import Draft


def check(draft: Draft) -> None:
    """Refuse where statements that stay stand in another order, and it makes a difference."""
    for name in draft.units:
        if name in draft.program.tree and draft.program.loaded(name) is not None:
            _module(draft, name)


def _module(draft: Draft, name: str) -> None:
    after = draft.uids(name)
    stay = set(after)
    before = (uid for uid in draft.program.uids(name) if uid in stay)
    place = {uid: index for index, uid in enumerate(before)}
    staying = [
        (place[uid], piece)
        for uid, piece in zip(after, draft.parsed(name).pieces, strict=True)
        if uid in place and (name, uid) not in draft.acted
    ]
    ranks = [rank for rank, _ in staying]
    highest = list(itertools.accumulate(ranks, max))  # up to each
    lowest = list(itertools.accumulate(reversed(ranks), min))[::-1]  # from each on
    done = [
        (rank, piece, _all_of(draft, name, piece, after[piece.index]))
        for index, (rank, piece) in enumerate(staying)
        if highest[index] > rank or lowest[index] < rank
    ]
    for (rank, first, one), (other_rank, second, other) in itertools.combinations(done, 2):
        pairs = itertools.product(one, other) if rank > other_rank else ()
        why = next((why for a, b in pairs if (why := conflict(a, b)) is not None), None)
        why = why or (_reads_names(draft, name, (first, one), (second, other)) if rank > other_rank else None)
        if why is not None:
            text = f"it changed places with line {first.line}, and {why}"
            draft.refuse("moved", draft.where(name, _later(first, second)), text)


def _all_of(draft: Draft, name: str, piece: Piece, uid: int) -> list[Findings]:
    """Return what a statement does, and what the modules do that it was the first to import."""
    found = [draft.judge(name).read(piece.node)]
    chains = draft.program.books.chains if isinstance(piece.node, ast.Import | ast.ImportFrom) else {}
    for module, chain in chains.items():
        if module in draft.out.target and any(place[:2] == (name, uid) for place in chain):
            found += [draft.judge(module).read(one.node) for one in draft.parsed(module).pieces]
    return found


def _reads_names(
    draft: Draft, name: str, one: tuple[Piece, list[Findings]], other: tuple[Piece, list[Findings]]
) -> str | None:
    """Return which name of a module may not be there yet for another one that it imports, in words."""
    for (_, findings), (piece, _) in ((one, other), (other, one)):
        bound = draft.binds(name, piece)
        read = {key for found in findings[1:] for module, key in found.names if module == name}
        if bound & read:
            return f"what the other one imports reads {min(bound & read)}"
    return None


def _later(first: Piece, second: Piece) -> Piece:
    return second if second.line > first.line else first


def conflict(one: Findings, other: Findings) -> str | None:
    """Return why the order of two statements matters, or None if it doesn't."""
    effects, others = _lasting(one), _lasting(other)
    if effects and others and any(not _is_told(effect) for effect in (*effects, *others)):
        return next(effect.why for effect in (*effects, *others) if not _is_told(effect))
    return _meets(effects, others, other) or _meets(others, effects, one)


def _lasting(findings: Findings) -> list[Effect]:
    kept = WRITTEN_DOWN - {"config"}
    return [effect for effect in findings.effects if effect.kind not in kept and effect.kind != "import"]


def _is_told(effect: Effect) -> bool:
    return effect.kind in ("attribute", "item", "config") and effect.target is not None


def _meets(effects: list[Effect], others: list[Effect], reader: Findings) -> str | None:
    """Return why what one statement changes matters to another, which has effects of its own, and reads."""
    for effect in effects:
        if _is_told(effect) and _reads(reader, effect):
            return f"{effect.why or 'the configuration is written'}, which the other one reads"
        if any(one.target is effect.target and _meet(effect, one) for one in others):
            return effect.why or "both write the same key of the configuration"
    return None


def _reads(reader: Findings, effect: Effect) -> bool:
    if effect.kind == "attribute":
        return bool(reader.uses_of(effect.target) & {effect.name, ""})
    key = key_of(effect)
    return id(effect.target) in reader.whole or (
        id(effect.target) in reader.keys and (key is None or reader.asks_for(effect.target, key.object))
    )


def _meet(one: Effect, other: Effect) -> bool:
    """Whether two effects on the same object come out differently in another order."""
    if "attribute" in (one.kind, other.kind):
        return one.kind == other.kind and other.name in ("", one.name)
    if one.kind == "config":
        return key_of(one) is None or key_of(other) is None or _same(key_of(one), key_of(other))
    return True  # a dict, too, has an order


def _same(one: Live | None, other: Live | None) -> bool:
    return one is not None and other is not None and bool(one.object == other.object)


def key_of(effect: Effect) -> Live | None:
    """Return the one key that an effect on a container writes, if it is known."""
    key = effect.key
    if not isinstance(key, Live):
        return None
    return key if type(key.object) in (str, bytes, int) or type(key.object) is type else None
