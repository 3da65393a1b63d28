"""Are two statements alike? As a whole, or but for the bodies of their functions: what runs at import."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .bodies import Function

Nodes = ast.AST | Sequence[ast.AST] | None


def alike(old: Nodes, new: Nodes) -> bool:
    """Whether nodes say the same, wherever they stand."""
    return _alike(old, new, hollow=False)


def same_skeleton(old: ast.AST, new: ast.AST) -> bool:
    """Whether two statements do the same at import: they differ in bodies of functions, if at all."""
    return _alike(old, new, hollow=True)


def same_own_level(old: Function, new: Function) -> bool:
    """Whether two functions do the same themselves: but for docstrings, and what functions in them do."""
    return _alike(_undocumented(old), _undocumented(new), hollow=True)


def _alike(old: object, new: object, *, hollow: bool) -> bool:
    """Compare with a loop, and stop at the first difference: `ast.dump` writes all of both first."""
    stack = [(old, new)]
    while stack:
        one, other = stack.pop()
        if one is other:
            continue
        if type(one) is not type(other):
            return False
        if isinstance(one, ast.AST):
            names = one._fields
            if hollow and isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                names = tuple(name for name in names if name != "body")
                stack.append((_read_at_import(one), _read_at_import(other)))
            stack.extend((getattr(one, name, None), getattr(other, name, None)) for name in names)
        elif isinstance(one, list):
            if len(one) != len(other):  # type: ignore[arg-type]  # of the same type
                return False
            stack.extend(zip(one, other, strict=True))  # type: ignore[call-overload]  # of the same type
        elif repr(one) != repr(other):  # 0.0 equals -0.0, and NaN not even itself
            return False
    return True


def _read_at_import(node: object) -> ast.stmt | None:
    """Return the docstring of a decorated function: the decorator may have copied it (functools.wraps)."""
    body = getattr(node, "body", None)
    documented = isinstance(body, list) and _is_docstring(body[0])
    return body[0] if documented and getattr(node, "decorator_list", None) else None  # type: ignore[index]  # a list


def _undocumented(node: Function) -> list[ast.stmt]:
    return node.body[1:] if _is_docstring(node.body[0]) else node.body


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
