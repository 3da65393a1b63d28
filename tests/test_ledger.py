"""The ledger: what was acknowledged is there for ever, and nothing else is ever believed."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import store
from flask_habanero.asset import Asset
from flask_habanero.counter import Counter
from flask_habanero.envelope import Keyring
from flask_habanero.errors import ConflictError, StoreError
from flask_habanero.ledger import Ledger
from flask_habanero.record import Record, link, seal_record
from flask_habanero.release import Bundle, digest_of
from flask_habanero.unit import Unit, build_unit, python_tag

from tests.ledgers import APP, K1, K2, KEYS, NOW, ROOT, TREE, Author, author_at, program, run, tree_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "instance" / "habanero"


@pytest.fixture
def author(folder: Path) -> Author:
    return author_at(folder)


def again(folder: Path, *keys: Any) -> Ledger:
    """Return the ledger as a process sees it that starts now."""
    return Ledger(folder, APP, Keyring(keys) if keys else KEYS)


def edit(folder: Path, sql: str, *values: Any) -> None:
    """Change the file behind the ledger's back."""
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        assert db.execute(sql, values).rowcount != 0


def row_at(folder: Path, number: int) -> tuple[Any, ...]:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        row: tuple[Any, ...] = db.execute("SELECT * FROM releases WHERE number = ?", (number,)).fetchone()
    return row


def insert(folder: Path, *row: Any) -> None:
    edit(folder, f"INSERT INTO releases VALUES({','.join('?' * len(row))})", *row)


# --- records ---


def test_making_one_touches_nothing(folder: Path) -> None:
    ledger = again(folder)
    assert not folder.parent.exists()
    assert ledger.counter() == 0
    assert not folder.parent.exists()


def test_an_epoch_begins_with_its_base(author: Author) -> None:
    base = author.ledger.head(author.epoch)
    assert (base.number, base.kind, base.header, base.time) == (0, "base", "", NOW)
    assert base.tree_digest == digest_of(TREE)
    state = author.ledger.state_at(author.epoch, 0)
    assert (state.number, state.digest, state.tree, state.units) == (0, digest_of(TREE), TREE, {})
    assert author.ledger.first(author.epoch) == 0


def test_a_release_follows_head_and_is_kept_as_it_came(author: Author) -> None:
    row = author.pushing(author.tree | tree_of(shop="N = 1\n"))
    record = author.ledger.record(**row)
    assert (record.number, record.epoch, record.kind, record.nonce) == (1, author.epoch, "push", row["nonce"])
    assert (record.header, record.body, record.note) == (row["header"], row["body"], "a note")
    assert (record.who, record.kid, record.time) == ("ann@laptop", "k1", NOW)
    assert author.ledger.head(author.epoch) == record
    assert author.ledger.by_nonce(row["nonce"]) == record
    assert author.ledger.by_nonce("0" * 32) is None


def test_only_who_built_on_head_is_recorded(author: Author) -> None:
    stale = author.pushing(author.tree | tree_of(shop="N = 9\n"))
    author.push(shop="N = 1\n")
    with pytest.raises(ConflictError) as caught:
        author.ledger.record(**stale)
    assert (caught.value.epoch, caught.value.head) == (author.epoch, 1)
    assert author.ledger.head(author.epoch).number == 1


def test_a_retry_becomes_the_same_release(author: Author) -> None:
    row = author.pushing(author.tree | tree_of(shop="N = 1\n"))
    first = author.ledger.record(**row)
    author.tree, author.number = author.tree | tree_of(shop="N = 1\n"), 1
    author.push(shop="N = 2\n")
    counted = author.ledger.counter()
    assert author.ledger.record(**row) == first
    assert author.ledger.counter() == counted
    assert author.ledger.head(author.epoch).number == 2


def test_the_newest_records_come_first_and_the_base_last(author: Author) -> None:
    for n in range(1, 5):
        author.push(shop=f"N = {n}\n")
    assert [r.number for r in author.ledger.records(author.epoch, 2)] == [4, 3]
    assert [r.kind for r in author.ledger.records(author.epoch)] == ["push"] * 4 + ["base"]


