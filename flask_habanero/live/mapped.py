"""SQLAlchemy's mapped classes: which statements map, and what a class that is mapped can still take.

No dependency: classes are known by where they come from, and nothing is imported here. SQLAlchemy maps
a class when its statement has run, and takes columns and relationships later, too (what its documentation
calls appending to a mapped class); it lets none of them go. What the database has is another matter:
a plan says that a migration is needed. Of peewee's models only that they are some.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAKERS = ("sqlalchemy.", "flask_sqlalchemy.")
PEEWEES = ("peewee.", "playhouse.")
_PYTHONS = ("builtins", "abc", "typing")
# what their constructors make is told to the mapper when it becomes a member
_COLUMNS = frozenset(
    [
        ("sqlalchemy.sql.schema", "Column"),
        ("sqlalchemy.orm._orm_constructors", "mapped_column"),
    ]
)
RELATIONS = frozenset(
    [
        ("flask_sqlalchemy.extension", "SQLAlchemy.relationship"),
        ("sqlalchemy.orm._orm_constructors", "relationship"),
    ]
)
# with others a column is no column more, but another key, another mapping
_OF_COLUMNS = frozenset(
    [
        "comment", "default", "doc", "index", "info", "insert_default", "nullable", "onupdate", "quote",
        "server_default", "server_onupdate", "type_", "unique",
    ]
)  # fmt: skip
_DEFAULTS = ("default", "insert_default", "onupdate")
_HOOKS = ("__declare_first__", "__declare_last__", "__mapper_cls__", "__table_cls__")
_OF_HYBRIDS = ("setter", "getter", "deleter", "expression", "comparator", "update_expression")
_EVENTS = (
    "after_configured",
    "after_mapper_constructed",
    "before_configured",
    "before_mapper_configured",
    "instrument_class",
    "mapper_configured",
)
_MAPPING = ("sqlalchemy.orm.", "sqlalchemy.sql.")  # who listens there by themselves, and acts on all alike
_ATTACHED = ("before_parent_attach", "after_parent_attach")

Callee = Callable[[ast.expr], object]
"""Returns the live object that an expression stands for, None if that can't be told."""


def maps(base: object) -> bool:
    """Whether SQLAlchemy maps a class that derives from a live one, and nobody else acts on it."""
    if not isinstance(base, type):
        return False
    acting = [one for one in base.__mro__ if "__init_subclass__" in vars(one)]
    acting += [
        one for one in type.mro(type(base)) if {"__new__", "__init__", "__prepare__"} & vars(one).keys()
    ]
    found = [f"{one.__module__}." for one in acting if one.__module__ not in _PYTHONS]
    known = all(where.startswith(MAKERS) for where in found)
    return known and any(where.startswith("sqlalchemy.orm.") for where in found)


def is_sqlalchemys(cls: type) -> bool:
    """Whether a class is SQLAlchemy's or Flask-SQLAlchemy's own."""
    return f"{cls.__module__}.".startswith(MAKERS)


def known_to(base: Any) -> tuple[object, ...]:
    """Return what learns of a class that derives from such a base."""
    return tuple(
        found for name in ("metadata", "registry") if (found := getattr(base, name, None)) is not None
    )


def is_asked(name: str, kind: type | None) -> bool:
    """Whether SQLAlchemy calls a member, of that class, while it maps what has it."""
    return name in _HOOKS or any(
        one.__module__ == "sqlalchemy.orm.decl_api" and "declared_attr" in one.__name__
        for one in (type.mro(kind) if kind is not None else ())
    )


def makes_table(value: object) -> bool:
    """Whether calling something makes a table, which its metadata knows from then on."""
    made = isinstance(value, type) and any(
        _is(one, "sqlalchemy.sql.schema", "Table") for one in value.__mro__
    )
    return made and f"{getattr(value, '__module__', '')}.".startswith(MAKERS)


def is_extension(value: object) -> bool:
    """Whether something is Flask-SQLAlchemy's extension."""
    return f"{type(value).__module__}.".startswith("flask_sqlalchemy.") and hasattr(value, "create_all")


def is_told(cls: Any, name: str) -> bool:
    """Whether the mapper of a class has a member of its own statement."""
    return name in cls.__mapper__._props


def keeps(name: str, cls: Any = None) -> str:
    """Return the words for a mapped class that does not change as it is asked to, as it is live, if it is."""
    if cls is not None and heard(*_MAPPING, cls=cls):
        return f"class {name}: somebody listens to what SQLAlchemy maps, and may act on it at the start"
    return f"class {name}: a mapped class takes new columns, and lets none change, or go that it started with"


