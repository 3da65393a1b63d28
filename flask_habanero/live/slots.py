"""Entries that statements make in objects that were there before: attributes, items of dicts, lists and sets.

``login_manager.login_view = "login"``, ``STEPS.append(step)``, a decorator that puts its function into a
registry. A release takes the old entry out, lets the statement run, and puts a list into the order of a
cold start. That needs to know which entry is a statement's own: it is named by a constant, or it is an
object that the statement made. Where neither is so, nobody can say, and the change is cold.
"""

from __future__ import annotations

import ast
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ..source import Piece
from . import codes, names, steps
from .judge.findings import Effect
from .judge.values import Class, Function, Live, Made, Value

if TYPE_CHECKING:
    from .draft import Draft

CONTAINERS = (dict, list, set, defaultdict, OrderedDict, deque)
_ADDERS = {"append", "add", "__setitem__", "setdefault", "insert", "update"}
_TELLING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Slot:
    """An entry: in what, and under which key or attribute; of a list or set, which object."""

    target: Any
    kind: str  # "attribute", "key", "element"
    key: Any


def why_not(effect: Effect) -> str | None:
    """Return why an effect on an object can't be an entry; None if it can."""
    target, args = effect.target, effect.args
    if effect.kind == "attribute":
        kinds = () if isinstance(target, type) else type(target).__mro__
        plain = not any(isinstance(vars(one).get("__setattr__"), FunctionType) for one in kinds)
        raw = next((vars(c)[effect.name] for c in type(target).__mro__ if effect.name in vars(c)), None)
        told = (
            effect.name and plain and not isinstance(target, ModuleType) and not hasattr(type(raw), "__set__")
        )
        return None if told and args is not None and _is_own(args.positional) else effect.why
    if effect.kind != "item" or type(target) not in CONTAINERS or effect.name not in _ADDERS or args is None:
        return effect.why
    values = args.positional[1:] if effect.name in ("__setitem__", "setdefault") else args.positional
    return None if _is_own([*values, *args.named.values()]) and not args.more else effect.why


def _is_own(values: Iterable[Value]) -> bool:
    """Whether values don't depend on what was there: constants, and what the statement makes or names."""
    return all(
        isinstance(one, Live | Function | Class) or (isinstance(one, Made) and (one.cls is not None))
        for one in values
    )


def of(draft: Draft, name: str, piece: Piece, effects: Iterable[Effect]) -> list[Slot] | str:
    """Return the entries that a statement has made when it ran, or why they can't be told."""
    found: dict[tuple[int, str, int], Slot] = {}
    for effect in effects:
        if effect.kind not in ("attribute", "item"):
            continue
        slots = list(_of_effect(draft, name, piece, effect))
        if not slots:
            return f"{effect.why}, and which entry is its own can't be told"
        found.update(((id(slot.target), slot.kind, id(slot.key)), slot) for slot in slots)
    return list(found.values())


def _of_effect(draft: Draft, name: str, piece: Piece, effect: Effect) -> Iterator[Slot]:
    target, args = effect.target, effect.args
    assert args is not None
    if effect.kind == "attribute":
        if effect.name in getattr(target, "__dict__", {}):
            yield Slot(target, "attribute", effect.name)
        return
    first = (
        args.get(0, "") if isinstance(target, dict) and effect.name in ("__setitem__", "setdefault") else None
    )
    constant = isinstance(first, Live) and first.object in target
    given = [one.object for one in args.every() if isinstance(one, Live)]
    mine = _Own(draft, name, piece, given if not constant else [])
    if isinstance(target, dict):
        for key, value in target.items():
            is_it = constant and isinstance(first, Live) and key == first.object
            if is_it or mine.has(value) or (type(value) is list and value and all(map(mine.has, value))):
                yield Slot(target, "key", key)
        return
    for value in target:
        if mine.has(value):
            yield Slot(target, "element", value)


class _Own:
    """Which objects belong to a statement: what it bound, functions that it defined, what it named."""

    def __init__(self, draft: Draft, name: str, piece: Piece, named: list[Any]) -> None:
        live = draft.program.loaded(name)
        space = vars(live) if live is not None else {}
        row = names.of_source(draft.program.tree[name])[piece.index]
        bound = [space[one] for one in row.binds if one in space]
        self._ids = {id(one) for one in (*bound, *(named if not bound else ())) if not _is_common(one)}
        self._codes: set[CodeType] = (
            set(codes.walk(draft.program.codes(name)[piece.index])) if live else set()
        )
        self._space = space

    def has(self, value: Any) -> bool:
        """Whether an object belongs to the statement."""
        if id(value) in self._ids:
            return True
        callback = getattr(value, "callback", None) if type(value).__module__.startswith("click") else None
        function = callback if isinstance(callback, FunctionType) else value
        if not isinstance(function, FunctionType):
            return False
        innermost = unwrapped(function)
        return innermost.__globals__ is self._space and innermost.__code__ in self._codes


def unwrapped(function: FunctionType) -> FunctionType:
    """Return the function that some decorators wrapped."""
    inner = vars(function).get("__wrapped__")
    return unwrapped(inner) if isinstance(inner, FunctionType) and inner is not function else function


def _is_common(value: Any) -> bool:
    return value is None or type(value) in (str, int, float, bool, bytes, tuple)


# the plan


def touched(draft: Draft, effects: Iterable[Effect]) -> None:
    """Note in what a factory's statement makes entries: a failed release leaves that as it was."""
    for effect in effects:
        if effect.kind in ("attribute", "item"):
            draft.touched.setdefault(id(effect.target), effect.target)
            if effect.kind == "attribute" and effect.name not in getattr(effect.target, "__dict__", {}):
                draft.out.absent[id(effect.target), effect.name] = effect.target


