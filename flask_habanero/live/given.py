"""Who got an object at the start that a statement gives to somebody: told by going through that statement.

An object stays in the app's own hands as long as each statement that gives it away can be gone through to its
end, and nothing but the app's own objects and variables have it after that.
"""

from __future__ import annotations

import ast
import functools
import gc
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from flask.sansio.scaffold import Scaffold

from . import bodies, functions, names

if TYPE_CHECKING:
    from ..source import Source
    from .flow import Flow
    from .judge.findings import Effect

_WRITTEN_DOWN = {"registers", "memo"}


def only_passes(flow: Flow, unit: str, node: ast.stmt, things: list[Any], members: Iterable[str]) -> bool:
    """Whether a statement gives objects to nobody but the app's own code, or to who keeps and asks nothing.

    Args:
        flow: the flow.
        unit: the statement's module.
        node: the statement.
        things: the objects.
        members: what is not to be asked for.
    """
    if isinstance(node, bodies.Function | ast.ClassDef):
        return False
    found = flow.draft.judge(unit).read(node)
    asked = {name for one in things for name in found.uses_of(one)}
    kept = all(_is_ours(flow, effect) for effect in found.effects)
    return kept and not found.lost and asked.isdisjoint({"", *members})


def _is_ours(flow: Flow, effect: Effect) -> bool:
    """Whether an effect leaves nothing with objects of others."""
    if effect.kind in _WRITTEN_DOWN:
        return True
    if effect.kind == "global":
        return bool(effect.trail) and any(effect.trail[-1].startswith(f"{unit}.") for unit in flow.loaded)
    return effect.kind == "attribute" and _is_known(flow, effect.target)


def _is_known(flow: Flow, thing: Any) -> bool:
    """Whether it is an object of the app's own, or an app: all ask it by name."""
    kind: Any = type(thing)
    return issubclass(kind, Scaffold) or flow.program.unit_name(kind.__module__) in flow.program.tree


def is_passed_on(flow: Flow, things: list[Any], ran: Iterable[tuple[str, str]]) -> bool:
    """Whether others may have got objects from what has them now.

    Args:
        flow: the flow.
        things: the objects.
        ran: the functions of the app's own that ran: module, qualified name.
    """
    attributes = _attributes(flow, things)
    if attributes is None:
        return True
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


def _attributes(flow: Flow, things: list[Any]) -> set[str] | None:
    """Return under which attributes of the app's own objects others are; None if more have them."""
    spaces = {id(vars(flow.draft.live(unit))) for unit in flow.loaded}
    found = set[str]()
    with functions.thawed():
        for holder in gc.get_referrers(*things):
            is_known = holder is things or id(holder) in spaces or type(holder) is FrameType
            if is_known or type(holder).__module__.startswith("flask_habanero.") or _is_key_of_memo(holder):
                continue
            owners = gc.get_referrers(holder) if type(holder) is dict else [holder]
            fields = next((f for one in owners if (f := _fields_of(flow, one)) is not None), None)
            if fields is None or (type(holder) is dict and fields is not holder):
                return None
            found |= {name for name, value in fields.items() if any(value is one for one in things)}
    return found


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
