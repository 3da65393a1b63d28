"""Elements of sets and lists: which are a statement's own, and who else may have put them there.

``EXEMPT.add("shop.pay")``, ``STEPS.append(step)``: a set keeps no count of how often something was added. So
an element goes with its statement only if nobody else adds the same, and it was not there from the beginning.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import befores, holding, names, slots
from .judge.findings import Effect
from .judge.values import ANY, Class, Function, Live, Made, Value, alternatives

if TYPE_CHECKING:
    from .draft import Draft

_ADDED = {"add", "append", "appendleft", "insert"}


def said(element: Any) -> str:
    """Return an element in words."""
    return (
        repr(element)
        if slots.is_constant(element)
        else str(getattr(element, "__name__", type(element).__name__))
    )


def adds(effect: Effect, element: Any) -> bool:
    """Whether what an effect does to a set or list may put an element there."""
    if effect.name not in _ADDED or effect.args is None or effect.args.more:
        return True
    return may_be(effect.args.get(1 if effect.name == "insert" else 0, "") or ANY, element)


def may_be(value: Value, element: Any) -> bool:
    """Whether a value may be an element, or equal to it."""
    return any(_may_be(one, element) for one in alternatives(value))


def _may_be(value: Value, element: Any) -> bool:
    if isinstance(value, Live):
        if slots.is_constant(value.object) and slots.is_constant(element):
            return bool(value.object == element)
        return value.object is element or not (_is_itself(value.object) or _is_itself(element))
    if isinstance(value, Function | Class):  # of a definition that runs: the one that there is stands for it
        place = (getattr(element, "__module__", ""), getattr(element, "__qualname__", ""))
        module = value.scope.module if isinstance(value, Function) else value.module
        name = value.name if isinstance(value, Class) else getattr(value.node, "name", "<lambda>")
        return place == (module, name)
    kind = value.kind if isinstance(value, Made) else None
    return not (isinstance(kind, type) and _is_told_apart(kind))  # nobody else has what another one makes


def _is_itself(thing: Any) -> bool:
    """Whether nothing but an object itself equals it."""
    return _is_told_apart(type(thing))


def _is_told_apart(kind: Any) -> bool:
    return bool(kind.__eq__ is object.__eq__)


def why_it_stays(draft: Draft, target: Any, element: Any) -> str | None:
    """Return why an element can't go from a set or list with the statement that put it there, or None."""
    if type(target) is set:
        return (
            f"whether {said(element)} was there before can't be told"
            if _begins_with(draft, target, element)
            else None
        )
    several = sum(one is element for one in target) > 1
    return f"{said(element)} is there more than once" if several else None


def _begins_with(draft: Draft, target: Any, element: Any) -> bool:
    """Whether a set may have had an element when it was made, or that can't be told."""
    found = list(_beginnings(draft, target))
    return not found or any(_has(one, element) for one in found)


def _has(value: Value | None, element: Any) -> bool:
    if not isinstance(value, Made) or value.kind is not set:
        return True
    inside = [*value.items.values(), *([value.rest] if value.rest is not None else [])]
    return any(may_be(one, element) for one in inside)


def _beginnings(draft: Draft, target: Any) -> Iterator[Value | None]:
    """Yield what a set was when it was made, by each statement that tells: None if one does not."""
    keepers = {}
    for module in draft.program.tree:
        live = draft.program.loaded(module)
        for name, value in list(vars(live).items()) if live is not None else ():
            if value is target:
                yield from _bound(draft, module, name)
            else:
                keepers.update({(id(value), one): value for one in holding.attributes_with(value, target)})
    for (_, attribute), keeper in keepers.items():
        made = befores.made(draft, keeper)
        yield made.fields.get(attribute) if made is not None else None


def _bound(draft: Draft, module: str, name: str) -> Iterator[Value | None]:
    """Yield what the one statement of a module makes that binds a name; nothing if it only imports it."""
    source = draft.program.tree[module]
    rows = zip(source.parsed.pieces, names.of_source(source), strict=True)
    found = [piece for piece, row in rows if name in row.binds]
    if len(found) != 1:
        yield None
    elif not isinstance(found[0].node, ast.Import | ast.ImportFrom):
        yield befores.beginning(draft, module, found[0])
