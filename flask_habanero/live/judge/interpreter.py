"""Goes through statements without running them, and notes what running them would change.

Values are those of `values.py`: live objects stand for themselves, so that most calls are followed to
their very function, and most conditions are decided. Where nobody can tell, both branches are gone
through, and what may be anything is `ANY`. All that matters is a list of effects at the end: on objects that
the evaluation did not make itself, or unknown.

What it trusts: operators, comparisons, iteration and attributes have no effects of their own, unless a
class of the app's own says what they do (`operators.py`).
"""

from __future__ import annotations

import ast
import builtins
import contextlib
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Protocol

from flask.config import Config

from . import computed, containers, operators
from .calls import Calls
from .classes import Classes
from .expressions import Expressions
from .findings import Effect, Findings, Raised
from .foreign import definition_of
from .known import environ
from .operators import Operators
from .special import Special
from .statements import Statements
from .stores import Stores
from .values import ANY, Function, Live, Scope, Value, alternatives, is_always_true, join, truth

MOST_NODES = 60_000  # of one judgement; a few hundred are usual
MORE_NODES = 3_000  # after something can't be told: it is refused in any case, and the words are there


class World(Protocol):
    """Answers what names and functions of the app's own will be once the release is live."""

    def name(self, module: str, name: str) -> Value | None:
        """Return what a module-level name of the app's own modules will stand for; None if there is none."""

    def definition(self, module: str, qualname: str) -> ast.AST | None:
        """Return the definition of an own function or class as it will be; None if it can't be told which."""

    def is_changed(self, module: str) -> bool:
        """Whether the release changes a module."""

    def gains(self, thing: object, name: str) -> bool:
        """Whether a class, a module or a function may have an attribute then that it has not now."""

    def member(self, cls: type, name: str) -> Value | None:
        """Return a method that an own class will have, and has not now."""

    def was(self, thing: object, name: str) -> Value | None:
        """Return what an attribute will be while statements run, if it is something else now."""

    def lacks(self, module: str) -> None:
        """Note that a module of another package is not loaded, so that nobody can tell what is in it."""

    def is_own(self, module: str) -> bool:
        """Whether a module is the app's own."""


class TooMuchError(Exception):
    """The judgement would take too long."""


