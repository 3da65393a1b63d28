"""A host's ledger where several hosts share one: what is decided there is in each host's own, too.

A release is decided at one moment in the shared store, and then written here; what other hosts decided
is fetched, and each record is verified as it comes. So a request costs what it costs on one host, and an
app serves on, at the head that its host knows, while the shared store is away.

The shared store may lose what was in it, or its end: whoever still has that puts it back. What it may not
is to have something else: then nobody believes it, and no push is taken, until a person has decided.
"""

from __future__ import annotations

import logging
import math
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .branch import Branch, instead_of
from .disk import Disk
from .envelope import Keyring
from .errors import BusyError, ConflictError, Reason, StoreError
from .hosts import Beat, Hosts
from .ledger import Ledger
from .record import BASE, Record
from .release import digest_of
from .replay import bounds
from .shared import Entry, Facts, Shared, packed, unpacked
from .store import Newest, newest, rows

EMPTY_S = 2.0  # hosts put back what was lost within a second
_BATCH = 16  # records at once
_AT = "epoch = ? AND number = ?"
log = logging.getLogger("flask_habanero")


class UnsureError(StoreError):
    """The shared store went away while it was asked to decide: it may have."""

    outcome = "unknown"


class ForkedError(StoreError):
    """The shared store has other records than this host."""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The error as a reason, with the way out."""
        return (Reason(self.slug, "", str(self), "flask habanero resync"),)


class Mirror(Ledger):
    """A ledger whose releases are decided for all hosts at once.

    Attributes:
        hosts: this host among the others.
        decide_by: until when, monotonic seconds, a release may be decided: then gates open by themselves.
    """

    def __init__(self, folder: Path, app_id: str, keys: Keyring, shared: Shared) -> None:
        super().__init__(folder, app_id, keys)
        self.hosts = Hosts(folder, app_id, keys, shared)
        self._shared, self._names, self._leader = shared, [""], ""
        self._decided: Record | None = None
        self.branch = Branch(self._store, self._replay, shared, self._admit)
        self.decide_by = math.inf

    # --- epochs ---

    def _open(self, disk: Disk, build: str | None, now: int) -> tuple[str, int]:
        """Return what `Ledger.open_epoch` does, of the epoch that all hosts have of this deploy.

        All its records are here then, as far as the shared store can be reached. If it can't, what
        this host knows of the deploy is served.

        Raises:
            StoreError: it can't be reached, and this host does not know the deploy.
        """
        self._names = _names_of(disk, build)
        found = self.find_epoch(disk, build)
        try:
            epoch = self._join(found[0] if found else "")
        except StoreError as error:
            if found is None:
                raise
            log.warning("starting at what this host knows: %s", error)
            return super()._open(disk, build, now)
        found = super()._open(disk, build, now)
        if found[0] == epoch:
            return found
        winner = self._publish(found[0])
        if winner != found[0]:  # another host was faster
            self._follow(winner)
            found = super()._open(disk, build, now)
        return found

    def _join(self, mine: str) -> str:
        """Say that this host is there, then fetch what others have of its deploy. Returns that epoch, or "".

        In this order: a leader that does not see this host yet has not decided yet, or it is seen here.
        """
        roster = self.hosts.roster()
        before = roster.get(self.hosts.own)
        if before is None or before.is_silent:  # nobody speaks for this host, or not any more
            self.hosts.beat(self.deploy, "", 0)
        theirs = self._theirs(mine, roster.values())
        if theirs:
            self._follow(theirs)
        elif mine:
            self.refresh()
        else:
            theirs = self._looked_twice()
        return theirs or mine

    def _looked_twice(self) -> str:
        """Return the epoch of other hosts, if there is one: one that begins anew must not hide what was lost.

        Raises:
            StoreError: another host knows the deploy, and has not put it back yet.
        """
        if not self._shared.known(self._names).newest:
            time.sleep(EMPTY_S)  # nothing at all: if it was lost, it is put back by now
        roster = self.hosts.roster()
        theirs = self._theirs("", roster.values())
        if theirs:
            self._follow(theirs)
            return theirs
        for beat in roster.values():
            if beat.deploy == self.deploy and beat.epoch and beat.host != self.hosts.own:
                raise StoreError(f"{self._shared.place} has lost what {beat.host} knows of this deploy")
        self._least = self._last_number()
        return ""

    def _theirs(self, mine: str, roster: Iterable[Beat]) -> str:
        """Return the epoch to take over from other hosts, or "" to go on with one's own, or a new one."""
        known, running = self._shared.known(self._names), {beat.epoch for beat in roster}
        if known.epoch in ("", mine) or not self._shared.position(known.epoch).length:
            return ""
        if mine in running and self._shared.position(mine).length:
            return ""
        # An older deploy of the same code, which nobody runs any more, is superseded as on one host
        return known.epoch if known.epoch == known.newest or known.epoch in running else ""

    def _last_number(self) -> int:
        """Return the highest number that other hosts have: a new epoch goes on counting there, too."""
        epoch = self._shared.known(self._names).newest
        for data in self._shared.read(epoch, 0, 1) if epoch else ():
            record, token = unpacked(data)
            with suppress(StoreError):  # it tells a number, and no more
                self._replay.checked(record, token, "")
                return record.number + self._shared.position(epoch).length - 1
        return 0

    @property
    def deploy(self) -> str:
        """What was deployed cold here, in a word."""
        return self._names[0]

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is found by."""
        return tuple(self._names)

    def instead_of(self, epoch: str) -> str:
        """Return the epoch that a worker of some epoch belongs to: that one, if it was not given up since."""
        with self._store.reading() as db:
            return instead_of(db, epoch)

    def _publish(self, epoch: str) -> str:
        """Put an epoch into the shared store. Returns it, or that of a host that was faster."""
        seen = self._shared.known(self._names[:1]).epoch
        with self._store.reading() as db:
            base = self._entry(db, epoch, bounds(db, epoch)[0])
        return self._shared.begin(self._names, seen, epoch, base)

    def at(self) -> tuple[str, int]:
        """Return the newest epoch that this host knows, and its head. Raises StoreError."""
        with self._store.reading() as db:
            at = newest(db)
        return ("", 0) if at is None else (at.epoch, at.head)

    def beat(self) -> None:
        """Say that this host is there, and what it runs. Raises StoreError."""
        self.hosts.beat(self.deploy, *self.at())

    # --- to and from the shared store ---

    def refresh(self) -> None:
        """Fetch what other hosts decided; put back what the shared store has lost. Raises StoreError."""
        try:
            self._align()
        except StoreError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""

    def _align(self) -> None:
        with self._store.reading() as db:
            at = newest(db)
            if at is None:
                return
            mine = self._link(db, at.epoch, at.head)
            if self._counter.value() < at.counter:
                self._store.ring(db)  # who wrote the last record died before it did
        there, index = self._shared.position(at.epoch), at.head - at.first
        if there.length == index + 1 and there.last == mine:
            return
        if there.length > index:
            if self._shared.link_at(at.epoch, index) != mine:
                raise self._forked(at)
            self._fetch(at.epoch, index + 1)
        else:
            self._put_back(at, there.length, there.last)

    def fetch(self) -> None:
        """Fetch what other hosts decided since, and no more: there is no app yet. Raises StoreError."""
        with self._store.reading() as db:
            at = newest(db)
            mine = "" if at is None else self._link(db, at.epoch, at.head)
        if at is not None and self._shared.link_at(at.epoch, at.head - at.first) == mine:
            self._fetch(at.epoch, at.head - at.first + 1)

    def _follow(self, epoch: str) -> None:
        """Fetch an epoch that this host has not, or go on with it."""
        with self._store.reading() as db:
            at = newest(db)
        if at is not None and at.epoch == epoch:
            self.refresh()
        else:
            self._fetch(epoch, 0)

    def _fetch(self, epoch: str, place: int) -> None:
        while batch := self._shared.read(epoch, place, _BATCH):
            records = [unpacked(data) for data in batch]
            with self._store.writing() as db:
                for record, token in records:
                    self._admit(db, epoch, record, token)
            place += len(batch)

    def _admit(self, db: sqlite3.Connection, epoch: str, record: Record, token: str) -> None:
        """Write down a record of another host. Raises StoreError: it can't be believed here."""
        for _, known in rows(db, _AT, record.epoch, record.number):
            if known == token:
                return  # another worker of this host was faster
            raise ForkedError(f"#{record.number} is another release in {self._shared.place} than here")
        if record.epoch != epoch:
            raise StoreError(f"{self._shared.place}: a record of another epoch")
        if record.kind == BASE:
            self._replay.checked(record, token, "")
            build = record.note or None
            db.execute(
                "INSERT INTO epochs(epoch, build, first) VALUES(?, ?, ?)", (epoch, build, record.number)
            )
        else:
            if bounds(db, epoch)[1] != record.number - 1:
                raise StoreError(f"{self._shared.place}: record #{record.number} is not the next one")
            self._replay.checked(record, token, self._link(db, epoch, record.number - 1))
        self._keep(db, record, token)

    def _put_back(self, at: Newest, length: int, last: str) -> None:
        """Give the shared store the records that it has lost: this host has verified them."""
        with self._store.reading() as db:
            if length and self._link(db, at.epoch, at.first + length - 1) != last:
                raise self._forked(at)
            found = rows(db, "epoch = ? AND number >= ? ORDER BY number", at.epoch, at.first + length)
        if not length:
            base = packed(*found.pop(0))
            seen = self._shared.known(self._names[:1]).epoch
            if (
                seen not in ("", at.epoch)
                or self._shared.begin(self._names, seen, at.epoch, base) != at.epoch
            ):
                raise self._forked(at)
            length, last = 1, base.link
        for place, (record, token) in enumerate(found, length):
            entry = packed(record, token)
            if not self._shared.append(at.epoch, place, last, entry, record.tree_digest, ""):
                raise self._forked(at)
            last = entry.link

    def _entry(self, db: sqlite3.Connection, epoch: str, number: int) -> Entry:
        ((record, token),) = rows(db, _AT, epoch, number)
        return packed(record, token)

    def _forked(self, at: Newest) -> ForkedError:
        return ForkedError(
            f"{self._shared.place} has other releases of this deploy than this host, which knows #{at.head}"
        )

    def shared_facts(self) -> dict[str, Any] | None:
        """Return what the shared store says of itself, or why it can't be asked."""
        try:
            return {**self._shared.facts()._asdict(), "trouble": ""}
        except StoreError as error:
            return {**Facts("", "", "", 0.0, ())._asdict(), "trouble": str(error)}

    # --- records ---

    @contextmanager
    def leading(self, nonce: str) -> Iterator[bool]:
        """Be the only host that leads a push, for this request; whether that is so. Raises StoreError."""
        leader = f"{nonce}:{secrets.token_hex(8)}"  # the same request may be on its way to two hosts
        if not self._shared.lead(leader):
            yield False
            return
        self._leader, self.decide_by = leader, math.inf
        try:
            yield True
        finally:
            self._leader = ""
            with suppress(StoreError):  # it ends by itself
                self._shared.resign(leader)

    def became(self, nonce: str) -> Record | None:
        """Return the release that a request became, on whichever host. Raises StoreError: nobody can tell."""
        found = self.by_nonce(nonce)
        if found is None:
            self._shared.resign(nonce)  # what its leader sent, and is still under way, comes to nothing
            self.refresh()
            found = self.by_nonce(nonce)
        return found

    def undo_quiesce(self) -> None:
        """Decide without gates that are closed, and so at any time."""
        self.decide_by = math.inf

    def go_on_leading(self) -> None:
        """Prolong that. Raises StoreError."""
        if self._leader:
            self._shared.lead(self._leader)

    def _decide(self, db: sqlite3.Connection, record: Record) -> None:
        """Let the shared store decide on a record that is about to be written here.

        Raises:
            BusyError: it is too late.
            ConflictError: another release is there.
            StoreError: it can't be reached; then it has not.
            UnsureError: it may have.
        """
        first, _last = bounds(db, record.epoch)
        entry = self._entry(db, record.epoch, record.number)
        prev = self._link(db, record.epoch, record.number - 1)
        if time.monotonic() > self.decide_by:
            raise BusyError(("the release was not ready when the first worker would have gone on",))
        place, name, leader = record.number - first, record.tree_digest, self._leader
        try:
            done = self._shared.append(record.epoch, place, prev, entry, name, leader)
        except StoreError as error:
            done = self._has_decided(record, place, entry, error)
        if not done:
            raise ConflictError(record.epoch, record.number)
        self._decided = record

    def _written(self, record: Record, error: StoreError) -> Record | None:
        if self._decided is not record:
            return super()._written(record, error)
        log.error("#%d is decided, and this host can't write it down: %s", record.number, error)
        return record

    def _has_decided(self, record: Record, place: int, entry: Entry, error: StoreError) -> bool:
        """Find out what became of a question without an answer. Raises StoreError: nothing, or none knows."""
        try:
            self._shared.resign(self._leader)  # from now on what is still under way comes to nothing
            if self._shared.link_at(record.epoch, place) == entry.link:
                return True
        except StoreError:
            raise UnsureError(f"{error}; #{record.number} may have been recorded there") from error
        raise error


def _names_of(disk: Disk, build: str | None) -> list[str]:
    """Return what a deploy is found by: its build's name; or its code and templates, or all of it."""
    if build is not None:
        return [f"build:{build}"]
    # Apps write some of their static files while they run: on each host others
    templates = {name: asset for name, asset in disk.assets.items() if asset.data is not None}
    return [digest_of(disk.tree, templates), digest_of(disk.tree, disk.assets)]