def metadata_of(table: Any, given: Iterable[object]) -> list[object]:
    """Return the metadata that may know a new table: what it is given, or all that Flask-SQLAlchemy has."""
    kind = getattr(sys.modules.get("sqlalchemy.sql.schema"), "MetaData", ())
    found = [one for one in given if isinstance(one, kind)]
    cells = getattr(vars(table).get("__new__"), "__closure__", None) or ()
    return found or [one for cell in cells for one in getattr(cell.cell_contents, "metadatas", {}).values()]


def is_peewees(cls: type) -> bool:
    """Whether a class is a model of peewee's."""
    return any(_is(base, "peewee", "ModelBase") for base in type.mro(type(cls)))


def files_of_peewee() -> frozenset[str]:
    """Return where peewee's own code lies."""
    found = [module for name, module in list(sys.modules.items()) if f"{name}.".startswith(PEEWEES)]
    return frozenset(getattr(module, "__file__", None) or "" for module in found)


def is_mapped(cls: type) -> bool:
    """Whether SQLAlchemy has mapped a class."""
    return "__mapper__" in vars(cls)


def grows(cls: Any, more: Iterable[ast.stmt], body: Iterable[ast.stmt], callee: Callee) -> bool:
    """Whether a class's mapping takes columns and relationships, and then is as a cold start makes it.

    Args:
        cls: the class.
        more: the statements of the new ones.
        body: the class's whole body, as it will be.
        callee: what an expression in it stands for.
    """
    more = list(more)
    if not all(_is_new(cls, one) and told_to_mapper(one, callee) for one in more):
        return False
    # a new column takes its place beside one that the class has itself
    if not any(is_column(one, callee) for one in body if one not in more):
        return False
    mapper, table = cls.__mapper__, cls.__table__
    alone = (
        not mapper.inherits and mapper.polymorphic_on is None and len(list(mapper.self_and_descendants)) == 1
    )
    plain = mapper.local_table is table and type(table).__module__.startswith(MAKERS)
    named = (mapper.include_properties, mapper.exclude_properties, mapper.column_prefix)
    told = any(
        "__setattr__" in vars(one) for one in type(cls).__mro__ if one.__module__.startswith("sqlalchemy.")
    )
    return alone and plain and told and not any(named) and not heard(*_MAPPING, cls=cls)


def _is_new(cls: type, node: ast.stmt) -> bool:
    """Whether no class that a class derives from, or it itself, has a member of that name."""
    name = member_name(node)
    return name is not None and not name.startswith("__") and not hasattr(cls, name)


def heard(*makers: str, cls: Any = None) -> bool:
    """Whether somebody but some packages listens to what is mapped, and so would act on it.

    Args:
        makers: of the packages, how the names of their modules begin; if none, SQLAlchemy and the extension.
        cls: a mapped class to whose own events somebody may listen, too.
    """
    orm, schema = sys.modules.get("sqlalchemy.orm"), sys.modules.get("sqlalchemy.sql.schema")
    if orm is None or schema is None:
        return False
    try:
        listeners = [*_listeners(orm, schema), *(_own_listeners(cls) if cls is not None else ())]
    except (AttributeError, ValueError):
        return True  # a SQLAlchemy that keeps them elsewhere: then nobody can tell
    return not all(f"{one.__module__}.".startswith(makers or MAKERS) for one in map(_unwrapped, listeners))


def _listeners(orm: Any, schema: Any) -> Iterator[Any]:
    """Yield who listens to what any class maps, or will, and to what any table or column is attached to."""
    asked = [(orm.Mapper, event) for event in _EVENTS]
    asked += [(schema.Table, event) for event in _ATTACHED] + [(schema.Column, event) for event in _ATTACHED]
    for owner, event in asked:
        level = getattr(owner.dispatch, event, None)  # not every version has every event
        for found in dict(level._clslevel).values() if level is not None else ():
            yield from found
    for held in list(sys.modules["sqlalchemy.orm.events"]._MapperEventsHold.all_holds.values()):
        yield from (row[0].fn for key, row in held.items() if key[1] in _EVENTS)


def _own_listeners(cls: Any) -> Iterator[Any]:
    """Yield who listens to a mapped class, and to the types that its registry finds for annotations."""
    for event in _EVENTS:
        yield from getattr(cls.__mapper__.dispatch, event, ())
    told = getattr(cls.registry, "dispatch", None)
    for event in told._event_names if told is not None else ():
        yield from getattr(told, event)


