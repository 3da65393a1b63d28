"""What reading an attribute gives, told without reading it: no descriptor and no `__getattr__` runs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from werkzeug.local import LocalProxy
from werkzeug.utils import cached_property

from . import known
from .values import (
    ANY,
    NONE,
    Bound,
    Class,
    Function,
    Live,
    Made,
    Super,
    Value,
    alternatives,
    join,
)

_C_METHODS = (MethodDescriptorType, WrapperDescriptorType, BuiltinFunctionType, ClassMethodDescriptorType)
_NAMES = {"__name__", "__qualname__", "__module__", "__doc__"}
_LINES = {"__mro__", "__bases__"}
_SLOT = type(type("_", (), {"__slots__": ("a",)}).__dict__["a"])


class Property(NamedTuple):
    """Stands for an attribute whose value a function computes: who asks must call it.

    Attributes:
        function: computes it.
        this: what the function is called with.
        args: and with what else.
        trusted: what the attribute is, if the function is not the app's own; None if any must be called.
    """

    function: Value
    this: Value
    args: tuple[Value, ...] = ()
    trusted: Value | None = None


Found = Value | Property


class Member(NamedTuple):
    """A raw member of a class, and the class that has it."""

    raw: Value
    owner: Value

    @property
    def live(self) -> Any:
        """The raw member, if it is a live object; else None."""
        return self.raw.object if isinstance(self.raw, Live) else None


def read(value: Value, name: str) -> list[Found]:
    """Return what an attribute may be."""
    return [found for one in alternatives(value) for found in _read(one, name)]


def _read(value: Value, name: str) -> Iterator[Found]:
    if name == "__class__" and not isinstance(value, Live | Made):
        yield ANY
    elif name == "__class__":
        yield class_of(value)
    elif isinstance(value, Live):
        yield _of_live(value, name)
    elif isinstance(value, Made):
        yield from _of_made(value, name)
    elif isinstance(value, Class):
        yield _of_class(value, name)
    elif isinstance(value, Function):
        yield value.fields.get(name) or _of_function(value, name)
    elif isinstance(value, Super):
        yield _of_super(value, name)
    elif isinstance(value, Bound):
        yield {"__self__": value.this, "__func__": value.function}.get(name, ANY)
    else:
        yield ANY


def name_after(function: Value, other: Value) -> None:
    """Let a function that the evaluation makes have its name from another one."""
    for one in alternatives(function):
        if isinstance(one, Function):
            one.called_as = other


def _of_function(value: Function, name: str) -> Found:
    if value.called_as is not None and name in _NAMES:
        found = read(value.called_as, name)
        return found[0] if len(found) == 1 else ANY
    if name == "__module__":
        return Live(value.scope.module)
    return Live(getattr(value.node, "name", "<lambda>")) if name == "__name__" else ANY


def _of_class(value: Class, name: str) -> Found:
    if name == "__dict__":
        return Made(Live(dict), items=dict(value.members.items()))
    if name in _LINES:
        return Made(Live(tuple), items=dict(enumerate(line(value) if name == "__mro__" else value.bases)))
    if name in ("__name__", "__qualname__", "__module__") and name not in value.members:
        return Live(value.module if name == "__module__" else value.name)
    member = find(value, name)
    above = find(value.meta, name) if member is None and value.meta is not None else None
    return _bound(above, value) if member is None else _from_class(member.raw, value)


def _of_live(value: Live, name: str) -> Found:
    owner = value.object
    kind = type(owner)
    if issubclass(kind, LocalProxy):
        return ANY  # asking one wakes it up
    if isinstance(owner, ModuleType):
        return _of_module(owner, name)
    if name == "__dict__":
        return _namespace(owner)
    if kind is FunctionType and name in ("__name__", "__module__"):
        return Live(getattr(owner, name))
    if isinstance(owner, type):
        member = find(value, name)
        if member is not None:
            return _from_class(member.raw, value)
        member = find(Live(kind), name)
        return Live(getattr(owner, name)) if name in _NAMES | _LINES else _bound(member, value)
    if any(isinstance(vars(one).get("__getattribute__"), FunctionType) for one in type.mro(kind)):
        return ANY  # of its own making
    return _of_instance(value, name)


def _namespace(owner: Any) -> Value:
    if isinstance(owner, type):
        return Made(Live(dict), items={name: Live(member) for name, member in vars(owner).items()})
    fields = getattr(owner, "__dict__", None)
    return Live(fields) if type(fields) is dict else ANY


def _of_module(module: ModuleType, name: str) -> Found:
    if name in vars(module):
        return Live(vars(module)[name])
    child = sys.modules.get(f"{module.__name__}.{name}")
    return Live(child) if child is not None else ANY


def _of_instance(value: Live, name: str) -> Found:
    owner = value.object
    member = find(Live(type(owner)), name)
    raw = member.raw.object if member is not None and isinstance(member.raw, Live) else None
    if isinstance(raw, _SLOT):
        try:
            return Live(raw.__get__(owner))
        except AttributeError:
            return ANY
    fields = getattr(owner, "__dict__", None)
    if member is not None and (raw is None or _has_setter(raw)):
        if isinstance(raw, cached_property) and type(fields) is dict and name in fields:
            return Live(fields[name])
        return _bound(member, value)
    if type(fields) is dict and name in fields:
        return Live(fields[name])
    return _bound(member, value) if member is not None else _asked_for(value, name)


def _asked_for(value: Value, name: str) -> Found:
    """What `__getattr__` is to give, if there is one."""
    member = find(class_of(value), "__getattr__")
    if member is not None and isinstance(value, Live) and known.place(member.live) in known.LOOKING:
        found = getattr(value.object, name, None)
        return Live(found) if found is not None else ANY
    return Property(member.raw, value, (Live(name),)) if member is not None else ANY


def _has_setter(raw: Any) -> bool:
    return isinstance(raw, property) or hasattr(type(raw), "__set__")


def _of_made(value: Made, name: str) -> Iterator[Found]:
    member = find(value.cls, name) if value.cls is not None else None
    is_property = member is not None and (isinstance(member.live, property) or is_property_made(member.raw))
    if name in value.fields and not is_property:
        yield value.fields[name]
    elif value.inert:
        yield Made(open=True, inert=True)
    elif member is not None:
        yield _bound(member, value)
    else:
        asked = _asked_for(value, name)
        yield asked._replace(trusted=ANY) if value.open and isinstance(asked, Property) else asked
        if value.open:
            yield ANY


def _of_super(value: Super, name: str) -> Found:
    this = value.this
    cls = this.cls if isinstance(this, Made) else None
    if isinstance(this, Live):
        cls = this if isinstance(this.object, type) else Live(type(this.object))
    elif isinstance(this, Class):
        cls = this
    if cls is None:
        return ANY
    if not any(_is(one, value.owner) for one in line(cls)):  # in a method of a metaclass
        cls = (
            this.meta
            if isinstance(this, Class)
            else Live(type(this.object))
            if isinstance(this, Live)
            else cls
        )
    member = find(cls, name, after=value.owner) if cls is not None else None
    return ANY if member is None else _bound(member, this)


# members of classes


def find(cls: Value, name: str, after: Value | None = None) -> Member | None:
    """Return the member that a class, or one that it derives from, has under a name; None if none has.

    Args:
        cls: the class.
        name: the name.
        after: look only at the classes after this one, as `super()` does.
    """
    asked = line(cls)
    if after is not None:
        places = [n for n, one in enumerate(asked) if _is(one, after)]
        asked = asked[places[0] + 1 :] if places else []
    for one in asked:
        if isinstance(one, Class):
            if name in one.members:
                return Member(one.members[name], one)
        elif isinstance(one, Live) and name in vars(one.object):
            return Member(Live(vars(one.object)[name]), one)
    return None


def members_of(cls: Value) -> dict[str, Value]:
    """Return the raw members that a class has itself."""
    if isinstance(cls, Class):
        return cls.members
    return {name: Live(one) for name, one in vars(cls.object).items()} if isinstance(cls, Live) else {}


def is_property_made(raw: Value) -> bool:
    """Whether a raw member is a property that the evaluation has made."""
    return isinstance(raw, Made) and raw.kind is property


def is_computed(raw: Value) -> bool:
    """Whether reading a member from an object of its class calls a function in Python."""
    kind = class_of(raw)
    computes = isinstance(kind, Live) and kind.object in (property, functools.cached_property)
    return computes or isinstance(_described(raw, NONE, ANY, ANY), Property)


def method_in(cls: Value | None, name: str) -> Value | None:
    """Return the Python function that a class has under a name, a `staticmethod`'s, too; else None."""
    member = find(cls, name) if cls is not None else None
    if member is not None and isinstance(member.raw, Function):
        return member.raw
    found = function_in(cls, name)
    return Live(found) if found is not None else None