def test_what_could_not_be_replayed_is_not_recorded(author: Author) -> None:
    """A header for another body, app or place, and a rollback to nowhere, are refused when they come."""
    tree = author.tree | tree_of(shop="N = 1\n")
    wrong = [
        author.pushing(tree) | {"body": b"another"},
        author.pushing(tree) | {"nonce": "0" * 32},
        author.pushing(tree) | {"kind": "rollback"},
        author.request("push", b"x", "0" * 64, app="other"),
        author.request("push", b"x", "0" * 64, rel=7),
        author.request("rollback", b'{"to": 1}', "0" * 64),
        author.request("rollback", b'{"to": null}', "0" * 64),  # head is the base: nothing is before it
        author.request("rollback", b'{"to": true}', "0" * 64),
        author.request("rollback", b"[]", "0" * 64),
        Author(author.ledger, K2, epoch=author.epoch).request("push", b"x", "0" * 64),
    ]
    for row in wrong:
        with pytest.raises(StoreError, match=r"record #"):
            author.ledger.record(**row)
    assert author.ledger.head(author.epoch).number == 0


def test_a_note_may_be_any_text(author: Author) -> None:
    """A lone surrogate is text to JSON, and none to SQLite."""
    row = author.pushing(author.tree | tree_of(shop="N = 1\n"))
    assert author.ledger.record(**row | {"note": "é \ud800"}).note == "é ?"
    assert again(author.ledger._store.folder).state_at(author.epoch, 1).number == 1


# --- the counter ---


def test_the_counter_grows_with_each_record_and_each_epoch(author: Author, folder: Path) -> None:
    other, seen = again(folder), [author.ledger.counter()]
    author.push(shop="N = 1\n")
    seen.append(other.counter())
    author.roll_back(0)
    seen.append(other.counter())
    other.open_epoch(tree_of(shop="cold\n"), None, NOW)
    seen.append(author.ledger.counter())
    assert seen == sorted(set(seen))


def test_a_counter_that_a_dead_writer_left_behind_is_raised_before_anybody_is_told(
    author: Author, folder: Path
) -> None:
    record = author.push(shop="N = 1\n")
    counted = author.ledger.counter()
    for ask in (
        lambda ledger: ledger.sweep(),
        lambda ledger: ledger.by_nonce(record.nonce),
        lambda ledger: ledger.open_epoch(TREE, None, NOW),
    ):
        (folder / "counter").write_bytes(bytes(8))
        ledger = again(folder)
        assert ledger.counter() == 0
        ask(ledger)
        assert ledger.counter() == counted


def test_a_ledger_that_went_back_takes_nothing_new(author: Author, folder: Path) -> None:
    """An old copy put back would give a number a second time; only another deploy begins anew."""
    author.push(shop="N = 1\n")
    edit(folder, "DELETE FROM releases WHERE number = 1")
    ledger = again(folder)
    fresh = Author(ledger).begin()
    with pytest.raises(StoreError, match="lost its newest record"):
        fresh.push(shop="N = 2\n")
    assert Author(ledger, tree=tree_of(shop="cold = 1\n")).begin().push(shop="N = 2\n").number == 1


def test_a_late_writer_does_not_take_the_counter_back(tmp_path: Path) -> None:
    one, two = Counter(tmp_path / "counter"), Counter(tmp_path / "counter")
    for value, expected in ((5, 5), (3, 5), (6, 6)):
        with one.opened() as file:
            one.raise_to(file, value)
        assert two.value() == expected


def test_the_counter_is_no_link_to_elsewhere(author: Author, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "else").write_bytes(bytes(8))
    (folder / "counter").unlink()
    (folder / "counter").symlink_to(tmp_path / "else")
    with pytest.raises(StoreError, match="counter"):
        again(folder).counter()
    with pytest.raises(StoreError, match="counter"):
        author.push(shop="N = 1\n")
    assert (tmp_path / "else").read_bytes() == bytes(8)
    assert author.ledger.head(author.epoch).number == 0, "recorded, and nobody told"


