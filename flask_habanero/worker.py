"""One process of the app: what it runs, and how it gets to head.

Whoever notices first that a release was recorded (the listener, a request, a lease that ended)
commits what was prepared for it (`moves.py`), or else goes to head in one plan.

It knows no sockets and no Flask; `fleet.py` carries its messages.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .change import Change, Request, change_of, change_to
from .checkpoint import EVERY
from .errors import (
    BusyError,
    ColdChangeError,
    CommitError,
    ConflictError,
    HabaneroError,
    StoreError,
    UndoError,
)
from .gate import Gate, Unavailable
from .guard import COMMIT_S, LIBRARIES_S, MOST_DEATHS, attempt, watched
from .leaving import Leaving
from .manager import Manager
from .moves import Move, Moves, loaded_of, plan_to
from .record import PUSH, ROLLBACK, Record, State
from .release import digest_of
from .signals import Announcer, release_live, release_rolled_back

if TYPE_CHECKING:
    from .config import Config
    from .ledger import Ledger
    from .live.plan import Step
    from .live.program import Program

CATCH_UP_S = 5.0  # how long a worker that missed a release waits for its running requests, before it ends
STORE_AGAIN_S = 1.0  # a store that is down is asked once a second, not at each request
log = logging.getLogger("flask_habanero")


class Worker:
    """What this process runs, and the ways to change it. One per process, made after the fork.

    Attributes:
        epoch: the epoch of the code that this process was started with.
        number: the release that it runs.
        head: the newest state of the epoch that it knows.
        since: when it came to run `number`, seconds since 1970.
        trouble: why it does not run head; empty when it does.
        cold_head: the head that only a restart could bring it to.
        restarts_late: whether its host restarts itself for such a head; then it serves on until that.
        ending: it serves no more: its process manager was asked for another.
        leaving: how it serves on, with the release that it has, until a restart replaces it.
        moves: the release on its way through it.
        follows: it serves no requests: its own code runs all the while, and may be what would change.
        news: who tells the app's own code of it.
    """

    def __init__(
        self,
        program: Program,
        gate: Gate,
        ledger: Ledger,
        config: Config,
        news: Announcer,
        follows: bool = False,
    ) -> None:
        self.pid, self.follows, self.news = os.getpid(), follows, news
        self.program, self.gate, self.ledger, self.config = program, gate, ledger, config
        self.epoch, self.number, self.since, self.trouble = "", 0, 0, ""
        self.head: State
        self.ending, self.cold_head = False, 0
        self.restarts_late: Callable[[int], bool] = lambda _number: False
        self.leaving: Leaving
        self._manager = Manager()
        self._seen = -1  # the counter's value that `number` belongs to
        self._served = False
        self._again_at = 0.0
        self._keeps = not follows  # a checkpoint may be due; at the start nobody knows
        self._owes = False  # one was due, and could not be kept: after the next release it may be
        self.moves = Moves(program, gate, config.quiesce_ms / 1000)

    def start(self, manager: Manager) -> None:
        """Come to head before the first request is served; never raises for what is in the ledger.

        Args:
            manager: who starts another worker in this one's place, if anybody does.

        Raises:
            StoreError: the ledger can't be read. The app serves what is on disk.
        """
        self._manager, self.leaving = manager, Leaving(self.program, self.config, manager)
        now = int(time.time())
        overlay = self.program.overlay
        self.epoch, self.number = self.ledger.open_epoch(
            self.program.base, self.config.build, now, overlay.disk, overlay
        )
        self.since = int(time.time())
        self.head = self.ledger.state_at(self.epoch, self.number)
        self.program.overlay.begin(self.head.assets)
        began = self.program.began
        if began is not None and began != self.number:
            self._try(lambda: self._jump(began, PUSH))  # its modules are there; assets may be missing
        self.catch_up()
        if self.trouble and not self.ending:
            self._fall_back()

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
        if self.leaving.begun:
            return
        with self.moves.lock:
            seen = self.ledger.counter()
            if seen == self._seen:
                return
            self.epoch = self.ledger.instead_of(self.epoch)
            record = self.ledger.head(self.epoch)
            if (record.number, record.tree_digest) != (self.number, self.head.digest) or self.trouble:
                if self.leaving.is_for(record):
                    self.leave(record.number)
                else:
                    self._go_to(record)
            self._seen = seen

    def leave(self, number: int) -> None:
        """Serve on with the release that is here until this worker is replaced.

        Args:
            number: of the release that it can't go to.
        """
        self.leaving.begin()
        self.trouble = f"#{number} is made live by a restart, and this worker ends"
        self.moves.drop()

    def finish(self, move_id: str) -> None:
        """Commit what was prepared: its leader says that it is recorded. Else do as `catch_up`.

        The counter must say so, too. The record itself is looked at by the next `catch_up`: that takes longer
        than the commit, for which the requests here, and the push, are waiting.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self.moves.lock:
            move = self.moves.current
            if move is None or move.id != move_id or not move.still or self.ledger.counted() != move.number:
                self.catch_up()
            else:
                self._try(lambda: self._finish(move))

    def _fall_back(self) -> None:
        """Serve what was live before a head that can't be loaded here; if that can't be either, the disk.

        It is tried once: whoever dies of this one as well was the last.
        """
        head, trouble, cold = self.head, self.trouble, self.cold_head
        if head.number - 1 > self.number:
            with suppress(StoreError):  # what is on disk needs no ledger
                self._try(lambda: self._jump(head.number - 1, PUSH, most=1))
        self.head, self.trouble, self.cold_head = head, trouble, cold

    def _go_to(self, record: Record) -> None:
        move = self.moves.current
        if move is not None and move.still and (move.nonce, move.number) == (record.nonce, record.number):
            self._try(lambda: self._finish(move))
        else:
            self._try(lambda: self._jump(record.number, record.kind))

    def _try(self, go: Callable[[], None]) -> None:
        """Go; what fails is kept. Raises StoreError."""
        try:
            go()
        except StoreError:
            raise
        except HabaneroError as error:
            self._fail(error)
        except (Exception, SystemExit) as error:  # a fault of ours must not take the app down either
            log.exception("a fault in flask-habanero")
            self._fail(CommitError("", f"a fault in flask-habanero: {error!r}"))

    def _jump(self, number: int, kind: str, most: int = MOST_DEATHS) -> None:
        """Go to a release in one plan, from whatever this process runs: never release by release."""
        self.head = self.ledger.state_at(self.epoch, number)
        self.moves.drop()
        here = digest_of(self.program.tree, self.program.overlay.assets)
        if here == self.head.digest:  # back to where this process began
            self._arrived(number, kind, ())
            return
        with attempt(self.config.store / "attempts", number, most=most):
            self._jump_to_head(kind)

    def _jump_to_head(self, kind: str) -> None:
        change = change_to(self.head)
        with watched(LIBRARIES_S):
            loaded, plan = loaded_of(self.program, change), plan_to(self.program, change)
            self.program.stage(plan)
        holders = self.gate.close(CATCH_UP_S)
        if holders:
            raise BusyError(holders)
        try:
            if loaded_of(self.program, change) != loaded:  # a request has imported something meanwhile
                plan = plan_to(self.program, change)
            if self.follows:
                self.program.check_inside(plan)
            with watched(COMMIT_S):
                self.program.commit(plan)
            self._arrived(self.head.number, kind, plan.steps)
        finally:
            self.gate.open()

    def _finish(self, move: Move) -> None:
        """Commit what was prepared, now that it is recorded."""
        self.head = _state(move.change, move.number)
        try:
            with watched(COMMIT_S):
                self.moves.commit(move.id)
            self._arrived(move.number, move.kind, move.plan.steps)
        finally:
            self.moves.drop()

    def _arrived(self, number: int, kind: str, steps: Iterable[Step]) -> None:
        self.number, self.since, self.trouble, self.cold_head = number, int(time.time()), "", 0
        signal = release_rolled_back if kind == ROLLBACK else release_live
        # As text: a step holds what it replaced, and that is to be held by nobody
        self.news.tell(signal, self.moves.lock, release=number, steps=tuple(map(str, steps)))

    def _fail(self, error: HabaneroError) -> None:
        """Keep why this worker is not at head, and end it if it must not serve.

        - A program that could not be undone is of no known release: it ends.
        - One that has served serves no more on old code: another is started in its place. Unless only
          a restart of all brings it to head, which is on its way: another one could not come there either.
        - One that has not, or that nothing would replace, serves what it has and says that it is behind:
          a release that can't be loaded never takes the app down, and never makes workers boot in a loop.
        """
        self.trouble = str(error)
        self.cold_head = self.head.number if isinstance(error, ColdChangeError) else 0
        log.error("this worker can't go from #%s to head: %s", self.number, error)
        waits = self.cold_head and self.restarts_late(self.cold_head)
        if (self._served and not waits) or isinstance(error, UndoError):
            self.ending = self._manager.would_replace()

    # --- a move, as the leader or as told by one ---

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Hold this worker for one move: no other thread moves it, its gate opens at the end."""
        with self.moves.lock:
            try:
                yield
            finally:
                self.moves.drop()

    def prepare(self, move_id: str, request: Request) -> None:
        """Plan what another worker was asked for. Executes nothing.

        Raises:
            HabaneroError: not possible in this worker, with its reasons.
        """
        with self.moves.lock:
            self.moves.drop()  # of a leader that is gone: a newer one holds the host's lock
            self.catch_up()
            claims = request.claims
            if claims["epoch"] != self.epoch or claims["base"] != self.head.number:
                raise ConflictError(self.epoch, self.head.number)
            change = self.change_of(request)
            self.moves.make(move_id, request, plan_to(self.program, change), change)

    def change_of(self, request: Request) -> Change:
        """Return where a request leads from head. Raises RejectedError, RefusedError, StoreError."""
        return change_of(request, self.head, lambda number: self.ledger.state_at(self.epoch, number))

    def commit_first(self, move_id: str) -> Callable[[], None]:
        """Make a move live before it is recorded; the leader's part. Returns what undoes it.

        Raises:
            CommitError: it failed and was undone.
            DeadlyError: it ended the workers that led it before, when its sender asked again.
            UndoError: it was not: this worker ends.
        """
        move = self.moves.get(move_id)
        noted = attempt(self.config.store / "leading", move.number, move.nonce)
        with self._ending_if_not_undone(), noted, watched(COMMIT_S):
            return self.moves.commit(move_id)

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
        move = self.moves.get(move_id)
        self._seen = self.ledger.counter()
        self.head = _state(move.change, record.number)
        self._arrived(record.number, move.kind, move.plan.steps)
        self.moves.drop()
        self._keeps |= self._owes or record.number % EVERY == 0

    def tick(self) -> None:
        """Look after what nobody asks for: a lease that ended, a counter that moved while no request came."""
        if self.ending:  # now that the answers that say why are sent
            self._manager.end_this_worker()
        self.leaving.tick()
        if not self.moves.lock.acquire(blocking=False):
            return  # somebody moves it: nothing to look after
        try:
            self._look()
            self.moves.drop_if_late()
        finally:
            self.moves.lock.release()
        if self._keeps:
            self._keeps = self._owes = False
            self._keep_checkpoint()

    def _keep_checkpoint(self) -> None:
        try:
            self.ledger.keep_checkpoint(self.epoch)
        except StoreError as error:
            self._owes = True
            log.warning("no checkpoint of the ledger was kept: %s", error)


def _state(change: Change, number: int) -> State:
    return State(number, change.digest, dict(change.tree), dict(change.units), dict(change.assets))
