"""From one believed request to one report: the line of docs/architecture.md, straight down.

Every stage raises its own error. They become reports in one place, `Deployer.receive`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .admission import check_names
from .afar import Late
from .answers import Answers, Circumstances
from .apart import hot_apart
from .archive import Archive
from .change import Change, Request, nonce_asked, rehearsal_asked, wishes
from .clock import Clock
from .cold import LOST, WOULD_BE_LOST, Restarts
from .envelope import FOR_READERS, READING
from .errors import (
    BundleError,
    ColdChangeError,
    ConflictError,
    HabaneroError,
    ReadOnlyError,
    Reason,
    StoreError,
    TooLargeError,
)
from .fleet import InProgressError
from .freeze import Freezes
from .importable import name_of
from .kept import FREEZE
from .leading import Leader
from .live.mechanisms import mechanisms
from .moves import check_restart, foresee, plan_to
from .post import label
from .record import PUSH, ROLLBACK
from .rehearsing import rehearse
from .release import Report
from .resync import Asked, Resync
from .signals import release_answered, release_refused
from .trial import OneHostError, Promise, Trials
from .webhook import Webhook

if TYPE_CHECKING:
    from flask import Flask

    from .config import Config
    from .fleet import Fleet
    from .live.plan import Plan
    from .live.program import Program
    from .surroundings import Surroundings
    from .trial import Trial
    from .worker import Worker

AGAIN_S = 10.0  # until a release on trial that can't be taken back now is tried again
RELEASED = frozenset({"live", "diverged"})  # a release was made
INFLATES_TO = 16  # a body may unpack to so many times its largest size on the wire: code packs 3 to 4 times
log = logging.getLogger("flask_habanero")


class Deployer:
    """Answers the requests that are believed. One per process, beside its worker."""

    def __init__(
        self,
        worker: Worker,
        fleet: Fleet,
        config: Config,
        around: Surroundings,
        apps: Collection[Flask] = (),
    ) -> None:
        self.worker, self.fleet, self.config, self.apps = worker, fleet, config, apps
        self.trials, self._again_at = Trials(worker, fleet.keys, apps, measured=config.measure), 0.0
        self.freezes = Freezes(worker.ledger.kept, fleet.keys)
        self.restarts = fleet.restarts = Restarts(worker, fleet, config, around, apps)
        self._late: Late | None = None
        if config.shared is not None:
            self._late = Late(worker, fleet, self.restarts)
            worker.restarts_late = self._late.takes
        met = Circumstances(self.trials, self.freezes, self.restarts)
        self.ledger, self.answers = worker.ledger, Answers(worker, fleet, config, around, met)
        self.archive = Archive(worker)
        self._leader = Leader(worker, fleet, config.quiesce_ms)
        url = config.webhook
        self.webhook = None if url is None else Webhook(url, config.app_id, fleet.keys.first)

    def receive(self, request: Request) -> Report:
        """Return what became of a request. Every error of ours is a report."""
        clock = Clock()
        if request.by_reader and request.op not in FOR_READERS:
            return self.answers.report("refused", reasons=ReadOnlyError(request.kid, request.op).reasons)
        try:
            self._check_sizes(request.claims)
            report = self._operations[request.op](self, request, clock)
        except HabaneroError as error:
            log.warning("%s by %s: %s: %s", request.op, request.claims["cid"], error.outcome, error)
            report = self.answers.report(error.outcome, reasons=error.reasons)
            self._tell_refused(request, report)
        report = replace(report, ms=clock.read())
        self._tell_answered(request, report)
        return report

    def _tell_refused(self, request: Request, report: Report) -> None:
        if request.op in (PUSH, ROLLBACK):
            about = {"release": report.release, "outcome": report.outcome, "reasons": report.reasons}
            self.worker.news.tell(release_refused, self.worker.moves.lock, **about)

    def _tell_answered(self, request: Request, report: Report, why: str = "") -> None:
        if request.op not in (PUSH, ROLLBACK) or report.data.get("duplicate"):
            return
        who = request.claims["cid"]
        self.worker.news.tell(release_answered, self.worker.moves.lock, report=report, who=who)
        if self.webhook is not None and report.outcome in RELEASED:
            self.webhook.tell(report, who=who, kind=request.op, why=why)

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
        try:
            with clock.stage("plan"):
                plan = self._planned(change, foresee)
                check_restart(self.worker.program, change)
        except ColdChangeError as cold:
            return self._cold_plan(change, cold)
        data = {"planned": True, "how": mechanisms(plan)}
        return self.answers.report("live", steps=tuple(map(str, plan.steps)), data=data)

    def _cold_plan(self, change: Change, cold: ColdChangeError) -> Report:
        apart = hot_apart(self.worker.program, change, cold.reasons)
        data: dict[str, Any] = {"planned": True} if apart is None else {"planned": True, "apart": apart}
        if not self.restarts.are_possible:
            reasons = (*cold.reasons, *self.restarts.obstacles())
            log.warning("plan: %s: %s", cold.outcome, cold)
            return self.answers.report(cold.outcome, reasons=reasons, data=data)
        lost = {"lost": WOULD_BE_LOST, "gathered": self.restarts.gathered()}
        data = {**data, "restarts": True, **lost}
        return self.answers.report(cold.outcome, reasons=cold.reasons, data=data)

    def _rehearse(self, request: Request, clock: Clock) -> Report:
        (pages, within_s), name = rehearsal_asked(request), name_of(self.apps, self.config.app)
        deadline = time.monotonic() + within_s
        with self.fleet.lock("rehearsal"):
            self.worker.catch_up()
            with clock.stage("verify"):
                self._check_code(request, self._asked(request))
            with clock.stage("rehearse"), self._leader.staged(request):
                came = rehearse(name, request, pages, within_s)
                if came.outcome == ColdChangeError.outcome and self.restarts.are_possible:
                    came = self.restarts.rehearsed(request, pages, max(1.0, deadline - time.monotonic()))
        return self.answers.report(came.outcome, steps=came.steps, reasons=came.reasons, data=came.data)

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
            frozen, promise = self.ledger.kept.get_all(FREEZE, request.nonce)
            if request.op == PUSH:
                self.freezes.check(frozen)
                self.trials.check()
            if change.digest == self.worker.head.digest:
                return self.answers.report("unchanged", workers=self.answers.count())
            report = self._release(request, change, clock)
            if promise is not None:  # quicker than to read the head again
                with suppress(StoreError):  # the next tick notices it
                    self.trials.of_head()  # from its first answer on
            folders = list(self.worker.program.overlay.folders)  # it may have brought a blueprint
            return replace(report, data={**report.data, "folders": folders})

    def _trial(self, request: Request, _clock: Clock) -> Report:
        if self.config.shared is not None:
            raise OneHostError("releases on trial are", "push --rehearse, and no trial")
        self.worker.catch_up()
        self._check_base(request.claims)
        promise = Promise.of(request, self.fleet.keys)
        self.ledger.kept.put(promise.nonce, request.header, request.body, int(time.time()))
        return self.answers.report("unchanged")

    def _confirm(self, request: Request, _clock: Clock) -> Report:
        number = wishes(request, "number")["number"]
        if number is not None and type(number) is not int:
            raise BundleError("confirm: no number")
        with self.fleet.lock():
            self.worker.catch_up()
            confirmed = self.trials.confirm(number)
        return self.answers.report("live" if confirmed else "unchanged", data={"confirmed": confirmed})

    def _freeze(self, request: Request, _clock: Clock) -> Report:
        if self.config.shared is not None:
            raise OneHostError("a freeze is", "take the secret from those who push")
        with self.fleet.lock():
            self.worker.catch_up()
            changed = self.freezes.end(request) if request.op == "thaw" else self.freezes.begin(request)
        now = self.freezes.now()
        return self.answers.report("live" if changed else "unchanged", data={"frozen": now and now.told()})

    def _resync(self, request: Request, _clock: Clock) -> Report:
        asked, resync = Asked.of(request, self.config.app_id), Resync.of(self.ledger)
        if asked.order is None:
            return self.answers.report("unchanged", data={"resync": resync.look(asked.host)})
        with self.ledger.leading(request.nonce) as leads:
            if not leads:
                raise InProgressError("a push is in progress")
            came = resync.carry_out(request, asked.host)
        self.answers.refresh()
        workers = self.answers.count()
        outcome = "diverged" if workers.behind or came.refused else "live"
        log.warning("resync by %s to the branch of %s: %s", request.claims["cid"], asked.host, came.told())
        data = {"resync": came.told()}
        return self.answers.report(outcome, reasons=came.reasons, workers=workers, data=data)

    def tick(self) -> None:
        """Look after what nobody asks for; called each second."""
        self.worker.tick()
        if self._late is not None:
            self._late.look()
        if self.worker.ending or time.monotonic() < self._again_at:
            return
        try:
            overdue = self.trials.overdue()
            if overdue is not None:
                self._take_back(*overdue)
        except InProgressError:
            pass  # another worker does it, or somebody pushes: the next tick looks again
        except HabaneroError as error:
            self._again_at = time.monotonic() + AGAIN_S
            log.error("a release on trial is not taken back yet: %s", error)

    def _take_back(self, trial: Trial, why: str) -> None:
        clock = Clock()
        with self.fleet.lock():
            self.worker.catch_up()
            if self.trials.of_head() != trial:
                return  # somebody was faster, or confirmed it
            change = replace(self._asked(trial.rollback), note=f"back to #{trial.number - 1}: {why}")
            report = self._release(trial.rollback, change, clock)
        self._tell_answered(trial.rollback, replace(report, ms=clock.read()), why)
        log.warning("#%d is taken back by #%d: %s", trial.number, report.release, why)

    _operations: Mapping[str, Callable[[Deployer, Request, Clock], Report]] = {
        "hello": _hello,
        "status": _status,
        "outcome": _outcome,
        **dict.fromkeys(READING, _read),
        "plan": _plan,
        "rehearse": _rehearse,
        "push": _push,
        "rollback": _push,
        "trial": _trial,
        "confirm": _confirm,
        **dict.fromkeys(("freeze", "thaw"), _freeze),
        "resync": _resync,
    }

    def _asked(self, request: Request) -> Change:
        """Return where a request leads, if it starts at head. Raises RejectedError, RefusedError."""
        claims, worker = request.claims, self.worker
        self._check_base(claims)
        if request.op not in ("plan", "rehearse") and claims["rel"] != claims["base"] + 1:
            raise ConflictError(worker.epoch, worker.head.number)
        change = worker.change_of(request)
        if request.op != ROLLBACK:  # what it leads to was let in once, and its folders may come back with it
            check_names(worker.program, worker.head, change)
        return change

    def _check_base(self, claims: Mapping[str, Any]) -> None:
        worker = self.worker
        if (claims["epoch"], claims["base"]) != (worker.epoch, worker.head.number):
            raise ConflictError(worker.epoch, worker.head.number)

    def _check_code(self, request: Request, change: Change) -> None:
        """Check that code is that of its source. Raises BundleError."""
        if request.op != "rollback":  # its units are those of the ledger, or compiled here
            self.worker.program.check(change.from_(self.worker.head.tree)[0])
            self.worker.program.overlay.check(change.assets)

    def _check_sizes(self, claims: Mapping[str, Any]) -> None:
        most = self.config.max_bytes
        for size, limit in ((claims["len"], most), (claims["ulen"], INFLATES_TO * most)):
            if size > limit:
                raise TooLargeError(limit, size)

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
        def decide() -> Plan:
            with clock.stage("verify"):
                self._check_code(request, change)
            with clock.stage("plan"):
                plan = self._planned(change, plan_to)
                # Now that the libraries are there that it can't be told without
                check_restart(self.worker.program, change)
            return plan

        try:
            steps, workers = self._leader.release(request, change, clock, decide)
        except ColdChangeError as cold:
            return self._restart(request, change, clock, cold)
        outcome = "diverged" if workers.behind else "live"
        note = f"{change.note}: " if change.note else ""  # of a rollback, too: which it goes back to
        log.info("#%d by %s: %s%s", self.worker.head.number, request.claims["cid"], note, outcome)
        return self.answers.report(outcome, steps=steps, workers=workers)

    def _restart(self, request: Request, change: Change, clock: Clock, cold: ColdChangeError) -> Report:
        done = self.restarts.release(request, change, clock, self._leader, cold)
        outcome, number = "diverged" if done.workers.behind else "live", done.record.number
        log.info("#%d by %s: %s, after a restart", number, request.claims["cid"], outcome)
        data = {"restarted": True, "lost": LOST, "gathered": done.gathered, "restarting": done.restarting}
        return Report(outcome, number, change.digest, done.steps, workers=done.workers, data=data)