def _unwrapped(listener: Any) -> Any:
    """Return what SQLAlchemy wrapped, if it did: a function, a method, or an object that is called."""
    inner = [cell.cell_contents for cell in getattr(listener, "__closure__", None) or ()]
    own = [one for one in inner if callable(one) and not isinstance(one, type)]
    wraps = f"{listener.__module__}.".startswith("sqlalchemy.") and own
    return _unwrapped(own[0]) if wraps else listener


def is_column(node: ast.stmt, callee: Callee) -> bool:
    """Whether a member is a column."""
    if isinstance(node, ast.AnnAssign) and node.value is None and isinstance(node.annotation, ast.Subscript):
        return place_of(callee(node.annotation.value)) == ("sqlalchemy.orm.base", "Mapped")
    call = _call(node)
    return call is not None and place_of(callee(call.func)) in _COLUMNS


def _is_plain_column(node: ast.stmt, callee: Callee) -> bool:
    """Whether a member is a column of its own name, and nothing more."""
    call = _call(node)
    first = call.args[0] if call and call.args else None
    renamed = isinstance(first, ast.Constant) and first.value != member_name(node)
    plain = not call or all(one.arg in _OF_COLUMNS for one in call.keywords)
    return is_column(node, callee) and plain and not renamed


def altered(gone: Iterable[ast.stmt], put: Iterable[ast.stmt], callee: Callee) -> set[str]:
    """Return the columns of which only that changes which Python puts into them."""
    before = {name: one for one in gone if (name := member_name(one))}
    after = {name: one for one in put if (name := member_name(one))}
    both = before.keys() & after.keys()
    return {name for name in both if _only_defaults(before[name], after[name], callee)}


def _only_defaults(old: ast.stmt, new: ast.stmt, callee: Callee) -> bool:
    """Whether two statements make the same column but for what Python puts into it."""
    calls = _call(old), _call(new)
    if None in calls or type(old) is not type(new) or not is_column(new, callee):
        return False
    return _but_defaults(old) == _but_defaults(new)


def _but_defaults(node: ast.stmt) -> str:
    node = copy.deepcopy(node)
    call = _call(node)
    assert call is not None
    call.keywords = [one for one in call.keywords if one.arg not in _DEFAULTS]
    return ast.dump(node)


def told_to_mapper(node: ast.stmt, callee: Callee) -> bool:
    """Whether a member is one that a mapped class's mapper is told of."""
    return _is_plain_column(node, callee) or is_relation(node, callee)


def is_relation(node: ast.stmt, callee: Callee) -> bool:
    """Whether a member is a relationship."""
    call = _call(node)
    return call is not None and place_of(callee(call.func)) in RELATIONS


def is_hybrid(node: ast.stmt, callee: Callee) -> bool:
    """Whether a member is a hybrid property or method, or completes one: the mapper passes over them, too."""
    if not isinstance(node, ast.FunctionDef) or node.name.startswith("__"):
        return False
    own = {f"{node.name}.{part}" for part in _OF_HYBRIDS}
    decorators = [one for one in node.decorator_list if ast.unparse(one) not in own]
    return bool(node.decorator_list) and all(
        place_of(callee(one))[0] == "sqlalchemy.ext.hybrid" for one in decorators
    )


def is_constant(node: ast.stmt) -> bool:
    """Whether a member is a value that the mapper passes over."""
    if not isinstance(node, ast.Assign) or not all(isinstance(one, ast.Name) for one in node.targets):
        return False
    names = [one.id for one in node.targets if isinstance(one, ast.Name)]
    return not any(name.startswith("__") for name in names) and _is_plain(node.value)


def _is_plain(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return all(map(_is_plain, node.elts))
    if isinstance(node, ast.Dict):
        return all(one is not None and _is_plain(one) for one in (*node.keys, *node.values))
    return isinstance(node, ast.Constant)


def member_name(node: ast.stmt) -> str | None:
    """Return the name of the one member that a statement makes by assigning to it; None if it does not."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _call(node: ast.stmt) -> ast.Call | None:
    """Return the call whose result becomes a member."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return value if member_name(node) and isinstance(value, ast.Call) else None


def place_of(value: object) -> tuple[str, str]:
    """Return the module and the qualified name of a function or class; empty where it has none."""
    return str(getattr(value, "__module__", "")), str(getattr(value, "__qualname__", ""))


def _is(cls: type, module: str, name: str) -> bool:
    return (cls.__module__, cls.__name__) == (module, name)
