"""Which views a change concerns, and so for which pages a rehearsal asks, if nobody names any.

Those of the modules that change which are made by a statement that changed, or that names one that did,
directly or through others: a GET of an app may do more than read, so not all pages of a module are asked
for. Where a statement changed of which no name tells whom it concerns (a hook, a setting), it is all views of
its module. A view is concerned by a template, too, that it names, or that such a one extends or includes.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Protocol

from .asset import changed_assets
from .live import names

if TYPE_CHECKING:
    from flask import Flask

    from .asset import Assets
    from .live.overlay import Overlay
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


class Code(Protocol):
    """Code and assets, as they were at a release or will be after a change."""

    @property
    def tree(self) -> Mapping[str, Source]:
        """All modules."""

    @property
    def assets(self) -> Assets:
        """All assets."""


def concerned(app: Flask, views: Set[str]) -> list[str]:
    """Return the pages without parameters that some views answer; if there are none, the first page."""
    return _rules(app, views, parameters=False)[:MOST_PAGES] or ["/"]


def unasked(app: Flask, views: Set[str]) -> list[str]:
    """Return the rules with parameters that some views answer: nobody knows good ones to ask for."""
    return _rules(app, views, parameters=True)[:MOST_PAGES]


def _rules(app: Flask, views: Set[str], *, parameters: bool) -> list[str]:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint in views]
    return sorted(
        {one.rule for one in rules if bool(one.arguments) is parameters and "GET" in (one.methods or ())}
    )


def views_of(app: Flask, overlay: Overlay, before: Code, after: Code) -> set[str]:
    """Return the endpoints of the views that a change of code and of templates concerns."""
    changed = filter(overlay.is_template, changed_assets(before.assets, after.assets))
    naming = views_naming(app, after.tree, named_files(changed, after.assets))
    return views_concerned(app, before.tree, after.tree) | naming


def views_concerned(app: Flask, old: Mapping[str, Source], new: Mapping[str, Source]) -> set[str]:
    """Return the endpoints of the views that a change concerns."""
    found: set[str] = set()
    for module in [name for name, source in new.items() if old.get(name) != source]:
        views = {at: _maker(view) for at, view in app.view_functions.items() if _module_of(view) == module}
        reached = reach(old.get(module), new[module], set(views.values()))
        found.update(at for at, name in views.items() if reached is None or name in reached)
    return found


def views_naming(app: Flask, tree: Mapping[str, Source], files: Set[str]) -> set[str]:
    """Return the endpoints of the views that name some files, directly or through others of their module."""
    found: set[str] = set()
    for module in [name for name, source in tree.items() if any(file in source.text for file in files)]:
        naming: set[str] = set()
        for piece, binds in _statements(tree[module]):
            if any(isinstance(one, ast.Constant) and one.value in files for one in ast.walk(piece.node)):
                naming |= binds
        naming = _through(tree[module], naming)
        views = {at: _maker(view) for at, view in app.view_functions.items() if _module_of(view) == module}
        found.update(at for at, name in views.items() if name in naming)
    return found


def named_files(changed: Iterable[str], assets: Assets) -> set[str]:
    """Return by which names templates that changed are asked for, and those that extend or include them."""
    texts = {name: asset.data.decode(errors="replace") for name, asset in assets.items() if asset.data}
    found = more = set(changed)
    while more:
        quoted = [f"{mark}{end}{mark}" for name in more for end in _ends(name) for mark in "\"'"]
        more = {name for name, text in texts.items() if any(one in text for one in quoted)} - found
        found = found | more
    return {end for name in found for end in _ends(name)}


def _ends(name: str) -> list[str]:
    """Return a path without its first folders: which of them are the template folder is no matter."""
    parts = name.split("/")
    return ["/".join(parts[index:]) for index in range(1, len(parts))]


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
    return _through(new, found)


def _through(source: Source, found: set[str]) -> set[str]:
    """Return some top-level names of a module, and those whose statements name them, directly or not."""
    rows = [(binds, _named(piece.node)) for piece, binds in _statements(source)]
    while more := {name for binds, named in rows if named & found for name in binds} - found:
        found = found | more
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
