"""Python's own containers and values: what is in them, and what their methods change."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from flask.config import Config

from . import computed
from .findings import Raised
from .values import ANY, NONE, Args, Either, Live, Made, Value, alternatives, join, made

if TYPE_CHECKING:
    from .interpreter import Interpreter

IMMUTABLE = (str, bytes, int, float, complex, bool, tuple, frozenset, type(None), range, slice)
MUTABLE = (list, dict, set, bytearray, collections.deque, collections.defaultdict, collections.OrderedDict)
TYPES: tuple[type, ...] = (
    *IMMUTABLE,
    *MUTABLE,
    collections.Counter,
    type({}.keys()),
    type({}.items()),
    type({}.values()),
)
CHANGERS = frozenset(
    [
        "__delitem__", "__iadd__", "__ior__", "__setitem__", "add", "append", "appendleft", "clear",
        "difference_update", "discard", "extend", "extendleft", "insert", "intersection_update",
        "move_to_end", "pop", "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort",
        "subtract",
        "symmetric_difference_update", "update",
    ]
)  # fmt: skip
_WRITERS = frozenset(
    ["__setitem__", "add", "append", "appendleft", "extend", "extendleft", "insert", "update"]
)
_LOOKING_UP = frozenset(["__contains__", "__getitem__", "get", "pop", "setdefault"])
_KEEPERS = frozenset(["__setitem__", "add", "append", "appendleft", "insert", "setdefault", "get", "pop"])
_MOST = 64  # of a live container, so many elements are looked at one by one


def elements(value: Value) -> Value:
    """Return what iterating over something gives."""
    return join([_elements(one) for one in alternatives(value)])


def _elements(value: Value) -> Value:
    if isinstance(value, Made):
        if isinstance(value.cls, Live) and value.cls.object is dict:
            return (
                join([*map(Live, value.items), *([ANY] if value.rest is not None else [])])
                if value.items
                else ANY
            )
        return value.contents()
    if not isinstance(value, Live) or not hasattr(type(value.object), "__iter__"):
        return ANY
    if isinstance(value.object, str | bytes):
        return Made(Live(str if isinstance(value.object, str) else int), open=True)
    known = type(value.object) in TYPES and len_of(value.object) <= _MOST
    return join(map(Live, list(value.object))) if known else ANY


def copied(value: Value, *, deep: bool) -> Value:
    """Return a copy of something: another object of the same kind, and so, if it is deep, is all in it."""
    return join([_copied(one, deep=deep) for one in alternatives(value)])


def _copied(value: Value, *, deep: bool) -> Value:
    if isinstance(value, Made):
        return Made(value.cls, dict(value.fields), dict(value.items), value.rest, open=True)
    if not isinstance(value, Live) or isinstance(value.object, IMMUTABLE):
        return value
    kind = type(value.object)
    inside: dict[object, Value] = {}
    rest: Value | None = None
    if kind is dict and len(value.object) <= _MOST:
        inside = {key: Live(one) for key, one in value.object.items()}
    elif kind is list and len(value.object) <= _MOST:
        inside = dict(enumerate(map(Live, value.object)))
    elif hasattr(kind, "__iter__"):
        rest = ANY
    known: dict[type, Value] = {}
    for key, one in inside.items() if deep else ():
        if isinstance(one, Live) and not isinstance(one.object, IMMUTABLE):
            inside[key] = known.setdefault(type(one.object), Made(Live(type(one.object)), open=True))
    return Made(Live(kind), items=inside, rest=rest, open=True)


def len_of(value: object) -> int:
    """Return the length of something, 0 if it has none."""
    return len(value) if hasattr(type(value), "__len__") else 0  # type: ignore[arg-type]  # it has


def sequence(value: Value) -> list[Value] | None:
    """Return the elements of something in their order, if they are known."""
    if isinstance(value, Made) and value.rest is None and list(value.items) == list(range(len(value.items))):
        return list(value.items.values()) if value.cls is not None else None
    if isinstance(value, Made) and value.kind is dict and value.rest is None:
        return list(map(Live, value.items))
    if isinstance(value, Live) and type(value.object) in (list, tuple, dict) and len(value.object) <= _MOST:
        return list(map(Live, value.object))
    return None


def item(value: Value, key: Value, default: Value | None = None) -> Value:
    """Return what ``value[key]`` gives, or ``value.get(key, default)``.

    Raises:
        Raised: there is certainly no such item, and no default.
    """
    found = [_item(one, key) for one in alternatives(value)]
    there = [one for one in found if one is not None]
    if not there and default is None:
        raise Raised
    return join(there if default is None else [*there, default])


def _item(value: Value, key: Value) -> Value | None:
    constant = key.object if isinstance(key, Live) and type(key.object) in IMMUTABLE else None
    if isinstance(constant, slice):
        return _cut(value, constant)
    if isinstance(value, Made):
        return _item_of_made(value, constant)
    if not isinstance(value, Live) or not isinstance(key, Live):
        return ANY
    owner, kind = value.object, type(value.object)
    try:
        if kind in (dict, Config) and _is_plain_key(key.object):
            return Live(dict.__getitem__(owner, key.object))
        return Live(owner[constant]) if kind in (list, tuple) and constant is not None else ANY
    except (LookupError, TypeError):
        return ANY


def _item_of_made(value: Made, constant: Any) -> Value | None:
    closed = constant is not None and value.rest is None
    if closed and constant in value.items:
        return value.items[constant]
    if value.items or value.rest is not None:
        # a dict that has no such key, as far as is known, may have another way to give one
        return ANY if closed and value.kind is dict else value.contents()
    return None if value.kind is dict else value.contents()


def _cut(value: Value, part: slice) -> Value:
    if isinstance(value, Live) and isinstance(value.object, str | bytes | tuple):
        return Live(value.object[part])
    parts = sequence(value)
    kind = value.cls if isinstance(value, Made) else Live(list)
    return (
        Made(kind, items=dict(enumerate(parts[part]))) if parts is not None else made(list, [elements(value)])
    )


def has(value: Value, key: Value) -> bool | None:
    """Return whether something is in a container: a live one is asked, if that runs nobody's code."""
    if not isinstance(key, Live):
        return None
    if isinstance(value, Made):
        return _is_in_made(value, key.object) if value.rest is None else None
    kind = type(value.object) if isinstance(value, Live) else None
    hashing = kind in (dict, set, frozenset) and _is_plain_key(key.object)
    if not isinstance(value, Live) or not (hashing or (kind in TYPES and type(key.object) in IMMUTABLE)):
        return None
    try:
        return key.object in value.object
    except TypeError:
        return None


