"""What a call does and gives, told from the definition of what is called.

Functions are followed into their definitions, those of libraries, too; the ends are what is known
(`known.py`), and what nobody can read. A call that is under way already adds nothing new.
"""

from __future__ import annotations

import ast
import contextlib
import functools
from dataclasses import replace
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

from .. import registrations
from . import attributes, callbacks, containers, known, settings
from .findings import Effect
from .values import (
    ANY,
    NONE,
    Args,
    Bound,
    Class,
    Completed,
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
    text_in,
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


class Calls:
    """Calls values on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter
        self._active: set[tuple[object, ...]] = set()

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
            return self._in.classes.construct_made(value, args)
        if isinstance(value, GivesBack):
            return self._given_back(value, args)
        if isinstance(value, Completed):
            return self.call(value.function, value.with_more(args))
        if isinstance(value, Made):
            return self._made(value, args)
        return self.unknown(args)

    def _given_back(self, value: GivesBack, args: Args) -> Value:
        if value.marks:
            self.marked(args)
        if value.called_as is not None:
            attributes.name_after(args.first, value.called_as)
        return args.first

    def marked(self, args: Args) -> None:
        """A decorator that marks what it is given changes it, if that was there before."""
        for one in alternatives(args.first):
            if isinstance(one, Live) and callable(one.object):
                self._in.notes.unknown(f"`{args.text}` changes an object in place")

    def unknown(self, args: Args) -> Value:
        """Note that nobody knows what a call does."""
        self._in.notes.unknown(f"what calling `{args.text}` does can't be told")
        return ANY

    def _made(self, value: Made, args: Args) -> Value:
        if value.calls is not None:
            return self.call(value.calls, args)
        if value.inert:
            self._in.notes.uses_all(args.every())
            return Made(open=True, inert=True)
        member = attributes.find(value.cls, "__call__") if value.cls is not None else None
        return self.call(Bound(member.raw, value), args) if member is not None else self.unknown(args)

    def _method(self, bound: Bound, args: Args) -> Value:
        function, this = bound.function, bound.this
        if isinstance(function, Live):
            raw = function.object
            registered = self._registers(raw, this, args)
            if registered is not None:
                return registered
            if isinstance(this, Live) and isinstance(this.object, Config):
                return settings.call(self._in, this, str(getattr(raw, "__name__", "")), args)
            if isinstance(raw, _C_FUNCTIONS):
                return self._c_method(raw, this, args)
            if raw in known.log_methods():
                return NONE
        return self.call(function, args.after(this))

    def _registers(self, raw: Any, this: Value, args: Args) -> Value | None:
        """Return what one of Flask's set-up methods gives; None if it is another, and to be followed."""
        owner = this.object if isinstance(this, Live) else None
        if isinstance(this, Made) and isinstance(this.cls, Live) and isinstance(this.cls.object, type):
            is_target = issubclass(this.cls.object, Blueprint)
        else:
            is_target = issubclass(type(owner), App | Blueprint)
        name = getattr(raw, "__name__", "")
        if not is_target or not getattr(raw, "__module__", "").startswith("flask."):
            return None
        if name in registrations.UNREPLAYABLE:
            why = f"`{args.text}` keeps a function for when a blueprint is registered"
            self._in.notes.add(Effect("records", None, name, why))
            return NONE
        if name == "as_view" or name not in registrations.DECORATORS | registrations.CALLS:
            return None
        self._in.notes.registers()
        if name in registrations.PLAIN_DECORATORS and args.positional:
            return args.positional[0]
        return GivesBack() if name in registrations.DECORATORS else NONE

    def _c_method(self, raw: Any, this: Value, args: Args) -> Value:
        """A method without a source: of a builtin container or value, or unknown."""
        name = raw.__name__
        if name == "__init__" and getattr(raw, "__objclass__", None) is object:
            return NONE
        owner = getattr(raw, "__objclass__", None) or type(getattr(raw, "__self__", None))
        if owner in containers.TYPES:
            return containers.method(self._in, this, name, args)
        if owner is property and isinstance(this, Made):
            field = {"setter": "fset", "getter": "fget", "deleter": "fdel"}.get(name, "")
            return Made(this.cls, {**this.fields, field: args.first}, open=True)
        if owner in (object, type) or issubclass(owner, BaseException):
            return self._of_object(raw, this, args)
        if known.is_pure(raw) or owner.__module__ in known.PURE_MODULES:
            if name in known.IMPURE_METHODS:
                return self.unknown(args)
            place = (owner.__module__, f"{owner.__name__}.{name}")
            callbacks.asked(self._in, place, args.after(this), method=True)
            return callbacks.given_back(self._in, place, args.after(this))
        return self.unknown(args)

    def _of_object(self, raw: Any, this: Value, args: Args) -> Value:
        name = raw.__name__
        if name in ("__setattr__", "__delattr__"):
            self._in.stores.store(
                this, text_in(args.get(0, "")), args.get(1, "") or ANY, args.text, plain=True
            )
            return NONE
        if name in (
            "__getattribute__",
            "__subclasses__",
            "mro",
            "__reduce__",
            "__reduce_ex__",
            "__getstate__",
        ):
            self._in.notes.uses_all((this,))
            return ANY
        if name == "__new__":
            first = args.positional[0] if args.positional else ANY
            if isinstance(first, Live) and isinstance(first.object, type) and issubclass(first.object, type):
                return self._in.classes.make(args)
            return Made(first if isinstance(first, Live | Class) else None)
        if name == "__call__" and isinstance(this, Live) and isinstance(this.object, type):
            return self._in.classes.construct(
                this.object, args, called=False
            )  # super().__call__(...) in a metaclass
        if name in ("__init__", "__init_subclass__", "with_traceback", "add_note"):
            return NONE
        self._in.notes.uses_all((this, *args.every()))
        self._in.operators.given((*args.every(),), text=args.text)
        return Made(open=True)

    def _live(self, value: Any, args: Args) -> Value:
        if value is None:
            return self.unknown(args)  # it would raise: it stood for something else when it was called
        special = self._in.special.of(value, args)
        if special is not None:
            return special
        if isinstance(value, type):
            return self._in.classes.construct(value, args)
        if isinstance(value, FunctionType):
            return self._follow(value, args)
        if isinstance(value, MethodType):
            return self._method(Bound(Live(value.__func__), Live(value.__self__)), args)
        if isinstance(value, functools.partial):
            return self._live(value.func, _completed(value, args))
        if isinstance(value, _C_FUNCTIONS):
            return self._c_function(value, args)
        return self._callable(value, args)

    def _callable(self, value: Any, args: Args) -> Value:
        """An object whose class has `__call__`; of a memo of `functools`, what it keeps the results of."""
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
            callbacks.asked(self._in, known.place(value), args, method=False)
            return callbacks.given_back(self._in, known.place(value), args)
        return self.unknown(args)

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
        again = any(one[0] == id(node) for one in self._active)  # it calls itself: who knows how often
        self._active.add(mark)
        try:
            with self._in.repeating() if again else contextlib.nullcontext():
                return self._in.statements.run(function, self._bind(function, args), args)
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


def _completed(value: functools.partial[Any], args: Args) -> Args:
    """Return what a partial function is called with in the end."""
    given = tuple(map(Live, value.args))
    named = {**{key: Live(one) for key, one in value.keywords.items()}, **args.named}
    return replace(args, positional=(*given, *args.positional), named=named)


def _kind(value: Value) -> object:
    if isinstance(value, Live):
        return id(value.object)
    if isinstance(value, Made):
        return ("made", _kind(value.cls) if value.cls is not None else None)
    if isinstance(value, Either):
        return tuple(_kind(one) for one in value.values)
    return type(value) if not isinstance(value, Function | Class | Super) else id(value)
