"""New modules beside the app's own: which files there are its code, and which just lie there.

A server whose app is no package takes new top-level modules beside it. A laptop has more there than the
app: scripts, notes, setup.py. So those count that known modules import, directly or through each other.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator

from ..errors import BuildError
from ..source import Source

BESIDE = "*"
"""Among the names that a server allows: any new module beside the app's own."""
_NEVER = re.compile(
    r"\A(tests?|test_.*|.*_test|conftest|setup)\Z"
)  # the server does not take them for its own either


def may_be_new(top: str) -> bool:
    """Whether a top-level name may be that of a new module: no test, and none of Python's own."""
    return not _NEVER.match(top) and top not in sys.stdlib_module_names


def imported(source: Source, tops: Collection[str]) -> frozenset[str] | None:
    """Return which of some top-level names a source imports anywhere; None if it is no Python.

    Where none of them stands in the text, it is not parsed.
    """
    if not tops or not re.search(rf"\b(?:{'|'.join(map(re.escape, sorted(tops)))})\b", source.text):
        return frozenset()
    try:
        nodes = [piece.node for piece in source.parsed.pieces]
    except BuildError:
        return None
    return frozenset(name for node in nodes for name in _tops(node)).intersection(tops)


def _tops(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
