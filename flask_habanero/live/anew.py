"""What a release makes anew: the objects that it replaces, and the names, tables and registrations that go with them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from ..source import Source
from . import holders, names, registrations, steps
from .judge.interpreter import Interpreter, TooMuchError
from .judge.values import Live
from .program import owner_of
from .world import World

if TYPE_CHECKING:
    from .draft import Draft


def check(draft: Draft) -> None:
    """Refuse if something that stays holds an object that the release replaces."""
    if not draft.rebound or draft.boots:
        return
    found = holders.held(_gathered(draft))
    if found is not None:
        what, by = found
        where = what.rpartition(".")[0]
        hint = "restart to take this change"
        draft.refuse("held", where, f"{what} is made anew, and {by} holds the one that there is", hint)


def _gathered(draft: Draft) -> holders.Anew:
    anew = holders.Anew()
    for unit in draft.out.target.keys() | draft.program.tree.keys():
        loaded = draft.program.loaded(unit)
        if loaded is not None:
            anew.spaces[id(vars(loaded))] = unit
    seen: set[int] = set()
    for module, name in sorted(draft.rebound):
        live = draft.program.loaded(module)
        if live is None or name not in vars(live):
            continue
        anew.names.setdefault(id(vars(live)), set()).add(name)
        if _is_replaced(draft, module, name) and id(vars(live)[name]) not in seen:
            seen.add(id(vars(live)[name]))
            anew.objects.append(vars(live)[name])
            anew.words.append(f"{module}.{name}")
    for target in list(registrations.targets):
        anew.tables.update(_tables(target))
    # functions that take over the defaults of their statement, which is evaluated again
    taking = (action.step for action in draft.out.actions if isinstance(action.step, steps.Conform))
    anew.tables.update(id(step.function) for step in taking)
    anew.kept = dict(_kept(draft))
    return anew


def _is_replaced(draft: Draft, module: str, name: str) -> bool:
    """Whether the statement that binds a name made the object, and will make another one."""
    live = vars(draft.live(module))[name]
    if holders.is_plain(live):
        return False
    before = World(draft.program, draft.program.tree, set())
    sides = ((before, draft.program.tree), (draft.world, draft.out.target))
    return not any(_refers(world, tree, module, name, live) for world, tree in sides)


def _refers(world: World, tree: Mapping[str, Source], module: str, name: str, live: Any) -> bool:
    """Whether the statement that binds a name only refers to an object that somebody else made."""
    source = tree.get(module)
    if source is None:
        return False
    rows = zip(source.parsed.pieces, names.of_source(source), strict=True)
    binding = [(piece.node, row) for piece, row in rows if name in row.binds]
    if not binding or isinstance(binding[-1][0], _DEFINITIONS):
        return False
    if any(item.bound == name for item in binding[-1][1].imports):
        return True
    interpreter = Interpreter(world)
    scope = interpreter.scope_of(module)
    try:
        interpreter.run_statement(binding[-1][0], scope)
    except TooMuchError:
        return False
    value = scope.names.get(name)
    return isinstance(value, Live) and value.object is live


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _tables(target: registrations.Target) -> Iterator[int]:
    """Yield the registries of an app or blueprint, by id, with what is nested in them."""
    todo: list[Any] = [getattr(target, name) for name in registrations.tables_of(target)]
    if isinstance(target, App) and "jinja_env" in target.__dict__:
        todo += [target.jinja_env.filters, target.jinja_env.tests, target.jinja_env.globals]
    while todo:
        one = todo.pop()
        yield id(one)
        if isinstance(one, dict):
            todo += [value for value in one.values() if isinstance(value, dict | list)]


def _kept(draft: Draft) -> Iterator[tuple[int, str]]:
    """Yield the registrations that stay, by id."""
    known = draft.program.tree.__contains__
    ended = draft.out.withdraw | draft.out.moved
    for target in list(registrations.targets):
        for entry in registrations.entries_of(target):
            if owner_of(entry, known) not in ended:
                yield id(entry), f"{target.name}.{entry.method}()"
