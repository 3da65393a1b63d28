"""What a statement binds and reads, told from its AST alone.

*At import* means while the statement itself runs: its expressions, decorators, defaults, class
bodies and comprehensions, but not the bodies of the functions it defines. Those are listed apart,
by qualified name, because they matter as soon as somebody calls them at import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ..piece import Piece
from ..source import Source, once_for_each_source
from . import bodies
from .bodies import Body, Function, parameters


@dataclass(frozen=True)
class Import:
    """One name (or module) that an import statement fetches.

    Attributes:
        module: absolute dotted name.
        name: what is fetched from it; None for ``import module``, "*" for all.
        bound: the name it is bound to here.
    """

    module: str
    name: str | None
    bound: str
    line: int
    guarded: bool  # inside a try, or under TYPE_CHECKING: its failure is expected
    in_arm: bool = False  # inside a branch, a loop, a handler: its statement may run, and not come to it


@dataclass
class Names:
    """What one top-level statement binds and reads at import."""

    binds: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)  # subset of reads that may be called, or given to a call
    dotted: set[tuple[str, str]] = field(default_factory=set)  # (name, attribute)
    loads: set[tuple[str, str]] = field(default_factory=set)  # of those, the ones that are not only set
    called_attributes: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)  # names that are read other than for an attribute of theirs
    imports: list[Import] = field(default_factory=list)
    inner_imports: list[Import] = field(default_factory=list)  # inside functions: not at import
    bodies: dict[str, Body] = field(default_factory=dict)  # qualified name -> body
    sets: dict[str, set[str]] = field(default_factory=dict)  # attribute or member -> names in its value
    hints: list[str] = field(default_factory=list)  # names of the module that are annotated, in their order
    star: bool = False
    members: tuple[Names, ...] | None = None  # of a class: of its body, see `reading`
    readers: dict[str, set[str]] | None = None  # name -> who reads it, see `reading`

    @cached_property
    def outline(self) -> tuple[list[str], list[tuple[str, str | None]]]:
        """What it binds and imports."""
        return sorted(self.binds), [(item.module, item.name) for item in self.imports]


def of_piece(piece: Piece, source: Source) -> Names:
    """Return the names of one statement of a source."""
    reader = _Reader(source)
    reader.visit(piece.node)
    return reader.names


@once_for_each_source
def of_source(source: Source) -> tuple[Names, ...]:
    """Return the names of each statement of a source.

    An edit leaves most statements as they are: what they bind and read is remembered from the text before.
    """
    before, now = _known.get((source.name, source.package), {}), {}
    for piece in source.parsed.pieces:
        key = _key(piece)
        now[key] = before.get(key) or of_piece(piece, source)
    if len(_known) >= _MOST:
        _known.clear()
    _known[source.name, source.package] = now
    return tuple(now[_key(piece)] for piece in source.parsed.pieces)


def _key(piece: Piece) -> tuple[str, int]:
    """Return what a statement's names depend on: where it stands matters to imports only."""
    return piece.digest, piece.line if piece.text is None or "import" in piece.text[0] else 0


_known: dict[tuple[str, bool], dict[tuple[str, int], Names]] = {}  # module, whether it is a package
_MOST = 8_192  # modules; then all are forgotten


