"""Functions of which more is known than that they only compute: builtins, and some of Python's library."""

from __future__ import annotations

import builtins
import functools
import logging
import operator
import os
from abc import ABCMeta
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from . import attributes, containers, known
from .findings import Raised
from .values import (
    ANY,
    NONE,
    Args,
    Bound,
    Class,
    Function,
    GivesBack,
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


class Special:
    """Answers for functions that are not to be read, on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter

    def of(self, value: Any, args: Args) -> Value | None:
        """Return what a function gives of which more is known; None if it is to be followed."""
        place = known.place(value)
        told: Callable[[Special, Any, Args], Value | None] | None = _TOLD.get(place)
        found = told(self, value, args) if told is not None else self._of_a_kind(value, place, args)
        if found is not None:
            return found
        if known.is_builtin(value):
            return self._builtin(place[1], args)
        if known.is_impure(value):
            return self._in.calls.unknown(args)
        if known.describes(value):
            self._in.notes.uses_all(args.every())
            cls = known.given(value)
            return Made(Live(cls) if cls is not None else None, open=True, inert=True)
        if known.is_pure(value) and not (isinstance(value, type) and issubclass(value, App)):
            return self._pure(value, args)
        return None

    def _of_a_kind(self, value: Any, place: tuple[str, str], args: Args) -> Value | None:
        """Return what a function gives of a kind that does the same."""
        if place in known.GIVE_BACK:
            return args.positional[0] if args.positional else GivesBack()
        if place in known.GIVE_DECORATOR:
            return GivesBack()
        if place in known.WRAP:
            return self._wrap(value, place[1], args)
        if place[1].endswith(".__new__") and place[0] in known.PURE_MODULES and _is_meta(args.first):
            return self._in.classes.make(args)
        return None

    def _wrap(self, value: Any, name: str, args: Args) -> Value | None:
        """Something that calls what it is given: a memo may be given its size first."""
        first, sized = args.first, name == "lru_cache"
        if not args.positional and not (sized or name == "cache"):
            return None
        is_known = isinstance(first, Function | Class | Made)
        if sized and not (is_known or (isinstance(first, Live) and callable(first.object))):
            return Made(calls=Live(functools.cache))
        return Made(Live(value) if isinstance(value, type) else None, calls=first, open=True)

    def _logger(self, _value: Any, args: Args) -> Value:
        """Return the logger of a name: the same at each call."""
        name = text_in(args.first)
        found = logging.root.manager.loggerDict.get(name) if args.positional else logging.getLogger()
        return Live(found) if isinstance(found, logging.Logger) else Made(Live(logging.Logger), open=True)

    def _copy(self, value: Any, args: Args) -> Value:
        self._in.notes.uses_all(args.every())
        return containers.copied(args.first, deep=value.__name__ == "deepcopy")

    def _mro(self, _value: Any, args: Args) -> Value:
        return self._in.expressions.read(args.first, "__mro__", args.text)

    def _reduce(self, _value: Any, args: Args) -> Value | None:
        """`functools.reduce`, of what adds up."""
        adds = isinstance(args.first, Live) and args.first.object in (operator.add, operator.iadd)
        known = self._in.sequence(args.positional[1]) if adds and len(args.positional) > 1 else None
        if known is None or not (known or args.positional[2:]):
            return None
        return functools.reduce(containers.plus, [*args.positional[2:], *known])

    def _exit(self, _value: Any, _args: Args) -> Value:
        raise Raised

    def _folder(self, value: Any, args: Args) -> Value | None:
        """`os.makedirs` and `os.mkdir` of a folder that is there do nothing, or raise."""
        path = args.first.object if isinstance(args.first, Live) else None
        if not (isinstance(path, str) and os.path.isdir(path)):  # noqa: PTH112  # asked as they ask
            return None
        kept = args.get(2, "exist_ok") if value.__name__ == "makedirs" else None
        if kept is None or self._in.truth(kept) is False:
            raise Raised
        return NONE

    def _variable(self, _value: Any, args: Args) -> None:
        """`os.getenv`: it only looks; what for is noted."""
        self._in.notes.looks_up(Live(known.environ()), args.first)

    def _cast(self, _value: Any, args: Args) -> Value | None:
        return args.get(1, "val")

    def _origin(self, _value: Any, args: Args) -> Value | None:
        return NONE if isinstance(args.first, Function | Class) else None

    def _defaultdict(self, _value: Any, args: Args) -> Value:
        rest = self._in.call(args.first, Args(text=args.text)) if args.positional else None
        return Made(Live(dict), rest=rest)

    def _register_implementation(self, register: FunctionType, args: Args) -> Value:
        """`@f.register`: the implementation goes into the registry of a `singledispatch` function."""
        cells = dict(zip(register.__code__.co_freevars, register.__closure__ or (), strict=True))
        implementation = args.positional[-1] if args.positional else ANY
        if not isinstance(implementation, Function) and not (
            isinstance(implementation, Live) and isinstance(implementation.object, FunctionType)
        ):
            return Bound(Live(register), implementation)  # `@f.register(int)`: called with the function next
        entry = Args((self._dispatched_on(args, implementation), implementation), text=args.text)
        self._in.notes.change(Live(cells["registry"].cell_contents), "__setitem__", args.text, entry)
        self._in.notes.memo(cells["dispatch_cache"].cell_contents)
        return implementation

    def _dispatched_on(self, args: Args, implementation: Value) -> Value:
        """Return the class that an implementation is for: it is given, or the hint of its first parameter."""
        if len(args.positional) > 1:
            return args.positional[0]
        node = implementation.node if isinstance(implementation, Function) else None
        hint = node.args.args[0].annotation if node is not None and node.args.args else None
        return (
            self._in.value(hint, implementation.scope)
            if hint and isinstance(implementation, Function)
            else ANY
        )

    def _pure(self, value: Any, args: Args) -> Value:
        self._in.notes.uses_all(args.every())
        every = list(args.every())
        rest = join(every) if every else None
        return Made(Live(value) if isinstance(value, type) else None, rest=rest, open=True)

    def _builtin(self, name: str, args: Args) -> Value | None:
        """Return what a builtin gives; None if it is a class that is to be constructed."""
        told = _BUILTINS.get(name)
        found = told(self, name, args) if told is not None else None
        if found is not None:
            return found
        if name in known.PURE_BUILTINS or name.endswith(("Error", "Exception", "Warning", "Exit")):
            if name not in ("id", "object", "property"):
                self._in.notes.uses_all(args.every())
            kind = Live(getattr(builtins, name, None))
            return Made(kind, rest=join([*args.every()]) if args.positional else None, open=True)
        return self._in.calls.unknown(args)

    def _set(self, _name: str, args: Args) -> Value:
        """`setattr` and `delattr`."""
        self._in.stores.store(args.first, text_in(args.get(1, "")), args.get(2, "") or ANY, args.text)
        return NONE

    def _super(self, _name: str, args: Args) -> Value:
        """`super` with arguments: without them, the expression tells."""
        return Super(args.first, args.positional[1]) if len(args.positional) > 1 else ANY

    def _check(self, name: str, args: Args) -> Value | None:
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
        return Made(open=True) if isinstance(args.first, Made) else ANY

    def _open(self, _name: str, args: Args) -> Value | None:
        """A file that is opened to be read."""
        mode = args.get(1, "mode")
        if mode is not None and not (text_in(mode) and set(text_in(mode)) <= set("rbt")):
            return None
        return Made(open=True, inert=True)

    def _next(self, _name: str, args: Args) -> Value | None:
        if not isinstance(args.first, Live):
            return None
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

    def _iter(self, _name: str, args: Args) -> Value:
        return args.first

    def _attribute(self, name: str, args: Args) -> Value | None:
        """`getattr` and `hasattr`: whether there is such an attribute may be known."""
        if len(args.positional) < 2:
            return None
        owner, attribute = args.first, text_in(args.positional[1])
        there = (
            {self._in.expressions.has(one, attribute) for one in alternatives(owner)} if attribute else {None}
        )
        if name == "hasattr":
            return Live(there.pop()) if len(there) == 1 and None not in there else ANY
        if there == {False} and len(args.positional) > 2:
            return args.positional[2]
        found = self._in.expressions.read(owner, attribute, args.text)
        return found if there == {True} else join([found, *args.positional[2:]])

    def _with_function(self, name: str, args: Args) -> Value:
        function = (
            args.positional[0] if name in ("map", "filter") and args.positional else args.named.get("key")
        )
        sources = args.positional[1:] if name in ("map", "filter") else args.positional
        elements = join([self._in.elements(one) for one in sources]) if sources else ANY
        result: Value = ANY
        if function is not None and truthy_callable(function):
            result = self._in.call(function, Args((elements,), text=args.text))
        return made(list, [result if name == "map" else elements])

    def _container(self, name: str, args: Args) -> Value:
        known = self._known(name, args)
        if known is not None:
            return known
        inside = [self._in.elements(one) for one in args.positional] + list(args.named.values())
        value = made(_KINDS.get(name, list), inside)
        if name == "dict":
            value.items.update(args.named)
        return value

    def _known(self, name: str, args: Args) -> Value | None:
        """Return a list, tuple or dict of what is known one by one; None if something is not."""
        if name not in ("list", "tuple", "dict") or len(args.positional) > 1 or args.more:
            return None
        if name == "dict" and isinstance(args.first, Made) and args.first.kind is dict:
            copied: dict[object, Value] = {**args.first.items}
            copied.update(args.named)
            return Made(args.first.cls, items=copied, rest=args.first.rest)
        inside = self._in.sequence(args.first) if args.positional else []
        if inside is None or name != "dict":
            return None if inside is None else Made(Live(_KINDS[name]), items=dict(enumerate(inside)))
        pairs = [self._in.sequence(one) for one in inside]
        result = Made(Live(dict), items=dict(args.named.items()))
        for pair in pairs:
            if pair is None or len(pair) != 2:  # a key and a value
                return None
            containers.put(result, *pair)
        return result


_KINDS: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}


def truthy_callable(value: Value) -> bool:
    """Whether a value may be called at all."""
    return not (isinstance(value, Live) and value.object is None)


def _is_meta(value: Value) -> bool:
    return isinstance(value, Live) and isinstance(value.object, type) and issubclass(value.object, type)


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


_TOLD: dict[tuple[str, str], Callable[[Special, Any, Args], Value | None]] = {
    ("collections", "defaultdict"): Special._defaultdict,
    ("copy", "copy"): Special._copy,
    ("copy", "deepcopy"): Special._copy,
    ("_functools", "reduce"): Special._reduce,
    ("functools", "singledispatch.<locals>.register"): Special._register_implementation,
    ("inspect", "getmro"): Special._mro,
    ("os", "getenv"): Special._variable,
    ("os", "makedirs"): Special._folder,
    ("posix", "mkdir"): Special._folder,
    ("sys", "exit"): Special._exit,
    ("logging", "getLogger"): Special._logger,
    ("typing", "cast"): Special._cast,
    ("typing", "get_origin"): Special._origin,
    ("typing_extensions", "cast"): Special._cast,
}
_BUILTINS: dict[str, Callable[[Special, str, Args], Value | None]] = {
    **dict.fromkeys(("getattr", "hasattr"), Special._attribute),
    **dict.fromkeys(("setattr", "delattr"), Special._set),
    **dict.fromkeys(("isinstance", "issubclass"), Special._check),
    **dict.fromkeys(("vars", "globals", "locals"), Special._namespace),
    **dict.fromkeys(("map", "filter", "sorted", "max", "min"), Special._with_function),
    **dict.fromkeys(
        ("list", "tuple", "set", "frozenset", "dict", "bytearray", "enumerate", "zip", "reversed"),
        Special._container,
    ),
    **dict.fromkeys(("any", "all"), Special._any),
    "callable": Special._callable,
    "iter": Special._iter,
    "next": Special._next,
    "open": Special._open,
    "super": Special._super,
    "type": Special._type,
}
