"""Which modules imports lead to: told by what they name, also in functions."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from ..source import Source, once_for_each_source
from . import names
from .names import Import

Tree = Mapping[str, Source]


@functools.lru_cache(maxsize=16_384)  # asked for the same modules again and again
def parents(name: str) -> tuple[str, ...]:
    """Return a dotted name's packages, outermost first, then the name."""
    parts = name.split(".")
    return tuple(".".join(parts[:size]) for size in range(1, len(parts) + 1))


def referred(tree: Tree) -> set[str]:
    """Return the app's modules that some import of another one names, also in a function: they are wanted."""
    found: set[str] = set()
    for module, source in tree.items():
        found |= {name for name in named_in(source) if name != module and name in tree}
    return found


def let_go(old: Tree, new: Tree) -> bool:
    """Whether some module of `old` is named by fewer imports in `new`, of modules or of functions."""
    changed = [name for name, source in old.items() if new.get(name) is not source]
    sides = {n: [names.of_source(tree[n]) if n in tree else () for tree in (old, new)] for n in changed}
    return any(name in old and name != n for n, rows in sides.items() for _, name in _fewer(*rows))


def _fewer(old: Sequence[names.Names], new: Sequence[names.Names]) -> Counter[tuple[bool, str]]:
    """Return what imports name more often in `old`: (whether in a function, name) -> so many times more."""
    stay = {id(row) for row in old} & {id(row) for row in new}  # unchanged statements' are the same objects
    before, after = (_mentions(row for row in rows if id(row) not in stay) for rows in (old, new))
    return before - after


def _mentions(rows: Iterable[names.Names]) -> Counter[tuple[bool, str]]:
    found: Counter[tuple[bool, str]] = Counter()
    for row in rows:
        for inside, items in ((False, row.imports), (True, row.inner_imports)):
            found.update((inside, name) for item in items for name in named([item]))
    return found


def reached(
    tree: Tree, roots: Iterable[str], named_by: Callable[[Source], AbstractSet[str]] | None = None
) -> set[str]:
    """Return the app's modules that are loaded once some are: all that their imports name, and so on.

    Args:
        tree: the app's modules.
        roots: those to begin with.
        named_by: what the imports of a module name that count; all of them, functions' too, if not given.
    """
    follow = named_by or named_in
    found: set[str] = set()
    todo = list(roots)
    while todo:
        for name in parents(todo.pop()):
            if name in tree and name not in found:
                found.add(name)
                todo += follow(tree[name])
    return found


@once_for_each_source
def named_in(source: Source) -> frozenset[str]:
    """Return all that a source's imports may name, those in functions, too."""
    return named(item for row in names.of_source(source) for item in (*row.imports, *row.inner_imports))


def named(items: Iterable[Import]) -> frozenset[str]:
    """Return all that imports may name: modules, their packages, and what may be a module."""
    asked = {(item.module, item.name) for item in items}
    return frozenset(name for module, one in asked for name in (*parents(module), f"{module}.{one}"))


def newly_loaded(items: list[Import], tree: Tree, loaded: AbstractSet[str]) -> list[str]:
    """Return the app's modules that imports would load for the first time, in the order of their start."""
    found: list[str] = []

    def visit(name: str) -> None:
        for one in parents(name):
            if one in tree and one not in loaded and one not in found:
                found.append(one)
                for statement in names.of_source(tree[one]):
                    for item in statement.imports:
                        visit_item(item)

    def visit_item(item: Import) -> None:
        visit(item.module)
        if item.name and f"{item.module}.{item.name}" in tree:
            visit(f"{item.module}.{item.name}")

    for item in items:
        visit_item(item)
    return found
