"""What an expression may stand for, without evaluating it.

::

    Live      this very object, which is there now
    Made      an object that the evaluation makes: nobody else holds it, so it may be changed freely
    Function  a function whose definition is at hand: made by the evaluation, or by a release
    Class     the same for a class
    Bound     a function with the object that it was read from
    Super     what `super()` gives
    GivesBack a decorator that gives back what it gets
    Completed a function with some of its arguments
    ANY       nobody knows
    Either    one of some of these
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...piece import once_for_each_node

MOST_ALTERNATIVES = 8  # more are as good as anything


class Value:
    """Base of all values."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Live(Value):
    """An object of the running program, or a constant."""

    object: Any


@dataclass(slots=True, eq=False)
class Made(Value):
    """An object that the evaluation itself makes.

    Attributes:
        cls: what it is an instance of, if that is known.
        fields: attributes that were set on it.
        items: what it contains by index or key, where that is known.
        rest: what else it contains; None if nothing else.
        open: whether attributes may have been set on it that are not in `fields`.
        calls: what calling it calls.
        inert: whether whatever is done with it, or with what is read of it, changes nothing else.
    """

    cls: Value | None = None
    fields: dict[str, Value] = field(default_factory=dict)
    items: dict[object, Value] = field(default_factory=dict)
    rest: Value | None = None
    open: bool = False
    calls: Value | None = None
    inert: bool = False

    @property
    def kind(self) -> Any:
        """The live class that it is an instance of; None if that is not known."""
        return self.cls.object if isinstance(self.cls, Live) else None

    def contents(self) -> Value:
        """Return what may be found in it."""
        if self.inert and not self.items and self.rest is None:
            return Made(open=True, inert=True)
        return join([*self.items.values(), *([self.rest] if self.rest is not None else [])])


@dataclass(slots=True, eq=False)
class Function(Value):
    """A function whose definition is known.

    Attributes:
        node: its definition.
        scope: where its free names are looked up.
        defaults: parameter -> value of its default.
        owner: the class in whose body it stands, for `super()`.
        fields: attributes that were set on it.
        called_as: what it has its name from; None if that is its own.
    """

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: Mapping[str, Value] = field(default_factory=dict)
    owner: Value | None = None
    fields: dict[str, Value] = field(default_factory=dict)
    called_as: Value | None = None


@dataclass(slots=True, eq=False)
class Class(Value):
    """A class whose definition is known, and that is not live yet.

    Attributes:
        bases: what it derives from.
        members: what its body binds.
        meta: its metaclass, where that is known.
    """

    name: str
    bases: tuple[Value, ...]
    members: dict[str, Value]
    module: str
    meta: Value | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Bound(Value):
    """A method: a function, and what it was read from."""

    function: Value
    this: Value


@dataclass(frozen=True, slots=True, eq=False)
class Super(Value):
    """What `super()` gives in a method of `owner`, called on `this`."""

    owner: Value
    this: Value


@dataclass(frozen=True, slots=True, eq=False)
class GivesBack(Value):
    """A callable that does nothing but give back its first argument; perhaps it sets attributes of it.

    Attributes:
        marks: whether it sets attributes.
        called_as: what a function has its name from that was given to it; None if it keeps its own.
    """

    marks: bool = False
    called_as: Value | None = None


class _Any(Value):
    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Either(Value):
    """One of some values."""

    values: tuple[Value, ...]


ANY = _Any()
NONE = Live(None)

Lookup = Callable[[str, Any], Value]  # by name, and the interpreter that asks


@dataclass(slots=True, eq=False)
class Scope:
    """Names, and where to look for those that are not there.

    Attributes:
        names: of this scope.
        above: looks a name up outside; a module's names and the builtins at last.
        module: name of the module that the code is of.
        shared: names that are declared `global` or `nonlocal`.
        owner: the class whose method this is, for `super()`.
        this: the method's first argument.
        body: whether these are a class's members: functions in it don't see them.
    """

    names: dict[str, Value]
    above: Lookup
    module: str
    shared: set[str] = field(default_factory=set)
    owner: Value | None = None
    this: Value | None = None
    body: bool = False

    def find(self, name: str, reader: Any) -> Value:
        """Return what a name stands for; that it was read is noted by the interpreter that asks."""
        found = self.names.get(name)
        return found if found is not None else self.above(name, reader)

    def inner(self, names: dict[str, Value] | None = None) -> Scope:
        """Return a scope inside this one."""
        return Scope(names or {}, self.find, self.module, owner=self.owner, this=self.this)

    def around(self) -> Scope:
        """Return the scope in which functions are looked up that are defined here."""
        return Scope({}, self.above, self.module, owner=self.owner) if self.body else self

    def copy(self) -> Scope:
        """Return this scope as it is now: of two branches, each goes on with one."""
        return replace(self, names=dict(self.names))


