"""A definition's own lines: ``Cart.total`` of a source, decorators included. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ..source import Source


@dataclass(frozen=True)
class Excerpt:
    """Some whole lines of a source, counted from 1."""

    first: int
    last: int
    text: str


def excerpt(source: Source, name: str) -> Excerpt | None:
    """Return the lines that define a name, by its qualified name; the last such definition, as in Python.

    Raises:
        BuildError: this Python can't read the source.
    """
    found = [node for known, node in _definitions(_body(source)) if known == name]
    if not found:
        return None
    node = found[-1]
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    last = node.end_lineno or node.lineno
    lines = source.text.split("\n")[first - 1 : last]  # `splitlines` knows more ends than Python does
    return Excerpt(first, last, "\n".join(lines) + "\n")


def whole(source: Source) -> Excerpt:
    """Return all lines of a source, as they are."""
    return Excerpt(1, source.text.count("\n") + (not source.text.endswith("\n")), source.text)


def names(source: Source) -> list[str]:
    """Return the qualified names that a source defines. Raises BuildError."""
    return sorted({name for name, _ in _definitions(_body(source))})


def _body(source: Source) -> list[ast.stmt]:
    return [piece.node for piece in source.parsed.pieces]


def _definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for each in (each for target in targets for each in ast.walk(target)):
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                    yield prefix + each.id, node
        else:  # a branch, a loop, a `with`: its definitions are of the same scope
            for inner in ("body", "orelse", "finalbody"):
                yield from _definitions(getattr(node, inner, []), prefix)
            for branch in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
                yield from _definitions(branch.body, prefix)
