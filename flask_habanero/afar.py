"""A release by a restart on several hosts: what the others say to it, and a host that comes late."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
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
    from .round import Round
    from .worker import Worker

LATE_S = 20.0  # for the workers of a host that comes late; nobody waits
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
        self._tried = 0  # once for each release: what fails here fails again

    def look(self) -> None:
        """See whether this worker can't come to head but by a restart; called each second."""
        number = self._worker.cold_head
        if number in (0, self._tried, finder.passed_over) or self._worker.leaving.begun:
            return
        if self._restarts.are_possible:
            self._tried = number
            threading.Thread(target=self._come, args=(number,), name="habanero-late", daemon=True).start()

    def _come(self, number: int) -> None:
        try:
            with self._fleet.lock():
                self._restart(number)
        except InProgressError:
            self._tried = 0  # another worker does it, or somebody pushes
        except HabaneroError as error:
            log.error("this host does not come to #%d by a restart: %s", number, error)

    def _restart(self, number: int) -> None:
        ledger = self._worker.ledger
        record = ledger.head(self._worker.epoch)
        if record.number != number or self._restarts.was_made_ready(record):
            return  # a newer one is looked at next; of one that was, this process is what came
        request = Request.verified(record.header, record.body, self._fleet.keys)
        path = ledger.stage(request.nonce, request.header, request.body)
        try:
            note = self._restarts.tried(request)
        finally:
            ledger.unstage(path)
        self._restarts.ready(note)
        count = self._restarts.follow(record, LATE_S)
        log.info("this host came to #%d by a restart: %s", number, count)
