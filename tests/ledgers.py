"""Makes real, sealed releases for a ledger; and, run as a program, the processes that its tests kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import secrets
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from flask_habanero import store
from flask_habanero.asset import Asset, Assets
from flask_habanero.envelope import REQUEST, Key, Keyring, pack, seal, sha256
from flask_habanero.errors import ConflictError, StoreError
from flask_habanero.ledger import Ledger
from flask_habanero.record import Record
from flask_habanero.release import Bundle, digest_of
from flask_habanero.source import Source
from flask_habanero.unit import build_unit, python_tag

APP = "shop/tests"
K1 = Key("k1", bytes(range(32)))
K2 = Key("k2", bytes(range(32, 64)))
KEYS = Keyring([K1])
NOW = 1_700_000_000
ROOT = Path(__file__).parent.parent


def tree_of(**texts: str) -> dict[str, Source]:
    """Return a tree of modules that have no packages."""
    return {name: Source(name, f"{name}.py", False, text) for name, text in texts.items()}


TREE = tree_of(shop="def index():\n    return 'base'\n", vat="RATE = 20\n")


@dataclass
class Author:
    """Somebody who pushes to one epoch of a ledger, and knows what tree that leads to."""

    ledger: Ledger
    key: Key = K1
    tree: dict[str, Source] = field(default_factory=lambda: dict(TREE))
    epoch: str = ""
    number: int = 0

    def begin(self, build: str | None = None, assets: Assets | None = None) -> Author:
        """Open the epoch of the author's tree, and of assets."""
        self.epoch, self.number = self.ledger.open_epoch(self.tree, build, NOW, assets)
        return self

    def request(self, kind: str, raw: bytes, target: str, **other: Any) -> dict[str, Any]:
        """Return the arguments of `Ledger.record` for a signed request on top of `number`."""
        wire, enc = pack(raw)
        claims = {
            "v": 1,
            "op": kind,
            "app": APP,
            "epoch": self.epoch,
            "base": self.number,
            "rel": self.number + 1,
            "py": python_tag(),
            "len": len(wire),
            "ulen": len(raw),
            "enc": enc,
            "sha": sha256(wire),
            "n": secrets.token_hex(16),
            "iat": NOW,
            "exp": NOW + 60,
            "cid": "ann@laptop",
        }
        claims |= other
        return {
            "epoch": claims["epoch"],
            "base": claims["base"],
            "kind": kind,
            "nonce": claims["n"],
            "header": seal(claims, self.key, REQUEST),
            "body": wire,
            "tree_digest": target,
            "claims": claims,
            "note": "a note",
            "now": NOW + self.number,
        }

    def pushing(self, tree: Mapping[str, Source], python: str = "") -> dict[str, Any]:
        """Return what records the push that leads from the author's tree to another."""
        units = tuple(build_unit(s) for name, s in tree.items() if self.tree.get(name) != s)
        deletions = tuple(sorted(self.tree.keys() - tree.keys()))
        tag, target = python or python_tag(), digest_of(tree)
        bundle = Bundle(units, deletions, tag, digest_of(self.tree), target)
        return self.request("push", bundle.encode(), target)

    def push(self, **texts: str) -> Record:
        """Change some modules; the text "" deletes one."""
        tree = {name: s for name, s in (self.tree | tree_of(**texts)).items() if s.text}
        record = self.ledger.record(**self.pushing(tree))
        self.tree, self.number = tree, record.number
        return record

    def push_asset(self, asset: Asset) -> Record:
        """Push one template or static file."""
        assets = self.ledger.state_at(self.epoch, self.number).assets
        target = digest_of(self.tree, {**assets, asset.name: asset})
        bundle = Bundle((), (), python_tag(), digest_of(self.tree, assets), target, "", (asset,))
        record = self.ledger.record(**self.request("push", bundle.encode(), target))
        self.number = record.number
        return record

    def roll_back(self, to: int | None) -> Record:
        """Roll back to a number, or with None to before the last release."""
        target = self.ledger.state_at(self.epoch, self.number - 1 if to is None else to)
        body = json.dumps({"to": to}).encode()
        record = self.ledger.record(**self.request("rollback", body, target.digest))
        self.tree, self.number = target.tree, record.number
        return record


def author_at(folder: Path) -> Author:
    """Return an author with a ledger of its own in a folder, as another process has it."""
    return Author(Ledger(folder, APP, KEYS)).begin()


# --- the processes ---


def program(name: str, *args: object) -> list[str]:
    """Return the command line of one of the processes below."""
    return [sys.executable, "-m", "tests.ledgers", name, *map(str, args)]


