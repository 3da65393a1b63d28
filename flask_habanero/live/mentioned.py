"""Who mentions a mapped class, and asks it for nothing that depends on its columns, told from the text."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable

from . import mapped, variables

_PEEWEES = ("peewee", "ForeignKeyField")
_LISTENING = frozenset([("sqlalchemy.event.api", "listen"), ("sqlalchemy.event.api", "listens_for")])
_ENUM = ("sqlalchemy.sql.sqltypes", "Enum")
_ELEMENTS = frozenset(
    ["sort_key", "values_callable"]
)  # functions that it gives the enumeration, or its elements
_TABLE = ("_meta", "table_name")  # of a model of peewee's
_OF_CLASSES = ("metadata", "registry")  # what leads to all columns


def only_asks(
    nodes: Iterable[ast.AST],
    local: Container[str],
    callee: mapped.Callee,
    makers: tuple[str, ...] = mapped.MAKERS,
) -> bool:
    """Whether parts of a function or statement use a class for nothing that depends on its columns.

    They make rows, name columns, and give the class to the makers of such classes.
    """
    told: set[ast.AST] = set()
    nodes = list(nodes)
    for one in nodes:
        if isinstance(one, ast.Attribute) and not one.attr.startswith("_") and one.attr not in _OF_CLASSES:
            told.add(one.value)
        elif isinstance(one, ast.Call):
            told.add(one.func)
            found = callee(_root(one.func))
            place = getattr(found, "__module__", None) or getattr(found, "__name__", "")
            if f"{place}.".startswith(makers) or found in (isinstance, issubclass):
                told.update(part for arg in one.args for part in _given(arg))
    return _are_told(nodes, local, told)


def _given(arg: ast.expr) -> list[ast.expr]:
    """Return an argument, or what is in one that is a list or tuple as it is written."""
    return arg.elts if isinstance(arg, ast.List | ast.Tuple) else [arg]


def _root(node: ast.expr) -> ast.expr:
    """Return what a chain of attributes and calls begins with."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node


def only_names(node: ast.AST, local: Container[str], callee: mapped.Callee, *, is_enum: bool = False) -> bool:
    """Whether a statement, as far as it runs, says a class's name and asks it for nothing but columns.

    Args:
        node: another class, or a part of what makes one.
        local: names of the other class there.
        callee: what an expression stands for.
        is_enum: whether that is an enumeration: then a type may be made of it, which asks for its elements.
    """
    makers = (*mapped.RELATIONS, _PEEWEES, *([_ENUM] if is_enum else []))
    told: set[ast.AST] = set()
    for one in variables.at_import(node):
        if isinstance(one, ast.AnnAssign):
            told.update(ast.walk(one.annotation))
        elif isinstance(one, ast.Attribute) and not one.attr.startswith("_") and one.attr not in _OF_CLASSES:
            told.add(one.value)
            told.update(_asked_by_meta(one))
        elif isinstance(one, ast.Call) and mapped.place_of(callee(one.func)) in makers:
            told.update(one.args if _ELEMENTS.isdisjoint(word.arg for word in one.keywords) else ())
    return all(
        one in told for one in variables.at_import(node) if isinstance(one, ast.Name) and one.id in local
    )


def only_listens(node: ast.AST, local: Container[str], callee: mapped.Callee) -> bool:
    """Whether a statement, as far as it runs, names a class only to listen to events of it, or of a column.

    The arguments are those of `only_names`.
    """
    nodes = list(variables.at_import(node))
    named = {one for one in nodes if isinstance(one, ast.Name) and one.id in local}
    for one in nodes if named else ():
        if isinstance(one, ast.Call) and one.args:
            first = one.args[0]
            thing = first.value if isinstance(first, ast.Attribute) else first
            if thing in named and mapped.place_of(callee(one.func)) in _LISTENING:
                named.discard(thing)
    return not named


def _asked_by_meta(node: ast.Attribute) -> list[ast.expr]:
    """Return the class that is asked for its table's name, as peewee keeps it: no member decides that."""
    meta = node.value
    return [meta.value] if isinstance(meta, ast.Attribute) and (meta.attr, node.attr) == _TABLE else []


def _are_told(nodes: Iterable[ast.AST], local: Container[str], told: set[ast.AST]) -> bool:
    """Whether all that names the class is among what is told."""
    return all(one in told for one in nodes if isinstance(one, ast.Name) and one.id in local)
