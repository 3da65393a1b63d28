"""Hosts whose histories came apart: a person says whose stays, and all come to it or are named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from sqlite3 import connect
from typing import Any

import pytest
from flask_habanero import mirror as mirror_module
from flask_habanero import relay, resync
from flask_habanero.branch import End, MovedOnError, Order
from flask_habanero.change import Request
from flask_habanero.errors import AudienceError, BundleError, StoreError
from flask_habanero.resync import Asked
from flask_habanero.shared import Entry, Position, packed, unpacked

from tests.fakes import tree_of
from tests.hosts import APP, Host, eventually
from tests.stores import MemoryStore
from tests.test_hosts import BASE, MakeHost, host, mirror, push, stop, store, texts

__all__ = ["host", "store"]  # fixtures

ONES, TWOS = ("x = 2", "x = 3"), ("x = 20", "x = 30", "x = 40")


def look(one: Host, host: str = "") -> Any:
    peer = one.peer(one.members[0])
    return peer.ask("resync", json.dumps({"from": host, "order": None}).encode())


def carry_out(one: Host, told: dict[str, Any]) -> Any:
    peer = one.peer(one.members[0])
    return peer.ask("resync", json.dumps({"from": told["from"], "order": told["order"]}).encode())


def name(one: Host) -> str:
    return mirror(one).hosts.own


def fork(host: MakeHost, store: MemoryStore, workers: int = 1) -> tuple[Host, Host]:
    """Start two hosts that agree on #1, and went on from it while the other one was away."""
    one, two = host("one"), host("two")
    assert push(one, "x = 1 # both").outcome == "live"
    stop(two)
    before = {epoch: list(log) for epoch, log in store.logs.items()}
    for text in ONES:
        assert push(one, text).outcome == "live"
    silence(one)
    store.logs = before  # a failover: its successor had not heard of them yet
    two = host("two", workers)
    for text in TWOS:
        assert push(two, text).outcome == "live"
    one = host("one", workers)
    assert (texts(one), texts(two)) == ({ONES[-1]}, {TWOS[-1]})
    return one, two


def silence(one: Host) -> None:
    """Stop the only host that is there, and wait until nothing of it can be put back any more."""
    stop(one)
    eventually(lambda: all(thread.name != "habanero-host" for thread in threading.enumerate()))


def heard(one: Host, *others: Host) -> None:
    """Wait until all are heard of."""
    eventually(lambda: {name(o) for o in (one, *others)} <= mirror(one).hosts.roster().keys())


def test_nothing_is_done_before_a_person_says_so_and_what_would_be_lost_is_told(
    host: MakeHost, store: MemoryStore
) -> None:
    one, two = fork(host, store)
    heard(one, two)
    report = push(one, "x = 9")
    assert (report.outcome, report.reasons[0].code) == ("failed", "store")
    assert "flask habanero resync" in report.reasons[0].hint
    told = look(one).data["resync"]
    assert told["from"] == name(two)  # four releases, the other has three
    assert [(row["number"], row["at"], row["modules"], row["who"]) for row in told["lost"]] == [
        (2, [name(one)], ["shop"], "someone@laptop"),
        (3, [name(one)], ["shop"], "someone@laptop"),
    ]
    assert {line["host"]: (line["release"], line["stays"]) for line in told["hosts"]} == {
        name(one): (3, False),
        name(two): (4, True),
    }
    told = look(two, name(one)).data["resync"]
    assert [(row["number"], row["at"]) for row in told["lost"]] == [
        (number, [name(two), "memory"]) for number in (2, 3, 4)
    ]
    assert (texts(one), texts(two)) == ({ONES[-1]}, {TWOS[-1]})
    assert (told["older"], told["strange"], told["trouble"]) == (0, 0, {})


