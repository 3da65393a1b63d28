"""One process of the app: what it runs, and how it gets to head.

A release moves through a worker as *prepared* (planned, slow work done), *still* (its gate is
closed, no request inside), *committed*. What a worker knows of a move it keeps in one `Move`;
whoever notices first that the release was recorded (the listener, a request, a lease that ended)
commits it.

It knows no sockets and no Flask; `fleet.py` carries its messages.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .change import Change, Request, change_of, change_to
from .errors import (
    BusyError,
    ColdChangeError,
    CommitError,
    ConflictError,
    HabaneroError,
    RefusedError,
    StoreError,
    UndoError,
)
from .gate import Gate, Unavailable
from .guard import attempt
from .manager import Manager
from .record import Record, State
from .release import digest_of

if TYPE_CHECKING:
    from .config import Config
    from .ledger import Ledger
    from .live.plan import Plan
    from .live.program import Program

LEASE_S = 2.0  # a closed gate that nobody talks to for so long is a dead coordinator's
PREPARED_S = 30.0  # the same for a plan behind an open gate, which holds nobody up
CATCH_UP_S = 5.0  # how long a worker that missed a release waits for its running requests, before it ends
STORE_AGAIN_S = 1.0  # a store that is down is asked once a second, not at each request
log = logging.getLogger("flask_habanero")


@dataclass
class Move:
    """A release on its way through this worker."""

    id: str  # which round of which coordinator
    number: int  # that it will have
    nonce: str
    plan: Plan
    change: Change
    until: float  # when its lease ends, monotonic seconds
    still: bool = False


class Worker:
    """What this process runs, and the ways to change it. One per process, made after the fork.

    Attributes:
        epoch: the epoch of the code that this process was started with.
        number: the release that it runs.
        head: the newest state of the epoch that it knows.
        since: when it came to run `number`, seconds since 1970.
        trouble: why it does not run head; empty when it does.
        ending: it serves no more: its process manager was asked for another.
    """

    def __init__(self, program: Program, gate: Gate, ledger: Ledger, config: Config) -> None:
        self.pid = os.getpid()
        self.program, self.gate, self.ledger, self.config = program, gate, ledger, config
        self.epoch, self.number, self.since, self.trouble = "", 0, 0, ""
        self.head: State
        self.ending = False
        self._manager = Manager()
        self._seen = -1  # the counter's value that `number` belongs to
        self._served = False
        self._again_at = 0.0
        self._move: Move | None = None
        self._lock = threading.RLock()  # held by whoever moves this worker

    def start(self, manager: Manager) -> None:
        """Come to head before the first request is served; never raises for what is in the ledger.

        Args:
            manager: who starts another worker in this one's place, if anybody does.

        Raises:
            StoreError: the ledger can't be read. The app serves what is on disk.
        """
        self._manager = manager
        now = int(time.time())
        self.epoch, self.number = self.ledger.open_epoch(self.program.base, self.config.build, now)
        self.since = int(time.time())
        self.head = self.ledger.state_at(self.epoch, self.number)
        self.catch_up()

    # --- at each request ---

    def before(self) -> None:
        """Called before each request is let in. Costs one look at the counter.

        Raises:
            Unavailable: this worker serves no more.
        """
        try:
            news = self.ledger.counter() != self._seen
        except StoreError:
            news = True  # `_look` says why
        if news:
            self._look()
        if self.ending:
            self._manager.end_this_worker()
            raise Unavailable("this worker is being replaced")
        self._served = True

    def _look(self) -> None:
        """Catch up; a store that is down is no reason not to serve."""
        if time.monotonic() < self._again_at:
            return
        try:
            self.catch_up()
        except StoreError as error:
            self._again_at = time.monotonic() + STORE_AGAIN_S
            log.error("the ledger can't be read, serving on: %s", error)
        except Exception:  # a fault of ours must not take the app down
            self._again_at = time.monotonic() + STORE_AGAIN_S
            log.exception("a fault in flask-habanero, serving on")

    def catch_up(self) -> None:
        """Come to head, if there is a newer one. A failure is kept in `trouble`, see `_fail`.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._lock:
            seen = self.ledger.counter()
            if seen == self._seen:
                return
            record = self.ledger.head(self.epoch)
            if record.number != self.number or self.trouble:
                self._go_to(record)
            self._seen = seen

    def _go_to(self, record: Record) -> None:
        move = self._move
        try:
            if move is not None and move.nonce == record.nonce and move.number == record.number:
                self._finish(move, record)
            else:
                self._jump(record)
        except StoreError:
            raise
        except HabaneroError as error:
            self._fail(error)
        except Exception as error:  # a fault of ours must not take the app down either
            log.exception("a fault in flask-habanero")
            self._fail(CommitError("", f"a fault in flask-habanero: {error!r}"))

    def _jump(self, record: Record) -> None:
        """Go to head in one plan, from whatever this process runs: never release by release."""
        self.head = self.ledger.state_at(self.epoch, record.number)
        self._drop_move()
        if digest_of(self.program.tree) == self.head.digest:  # back to where this process began
            self._arrived(record.number)
            return
        with attempt(self.config.store / "attempts", record.number):
            self._jump_to_head()

    def _jump_to_head(self) -> None:
        plan = self.plan(change_to(self.head))
        self.program.stage(plan)
        holders = self.gate.close(CATCH_UP_S)
        if holders:
            raise BusyError(holders)
        try:
            self.program.commit(plan)
            self._arrived(self.head.number)
        finally:
            self.gate.open()

    def _finish(self, move: Move, record: Record) -> None:
        """Commit what was prepared, now that it is recorded."""
        self.head = _state(move.change, record)
        try:
            if not move.still and (holders := self.gate.close(CATCH_UP_S)):
                raise BusyError(holders)
            move.still = True
            self.program.commit(move.plan)
            self._arrived(record.number)
        finally:
            self._drop_move()

    def _arrived(self, number: int) -> None:
        self.number, self.since, self.trouble = number, int(time.time()), ""

    def _fail(self, error: HabaneroError) -> None:
        """Keep why this worker is not at head, and end it if it must not serve.

        - A program that could not be undone is of no known release: it ends.
        - One that has served serves no more on old code: another is started in its place.
        - One that has not, or that nothing would replace, serves what it has and says that it is behind:
          a release that can't be loaded never takes the app down, and never makes workers boot in a loop.
        """
        self.trouble = str(error)
        log.error("this worker can't go from #%s to head: %s", self.number, error)
        if self._served or isinstance(error, UndoError):
            self.ending = self._manager.would_replace()

    # --- a move, as the coordinator or as told by one ---

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Hold this worker for one move: no other thread moves it, its gate opens at the end."""
        with self._lock:
            try:
                yield
            finally:
                self._drop_move()

    def plan(self, change: Change) -> Plan:
        """Return the plan that leads from what this process runs to a change's tree.

        Raises:
            ColdChangeError: there is none that is hot.
            RejectedError: a unit in it is none.
        """
        plan = self.program.plan(*change.from_(self.program.tree))
        if plan.reasons:
            raise ColdChangeError(plan.reasons)
        return plan

    def hold(self, move_id: str, request: Request, plan: Plan, change: Change) -> None:
        """Keep a plan until it is recorded or dropped."""
        number = request.claims["rel"]
        self._move = Move(move_id, number, request.nonce, plan, change, time.monotonic() + PREPARED_S)

    def prepare(self, move_id: str, request: Request) -> None:
        """Plan what another worker was asked for. Executes nothing.

        Raises:
            HabaneroError: not possible in this worker, with its reasons.
        """
        with self._lock:
            self._drop_move()  # of a coordinator that is gone: a newer one holds the host's lock
            self.catch_up()
            claims = request.claims
            if claims["epoch"] != self.epoch or claims["base"] != self.head.number:
                raise ConflictError(self.epoch, self.head.number)
            change = self.change_of(request)
            self.hold(move_id, request, self.plan(change), change)

    def change_of(self, request: Request) -> Change:
        """Return where a request leads from head. Raises RejectedError, RefusedError, StoreError."""
        return change_of(request, self.head, lambda number: self.ledger.state_at(self.epoch, number))

    def stage(self, move_id: str) -> None:
        """Do the slow and harmless work of a plan, before any gate closes.

        Raises:
            RefusedError: it failed, or this worker holds no such move. Nothing changed.
        """
        with self._lock:
            self.program.stage(self._expect(move_id).plan)

    def quiesce(self, move_id: str) -> tuple[str, ...]:
        """Close the gate for a move. Returns who held it open ("GET /slow 3.2 s"); nothing if all is still.

        Raises:
            RefusedError: this worker holds no such move.
        """
        with self._lock:
            move = self._expect(move_id)
            holders = self.gate.close(self.config.quiesce_ms / 1000)
            move.still = not holders
            move.until = time.monotonic() + (LEASE_S if move.still else PREPARED_S)
            return holders

    def reopen(self, move_id: str) -> None:
        """Let requests in again, until the next `quiesce` of this move: another worker was busy."""
        with self._lock:
            move = self._expect(move_id)
            if move.still:
                self.gate.open()
            move.still, move.until = False, time.monotonic() + PREPARED_S

    def commit_first(self, move_id: str) -> Callable[[], None]:
        """Make a move live before it is recorded; the coordinator's part. Returns what undoes it.

        Raises:
            CommitError: it failed and was undone.
            UndoError: it was not: this worker ends.
        """
        move = self._expect(move_id)
        if not move.still:
            raise RefusedError("the gate is open")
        with self._ending_if_not_undone():
            return self.program.commit(move.plan)

    def take_back(self, undo: Callable[[], None]) -> None:
        """Undo a commit that could not be recorded. Raises UndoError: it failed, and this worker ends."""
        with self._ending_if_not_undone():
            undo()

    @contextmanager
    def _ending_if_not_undone(self) -> Iterator[None]:
        try:
            yield
        except UndoError as error:
            self._fail(error)
            raise

    def settle(self, move_id: str, record: Record) -> None:
        """Take note that the committed move was recorded, and let requests in."""
        move = self._expect(move_id)
        self._seen = self.ledger.counter()
        self.head = _state(move.change, record)
        self._arrived(record.number)
        self._drop_move()

    def abort(self, move_id: str) -> None:
        """Forget a move that was given up."""
        with self._lock:
            if self._move is not None and self._move.id == move_id:
                self._drop_move()

    def tick(self) -> None:
        """Look after what nobody asks for: a lease that ended, a counter that moved while no request came."""
        if self.ending:  # now that the answers that say why are sent
            self._manager.end_this_worker()
        if not self._lock.acquire(blocking=False):
            return  # somebody moves it: nothing to look after
        try:
            self._look()
            if self._move is not None and time.monotonic() > self._move.until:
                log.warning("who led the push to #%s is gone; it was not recorded", self._move.number)
                self._drop_move()
        finally:
            self._lock.release()

    @property
    def patience_s(self) -> float:
        """How long a listener may sleep before the next `tick`, in seconds."""
        move = self._move
        return 1.0 if move is None else min(1.0, max(0.01, move.until - time.monotonic()))

    def _expect(self, move_id: str) -> Move:
        if self._move is None or self._move.id != move_id:
            raise RefusedError("this worker holds no such move")
        return self._move

    def _drop_move(self) -> None:
        move, self._move = self._move, None
        if move is not None and move.still:
            self.gate.open()


def _state(change: Change, record: Record) -> State:
    return State(record.number, change.digest, dict(change.tree), dict(change.units))
