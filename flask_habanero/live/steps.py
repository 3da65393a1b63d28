"""The steps of a plan: what each does to the live program, and how it is taken back.

The only place that assigns ``__code__`` or sets attributes of the user's objects. `apply`
returns the inverse, ready to run; nothing else in the package changes the program.
"""

from __future__ import annotations

import abc
import importlib
import linecache
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from flask.views import MethodView

from . import adapters, importer
from .codes import docstring

Inverse = Callable[[], None]
_GONE = object()  # stands for: there was no such name


@dataclass(frozen=True)
class SwapCode:
    """Functions of one definition get new code. Their identity, closures and attributes stay."""

    functions: tuple[FunctionType, ...]
    code: CodeType

    def apply(self) -> Inverse:
        before = [(function, function.__code__, function.__doc__) for function in self.functions]
        was, now = docstring(self.functions[0].__code__), docstring(self.code)
        for function in self.functions:
            # one function may have been imported under another file name (a symlink): keep what it shows
            function.__code__ = self.code.replace(co_filename=function.__code__.co_filename)
            if was != now and function.__doc__ == was:
                function.__doc__ = now

        def inverse() -> None:
            for function, code, doc in before:
                function.__code__ = code
                function.__doc__ = doc

        return inverse


_HEADER = ("__defaults__", "__kwdefaults__", "__annotations__", "__doc__")


@dataclass(frozen=True)
class Conform:
    """A function takes over defaults, annotations, docstring of the `def` as it is now written."""

    function: FunctionType
    module: ModuleType
    name: str
    bare: CodeType  # the def without its decorators

    def apply(self) -> Inverse:
        names = (*_HEADER, *(["__type_params__"] if sys.version_info >= (3, 12) else []))
        before = {name: getattr(self.function, name) for name in names}
        scratch: dict[str, Any] = {}
        exec(self.bare, vars(self.module), scratch)
        fresh = scratch[self.name]
        for name in names:
            setattr(self.function, name, getattr(fresh, name))

        def inverse() -> None:
            for name, value in before.items():
                setattr(self.function, name, value)

        return inverse


@dataclass(frozen=True)
class Run:
    """A statement runs in its module's namespace, as it would at a cold start."""

    module: ModuleType
    code: CodeType

    def apply(self) -> Inverse:
        restore = remember(self.module)
        try:
            exec(self.code, vars(self.module))
        except BaseException:  # also SystemExit: whatever a statement raises, its names go back
            restore()
            raise
        return restore


@dataclass(frozen=True)
class Decorate:
    """The decorators of a `def` are applied anew to the function that there is."""

    module: ModuleType
    name: str
    function: FunctionType
    code: CodeType  # `name = decorator(_habanero_raw)`
    forget: frozenset[str] = frozenset()  # attributes that the decorators before had set on it

    def apply(self) -> Inverse:
        restore, attributes = remember(self.module), dict(vars(self.function))

        def inverse() -> None:
            restore()
            vars(self.function).clear()
            vars(self.function).update(attributes)

        try:
            for name in self.forget & attributes.keys():
                delattr(self.function, name)
            scratch: dict[str, Any] = {RAW: self.function}
            exec(self.code, vars(self.module), scratch)
        except BaseException:
            inverse()
            raise
        vars(self.module)[self.name] = scratch[self.name]
        return inverse


RAW = "_habanero_raw"


@dataclass(frozen=True)
class Part:
    """A statement of a factory runs in the variables that the factory left behind."""

    module: ModuleType
    code: CodeType  # a function of no arguments, whose free variables are the factory's
    left: Any  # what the run left behind: .variables, .cells
    cells: Mapping[str, CellType]
    bound: frozenset[str]

    def apply(self) -> Inverse:
        left = self.left
        variables, known = dict(left.variables), dict(left.cells)
        cells = {**{name: CellType(value) for name, value in variables.items()}, **self.cells, **known}
        own = {name: cells.get(name) or CellType() for name in (*self.code.co_freevars, *self.bound)}
        contents = [(cell, _content(cell)) for cell in own.values()]

        def inverse() -> None:
            left.variables, left.cells = variables, known
            for cell, content in contents:
                if content is _GONE:
                    del cell.cell_contents
                else:
                    cell.cell_contents = content

        restore = remember(self.module)
        try:
            function = FunctionType(
                self.code, vars(self.module), closure=tuple(own[name] for name in self.code.co_freevars)
            )
            function()
        except BaseException:
            inverse()
            restore()
            raise
        left.cells = {**known, **own}
        found = {name: _content(own[name]) for name in self.bound}
        left.variables = {**variables, **{n: v for n, v in found.items() if v is not _GONE}}

        def both() -> None:
            inverse()
            restore()

        return both


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _GONE


