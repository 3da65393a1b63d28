"""Turns what was recorded by lines into the program's books, while the loaded sources still fit them.

Lines move with each release; a statement keeps its identity.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from . import configs, importer, registrations, startup
from .books import Left, Place

if TYPE_CHECKING:
    from .program import Program


def settle(program: Program) -> None:
    """Turn lines that were noted since the last time into statements, while sources still fit them."""
    settle_ran(program)
    chains, stacks = program.books.chains, importer.import_stacks
    fresh = {
        name
        for name in (*program.tree, "__main__")
        if name in stacks and program.unit_name(name) not in chains
    }
    for name in [name for name in stacks if name in fresh] if fresh else ():  # in the order of the imports
        unit = program.unit_name(name)
        if unit in program.tree and unit not in chains:
            chains[unit] = program.chain_from(stacks[name])
    for entry in registrations.unplaced():
        entry.chain = program.chain_from(entry.frames)
    _settle_configs(program)


def settle_ran(program: Program) -> None:
    """Turn what ran since the last time into functions and statements."""
    _settle_lines(program)
    for key, owners in startup.ran.items():
        module = program.unit_name(key[0])
        if module in program.tree:
            function = (module, key[1], key[2])
            known = program.books.ran.get(function, frozenset())
            program.books.ran[function] = known.union(map(partial(_owner, program), owners))
    startup.ran.clear()
    _settle_runs(program)
    for variable, frames in startup.variables:
        program.books.variables.append((variable, program.chain_from(frames)))
    startup.variables.clear()


def _settle_lines(program: Program) -> None:
    """Add lines to those of functions of which all are known; of one that ran unseen they never are."""
    for (name, qualname, first), found in startup.lines.items():
        function = (program.unit_name(name), qualname, first)
        if function in program.books.lines or function not in program.books.ran:
            program.books.lines[function] = program.books.lines.get(function, frozenset()) | found
    if not startup.recording():  # else more may still be added to those sets
        startup.lines.clear()


def _settle_runs(program: Program) -> None:
    for (name, qualname, first), callers in startup.calls.items():
        settled = map(partial(settled_call, program), callers)
        program.books.calls.add((program.unit_name(name), qualname, first), settled)
    startup.calls.clear()
    for (name, qualname, first), found in startup.runs.items():
        key = (program.unit_name(name), qualname, first)
        known_runs = program.books.runs.get(key, [])
        program.books.runs[key] = [
            *known_runs,
            *(Left(run.variables, _chain_of(program, run)) for run in found),
        ]
    startup.runs.clear()


def _chain_of(program: Program, run: startup.Run) -> tuple[Place, ...]:
    if run.above is not None:
        return (*run.above, *program.chain(run.frames))
    return program.chain_from(run.frames)


def settled_call(program: Program, call: startup.Call) -> startup.Call:
    """Return a call with the line within the caller; of a module, with the statement's uid."""
    (name, qualname, first), line = call
    module = program.unit_name(name)
    if qualname == "<module>":
        return (module, qualname, 0), program.statement_at(module, line) or 0
    return (module, qualname, first), line - first + 1


def _settle_configs(program: Program) -> None:
    for config in configs.all_configs():
        book = configs.book_of(config)
        assert book is not None
        for written in book.entries:
            if written.chain is None:
                written.chain = program.chain_from(written.frames)
        for key, lines in book.reads.items():
            book.readers.setdefault(key, set()).update(map(partial(settled_call, program), lines))
        book.reads.clear()


def _owner(program: Program, owner: startup.Owner) -> tuple[str, int] | None:
    if owner is None:
        return None
    module = program.unit_name(owner[0])
    uid = program.statement_at(module, owner[1])
    return (module, uid) if uid is not None else None