def _is_in_made(value: Made, key: object) -> bool | None:
    plain = type(key) in IMMUTABLE
    if value.kind is dict:
        return key in value.items if plain else None
    inside = [one.object for one in value.items.values() if isinstance(one, Live)]
    known = plain and len(inside) == len(value.items) and value.kind in (list, tuple)
    return key in inside if known and all(type(one) in IMMUTABLE for one in inside) else None


def _is_plain_key(key: object) -> bool:
    """Whether looking a key up runs nobody's code: a constant, or it is told apart by its identity."""
    kind: Any = type(key)
    return kind in IMMUTABLE or (kind.__hash__ is object.__hash__ and kind.__eq__ is object.__eq__)


def method(interpreter: Interpreter, this: Value, name: str, args: Args) -> Value:
    """Return what a method of a builtin container gives; a change of a live one is noted."""
    several = len(alternatives(this)) > 1
    return join([_method(interpreter, one, name, args, sure=not several) for one in alternatives(this)])


def _method(interpreter: Interpreter, this: Value, name: str, args: Args, *, sure: bool) -> Value:
    _note(interpreter, this, name, args)
    if name in CHANGERS:
        if isinstance(this, Made):
            return _change(this, name, args, sure=sure and not interpreter.perhaps)
        if not (isinstance(this, Live) and isinstance(this.object, IMMUTABLE)):
            _changed(interpreter, this, name, args)
    if name == "setdefault" and len(args.positional) > 1 and isinstance(this, Live):
        found = _item(interpreter.settled(this), args.positional[0])
        return args.positional[1] if found is ANY or found is None else found
    if name in ("get", "__getitem__", "setdefault", "pop") and args.positional:
        default = None if name == "__getitem__" else args.get(1, "default") or NONE
        return item(interpreter.settled(this), args.positional[0], default)
    if name in ("keys", "values", "items", "copy", "union", "intersection", "difference"):
        return _view(interpreter.settled(this), name)
    if isinstance(this, Live) and isinstance(this.object, str | bytes):
        known = computed.method(this, name, args) if not interpreter.repeats else None
        known = known or (_joined(interpreter, this, args) if name == "join" else None)
        return known or made(type(this.object))
    return Made(open=True)