@dataclass(frozen=True)
class Forget:
    """Names that a removed statement had bound go from the namespace."""

    module: ModuleType
    names: tuple[str, ...]

    def apply(self) -> Inverse:
        restore = remember(self.module)
        for name in self.names:
            if name == "__doc__":
                vars(self.module)[name] = None
                continue
            vars(self.module).pop(name, None)
            hints = vars(self.module).get("__annotations__", {})
            if hints.pop(name, None) is not None and not hints:
                del vars(self.module)["__annotations__"]  # as if no name had been annotated
        return restore


def remember(module: ModuleType) -> Inverse:
    """Return what puts a module's namespace back as it is now."""
    namespace = vars(module)
    before = dict(namespace)
    hints = namespace.get("__annotations__")
    hints_before = dict(hints) if isinstance(hints, dict) else None

    def restore() -> None:
        for name in [name for name in namespace if name not in before]:
            del namespace[name]
        for name, value in before.items():
            if namespace.get(name, _GONE) is not value:
                namespace[name] = value
        if hints_before is not None and isinstance(hints, dict):
            hints.clear()
            hints.update(hints_before)

    return restore


@dataclass(frozen=True)
class Members:
    """Members of a class are set and deleted in place."""

    cls: type
    module: ModuleType
    put: tuple[tuple[str, CodeType], ...]  # name, and a class body of only the statement which makes it
    drop: tuple[str, ...]
    order: tuple[str, ...]  # of all members, as they stand in the source

    def apply(self) -> Inverse:
        names = {"__annotations__", "__doc__", "methods", *self.drop, *(name for name, _ in self.put)}
        before = {name: self.cls.__dict__.get(name, _GONE) for name in names}
        inverse = self._inverse(before)
        try:
            unsettle = self._exchange(before)
        except BaseException:
            inverse()
            raise

        def both() -> None:
            unsettle()
            inverse()

        return both

    def _exchange(self, before: Mapping[str, Any]) -> Inverse:
        hints = dict(before["__annotations__"]) if isinstance(before["__annotations__"], dict) else None
        for name in self.drop:
            if name == "__doc__":
                self.cls.__doc__ = None  # it can't be deleted
            elif name in self.cls.__dict__:
                delattr(self.cls, name)
            if hints is not None:
                self.cls.__dict__["__annotations__"].pop(name, None)
        for name, code in self.put:
            self._put(name, code)
        _abstract_methods(self.cls)
        self._http_methods()
        adapter = adapters.adapter_of(self.cls)
        return adapter.settle(self.cls, self.order) if adapter else lambda: None

    def _inverse(self, before: Mapping[str, Any]) -> Inverse:
        hints = dict(before["__annotations__"]) if isinstance(before["__annotations__"], dict) else None

        def inverse() -> None:
            for name, value in before.items():
                if value is _GONE:
                    if name in self.cls.__dict__:
                        delattr(self.cls, name)
                elif self.cls.__dict__.get(name) is not value:
                    setattr(self.cls, name, value)
            if hints is not None:
                self.cls.__annotations__ = hints
            _abstract_methods(self.cls)

        return inverse

    def _http_methods(self) -> None:
        """Flask tells a view's HTTP methods from its members once, when the class is made."""
        if (
            issubclass(self.cls, MethodView)
            and "methods" not in self.order
            and "methods" in self.cls.__dict__
        ):
            del self.cls.methods
            self.cls.__init_subclass__()

    def _put(self, name: str, code: CodeType) -> None:
        """Run one statement of the class body where it sees the class's names; take what it binds."""
        body = {
            key: value
            for key, value in self.cls.__dict__.items()
            if key not in ("__annotations__", "__doc__")
        }
        exec(code, vars(self.module), body)
        if "__classcell__" in body:  # super() and __class__ in the new method mean the class that there is
            body["__classcell__"].cell_contents = self.cls
        if "__annotations__" in body:
            self.cls.__annotations__ = {
                **self.cls.__dict__.get("__annotations__", {}),
                **body["__annotations__"],
            }
        if name in body:
            setattr(self.cls, name, body[name])
            if hasattr(body[name], "__set_name__"):
                body[name].__set_name__(self.cls, name)


def _abstract_methods(cls: type) -> None:
    for one in (cls, *adapters.below(cls)):
        if isinstance(one, abc.ABCMeta):
            abc.update_abstractmethods(one)  # type: ignore[arg-type]  # typeshed wants a type variable


@dataclass(frozen=True)
class Assign:
    """Attributes of one object are replaced: how fresh registries take the place of the old ones."""

    target: Any
    values: Mapping[str, Any]

    def apply(self) -> Inverse:
        before = {name: self.target.__dict__.get(name, _GONE) for name in self.values}
        for name, value in self.values.items():
            setattr(self.target, name, value)

        def inverse() -> None:
            for name, value in before.items():
                delattr(self.target, name) if value is _GONE else setattr(self.target, name, value)

        return inverse