# --- epochs ---


def test_a_restart_on_the_same_code_goes_on_where_it_was(author: Author, folder: Path) -> None:
    author.push(shop="N = 1\n")
    assert again(folder).open_epoch(TREE, None, NOW + 9) == (author.epoch, 0)
    assert again(folder).open_epoch(author.tree, None, NOW + 9) == (author.epoch, 1)


def test_of_equal_states_the_newest_is_meant(author: Author, folder: Path) -> None:
    """Rolled back to the base: disk is at head, and not one release behind it."""
    author.push(shop="N = 1\n")
    author.roll_back(0)
    assert again(folder).open_epoch(TREE, None, NOW) == (author.epoch, 2)


def test_other_code_on_disk_begins_an_epoch_that_goes_on_counting(author: Author, folder: Path) -> None:
    author.push(shop="N = 1\n")
    author.push(shop="N = 2\n")
    cold = Author(again(folder), tree=tree_of(shop="cold = 1\n")).begin()
    assert cold.epoch != author.epoch
    assert cold.number == 2
    assert cold.push(shop="N = 3\n").number == 3
    assert cold.ledger.state_at(cold.epoch, 2).tree == tree_of(shop="cold = 1\n")
    with pytest.raises(ConflictError) as caught:  # a worker of the old deploy that still runs
        author.push(shop="N = 9\n")
    assert (caught.value.epoch, caught.value.head) == (cold.epoch, 3)


def test_a_superseded_epoch_does_not_come_back(author: Author, folder: Path) -> None:
    """A deploy of the code before the last begins an epoch of its own: its old releases are history."""
    author.push(shop="N = 1\n")
    again(folder).open_epoch(tree_of(shop="cold = 1\n"), None, NOW)
    epoch, number = again(folder).open_epoch(TREE, None, NOW)
    assert epoch != author.epoch
    assert number == 1


def test_a_build_is_known_by_its_name(folder: Path) -> None:
    author = Author(again(folder)).begin("v1")
    author.push(shop="N = 1\n")
    ledger = again(folder)
    assert ledger.open_epoch(tree_of(shop="written at start = 1\n"), "v1", NOW) == (author.epoch, 0)
    assert ledger.open_epoch(author.tree, "v1", NOW) == (author.epoch, 1)
    assert ledger.open_epoch(TREE, "v2", NOW)[0] != author.epoch


PAGE = Asset.of("shop/templates/page.html", b"<h1>one</h1>\n")
CSS = Asset("shop/static/shop.css", "1" * 64, None)


def assets_of(*assets: Asset) -> dict[str, Asset]:
    return {asset.name: asset for asset in assets}


def test_a_template_on_disk_tells_one_deploy_from_another_and_a_static_file_does_not(folder, author):
    ledger, base = again(folder), assets_of(PAGE, CSS)
    epoch, first = ledger.open_epoch(TREE, None, NOW, base)
    assert epoch != author.epoch
    written = Asset("shop/static/upload.png", "2" * 64, None)
    assert again(folder).open_epoch(TREE, None, NOW, assets_of(PAGE, written)) == (epoch, first)
    other = Asset.of(PAGE.name, b"<h1>two</h1>\n")
    assert again(folder).open_epoch(TREE, None, NOW, assets_of(other, CSS))[0] != epoch


def test_a_deploy_of_a_static_file_that_was_pushed_supersedes_the_push(folder, author):
    author.begin(assets=assets_of(PAGE, CSS))
    epoch, first = author.epoch, author.number
    pushed = Asset.of(CSS.name, b"pushed")
    author.push_asset(pushed)
    seen = [
        again(folder).open_epoch(TREE, None, NOW, assets_of(PAGE, css))
        for css in (CSS, Asset(CSS.name, pushed.digest, None), Asset(CSS.name, "3" * 64, None))
    ]
    assert seen[:2] == [(epoch, first), (epoch, first + 1)]
    assert seen[2][0] != epoch


