"""What a call does and gives, told from the definition of what is called.

Functions are followed into their definitions, those of libraries, too; the ends are what is known
(`known.py`), and what nobody can read. A call that is under way already adds nothing new.
"""

from __future__ import annotations

import ast
import collections
import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from flask.config import Config
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from .. import configs, registrations
from . import attributes, containers, known
from .values import (
    ANY,
    NONE,
    Bound,
    Class,
    Either,
    Function,
    GivesBack,
    Live,
    Made,
    Scope,
    Super,
    Value,
    alternatives,
    join,
    made,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter

_C_FUNCTIONS = (
    BuiltinFunctionType,
    MethodDescriptorType,
    WrapperDescriptorType,
    MethodWrapperType,
    ClassMethodDescriptorType,
)


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


class Calls:
    """Calls values on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter
        self._active: set[object] = set()

    def call(self, value: Value, args: Args) -> Value:
        """Return what calling a value gives; its effects are noted."""
        return join([self._call(one, args) for one in alternatives(value)])

    def _call(self, value: Value, args: Args) -> Value:
        if isinstance(value, Live):
            return self._live(value.object, args)
        if isinstance(value, Function):
            return self._run(value, args)
        if isinstance(value, Bound):
            return self._method(value, args)
        if isinstance(value, Class):
            return self._instance(Made(value), value, args)
        if isinstance(value, GivesBack):
            return args.positional[0] if args.positional else ANY
        if isinstance(value, Made):
            return self._made(value, args)
        return self.unknown(args)

    def unknown(self, args: Args) -> Value:
        """Note that nobody knows what a call does."""
        self._in.note_unknown(f"what calling `{args.text}` does can't be told")
        return ANY

    def _made(self, value: Made, args: Args) -> Value:
        if value.calls is not None:
            return self.call(value.calls, args)
        member = attributes.find(value.cls, "__call__") if value.cls is not None else None
        return self.call(Bound(member.raw, value), args) if member is not None else self.unknown(args)

    # methods

    def _method(self, bound: Bound, args: Args) -> Value:
        function, this = bound.function, bound.this
        if isinstance(function, Live):
            raw = function.object
            registered = self._registers(raw, this, args)
            if registered is not None:
                return registered
            if isinstance(this, Live) and isinstance(this.object, Config):
                return self._of_config(this, str(getattr(raw, "__name__", "")), args)
            if isinstance(raw, _C_FUNCTIONS):
                return self._c_method(raw, this, args)
            if raw in known.log_methods():
                return NONE
        return self.call(function, args.after(this))

    def _registers(self, raw: Any, this: Value, args: Args) -> Value | None:
        """Return what one of Flask's set-up methods gives, if it is one: they are written down, not followed."""
        owner = this.object if isinstance(this, Live) else None
        if isinstance(this, Made) and isinstance(this.cls, Live) and isinstance(this.cls.object, type):
            is_target = issubclass(this.cls.object, Blueprint)
        else:
            is_target = issubclass(type(owner), App | Blueprint)
        name = getattr(raw, "__name__", "")
        if not is_target or not getattr(raw, "__module__", "").startswith("flask."):
            return None
        if name == "as_view" or name not in registrations.DECORATORS | registrations.CALLS:
            return None
        self._in.note_registers()
        if name in registrations.PLAIN_DECORATORS and args.positional:
            return args.positional[0]
        return GivesBack() if name in registrations.DECORATORS else NONE

    def _of_config(self, this: Live, name: str, args: Args) -> Value:
        """A method of an app's configuration: what is written is noted by the config itself."""
        if name in configs.WRITERS:
            self._in.note_config(this.object, name, args)
            return ANY if name in ("pop", "popitem", "setdefault") else Live(True)
        key = args.get(0, "key")
        found = containers.item(this, key) if key is not None else Made(open=True)
        return join([found, *args.positional[1:2]]) if name == "get" else found

    def _c_method(self, raw: Any, this: Value, args: Args) -> Value:
        """A method without a source: of a builtin container or value, or unknown."""
        name = raw.__name__
        if name == "__init__" and getattr(raw, "__objclass__", None) is object:
            return NONE
        owner = getattr(raw, "__objclass__", None) or type(getattr(raw, "__self__", None))
        if owner in containers.TYPES:
            return containers.method(self._in, this, name, args)
        if owner in (object, type) or issubclass(owner, BaseException):
            return self._of_object(raw, this, args)
        if known.is_pure(raw) or owner.__module__ in known.PURE_MODULES:
            if name in known.IMPURE_METHODS:
                return self.unknown(args)
            if not isinstance(this, Made) and name in containers.CHANGERS:
                self._in.note_change(this, name, args.text)
            return Made(open=True)
        return self.unknown(args)

    def _of_object(self, raw: Any, this: Value, args: Args) -> Value:
        name = raw.__name__
        if name in ("__setattr__", "__delattr__"):
            self._in.store(this, _constant_text(args.get(0, "")), args.get(1, "") or ANY, args.text)
            return NONE
        if name == "__new__":
            first = args.positional[0] if args.positional else ANY
            if isinstance(first, Live) and isinstance(first.object, type) and issubclass(first.object, type):
                return self._in.make_class(args)
            return Made(first if isinstance(first, Live | Class) else None)
        if name == "__call__" and isinstance(this, Live) and isinstance(this.object, type):
            return self._construct(this.object, args, called=False)  # super().__call__(...) in a metaclass
        if name in ("__init__", "__init_subclass__", "with_traceback", "add_note"):
            return NONE
        return Made(open=True)

    # live callables

    def _live(self, value: Any, args: Args) -> Value:
        if value is None:
            return NONE  # it raises, and what was done is undone
        special = self._special(value, args)
        if special is not None:
            return special
        if isinstance(value, type):
            return self._construct(value, args)
        if isinstance(value, FunctionType):
            return self._follow(value, args)
        if isinstance(value, MethodType):
            return self._method(Bound(Live(value.__func__), Live(value.__self__)), args)
        if isinstance(value, functools.partial):
            given = tuple(map(Live, value.args))
            named = {**{k: Live(v) for k, v in value.keywords.items()}, **args.named}
            more = replace(args, positional=(*given, *args.positional), named=named)
            return self._live(value.func, more)
        if isinstance(value, _C_FUNCTIONS):
            return self._c_function(value, args)
        wrapped = getattr(value, "__wrapped__", None) if type(value).__module__ == "functools" else None
        if wrapped is not None:
            return self._live(wrapped, args)
        member = attributes.find(Live(type(value)), "__call__")
        if member is None or not isinstance(member.raw, Live | Function):
            return self.unknown(args)
        return self._method(Bound(member.raw, Live(value)), args)

    def _c_function(self, value: Any, args: Args) -> Value:
        owner = getattr(value, "__self__", None)
        if owner is not None and type(owner) in containers.TYPES:
            return containers.method(self._in, Live(owner), value.__name__, args)
        if isinstance(value, MethodDescriptorType | WrapperDescriptorType) and args.positional:
            return self._c_method(value, args.positional[0], replace(args, positional=args.positional[1:]))
        if known.is_pure(value):
            return Made(open=True, rest=join(args.every()) if any(True for _ in args.every()) else None)
        return self.unknown(args)

    def _special(self, value: Any, args: Args) -> Value | None:
        """Return what a function gives of which more is known than that it only computes."""
        where, name = known.place(value)
        first = args.positional[0] if args.positional else ANY
        is_meta = (
            isinstance(first, Live) and isinstance(first.object, type) and issubclass(first.object, type)
        )
        if name.endswith(".__new__") and where in known.PURE_MODULES and is_meta:
            return self._in.make_class(args)
        if (where, name) in known.GIVE_BACK:
            return args.positional[0] if args.positional else GivesBack()
        if (where, name) == ("logging", "getLogger"):
            return _logger(args)
        if (where, name) in (("copy", "copy"), ("copy", "deepcopy")):
            return containers.copied(first, deep=name == "deepcopy")
        if (where, name) in (("typing", "cast"), ("typing_extensions", "cast")) and len(args.positional) > 1:
            return args.positional[1]
        if (where, name) == ("functools", "singledispatch.<locals>.register"):
            return self._register_implementation(value, args)
        if (where, name) == ("typing", "get_origin") and isinstance(first, Function | Class):
            return NONE
        if value is collections.defaultdict:
            return Made(Live(dict), rest=self.call(first, Args(text=args.text)) if args.positional else None)
        if (where, name) in known.GIVE_DECORATOR:
            return GivesBack()
        if (where, name) in known.WRAP and (args.positional or name in ("lru_cache", "cache")):
            is_known = isinstance(first, Function | Class | Made)
            if name == "lru_cache" and not (is_known or (isinstance(first, Live) and callable(first.object))):
                return Made(calls=Live(functools.cache))
            return Made(Live(value) if isinstance(value, type) else None, calls=first, open=True)
        if known.is_builtin(value):
            return self._builtin(name, args)
        if known.is_impure(value):
            return self.unknown(args)
        if known.is_pure(value) and not (isinstance(value, type) and issubclass(value, App)):
            return self._pure(value, args)
        return None

    def _register_implementation(self, register: FunctionType, args: Args) -> Value:
        """`@f.register`: the implementation goes into the registry of a `singledispatch` function."""
        cells = dict(zip(register.__code__.co_freevars, register.__closure__ or (), strict=True))
        implementation = args.positional[-1] if args.positional else ANY
        if not isinstance(implementation, Function) and not (
            isinstance(implementation, Live) and isinstance(implementation.object, FunctionType)
        ):
            return Bound(Live(register), implementation)  # `@f.register(int)`: called with the function next
        entry = Args((ANY, implementation), text=args.text)
        self._in.note_change(Live(cells["registry"].cell_contents), "__setitem__", args.text, entry)
        self._in.note_memo(cells["dispatch_cache"].cell_contents)
        return implementation

    def _pure(self, value: Any, args: Args) -> Value:
        every = list(args.every())
        rest = join(every) if every else None
        return Made(Live(value) if isinstance(value, type) else None, rest=rest, open=True)

    def _builtin(self, name: str, args: Args) -> Value | None:
        """Return what a builtin gives of which more is known; None if it is to be judged as a class or unknown."""
        first = args.positional[0] if args.positional else ANY
        if name in ("getattr", "hasattr") and len(args.positional) > 1:
            return self._attribute(name, first, _constant_text(args.positional[1]), args)
        if name in ("setattr", "delattr"):
            self._in.store(first, _constant_text(args.get(1, "")), args.get(2, "") or ANY, args.text)
            return NONE
        if name == "super":  # without arguments, the interpreter knows
            return Super(first, args.positional[1]) if len(args.positional) > 1 else ANY
        if name in ("isinstance", "issubclass") and len(args.positional) > 1:
            return _checked(name, first, args.positional[1])
        if name == "callable":
            return Live(True) if isinstance(first, Function | Class | Bound) else _asked(callable, first)
        if name == "type" and len(args.positional) == 1 and isinstance(first, Made):
            return first.cls or ANY
        if name == "type" and len(args.positional) == 1 and isinstance(first, Live):
            return Live(type(first.object))
        if name == "type":
            return self._in.make_class(args)
        if name in ("vars", "globals", "locals"):
            return Made(open=True) if isinstance(first, Made) else ANY
        if name == "next" and isinstance(first, Live):
            self._in.note_change(first, "next", args.text)
            return ANY
        if name == "iter":
            return first
        if name in ("map", "filter", "sorted", "max", "min"):
            return self._with_function(name, args)
        if name in ("list", "tuple", "set", "frozenset", "dict", "bytearray", "enumerate", "zip", "reversed"):
            return self._container(name, args)
        if name in known.PURE_BUILTINS or name.endswith(("Error", "Exception", "Warning", "Exit")):
            return Made(
                Live(getattr(__import__("builtins"), name, None)),
                rest=join([*args.every()]) if args.positional else None,
                open=True,
            )
        return self.unknown(args)

    def _attribute(self, name: str, owner: Value, attribute: str, args: Args) -> Value:
        """`getattr` and `hasattr`: whether there is such an attribute may be known."""
        there = {attributes.has(one, attribute) for one in alternatives(owner)} if attribute else {None}
        if name == "hasattr":
            return Live(there.pop()) if len(there) == 1 and None not in there else ANY
        if there == {False} and len(args.positional) > 2:
            return args.positional[2]
        found = self._in.read(owner, attribute, args.text)
        return found if there == {True} else join([found, *args.positional[2:]])

    def _with_function(self, name: str, args: Args) -> Value:
        function = (
            args.positional[0] if name in ("map", "filter") and args.positional else args.named.get("key")
        )
        sources = args.positional[1:] if name in ("map", "filter") else args.positional
        elements = join([containers.elements(one) for one in sources]) if sources else ANY
        result: Value = ANY
        if function is not None and truthy_callable(function):
            result = self.call(function, Args((elements,), text=args.text))
        return made(list, [result if name == "map" else elements])

    def _container(self, name: str, args: Args) -> Value:
        kinds = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}
        inside = [containers.elements(one) for one in args.positional] + list(args.named.values())
        value = made(kinds.get(name, list), inside)
        if name == "dict":
            value.items.update(args.named)
        return value

    # functions with a source

    def _follow(self, function: FunctionType, args: Args) -> Value:
        found = self._in.function_of(function)
        return self._run(found, args) if found is not None else self._without_source(function, args)

    def _without_source(self, function: FunctionType, args: Args) -> Value:
        generated = function.__code__.co_filename.startswith("<")
        owner = args.positional[0] if args.positional else ANY
        if generated and function.__name__ == "__init__" and isinstance(owner, Made):
            return self._generated_init(function, owner, args)
        if generated and function.__name__ in ("__new__", "__repr__", "__eq__", "__hash__", "_make"):
            return Made(owner if isinstance(owner, Live) else None, open=True)
        return self.unknown(args)

    def _generated_init(self, function: FunctionType, this: Made, args: Args) -> Value:
        """What `dataclasses` wrote: it stores its arguments, calls factories, and `__post_init__`."""
        names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        this.fields.update(zip(names, args.positional[1:], strict=False))
        this.fields.update(args.named)
        this.open = True
        member = attributes.find(this.cls, "__dataclass_fields__") if this.cls is not None else None
        if member is None or not isinstance(member.raw, Live):
            return self.unknown(args)
        for one in member.raw.object.values():
            if one.name not in this.fields and callable(one.default_factory):
                this.fields[one.name] = self._live(one.default_factory, Args(text=args.text))
        after = attributes.find(this.cls, "__post_init__") if this.cls is not None else None
        if after is not None:
            self.call(Bound(after.raw, this), Args(text=args.text))
        return NONE

    def _run(self, function: Function, args: Args) -> Value:
        node = function.node
        if isinstance(node, ast.AsyncFunctionDef):
            return Made(open=True)  # a coroutine: calling it runs nothing
        mark = (id(node), *(_kind(one) for one in args.every()))
        if mark in self._active:
            return ANY
        self._active.add(mark)
        try:
            return self._in.run(function, self._bind(function, args), args)
        finally:
            self._active.discard(mark)

    def _bind(self, function: Function, args: Args) -> Scope:
        """Return the scope of a call: parameters with what they are given."""
        spec = function.node.args
        scope = function.scope.inner()
        scope.owner = function.owner
        given = list(args.positional)
        scope.this = given[0] if given else None
        for one in (*spec.posonlyargs, *spec.args):
            if given:
                scope.names[one.arg] = given.pop(0)
            else:
                scope.names[one.arg] = self._given(function, one.arg, args)
        for one in spec.kwonlyargs:
            scope.names[one.arg] = self._given(function, one.arg, args)
        if spec.vararg is not None:
            rest = Made(Live(tuple), items=dict(enumerate(given)))
            scope.names[spec.vararg.arg] = Made(Live(tuple), rest=ANY) if args.more else rest
        if spec.kwarg is not None:
            items: dict[object, Value] = {k: v for k, v in args.named.items() if k not in scope.names}
            scope.names[spec.kwarg.arg] = Made(Live(dict), items=items, rest=ANY if args.more else None)
        return scope

    def _given(self, function: Function, name: str, args: Args) -> Value:
        if name in args.named:
            return args.named[name]
        default = function.defaults.get(name, ANY)
        return ANY if args.more else default

    # classes

    def _construct(self, cls: type, args: Args, *, called: bool = True) -> Value:
        if issubclass(cls, App):
            self._in.note_unknown(f"`{args.text}` makes an app")
            return ANY
        if known.is_impure(cls):
            return self.unknown(args)
        meta = attributes.find(Live(type(cls)), "__call__")
        raw = meta.raw.object if meta is not None and isinstance(meta.raw, Live) else None
        if called and isinstance(raw, FunctionType):
            return self.call(Bound(Live(raw), Live(cls)), args)
        new = attributes.find(Live(cls), "__new__")
        raw = new.raw.object if new is not None and isinstance(new.raw, Live) else None
        function = raw.__func__ if isinstance(raw, staticmethod) else raw
        if isinstance(function, FunctionType):
            result = self.call(Live(function), args.after(Live(cls)))
            this = result if isinstance(result, Made) else None
            if this is None:
                return result
        else:
            if not self._is_plainly_made(cls):
                return self.unknown(args)
            this = Made(Live(cls))
            if issubclass(cls, list | tuple | set | frozenset | dict) and args.positional:
                this.rest = join(containers.elements(one) for one in args.positional)
        return self._instance(this, Live(cls), args)

    @staticmethod
    def _is_plainly_made(cls: type) -> bool:
        """Whether a class's objects are made by Python itself, and not by somebody's C code."""
        makers = [one for one in cls.__mro__ if "__new__" in vars(one)]
        return bool(makers) and (
            makers[0].__module__ == "builtins" or makers[0].__module__ in known.PURE_MODULES
        )

    def _instance(self, this: Made, cls: Value, args: Args) -> Value:
        init = attributes.find(cls, "__init__")
        if init is None:
            return this
        raw = init.raw.object if isinstance(init.raw, Live) else None
        if raw is not None and not isinstance(raw, FunctionType):
            plain = getattr(raw, "__objclass__", object).__module__ == "builtins"
            return this if plain else self.unknown(args)
        self.call(Bound(init.raw, this), args)
        return this


