"""Several hosts in one process: each with a folder, workers and a relay, and one store that they share."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import leading, moves, relay, wide
from flask_habanero import mirror as mirror_module
from flask_habanero.envelope import Key, Keyring, new_secret
from flask_habanero.errors import StoreError
from flask_habanero.hosts import Hosts, box_of
from flask_habanero.mirror import Mirror
from flask_habanero.record import seal_record
from flask_habanero.shared import Entry, packed, unpacked
from flask_habanero.source import Source

from tests.fakes import tree_of
from tests.hosts import APP, KEY, Host, eventually, texts
from tests.hosts import mirror_of as mirror
from tests.stores import MemoryStore, prompt_store

BASE = tree_of(shop="x = 1", shop__views="y = 1")
MakeHost = Callable[..., Host]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    return prompt_store(monkeypatch)


@pytest.fixture
def host(tmp_path: Path, store: MemoryStore) -> Iterator[MakeHost]:
    """Give a function that starts a host of that name, with so many workers."""
    hosts: list[Host] = []

    def make(name: str, workers: int = 1, base: Mapping[str, Source] = BASE, **fields: Any) -> Host:
        (tmp_path / name).mkdir(exist_ok=True)
        hosts.append(Host(tmp_path / name, store, **fields))
        hosts[-1].workers(workers, base)
        return hosts[-1]

    yield make
    store.away = False
    for one in hosts:
        one.close()


def push(one: Host, text: str, member: int = 0) -> Any:
    return one.peer(one.members[member]).push({"shop": text})


def stop(one: Host) -> None:
    """End a host as a deploy does: it says so."""
    one.close()
    one.members.clear()


def kill(one: Host, store: MemoryStore) -> None:
    """End a host as the power does."""
    said = store.said[mirror(one).hosts.own]
    stop(one)
    store.said[said_by(said[1])] = said


def said_by(data: bytes) -> str:
    return str(json.loads(data.split(b".", 1)[1].rsplit(b".", 1)[0])["host"])


# --- all, or none ---


def test_a_push_is_live_in_every_worker_of_every_host(host: MakeHost) -> None:
    one, two, three = host("one", 2), host("two", 2), host("three")
    report = push(one, "x = 2")
    assert (report.outcome, report.release) == ("live", 1), report
    assert (report.workers.at_head, report.workers.total, report.workers.behind) == (5, 5, ())
    assert texts(one, two, three) == {"x = 2"}
    report = push(three, "x = 3")
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 2, 5)
    assert texts(one, two, three) == {"x = 3"}


def test_status_names_the_workers_of_all_hosts(host: MakeHost) -> None:
    one, two = host("one", 2), host("two", 2)
    report = one.peer(one.members[0]).ask("status")
    names = [mirror(each).hosts.own for each in (one, two)]
    assert sorted(row["host"] for row in report.data["fleet"]) == sorted(names * 2)
    assert {row["state"] for row in report.data["fleet"]} == {"live"}
    assert (report.outcome, report.workers.at_head) == ("live", 4)
    assert report.data["surroundings"]["shared"]["version"] == "Memory 7.2"


@pytest.mark.parametrize("word", ["#cold", "#stage-fails"])
def test_what_is_not_possible_in_one_worker_of_another_host_is_done_nowhere(
    host: MakeHost, word: str
) -> None:
    one, two = host("one", 2), host("two", 2)
    two.members[1].program.fails = word
    report = push(one, "x = 2")
    assert report.outcome in ("cold", "refused")
    assert report.reasons
    assert texts(one, two) == {"x = 1"}
    two.members[1].program.fails = ""
    assert push(one, "x = 3").release == 1


def test_a_failure_of_the_leader_leaves_all_hosts_as_before(host: MakeHost) -> None:
    one, two = host("one", 2), host("two", 2)
    assert push(one, "x = 2 #commit-fails").outcome == "failed"
    assert texts(one, two) == {"x = 1"}
    assert "commit" not in two.members[0].program.calls
    eventually(lambda: push(two, "x = 3").outcome == "live")  # at once, but for an abort that is on its way
    assert texts(one, two) == {"x = 3"}


def test_a_worker_that_fails_after_the_decision_is_named_with_its_host(host: MakeHost) -> None:
    one, two = host("one"), host("two", 2)
    two.members[1].get()
    two.members[1].program.fails = "#commit-fails"
    report = push(one, "x = 2")
    assert (report.outcome, report.release, report.workers.at_head) == ("diverged", 1, 2)
    (behind,) = report.workers.behind
    assert behind.startswith(f"{mirror(two).hosts.own}/")
    assert "ZeroDivisionError" in behind


def test_gates_of_all_hosts_are_closed_while_code_changes(host: MakeHost) -> None:
    one, two = host("one"), host("two", 2)
    seen: list[Any] = []
    everybody = [*one.members, *two.members]
    one.members[0].program.on_commit = lambda: seen.extend(each.gate._closed for each in everybody)
    assert push(one, "x = 2").outcome == "live"
    assert seen == [True, True, True]
    assert texts(one, two) == {"x = 2"}


def test_a_busy_worker_of_another_host_lets_nobody_move(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "BUSY_FOR_S", 0.3)
    one, two = host("one"), host("two", 2)
    with two.members[1].busy("/slow"):
        report = push(one, "x = 2")
        assert (report.outcome, report.release) == ("failed", 0)
        assert "GET /slow" in report.reasons[0].what
        assert mirror(two).hosts.own in report.reasons[0].what
    assert texts(one, two) == {"x = 1"}


def test_no_release_is_decided_when_gates_may_have_opened_by_themselves(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "STILL_S", 0.0)
    one, two = host("one"), host("two")
    report = push(one, "x = 2")
    assert (report.outcome, report.reasons[0].code) == ("failed", "busy")
    assert texts(one, two) == {"x = 1"}
    assert one.members[0].program.calls[-1] == "undo"


def test_two_hosts_that_push_at_once_lose_nothing(host: MakeHost) -> None:
    hosts = [host(name) for name in ("one", "two", "three")]
    barrier = threading.Barrier(3)

    def pushing(index: int) -> list[str]:
        peer = hosts[index].peer(hosts[index].members[0])
        barrier.wait(10)
        return [peer.push({f"shop.m{index}_{turn}": "z = 1"}).outcome for turn in range(5)]

    jobs = [hosts[i].in_thread(lambda i=i: pushing(i)) for i in range(3)]
    outcomes = [outcome for job in jobs for outcome in job.result(100)]
    assert set(outcomes) <= {"live", "conflict", "refused"}, outcomes
    live = outcomes.count("live")
    assert live
    for one in hosts:
        member = one.members[0]
        member.get()
        assert member.worker.number == live
        assert len(member.program.tree) == len(BASE) + live


def test_while_another_host_leads_a_push_is_in_progress(host: MakeHost, store: MemoryStore) -> None:
    one, two = host("one"), host("two")
    peer = two.peer(two.members[0])
    peer.hello()
    bundle = peer.bundle({"shop": "x = 2"}).encode()
    with one.members[0].fleet.leading("somebody's"):
        report = peer.ask("push", bundle)
        assert (report.outcome, report.reasons[0].code, report.data["status"]) == (
            "refused",
            "in-progress",
            423,
        )
    assert store.leader == ""
    assert peer.ask("push", bundle).outcome == "live"


def test_a_leader_that_lost_the_lead_decides_nothing(host: MakeHost, store: MemoryStore) -> None:
    one, two = host("one"), host("two")
    one.members[0].program.on_commit = lambda: setattr(store, "leader", "somebody else")
    report = push(one, "x = 2")
    assert report.outcome == "conflict"
    store.leader = ""
    assert texts(one, two) == {"x = 1"}


# --- hosts that come and go ---


def test_a_host_that_starts_is_at_head_before_its_first_request(host: MakeHost) -> None:
    one = host("one")
    push(one, "x = 2")
    push(one, "x = 3")
    two = host("two")
    assert two.members[0].worker.number == 2
    assert texts(two) == {"x = 3"}
    assert two.members[0].program.calls.count("commit") == 1
    assert mirror(two).at() == mirror(one).at()


def test_a_host_that_starts_again_before_it_is_forgotten_says_that_it_starts(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    name = mirror(one).hosts.own
    kill(one, store)
    store.later += 10
    said: list[tuple[str, str]] = []
    beat = Hosts.beat
    monkeypatch.setattr(
        Hosts, "beat", lambda self, d, e, n: (said.append((self.own, e)), beat(self, d, e, n))
    )
    host("one")
    assert said[0] == (name, "")


def test_a_host_that_was_away_is_at_head_when_it_is_back(host: MakeHost) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    stop(two)
    report = push(one, "x = 3")
    assert (report.outcome, report.workers.total) == ("live", 1)
    back = host("two")
    assert texts(back) == {"x = 3"}
    report = push(back, "x = 4")
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 3, 2)


def test_a_host_that_is_killed_holds_pushes_up_until_it_is_forgotten(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "_LOOK_S", 0.05)
    one, two = host("one"), host("two")
    name = mirror(two).hosts.own
    eventually(
        lambda: bool(mirror(one).hosts.roster()[name].epoch)
    )  # it has come to where it speaks for itself
    kill(two, store)
    store.later += 5
    eventually(lambda: mirror(one).hosts.roster()[mirror(one).hosts.own].age_s < 3)
    report = push(one, "x = 2")
    assert (report.outcome, report.reasons[0].what) == ("failed", f"busy: {name}: no answer")
    store.later += 20
    eventually(lambda: mirror(one).hosts.own in mirror(one).hosts.roster())
    report = push(one, "x = 2")
    assert (report.outcome, report.workers.total) == ("live", 1)


def test_a_host_that_starts_during_a_push_has_the_release_when_it_is_acknowledged(host: MakeHost) -> None:
    one = host("one")
    came: list[Host] = []
    one.members[0].program.on_commit = lambda: came.append(host("two")) if not came else None
    report = push(one, "x = 2")
    assert (report.outcome, report.workers.at_head) == ("live", 2), report
    assert came[0].members[0].worker.number == 1
    assert came[0].members[0].program.tree["shop"].text == "x = 2"  # no request was needed


def test_a_host_that_hears_nothing_of_the_decision_is_named_and_comes_to_head_by_itself(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "CONVERGE_S", 0.3)
    one, two = host("one"), host("two")
    send = Hosts.send

    def lossy(self: Hosts, box: str, message: dict[str, Any]) -> None:
        if message.get("k") != "commit":
            send(self, box, message)

    monkeypatch.setattr(Hosts, "send", lossy)
    report = push(one, "x = 2")
    assert report.outcome == "diverged"
    assert report.workers.behind == (f"{mirror(two).hosts.own}: no answer",)
    eventually(lambda: two.members[0].worker.number == 1)
    assert texts(two) == {"x = 2"}
    assert two.members[0].program.calls.count("plan") == 1  # what was prepared was committed, behind the gate


def test_a_leader_that_dies_before_the_decision_leaves_the_others_as_they_were(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LEASE_S", 0.3)
    monkeypatch.setattr(moves, "LEASE_S", 0.5)
    one, two = host("one"), host("two")
    request = one.peer(one.members[0]).request_for("push", {"shop": "x = 2"})
    leader = one.members[0]
    with leader.staged(request):
        others = leader.fleet.round()
        others.tell("prepare", nonce=request.nonce)
        others.tell("stage")
        assert [answer["id"] for _, answer in others.answers(5)] == [others.id]
        others.tell("quiesce")
        assert [answer["holders"] for _, answer in others.answers(5)] == [[]]
        others.post.close()
    assert two.members[0].get() == "x = 1"  # waits at the gate until it opens
    eventually(lambda: push(two, "x = 3").outcome == "live")
    assert texts(one, two) == {"x = 3"}


def test_an_old_deploy_beside_a_new_one_keeps_its_releases(host: MakeHost) -> None:
    one = host("one")
    assert push(one, "x = 2").outcome == "live"
    new = host("two", 1, tree_of(shop="x = 10", shop__views="y = 1"))
    assert texts(new) == {"x = 10"}
    report = push(new, "x = 11")
    assert (report.outcome, report.release) == ("diverged", 2)  # counted on from the other deploy's
    assert report.workers.behind == (f"{mirror(one).hosts.own}: it runs another deploy",)
    assert texts(one) == {"x = 2"}
    again = host("three")  # recycled, or scaled: still of the old deploy, which runs
    assert texts(again) == {"x = 2"}
    stop(one)
    stop(again)
    assert push(new, "x = 12").outcome == "live"
    assert texts(host("four")) == {
        "x = 1"
    }  # the old code deployed again: as on one host, nothing of its pushes


def test_a_host_with_other_releases_of_the_same_deploy_stops_pushes(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    beat = Hosts.beat

    def other(self: Hosts, deploy: str, epoch: str, number: int) -> None:
        beat(self, deploy, "0" * 32 if self is mirror(two).hosts else epoch, number)

    monkeypatch.setattr(Hosts, "beat", other)
    eventually(lambda: any(b.epoch == "0" * 32 for b in mirror(one).hosts.roster().values()))
    report = push(one, "x = 2")
    assert (report.outcome, [r.code for r in report.reasons]) == ("failed", ["store"])
    assert report.reasons[0].what == f"{mirror(two).hosts.own}: it has other releases of this deploy"
    assert texts(one, two) == {"x = 1"}


def test_what_was_pushed_and_is_deployed_cold_goes_on_where_it_was(host: MakeHost) -> None:
    one = host("one")
    push(one, "x = 2")
    two = host("two", 1, tree_of(shop="x = 2", shop__views="y = 1"))
    assert mirror(two).at() == mirror(one).at()
    report = push(two, "x = 3")
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 2, 2)


def test_hosts_that_begin_a_deploy_at_once_have_one_epoch(host: MakeHost, store: MemoryStore) -> None:
    begin, waits = store.begin, threading.Barrier(2)

    def at_once(*args: Any) -> str:
        waits.wait(10)
        return begin(*args)

    store.begin = at_once  # type: ignore[method-assign]
    jobs = [threading.Thread(target=host, args=(name,)) for name in ("one", "two")]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(30)
    store.begin = begin  # type: ignore[method-assign]
    assert len(store.logs) == 1
    assert len(store.said) == 2


def test_a_store_of_one_host_can_become_one_of_several(tmp_path: Path, host: MakeHost) -> None:
    (tmp_path / "one").mkdir()
    alone = Host(tmp_path / "one")
    alone.workers(1, BASE)
    assert push(alone, "x = 2").outcome == "live"
    alone.close()
    one = host("one")
    assert texts(one) == {"x = 2"}
    two = host("two")
    assert texts(two) == {"x = 2"}
    assert push(two, "x = 3").workers.at_head == 2


# --- the shared store goes away, and loses ---


def test_while_the_store_is_away_the_app_serves_and_pushes_are_refused(
    host: MakeHost, store: MemoryStore
) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    peer = one.peer(one.members[0])
    store.away = True
    report = peer.push({"shop": "x = 3"})
    assert (report.outcome, report.data["status"]) == ("failed", 503)
    assert [(r.code, r.what) for r in report.reasons] == [("store", "memory: it is away")]
    assert texts(one, two) == {"x = 2"}
    status = peer.ask("status")
    assert status.outcome == "diverged"
    assert status.data["surroundings"]["shared"]["trouble"] == "memory: it is away"
    (behind,) = status.workers.behind
    assert behind == f"{mirror(one).hosts.own}: other hosts were not asked: memory: it is away"
    store.away = False
    assert peer.push({"shop": "x = 3"}).outcome == "live"
    assert texts(one, two) == {"x = 3"}


def test_a_host_that_starts_without_the_store_serves_what_it_knows(
    host: MakeHost, store: MemoryStore
) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    stop(two)
    push(one, "x = 3")
    store.away = True
    two = host("two")
    assert texts(two) == {"x = 2"}
    store.away = False
    eventually(lambda: two.members[0].worker.number == 2)
    assert texts(two) == {"x = 3"}


def test_a_host_that_knows_nothing_does_not_start_without_the_store(
    host: MakeHost, store: MemoryStore
) -> None:
    store.away = True
    with pytest.raises(StoreError, match="it is away"):  # the app serves what is on disk, and tries again
        host("one")
    store.away = False
    host("one")
    assert push(host("two"), "x = 2").workers.at_head == 2
    assert len(store.logs) == 1


@pytest.mark.parametrize("left", [0, 1, 2])
def test_what_the_store_has_lost_is_put_back(host: MakeHost, store: MemoryStore, left: int) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    push(one, "x = 3")
    (epoch,) = store.logs
    before = list(store.logs[epoch])
    with store.news:
        del store.logs[epoch][left:]
        if not left:
            store.logs.clear()
            store.deploys.clear()
    eventually(lambda: store.logs.get(epoch) == before)
    assert push(two, "x = 4").outcome == "live"
    assert texts(one, two, host("three")) == {"x = 4"}


def test_a_push_right_after_all_was_lost_asks_the_hosts_that_were_not_heard_of_since(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    monkeypatch.setattr(wide, "SILENT_S", 1.0)
    may_speak, beat, heard_s = threading.Event(), store.beat, store.heard_s
    other = mirror(two).hosts.own

    def beats(name: str, data: bytes) -> None:
        if name != other or may_speak.is_set():
            beat(name, data)

    def asked() -> float:  # after the push has looked who is there
        may_speak.set()
        return heard_s()

    store.beat, store.heard_s = beats, asked  # type: ignore[method-assign]
    store.lose_everything()
    eventually(lambda: bool(store.said))  # this host was faster than the other
    report = push(one, "x = 3")
    assert (report.outcome, report.workers.at_head) == ("live", 2)
    assert texts(one, two) == {"x = 3"}


def test_no_push_is_taken_while_nobody_knows_which_hosts_there_are(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    monkeypatch.setattr(wide, "SILENT_S", 0.1)
    store.heard_s = lambda: 0.0  # type: ignore[method-assign]  # it loses all again and again
    report = push(one, "x = 2")
    assert (report.outcome, report.reasons[0].code) == ("failed", "store")
    assert report.reasons[0].what == "memory does not know yet which hosts there are"
    assert texts(one) == {"x = 1"}


def test_a_host_that_starts_when_all_was_lost_waits_until_it_is_put_back(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "EMPTY_S", 0.5)
    one = host("one")
    push(one, "x = 2")
    with store.news:
        for lost in (store.logs, store.deploys, store.said):
            lost.clear()
        store.newest = ""
    two = host("two")
    assert texts(two) == {"x = 2"}
    assert len(store.logs) == 1


@pytest.mark.parametrize("also_names", [True, False])
def test_a_host_that_starts_before_it_is_put_back_does_not_begin_anew(
    host: MakeHost, store: MemoryStore, also_names: bool
) -> None:
    one = host("one")
    push(one, "x = 2")
    begin = store.begin
    store.begin = lambda *_: ""  # type: ignore[method-assign]  # it can't be put back
    with store.news:
        store.logs.clear()
        if also_names:
            store.deploys.clear()
    with pytest.raises(StoreError, match=r"has lost what .* knows of this deploy"):
        host("two")
    store.begin = begin  # type: ignore[method-assign]
    eventually(lambda: len(store.logs) == 1)
    assert texts(host("three")) == {"x = 2"}


def test_a_host_that_can_not_believe_what_is_there_says_so_to_who_pushes(
    host: MakeHost, store: MemoryStore
) -> None:
    one, two = host("one"), host("two")
    refresh, mine = Mirror.refresh, mirror(two)

    def doubts(self: Mirror) -> None:
        if self is mine:
            raise StoreError("record #1: its seal is of another content")
        refresh(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Mirror, "refresh", doubts)
        report = push(one, "x = 2")
    assert (report.outcome, report.reasons[0].code) == ("failed", "store")
    assert report.reasons[0].what == f"{mine.hosts.own}: record #1: its seal is of another content"
    eventually(lambda: push(one, "x = 2").outcome == "live")
    assert texts(one, two) == {"x = 2"}


def test_a_host_that_knows_more_than_the_store_lets_nobody_push_until_it_has_told(
    host: MakeHost, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    monkeypatch.setattr(Mirror, "at", lambda self: ("e", 7 if self is mirror(two) else 0))
    eventually(lambda: any(b.number == 7 for b in mirror(one).hosts.roster().values()))
    with pytest.raises(StoreError, match="knows #7"):
        one.members[0].fleet.round()


def of_another_chain(entry: Entry) -> Entry:
    """Return a record as it would be had another one come before it, sealed as ours are."""
    record, _token = unpacked(entry.data)
    return packed(record, seal_record(record, "0" * 64, APP, Keyring([KEY])))


def test_a_store_with_another_history_is_not_believed_and_no_push_is_taken(
    host: MakeHost, store: MemoryStore
) -> None:
    one, two = host("one"), host("two")
    push(one, "x = 2")
    good = [list(log) for log in store.logs.values()]
    (epoch,) = store.logs
    with store.news:
        store.logs[epoch][-1] = of_another_chain(store.logs[epoch][-1])
    report = push(two, "x = 3")
    assert (report.outcome, [r.code for r in report.reasons]) == ("failed", ["store"])
    assert "has other releases of this deploy than this host" in report.reasons[0].what
    status = two.peer(two.members[0]).ask("status")
    assert status.outcome == "diverged"
    assert f"{mirror(two).hosts.own}: memory has other releases" in status.workers.behind[0]
    assert texts(one, two) == {"x = 2"}
    with store.news:
        store.logs[epoch] = good[0]
    assert push(two, "x = 3").outcome == "live"


def test_a_record_that_can_not_be_written_down_here_is_live_elsewhere_and_told_so(
    host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one", 2), host("two")
    ledger = mirror(one)

    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger._store.counter, "raise_to", full)
    monkeypatch.setattr(leading, "CONVERGE_S", 1.0)
    report = push(one, "x = 2")
    assert report.release == 1
    assert two.members[0].get() == "x = 2"
    monkeypatch.undo()
    eventually(lambda: texts(one, two) == {"x = 2"})


def test_a_decision_that_was_not_answered_is_found_out(host: MakeHost, store: MemoryStore) -> None:
    one, two = host("one"), host("two")
    append = store.append

    def answers_late(*args: Any) -> bool:
        append(*args)
        raise StoreError("memory: timed out")

    store.append = answers_late  # type: ignore[method-assign]
    assert push(one, "x = 2").outcome == "live"

    late: list[Any] = []

    def is_on_its_way(*args: Any) -> bool:
        late.append(args)
        raise StoreError("memory: timed out")

    def arrives_after_it_was_asked_for(*args: Any) -> str:
        found = link_at(*args)
        late.append(append(*late.pop()))
        return found

    link_at = store.link_at
    store.append = is_on_its_way  # type: ignore[method-assign]
    store.link_at = arrives_after_it_was_asked_for  # type: ignore[method-assign]
    report = push(one, "x = 3")
    assert (report.outcome, report.reasons[0].code, late) == ("failed", "store", [False])
    store.append, store.link_at = append, link_at  # type: ignore[method-assign]
    assert texts(one, two) == {"x = 2"}
    eventually(lambda: push(two, "x = 4").outcome == "live")


def test_a_decision_that_nobody_knows_of_is_unknown(host: MakeHost, store: MemoryStore) -> None:
    one, two = host("one"), host("two")
    append = store.append

    def dies_after(*args: Any) -> bool:
        append(*args)
        store.away = True
        raise StoreError("memory: timed out")

    store.append = dies_after  # type: ignore[method-assign]
    report = push(one, "x = 2")
    assert (report.outcome, report.reasons[0].code) == ("unknown", "store")
    assert one.members[0].get() == "x = 1"
    store.append = append  # type: ignore[method-assign]
    store.away = False
    eventually(lambda: texts(one, two) == {"x = 2"})  # it had decided: all come to it


# --- who may write to the shared store ---


def test_what_none_of_ours_signed_is_no_host_and_no_message(host: MakeHost, store: MemoryStore) -> None:
    one = host("one")
    stranger = Hosts(one.folder / "store", APP, Keyring([Key.parse(new_secret("k1"))]), store)
    foreign = Hosts(one.folder / "store", "another app", Keyring([KEY]), store)
    for other in (stranger, foreign):
        other._own = "evil-0000"
        other.beat("d", "e", 99)
        assert "evil-0000" not in mirror(one).hosts.roster()
        other.send(box_of(mirror(one).hosts.own), {"k": "ask", "id": "x", "turn": 1, "from": "answers"})
        assert mirror(one).hosts.receive("answers", 0.2) is None
    store.said["evil-0000"] = store.said[mirror(one).hosts.own]  # a copy of what another host said
    store.said["evil-0001"] = (time.monotonic(), b"garbage")
    assert mirror(one).hosts.roster().keys() == {mirror(one).hosts.own}
    assert push(one, "x = 2").outcome == "live"


def test_a_message_for_one_box_is_none_in_another(host: MakeHost, store: MemoryStore) -> None:
    one = host("one")
    hosts = mirror(one).hosts
    hosts.send("a", {"k": "ask"})
    store.send("b", store.boxes["a"].popleft())
    assert hosts.receive("b", 0.1) is None


CHANGES: dict[str, Callable[[Any], Any]] = {
    "body": lambda r: {**r, "body": r["body"] + b"x"},
    "header": lambda r: {**r, "header": r["header"][:-1] + ("A" if r["header"][-1] != "A" else "B")},
    "number": lambda r: {**r, "number": r["number"] + 1},
    "epoch": lambda r: {**r, "epoch": "0" * 32},
    "kind": lambda r: {**r, "kind": "base"},
    "digest": lambda r: {**r, "tree_digest": "0" * 64},
    "who": lambda r: {**r, "who": "mallory"},
}


@pytest.mark.parametrize(
    "what", [*CHANGES, "seal", "chain", "garbage", "other order", "one taken out", "other secret"]
)
def test_what_was_changed_in_the_store_runs_nowhere(
    host: MakeHost, store: MemoryStore, tmp_path: Path, what: str
) -> None:
    one = host("one")
    for number in (2, 3, 4):
        push(one, f"x = {number}")
    (epoch,) = store.logs
    with store.news:
        log = store.logs[epoch]
        record, token = unpacked(log[2].data)
        if what in CHANGES:
            changed = packed(type(record)(**CHANGES[what](record.__dict__)), token)
            log[2] = Entry(log[2].link, changed.data)
        elif what == "seal":
            log[2] = Entry(log[2].link, packed(record, token[:-2] + "AA").data)
        elif what == "chain":
            log[2] = of_another_chain(log[2])
        elif what == "garbage":
            log[2] = Entry(log[2].link, b"garbage")
        elif what == "other order":
            log[1], log[2] = log[2], log[1]
        elif what == "one taken out":
            del log[2]
        else:
            log[:] = of_another_secret(tmp_path)
    with pytest.raises(StoreError):
        host("two")
    assert texts(one) == {"x = 4"}
    fresh = Mirror(tmp_path / "fresh", APP, Keyring([KEY]), store)
    with pytest.raises(StoreError):
        fresh._fetch(epoch, 0)
    assert fresh.at() == ("", 0)  # it is not even written down


def of_another_secret(folder: Path) -> list[Entry]:
    store = MemoryStore()
    (folder / "other").mkdir()
    other = Host(folder / "other", store, keys=Keyring([Key.parse(new_secret("k1"))]))
    other.workers(1, BASE)
    other.close()
    return next(iter(store.logs.values()))


def test_a_request_that_was_exchanged_on_its_way_to_another_host_is_not_taken(
    host: MakeHost, store: MemoryStore
) -> None:
    one, two = host("one"), host("two")
    stage = store.stage
    store.stage = lambda nonce, data: stage(nonce, data + b"x")  # type: ignore[method-assign]
    report = push(one, "x = 2")
    assert report.outcome != "live"
    store.stage = stage  # type: ignore[method-assign]
    assert texts(one, two) == {"x = 1"}
    assert list((two.folder / "store" / "staged").glob("*")) == []


def test_a_copied_folder_is_another_host(host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    one = host("one")
    name = mirror(one).hosts.own
    again = Hosts(one.folder / "store", APP, Keyring([KEY]), MemoryStore())
    assert again.own == name
    shutil.copytree(one.folder / "store", one.folder / "copy", ignore=shutil.ignore_patterns("run"))
    copy = Hosts(one.folder / "copy", APP, Keyring([KEY]), MemoryStore())
    assert copy.own != name
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    other = Hosts(one.folder / "store", APP, Keyring([KEY]), MemoryStore())
    assert other.own.startswith("elsewhere-")
