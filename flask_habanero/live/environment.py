"""What was written to the environment at the start, and which variables are as the server was given them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ..source import Source, once_for_each_source
from . import names, origin, startup
from .judge import known

if TYPE_CHECKING:
    from .books import Place
    from .judge.findings import Findings
    from .program import Program

ANY = ""  # stands for a variable whose name is not known


def written(tree: Mapping[str, Source], ran: Iterable[tuple[str, str, int]]) -> frozenset[str]:
    """Return the variables that the app's own code wrote at the start: who knows what was in them before.

    Args:
        tree: the app's modules.
        ran: the functions that ran at the start: module, qualified name, line.
    """
    writers = {name: found for name, source in tree.items() if (found := _writers(source))}
    keys = {key for found in writers.values() for key in found.get("", ())}
    for module, qualname, _ in ran if writers else ():
        keys |= writers.get(module, {}).get(qualname.partition(".<locals>")[0], frozenset())
    return frozenset(keys)


def is_given(program: Program, module: str, key: str) -> bool:
    """Whether a module finds a variable as who starts the server gave it: nobody writes it at the start."""
    watched = startup.sees_all() and program.was_watched(module)
    written_at_start = any(one == key for one, _ in program.books.variables)
    return watched and not written_at_start and origin.has_kept(key)


def set_later(program: Program, found: Findings, is_above: Callable[[tuple[Place, ...]], bool]) -> bool:
    """Whether a reader asks for variables that the start did not write before it, but did write.

    Args:
        program: the running program.
        found: what the reader reads.
        is_above: whether a place of the start is one before the reader.
    """
    environ = known.environ()
    if id(environ) not in found.used:
        return False
    asked = None if id(environ) in found.whole else found.keys.get(id(environ), set())
    noted = [one for one in program.books.variables if asked is None or one[0] in asked]
    unseen = origin.changed_variables() - {key for key, _ in noted}
    return bool(unseen if asked is None else unseen & asked) or not all(is_above(chain) for _, chain in noted)


@once_for_each_source
def _writers(source: Source) -> Mapping[str, frozenset[str]]:
    """Return the functions of a module that write variables, with those; "" for its statements."""
    if not _WRITING.search(source.text):
        return {}
    lines, found = source.text.splitlines(), dict[str, frozenset[str]]()
    for piece in source.parsed.pieces:
        for qualname, node in names.functions_in(piece.node):
            first, last = node.body[0].lineno, node.end_lineno or 0
            found[qualname] = found.get(qualname, frozenset()) | _keys("\n".join(lines[first - 1 : last]))
            lines[first - 1 : last] = [""] * (last - first + 1)
    found[""] = _keys("\n".join(lines))
    return {name: keys for name, keys in found.items() if keys}


def _keys(text: str) -> frozenset[str]:
    """Return the variables that a text writes."""
    found = list(_WRITING.finditer(text))
    told = (_KEY.match(text, one.start()) if one[0].count("environ") == 1 else None for one in found)
    return frozenset(one["key"] if one else ANY for one in told)


_WRITING = re.compile(
    r"environb?\s*\[[^\]]*\]\s*[-+*/|]?=(?!=)|environb?\.(setdefault|update|pop|clear|popitem)|putenv|unsetenv"
    r"|del\s.*environ|environb?\s*\|=|\benviron\b\s*="
)
_KEY = re.compile(
    r"""(?:del\s+(?:os\.)?)?environ\s*(?:\.\s*(?:setdefault|pop)\s*\(|\[)\s*(?P<quote>["'])(?P<key>\w+)(?P=quote)\s*[\]),]"""
)
