"""A release by a restart on several hosts: what the others say to it, and a host that comes late."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from .boot import finder
from .census import refusal_of, words_of
from .change import Request
from .errors import BusyError, ColdChangeError, HabaneroError, Reason, StoreError
from .fleet import InProgressError
from .fresh import CanaryError
from .post import label
from .release import WorkerCount

if TYPE_CHECKING:
    from .cold import Restarts
    from .fleet import Fleet
    from .record import Record
    from .round import Round
    from .worker import Worker

LATE_S = 20.0  # for the workers of a host that comes late; nobody waits
AGAIN_S = 60.0  # until a host that could not come tries again; for the length of a canary nobody pushes
TRIED = "late"  # the file that says which release this host tried to come to
log = logging.getLogger("flask_habanero")


def agreed(hosts: Round, within_s: float, cold: Collection[Reason] = ()) -> tuple[str, ...]:
    """Wait until every other host has done what it was told. Returns who takes no part, and why.

    Raises:
        CanaryError: the release does not come up there.
        ColdChangeError: the host can't be restarted; with the reasons why it is cold.
        HabaneroError: it answers nothing, or another no.
    """
    behind: list[str] = []
    for name, answer in hosts.answers(within_s):
        host = label(name)
        if answer is None:
            raise BusyError((f"{host}: no answer",))
        if answer.get("outcome") == "conflict":
            behind.append(f"{host}: {words_of(answer)}")
        elif "trouble" in answer:
            raise StoreError(f"{host}: {words_of(answer)}")
        elif "no" in answer:
            reasons = [Reason(*map(str, row)) for row in answer["no"]]
            there = tuple(Reason(r.code, f"{host}: {r.where}".rstrip(": "), r.what, r.hint) for r in reasons)
            if answer["outcome"] == ColdChangeError.outcome:
                raise ColdChangeError((*cold, *there))
            if reasons and reasons[0].code == CanaryError.slug:
                raise CanaryError(there)
            raise refusal_of(name, answer)
    return tuple(behind)


def summed(own: WorkerCount, hosts: Round, within_s: float, apart: Collection[str]) -> WorkerCount:
    """Return who has come to the release here and on the other hosts, which were told to restart."""
    at_head, total, behind = own.at_head, own.total, [*own.behind, *apart]
    for name, answer in hosts.answers(within_s):
        if answer is not None and "at_head" in answer:
            at_head, total = at_head + int(answer["at_head"]), total + int(answer["total"])
            behind += map(str, answer["behind"])
        else:
            behind.append(
                f"{label(name)}: {words_of(answer) if answer else 'no answer, it may still restart'}"
            )
            total += 1
    return WorkerCount(at_head, 0, total + len(apart), tuple(behind))


class Late:
    """Brings a host to a release that was made by a restart while it was away. One per process."""

    def __init__(self, worker: Worker, fleet: Fleet, restarts: Restarts) -> None:
        self._worker, self._fleet, self._restarts = worker, fleet, restarts
        self._again_at = 0.0

    def takes(self, number: int) -> bool:
        """Whether this host restarts itself for a head that its workers can't come to. They serve on then."""
        try:
            is_pushed = bool(self._worker.ledger.head(self._worker.epoch).header)
        except StoreError:
            return False
        return is_pushed and number != finder.passed_over and self._restarts.are_possible

    def look(self) -> None:
        """See whether this worker can't come to head but by a restart; called each second."""
        number = self._worker.cold_head
        if not number or self._worker.leaving.begun or time.monotonic() < self._again_at:
            return
        if self.takes(number):
            self._again_at = math.inf
            threading.Thread(target=self._come, args=(number,), name="habanero-late", daemon=True).start()

    def _come(self, number: int) -> None:
        again_s = AGAIN_S
        try:
            with self._fleet.lock():
                self._restart(number)
        except InProgressError:
            again_s = 0.0  # another worker does it, or somebody pushes
        except HabaneroError as error:
            log.error("this host does not come to #%d by a restart: %s", number, error)
        finally:
            self._again_at = time.monotonic() + again_s

    def _restart(self, number: int) -> None:
        worker, ledger = self._worker, self._worker.ledger
        record = ledger.head(worker.epoch)
        if record.number != number:
            return  # a newer one is looked at next
        if self._restarts.was_made_ready(record):
            with worker.moves.lock:
                if worker.leaving.is_for(record):  # who was to restart us has died: this worker leaves alone
                    worker.leave(number)
            return
        if self._was_tried(record):
            return
        request = Request.verified(record.header, record.body, self._fleet.keys)
        path = ledger.stage(request.nonce, request.header, request.body)
        try:
            note = self._restarts.tried(request)
        finally:
            ledger.unstage(path)
        self._restarts.ready(note)
        count = self._restarts.follow(record, LATE_S)
        log.info("this host came to #%d by a restart: %s", number, count)

    def _was_tried(self, record: Record) -> bool:
        """Whether another worker of this host tried just now; else it is noted that this one does."""
        path, what = self._fleet.folder / TRIED, f"{record.epoch} {record.number}"
        try:
            with suppress(FileNotFoundError):
                if path.read_text("ascii") == what and time.time() - path.stat().st_mtime < AGAIN_S:
                    return True
            path.write_text(what, "ascii")
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        return False