def _joined(interpreter: Interpreter, this: Live, args: Args) -> Value | None:
    parts = sequence(interpreter.settled(args.first)) if args.positional and not interpreter.repeats else None
    return computed.joined(this, parts) if parts is not None else None


def _changed(interpreter: Interpreter, this: Value, name: str, args: Args) -> None:
    """Note that a container changes; one that is updated gets items, one by one."""
    updated = name == "update" and isinstance(this, Live) and type(this.object) is dict
    items = _given(args) if updated else None
    for key, value in (items or {}).items():
        interpreter.notes.change(this, "__setitem__", args.text, Args((Live(key), value), text=args.text))
    if items is None:
        interpreter.notes.change(this, name, args.text, args)


def _given(args: Args) -> dict[object, Value] | None:
    """Return the items that `dict.update` is given, if all are known, and their keys are constants."""
    given = args.positional[0] if args.positional else Made(Live(dict))
    if args.more or len(args.positional) > 1 or not isinstance(given, Made):
        return None
    known = given.kind is dict and given.rest is None and all(type(key) in IMMUTABLE for key in given.items)
    named: dict[object, Value] = dict(args.named.items())
    return given.items | named if known else None


def _note(interpreter: Interpreter, this: Value, name: str, args: Args) -> None:
    """Note what a method of a container asks for."""
    if name in _LOOKING_UP and args.positional:
        interpreter.notes.looks_up(this, args.positional[0])
    elif name not in _WRITERS:
        interpreter.notes.uses(this)
    if name not in _KEEPERS:
        interpreter.notes.uses_all(args.every())


def _view(this: Value, name: str) -> Value:
    if isinstance(this, Made):
        if name == "items":
            pairs = [Made(Live(tuple), items={0: Live(key), 1: value}) for key, value in this.items.items()]
            more = [Made(Live(tuple), items={0: ANY, 1: this.rest})] if this.rest is not None else []
            return Made(Live(list), items=dict(enumerate(pairs)), rest=more[0] if more else None)
        if name == "values":
            return Made(Live(list), items=dict(enumerate(this.items.values())), rest=this.rest)
        if name == "keys":
            return Made(
                Live(list), items=dict(enumerate(map(Live, this.items))), rest=ANY if this.rest else None
            )
        return Made(this.cls, items=dict(this.items), rest=this.rest)
    if name == "copy" and isinstance(this, Live) and type(this.object) in (list, dict):
        return _copied(this, deep=False)
    if isinstance(this, Live) and type(this.object) is dict and len(this.object) <= _MOST:
        if name == "items":
            rows = [Made(Live(tuple), items={0: Live(k), 1: Live(v)}) for k, v in this.object.items()]
            return Made(Live(list), items=dict(enumerate(rows)))
        if name == "values":
            return Made(Live(list), items=dict(enumerate(map(Live, this.object.values()))))
    return Made(Live(list), rest=ANY)