def test_a_static_file_that_was_pushed_and_one_that_the_app_wrote_since(folder, author):
    author.begin(assets=assets_of(PAGE, CSS))
    pushed, written = Asset.of(CSS.name, b"pushed"), Asset("shop/static/upload.png", "2" * 64, None)
    author.push_asset(pushed)
    disk = assets_of(PAGE, Asset(CSS.name, pushed.digest, None), written)
    found = again(folder).open_epoch(TREE, None, NOW, disk)
    assert found == (author.epoch, author.number - 1)


def test_a_base_knows_its_templates_and_the_digests_of_its_static_files(folder, author):
    epoch, first = again(folder).open_epoch(TREE, None, NOW, assets_of(PAGE, CSS))
    state = again(folder).state_at(epoch, first)
    assert state.assets == assets_of(PAGE, CSS)
    assert state.assets[PAGE.name].data == PAGE.data
    assert state.digest == digest_of(TREE, state.assets)


@pytest.mark.parametrize("how", ["boot", "boot_behind_a_lock"])
def test_workers_that_boot_at_once_open_one_epoch(folder: Path, how: str) -> None:
    told = run(how, folder, 6)
    assert len(told) == 6
    assert len({tuple(one) for one in told}) == 1
    assert len(again(folder).records(told[0][0])) == 1


# --- states ---


def test_a_state_is_all_pushes_up_to_it(author: Author, folder: Path) -> None:
    author.push(shop="N = 1\n")
    author.push(vat="", new="X = 1\n")
    author.push(shop="N = 3\n")
    state = again(folder).state_at(author.epoch, 3)
    assert state.tree == author.tree == tree_of(shop="N = 3\n", new="X = 1\n")
    assert {name: unit.source for name, unit in state.units.items()} == state.tree
    middle = again(folder).state_at(author.epoch, 1)
    assert middle.tree == TREE | tree_of(shop="N = 1\n")
    assert list(middle.units) == ["shop"]


def test_a_rollback_is_a_new_release_of_an_earlier_state(author: Author, folder: Path) -> None:
    trees = [TREE]
    for n in range(1, 4):
        author.push(shop=f"N = {n}\n")
        trees.append(author.tree)
    author.roll_back(1)  # 4
    author.push(vat="RATE = 7\n")  # 5
    trees += [trees[1], author.tree]
    author.roll_back(None)  # 6: before the last release
    author.roll_back(5)  # 7
    author.roll_back(0)  # 8
    trees += [trees[4], trees[5], TREE]
    assert trees[5] == trees[1] | tree_of(vat="RATE = 7\n")
    for ledger in (again(folder), author.ledger):  # from its base, and from what it had folded on the way
        for number in (8, 7, 6, 5, 4, 3):
            state = ledger.state_at(author.epoch, number)
            assert (state.number, state.tree) == (number, trees[number])
            assert state.digest == digest_of(trees[number])
    assert set(again(folder).state_at(author.epoch, 7).units) == {"shop", "vat"}
    assert again(folder).state_at(author.epoch, 8).units == {}


def test_folding_goes_on_from_what_was_folded_before(author: Author, folder: Path) -> None:
    """With what came before gone, only a process that has folded it already can go on."""
    for n in range(1, 4):
        author.push(shop=f"N = {n}\n")
        if n > 1:
            edit(folder, "DELETE FROM releases WHERE number < ?", n)
        assert author.ledger.state_at(author.epoch, n).tree == author.tree
    with pytest.raises(StoreError, match=r"record #0 .* is missing"):
        again(folder).state_at(author.epoch, 3)


def test_there_is_no_state_outside_of_the_epoch(author: Author) -> None:
    author.push(shop="N = 1\n")
    for number in (2, -1):
        with pytest.raises(LookupError, match=f"from #0 to #1, it has no #{number}"):
            author.ledger.state_at(author.epoch, number)
    with pytest.raises(StoreError, match="no epoch 00000000: restart the app"):
        author.ledger.state_at("0" * 32, 1)


