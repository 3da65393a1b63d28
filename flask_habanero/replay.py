"""From records to states: reads an epoch from its base on, and believes nothing unchecked.

A state is made in one go, never release by release: the records after the nearest checkpoint are all
checked, but only those pushes are applied that make it up. What was folded last is kept, so that the
next release costs one record and not all of them. A checkpoint that can't be believed is passed over.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .checkpoint import EVERY, Checkpoint, Folded, made_of, opened
from .envelope import Keyring
from .errors import StoreError
from .record import (
    ROLLBACK,
    Fold,
    Record,
    State,
    base_state,
    check_record,
    kid_of,
    lineage,
    link,
    restored,
)
from .store import check_types, checkpoints, rows

_BATCH = 16  # rows at once: bounds the memory, and how long a reader keeps a writer waiting
_BOUNDS = (
    "SELECT first, (SELECT COALESCE(MAX(number), first) FROM releases WHERE releases.epoch = epochs.epoch)"
    " FROM epochs WHERE epoch = ?"
)
_ROLLBACKS = f"epoch = ? AND kind = '{ROLLBACK}' AND number > ? AND number <= ? ORDER BY number"
_FOLLOWING = f"epoch = ? AND number > ? AND number <= ? ORDER BY number LIMIT {_BATCH}"
_AT = "epoch = ? AND number = ?"
_SEAL = f"SELECT seal FROM releases WHERE {_AT}"  # noqa: S608  # our own text
log = logging.getLogger("flask_habanero")


def bounds(db: sqlite3.Connection, epoch: str) -> tuple[int, int]:
    """Return the first number of an epoch, which is its base's, and its last.

    Raises:
        StoreError: there is no such epoch.
    """
    row = db.execute(_BOUNDS, (epoch,)).fetchone()
    if row is None:
        raise StoreError(f"the ledger knows no epoch {epoch[:8]}: restart the app")
    check_types(row, (int, int))
    return row[0], row[1]


class Replay:
    """The states of one app's ledger, as this process has come to know them."""

    def __init__(self, app: str, keys: Keyring) -> None:
        self._app, self._keys = app, keys
        self._newest: Folded | None = None

    def checked(self, record: Record, token: str, prev: str | None = None) -> Mapping[str, Any]:
        """Check a record as `record.check_record` does, for this app and with our keys."""
        return check_record(record, token, self._app, self._keys, prev)

    def state_at(self, db: sqlite3.Connection, epoch: str, number: int) -> State:
        """Return the state at a number of an epoch.

        Raises:
            LookupError: the epoch has no such number.
            StoreError: a record on the way can't be believed.
        """
        return self._folded_at(db, epoch, number).state

    def checkpoint_at(self, db: sqlite3.Connection, epoch: str, number: int) -> Checkpoint | None:
        """Return a checkpoint to keep; None if the last one was not long before. Raises as `state_at`."""
        folded = self._folded_at(db, epoch, number)
        if number - folded.since < EVERY:
            return None
        base = self._base(db, epoch, bounds(db, epoch)[0]).state
        return made_of(folded, base, self._app, self._keys)

    def has_kept(self, made: Checkpoint) -> None:
        """Note that a checkpoint was kept: the next one is not due for long."""
        newest = self._newest
        if newest is not None and newest.epoch == made.epoch and newest.state.number >= made.number:
            self._newest = replace(newest, since=made.number)

    def _folded_at(self, db: sqlite3.Connection, epoch: str, number: int) -> Folded:
        kept = self._newest
        if kept is not None and not _stands(db, kept):
            kept = self._newest = None
        if kept is not None and (kept.epoch, kept.state.number) == (epoch, number):
            return kept
        first, last = bounds(db, epoch)
        if not first <= number <= last:
            raise LookupError(f"epoch {epoch[:8]} goes from #{first} to #{last}, it has no #{number}")
        folded = self._reached(db, epoch, first, number)
        if kept is None or kept.epoch != epoch or kept.state.number < number:
            self._newest = folded
        return folded

    def _reached(self, db: sqlite3.Connection, epoch: str, first: int, number: int) -> Folded:
        near = self._near(db, epoch, first, number)
        at = near.state.number
        start, pushes = lineage(self._restores(db, near, first, number), number, at)
        # A rollback may lead to before what is near. The chain was checked up to there all the same
        origin = near if start == at else self._reached(db, epoch, first, start)
        return self._fold(db, near, origin.state, pushes, number)

    def _near(self, db: sqlite3.Connection, epoch: str, first: int, number: int) -> Folded:
        """Return the nearest state at or before a number: folded before, kept in the ledger, or the base."""
        kept = self._newest
        if kept is not None and (kept.epoch != epoch or kept.state.number > number):
            kept = None
        try:
            found = checkpoints(db, epoch, kept.state.number if kept else first, number)
        except (StoreError, sqlite3.Error) as error:
            log.warning("the checkpoints can't be read, so all records are: %s", error)
            found = []
        for one in found:
            try:
                return self._opened(db, one, first)
            except StoreError as error:
                log.warning("%s; records are read in its place", error)
        return kept or self._base(db, epoch, first)

    def _opened(self, db: sqlite3.Connection, one: Checkpoint, first: int) -> Folded:
        base = self._base(db, one.epoch, first).state
        for record, token in rows(db, _AT, one.epoch, one.number):
            self.checked(record, token)
            return opened(one, record, link(token), base, self._app, self._keys)
        raise StoreError(f"checkpoint #{one.number} of epoch {one.epoch[:8]}: there is no such record")

    def _base(self, db: sqlite3.Connection, epoch: str, first: int) -> Folded:
        found = rows(db, _AT, epoch, first)
        if not found:
            raise StoreError(f"record #{first} of epoch {epoch[:8]}, its base, is missing")
        ((record, token),) = found
        self.checked(record, token, "")
        return Folded(epoch, link(token), base_state(record), frozenset({kid_of(token)}), first)

    def _restores(self, db: sqlite3.Connection, start: Folded, first: int, number: int) -> dict[int, int]:
        """Return of each rollback after a state, up to a number, whose state it restores."""
        found = rows(db, _ROLLBACKS, start.epoch, start.state.number, number)
        return {r.number: restored(r, self.checked(r, token), first) for r, token in found}

    def _fold(
        self, db: sqlite3.Connection, near: Folded, origin: State, pushes: set[int], number: int
    ) -> Folded:
        """Check every record after what is near, up to a number, and apply those pushes to `origin`."""
        fold, prev, kids, record = Fold(origin), near.link, set(near.kids), None
        for record, token in _following(db, near, number):
            claims = self.checked(record, token, prev)
            if record.number in pushes:
                fold.push(record, claims)
            prev = link(token)
            kids |= {record.kid, kid_of(token)}
        if record is None:
            return near
        return Folded(near.epoch, prev, fold.state(record), frozenset(kids), near.since)


def _stands(db: sqlite3.Connection, kept: Folded) -> bool:
    """Whether what was folded does not end in another record than the ledger has: its branch was given up."""
    row = db.execute(_SEAL, (kept.epoch, kept.state.number)).fetchone()
    return row is None or (type(row[0]) is str and link(row[0]) == kept.link)


def _following(db: sqlite3.Connection, start: Folded, number: int) -> Iterator[tuple[Record, str]]:
    at = start.state.number
    while at < number:
        batch = rows(db, _FOLLOWING, start.epoch, at, number)
        for found in batch:
            at += 1
            if found[0].number != at:
                raise StoreError(f"record #{at} of epoch {start.epoch[:8]} is missing")
            yield found
        if not batch:
            raise StoreError(f"record #{at + 1} of epoch {start.epoch[:8]} is missing")
