"""What comes to the objects that statements have entries in, and what goes: the steps, and their order."""

from __future__ import annotations

import ast
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..piece import Piece
from . import befores, lasting, slots, steps
from .judge.findings import Effect
from .judge.values import Live

if TYPE_CHECKING:
    from .draft import Draft

_TELLING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Entry:
    """What a release does to an object that several statements may have entries in.

    Attributes:
        target, kind, key: the entry, as of a `slots.Slot`; the key is None where only the object tells it.
        value: what the entry holds, if that is known.
        where: (module, statement) that makes it, or did.
        way: "in", "out", or "same": it is made again under the same key.
        perhaps: whether it may not come in after all.
    """

    target: Any
    kind: str
    key: Any
    value: Any
    where: tuple[str, Piece]
    way: str
    perhaps: bool = False


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
        if effect.kind not in ("attribute", "item") or draft.is_table(effect.target):
            continue
        draft.touched.setdefault(id(effect.target), effect.target)
        entry = _coming(name, piece, effect)
        draft.entries.append(entry)
        if _is_told(entry) and entry.key not in entry.target:
            draft.out.absent[id(entry.target), entry.key] = entry.target
        if effect.kind == "attribute" and effect.name not in getattr(effect.target, "__dict__", {}):
            draft.out.absent[id(effect.target), effect.name] = effect.target
        if type(effect.target) in (list, deque) and not isinstance(piece.node, _TELLING) and effect.target:
            what = f"{effect.why}, and where in its order can't be told"
            draft.refuse("order", draft.where(name, piece), what)


def _is_told(entry: Entry) -> bool:
    """Whether it is an item of a dict, or an element of a set, that a constant tells."""
    told = entry.key is not None and slots.is_constant(entry.key)
    return told and entry.kind != "attribute" and isinstance(entry.target, dict | set)


def _coming(name: str, piece: Piece, effect: Effect) -> Entry:
    """Return the entry that an effect will make."""
    args = effect.args
    if effect.kind == "attribute" or args is None:
        return Entry(effect.target, "attribute", effect.name, None, (name, piece), "in")
    key = effect.key
    if (one := slots.added_constant(effect)) is not None:
        return Entry(effect.target, "element", one.object, one, (name, piece), "in")
    told = isinstance(key, Live) and (slots.is_common(key.object) or isinstance(key.object, type))
    plain = key.object if told and isinstance(key, Live) else None
    value = args.get(0 if key is None else 1, "")
    kind = "element" if key is None else "key"
    return Entry(
        effect.target, kind, plain, value, (name, piece), "in", effect.perhaps or effect.name == "setdefault"
    )


def removed(
    draft: Draft, name: str, piece: Piece, effects: Iterable[Effect], kept: frozenset[tuple[int, Any]]
) -> str | None:
    """Let the entries of a statement go. Returns why that is not possible, or None.

    Args:
        draft: the plan in the making.
        name: the module.
        piece: the statement, as it is loaded.
        effects: what it does.
        kept: what the statement's new text sets, too; see `slots.keys_of`.
    """
    effects = list(effects)
    found = slots.of(draft, name, piece, effects)
    if isinstance(found, str):
        return found
    computed = any(slot.kind == "element" and slots.is_constant(slot.key) for slot in found)
    if computed and lasting.reads_state(draft.program, draft.judge_before(name).read(piece.node)):
        return "what it put there was told by what may have changed since"
    draft.out.clear += [steps.ClearCache(effect.target.clear) for effect in effects if effect.kind == "memo"]
    for slot in found:
        draft.touched.setdefault(id(slot.target), slot.target)
        draft.purged[id(slot.target)].append(slot.key)
        told = slot.kind != "element" or slots.is_constant(slot.key)
        again = told and (id(slot.target), slot.key) in kept
        value = slot.target[slot.key] if slot.kind == "key" else slot.key
        way = "same" if again else "out"
        draft.entries.append(Entry(slot.target, slot.kind, slot.key, value, (name, piece), way))
        if again:
            continue
        before = befores.of(draft, slot) if slot.kind == "attribute" else befores.ABSENT
        if before is befores.UNKNOWN:
            return f"what `.{slot.key}` was before can't be told"
        goes = before is befores.ABSENT
        step = (
            steps.TakeOut(slot.target, slot.kind, slot.key)
            if goes
            else steps.Assign(slot.target, {slot.key: before})
        )
        draft.first(draft.where(name, piece), step)
    return None


def retire(draft: Draft, table: Mapping[Any, Any]) -> None:
    """Let what a table had in it go from where statements that run have entries: it is made again, too."""
    draft.retired += [value for value in table.values() if not slots.is_common(value)]


def _retired(draft: Draft, target: Any) -> Iterator[slots.Slot]:
    """Yield the entries of what was in a table that is made anew."""
    ids = set(map(id, draft.retired))
    if isinstance(target, dict):
        for key, value in target.items():
            if id(value) in ids or (type(value) is list and value and all(id(one) in ids for one in value)):
                yield slots.Slot(target, "key", key)
    elif type(target) in slots.CONTAINERS:
        yield from (slots.Slot(target, "element", value) for value in target if id(value) in ids)


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
                [value for key, value in target.items() if _stays(key, gone)]
                if isinstance(target, dict)
                else [value for value in target if _stays(value, gone)]
            )
            ranks = [rank(draft, value) for value in kept]
            told = [one for one in ranks if one is not None]
            if (type(target) is list and None in ranks) or told != sorted(told):
                what = f"where a new entry belongs in a {type(target).__name__} of {len(kept)} can't be told"
                draft.refuse("order", "", what)
            draft.last("", steps.Arrange(target, lambda value: rank(draft, value)))


def _stays(value: Any, gone: list[Any]) -> bool:
    return all(value is not one for one in gone)


def rank(draft: Draft, value: Any) -> int | None:
    """Return when a cold start comes to the statement that made an object; None if that can't be told."""
    callback = getattr(value, "callback", None) if type(value).__module__.startswith("click") else None
    one = callback if isinstance(callback, FunctionType) else value
    one = one[0] if type(one) is list and len(one) == 1 else one
    one = slots.unwrapped(one) if isinstance(one, FunctionType) else one
    if isinstance(one, FunctionType | type) and "<locals>" not in one.__qualname__:
        return draft.rank_of(one.__module__ or "", one.__qualname__.partition(".")[0])
    return None
