"""What a release makes anew: the objects that it replaces, and the names and registrations for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from ..source import Source
from . import functions, holders, names, origin, recollected, registrations, stars, steps
from .judge.interpreter import Interpreter
from .judge.values import Live
from .program import owner_of
from .world import World

if TYPE_CHECKING:
    from .draft import Draft


def check(draft: Draft) -> None:
    """Refuse if something that stays holds what the release replaces, or what an old constructor made."""
    if draft.boots or not (draft.rebound or draft.shape_changed or draft.remade_codes or draft.emptied):
        return
    anew = _gathered(draft)
    found = holders.held(anew) or holders.held(recollected.by_start(draft, anew.spaces))
    if found is not None:
        what, by = found
        for module, code in draft.remade_codes:
            if what == f"{module}.{code.co_qualname}":
                said = f"{code.co_qualname}: uses other surrounding variables than before, and {by} holds it"
                draft.refuse("closure-shape", f"{module}:{code.co_firstlineno}", said)
                return
        said = f"{what} is made anew, and {by} holds the one that there is"
        draft.refuse("held", what.rpartition(".")[0], said)
        return
    for module, name in dict.fromkeys(draft.shape_changed):
        _made_before(draft, anew, module, name)


def _made_before(draft: Draft, anew: holders.Anew, module: str, name: str) -> None:
    """Objects that the old `__init__` made lack what the new one gives, unless they are made anew, too."""
    cls = vars(draft.program.loaded(module) or ast).get(name)
    known = set(map(id, anew.objects))
    objects = (
        [one for one in functions.instances_of(cls) if id(one) not in known] if isinstance(cls, type) else []
    )
    if not objects:
        return
    words = [f"a {name}"] * len(objects)
    also = replace(anew, objects=[*objects, *anew.objects], words=[*words, *anew.words])
    count = len(objects)
    del objects
    found = holders.held(also)
    if found is not None:
        made = f"{count} live object{'s were' if count > 1 else ' was'} made by the old one"
        draft.refuse("live-instances", module, f"{name}.__init__ changed, and {made}: {found[1]} holds one")


def _gathered(draft: Draft) -> holders.Anew:
    anew = holders.Anew(forgotten=bool(draft.out.mapping.forgets))
    for unit in draft.out.target.keys() | draft.program.tree.keys():
        loaded = draft.program.loaded(unit)
        if loaded is not None:
            anew.spaces[id(vars(loaded))] = unit
    for module, name in sorted(draft.rebound):
        live = draft.program.loaded(module)
        if live is not None and name in vars(live):
            anew.names.setdefault(id(vars(live)), set()).add(name)
            value = vars(live)[name]
            anew.known[id(value)] += 1 + origin.has_copied(live, name, value)
            if _is_replaced(draft, module, name):
                _add(anew, f"{module}.{name}", value)
            del value
    for word, function in _functions(draft):
        _add(anew, word, function)
    for target in list(registrations.targets):
        anew.tables.update(_tables(target))
    # functions that take over the defaults of their statement, which is evaluated again
    taking = (action.step for action in draft.out.actions if isinstance(action.step, steps.Conform))
    anew.tables.update(id(step.function) for step in taking)
    anew.kept = dict(_kept(draft))
    anew.derived = {id(cls): cls for cls in draft.derived.values()}
    for key, gone in draft.purged.items():
        anew.purged[key] = gone
        target = draft.touched[key]
        if not isinstance(target, dict) and hasattr(target, "__dict__"):
            anew.purged[id(vars(target))] = gone
    return anew


def _functions(draft: Draft) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that are made anew with what they stand in: a class, a function that runs again."""
    for module, name in draft.remade:
        for key, member in list(vars(vars(draft.live(module))[name]).items()):
            if not isinstance(member, FunctionType) or member.__globals__.get(member.__name__) is member:
                continue  # a function of a module: attrs gives its own the name of a method
            if member.__qualname__.startswith(f"{name}."):
                yield f"{module}.{name}.{key}", member
    for module, code in draft.remade_codes:
        for function in draft.holders(module, code):
            yield f"{module}.{code.co_qualname}", function


def _add(anew: holders.Anew, word: str, one: object) -> None:
    if all(one is not other for other in anew.objects):
        anew.objects.append(one)
        anew.words.append(word)


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
    binding = [(p.node, row) for p, row in rows if name in row.binds | (stars.brought(row, tree) or set())]
    if not binding or isinstance(binding[-1][0], _DEFINITIONS):
        return False
    if any(item.bound in (name, "*") for item in binding[-1][1].imports):
        return True
    interpreter = Interpreter(world)
    scope = interpreter.scope_of(module)
    interpreter.run_statement(binding[-1][0], scope)
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
            if owner_of(entry, known) not in ended and not draft.out.ends(entry.chain or ()):
                yield id(entry), f"{target.name}.{entry.method}()"
