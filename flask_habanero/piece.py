"""A source's top-level statements: each with its node, its digest, and where it stands.

A statement's ``digest`` is one of its AST without positions: moving it changes nothing, except
where its place gives it a meaning (a first string is the docstring).
"""

from __future__ import annotations
import __future__

import ast
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from .remembered import memory_of, remembered

if TYPE_CHECKING:
    from .source import Source

_Told = TypeVar("_Told")

_Node = TypeVar("_Node", bound=ast.AST)


def once_for_each_node(tell: Callable[[_Node], _Told]) -> Callable[[_Node], _Told]:
    """Let a function that tells something of a node do it once: what it told is kept with the node."""
    key = f"_habanero_{tell.__name__}"

    @wraps(tell)
    def ask(node: _Node) -> _Told:
        kept = node.__dict__  # a statement that stays is the same node in the next source
        if key not in kept:
            kept[key] = tell(node)
        told: _Told = kept[key]
        return told

    return ask


Text = tuple[str, int, int, int]
"""The whole lines of a statement, its first and its last column in bytes, and the line of its first.

Two statements of the same text have the same tree; with the same line they have the same positions, too.
"""


@dataclass(frozen=True)
class Piece:
    """One top-level statement: its node, its digest and where it stands (1-based lines)."""

    index: int
    node: ast.stmt
    digest: str
    text: Text | None = None  # what it was made of; None where that is not known

    @property
    def line(self) -> int:
        """The first line, decorators included."""
        decorators: list[ast.expr] = getattr(self.node, "decorator_list", [])
        return min([self.node.lineno, *(d.lineno for d in decorators)])

    @property
    def end_line(self) -> int:
        """The last line."""
        return self.node.end_lineno or self.node.lineno


@dataclass(frozen=True)
class Parsed:
    """A source split into its top-level statements."""

    source: Source
    pieces: tuple[Piece, ...]
    flags: int  # of __future__, for compile()
    imported: frozenset[str]  # names that an import binds in the module's own scope
    has_super: bool  # whether the module's own scope knows a name "super"
    plain: bool = (
        False  # whether each statement means the same whatever the others are, and stands where it says
    )


def digest_node(node: ast.AST) -> str:
    """Return a digest of a node that does not depend on where it stands.

    Written out in preorder with a loop: `ast.dump` recurses, and a few hundred ``elif`` are too deep
    for it; nor can it write a number of more than 4,300 digits.
    """
    words: list[str] = []
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.AST):
            words.append(type(item).__name__)
            stack.extend(getattr(item, name, None) for name in reversed(item._fields))
        elif isinstance(item, list):
            words.append(f"[{len(item)}")
            stack.extend(reversed(item))
        else:
            words.append(hex(item) if type(item) is int else repr(item))
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_string(node: ast.stmt) -> bool:
    """Whether a statement is nothing but a string: a docstring, if it is the first."""
    return isinstance(node, ast.Expr) and type(getattr(node.value, "value", None)) is str


def is_future(node: ast.stmt) -> TypeGuard[ast.ImportFrom]:
    """Whether a statement is a ``from __future__ import``."""
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _has_annotation(node: ast.AST) -> bool:
    """Whether ``from __future__ import annotations`` means something to a node."""
    return any(getattr(n, "annotation", None) or getattr(n, "returns", None) for n in ast.walk(node))


def _text_of(node: ast.stmt, lines: list[str]) -> Text:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    last, column = node.end_lineno, node.end_col_offset
    assert last is not None and column is not None  # noqa: PT018  # it comes from the parser
    return "\n".join(lines[first - 1 : last]), node.col_offset, column, first


def make_piece(name: str, index: int, node: ast.stmt, flags: int, lines: list[str]) -> Piece:
    """Return a statement of a module.

    Args:
        name: the module.
        index: which of its statements.
        node: the statement.
        flags: what ``from __future__`` says in that module, for ``compile``.
        lines: of the text that it was parsed from; none where its statement's text is not known.
    """
    text = _text_of(node, lines) if lines else None
    key = (text[:3], flags, index == 0) if text else None
    digests = memory_of(name).digests
    return Piece(index, node, remembered(digests, key, lambda: _digest(index, node, flags)), text)


def _digest(index: int, node: ast.stmt, flags: int) -> str:
    context = []
    if index == 0 and is_string(node):
        context.append("docstring")
    if flags & __future__.annotations.compiler_flag and _has_annotation(node):
        context.append("annotations")
    digest = digest_node(node)
    if context:  # the same text, another statement
        digest = hashlib.sha256(" ".join([*context, digest]).encode()).hexdigest()[:32]
    return digest
