"""What `from module import *` binds, where the module is one of the app's own.

Of several statements that bind one name, the last counts. A star import is one of them for each name that
it brings, though its text shows none.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..source import Source, once_for_each_source
from . import imports, names, startup

if TYPE_CHECKING:
    from .draft import Draft
    from .names import Names
    from .reach import Tree

_UNKNOWN = "which names this star import brings can't be told"
BY_NAME = "import the names by name, or restart"


def brought(row: Names, tree: Tree) -> set[str] | None:
    """Return the names that a statement's star imports bind; None if that can't be told."""
    found: set[str] = set()
    for item in row.imports if row.star else ():
        if item.name == "*":
            own = item.module in tree
            there = imports.star_names(tree[item.module], tree) if own else _of_others(item.module)
            if there is None:
                return None
            found |= there
    return found


def _of_others(name: str) -> set[str] | None:
    """Return what a loaded module of others brings: a cold start loads the same. None if it isn't loaded."""
    live = sys.modules.get(name)
    if live is None or not startup.is_foreign_file(getattr(live, "__file__", None)):
        return None
    found = getattr(live, "__all__", None)
    return set(found) if found is not None else {one for one in vars(live) if not one.startswith("_")}


def all_brought(source: Source, tree: Tree) -> set[str]:
    """Return the names that star imports bind in a module, as far as that can be told."""
    rows = names.of_source(source) if _has_star(source) else ()
    return {name for row in rows for name in brought(row, tree) or ()}


@once_for_each_source
def _has_star(source: Source) -> bool:
    return any(row.star for row in names.of_source(source))


def is_known(source: Source, tree: Tree) -> bool:
    """Whether it can be told which names the star imports of a module bring."""
    return all(brought(row, tree) is not None for row in names.of_source(source) if row.star)


def check(draft: Draft, name: str, row: Names, tree: Tree, where: str) -> None:
    """Refuse what a statement's star imports do, if it can't be told which names they bring."""
    known = draft.program.tree
    missing = set() if draft.boots else all_brought(known[name], known) - vars(draft.live(name)).keys()
    if brought(row, tree) is None:
        draft.refuse("star-import", where, _UNKNOWN, BY_NAME)
    elif row.star and missing:
        draft.refuse("star-import", where, "a star import brought less than there is to bring", BY_NAME)


def check_whole(draft: Draft) -> None:
    """Refuse star imports that run and that a cold start comes to while their module is being imported."""
    for name, uid in sorted(draft.acted):
        if name not in draft.out.target or uid not in draft.uids(name):
            continue  # it ends
        piece = draft.parsed(name).pieces[draft.uids(name).index(uid)]
        for item in names.of_source(draft.out.target[name])[piece.index].imports:
            there = draft.parsed(item.module).pieces if item.module in draft.out.target else []
            if item.name == "*" and there and draft.rank(item.module, there[-1]) > draft.rank(name, piece):
                draft.refuse("star-import", draft.where(name, piece), _UNKNOWN, BY_NAME)


def overlaid(draft: Draft, name: str) -> Iterator[tuple[str, int, bool]]:
    """Yield where the statement that binds a name last must run for it to be bound as a cold start binds it.

    Yields:
        The name, which star imports bring; the index of that statement; and whether the name stands for
        something else then: another one bound it last. Or one that binds it before runs again.
    """
    old, new = draft.program.tree[name], draft.out.target[name]
    if not (_has_star(old) or _has_star(new)):
        return
    starred = all_brought(old, draft.program.tree) | all_brought(new, draft.out.target)
    if not starred:
        return
    before, after = _binders(old, draft.program.tree, starred), _binders(new, draft.out.target, starred)
    uids, old_uids = draft.uids(name), draft.program.uids(name)
    for bound, there in after.items():
        were = [old_uids[index] for index in before.get(bound, ())]
        last, runs = there[-1], any((name, uids[index]) in draft.acted for index in there[:-1])
        another = bool(were) and were[-1] != uids[last]
        definition = isinstance(draft.parsed(name).pieces[last].node, _DEFINITIONS)
        # a definition that there was changes in place: that binds no name
        binds = (name, uids[last]) in draft.acted and not (definition and uids[last] in old_uids)
        if (another or runs) and not binds:
            yield bound, last, another


def outdone(draft: Draft) -> list[tuple[str, int, str, bool]]:
    """Return the imports that must run for names to be bound as a cold start binds them.

    Returns:
        Module, index of the statement, name, and whether that stands for something else then: see `overlaid`.
    """
    modules = {name for name, _ in (*draft.acted, *draft.out.moved)} & draft.out.target.keys()
    loaded = [name for name in modules & draft.program.tree.keys() if draft.program.loaded(name) is not None]
    return [
        (name, index, bound, is_other)
        for name in loaded
        for bound, index, is_other in overlaid(draft, name)
        if isinstance(draft.parsed(name).pieces[index].node, ast.Import | ast.ImportFrom)
    ]


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _binders(source: Source, tree: Tree, wanted: set[str]) -> dict[str, list[int]]:
    """Return which statements bind each of some names, by their indices."""
    found: dict[str, list[int]] = {}
    for index, row in enumerate(names.of_source(source)):
        for name in (row.binds | (brought(row, tree) or set())) & wanted:
            found.setdefault(name, []).append(index)
    return found
