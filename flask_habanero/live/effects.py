"""May a statement run again, or for the first time, in a process that already serves?

It may if all that it does is to make new objects, to bind names, and to register through Flask's own
methods: then running it once gives what a cold start gives, and taking it back is possible. Everything
else (an engine, a thread, an open file, an entry in somebody's registry) has effects that nobody can
take back, and the answer is no, with the words for it. `judge` finds the effects; nothing is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from flask.views import MethodView, View

from . import bodies, slots
from .judge import models
from .judge.classes import is_plain_meta
from .judge.findings import Effect, Findings
from .judge.interpreter import Interpreter
from .judge.values import Bound, Class, Function, Live, Scope, Value, join
from .together import Above
from .world import World

NOTHING_ABOVE = Above()


@dataclass(frozen=True)
class Decorated:
    """What applying a definition's decorators comes to.

    Attributes:
        why: why they may not be applied; None if they may.
        attributes: what they set on the function.
        keeps: whether they give the function itself back.
        effects: what they do besides.
    """

    why: str | None
    attributes: frozenset[str]
    keeps: bool
    effects: tuple[Effect, ...] = ()

    @property
    def only_registers(self) -> bool:
        """Whether they are Flask's own, which don't look at the function's header."""
        return self.keeps and all(effect.kind == "registers" for effect in self.effects)