def function_in(cls: Value | None, name: str) -> FunctionType | None:
    """Return the live Python function that a class has under a name, a `staticmethod`'s, too; else None."""
    member = find(cls, name) if cls is not None else None
    raw = member.live if member is not None else None
    raw = raw.__func__ if isinstance(raw, staticmethod) else raw
    return raw if isinstance(raw, FunctionType) else None


def _is(one: Value, other: Value) -> bool:
    if isinstance(one, Live) and isinstance(other, Live):
        return one.object is other.object
    return one is other


def line(cls: Value) -> list[Value]:
    """Return a class and those that it derives from, in the order in which they are asked."""
    if isinstance(cls, Live):
        return [Live(one) for one in type.mro(cls.object)] if isinstance(cls.object, type) else []
    if isinstance(cls, Class):
        found = [one for base in cls.bases for one in line(base)]
        kept = [one for n, one in enumerate(found) if not any(_is(one, later) for later in found[n + 1 :])]
        return [cls, *(kept or ([] if cls.bases else [Live(object)]))]
    return []


def _from_class(raw: Value, cls: Value) -> Found:
    """Return what a class gives for a raw member of its own."""
    if not isinstance(raw, Live):
        return _of_made_member(raw, None, cls)
    member = raw.object
    if isinstance(member, staticmethod):
        return Live(member.__func__)
    if isinstance(member, classmethod):
        return Bound(Live(member.__func__), cls)
    if isinstance(member, ClassMethodDescriptorType):
        return Bound(raw, cls)
    if isinstance(member, (FunctionType, property, type, ModuleType, functools.cached_property, *_C_METHODS)):
        return raw
    return _described(raw, NONE, cls, ANY) if hasattr(type(member), "__get__") else raw


