"""Functions of which more is known than that they only compute: builtins, and some of Python's library."""

from __future__ import annotations

import ast
import functools
import logging
import operator
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from .. import mapped
from ..bodies import parameters
from . import attributes, callbacks, computed, containers, known
from .builtin import Builtins
from .findings import Raised
from .values import (
    ANY,
    NONE,
    Args,
    Bound,
    Class,
    Completed,
    Function,
    GivesBack,
    Live,
    Made,
    Value,
    alternatives,
    text_in,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Special:
    """Answers for functions that are not to be read, on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in, self._builtins = interpreter, Builtins(interpreter)

    def of(self, value: Any, args: Args) -> Value | None:
        """Return what a function gives of which more is known; None if it is to be followed."""
        if not self._in.repeats and (result := computed.call(value, args)) is not None:
            return result
        place = known.place(value)
        told: Callable[[Special, Any, Args], Value | None] | None = _TOLD.get(place)
        found = told(self, value, args) if told is not None else self._of_a_kind(value, place, args)
        if found is not None:
            return found
        if known.is_builtin(value):
            return self._builtins.of(place[1], args)
        if known.is_impure(value):
            return self._in.calls.unknown(args)
        if mapped.makes_table(value):
            given = [one.object for one in args.every() if isinstance(one, Live)]
            self._in.notes.uses_all(args.every())
            self._in.notes.maps(
                tuple(mapped.metadata_of(value, given)), f"`{args.text}` is a table, and that"
            )
            return Made(Live(value), open=True, inert=True)
        if known.describes(value):
            self._in.notes.uses_all(args.every())
            for word in [one for one in known.CALLED_BACK if one in args.named]:
                self._in.call(args.named[word], Args((ANY, ANY), text=args.text))
            cls = known.given(value)
            return Made(Live(cls) if cls is not None else None, open=True, inert=True)
        if known.is_pure(value) and not (isinstance(value, type) and issubclass(value, App)):
            return None if self._is_template(value, args) else self._pure(value, args)
        return None

    def _is_template(self, value: Any, args: Args) -> bool:
        """Whether a method that is made to call others of its object is called on one of an own class."""
        if not isinstance(value, FunctionType) or value.__module__ not in known.TEMPLATES:
            return False
        return any(self._in.operators.has_own(attributes.class_of(one)) for one in alternatives(args.first))

    def _of_a_kind(self, value: Any, place: tuple[str, str], args: Args) -> Value | None:
        """Return what a function gives of a kind that does the same."""
        if place in known.GIVE_BACK:
            return self._decorates(place, args)
        if place in known.GIVE_DECORATOR:
            return GivesBack(marks=True, called_as=_wrapped(args, 0) if place[1] == "wraps" else None)
        if place in known.WRAP:
            return self._wrap(value, place[1], args)
        if place[1].endswith(".__new__") and place[0] in known.PURE_MODULES and _is_meta(args.first):
            return self._in.classes.make(args)
        return None

    def _decorates(self, place: tuple[str, str], args: Args) -> Value:
        """A decorator that marks what it is given; a dataclass has more than its body says."""
        if not args.positional:
            return (
                Live(sys.modules[place[0]].__dict__[place[1]]) if place in _MAKERS else GivesBack(marks=True)
            )
        self._in.calls.marked(args)
        if place[1] == "update_wrapper":
            attributes.name_after(args.first, _wrapped(args, 1))
        for one in alternatives(args.first):
            if isinstance(one, Class) and place in _MAKERS:
                one.members.update({"__dataclass_fields__": ANY, "": ANY})
        return args.first

    def _partial(self, value: Any, args: Args) -> Value | None:
        """`functools.partial`: what it makes calls its first argument with the others, and more."""
        if not args.positional:
            return None
        rest = replace(args, positional=args.positional[1:])
        return Made(Live(value), calls=Completed(args.first, rest), open=True)

    def _shared(self, _value: Any, args: Args) -> Value:
        """Something that shares what changes with what it was made of."""
        self._in.notes.uses_all(args.every())
        return ANY

    def _members(self, _value: Any, args: Args) -> Value:
        """`inspect.getmembers` reads all attributes."""
        self._in.notes.uses_all(args.every())
        self._in.operators.computed(args.first)
        self._in.operators.called_back(args.positional[1:], args.text)
        return ANY

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
        self._in.operators.given(args.every(), text=args.text)
        return containers.copied(args.first, deep=value.__name__ == "deepcopy")

    def _ordered(self, value: Any, args: Args) -> Value | None:
        """`collections.OrderedDict`: a dict."""
        found = self._builtins.of("dict", args)
        return Made(Live(value), items=found.items, rest=found.rest) if isinstance(found, Made) else None

    def _is_class(self, _value: Any, args: Args) -> Value | None:
        """`inspect.isclass`."""
        return self._builtins.of("isinstance", Args((args.first, Live(type)), text=args.text))

    def _import(self, _value: Any, args: Args) -> Value | None:
        """`__import__` of a module of a library that is loaded: of its package, if nothing is asked of it."""
        name, wanted = text_in(args.first), args.get(3, "fromlist")
        if not name or self._in.world.is_own(name) or args.more or args.get(4, "level") is not None:
            return None
        named = self._in.truth(wanted) if wanted is not None else False
        if name not in sys.modules:
            self._in.world.lacks(name)
        elif named is not None:
            return Live(sys.modules[name if named else name.partition(".")[0]])
        return None

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

    def _variable(self, _value: Any, args: Args) -> Value | None:
        """`os.getenv`: it only looks; what for is noted."""
        self._in.notes.looks_up(Live(known.environ()), args.first)
        return computed.variable(args.first, args.get(1, "default") or NONE)

    def _looked_up(self, _value: Any, args: Args) -> Value | None:
        """`os.environ.get`."""
        is_environ = isinstance(args.first, Live) and args.first.object is known.environ()
        rest = replace(args, positional=args.positional[1:])
        return self._variable(None, rest) if is_environ and rest.positional else None

    def _cast(self, _value: Any, args: Args) -> Value | None:
        return args.get(1, "val")

    def _origin(self, _value: Any, args: Args) -> Value | None:
        return NONE if isinstance(args.first, Function | Class) else None

    def _defaultdict(self, _value: Any, args: Args) -> Value:
        with self._in.repeating():
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

    def _dispatches(self, value: Any, args: Args) -> Value:
        """`functools.singledispatchmethod`: it keeps a registry of its own."""
        callbacks.asked(self._in, known.place(value), args, method=False)
        return Made(Live(value), open=True)

    def _register_method(self, _value: Any, args: Args) -> Value:
        """`@method.register`: the implementation goes into the registry of a `singledispatchmethod`."""
        this, rest = args.first, replace(args, positional=args.positional[1:])
        if isinstance(this, Live) and type(this.object) is functools.singledispatchmethod:
            return self._in.call(Live(this.object.dispatcher.register), rest)
        is_new = isinstance(this, Made) and this.kind is functools.singledispatchmethod
        if is_new and len(rest.positional) in (1, 2) and not (args.named or args.more):
            given = rest.positional[-1]
            if _is_function(given) and (len(rest.positional) == 2 or not _has_text_hints(given)):
                return given  # nobody else has that registry
            if _is_type(given) and len(rest.positional) == 1:
                return GivesBack()
        return self._in.calls.unknown(args)

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
        place, kind = known.place(value), value if isinstance(value, type) else None
        if isinstance(value, MethodType):  # `random.choice` is one of an object that nobody sees
            args = args.after(Live(value.__self__))
        callbacks.asked(self._in, place, args, method=kind is None and "." in place[1])
        return callbacks.given_back(self._in, place, args, kind)

    def _cached(self, value: Any, args: Args) -> Value:
        return Made(Live(value), fields={"fget": args.first}, open=True)

    def _field(self, _value: Any, args: Args) -> Value:
        """`dataclasses.field`."""
        return Made(None, fields=dict(args.named), open=True)


def _wrapped(args: Args, position: int) -> Value:
    """Return what `functools.wraps` takes a name from; ANY where it is told what to take."""
    rest = args.named.keys() - {"wrapped"}
    return (
        ANY if rest or args.more or args.positional[position + 1 :] else args.get(position, "wrapped") or ANY
    )


def _is_type(value: Value) -> bool:
    return isinstance(value, Class) or (isinstance(value, Live) and isinstance(value.object, type))


def _is_function(value: Value) -> bool:
    """Whether a value is a function that is made, or one in a `staticmethod` or `classmethod`."""
    return isinstance(_unwrapped(value), Function)


def _unwrapped(value: Value) -> Value | None:
    return value.calls if isinstance(value, Made) and value.kind in (staticmethod, classmethod) else value


def _has_text_hints(value: Value) -> bool:
    """Whether hints of a function have text in them, which is evaluated to tell what it is for."""
    function = _unwrapped(value)
    if not isinstance(function, Function) or isinstance(function.node, ast.Lambda):
        return True
    hints = [*(one.annotation for one in parameters(function.node.args)), function.node.returns]
    parts = (one for hint in hints if hint is not None for one in ast.walk(hint))
    return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in parts)


_MAKERS = {("dataclasses", "dataclass")}


def _is_meta(value: Value) -> bool:
    return isinstance(value, Live) and isinstance(value.object, type) and issubclass(value.object, type)


_TOLD: dict[tuple[str, str], Callable[[Special, Any, Args], Value | None]] = {
    ("builtins", "__import__"): Special._import,
    ("collections", "OrderedDict"): Special._ordered,
    ("collections", "defaultdict"): Special._defaultdict,
    ("_functools", "partial"): Special._partial,
    ("functools", "partial"): Special._partial,
    ("copy", "copy"): Special._copy,
    ("copy", "deepcopy"): Special._copy,
    ("_functools", "reduce"): Special._reduce,
    ("functools", "singledispatch.<locals>.register"): Special._register_implementation,
    ("functools", "singledispatchmethod"): Special._dispatches,
    ("functools", "singledispatchmethod.register"): Special._register_method,
    ("functools", "cached_property"): Special._cached,
    ("dataclasses", "field"): Special._field,
    ("inspect", "getmro"): Special._mro,
    ("inspect", "isclass"): Special._is_class,
    ("os", "getenv"): Special._variable,
    ("_collections_abc", "Mapping.get"): Special._looked_up,
    ("collections.abc", "Mapping.get"): Special._looked_up,
    ("inspect", "getmembers"): Special._members,
    ("inspect", "unwrap"): Special._shared,
    ("_decimal", "getcontext"): Special._shared,
    ("decimal", "getcontext"): Special._shared,
    ("os", "makedirs"): Special._folder,
    ("posix", "mkdir"): Special._folder,
    ("sys", "exit"): Special._exit,
    ("logging", "getLogger"): Special._logger,
    ("typing", "cast"): Special._cast,
    ("typing", "get_origin"): Special._origin,
    ("typing_extensions", "cast"): Special._cast,
}