def test_code_of_another_python_is_compiled_anew(author: Author, folder: Path) -> None:
    """The server's Python was exchanged beneath the ledger: marshal of the other could crash it."""
    ours = build_unit(tree_of(shop="N = 1\n")["shop"])
    theirs = Unit(ours.source, (replace(ours.statements[0], code=b"another marshal"),))
    target = author.tree | tree_of(shop="N = 1\n")
    for python, expected in (("ffff-cpython-399-o0-gil", ours), (python_tag(), theirs)):
        parent = digest_of(author.tree)
        bundle = Bundle((theirs,), (), python, parent, digest_of(target))
        author.number = author.ledger.record(**author.request("push", bundle.encode(), bundle.target)).number
        assert again(folder).state_at(author.epoch, author.number).units == {"shop": expected}


def test_a_push_that_leads_elsewhere_than_recorded_is_no_state(author: Author, folder: Path) -> None:
    row = author.pushing(author.tree | tree_of(shop="N = 1\n"))
    author.ledger.record(**row | {"tree_digest": "0" * 64})
    with pytest.raises(StoreError, match=r"#1 .*another tree than it says"):
        again(folder).state_at(author.epoch, 1)


def test_a_large_tree_with_strange_text_survives(folder: Path) -> None:
    tree = tree_of(**{f"m{i}": f"X = {i}\n" for i in range(50)}) | tree_of(odd="X = 'é\\ud800 \ud800'\n")
    author = Author(again(folder), tree=tree).begin()
    assert again(folder).state_at(author.epoch, 0).tree == tree


# --- nothing is believed that was not sealed ---


def flipped(data: Any, at: int) -> Any:
    if isinstance(data, int):
        return data + 1
    raw = bytearray(data if isinstance(data, bytes) else data.encode())
    raw[at % len(raw)] ^= 1
    return bytes(raw) if isinstance(data, bytes) else raw.decode()


COLUMNS = ["epoch", "kind", "nonce", "header", "body", "tree_digest", "who", "kid", "time", "note", "seal"]


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_column_ends_the_replay_there(
    author: Author, folder: Path, column: str, number: int
) -> None:
    for n in range(1, 4):
        author.push(shop=f"N = {n}\n")
    shutil.copy(folder / "ledger.sqlite", folder / "copy")
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        (value,) = db.execute(f"SELECT {column} FROM releases WHERE number = ?", (number,)).fetchone()
    for at in (0, 5, 40, -1):
        if value == "":
            continue
        shutil.copy(folder / "copy", folder / "ledger.sqlite")
        edit(folder, f"UPDATE releases SET {column} = ? WHERE number = ?", flipped(value, at), number)
        ledger = again(folder)
        if number:
            assert ledger.state_at(author.epoch, number - 1).tree == TREE | tree_of(
                shop=f"N = {number - 1}\n"
            )
        with pytest.raises(StoreError, match=f"#{number} "):
            ledger.state_at(author.epoch, 3)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [None, b"\xff", 7, 1.5])
def test_a_column_of_another_type_is_no_crash(author: Author, folder: Path, column: str, value: Any) -> None:
    author.push(shop="N = 1\n")
    try:
        edit(folder, f"UPDATE releases SET {column} = ? WHERE number = 1", value)
    except sqlite3.IntegrityError:
        return  # SQLite itself would not take it
    for ask in (
        lambda ledger: ledger.state_at(author.epoch, 1),
        lambda ledger: ledger.head(author.epoch),
        lambda ledger: ledger.records(author.epoch),
        lambda ledger: ledger.open_epoch(TREE, None, NOW),
    ):
        with suppress(StoreError, LookupError):
            ask(again(folder))