@dataclass(frozen=True)
class Items:
    """Items of a mapping are set and deleted: Jinja's tables."""

    mapping: dict[str, Any]
    put: Mapping[str, Any]
    drop: tuple[str, ...]

    def apply(self) -> Inverse:
        before = {name: self.mapping.get(name, _GONE) for name in (*self.put, *self.drop)}
        self.mapping.update(self.put)
        for name in self.drop:
            self.mapping.pop(name, None)

        def inverse() -> None:
            for name, value in before.items():
                if value is _GONE:
                    self.mapping.pop(name, None)
                else:
                    self.mapping[name] = value

        return inverse


@dataclass(frozen=True)
class Remember:
    """An object in which statements have entries: a failed release leaves it as it is now."""

    target: Any

    def apply(self) -> Inverse:
        target = self.target
        if type(target) in (list, deque):
            before = list(target)

            def restore_list() -> None:
                target.clear()
                target.extend(before)

            return restore_list
        content = (
            dict(target) if isinstance(target, dict) else set(target) if isinstance(target, set) else None
        )
        fields = dict(vars(target)) if content is None else None

        def restore() -> None:
            if fields is not None:
                for name in [name for name in vars(target) if name not in fields]:
                    delattr(target, name)
                for name, value in fields.items():
                    if vars(target).get(name, _GONE) is not value:
                        setattr(target, name, value)
            else:
                target.clear()
                target.update(content)

        return restore


@dataclass(frozen=True)
class TakeOut:
    """The entry of a statement that ends goes from what holds it. `Remember` brings it back."""

    target: Any
    kind: str  # "attribute", "key", "element"
    key: Any

    def apply(self) -> Inverse:
        if self.kind == "attribute":
            delattr(self.target, self.key)
        elif self.kind == "key":
            del self.target[self.key]
        elif isinstance(self.target, set):
            self.target.discard(self.key)
        else:
            kept = [one for one in self.target if one is not self.key]
            self.target.clear()
            self.target.extend(kept)
        return lambda: None


@dataclass(frozen=True)
class Arrange:
    """The entries of a list or dict stand in the order in which a cold start would make them."""

    target: Any
    rank: Callable[[Any], int | None]

    def apply(self) -> Inverse:
        target = self.target
        rows = list(target.items()) if isinstance(target, dict) else [(None, one) for one in target]
        ranks = [self.rank(value) for _, value in rows]
        known = sorted((rank, index) for index, rank in enumerate(ranks) if rank is not None)
        places = iter([index for _, index in known])
        # those whose place is not known stay where they are among the others
        order = [next(places) if rank is not None else index for index, rank in enumerate(ranks)]
        if order != sorted(order):
            moved = [rows[index] for index in order]
            target.clear()
            if isinstance(target, dict):
                target.update(moved)
            else:
                target.extend(value for _, value in moved)
        return lambda: None  # `Remember` brings back all


def fill(mapping: dict[str, Any], content: Mapping[str, Any]) -> None:
    """Let a mapping hold other items, in their order. It keeps its identity; its own methods are passed by."""
    dict.clear(mapping)
    dict.update(mapping, content)


@dataclass(frozen=True)
class DropModule:
    """A module that a release deleted goes from `sys.modules` and from its package."""

    name: str

    def apply(self) -> Inverse:
        module = sys.modules.pop(self.name)
        parent, _, child = self.name.rpartition(".")
        package = sys.modules.get(parent)
        held = vars(package).pop(child, _GONE) if package else _GONE

        def inverse() -> None:
            sys.modules[self.name] = module
            if package and held is not _GONE:
                setattr(package, child, held)

        return inverse


@dataclass(frozen=True)
class ClearCache:
    """A memo (`functools.lru_cache`) whose results came from code that changed is emptied."""

    clear: Callable[[], None]

    def apply(self) -> Inverse:
        self.clear()
        return lambda: None  # an empty memo is right before and after


@dataclass(frozen=True)
class ShowSource:
    """Tracebacks and `inspect.getsource` see the pushed text."""

    filename: str
    text: str

    def apply(self) -> Inverse:
        before = linecache.cache.get(self.filename, _GONE)
        importer.show_source(self.filename, self.text)

        def inverse() -> None:
            if before is _GONE:
                linecache.cache.pop(self.filename, None)
            else:
                linecache.cache[self.filename] = before  # type: ignore[assignment]  # it came from there

        return inverse


def modules_before() -> Inverse:
    """Return what takes modules that were imported since out again."""
    before = set(sys.modules)

    def inverse() -> None:
        for name in [name for name in sys.modules if name not in before]:
            module = sys.modules.pop(name)
            parent, _, child = name.rpartition(".")
            package = sys.modules.get(parent)
            if package is not None and vars(package).get(child) is module:
                delattr(package, child)
        importlib.invalidate_caches()

    return inverse
