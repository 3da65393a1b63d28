"""What the text of a constant expression gives: numbers, strings and the like, and new containers of them.

Stricter than the judge, which only has to know what code may do: here each part must be certain. A name
counts if one statement of the module binds it, further up, and nothing else can. Of the app's own functions
those are gone through that do nothing but tell a value: `return`, `if`, and variables of theirs.
"""

from __future__ import annotations

import ast
import builtins
import os
import posixpath
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from ..piece import once_for_each_node
from ..source import Source, once_for_each_source
from . import environment, names, readers
from .judge import computed, known
from .judge.values import Args, Live, Value
from .variables import of_function, own_nodes

if TYPE_CHECKING:
    from .program import Program


class UntoldError(Exception):
    """A text does not tell what it gives."""


@dataclass(frozen=True)
class Place:
    """Where an expression stands: in which statement of a module, and in a class how far down its body.

    Attributes:
        own: in a function, the names of its variables.
        variables: those that are bound, and what to.
        depth: how many functions it is in.
    """

    module: str
    index: int
    body: tuple[ast.stmt, ...] = ()
    below: int = 0
    own: frozenset[str] = frozenset()
    variables: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0


class Constants:
    """Tells the constants of one tree.

    `is_stored` says whether the tree's code sets an attribute of a name, of whatever it may be.

    Attributes:
        keys: the variables of the environment that were looked up.
    """

    def __init__(
        self,
        program: Program,
        tree: Mapping[str, Source],
        is_stored: Callable[[str], bool],
        before: Constants | None = None,
    ) -> None:
        self._program, self._tree, self._is_stored, self._before = program, tree, is_stored, before
        self.keys: set[str] = set()

    def value(self, node: ast.expr, place: Place) -> Any:
        """Return what an expression gives. Raises UntoldError."""
        kind = type(node).__name__.lower()
        told = getattr(self, f"_of_{kind}", None)
        if told is None:
            raise UntoldError
        return told(node, place)

    def _plain(self, node: ast.expr, place: Place) -> Live:
        """Return what is no container: one by another name would be the same object."""
        found = self.value(node, place)
        if not computed.is_plain(found):
            raise UntoldError
        return Live(found)

    # names

    def name(self, name: str, place: Place) -> Any:
        """Return what a name stands for at a place. Raises UntoldError."""
        above = [index for index, one in enumerate(place.body) if name in bound_in(one)]
        if above:
            if len(above) > 1 or above[0] >= place.below:
                raise UntoldError
            return self._bound(place.body[above[0]], name, replace(place, below=above[0]))
        at = self.binding(name, place)
        found = self._bound(self._tree[place.module].parsed.pieces[at].node, name, Place(place.module, at))
        if self._before is not None and self._before.has(name, place.module):
            self._before.certain(name, place.module)
        return found

    def has(self, name: str, module: str) -> bool:
        """Whether a module binds a name."""
        source = self._tree.get(module)
        return source is not None and any(name in row.binds for row in names.of_source(source))

    def certain(self, name: str, module: str) -> None:
        """Check that a name stands for what its text says. Raises UntoldError: something else bound it."""
        last = Place(module, len(self._tree[module].parsed.pieces))
        at = self.binding(name, last)
        found = self._bound(self._tree[module].parsed.pieces[at].node, name, Place(module, at))
        live = vars(self._program.loaded(module) or ast).get(name, self)
        if word(found) != word(live) or word(live) is None:
            raise UntoldError

    def binding(self, name: str, place: Place) -> int:
        """Return the index of the one statement that binds a name, above a place. Raises UntoldError."""
        source = self._tree[place.module]
        binding = [index for index, row in enumerate(names.of_source(source)) if name in row.binds]
        if self._by_others(name, source) or len(binding) != 1 or binding[0] >= place.index:
            raise UntoldError
        return binding[0]

    def _by_others(self, name: str, source: Source) -> bool:
        """Whether something else than a statement of the module may bind a name."""
        return _is_open(source) or name in _rebound(source) or self._is_stored(name)

    def _bound(self, node: ast.stmt, name: str, place: Place) -> Any:
        if isinstance(node, ast.If) and not place.body:
            arm = node.body if self._plain(node.test, place).object else node.orelse
            binding = [one for one in arm if name in bound_in(one)]
            if len(binding) != 1:
                raise UntoldError
            return self._bound(binding[0], name, place)
        if not isinstance(node, ast.Assign) or [ast.unparse(one) for one in node.targets] != [name]:
            raise UntoldError
        return self._plain(node.value, place).object

    def _dotted(self, node: ast.expr, place: Place) -> str:
        """Return the full name of something that is imported from another package, or of a builtin."""
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value, place)}.{node.attr}"
        if not isinstance(node, ast.Name) or any(node.id in bound_in(one) for one in place.body):
            raise UntoldError
        if node.id in place.own:
            raise UntoldError
        source = self._tree[place.module]
        if not self.has(node.id, place.module) and not self._by_others(node.id, source):
            return f"builtins.{node.id}"
        row = names.of_source(source)[self.binding(node.id, place)]
        for item in row.imports if len(row.binds) == len(row.imports) else ():
            if item.bound == node.id and not item.guarded and item.module not in self._tree:
                top = item.module if item.bound == item.module.partition(".")[0] else ""
                whole = top.partition(".")[0] or item.module
                return f"{item.module}.{item.name}" if item.name else whole
        raise UntoldError

    # expressions

    def _of_constant(self, node: ast.Constant, _place: Place) -> Any:
        return node.value

    def _of_name(self, node: ast.Name, place: Place) -> Any:
        if node.id in place.own:
            if node.id not in place.variables:
                raise UntoldError
            return place.variables[node.id]
        if node.id == "__file__" and not self.has(node.id, place.module):
            return vars(self._program.loaded(place.module) or ast).get("__file__")
        return self.name(node.id, place)

    def _of_attribute(self, node: ast.Attribute, place: Place) -> Any:
        owner = vars(self._program.loaded(place.module) or ast).get(getattr(node.value, "id", ""))
        with suppress(UntoldError):
            if (dotted := self._dotted(node, place)) in _FIXED:
                return _FIXED[dotted]
        if not isinstance(owner, App) or node.attr not in _OF_APPS:
            raise UntoldError
        self.binding(getattr(node.value, "id", ""), place)
        return getattr(owner, node.attr)

    def _of_unaryop(self, node: ast.UnaryOp, place: Place) -> Any:
        found = self._plain(node.operand, place).object
        if isinstance(node.op, ast.Not):
            return not found
        if isinstance(node.op, ast.USub) and type(found) in (int, float):
            return -found
        raise UntoldError

    def _of_binop(self, node: ast.BinOp, place: Place) -> Any:
        return _told(computed.binary(self._plain(node.left, place), node.op, self._plain(node.right, place)))

    def _of_boolop(self, node: ast.BoolOp, place: Place) -> Any:
        stops = isinstance(node.op, ast.Or)
        for one in node.values:
            found = self._plain(one, place).object
            if bool(found) is stops:
                break
        return found

    def _of_compare(self, node: ast.Compare, place: Place) -> Any:
        if len(node.ops) > 1:
            raise UntoldError
        left, right = self._plain(node.left, place), self._plain(node.comparators[0], place)
        if isinstance(node.ops[0], ast.Eq | ast.NotEq):
            return (left.object == right.object) is isinstance(node.ops[0], ast.Eq)
        found = computed.compare(left, node.ops[0], right)
        if found is None:
            raise UntoldError
        return found

    def _of_ifexp(self, node: ast.IfExp, place: Place) -> Any:
        return self.value(node.body if self._plain(node.test, place).object else node.orelse, place)

    def _of_joinedstr(self, node: ast.JoinedStr, place: Place) -> Any:
        parts = []
        for one in node.values:
            if isinstance(one, ast.FormattedValue) and (one.conversion != -1 or one.format_spec is not None):
                raise UntoldError
            inner = one.value if isinstance(one, ast.FormattedValue) else one
            parts.append(computed.shown(self._plain(inner, place)) or "")
        return "".join(parts)

    def _of_tuple(self, node: ast.Tuple | ast.List, place: Place) -> Any:
        return {ast.Tuple: tuple, ast.List: list}[type(node)](self.value(one, place) for one in node.elts)

    _of_list = _of_tuple

    def _of_dict(self, node: ast.Dict, place: Place) -> Any:
        if None in node.keys:
            raise UntoldError
        keys = [self._plain(one, place).object for one in node.keys if one is not None]
        return {key: self.value(one, place) for key, one in zip(keys, node.values, strict=True)}

    def _of_subscript(self, node: ast.Subscript, place: Place) -> Any:
        told = "environ" in self._tree[place.module].text  # the rest is asked of the whole module
        if not told or self._dotted(node.value, place) != "os.environ":
            raise UntoldError
        return self._variable([self._plain(node.slice, place)], place)

    def _of_call(self, node: ast.Call, place: Place) -> Any:
        if node.keywords:
            raise UntoldError
        given = [self._plain(one, place) for one in node.args]
        try:
            called = self._dotted(node.func, place)
        except UntoldError:
            if isinstance(node.func, ast.Name):
                return self._of_function(node.func.id, given, place)
            if not isinstance(node.func, ast.Attribute):
                raise
            this = self._plain(node.func.value, place)
            return _told(computed.method(this, node.func.attr, Args(tuple(given))))
        if called in ("os.environ.get", "os.getenv"):
            return self._variable(given if len(given) > 1 else [*given, Live(None)], place)
        space, _, last = called.rpartition(".")
        if space in _FIXED:
            return _told(computed.method(Live(_FIXED[space]), last, Args(tuple(given))))
        function = getattr({"builtins": builtins, "os.path": posixpath}.get(space), last, None)
        return _told(computed.call(function, Args(tuple(given))))

    # functions of the app's own

    def _of_function(self, name: str, given: list[Live], place: Place) -> Any:
        """Return what a function of the same module gives. Raises UntoldError."""
        if name in place.own or any(name in bound_in(one) for one in place.body) or place.depth == _DEEPEST:
            raise UntoldError
        at = self.binding(name, place)
        node = self._tree[place.module].parsed.pieces[at].node
        if not isinstance(node, ast.FunctionDef) or node.decorator_list or not _is_simple(node):
            raise UntoldError
        taken = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
        defaults = [self._plain(one, Place(place.module, at)) for one in node.args.defaults]
        values = [*given, *defaults[len(given) - len(taken) :]] if len(given) < len(taken) else given
        if len(values) != len(taken):
            raise UntoldError
        bound = {one: value.object for one, value in zip(taken, values, strict=True)}
        own = frozenset(of_function(node))
        inside = Place(place.module, place.index, own=own, variables=bound, depth=place.depth + 1)
        return self._block(node.body, inside, bound).get(_RETURNED)

    def _block(self, block: list[ast.stmt], place: Place, bound: dict[str, Any]) -> dict[str, Any]:
        """Go through statements of a function; return its variables, and what it returned if it did."""
        for one in block:
            match one:
                case ast.Return(None):
                    bound[_RETURNED] = None
                case ast.Return(ast.expr() as value):
                    bound[_RETURNED] = self.value(value, place)
                case ast.If(test, body, orelse):
                    self._block(body if self._plain(test, place).object else orelse, place, bound)
                case ast.Assign([ast.Name(name)], value):
                    bound[name] = self._plain(value, place).object
                case ast.Pass() | ast.Expr(ast.Constant()):
                    pass
                case _:
                    raise UntoldError
            if _RETURNED in bound:
                break
        return bound

    def _variable(self, given: list[Live], place: Place) -> Any:
        """Return a variable of the environment, which only the server's own start may have set."""
        key = given[0].object if given else None
        wrote = environment.written(self._tree, self._program.books.ran)
        if type(key) is not str or not wrote.isdisjoint({key, environment.ANY}):
            raise UntoldError
        self.keys.add(key)
        found = known.environ().get(key)
        if found is None and len(given) < 2:  # the key, and what stands for it
            raise UntoldError
        return found if found is not None else given[1].object


