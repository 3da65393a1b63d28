"""What SQLAlchemy knows of classes and tables: kept as it is now, for a release that fails.

SQLAlchemy takes classes, columns and relationships in, and has no way to let them go. So the way back is
not to undo what it did, but to put back what its registries, mappers and tables had in them before.
"""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

_WHOLE = (
    "sqlalchemy.orm.clsregistry",
    "sqlalchemy.orm.decl_api",
    "sqlalchemy.orm.instrumentation",
    "sqlalchemy.orm.mapper",
    "sqlalchemy.sql.base",
    "sqlalchemy.util.",
)
# of two modules only these: the others describe one column, and are never another's
_SHARED_OF = ("sqlalchemy.sql.schema", "sqlalchemy.orm.relationships")
_SHARED = frozenset(
    [
        "MetaData",
        "PrimaryKeyConstraint",
        "Relationship",
        "RelationshipProperty",
        "Table",
        "_RelationshipDeclared",
    ]
)
_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)
_BUILTIN = frozenset([dict, defaultdict, OrderedDict, list, set, deque, tuple, *_WEAK])
_DEPTH = 2  # containers within containers that one of its objects has: lists of keys by name


class Memory:
    """All that may learn of a class, table or column, as it is now.

    Attributes:
        roots: metadata, registries, mapped classes and their bases, from which all others are found.

    Raises:
        Exception: what SQLAlchemy raises if it can't connect what it knows.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.roots = list(roots)
        # not half-way: what listens to attributes is connected once, and not remembered
        sys.modules["sqlalchemy.orm"].configure_mappers()
        self._content = list(_contents(self.roots))

    def restore(self) -> None:
        """Let all be as it was."""
        for owner, kind, before in self._content:
            _RESTORE[kind](owner, before)

    def unmap(self) -> None:
        """The same, but classes keep what SQLAlchemy does not know of: methods may have changed since."""
        for owner, kind, before in self._content:
            if kind == "class":
                _unmapped(owner, before)
            else:
                _RESTORE[kind](owner, before)


def _contents(roots: Iterable[Any]) -> Iterator[tuple[Any, str, Any]]:
    """Yield (owner, kind, what is in it) of all that is found from some roots."""
    todo: list[tuple[Any, int]] = [(one, 0) for one in roots]
    seen: dict[int, Any] = {}  # the objects, too: an id is one object's as long as it is there
    kinds: dict[type, bool] = {}

    def counts(one: Any, depth: int) -> bool:
        kind = type(one)
        if kind in _BUILTIN:
            return depth < _DEPTH
        if isinstance(one, type):
            return "_sa_registry" in vars(one) or "_sa_class_manager" in vars(one)
        if kind not in kinds:
            kinds[kind] = _is_shared(kind)
        return kinds[kind]

    while todo:
        owner, depth = todo.pop()
        if id(owner) in seen:
            continue
        seen[id(owner)] = owner
        depth = depth if type(owner) in _BUILTIN else 0
        for kind, before in _parts(owner):
            yield owner, kind, before
            inside = [*before.keys(), *before.values()] if isinstance(before, dict) else before
            todo += [(one, depth + 1) for one in inside if counts(one, depth)]
        if isinstance(owner, type):
            below: list[type] = type.__subclasses__(owner)
            todo += [(one, 0) for one in below]
        elif type(owner) is tuple:
            todo += [(one, depth + 1) for one in owner if counts(one, depth)]


def _is_shared(kind: type) -> bool:
    if kind.__module__ in _SHARED_OF:
        return kind.__name__ in _SHARED
    return f"{kind.__module__}.".startswith(_WHOLE)


def _parts(owner: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(owner, type):
        yield "class", dict(vars(owner))
        return
    if isinstance(owner, _WEAK):
        yield "items", dict(owner)
        return
    if isinstance(owner, dict):
        yield "dict", dict(owner)
    elif isinstance(owner, list | set | deque):
        yield "elements", list(owner)
    if type(owner) in _BUILTIN:
        return
    fields = _field(owner, "__dict__")
    if isinstance(fields, dict):
        yield "fields", dict(fields)
    there = {name: found[0] for name in _slots(type(owner)) if (found := _slot(owner, name))}
    if there:
        yield "slots", there


def _slots(kind: type) -> tuple[str, ...]:
    """Return the names under which objects of a class have their slots."""
    found: list[str] = []
    for one in kind.__mro__:
        names = vars(one).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{one.__name__.lstrip('_')}{name}" if private else name)
    return tuple(name for name in found if name not in ("__dict__", "__weakref__"))


def _slot(owner: Any, name: str) -> list[Any]:
    """Return what a slot holds, or nothing: some objects answer for any name."""
    try:
        return [object.__getattribute__(owner, name)]
    except AttributeError:
        return []


def _field(owner: Any, name: str) -> Any:
    return next(iter(_slot(owner, name)), None)


def _class(owner: type, before: Mapping[str, Any]) -> None:
    for name in [name for name in vars(owner) if name not in before]:
        type.__delattr__(owner, name)
    for name, value in before.items():
        if vars(owner).get(name) is not value:
            type.__setattr__(owner, name, value)


def _unmapped(owner: type, before: Mapping[str, Any]) -> None:
    for name, value in list(vars(owner).items()):
        if name not in before and type(value).__module__.startswith("sqlalchemy.orm."):
            type.__delattr__(owner, name)


def _dict(owner: dict[Any, Any], before: Mapping[Any, Any]) -> None:
    dict.clear(owner)
    dict.update(owner, before)


def _items(owner: Any, before: Mapping[Any, Any]) -> None:
    owner.clear()
    owner.update(before)


def _elements(owner: Any, before: list[Any]) -> None:
    owner.clear()
    owner.update(before) if isinstance(owner, set) else owner.extend(before)


def _fields(owner: Any, before: Mapping[str, Any]) -> None:
    _dict(object.__getattribute__(owner, "__dict__"), before)


def _filled(owner: Any, before: Mapping[str, Any]) -> None:
    for name, value in before.items():
        if object.__getattribute__(owner, name) is not value:
            object.__setattr__(owner, name, value)


_RESTORE: dict[str, Callable[[Any, Any], None]] = {
    "class": _class,
    "dict": _dict,
    "items": _items,
    "elements": _elements,
    "fields": _fields,
    "slots": _filled,
}
