"""Where the ledger rests: a folder that must be ours alone, and the SQLite file in it.

Each operation opens a connection of its own and closes it (0.2 ms): nothing is shared between
threads or over a fork, and a file that was moved away is noticed. A rollback journal, ended by
truncation: with SQLite's default, deletion, ``synchronous=FULL`` does not outlast a power failure
just after the commit. No WAL: whoever leaves last checks it in, which costs what it saves, and
some releases of SQLite lose pages in it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from .checkpoint import Checkpoint
from .counter import Counter
from .errors import StoreError
from .record import Record

LOCKED_S = 1.0  # a commit takes milliseconds: who holds the file for longer is stuck
_VERSION = 1  # of the tables
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ELSEWHERE = "set HABANERO_STORE to a folder of its own"

_TABLES = """
CREATE TABLE meta(app TEXT NOT NULL);
CREATE TABLE epochs(id INTEGER PRIMARY KEY AUTOINCREMENT, epoch TEXT NOT NULL UNIQUE, build TEXT,
    first INTEGER NOT NULL);
CREATE TABLE releases(number INTEGER NOT NULL, epoch TEXT NOT NULL, kind TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE, header TEXT NOT NULL, body BLOB NOT NULL, tree_digest TEXT NOT NULL,
    who TEXT NOT NULL, kid TEXT NOT NULL, time INTEGER NOT NULL, note TEXT NOT NULL, seal TEXT NOT NULL,
    PRIMARY KEY(epoch, number));
CREATE INDEX releases_by_tree ON releases(epoch, tree_digest, number);
"""
_LATER = """
CREATE TABLE IF NOT EXISTS checkpoints(epoch TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
    seals TEXT NOT NULL, PRIMARY KEY(epoch, number));
CREATE INDEX IF NOT EXISTS releases_by_tree ON releases(epoch, tree_digest, number);
"""  # made with the first checkpoint; whoever does not know them, or finds none, does without
_COLUMNS = "number, epoch, kind, nonce, header, body, tree_digest, who, kid, time, note, seal"
_COLUMN_TYPES = (int, str, str, str, str, bytes, str, str, str, int, str, str)
_NEWEST = (
    "SELECT id, epoch, build, first,"
    " (SELECT COALESCE(MAX(number), first) FROM releases WHERE releases.epoch = epochs.epoch)"
    " FROM epochs ORDER BY id DESC LIMIT 1"
)

DAMAGED = "the ledger is damaged: move its folder away and restart the app"
_WORDS = {  # what SQLite's names of errors mean for a person
    "SQLITE_BUSY": f"another process has held it locked for more than {LOCKED_S:g} s",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it can't be written",
    "SQLITE_CANTOPEN": "it can't be opened",
    "SQLITE_CORRUPT": DAMAGED,
    "SQLITE_NOTADB": DAMAGED,
    "SQLITE_IOERR": "the disk fails, or is full",
}


NUMBER_BITS = 40  # a number is below 2**40, see the envelope's claims


def head_of(counter: int) -> int:
    """Return the number of the head of which a counter has this value."""
    return counter & (1 << NUMBER_BITS) - 1


class Newest(NamedTuple):
    """The newest epoch: its place among all, its id, its build's name, its first number and its head."""

    ordinal: int
    epoch: str
    build: str | None
    first: int
    head: int

    @property
    def counter(self) -> int:
        """The counter's value at this head: it grows with each record and with each epoch."""
        return self.ordinal << NUMBER_BITS | self.head


def _value(db: sqlite3.Connection) -> int:
    found = newest(db)
    return 0 if found is None else found.counter


def was_locked(error: StoreError) -> bool:
    """Whether another process held the file: then nothing was written."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def newest(db: sqlite3.Connection) -> Newest | None:
    """Return the newest epoch, or None before the first."""
    row = db.execute(_NEWEST).fetchone()
    if row is None:
        return None
    check_types(row, (int, str, str if row[2] is not None else type(None), int, int))
    return Newest(*row)


def rows(db: sqlite3.Connection, where: str, *values: object) -> list[tuple[Record, str]]:
    """Return records with their seals. Neither is checked, but each column is of its type."""
    found = []
    for row in db.execute(f"SELECT {_COLUMNS} FROM releases WHERE {where}", values):  # noqa: S608  # our own text
        check_types(row, _COLUMN_TYPES)
        found.append((Record(*row[:-1]), row[-1]))
    return found


def checkpoints(db: sqlite3.Connection, epoch: str, above: int, upto: int) -> list[Checkpoint]:
    """Return the checkpoints of an epoch between two numbers, newest first, unchecked. Raises StoreError."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone():
        return []  # none was kept yet
    where = "epoch = ? AND number > ? AND number <= ? ORDER BY number DESC"
    text = f"SELECT epoch, number, body, seals FROM checkpoints WHERE {where}"  # noqa: S608  # our own text
    found = db.execute(text, (epoch, above, upto)).fetchall()
    for row in found:
        check_types(row, (str, int, bytes, str))
    return [Checkpoint(*row) for row in found]


