"""Held edits that lacked something of another file: they go again, together with a save of that one.

An editor saves one file after the other. The first may be refused because it needs the second: it
imports what only comes then, or took away what the second still uses.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from ..errors import BuildError
from ..release import Report
from ..source import Source
from .depends import absolute
from .memory import Memory
from .tree import Tree

LACKING = "lacking"  # among the codes of what is held
MENDABLE = frozenset({"import-missing", "import-broken", "import-circle", "name-order"})
"""Codes of reasons that a change of another file may do away with."""


def is_lacking(report: Report, sent: Collection[str], tree: Tree) -> bool:
    """Whether a refusal may be due to a file that was not sent: by an import, or the place of a reason."""
    places = {reason.where.partition(":")[0] for reason in report.reasons}
    others = places.intersection(tree.sources).difference(sent)
    return bool(others) or any(reason.code in MENDABLE for reason in report.reasons)


def mended(memory: Memory, before: Tree, after: Tree) -> frozenset[str]:
    """Return what is held as lacking, if a file that has changed imports some of it, or is imported there.

    Args:
        memory: what is held.
        before: the tree when it was last looked at.
        after: the tree now.
    """
    held = frozenset(name for name, why in memory.held.items() if why.code == LACKING)
    if not held:
        return held
    moved = {name for name, _ in before.digests.items() ^ after.digests.items()} - held
    tied = any(
        imports_of(tree.sources.get(name)) & others
        for tree in (before, after)
        for names, others in ((held, moved), (moved, held))
        for name in names
    )
    return held if tied else frozenset()


def imports_of(source: Source | None) -> frozenset[str]:
    """Return the modules that a source may import, anywhere in it."""
    if source is None:
        return frozenset()
    try:
        nodes = [node for piece in source.parsed.pieces for node in ast.walk(piece.node)]
    except BuildError:
        return frozenset()
    return frozenset(name for node in nodes for name in _named(node, source))


def _named(node: ast.AST, source: Source) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = absolute(node, source)
        yield origin
        yield from (f"{origin}.{alias.name}" for alias in node.names)
