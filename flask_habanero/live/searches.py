"""New modules that no import names, and that a start would find all the same.

A start may go through a folder and import what lies there, or ask for a module by a name that it computes.
The process did that when it started, and does not do it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import names, reach, reading, startup
from .judge.known import words

if TYPE_CHECKING:
    from ..source import Source
    from .bodies import Body
    from .draft import Draft
    from .names import Names

_SEARCHING = words("find_modules iter_modules walk_packages")
_LISTING = words("glob iglob iterdir listdir rglob scandir walk")
_IMPORTING = words(
    """__import__ exec import_module import_string load_module module_from_spec run_path
    spec_from_file_location"""
)


def check(draft: Draft, name: str) -> None:
    """Refuse a new module that the start looked for, or would find where it searches."""
    if draft.boots:
        return
    if name in startup.watched and not _is_named(draft, name):
        what = f"the start asked for {name} by its name, and it was not there"
        draft.refuse("stale", name, what)
    for unit, line in _places(draft):
        if _is_found(draft, unit, name):
            what = f"the start looks for modules here, and would find {name}"
            draft.refuse("stale", f"{unit}:{line}", what)
            return


def _is_named(draft: Draft, name: str) -> bool:
    """Whether an import statement names a module: what runs again for that is found elsewhere."""
    return any(name in reach.named_in(draft.out.target[unit]) for unit in _loaded(draft))


def _loaded(draft: Draft) -> list[str]:
    return sorted(draft.loaded & draft.program.tree.keys() & draft.out.target.keys())


def _places(draft: Draft) -> Iterator[tuple[str, int]]:
    """Yield where the start looked for modules: the statement, or the function that it came to."""
    ran: dict[str, list[str]] = {}
    for unit, qualname, _ in list(draft.program.books.ran):
        ran.setdefault(unit, []).append(qualname)
    for unit in _loaded(draft):
        source = draft.program.tree[unit]
        if not _mentions(source):
            continue
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if _searches(row):
                yield unit, piece.line
        for qualname in ran.get(unit, ()):
            body = reading.body_of(source, qualname)
            if body is not None and _searches(body):
                yield unit, reading.line_of(source, qualname)


def _mentions(source: Source) -> bool:
    return any(word in source.text for word in _SEARCHING) or any(word in source.text for word in _LISTING)


def _searches(one: Names | Body) -> bool:
    said = one.reads | one.attributes | getattr(one, "own", frozenset())
    return not said.isdisjoint(_SEARCHING) or not (said.isdisjoint(_LISTING) or said.isdisjoint(_IMPORTING))


def _is_found(draft: Draft, unit: str, name: str) -> bool:
    """Whether a module's searches go through another's package: told by what they brought, if they did."""
    source, chains = draft.program.tree[unit], draft.program.books.chains
    mine = {module for module, chain in chains.items() if any(place[0] == unit for place in chain[-1:])}
    packages = {module.rpartition(".")[0] for module in mine - reach.named_in(source)}
    return not packages or not packages.isdisjoint(["", *reach.parents(name)[:-1]])
