"""Who called whom at the start, by the lines at which functions begin now.

A release moves functions up and down. Each is known by a number, so that a move is noted once, however
many calls of it there were.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import steps
from .startup import Call, Function

_numbers = itertools.count()


class Calls:
    """The calls of one state of the program. What it holds is replaced, never changed: copies share it."""

    def __init__(self) -> None:
        self._numbers: dict[Function, int] = {}
        self._functions: dict[int, Function] = {}
        self._callers: dict[int, frozenset[tuple[int, int]]] = {}  # (caller, line within it)

    def copy(self) -> Calls:
        """Return calls that can be written without touching these."""
        new = Calls()
        new._numbers, new._functions = dict(self._numbers), dict(self._functions)
        new._callers = dict(self._callers)
        return new

    def add(self, function: Function, callers: Iterable[Call]) -> None:
        """Note that a function was called."""
        more = {(self._number(caller), line) for caller, line in callers}
        number = self._number(function)
        self._callers[number] = self._callers.get(number, frozenset()) | more

    def _number(self, function: Function) -> int:
        if function not in self._numbers:
            number = self._numbers[function] = next(_numbers)
            self._functions[number] = function
        return self._numbers[function]

    def of(self, function: Function) -> set[Call] | None:
        """Return what called a function; None if nothing is known of that."""
        callers = self._callers.get(self._numbers.get(function, -1))
        return None if callers is None else {(self._functions[caller], line) for caller, line in callers}

    def move(self, moved: Mapping[Function, Function], done: list[steps.Inverse]) -> None:
        """Let functions begin on other lines; add what puts them back to what is done."""
        done.append(move(self._numbers, moved))
        known = {self._numbers[new]: new for new in moved.values() if new in self._numbers}
        done.append(steps.Items(self._functions, known, ()).apply())

    def move_lines(self, moved: Callable[[Function, int], int]) -> None:
        """Let calls stand on other lines of their callers."""
        self._callers = {
            number: frozenset((caller, moved(self._functions[caller], line)) for caller, line in callers)
            for number, callers in self._callers.items()
        }


def move(table: dict[Function, Any], moved: Mapping[Function, Function]) -> steps.Inverse:
    """Let what is known of functions stand under the lines at which they begin from now on."""
    put = {new: table[old] for old, new in moved.items() if old in table}
    gone = tuple(old for old in moved if old in table and old not in put)
    return steps.Items(table, put, gone).apply()
