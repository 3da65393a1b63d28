"""From one believed request to one report: the line of docs/architecture.md, straight down.

Every stage raises its own error. They become reports in one place, `Deployer.receive`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .answers import Answers
from .archive import Archive
from .asset import changed_assets
from .census import counted, holders_of, refusal_of, words_of
from .change import Change, NotAllowedError, Request, nonce_asked
from .envelope import READING
from .errors import (
    BusyError,
    ColdChangeError,
    ConflictError,
    HabaneroError,
    Reason,
    TooLargeError,
)
from .moves import foresee, plan_to
from .post import label
from .record import PUSH, ROLLBACK
from .release import Report
from .round import Round
from .signals import release_refused

if TYPE_CHECKING:
    from .config import Config
    from .fleet import Fleet
    from .live.plan import Plan
    from .live.program import Program
    from .record import Record
    from .surroundings import Surroundings
    from .worker import Worker

PREPARE_S = 20.0  # planning and importing what is new may be slow; nobody is held up meanwhile
BUSY_FOR_S = 5.0  # how long a push tries again to find all workers still
BACKOFF_S = (0.02, 0.05, 0.1, 0.2, 0.4)  # the last one again and again; requests run meanwhile
CONVERGE_S = 5.0  # how long the answer waits for the other workers
INFLATES_TO = 16  # a body may unpack to so many times its largest size on the wire: code packs 3 to 4 times
log = logging.getLogger("flask_habanero")


class Clock:
    """Where the milliseconds of one request went, by stage."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what happens inside to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - began) * 1000

    def read(self) -> dict[str, float]:
        """Return the stages and the total, in milliseconds."""
        return {**self.ms, "total": (time.perf_counter() - self._began) * 1000}