class Interpreter:
    """Made for one judgement and thrown away: its parts, and what they share.

    Attributes:
        world: answers for the app's own modules.
        notes: what was found.
        repeats: whether it may be reached more often than it is gone through: then nothing is computed.
        value: returns what an expression may stand for.
        call: returns what calling a value gives.
    """

    def __init__(self, world: World) -> None:
        self.world, self.notes = world, Findings()
        self.statements, self.expressions = Statements(self), Expressions(self)
        self.stores, self.classes = Stores(self), Classes(self)
        self.calls, self.special = Calls(self), Special(self)
        self.operators = Operators(self)
        self.value, self.call = self.expressions.value, self.calls.call
        self.repeats = False
        self._left = MOST_NODES

    @property
    def perhaps(self) -> bool:
        """Whether what is gone through may not be reached."""
        return self.notes.perhaps

    @perhaps.setter
    def perhaps(self, value: bool) -> None:
        self.notes.perhaps = value

    @property
    def effects(self) -> list[Effect]:
        """What was found."""
        return self.notes.effects

    def scope_of(self, module: str) -> Scope:
        """Return the scope of a module of the app's own: what it binds meanwhile is kept apart."""
        return Scope({}, lambda name, reader: reader.name_or_builtin(module, name), module)

    def name_or_builtin(self, module: str, name: str) -> Value:
        """Return what a name stands for in a module of the app's own; anything if nobody knows."""
        found = self.name(module, name)
        if found is None:
            found = Live(getattr(builtins, name)) if hasattr(builtins, name) else ANY
        return found

    def name(self, module: str, name: str) -> Value | None:
        """Return what a module-level name of the app's own will stand for; None if there is none."""
        self.notes.names.add((module, name))
        return self.world.name(module, name)

    def function_of(self, function: FunctionType) -> Function | None:
        """Return a live function with its definition; None if it has none that can be read."""
        node = self._definition(function)
        if node is None:
            return None
        names: dict[str, Value] = {}
        module, space = function.__module__ or "", function.__globals__
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                names[name] = Live(cell.cell_contents)
            except ValueError:
                names[name] = ANY
        if self.world.is_own(module):
            for value in (*names.values(), *_filled_defaults(node, function)):
                self.notes.holds(value)
            self.notes.cells.update((module, function.__qualname__, name) for name in names)

        def above(name: str, _reader: Interpreter) -> Value:
            if name in space:
                return Live(space[name])
            return Live(getattr(builtins, name)) if hasattr(builtins, name) else ANY

        outside = self.scope_of(module).find if self.world.is_own(module) else above
        scope = Scope(names, outside, str(space.get("__name__", "")))
        return Function(node, scope, defaults_of(function), names.get("__class__") or self._owner(function))

    def _definition(self, function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        module = function.__module__ or ""
        if self.world.is_own(module):
            node = self.world.definition(module, function.__qualname__)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                return node
            if self.world.is_changed(module):
                return None
        return definition_of(function.__code__)

    def _owner(self, function: FunctionType) -> Value | None:
        """Return the live class that a method stands in, which it need not know itself."""
        path, _, _ = function.__qualname__.rpartition(".")
        owner: Any = function.__globals__.get(path)
        return Live(owner) if isinstance(owner, type) else None

    def attempt(self, question: Callable[[], Value | None]) -> Value | None:
        """Return what a question comes to. What can't be gone through is an effect that can't be told."""
        try:
            return question()
        except Raised:
            # a statement that has run did not raise: it was misread, or what it read is another thing now
            self.notes.unknown("as far as can be told, it raises")
        except TooMuchError:
            self.notes.unknown("it calls too much to be judged")
        except Exception as error:  # noqa: BLE001  # of some library's code we may misread anything
            self.notes.unknown(f"it can't be judged: {type(error).__name__}: {error}")
        return None

    def run_statement(self, node: ast.stmt, scope: Scope) -> None:
        """Go through a statement at module level."""

        def go_through() -> None:
            self.statements.statement(node, scope)

        self.attempt(go_through)

    def elements(self, value: Value) -> Value:
        """Return what iterating over something gives."""
        self.notes.uses(value)
        found = self.operators.iterated(value)
        return containers.elements(self.settled(value)) if found is None else found

    def sequence(self, value: Value) -> list[Value] | None:
        """Return the elements of something in their order, if they are known."""
        self.notes.uses(value)
        if self.operators.iterated(value) is not None:
            return None
        return containers.sequence(self.settled(value))

    def truth(self, value: Value) -> bool | None:
        """Return whether a value is true, if that is certain."""
        asked = [
            one for one in alternatives(value) if not (isinstance(one, Live) and is_always_true(one.object))
        ]
        self.notes.uses(join(asked))
        own = [self.operators.ask(one, name) for one in asked for name in operators.TRUTH]
        if any(one is not None for one in own):
            return None
        return truth(self.settled(value))

    def item(self, value: Value, key: Value, default: Value | None = None) -> Value:
        """Return what ``value[key]`` gives; see `containers.item`."""
        self.notes.looks_up(value, key)
        self.operators.hashed(key)
        own = self.operators.got(value, key) if default is None else None
        if own is not None:
            return own
        if isinstance(value, Live) and value.object is environ():
            return computed.variable(key, default or ANY) or ANY
        found = containers.item(self.settled(value), key, default)
        if any(isinstance(one, Live) and isinstance(one.object, Config) for one in alternatives(value)):
            self.notes.holds(found)
        return found

    @contextlib.contextmanager
    def repeating(self) -> Iterator[None]:
        """What is gone through inside may be reached any number of times."""
        before, self.repeats = self.repeats, True
        try:
            yield
        finally:
            self.repeats = before

    def settled(self, value: Value) -> Value:
        """Return a value without the live objects that changed meanwhile: nobody knows how they are."""
        return join(
            ANY if isinstance(one, Live) and id(one.object) in self.notes.touched else one
            for one in alternatives(value)
        )

    def spend(self) -> None:
        """Count one more node; raise `TooMuchError` if there were too many."""
        self._left = min(self._left, MORE_NODES) - 1 if self.notes.lost else self._left - 1
        if self._left < 0:
            raise TooMuchError


def _filled_defaults(node: ast.FunctionDef | ast.AsyncFunctionDef, function: FunctionType) -> list[Value]:
    """Return a live function's defaults, but for those that are written as empty, and still are."""
    spec = node.args
    plain = [*spec.posonlyargs, *spec.args]
    pairs = list(zip(plain[len(plain) - len(spec.defaults) :], spec.defaults, strict=True))
    pairs += [(arg, value) for arg, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value]
    empty = {arg.arg: ast.unparse(value) for arg, value in pairs}
    kinds: dict[type, str] = {dict: "{}", list: "[]"}
    return [
        value
        for name, value in defaults_of(function).items()
        for thing in [value.object if isinstance(value, Live) else None]
        if thing or kinds.get(type(thing)) != empty.get(name, "")
    ]


def defaults_of(function: FunctionType) -> dict[str, Value]:
    """Return a live function's defaults."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    given = function.__defaults__ or ()
    found: dict[str, Value] = {}
    found.update(zip(names[len(names) - len(given) :], map(Live, given), strict=True))
    found.update((name, Live(value)) for name, value in (function.__kwdefaults__ or {}).items())
    return found
