"""From text to statements to code: the only place that calls ``compile``.

A *source* is one module's text. It is split into its top-level statements; each is
compiled alone, with its true line numbers, and must behave as it does in the whole unit:

- ``from __future__`` flags of the source hold for each of its statements;
- a string that is not the first statement is no docstring;
- names, qualified names, ``__class__`` cells and line tables equal those of the whole;
- calls compile as they do beside the module's imports (see `_shade`).

A statement's ``digest`` is one of its AST without positions: moving it changes nothing, except
where its place gives it a meaning (a first string is the docstring).
The same code runs on both sides of the wire, so that the server can check what it is sent. What a
statement's digest and code are is remembered by its text and place: a save changes few statements.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
import importlib.util
import io
import marshal
import sys
import tokenize
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from symtable import SymbolTable, symtable
from types import CodeType
from typing import TypeGuard, TypeVar

from . import region
from .errors import BuildError
from .remembered import memory_of, remembered

# the second: null bytes, lone surrogates; the others: nested too deeply
_COMPILE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)


def _future_mask() -> int:
    """Return the flags that a compiled module shows: features that became mandatory leave none."""
    features = [getattr(__future__, name) for name in __future__.all_feature_names]
    pending = [f for f in features if (f.getMandatoryRelease() or (99,)) > tuple(sys.version_info)]
    return sum(f.compiler_flag for f in pending)


_FUTURE_MASK = _future_mask()


def python_tag(optimize: int | None = None) -> str:
    """Return what code objects depend on: magic, cache tag, optimisation level, GIL.

    Two processes with the same tag may exchange marshalled code; no others.
    """
    level = sys.flags.optimize if optimize is None else optimize
    gil = "gil" if getattr(sys, "_is_gil_enabled", lambda: True)() else "nogil"
    return f"{importlib.util.MAGIC_NUMBER[:2].hex()}-{sys.implementation.cache_tag}-o{level}-{gil}"


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


_Told = TypeVar("_Told")
_Node = TypeVar("_Node", bound=ast.AST)


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


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and type(getattr(node.value, "value", None)) is str


def _has_annotation(node: ast.AST) -> bool:
    """Whether ``from __future__ import annotations`` means something to a node."""
    return any(getattr(n, "annotation", None) or getattr(n, "returns", None) for n in ast.walk(node))


def _text_of(node: ast.stmt, lines: list[str]) -> Text:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    last, column = node.end_lineno, node.end_col_offset
    assert last is not None and column is not None  # noqa: PT018  # it comes from the parser
    return "\n".join(lines[first - 1 : last]), node.col_offset, column, first


def _piece(name: str, index: int, node: ast.stmt, flags: int, lines: list[str]) -> Piece:
    text = _text_of(node, lines) if lines else None
    key = (text[:3], flags, index == 0) if text else None
    digests = memory_of(name).digests
    return Piece(index, node, remembered(digests, key, lambda: _digest(index, node, flags)), text)


def _digest(index: int, node: ast.stmt, flags: int) -> str:
    context = []
    if index == 0 and _is_string(node):
        context.append("docstring")
    if flags & __future__.annotations.compiler_flag and _has_annotation(node):
        context.append("annotations")
    digest = digest_node(node)
    if context:  # the same text, another statement
        digest = hashlib.sha256(" ".join([*context, digest]).encode()).hexdigest()[:32]
    return digest


def _build_error(source: Source, error: Exception, line: int = 1) -> BuildError:
    """Return what `compile` raised as an error with fields.

    The line's text is the source's own: Python looks for it in a file of that name below whatever
    folder is the current one.
    """
    column, why = 1, str(error) or type(error).__name__
    if isinstance(error, SyntaxError):
        line, column, why = error.lineno or line, max(error.offset or 1, 1), error.msg
    lines = source.text.split("\n")
    return BuildError(source.path, line, column, lines[line - 1] if line <= len(lines) else "", why)


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
    except _COMPILE_ERRORS as error:
        raise _build_error(source, error) from None
    parsed = _split(source, tree, scope)
    _check_compiles(parsed)
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
    except _COMPILE_ERRORS:
        return None  # it may belong to the statement above; else the whole says what is wrong
    added = [
        _piece(source.name, found.before + n, node, old.flags, lines) for n, node in enumerate(tree.body)
    ]
    nodes = [node for piece in (*removed, *added) for node in _of_scope(piece.node)]
    if "super" in scope.get_identifiers() or any(isinstance(node, _FOR_ALL) for node in nodes):
        return None
    moved = len(added) - len(removed)
    below = tuple(replace(p, index=p.index + moved) for p in below) if moved else below
    pieces, plain = (*kept, *added, *below), _are_plain(added, lines)
    parsed = replace(old, source=source, pieces=pieces, plain=plain)
    return parsed if _compile_all(added, parsed) else None


_FOR_ALL = (ast.Import, ast.ImportFrom, ast.Global)  # what they say, other statements are compiled by


def _split(source: Source, tree: ast.Module, scope: SymbolTable) -> Parsed:
    flags = 0
    for node in tree.body:
        if _is_future(node):
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    flags &= _FUTURE_MASK
    # The parser counts a lone carriage return as the end of a line, which no text from a file has
    lines = source.text.split("\n") if "\r" not in source.text else []
    pieces = tuple(_piece(source.name, i, node, flags, lines) for i, node in enumerate(tree.body))
    imported = frozenset(symbol.get_name() for symbol in scope.get_symbols() if symbol.is_imported())
    has_super = "super" in scope.get_identifiers()
    plain = not has_super and bool(lines) and _are_plain(pieces, lines)
    return Parsed(source, pieces, flags, imported, has_super, plain)


def _check_compiles(parsed: Parsed) -> None:
    """Raise BuildError for what neither parser nor symbol table find: "return outside function"."""
    if _all_compile(parsed):
        return
    try:  # the whole decides: nodes nest less deeply than text before compile() gives up
        compile(parsed.source.text, parsed.source.path, "exec", dont_inherit=True)
    except _COMPILE_ERRORS as error:
        raise _build_error(parsed.source, error) from None


def _all_compile(parsed: Parsed) -> bool:
    """Whether each statement compiles, and none would be wrong only because of those before it."""
    is_future = [_is_future(piece.node) for piece in parsed.pieces]
    head = 1 if parsed.pieces and _is_string(parsed.pieces[0].node) else 0
    if any(is_future) and not all(is_future[head : sum(is_future) + head]):
        return False  # "from __future__ imports must occur at the beginning of the file"
    return _compile_all(parsed.pieces, parsed)


def _compile_all(pieces: Iterable[Piece], parsed: Parsed) -> bool:
    """Whether some statements of a source compile, each alone."""
    try:
        for piece in pieces:
            compile_piece(piece, parsed, parsed.source.path)
    except _COMPILE_ERRORS:
        return False
    return True


def _is_future(node: ast.stmt) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


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


def _code_key(piece: Piece, parsed: Parsed, filename: str, optimize: int) -> Hashable | None:
    """Return all that a statement's code depends on."""
    level = sys.flags.optimize if optimize == -1 else optimize
    scope = (parsed.flags, parsed.imported, parsed.has_super)
    return (piece.text, piece.index == 0, filename, level, scope) if piece.text else None


def _compile_piece(piece: Piece, parsed: Parsed, filename: str, optimize: int) -> CodeType:
    node = piece.node
    if piece.index and _is_string(node):
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
    except _COMPILE_ERRORS as error:  # nodes nest less deeply than text before compile() gives up
        raise _build_error(parsed.source, error, piece.line) from None
    return Statement(piece.digest, piece.line, code)
