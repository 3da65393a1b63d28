"""Objects of a class that changes in place: they stay, where making them can't have read what changed.

A statement that calls a class used the members that its constructor read, and all that got hold of the
object while the process started. If none of those read a changed member, a cold start would make the same
object: so the one that there is stays, with what it has become.

All is told by the members' names. The app's own code that ran is known. What others' code may have read is
bounded in one of two ways: the object was given to nobody, or no code of others knows the name.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import sys
from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from flask.config import Config
from flask.sansio.scaffold import Scaffold

from . import asking, bodies, functions, given, mapped, names, reading, startup

if TYPE_CHECKING:
    from ..source import Source
    from .bodies import Body
    from .flow import Flow


class Changed(NamedTuple):
    """A class of which members come, go, or are others now.

    Attributes:
        module: the class's module.
        name: its name.
        members: those that the app's own code may have noticed.
        every: all of them.
        unseen: whether nobody asked for them, though peewee was given the class.
    """

    module: str
    name: str
    members: frozenset[str]
    every: frozenset[str]
    unseen: bool = False


_LISTING = {"dir", "vars", "getmembers", "getmembers_static"}
_OF_CLASSES = {"get_annotations"}  # of `inspect`: dataclasses ask for annotations, and for no members
ENUMERATING = {*_LISTING, "__dict__"}
_OF_SETTINGS = (sys.modules[Config.__module__].__file__, "Config.from_object")  # whatever wraps it
_CONTAINERS = {"dict", "list", "tuple", "set", "frozenset", "deque", "cell", "method", "_lru_list_elem"}
_LEVELS, _MOST = 5, 2_000  # of containers in containers, and objects on the way
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def may_stay(flow: Flow, changed: Changed, reader: str, index: int, local: set[str]) -> bool:
    """Whether what a statement made of a changed class is what a cold start would make.

    Args:
        flow: the flow.
        changed: the class.
        reader: the statement's module.
        index: which statement.
        local: names of the class there.
    """
    node = flow.draft.out.target[reader].parsed.pieces[index].node
    if isinstance(node, _DEFINITIONS) or not _only_calls(node, local, changed.name):
        return False
    cls = _class_of(flow, changed)
    if cls is None or is_read(flow, changed.members):
        return False
    row = names.of_source(flow.draft.out.target[reader])[index]
    alone = _is_all_ours(flow, cls) and not _is_given_away(flow, reader, row.binds, cls, changed.every)
    return alone or _is_unknown_elsewhere(flow, cls, changed)


def may_stay_in(flow: Flow, changed: Changed, reader: str, qualname: str, local: set[str]) -> bool:
    """Whether what a function that ran made of a changed class is what a cold start would make.

    Args:
        flow: the flow.
        changed: the class.
        reader: the function's module.
        qualname: its qualified name.
        local: names of the class there.
    """
    node = _definition(flow.program.tree[reader], qualname)
    if node is None or not _only_calls(node, local, changed.name):
        return False
    cls = _class_of(flow, changed)
    if cls is None or is_read(flow, changed.members):
        return False
    return _is_left_alone(flow, cls, changed, reader, node, local) or _is_unknown_elsewhere(
        flow, cls, changed
    )


def _is_left_alone(
    flow: Flow, cls: type, changed: Changed, reader: str, node: bodies.Function, local: set[str]
) -> bool:
    """Whether all objects of a class are under names that a function binds by `global`, and stay there."""
    bound = {name for one in ast.walk(node) if isinstance(one, ast.Global) for name in one.names}
    made = {id(vars(flow.draft.live(reader)).get(name)) for name in bound}
    kept = {
        id(one.value)
        for one in ast.walk(node)
        if isinstance(one, ast.Assign)
        and all(isinstance(goal, ast.Name) and goal.id in bound for goal in one.targets)
    }
    calls = [
        one for one in ast.walk(node) if isinstance(one, ast.Call) and _names(one.func, local, changed.name)
    ]
    if not all(id(one) in kept for one in calls):
        return False
    with functions.thawed():
        if any(id(one) not in made for one in functions.instances_of(cls)):
            return False
    return _is_all_ours(flow, cls) and not _is_given_away(flow, reader, bound, cls, changed.every)


def _names(node: ast.expr, local: set[str], name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id in local) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


def _only_calls(node: ast.AST, local: set[str], name: str) -> bool:
    """Whether a statement uses a class for nothing but to make objects of it."""
    called = {id(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
    named = (one for one in ast.walk(node) if isinstance(one, ast.expr) and _names(one, local, name))
    return all(id(one) in called for one in named)


def _class_of(flow: Flow, changed: Changed) -> type | None:
    """Return the live class, if it gives its members to those only who ask for them by name."""
    module, name, members, *_ = changed
    cls = getattr(flow.program.loaded(module), name, None)
    if not isinstance(cls, type) or not asking.answers_by_name(cls):
        return None
    if any(one.startswith("__") and one.endswith("__") and one != "__doc__" for one in members):
        return None  # Python itself reads those
    return cls if all(map(flow.program.was_watched, flow.loaded)) else None


def is_read(flow: Flow, members: frozenset[str]) -> bool:
    """Whether some code of the app's own that ran may have read an attribute of such a name."""
    quoted = [quote for name in members for quote in (f'"{name}"', f"'{name}'")]
    for unit in flow.loaded:
        source = flow.program.tree[unit]
        for row in names.of_source(source):
            if members & row.attributes or ENUMERATING & (row.reads | row.attributes):
                return True
        if any(quote in source.text for quote in quoted):
            return True
        for _, body in ran(flow, unit):
            if body is None or members & body.attributes or ENUMERATING & (body.reads | body.attributes):
                return True
    return False


