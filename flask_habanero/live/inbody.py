"""One statement of a class's body: which members it makes, and what of it runs when the class is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..piece import Piece, once_for_each_node
from ..source import Source
from . import names

_SHAPES = {"__new__", "__slots__", "__setstate__", "__getstate__", "__reduce__"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ANY = Source("", "", package=False, text="")


def bound(node: ast.stmt) -> Iterator[str]:
    """Yield the members that a simple statement makes."""
    if isinstance(node, _FUNCTIONS):
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from names.targets(target)
    elif isinstance(node, ast.AnnAssign):
        yield from names.targets(node.target)
    elif isinstance(node, ast.Expr):
        yield "__doc__"


@once_for_each_node
def binds(node: ast.stmt) -> frozenset[str]:
    """Return the members that any statement may make, or delete."""
    return frozenset({*bound(node), *names.of_piece(Piece(1, node, ""), _ANY).binds})


@once_for_each_node
def reads(node: ast.stmt) -> frozenset[str]:
    """Return the names that a statement reads when the class is made."""
    also = {node.target.id} if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) else ()
    return frozenset({*names.of_piece(Piece(1, node, ""), _ANY).reads, *also})


def is_simple(node: ast.stmt) -> bool:
    """Whether a statement can be exchanged by itself."""
    if any(isinstance(one, ast.NamedExpr) for one in running(node)):
        return False  # it binds more
    if isinstance(node, _FUNCTIONS):
        return node.name not in _SHAPES
    if isinstance(node, ast.Assign):
        return all(isinstance(t, ast.Name) and t.id not in _SHAPES for t in node.targets)
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name) and node.target.id not in _SHAPES
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def running(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield what runs when the class is made: what a function does is left out."""
    parts: list[ast.AST] = [node.args, *node.decorator_list] if isinstance(node, _FUNCTIONS) else [node]
    return (one for part in parts for one in ast.walk(part))


def mangled(name: str, cls: str) -> str:
    """Return the name under which a class has a member: private ones carry the class's name."""
    private = name.startswith("__") and not name.endswith("__")
    return f"_{cls.lstrip('_')}{name}" if private and cls.strip("_") else name
