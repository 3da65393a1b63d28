"""A host's own history of a deploy, beside those of other hosts and of the store that they share.

Two of them may have come apart: each goes on, in its own way, from the last release that both have. Neither
is believed over the other, until a person has said whose *branch* stays (`resync.py`). Then that host gives
it to the shared store, and the others give up theirs. What was given up is kept in a table beside the
releases, which nothing reads but who looks whether a person's word was taken before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from .envelope import unpack
from .errors import RefusedError, RejectedError, StoreError
from .record import PUSH, Record, link
from .release import Bundle
from .replay import Replay, bounds
from .shared import Entry, Position, Shared, packed, unpacked
from .store import Newest, Store, newest, rows

TOLD = 50  # releases of a branch that are told, the newest
_BATCH = 16  # records at once
_FROM = f"epoch = ? AND number >= ? ORDER BY number LIMIT {_BATCH}"
_NEWEST = f"epoch = ? ORDER BY number DESC LIMIT {TOLD}"
_SEAL = "SELECT seal FROM releases WHERE epoch = ? AND number = ?"
_TABLE = "CREATE TABLE IF NOT EXISTS given_up AS SELECT '' AS said, * FROM releases WHERE 0"
_GIVEN_UP = "INSERT INTO given_up SELECT ?, * FROM releases WHERE epoch = ? AND number >= ?"

Admit = Callable[[sqlite3.Connection, str, Record, str], None]
"""Writes down a record of another host, if it can be believed."""


class End(NamedTuple):
    """The newest record of a branch: its epoch, its number, and its link."""

    epoch: str
    number: int
    link: str


@dataclass(frozen=True)
class Order:
    """What a person has decided.

    Attributes:
        nonce: of the request that says so.
        keep: the end of the branch that stays.
        drop: the ends of those that are given up.
        seen: how far the epoch that stays had come in the shared store.
    """

    nonce: str
    keep: End
    drop: frozenset[End]
    seen: Position


class MovedOnError(RefusedError):
    """Something is not as the person saw it who decided."""

    slug = "moved-on"
    outcome = "conflict"


class Branch:
    """This host's, and what lies in the shared store. Calls may raise StoreError."""

    def __init__(self, store: Store, replay: Replay, shared: Shared, admit: Admit) -> None:
        self._store, self._replay, self._shared, self._admit = store, replay, shared, admit

    # --- looking ---

    def told(self) -> dict[str, Any]:
        """Return this host's, verified: its epoch, how many records it has, and the newest releases."""
        with self._store.reading() as db:
            at = _newest(db)
            self._replay.state_at(db, at.epoch, at.head)
            found = rows(db, _NEWEST, at.epoch)
            told = [self._row(record, token) for record, token in found if record.number > at.first]
            end = _end(db, at)
        return {"end": end, "length": at.head - at.first + 1, "releases": told}

    def there(self, epoch: str) -> tuple[Position, list[dict[str, Any]], int]:
        """Return how far an epoch has come in the shared store, its newest releases, how many are none."""
        position = self._shared.position(epoch)
        told, strange = [], 0
        for data in reversed(self._shared.read(epoch, max(0, position.length - TOLD), TOLD)):
            try:
                record, token = unpacked(data)
                if record.epoch != epoch:
                    raise StoreError("of another epoch")
                row = self._row(record, token)
            except StoreError:
                strange += 1
            else:
                told += [row] if record.header else []
        return position, told, strange

    def _row(self, record: Record, token: str) -> dict[str, Any]:
        """Return a release as people are told it. Raises StoreError: it can't be believed."""
        claims, names = self._replay.checked(record, token), []
        if record.kind == PUSH:
            with suppress(RejectedError):  # a list for people does without
                bundle = Bundle.decode(unpack(record.body, claims["enc"], claims["ulen"]))
                names = [*(unit.name for unit in bundle.units), *(one.name for one in bundle.assets)]
                names += bundle.deletions
        end = End(record.epoch, record.number, link(token))
        about = {"kind": record.kind, "who": record.who, "time": record.time, "note": record.note}
        return {"end": end, **about, "modules": sorted(names)}

    def has(self, ends: Sequence[End]) -> list[End]:
        """Return which of some records are in this host's branch."""
        with self._store.reading() as db:
            epoch = _newest(db).epoch
            return [end for end in ends if end.epoch == epoch and _link(db, epoch, end.number) == end.link]

    # --- the branch that stays ---

    def give(self, order: Order, names: Sequence[str]) -> int:
        """Put this host's branch into the shared store, verified. Returns how many records were other there.

        Raises:
            MovedOnError: it is not the branch that was seen, or the store has come further.
        """
        with self._store.reading() as db:
            at = _newest(db)
            if _end(db, at) != order.keep:
                raise MovedOnError(f"this host is at #{at.head} by now")
            place = self._alike(db, at)
            count = at.head - at.first + 1 - place
            surplus = max(0, order.seen.length - place - count)
            found = [*names, rows(db, "epoch = ? AND number = ?", at.epoch, at.head)[0][0].tree_digest]
            entries = (packed(*row) for row in _rows_from(db, at.epoch, at.first + place))
            if not self._shared.splice(found, at.epoch, place, order.seen, entries):
                raise MovedOnError(f"{self._shared.place} has come further by now")
        return count + surplus

    def _alike(self, db: sqlite3.Connection, at: Newest) -> int:
        """Return how many records the shared store has as this host has them, which are all verified."""
        alike, differs, prev, theirs = 0, False, "", iter(self._entries(at.epoch))
        for record, token in _rows_from(db, at.epoch, at.first):
            self._replay.checked(record, token, prev)
            prev = link(token)
            differs = differs or next(theirs, None) != packed(record, token)
            alike += not differs
        return alike

    def _entries(self, epoch: str) -> Iterator[Entry]:
        place = 0
        while batch := self._shared.read(epoch, place, _BATCH):
            yield from map(Entry, self._shared.links(epoch, place, _BATCH), batch)
            place += len(batch)

    # --- a branch that is given up ---

    def come(self, order: Order) -> int:
        """Give up this host's branch for the one that stays. Returns how many releases were given up.

        Nothing is done if it is not one of those that are to go, or if this very word was taken before.

        Raises:
            StoreError: what lies in the shared store is not the branch that stays. Nothing was done.
        """
        with self._store.writing() as db:
            at = newest(db)
            if at is None or _end(db, at) not in order.drop:
                return 0
            db.execute(_TABLE)
            if db.execute("SELECT 1 FROM given_up WHERE said = ?", (order.nonce,)).fetchone():
                return 0
            place = self._common(db, order.keep.epoch)
            lost = self._give_up(db, order, at, place)
            self._take(db, order.keep.epoch, place)
            if _link(db, order.keep.epoch, order.keep.number) != order.keep.link:
                raise StoreError(f"{self._shared.place} does not have the releases that are to stay")
        with suppress(FileNotFoundError):  # what it says of a number is not of that release any more
            (self._store.folder / "attempts").unlink()
        return lost

    def _common(self, db: sqlite3.Connection, epoch: str) -> int:
        """Return how many records of an epoch this host and the shared store have in common."""
        found = db.execute("SELECT first FROM epochs WHERE epoch = ?", (epoch,)).fetchone()
        if found is None:
            return 0
        first, last = bounds(db, epoch)
        low, high = 0, last - first + 1
        while low < high:  # what follows a record that is another is another, too
            place = (low + high) // 2
            same = self._shared.link_at(epoch, place) == _link(db, epoch, first + place)
            low, high = (place + 1, high) if same else (low, place)
        return low

    def _give_up(self, db: sqlite3.Connection, order: Order, at: Newest, place: int) -> int:
        """Take away what others do not have. What is left is the newest epoch, and counted anew."""
        lost, keep = 0, order.keep.epoch
        if at.epoch != keep:
            lost += _removed(db, order.nonce, at.epoch, at.first)
            db.execute("DELETE FROM epochs WHERE epoch = ?", (at.epoch,))
        found = db.execute("SELECT build, first FROM epochs WHERE epoch = ?", (keep,)).fetchone()
        if found is not None:
            lost += _removed(db, order.nonce, keep, found[1] + place)
            db.execute("DELETE FROM epochs WHERE epoch = ?", (keep,))
        if place:
            db.execute("INSERT INTO epochs(epoch, build, first) VALUES(?, ?, ?)", (keep, *found))
        return lost

    def _take(self, db: sqlite3.Connection, epoch: str, place: int) -> None:
        while batch := self._shared.read(epoch, place, _BATCH):
            for data in batch:
                self._admit(db, epoch, *unpacked(data))
            place += len(batch)


