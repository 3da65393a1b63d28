"""Who got an object at the start that a statement gives to somebody: told by going through that statement.

An object stays in the app's own hands as long as each statement that gives it away can be gone through to its
end, and nothing but the app's own objects and variables have it after that.
"""

from __future__ import annotations

import ast
import functools
import gc
from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from . import bodies, diff, functions, names

if TYPE_CHECKING:
    from ..source import Source
    from .flow import Flow
    from .judge.findings import Effect

_WRITTEN_DOWN = {"registers", "memo"}
_MOST = 50  # objects that hold each other
_PLAIN = (str, int, float, bool, bytes, type(None), FunctionType, type)


def with_holders(flow: Flow, things: list[Any]) -> tuple[list[Any], set[str]] | None:
    """Return objects with those of the app's own that hold them, and under which attributes.

    None if anything else holds one: a container, a function, an app, an object of others.
    """
    found, attributes, done = list(things), set[str](), 0
    spaces = {id(vars(flow.draft.live(unit))) for unit in flow.loaded}
    with functions.thawed():
        while done < len(found):
            above = _holders(flow, found[done], spaces, {id(found), id(things)})
            if above is None or len(found) > _MOST:
                return None
            for holder, names_there in above:
                attributes |= names_there
                if id(holder) not in set(map(id, found)):
                    found.append(holder)
            above.clear()  # it refers to them, too
            done += 1
    return found, attributes


def _holders(flow: Flow, thing: Any, spaces: set[int], ours: set[int]) -> list[tuple[Any, set[str]]] | None:
    found = []
    for one in gc.get_referrers(thing):
        known = id(one) in ours or id(one) in spaces or type(one) is FrameType
        if known or type(one).__module__.startswith("flask_habanero.") or _is_key_of_memo(one):
            continue
        owners = gc.get_referrers(one) if type(one) is dict else [one]
        pairs = [(owner, fields) for owner in owners if (fields := _fields_of(flow, owner)) is not None]
        pairs = [(owner, fields) for owner, fields in pairs if one is owner or one is fields]
        if not pairs:
            return None
        owner, fields = pairs[0]
        found.append((owner, {name for name, value in fields.items() if value is thing}))
    return found


def names_of_things(flow: Flow, unit: str, things: list[Any]) -> set[str]:
    """Return the names of a module that stand for some objects."""
    space = vars(flow.draft.live(unit))
    return {name for name, value in list(space.items()) if any(value is one for one in things)}


def only_passes(flow: Flow, unit: str, node: ast.stmt, things: list[Any], members: Iterable[str]) -> bool:
    """Whether a statement gives objects to nobody but the app's own code, or to who keeps and asks nothing.

    Args:
        flow: the flow.
        unit: the statement's module.
        node: the statement.
        things: the objects.
        members: what is not to be asked for.
    """
    if isinstance(node, bodies.Function | ast.ClassDef) or not _binds_what_is_known(flow, unit, node, things):
        return False
    found = flow.draft.judge(unit).read(node)
    asked = {name for one in things for name in found.uses_of(one)}
    kept = all(_is_ours(flow, effect, things) for effect in found.effects)
    return kept and not found.lost and asked.isdisjoint({"", *members})


def _binds_what_is_known(flow: Flow, unit: str, node: ast.stmt, things: list[Any]) -> bool:
    """Whether the names that a statement binds stand for nothing that may lead to objects unseen."""
    source, space = flow.program.tree[unit], vars(flow.draft.live(unit))
    rows = zip(source.parsed.pieces, names.of_source(source), strict=True)
    bound = set[str]().union(*(row.binds for piece, row in rows if piece.node is node))
    if bound & diff.bound_twice(source.parsed) or not bound <= space.keys():
        return False
    return all(
        type(space[name]) in _PLAIN or any(space[name] is one for one in things) for name in sorted(bound)
    )


def _is_ours(flow: Flow, effect: Effect, things: list[Any]) -> bool:
    """Whether an effect leaves nothing with objects of others."""
    if effect.kind in _WRITTEN_DOWN:
        return True
    if effect.kind == "global":
        units = [unit for unit in flow.loaded if effect.trail and effect.trail[-1].startswith(f"{unit}.")]
        return any(effect.name in names_of_things(flow, unit, things) for unit in units)
    return effect.kind == "attribute" and _is_known(flow, effect.target)


def _is_known(flow: Flow, thing: Any) -> bool:
    """Whether it is an object of a class of the app's own."""
    return flow.program.unit_name(type(thing).__module__) in flow.program.tree


def is_passed_on(flow: Flow, attributes: set[str], ran: Iterable[tuple[str, str]]) -> bool:
    """Whether others may have got objects from the app's own objects that have them.

    Args:
        flow: the flow.
        attributes: under which attributes those have them.
        ran: the functions of the app's own that ran: module, qualified name.
    """
    quoted = [quote for name in attributes for quote in (f'"{name}"', f"'{name}'")]
    sources = [flow.program.tree[unit] for unit in flow.loaded] if attributes else []
    if any(quote in source.text for source in sources for quote in quoted):
        return True
    tops = {(unit, qualname.partition(".<locals>")[0]) for unit, qualname in ran}
    return any(
        _reads_bare(node, attributes)
        for source in sources
        if any(name in source.text for name in attributes)
        for node in _running(source, tops)
    )


def _is_key_of_memo(holder: Any) -> bool:
    """Whether it is the arguments of a call that a memo of `functools` remembers: it asks for their hash."""
    kept = isinstance(holder, tuple | list)
    return kept and any(type(one) is functools._lru_cache_wrapper for one in gc.get_referrers(holder))


def _fields_of(flow: Flow, thing: Any) -> dict[str, Any] | None:
    """Return the attributes of an object that is known, without asking it; None of any other."""
    if not _is_known(flow, thing):
        return None
    try:
        found = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


def _running(source: Source, ran: set[tuple[str, str]]) -> Iterator[ast.AST]:
    """Yield what of a module ran at the start: its statements, and the functions that did."""
    for piece in source.parsed.pieces:
        if not isinstance(piece.node, bodies.Function | ast.ClassDef):
            yield piece.node
        for qualname, node in names.functions_in(piece.node):
            if (source.name, qualname) in ran:
                yield node


def _reads_bare(node: ast.AST, attributes: set[str]) -> bool:
    """Whether attributes are read for more than for an attribute of what is there."""
    through = {id(one.value) for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return any(
        isinstance(one, ast.Attribute)
        and one.attr in attributes
        and isinstance(one.ctx, ast.Load)
        and id(one) not in through
        for one in ast.walk(node)
    )
