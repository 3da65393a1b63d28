"""Memos that may hold results of what changed: emptied, because a cold start would not have them.

By name, and so rather too many: what is computed once more is right, what is kept too long is not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import functions, names, registrations, steps

if TYPE_CHECKING:
    from .draft import Draft


def empty(draft: Draft, loaded: list[str], touched: set[str]) -> None:
    """Let the plan empty memos, cached properties, and Jinja's templates, into which it folds filters.

    Args:
        draft: the plan in the making.
        loaded: the app's loaded modules.
        touched: functions and names, by their last part, that do or are something else now.
    """
    found: dict[int, Any] = {}
    properties: list[tuple[type, str]] = []
    for module in loaded:
        live = draft.live(module)
        for value in list(vars(live).values()):
            if type(value) is functools._lru_cache_wrapper:
                found[id(value)] = value
            elif isinstance(value, type) and value.__module__ == live.__name__:
                found.update((id(memo), memo) for memo in _members(value))
                properties += _properties(value)
    used_in_templates = registrations.template_functions()
    if not (found or properties or used_in_templates):
        return
    reached = _reaching(draft, loaded, touched)
    for value in found.values():
        if getattr(value, "__name__", "") in reached:
            draft.out.clear.append(steps.ClearCache(value.cache_clear))
    for cls, name in properties:
        if name in reached:
            draft.out.clear.append(steps.ClearCache(functools.partial(functions.forget_cached, cls, name)))
    draft.out.templates = bool(reached & used_in_templates)


def _members(cls: type) -> Iterator[object]:
    for member in list(vars(cls).values()):
        one = member.__func__ if type(member) in (staticmethod, classmethod) else member
        if type(one) is functools._lru_cache_wrapper:
            yield one


def _properties(cls: type) -> Iterator[tuple[type, str]]:
    for name, member in list(vars(cls).items()):
        if type(member) is functools.cached_property:
            yield cls, name


def _reaching(draft: Draft, loaded: list[str], touched: set[str]) -> set[str]:
    """Return the functions through which names are reached, themselves included."""
    bodies = [
        (key.rpartition(".")[2], body)
        for module in loaded
        for row in names.of_source(draft.out.target[module])
        for key, body in row.bodies.items()
    ]
    found = set(touched)
    while True:
        more = {last for last, body in bodies if not found.isdisjoint(body.reads | body.attributes)} - found
        if not more:
            return found
        found |= more
