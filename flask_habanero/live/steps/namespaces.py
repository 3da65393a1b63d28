"""Statements that run, and names and modules that end."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from .. import importer
from .undo import GONE, Inverse, remember


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
                if content is GONE:
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
        left.variables = {**variables, **{n: v for n, v in found.items() if v is not GONE}}

        def both() -> None:
            inverse()
            restore()

        return both


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return GONE


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


@dataclass(frozen=True)
class DropModule:
    """A module that a release deleted goes from `sys.modules` and from its package."""

    name: str

    def apply(self) -> Inverse:
        module = sys.modules.pop(self.name)
        parent, _, child = self.name.rpartition(".")
        package = sys.modules.get(parent)
        held = vars(package).pop(child, GONE) if package else GONE

        def inverse() -> None:
            sys.modules[self.name] = module
            if package and held is not GONE:
                setattr(package, child, held)

        return inverse


@dataclass(frozen=True)
class ShowSource:
    """Tracebacks and `inspect.getsource` see the pushed text."""

    filename: str
    text: str

    def apply(self) -> Inverse:
        before = linecache.cache.get(self.filename, GONE)
        importer.show_source(self.filename, self.text)

        def inverse() -> None:
            if before is GONE:
                linecache.cache.pop(self.filename, None)
            else:
                linecache.cache[self.filename] = before  # type: ignore[assignment]  # it came from there

        return inverse
