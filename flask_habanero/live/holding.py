"""By which names and attributes of the app's own an object is got at: also by what has it in it.

``ALL.append(self)``, ``registry.items``, ``app.extensions["cache"]``: who goes through a container has to do
with all that is in it, without a name of theirs.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from werkzeug.local import LocalProxy

if TYPE_CHECKING:
    from .program import Program

_CONTAINERS = (list, tuple, set, frozenset, deque, dict, defaultdict, OrderedDict)
_MOST = 2_000  # entries of one container that are looked through; a larger one may have anything in it
_NO_FIELDS = (ModuleType, FunctionType, type, LocalProxy)  # the last: asking one wakes it up


def ways(program: Program, modules: Iterable[str], target: Any) -> set[str]:
    """Return the names of containers, and the attributes of objects, that have an object in them."""
    found = set()
    for module in modules:
        live = program.loaded(module)
        for name, value in list(vars(live).items()) if live is not None else ():
            if _has(value, target):
                found.add(name)
            found.update(_attributes(program, value, target))
    return found


def _attributes(program: Program, value: Any, target: Any) -> Iterator[str]:
    kind = type(value)
    own = issubclass(kind, type) and value.__module__ in program.tree
    for name, one in list((vars(value) if own else _fields(value, kind)).items()):
        if one is target or _has(one, target):
            yield name


def attributes_with(value: Any, target: Any) -> list[str]:
    """Return by which attributes of its own an object has another one."""
    return [name for name, one in list(_fields(value, type(value)).items()) if one is target]


def _fields(value: Any, kind: type) -> dict[str, Any]:
    """Return the attributes of an object's own, without running anybody's code."""
    if issubclass(kind, _NO_FIELDS) or any("__getattribute__" in vars(one) for one in type.mro(kind)[:-1]):
        return {}
    fields = getattr(value, "__dict__", None)
    return fields if type(fields) is dict else {}


def _has(container: Any, target: Any) -> bool:
    """Whether an object is in a container, or in one that is in it."""
    inner = _in(container)
    if inner is None:
        return True
    return any(one is target or (below := _in(one)) is None or _is_among(target, below) for one in inner)


def _is_among(target: Any, found: Collection[Any]) -> bool:
    return any(one is target for one in found)


def _in(value: Any) -> Collection[Any] | None:
    """Return what is in a container, nothing if it is none; None if that is too much to look through."""
    if type(value) not in _CONTAINERS:
        return ()
    if len(value) > _MOST:
        return None
    return list(value.values()) if isinstance(value, dict) else list(value)
