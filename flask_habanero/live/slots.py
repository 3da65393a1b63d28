"""Entries that statements make in objects that were there before: attributes, items of dicts, lists and sets.

``login_manager.login_view = "login"``, ``STEPS.append(step)``, a decorator that puts its function into a
registry. A release takes the old entry out, lets the statement run, and puts a list into the order of a
cold start. That needs to know which entry is a statement's own: it is named by a constant, or it is an
object that the statement made. Where neither is so, nobody can say, and the change is cold.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ..piece import Piece
from . import codes, names
from .judge.findings import Effect
from .judge.values import Bound, Class, Function, Live, Made, Value, alternatives

if TYPE_CHECKING:
    from .draft import Draft

CONTAINERS = (dict, list, set, defaultdict, OrderedDict, deque)
_CONSTANTS = (str, bytes, int, bool, type(None))
ADDERS = {"append", "add", "__setitem__", "setdefault", "insert", "update"}


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
    if effect.kind != "item" or type(target) not in CONTAINERS or effect.name not in ADDERS or args is None:
        return effect.why
    values = args.positional if effect.key is None else args.positional[1:]
    return None if _is_own([*values, *args.named.values()]) and not args.more else effect.why


def _is_own(values: Iterable[Value]) -> bool:
    """Whether values don't depend on what was there: constants, and what the statement makes or names."""
    return all(
        isinstance(one, Live | Function | Class)
        or (isinstance(one, Made) and (one.cls is not None))
        or (isinstance(one, Bound) and _is_own((one.function, one.this)))
        for value in values
        for one in alternatives(value)
    )


def of(draft: Draft, name: str, piece: Piece, effects: Iterable[Effect]) -> list[Slot] | str:
    """Return the entries that a statement has made when it ran, or why they can't be told."""
    found: dict[tuple[int, str, int], Slot] = {}
    for effect in effects:
        if effect.kind not in ("attribute", "item") or draft.is_table(effect.target):
            continue
        slots = list(_of_effect(draft, name, piece, effect)) if effect.args is not None else []
        if not slots:
            return f"{effect.why}, and which entry is its own can't be told"
        found.update(((id(slot.target), slot.kind, id(slot.key)), slot) for slot in slots)
    return list(found.values())


def _of_effect(draft: Draft, name: str, piece: Piece, effect: Effect) -> Iterator[Slot]:
    target, args = effect.target, effect.args
    assert args is not None
    if (added := added_constant(effect)) is not None:
        if added.object in target:
            yield Slot(target, "element", added.object)
        return
    if effect.kind == "attribute":
        if effect.name in getattr(target, "__dict__", {}):
            yield Slot(target, "attribute", effect.name)
        return
    first = effect.key if isinstance(target, dict) else None
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
        self._ids = {id(one) for one in (*bound, *(named if not bound else ())) if not is_common(one)}
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


def is_common(value: Any) -> bool:
    """Whether a value may be the same object in many places."""
    return value is None or type(value) in (str, int, float, bool, bytes, tuple)


def added_constant(effect: Effect) -> Live | None:
    """Return the one constant that an effect adds to a set; None if it does something else."""
    if effect.kind != "item" or type(effect.target) is not set or effect.name != "add" or effect.args is None:
        return None
    value = effect.args.first
    return value if isinstance(value, Live) and is_constant(value.object) else None


def is_constant(value: Any) -> bool:
    """Whether a value is told by what it equals, whoever made it."""
    return type(value) in _CONSTANTS


def keys_of(effects: Iterable[Effect]) -> frozenset[tuple[int, Any]]:
    """Return (id of the target, attribute, constant key, or element of a set) of what effects surely set."""
    found: set[tuple[int, Any]] = set()
    for effect in [one for one in effects if not one.perhaps and one.name != "setdefault"]:
        if effect.kind == "attribute":
            found.add((id(effect.target), effect.name))
        elif (added := added_constant(effect)) is not None:
            found.add((id(effect.target), added.object))
        elif effect.kind == "item" and isinstance(effect.key, Live):
            found.add((id(effect.target), effect.key.object))
    return frozenset(found)
