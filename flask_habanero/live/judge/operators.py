"""Special methods of the app's own classes: operators, conversions, iteration and copies go through them.

Trusted are those of libraries' classes (columns of SQLAlchemy, werkzeug's structures), and all that is done
with values that nobody knows. Of a library's classes that are made to be derived from, such as
`collections.abc.Mapping`, the methods that an own class inherits call its own ones: they are gone through.
"""

from __future__ import annotations

import ast
import collections
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import attributes, containers, known
from .values import ANY, Args, Bound, Class, Function, GivesBack, Live, Made, Value, alternatives, join

if TYPE_CHECKING:
    from .interpreter import Interpreter

_NAMES: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.MatMult: "matmul", ast.Div: "truediv",
    ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow", ast.LShift: "lshift", ast.RShift: "rshift",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert",
}  # fmt: skip
_SIGNS = {
    f"__{one}__" for one in known.words("neg pos invert abs round trunc floor ceil complex float int index")
}
COMPARING = tuple(f"__{one}__" for one in ("eq", "ne", "lt", "le", "gt", "ge"))
HASHED = ("__hash__", "__eq__")
TRUTH = ("__bool__", "__len__")
ITERATED = ("__iter__", "__next__", "__getitem__", "__len__", "__length_hint__")
SHOWN = ("__str__", "__repr__", "__format__")
_BINARY = tuple(
    f"__{side}{one}__"
    for one in known.words("add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor")
    for side in ("", "r", "i")
)
# whatever code that is trusted may ask of what it is given
IMPLICIT = frozenset(
    [
        *_SIGNS, *COMPARING, *_BINARY, *HASHED, *TRUTH, *ITERATED, *SHOWN,
        "__aiter__", "__bytes__", "__buffer__", "__contains__", "__copy__", "__deepcopy__", "__delitem__",
        "__dir__", "__enter__", "__exit__", "__fspath__", "__getattr__", "__getnewargs__",
        "__getnewargs_ex__",
        "__getstate__", "__html__", "__instancecheck__", "__missing__", "__reduce__", "__reduce_ex__",
        "__reversed__", "__setitem__", "__setstate__", "__subclasscheck__", "__html_format__",
    ]
)  # fmt: skip
_GOT = ("__getitem__", "__missing__")
_MOST = 64  # of a live container, so many elements are looked at one by one


