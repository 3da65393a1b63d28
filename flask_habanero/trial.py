"""Releases on trial: live, and taken back by the server unless somebody confirms them in time.

Or only if they fail: such a release stays when its time is over. Others may be pushed on top of it, and end
its trial.

Before a push, its sender hands in the rollback for the case that nobody does, sealed. So what takes
the release back was signed by whoever made it, and is verified like every release; the server
only says when.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .band import Tally, left
from .change import Request, wishes
from .concerned import views_of
from .envelope import REQUEST_CLAIMS, Keyring
from .errors import BuildError, BundleError, Reason, RefusedError, RejectedError
from .release import loads_json

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from flask import Flask

    from .record import Record
    from .worker import Worker

LEAST_S, MOST_S = 5, 3_600
_NONCE = REQUEST_CLAIMS["n"]
log = logging.getLogger("flask_habanero")


class UnconfirmedError(RefusedError):
    """The newest release is on trial: nobody may build on what may go in a moment."""

    slug = "unconfirmed"

    def __init__(self, trial: Trial) -> None:
        until = time.strftime("%H:%M:%S", time.localtime(trial.until))
        super().__init__(f"#{trial.number} by {trial.who} is on trial until {until}, by the server's clock")
        self.number = trial.number

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with both ways out."""
        hint = f"flask habanero confirm {self.number}, or take it back: flask habanero rollback"
        return (Reason(self.slug, "", str(self), hint),)


class NotOnTrialError(RefusedError):
    """There is nothing to confirm."""

    slug = "not-on-trial"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with the way to see what there is."""
        return (Reason(self.slug, "", str(self), "flask habanero log"),)


class OneHostError(RefusedError):
    """Several hosts share their releases, and what is asked for would be known to one of them only."""

    slug = "one-host"

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} of one host, and several share this store")
        self._instead = instead

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with what there is instead."""
        return (Reason(self.slug, "", str(self), self._instead),)


@dataclass(frozen=True)
class Promise:
    """What a sender hands in before a push.

    Attributes:
        nonce: of the push.
        within_s: how long its release may go unconfirmed.
        stays: whether it stays then, if it did not fail.
        rollback: what takes it back; believed, but for its time.
    """

    nonce: str
    within_s: int
    stays: bool
    rollback: Request

    @classmethod
    def of(cls, request: Request, keys: Keyring) -> Promise:
        """Return the promise in a believed request.

        Raises:
            BundleError: it is none, or its rollback is of something else, or could be sent by itself.
        """
        keys_of = ("nonce", "within", "stays", "header", "body")
        told = wishes(request, *keys_of)
        nonce, within, stays, header, text = (told[key] for key in keys_of)
        if type(within) is not int or not LEAST_S <= within <= MOST_S:
            raise BundleError(f"trial: within is no whole number from {LEAST_S} to {MOST_S}")
        if type(nonce) is not str or not _NONCE.match(nonce) or type(text) is not str:
            raise BundleError("trial: no nonce, or no body")
        if type(stays) is not bool:
            raise BundleError("trial: stays is neither true nor false")
        try:
            rollback = Request.verified(header, text.encode(), keys)
            leads_back = _leads_back(rollback, request)
        except (RejectedError, ValueError):
            raise BundleError("trial: its rollback is none, or not one that we believe") from None
        if not leads_back:
            raise BundleError("trial: its rollback is of something else")
        return cls(nonce, within, stays, rollback)


def _leads_back(rollback: Request, request: Request) -> bool:
    """Whether it takes back the release that follows a request's base, and is too old to be sent itself."""
    base, claims = request.claims["base"], rollback.claims
    expected = {
        "op": "rollback",
        "app": request.claims["app"],
        "epoch": request.claims["epoch"],
        "base": base + 1,
        "rel": base + 2,
        "iat": 0,
        "exp": 0,
        "enc": "id",
    }
    if any(claims[name] != value for name, value in expected.items()):
        return False
    return bool(loads_json(rollback.body) == {"to": base})


@dataclass(frozen=True)
class Trial:
    """A release that is on trial.

    Attributes:
        number: of the release.
        nonce: of the push that it was.
        who: made it.
        until: when it is taken back, or stays, seconds since 1970.
        stays: whether it stays then; until then it is taken back only if it fails.
        rollback: what takes it back.
    """

    number: int
    nonce: str
    who: str
    until: int
    stays: bool
    rollback: Request

    def told(self) -> dict[str, Any]:
        """Return what people are told."""
        left = max(0, self.until - int(time.time()))
        told = {"number": self.number, "who": self.who, "until": self.until, "left": left}
        return {**told, "stays": self.stays}