def test_a_missing_record_is_named(author: Author, folder: Path) -> None:
    for n in range(1, 5):
        author.push(shop=f"N = {n}\n")
    edit(folder, "DELETE FROM releases WHERE number = 2")
    ledger = again(folder)
    assert ledger.state_at(author.epoch, 1).tree == TREE | tree_of(shop="N = 1\n")
    with pytest.raises(StoreError, match=r"record #2 .* is missing"):
        ledger.state_at(author.epoch, 4)


def test_records_can_not_change_places(author: Author, folder: Path) -> None:
    for n in range(1, 4):
        author.push(shop=f"N = {n}\n")
    edit(folder, "UPDATE releases SET number = 9 WHERE number = 1")
    edit(folder, "UPDATE releases SET number = 1 WHERE number = 2")
    edit(folder, "UPDATE releases SET number = 2 WHERE number = 9")
    with pytest.raises(StoreError, match=r"#1 "):
        again(folder).state_at(author.epoch, 3)


def test_a_whole_record_of_another_ledger_does_not_fit(author: Author, folder: Path, tmp_path: Path) -> None:
    """Same app, same key, same place; but of another epoch."""
    author.push(shop="N = 1\n")
    other = author_at(tmp_path / "other")
    other.push(shop="evil = 1\n")
    row = row_at(tmp_path / "other", 1)
    edit(folder, "DELETE FROM releases WHERE number = 1")
    insert(folder, row[0], author.epoch, *row[2:])
    with pytest.raises(StoreError, match=r"#1 "):
        again(folder).state_at(author.epoch, 1)


def test_two_histories_of_one_epoch_do_not_mix(author: Author, folder: Path, tmp_path: Path) -> None:
    """Each record is good and in its place; but the third was built on another second."""
    author.push(shop="N = 1\n")
    shutil.copytree(folder, tmp_path / "copy")
    other = Author(again(tmp_path / "copy"), K1, author.tree, author.epoch, 1)
    other.push(shop="N = 20\n")
    author.push(shop="N = 2\n")
    author.push(shop="N = 3\n")
    edit(folder, "DELETE FROM releases WHERE number = 2")
    insert(folder, *row_at(tmp_path / "copy", 2))
    assert again(folder).state_at(author.epoch, 2).tree == other.tree
    with pytest.raises(StoreError, match=r"#3 .*does not follow"):
        again(folder).state_at(author.epoch, 3)


def test_a_sealed_record_without_its_senders_signature_is_not_believed(author: Author, folder: Path) -> None:
    """Our own seal alone runs nothing: the request's signature is looked at again each time."""
    base_seal = row_at(folder, 0)[-1]
    row = author.pushing(author.tree | tree_of(shop="evil = 1\n"))
    header = row["header"][:-5] + "AAAAA"
    record = Record(
        1,
        author.epoch,
        "push",
        row["nonce"],
        header,
        row["body"],
        row["tree_digest"],
        "ann@laptop",
        "k1",
        NOW,
        "",
    )
    token = seal_record(record, link(base_seal), APP, KEYS)
    insert(folder, *vars(record).values(), token)
    with pytest.raises(StoreError, match=r"#1 .*signature"):
        again(folder).state_at(author.epoch, 1)


def test_a_damaged_file_is_no_crash_and_no_other_state(author: Author, folder: Path) -> None:
    """Bytes flipped anywhere in the file: the right state, or an error that is ours."""
    for n in range(1, 6):
        author.push(shop=f"N = {n}\n")
    good = (folder / "ledger.sqlite").read_bytes()
    states = {n: author.ledger.state_at(author.epoch, n).tree for n in range(6)}
    dice, refused = random.Random(5), 0
    for _ in range(150):
        raw = bytearray(good)
        for _ in range(dice.choice([1, 1, 30])):
            raw[dice.randrange(len(raw))] ^= dice.randrange(1, 256)
        (folder / "ledger.sqlite").write_bytes(
            raw if dice.random() < 0.8 else raw[: dice.randrange(len(raw))]
        )
        for n in (1, 5):
            try:
                assert again(folder).state_at(author.epoch, n).tree == states[n]
            except (StoreError, LookupError):
                refused += 1
    assert refused > 30