_RETURNED = "return"  # the name of no variable


def _is_simple(node: ast.FunctionDef) -> bool:
    """Whether a function takes what it is given in order, and is no generator."""
    args = node.args
    inside = (one for statement in node.body for one in own_nodes(statement))
    return not (args.vararg or args.kwarg or args.kwonlyargs) and not any(
        isinstance(one, ast.Yield | ast.YieldFrom | ast.Await) for one in inside
    )


_FIXED = {"sys.platform": sys.platform, "os.name": os.name, "os.sep": os.sep}
"""What Python tells of the machine: no code sets it."""
_OF_APPS = frozenset(["import_name", "instance_path", "name", "root_path"])


def _told(found: Value | None) -> Any:
    if not isinstance(found, Live):
        raise UntoldError
    return found.object


@once_for_each_node
def bound_in(node: ast.AST) -> frozenset[str]:
    """Return the names that a statement of a class's body may bind."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(one.name)
        elif isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            found.add(one.id)
        elif isinstance(one, ast.alias):
            found.add((one.asname or one.name).partition(".")[0])
        elif isinstance(one, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and one.name:
            found.add(one.name)
    return frozenset(found)


@once_for_each_source
def _is_open(source: Source) -> bool:
    """Whether names of a module may be bound in ways that its text does not show."""
    rows = names.of_source(source)
    # `jinja_env.globals` is none of Python's
    others = set[str]() if "builtins" in source.text else {"globals"}
    said = (row.reads | (row.attributes - others) for row in rows)
    inside = (body.reads | (body.attributes - others) for row in rows for body in row.bodies.values())
    return any(row.star for row in rows) or any(
        not readers.WRITERS.isdisjoint(one) for one in (*said, *inside)
    )


@once_for_each_source
def _rebound(source: Source) -> frozenset[str]:
    """Return the names that functions of a module bind, or that statements delete."""
    bodies = (body for row in names.of_source(source) for body in row.bodies.values())
    deleted = (_deleted_in(piece.node) for piece in source.parsed.pieces)
    return frozenset().union(*deleted, *(body.rebinds for body in bodies))


@once_for_each_node
def _deleted_in(node: ast.AST) -> frozenset[str]:
    deletes = (one for one in ast.walk(node) if isinstance(one, ast.Delete))
    return frozenset(goal.id for one in deletes for goal in one.targets if isinstance(goal, ast.Name))


_MOST, _DEEPEST = 100, 10  # of what is in a container, and of containers in containers
_CONTAINERS = (dict, list, tuple)


def word(thing: Any, depth: int = 0) -> object:
    """Return what equals only for the same: 1 is not True, 0.0 not -0.0, NaN is itself, and order counts.

    None if something is in it that is no plain value.
    """
    if computed.is_plain(thing):
        return type(thing), repr(thing)
    if type(thing) not in _CONTAINERS or len(thing) > _MOST or depth > _DEEPEST:
        return None
    inside = [*thing, *thing.values()] if type(thing) is dict else thing
    words = [word(one, depth + 1) for one in inside]
    return (type(thing), *words) if None not in words else None