def added(draft: Draft, name: str, piece: Piece, effects: Iterable[Effect]) -> None:
    """Let a statement that runs make its entries."""
    for effect in effects:
        if effect.kind == "memo":
            draft.out.clear.append(steps.ClearCache(effect.target.clear))
        if effect.kind not in ("attribute", "item"):
            continue
        other = _last_word(draft, name, piece, effect)
        if other:
            draft.refuse("order", draft.where(name, piece), f"{effect.why}, and so does {other}")
        draft.touched.setdefault(id(effect.target), effect.target)
        if effect.kind == "attribute" and effect.name not in getattr(effect.target, "__dict__", {}):
            draft.out.absent[id(effect.target), effect.name] = effect.target
        if type(effect.target) in (list, deque) and not isinstance(piece.node, _TELLING) and effect.target:
            what = f"{effect.why}, and where in its order can't be told"
            draft.refuse("order", draft.where(name, piece), what)


def _last_word(draft: Draft, name: str, piece: Piece, effect: Effect) -> str:
    """Return a later statement that sets the same attribute, as far as names tell; None if none does."""
    if effect.kind != "attribute":
        return ""
    for module, source in draft.out.target.items():
        if effect.name not in source.text or draft.program.loaded(module) is None:
            continue
        for other, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if effect.name in row.attributes and draft.rank(module, other) > draft.rank(name, piece):
                stores = (
                    n for n in ast.walk(other.node) if isinstance(n, ast.Attribute) and n.attr == effect.name
                )
                if any(isinstance(one.ctx, ast.Store) for one in stores):
                    return draft.where(module, other)
    return ""


def removed(
    draft: Draft, name: str, piece: Piece, effects: Iterable[Effect], kept: frozenset[tuple[int, Any]]
) -> str | None:
    """Let the entries of a statement go. Returns why that is not possible, or None.

    Args:
        draft: the plan in the making.
        name: the module.
        piece: the statement, as it is loaded.
        effects: what it does.
        kept: what the statement's new text sets, too; see `keys_of`.
    """
    effects = list(effects)
    found = of(draft, name, piece, effects)
    if isinstance(found, str):
        return found
    draft.out.clear += [steps.ClearCache(effect.target.clear) for effect in effects if effect.kind == "memo"]
    for slot in found:
        draft.touched.setdefault(id(slot.target), slot.target)
        draft.purged[id(slot.target)].append(slot.key)
        if slot.kind != "element" and (id(slot.target), slot.key) in kept:
            continue
        was_absent = (id(slot.target), slot.key) in draft.program.books.absent
        if slot.kind == "attribute" and not (was_absent or isinstance(slot.target, FunctionType | type)):
            return f"what `.{slot.key}` was before can't be told"
        draft.first(draft.where(name, piece), steps.TakeOut(slot.target, slot.kind, slot.key))
    return None


def retire(draft: Draft, table: Mapping[Any, Any]) -> None:
    """Let what a table had in it go from where statements that run have entries: it is made again, too."""
    draft.retired += [value for value in table.values() if not _is_common(value)]


def _retired(draft: Draft, target: Any) -> Iterator[Slot]:
    """Yield the entries of what was in a table that is made anew."""
    ids = set(map(id, draft.retired))
    if isinstance(target, dict):
        for key, value in target.items():
            if id(value) in ids or (type(value) is list and value and all(id(one) in ids for one in value)):
                yield Slot(target, "key", key)
    elif type(target) in CONTAINERS:
        yield from (Slot(target, "element", value) for value in target if id(value) in ids)


def keys_of(effects: Iterable[Effect]) -> frozenset[tuple[int, Any]]:
    """Return (id of the target, attribute or constant key) of what some effects set."""
    found: set[tuple[int, Any]] = set()
    for effect in effects:
        args = effect.args
        key = args.get(0, "") if args is not None and effect.name in ("__setitem__", "setdefault") else None
        if effect.kind == "attribute":
            found.add((id(effect.target), effect.name))
        elif effect.kind == "item" and isinstance(key, Live):
            found.add((id(effect.target), key.object))
    return frozenset(found)


def arrange(draft: Draft) -> None:
    """Let what holds entries be as it was if the release fails, else in the order of a cold start."""
    for target in draft.touched.values():
        draft.remember(target)
        for slot in _retired(draft, target):
            draft.purged[id(target)].append(slot.key)
            draft.first("", steps.TakeOut(target, slot.kind, slot.key))
        if type(target) in (list, dict, defaultdict, OrderedDict):
            gone = draft.purged.get(id(target), [])
            kept = (
                list(target.values()) if isinstance(target, dict) else [v for v in target if _stays(v, gone)]
            )
            ranks = {id(value): _rank(draft, value) for value in kept}
            if type(target) is list and None in ranks.values():
                what = f"where a new element belongs in a list of {len(kept)} can't be told"
                draft.refuse("order", "", what)
            draft.last("", steps.Arrange(target, lambda value: _rank(draft, value)))


def _stays(value: Any, gone: list[Any]) -> bool:
    return all(value is not one for one in gone)


def _rank(draft: Draft, value: Any) -> int | None:
    """Return when a cold start comes to the statement that made an object; None if that can't be told."""
    callback = getattr(value, "callback", None) if type(value).__module__.startswith("click") else None
    one = callback if isinstance(callback, FunctionType) else value
    one = one[0] if type(one) is list and len(one) == 1 else one
    one = unwrapped(one) if isinstance(one, FunctionType) else one
    if isinstance(one, FunctionType | type):
        return draft.rank_of(one.__module__ or "", one.__qualname__.partition(".")[0])
    return None