class Judge:
    """Judges the statements of one module."""

    def __init__(self, module: str, world: World) -> None:
        self._module, self._world = module, world
        self._decorated: dict[int, tuple[ast.stmt, Decorated, Findings, int]] = {}
        self._read: dict[int, tuple[ast.stmt, Findings, int]] = {}
        # both by the id of a node, which is kept for it, and with the world's age

    def statement(self, node: ast.stmt) -> str | None:
        """Return why a top-level statement may not run, or None if it may."""
        return first_refusal(self.effects(node))

    def effects(self, node: ast.stmt) -> list[Effect]:
        """Return what a statement does besides binding names."""
        if isinstance(node, ast.ClassDef) and (node.keywords or getattr(node, "type_params", None)):
            return [Effect("unknown", None, "", "a class with keywords or type parameters")]
        return self.read(node).effects

    def read(self, node: ast.stmt) -> Findings:
        """Return what a statement reads of what was there before, and does to it."""
        known = self._read.get(id(node))
        if known is None or self._world.is_news(known[1].names, known[2]):
            interpreter = Interpreter(self._world)
            interpreter.run_statement(node, interpreter.scope_of(self._module))
            known = self._read[id(node)] = node, interpreter.notes, self._world.age
        return known[1]

    def turn(self, node: ast.For, item: object) -> Findings | None:
        """Return what a turn of a loop reads, for an item that is known; None if it does anything."""
        interpreter = Interpreter(self._world)
        scope = interpreter.scope_of(self._module)
        interpreter.stores.assign(node.target, Live(item), scope)
        before, ends = dict(scope.names), list[str]()
        interpreter.attempt(lambda: ends.append(interpreter.statements.block(node.body, scope)))
        same = scope.names.keys() == before.keys() and all(scope.names[one] is before[one] for one in before)
        quiet = not (interpreter.effects or interpreter.notes.lost)
        return interpreter.notes if quiet and same and ends in ([""], ["loop"]) else None

    def header(self, args: ast.arguments, returns: ast.expr | None) -> str | None:
        """Return what evaluating a function's defaults and annotations does, or None."""
        hints = [one.annotation for one in bodies.parameters(args)]
        wanted = [n for n in [*args.defaults, *args.kw_defaults, *hints, returns] if n is not None]
        interpreter = Interpreter(self._world)
        scope = interpreter.scope_of(self._module)
        interpreter.attempt(lambda: join([interpreter.value(one, scope) for one in wanted]))
        return next((effect.why or "it registers" for effect in interpreter.effects), None)

    def member(self, node: ast.stmt, above: Above = NOTHING_ABOVE) -> str | None:
        """Return what a statement of a class body does besides making a member, or None.

        Args:
            node: the statement.
            above: what it sees of the body: a property that gets a setter, what its value is made from.
        """
        interpreter = Interpreter(self._world)
        outside = interpreter.scope_of(self._module)
        cls = Class("", (), {}, self._module)
        scope = Scope({}, outside.find, self._module, owner=cls, body=True)
        there = {name: Live(thing) for name, thing in above.there}
        scope.names.update(there)
        for one in above.made:
            interpreter.run_statement(one, scope)
        interpreter.effects.clear()  # theirs: they are asked for themselves
        interpreter.run_statement(node, scope)
        cls.members.update({name: one for name, one in scope.names.items() if one is not there.get(name)})
        own = dict(cls.members)

        def tell() -> None:
            interpreter.classes.tell_members(cls)

        interpreter.attempt(tell)
        if cls.members != own:
            interpreter.notes.unknown("it is told its name, and sets attributes of its class")
        return next((effect.why or "it registers" for effect in interpreter.effects), None)

    def callee(self, node: ast.expr) -> object:
        """Return the live function or class that an expression of the module stands for, None if none."""
        interpreter = Interpreter(self._world)
        found = interpreter.attempt(lambda: interpreter.value(node, interpreter.scope_of(self._module)))
        found = found.function if isinstance(found, Bound) else found
        return found.object if isinstance(found, Live) and not interpreter.effects else None

    def value(self, node: ast.expr) -> Value | None:
        """Return what an expression of the module stands for, None if evaluating it does something."""
        interpreter = Interpreter(self._world)
        found = interpreter.attempt(lambda: interpreter.value(node, interpreter.scope_of(self._module)))
        return None if interpreter.effects else found

    def made(self, node: ast.expr) -> Value | None:
        """Return what an expression makes, whatever else it does; None if something in it can't be told."""
        interpreter = Interpreter(self._world)
        found = interpreter.attempt(lambda: interpreter.value(node, interpreter.scope_of(self._module)))
        known = all(effect.kind != "unknown" for effect in interpreter.effects)
        return found if known and not interpreter.notes.lost else None

    def decorated(self, node: bodies.Function) -> Decorated:
        """Return what applying a definition's decorators comes to."""
        known = self._decorated.get(id(node))
        if known is None or self._world.is_news(known[2].names, known[3]):
            known = self._decorated[id(node)] = node, *self._applied(node), self._world.age
        return known[1]

    def _applied(self, node: bodies.Function) -> tuple[Decorated, Findings]:
        interpreter = Interpreter(self._world)
        scope = interpreter.scope_of(self._module)
        function = Function(node, scope)
        result = interpreter.attempt(lambda: interpreter.statements.decorated(node, function, scope))
        why = first_refusal(interpreter.effects)
        if "" in function.fields:
            why = why or f"which attributes `{node.name}` gets can't be told"
        effects, attributes = tuple(interpreter.effects), frozenset(function.fields)
        return Decorated(why, attributes, result is function, effects), interpreter.notes


WRITTEN_DOWN = {"registers", "config", "memo"}  # what they do is in a journal, or is done by the plan itself


def first_refusal(effects: Iterable[Effect]) -> str | None:
    """Return the first reason against running something, or None: entries in other objects are no reason."""
    for effect in effects:
        if effect.kind not in WRITTEN_DOWN and (why := slots.why_not(effect)) is not None:
            return why
    return None


def is_plain_class(cls: type) -> bool:
    """Whether subclassing or changing a class in place runs nobody's code."""
    if not is_plain_meta(type(cls)):
        return False
    allowed = {object, View, MethodView}
    return not any("__init_subclass__" in vars(one) for one in cls.__mro__ if one not in allowed)


def may_go(cls: type) -> bool:
    """Whether nobody but who holds it knows of a class: making it told nobody."""
    if not models.is_pydantics(type(cls)):
        return is_plain_class(cls)
    own = [one for one in cls.__mro__ if not models.is_of_pydantic(one)]
    return all(models.CALLED.isdisjoint(vars(one)) for one in own)