class Operators:
    """Goes through special methods, on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter
        self._derived: dict[type, bool] = {}

    # who has one

    def is_own(self, owner: Value) -> bool:
        """Whether a class, or a function, is the app's own."""
        if isinstance(owner, Class):
            return self._in.world.is_own(owner.module)
        if isinstance(owner, Function):
            return self._in.world.is_own(owner.scope.module)
        if not isinstance(owner, Live) or not isinstance(owner.object, type | FunctionType):
            return False
        return self._in.world.is_own(str(owner.object.__module__ or ""))

    def has_own(self, cls: Value) -> bool:
        """Whether a class is the app's own, or derives from one that is."""
        if isinstance(cls, Live) and isinstance(cls.object, type):
            if cls.object not in self._derived:
                self._derived[cls.object] = any(map(self.is_own, attributes.line(cls)))
            return self._derived[cls.object]
        return isinstance(cls, Class) and any(map(self.is_own, attributes.line(cls)))

    def method(self, value: Value, name: str) -> Value | None:
        """Return the raw special method of an own class that an object has; None if it is another's."""
        cls = attributes.class_of(value)
        return self.member(cls, name)

    def member(self, cls: Value, name: str) -> Value | None:
        """Return the raw member that a class has from an own class; None if it has it from another."""
        if not self.has_own(cls):
            return None
        found = attributes.find(cls, name)
        if found is not None and self.is_own(found.owner):
            return found.raw if not (isinstance(found.raw, Live) and found.raw.object is None) else None
        template = isinstance(found.live, FunctionType) if found is not None else False
        if found is not None and template and found.live.__module__ in known.TEMPLATES:
            return found.raw
        return self._to_come(cls, name)

    def _to_come(self, cls: Value, name: str) -> Value | None:
        """Return a method that a live own class will have after the release, and has not now."""
        for one in attributes.line(cls):
            kind = one.object if isinstance(one, Live) else None
            if isinstance(kind, type) and self.is_own(one) and self._in.world.is_changed(kind.__module__):
                method = self._in.world.member(kind, name)
                if method is not None:
                    return method
        return None

    # asking

    def ask(self, value: Value, name: str, *args: Value, text: str = "") -> Value | None:
        """Return what a special method gives; None if no own class has it (then it is trusted)."""
        given = Args(args, text=text or name)
        found: list[Value] = []
        several = alternatives(value)
        for one in several:
            raw = self.method(one, name)
            if raw is not None:
                found.append(self.call(raw, one, given))
        if not found:
            return None
        return join(found) if len(found) == len(several) else ANY

    def call(self, raw: Value, this: Value, args: Args) -> Value:
        """Return what a raw member of an object's class gives when it is called on the object."""
        if isinstance(raw, Live) and isinstance(raw.object, staticmethod | classmethod):
            inner = Live(raw.object.__func__)
            return self._in.call(
                Bound(inner, attributes.class_of(this)) if isinstance(raw.object, classmethod) else inner,
                args,
            )
        if isinstance(raw, Live | Function):
            with self._in.repeating():  # an iterator is asked for each element
                return self._in.call(Bound(raw, this), args)
        return self._in.calls.unknown(args)

    def call_class(self, raw: Value, cls: Value, key: Value) -> Value:
        """Return what a class's `__class_getitem__` gives."""
        inner = (
            Live(raw.object.__func__)
            if isinstance(raw, Live) and isinstance(raw.object, classmethod)
            else raw
        )
        return self._in.call(Bound(inner, cls), Args((key,), text="__class_getitem__"))

    def computed(self, value: Value) -> None:
        """Go through all that reading some attribute may call, of which nobody knows the name."""
        for one in alternatives(value):
            if not self.has_own(attributes.class_of(one)):
                continue
            self.ask_all(one, ("__getattr__",))
            for cls in filter(self.is_own, attributes.line(attributes.class_of(one))):
                for member in attributes.members_of(cls).values():
                    if attributes.is_computed(member):
                        self._in.notes.unknown("which attribute is read can't be told")

    def ask_all(self, value: Value, names: Iterable[str], text: str = "") -> None:
        """Go through several special methods, with arguments that nobody knows."""
        for one in alternatives(value):
            if self.has_own(attributes.class_of(one)):
                for name in names:
                    raw = self.method(one, name)
                    if raw is not None:
                        self.call(raw, one, Args(more=True, text=text or name))

    def binary(self, left: Value, op: ast.operator, right: Value, *, in_place: bool = False) -> Value | None:
        """Return what an operator gives; None if it is trusted."""
        name = _NAMES[type(op)]
        asked = [self.ask(left, f"__i{name}__", right)] if in_place else []
        asked.append(self.ask(left, f"__{name}__", right))
        asked.append(self.ask(right, f"__r{name}__", left))
        if isinstance(op, ast.Mod) and isinstance(left, Live | Made):
            self.shown(right)  # `text % values`
        self._elements_asked(left, right, COMPARING)
        return self._one_of(asked)

    def unary(self, op: ast.unaryop, value: Value) -> Value | None:
        """Return what a sign gives; None if it is trusted."""
        return self.ask(value, f"__{_NAMES[type(op)]}__")

    def compare(self, left: Value, op: ast.cmpop, right: Value) -> Value | None:
        """Return what a comparison gives; None if it is trusted."""
        if isinstance(op, ast.Is | ast.IsNot):
            return None
        if isinstance(op, ast.In | ast.NotIn):
            asked = self.ask(right, "__contains__", left)
            if asked is None:
                self.ask_all(right, ("__iter__", "__next__", "__getitem__"))
            self.ask_all(left, HASHED)
            self._elements_asked(right, right, HASHED)
            return asked
        wanted = COMPARING[:2] if isinstance(op, ast.Eq | ast.NotEq) else COMPARING  # the other may be asked
        asks = [self.ask(left, name, right) for name in wanted]
        asks += [self.ask(right, name, left) for name in wanted]
        self._elements_asked(left, right, COMPARING)
        return self._one_of(asks)

    def _one_of(self, asked: list[Value | None]) -> Value | None:
        return ANY if any(one is not None for one in asked) else None

    def shown(self, value: Value) -> None:
        """Go through what making a text of something calls."""
        for one in (value, *self.inside(value)):
            self.ask_all(one, SHOWN)

    def hashed(self, value: Value) -> None:
        """Go through what taking something for a key calls."""
        for one in (value, *self.inside(value)):
            self.ask_all(one, HASHED)

    def _elements_asked(self, left: Value, right: Value, names: tuple[str, ...]) -> None:
        for one in (*self.inside(left), *(self.inside(right) if right is not left else ())):
            self.ask_all(one, names)

    def iterated(self, value: Value) -> Value | None:
        """Return what iterating over something gives; None if that is trusted."""
        names = ("__iter__", "__getitem__")
        if all(self.method(one, name) is None for one in alternatives(value) for name in names):
            return None
        self.ask_all(value, ("__len__", "__length_hint__"))
        found: list[Value] = []
        for one in alternatives(value):
            over = self.ask(one, "__iter__")
            if over is None:
                found.append(self.ask(one, "__getitem__", ANY) or self._in.elements(one))
            elif (given := self.ask(over, "__next__")) is not None:
                found.append(given)
            else:
                found.append(containers.elements(self._in.settled(over)))
        return join(found)

    def got(self, value: Value, key: Value) -> Value | None:
        """Return what ``value[key]`` gives; None if that is trusted."""
        for one in alternatives(value):
            if isinstance(one, Live) and isinstance(one.object, collections.defaultdict):
                self._in.notes.change(one, "__getitem__", "[…]")  # it may make what it has not
        if all(self.method(one, name) is None for one in alternatives(value) for name in _GOT):
            return None
        found = [self.ask(one, "__getitem__", key) or self._missed(one, key) for one in alternatives(value)]
        return join(found)

    def _missed(self, value: Value, key: Value) -> Value:
        self.ask(value, "__missing__", key)
        return ANY

    # giving

    def inside(self, value: Value) -> list[Value]:
        """Return what is known to be in a container."""
        found: list[Value] = []
        for one in alternatives(value):
            if isinstance(one, Made):
                found += [*one.items.values(), *([one.rest] if one.rest is not None else [])]
                found += [Live(key) for key in one.items if type(key) is tuple]
            elif isinstance(one, Live) and type(one.object) in (list, tuple, dict, set, frozenset):
                held: Any = one.object
                if len(held) <= _MOST:
                    found += map(Live, list(held.values()) if isinstance(held, dict) else list(held))
        return found

    def given(self, values: Iterable[Value], names: Iterable[str] = IMPLICIT, text: str = "") -> None:
        """Go through what code that is trusted may ask of what it is given, and of what is in that."""
        for one in self._everything(values):
            self.ask_all(one, names, text)

    def called_back(self, values: Iterable[Value], text: str) -> None:
        """Go through callables that are given to code which may call them, with whatever."""
        with self._in.repeating():
            for one in self._everything(values):
                if _is_callable(one):
                    self._in.call(one, Args(more=True, text=text))

    def _everything(self, values: Iterable[Value]) -> Iterator[Value]:
        todo, seen = list(values), set()
        while todo:
            for one in alternatives(todo.pop()):
                mark = id(one.object) if isinstance(one, Live) else id(one)
                if one is not ANY and mark not in seen:
                    seen.add(mark)
                    yield one
                    todo += self.inside(one)
                    todo += one.fields.values() if isinstance(one, Made) else ()

    def may_be_shared(self, values: Iterable[Value]) -> bool:
        """Whether something that was there before, and may change, can be reached by what is given."""
        return any(_may_change(one) for one in self._everything(values))


def _is_callable(value: Value) -> bool:
    if isinstance(value, Live):
        return callable(value.object)
    if isinstance(value, Made):
        return value.calls is not None or attributes.find(value.cls or ANY, "__call__") is not None
    return isinstance(value, Function | Class | Bound | GivesBack)


def _may_change(value: Value) -> bool:
    if not isinstance(value, Live):
        return False
    return (
        not isinstance(value.object, known.VALUES)
        and type(value.object).__module__ not in known.VALUE_MODULES
    )