def _removed(db: sqlite3.Connection, said: str, epoch: str, number: int) -> int:
    """Move records from a number on to where those are that were given up. Returns how many releases."""
    db.execute(_GIVEN_UP, (said, epoch, number))
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone():
        db.execute("DELETE FROM checkpoints WHERE epoch = ? AND number >= ?", (epoch, number))
    lost_ones = "SELECT COUNT(*) FROM releases WHERE epoch = ? AND number >= ? AND header != ''"
    (lost,) = db.execute(lost_ones, (epoch, number)).fetchone()
    db.execute("DELETE FROM releases WHERE epoch = ? AND number >= ?", (epoch, number))
    return int(lost)


def instead_of(db: sqlite3.Connection, epoch: str) -> str:
    """Return an epoch, or the one for which it was given up."""
    if db.execute("SELECT 1 FROM epochs WHERE epoch = ?", (epoch,)).fetchone():
        return epoch
    return _newest(db).epoch


def _newest(db: sqlite3.Connection) -> Newest:
    at = newest(db)
    if at is None:
        raise StoreError("this host knows no release of this deploy yet")
    return at


def _end(db: sqlite3.Connection, at: Newest) -> End:
    return End(at.epoch, at.head, _link(db, at.epoch, at.head))


def _link(db: sqlite3.Connection, epoch: str, number: int) -> str:
    """Return the link of a record, "" if there is none."""
    row = db.execute(_SEAL, (epoch, number)).fetchone()
    return link(row[0]) if row is not None and type(row[0]) is str else ""


def _rows_from(db: sqlite3.Connection, epoch: str, number: int) -> Iterator[tuple[Record, str]]:
    while batch := rows(db, _FROM, epoch, number):
        yield from batch
        number += len(batch)