def _logger(args: Args) -> Value:
    """Return the logger of a name: the same at each call."""
    name = _constant_text(args.positional[0]) if args.positional else ""
    found = logging.getLogger() if not args.positional else logging.root.manager.loggerDict.get(name)
    return Live(found) if isinstance(found, logging.Logger) else Made(Live(logging.Logger), open=True)


def truthy_callable(value: Value) -> bool:
    """Whether a value may be called at all."""
    return not (isinstance(value, Live) and value.object is None)


def _kind(value: Value) -> object:
    if isinstance(value, Live):
        return id(value.object)
    if isinstance(value, Made):
        return ("made", _kind(value.cls) if value.cls is not None else None)
    if isinstance(value, Either):
        return tuple(_kind(one) for one in value.values)
    return type(value) if not isinstance(value, Function | Class | Super) else id(value)


def _constant_text(value: Value | None) -> str:
    return value.object if isinstance(value, Live) and isinstance(value.object, str) else ""


def _asked(question: Any, value: Value) -> Value:
    return Live(bool(question(value.object))) if isinstance(value, Live) else ANY


def _is_asked_safely(cls: Any) -> bool:
    """Whether asking for the instances of a class runs nobody's code."""
    return type(cls) is type or getattr(cls, "__module__", "") == "collections.abc"


def _checked(name: str, value: Value, kinds: Value) -> Value:
    """Return what `isinstance` or `issubclass` gives, where that is certain."""
    wanted = [kinds]
    if isinstance(kinds, Made) and kinds.rest is None:
        wanted = list(kinds.items.values())
    elif isinstance(kinds, Live) and isinstance(kinds.object, tuple):
        wanted = list(map(Live, kinds.object))
    # `typing.Mapping` stands for the class of that name
    plain = [getattr(one.object, "__origin__", one.object) for one in wanted if isinstance(one, Live)]
    types = [one for one in plain if _is_asked_safely(one)]
    if len(types) != len(wanted):
        return ANY
    if name == "isinstance":
        if isinstance(value, Live):
            return Live(issubclass(type(value.object), tuple(types)))
        if isinstance(value, Function):
            return Live(issubclass(FunctionType, tuple(types)))
        value = value.cls if isinstance(value, Made) and value.cls is not None else ANY
    if isinstance(value, Live) and isinstance(value.object, type):
        return Live(issubclass(value.object, tuple(types)))
    return ANY
