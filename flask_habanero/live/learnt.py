"""What releases let SQLAlchemy learn, and how it was before.

SQLAlchemy lets nothing go that it has learnt. What releases let it learn can go all the same, from the
last one backwards: what it knew before is put back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import steps

if TYPE_CHECKING:
    from .books import Books

Key = tuple[str, str]
"""(module, "Class.member" or the name that a statement binds)."""
_MOST = 8  # releases that can be rolled back so: each remembers all that SQLAlchemy knows


@dataclass
class Mapping:
    """What a plan lets SQLAlchemy learn, or forget.

    Attributes:
        learns: what it learns of.
        forgets: what it is to forget: just what the last such releases let it learn, or the plan is refused.
        roots: what all of that is found from; see `steps.Memory`.
        alters: whether columns change in what Python puts into them.
        engines: they keep compiled statements, which know nothing of it.
    """

    learns: set[Key] = field(default_factory=set)
    forgets: set[Key] = field(default_factory=set)
    roots: list[Any] = field(default_factory=list)
    alters: bool = False
    engines: list[Any] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Learnt:
    """What one release let SQLAlchemy learn.

    Attributes:
        keys: of what.
        memory: what it knew before.
        after: what it knew when the release had ended; see `known`.
    """

    keys: frozenset[Key]
    memory: steps.Memory
    after: frozenset[tuple[str, ...]]


def known(roots: list[Any]) -> frozenset[tuple[str, ...]]:
    """Return the names of the classes, their attributes, and the tables that SQLAlchemy knows."""
    found: set[tuple[str, ...]] = set()
    for root in roots:
        if not isinstance(root, type):  # a class may have members of these names
            for mapper in getattr(root, "mappers", ()):
                found.add((str(mapper), *map(str, mapper._props)))
            found.update(("", name) for name in getattr(root, "tables", ()))
    return frozenset(found)


def to_forget(books: Books, mapping: Mapping) -> Learnt | None:
    """Return what was learnt first of what is to be forgotten; None if that is not just what came last."""
    if not books.learnt or books.learnt[-1].after != known(books.learnt[-1].memory.roots):
        return None  # somebody else has mapped more since
    keys: set[Key] = set()
    for one in reversed(books.learnt):
        keys |= one.keys
        if keys >= mapping.forgets:
            return one if keys == mapping.forgets else None
    return None


def begin(books: Books, mapping: Mapping, done: list[Callable[[], None]]) -> None:
    """Let SQLAlchemy forget what it is to, and remember what it knew; add what takes that back."""
    done.append(lambda: _forget_compiled(mapping))
    if not (mapping.learns or mapping.forgets):
        return
    first = to_forget(books, mapping) if mapping.forgets else None
    before = steps.Memory([*mapping.roots, *(first.memory.roots if first else ())])
    done.append(before.restore)
    if first is not None:
        first.memory.unmap()
        books.learnt = books.learnt[: books.learnt.index(first)]
    if mapping.learns:
        memory = steps.Memory(mapping.roots)
        books.learnt = [*books.learnt, Learnt(frozenset(mapping.learns), memory, frozenset())]


def finish(books: Books, mapping: Mapping) -> None:
    """Let SQLAlchemy connect what it learnt: at the first query otherwise, and then each query would fail."""
    if mapping.learns or mapping.forgets:
        sys.modules["sqlalchemy.orm"].configure_mappers()
    _forget_compiled(mapping)
    if mapping.learns:
        last = books.learnt[-1]
        books.learnt = [*books.learnt[:-1], Learnt(last.keys, last.memory, known(last.memory.roots))][-_MOST:]


def _forget_compiled(mapping: Mapping) -> None:
    for engine in mapping.engines:
        engine.clear_compiled_cache()