def _change(this: Made, name: str, args: Args, *, sure: bool) -> Value:
    """Change a container that the evaluation has made itself."""
    if name in ("setdefault", "__setitem__") and len(args.positional) > 1:
        there = False if name == "__setitem__" else has(this, args.positional[0])
        if there is not True:
            put(this, args.positional[0], args.positional[1], sure=sure and there is False)
        return item(this, args.positional[0]) if name == "setdefault" else NONE
    if name == "append" and sure and this.kind is list and this.rest is None and args.positional:
        this.items[len(this.items)] = args.positional[0]
        return NONE
    if (
        name == "pop"
        and sure
        and this.rest is None
        and args.positional
        and isinstance(args.positional[0], Live)
    ):
        key = args.positional[0].object
        known = this.items.pop(key, None) if isinstance(key, str) else None
        if known is not None or isinstance(key, str):
            return known if known is not None else args.get(1, "default") or ANY
    if name in ("pop", "popitem", "popleft"):
        return join([this.contents(), *args.positional[1:2]]) if this.items or this.rest else ANY
    if name == "update" and this.kind is dict and len(args.positional) <= 1:
        return _update(this, args, sure=sure)
    given = (
        [elements(one) for one in args.positional] if name in ("extend", "update") else list(args.positional)
    )
    if given or args.more:
        this.rest = join(
            [*given, *([this.rest] if this.rest is not None else []), *([ANY] if args.more else [])]
        )
    return NONE


def _update(this: Made, args: Args, *, sure: bool) -> Value:
    given = args.positional[0] if args.positional else Made(Live(dict))
    items: dict[object, Value] | None = None
    if isinstance(given, Made) and given.kind is dict and given.rest is None:
        items = given.items
    elif isinstance(given, Live) and type(given.object) is dict and len(given.object) <= _MOST:
        items = {key: Live(value) for key, value in given.object.items()}
    if items is None or args.more:
        inside = given.contents() if isinstance(given, Made) else ANY
        this.rest = join(
            [inside, *([this.rest] if this.rest is not None else []), *([ANY] if args.more else [])]
        )
    for key, value in (*(items or {}).items(), *args.named.items()):
        put(this, Live(key), value, sure=sure)
    return NONE


def plus(left: Value, right: Value) -> Value:
    """Return what ``left + right`` gives, of strings and of sequences that are known."""
    if isinstance(left, Live) and isinstance(right, Live) and type(left.object) is type(right.object) is str:
        return Live(left.object + right.object)
    parts = sequence(left), sequence(right)
    if parts[0] is not None and parts[1] is not None:
        kind = left.kind if isinstance(left, Made) else type(left.object) if isinstance(left, Live) else list
        return Made(Live(kind), items=dict(enumerate([*parts[0], *parts[1]])))
    return Made(open=True, rest=join([elements(left), elements(right)]))


def grow(this: Made, given: Value, *, sure: bool) -> None:
    """Extend a container that the evaluation has made itself; perhaps, if that is not `sure`."""
    parts, known = sequence(given), sequence(this)
    if this.kind is list and sure and parts is not None and known is not None:
        this.items.update(enumerate(parts, len(known)))
    elif this.kind is dict:
        _update(this, Args((given,)), sure=sure)
    else:
        this.rest = join([elements(given), *([this.rest] if this.rest is not None else [])])


def remove(this: Made, key: Value, *, sure: bool) -> None:
    """Delete an item of a container that the evaluation has made itself; perhaps, if that is not `sure`."""
    known = isinstance(key, Live) and type(key.object) in IMMUTABLE and this.kind is dict
    if known and sure and isinstance(key, Live):
        this.items.pop(key.object, None)
    else:
        this.rest, this.items = join([this.contents()]), {}


def put(this: Made, key: Value, value: Value, *, sure: bool = True) -> None:
    """Set an item of a container that the evaluation has made itself; perhaps, if that is not `sure`."""
    if isinstance(key, Live) and type(key.object) in IMMUTABLE and (sure or key.object in this.items):
        this.items[key.object] = value if sure else join([value, this.items[key.object]])
    else:
        this.rest = join([value, this.rest]) if this.rest is not None else value


__all__ = [
    "CHANGERS",
    "IMMUTABLE",
    "MUTABLE",
    "TYPES",
    "Either",
    "elements",
    "item",
    "method",
    "put",
    "sequence",
]
