"""Leads a release through all workers: prepared everywhere, committed here, recorded, committed there.

Until it is recorded, whatever is raised leaves all workers as they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .census import counted, holders_of, refusal_of, words_of
from .errors import BusyError
from .post import label
from .release import WorkerCount

if TYPE_CHECKING:
    from .change import Change, Request
    from .clock import Clock
    from .fleet import Fleet
    from .ledger import Ledger
    from .live.plan import Plan
    from .record import Record
    from .round import Round
    from .worker import Worker

PREPARE_S = 20.0  # planning and importing what is new may be slow; nobody is held up meanwhile
BUSY_FOR_S = 5.0  # how long a push tries again to find all workers still
BACKOFF_S = (0.02, 0.05, 0.1, 0.2, 0.4)  # the last one again and again; requests run meanwhile
CONVERGE_S = 5.0  # how long the answer waits for the other workers


class Leader:
    """The worker that a push has reached, as the one that leads it."""

    def __init__(self, worker: Worker, fleet: Fleet, quiesce_ms: int) -> None:
        self._worker, self._fleet, self._ledger = worker, fleet, worker.ledger
        self._quiesce_ms = quiesce_ms

    def release(
        self, request: Request, change: Change, clock: Clock, decide: Callable[[], Plan]
    ) -> tuple[tuple[str, ...], WorkerCount]:
        """Make a change live on all workers. Returns its steps, and where it is live.

        Args:
            request: what asks for it.
            change: where it leads.
            clock: for the stages.
            decide: checks the change and plans it here, while the other workers plan.

        Raises:
            HabaneroError: it is not live anywhere.
        """
        worker = self._worker
        with worker.moving(), self.staged(request), self._fleet.round() as others:
            others.tell("prepare", nonce=request.nonce)
            plan = decide()
            with clock.stage("prepare"):
                # Only now: what is cold here leaves no trace elsewhere
                others.tell("stage", nonce=request.nonce)
                worker.moves.make(others.id, request, plan, change)
                worker.moves.stage(others.id)
                behind = self._prepared(others)
            with clock.stage("quiesce"):
                self._quiesce(others)
            with clock.stage("commit"):
                undo = worker.commit_first(others.id)
            with clock.stage("record"):
                record = self._record(request, change, undo)
            others.tell("commit")
            worker.settle(others.id, record)
            with clock.stage("converge"):
                siblings = self._fleet.siblings()  # while the others commit
                arrived, late, asleep = self._arrived(others, record)
        return tuple(map(str, plan.steps)), counted(arrived, (*behind, *late), siblings | asleep)

    @contextmanager
    def staged(self, request: Request) -> Iterator[None]:
        """Let other processes of this host find a believed request, for as long as it takes."""
        path = self._ledger.stage(request.nonce, request.header, request.body)
        try:
            yield
        finally:
            self._ledger.unstage(path)

    def _prepared(self, others: Round) -> tuple[str, ...]:
        """Wait until every other worker has prepared. Returns who was behind before, and stays so.

        Raises:
            ColdChangeError: it is not possible in one of them.
            CommitError: one of them failed, or did not answer.
        """
        behind: list[str] = []
        for name, answer in others.answers(PREPARE_S):
            if answer is None:
                raise BusyError((f"{label(name)}: no answer",))
            if answer.get("outcome") == "conflict":  # it runs an old deploy, or could not come to head
                behind.append(f"{label(name)}: {words_of(answer)}")
                others.leave_out(name)
            elif "no" in answer:
                raise refusal_of(name, answer)
        return tuple(behind)

    def _quiesce(self, others: Round) -> None:
        """Close all gates at one moment. Raises BusyError: they would not all be still in time."""
        deadline, backoff = time.monotonic() + BUSY_FOR_S, iter(BACKOFF_S)
        while holders := self._quiesce_once(others):
            pause = next(backoff, BACKOFF_S[-1])
            if time.monotonic() + pause > deadline:
                raise BusyError(holders)
            time.sleep(pause)  # all gates are open: the requests that hold us up go on

    def _quiesce_once(self, others: Round) -> tuple[str, ...]:
        others.tell("quiesce")
        holders = [f"{label(self._fleet.own)}: {h}" for h in self._worker.moves.quiesce(others.id)]
        for name, answer in others.answers(self._quiesce_ms / 1000 + 2.0):  # 2.0: a loaded machine
            if answer and answer.get("outcome") == "cold":
                raise refusal_of(name, answer)  # one of its threads is inside what would change
            holders += holders_of(name, answer)
        if holders:
            self._worker.moves.reopen(others.id)
            others.tell("reopen")
        return tuple(holders)

    def _record(self, request: Request, change: Change, undo: Callable[[], None]) -> Record:
        try:
            return record(self._ledger, request, change)
        except BaseException:
            self._worker.take_back(undo)
            raise

    def _arrived(self, others: Round, record: Record) -> tuple[list[str], tuple[str, ...], set[str]]:
        """Return who has come to a release, who has not and why, and who has not served yet."""
        arrived, behind, asleep = [label(self._fleet.own)], [], set()
        for name, answer in others.answers(CONVERGE_S):
            if answer is not None and "asleep" in answer:
                asleep.add(label(name))
            elif answer is not None and answer.get("release") == record.number and not answer.get("trouble"):
                arrived.append(label(name))
            else:
                behind.append(f"{label(name)}: {words_of(answer)}")
        return arrived, tuple(behind), asleep


def record(ledger: Ledger, request: Request, change: Change) -> Record:
    """Write down that a request became a release: head, from then on. Raises ConflictError, StoreError."""
    claims = request.claims
    return ledger.record(
        epoch=claims["epoch"],
        base=claims["base"],
        kind=request.op,
        nonce=request.nonce,
        header=request.header,
        body=request.body,
        tree_digest=change.digest,
        claims=claims,
        note=change.note,
        now=int(time.time()),
    )
