"""Python's builtin functions: what calling them does and gives."""

from __future__ import annotations

import builtins
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import attributes, containers, known, operators
from .findings import Raised
from .values import (
    ANY,
    NONE,
    Args,
    Bound,
    Class,
    Either,
    Function,
    Live,
    Made,
    Super,
    Value,
    alternatives,
    join,
    made,
    text_in,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Builtins:
    """Answers for the functions of `builtins`, on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter

    def shared(self, _name: str, args: Args) -> Value:
        """Something that shares what changes with what it was made of."""
        self._in.notes.uses_all(args.every())
        return ANY

    def of(self, name: str, args: Args) -> Value | None:
        """Return what a builtin gives; None if it is a class that is to be constructed."""
        told = _BUILTINS.get(name)
        found = told(self, name, args) if told is not None else None
        if found is not None:
            return found
        if name in known.PURE_BUILTINS or name.endswith(("Error", "Exception", "Warning", "Exit")):
            if name not in ("id", "object"):
                self._in.notes.uses_all(args.every())
                self._in.operators.given(args.every(), text=args.text)
            kind = Live(getattr(builtins, name, None))
            # in it may be what was given, and others: the numbers of a range
            rest = Either((*args.every(), Made(open=True))) if args.positional else None
            return Made(kind, rest=rest, open=True)
        return self._in.calls.unknown(args)

    def _set(self, name: str, args: Args) -> Value:
        """`setattr` and `delattr`."""
        attribute = text_in(args.get(1, ""))
        if name == "delattr" and attribute:
            self._in.stores.delete(args.first, attribute, args.text)
        else:
            self._in.stores.store(args.first, attribute, args.get(2, "") or ANY, args.text)
        return NONE

    def _super(self, _name: str, args: Args) -> Value:
        """`super` with arguments: without them, the expression tells."""
        return Super(args.first, args.positional[1]) if len(args.positional) > 1 else ANY

    def _property(self, _name: str, args: Args) -> Value:
        given = [(name, args.get(at, name)) for at, name in enumerate(("fget", "fset", "fdel"))]
        fields = {name: value for name, value in given if value is not None}
        return Made(Live(property), fields=fields, open=True)

    def _iterator(self, _name: str, args: Args) -> Value | None:
        """`iter` of what iterates; a function is called until it gives the other argument."""
        if len(args.positional) > 1:
            self._in.operators.called_back(args.positional[:1], args.text)
            return ANY
        own = self._in.operators.iterated(args.first)
        return args.first if own is None else made(list, [own])

    def _extreme(self, name: str, args: Args) -> Value:
        """`max` and `min`: one of the elements, or of the arguments."""
        several = self._with_function(name, args)
        found = [several.contents()] if isinstance(several, Made) else [ANY]
        return join([*found, *args.positional[1:], *args.positional[: len(args.positional) > 1]])

    def _pairs(self, name: str, args: Args) -> Value:
        """`enumerate` and `zip`."""
        sources = args.positional[:1] if name == "enumerate" else args.positional
        known = [self._in.sequence(one) for one in sources]
        whole = [one for one in known if one is not None]
        if args.more or len(whole) < len(known) or (name == "enumerate" and len(args.positional) > 1):
            columns = [self._in.elements(one) for one in sources]
            rows = [[ANY, *columns]] if name == "enumerate" else [columns]
            pair = made(tuple, [ANY]) if args.more else _row(rows[0])
            return made(list, [pair])
        if name == "enumerate":
            rows = [[Live(at), one] for at, one in enumerate(whole[0] if whole else [])]
        else:
            rows = [list(one) for one in zip(*whole, strict=False)]
        return Made(Live(list), items=dict(enumerate(map(_row, rows))))

    def _check(self, name: str, args: Args) -> Value | None:
        if len(args.positional) > 1:
            hook = "__instancecheck__" if name == "isinstance" else "__subclasscheck__"
            for one in (args.positional[1], *self._in.operators.inside(args.positional[1])):
                self._in.operators.ask(one, hook, args.first, text=args.text)
                for cls in alternatives(one):
                    if (asked := self._in.operators.member(cls, "__subclasshook__")) is not None:
                        self._in.operators.call_class(asked, cls, ANY)
        return _checked(name, args.first, args.positional[1]) if len(args.positional) > 1 else None

    def _callable(self, _name: str, args: Args) -> Value:
        if isinstance(args.first, Function | Class | Bound):
            return Live(True)
        return Live(callable(args.first.object)) if isinstance(args.first, Live) else ANY

    def _type(self, _name: str, args: Args) -> Value:
        if len(args.positional) == 1 and isinstance(args.first, Made):
            return args.first.cls or ANY
        if len(args.positional) == 1 and isinstance(args.first, Live):
            return Live(type(args.first.object))
        return self._in.classes.make(args)

    def _namespace(self, _name: str, args: Args) -> Value:
        self._in.notes.attributes.add("__dict__")
        return Made(open=True) if isinstance(args.first, Made) else ANY

    def _open(self, _name: str, args: Args) -> Value | None:
        """A file that is opened to be read."""
        mode = args.get(1, "mode")
        if mode is not None and not (text_in(mode) and set(text_in(mode)) <= set("rbt")):
            return None
        return Made(open=True, inert=True)

    def _next(self, _name: str, args: Args) -> Value | None:
        own = self._in.operators.ask(args.first, "__next__", text=args.text)
        if not isinstance(args.first, Live):
            return join([own or self._in.elements(args.first), *args.positional[1:]])
        self._in.notes.change(args.first, "next", args.text)
        return ANY

    def _any(self, name: str, args: Args) -> Value | None:
        """`any` and `all` of what is known one by one."""
        known = self._in.sequence(args.first)
        answers = {self._in.truth(one) for one in known} if known is not None else {None}
        wanted = name == "any"
        if wanted in answers:
            return Live(wanted)
        return Live(not wanted) if None not in answers else None

    def _attribute(self, name: str, args: Args) -> Value | None:
        """`getattr` and `hasattr`: whether there is such an attribute may be known."""
        if len(args.positional) < 2:
            return None
        owner, attribute = args.first, text_in(args.positional[1])
        self._asked(owner, attribute)
        there = (
            {self._in.expressions.has(one, attribute) for one in alternatives(owner)} if attribute else {None}
        )
        if name == "hasattr":
            return Live(there.pop()) if len(there) == 1 and None not in there else ANY
        if there == {False} and len(args.positional) > 2:
            return args.positional[2]
        found = self._in.expressions.read(owner, attribute, args.text)
        return found if there == {True} else join([found, *args.positional[2:]])

    def _asked(self, owner: Value, attribute: str) -> None:
        """Whether there is an attribute is read, too."""
        self._in.notes.uses(owner, attribute)
        for one in alternatives(owner):
            module = one.object if isinstance(one, Live) else None
            if isinstance(module, ModuleType) and self._in.world.is_own(module.__name__):
                self._in.notes.names.add((module.__name__, attribute))

    def _with_function(self, name: str, args: Args) -> Value:
        function = (
            args.positional[0] if name in ("map", "filter") and args.positional else args.named.get("key")
        )
        sources = args.positional[1:] if name in ("map", "filter") else args.positional
        elements = join([self._in.elements(one) for one in sources]) if sources else ANY
        result: Value = ANY
        if name in ("sorted", "max", "min"):
            self._in.operators.given([elements, *sources], operators.COMPARING, text=args.text)
        if function is not None and truthy_callable(function):
            given = tuple(map(self._in.elements, sources)) if name == "map" else (elements,)
            with self._in.repeating():
                result = self._in.call(function, Args(given, more=args.more, text=args.text))
        return made(list, [result if name == "map" else elements])

    def _container(self, name: str, args: Args) -> Value:
        for one in args.positional:
            self._in.operators.ask_all(one, ("__reversed__",) if name == "reversed" else ("keys",))
        if name in ("set", "frozenset", "dict") and args.positional:
            self._in.operators.hashed(self._in.elements(args.first))
        known = self._known(name, args)
        if known is not None:
            return known
        inside = [self._in.elements(one) for one in args.positional] + list(args.named.values())
        value = made(_KINDS.get(name, list), inside)
        if name == "dict":
            value.items.update(args.named)
        return value

    def _known(self, name: str, args: Args) -> Value | None:
        """Return a list, tuple, set or dict of what is known one by one; None if something is not."""
        if (
            name not in ("list", "tuple", "set", "frozenset", "dict", "reversed")
            or len(args.positional) > 1
            or args.more
        ):
            return None
        if name == "dict" and isinstance(args.first, Made) and args.first.kind is dict:
            copied: dict[object, Value] = {**args.first.items}
            copied.update(args.named)
            return Made(args.first.cls, items=copied, rest=args.first.rest)
        inside = self._in.sequence(args.first) if args.positional else []
        if inside is None or name != "dict":
            known = inside if inside is None or name != "reversed" else inside[::-1]
            kind = Live(_KINDS.get(name, list))
            return None if known is None else Made(kind, items=dict(enumerate(known)))
        pairs = [self._in.sequence(one) for one in inside]
        result = Made(Live(dict), items=dict(args.named.items()))
        for pair in pairs:
            if pair is None or len(pair) != 2:  # a key and a value
                return None
            containers.put(result, *pair)
        return result


def _row(values: list[Value]) -> Made:
    return Made(Live(tuple), items=dict(enumerate(values)))


_KINDS: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}


def truthy_callable(value: Value) -> bool:
    """Whether a value may be called at all."""
    return not (isinstance(value, Live) and value.object is None)


def _is_asked_safely(cls: Any) -> bool:
    """Whether asking for the instances of a class runs nobody's code."""
    if type(cls) is type or getattr(cls, "__module__", "") == "collections.abc":
        return True
    hooks = [vars(one)["__subclasshook__"] for one in cls.__mro__ if "__subclasshook__" in vars(one)]
    return type(cls) is ABCMeta and len(hooks) == 1  # that of `object`


def _checked(name: str, value: Value, kinds: Value) -> Value:
    """Return what `isinstance` or `issubclass` gives, where that is certain.

    Raises:
        Raised: `issubclass` is asked of what certainly is no class.
    """
    wanted = [kinds]
    if isinstance(kinds, Made) and kinds.rest is None and kinds.kind is tuple:
        wanted = list(kinds.items.values())
    elif isinstance(kinds, Live) and isinstance(kinds.object, tuple):
        wanted = list(map(Live, kinds.object))
    # `typing.Mapping` stands for the class of that name
    plain = [getattr(one.object, "__origin__", one.object) for one in wanted if isinstance(one, Live)]
    types = tuple(one for one in plain if isinstance(one, type) and _is_asked_safely(one))
    if len(types) != len(wanted):
        return ANY
    answers = {_is_one(name, one, types) for one in alternatives(value)}
    return ANY if len(answers) > 1 or None in answers else Live(answers.pop())


def _is_one(name: str, value: Value, types: tuple[type, ...]) -> bool | None:
    cls = value if name == "issubclass" else attributes.class_of(value)
    if name == "issubclass" and _is_no_class(value):
        raise Raised
    if isinstance(cls, Live) and isinstance(cls.object, type):
        return issubclass(cls.object, types)
    if isinstance(value, Class) and name == "isinstance" and {type, object} & set(types):
        return True
    if not isinstance(cls, Class):
        return None
    above = [_is_one("issubclass", base, types) for base in cls.bases]
    return True if True in above else None if None in above else object in types


def _is_no_class(value: Value) -> bool:
    if isinstance(value, Live):
        return not isinstance(value.object, type)
    kind = value.kind if isinstance(value, Made) else None
    return isinstance(value, Function | Bound) or (isinstance(kind, type) and not issubclass(kind, type))


_BUILTINS: dict[str, Callable[[Builtins, str, Args], Value | None]] = {
    **dict.fromkeys(("getattr", "hasattr"), Builtins._attribute),
    **dict.fromkeys(("setattr", "delattr"), Builtins._set),
    **dict.fromkeys(("isinstance", "issubclass"), Builtins._check),
    **dict.fromkeys(("vars", "globals", "locals"), Builtins._namespace),
    **dict.fromkeys(("map", "filter", "sorted"), Builtins._with_function),
    **dict.fromkeys(("max", "min"), Builtins._extreme),
    **dict.fromkeys(("enumerate", "zip"), Builtins._pairs),
    **dict.fromkeys(
        ("list", "tuple", "set", "frozenset", "dict", "bytearray", "reversed"), Builtins._container
    ),
    **dict.fromkeys(("memoryview", "anext", "aiter"), Builtins.shared),
    **dict.fromkeys(("any", "all"), Builtins._any),
    "callable": Builtins._callable,
    "iter": Builtins._iterator,
    "next": Builtins._next,
    "open": Builtins._open,
    "property": Builtins._property,
    "super": Builtins._super,
    "type": Builtins._type,
}
