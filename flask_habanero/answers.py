"""What the server tells those who hold the secret: hello, status, and what became of a push."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import __version__
from .asset import digests
from .census import Census
from .change import Request
from .config import DEFAULT_COLD, RESTART
from .errors import RejectedError, StoreError
from .record import PUSH, Record
from .release import Bundle, Report, WorkerCount
from .unit import python_tag

if TYPE_CHECKING:
    from .cold import Restarts
    from .config import Config
    from .fleet import Fleet
    from .freeze import Freezes
    from .record import State
    from .surroundings import Surroundings
    from .trial import Trials
    from .worker import Worker

NEWEST = 20  # releases that status tells


@dataclass(frozen=True)
class Circumstances:
    """What a release meets: another one on trial, a freeze, a server that can be restarted for it."""

    trials: Trials
    freezes: Freezes
    restarts: Restarts


class Answers:
    """Reports about what is. Changes nothing."""

    def __init__(
        self, worker: Worker, fleet: Fleet, config: Config, around: Surroundings, met: Circumstances
    ) -> None:
        self._around, self._met = around, met
        self.census = Census(worker, fleet)
        self._worker, self._config, self._ledger, self._keys = worker, config, worker.ledger, fleet.keys

    def report(self, outcome: str, **fields: Any) -> Report:
        """Return a report with the head as this worker knows it."""
        head = self._worker.head
        return Report(outcome, **{"release": head.number, "digest": head.digest, **fields})

    def refresh(self) -> None:
        """Come to head, as far as it can be known here: if other hosts can't be asked, the census says so.

        Raises:
            StoreError: the ledger of this host can't be read.
        """
        with suppress(StoreError):
            self._ledger.refresh()
        self._worker.catch_up()

    def count(self) -> WorkerCount:
        """Ask the workers where they are."""
        return self.census.count(self.census.ask())

    def hello(self) -> Report:
        """Return what a client must know to build a push. Raises StoreError."""
        self.refresh()
        head = self._worker.head  # taken once: a push may go on while the others are asked
        tree = {s.name: [s.digest, s.path, s.package] for s in head.tree.values()}
        folders = list(self._worker.program.overlay.folders)
        return self._state(head, {"tree": tree, "assets": digests(head.assets), "folders": folders})

    def status(self, server: str) -> Report:
        """Return who runs what, below which web server, and the newest releases. Raises StoreError."""
        self.refresh()
        newest = self._ledger.records(self._worker.epoch, NEWEST)
        log = [self._told(record) for record in newest]
        around = self._around.told(server, self._config.shared or self._config.store)
        around |= self._met.restarts.told()
        around["crowded"] = sorted(self._worker.program.overlay.crowded)
        around["shared"] = self._ledger.shared_facts()
        trial, freeze = self._met.trials.of_head(), self._met.freezes.now()
        what_holds = {"trial": trial and trial.told(), "frozen": freeze and freeze.told()}
        return self._state(self._worker.head, {"log": log, "surroundings": around, **what_holds})

    def _state(self, head: State, more: Mapping[str, Any]) -> Report:
        fleet = self.census.ask()
        workers = self.census.count(fleet)
        outcome = "diverged" if workers.behind else "live"
        data = {**self._facts(), **more, "fleet": fleet}
        return Report(outcome, head.number, head.digest, workers=workers, data=data)

    def _facts(self) -> dict[str, Any]:
        worker, config = self._worker, self._config
        first, head = self._ledger.first(worker.epoch), self._ledger.head(worker.epoch)
        return {
            "app": config.app_id,
            "epoch": worker.epoch,
            "python": python_tag(),
            "optimize": sys.flags.optimize,
            "modules": list(worker.program.modules),
            "path": config.path,
            "max_bytes": config.max_bytes,
            "cold": RESTART if self._met.restarts.are_possible else DEFAULT_COLD,
            "first": first,
            "head": self._told(head) if head.number > first else None,
            "time": int(time.time()),
            "version": __version__,
        }

    def _told(self, record: Record) -> dict[str, Any]:
        """Return a record as people are told it."""
        return {
            "number": record.number,
            "kind": record.kind,
            "who": record.who,
            "time": record.time,
            "note": record.note,
            "modules": self._modules(record),
        }

    def outcome(self, nonce: str) -> Report:
        """Return what became of the push with a nonce. Raises StoreError."""
        record = self._ledger.became(nonce)
        return self.report("unknown", data={"recorded": False}) if record is None else self.recorded(record)

    def recorded(self, record: Record) -> Report:
        """Return the report on a push that was recorded before: it is never done twice."""
        came = self._met.restarts.came(record)
        workers = self.count() if came is None else came
        outcome = "diverged" if workers.behind else "live"
        data = {"duplicate": True, "recorded": True, "restarting": came is not None and bool(came.behind)}
        return Report(outcome, record.number, record.tree_digest, workers=workers, data=data)

    def _modules(self, record: Record) -> list[str]:
        """Return the names of the modules and assets in a push; none for a base or a rollback."""
        if record.kind != PUSH:
            return []
        try:
            request = Request.verified(record.header, record.body, self._keys)
            bundle = Bundle.decode(request.unpacked())
        except RejectedError:
            return []  # a list for people does without; who must run it says why it can't
        names = [*(unit.name for unit in bundle.units), *(asset.name for asset in bundle.assets)]
        return sorted([*names, *bundle.deletions])
