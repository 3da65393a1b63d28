"""What making a class does, and what making an object of one does."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from flask.sansio.app import App

from . import attributes, containers, known
from .values import (
    ANY,
    Args,
    Bound,
    Class,
    Live,
    Made,
    Value,
    alternatives,
    join,
    text_in,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Classes:
    """Makes classes, and calls them, on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter

    def complete(self, cls: Class, keywords: dict[str, Value], text: str) -> Value:
        """What a metaclass, the bases and the members do when a class is made."""
        meta = keywords.pop("metaclass", None) or self._metaclass(cls)
        if meta is None:
            self._in.notes.unknown(f"base class of `{cls.name}` may act on its subclasses")
            return cls
        if not (isinstance(meta, Live) and is_plain_meta(meta.object)):
            return self._by_metaclass(meta, cls, keywords, text)
        cls.meta = meta
        self._tell_members(cls)
        self._tell_bases(cls, keywords)
        return cls

    def _tell_bases(self, cls: Class, keywords: dict[str, Value]) -> None:
        """`__init_subclass__` of the first base that has one."""
        for base in cls.bases:
            hook = attributes.find(base, "__init_subclass__")
            if hook is not None and not (isinstance(hook.raw, Live) and _is_object(hook.owner)):
                raw = Live(hook.live.__func__) if isinstance(hook.live, classmethod) else hook.raw
                self._in.call(Bound(raw, cls), Args(named=dict(keywords), text=cls.name))
                break

    def _tell_members(self, cls: Class) -> None:
        for name, member in cls.members.items():
            kind = member.cls if isinstance(member, Made) else None
            told = attributes.function_in(kind, "__set_name__")
            if told is not None:
                self._in.call(Bound(Live(told), member), Args((cls, Live(name)), text=cls.name))

    def _metaclass(self, cls: Class) -> Value | None:
        """Return the metaclass that the bases give; None if that can't be told."""
        found: type = type
        for base in cls.bases:
            if isinstance(base, Class):
                inner = self._metaclass(base)
                if not (isinstance(inner, Live) and isinstance(inner.object, type)):
                    return None
                kind = inner.object
            elif isinstance(base, Live) and isinstance(base.object, type):
                kind = type(base.object)
            elif isinstance(base, Live) and hasattr(type(base.object), "__mro_entries__"):
                continue  # `Generic[T]` and its like
            elif isinstance(base, Made):
                continue  # `Generic[T]`, `namedtuple(...)`
            else:
                return None
            if issubclass(kind, found):
                found = kind
        return Live(found)

    def _by_metaclass(self, meta: Value, cls: Class, keywords: dict[str, Value], text: str) -> Value:
        """What a metaclass makes of a class: its `__new__` and `__init__` are gone through."""
        names: dict[object, Value] = {name: value for name, value in cls.members.items()}  # noqa: C416  # wider keys
        bases = Made(Live(tuple), items=dict(enumerate(cls.bases)))
        args = Args((Live(cls.name), bases, Made(Live(dict), items=names)), dict(keywords), text=text)
        maker, all_args = attributes.function_in(meta, "__new__"), args.after(meta)
        made = self.make(all_args) if maker is None else self._in.call(Live(maker), all_args)
        for one in alternatives(made):
            if isinstance(one, Class):
                one.meta, one.module = meta, cls.module
        initial = attributes.function_in(meta, "__init__")
        if initial is not None:
            self._in.call(Bound(Live(initial), made), args)
        return made

    def make(self, args: Args) -> Value:
        """Return what ``type(name, bases, members)`` makes; a metaclass stands in front."""
        if len(args.positional) < 3:
            return Class("", (ANY,), {}, "")
        name, bases, members = args.positional[-3:]
        known = members.items if isinstance(members, Made) else {}
        inside = self._in.sequence(bases)
        of = {str(key): value for key, value in known.items()}
        cls = Class(text_in(name), tuple([ANY] if inside is None else inside), of, "")
        if not isinstance(members, Made) or members.rest is not None:
            of[""] = ANY  # and others, nobody knows which
        if len(args.positional) > 3:
            cls.meta = args.positional[0]
        self._tell_members(cls)
        self._tell_bases(cls, args.named)
        return cls

    def construct(self, cls: type, args: Args, *, called: bool = True) -> Value:
        """Return what calling a live class gives.

        Args:
            cls: the class.
            args: what it is called with.
            called: whether its metaclass is asked first: not, where that one calls ``super().__call__``.
        """
        if issubclass(cls, App):
            self._in.notes.unknown(f"`{args.text}` makes an app")
            return ANY
        if known.is_impure(cls):
            return self._in.calls.unknown(args)
        meta = attributes.function_in(Live(type(cls)), "__call__")
        if called and meta is not None:
            return self._in.call(Bound(Live(meta), Live(cls)), args)
        maker = attributes.function_in(Live(cls), "__new__")
        if maker is None and not _is_plainly_made(cls):
            return self._in.calls.unknown(args)
        this = _plain(cls, args) if maker is None else self._in.call(Live(maker), args.after(Live(cls)))
        is_one = isinstance(this, Made) and (this.kind is None or issubclass(this.kind, cls))
        return self.instance(this, Live(cls), args) if is_one and isinstance(this, Made) else this

    def instance(self, this: Made, cls: Value, args: Args) -> Value:
        """Return a new object after its class's `__init__`."""
        init = attributes.find(cls, "__init__")
        if init is None:
            return this
        if init.live is not None and not isinstance(init.live, FunctionType):
            plain = getattr(init.live, "__objclass__", object).__module__ == "builtins"
            return this if plain else self._in.calls.unknown(args)
        self._in.call(Bound(init.raw, this), args)
        return this


def _is_plainly_made(cls: type) -> bool:
    """Whether a class's objects are made by Python itself, and not by somebody's C code."""
    maker = next(one for one in cls.__mro__ if "__new__" in vars(one))
    return maker.__module__ == "builtins" or maker.__module__ in known.PURE_MODULES


def _plain(cls: type, args: Args) -> Made:
    """Return a new object of a class; what a container is made of is in it."""
    inside = issubclass(cls, list | tuple | set | frozenset | dict) and args.positional
    return Made(Live(cls), rest=join(map(containers.elements, args.positional)) if inside else None)


def is_plain_meta(meta: object) -> bool:
    """Whether a metaclass is Python's own, of classes that don't notice their subclasses."""
    return meta is type or (
        isinstance(meta, type) and meta.__name__ == "ABCMeta" and meta.__module__ == "abc"
    )


def _is_object(owner: Value) -> bool:
    return isinstance(owner, Live) and owner.object is object
