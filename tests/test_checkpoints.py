"""Checkpoints: a start reads few records, and comes to the very state that all records lead to."""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import checkpoint, replay, worker
from flask_habanero.asset import Asset
from flask_habanero.checkpoint import Checkpoint, Folded, made_of, opened
from flask_habanero.envelope import CHECKPOINT, RECORD, Key, Keyring, seal
from flask_habanero.errors import StoreError
from flask_habanero.ledger import Ledger, State
from flask_habanero.record import Record, link
from flask_habanero.release import Bundle, digest_of
from flask_habanero.store import checkpoints
from flask_habanero.unit import build_unit, python_tag

from tests.fakes import tree_of as shop_of
from tests.hosts import Host
from tests.ledgers import APP, K1, K2, KEYS, NOW, TREE, Author, author_at, run, tree_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def author(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Author:
    every(monkeypatch, 1)
    return author_at(folder)


def every(monkeypatch: pytest.MonkeyPatch, releases: int) -> None:
    for module in (checkpoint, replay, worker):
        monkeypatch.setattr(module, "EVERY", releases)


def again(folder: Path, *keys: Key) -> Ledger:
    """Return the ledger as a process sees it that starts now."""
    return Ledger(folder, APP, Keyring(keys) if keys else KEYS)


def sql(folder: Path, text: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        return db.execute(text, values).fetchall()


def kept(folder: Path) -> list[int]:
    return [row[0] for row in sql(folder, "SELECT number FROM checkpoints ORDER BY number")]


def pushed(author: Author, count: int) -> None:
    for _ in range(count):
        author.push(shop=f"N = {author.number + 1}\n")


@contextmanager
def reading(numbers: list[int]) -> Any:
    """Collect the numbers of the records that are checked."""
    before = replay.Replay.checked

    def noted(self: Any, record: Record, *rest: Any) -> Any:
        numbers.append(record.number)
        return before(self, record, *rest)

    replay.Replay.checked = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        replay.Replay.checked = before  # type: ignore[method-assign]


@contextmanager
def without() -> Any:
    """Read as if there were no checkpoints."""
    replay.checkpoints = lambda *_: []  # type: ignore[assignment]
    try:
        yield
    finally:
        replay.checkpoints = checkpoints


# --- the same state ---


def test_a_start_reads_the_base_the_checkpoint_and_what_came_after(author: Author, folder: Path) -> None:
    pushed(author, 5)
    author.ledger.keep_checkpoint(author.epoch)
    pushed(author, 2)
    read: list[int] = []
    with reading(read):
        state = again(folder).state_at(author.epoch, 7)
    assert sorted(set(read)) == [0, 5, 6, 7]
    assert (state.number, state.tree) == (7, author.tree)
    with without():
        assert again(folder).state_at(author.epoch, 7) == state


def test_none_is_kept_before_it_saves_something(folder: Path) -> None:
    author = author_at(folder)
    author.ledger.keep_checkpoint(author.epoch)
    pushed(author, 3)
    author.ledger.keep_checkpoint(author.epoch)
    assert not sql(folder, "SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'")


def test_only_the_newest_are_kept(author: Author, folder: Path) -> None:
    for _ in range(7):
        pushed(author, 1)
        author.ledger.keep_checkpoint(author.epoch)
    assert kept(folder) == [4, 5, 6, 7]
    other = Author(again(folder), tree=tree_of(shop="other = 1\n")).begin()
    pushed(other, 1)
    author.ledger.keep_checkpoint(author.epoch)  # it is superseded
    other.ledger.keep_checkpoint(other.epoch)
    assert sql(folder, "SELECT epoch, number FROM checkpoints") == [(other.epoch, 8)]


def a_history(author: Author, dice: random.Random, steps: int) -> None:
    """Push, delete, push assets, roll back, begin epochs, change keys, keep checkpoints, as it falls."""
    for n in range(steps):
        act = dice.random()
        first = author.ledger.first(author.epoch)
        if act < 0.5:
            names = {dice.choice(["shop", "vat", "a", "b"]): dice.choice([f"N = {n}\n", "N = 0\n"])}
            author.push(**{name: "" if dice.random() < 0.2 else text for name, text in names.items()})
        elif act < 0.6:
            author.push_asset(Asset.of(f"shop/static/{dice.choice('xyz')}.css", b"%d" % n))
        elif act < 0.8 and author.number > first:
            author.roll_back(dice.choice([None, dice.randint(first, author.number)]))
        elif act < 0.83:
            author.tree = author.tree | tree_of(deployed=f"N = {n}\n")
            author.begin(assets={"shop/static/x.css": Asset("shop/static/x.css", "0" * 64, None)})
        else:
            author.ledger = again(author.ledger._store.folder, *dice.sample([K1, K2], 2))
        if dice.random() < 0.4:
            author.ledger.keep_checkpoint(author.epoch)


def same_states(folder: Path, epoch: str, first: int, last: int) -> None:
    """Check each state of an epoch against the one that all records lead to."""
    used: list[Folded] = []
    opener: Callable[..., Folded] = replay.opened
    for number in range(first, last + 1):
        with without():
            expected = again(folder, K1, K2).state_at(epoch, number)
        replay.opened = lambda *given: used.append(opener(*given)) or used[-1]  # type: ignore[func-returns-value]
        try:
            assert again(folder, K1, K2).state_at(epoch, number) == expected
        finally:
            replay.opened = opener
    newest = [n for n in kept(folder) if first < n <= last]
    assert not newest or used, "there are checkpoints, and none was used"


@pytest.mark.parametrize("seed", range(8))
def test_each_state_of_any_history_is_the_one_that_all_records_lead_to(
    author: Author, folder: Path, seed: int
) -> None:
    _compared(author, folder, seed, 25)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(100, 140))
def test_each_state_of_long_histories(author: Author, folder: Path, seed: int) -> None:
    _compared(author, folder, seed, 120)


def _compared(author: Author, folder: Path, seed: int, steps: int) -> None:
    author.ledger = again(folder, K1, K2)
    a_history(author, random.Random(seed), steps)
    author.ledger.keep_checkpoint(author.epoch)
    same_states(folder, author.epoch, author.ledger.first(author.epoch), author.number)


def test_a_rollback_to_before_a_checkpoint(author: Author, folder: Path) -> None:
    pushed(author, 3)
    author.push(new="X = 1\n")
    author.ledger.keep_checkpoint(author.epoch)  # at 4
    pushed(author, 2)
    author.ledger.keep_checkpoint(author.epoch)  # at 6
    author.roll_back(2)
    author.push(vat="RATE = 1\n")
    state = again(folder).state_at(author.epoch, 8)
    assert state.tree == author.tree == TREE | tree_of(shop="N = 2\n", vat="RATE = 1\n")
    assert set(state.units) == {"shop", "vat"}


# --- nothing else is believed ---


def a_checkpoint(author: Author) -> tuple[Checkpoint, Record, str, State]:
    """Return the newest checkpoint, with what it is opened with."""
    row = sql(author.ledger._store.folder, "SELECT * FROM checkpoints ORDER BY number DESC LIMIT 1")[0]
    head = author.ledger.head(author.epoch)
    token = sql(author.ledger._store.folder, "SELECT seal FROM releases ORDER BY number DESC LIMIT 1")[0][0]
    return Checkpoint(*row), head, link(token), author.ledger.state_at(author.epoch, 0)


def test_with_any_byte_flipped_it_is_refused(author: Author) -> None:
    pushed(author, 3)
    author.ledger.keep_checkpoint(author.epoch)
    good, record, at, base = a_checkpoint(author)
    assert opened(good, record, at, base, APP, KEYS).state.tree == author.tree
    tried = 0
    for field in ("body", "seals", "epoch"):
        value = getattr(good, field)
        raw = value if isinstance(value, bytes) else value.encode()
        for place in range(len(raw)):
            for mask in (1, 0x20, 0x80) if isinstance(value, bytes) else (1, 2, 0x20):
                flipped = raw[:place] + bytes([raw[place] ^ mask]) + raw[place + 1 :]
                bad = flipped if isinstance(value, bytes) else flipped.decode()
                with pytest.raises(StoreError, match=r"checkpoint #3"):
                    opened(replace(good, **{field: bad}), record, at, base, APP, KEYS)
                tried += 1
    with pytest.raises(StoreError, match="another content"):
        opened(replace(good, number=2), record, at, base, APP, KEYS)
    assert tried > 1000


@pytest.mark.parametrize("column", ["epoch", "number", "body", "seals"])
@pytest.mark.parametrize("value", [None, b"\xff", 3, 1.5, "", "x y", b""])
def test_a_column_of_another_type_or_value_costs_only_time(
    author: Author, folder: Path, column: str, value: Any
) -> None:
    pushed(author, 4)
    author.ledger.keep_checkpoint(author.epoch)
    try:
        sql(folder, f"UPDATE checkpoints SET {column} = ?", value)
    except sqlite3.IntegrityError:
        return
    assert again(folder).state_at(author.epoch, 4).tree == author.tree


def test_a_damaged_one_is_said_and_the_one_before_it_taken(
    author: Author, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        pushed(author, 3)
        author.ledger.keep_checkpoint(author.epoch)
    sql(folder, "UPDATE checkpoints SET body = zeroblob(40) WHERE number = 6")
    read: list[int] = []
    with reading(read), caplog.at_level(logging.WARNING):
        state = again(folder).state_at(author.epoch, 6)
    assert state.tree == author.tree
    assert sorted(set(read)) == [0, 3, 4, 5, 6]
    assert "checkpoint #6" in caplog.text
    fresh = again(folder)  # and a start after that mends it
    fresh.state_at(author.epoch, 6)
    fresh.keep_checkpoint(author.epoch)
    read.clear()
    with reading(read):
        assert again(folder).state_at(author.epoch, 6) == state
    assert sorted(set(read)) == [0, 6]


def test_a_table_that_is_another_is_passed_over(author: Author, folder: Path) -> None:
    sql(folder, "CREATE TABLE checkpoints(x)")
    pushed(author, 2)
    assert again(folder).state_at(author.epoch, 2).tree == author.tree


def forged(author: Author, keys: Keyring, context: str = CHECKPOINT, **other: Any) -> Checkpoint:
    """Return a checkpoint of somebody who can write to the file, for another state at the head."""
    base = author.ledger.state_at(author.epoch, 0)
    evil = tree_of(shop="evil = 1\n")
    unit = build_unit(evil["shop"])
    record = author.ledger.head(author.epoch)
    tree = TREE | evil
    token = sql(author.ledger._store.folder, "SELECT seal FROM releases ORDER BY number DESC LIMIT 1")[0][0]
    digest = other.pop("digest", digest_of(tree))
    state = State(record.number, digest, tree, {"shop": unit})
    folded = Folded(author.epoch, link(token), state, frozenset(keys.kids), 0)
    made = made_of(folded, base, APP, keys)
    claims = checkpoint._claims(
        author.epoch, record.number, link(token), frozenset(keys.kids), APP, made.body
    )
    seals = " ".join(seal(claims | other, key, context) for key in map(keys.get, keys.kids) if key)
    return replace(made, seals=seals)


@pytest.mark.parametrize(
    "attack",
    [
        lambda author: forged(author, Keyring([Key("k1", K2.secret)])),
        lambda author: forged(author, Keyring([K2])),
        lambda author: forged(author, KEYS, RECORD),
        lambda author: forged(author, KEYS, epoch="0" * 32),
        lambda author: forged(author, KEYS, app="other"),
        lambda author: forged(author, KEYS, rel=1),
        lambda author: forged(author, KEYS, at="0" * 64),
        lambda author: forged(author, KEYS, kids="k1 k2"),
        lambda author: forged(author, KEYS),  # sealed with the very key, but the record says another tree
    ],
    ids=["secret", "key", "context", "epoch", "app", "number", "history", "keys", "tree"],
)
def test_a_forged_one_is_not_believed(
    author: Author, folder: Path, attack: Callable[[Author], Checkpoint]
) -> None:
    pushed(author, 3)
    author.ledger.keep_checkpoint(author.epoch)
    bad = attack(author)
    sql(folder, "UPDATE checkpoints SET body = ?, seals = ?", bad.body, bad.seals)
    assert again(folder).state_at(author.epoch, 3).tree == author.tree
    assert again(folder, K1, K2).state_at(author.epoch, 3).tree == author.tree


def test_one_of_another_history_is_not_believed(author: Author, folder: Path, tmp_path: Path) -> None:
    """Of a copy of the ledger that went another way: same app, epoch, number and key."""
    pushed(author, 1)
    shutil.copytree(folder, tmp_path / "copy")
    other = Author(again(tmp_path / "copy"), K1, author.tree, author.epoch, 1)
    other.push(shop="other = 1\n")
    other.ledger.keep_checkpoint(author.epoch)
    pushed(author, 1)
    author.ledger.keep_checkpoint(author.epoch)
    row = sql(tmp_path / "copy", "SELECT body, seals FROM checkpoints WHERE number = 2")[0]
    sql(folder, "UPDATE checkpoints SET body = ?, seals = ?", *row)
    assert again(folder).state_at(author.epoch, 2).tree == author.tree


def test_with_its_record_gone_it_leads_nowhere(author: Author, folder: Path) -> None:
    pushed(author, 4)
    author.ledger.keep_checkpoint(author.epoch)
    sql(folder, "UPDATE checkpoints SET number = 3")
    sql(folder, "DELETE FROM releases WHERE number = 3")
    with pytest.raises(StoreError, match=r"record #3 .* is missing"):
        again(folder).state_at(author.epoch, 4)


def test_a_ledger_that_went_back_has_no_use_for_a_later_one(author: Author, folder: Path) -> None:
    pushed(author, 4)
    author.ledger.keep_checkpoint(author.epoch)
    sql(folder, "DELETE FROM releases WHERE number > 2")
    assert again(folder).state_at(author.epoch, 2).tree == TREE | tree_of(shop="N = 2\n")


def test_a_key_that_is_taken_away_takes_its_checkpoints_along(author: Author, folder: Path) -> None:
    """As it does its records: what k1 signed can be loaded by nobody who does not believe k1."""
    pushed(author, 2)
    both = again(folder, K2, K1)
    Author(both, K2, author.tree, author.epoch, 2).push(shop="N = 3\n")
    both.keep_checkpoint(author.epoch)
    assert kept(folder) == [3]
    read: list[int] = []
    with reading(read):
        assert again(folder, K2, K1).state_at(author.epoch, 3).number == 3
    assert sorted(set(read)) == [0, 3]
    with pytest.raises(StoreError, match=r"#0 .*key 'k1' is not in HABANERO_SECRET"):
        again(folder, K2).state_at(author.epoch, 3)
    seals = sql(folder, "SELECT seals FROM checkpoints")[0][0].split()
    sql(folder, "UPDATE checkpoints SET seals = ?", seals[1])  # k2's alone, which names k1, too
    with pytest.raises(StoreError, match=r"key 'k1' is not in HABANERO_SECRET"):
        again(folder, K2).state_at(author.epoch, 3)


def test_a_key_that_only_signed_a_push_takes_them_along_too(author: Author, folder: Path) -> None:
    """All records are sealed by k1, the app's first key; somebody pushed with k2."""
    both = again(folder, K1, K2)
    someone = Author(both, K2, author.tree, author.epoch)
    someone.push(shop="N = 1\n")
    someone.key = K1
    someone.push(shop="N = 2\n")
    both.keep_checkpoint(author.epoch)
    assert kept(folder) == [2]
    with pytest.raises(StoreError, match=r"#1 .*key 'k2' is not in HABANERO_SECRET"):
        again(folder, K1).state_at(author.epoch, 2)


def test_one_for_another_python_is_passed_over(
    author: Author, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(author, 3)
    with monkeypatch.context() as other:
        other.setattr(checkpoint, "python_tag", lambda: "ffff-cpython-399-o0-gil")
        author.ledger.keep_checkpoint(author.epoch)
    assert kept(folder) == [3]
    assert again(folder).state_at(author.epoch, 3).units == {"shop": build_unit(author.tree["shop"])}


def test_code_compiled_anew_is_kept_as_that(author: Author, folder: Path) -> None:
    """Pushed from another Python, then kept by this one."""
    target = author.tree | tree_of(shop="N = 1\n")
    theirs = replace(build_unit(target["shop"]), statements=())
    bundle = Bundle((theirs,), (), "ffff-cpython-399-o0-gil", digest_of(author.tree), digest_of(target))
    author.ledger.record(**author.request("push", bundle.encode(), bundle.target))
    author.ledger.keep_checkpoint(author.epoch)
    assert kept(folder) == [1]
    assert python_tag() != bundle.python
    assert again(folder).state_at(author.epoch, 1).units == {"shop": build_unit(target["shop"])}


def test_what_no_bundle_holds_is_not_kept(
    author: Author, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(author, 1)
    author.push(vat="RATE = 1\n")
    monkeypatch.setattr("flask_habanero.release.MAX_UNITS", 1)
    with pytest.raises(StoreError, match="checkpoint #2"):
        author.ledger.keep_checkpoint(author.epoch)
    assert not sql(folder, "SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'")


# --- files of before, and several at once ---


def test_a_file_of_before_goes_on_and_one_of_now_is_good_for_older_code(author: Author, folder: Path) -> None:
    pushed(author, 2)
    sql(folder, "DROP INDEX releases_by_tree")
    ledger = again(folder)
    assert ledger.open_epoch(TREE, None, NOW) == (author.epoch, 0)
    assert ledger.open_epoch(author.tree, None, NOW) == (author.epoch, 2)
    ledger.state_at(author.epoch, 2)
    ledger.keep_checkpoint(author.epoch)
    assert sql(folder, "SELECT 1 FROM sqlite_master WHERE name = 'releases_by_tree'")
    assert sql(folder, "PRAGMA user_version") == [(1,)]  # all that older code looks at, and it only appends
    assert ledger.open_epoch(author.tree, None, NOW) == (author.epoch, 2)


@pytest.mark.slow
def test_workers_that_keep_one_at_once_keep_one(folder: Path) -> None:
    assert run("keep_at_once", folder, 4) == [[3], [3], [3], [3]]


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_worker_killed_at_any_line_of_keeping_one_harms_nothing(folder: Path, step: int) -> None:
    *wrong, lines = run("kill_at_every_line_of_keeping", folder, step)
    assert wrong == []
    assert int(lines.split()[0]) > 100


# --- workers ---


def test_the_worker_that_leads_keeps_one_when_its_answer_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(monkeypatch, 3)
    host = Host(tmp_path)
    try:
        one = host.worker(shop_of(shop="x = 0"))
        one.deafen()
        one.worker.tick()
        peer = host.peer(one)
        for n in range(1, 4):
            assert peer.push({"shop": f"x = {n}"}).outcome == "live"
            assert not sql(tmp_path / "store", "SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'")
            one.worker.tick() if n < 3 else None
        one.worker.tick()
        assert kept(tmp_path / "store") == [3]
        read: list[int] = []
        with reading(read):
            two = host.worker(shop_of(shop="x = 0"))
        assert two.get() == "x = 3"
        assert sorted(set(read)) == [0, 3]
    finally:
        host.close()


def no_room(*_: object) -> None:
    raise StoreError("No space left on device")


def test_one_that_could_not_be_kept_is_due_until_it_is(
    author: Author, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(monkeypatch, 3)
    pushed(author, 3)
    for where in ("flask_habanero.ledger.keep", "flask_habanero.replay.made_of"):
        with monkeypatch.context() as full:
            full.setattr(where, no_room)
            with pytest.raises(StoreError, match="No space"):
                author.ledger.keep_checkpoint(author.epoch)
    for _ in range(3):
        pushed(author, 1)
        author.ledger.keep_checkpoint(author.epoch)
    assert kept(folder) == [4]
    pushed(author, 1)
    author.ledger.keep_checkpoint(author.epoch)
    assert kept(folder) == [4, 7]


def test_a_worker_that_could_not_keep_one_does_so_after_its_next_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(monkeypatch, 3)
    host = Host(tmp_path)
    try:
        one = host.worker(shop_of(shop="x = 0"))
        one.deafen()
        one.worker.tick()
        peer = host.peer(one)
        for n in range(1, 4):
            peer.push({"shop": f"x = {n}"})
        with monkeypatch.context() as full:
            full.setattr("flask_habanero.ledger.keep", no_room)
            one.worker.tick()
        peer.push({"shop": "x = 4"})
        one.worker.tick()
        assert kept(tmp_path / "store") == [4]
    finally:
        host.close()


def test_a_worker_that_had_to_read_much_at_its_start_keeps_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    try:
        peer = host.peer(host.worker(shop_of(shop="x = 0")))
        for n in range(1, 4):
            peer.push({"shop": f"x = {n}"})
        every(monkeypatch, 3)
        two = host.worker(shop_of(shop="x = 0"))
        two.worker.tick()
        assert kept(tmp_path / "store") == [3]
    finally:
        host.close()
