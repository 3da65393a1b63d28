"""What the ledger holds, read back: each release, each state, only what was verified, and nothing changes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from flask_habanero import archive
from flask_habanero.asset import Asset, digests
from flask_habanero.release import Report

from tests.fakes import tree_of
from tests.hosts import Host, Member, PeerOf

BASE = tree_of(shop="x = 1", shop__views="y = 1")


@pytest.fixture
def member(host: Host) -> Member:
    return host.worker(BASE)


@pytest.fixture
def peer(host: Host, member: Member) -> PeerOf:
    return host.peer(member)


def read(peer: PeerOf, op: str, /, **wishes: Any) -> Report:
    return peer.ask(op, json.dumps(wishes).encode())


def log(peer: PeerOf, below: int | None = None) -> list[dict[str, Any]]:
    return list(read(peer, "log", below=below).data["log"])


def sources(peer: PeerOf, at: int | str, *names: str) -> dict[str, str]:
    data = read(peer, "sources", at=at, names=names).data
    return {name: text for name, _, _, text in data["sources"]}


def two_releases_and_a_rollback(peer: PeerOf) -> None:
    peer.push({"shop": "x = 2", "shop.new": "z = 1"})
    peer.push({"shop": "x = 3"}, deleted=("shop.views",))
    peer.rollback(1)


def test_the_log_tells_what_each_release_changed_newest_first(peer: PeerOf) -> None:
    two_releases_and_a_rollback(peer)
    rows = log(peer)
    assert [(row["number"], row["kind"], row["changes"]) for row in rows] == [
        (3, "rollback", {"shop": "~", "shop.views": "+"}),
        (2, "push", {"shop": "~", "shop.views": "-"}),
        (1, "push", {"shop": "~", "shop.new": "+"}),
        (0, "base", {}),
    ]
    assert {row["trouble"] for row in rows} == {""}
    assert [row["who"] for row in rows] == ["someone@laptop"] * 3 + [""]
    assert rows[0]["note"] == "back to #1"
    assert (rows[0]["digest"], rows[0]["key"]) == (rows[2]["digest"], "k1")


def test_the_log_is_told_page_by_page(peer: PeerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PAGE", 3)
    for number in range(2, 9):
        peer.push({"shop": f"x = {number}"})
    told, below = [], None
    for _ in range(3):
        data = read(peer, "log", below=below).data
        told.append([row["number"] for row in data["log"]])
        assert all(row["changes"] == {"shop": "~"} for row in data["log"] if row["number"])
        below = data["next"]
    assert told == [[7, 6, 5], [4, 3, 2], [1, 0]]
    assert below is None


@pytest.mark.parametrize(("below", "numbers"), [(0, []), (1, [0]), (99, [2, 1, 0])])
def test_a_page_may_begin_anywhere(peer: PeerOf, below: int, numbers: list[int]) -> None:
    peer.push({"shop": "x = 2"})
    peer.push({"shop": "x = 3"})
    assert [row["number"] for row in log(peer, below)] == numbers


def test_an_answer_is_bounded_and_says_what_is_left(peer: PeerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.push({"shop": "x = '" + "a" * 300 + "'"})
    peer.push({"shop": "x = 3"})
    monkeypatch.setattr(archive, "MOST_BYTES", 300)
    rows, below = [], None
    while True:
        data = read(peer, "log", below=below).data
        rows += data["log"]
        below = data["next"]
        if below is None:
            break
        assert len(data["log"]) == 1
    assert [row["number"] for row in rows] == [2, 1, 0]
    data = read(peer, "sources", at=2, names=["shop.views", "shop"]).data
    assert (len(data["sources"]), data["left"]) == (2, [])
    data = read(peer, "sources", at=1, names=["shop.views", "shop"]).data
    assert ([row[0] for row in data["sources"]], data["left"]) == (["shop.views"], ["shop"])
    report = read(peer, "sources", at=1, names=["shop"])
    assert (report.outcome, report.reasons[0].code) == ("refused", "refused")
    assert "shop: larger than one answer holds (300 bytes)" in report.reasons[0].what


@pytest.mark.parametrize(("op", "wishes"), [("log", {"below": None}), ("tree", {"at": 0})])
def test_what_no_answer_holds_is_said_and_not_left_out(
    peer: PeerOf, monkeypatch: pytest.MonkeyPatch, op: str, wishes: dict[str, Any]
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 100)
    report = read(peer, op, **wishes)
    assert (report.outcome, report.reasons[0].code) == ("refused", "refused")
    assert "larger than one answer holds" in report.reasons[0].what


def test_text_is_counted_as_it_travels(peer: PeerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """In JSON of ASCII a character of another script takes six bytes, or twelve."""
    peer.push({"shop": "x = '" + "\U0001f336" * 30 + "'"})
    monkeypatch.setattr(archive, "MOST_BYTES", 300)
    assert read(peer, "sources", at=1, names=["shop"]).outcome == "refused"


def test_sources_of_any_state(peer: PeerOf) -> None:
    two_releases_and_a_rollback(peer)
    names = ("shop", "shop.views", "shop.new")
    assert [sources(peer, number, *names) for number in range(4)] == [
        {"shop": "x = 1", "shop.views": "y = 1"},
        {"shop": "x = 2", "shop.views": "y = 1", "shop.new": "z = 1"},
        {"shop": "x = 3", "shop.new": "z = 1"},
        {"shop": "x = 2", "shop.views": "y = 1", "shop.new": "z = 1"},
    ]
    assert read(peer, "sources", at=2, names=names).data["absent"] == ["shop.views"]
    assert sources(peer, "disk", *names) == sources(peer, 0, *names)


def test_trees_of_any_state(peer: PeerOf) -> None:
    two_releases_and_a_rollback(peer)
    assert read(peer, "tree", at=3).data["tree"] == peer.hello().data["tree"]
    assert read(peer, "tree", at=2).data["tree"].keys() == {"shop", "shop.new"}
    assert read(peer, "tree", at="disk").data == {**read(peer, "tree", at=0).data, "at": "disk"}


PAGE, CSS = "shop/templates/page.html", "shop/static/shop.css"


def test_assets_are_in_trees_and_among_sources(peer: PeerOf, member: Member) -> None:
    on_disk = {PAGE: Asset.of(PAGE, b"disk"), CSS: Asset(CSS, "1" * 64, None)}
    member.program.overlay.disk = on_disk
    peer.push({PAGE: b"one", CSS: b"\xff\0", "shop": "x = 2"})
    peer.push({}, deleted=(PAGE,))
    pushed = {name: Asset.of(name, data).digest for name, data in ((PAGE, b"one"), (CSS, b"\xff\0"))}
    assert read(peer, "tree", at=1).data["assets"] == pushed
    assert read(peer, "tree", at=2).data["assets"] == {CSS: pushed[CSS]}
    assert read(peer, "tree", at=0).data["assets"] == {}
    assert read(peer, "tree", at="disk").data["assets"] == digests(on_disk)
    data = read(peer, "sources", at=1, names=[CSS, "shop", PAGE]).data
    assert data["sources"] == [[CSS, "/wA="], ["shop", "shop.py", False, "x = 2"], [PAGE, "b25l"]]
    assert read(peer, "sources", at=2, names=[CSS, PAGE]).data["absent"] == [PAGE]
    assert read(peer, "sources", at="disk", names=[CSS, PAGE]).data["sources"] == [
        [CSS, None],
        [PAGE, "ZGlzaw=="],
    ]


def test_what_lies_on_disk_is_of_a_later_release_after_a_restart_on_it(host: Host, peer: PeerOf) -> None:
    peer.push({"shop": "x = 2"})
    later = host.peer(host.worker(BASE | tree_of(shop="x = 2")))
    assert sources(later, "disk", "shop") == {"shop": "x = 2"}
    assert sources(later, 0, "shop") == {"shop": "x = 1"}


@pytest.mark.parametrize("at", [7, 4, 2**39])
@pytest.mark.parametrize("op", ["tree", "sources"])
def test_a_number_that_is_not_there(peer: PeerOf, op: str, at: int) -> None:
    two_releases_and_a_rollback(peer)
    wishes = {"at": at} if op == "tree" else {"at": at, "names": ["shop"]}
    (reason,) = read(peer, op, **wishes).reasons
    assert (reason.code, reason.hint) == ("no-such-release", "flask habanero log")
    assert f"there is no #{at} to read" in reason.what


WRONG: list[tuple[str, object]] = [
    ("log", None),
    ("log", {}),
    ("log", []),
    ("log", {"below": -1}),
    ("log", {"below": True}),
    ("log", {"below": 1.0}),
    ("log", {"below": "3"}),
    ("log", {"below": 3, "more": 1}),
    ("tree", {}),
    ("tree", {"at": None}),
    ("tree", {"at": False}),
    ("tree", {"at": -1}),
    ("tree", {"at": "head"}),
    ("tree", {"at": ["disk"]}),
    ("tree", {"at": 0, "names": ["shop"]}),
    ("sources", {"at": 0}),
    ("sources", {"at": 0, "names": []}),
    ("sources", {"at": 0, "names": "shop"}),
    ("sources", {"at": 0, "names": ["shop", "shop"]}),
    ("sources", {"at": 0, "names": ["../shop"]}),
    ("sources", {"at": 0, "names": ["shop", None]}),
    ("sources", {"at": 0, "names": ["shop" + "x" * 200]}),
    ("sources", {"at": 0, "names": [f"shop.m{n}" for n in range(2001)]}),
]


@pytest.mark.parametrize(("op", "wishes"), WRONG, ids=lambda value: str(value)[:50])
def test_what_does_not_ask_as_it_should_is_refused(peer: PeerOf, op: str, wishes: object) -> None:
    report = peer.ask(op, json.dumps(wishes).encode())
    assert (report.outcome, report.reasons[0].code, report.data["status"]) == ("refused", "bundle", 422)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"at":0,"at":0}', b'{"at":NaN}'])
def test_what_is_no_json_is_refused(peer: PeerOf, body: bytes) -> None:
    assert peer.ask("tree", body).reasons[0].code == "bundle"


@pytest.mark.parametrize("op", ["log", "tree", "sources"])
def test_another_epoch_has_other_numbers(peer: PeerOf, op: str) -> None:
    assert peer.ask(op, b'{"at":0}', epoch="0" * 32).outcome == "conflict"


@pytest.mark.parametrize("op", ["log", "tree", "sources"])
def test_reading_changes_nothing_and_runs_nothing(peer: PeerOf, member: Member, op: str) -> None:
    two_releases_and_a_rollback(peer)
    store = member.worker.config.store
    ledger, counter = (store / "ledger.sqlite").read_bytes(), member.worker.ledger.counter()
    calls = list(member.program.calls)
    wishes = {"log": {"below": None}, "tree": {"at": 1}, "sources": {"at": 1, "names": ["shop"]}}[op]
    assert read(peer, op, **wishes).outcome == "unchanged"
    assert member.program.calls == calls
    assert (store / "ledger.sqlite").read_bytes() == ledger
    assert member.worker.ledger.counter() == counter


def test_a_worker_that_is_not_at_head_reads_and_stays_where_it_is(host: Host, peer: PeerOf) -> None:
    """Nobody told it: it reads what is recorded, and does not go there for that."""
    behind = host.worker(BASE)
    behind.deafen()
    late = host.peer(behind)
    peer.push({"shop": "x = 2"})
    assert [row["number"] for row in log(late)] == [1, 0]
    assert sources(late, 1, "shop") == {"shop": "x = 2"}
    assert (behind.worker.number, behind.program.tree["shop"].text) == (0, "x = 1")


def test_it_works_where_the_fleet_has_diverged(host: Host, peer: PeerOf) -> None:
    stuck = host.worker(BASE)
    peer.push({"shop": "x = 2"})
    stuck.program.fails = "#commit-fails"
    peer.push({"shop": "x = 3"})
    late = host.peer(stuck)
    assert late.ask("status").outcome == "diverged"
    assert sources(late, 2, "shop") == {"shop": "x = 3"}
    assert [row["number"] for row in log(late)] == [2, 1, 0]


def tamper(member: Member, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(member.worker.config.store / "ledger.sqlite")) as db, db:
        assert db.execute(statement, values).rowcount == 1


TAMPERED = [
    ("UPDATE releases SET who = 'mallory' WHERE number = 2", "its seal is of another content"),
    ("UPDATE releases SET body = x'00' WHERE number = 2", "its seal is of another content"),
    ("DELETE FROM releases WHERE number = 2", "record #2 of epoch"),
]


@pytest.mark.parametrize(("statement", "why"), TAMPERED, ids=["who", "body", "gone"])
def test_what_can_not_be_believed_is_a_sentence_and_not_silence(
    peer: PeerOf, member: Member, statement: str, why: str
) -> None:
    for number in range(2, 6):
        peer.push({"shop": f"x = {number}"})
    tamper(member, statement)
    rows = {row["number"]: row for row in log(peer)}
    assert {number for number, row in rows.items() if not row["trouble"]} == {0, 1}
    assert all(why in row["trouble"] and not row["changes"] for n, row in rows.items() if n >= 2)
    assert rows[1]["changes"] == {"shop": "~"}
    report = read(peer, "sources", at=3, names=["shop"])
    assert (report.outcome, report.reasons[0].code, report.data["status"]) == ("failed", "store", 503)
    assert why in report.reasons[0].what
    assert sources(peer, 1, "shop") == {"shop": "x = 2"}  # what is before it holds
