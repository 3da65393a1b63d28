"""Whether an object has an attribute, where that is certain. Nothing is asked that runs anybody's code."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

from werkzeug.local import LocalProxy

from .attributes import find, line
from .values import ANY, Class, Function, Live, Made, Value


def has(value: Value, name: str) -> bool | None:
    """Return whether an object has an attribute; None if that is not certain."""
    if isinstance(value, Function):
        return None if "" in value.fields else name in value.fields or hasattr(FunctionType, name)
    if isinstance(value, Made):
        return _in_made(value, name)
    if isinstance(value, Class):
        return _in_class(value, value.meta or Live(type), name)
    return _in_live(value.object, name) if isinstance(value, Live) else None


def _in_made(value: Made, name: str) -> bool | None:
    if name in value.fields:
        return True
    found = _in_class(value.cls, None, name) if value.cls is not None else None
    return None if value.open and found is False else found


def _in_class(cls: Value, meta: Value | None, name: str) -> bool | None:
    """Whether a class has an attribute, or gives it to its instances."""
    if find(cls, name) is not None or (meta is not None and find(meta, name) is not None):
        return True
    asked = [*line(cls), *(line(meta) if meta is not None else [])]
    whole = all(_is_whole(one) for one in asked) and find(cls, "__getattr__") is None
    return False if whole and (meta is None or find(meta, "__getattr__") is None) else None


def _is_whole(cls: Value) -> bool:
    """Whether all members of a class are known, and the classes that it derives from."""
    if isinstance(cls, Class):
        return "" not in cls.members and not any(base is ANY or isinstance(base, Made) for base in cls.bases)
    return isinstance(cls, Live)


def _in_live(thing: Any, name: str) -> bool | None:
    kind = type(thing)
    if isinstance(thing, LocalProxy):
        return None  # asking one wakes it up
    if isinstance(thing, ModuleType):
        return (
            True
            if name in vars(thing)
            else None
            if "__getattr__" in vars(thing)
            else _is_no_child(thing, name)
        )
    if isinstance(thing, type):
        return _in_class(Live(thing), Live(kind), name)
    if any(isinstance(vars(one).get("__getattribute__"), FunctionType) for one in type.mro(kind)):
        return None  # of its own making
    fields = getattr(thing, "__dict__", None)
    if isinstance(fields, dict) and name in fields:
        return True
    return _in_class(Live(kind), None, name)


def _is_no_child(module: ModuleType, name: str) -> bool | None:
    """A package has its modules for attributes once they are loaded: then they are among its names."""
    return None if hasattr(module, "__path__") or hasattr(ModuleType, name) else False
