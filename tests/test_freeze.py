"""A freeze: nobody pushes until it is thawed, and everybody is told who, when and why."""

from __future__ import annotations

import json
import secrets
import time

import pytest
from flask_habanero import freeze
from flask_habanero.kept import FREEZE, UNUSED_S

from tests.fakes import tree_of
from tests.hosts import Host, Member, PeerOf
from tests.test_trial import head

BASE = tree_of(shop="x = 1")


@pytest.fixture
def members(host: Host) -> list[Member]:
    return host.workers(2, BASE)


@pytest.fixture
def peer(host: Host, members: list[Member]) -> PeerOf:
    return host.peer(members[0])


def test_nobody_pushes_until_it_is_thawed(host: Host, peer: PeerOf, members: list[Member]) -> None:
    frozen = peer.freeze("we migrate")
    assert (frozen.outcome, frozen.data["frozen"]["why"]) == ("live", "we migrate")
    other = host.peer(members[1])
    for someone in (peer, other):
        refused = someone.push({"shop": "x = 2"})
        assert (refused.outcome, refused.reasons[0].code) == ("refused", "frozen")
        assert refused.reasons[0].what.startswith("frozen by someone@laptop since ")
        assert refused.reasons[0].what.endswith(": we migrate")
    told = other.ask("status").data["frozen"]
    assert (told["who"], told["why"], told["nonce"]) == (
        "someone@laptop",
        "we migrate",
        frozen.data["frozen"]["nonce"],
    )
    assert other.thaw(told["nonce"]).data["frozen"] is None
    assert peer.ask("status").data["frozen"] is None
    assert peer.push({"shop": "x = 2"}).outcome == "live"


def test_what_changes_nothing_and_what_goes_back_goes_on(peer: PeerOf, members: list[Member]) -> None:
    assert peer.push({"shop": "x = 2"}).outcome == "live"
    peer.freeze("no")
    assert peer.ask("plan", peer.bundle({"shop": "x = 3"}).encode()).outcome == "live"
    assert peer.rollback().outcome == "live"
    assert head(members[0])[:2] == (2, "rollback")


def test_it_outlives_the_workers_and_what_is_cleared_after_a_day(
    host: Host, peer: PeerOf, members: list[Member]
) -> None:
    peer.freeze("for the weekend")
    later = int(time.time()) + 2 * UNUSED_S
    members[0].worker.ledger.kept.put(secrets.token_hex(16), "header", b"body", later)
    for member in members:
        member.deafen()
    fresh = host.peer(host.worker(BASE))
    assert fresh.push({"shop": "x = 2"}).reasons[0].code == "frozen"


def test_a_second_one_is_refused_and_the_same_twice_is_once(peer: PeerOf, members: list[Member]) -> None:
    first = {"n": secrets.token_hex(16)}
    assert peer.freeze("first", **first).outcome == "live"
    assert peer.freeze("first", **first).outcome == "unchanged"  # its answer was lost, say
    assert peer.freeze("second").reasons[0].code == "frozen"
    assert peer.ask("status").data["frozen"]["why"] == "first"


def test_t52_who_reads_along_can_neither_freeze_nor_thaw_again(peer: PeerOf, members: list[Member]) -> None:
    """What was sent once is for that one freeze."""
    first = {"n": secrets.token_hex(16)}
    peer.freeze("first", **first)
    assert peer.thaw(first["n"]).outcome == "live"
    assert peer.freeze("first", **first).outcome == "unchanged"
    assert peer.ask("status").data["frozen"] is None
    peer.freeze("second")
    assert peer.thaw(first["n"]).outcome == "unchanged"
    assert peer.ask("status").data["frozen"]["why"] == "second"


@pytest.mark.parametrize("why", ["", "x" * 201, "two\nlines", "\x1b[2J", None, 1])
def test_a_reason_is_a_line_of_text(peer: PeerOf, members: list[Member], why: object) -> None:
    report = peer.ask("freeze", json.dumps({"why": why}).encode())
    assert (report.outcome, report.reasons[0].code) == ("refused", "bundle")
    assert peer.ask("status").data["frozen"] is None


@pytest.mark.parametrize("body", [{"nonce": None}, {}, {"nonce": "x", "more": 1}])
def test_a_thaw_names_what_it_thaws(peer: PeerOf, members: list[Member], body: object) -> None:
    peer.freeze("no")
    assert peer.ask("thaw", json.dumps(body).encode()).reasons[0].code == "bundle"
    assert peer.ask("status").data["frozen"]["why"] == "no"


def test_t52_what_is_not_believed_freezes_nothing(
    peer: PeerOf, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who writes to the store, or a key that was taken away."""
    members[0].worker.ledger.kept.put(FREEZE, "header", b"{}", int(time.time()))
    assert peer.push({"shop": "x = 2"}).outcome == "live"
    assert "not frozen: what was asked for can't be believed" in caplog.text
    assert freeze.log.name == "flask_habanero"
