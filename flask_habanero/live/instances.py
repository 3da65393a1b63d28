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
from collections.abc import Iterator
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from flask.config import Config
from flask.sansio.scaffold import Scaffold

from . import bodies, effects, functions, names, reading, startup
from .codes import walk

if TYPE_CHECKING:
    from ..source import Source
    from .bodies import Body
    from .flow import Flow

Changed = tuple[str, str, frozenset[str]]
"""Module and name of a class, and the members of it that come, go, or are others now."""

_ENUMERATING = {"dir", "vars", "getmembers", "getmembers_static", "__dict__"}
_ANSWERING = {"__getattr__", "__getattribute__", "__dir__"}
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
    if isinstance(node, _DEFINITIONS) or not _only_calls(node, local, changed[1]):
        return False
    cls = _class_of(flow, changed)
    if cls is None or _is_read(flow, changed[2]):
        return False
    row = names.of_source(flow.draft.out.target[reader])[index]
    alone = _is_all_ours(flow, cls) and not _is_given_away(flow, reader, row.binds, cls)
    return alone or _is_unknown_elsewhere(flow, cls, changed[2])


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
    if node is None or not _only_calls(node, local, changed[1]):
        return False
    cls = _class_of(flow, changed)
    return cls is not None and not _is_read(flow, changed[2]) and _is_unknown_elsewhere(flow, cls, changed[2])


def _only_calls(node: ast.AST, local: set[str], name: str) -> bool:
    """Whether a statement uses a class for nothing but to make objects of it."""
    called = {id(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
    named = (
        one
        for one in ast.walk(node)
        if (isinstance(one, ast.Name) and one.id in local)
        or (isinstance(one, ast.Attribute) and one.attr == name)
    )
    return all(id(one) in called for one in named)


def _class_of(flow: Flow, changed: Changed) -> type | None:
    """Return the live class, if it gives its members to those only who ask for them by name."""
    module, name, members = changed
    cls = getattr(flow.program.loaded(module), name, None)
    if not isinstance(cls, type) or not effects.is_plain_class(cls):
        return None
    if any(one.startswith("__") and one.endswith("__") and one != "__doc__" for one in members):
        return None  # Python itself reads those
    answering = any(not _ANSWERING.isdisjoint(vars(base)) for base in cls.__mro__[:-1])
    return None if answering or not all(map(flow.program.was_watched, flow.loaded)) else cls


def _is_read(flow: Flow, members: frozenset[str]) -> bool:
    """Whether some code of the app's own that ran may have read an attribute of such a name."""
    quoted = [quote for name in members for quote in (f'"{name}"', f"'{name}'")]
    for unit in flow.loaded:
        source = flow.program.tree[unit]
        for row in names.of_source(source):
            if members & row.attributes or _ENUMERATING & (row.reads | row.attributes):
                return True
        if any(quote in source.text for quote in quoted):
            return True
        for _, body in ran(flow, unit):
            if body is None or members & body.attributes or _ENUMERATING & (body.reads | body.attributes):
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


def _is_given_away(flow: Flow, reader: str, bound: set[str], cls: type) -> bool:
    """Whether something may have got the objects under some names, or a method gave `self` away."""
    bases = {base.__qualname__ for base in cls.__mro__}
    for unit in flow.loaded:
        source = flow.program.tree[unit]
        rows = names.of_source(source)
        known = {alias for name in bound for alias in reading.aliases(source, unit, reader, name)[0]}
        if any(known & row.bare for row in rows):
            return True
        for qualname, body in ran(flow, unit):
            is_method = qualname.rpartition(".")[0] in bases
            first = _first_parameter(source, qualname) if is_method else ""
            if body is None or body.bare & {*known, first}:
                return True
    return False


def _first_parameter(source: Source, qualname: str) -> str:
    node = _definition(source, qualname)
    return next((one.arg for one in bodies.parameters(node.args)), "") if node else ""


def _definition(source: Source, qualname: str) -> bodies.Function | None:
    """Return the function or method of that name, or in which it is."""
    top = qualname.partition(".<locals>")[0]
    found = (pair for piece in source.parsed.pieces for pair in names.functions_in(piece.node))
    return next((node for name, node in found if name == top), None)


# others' code


def _is_unknown_elsewhere(flow: Flow, cls: type, members: frozenset[str]) -> bool:
    """Whether no code of others knows the names, lists what an object has, or holds one of these objects."""
    bases = {base.__module__ for base in cls.__mro__[:-1]} - flow.program.tree.keys()
    with functions.thawed():
        for function in _others_functions():
            listing = _ENUMERATING if function.__module__ in bases else frozenset[str]()
            for code in walk(function.__code__):
                if not members.isdisjoint(code.co_names) or not listing.isdisjoint(code.co_names):
                    return False
                if any(type(const) is str and const in members for const in code.co_consts):
                    return False
        return _is_held_by_ours(flow, functions.instances_of(cls))


def _others_functions() -> Iterator[FunctionType]:
    for one in gc.get_objects():
        if type(one) is FunctionType and startup.is_foreign_file(one.__code__.co_filename):
            yield one


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
