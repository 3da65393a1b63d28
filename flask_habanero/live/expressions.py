"""May an expression be evaluated in a process that already serves? What does a call in it do?

Calls are followed into the app's own functions, by their source, and end at a short list of
builtins and modules whose functions only compute. What is not on it can't be told.
"""

from __future__ import annotations

import abc
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

from . import names

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
# what they make are plain values
_PURE_PACKAGES = ("wtforms.fields.", "wtforms.validators.", "flask_wtf.file.", "flask_babel.")
_IMPURE = {
    ("threading", "Thread"),
    ("threading", "Timer"),
    ("time", "sleep"),
    ("functools", "singledispatch"),
    ("weakref", "finalize"),
}
_STABLE = (str, bytes, int, float, complex, bool, tuple, frozenset, type(None), range)
_DISPLAYS = (
    ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Constant, ast.JoinedStr,
)  # fmt: skip
_READERS = frozenset(
    ["get", "keys", "values", "items", "copy", "index", "count", "union", "intersection", "difference"]
)
_DEPTH = 8  # calls that are followed into the app's own functions

Live = Callable[[str, str], Any]
"""(module, name) -> what the name will stand for: a live object, a pending definition's AST, or MISSING."""

MISSING = object()


@dataclass(frozen=True)
class Pending:
    """Stands for an object that a statement of this release will make by calling `maker`, in a module."""

    module: str
    maker: ast.expr


@dataclass
class Expressions(abc.ABC):
    """Judges the expressions of one module."""

    module: str
    live: Live
    depth: int = 0
    local: set[str] = field(default_factory=set)  # names of the function whose body is judged
    fresh: set[str] = field(default_factory=set)  # of those, the ones that this call made itself

    @abc.abstractmethod
    def statement(self, node: ast.stmt) -> str | None:
        """Return why a statement may not run, or None: functions that are called consist of them."""

    def all_of(self, nodes: Iterable[ast.expr]) -> str | None:
        """Return the first reason against evaluating some expressions, or None."""
        return first(map(self.expression, nodes))

    def expression(self, node: ast.expr) -> str | None:
        """Return why evaluating an expression has effects that can't be told, or None."""
        if isinstance(node, ast.Call):
            return self.call(node.func, node.args, node.keywords)
        if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom):
            return f"`{short(node)}` can't run alone"
        if isinstance(node, ast.Lambda):
            return self.header(node.args, None)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and (why := self.expression(child)) is not None:
                return why
            if isinstance(child, ast.comprehension):
                local = self.local | set(names.targets(child.target))
                inside = type(self)(self.module, self.live, self.depth, local, self.fresh)
                if (why := inside.all_of([child.iter, *child.ifs])) is not None:
                    return why
        return None

    def header(self, args: ast.arguments, returns: ast.expr | None) -> str | None:
        """Return why a function's defaults and annotations may not be evaluated, or None."""
        hints = [one.annotation for one in names.parameters(args)]
        return self.all_of([n for n in [*args.defaults, *args.kw_defaults, *hints, returns] if n is not None])

    def call(self, function: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> str | None:
        """Return why a call has effects that can't be told, or None."""
        why = self.all_of([*args, *(k.value for k in keywords)])
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
        return f"what calling `{short(node)}` does can't be told"

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
            and issubclass(owner, views())
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
        judge = type(self)(module, self.live, self.depth + 1)
        judge.local = {one.arg for one in names.parameters(node.args)} | _bound_in(node)
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
                judge = type(self)(module, self.live, self.depth + 1)
                taken = [one.arg for one in names.parameters(statement.args)]
                judge.local = {*taken, *_bound_in(statement)}
                judge.fresh = _made_here(statement) | set(taken[:1])  # the new object itself
                if (why := judge._function_block(statement.body)) is not None:
                    return f"`{node.name}`: {why}"
        return None

    def _function_block(self, nodes: Iterable[ast.stmt]) -> str | None:
        return first(map(self._in_function, nodes))

    def _in_function(self, node: ast.stmt) -> str | None:
        if isinstance(node, ast.Return):
            return self.expression(node.value) if node.value else None
        if isinstance(node, ast.Raise):
            return self.all_of([n for n in (node.exc, node.cause) if n is not None])
        if isinstance(node, ast.Expr):
            return self.expression(node.value)
        if isinstance(node, ast.Break | ast.Continue):
            return None
        if isinstance(node, ast.Global | ast.Nonlocal):
            return f"`{short(node)}` changes what others see"
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


def bound_by(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds itself, not those that statements in it bind."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {name for target in node.targets for name in names.targets(target)}
    if isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For):
        return set(names.targets(node.target))
    if isinstance(node, ast.With):
        return {n for item in node.items if item.optional_vars for n in names.targets(item.optional_vars)}
    return set()


def _bound_in(function: names.Function) -> set[str]:
    return {n for one in ast.walk(function) if isinstance(one, ast.stmt) for n in bound_by(one)}


def _made_here(node: names.Function) -> set[str]:
    """Return the local names for objects that only this call makes: nobody else sees them change."""
    made: dict[str, bool] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one is not node:
            made[one.name] = made.get(one.name, True)
        elif isinstance(one, ast.stmt):
            value = getattr(one, "value", None) if isinstance(one, ast.Assign | ast.AnnAssign) else None
            for name in bound_by(one):
                made[name] = made.get(name, True) and isinstance(value, _DISPLAYS)
    return {name for name, fresh in made.items() if fresh}


@functools.cache
def views() -> tuple[type, ...]:
    """Return Flask's classes for views, whose hooks are known to be harmless."""
    from flask.views import MethodView, View

    return (View, MethodView)


def first(found: Iterable[str | None]) -> str | None:
    """Return the first reason among some answers."""
    return next(filter(None, found), None)


def short(node: ast.AST) -> str:
    """Return a node's first line, cut to what a message can bear."""
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 50 else text[:49] + "…"
