"""From records to states: reads an epoch from its base on, and believes nothing unchecked.

A state is made in one go, never release by release: the records of an epoch are all checked,
but only those pushes are applied that make it up. What was folded last is kept, so that the
next release costs one record and not all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .envelope import Keyring
from .errors import StoreError
from .record import ROLLBACK, Fold, Record, State, base_state, check_record, lineage, link, restored
from .store import check_types, rows

_BATCH = 16  # rows at once: bounds the memory, and how long a reader keeps a writer waiting
_BOUNDS = (
    "SELECT first, (SELECT COALESCE(MAX(number), first) FROM releases WHERE releases.epoch = epochs.epoch)"
    " FROM epochs WHERE epoch = ?"
)
_ROLLBACKS = f"epoch = ? AND kind = '{ROLLBACK}' AND number > ? AND number <= ? ORDER BY number"
_FOLLOWING = f"epoch = ? AND number > ? AND number <= ? ORDER BY number LIMIT {_BATCH}"


@dataclass(frozen=True)
class _Folded:
    epoch: str
    link: str  # of the record whose state it is
    state: State


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
        self._newest: _Folded | None = None

    def checked(self, record: Record, token: str, prev: str | None = None) -> Mapping[str, Any]:
        """Check a record as `record.check_record` does, for this app and with our keys."""
        return check_record(record, token, self._app, self._keys, prev)

    def state_at(self, db: sqlite3.Connection, epoch: str, number: int) -> State:
        """Return the state at a number of an epoch.

        Raises:
            LookupError: the epoch has no such number.
            StoreError: a record on the way can't be believed.
        """
        kept = self._newest
        if kept is not None and (kept.epoch, kept.state.number) == (epoch, number):
            return kept.state
        first, last = bounds(db, epoch)
        if not first <= number <= last:
            raise LookupError(f"epoch {epoch[:8]} goes from #{first} to #{last}, it has no #{number}")
        start, pushes = self._way(db, epoch, first, number)
        folded = self._fold(db, start, pushes, number)
        if kept is None or kept.epoch != epoch or kept.state.number < number:
            self._newest = folded
        return folded.state

    def _way(self, db: sqlite3.Connection, epoch: str, first: int, number: int) -> tuple[_Folded, set[int]]:
        """Return a state to begin with, and which pushes lead from there to a number's state."""
        kept = self._newest
        if kept is not None and kept.epoch == epoch and kept.state.number < number:
            start, pushes = lineage(self._restores(db, kept, first, number), number, kept.state.number)
            if start == kept.state.number:  # else a rollback leads to before it
                return kept, pushes
        base = self._base(db, epoch, first)
        return base, lineage(self._restores(db, base, first, number), number, first)[1]

    def _base(self, db: sqlite3.Connection, epoch: str, first: int) -> _Folded:
        found = rows(db, "epoch = ? AND number = ?", epoch, first)
        if not found:
            raise StoreError(f"record #{first} of epoch {epoch[:8]}, its base, is missing")
        ((record, token),) = found
        self.checked(record, token, "")
        return _Folded(epoch, link(token), base_state(record))

    def _restores(self, db: sqlite3.Connection, start: _Folded, first: int, number: int) -> dict[int, int]:
        """Return of each rollback after a state, up to a number, whose state it restores."""
        found = rows(db, _ROLLBACKS, start.epoch, start.state.number, number)
        return {r.number: restored(r, self.checked(r, token), first) for r, token in found}

    def _fold(self, db: sqlite3.Connection, start: _Folded, pushes: set[int], number: int) -> _Folded:
        """Check every record after a state, up to a number, and apply those pushes."""
        fold, prev, record = Fold(start.state), start.link, None
        for record, token in _following(db, start, number):
            claims = self.checked(record, token, prev)
            if record.number in pushes:
                fold.push(record, claims)
            prev = link(token)
        return start if record is None else _Folded(start.epoch, prev, fold.state(record))


def _following(db: sqlite3.Connection, start: _Folded, number: int) -> Iterator[tuple[Record, str]]:
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
