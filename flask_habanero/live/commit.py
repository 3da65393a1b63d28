"""Do: run a plan's steps in one worker, all or nothing.

::

    swap code -> show the sources -> drop names, run statements in cold-start order -> empty memos
    -> rebuild registries beside the live ones and swap them -> serve the assets

Whatever is raised on the way, the inverses of what was done run in reverse and the process is as
it was. The caller holds the gate closed meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from flask.config import Config
from flask.sansio.app import App

from ..errors import ColdChangeError, CommitError, Reason, UndoError
from . import calls, configs, importer, learnt, origin, rebuilding, registrations, startup, steps, templates
from .registrations import Entry, Target

if TYPE_CHECKING:
    from .books import Books
    from .plan import Plan
    from .program import Program
    from .startup import Function

Inverse = Callable[[], None]


def commit(program: Program, plan: Plan) -> Inverse:
    """Make a plan live; return what takes it back.

    Raises:
        ColdChangeError: a thread is in the middle of code that would change. Nothing was done.
        CommitError: a step raised. What was done before it is undone.
        UndoError: and that failed, too.
    """
    nobody_inside(plan)
    done: list[Inverse] = []
    where = [""]
    try:
        _run(program, plan, done, where)
    except BaseException as error:  # also SystemExit: a statement's exit must not end a worker half-way
        _undo(done)
        raise CommitError(where[0], _said(error)) from error
    return lambda: _undo(done)


def _undo(done: list[Inverse]) -> None:
    try:
        while done:
            done.pop()()
    except BaseException as error:
        raise UndoError("", f"taking back failed: {type(error).__name__}: {error}") from error


def _said(error: BaseException) -> str:
    """Return an exception with the last line of the app's own that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "flask_habanero" not in f.filename]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{type(error).__name__}: {error}"


def nobody_inside(plan: Plan) -> None:
    """Refuse when a thread is inside a function that would change: it would stay old while it runs."""
    changing = {swap.functions[0].__code__ for swap in plan.swaps}
    for innermost in list(sys._current_frames().values()):
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code in changing and not _only_lines(plan, frame.f_code):
                where = f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"
                what = f"{frame.f_code.co_qualname} is running in a thread that does not end"
                raise ColdChangeError((Reason("running", where, what, "restart to take this change"),))
            frame = frame.f_back


def _only_lines(plan: Plan, code: object) -> bool:
    swap = next(swap for swap in plan.swaps if swap.functions[0].__code__ == code)
    old, new = swap.functions[0].__code__, swap.code
    return new is not None and all(
        getattr(old, name) == getattr(new, name) for name in ("co_code", "co_names", "co_consts")
    )


def _prepare(plan: Plan, done: list[Inverse]) -> None:
    """Let functions have their new code, and forget what they have remembered: before any statement runs."""
    first: tuple[steps.SwapCode | steps.ShowSource, ...] = (*plan.swaps, *plan.show)
    for step in first:  # shown before what runs: that may ask for its source
        done.append(step.apply())  # noqa: PERF401  # as above
    for clear in plan.clear:  # what runs now must not be given what was remembered before
        done.append(clear.apply())  # noqa: PERF401  # as above


def _run(program: Program, plan: Plan, done: list[Inverse], where: list[str]) -> None:
    before = program.books
    _books(program, plan, done)
    configurations = [Edited(config, program, plan) for config in plan.configs.values()]
    for one in configurations:
        done.append(one.begin())  # noqa: PERF401  # what was done must be in the list when the next one raises
    if plan.runs_code:
        done.append(steps.modules_before())
    learnt.begin(program.books, plan.mapping, done)
    _prepare(plan, done)
    with _watching(plan), registrations.recording() as pending:
        for action in plan.actions:
            if action.step is not None:
                where[0] = action.where
                known = {id(entry) for entry in _fresh(pending, configurations)}
                done.append(action.step.apply())
                if action.chain is not None:  # a factory runs where it ran, not where its module was imported
                    fresh = [entry for entry in _fresh(pending, configurations) if id(entry) not in known]
                    _place(program, plan.moved_chain(action.chain), fresh)
    where[0] = ""
    done.append(origin.renew(plan.bound, program.loaded))
    _move_runs(program.books, before, plan, done)
    for clear in plan.clear:
        done.append(clear.apply())  # noqa: PERF401  # as above
    learnt.finish(program.books, plan.mapping)
    _settle(program, plan, pending)
    for one in configurations:
        done.append(one.end())  # noqa: PERF401  # as above
    _registrations(program, plan, pending, done)
    # last: the release may have brought the folders that they lie in, and loaders that do not ask yet
    if plan.assets is not None or (program.overlay.since and plan.runs_code):
        program.overlay.serve(program.overlay.assets if plan.assets is None else plan.assets, done)
    if plan.templates or pending or plan.withdraw:
        templates.forget()