def keep(db: sqlite3.Connection, one: Checkpoint, most: int) -> None:
    """Keep a checkpoint; of those that are there only the newest of its epoch, `most` with this one."""
    for statement in _LATER.split(";"):
        db.execute(statement)
    db.execute("INSERT OR REPLACE INTO checkpoints VALUES(?, ?, ?, ?)", tuple(vars(one).values()))
    newest_ones = "SELECT number FROM checkpoints WHERE epoch = ? ORDER BY number DESC LIMIT ?"
    db.execute(
        f"DELETE FROM checkpoints WHERE epoch != ? OR number NOT IN ({newest_ones})",  # noqa: S608  # our own text
        (one.epoch, one.epoch, most),
    )


def check_types(row: tuple[object, ...] | None, types: tuple[type, ...]) -> None:
    """Check that a row is there and has these types, which SQLite does not see to. Raises StoreError."""
    if row is None or tuple(map(type, row)) != types:
        raise StoreError(DAMAGED)


class Store:
    """The folder, the file and the counter of one app's ledger. Making it touches nothing.

    All that can go wrong with them is raised as StoreError, with a sentence.
    """

    def __init__(self, folder: Path, app_id: str) -> None:
        self.folder, self.file = folder, folder / "ledger.sqlite"
        self.counter = Counter(folder / "counter")
        self._app = app_id
        self._inode: tuple[int, int] | None = None  # of the file that this process began with

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else can begin meanwhile: durable, and the counter raised, at its end.

        What is raised inside rolls it back, by closing the connection.
        """
        with self.reading() as db, self.counter.opened() as counter:
            db.execute("BEGIN IMMEDIATE")
            yield db
            value = _value(db)
            db.execute("COMMIT")
            self.counter.raise_to(counter, value)  # nothing left to fail: the file is open and has its bytes

    def ring(self, db: sqlite3.Connection) -> None:
        """Raise the counter to where it must be, if a writer died before it did."""
        with self.counter.opened() as counter:
            self.counter.raise_to(counter, _value(db))

    def check_counter(self, at: Newest) -> None:
        """Check that no record was lost since it was counted. Raises StoreError."""
        if self.counter.value() > at.counter:
            hint = f"bring it back, or remove {self.counter.path} and restart the app"
            raise StoreError(f"{self.file} has lost its newest record: {hint}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, to a file that was found to be ours and this app's."""
        with self.disk():
            self.check_folder()
            self._check_file()
            uri = f"file:{quote(str(self.file))}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=LOCKED_S, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = TRUNCATE")
                db.execute("PRAGMA synchronous = FULL")
                self._check_tables(db)
                yield db

    @contextmanager
    def disk(self) -> Iterator[None]:
        """Turn what the disk and SQLite raise inside into StoreError."""
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:  # the second: SQLite quotes a damaged schema
            name = getattr(error, "sqlite_errorname", "")
            why = next((words for key, words in _WORDS.items() if name.startswith(key)), str(error))
            raise StoreError(f"{self.file}: {why}") from error
        except OSError as error:
            raise StoreError(f"{error.filename or self.folder}: {error.strerror}") from error

    def check_folder(self) -> None:
        """Make the folder if there is none, and check that it is ours alone. Raises StoreError, OSError."""
        try:
            found = self.folder.lstat()
        except FileNotFoundError:
            found = _make_folder(self.folder)
        if not stat.S_ISDIR(found.st_mode):
            raise StoreError(
                f"{self.folder} is a link, or no folder: set HABANERO_STORE to the folder itself"
            )
        _check_ours(self.folder, found)

    def _check_file(self) -> None:
        if self._inode is None and not self.file.exists():
            with suppress(FileExistsError):  # another worker was faster
                os.close(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        found = self.file.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{self.file} is no file")
        _check_ours(self.file, found)
        inode = (found.st_dev, found.st_ino)
        if self._inode not in (None, inode):
            raise StoreError(f"{self.file} was exchanged under the running app: restart it")
        self._inode = inode

    def _check_tables(self, db: sqlite3.Connection) -> None:
        if _version(db) == 0:
            db.execute("BEGIN IMMEDIATE")
            if _version(db) == 0:  # all workers boot at once
                for statement in _TABLES.split(";"):  # executescript would commit first
                    db.execute(statement)
                db.execute("INSERT INTO meta VALUES(?)", (self._app,))
                db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
        if _version(db) != _VERSION:
            raise StoreError(f"{self.file} is of another version of Flask-Habanero: {_ELSEWHERE}")
        row = db.execute("SELECT app FROM meta").fetchone()
        check_types(row, (str,))
        if row[0] != self._app:
            app = row[0]
            raise StoreError(f"{self.folder} belongs to the app {app!r}, this is {self._app!r}: {_ELSEWHERE}")


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _make_folder(folder: Path) -> os.stat_result:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    parent = os.open(folder.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(parent)  # else a power failure could take the folder with all that was acknowledged
    finally:
        os.close(parent)
    return folder.lstat()


def _check_ours(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another user (uid {found.st_uid}): {_ELSEWHERE}")
    if found.st_mode & _OTHERS_WRITE:
        raise StoreError(f"{path} can be written by others: chmod go-w {path}")
