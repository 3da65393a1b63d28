"""A release on its way through one process: prepared, staged, still, committed or dropped.

At most one at a time. Whoever leads a push has the host's lock; a move that a dead leader left
gives way to the next one, or ends with its lease.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .change import Change, Request
from .errors import ColdChangeError, Reason, RefusedError
from .gate import Gate

if TYPE_CHECKING:
    from .live.plan import Plan
    from .live.program import Program

LEASE_S = 2.0  # a closed gate that nobody talks to for so long is a dead leader's
PREPARED_S = 30.0  # the same for a plan behind an open gate, which holds nobody up
log = logging.getLogger("flask_habanero")


@dataclass
class Move:
    """One release, on its way.

    Attributes:
        id: which round of which leader.
        number: that the release will have.
        nonce: of the request that asks for it.
        kind: what was asked for: "push" or "rollback".
        loaded: the modules concerned that were loaded when it was planned.
        until: when its lease ends, monotonic seconds.
        still: the gate is closed for it, and no request is inside.
    """

    id: str
    number: int
    nonce: str
    kind: str
    plan: Plan
    change: Change
    loaded: frozenset[str]
    until: float
    still: bool = False


class Moves:
    """Holds the one move of this process. Every method but `make` and `drop` asks for it by its id.

    Attributes:
        lock: held by whoever moves this process.
        current: the move, if there is one.
    """

    def __init__(self, program: Program, gate: Gate, quiesce_s: float) -> None:
        self._program, self._gate, self._quiesce_s = program, gate, quiesce_s
        self.lock = threading.RLock()
        self.current: Move | None = None

    def make(self, move_id: str, request: Request, plan: Plan, change: Change) -> None:
        """Keep a plan until it is recorded or dropped."""
        until = time.monotonic() + PREPARED_S
        loaded = loaded_of(self._program, change)
        self.current = Move(
            move_id, request.claims["rel"], request.nonce, request.op, plan, change, loaded, until
        )

    def get(self, move_id: str) -> Move:
        """Return the move. Raises RefusedError: it was dropped, or is another one."""
        if self.current is None or self.current.id != move_id:
            raise RefusedError("this worker holds no such move")
        return self.current

    def stage(self, move_id: str) -> None:
        """Do the slow and harmless work of its plan, before any gate closes. Raises RefusedError."""
        with self.lock:
            self._program.stage(self.get(move_id).plan)

    def quiesce(self, move_id: str) -> tuple[str, ...]:
        """Close the gate. Returns who held it open ("GET /slow 3.2 s"); nothing if all is still.

        Raises:
            RefusedError: there is no such move, or it is not possible any more.
            ColdChangeError: a thread that does not end is in the middle of what would change.
        """
        with self.lock:
            move = self.get(move_id)
            holders = self._gate.close(self._quiesce_s)
            move.still = not holders
            move.until = time.monotonic() + (LEASE_S if move.still else PREPARED_S)
            if move.still:
                self._plan_again(move)
                self._program.check_inside(move.plan)
            return holders

    def _plan_again(self, move: Move) -> None:
        """A request may have imported a module since the plan was made. From now on none can."""
        loaded = loaded_of(self._program, move.change)
        if loaded != move.loaded:
            move.plan = plan_to(self._program, move.change)
            self._program.stage(move.plan)
            move.loaded = loaded

    def reopen(self, move_id: str) -> None:
        """Let requests in again, until the next `quiesce`: another worker was busy."""
        with self.lock:
            move = self.get(move_id)
            if move.still:
                self._gate.open()
            move.still, move.until = False, time.monotonic() + PREPARED_S

    def commit(self, move_id: str) -> Callable[[], None]:
        """Make it live. Returns what takes it back.

        Raises:
            CommitError: it failed and was undone.
            UndoError: and it was not undone.
        """
        move = self.get(move_id)
        if not move.still:
            raise RefusedError("the gate is open")
        return self._program.commit(move.plan)

    def abort(self, move_id: str) -> None:
        """Drop it, if it is still there."""
        with self.lock:
            if self.current is not None and self.current.id == move_id:
                self.drop()

    def drop(self) -> None:
        """Forget the move, whichever it is, and let requests in."""
        move, self.current = self.current, None
        if move is not None and move.still:
            self._gate.open()

    def drop_if_late(self) -> None:
        """Drop a move whose lease has ended."""
        move = self.current
        if move is not None and time.monotonic() > move.until:
            log.warning("who led the push to #%d is gone; it was not recorded", move.number)
            self.drop()

    @property
    def patience_s(self) -> float:
        """How long until a lease may end, in seconds; a second if there is none."""
        move = self.current
        return 1.0 if move is None else min(1.0, max(0.01, move.until - time.monotonic()))


def plan_to(program: Program, change: Change) -> Plan:
    """Return the plan that leads from what a program runs to a change's tree.

    Libraries that it can't be told without are imported.

    Raises:
        ColdChangeError: there is none that is hot.
        RejectedError: a unit in it is none.
        AssetError: an asset in it can't be served.
    """
    plan = program.plan_with_libraries(*change.from_(program.tree), change.assets)
    if plan.reasons:
        raise ColdChangeError(plan.reasons)
    return plan


def foresee(program: Program, change: Change) -> Plan:
    """Return the same plan, but import nothing: where it can't be told without, the error says so first.

    Raises:
        ColdChangeError: there is none that is hot, as far as can be told.
        RejectedError: a unit in it is none.
        AssetError: an asset in it can't be served.
    """
    plan = program.plan(*change.from_(program.tree), change.assets)
    if plan.reasons:
        raise ColdChangeError((*map(_not_loaded, plan.unloaded), *plan.reasons))
    return plan


def check_restart(program: Program, change: Change) -> None:
    """Check that a restart comes to a change, too. Raises ColdChangeError."""
    if program.began is not None:
        return  # whoever starts imports head: there is nothing to come to
    reasons = program.fold_reasons(*change.from_(program.base))
    if reasons:
        raise ColdChangeError(tuple(reasons))


def _not_loaded(library: str) -> Reason:
    what = f"{library} is not imported here yet, so what calling it does can't be told"
    return Reason(
        "not-loaded", library, what, "push: that imports it first, and changes nothing if it is cold then"
    )


def loaded_of(program: Program, change: Change) -> frozenset[str]:
    """Return which modules of the trees before and after are loaded."""
    return frozenset(name for name in (*program.tree, *change.tree) if name in sys.modules)