def _fresh(
    pending: list[tuple[Target, Entry]], configurations: list[Edited]
) -> Iterator[Entry | configs.Written]:
    """Yield what was written down since the release began to run."""
    yield from (entry for _, entry in pending)
    for one in configurations:
        yield from one.written()


def _place(program: Program, chain: tuple[Any, ...], entries: Iterable[Entry | configs.Written]) -> None:
    """Say of new entries that they were made by what a chain led to."""
    for entry in entries:
        entry.chain = (*chain, *program.chain(entry.frames))


@contextlib.contextmanager
def _watching(plan: Plan) -> Iterator[None]:
    """Keep the record of what runs for which statement."""
    if not plan.runs_code:
        yield
        return
    ours = not startup.recording()
    startup.start() if ours else None
    try:
        yield
    finally:
        startup.stop() if ours else None


def _books(program: Program, plan: Plan, done: list[Inverse]) -> None:
    """Let the books say what will be."""
    if program.first is None:
        program.first, program.then = program.books.copy(), program.all_loaded(program.books.tree.keys())
    before, tree, removed = program.books, program.books.tree, program.removed
    # statements that run are noted in all of the books; other releases write little, and that can be put back
    books = before.copy() if plan.runs_code or plan.dropped or plan.relocate else before

    def inverse() -> None:
        program.books, program.removed = before, removed
        before.tree = tree
        startup.ran.clear()
        startup.lines.clear()

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


def _move_runs(books: Books, before: Books, plan: Plan, done: list[Inverse]) -> None:
    """Let what is known of calls and of factories fit the lines at which they stand from now on."""
    line = functools.partial(_moved_line, before, plan)
    if plan.relocate:  # before functions move: its lines are those within the factories as they were
        books.calls.move_lines(line)
        books.chains = {name: plan.moved_chain(chain) for name, chain in books.chains.items()}
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
        entries = book.entries if edited else [_relocated(entry, plan) for entry in book.entries]
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


def _settle(program: Program, plan: Plan, pending: list[tuple[Target, Entry]]) -> None:
    """Say of each new registration where a cold start would have come to it."""
    if plan.runs_code:
        program.settle()
    for _, entry in pending:
        entry.chain = entry.chain or program.chain_from(entry.frames)


def _registrations(
    program: Program, plan: Plan, pending: list[tuple[Target, Entry]], done: list[Inverse]
) -> None:
    """Edit the journals, rebuild what they touch, swap it in."""
    from .program import owner_of

    ended = plan.withdraw | plan.moved
    journals: dict[Target, list[Entry]] = {}
    moving: list[tuple[Target, Entry]] = []
    for target in plan.journals:
        entries = registrations.entries_of(target)
        owners = [
            owner_of(entry, plan.target.__contains__) or owner_of(entry, program.books.uids.__contains__)
            for entry in entries
        ]
        pairs = list(zip(entries, owners, strict=True))
        kept = [
            _relocated(e, plan) for e, owner in pairs if owner not in ended and not plan.ends(e.chain or ())
        ]
        moving += [(target, e) for e, owner in pairs if owner in plan.moved - plan.withdraw]
        # what came about while an import ran stands where that import stands now
        elsewhere = any(place[:2] in plan.moved for e in kept for place in e.chain or ())
        if (
            elsewhere
            or len(kept) != len(entries)
            or any(a is not b for a, b in zip(kept, entries, strict=True))
        ):
            journals[target] = sorted(kept, key=lambda e: program.position(e.chain or (), program.books.uids))
    for target, entry in [*moving, *pending]:
        journal = journals.setdefault(target, list(registrations.entries_of(target)))
        keys = [program.position(e.chain or (), program.books.uids) for e in journal]
        journal.insert(bisect_right(keys, program.position(entry.chain or (), program.books.uids)), entry)
    if journals:
        _check_setup(program, journals)
        _swap(journals, done)


_Entry = TypeVar("_Entry", Entry, configs.Written)