def ran(flow: Flow, unit: str) -> Iterator[tuple[str, Body | None]]:
    """Yield the functions of a module that ran at the start, with what they read; None if that isn't known.

    What the bodies of classes read stands with their statements.
    """
    source = flow.program.tree[unit]
    for (_, qualname, _), _ in flow.ran_in(unit):
        body = reading.body_of(source, qualname)
        if body is not None or not reading.is_class(source, qualname):
            yield qualname, body


def _is_all_ours(flow: Flow, cls: type) -> bool:
    return all(flow.program.unit_name(base.__module__) in flow.program.tree for base in cls.__mro__[:-1])


def _is_given_away(flow: Flow, reader: str, bound: set[str], cls: type, members: frozenset[str]) -> bool:
    """Whether something may have got the objects under some names, or a method gave `self` away."""
    made = vars(flow.draft.live(reader))
    held = given.with_holders(flow, [made[name] for name in sorted(bound) if isinstance(made.get(name), cls)])
    things, attributes = held or ([], set())
    bases = {base.__qualname__ for one in (cls, *map(type, things)) for base in one.__mro__}
    passing, executed = False, list[tuple[str, str]]()
    for unit in flow.loaded:
        source = flow.program.tree[unit]
        known = given.names_of_things(flow, unit, things) or {
            alias for name in bound for alias in reading.aliases(source, unit, reader, name)[0]
        }
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if known & row.bare:
                passing = True
                if not (things and given.only_passes(flow, unit, piece.node, things, members)):
                    return True
        for qualname, body in ran(flow, unit):
            is_method = qualname.rpartition(".")[0] in bases
            first = _first_parameter(source, qualname) if is_method else ""
            if body is None or body.bare & {*known, first}:
                return True
            executed.append((unit, qualname))
    return passing and given.is_passed_on(flow, attributes, executed)


def _first_parameter(source: Source, qualname: str) -> str:
    node = _definition(source, qualname)
    return next((one.arg for one in bodies.parameters(node.args)), "") if node else ""


def _definition(source: Source, qualname: str) -> bodies.Function | None:
    """Return the function or method of that name, or in which it is."""
    top = qualname.partition(".<locals>")[0]
    found = (pair for piece in source.parsed.pieces for pair in names.functions_in(piece.node))
    return next((node for name, node in found if name == top), None)


