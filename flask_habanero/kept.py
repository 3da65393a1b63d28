"""Sealed requests that are kept for later, beside the releases, by the nonce of the one that they are for.

As durable as a release, and not trusted: who takes one up verifies it again.
"""

from __future__ import annotations

import sqlite3

from .store import Store, check_types

FREEZE = "freeze"  # where a nonce stands, for the newest freeze or thaw: it is for no release
Sealed = tuple[str, bytes]  # a header and a body
UNUSED_S = 24 * 3600  # what was kept for a release that never came goes after a day
_TABLE = "CREATE TABLE IF NOT EXISTS kept(nonce TEXT PRIMARY KEY, header TEXT, body BLOB, time INTEGER)"
_CLEAR = """
    DELETE FROM kept WHERE time < ? AND nonce <> ? AND nonce NOT IN (SELECT nonce FROM releases)
"""


class Kept:
    """The table, which is made when it is first used. Calls may raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, nonce: str, header: str, body: bytes, now: int) -> None:
        """Keep a request under a nonce, in the place of what was there."""
        with self._store.writing() as db:
            db.execute(_TABLE)
            db.execute(_CLEAR, (now - UNUSED_S, FREEZE))
            db.execute("INSERT OR REPLACE INTO kept VALUES(?, ?, ?, ?)", (nonce, header, body, now))

    def get(self, nonce: str) -> Sealed | None:
        """Return the header and the body that are kept under a nonce, or None."""
        return self.get_all(nonce)[0]

    def get_all(self, *nonces: str) -> list[Sealed | None]:
        """Return the same of several, in their order: most of the time is for opening the file."""
        with self._store.reading() as db:
            if not _is_there(db):
                return [None] * len(nonces)
            return [_row(db, nonce) for nonce in nonces]

    def remove(self, nonce: str) -> None:
        """Keep it no longer. It may be gone already."""
        with self._store.writing() as db:
            if _is_there(db):
                db.execute("DELETE FROM kept WHERE nonce = ?", (nonce,))


def _row(db: sqlite3.Connection, nonce: str) -> Sealed | None:
    row = db.execute("SELECT header, body FROM kept WHERE nonce = ?", (nonce,)).fetchone()
    if row is None:
        return None
    check_types(row, (str, bytes))
    return row[0], row[1]


def _is_there(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchone() is not None