class Trials:
    """Knows whether head is on trial, as this worker sees it. One per worker.

    A promise is kept before its release is recorded, and never after: a head that was found not to be on
    trial never will be. That is why nothing is asked of the store while none is.
    """

    def __init__(self, worker: Worker, keys: Keyring, apps: Collection[Flask], *, measured: bool) -> None:
        """Begin.

        Args:
            worker: whose head it is.
            keys: whom to believe.
            apps: those that the worker serves.
            measured: whether answers are noted also while no release is on trial.
        """
        self._worker, self._keys, self._apps, self._measured = worker, keys, apps, measured
        self._number = -1  # of the head that `_trial` is of
        self._trial: Trial | None = None
        self._before = Tally()  # what was answered before head
        self._tally, self._tallied = Tally(), -1  # what was answered at a head, and its number
        self._changed: frozenset[str] = frozenset()
        worker.gate.heed = self._heed if measured else None

    def of_head(self) -> Trial | None:
        """Return the trial of this worker's head, if it is on trial now. Raises StoreError."""
        number = self._worker.head.number
        if number != self._number or self._trial is not None:  # it may be confirmed by now, anywhere
            self._take_note(number, self._found(number))
        return self._trial

    def _take_note(self, number: int, trial: Trial | None) -> None:
        if trial is not None and number != self._number:
            self._changed = self._concerned(number)
        self._trial, self._number = trial, number
        self._worker.gate.heed = self._heed if self._measured or trial is not None else None

    def _heed(self, start_response: StartResponse) -> StartResponse:
        """Let an answer be noted with those of its head, also of one that nobody has looked for yet."""
        return self._tally_of(self._worker.head.number).heed(start_response)

    def _tally_of(self, number: int) -> Tally:
        if number != self._tallied:
            was_on_trial = self._trial is not None and self._trial.number == self._tallied
            if self._measured and not was_on_trial:  # what was taken back is nothing to compare with
                self._before.take(self._tally)
            self._tally, self._tallied = Tally(), number
        return self._tally

    def _concerned(self, number: int) -> frozenset[str]:
        """Return the views that a release changed. Raises StoreError."""
        worker = self._worker
        old = worker.ledger.state_at(worker.epoch, number - 1)
        new = worker.ledger.state_at(worker.epoch, number)
        overlay = worker.program.overlay
        try:
            return frozenset(view for app in self._apps for view in views_of(app, overlay, old, new))
        except (BuildError, ValueError) as error:  # it is on trial all the same
            log.warning("which views #%d changed can't be told: %s", number, error)
            return frozenset()

    def overdue(self) -> tuple[Trial, str] | None:
        """Return the same, if it is to be taken back now, and why. Raises StoreError."""
        known = self.of_head()
        if known is None:
            return None
        if why := left(self._tally_of(known.number), self._before, self._changed):
            return known, why
        return (known, "not confirmed") if time.time() >= known.until else None

    def check(self) -> None:
        """Raise UnconfirmedError if head is on trial."""
        trial = self.of_head()
        if trial is not None and not trial.stays:
            raise UnconfirmedError(trial)

    def confirm(self, number: int | None) -> int:
        """End the trial of head, which stays. Returns its number, or 0 if it was not on trial any more.

        Raises:
            NotOnTrialError: another release is head, or, with no number, none is on trial.
            StoreError: the ledger can't be written.
        """
        head, trial = self._worker.head.number, self.of_head()
        if number not in (None, head):
            raise NotOnTrialError(f"#{number} can't be confirmed: #{head} is live")
        if trial is None:
            if number is None:
                raise NotOnTrialError(f"#{head}, which is live, is not on trial")
            return 0
        self._worker.ledger.kept.remove(trial.nonce)
        self._take_note(head, None)
        return head

    def _found(self, number: int) -> Trial | None:
        ledger, epoch = self._worker.ledger, self._worker.epoch
        record: Record = ledger.head(epoch)
        kept = ledger.kept.get(record.nonce) if record.number == number else None
        if kept is None:
            return None
        try:
            promise = Promise.of(Request.verified(*kept, self._keys), self._keys)
            if promise.nonce != record.nonce or promise.rollback.claims["base"] != number:
                raise BundleError("it is of another release")
        except RejectedError as error:  # a key that was taken away, or a store that others write to
            log.error("#%d is not on trial: what would take it back can't be believed: %s", number, error)
            return None
        until = record.time + promise.within_s
        if promise.stays and time.time() >= until:
            return None  # it held
        return Trial(number, record.nonce, record.who, until, promise.stays, promise.rollback)
