"""Memos that may hold results of what changed: emptied, because a cold start would not have them.

By name, and so rather too many: what is computed once more is right, what is kept too long is not.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import bodies, functions, reading, registrations, steps

if TYPE_CHECKING:
    from ..source import Source
    from .draft import Draft

_Memo = functools._lru_cache_wrapper


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
    return _is_empty_table(made, name) and isinstance(used, bodies.Function) and _only_remembers(used, name)


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


def _only_remembers(node: bodies.Function, name: str) -> bool:
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
    target = draft.out.target
    sources = [target[module] for module in loaded]
    reached = reading.reaching(sources, touched.union(*map(reading.given, sources)))
    found: dict[int, Callable[[], None]] = {}
    for module in loaded:
        live = draft.live(module)
        space = vars(live)
        everywhere = reading.ANYWHERE in reached
        for name in [*space] if everywhere else reading.holding(target[module], reached):
            _collect(name, space.get(name), live.__name__, reached, found)
    draft.out.clear += [steps.ClearCache(clear) for clear in found.values()]
    draft.out.templates = not reached.isdisjoint(registrations.template_functions())


def _collect(
    name: str, value: Any, module: str, reached: set[str], into: dict[int, Callable[[], None]]
) -> None:
    """Note what empties the memos that a name of a module stands for, or has in it."""
    kind = type(value)  # never `isinstance`: a proxy would be asked for what it stands for
    if kind in _HOLDING:
        for memo in _wrapped(value, WRAPPED):
            if name in reached or getattr(memo, "__name__", "") in reached:
                into[id(memo)] = memo.cache_clear
    elif issubclass(kind, type) and value.__module__ == module:
        for key, member in list(vars(value).items()):
            one = member.__func__ if type(member) in (staticmethod, classmethod) else member
            computes = functions.computes_once(one)
            made_of = computes or one
            if key not in reached and getattr(made_of, "__name__", "") not in reached:
                continue
            if type(one) is _Memo:
                into[id(one)] = one.cache_clear
            elif computes is not None:
                into[id(one)] = functools.partial(functions.forget_cached, value, key)


WRAPPED = 6  # decorators around a memo, and containers; who writes more?
_HOLDING = (_Memo, FunctionType, dict, list, tuple, set)
_LONGEST = 1_000  # a longer container is a table: of data


def _wrapped(value: Any, depth: int) -> Iterator[Any]:
    """Yield a memo, or those among the variables of a function that some decorators made."""
    if type(value) is _Memo:
        yield value
    elif type(value) is FunctionType and depth >= 0:
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # it is empty
                yield from _wrapped(cell.cell_contents, depth - 1)
    elif type(value) in _HOLDING and depth >= 0 and len(value) <= _LONGEST:
        for one in list(value.values() if type(value) is dict else value):
            if type(one) in _HOLDING:
                yield from _wrapped(one, depth - 1)