def run(name: str, *args: object) -> Any:
    """Run one of the processes below to its end, and return what it found."""
    done = subprocess.run(
        program(name, *args), cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _forked(act: Callable[[], Any]) -> tuple[int, int]:
    """Run a function in a forked process; return its id, and the end of a pipe that brings its result."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    status = 1
    try:
        os.close(reader)
        with os.fdopen(writer, "w") as file:
            json.dump(act(), file)
        status = 0
    finally:
        os._exit(status)


def _result(child: tuple[int, int]) -> Any:
    with os.fdopen(child[1]) as file:
        text = file.read()
    os.waitpid(child[0], 0)
    return json.loads(text) if text else None


def push_for_ever(folder: str) -> None:
    """Push again and again, and tell each acknowledged number and nonce."""
    author = author_at(Path(folder))
    author.tree = author.ledger.state_at(author.epoch, author.ledger.head(author.epoch).number).tree
    author.number = author.ledger.head(author.epoch).number
    while True:
        record = author.push(shop=f"N = {author.number + 1}\n" * 300)
        sys.stdout.write(f"{record.number} {record.nonce}\n")
        sys.stdout.flush()


def kill_at_every_line(folder: str) -> list[str]:
    """Die at the first, the second, … line that recording executes. Return what was wrong afterwards."""
    author, wrong, line = author_at(Path(folder)), [], 0
    while True:
        line += 1
        tree = author.tree | tree_of(shop=f"N = {author.number + 1}\n")
        row = author.pushing(tree)
        child = _forked(lambda row=row, line=line: _recorded_until(line, author.ledger, row))
        ended = _result(child) is not None
        try:
            _retry(author, row)
        except (AssertionError, StoreError) as error:
            wrong.append(f"line {line}: {error!r}")
        author.tree = tree
        if ended:
            return [*wrong, f"{line} lines"]


def _recorded_until(line: int, ledger: Ledger, row: dict[str, Any]) -> bool:
    left = line

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal left
        if "flask_habanero" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    ledger.record(**row)
    sys.settrace(None)
    return True


def _retry(author: Author, row: dict[str, Any]) -> None:
    """Send the same request again: it must become the one release, and be counted."""
    fresh = Ledger(author.ledger._store.folder, APP, KEYS)
    before = fresh.by_nonce(row["nonce"])
    assert before is None or before.number == author.number + 1, "recorded under another number"
    record = fresh.record(**row)
    assert record.number == author.number + 1, "recorded twice"
    state = author.ledger.state_at(author.epoch, record.number)
    assert state.digest == row["tree_digest"], "another state"
    assert fresh.counter() % 2**40 == record.number, "not counted"
    author.number = record.number


def race(folder: str, workers: int, releases: int) -> list[list[bool]]:
    """Let forked workers of one ledger push each release at one moment. Return what each of them won."""
    author = author_at(Path(folder))
    together = multiprocessing.get_context("fork").Barrier(workers)
    children = [_forked(lambda: _push_each(author, releases, together.wait)) for _ in range(workers)]
    return [_result(child) for child in children]


def _push_each(author: Author, releases: int, wait: Callable[[], object]) -> list[bool]:
    won = []
    for number in range(releases):
        author.number = number
        row = author.request("rollback", json.dumps({"to": 0}).encode(), digest_of(TREE))
        wait()
        try:
            won.append(author.ledger.record(**row).number == number + 1)
        except ConflictError:
            won.append(False)
    return won


def boot(folder: str, workers: int) -> list[list[Any]]:
    """Let forked workers open the epoch at one moment. Return what each was told."""
    return _booted(Path(folder), workers, nullcontext())


def boot_behind_a_lock(folder: str, workers: int) -> list[list[Any]]:
    """The same; and all come to see that there is no epoch before any of them can begin it."""
    Ledger(Path(folder), APP, KEYS).by_nonce("0" * 32)  # makes the tables
    store.LOCKED_S = 30.0
    return _booted(Path(folder), workers, _locked(Path(folder)))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        select.select([], [], [], 0.3)  # for the workers to come and wait; if one is late, it only tests less


def _booted(folder: Path, workers: int, locked: AbstractContextManager[None]) -> list[list[Any]]:
    ledger = Ledger(folder, APP, KEYS)
    together = multiprocessing.get_context("fork").Barrier(workers + 1)

    def start() -> Any:
        together.wait()
        return ledger.open_epoch(TREE, None, NOW)

    children = [_forked(start) for _ in range(workers)]
    with locked:  # after the forks: SQLite's locks do not bear one
        together.wait()
    return [_result(child) for child in children]


def fill_the_disk(folder: str) -> list[Any]:
    """Push while no file may grow, and once more when it may. Return what came of both."""
    author = author_at(Path(folder))
    author.push(shop="N = 1\n")
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (Path(folder) / "ledger.sqlite").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    row = author.pushing(author.tree | tree_of(shop="".join(f"N{i} = {i}\n" for i in range(4_000))))
    try:
        author.ledger.record(**row)
        why = ""
    except StoreError as error:
        why = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    head = author.ledger.head(author.epoch).number
    return [why, head, author.ledger.record(**row).number, author.ledger.counter() % 2**40]


def use_over_a_fork(folder: str) -> list[int]:
    """Use one ledger object before a fork and on both sides of it. Return the numbers that were recorded."""
    author = author_at(Path(folder))
    before, seen = author.push(shop="N = 1\n"), author.ledger.counter()

    def child() -> int:
        record = author.push(shop="N = 2\n")
        assert author.ledger.counter() > seen
        return record.number

    theirs = _result(_forked(child))
    assert author.ledger.counter() > seen, "the parent does not see what the child counted"
    author.tree = author.ledger.state_at(author.epoch, theirs).tree
    author.number = theirs
    return [before.number, theirs, author.push(shop="N = 3\n").number]


if __name__ == "__main__":
    what, where, *numbers = sys.argv[1:]
    found = globals()[what](where, *map(int, numbers))
    sys.stdout.write(json.dumps(found))
