"""What making a class does, and what making an object of one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING

from flask.sansio.app import App

from .. import mapped
from . import attributes, containers, known, models
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
        if not keywords and (base := self._mapping_base(cls)) is not None:
            return self._mapped(cls, base, meta)
        if isinstance(meta, Live) and models.is_pydantics(meta.object):
            return self._validated(cls, meta, keywords)
        if not (isinstance(meta, Live) and is_plain_meta(meta.object)):
            return self._by_metaclass(meta, cls, keywords, text)
        cls.meta = meta
        self.tell_members(cls)
        self._tell_bases(cls, keywords)
        return cls

    def _mapping_base(self, cls: Class) -> type | None:
        """Return the base for whose sake SQLAlchemy maps a class, if nobody else acts on its subclasses."""
        found = None
        for base in _bases(cls):
            if isinstance(base, Class) and "__init_subclass__" not in base.members:
                continue
            if not (isinstance(base, Live) and isinstance(base.object, type)):
                return None
            if mapped.maps(base.object):
                found = base.object
            elif not is_plain_meta(type(base.object)) or _acts(base.object):
                return None
        return found

    def _mapped(self, cls: Class, base: type, meta: Value) -> Value:
        """SQLAlchemy maps a class. What it calls for that, if it calls anything, is not gone through."""
        cls.meta = meta
        self.tell_members(cls)
        hidden = [
            name for name, kind in _every_member(cls, mapped.is_sqlalchemys) if mapped.is_asked(name, kind)
        ]
        if hidden:
            self._in.notes.unknown(f"mapping `{cls.name}` calls its `{hidden[0]}`")
        elif mapped.heard():
            self._in.notes.unknown(f"who listens to what SQLAlchemy maps may act on `{cls.name}`")
        else:
            self._in.notes.maps((base, *mapped.known_to(base)), f"mapping `{cls.name}`")
        return cls

    def _validated(self, cls: Class, meta: Value, keywords: dict[str, Value]) -> Value:
        """Pydantic builds a schema of a class, and keeps it there: it is not gone through."""
        cls.meta = meta
        for one in (cls, *_bases(cls)):
            if keywords or _generates(one):
                self._in.notes.unknown(f"making `{cls.name}` may call what its configuration names")
        self.tell_members(cls)
        if any(base is ANY for base in _bases(cls)):
            self._in.notes.unknown(f"base class of `{cls.name}` may act on its subclasses")
        for name, _ in _every_member(cls, models.is_of_pydantic):
            if name in models.CALLED:
                self._in.notes.unknown(f"making `{cls.name}` calls its `{name}`")
        return cls

    def _tell_bases(self, cls: Class, keywords: dict[str, Value]) -> None:
        """`__init_subclass__` of the first base that has one."""
        for base in cls.bases:
            hook = attributes.find(base, "__init_subclass__")
            if hook is not None and not (isinstance(hook.raw, Live) and _is_object(hook.owner)):
                raw = Live(hook.live.__func__) if isinstance(hook.live, classmethod) else hook.raw
                self._in.call(Bound(raw, cls), Args(named=dict(keywords), text=cls.name))
                break

    def tell_members(self, cls: Class) -> None:
        """`__set_name__` of what stands in a class's body."""
        for name, member in list(cls.members.items()):
            kind = member.cls if isinstance(member, Made) else None
            args = Args((cls, Live(name)), text=cls.name)
            told = attributes.method_in(kind, "__set_name__")
            if told is not None:
                self._in.call(Bound(told, member), args)
            elif isinstance(member, Live) and not isinstance(member.object, type):
                self._in.operators.ask(member, "__set_name__", *args.positional, text=cls.name)

    def _metaclass(self, cls: Class) -> Value | None:
        """Return the metaclass that the bases give; None if that can't be told."""
        found: type = type
        for base in cls.bases:
            if isinstance(base, Class):
                inner = base.meta or self._metaclass(base)
                if isinstance(inner, Class):
                    return inner
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
        prepare = self._in.operators.member(meta, "__prepare__")
        if prepare is not None:
            self._in.operators.call(prepare, cls, args)
        maker, all_args = attributes.method_in(meta, "__new__"), args.after(meta)
        made = self.make(all_args) if maker is None else self._in.call(maker, all_args)
        for one in alternatives(made):
            if isinstance(one, Class):
                one.meta, one.module = meta, cls.module
        initial = attributes.method_in(meta, "__init__")
        if initial is not None:
            self._in.call(Bound(initial, made), args)
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
        self.tell_members(cls)
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

    def construct_made(self, cls: Class, args: Args) -> Value:
        """Return what calling a class gives that the evaluation has made."""
        for one in attributes.line(cls):
            kind = one.object if isinstance(one, Live) else None
            if isinstance(kind, type) and (issubclass(kind, App) or known.is_impure(kind)):
                return self._in.calls.unknown(args)
        if any(base is ANY for base in _bases(cls)):
            return self._in.calls.unknown(args)
        meta = attributes.method_in(cls.meta, "__call__")
        if meta is not None:
            return self._in.call(Bound(meta, cls), args)
        maker = attributes.method_in(cls, "__new__")
        this = Made(cls) if maker is None else self._in.call(maker, args.after(cls))
        is_one = isinstance(this, Made) and (this.cls is cls or this.cls is None)
        if not is_one or not isinstance(this, Made):
            return this
        if any(_is_template(base) for base in _bases(cls)) or attributes.find(cls, "__dataclass_fields__"):
            this.open = True
        if attributes.find(cls, "__dataclass_fields__") is not None:
            self._generated(this, cls, args)
        return self.instance(this, cls, args)

    def _generated(self, this: Made, cls: Class, args: Args) -> None:
        """What the `__init__` does that `dataclasses` writes: factories, and `__post_init__`."""
        self._in.notes.uses_all(())
        for one in attributes.line(cls):
            for member in one.members.values() if isinstance(one, Class) else ():
                factory = member.fields.get("default_factory") if isinstance(member, Made) else None
                if factory is not None:
                    self._in.call(factory, Args(text=args.text))
        after = attributes.method_in(cls, "__post_init__")
        if after is not None:
            self._in.call(Bound(after, this), Args(text=args.text))

    def instance(self, this: Made, cls: Value, args: Args) -> Value:
        """Return a new object after its class's `__init__`; some time it is deleted, too."""
        found = self._initialised(this, cls, args)
        self._in.operators.ask(this, "__del__", text=args.text)
        return found

    def _initialised(self, this: Made, cls: Value, args: Args) -> Value:
        init = attributes.find(cls, "__init__")
        if init is None:
            return this
        if init.live is not None and not isinstance(init.live, FunctionType):
            plain = getattr(init.live, "__objclass__", object).__module__ == "builtins"
            return this if plain else self._in.calls.unknown(args)
        self._in.call(Bound(init.raw, this), args)
        return this


