"""From text to statements: the only place that parses.

A *source* is one module's text, split into its top-level statements (`piece.py`), each of which compiles
(`unit.py`). What was parsed is remembered: of a text that was edited, only what is new is parsed again.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
import io
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from symtable import SymbolTable, symtable
from typing import TypeVar

from . import region
from .piece import Parsed, Piece, is_future, make_piece
from .remembered import memory_of
from .unit import COMPILE_ERRORS, build_error, check_compiles, compile_all

_Told = TypeVar("_Told")


def _future_mask() -> int:
    """Return the flags that a compiled module shows: features that became mandatory leave none."""
    features = [getattr(__future__, name) for name in __future__.all_feature_names]
    pending = [f for f in features if (f.getMandatoryRelease() or (99,)) > tuple(sys.version_info)]
    return sum(f.compiler_flag for f in pending)


_FUTURE_MASK = _future_mask()


def decode_source(data: bytes) -> str:
    r"""Return the text of a Python file: its declared encoding, ``\n`` line ends, no BOM.

    Raises:
        SyntaxError: the declared encoding is unknown or does not fit the bytes.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.IncrementalNewlineDecoder(None, translate=True).decode(data.decode(encoding), final=True)
    except (UnicodeError, LookupError) as error:  # the second: "rot13" is a codec, but not one of text
        raise SyntaxError(str(error)) from error


def once_for_each_source(tell: Callable[[Source], _Told]) -> Callable[[Source], _Told]:
    """Let a function that tells something of a source do it once: a source does not change.

    What it told is kept with the source, and goes with it.
    """
    key = f"{tell.__module__}.{tell.__qualname__}"

    @wraps(tell)
    def ask(source: Source) -> _Told:
        kept = source.__dict__  # where a `cached_property` is kept, too
        if key not in kept:
            kept[key] = tell(source)
        told: _Told = kept[key]
        return told

    return ask


@dataclass(frozen=True)
class Source:
    r"""One module as text, identified by its name and never by a path.

    Attributes:
        name: dotted module name.
        path: path below the root it was found in, with ``/``; for people only.
        package: whether it is a package's ``__init__``.
        text: decoded, with ``\n`` line ends.
    """

    name: str
    path: str
    package: bool
    text: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the name's kind and the text."""
        kind = b"package\n" if self.package else b"module\n"
        return hashlib.sha256(kind + self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def parsed(self) -> Parsed:
        """The statements. Raises BuildError if the text is no Python."""
        return parse(self)


def parse(source: Source) -> Parsed:
    """Split a source into statements.

    Raises:
        BuildError: it is no Python, with path, line, column and the text of the line.
    """
    parsed = _parse_again(source) or _parse_whole(source)
    memory_of(source.name).parsed(parsed)
    return parsed


def _parse_whole(source: Source) -> Parsed:
    try:
        tree = ast.parse(source.text, source.path)
        scope = symtable(source.text, source.path, "exec")
    except COMPILE_ERRORS as error:
        raise build_error(source, error) from None
    parsed = _split(source, tree, scope)
    check_compiles(parsed)
    return parsed


def _parse_again(source: Source) -> Parsed | None:
    """Return what a source is parsed to, by parsing only what is new in it; None if that won't do."""
    old = memory_of(source.name).last
    if old is None or old.source.path != source.path or not old.plain or "\r" in source.text:
        return None
    lines = source.text.split("\n")
    spans = [region.Span(piece.line, piece.end_line) for piece in old.pieces]
    found = region.find(spans, old.source.text.split("\n"), lines)
    return _patched(old, source, lines, found) if found else None


def _are_plain(pieces: Iterable[Piece], lines: list[str]) -> bool:
    """Whether statements mean the same whatever the others are, and stand where they say."""
    return all(
        (not getattr(piece.node, "decorator_list", None) or lines[piece.line - 1].startswith("@"))  # not "@("
        and not any(isinstance(node, ast.Global) for node in _of_scope(piece.node))
        for piece in pieces
    )


def _of_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a statement that are of the same scope, and what they hold."""
    stack = [node]
    while stack:
        item = stack.pop()
        yield item
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            stack.extend(ast.iter_child_nodes(item))


def _patched(old: Parsed, source: Source, lines: list[str], found: region.Region) -> Parsed | None:
    end = len(old.pieces) - found.after
    kept, removed, below = old.pieces[: found.before], old.pieces[found.before : end], old.pieces[end:]
    ending = "\n" if found.last < len(lines) else ""  # a backslash may join the last line with nothing
    text = "\n" * (found.first - 1) + "\n".join(lines[found.first - 1 : found.last]) + ending
    try:
        tree, scope = ast.parse(text, source.path), symtable(text, source.path, "exec")
    except COMPILE_ERRORS:
        return None  # it may belong to the statement above; else the whole says what is wrong
    added = [
        make_piece(source.name, found.before + n, node, old.flags, lines) for n, node in enumerate(tree.body)
    ]
    nodes = [node for piece in (*removed, *added) for node in _of_scope(piece.node)]
    if "super" in scope.get_identifiers() or any(isinstance(node, _FOR_ALL) for node in nodes):
        return None
    moved = len(added) - len(removed)
    below = tuple(replace(p, index=p.index + moved) for p in below) if moved else below
    pieces, plain = (*kept, *added, *below), _are_plain(added, lines)
    parsed = replace(old, source=source, pieces=pieces, plain=plain)
    return parsed if compile_all(added, parsed) else None


_FOR_ALL = (ast.Import, ast.ImportFrom, ast.Global)  # what they say, other statements are compiled by


def _split(source: Source, tree: ast.Module, scope: SymbolTable) -> Parsed:
    flags = 0
    for node in tree.body:
        if is_future(node):
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    flags &= _FUTURE_MASK
    # The parser counts a lone carriage return as the end of a line, which no text from a file has
    lines = source.text.split("\n") if "\r" not in source.text else []
    pieces = tuple(make_piece(source.name, i, node, flags, lines) for i, node in enumerate(tree.body))
    imported = frozenset(symbol.get_name() for symbol in scope.get_symbols() if symbol.is_imported())
    has_super = "super" in scope.get_identifiers()
    plain = not has_super and bool(lines) and _are_plain(pieces, lines)
    return Parsed(source, pieces, flags, imported, has_super, plain)
