"""What the app's own text says of values: the literal that a name is given, and which attributes are set.

Only read, never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..piece import once_for_each_node
from ..source import Source, once_for_each_source
from . import names

NO_LITERAL = object()
_SETTERS = ("setattr", "delattr")


class Empty:
    """Stands for what a call without arguments makes: an empty container of a type of that name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return type(other).__name__ == self.name and len(other) == 0  # type: ignore[arg-type]  # a container

    __hash__ = None  # type: ignore[assignment]  # compared only


def literal(source: Source, name: str) -> Any:
    """Return what the one statement that binds a module's name makes of it, if it stands there."""
    rows = names.of_source(source)
    binding = [p.node for p, row in zip(source.parsed.pieces, rows, strict=True) if name in row.binds]
    return value_in(binding, name) if len(binding) == 1 else NO_LITERAL


def class_body(source: Source | None, name: str) -> ast.ClassDef | None:
    """Return the definition of a class at module level; None if there is none, or more than one."""
    found = [
        piece.node
        for piece in (source.parsed.pieces if source is not None else ())
        if isinstance(piece.node, ast.ClassDef) and piece.node.name == name
    ]
    return found[0] if len(found) == 1 else None


def value_in(body: Iterable[ast.stmt], name: str) -> Any:
    """Return the value of the literal that a name is assigned, if there is one."""
    for node in body:
        goals = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(goal, ast.Name) and goal.id == name for goal in goals):
            return NO_LITERAL if isinstance(node, ast.AugAssign) else _value(value)
    return NO_LITERAL


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        pass
    if not isinstance(node, ast.Call):
        return NO_LITERAL
    called = ast.unparse(node.func).rpartition(".")[2]
    with_factory = called == "defaultdict" and len(node.args) == 1
    return Empty(called) if not node.keywords and (not node.args or with_factory) else NO_LITERAL


def is_stored(tree: Mapping[str, Source], attribute: str) -> bool:
    """Whether the app's own code sets or deletes an attribute of that name, of anything but `self`."""
    return any(attribute in source.text and attribute in _stored(source) for source in tree.values())


def is_filled(tree: Mapping[str, Source], attribute: str) -> bool:
    """Whether the app's own code changes a container in place that it gets at by an attribute."""
    pattern = re.compile(rf"\b{re.escape(attribute)}\s*(\.\s*({_FILLING})\b|\[[^\]]*\]\s*[-+*/|]?=(?!=)|\+=)")
    return any(attribute in source.text and pattern.search(source.text) for source in tree.values())


_FILLING = (
    "add|append|appendleft|clear|discard|extend|insert|pop|popleft|remove|reverse|setdefault|sort|update"
)


def is_kept_by_self(tree: Mapping[str, Source], attribute: str) -> bool:
    """Whether the app's own code sets or deletes an attribute of that name of `self`."""
    pattern = re.compile(rf"\bself\s*\.\s*{re.escape(attribute)}\b")
    sources = (source for source in tree.values() if pattern.search(source.text))
    nodes = (one for source in sources for piece in source.parsed.pieces for one in ast.walk(piece.node))
    return any(
        isinstance(one, ast.Attribute) and one.attr == attribute and not isinstance(one.ctx, ast.Load)
        for one in nodes
    )


@once_for_each_source
def _stored(source: Source) -> frozenset[str]:
    """Return the attributes that a module's code sets or deletes, of anything but `self`."""
    return frozenset().union(*(_stored_in(piece.node) for piece in source.parsed.pieces))


@once_for_each_node
def _stored_in(node: ast.AST) -> frozenset[str]:
    return frozenset(name for one in ast.walk(node) for name in [_stores(one)] if name is not None)


def _stores(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        own = isinstance(node.value, ast.Name) and node.value.id == "self"
        return node.attr if not own and isinstance(node.ctx, ast.Store | ast.Del) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SETTERS:
        second = node.args[1] if len(node.args) > 1 else None
        return second.value if isinstance(second, ast.Constant) and isinstance(second.value, str) else None
    return None


def sets_class(tree: Mapping[str, Source]) -> bool:
    """Whether the app's own code may give an object another class."""
    return any("__class__" in source.text and _sets_class(source) for source in tree.values())


@once_for_each_source
def _sets_class(source: Source) -> bool:
    nodes = (one for piece in source.parsed.pieces for one in ast.walk(piece.node))
    return any(
        (isinstance(one, ast.Attribute) and one.attr == "__class__" and not isinstance(one.ctx, ast.Load))
        or (isinstance(one, ast.Constant) and one.value == "__class__")
        for one in nodes
    )


def is_set_by_name(tree: Mapping[str, Source]) -> bool:
    """Whether the app's own code sets attributes, of anything but `self`, whose names it computes."""
    return any(
        _sets_by_name(one)
        for source in tree.values()
        if any(setter in source.text for setter in _SETTERS)
        for piece in source.parsed.pieces
        for one in ast.walk(piece.node)
    )


def _sets_by_name(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SETTERS):
        return False
    target, name = (*node.args, None, None)[:2]
    own = isinstance(target, ast.Name) and target.id == "self"
    return not own and not isinstance(name, ast.Constant)


def is_nonlocal(source: Source, qualname: str, name: str) -> bool:
    """Whether a function that is made beside another one rebinds a variable that they share."""
    top = qualname.partition(".")[0]
    rows = names.of_source(source)
    return any(
        isinstance(one, ast.Nonlocal) and name in one.names
        for piece, row in zip(source.parsed.pieces, rows, strict=True)
        if top in row.binds
        for one in ast.walk(piece.node)
    )