def _relocated(entry: _Entry, plan: Plan) -> _Entry:
    """Return an entry with the lines at which the statements of a factory stand from now on."""
    chain = plan.moved_chain(entry.chain or ())
    return entry if chain == (entry.chain or ()) else replace(entry, chain=chain)


class Edited:
    """A configuration while statements that write it run anew."""

    def __init__(self, config: Config, program: Program, plan: Plan) -> None:
        self._config, self._program, self._plan = config, program, plan
        book = configs.book_of(config)
        assert book is not None
        self._book, self._before = book, list(book.entries)

    def begin(self) -> Inverse:
        """Take out what those statements had written; return what brings all of it back."""
        from .program import owner_of

        config, book, entries, content = self._config, self._book, self._before, dict.copy(self._config)
        ended = self._plan.withdraw | self._plan.moved
        known = self._program.books.uids.__contains__
        book.entries = [
            _relocated(entry, self._plan)
            for entry in entries
            if owner_of(entry, known) not in ended and not self._plan.ends(entry.chain or ())
        ]
        self._kept, self._moved = (
            list(book.entries),
            [entry for entry in entries if owner_of(entry, known) in self._plan.moved - self._plan.withdraw],
        )
        steps.fill(config, book.folded(book.entries))

        def inverse() -> None:
            book.entries = entries
            steps.fill(config, content)

        return inverse

    def written(self) -> list[configs.Written]:
        """Return what was written since `begin`."""
        return self._book.entries[len(self._kept) :]

    def end(self) -> Inverse:
        """Put what was written where a cold start would have written it, and what that comes to in place."""
        book = self._book
        fresh = [*self._moved, *book.entries[len(self._kept) :]]
        book.entries = [self._refreshed(entry) for entry in self._kept]
        for entry in fresh:
            entry.chain = entry.chain or self._program.chain_from(entry.frames)
            place = self._program.position(entry.chain, self._program.books.uids)
            keys = [self._program.position(e.chain or (), self._program.books.uids) for e in book.entries]
            book.entries.insert(bisect_right(keys, place), self._refreshed(entry))
        steps.fill(self._config, book.folded(book.entries))
        return lambda: None  # begin()'s inverse brings back all

    def _refreshed(self, entry: configs.Written) -> configs.Written:
        again = self._plan.refresh.get(id(entry))
        if again is None:
            return entry
        return replace(entry, changes=again.changes(configs.written_again(self._config, entry)))


def _check_setup(program: Program, journals: dict[Target, list[Entry]]) -> None:
    """Raise what Flask does at a cold start when a blueprint is set up after it was registered."""
    first: dict[Target, tuple[int, ...]] = {}
    for target in {**dict.fromkeys(registrations.targets), **journals}:
        for entry in journals.get(target, registrations.entries_of(target)):
            if entry.method == "register_blueprint":
                at = program.position(entry.chain or (), program.books.uids)
                first[entry.args[0]] = min(at, first.get(entry.args[0], at))
    for blueprint, at in first.items():
        for entry in journals.get(blueprint, ()):
            if program.position(entry.chain or (), program.books.uids) > at:
                late = f".{entry.method}() comes after it was registered, where Flask refuses it"
                raise AssertionError(f"blueprint {blueprint.name!r}: {late}")


def _swap(journals: dict[Target, list[Entry]], done: list[Inverse]) -> None:
    targets = [
        t
        for t in {**dict.fromkeys(registrations.targets), **journals}
        if not t.import_name.startswith("flask_habanero")
    ]
    before = {one.target: one for one in rebuilding.rebuild([t for t in targets if isinstance(t, App)], {})}
    for one in rebuilding.rebuild(targets, journals):
        done.append(steps.Assign(one.target, one.tables).apply())
        if isinstance(one.target, App):
            done.append(steps.Assign(one.target.url_map, one.url_map).apply())
            templates.exchange(one.target, before[one.target].jinja, one.jinja, done)
    # a blueprint that has no registrations of its own has no journal
    registered = [bp for app in targets if isinstance(app, App) for bp in app.blueprints.values()]
    fresh = [bp for bp in registered if not bp._got_registered_once]
    done.extend(steps.Assign(blueprint, {"_got_registered_once": True}).apply() for blueprint in fresh)
    for target, journal in journals.items():
        old = registrations.entries_of(target)
        registrations.set_entries(target, journal)
        registrations.targets.add(target)
        done.append(lambda target=target, old=old: registrations.set_entries(target, old))  # type: ignore[misc]  # bound now
