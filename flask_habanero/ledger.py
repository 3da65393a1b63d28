"""The ledger: which releases were admitted, and the states that they add up to.

An *epoch* is one cold deploy: it begins with a base, the sources and assets on disk. Releases follow it,
numbered without a gap; a new epoch goes on counting. Rows are only ever added, and none is
believed before it is checked (`record.py`). Where it rests: `store.py`.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from .asset import Assets
from .checkpoint import KEPT
from .disk import OPEN, Disk, Places
from .envelope import Keyring
from .errors import ConflictError, StoreError
from .kept import Kept
from .record import (
    BASE,
    ROLLBACK,
    LostKeyError,
    Record,
    State,
    check_request,
    kid_of,
    link,
    pack_tree,
    restored,
    seal_record,
)
from .release import Tree, digest_of
from .replay import Replay, bounds
from .staging import Staging
from .store import DAMAGED, Newest, Store, check_types, head_of, keep, newest, rows, was_locked

__all__ = ["Ledger", "Record", "State"]

_LIKE = "SELECT number FROM releases WHERE epoch = ? AND tree_digest = ? ORDER BY number DESC LIMIT 1"
_DIGEST = "SELECT tree_digest FROM releases WHERE epoch = ? AND number = ?"
_SEAL = "SELECT seal FROM releases WHERE epoch = ? AND number = ?"
_AT = "epoch = ? AND number = ?"
_INSERT = "INSERT INTO releases VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Ledger:
    """An append-only record of the releases of one app, shared by all its processes on one host.

    Nothing is touched before the first call. Each call may raise StoreError: the folder or the
    file can't be used, or what is in it can't be believed; with a sentence that says why.

    Attributes:
        kept: sealed requests for later, which are no releases yet.
        trouble: why other hosts' records could not be had when they were last asked for, or "".
    """

    trouble = ""

    def __init__(self, folder: Path, app_id: str, keys: Keyring) -> None:
        self._store = Store(folder, app_id)
        self._app, self._keys, self._staging = app_id, keys, Staging(self._store)
        self._counter, self.kept = self._store.counter, Kept(self._store)
        self._replay = Replay(app_id, keys)
        self._least = 0  # a new epoch counts on from there, if the last one here did not come so far

    # --- epochs ---

    def open_epoch(
        self,
        disk: Tree,
        build: str | None,
        now: int,
        assets: Assets | None = None,
        places: Places = OPEN,
    ) -> tuple[str, int]:
        """Return the epoch of a tree on disk, and the number whose state it is.

        That is the newest epoch if the tree is that of one of its releases (the newest such), or of its
        head or base but for static files that are the app's own doing (`disk.py`). With the name of a `build`
        the name alone decides which epoch it is, and the tree only which number. Else a new epoch begins
        here, and goes on counting.

        Args:
            disk: all sources that may change, as they lie on disk.
            build: name of the cold deploy, or None.
            now: seconds, for the new record.
            assets: all assets as they lie on disk; templates with their bytes.
            places: what is known of their folders.
        """
        return self._open(Disk(disk, assets or {}, places), build, now)

    def _open(self, disk: Disk, build: str | None, now: int) -> tuple[str, int]:
        found = self.find_epoch(disk, build)
        if found is None:
            with self._store.writing() as db:  # all workers boot at once: only the first of them begins it
                found = self._recognised(db, disk, build) or self._begin(db, disk, build, now)
        self.sweep()  # a worker that starts may be there because another one died
        return found

    def find_epoch(self, disk: Disk, build: str | None) -> tuple[str, int] | None:
        """Return the same, or None where a new epoch would begin. Nothing is written."""
        with self._store.reading() as db:
            return self._recognised(db, disk, build)

    def _recognised(self, db: sqlite3.Connection, disk: Disk, build: str | None) -> tuple[str, int] | None:
        found, digest = newest(db), digest_of(disk.tree, disk.assets)
        if found is None or (build is not None and build != found.build):
            return None
        number = _number_of(db, found.epoch, digest)
        if number is None:
            number = self._alike(db, found, disk)
        if number is None and build is not None:
            number = found.first
        if number is None or (number == found.head and self._lost_a_key(db, found)):
            return None  # it can't be replayed, and disk is head: nothing is lost
        return found.epoch, number

    def _lost_a_key(self, db: sqlite3.Connection, at: Newest) -> bool:
        """Whether a key was taken away that the way to head needs."""
        try:
            self._replay.state_at(db, at.epoch, at.head)  # which comes next in any case, and is kept
        except LostKeyError:
            return True
        except StoreError:
            return False  # whoever goes there says why it can't be believed
        return False

    def _alike(self, db: sqlite3.Connection, at: Newest, disk: Disk) -> int | None:
        """Return the number of the head or the base, if a disk is one of them as `disk.py` has it."""
        try:
            base = self._replay.state_at(db, at.epoch, at.first)
        except StoreError:
            return None  # its key was taken away, or worse: nobody can build on it
        try:
            head = self._replay.state_at(db, at.epoch, at.head)
        except StoreError:
            head = base  # whoever goes there says why it can't be believed
        if disk.is_at(head, base):
            return head.number
        return at.first if disk.is_before(head, base) else None

    def _begin(self, db: sqlite3.Connection, disk: Disk, build: str | None, now: int) -> tuple[str, int]:
        epoch, before = secrets.token_hex(16), newest(db)
        number = max(self._least, 0 if before is None else before.head)
        kid, there = self._keys.first.kid, (disk.tree, disk.assets)
        body, digest = pack_tree(*there), digest_of(*there)
        db.execute("INSERT INTO epochs(epoch, build, first) VALUES(?, ?, ?)", (epoch, build, number))
        base = Record(number, epoch, BASE, epoch, "", body, digest, "", kid, now, build or "")
        self._insert(db, base, "")
        return epoch, number

    def first(self, epoch: str) -> int:
        """Return the number at which an epoch began, which is that of its base."""
        with self._store.reading() as db:
            return bounds(db, epoch)[0]

    def last(self, epoch: str) -> int:
        """Return the number of the newest record of an epoch."""
        with self._store.reading() as db:
            return bounds(db, epoch)[1]

    # --- records ---

    def head(self, epoch: str) -> Record:
        """Return the newest record of an epoch: its base if nothing was pushed."""
        with self._store.reading() as db:
            found = self._find(db, "epoch = ? ORDER BY number DESC LIMIT 1", epoch)
        if found is None:
            raise StoreError(f"{self._store.file} has no record of epoch {epoch[:8]}: restart the app")
        return found

    def by_nonce(self, nonce: str) -> Record | None:
        """Return the release that a request became, or None: it did not become one."""
        with self._store.reading() as db:
            found = self._find(db, f"nonce = ? AND kind != '{BASE}'", nonce)
            if found is not None:
                self._store.ring(db)  # who recorded it may have died before, and its sender asks now
        return found

    def records(self, epoch: str, newest: int = 20) -> list[Record]:
        """Return the newest records, newest first, unchecked: for people to read."""
        with self._store.reading() as db:
            found = rows(db, "epoch = ? ORDER BY number DESC LIMIT ?", epoch, newest)
        return [record for record, _ in found]

    def record(  # noqa: PLR0913  # the columns of one row
        self,
        *,
        epoch: str,
        base: int,
        kind: str,
        nonce: str,
        header: str,
        body: bytes,
        tree_digest: str,
        claims: Mapping[str, Any],
        note: str,
        now: int,
    ) -> Record:
        """Append a release, durably, and bump the counter. A known nonce returns its record.

        Raises:
            ConflictError: (epoch, base) is not the newest epoch and its head.
            StoreError: not recorded; also for what could not be replayed later.
        """
        note = note.encode("utf-8", "replace").decode()  # SQLite takes no lone surrogates
        who, kid = str(claims["cid"]), kid_of(header)
        record = Record(base + 1, epoch, kind, nonce, header, body, tree_digest, who, kid, now, note)
        signed = check_request(record, self._app, self._keys)
        if kind == ROLLBACK:
            restored(record, signed, self.first(epoch))
        try:
            with self._store.writing() as db:
                known = self._append(db, record)
                if known is None:
                    self._decide(db, record)
        except StoreError as error:
            known = self._written(record, error)
            if known is None:
                raise
        return known or record

    def _decide(self, _db: sqlite3.Connection, _record: Record) -> None:
        """Have a record that is about to be written decided on where other hosts see it, too."""

    def _written(self, record: Record, error: StoreError) -> Record | None:
        # The last flush of a commit may fail after it took effect: only the file knows
        return None if was_locked(error) else self.by_nonce(record.nonce)

    def _append(self, db: sqlite3.Connection, record: Record) -> Record | None:
        known = self._find(db, "nonce = ?", record.nonce)
        if known is not None:
            return known
        at = newest(db)
        if at is None or (at.epoch, at.head) != (record.epoch, record.number - 1):
            raise ConflictError(at.epoch if at else "", at.head if at else 0)
        self._store.check_counter(at)
        self._insert(db, record, self._link(db, at.epoch, at.head))
        return None

    def _link(self, db: sqlite3.Connection, epoch: str, number: int) -> str:
        last = db.execute(_SEAL, (epoch, number)).fetchone()
        check_types(last, (str,))
        return link(last[0])

    def _insert(self, db: sqlite3.Connection, record: Record, prev: str) -> None:
        self._keep(db, record, seal_record(record, prev, self._app, self._keys))

    def _keep(self, db: sqlite3.Connection, record: Record, token: str) -> None:
        db.execute(_INSERT, (*(getattr(record, field.name) for field in fields(record)), token))

    def _find(self, db: sqlite3.Connection, where: str, value: str) -> Record | None:
        for record, token in rows(db, where, value):
            self._replay.checked(record, token)
            return record
        return None

    # --- states ---

    def state_at(self, epoch: str, number: int) -> State:
        """Return the state at a number of an epoch, folded from its base and checked record by record.

        Raises:
            LookupError: the epoch has no such number.
            StoreError: a record on the way can't be believed. States before it can still be had.
        """
        with self._store.reading() as db:
            return self._replay.state_at(db, epoch, number)

    def retold(self, epoch: str, numbers: Iterable[int]) -> Iterator[tuple[Record, State | StoreError]]:
        """Yield records, oldest first, each with the state that it leads to, or with why that can't be told.

        Args:
            epoch: whose.
            numbers: ascending; those of which there is no record are passed over.
        """
        replay = Replay(self._app, self._keys)  # one of its own: each state is made from the one before
        with self._store.reading() as db:
            for number in numbers:
                for record, token in rows(db, _AT, epoch, number):
                    try:
                        replay.checked(record, token)
                        told: State | StoreError = replay.state_at(db, epoch, number)
                    except StoreError as error:
                        told = error
                    yield record, told

    def keep_checkpoint(self, epoch: str) -> None:
        """Keep the head's state whole if the last one that was kept is many releases away.

        Not while anybody waits: it reads the releases since then, and writes once (docs/adr/0026).
        """
        with self._store.reading() as db:
            made = self._replay.checkpoint_at(db, epoch, bounds(db, epoch)[1])
        if made is None:
            return
        with self._store.writing() as db:
            at = newest(db)
            if at is not None and at.epoch == epoch:  # else it was superseded: nobody starts there
                keep(db, made, KEPT)
        self._replay.has_kept(made)

    # --- what several hosts share; here there is one ---

    def instead_of(self, epoch: str) -> str:
        """Return the epoch that a worker of some epoch belongs to: that one, if it was not given up since."""
        return epoch

    def refresh(self) -> None:
        """Fetch what other hosts recorded. Raises StoreError."""

    def shared_facts(self) -> dict[str, Any] | None:
        """Return what the store that hosts share says of itself, or why it can't be asked; None: one host."""
        return None

    @contextmanager
    def leading(self, _nonce: str) -> Iterator[bool]:
        """Be the only host that leads a push, for this request; whether that is so. Raises StoreError."""
        yield True

    def became(self, nonce: str) -> Record | None:
        """Return the release that a request became, wherever; or None: it did not, and will not by itself."""
        return self.by_nonce(nonce)

    # --- what only lasts for one push ---

    def stage(self, nonce: str, header: str, body: bytes) -> Path:
        """Put a believed request where the other workers of this host find it. Returns its file."""
        return self._staging.put(nonce, header, body)

    def staged(self, nonce: str) -> tuple[str, bytes]:
        """Return the header and body of a request that another worker staged; they prove nothing yet."""
        return self._staging.get(nonce)

    def unstage(self, path: Path) -> None:
        """Take a staged request away again. It may be gone already."""
        self._staging.remove(path)

    def sweep(self) -> None:
        """Remove what dead workers left: staged requests, and a counter that was not raised."""
        with self._store.reading() as db:
            self._store.ring(db)
        self._staging.sweep()

    def counted(self) -> int:
        """Return the number of the newest record, as the counter has it; 0 before the first."""
        return head_of(self.counter())

    def counter(self) -> int:
        """Return a number that grows with each record and epoch. Asked at each request: 0.1 microseconds."""
        try:
            return self._counter.value()
        except FileNotFoundError:
            return 0  # before the first epoch
        except OSError as error:
            raise StoreError(f"{self._counter.path}: {error.strerror}") from error


def _number_of(db: sqlite3.Connection, epoch: str, digest: str) -> int | None:
    """Return the newest number of an epoch with a tree, as the ledger says; None if there is none."""
    row = db.execute(_LIKE, (epoch, digest)).fetchone()
    if row is None:
        return None
    check_types(row, (int,))
    if db.execute(_DIGEST, (epoch, row[0])).fetchone() != (digest,):
        raise StoreError(DAMAGED)  # the index says another thing than the table
    return int(row[0])