def absolute(node: ast.ImportFrom, source: Source) -> str:
    """Return the absolute name of the module that a from-import names."""
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    if not source.package:
        parts = parts[:-1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def targets(node: ast.expr) -> Iterator[str]:
    """Yield the plain names that an assignment target binds."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Starred):
        yield from targets(node.value)
    elif isinstance(node, ast.Tuple | ast.List):
        for element in node.elts:
            yield from targets(element)


class _Reader(ast.NodeVisitor):
    """Walks one top-level statement."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.names = Names()
        self._classes: list[str] = []
        self._local: list[set[str]] = []  # names of enclosing class bodies and comprehensions
        self._guards = self._arms = self._comprehensions = 0  # how many of them are around
        self._owner = False  # at a name of which an attribute is read
        self._hot = 0  # inside something that may call what it is given

    # what is bound

    def _bind(self, name: str) -> None:
        if self._local:
            self._local[-1].add(name)
        else:
            self.names.binds.add(name)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id)
        elif not any(node.id in scope for scope in self._local):
            self.names.reads.add(node.id)
            if not self._owner:
                self.names.bare.add(node.id)
            if self._hot:
                self.names.calls.add(node.id)

    def visit_Constant(self, node: ast.Constant) -> None:
        self.names.attributes |= bodies.formatted(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            self._bind(bound)
            self.names.imports.append(Import(alias.name, None, bound, *self._where(node)))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = absolute(node, self.source)
        for alias in node.names:
            bound = alias.asname or alias.name
            if alias.name == "*":
                self.names.star = True
            else:
                self._bind(bound)
            self.names.imports.append(Import(module, alias.name, bound, *self._where(node)))

    def _where(self, node: ast.stmt) -> tuple[int, bool, bool]:
        return node.lineno, self._guards > 0, self._arms > 0

    def visit_Assign(self, node: ast.Assign) -> None:
        self._sets(node)
        self.visit(node.value)  # before its targets: in a class body `X = X` reads the module's
        for target in node.targets:
            self.visit(target)

    def _sets(self, node: ast.Assign) -> None:
        """Attributes, and members of the class in whose body it stands."""
        members = [name for one in node.targets for name in targets(one)] if self._classes else []
        said = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
        for attribute, names in (*bodies.set_attributes(node), *((name, said) for name in members)):
            self.names.sets.setdefault(attribute, set()).update(names)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # without a value, a name is annotated and not bound
        bound = node.target if node.value is not None or not isinstance(node.target, ast.Name) else None
        for one in (node.value, node.annotation, bound):
            if one is not None:
                self.visit(one)
        if isinstance(node.target, ast.Name) and not self._local:
            self.names.hints.append(node.target.id)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self._bind(node.rest)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        inside, self._local = self._local, self._local[: len(self._local) - self._comprehensions]
        self._bind(node.target.id)  # in a comprehension, too, it is a name of what is around that
        self._local = inside

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)

    # what may be called

    def _visit_hot(self, nodes: Iterable[ast.AST | None]) -> None:
        self._hot += 1
        for node in nodes:
            if node is not None:
                self.visit(node)
        self._hot -= 1

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self.names.called_attributes.add(node.func.attr)
        self._visit_hot([node.func, *node.args, *node.keywords])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.names.attributes.add(node.attr)
        if isinstance(node.value, ast.Name):
            self.names.dotted.add((node.value.id, node.attr))
            if isinstance(node.ctx, ast.Load):
                self.names.loads.add((node.value.id, node.attr))
        if self._hot:
            self.names.called_attributes.add(node.attr)
        outside, self._owner = self._owner, isinstance(node.value, ast.Name)
        self.visit(node.value)
        self._owner = outside

    def _operator(self, node: ast.AST) -> None:
        self._visit_hot(ast.iter_child_nodes(node))

    visit_BinOp = visit_UnaryOp = visit_Compare = visit_BoolOp = visit_Subscript = visit_JoinedStr = _operator
    visit_With = visit_AsyncWith = visit_Await = _operator

    # scopes

    def visit_FunctionDef(self, node: Function) -> None:
        self._visit_hot(node.decorator_list)
        self._header(node.args, [node.returns, *getattr(node, "type_params", [])])
        self._bind(node.name)
        self._body(node.name, node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._header(node.args, [])
        self._body("<lambda>", node)

    def _header(self, args: ast.arguments, more: list[ast.expr | None]) -> None:
        hints = [one.annotation for one in parameters(args)]
        for node in [*args.defaults, *args.kw_defaults, *hints, *more]:
            if node is not None:
                self.visit(node)

    def _body(self, name: str, node: Function | ast.Lambda) -> None:
        qualified = ".".join([*self._classes, name])
        self.names.inner_imports += _imports_in(node, self.source)
        body = self.names.bodies.setdefault(qualified, Body())
        bodies.read(node, body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_hot([*node.decorator_list, *node.bases, *node.keywords])
        self._classes.append(node.name)
        self._local.append(set())
        for statement in node.body:
            self.visit(statement)
        self._local.pop()
        self._classes.pop()
        self._bind(node.name)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self._local.append({n for g in node.generators for n in targets(g.target)})
        self._comprehensions += 1
        self._visit_hot(ast.iter_child_nodes(node))
        self._comprehensions -= 1
        self._local.pop()

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    # guards, and what a statement may not come to

    def visit_Try(self, node: ast.Try) -> None:
        self._guards += 1
        for one in node.body:
            self.visit(one)
        self._in_arms([*node.handlers, *node.orelse])
        for one in node.finalbody:
            self.visit(one)
        self._guards -= 1

    def _in_arms(self, nodes: Iterable[ast.AST]) -> None:
        self._arms += 1
        for node in nodes:
            self.visit(node)
        self._arms -= 1

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        self._arms += 1
        self._operator(node)
        self._arms -= 1

    visit_For = visit_AsyncFor = _loop

    def _branch(self, node: ast.While | ast.Match) -> None:
        self._in_arms(ast.iter_child_nodes(node))

    visit_While = visit_Match = _branch

    visit_TryStar = visit_Try  # type: ignore[assignment]  # the same fields

    def visit_If(self, node: ast.If) -> None:
        self._visit_hot([node.test])
        never = never_runs(node)
        self._guards += never
        bound = set(self.names.binds)
        self._in_arms(node.body)
        if never:  # it binds nothing while it runs
            self.names.binds &= bound
        self._guards -= never
        self._in_arms(node.orelse)


def _imports_in(node: ast.AST, source: Source) -> Iterator[Import]:
    """Yield what the import statements below a node fetch."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            yield from (Import(a.name, None, a.asname or a.name, one.lineno, guarded=True) for a in one.names)
        elif isinstance(one, ast.ImportFrom):
            module = absolute(one, source)
            yield from (
                Import(module, a.name, a.asname or a.name, one.lineno, guarded=True) for a in one.names
            )


def never_runs(node: ast.If) -> bool:
    """Whether an `if` is one for type checkers or for the main program only."""
    return ast.unparse(node.test) in _NEVER


_NEVER = {"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'", "'__main__' == __name__"}


def class_members(node: ast.ClassDef) -> set[str]:
    """Return the names that a class's body binds."""
    reader = _Reader(Source("", "", package=False, text=""))
    for statement in node.body:
        reader.visit(statement)
    return reader.names.binds


def bound_before(names: Iterable[Names], index: int) -> set[str]:
    """Return the names that a module's first `index` statements bind."""
    return {name for i, one in enumerate(names) if i < index for name in one.binds}


def functions_in(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Yield (qualified name, function) of a statement's functions and methods, but none nested in them."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield prefix + node.name, node
    elif isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from functions_in(child, f"{prefix}{node.name}.")
    else:
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt | ast.ExceptHandler | ast.match_case):
                yield from functions_in(inner, prefix)


def hinted(source: Source) -> list[str]:
    """Return the names that a module's statements annotate, in their order."""
    return list(dict.fromkeys(name for row in of_source(source) for name in row.hints))
