"""Who lists a namespace sees the order in which its names were bound: it must be that of a cold start.

A name that comes by a release stands last in its namespace, wherever its statement stands. Nobody sees
that, as long as the app's own code does not go through ``vars(module)``, or a class's ``__dict__``.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..source import Source, once_for_each_source
from . import names
from .judge.findings import Effect

if TYPE_CHECKING:
    from .draft import Draft

_WORDS = re.compile(r"\b(__dict__|globals|locals|vars)\b")
_SPACES = {"globals", "locals", "vars"}
_OF_ONE_KEY = {"get", "pop", "setdefault", "update"}
_AT_THE_START = {"__doc__", "__file__", "__name__", "__package__", "__path__"}  # before a module runs
_ORDERLESS = {"all", "any", "frozenset", "len", "set", "sorted"}


def check(draft: Draft) -> None:
    """Refuse a namespace that would have its names in another order, if the app lists any."""
    target = draft.out.target
    if draft.boots or not any(map(_lists, target.values())):
        return
    bound = {name for name, _ in (*draft.acted, *draft.rebound, *draft.put_members)}
    for name in sorted(target.keys() & (draft.units.keys() | bound)):
        source, live, before = target[name], draft.program.loaded(name), draft.program.tree.get(name)
        if live is None or before is None:
            continue
        own = {one for one in _order(_body(source)) if f"{name}.{one}" not in target} - _AT_THE_START
        _compare(draft, (name, ""), (_body(before), _body(source)), vars(live), own)
        old = {one.name: one for one in _body(before) if isinstance(one, ast.ClassDef)}
        for node in _body(source):
            cls = vars(live).get(node.name) if isinstance(node, ast.ClassDef) else None
            if isinstance(node, ast.ClassDef) and isinstance(cls, type) and node.name in old:
                _compare(draft, (name, node.name), (old[node.name].body, node.body), vars(cls))
    for entry in draft.entries:
        if entry.kind == "attribute" and entry.way == "in":
            draft.refuse("order", draft.where(*entry.where), f"it sets {entry.key}, {_WHY}")


_WHY = "and the app's code goes through namespaces (`vars()`, `globals()`, `__dict__`) in their order"


def why_not_moved(draft: Draft, effects: list[Effect]) -> str | None:
    """Return why a statement may not change places that sets attributes; None if it may."""
    sets = any(effect.kind == "attribute" for effect in effects)
    asked = sets and any("__dict__" in one.text or _lists(one) for one in draft.out.target.values())
    return f"it sets an attribute, {_WHY}" if asked else None


def _compare(
    draft: Draft,
    where: tuple[str, str],
    bodies: tuple[list[ast.stmt], list[ast.stmt]],
    live: Mapping[str, Any],
    own: set[str] | None = None,
) -> None:
    """Refuse if the names of a body would stand in another order than its statements.

    Args:
        draft: the plan in the making.
        where: the module, and the class.
        bodies: before and after.
        live: the namespace.
        own: names to look at; None for all.
    """
    before, after = (_order(body) for body in bodies)
    cold = [name for name in after if (own is None or name in own) and (name in live or name not in before)]
    places = {name: place for place, name in enumerate(live)}
    hot = sorted(cold, key=lambda name: places.get(name, len(places)))
    wrong = next((two for one, two in zip(cold, hot, strict=True) if one != two), None)
    if wrong is not None:
        what = f"{wrong} would not stand in its namespace where a cold start puts it, {_WHY}"
        draft.refuse("order", ":".join(filter(None, where)), what)


def _body(source: Source) -> list[ast.stmt]:
    return [piece.node for piece in source.parsed.pieces]


def _order(body: list[ast.stmt]) -> list[str]:
    """Return the names that statements bind, and no two of them the same, in order."""
    bound = [name for node in body for name in _bound(node)]
    count = Counter(bound)
    return [name for name in bound if count[name] == 1]


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (one.asname or one.name.partition(".")[0] for one in node.names)
    elif isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from names.targets(target)


@once_for_each_source
def _lists(source: Source) -> bool:
    """Whether a module goes through a namespace as a whole: not that of `self`, nor for one key."""
    if not _WORDS.search(source.text):
        return False
    nodes = [one for piece in source.parsed.pieces for one in ast.walk(piece.node)]
    orderless = {id(one) for node in nodes for one in _in_no_order(node)}
    return any(_is_namespace(node) and id(node) not in orderless for node in nodes)


def _in_no_order(node: ast.AST) -> Iterable[ast.AST]:
    """Return what is asked for one key only, or put into an order of its own."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ORDERLESS:
        return (inner for one in node.args for inner in ast.walk(one))
    if isinstance(node, ast.Subscript):
        return [node.value]
    if isinstance(node, ast.Attribute) and node.attr in _OF_ONE_KEY:
        return [node.value]
    if isinstance(node, ast.Compare) and isinstance(node.ops[-1], ast.In | ast.NotIn):
        return node.comparators
    return []


def _is_namespace(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _SPACES
    if not isinstance(node, ast.Attribute) or node.attr != "__dict__":
        return False
    owner = node.value
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    # an object of the app's, or of the request: what is in it does not come from statements of modules
    return not (isinstance(owner, ast.Name) and owner.id in ("self", "g"))