def _described(raw: Value, this: Value, cls: Value, trusted: Value) -> Found:
    """What the `__get__` of a descriptor gives, if it is written in Python."""
    getter = find(class_of(raw), "__get__")
    told = getter is not None and (isinstance(getter.raw, Function) or isinstance(getter.live, FunctionType))
    return Property(getter.raw, raw, (this, cls), trusted) if told and getter is not None else trusted


def _of_made_member(raw: Value, this: Value | None, cls: Value) -> Found:
    """What a member gives that the evaluation has made, read from an object, or from its class."""
    if isinstance(raw, Function):
        return raw if this is None else Bound(raw, this)
    if not isinstance(raw, Made):
        return raw
    if raw.kind is classmethod:
        return Bound(raw.calls or ANY, cls)
    if raw.kind is staticmethod:
        return raw.calls or ANY
    if raw.kind in (property, functools.cached_property):
        return raw if this is None else Property(raw.fields.get("fget", ANY), this)
    return _described(raw, NONE if this is None else this, cls, raw)


def of_method(raw: Value, this: Value) -> Value:
    """Return what an object, or a class, gives for a method that its class will have."""
    if isinstance(raw, Made) and raw.calls is not None:
        return raw.calls if raw.kind is staticmethod else Bound(raw.calls, _owner_of(this))
    return Bound(raw, this)


def _bound(member: Member | None, this: Value) -> Found:
    """Return what an object gives for a raw member of its class."""
    if member is None:
        return ANY
    raw = member.raw
    if not isinstance(raw, Live):
        return _of_made_member(raw, this, _owner_of(this))
    inner = raw.object
    if isinstance(inner, property | functools.cached_property):
        asked = inner.fget if isinstance(inner, property) else inner.func
        return Property(Live(asked), this) if asked is not None else ANY
    if isinstance(inner, staticmethod):
        return Live(inner.__func__)
    if isinstance(inner, classmethod):
        return Bound(Live(inner.__func__), _owner_of(this))
    if isinstance(inner, (FunctionType, MethodType, *_C_METHODS)):
        return Bound(raw, this)
    return _described(raw, this, _owner_of(this), ANY) if hasattr(type(inner), "__get__") else raw


def _owner_of(this: Value) -> Value:
    """Return the class that a class method is called with."""
    is_class = isinstance(this, Class) or (isinstance(this, Live) and isinstance(this.object, type))
    return this if is_class else class_of(this)


def class_of(this: Value) -> Value:
    """Return what a value is an instance of; ANY if that is not known."""
    if isinstance(this, Made):
        return this.cls or ANY
    if isinstance(this, Class):
        return this.meta or ANY
    if isinstance(this, Function):
        return Live(FunctionType)
    stands_for_another = isinstance(this, Live) and issubclass(type(this.object), LocalProxy)
    return Live(type(this.object)) if isinstance(this, Live) and not stands_for_another else ANY


def joined(found: list[Found]) -> Value:
    """Return what some plain attributes may be."""
    return join(one for one in found if isinstance(one, Value))