def _generates(cls: Value) -> bool:
    """Whether a model's configuration names functions that are called while it is made, or may do so."""
    if not isinstance(cls, Class):
        config = getattr(cls.object, "model_config", {}) if isinstance(cls, Live) else {}
        return any(config.get(word) is not None for word in models.GENERATORS)
    found = cls.members.get("model_config")
    told = isinstance(found, Made) and found.rest is None and not found.open
    named = told and isinstance(found, Made) and any(word in found.items for word in models.GENERATORS)
    return "Config" in cls.members or (found is not None and not told) or named


def _every_member(cls: Class, is_trusted: Callable[[type], bool]) -> Iterator[tuple[str, type | None]]:
    """Yield the members of a class and of its bases, by name and kind, but not those of trusted ones."""
    live: dict[type, None] = {}
    for one in (cls, *_bases(cls)):
        if isinstance(one, Class):
            yield from ((name, _kind(member)) for name, member in one.members.items())
        elif isinstance(one, Live):
            live.update(dict.fromkeys(one.object.__mro__))
    for base in live:
        if not is_trusted(base):
            yield from ((name, type(member)) for name, member in vars(base).items())


def _acts(base: type) -> bool:
    return any("__init_subclass__" in vars(one) for one in base.__mro__ if one is not object)


def _kind(value: Value) -> type | None:
    """Return the class of what a member is, if that is known."""
    return value.kind if isinstance(value, Made) else type(value.object) if isinstance(value, Live) else None


def _bases(cls: Class) -> list[Value]:
    """Return what a class derives from, and what that derives from, as far as the evaluation made it."""
    found: list[Value] = []
    for base in cls.bases:
        found += [base, *(_bases(base) if isinstance(base, Class) else [])]
    return found


def _is_template(base: Value) -> bool:
    """Whether a base may give its objects attributes that nobody sees: `namedtuple(…)`."""
    return isinstance(base, Made)


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
