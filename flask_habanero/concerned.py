"""Which views a change concerns, and so for which pages a rehearsal asks, if nobody names any.

Those of the modules that change which are made by a statement that changed, or that names one that did,
directly or through others: a GET of an app may do more than read, so not all pages of a module are asked
for. Where a statement changed of which no name tells whom it concerns (a hook, a setting), it is all views of
its module.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from .live import names

if TYPE_CHECKING:
    from flask import Flask

    from .piece import Piece
    from .source import Source

MOST_PAGES = 20
_View = Callable[..., Any]
_NAMED = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)
"""Statements that concern those who name what they bind."""
_ROUTES = (".route", ".get", ".post", ".put", ".patch", ".delete")  # what one such made may be gone


def concerned(app: Flask, old: Mapping[str, Source], new: Mapping[str, Source]) -> list[str]:
    """Return the pages without parameters that a change concerns; if there are none, the first page."""
    return _rules(app, old, new, parameters=False)[:MOST_PAGES] or ["/"]


def unasked(app: Flask, old: Mapping[str, Source], new: Mapping[str, Source]) -> list[str]:
    """Return the rules with parameters of the pages that a change concerns: nobody knows one to ask for."""
    return _rules(app, old, new, parameters=True)[:MOST_PAGES]


def _rules(
    app: Flask, old: Mapping[str, Source], new: Mapping[str, Source], *, parameters: bool
) -> list[str]:
    views = views_concerned(app, old, new)
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint in views]
    return sorted(
        {one.rule for one in rules if bool(one.arguments) is parameters and "GET" in (one.methods or ())}
    )


def views_concerned(app: Flask, old: Mapping[str, Source], new: Mapping[str, Source]) -> set[str]:
    """Return the endpoints of the views that a change concerns."""
    found: set[str] = set()
    for module in [name for name, source in new.items() if old.get(name) != source]:
        views = {at: _maker(view) for at, view in app.view_functions.items() if _module_of(view) == module}
        reached = reach(old.get(module), new[module], set(views.values()))
        found.update(at for at, name in views.items() if reached is None or name in reached)
    return found


def _module_of(view: _View) -> str:
    return str(getattr(inspect.unwrap(view), "__module__", ""))


def _maker(view: _View) -> str:
    made = getattr(view, "view_class", None) or inspect.unwrap(view)
    return str(getattr(made, "__qualname__", "")).partition(".")[0]


def reach(old: Source | None, new: Source, views: Set[str]) -> set[str] | None:
    """Return the top-level names that a change of a module concerns; None: all of them.

    Args:
        old: the module as it was; None if it is new.
        new: the module as it is now.
        views: names of statements that make views.
    """
    if old is None:
        return None
    same = {p.digest for p in old.parsed.pieces} & {p.digest for p in new.parsed.pieces}
    found: set[str] = set()
    for piece, binds in (*_statements(old), *_statements(new)):
        if piece.digest in same:
            continue
        if not _tells_whom(piece.node, binds, views):
            return None
        found |= binds
    rows = [(binds, _named(piece.node)) for piece, binds in _statements(new)]
    while more := {name for binds, named in rows if named & found for name in binds} - found:
        found |= more
    return found


def _statements(source: Source) -> Iterator[tuple[Piece, set[str]]]:
    rows = names.of_source(source)
    return ((piece, row.binds) for piece, row in zip(source.parsed.pieces, rows, strict=True))


def _tells_whom(node: ast.stmt, binds: set[str], views: Set[str]) -> bool:
    """Whether the names that a statement binds tell whom it concerns: a decorator may tell others of it."""
    if not isinstance(node, _NAMED) or not binds:
        return False
    decorators = [ast.unparse(one).partition("(")[0] for one in getattr(node, "decorator_list", ())]
    return not decorators or bool(binds & views) or any(name.endswith(_ROUTES) for name in decorators)


def _named(node: ast.stmt) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
