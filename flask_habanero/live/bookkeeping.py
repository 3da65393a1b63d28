"""Writes a plan into the books: what the program will be, and where what is known of it stands then.

All of it goes back with the inverses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from . import calls, configs, importer, startup, steps
from .registrations import Entry

if TYPE_CHECKING:
    from .books import Books
    from .plan import Plan
    from .program import Program
    from .startup import Function

Inverse = Callable[[], None]
_Entry = TypeVar("_Entry", Entry, configs.Written)


def relocated(entry: _Entry, plan: Plan) -> _Entry:
    """Return an entry with the lines at which the statements of a factory stand from now on."""
    chain = plan.moved_chain(entry.chain or ())
    return entry if chain == (entry.chain or ()) else replace(entry, chain=chain)


def begin(program: Program, plan: Plan, done: list[Inverse]) -> None:
    """Let the books say what will be."""
    if program.first is None:
        program.first, program.then = program.books.copy(), program.all_loaded(program.books.tree.keys())
    before, tree, removed = program.books, program.books.tree, program.removed
    # statements that run are noted in all of the books; other releases write little, and that can be put back
    books = before.copy() if plan.runs_code or plan.dropped or plan.relocate else before

    def inverse() -> None:
        program.books, program.removed = before, removed
        before.tree = tree
        for known in (startup.ran, startup.lines, startup.variables):
            known.clear()

    done.append(inverse)
    done.append(_drop(books, plan))
    done.append(steps.Items(books.uids, plan.uids, ()).apply())
    done.append(steps.Items(books.codes, plan.codes, ()).apply())
    done.append(steps.Items(books.absent, plan.absent, ()).apply())
    done.append(calls.move(books.ran, plan.renamed))
    done.append(steps.Items(books.lines, plan.lines, plan.unlined).apply())
    books.tree = plan.target
    program.books = books
    program.removed = {name for name in {*removed, *plan.deletions} if name not in plan.target}


def _drop(books: Books, plan: Plan) -> Inverse:
    """Forget the modules that end; return what brings back who imported what."""
    if not (plan.dropped or plan.runs_code):
        return lambda: None
    stacks = dict(importer.import_stacks)
    for table in (importer.import_stacks, books.uids, books.codes, books.chains):
        for name in plan.dropped:
            table.pop(name, None)
    for known in (books.ran, books.lines) if plan.dropped else ():
        for function in [one for one in known if one[0] in plan.dropped]:
            del known[function]

    def inverse() -> None:
        importer.import_stacks.clear()
        importer.import_stacks.update(stacks)

    return inverse


def move_runs(books: Books, before: Books, plan: Plan, done: list[Inverse]) -> None:
    """Let what is known of calls and of factories fit the lines at which they stand from now on."""
    line = functools.partial(_moved_line, before, plan)
    if plan.relocate:  # before functions move: its lines are those within the factories as they were
        books.calls.move_lines(line)
        books.chains = {name: plan.moved_chain(chain) for name, chain in books.chains.items()}
        books.variables = [(key, plan.moved_chain(chain)) for key, chain in books.variables]
        books.runs = {
            function: [replace(left, chain=plan.moved_chain(left.chain)) for left in found]
            for function, found in books.runs.items()
        }
    done.append(calls.move(books.runs, plan.renamed))
    books.calls.move(plan.renamed, done)
    for run in [run for found in startup.runs.values() for run in found if run.above is not None]:
        run.above = plan.moved_chain(run.above or ())
    for config in configs.all_configs() if plan.relocate or plan.renamed else ():
        book = configs.book_of(config)
        assert book is not None
        readers = {
            key: {(plan.renamed.get(caller, caller), line(caller, at)) for caller, at in found}
            for key, found in book.readers.items()
        }
        edited = id(config) in plan.configs  # then that was seen to before
        entries = book.entries if edited else [relocated(entry, plan) for entry in book.entries]
        done.append(steps.Assign(book, {"readers": readers, "entries": entries}).apply())


def _moved_line(books: Books, plan: Plan, function: Function, line: int) -> int:
    """Return the line to which one of a function moves."""
    module, _, first = function
    for part in plan.relocate:
        if part[0] == module:
            pieces = zip(books.tree[module].parsed.pieces, books.uids[module], strict=True)
            uid = next((uid for piece, uid in pieces if piece.line <= first <= piece.end_line), 0)
            return plan.moved_line(module, uid, line)
    return line
