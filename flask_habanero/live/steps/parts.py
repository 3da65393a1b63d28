"""Statements of factories run in the variables that the factories left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from .. import codes, startup
from .undo import GONE, Inverse, remember


@dataclass(frozen=True)
class Unbind:
    """Variables of a factory's run are as they were before any statement had bound them."""

    left: Any  # what the run left behind: .variables, .cells
    cells: Mapping[str, CellType]
    names: frozenset[str]

    def apply(self) -> Inverse:
        left = self.left
        variables, known = left.variables, left.cells
        cells = {**self.cells, **known}
        emptied = {name: cells[name] for name in self.names if name in cells}
        contents = [(cell, _content(cell)) for cell in emptied.values()]
        for cell in emptied.values():
            _fill(cell, GONE)
        left.cells = {**known, **emptied}
        left.variables = {name: value for name, value in variables.items() if name not in self.names}

        def inverse() -> None:
            left.variables, left.cells = variables, known
            for cell, content in contents:
                _fill(cell, content)

        return inverse


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
        variables, known = left.variables, left.cells
        cells = {**{name: CellType(value) for name, value in variables.items()}, **self.cells, **known}
        own = {name: cells.get(name) or CellType() for name in (*self.code.co_freevars, *self.bound)}
        contents = [(cell, _content(cell)) for cell in own.values()]

        def inverse() -> None:
            left.variables, left.cells = variables, known
            for cell, content in contents:
                _fill(cell, content)

        restore = remember(self.module)
        known_runs = {id(run) for found in startup.runs.values() for run in found}
        try:
            closure = tuple(own[name] for name in self.code.co_freevars)
            codes.apart.update(one.co_qualname for one in codes.walk(self.code))
            FunctionType(codes.own(self.code), vars(self.module), closure=closure)()
        except BaseException:
            inverse()
            restore()
            raise
        for run in (run for found in startup.runs.values() for run in found if id(run) not in known_runs):
            run.above = left.chain[:-1]  # a factory runs where it ran, not where its module was imported
        left.cells = {**known, **own}
        found = {name: _content(own[name]) for name in self.bound}
        kept = {name: value for name, value in variables.items() if name not in self.bound}
        left.variables = {**kept, **{n: v for n, v in found.items() if v is not GONE}}

        def both() -> None:
            inverse()
            restore()

        return both


@dataclass(frozen=True)
class EndRuns:
    """What runs of factories left behind is forgotten: they were taken back, or done again."""

    program: Any
    over: tuple[Any, ...]

    def apply(self) -> Inverse:
        runs = self.program.books.runs  # of the release: those before are kept apart
        over = set(map(id, self.over))
        for key, found in list(runs.items()):
            runs[key] = [left for left in found if id(left) not in over]
        return lambda: None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return GONE


def _fill(cell: CellType, content: Any) -> None:
    if content is not GONE:
        cell.cell_contents = content
    elif _content(cell) is not GONE:
        del cell.cell_contents
