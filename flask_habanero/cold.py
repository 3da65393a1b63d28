"""Leads a release that can't be hot: a canary boots it, it is recorded, and the server restarts its workers.

Until it is recorded, whatever is raised leaves all as it was, and nothing is restarted. No gate closes: the
old workers serve on with the old release until they are replaced.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import afar, bootnote, coldstart, fresh
from .asked import called, is_page
from .asset import changed_assets
from .boot import finder
from .bootnote import Note
from .config import MODULES, RESTART
from .errors import ColdChangeError, ConfigError, Reason, StoreError
from .fresh import CanaryError
from .importable import name_of
from .leading import record
from .live import gathered
from .manager import Manager, siblings
from .post import label
from .release import Report, WorkerCount

if TYPE_CHECKING:
    from flask import Flask

    from .change import Change, Request
    from .clock import Clock
    from .config import Config
    from .envelope import Key
    from .fleet import Fleet
    from .leading import Leader
    from .record import Record, State
    from .surroundings import Surroundings
    from .worker import Worker

MODULE = "flask_habanero.canary"
CANARY_S = 18.0  # a synchronous worker of gunicorn's that is silent for 30 s is killed, and this one waits
RESTARTED_S = 27.0  # from the beginning of the request on, for the same reason
HOSTS_S = CANARY_S + 2.0  # for those of other hosts, which began when ours did
READY_S = 3.0  # for other hosts to write a file
ANSWER_S = 1.0  # of another host, on its way here
LEAST_S = 5.0  # but so long at least
OLD_S = 3.0  # for the old workers to end; who is still inside a request then ends after it
LOOK_S = 0.02
SERVER_ERROR = 500
FIX = "correct it; nothing was recorded, and nothing restarted"
RUN = "start the server with: flask habanero run -- gunicorn ..., or uwsgi ..."
GONE = "the server's master is gone: start it again"
LAST = "it ends after its last answer, and another is started then"
LOST = "what the workers kept in memory is gone"
WOULD_BE_LOST = "what the workers keep in memory would be gone"
log = logging.getLogger("flask_habanero")


@dataclass(frozen=True)
class Restarted:
    """What came of it.

    Attributes:
        record: of the release.
        steps: what was done, as people read it.
        workers: who came back at head, and who did not.
        restarting: it goes on, and ends after the answer.
        gathered: what is known of what this worker kept in memory; see `live/gathered.py`.
    """

    record: Record
    steps: tuple[str, ...]
    workers: WorkerCount
    restarting: bool
    gathered: list[str]


class Restarts:
    """The worker that a cold push has reached, as the one that leads it. One per process."""

    def __init__(
        self, worker: Worker, fleet: Fleet, config: Config, around: Surroundings, apps: Collection[Flask]
    ) -> None:
        self._worker, self._fleet, self._config = worker, fleet, config
        self._around, self._apps, self._manager = around, apps, Manager()

    def obstacles(self) -> tuple[Reason, ...]:
        """Return why a cold change can't be made live by a restart here; nothing if it can."""
        if self._config.cold != RESTART:
            return ()
        why = self._manager.why_not_all(preloaded=self._around.preloaded)
        if not why and self._config.shared is not None and self._manager.waits_for_all:
            why = "uWSGI answers before its restart, and several hosts share this store"
        if why:
            return (Reason("no-restart", "", why, "deploy it: commit, and restart the app"),)
        why = self._unready()
        if why:
            return (Reason("cold-start", "", why, RUN),)
        return ()

    @property
    def are_possible(self) -> bool:
        """Whether a cold change is made live by a restart here."""
        return self._config.cold == RESTART and not self.obstacles()

    def told(self) -> dict[str, Any]:
        """Return what status tells: what is wished for, and what stands in the way."""
        what, hint = next(((one.what, one.hint) for one in self.obstacles()), ("", ""))
        return {"cold": self._config.cold, "obstacle": what, "obstacle_hint": hint}

    def _unready(self) -> str:
        """Return why a worker that starts would not import head."""
        why = finder.why_not(self._worker.program.modules, forked=self._manager.keeps_imports)
        if why:
            return why
        try:
            early = coldstart.told(os.environ)
        except ConfigError as error:
            return str(error)
        mine = self._config
        if (early.store, early.build, _keys(early)) == (mine.store, mine.build, _keys(mine)):
            return ""
        return "the environment says another secret, HABANERO_STORE or HABANERO_BUILD than the app"

    def release(
        self, request: Request, change: Change, clock: Clock, leader: Leader, cold: ColdChangeError
    ) -> Restarted:
        """Make a change live by a restart of all workers.

        Raises:
            ColdChangeError: `cold`, as it was, and why a restart is not possible here, if it was wished for.
            CanaryError: it did not come up in a fresh process.
            HabaneroError: it was not recorded.
        """
        if not self.are_possible:
            raise ColdChangeError((*cold.reasons, *self.obstacles()))
        begun, note = time.monotonic(), self._note(request)
        with leader.staged(request), self._fleet.hosts() as hosts:
            with clock.stage("canary"):
                hosts.tell("boot", nonce=request.nonce)
                told = time.monotonic()
                self._try(request, note, [], CANARY_S)
                apart = afar.agreed(hosts, told + HOSTS_S - time.monotonic(), cold.reasons)
            if not self.are_possible:  # the master has died meanwhile
                raise ColdChangeError((*cold.reasons, *self.obstacles()))
            gone = self.gathered()
            with clock.stage("record"):
                hosts.tell("ready", nonce=request.nonce)
                afar.agreed(hosts, READY_S)
                done = self._record(request, change, note)
            with clock.stage("restart"):
                deadline = max(begun + RESTARTED_S, time.monotonic() + LEAST_S)
                hosts.tell("restart", within=str(deadline - time.monotonic() - ANSWER_S))
                workers = self._restart(done, deadline)
                workers = afar.summed(workers, hosts, deadline - time.monotonic(), apart)
        restarting = self._manager.waits_for_all and self._manager.would_replace()
        return Restarted(done, _steps(change, self._worker.head), workers, restarting, gone)

    # --- where another host leads, or has led ---

    def boot(self, request: Request) -> Note:
        """Boot a change that another host leads, in a canary. Returns its note.

        Raises:
            ColdChangeError: it can't be made live by a restart here.
            CanaryError: it does not come up.
            StoreError: this host is not at the release that it starts from.
        """
        if not self.are_possible:
            unset = Reason(
                "no-restart", "", "HABANERO_COLD does not say restart there", "set it on all hosts"
            )
            raise ColdChangeError(self.obstacles() or (unset,))
        worker, claims = self._worker, request.claims
        worker.catch_up()
        # Not the worker's own: one that leaves for a release of before goes to no other
        if (claims["epoch"], claims["base"]) != (worker.epoch, worker.ledger.last(worker.epoch)):
            raise StoreError("it is not at the release that the change starts from")
        return self.tried(request)

    def tried(self, request: Request) -> Note:
        """Boot a staged request in a canary. Returns its note. Raises CanaryError."""
        note = self._note(request)
        self._try(request, note, [], CANARY_S)
        return note

    def ready(self, note: Note) -> None:
        """Have starting processes import the change, once it is recorded. Raises StoreError."""
        assert self._config.keys is not None
        bootnote.write(self._config.store, note, self._config.keys)

    def was_made_ready(self, record: Record) -> bool:
        """Whether starting processes import a release already. Raises StoreError."""
        note = bootnote.read(self._config.store, self._fleet.keys)
        return note is not None and note.is_of(record.number, record.nonce)

    def follow(self, record: Record, within_s: float) -> WorkerCount:
        """Have all workers replaced, now that the release is recorded. Returns who came."""
        deadline = time.monotonic() + within_s
        with self._worker.moves.lock:
            self._worker.leave(record.number)
        return self._restart(record, deadline)

    def gathered(self) -> list[str]:
        """Return what is known of what a restart would lose here."""
        return gathered.told(self._worker.program)

    def rehearsed(self, request: Request, pages: list[str], within_s: float) -> Report:
        """Return what became of a staged request in a canary, as `rehearsing.rehearse` does of a hot one.

        Raises:
            CanaryError: it did not come up.
        """
        asked = self._try(request, self._note(request), pages, within_s)
        name = name_of(self._apps, self._config.app)
        return Report("live", data={"rehearsed": asked, "app": name, "output": []})

    def _note(self, request: Request) -> Note:
        """Return the note of our epoch that says of this release, too. Raises StoreError."""
        config, epoch = self._config, self._worker.epoch
        assert config.keys is not None
        known = bootnote.read(config.store, config.keys)
        if known is None or known.epoch != epoch or not known.counts(self._worker.ledger):
            modules = coldstart.variable(MODULES, os.environ)
            known = Note.of(self._worker.program, config.app_id, epoch, modules)
        mine = (request.claims["rel"], request.nonce)
        first = [one for one in known.releases if self._worker.ledger.by_nonce(one[1]) is not None][:1]
        return replace(known, releases=(*first, mine))

    def _try(self, request: Request, note: Note, pages: list[str], within_s: float) -> list[Any]:
        """Boot the change in a fresh process. Returns how pages are answered there.

        Raises:
            HabaneroError: it does not come up there, or one is answered with a server error.
        """
        name = name_of(self._apps, self._config.app)
        task = {"app": name, "argv": sys.argv, "nonce": request.nonce, "note": note.as_json(), "pages": pages}
        ended = fresh.run(MODULE, task, within_s)
        if not ended.came:
            reasons = [_failure("", f"the canary {ended.why}")]
        else:
            asked = [page for page in ended.came["pages"] if page["why"]]
            bad = [page for page in asked if not (is_page(page["path"]) and self._is_broken(page["path"]))]
            reasons = [Reason(*map(str, row)) for row in ended.came["reasons"]]
            reasons += [_failure(called(page["path"]), page["why"]) for page in bad]
        if reasons:
            log.warning("the canary did not come up; it printed: %s", "\n".join(ended.output))
            raise CanaryError(tuple(reasons))
        return list(ended.came["pages"])

    def _is_broken(self, page: str) -> bool:
        """Whether this process answers a page with a server error, too: then the change is not the cause."""
        apps = list(self._apps)
        try:
            return bool(apps) and all(app.test_client().get(page).status_code >= SERVER_ERROR for app in apps)
        except Exception as error:  # noqa: BLE001  # an app that propagates what its views raise
            log.info("%s fails here, too: %r", page, error)
            return True

    def _record(self, request: Request, change: Change, note: Note) -> Record:
        """Have starting processes import the change from now on. Raises ConflictError, StoreError."""
        worker, config = self._worker, self._config
        assert config.keys is not None
        with worker.moves.lock:  # who sees the counter waits here, and serves on then
            bootnote.write(config.store, note, config.keys)
            done = record(worker.ledger, request, change)
            worker.leave(done.number)
        return done

    def _restart(self, done: Record, deadline: float) -> WorkerCount:
        """Have all workers replaced, and wait for the new ones, where they can come. Returns who came."""
        before = siblings()
        coldstart.forget_booted(self._config.store)
        if not self._manager.start_all_anew():
            return self._late(before, GONE)
        if self._manager.waits_for_all:
            return self._late(before, LAST)
        while not self._have_come(done, before) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        deadline = min(deadline, time.monotonic() + OLD_S)
        while siblings() & before - {os.getpid()} and time.monotonic() < deadline:
            time.sleep(LOOK_S)  # what they answer now was asked before
        new = siblings() - before
        if not new:
            return WorkerCount(0, 0, 1, ("a worker: none has been started",))
        return self._late(new - self._booted(done), "it has not come up yet", of=len(new))

    def came(self, record: Record) -> WorkerCount | None:
        """Return who has come by a restart that no answer could wait for; None if head came otherwise.

        Raises:
            StoreError: that can't be told.
        """
        if not self._manager.waits_for_all or not self.are_possible:
            return None
        note = bootnote.read(self._config.store, self._fleet.keys)
        is_head = record.number == self._worker.ledger.last(record.epoch)
        if note is None or not note.is_of(record.number, record.nonce) or not is_head:
            return None
        now, came = siblings(), self._booted(record)
        late = set() if self._manager.pid in came else now - came  # the master imports the app for all
        return self._late(late, "it has not come up yet", of=len(now))

    def _late(self, pids: Collection[int], why: str, of: int = 0) -> WorkerCount:
        """Return the count of some workers that are behind, of so many; else of as many."""
        behind = tuple(f"{label(self._fleet.name_of(pid))}: {why}" for pid in sorted(pids))
        total = max(of, len(behind))
        return WorkerCount(total - len(behind), 0, total, behind)

    def _have_come(self, done: Record, before: set[int]) -> bool:
        """Whether as many workers as there were have imported the release, or all that there will be."""
        now = siblings()
        new, old = now - before, now & before - {os.getpid()}
        return bool(new) and new <= self._booted(done) and (len(new) >= len(before) or not old)

    def _booted(self, done: Record) -> set[int]:
        config = self._config
        assert config.keys is not None
        return coldstart.booted(config.store, config.keys, done.epoch, done.number)


def _keys(config: Config) -> list[Key | None]:
    assert config.keys is not None
    return [config.keys.get(kid) for kid in config.keys.kids]


def _failure(where: str, what: str) -> Reason:
    return Reason(CanaryError.slug, where, what, FIX)


def _steps(change: Change, head: State) -> tuple[str, ...]:
    """Return what became of each module and asset, as people read it."""
    modules = {name: head.tree.get(name) or change.tree[name] for name in {*head.tree, *change.tree}}
    changed = [one.path for name, one in modules.items() if head.tree.get(name) != change.tree.get(name)]
    return tuple(
        f"{path}: restarted" for path in sorted([*changed, *changed_assets(head.assets, change.assets)])
    )
