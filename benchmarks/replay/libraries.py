"""What libraries keep of an app's code, as words: tables, mappers, callbacks of extensions.

The oracle looks into Flask, Jinja, click, blinker and WTForms; objects of other libraries it only
names. An engine can be wrong there, too. Nothing here is the engine's.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import Any

Words = dict[str, str]


def words(app: Any, tops: set[str], root: str) -> Words:
    """Return what SQLAlchemy and the app's extensions hold that came from the app's own modules."""
    from flask import Blueprint, Flask

    from tests.oracle.graph import Graph

    own = lambda name: name.partition(".")[0] in tops  # noqa: E731  # said once
    graph = Graph(own, root, (Flask, Blueprint))
    for name, extension in sorted(_extensions(app, own).items()):
        for key, value in sorted(getattr(extension, "__dict__", {}).items()):
            _callbacks(graph, f"{name}.{key}", value, own)
    found = dict(graph.found)
    found.update(_mappers(own))
    found.update(_forms(own))
    return found


def _extensions(app: Any, own: Any) -> dict[str, Any]:
    """Return the objects of Flask's extensions: those the app knows and those in its modules."""
    found = {f"extension {name}": value for name, value in app.extensions.items()}
    for name, module in list(sys.modules.items()):
        if not own(name):
            continue
        for key, value in list(vars(module).items()):
            if type(value).__module__.partition(".")[0].startswith("flask_"):
                found[f"extension {name}.{key}"] = value
    return found


def _callbacks(graph: Any, path: str, value: Any, own: Any) -> None:
    """Visit functions and classes of the app's own, one level deep."""
    if isinstance(value, types.FunctionType | type):
        if own(value.__module__ or ""):
            graph.visit(path, value)
    elif isinstance(value, dict):
        for key, item in list(value.items()):
            if isinstance(item, types.FunctionType | type):
                _callbacks(graph, f"{path}[{key!r}]", item, own)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if isinstance(item, types.FunctionType | type):
                _callbacks(graph, f"{path}[{index}]", item, own)


def _mappers(own: Any) -> Words:
    """Return tables, columns and relationships of the app's mapped classes."""
    if "sqlalchemy.orm" not in sys.modules:
        return {}
    from sqlalchemy.orm import Mapper, configure_mappers
    from sqlalchemy.orm.mapper import _all_registries

    try:
        configure_mappers()
    except Exception as error:  # noqa: BLE001  # broken mappers are a finding, on both sides
        return {"mappers": f"{type(error).__name__}: {error}"}
    found: Words = {}
    mappers: Iterable[Mapper[Any]] = [
        mapper for registry in list(_all_registries()) for mapper in registry.mappers
    ]
    for mapper in sorted(mappers, key=lambda m: f"{m.class_.__module__}.{m.class_.__qualname__}"):
        if own(mapper.class_.__module__):
            _mapper(found, mapper)
    return found


def _mapper(found: Words, mapper: Any) -> None:
    cls = mapper.class_
    path = f"mapper {cls.__module__}.{cls.__qualname__}"
    live = getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
    found[path] = f"table {mapper.local_table} live={live}"
    table = mapper.local_table
    for column in getattr(table, "columns", ()):
        keys = sorted(str(key.target_fullname) for key in column.foreign_keys)
        default = getattr(column.default, "arg", None)
        told = default if not callable(default) else f"{default.__module__}.{default.__qualname__}"
        flags = (column.nullable, column.primary_key, column.index, column.unique)
        found[f"{path} column {column.name}"] = f"{column.type!r} {flags} default={told!r} keys={keys}"
    indexes = getattr(table, "indexes", ())
    found[f"{path} indexes"] = f"{sorted(f'{i.name} {[str(c) for c in i.columns]}' for i in indexes)}"
    for relation in mapper.relationships:
        told = (
            relation.lazy,
            relation.uselist,
            sorted(str(c) for c in relation.cascade),
            relation.back_populates,
        )
        found[f"{path} relationship {relation.key}"] = (
            f"{relation.mapper.class_.__qualname__} {told} {relation.order_by}"
        )
    found[f"{path} attributes"] = f"{sorted(mapper.all_orm_descriptors.keys())}"


def _forms(own: Any) -> Words:
    """Return the order of each form's fields: WTForms sorts them by a counter that never begins anew."""
    if "wtforms" not in sys.modules:
        return {}
    from wtforms import Form

    found: Words = {}
    todo: list[type] = [Form]
    while todo:
        form = todo.pop()
        todo += form.__subclasses__()
        if own(form.__module__):
            fields = {name: getattr(form, name) for name in dir(form) if not name.startswith("_")}
            counters = {
                name: field.creation_counter for name, field in fields.items() if hasattr(field, "_formfield")
            }
            order = sorted(counters, key=lambda name: (counters[name], name))  # sorted at once
            live = getattr(sys.modules.get(form.__module__), form.__name__, None) is form
            found[f"form {form.__module__}.{form.__qualname__} live={live}"] = f"{order}"
    return found
