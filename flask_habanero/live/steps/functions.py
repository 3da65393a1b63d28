"""Functions that keep their identity, and do something else."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..codes import SUSPENDED, apart, children, docstring, own, walk
from .undo import Inverse, remember

_HEADER = ("__defaults__", "__kwdefaults__", "__annotations__", "__doc__")
_KINDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
RAW = "_habanero_raw"


@dataclass
class SwapCode:
    """Functions of one definition get new code, once. Their identity, closures and attributes stay."""

    functions: tuple[FunctionType, ...]
    code: CodeType | None  # given away, see `codes.own`: a plan may be kept for longer than it is needed

    def apply(self) -> Inverse:
        new, self.code = self.code, None
        assert new is not None, "a step is applied once"
        before = [(function, function.__code__, function.__doc__) for function in self.functions]
        was, now = docstring(self.functions[0].__code__), docstring(new)
        for function in self.functions:
            _assign(function, _fitting(new, function))
            if was != now and function.__doc__ == was:
                function.__doc__ = now

        def inverse() -> None:
            for function, code, doc in before:
                _assign(function, code)
                function.__doc__ = doc

        return inverse


def _assign(function: FunctionType, code: CodeType) -> None:
    """Let a function have a code. A plain function may become a generator or a coroutine.

    Generators of functions that it makes go on with code that the old one held: one that is suspended keeps
    it anyway. No function has the code of a generator expression.
    """
    inner = (one for child in children(code) for one in walk(child) if one.co_name != "<genexpr>")
    apart.update(one.co_qualname for one in inner if one.co_flags & SUSPENDED)
    if not (function.__code__.co_flags ^ code.co_flags) & _KINDS:
        function.__code__ = code
        return
    with warnings.catch_warnings():  # from 3.13 on that is deprecated, and still does what it did
        warnings.simplefilter("ignore", DeprecationWarning)
        function.__code__ = code


def _fitting(code: CodeType, function: FunctionType) -> CodeType:
    """Return the code. A function that was imported under another file name (a symlink) keeps that."""
    name = function.__code__.co_filename
    if name == code.co_filename:
        return code
    apart.update(one.co_qualname for one in walk(code))
    return code.replace(co_filename=name)


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
            exec(own(self.code), vars(self.module), scratch)
        except BaseException:
            inverse()
            raise
        vars(self.module)[self.name] = scratch[self.name]
        return inverse


@dataclass(frozen=True)
class ClearCache:
    """A memo (`functools.lru_cache`) whose results came from code that changed is emptied."""

    clear: Callable[[], None]

    def apply(self) -> Inverse:
        self.clear()
        return lambda: None  # an empty memo is right before and after
