"""Releases on trial: confirmed they stay, else exactly one worker takes them back; nobody builds on them."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from flask_habanero import deploy, leading, trial
from flask_habanero.kept import UNUSED_S
from flask_habanero.ledger import Ledger

from tests.fakes import tree_of
from tests.hosts import Host, Member, PeerOf
from tests.peer import Peer

BASE = tree_of(shop="x = 1")


@pytest.fixture
def members(host: Host) -> list[Member]:
    return host.workers(3, BASE)


@pytest.fixture
def peer(host: Host, members: list[Member]) -> PeerOf:
    return host.peer(members[0])


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock for trials alone, which a test sets forward: ``later.by = 60``."""
    clock = SimpleNamespace(by=0, strftime=time.strftime, localtime=time.localtime)
    clock.time = lambda: time.time() + clock.by
    monkeypatch.setattr(trial, "time", clock)
    return clock


def texts(members: list[Member]) -> list[str]:
    return [member.get() for member in members]


def tick(members: list[Member]) -> None:
    for member in members:
        member.deployer.tick()


def head(member: Member) -> tuple[int, str, str]:
    record = member.worker.ledger.head(member.worker.epoch)
    return record.number, record.kind, record.note


def test_a_release_that_nobody_confirms_is_taken_back_once_on_all_workers(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    assert peer.push_on_trial({"shop": "x = 2"}, 60).outcome == "live"
    tick(members)
    assert texts(members) == ["x = 2"] * 3
    later.by = 58
    tick(members)
    assert head(members[0])[0] == 1
    later.by = 61
    tick(members[1:])  # also if the worker that took the push is dead
    assert head(members[1]) == (2, "rollback", "back to #0: not confirmed")
    assert texts(members) == ["x = 1"] * 3
    tick(members)
    assert head(members[0])[0] == 2


def test_who_takes_it_back_is_who_pushed_it_and_every_record_is_theirs(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    later.by = 61
    tick(members)
    log = peer.ask("log", json.dumps({"below": None}).encode()).data["log"]
    assert [(row["number"], row["kind"], row["who"], row["trouble"]) for row in log][:2] == [
        (2, "rollback", "someone@laptop", ""),
        (1, "push", "someone@laptop", ""),
    ]


def test_a_release_that_is_confirmed_stays(
    host: Host, peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    tick(members)  # all know that it is on trial
    confirmed = host.peer(members[2]).confirm(1)
    assert (confirmed.outcome, confirmed.data["confirmed"]) == ("live", 1)
    later.by = 1000
    tick(members)
    assert (head(members[0])[0], texts(members)) == (1, ["x = 2"] * 3)


def test_one_that_stays_unless_it_fails_stays_when_its_time_is_over(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    assert peer.push_on_trial({"shop": "x = 2"}, stays=True).outcome == "live"
    tick(members)
    told = peer.ask("status").data["trial"]
    assert (told["number"], told["stays"]) == (1, True)
    later.by = 61
    tick(members)
    assert (head(members[0])[0], texts(members)) == (1, ["x = 2"] * 3)
    assert peer.ask("status").data["trial"] is None
    assert peer.confirm(1).outcome == "unchanged"


def test_others_push_on_top_of_one_that_stays_unless_it_fails_and_that_ends_its_trial(
    peer: PeerOf, members: list[Member]
) -> None:
    peer.push_on_trial({"shop": "x = 2"}, stays=True)
    assert peer.push({"shop": "x = 3"}).outcome == "live"
    assert peer.ask("status").data["trial"] is None
    for _ in range(10):
        answer(members[0], "503 No")
    tick(members)
    assert texts(members) == ["x = 3"] * 3


def test_one_that_stays_unless_it_fails_goes_if_it_does(peer: PeerOf, members: list[Member]) -> None:
    peer.push_on_trial({"shop": "x = 2"}, stays=True)
    tick(members)
    for _ in range(5):
        answer(members[1], "503 No")
    tick(members)
    assert head(members[0]) == (2, "rollback", "back to #0: 5 of 5 answers were server errors")
    assert texts(members) == ["x = 1"] * 3


def test_it_goes_also_if_nobody_can_tell_which_views_changed(
    peer: PeerOf,
    members: list[Member],
    later: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def circle(*_: object) -> None:
        raise ValueError("wrapper loop when unwrapping")

    monkeypatch.setattr(trial, "views_of", circle)
    for member in members:
        member.deployer.trials._apps = ["an app"]
    peer.push_on_trial({"shop": "x = 2"})
    later.by = 61
    tick(members)
    assert texts(members) == ["x = 1"] * 3
    assert "which views #1 changed can't be told: wrapper loop" in caplog.text


def test_it_outlives_a_restart_of_all_workers(
    host: Host, peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    for member in members:
        member.deafen()
    fresh = host.worker(BASE)
    assert fresh.get() == "x = 2"
    fresh.deployer.tick()
    assert head(fresh)[0] == 1
    later.by = 61
    another = host.worker(BASE)  # all that it knows of the trial is in the store
    another.deployer.tick()
    assert head(another)[0] == 2
    assert another.get() == fresh.get() == "x = 1"


def test_confirming_tells_what_there_is_to_confirm(peer: PeerOf, members: list[Member]) -> None:
    assert peer.confirm().reasons[0].code == "not-on-trial"
    peer.push_on_trial({"shop": "x = 2"})
    wrong = peer.confirm(7)
    assert (wrong.outcome, wrong.reasons[0].what) == ("refused", "#7 can't be confirmed: #1 is live")
    assert peer.confirm().data["confirmed"] == 1
    again = peer.confirm(1)  # the answer to the first was lost, say
    assert (again.outcome, again.data["confirmed"]) == ("unchanged", 0)


@pytest.mark.parametrize("number", ["1", True, 1.0, [1]])
def test_a_number_is_a_number(peer: PeerOf, members: list[Member], number: object) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    report = peer.ask("confirm", json.dumps({"number": number}).encode())
    assert (report.outcome, report.reasons[0].code) == ("refused", "bundle")
    assert peer.ask("status").data["trial"] is not None


def test_who_comes_too_late_is_told_what_is_live(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    later.by = 61
    tick(members)
    assert peer.confirm(1).reasons[0].what == "#1 can't be confirmed: #2 is live"


def test_nobody_builds_on_a_release_that_may_go(host: Host, peer: PeerOf, members: list[Member]) -> None:
    bob = host.peer(members[1])
    peer.push_on_trial({"shop": "x = 2"})
    for someone in (peer, bob):
        report = someone.push({"shop": "x = 3"})
        assert (report.outcome, report.reasons[0].code) == ("refused", "unconfirmed")
        assert "flask habanero confirm 1" in report.reasons[0].hint
    assert "#1 by someone@laptop is on trial until " in report.reasons[0].what
    peer.confirm(1)
    assert bob.push({"shop": "x = 3"}).outcome == "live"


def test_a_rollback_by_hand_ends_a_trial(peer: PeerOf, members: list[Member], later: SimpleNamespace) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    assert peer.rollback().outcome == "live"
    later.by = 61
    tick(members)
    assert head(members[0])[0] == 2
    assert peer.push({"shop": "x = 3"}).outcome == "live"


def test_a_promise_whose_release_never_came_holds_nobody_up(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    peer.hello()
    peer.ask("trial", peer.promise(secrets.token_hex(16), 60))
    assert peer.push({"shop": "x = 2"}).outcome == "live"  # somebody else's
    later.by = 61
    tick(members)
    assert (head(members[0])[0], texts(members)) == (1, ["x = 2"] * 3)


def test_status_tells_who_waits_and_for_how_long(peer: PeerOf, members: list[Member]) -> None:
    assert peer.ask("status").data["trial"] is None
    peer.push_on_trial({"shop": "x = 2"}, 60)
    peer.hello()
    told = peer.ask("status").data["trial"]
    assert (told["number"], told["who"]) == (1, "someone@laptop")
    assert 0 < told["left"] <= 60
    assert abs(told["until"] - time.time() - 60) < 30


def test_of_two_workers_that_notice_at_once_one_takes_it_back(
    host: Host, peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    later.by = 61
    ticks = [host.in_thread(member.deployer.tick) for member in members]
    for one in ticks:
        one.result(30)
    tick(members)
    assert head(members[0])[0] == 2
    assert texts(members) == ["x = 1"] * 3


def test_one_that_is_confirmed_after_a_worker_has_found_it_overdue_stays(
    host: Host, peer: PeerOf, members: list[Member], later: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    trials = members[1].deployer.trials
    overdue, found = trials.overdue, []

    def overtaken() -> Any:
        found.append(overdue())
        assert host.peer(members[2]).confirm(1).data["confirmed"] == 1
        return found[0]

    monkeypatch.setattr(trials, "overdue", overtaken)
    later.by = 61
    members[1].deployer.tick()
    assert found[0] is not None
    assert (head(members[0])[0], texts(members)) == (1, ["x = 2"] * 3)


def test_one_that_can_not_be_taken_back_now_is_tried_again(
    peer: PeerOf, members: list[Member], later: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "BUSY_FOR_S", 0.1)
    monkeypatch.setattr(deploy, "AGAIN_S", 0.0)
    peer.push_on_trial({"shop": "x = 2"})
    later.by = 61
    with members[1].busy("/slow"):
        members[0].deployer.tick()
        assert head(members[0])[0] == 1
    members[0].deployer.tick()
    assert head(members[0])[0] == 2


def test_while_none_is_on_trial_the_store_is_asked_nothing(
    peer: PeerOf, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.push({"shop": "x = 2"})
    tick(members)

    def asked(*_: object) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(Ledger, "head", asked)
    tick(members)


def answer(member: Member, status: str) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [])
        return []

    said: list[str] = []
    wsgi = member.gate.wrap(app, member.worker.before)
    assert list(wsgi({}, lambda status, *_: said.append(status))) == []
    assert said == [status]


@pytest.mark.parametrize(
    ("good", "bad", "goes"), [(5, 5, True), (0, 5, True), (0, 4, False), (6, 5, False), (0, 0, False)]
)
def test_one_of_which_most_answers_are_server_errors_goes_at_once(
    peer: PeerOf, members: list[Member], good: int, bad: int, goes: bool
) -> None:
    peer.push_on_trial({"shop": "x = 2"}, 3600)
    tick(members)
    for status in ["200 OK"] * good + ["503 No"] * bad:
        answer(members[1], status)
    tick(members)
    assert head(members[0])[0] == (2 if goes else 1)
    if goes:
        note = f"back to #0: {bad} of {good + bad} answers were server errors"
        assert head(members[0])[1:] == ("rollback", note)


def test_what_leaves_the_app_as_an_exception_is_a_server_error_too(
    peer: PeerOf, members: list[Member]
) -> None:
    """As with PROPAGATE_EXCEPTIONS; and who led the push counts from its first answer on."""

    def app(_environ: Any, _start_response: Any) -> list[bytes]:
        raise ZeroDivisionError

    peer.push_on_trial({"shop": "x = 2"}, 3600)
    said: list[object] = []
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            members[0].gate.wrap(app, members[0].worker.before)({}, lambda *it: said.append(it))
    assert said == []  # the server's answer is its own
    members[0].deployer.tick()
    assert head(members[0]) == (2, "rollback", "back to #0: 5 of 5 answers were server errors")


def test_only_what_is_on_trial_is_counted(peer: PeerOf, members: list[Member]) -> None:
    def heeding() -> set[bool]:
        return {member.gate.heed is not None for member in members}

    peer.push({"shop": "x = 2"})
    tick(members)
    assert heeding() == {False}
    peer.push_on_trial({"shop": "x = 3"})
    tick(members)
    assert heeding() == {True}
    answer(members[0], "500 No")
    peer.rollback()
    tick(members)
    assert heeding() == {False}
    peer.push_on_trial({"shop": "x = 4"})
    tick(members)
    for _ in range(4):  # the one before does not count
        answer(members[0], "500 No")
    tick(members)
    assert head(members[0])[0] == 4
    peer.confirm()
    assert members[0].gate.heed is None  # it was asked; the others see it when they look
    for _ in range(9):
        answer(members[1], "500 No")
    tick(members)
    assert (head(members[0])[0], heeding()) == (4, {False})


def claims_of(peer: Peer, **over: object) -> bytes:
    return peer.promise(secrets.token_hex(16), 60, **over)


@pytest.mark.parametrize(
    "over",
    [
        {"op": "push"},
        {"app": "blog"},
        {"epoch": "0" * 32},
        {"base": 5},
        {"rel": 7},
        {"iat": int(time.time()), "exp": int(time.time()) + 30},  # could be sent by itself
        {"sha": "0" * 64},
        {"enc": "zlib"},
    ],
)
def test_a_promise_of_something_else_is_none(
    peer: PeerOf, members: list[Member], over: dict[str, object]
) -> None:
    report = peer.ask("trial", claims_of(peer, **over))
    assert (report.outcome, report.reasons[0].code) == ("refused", "bundle")


@pytest.mark.parametrize(
    "field",
    [
        {"within": 4},
        {"within": 3601},
        {"within": "60"},
        {"nonce": "../../etc"},
        {"body": '{"to": 7}'},
        {"more": 1},
        {"stays": 1},
        {"header": "hbn1.k1.e30.AAAA"},
        {"header": 5},
        {"body": 5},
        {"body": "\ud800"},
    ],
)
def test_a_promise_in_another_form_is_none(
    peer: PeerOf, members: list[Member], field: dict[str, object]
) -> None:
    told = {**json.loads(claims_of(peer)), **field}
    report = peer.ask("trial", json.dumps(told).encode())
    assert (report.outcome, report.reasons[0].code) == ("refused", "bundle")


def test_a_promise_of_a_stranger_is_none(host: Host, peer: PeerOf, members: list[Member]) -> None:
    stranger = Peer(host.stranger, peer.send, peer.app, peer.head)
    report = peer.ask("trial", stranger.promise(secrets.token_hex(16), 60))
    assert (report.outcome, report.reasons[0].code) == ("refused", "bundle")


def test_a_promise_for_another_head_is_a_conflict(peer: PeerOf, members: list[Member]) -> None:
    body = claims_of(peer)
    assert peer.ask("trial", body, base=3, rel=3).outcome == "conflict"


def test_a_promise_that_is_sent_again_after_the_release_puts_nothing_on_trial(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    """Who reads along without TLS could else undo what was confirmed."""
    peer.hello()
    nonce = secrets.token_hex(16)
    claims, wire = peer.claims("trial", peer.promise(nonce, 60))
    peer.raw(claims, wire)
    assert peer.ask("push", peer.bundle({"shop": "x = 2"}).encode(), n=nonce).outcome == "live"
    peer.confirm(1)
    assert peer.raw(claims, wire)[0] == 409
    later.by = 61
    tick(members)
    assert head(members[0])[0] == 1


def test_what_was_altered_in_the_store_takes_nothing_back(
    peer: PeerOf, members: list[Member], later: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    ledger, worker = members[0].worker.ledger, members[0].worker
    nonce = ledger.head(worker.epoch).nonce
    header, body = ledger.kept.get(nonce) or ("", b"")
    ledger.kept.put(nonce, header, body.replace(b'"within": 60', b'"within": 05'), 0)
    later.by = 61
    members[0].deployer.tick()
    assert head(members[0])[0] == 1
    assert caplog.text.count("can't be believed") == 1
    members[0].deployer.tick()
    assert caplog.text.count("can't be believed") == 1
    assert peer.push({"shop": "x = 3"}).outcome == "live"  # it holds nobody up


def test_a_promise_that_lies_where_another_releases_would_takes_nothing_back(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    """As who can write to the store can put it there: it is sealed, and for the same number."""
    ledger, nonce = members[0].worker.ledger, secrets.token_hex(16)
    peer.hello()
    peer.ask("trial", peer.promise(nonce, 60))
    assert peer.push({"shop": "x = 2"}).release == 1
    promise = ledger.kept.get(nonce)
    assert promise is not None
    ledger.kept.put(ledger.head(members[0].worker.epoch).nonce, *promise, int(time.time()))
    later.by = 61
    members[1].deployer.tick()
    assert head(members[0])[0] == 1


def test_a_promise_for_a_number_that_another_took_holds_nobody_up(
    peer: PeerOf, members: list[Member], later: SimpleNamespace
) -> None:
    """Somebody else pushed in between: what would take back their release is no way back from this one."""
    nonce = secrets.token_hex(16)
    peer.hello()
    peer.ask("trial", peer.promise(nonce, 60))
    assert peer.push({"shop": "x = 2"}).release == 1
    peer.hello()
    assert peer.ask("push", peer.bundle({"shop": "x = 3"}).encode(), n=nonce).release == 2
    assert peer.ask("status").data["trial"] is None
    assert peer.push({"shop": "x = 4"}).outcome == "live"


def test_what_is_kept_for_a_release_that_never_came_goes_and_the_other_stays(members: list[Member]) -> None:
    ledger = members[0].worker.ledger
    ledger.kept.put("a" * 32, "h", b"b", 0)
    ledger.kept.put("b" * 32, "h", b"b", UNUSED_S + 1)
    assert ledger.kept.get("a" * 32) is None
    assert ledger.kept.get("b" * 32) == ("h", b"b")
    ledger.kept.remove("b" * 32)
    ledger.kept.remove("b" * 32)
    assert ledger.kept.get("b" * 32) is None


def test_what_is_kept_for_a_release_stays_however_old_it_is(peer: PeerOf, members: list[Member]) -> None:
    peer.push_on_trial({"shop": "x = 2"})
    ledger = members[0].worker.ledger
    nonce = ledger.head(members[0].worker.epoch).nonce
    ledger.kept.put("b" * 32, "h", b"b", int(time.time()) + 2 * UNUSED_S)
    assert ledger.kept.get(nonce) is not None
    assert peer.confirm().data["confirmed"] == 1


def test_a_ledger_of_before_has_nothing_kept(members: list[Member]) -> None:
    ledger = members[0].worker.ledger
    assert ledger.kept.get("a" * 32) is None
    ledger.kept.remove("a" * 32)


def test_the_deployer_looks_after_its_worker_too(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked = []
    monkeypatch.setattr(members[0].worker, "tick", lambda: ticked.append(1))
    members[0].deployer.tick()
    assert ticked == [1]


def test_where_several_hosts_share_a_store_nothing_is_put_on_trial(
    peer: PeerOf, members: list[Member]
) -> None:
    """The host that is asked to confirm may be another one than the one that knows of the trial."""
    member = members[0].deployer
    member.config = replace(member.config, shared="redis://store")
    peer.hello()
    report = peer.ask("trial", peer.promise(secrets.token_hex(16), 60))
    assert (report.outcome, report.reasons[0].code) == ("refused", "one-host")
