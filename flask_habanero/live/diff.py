"""Which statement of the old source became which of the new one."""

from __future__ import annotations

import ast
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from ..piece import Parsed, Piece, digest_node
from ..source import Source, once_for_each_source
from . import names
from .skeleton import same_skeleton


class Kind(Enum):
    """What happened to a statement."""

    SAME = "same"  # the same text in the same order
    MOVED = "moved"  # the same text, elsewhere among its neighbours
    BODY = "body"  # only bodies of functions in it differ
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True)
class Pair:
    """One statement, before and after; one side is None when it was added or removed."""

    kind: Kind
    old: Piece | None
    new: Piece | None


def compare(old: Parsed, new: Parsed) -> list[Pair]:
    """Pair the statements of two sources: equal ones in order, then moved ones, then by what they define."""
    known = new.__dict__.get(_COMPARED)  # each push asks it of all modules that it did not touch, too
    if known is None or known[0]() is not old:
        known = new.__dict__[_COMPARED] = weakref.ref(old), _compare(old.pieces, new.pieces)
    return list(known[1])


_COMPARED = "_compared"  # in a parsed source: the one before, which that must not keep, and the pairs


def compare_bodies(old: list[ast.stmt], new: list[ast.stmt]) -> list[Pair]:
    """Pair the statements of two class bodies in the same way."""
    sides = [tuple(Piece(i, node, digest_node(node)) for i, node in enumerate(body)) for body in (old, new)]
    return _compare(sides[0], sides[1])


def _compare(old: tuple[Piece, ...], new: tuple[Piece, ...]) -> list[Pair]:
    before, after = [p.digest for p in old], [p.digest for p in new]
    result: list[Pair] = []
    left: list[Piece] = []
    right: list[Piece] = []
    at, bt = 0, 0
    for a, b, size in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        left.extend(old[at:a])
        right.extend(new[bt:b])
        result.extend(Pair(Kind.SAME, old[a + i], new[b + i]) for i in range(size))
        at, bt = a + size, b + size
    result.extend(_pair_up(left, right, Kind.MOVED, lambda piece: piece.digest))
    result.extend(_pair_up(left, right, Kind.CHANGED, definition))
    result.extend(Pair(Kind.REMOVED, piece, None) for piece in left)
    result.extend(Pair(Kind.ADDED, None, piece) for piece in right)
    return result


def _pair_up(left: list[Piece], right: list[Piece], kind: Kind, key: Callable[[Piece], object]) -> list[Pair]:
    """Take from both lists those with equal keys, in order."""
    waiting: dict[object, list[Piece]] = {}
    for piece in right:
        waiting.setdefault(key(piece), []).append(piece)
    found = []
    for piece in list(left):
        mine = key(piece)
        if mine is not None and waiting.get(mine):
            partner = waiting[mine].pop(0)
            left.remove(piece)
            right.remove(partner)
            body = kind is Kind.CHANGED and same_skeleton(piece.node, partner.node)
            found.append(Pair(Kind.BODY if body else kind, piece, partner))
    return found


def displaced(pairs: list[Pair]) -> list[Pair]:
    """Return the changed statements that stand elsewhere among those that did not move."""
    staying = [pair for pair in pairs if pair.kind is Kind.SAME]
    found: list[Pair] = []
    for pair in pairs:
        if pair.kind in (Kind.BODY, Kind.CHANGED):
            (found if any(crosses(pair, other) for other in staying) else staying).append(pair)
    return found


def crosses(pair: Pair, other: Pair) -> bool:
    """Whether two statements change places."""
    if pair.old is None or pair.new is None or other.old is None or other.new is None:
        return False
    return (pair.old.index < other.old.index) != (pair.new.index < other.new.index)


def definition(piece: Piece) -> tuple[str, ...] | None:
    """Return what a statement defines or fills, if that names it: a function, a variable, a configuration."""
    node = piece.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ("def", node.name)
    if isinstance(node, ast.ClassDef):
        return ("class", node.name)
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        goals = node.targets if isinstance(node, ast.Assign) else [node.target]
        return ("assign", *(ast.unparse(goal) for goal in goals))
    if isinstance(node, ast.ImportFrom):
        return ("from", "." * node.level + (node.module or ""))
    if piece.index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return ("docstring",)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = ast.unparse(node.value.func)
        return ("call", called) if called.endswith((".config.update", ".config.from_mapping")) else None
    if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
        return (type(node).__name__, *(ast.dump(n) for n in [getattr(node, "test", None)] if n))
    return None


def bound_twice(parsed: Parsed) -> frozenset[str]:
    """Return the names that more than one statement of a source binds."""
    return _bound_twice(parsed.source)


@once_for_each_source
def _bound_twice(source: Source) -> frozenset[str]:
    counts = Counter(name for one in names.of_source(source) for name in one.binds)
    return frozenset(name for name, count in counts.items() if count > 1)


def title(piece: Piece) -> str:
    """Return what people call a statement."""
    node = piece.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ",".join(name for target in node.targets for name in names.targets(target)) or ast.unparse(
            node.targets[0]
        )
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return ast.unparse(node.target)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import " + ",".join(alias.asname or alias.name for alias in node.names)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return "docstring"
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 40 else text[:39] + "…"
