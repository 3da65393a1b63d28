"""From statements to code: the only place that calls ``compile``.

A *unit* is one module's compiled code beside its source. Each statement is compiled alone, with its true
line numbers, and must behave as it does in the whole unit:

- ``from __future__`` flags of the source hold for each of its statements;
- a string that is not the first statement is no docstring;
- names, qualified names, ``__class__`` cells and line tables equal those of the whole;
- calls compile as they do beside the module's imports (see `_shade`).

The same code runs on both sides of the wire, so that the server can check what it is sent. What a
statement's code is, is remembered by its text and place: a save changes few statements.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import sys
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING

from .errors import BuildError
from .piece import Parsed, Piece, is_future, is_string
from .remembered import memory_of, remembered

if TYPE_CHECKING:
    from .source import Source

# the second: null bytes, lone surrogates; the others: nested too deeply
COMPILE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)


def python_tag(optimize: int | None = None) -> str:
    """Return what code objects depend on: magic, cache tag, optimisation level, GIL.

    Two processes with the same tag may exchange marshalled code; no others.
    """
    level = sys.flags.optimize if optimize is None else optimize
    gil = "gil" if getattr(sys, "_is_gil_enabled", lambda: True)() else "nogil"
    return f"{importlib.util.MAGIC_NUMBER[:2].hex()}-{sys.implementation.cache_tag}-o{level}-{gil}"


def build_error(source: Source, error: Exception, line: int = 1) -> BuildError:
    """Return what `compile` raised as an error with fields.

    The line's text is the source's own: Python looks for it in a file of that name below whatever
    folder is the current one.
    """
    column, why = 1, str(error) or type(error).__name__
    if isinstance(error, SyntaxError):
        line, column, why = error.lineno or line, max(error.offset or 1, 1), error.msg
    lines = source.text.split("\n")
    return BuildError(source.path, line, column, lines[line - 1] if line <= len(lines) else "", why)


def _shade(nodes: list[ast.stmt], parsed: Parsed) -> list[ast.stmt]:
    """Return a dead statement that says what the compiler looks up in the module's scope.

    Of a call ``name.attribute()`` it asks whether an import binds the name there, and of ``super()``
    whether the module knows that name itself: then it is a call like any other, without ``__class__``.
    It stands last, where it can't displace a docstring, a ``__future__`` or a ``global``.
    """
    used = [node for statement in nodes for node in ast.walk(statement)]
    called = {_called_on(node) for node in used} & parsed.imported
    dead: list[ast.stmt] = [ast.Import([ast.alias(name, None)]) for name in sorted(called)]
    if parsed.has_super and any(isinstance(node, ast.Name) and node.id == "super" for node in used):
        dead.append(ast.Expr(ast.Name("super", ast.Load())))
    if not dead:
        return []
    shade = ast.copy_location(ast.If(ast.Constant(0), dead, []), nodes[-1])
    return [ast.fix_missing_locations(shade)]


def _called_on(node: ast.AST) -> str:
    """Return `name` for ``name.attribute()``, else nothing."""
    base = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    return base.id if isinstance(base, ast.Name) else ""


def compile_nodes(nodes: list[ast.stmt], parsed: Parsed, filename: str, optimize: int = -1) -> CodeType:
    """Compile statements of a source as a module body of their own.

    Positions are kept. The nodes must come from `parsed`, or have positions.
    """
    module = ast.Module([*nodes, *_shade(nodes, parsed)], [])
    code: CodeType = compile(module, filename, "exec", parsed.flags, dont_inherit=True, optimize=optimize)
    return code


def compile_piece(piece: Piece, parsed: Parsed, filename: str, optimize: int = -1) -> CodeType:
    """Compile one statement as it would be compiled inside its source."""
    key = _code_key(piece, parsed, filename, optimize)
    codes = memory_of(parsed.source.name).codes
    return remembered(codes, key, lambda: _compile_piece(piece, parsed, filename, optimize))


def check_compiles(parsed: Parsed) -> None:
    """Raise BuildError for what neither parser nor symbol table find: "return outside function"."""
    if _all_compile(parsed):
        return
    try:  # the whole decides: nodes nest less deeply than text before compile() gives up
        compile(parsed.source.text, parsed.source.path, "exec", dont_inherit=True)
    except COMPILE_ERRORS as error:
        raise build_error(parsed.source, error) from None


def _all_compile(parsed: Parsed) -> bool:
    """Whether each statement compiles, and none would be wrong only because of those before it."""
    future = [is_future(piece.node) for piece in parsed.pieces]
    head = 1 if parsed.pieces and is_string(parsed.pieces[0].node) else 0
    if any(future) and not all(future[head : sum(future) + head]):
        return False  # "from __future__ imports must occur at the beginning of the file"
    return compile_all(parsed.pieces, parsed)


def compile_all(pieces: Iterable[Piece], parsed: Parsed) -> bool:
    """Whether some statements of a source compile, each alone."""
    try:
        for piece in pieces:
            compile_piece(piece, parsed, parsed.source.path)
    except COMPILE_ERRORS:
        return False
    return True


def _code_key(piece: Piece, parsed: Parsed, filename: str, optimize: int) -> Hashable | None:
    """Return all that a statement's code depends on."""
    level = sys.flags.optimize if optimize == -1 else optimize
    scope = (parsed.flags, parsed.imported, parsed.has_super)
    return (piece.text, piece.index == 0, filename, level, scope) if piece.text else None


def _compile_piece(piece: Piece, parsed: Parsed, filename: str, optimize: int) -> CodeType:
    node = piece.node
    if piece.index and is_string(node):
        node = ast.copy_location(ast.Pass(), node)  # alone it would be first, and so the module's docstring
    return compile_nodes([node], parsed, filename, optimize)


def piece_bytes(piece: Piece, parsed: Parsed, optimize: int = -1) -> bytes:
    """Return the marshalled code of one statement, as `build_unit` puts it on the wire."""
    path = parsed.source.path
    key = _code_key(piece, parsed, path, optimize)
    known = memory_of(parsed.source.name).marshalled
    return remembered(known, key, lambda: dump_code(compile_piece(piece, parsed, path, optimize)))


@dataclass(frozen=True)
class Statement:
    """One compiled statement on the wire: AST digest, first line, marshalled code."""

    digest: str
    line: int
    code: bytes


@dataclass(frozen=True)
class Unit:
    """One module's compiled code beside its source: the smallest thing that is shipped."""

    source: Source
    statements: tuple[Statement, ...]

    @property
    def name(self) -> str:
        """The module's name."""
        return self.source.name


_MARSHAL = 2  # later versions write references, and which ones depends on reference counts


def dump_code(code: CodeType) -> bytes:
    """Return a code object's bytes, which are the same for the same code in every process.

    So they can be compared; `==` of code objects can't where a constant is not equal to itself (NaN),
    and leaves out qualified names.
    """
    return marshal.dumps(code, _MARSHAL)


def build_unit(source: Source, optimize: int = -1) -> Unit:
    """Compile a source, statement by statement, under its display path as file name.

    Raises:
        BuildError: it does not compile.
    """
    parsed = source.parsed
    return Unit(source, tuple(_statement(piece, parsed, optimize) for piece in parsed.pieces))


def _statement(piece: Piece, parsed: Parsed, optimize: int) -> Statement:
    try:
        code = piece_bytes(piece, parsed, optimize)
    except COMPILE_ERRORS as error:  # nodes nest less deeply than text before compile() gives up
        raise build_error(parsed.source, error, piece.line) from None
    return Statement(piece.digest, piece.line, code)