@dataclass(frozen=True)
class Args:
    """What a function is called with.

    Attributes:
        positional: by position.
        named: by name.
        more: whether there may be others.
        text: the call as it stands in the source, for a message.
    """

    positional: tuple[Value, ...] = ()
    named: dict[str, Value] = field(default_factory=dict)
    more: bool = False
    text: str = ""

    @property
    def first(self) -> Value:
        """The first one; ANY if there is none."""
        return self.positional[0] if self.positional else ANY

    def after(self, first: Value) -> Args:
        """Return these with one more in front."""
        return replace(self, positional=(first, *self.positional))

    def every(self) -> Iterator[Value]:
        """Yield all that is known of them."""
        yield from self.positional
        yield from self.named.values()

    def get(self, position: int, name: str) -> Value | None:
        """Return one argument, or None if it was not given."""
        if position < len(self.positional):
            return self.positional[position]
        return self.named.get(name)


@dataclass(frozen=True, slots=True, eq=False)
class Completed(Value):
    """A function with some of its arguments, as `functools.partial` makes it."""

    function: Value
    args: Args

    def with_more(self, args: Args) -> Args:
        """Return what the function is called with in the end."""
        return replace(
            args,
            positional=(*self.args.positional, *(args.positional if not self.args.more else ())),
            named={**self.args.named, **args.named},
            more=self.args.more or args.more,
        )


def alternatives(value: Value) -> tuple[Value, ...]:
    """Return what a value may be, one by one."""
    return value.values if isinstance(value, Either) else (value,)


def join(values: Iterable[Value]) -> Value:
    """Return what is one of some values; ANY if there is none."""
    found: list[Value] = []
    for value in values:
        for one in alternatives(value):
            if one is ANY:
                return ANY
            if not any(_same(one, other) for other in found):
                found.append(one)
    if not found or len(found) > MOST_ALTERNATIVES:
        return ANY
    return found[0] if len(found) == 1 else Either(tuple(found))


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, Live) and isinstance(other, Live):
        return one.object is other.object
    return one is other


def made(kind: type, contents: Iterable[Value] = ()) -> Made:
    """Return a new object of a builtin type that contains some values, nobody knows where."""
    inside = list(contents)
    return Made(Live(kind), rest=join(inside) if inside else None)


def truth(value: Value) -> bool | None:
    """Return whether a value is true, if that is certain."""
    found = {_truth(one) for one in alternatives(value)}
    return found.pop() if len(found) == 1 else None


_PLAIN = (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, type(None))


def is_always_true(thing: object) -> bool:
    """Whether an object is true whatever is in it."""
    return not (hasattr(type(thing), "__bool__") or hasattr(type(thing), "__len__"))


def _truth(value: Value) -> bool | None:
    if isinstance(value, Live):
        if type(value.object) in _PLAIN:
            return bool(value.object)
        return True if is_always_true(value.object) else None
    if isinstance(value, Function | Class | Bound | GivesBack):
        return True
    if isinstance(value, Made) and isinstance(value.cls, Live):
        if value.cls.object in (dict, list, tuple, set) and not value.items and value.rest is None:
            return False
        if value.cls.object in (list, tuple, dict) and value.items:
            return True
    return None


def text_in(value: Value | None) -> str:
    """Return a string that is known, or an empty one."""
    return value.object if isinstance(value, Live) and isinstance(value.object, str) else ""


@once_for_each_node
def text_of(node: ast.AST) -> str:
    """Return a node's first line, cut to what a message can bear."""
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 50 else text[:49] + "…"
