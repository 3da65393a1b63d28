"""What SQLAlchemy and WTForms know of the project's classes, if they are there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from .graph import ADDRESS, Graph


def settle(graph: Graph) -> None:
    """Let SQLAlchemy connect its mappers, as the first query does."""
    if "sqlalchemy.orm" not in sys.modules:
        return
    from sqlalchemy.orm import configure_mappers

    try:
        configure_mappers()
    except Exception as error:  # noqa: BLE001  # each query would fail like this: a finding, on both sides
        graph.word("mappers", f"{type(error).__name__}: {error}")


def describe(graph: Graph, modules: Iterable[ModuleType]) -> None:
    """Add words for mapped classes, tables and forms that the modules have."""
    found = {id(value): value for module in modules for value in _values(module)}
    if "sqlalchemy" in sys.modules:
        for metadata in {id(m): m for m in map(_metadata, found.values()) if m is not None}.values():
            _tables(graph, metadata)
        for value in found.values():
            if isinstance(value, type) and "__mapper__" in vars(value):
                _mapper(graph, value)
    if "wtforms" in sys.modules:
        for value in found.values():
            if isinstance(value, type) and graph.own(value.__module__) and hasattr(value, "_unbound_fields"):
                _form(graph, value)


def _values(module: ModuleType) -> Iterator[Any]:
    for value in list(vars(module).values()):
        yield value
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield from (inner for inner in vars(value).values() if isinstance(inner, type))


def _metadata(value: Any) -> Any:
    from sqlalchemy import MetaData

    if isinstance(value, MetaData):
        return value
    found = vars(value).get("metadata") if isinstance(value, type) else None
    return found if isinstance(found, MetaData) else None


def _tables(graph: Graph, metadata: Any) -> None:
    for name, table in sorted(metadata.tables.items()):
        graph.word(f"table {name}", f"{[column.name for column in table.columns]}")
        for column in table.columns:
            told = (
                column.primary_key,
                column.nullable,
                column.unique,
                column.index,
                column.default,
                column.server_default,
            )
            keys = sorted(key.target_fullname for key in column.foreign_keys)
            graph.word(
                f"table {name}.{column.name}",
                f"{column.type!r} {[ADDRESS.sub('', str(item)) for item in told]} {keys}",
            )
        graph.word(f"table {name} indexes", f"{sorted(str(index.name) for index in table.indexes)}")


def _mapper(graph: Graph, cls: type) -> None:
    from sqlalchemy import inspect

    mapper: Any = inspect(cls)
    name = f"mapped {cls.__module__}.{cls.__qualname__}"
    # back references of other classes come in the order in which those are set up, which nothing reads
    own = [
        (p.key, type(p).__name__)
        for p in mapper.attrs
        if p.key in mapper._init_properties or hasattr(p, "columns")
    ]
    others = sorted(p.key for p in mapper.attrs if p.key not in dict(own))
    graph.word(name, f"{mapper.local_table} {own} {others}")
    graph.word(f"{name} events", f"{len(list(mapper.dispatch.before_insert))} before_insert")


def _form(graph: Graph, cls: type) -> None:
    """Say the fields of a form in order: those that WTForms remembers, or else those that it would find."""
    there = [(name, getattr(cls, name)) for name in dir(cls) if not name.startswith("_")]
    found = [(name, field) for name, field in there if hasattr(field, "_formfield")]
    found.sort(key=lambda row: (row[1].creation_counter, row[0]))
    remembered: list[tuple[str, Any]] | None = vars(cls).get("_unbound_fields")
    fields = found if remembered is None else remembered
    name = f"form {cls.__module__}.{cls.__qualname__}"
    graph.word(name, f"{[(key, field.field_class.__name__) for key, field in fields]}")
    for key, field in fields:
        graph.visit(f"{name}.{key}", (field.args, field.kwargs))