def test_records_of_a_key_that_was_taken_away_are_not_replayed(author: Author, folder: Path) -> None:
    author.push(shop="N = 1\n")
    ledger = again(folder, K2, K1)
    Author(ledger, K2, author.tree, author.epoch, 1).push(shop="N = 2\n")
    assert again(folder, K2, K1).state_at(author.epoch, 2).number == 2
    with pytest.raises(StoreError, match=r"#0 .*key 'k1' is not in HABANERO_SECRET"):
        again(folder, K2).state_at(author.epoch, 2)
    assert again(folder, K2).open_epoch(TREE, None, NOW) == (
        author.epoch,
        0,
    )  # loudly behind, not silently anew


def test_without_a_key_and_with_nothing_to_lose_an_epoch_begins(author: Author, folder: Path) -> None:
    """After a leak: the old key is gone, what runs is what lies on disk, and pushes go on."""
    author.push(shop="N = 1\n")
    fresh = Author(again(folder, K2), K2, author.tree).begin()
    assert fresh.epoch != author.epoch
    assert fresh.push(shop="N = 2\n").number == 2
    assert fresh.ledger.state_at(fresh.epoch, 2).tree == fresh.tree


# --- the folder ---


def test_the_folder_and_all_in_it_are_ours_alone(author: Author, folder: Path) -> None:
    author.push(shop="N = 1\n")
    author.ledger.stage("a" * 32, "header", b"body")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def chmod(folder: Path) -> None:
    folder.chmod(0o770)


def chown(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, 12345, -1)


def replace_by_link(folder: Path) -> None:
    folder.rename(folder.with_name("real"))
    folder.symlink_to(folder.with_name("real"))


def replace_by_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def loosen_file(folder: Path) -> None:
    (folder / "ledger.sqlite").chmod(0o666)


def link_file(folder: Path) -> None:
    (folder / "ledger.sqlite").rename(folder / "real")
    (folder / "ledger.sqlite").symlink_to(folder / "real")


def spoil_file(folder: Path) -> None:
    (folder / "ledger.sqlite").write_bytes(b"no database at all, but long enough to be looked at " * 100)