# others' code


def _is_unknown_elsewhere(flow: Flow, cls: type, changed: Changed) -> bool:
    """Whether no code of others that ran knows the names, or lists what an object has, and none holds one."""
    module, name, _, every, _ = changed
    if not startup.sees_all() or not asking.ASKED_BY_C.isdisjoint(every):
        return False
    members = every - asking.unnoticed(flow, module, name, every, others=asking.ANYBODY)
    if _others_may_know(flow, cls.__mro__[:-1], members, every):
        return False
    with functions.thawed():
        return _is_held_by_ours(flow, functions.instances_of(cls))


def _others_may_know(
    flow: Flow, kinds: Iterable[type], members: frozenset[str], every: frozenset[str]
) -> bool:
    """Whether code of others that ran knows some names, or lists what objects of some classes have.

    Args:
        flow: the flow.
        kinds: the class, and what it derives from.
        members: what comes, goes, or is another thing now, and may have been noticed.
        every: the same, noticed or not.
    """
    files = {getattr(sys.modules.get(one.__module__), "__file__", None) for one in kinds}
    no_settings = not any(name.isupper() for name in every)
    for code in asking.of_others(flow):
        if no_settings and (code.co_filename, code.co_qualname) == _OF_SETTINGS:
            continue  # it lists names, and asks for those of settings
        if code.co_qualname in _OF_CLASSES and code.co_filename == inspect.__file__:
            continue
        listing = ENUMERATING if code.co_filename in files else _LISTING
        if not members.isdisjoint(code.co_names) or not listing.isdisjoint(code.co_names):
            return True
        if any(type(const) is str and const in members for const in code.co_consts):
            return True
    return False


def is_unnoticed(flow: Flow, module: str, name: str, members: frozenset[str]) -> bool:
    """Whether nobody but peewee can have noticed at the start what members of a model of it are.

    Args:
        flow: the flow.
        module: the class's module.
        name: its name.
        members: what comes, goes, or is another thing now.
    """
    cls = getattr(flow.program.loaded(module), name, None)
    if not (isinstance(cls, type) and mapped.is_peewees(cls)):
        return False
    if members != asking.unnoticed(flow, module, name, members, others=mapped.files_of_peewee()):
        return False
    kinds = (*cls.__mro__[:-1], *type.mro(type(cls))[:-2])
    # peewee goes through a model's members for its fields, and methods are none
    asked = [one for one in kinds if one.__module__ != "peewee"]
    return not is_read(flow, frozenset()) and not _others_may_know(flow, asked, frozenset(), members)


def _is_held_by_ours(flow: Flow, level: list[Any]) -> bool:
    """Whether only the app's own modules, objects and functions, and Flask's apps, lead to some objects."""
    seen = {id(vars(flow.draft.live(unit))) for unit in flow.loaded}
    kept: list[Any] = []  # our own lists refer to the objects, too, and must not give their ids away
    for _ in range(_LEVELS):
        if not level or len(seen) > _MOST:
            break
        asked, above = tuple(level), list[Any]()  # passed on as it is, and so known when it is found
        referrers = gc.get_referrers(*asked)
        kept += [level, asked, above, referrers]
        seen |= {id(kept), *map(id, kept)}
        for one in referrers:
            if id(one) not in seen and not _is_our_object(flow, one):
                seen.add(id(one))
                above.append(one)
                if type(one).__name__ not in _CONTAINERS:
                    return False
        level = above
    return not level


def _is_our_object(flow: Flow, one: Any) -> bool:
    """Whether it is of the app's own, or Flask's, or ours: all know what they hold by name."""
    kind: Any = type(one)
    tree = flow.program.tree
    if kind is FrameType:
        return True  # a request that runs, or we
    if kind is FunctionType or kind is functools._lru_cache_wrapper:
        return flow.program.unit_name(getattr(one, "__module__", None) or "") in tree
    if issubclass(kind, Scaffold | Config):
        return True
    return kind.__module__.startswith("flask_habanero.") or flow.program.unit_name(kind.__module__) in tree
