"""Do: run a plan's steps in one worker, all or nothing.

::

    swap code -> show the sources -> drop names, run statements in cold-start order -> empty memos
    -> rebuild registries beside the live ones and swap them -> serve the assets

Whatever is raised on the way, the inverses of what was done run in reverse and the process is as
it was. The caller holds the gate closed meanwhile.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..errors import ColdChangeError, CommitError, Reason, UndoError
from . import (
    bookkeeping,
    configs,
    described,
    journals,
    learnt,
    origin,
    registrations,
    settling,
    startup,
    steps,
    templates,
)
from .registrations import Entry, Target

if TYPE_CHECKING:
    from .plan import Plan
    from .program import Program

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
    bookkeeping.begin(program, plan, done)
    configurations = [journals.Edited(config, program, plan) for config in plan.configs.values()]
    for one in configurations:
        done.append(one.begin())  # noqa: PERF401  # what was done must be in the list when the next one raises
    if plan.runs_code:
        program.has_run = True
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
    bookkeeping.move_runs(program.books, before, plan, done)
    for clear in plan.clear:
        done.append(clear.apply())  # noqa: PERF401  # as above
    learnt.finish(program.books, plan.mapping)
    _settle(program, plan, pending)
    for one in configurations:
        done.append(one.end())  # noqa: PERF401  # as above
    journals.edit(program, plan, pending, done)
    # last: the release may have brought the folders that they lie in, and loaders that do not ask yet
    if plan.assets is not None or (program.overlay.since and plan.runs_code):
        program.overlay.serve(program.overlay.assets if plan.assets is None else plan.assets, done)
    if plan.templates or pending or plan.withdraw:
        templates.forget()
    described.forget()


def _fresh(
    pending: list[tuple[Target, Entry]], configurations: list[journals.Edited]
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


def _settle(program: Program, plan: Plan, pending: list[tuple[Target, Entry]]) -> None:
    """Say of each new registration where a cold start would have come to it."""
    if plan.runs_code:
        settling.settle(program)
    for _, entry in pending:
        entry.chain = entry.chain or program.chain_from(entry.frames)
