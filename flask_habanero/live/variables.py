"""What statements of a function do to its variables, told from their AST alone.

Names that they bind and read themselves, names that functions in them read or rebind when they are called.
Where a name may be meant, or another of the same spelling, it is among them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from . import bodies

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


@dataclass
class Uses:
    """What some statements of one scope do to its names.

    Attributes:
        binds: names that they bind or delete.
        reads: names that they read while they run.
        inside: names that functions made in them read when they are called.
        rebinds: names that functions made in them bind, by `nonlocal` or `global`.
        declared: names that they declare to be somebody else's.
    """

    binds: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)
    rebinds: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)

    def note(self, nodes: Iterable[ast.AST | None]) -> None:
        """Add what some nodes do."""
        todo = list(nodes)
        while todo:
            node = todo.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                todo += self._function(node)
            elif isinstance(node, ast.ClassDef):
                todo += self._class(node)
            elif isinstance(node, _COMPREHENSIONS):
                self._comprehension(node)
            elif node is not None:
                self._name(node)
                todo += ast.iter_child_nodes(node)

    def _name(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            (self.reads if isinstance(node.ctx, ast.Load) else self.binds).add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.reads.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.binds.update(one.asname or one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            self.binds.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            self.binds.add(node.rest)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self.declared.update(node.names)

    def _function(self, node: bodies.Function | ast.Lambda) -> list[ast.AST | None]:
        """Note what a function does when it is called; return what of it runs where it stands."""
        body = Uses()
        body.note(node.body if isinstance(node.body, list) else [node.body])
        own = (body.binds | {one.arg for one in bodies.parameters(node.args)}) - body.declared
        self.inside |= (body.reads | body.inside | body.declared) - own
        self.rebinds |= (body.rebinds - own) | (body.binds & body.declared)
        header: list[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
        if isinstance(node, ast.Lambda):
            return header
        self.binds.add(node.name)
        hints = [one.annotation for one in bodies.parameters(node.args)]
        return [*header, *hints, node.returns, *node.decorator_list, *getattr(node, "type_params", [])]

    def _class(self, node: ast.ClassDef) -> list[ast.AST | None]:
        body = Uses()
        body.note(node.body)
        self.binds |= {node.name} | (body.binds & body.declared)
        self.reads |= body.reads  # also what it binds before: it may do so on one way only
        self.inside |= body.inside
        self.rebinds |= body.rebinds
        return [*node.decorator_list, *node.bases, *node.keywords, *getattr(node, "type_params", [])]

    def _comprehension(self, node: ast.expr) -> None:
        """The targets of a comprehension are its own; what `:=` binds in it is not."""
        generators: list[ast.comprehension] = getattr(node, "generators", [])
        body = Uses()
        body.note([getattr(node, one, None) for one in ("elt", "key", "value")])
        body.note(part for one in generators for part in (one.iter, *one.ifs))
        targets = Uses()
        targets.note(one.target for one in generators)
        self.binds |= body.binds
        self.reads |= (body.reads | targets.reads) - targets.binds
        self.inside |= body.inside - targets.binds
        self.rebinds |= body.rebinds


def uses(nodes: Iterable[ast.AST]) -> Uses:
    """Return what some statements of one scope do to its names."""
    found = Uses()
    found.note(nodes)
    return found


def of_function(function: bodies.Function) -> set[str]:
    """Return the names of a function's own variables."""
    body = uses(function.body)
    return (body.binds | {one.arg for one in bodies.parameters(function.args)}) - body.declared


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and what is in it, but not what is in functions and classes in it."""
    todo: list[ast.AST] = [node]
    while todo:
        one = todo.pop()
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(one))


def of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield what runs when a function is called, but not what is in functions and classes in it."""
    return (one for statement in function.body for one in own_nodes(statement))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what of a statement runs where it stands: of a function its header and decorators."""
    todo: list[ast.AST] = [node]
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += [*one.decorator_list, one.args, *filter(None, [one.returns])]
        elif isinstance(one, ast.Lambda):
            todo.append(one.args)
        else:
            todo.extend(ast.iter_child_nodes(one))


def mentions(nodes: Iterable[ast.AST], words: AbstractSet[str]) -> bool:
    """Whether one of some nodes reads an attribute or a name, or is a string, that is one of some words."""
    return any(_word(node) in words for node in nodes)


def _word(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute | ast.Name):
        word = node.attr if isinstance(node, ast.Attribute) else node.id
        return word if isinstance(node.ctx, ast.Load) else ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