class Deployer:
    """Answers the requests that are believed. One per process, beside its worker."""

    def __init__(self, worker: Worker, fleet: Fleet, config: Config, around: Surroundings) -> None:
        self.worker, self.fleet, self.config = worker, fleet, config
        self.ledger, self.answers = worker.ledger, Answers(worker, fleet, config, around)
        self.archive = Archive(worker)

    def receive(self, request: Request) -> Report:
        """Return what became of a request. Every error of ours is a report."""
        clock = Clock()
        try:
            self._check_sizes(request.claims)
            report = self._operations[request.op](self, request, clock)
        except HabaneroError as error:
            log.warning("%s by %s: %s: %s", request.op, request.claims["cid"], error.outcome, error)
            report = self.answers.report(error.outcome, reasons=error.reasons)
            self._tell_refused(request, report)
        return replace(report, ms=clock.read())

    def _tell_refused(self, request: Request, report: Report) -> None:
        if request.op in (PUSH, ROLLBACK):
            about = {"release": report.release, "outcome": report.outcome, "reasons": report.reasons}
            self.worker.news.tell(release_refused, self.worker.moves.lock, **about)

    def _hello(self, _request: Request, _clock: Clock) -> Report:
        return self.answers.hello()

    def _status(self, request: Request, _clock: Clock) -> Report:
        return self.answers.status(request.server)

    def _outcome(self, request: Request, _clock: Clock) -> Report:
        return self.answers.outcome(nonce_asked(request))

    def _read(self, request: Request, _clock: Clock) -> Report:
        return self.answers.report("unchanged", data=self.archive.read(request))

    def _plan(self, request: Request, clock: Clock) -> Report:
        self.answers.refresh()
        with clock.stage("verify"):
            change = self._asked(request)
            self._check_code(request, change)
        with clock.stage("plan"):
            plan = self._planned(change, foresee)
            self._check_restart(change)
        return self.answers.report("live", steps=tuple(map(str, plan.steps)), data={"planned": True})

    def _push(self, request: Request, clock: Clock) -> Report:
        with self.fleet.leading(request.nonce):
            self.ledger.refresh()
            self.worker.catch_up()
            try:
                with clock.stage("verify"):
                    change = self._asked(request)
            except ConflictError:  # a retry of what is in the ledger by now is one, too
                record = self.ledger.by_nonce(request.nonce)
                if record is None:
                    raise
                return self.answers.recorded(record)
            if change.digest == self.worker.head.digest:
                return self.answers.report("unchanged", workers=self.answers.count())
            return self._release(request, change, clock)

    _operations: Mapping[str, Callable[[Deployer, Request, Clock], Report]] = {
        "hello": _hello,
        "status": _status,
        "outcome": _outcome,
        **dict.fromkeys(READING, _read),
        "plan": _plan,
        "push": _push,
        "rollback": _push,
    }

    def _asked(self, request: Request) -> Change:
        """Return where a request leads, if it starts at head. Raises RejectedError, RefusedError."""
        claims, worker = request.claims, self.worker
        if (claims["epoch"], claims["base"]) != (worker.epoch, worker.head.number):
            raise ConflictError(worker.epoch, worker.head.number)
        if request.op != "plan" and claims["rel"] != claims["base"] + 1:
            raise ConflictError(worker.epoch, worker.head.number)
        change = worker.change_of(request)
        if request.op != ROLLBACK:  # what it leads to was let in once, and its folders may come back with it
            self._check_names(change)
        return change

    def _check_code(self, request: Request, change: Change) -> None:
        """Check that code is that of its source. Raises BundleError."""
        if request.op != "rollback":  # its units are those of the ledger, or compiled here
            self.worker.program.check(change.from_(self.worker.head.tree)[0])
            self.worker.program.overlay.check(change.assets)

    def _check_restart(self, change: Change) -> None:
        """Check that a restart comes to a change, too. Raises ColdChangeError, AssetError."""
        program = self.worker.program
        program.overlay.check_disk(change.assets)
        reasons = program.fold_reasons(*change.from_(program.base))
        if reasons:
            raise ColdChangeError(tuple(reasons))

    def _check_sizes(self, claims: Mapping[str, Any]) -> None:
        most = self.config.max_bytes
        for size, limit in ((claims["len"], most), (claims["ulen"], INFLATES_TO * most)):
            if size > limit:
                raise TooLargeError(limit, size)

    def _check_names(self, change: Change) -> None:
        units, deletions = change.from_(self.worker.head.tree)
        program = self.worker.program
        strange = [n for n in (*(u.name for u in units), *deletions) if not program.belongs.allows(n)]
        if strange:
            raise NotAllowedError(strange, program.modules)
        files = changed_assets(self.worker.head.assets, change.assets)
        folders = program.overlay.folders if files else ()
        coming = [one for one in files if one in change.assets]  # what goes may have had a folder that went
        elsewhere = [name for name in coming if not name.startswith(tuple(f"{one}/" for one in folders))]
        if elsewhere:
            raise NotAllowedError(elsewhere, folders)

    def _planned(self, change: Change, plan: Callable[[Program, Change], Plan]) -> Plan:
        try:
            return plan(self.worker.program, change)
        except ColdChangeError as error:
            raise self._explained(error) from None

    def _explained(self, error: ColdChangeError) -> ColdChangeError:
        trouble = self.worker.trouble
        if not trouble:
            return error
        what = f"this worker is not at head: {trouble}"
        reason = Reason("behind", label(self.fleet.own), what, "restart it")
        return ColdChangeError((reason, *error.reasons))

    def _release(self, request: Request, change: Change, clock: Clock) -> Report:
        worker = self.worker
        with worker.moving(), self._staged(request), self.fleet.round() as others:
            others.tell("prepare", nonce=request.nonce)  # they plan while this worker checks and plans
            with clock.stage("verify"):
                self._check_code(request, change)
            with clock.stage("plan"):
                plan = self._planned(change, plan_to)
                self._check_restart(change)  # now that the libraries are there that it can't be told without
            with clock.stage("prepare"):
                others.tell(
                    "stage", nonce=request.nonce
                )  # only now: what is cold here leaves no trace elsewhere
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
                siblings = self.fleet.siblings()  # while the others commit
                arrived, late, asleep = self._arrived(others, record)
        workers = counted(arrived, (*behind, *late), siblings | asleep)
        outcome = "diverged" if workers.behind else "live"
        log.info("#%d by %s: %s", record.number, request.claims["cid"], outcome)
        return self.answers.report(outcome, steps=tuple(map(str, plan.steps)), workers=workers)

    @contextmanager
    def _staged(self, request: Request) -> Iterator[None]:
        path = self.ledger.stage(request.nonce, request.header, request.body)
        try:
            yield
        finally:
            self.ledger.unstage(path)

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
        holders = [f"{label(self.fleet.own)}: {h}" for h in self.worker.moves.quiesce(others.id)]
        for name, answer in others.answers(self.config.quiesce_ms / 1000 + 2.0):  # 2.0: a loaded machine
            if answer and answer.get("outcome") == "cold":
                raise refusal_of(name, answer)  # one of its threads is inside what would change
            holders += holders_of(name, answer)
        if holders:
            self.worker.moves.reopen(others.id)
            others.tell("reopen")
        return tuple(holders)

    def _record(self, request: Request, change: Change, undo: Callable[[], None]) -> Record:
        claims = request.claims
        try:
            return self.ledger.record(
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
        except BaseException:
            self.worker.take_back(undo)
            raise

    def _arrived(self, others: Round, record: Record) -> tuple[list[str], tuple[str, ...], set[str]]:
        """Return who has come to a release, who has not and why, and who has not served yet."""
        arrived, behind, asleep = [label(self.fleet.own)], [], set()
        for name, answer in others.answers(CONVERGE_S):
            if answer is not None and "asleep" in answer:
                asleep.add(label(name))
            elif answer is not None and answer.get("release") == record.number and not answer.get("trouble"):
                arrived.append(label(name))
            else:
                behind.append(f"{label(name)}: {words_of(answer)}")
        return arrived, tuple(behind), asleep