@pytest.mark.parametrize("asked", [0, 1])
def test_all_hosts_come_to_the_longest_branch(host: MakeHost, store: MemoryStore, asked: int) -> None:
    both = one, two = fork(host, store, 2)
    heard(one, two)
    report = carry_out(both[asked], look(both[asked]).data["resync"])
    assert (report.outcome, report.workers.at_head, report.workers.behind) == ("live", 4, ()), report
    assert report.data["resync"] == {"written": 0, "given_up": {name(one): 2}, "refused": {}}
    assert texts(one, two) == {TWOS[-1]}
    assert [member.program.calls.count("commit") for member in one.members] == [2, 2]  # boot, and in one go
    assert mirror(one).at() == mirror(two).at()
    report = push(one, "x = 5")
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 5, 4)
    assert texts(one, two, host("three")) == {"x = 5"}


@pytest.mark.parametrize("asked", [0, 1])
def test_all_hosts_come_to_a_shorter_branch_if_that_is_said(
    host: MakeHost, store: MemoryStore, asked: int
) -> None:
    both = one, two = fork(host, store, 2)
    heard(one, two)
    report = carry_out(both[asked], look(both[asked], name(one)).data["resync"])
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 3, 4), report
    assert report.data["resync"] == {"written": 3, "given_up": {name(two): 3}, "refused": {}}
    assert texts(one, two) == {ONES[-1]}
    assert push(two, "x = 5").release == 4
    stop(two)
    assert texts(one, host("two"), host("three")) == {"x = 5"}


