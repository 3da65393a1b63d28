"""Functions that blueprints keep until they are registered (`Blueprint.record`), as Flask-RESTful's API does.

To build Flask's registries anew they are called once more, each on a copy of the object whose method it is.
That is right if all it does is to set attributes of that object, and of what it is called with. What it set
stays; while statements run that a cold start comes to before the blueprint is registered, those attributes
are as the constructor left them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask.sansio.blueprints import Blueprint, BlueprintSetupState

from . import befores, names, registrations, rivals, steps
from .judge.interpreter import Interpreter
from .judge.values import NONE, Args, Live, Made
from .program import owner_of
from .registrations import Entry
from .slots import Slot

if TYPE_CHECKING:
    from .draft import Draft

_SETTING_UP = {"register_blueprint", "record", "record_once"}


def count_on(draft: Draft) -> None:
    """Let a draft count on what functions set that blueprints keep, where that is all that they do."""
    for blueprint, entry in _entries():
        if entry.sets is None:  # it is told once: as it was registered it stays
            entry.sets = _sets(draft, blueprint, entry)
    for _, entry, sets in _told():
        owner = entry.args[0].__self__
        draft.world.unset.update({(id(owner), name): Live(value) for name, value in sets.items()})
        draft.out.records = True


def _entries() -> Iterator[tuple[Blueprint, Entry]]:
    for target in list(registrations.targets):
        if isinstance(target, Blueprint):
            yield from ((target, one) for one in registrations.entries_of(target) if one.method == "record")


def _told() -> Iterator[tuple[Blueprint, Entry, dict[str, Any]]]:
    for blueprint, entry in _entries():
        if entry.sets is not None:
            yield blueprint, entry, entry.sets


def _sets(draft: Draft, blueprint: Blueprint, entry: Entry) -> dict[str, Any] | None:
    """Return what a recorded method sets, and as its object was made; None if it may do more than that."""
    method = entry.args[0] if len(entry.args) == 1 and not entry.kwargs else None
    if not isinstance(method, MethodType) or not isinstance(method.__func__, FunctionType):
        return None
    owner = method.__self__
    if type(owner).__new__ is not object.__new__ or type(getattr(owner, "__dict__", None)) is not dict:
        return None
    interpreter = Interpreter(draft.world_before)
    given = Args((_state(blueprint),), text=".record")
    interpreter.attempt(lambda: interpreter.call(Live(method), given))
    if any(effect.kind != "attribute" or effect.target is not owner for effect in interpreter.effects):
        return None
    before = {one.name: befores.of(draft, Slot(owner, "attribute", one.name)) for one in interpreter.effects}
    told = befores.ABSENT not in before.values() and befores.UNKNOWN not in before.values()
    return before if told else None


def _state(blueprint: Blueprint) -> Made:
    """Return what a recorded function is called with, when its blueprint is registered for the first time."""
    fields = {
        "app": Made(Live(Flask), open=True),
        "blueprint": Live(blueprint),
        "first_registration": Live(True),
        "options": Made(Live(dict), open=True),
        "url_defaults": Made(Live(dict), open=True),
        "url_prefix": Made(Live(str), open=True),
        "subdomain": NONE,
    }
    return Made(Live(BlueprintSetupState), dict(fields))


def check(draft: Draft) -> None:
    """Refuse where what such a function sets is asked for too late; let it be unset while statements run."""
    for blueprint, entry, sets in _told() if draft.out.records else ():
        owner = entry.args[0].__self__
        why = _asked_behind(draft, blueprint, owner, sets.keys()) or _asked_in_factory(draft, owner)
        if why is not None:
            draft.refuse("journal", "", f"{blueprint.name}: {why}")
        now = {name: vars(owner)[name] for name in sets}
        draft.first("", steps.Assign(owner, dict(sets)))
        draft.last("", steps.Assign(owner, now))


def _asked_behind(draft: Draft, blueprint: Blueprint, owner: Any, sets: AbstractSet[str]) -> str | None:
    """Return who asks for what was set when a blueprint was registered, in words: it is judged as unset."""
    program, uids = draft.program, {**draft.program.books.uids, **draft.out.uids}
    places = [program.position(one.chain or (), uids) for _, one in _registering(blueprint)]
    for name in draft.loaded if places else ():
        for piece in draft.parsed(name).pieces if name in draft.out.target else ():
            if program.position(draft.chain(name, piece), uids) <= min(places):
                continue
            asked = draft.judge(name).read(piece.node).uses_of(owner) & {"", *sets}
            if asked:
                return (
                    f"{draft.where(name, piece)} stands behind its registration, and asks for what that set"
                )
    return None


def _asked_in_factory(draft: Draft, owner: Any) -> str | None:
    """Return which factory, of which something runs, mentions an object of which attributes are unset."""
    for (_, qualname, _), one in draft.factories.items():
        if one is not None and one.run:
            reached = rivals.reached_by(draft, owner)
            nodes = [*one.nodes, *(piece.node for piece in one.ending)]
            if reached is None or any(not reached.isdisjoint(_words(node)) for node in nodes):
                return f"{qualname} may ask for what its registration set"
    return None


def _words(node: ast.AST) -> Iterator[str]:
    """Yield the names and attributes below a node, those that it imports, too."""
    for one in ast.walk(node):
        yield from (getattr(one, word) for word in ("id", "attr", "name") if hasattr(one, word))


def registered_anew(draft: Draft) -> None:
    """Refuse where a blueprint would be registered in another way that calls such a function then."""
    known = draft.program.tree.__contains__
    told = [(blueprint, entry) for blueprint, entry, _ in _told()] if draft.out.records else []
    rows = [
        names.of_piece(piece, draft.out.target[name])
        for name in {module for module, _ in draft.acted}
        for piece in (draft.running(name) if told and draft.program.loaded(name) is not None else ())
    ]
    runs = any(row.called_attributes & _SETTING_UP for row in rows)
    for blueprint, recording in told:
        for entry in (recording, *(one for _, one in _registering(blueprint))):
            ends = owner_of(entry, known) in draft.out.withdraw or draft.out.touches(entry.chain or ())
            if ends or runs:
                what = "it calls a function when it is registered, and would be registered in another way"
                draft.refuse("journal", "", f"{blueprint.name}: {what}")
                break


def _registering(blueprint: Blueprint) -> Iterator[tuple[registrations.Target, Entry]]:
    for target in list(registrations.targets):
        for entry in registrations.entries_of(target):
            if entry.method == "register_blueprint" and entry.args[0] is blueprint:
                yield target, entry


def keeps(journals: dict[registrations.Target, list[Entry]]) -> None:
    """Raise AssertionError if journals register a blueprint in another way that keeps such a function."""
    kept = {blueprint for blueprint, _, _ in _told()}
    for target, journal in journals.items() if kept else ():
        if _of_kept(target, journal, kept) != _of_kept(target, registrations.entries_of(target), kept):
            raise AssertionError("a blueprint that calls a function then would be registered in another way")


def _of_kept(target: registrations.Target, journal: list[Entry], kept: set[Blueprint]) -> list[Any]:
    """Return what a journal has of how blueprints are registered, and what they keep for that."""
    registers = [e for e in journal if e.method == "register_blueprint" and e.args[0] in kept]
    records = [e for e in journal if e.method == "record" and target in kept]
    return [(one.args, one.kwargs) for one in (*registers, *records)]
