"""Mapped classes take columns and relationships in, where SQLAlchemy would have them after a start."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .classes import Members, Put
from .undo import Inverse

_DEFAULTS = ("default", "onupdate")


@dataclass(frozen=True)
class Grow(Members):
    """The same for a mapped class, some of whose new members its mapper is told of.

    What takes it back is `Memory`: SQLAlchemy lets no member go.

    Attributes:
        told: those members.
        altered: columns that stay, and get what Python puts into them from their new statements.
    """

    told: tuple[str, ...] = ()
    altered: frozenset[str] = frozenset()

    def apply(self) -> Inverse:
        cls: Any = self.cls
        # what is told to it now is connected with all others at the end: a relationship may lead to a class
        # whose statement comes later
        if self.told:
            cls.__mapper__.configured = False
            cls.registry._flag_new_mapper(cls.__mapper__)
        columns = [cls.__mapper__.columns[name] for name in self.altered]
        before = [(column, name, getattr(column, name)) for column in columns for name in _DEFAULTS]

        def inverse() -> None:
            for column, name, value in before:
                setattr(column, name, value)
            cls.__mapper__._expire_memoizations()

        try:
            self._exchange({"__annotations__": cls.__dict__.get("__annotations__")})
            self._arrange()
        except BaseException:
            inverse()
            raise
        return inverse

    def _body(self, put: Put) -> dict[str, Any]:
        body = super()._body(put)
        for name in self.told:
            if name in put.names and name not in body:  # only annotated
                body[name] = sys.modules["sqlalchemy.orm"].mapped_column()
        return body

    def _set(self, put: Put, name: str, body: Mapping[str, Any]) -> None:
        if name in self.altered:
            self._alter(name, body[name])
            return
        hint = body.get("__annotations__", {}).get(name)
        if hint is not None and name in self.told:
            body = {**body, name: self._as_annotated(put, name, body[name], hint)}
        super()._set(put, name, body)

    def _alter(self, name: str, value: Any) -> None:
        """Let a column have what Python puts into another one, which is thrown away."""
        cls: Any = self.cls
        live, fresh = cls.__mapper__.columns[name], getattr(value, "column", value)
        for one in _DEFAULTS:
            setattr(live, one, getattr(fresh, one))
        for one in (live.default, live.onupdate):
            if one is not None:
                one.column = live

    def _as_annotated(self, put: Put, name: str, value: Any, hint: Any) -> Any:
        """Return a member with what its annotation says: SQLAlchemy reads that of a new class only.

        So a class that is thrown away gets it first.
        """
        orm: Any = sys.modules["sqlalchemy.orm"]
        cls: Any = self.cls
        scratch = orm.registry(type_annotation_map=cls.registry.type_annotation_map)
        key = orm.mapped_column(sys.modules["sqlalchemy"].Integer, primary_key=True)
        hints = {"__annotations__": {name: hint}, "__module__": cls.__module__}
        try:
            made = scratch.mapped(
                type(cls.__name__, (), {"__tablename__": "_", "_key": key, name: value, **hints})
            )
            if name in made.__mapper__.columns:
                return made.__mapper__.columns[name]._copy()
        finally:
            scratch.dispose()
        fresh = super()._body(put)[name]  # the other one belongs to that class
        for told in ("argument", "collection_class", "uselist", "lazy", "strategy_key"):
            setattr(fresh, told, getattr(value, told))
        return fresh

    def _arrange(self) -> None:
        """Let the new members stand where they would if the class were mapped with them."""
        cls: Any = self.cls
        mapper, table = cls.__mapper__, cls.__table__
        of: dict[str, Any] = {
            name: getattr(mapper._props[name], "columns", ()) for name in self.order if name in mapper._props
        }
        columns = [name for name, found in of.items() if found and found[0].table is table]
        relations = [name for name, found in of.items() if not found]
        for siblings in (columns, relations):
            new = {name for name in siblings if name in self.told}
            _put_in_order(mapper._props, siblings, new)
            _put_in_order(mapper.class_manager, siblings, new)
        keys = {name: of[name][0].key for name in columns}
        _sort(table._columns, list(keys.values()), {keys[name] for name in columns if name in self.told})
        _sort(
            getattr(mapper, "_columns", mapper.columns),
            columns,
            {name for name in columns if name in self.told},
        )
        mapper._expire_memoizations()


@dataclass(frozen=True)
class CreateTables:
    """Tables that the database has not are made, as the start does it. Those that are there stay as they are.

    Attributes:
        extension: Flask-SQLAlchemy's.
    """

    extension: Any

    def apply(self) -> Inverse:
        for app in list(self.extension._app_engines):
            with app.app_context():
                self.extension.create_all()
        return lambda: None  # a table that nobody asks for does no harm, and it may have rows by now


def _among(rows: Collection[str], siblings: list[str], new: set[str]) -> list[str]:
    """Return names in which the new ones stand where they do among their siblings."""
    found = [row for row in rows if row not in new]
    for index, name in enumerate(siblings):
        if name in new and index:
            found.insert(found.index(siblings[index - 1]) + 1, name)
        elif name in new:
            old = next((one for one in siblings if one not in new), None)
            found.insert(0 if old is None else found.index(old), name)
    return found


def _sort(columns: Any, siblings: list[str], new: set[str]) -> None:
    """Let a collection of columns have the new ones where they stand among their siblings."""
    rows = {row[0]: row for row in columns._collection}
    columns._collection[:] = [rows[one] for one in _among(rows, siblings, new)]
    for index, row in enumerate(columns._collection):
        columns._index[index] = columns._index[row[0]]


def _put_in_order(mapping: dict[str, Any], siblings: list[str], new: set[str]) -> None:
    content = {name: dict.__getitem__(mapping, name) for name in _among(mapping, siblings, new)}
    dict.clear(mapping)
    dict.update(mapping, content)