def test_what_is_given_up_is_kept_beside_the_releases(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    heard(one, two)
    told = look(one).data["resync"]
    carry_out(one, told)
    with closing(connect(one.folder / "store" / "ledger.sqlite")) as db:
        found = db.execute("SELECT number, body FROM given_up ORDER BY number").fetchall()
    assert [number for number, _ in found] == [2, 3]
    assert all(found)


def test_a_worker_that_can_not_go_there_ends_and_starts_there(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    heard(one, two)
    member = one.members[0]
    member.program.fails = "#commit-fails"
    report = carry_out(two, look(two).data["resync"])
    assert report.outcome == "diverged"
    assert report.workers.behind[0].startswith(f"{name(one)}/")
    assert member.worker.ending
    stop(one)
    assert texts(host("one")) == {TWOS[-1]}


def test_two_epochs_of_one_deploy_become_one(host: MakeHost, store: MemoryStore) -> None:
    one = host("one")
    for text in ONES:
        push(one, text)
    silence(one)
    store.__dict__.update(MemoryStore(boxes=store.boxes).__dict__)  # all is lost, and nobody is there
    two = host("two", 2)
    push(two, "x = 20")
    assert len(store.logs) == 1
    with pytest.MonkeyPatch.context() as patched:  # it was cut off, so it has not joined the other one
        patched.setattr(mirror_module.Mirror, "_join", lambda self, mine: mine)
        patched.setattr(mirror_module.Mirror, "_publish", lambda self, epoch: epoch)
        one = host("one", 2)
    heard(one, two)
    assert (texts(one), texts(two)) == ({"x = 3"}, {"x = 20"})
    told = look(two).data["resync"]
    assert (told["from"], [row["at"] for row in told["lost"]]) == (name(one), [[name(two), "memory"]])
    report = carry_out(two, told)
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 2, 4), report
    assert texts(one, two) == {"x = 3"}
    assert push(two, "x = 4").release == 3
    assert texts(one, two, host("three")) == {"x = 4"}


# --- the shared store itself ---


def forged(entry: Entry) -> Entry:
    record, token = unpacked(entry.data)
    return Entry(entry.link, packed(replace(record, body=record.body + b"x"), token).data)


CHANGES: dict[str, Callable[[list[Entry]], None]] = {
    "one forged, its link kept": lambda log: log.__setitem__(1, forged(log[1])),
    "one forged at the end": lambda log: log.__setitem__(3, Entry("0" * 64, b"garbage")),
    "two exchanged": lambda log: log.__setitem__(slice(1, 3), [log[2], log[1]]),
    "one taken out": lambda log: log.__delitem__(1),
    "something added": lambda log: log.append(Entry("0" * 64, b"garbage")),
    "a base of somebody else": lambda log: log.__setitem__(0, Entry("1" * 64, b"garbage")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_forged_in_the_store_is_put_right(host: MakeHost, store: MemoryStore, what: str) -> None:
    one, two = host("one"), host("two")
    for text in TWOS:
        push(one, text)
    (good,) = store.logs.values()
    wanted = list(good)
    with store.news:
        CHANGES[what](good)
    told = look(two).data["resync"]
    assert told["lost"] == []
    report = carry_out(two, told)
    assert (report.outcome, report.data["resync"]["given_up"]) == ("live", {})
    assert report.data["resync"]["written"] > 0
    assert list(store.logs.values()) == [wanted]
    assert texts(one, two, host("three")) == {TWOS[-1]}
    assert push(two, "x = 5").outcome == "live"


def test_what_the_store_alone_has_is_told_and_goes(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    stop(two)
    eventually(lambda: name(one) in mirror(one).hosts.roster())
    told = look(one).data["resync"]
    assert [(row["number"], row["at"]) for row in told["lost"]] == [(n, ["memory"]) for n in (2, 3, 4)]
    report = carry_out(one, told)
    assert (report.outcome, report.data["resync"]["written"]) == ("live", 3)
    assert push(one, "x = 5").release == 4
    assert texts(host("three")) == {"x = 5"}


def test_where_nothing_came_apart_nothing_is_written(host: MakeHost) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    told = look(two).data["resync"]
    assert (told["lost"], told["order"]["drop"], told["strange"]) == ([], [], 0)
    assert carry_out(two, told).data["resync"] == {"written": 0, "given_up": {}, "refused": {}}
    assert texts(one, two) == {"x = 2"}


# --- what it is not ---


def test_an_order_for_what_has_changed_since_does_nothing(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    heard(one, two)
    told = look(one).data["resync"]
    told["order"]["keep"][2] = "0" * 64
    report = carry_out(one, told)
    assert (report.outcome, report.reasons[0].code) == ("conflict", "moved-on")
    assert texts(one) == {ONES[-1]}
    told = look(one).data["resync"]
    told["order"]["seen"][0] += 1
    assert carry_out(one, told).outcome == "conflict"
    assert texts(one) == {ONES[-1]}


def test_an_order_is_taken_once(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    heard(one, two)
    told = look(one).data["resync"]
    order = Order(
        "n" * 32, End(*told["order"]["keep"]), frozenset({End(*told["order"]["drop"][0])}), Position(0, "")
    )
    branch = mirror(one).branch
    back = End(*branch.told()["end"])
    assert branch.come(order) == 2
    again = Order(order.nonce, back, frozenset({order.keep}), order.seen)
    assert branch.come(again) == 0
    assert End(*branch.told()["end"]) == order.keep


def test_a_host_does_not_come_to_what_is_not_there(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    ends = [End(*mirror(each).branch.told()["end"]) for each in (one, two)]
    (log,) = store.logs.values()
    store.append = lambda *_: False  # type: ignore[method-assign]  # the other host must not put it back
    with store.news:
        log[3] = forged(log[3])
    before = mirror(one).at()
    with pytest.raises(StoreError):
        mirror(one).branch.come(Order("n" * 32, ends[1], frozenset({ends[0]}), Position(0, "")))
    with store.news:
        del log[3:]
    with pytest.raises(StoreError, match="does not have the releases"):
        mirror(one).branch.come(Order("n" * 32, ends[1], frozenset({ends[0]}), Position(0, "")))
    assert mirror(one).at() == before
    assert texts(one) == {ONES[-1]}


def test_a_host_whose_records_can_not_be_believed_gives_nothing(host: MakeHost, store: MemoryStore) -> None:
    one, two = fork(host, store)
    heard(one, two)
    told = look(two, name(one)).data["resync"]
    with closing(connect(one.folder / "store" / "ledger.sqlite")) as db, db:
        db.execute("UPDATE releases SET who = 'mallory' WHERE number = 2")
    before = {epoch: list(log) for epoch, log in store.logs.items()}
    report = carry_out(two, told)
    assert (report.outcome, report.reasons[0].code) == ("failed", "store")
    assert "record #2" in report.reasons[0].what
    assert store.logs == before
    assert texts(two) == {TWOS[-1]}


def test_whose_branch_must_be_one_that_is_there(host: MakeHost) -> None:
    one = host("one")
    report = look(one, "web9-000000")
    assert (report.outcome, report.reasons[0].code) == ("refused", "no-such-host")
    assert name(one) in report.reasons[0].what


def test_while_a_push_is_under_way_nothing_is_resynced(host: MakeHost, store: MemoryStore) -> None:
    one = host("one")
    told = look(one).data["resync"]
    store.leader = "somebody"
    report = carry_out(one, told)
    assert (report.outcome, report.reasons[0].code) == ("refused", "in-progress")


def test_one_host_alone_has_nothing_to_resync(tmp_path: Any) -> None:
    one = Host(tmp_path)
    one.workers(1, BASE)
    report = look(one)
    assert (report.outcome, report.reasons[0].code) == ("refused", "alone")
    one.close()


def test_a_host_that_does_not_answer_is_named(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = fork(host, store)
    heard(one, two)
    told = look(two).data["resync"]
    monkeypatch.setattr(resync, "COME_S", 0.3)
    monkeypatch.setitem(relay.Deputy.begins, "come", lambda deputy: None)  # type: ignore[index]  # a dict
    report = carry_out(two, told)
    assert report.outcome == "diverged"
    assert {reason.where: reason.what for reason in report.reasons} == {
        name(one): "no answer",
        name(two): "no answer",
    }


GOOD = {"keep": ["e" * 32, 3, "1" * 64], "drop": [["e" * 32, 2, "2" * 64]], "seen": [4, "1" * 64]}


def asked(body: Any, **claims: Any) -> Asked:
    data = json.dumps(body).encode()
    claims = {"op": "resync", "app": APP, "n": "n" * 32, "enc": "id", "ulen": len(data), **claims}
    return Asked.of(Request(claims, "k1", "", data), APP)


def test_an_order_is_read_strictly() -> None:
    read = asked({"from": "web1", "order": GOOD}).order
    assert read is not None
    assert (read.keep, read.nonce) == (End("e" * 32, 3, "1" * 64), "n" * 32)
    assert asked({"from": "", "order": None}) == Asked("", None)
    for change in (
        {"keep": None},
        {"keep": ["e", "3", "l"]},
        {"keep": ["e", True, "l"]},
        {"drop": {}},
        {"drop": [["e", 3]]},
        {"seen": [1]},
        {"more": 1},
    ):
        with pytest.raises(BundleError):
            asked({"from": "web1", "order": {**GOOD, **change}})
    for body in ({"from": 1, "order": None}, {"from": "", "order": []}, {"from": ""}, []):
        with pytest.raises(BundleError):
            asked(body)


def test_an_order_for_another_app_or_of_another_kind_is_none() -> None:
    for claims in ({"app": "another"}, {"op": "push"}):
        with pytest.raises(AudienceError):
            asked({"from": "web1", "order": GOOD}, **claims)


def test_a_deploy_of_other_code_takes_no_part(host: MakeHost) -> None:
    one, other = host("one"), host("other", 1, tree_of(shop="x = 100"))
    heard(one, other)
    told = look(one).data["resync"]
    assert [line["host"] for line in told["hosts"]] == [name(one)]
    assert MovedOnError("x").outcome == "conflict"
