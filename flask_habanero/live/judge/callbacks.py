"""Functions that only compute: what they call of what they are given, change of it, or give back of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import containers, known
from .values import ANY, Args, Live, Made, Value, alternatives, join

if TYPE_CHECKING:
    from .interpreter import Interpreter

Place = tuple[str, str]
"""Module and qualified name."""


def _names(modules: str, names: str) -> set[Place]:
    return {(module, name) for module in modules.split() for name in names.split()}


# what they are given they keep, or look at: they call none of it
_KEEPING_MODULES = known.words(
    """_abc _thread _typing _weakref _weakrefset abc dataclasses dis enum inspect keyword numbers opcode
    threading time types typing typing_extensions warnings _warnings weakref"""
)
_KEEPING = (
    _names("collections", "namedtuple")
    | _names("contextlib", "aclosing closing nullcontext suppress")
    | _names("functools", "cached_property partialmethod singledispatch singledispatchmethod")
)
_CHANGING_FIRST = (
    _names("_heapq heapq", "heapify heappop heappush heappushpop heapreplace")
    | _names("_bisect bisect", "insort insort_left insort_right")
    | _names(
        "_operator operator",
        "delitem iadd iand iconcat ifloordiv ilshift imatmul imod imul ior ipow irshift isub itruediv ixor"
        " setitem",
    )
)
_CHANGING_SECOND = _names("random", "Random.shuffle")  # a method: its object is the first
# what they give may be, or lead to, what they were given
_GIVING_BACK = known.words(
    """_collections _contextvars _functools _heapq _operator _random _thread _weakref abc collections
    contextlib contextvars copy dataclasses functools heapq inspect operator random statistics threading
    types weakref"""
)
_COPYING = _names("collections", "deque defaultdict Counter OrderedDict UserDict UserList")


def asked(interpreter: Interpreter, place: Place, args: Args, *, method: bool) -> None:
    """Note what a function that only computes does with what it is given.

    Args:
        interpreter: whose notes they are.
        place: where the function is.
        args: what it is called with.
        method: whether the first of them is the object that it is a method of.
    """
    every = list(args.every())
    interpreter.notes.uses_all(every)
    interpreter.operators.given(every, text=args.text)
    if place[0] not in _KEEPING_MODULES and place not in _KEEPING:
        interpreter.operators.called_back(every[1:] if method else every, args.text)
    if place in _CHANGING_FIRST | _CHANGING_SECOND:
        index = 1 if place in _CHANGING_SECOND else 0
        spoil(interpreter, args.positional[index] if len(args.positional) > index else ANY, args.text)
    elif method:
        _method(interpreter, place[1].rpartition(".")[2], args)


def spoil(interpreter: Interpreter, value: Value, text: str) -> None:
    """Note that something changes in a way that is not gone through."""
    for one in alternatives(value):
        if isinstance(one, Made):
            one.rest, one.items, one.open = ANY, {}, True
        else:
            interpreter.notes.change(one, "", text)


def _method(interpreter: Interpreter, name: str, args: Args) -> None:
    """A method of a class of Python's library changes what it is called on, or only reads it."""
    for one in alternatives(args.first):
        if isinstance(one, Live):
            changes = known.may_change(one.object, name)
        else:
            changes = not isinstance(one, Made) and name in containers.CHANGERS
        if changes:
            interpreter.notes.change(one, name, args.text)


def given_back(interpreter: Interpreter, place: Place, args: Args, kind: type | None = None) -> Value:
    """Return what a function that only computes gives, or an object of a class that only holds something."""
    every = list(args.every())
    if _is_closed(place, every):
        return Made(Live(kind) if kind is not None else None, open=True, inert=True)
    shared = place[0] in _GIVING_BACK and place not in _COPYING
    if shared and interpreter.operators.may_be_shared(every):
        return ANY
    rest = [*every, *(inner for one in every for inner in interpreter.operators.inside(one))]
    return Made(Live(kind) if kind is not None else None, rest=join(rest) if rest else None, open=True)


def _is_closed(place: Place, values: list[Value]) -> bool:
    live = [one.object for one in values if isinstance(one, Live)]
    known_all = all(isinstance(one, Live) or (isinstance(one, Made) and one.inert) for one in values)
    return known_all and known.is_closed(place[0], live)
