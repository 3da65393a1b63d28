"""Memos that may hold results of what changed: emptied, because a cold start would not have them.

By name, and so rather too many: what is computed once more is right, what is kept too long is not.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

from . import functions, names, registrations, steps

if TYPE_CHECKING:
    from ..source import Source
    from .draft import Draft


def is_table(tree: Mapping[str, Source], module: str, name: str) -> bool:
    """Whether a module's name is the table of a function that remembers what it made, and nothing else.

    Such a table starts empty; one function looks it up and writes it: ``if key in TABLE: return TABLE[key]``.
    What is in it would be made again by who asks for it: a new table is as good.
    """
    if any(name in source.text for one, source in tree.items() if one != module):
        return False
    pieces = [p for p in tree[module].parsed.pieces if _occurrences(p.node, name)]
    if len(pieces) != 2:
        return False
    made, used = (piece.node for piece in pieces)
    return _is_empty_table(made, name) and isinstance(used, names.Function) and _only_remembers(used, name)


def _occurrences(node: ast.AST, name: str) -> list[ast.expr]:
    return [one for one in ast.walk(node) if isinstance(one, ast.Name) and one.id == name]


def _is_empty_table(node: ast.stmt, name: str) -> bool:
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    is_name = len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == name
    return is_name and (
        (isinstance(value, ast.Dict) and not value.keys)
        or (isinstance(value, ast.Call) and ast.unparse(value) == "dict()")
    )


def _only_remembers(node: names.Function, name: str) -> bool:
    fits, written, looked_up = 0, False, False
    for one in ast.walk(node):
        found = _occurrences(one, name)
        if isinstance(one, ast.Subscript) and _occurrences(one.value, name) == [one.value]:
            if isinstance(one.ctx, ast.Del):
                return False
            fits += 1
            written |= isinstance(one.ctx, ast.Store)
        elif isinstance(one, ast.Compare) and isinstance(one.ops[0], ast.In | ast.NotIn):
            fits += one.comparators == found
            looked_up |= one.comparators == found
        elif isinstance(one, ast.Attribute) and one.attr == "get":
            fits += found == [one.value]
            looked_up |= found == [one.value]
    return written and looked_up and fits == len(_occurrences(node, name))


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
            found.update((id(memo), memo) for memo in _memos(value, live.__name__))
            if isinstance(value, type) and value.__module__ == live.__name__:
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


def _memos(value: object, module: str) -> Iterator[Any]:
    """Yield the memos that a name of a module stands for, or has in it."""
    if type(value) is functools._lru_cache_wrapper:
        yield value
    elif isinstance(value, FunctionType):
        yield from _wrapped(value, WRAPPED)
    elif isinstance(value, type) and value.__module__ == module:
        yield from _members(value)


WRAPPED = 6  # decorators around a memo; who writes more?


def _wrapped(value: FunctionType, depth: int) -> Iterator[Any]:
    """Yield the memos among the variables of a function that some decorators made."""
    for cell in value.__closure__ or () if depth else ():
        inner = cell.cell_contents if cell != CellType() else None
        if type(inner) is functools._lru_cache_wrapper:
            yield inner
        elif isinstance(inner, FunctionType):
            yield from _wrapped(inner, depth - 1)


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
