"""May a statement run again, or for the first time, in a process that already serves?

It may if all that it does is to bind names and to register through Flask's own methods: then
running it once gives what a cold start gives, and taking it back is possible. Everything else
(an engine, a thread, an open file, an entry in somebody's registry) has effects that nobody can
see, and the answer is no, with the words for it. The judgement is made on the AST and on the
live objects that names stand for; nothing is executed.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from . import names, registrations

_PURE_BUILTINS = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytearray",
        "bytes",
        "callable",
        "chr",
        "classmethod",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "getattr",
        "hasattr",
        "hash",
        "hex",
        "id",
        "int",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "memoryview",
        "min",
        "next",
        "object",
        "oct",
        "ord",
        "pow",
        "property",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "staticmethod",
        "str",
        "sum",
        "super",
        "tuple",
        "type",
        "zip",
    ]
)
_PURE_MODULES = frozenset(
    [
        "abc",
        "base64",
        "binascii",
        "bisect",
        "calendar",
        "cmath",
        "collections",
        "collections.abc",
        "colorsys",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fnmatch",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "ipaddress",
        "itertools",
        "json",
        "keyword",
        "locale",
        "math",
        "numbers",
        "operator",
        "os.path",
        "pathlib",
        "posixpath",
        "ntpath",
        "pprint",
        "random",
        "re",
        "secrets",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "time",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
        "uuid",
        "weakref",
        "zlib",
        "zoneinfo",
        "markupsafe",
        "contextvars",
        "threading",
        "_thread",
    ]
)
_PURE_NAMES = {
    ("os", "getenv"),
    ("os", "fspath"),
    ("logging", "getLogger"),
    ("typing", "TypeVar"),
    ("flask.blueprints", "Blueprint"),
}
_PURE_PACKAGES = (
    "wtforms.fields.",
    "wtforms.validators.",
    "flask_wtf.file.",
    "flask_babel.",
)  # make plain values
_PURE_DECORATORS = {"staticmethod", "classmethod", "property"}
_IMPURE = {
    ("threading", "Thread"),
    ("threading", "Timer"),
    ("time", "sleep"),
    ("functools", "singledispatch"),
    ("weakref", "finalize"),
}
_STABLE = (str, bytes, int, float, complex, bool, tuple, frozenset, type(None), range)
_READERS = frozenset(
    ["get", "keys", "values", "items", "copy", "index", "count", "union", "intersection", "difference"]
)
_DEPTH = 8  # calls that are followed into the app's own functions

Live = Callable[[str, str], Any]
"""(module, name) -> what the name will stand for: a live object, an AST node of a pending definition, or MISSING."""

MISSING = object()


@dataclass(frozen=True)
class Pending:
    """Stands for an object that a statement of this release will make by calling `maker`, in a module."""

    module: str
    maker: ast.expr


@dataclass
class Judge:
    """Judges the statements of one module."""

    module: str
    live: Live
    depth: int = 0
    local: set[str] = field(default_factory=set)  # names of the function whose body is judged
    fresh: set[str] = field(default_factory=set)  # of those, the ones that this call made itself

    # statements

    def statement(self, node: ast.stmt) -> str | None:
        """Return why a top-level statement may not run, or None if it may."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        return method(node) if method else f"a {type(node).__name__} statement has effects that can't be told"

    def _import(self, node: ast.Import) -> None:
        return None

    _importfrom = _import

    def _pass(self, node: ast.Pass) -> None:
        return None

    _global = _typealias = _pass

    def _expr(self, node: ast.Expr) -> str | None:
        if isinstance(node.value, ast.Constant):
            return None
        if isinstance(node.value, ast.Call) and self._is_setup_call(node.value):
            return self._all([*node.value.args, *(k.value for k in node.value.keywords)])
        return f"what `{_short(node)}` does can't be told"

    def _is_setup_call(self, call: ast.Call) -> bool:
        return (
            isinstance(call.func, ast.Attribute)
            and call.func.attr in registrations.CALLS
            and self._is_target(call.func.value)
        )

    def _is_target(self, node: ast.expr) -> bool:
        """Whether an expression stands for an app or a blueprint."""
        value = self.value(node)
        if type(value) is Pending:  # `bp = Blueprint(...)` in the same release
            maker = Judge(value.module, self.live).value(value.maker)
            return isinstance(maker, type) and issubclass(maker, Blueprint)
        return issubclass(type(value), App | Blueprint)  # type(): isinstance would wake a LocalProxy up

    def _assign(self, node: ast.Assign) -> str | None:
        for target in node.targets:
            if not self._is_plain(target):
                return f"`{_short(target)} = …` changes an object in place"
        return self.expression(node.value)

    def _is_plain(self, target: ast.expr) -> bool:
        if isinstance(target, ast.Tuple | ast.List):
            return all(map(self._is_plain, target.elts))
        if isinstance(target, ast.Starred):
            return self._is_plain(target.value)
        return isinstance(target, ast.Name) or self._is_fresh_store(target)

    def _is_fresh_store(self, target: ast.expr) -> bool:
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        return isinstance(target, ast.Name) and target.id in self.fresh

    def _annassign(self, node: ast.AnnAssign) -> str | None:
        if not self._is_plain(node.target):
            return f"`{_short(node.target)} = …` changes an object in place"
        return self._all([node.annotation, *([node.value] if node.value else [])])

    def _augassign(self, node: ast.AugAssign) -> str | None:
        if isinstance(node.target, ast.Name) and (node.target.id in self.local):
            return self.expression(node.value)
        return f"`{_short(node)}` changes what is there"

    def _assert(self, node: ast.Assert) -> str | None:
        return self.expression(node.test)

    def _if(self, node: ast.If) -> str | None:
        if names.never_runs(node):
            return self._block(node.orelse)
        return self.expression(node.test) or self._block([*node.body, *node.orelse])

    def _try(self, node: ast.Try) -> str | None:
        handlers = [statement for handler in node.handlers for statement in handler.body]
        return self._block([*node.body, *handlers, *node.orelse, *node.finalbody])

    def _for(self, node: ast.For) -> str | None:
        if not self._is_plain(node.target):
            return f"`for {_short(node.target)}` changes an object in place"
        return self.expression(node.iter) or self._block([*node.body, *node.orelse])

    def _block(self, nodes: Iterable[ast.stmt]) -> str | None:
        return next(filter(None, map(self.statement, nodes)), None)

    def _functiondef(self, node: names.Function) -> str | None:
        return self._first(self.decorator(one) for one in node.decorator_list) or self._header(
            node.args, node.returns
        )

    _asyncfunctiondef = _functiondef

    def _header(self, args: ast.arguments, returns: ast.expr | None) -> str | None:
        hints = [
            a.annotation
            for a in [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
            if a
        ]
        return self._all([n for n in [*args.defaults, *args.kw_defaults, *hints, returns] if n is not None])

    def _classdef(self, node: ast.ClassDef) -> str | None:
        if getattr(node, "type_params", None) or node.keywords:
            return "a class with keywords or type parameters"
        for base in node.bases:
            value = self.value(base)
            if isinstance(value, ast.ClassDef):
                continue  # pending in this release: judged by itself
            if not isinstance(value, type) or not is_plain_class(value):
                return f"base class `{_short(base)}` may act on its subclasses"
        for decorator in node.decorator_list:
            if (why := self.decorator(decorator)) is not None:
                return why
        inside = Judge(self.module, self.live, self.depth, set(self.local), set(self.fresh))
        inside.local |= {name for statement in node.body for name in _bound(statement)}
        return inside._block(node.body)

    # decorators

    def decorator(self, node: ast.expr) -> str | None:
        """Return why a decorator may not be applied, or None."""
        call = node if isinstance(node, ast.Call) else None
        target = call.func if call else node
        if isinstance(target, ast.Attribute):
            if target.attr in registrations.DECORATORS and self._is_target(target.value):
                return self._all([*call.args, *(k.value for k in call.keywords)]) if call else None
            if (
                isinstance(target.value, ast.Name)
                and target.value.id in self.local
                and target.attr in ("setter", "getter", "deleter")
            ):
                return None
        if isinstance(target, ast.Name) and target.id in _PURE_DECORATORS:
            return None
        return self._called(target, call.args if call else [], call.keywords if call else [])

    def keeps_function(self, node: ast.expr) -> bool:
        """Whether a decorator is one of Flask's that registers its function and gives it back."""
        target = node.func if isinstance(node, ast.Call) else node
        return (
            isinstance(target, ast.Attribute)
            and target.attr in registrations.DECORATORS
            and self._is_target(target.value)
        )

    # expressions

    def _all(self, nodes: Iterable[ast.expr]) -> str | None:
        return self._first(map(self.expression, nodes))

    def _first(self, found: Iterable[str | None]) -> str | None:
        return next(filter(None, found), None)

    def expression(self, node: ast.expr) -> str | None:
        """Return why evaluating an expression has effects that can't be told, or None."""
        if isinstance(node, ast.Call):
            return self._called(node.func, node.args, node.keywords)
        if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom):
            return f"`{_short(node)}` can't run alone"
        if isinstance(node, ast.Lambda):
            return self._header(node.args, None)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and (why := self.expression(child)) is not None:
                return why
            if isinstance(child, ast.comprehension):
                inside = Judge(
                    self.module,
                    self.live,
                    self.depth,
                    self.local | set(names.targets(child.target)),
                    self.fresh,
                )
                if (why := inside._all([child.iter, *child.ifs])) is not None:
                    return why
        return None

    def _called(self, function: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> str | None:
        why = self._all([*args, *(k.value for k in keywords)])
        if why is None and isinstance(function, ast.Call):
            why = self.expression(function)
            return why or (None if self._makes_pure_decorator(function) else self._unknown(function))
        if why is not None:
            return why
        if isinstance(function, ast.Attribute) and self._is_harmless_method(function):
            return self.expression(function.value)
        if isinstance(function, ast.Name) and function.id in self.local:
            return None if function.id in self.fresh else self._unknown(function)
        return self.callable(self.value(function), function)

    def _makes_pure_decorator(self, call: ast.Call) -> bool:
        """`lru_cache(maxsize=8)` and its like: calling what they return is as harmless as calling them."""
        value = self.value(call.func)
        return getattr(value, "__module__", None) in ("functools", "dataclasses", "contextlib") or isinstance(
            value, FunctionType
        )

    def _unknown(self, node: ast.expr) -> str:
        return f"what calling `{_short(node)}` does can't be told"

    def _is_harmless_method(self, node: ast.Attribute) -> bool:
        """A method of a literal, of an immutable value, or one that only reads a builtin container."""
        if isinstance(node.value, ast.Constant | ast.JoinedStr):
            return True
        if isinstance(node.value, ast.Attribute) and node.value.attr in (
            "__name__",
            "__qualname__",
            "__module__",
        ):
            return True
        if (
            node.attr == "as_view"
            and isinstance(owner := self.value(node.value), type)
            and issubclass(owner, _views())
        ):
            return True
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            return self._is_harmless_method(node.value.func) and not isinstance(
                self.value(node.value.func.value), ast.AST
            )
        root = node.value
        if isinstance(root, ast.Name) and root.id in self.fresh:
            return True
        value = self.value(root)
        if type(value) in _STABLE:
            return True
        if type(value) in (dict, list, set) or value is _environ():
            return node.attr in _READERS
        return False

    def callable(self, value: Any, node: ast.expr) -> str | None:
        """Return why calling what an expression stands for has effects that can't be told, or None."""
        if isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return self.body(value, self.module)
        if value is MISSING or type(value) is Pending or issubclass(type(value), ast.AST):
            return self._unknown(node)
        if getattr(builtins, getattr(value, "__name__", ""), None) is value:
            pure = getattr(value, "__name__", "") in _PURE_BUILTINS or (
                isinstance(value, type) and issubclass(value, BaseException)
            )
            return None if pure else self._unknown(node)
        where = getattr(value, "__module__", None) or getattr(
            getattr(value, "__self__", None), "__name__", None
        )
        name = getattr(value, "__name__", "")
        if (where, name) in _IMPURE:
            return self._unknown(node)
        if (where, name) in _PURE_NAMES or where in _PURE_MODULES or f"{where}.".startswith(_PURE_PACKAGES):
            return None
        if (
            isinstance(value, MethodDescriptorType | BuiltinFunctionType)
            and type(getattr(value, "__self__", None)) in _STABLE
        ):
            return None
        return self._own(value, node)

    def _own(self, value: Any, node: ast.expr) -> str | None:
        """Judge a call of the app's own function or class by its source."""
        definition = self.live(
            getattr(value, "__module__", "") or "", f"def {getattr(value, '__qualname__', '')}"
        )
        if not isinstance(definition, ast.AST):
            return self._unknown(node)
        assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        return self.body(definition, value.__module__)

    def body(self, node: names.Function | ast.ClassDef, module: str) -> str | None:
        """Return why calling a function (or making an instance) has effects that can't be told, or None."""
        if self.depth >= _DEPTH:
            return f"`{node.name}` calls too deep to be judged"
        if isinstance(node, ast.ClassDef):
            return self._construction(node, module)
        if isinstance(node, ast.AsyncFunctionDef):
            return None  # calling it makes a coroutine and runs nothing
        judge = Judge(module, self.live, self.depth + 1)
        args = node.args
        judge.local = {
            a.arg for a in [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg] if a
        }
        judge.local |= {
            name
            for statement in ast.walk(node)
            if isinstance(statement, ast.stmt)
            for name in _bound(statement)
        }
        judge.fresh = _made_here(node)
        why = judge._function_block(node.body)
        return f"`{node.name}`: {why}" if why else None

    def _construction(self, node: ast.ClassDef, module: str) -> str | None:
        if any(
            ast.unparse(base) not in ("object", "Exception", "NamedTuple", "Protocol", "ABC")
            for base in node.bases
        ):
            return f"what making a `{node.name}` does can't be told"
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in (
                "__init__",
                "__new__",
                "__post_init__",
            ):
                judge = Judge(module, self.live, self.depth + 1)
                judge.local = {a.arg for a in [*statement.args.args, *statement.args.kwonlyargs]}
                judge.local |= {
                    n for one in ast.walk(statement) if isinstance(one, ast.stmt) for n in _bound(one)
                }
                judge.fresh = _made_here(statement) | {statement.args.args[0].arg}
                if (why := judge._function_block(statement.body)) is not None:
                    return f"`{node.name}`: {why}"
        return None

    def _function_block(self, nodes: Iterable[ast.stmt]) -> str | None:
        return self._first(map(self._in_function, nodes))

    def _in_function(self, node: ast.stmt) -> str | None:
        if isinstance(node, ast.Return):
            return self.expression(node.value) if node.value else None
        if isinstance(node, ast.Raise):
            return self._all([n for n in (node.exc, node.cause) if n is not None])
        if isinstance(node, ast.Expr):
            return self.expression(node.value)
        if isinstance(node, ast.Break | ast.Continue):
            return None
        if isinstance(node, ast.Global | ast.Nonlocal):
            return f"`{_short(node)}` changes what others see"
        if isinstance(node, ast.While):
            return self.expression(node.test) or self._function_block([*node.body, *node.orelse])
        if isinstance(node, ast.If | ast.For | ast.Try):
            head = node.test if isinstance(node, ast.If) else node.iter if isinstance(node, ast.For) else None
            nested = [s for s in ast.iter_child_nodes(node) if isinstance(s, ast.stmt)]
            nested += [s for h in getattr(node, "handlers", []) for s in h.body]
            return (self.expression(head) if head else None) or self._function_block(nested)
        return self.statement(node)

    # what an expression stands for

    def value(self, node: ast.expr) -> Any:
        """Return what a name or dotted name stands for, without running anything; MISSING if unknown."""
        if isinstance(node, ast.Name):
            return MISSING if node.id in self.local else self.live(self.module, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if isinstance(owner, ModuleType):
                return vars(owner).get(node.attr, MISSING)
            if isinstance(owner, type):
                return next((vars(c)[node.attr] for c in owner.__mro__ if node.attr in vars(c)), MISSING)
            if isinstance(owner, App | Blueprint):
                return MISSING
        return MISSING


def _environ() -> object:
    return getattr(sys.modules.get("os"), "environ", None)


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {name for target in node.targets for name in names.targets(target)}
    if isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For):
        return set(names.targets(node.target))
    if isinstance(node, ast.With):
        return {n for item in node.items if item.optional_vars for n in names.targets(item.optional_vars)}
    return set()


def _made_here(node: names.Function) -> set[str]:
    """Return the local names that stand only for objects which this call makes itself: nobody else sees them change."""
    made: dict[str, bool] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one is not node:
            made[one.name] = made.get(one.name, True)
        elif isinstance(one, ast.stmt):
            value = getattr(one, "value", None) if isinstance(one, ast.Assign | ast.AnnAssign) else None
            display = (
                ast.List
                | ast.Dict
                | ast.Set
                | ast.ListComp
                | ast.DictComp
                | ast.SetComp
                | ast.Constant
                | ast.JoinedStr
            )
            for name in _bound(one):
                made[name] = made.get(name, True) and isinstance(value, display)
    return {name for name, fresh in made.items() if fresh}


def is_plain_class(cls: type) -> bool:
    """Whether subclassing or changing a class in place runs nobody's code."""
    if type(cls) is not type and type(cls).__name__ not in ("ABCMeta",):
        return False
    allowed = {object, *_views()}
    return not any("__init_subclass__" in vars(one) for one in cls.__mro__ if one not in allowed)


@functools.cache
def _views() -> tuple[type, ...]:
    from flask.views import MethodView, View

    return (View, MethodView)


def _short(node: ast.AST) -> str:
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 50 else text[:49] + "…"