def make_newer(folder: Path) -> None:
    edit(folder, "PRAGMA user_version = 9")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (chmod, "can be written by others: chmod go-w"),
        (chown, "belongs to another user .* set HABANERO_STORE"),
        (replace_by_link, "is a link, or no folder: set HABANERO_STORE"),
        (replace_by_file, "is a link, or no folder"),
        (loosen_file, "can be written by others: chmod go-w"),
        (link_file, "ledger.sqlite is no file"),
        (spoil_file, "is damaged: move its folder away"),
        (make_newer, "is of another version .* set HABANERO_STORE"),
    ],
)
def test_a_folder_that_is_not_ours_is_refused(
    author: Author, folder: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(folder)
    ledger = again(folder)
    for ask in (
        lambda: ledger.open_epoch(TREE, None, NOW),
        lambda: ledger.head(author.epoch),
        lambda: ledger.record(**author.pushing(tree_of(shop="N = 1\n"))),
    ):
        with pytest.raises(StoreError, match=words):
            ask()


def test_two_apps_do_not_share_a_folder(author: Author, folder: Path) -> None:
    with pytest.raises(StoreError, match="belongs to the app 'shop/tests', this is 'other'"):
        Ledger(folder, "other", KEYS).open_epoch(TREE, None, NOW)


def test_a_file_that_was_exchanged_under_a_running_app_is_noticed(author: Author, folder: Path) -> None:
    author.push(shop="N = 1\n")
    shutil.copy(folder / "ledger.sqlite", folder / "copy")
    (folder / "copy").replace(folder / "ledger.sqlite")
    with pytest.raises(StoreError, match="was exchanged under the running app: restart it"):
        author.push(shop="N = 2\n")
    shutil.rmtree(folder)
    with pytest.raises(StoreError):
        author.push(shop="N = 2\n")


def test_a_held_lock_ends_in_a_sentence(
    author: Author, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCKED_S", 0.05)
    db = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="another process has held it locked"):
        author.push(shop="N = 1\n")
    assert author.ledger.counter() > 0  # requests go on
    db.execute("ROLLBACK")
    db.close()
    assert author.push(shop="N = 1\n").number == 1


def test_a_full_disk_loses_nothing(folder: Path) -> None:
    why, head, number, counted = run("fill_the_disk", folder)
    assert "disk" in why
    assert "full" in why
    assert (head, number, counted) == (1, 2, 2)


# --- several processes ---


def test_of_those_who_push_at_once_one_wins(folder: Path) -> None:
    won = run("race", folder, 3, 30)
    assert [sum(each) for each in zip(*won, strict=True)] == [1] * 30
    ledger = again(folder)
    epoch, _ = ledger.open_epoch(TREE, None, NOW)
    assert [record.number for record in ledger.records(epoch, 99)] == list(range(30, -1, -1))


def test_one_ledger_is_used_on_both_sides_of_a_fork(folder: Path) -> None:
    assert run("use_over_a_fork", folder) == [1, 2, 3]


@pytest.mark.slow
def test_a_worker_killed_at_any_line_of_recording_leaves_it_done_or_not_done(folder: Path) -> None:
    *wrong, lines = run("kill_at_every_line", folder)
    assert wrong == []
    assert int(lines.split()[0]) > 100


@pytest.mark.slow
def test_what_was_acknowledged_outlives_workers_that_are_killed(folder: Path) -> None:
    """Killed in the middle of writing, again and again: no acknowledged release is lost or changed."""
    author_at(folder)
    acknowledged: dict[int, str] = {}
    dice = random.Random(1)
    for _ in range(12):
        with subprocess.Popen(program("push_for_ever", folder), cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(dice.randrange(1, 4))]
            select.select([], [], [], dice.random() * 0.004)  # any moment of the next push
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.readlines()
        acknowledged |= {
            int(n): nonce.decode() for n, nonce in (line.split() for line in lines if line[-1:] == b"\n")
        }
        ledger = again(folder)
        epoch, _ = ledger.open_epoch(TREE, None, NOW)
        head = ledger.head(epoch).number
        assert head in (max(acknowledged), max(acknowledged) + 1)
        assert ledger.state_at(epoch, head).tree["shop"].text.startswith(f"N = {head}\n")
        ledger.sweep()
        assert ledger.counter() % 2**40 == head
    for number, nonce in acknowledged.items():
        record = ledger.by_nonce(nonce)
        assert record is not None
        assert record.number == number


# --- envelopes on their way ---


def test_a_staged_request_is_found_by_its_nonce(author: Author, folder: Path) -> None:
    row = author.pushing(tree_of(shop="N = 1\n"))
    path = author.ledger.stage(row["nonce"], row["header"], row["body"])
    assert again(folder).staged(row["nonce"]) == (row["header"], row["body"])
    author.ledger.unstage(path)
    author.ledger.unstage(path)
    with pytest.raises(StoreError):
        again(folder).staged(row["nonce"])


@pytest.mark.parametrize("nonce", ["../ledger.sqlite", "", "A" * 32, "a" * 31, "a" * 32 + "\n"])
def test_a_nonce_is_no_path(author: Author, nonce: str) -> None:
    with pytest.raises(StoreError, match="32 hex digits"):
        author.ledger.stage(nonce, "h", b"")
    with pytest.raises(StoreError, match="32 hex digits"):
        author.ledger.staged(nonce)


def test_only_old_staged_requests_are_swept(author: Author, folder: Path) -> None:
    old, new = (author.ledger.stage(digit * 32, "h", b"b") for digit in "ab")
    os.utime(old, (1, 1))
    author.ledger.sweep()
    assert not old.exists()
    assert new.exists()
    shutil.rmtree(folder / "staged")
    author.ledger.sweep()
