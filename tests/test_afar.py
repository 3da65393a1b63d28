"""A release by a restart on several hosts in one process, with stand-ins for canaries and gunicorn.

With real servers and a real Redis: `e2e/test_cold_hosts.py`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import afar, bootnote, cold, relay
from flask_habanero.boot import finder
from flask_habanero.bootnote import Note
from flask_habanero.change import Request
from flask_habanero.cold import Restarts
from flask_habanero.config import RESTART, Config
from flask_habanero.envelope import seal_message
from flask_habanero.errors import Reason, StoreError
from flask_habanero.fleet import Fleet, InProgressError
from flask_habanero.fresh import CanaryError
from flask_habanero.gate import Gate
from flask_habanero.hosts import Hosts, box_of
from flask_habanero.mirror import Mirror
from flask_habanero.post import FOLLOWER
from flask_habanero.record import Record
from flask_habanero.release import Report, WorkerCount
from flask_habanero.signals import Announcer
from flask_habanero.source import Source
from flask_habanero.wide import WideRound
from flask_habanero.worker import Worker

from tests.fakes import FakeProgram, tree_of
from tests.hosts import Host, Member, eventually, texts
from tests.hosts import mirror_of as mirror
from tests.stores import MemoryStore, prompt_store

# Threads that a test ends as a signal would end their process
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

BASE = tree_of(shop="x = 1")
COLD = "x = 2  #cold"
MakeHost = Callable[..., "ColdHost"]


class Died(BaseException):
    """A process was killed: nothing of it runs any more."""


@dataclass
class ColdHost(Host):
    """A host whose gunicorn can be restarted.

    Attributes:
        cold: what HABANERO_COLD is there.
        obstacle: why it can't be restarted, if so.
        canary: called in each canary; may raise.
    """

    cold: str = RESTART
    obstacle: str = ""
    canary: Callable[[], object] = lambda: None

    def config(self) -> Config:
        return replace(super().config(), cold=self.cold, shared="memory")

    @property
    def name(self) -> str:
        return mirror(self).hosts.own

    @property
    def note(self) -> Note | None:
        return bootnote.read(self.config().store, self.keys)


@dataclass
class Seen:
    """What happened, in its order: on which host, and what.

    Attributes:
        dies: called before each message of a leader, what it says; may raise, or be true: it is silent.
    """

    hosts: list[ColdHost] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    dies: Callable[[str], object] = lambda _kind: None

    def at(self, config: Config) -> ColdHost:
        return next(one for one in self.hosts if one.config().store == config.store)

    def note(self, config: Config, what: str) -> ColdHost:
        host = self.at(config)
        self.events.append((host.folder.name, what))
        return host

    def who(self, what: str) -> list[str]:
        return sorted(name for name, event in self.events if event == what)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    return prompt_store(monkeypatch)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Seen:
    """Put stand-ins in place of canaries and gunicorn. Returns what happens to them."""
    seen = Seen()

    def booted(self: Restarts, _request: Request, _note: Note, _pages: list[str], _s: float) -> list[Any]:
        seen.note(self._config, "canary").canary()
        return []

    def made_ready(folder: Path, note: Note, keys: Any, real: Any = bootnote.write) -> None:
        real(folder, note, keys)
        seen.events.append((folder.parent.name, "note"))

    def recorded(*given: Any, real: Any = cold.record) -> Record:
        done: Record = real(*given)
        seen.events.append(("", "record"))
        return done

    def restarted(self: Restarts, _done: Record, _deadline: float) -> WorkerCount:
        host = seen.note(self._config, "restart")
        return WorkerCount(len(host.members), 0, len(host.members))

    def told(self: WideRound, kind: str, real: Any = WideRound.tell, **fields: str) -> None:
        if not seen.dies(kind):
            real(self, kind, **fields)

    def obstacles(self: Restarts) -> tuple[Reason, ...]:
        what = seen.at(self._config).obstacle
        return (Reason("no-restart", "", what, "deploy it"),) if what else ()

    monkeypatch.setattr(Restarts, "_try", booted)
    monkeypatch.setattr(Restarts, "_restart", restarted)
    monkeypatch.setattr(Restarts, "obstacles", obstacles)
    monkeypatch.setattr(Restarts, "gathered", lambda _self: [])
    monkeypatch.setattr(bootnote, "write", made_ready)
    monkeypatch.setattr(cold, "record", recorded)
    monkeypatch.setattr(Note, "of", lambda _program, app, epoch, _m: Note(app, epoch, (), {}, "", (), ""))
    monkeypatch.setattr(WideRound, "tell", told)
    monkeypatch.setattr(finder, "folder", tmp_path)
    return seen


@pytest.fixture
def host(tmp_path: Path, store: MemoryStore, seen: Seen) -> Iterator[MakeHost]:
    """Give a function that starts a host of that name, with so many workers."""

    def make(name: str, workers: int = 1, base: Mapping[str, Source] = BASE, **fields: Any) -> ColdHost:
        (tmp_path / name).mkdir(exist_ok=True)
        seen.hosts.append(ColdHost(tmp_path / name, store, **fields))
        seen.hosts[-1].workers(workers, base)
        return seen.hosts[-1]

    yield make
    store.away = False
    for one in seen.hosts:
        one.close()


def push(one: Host, text: str = COLD) -> Report:
    return one.peer(one.members[0]).push({"shop": text})


def recorded(one: Host) -> int:
    return mirror(one).at()[1]


def gives_back_its_lock(one: ColdHost) -> bool:
    """Whether nobody leads this host any more."""
    try:
        with one.members[0].fleet.lock():
            return True
    except InProgressError:
        return False


# --- all, or none ---


def test_all_hosts_boot_it_then_it_is_recorded_then_each_restarts_once(host: MakeHost, seen: Seen) -> None:
    one, two, three = host("one", 2), host("two", 2), host("three")
    report = push(two)
    assert (report.outcome, report.release, report.data["restarted"]) == ("live", 1, True), report
    assert (report.workers.at_head, report.workers.total, report.workers.behind) == (5, 5, ())
    kinds = [what for _, what in seen.events]
    assert kinds == ["canary"] * 3 + ["note"] * 3 + ["record"] + ["restart"] * 3
    assert seen.who("canary") == seen.who("restart") == ["one", "three", "two"]
    record = mirror(one).head(mirror(one).at()[0])
    assert [each.note and each.note.is_of(1, record.nonce) for each in (one, two, three)] == [True] * 3


def test_a_rollback_that_is_cold_is_one_more_release_of_all_hosts(host: MakeHost, seen: Seen) -> None:
    base = tree_of(shop="x = 1  #cold")
    one, two = host("one", base=base), host("two", base=base)
    assert (push(one, "x = 2").outcome, texts(one, two), seen.events) == ("live", {"x = 2"}, [])
    report = two.peer(two.members[0]).rollback(0)
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 2, 2), report
    assert seen.who("restart") == ["one", "two"]


def test_one_canary_that_does_not_come_up_restarts_none_and_is_named(host: MakeHost, seen: Seen) -> None:
    def fails() -> None:
        raise CanaryError((Reason("canary", "shop:1", "RuntimeError: no", cold.FIX),))

    one, two, three = host("one"), host("two", canary=fails), host("three")
    report = push(one)
    assert (report.outcome, report.release) == ("failed", 0), report
    assert [(r.code, r.where) for r in report.reasons] == [("canary", f"{two.name}: shop:1")]
    assert {what for _, what in seen.events} == {"canary"}
    assert [recorded(each) for each in (one, two, three)] == [0, 0, 0]
    two.canary = lambda: None
    eventually(lambda: all(map(gives_back_its_lock, (one, two, three))))
    assert push(three).outcome == "live"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"obstacle": "the process above this one is no gunicorn"}, "is no gunicorn"),
        ({"cold": "refuse"}, "HABANERO_COLD does not say restart there"),
    ],
    ids=["no gunicorn", "refuse"],
)
def test_one_host_that_can_not_be_restarted_refuses_for_all_and_is_named(
    host: MakeHost, seen: Seen, fields: dict[str, str], what: str
) -> None:
    one, two, three = host("one"), host("two", **fields), host("three")
    report = push(one)
    assert (report.outcome, report.release) == ("cold", 0), report
    assert [r.code for r in report.reasons] == ["fake-cold", "no-restart"]
    assert (report.reasons[1].where, what in report.reasons[1].what) == (two.name, True)
    assert {what for _, what in seen.events} == {"canary"}
    assert "two" not in seen.who("canary")
    assert texts(one, two, three) == {"x = 1"}


def test_a_host_with_another_deploy_takes_no_part_and_is_named(host: MakeHost, seen: Seen) -> None:
    one, two = host("one"), host("two", base=tree_of(shop="x = 9"))
    report = push(one)
    assert (report.outcome, report.workers.at_head, report.workers.total) == ("diverged", 1, 2), report
    assert report.workers.behind == (f"{two.name}: it runs another deploy",)
    assert seen.who("canary") == seen.who("restart") == ["one"]


def test_two_cold_pushes_at_once_are_one_release_or_one_after_the_other(host: MakeHost, seen: Seen) -> None:
    one, two, three = host("one"), host("two"), host("three")
    peers = [each.peer(each.members[0]) for each in (one, two)]
    bundles = [peer.bundle({"shop": f"x = {i}  #cold"}).encode() for i, peer in enumerate(peers)]
    together = threading.Barrier(2)

    def pushing(index: int) -> Report:
        together.wait(10)
        return peers[index].ask("push", bundles[index])

    jobs = [one.in_thread(lambda i=i: pushing(i)) for i in range(2)]
    reports = [job.result(60) for job in jobs]
    outcomes = sorted(report.outcome for report in reports)
    assert outcomes in (["live", "refused"], ["conflict", "live"], ["refused", "refused"]), reports
    live = outcomes.count("live")
    assert seen.who("restart") == ["one", "three", "two"][: 3 * live]
    assert [recorded(each) for each in (one, two, three)] == [live] * 3


def test_a_host_that_somebody_leads_is_waited_for_and_then_refuses(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    monkeypatch.setattr(relay, "ALONE_S", 0.1)
    with two.members[0].fleet.lock():
        report = push(one)
    assert (report.outcome, report.reasons[0].what) == (
        "refused",
        f"{two.name}: another push is in progress",
    ), report
    assert {what for _, what in seen.events} == {"canary"}
    monkeypatch.setattr(relay, "ALONE_S", 10.0)
    with two.members[0].fleet.lock():
        job = one.in_thread(lambda: push(one))
        eventually(lambda: seen.who("canary") == ["one", "one"])
    assert job.result(30).outcome == "live"


# --- who dies ---


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody for long."""
    monkeypatch.setattr(relay, "BOOTED_S", 0.5)
    monkeypatch.setattr(relay, "READY_S", 0.5)
    monkeypatch.setattr(cold, "READY_S", 0.5)
    monkeypatch.setattr(cold, "HOSTS_S", 1.0)
    monkeypatch.setattr(cold, "RESTARTED_S", 1.0)
    monkeypatch.setattr(cold, "LEAST_S", 1.0)


def dies_at(seen: Seen, when: str) -> None:
    """Kill the leader when it is about to say something; it says nothing more."""
    dead: list[str] = []

    def dies(kind: str) -> bool:
        if kind == when and not dead:
            dead.append(kind)
            raise Died
        return bool(dead)

    seen.dies = dies


@pytest.mark.usefixtures("short")
def test_a_leader_that_dies_between_record_and_restart_leaves_the_others_to_restart_themselves(
    host: MakeHost, seen: Seen
) -> None:
    one, _two, _three = host("one"), host("two"), host("three")
    dies_at(seen, "restart")
    with pytest.raises(Died):
        push(one)
    eventually(lambda: seen.who("restart") == ["three", "two"])
    assert seen.who("record") == [""]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("when", ["ready", "boot"])
def test_a_leader_that_dies_before_it_is_recorded_restarts_nobody(
    host: MakeHost, seen: Seen, when: str
) -> None:
    one, two = host("one"), host("two")
    dies_at(seen, when)
    with pytest.raises(Died):
        push(one)
    seen.dies = lambda _kind: None
    eventually(lambda: all(map(gives_back_its_lock, (one, two))))
    assert seen.who("restart") == seen.who("record") == []
    assert push(two).outcome == "live"


@pytest.mark.usefixtures("short")
def test_a_leader_that_dies_when_all_are_ready_leaves_notes_that_say_nothing(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    record = cold.record

    def killed(*_: object) -> Record:
        seen.dies = lambda _kind: True
        raise Died

    monkeypatch.setattr(cold, "record", killed)
    with pytest.raises(Died):
        push(one)
    eventually(lambda: all(map(gives_back_its_lock, (one, two))))
    assert two.note is not None
    assert not two.note.counts(mirror(two))
    assert seen.who("restart") == []
    seen.dies = lambda _kind: None
    monkeypatch.setattr(cold, "record", record)
    assert push(two).outcome == "live"


def test_a_leader_that_fails_after_it_was_recorded_takes_nothing_back(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says `abort` to all, which is not true any more."""
    one, _two = host("one"), host("two")
    monkeypatch.setattr(
        one.members[0].worker, "leave", lambda _number: _raise(StoreError("the disk is full"))
    )
    report = push(one)
    assert (report.outcome, report.reasons[0].what) == ("failed", "the disk is full")
    eventually(lambda: seen.who("restart") == ["two"])


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("when", ["canary", "note"])
def test_a_deputy_that_dies_before_it_is_recorded_restarts_nobody(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    one, two = host("one"), host("two", 2)
    if when == "canary":
        two.canary = lambda: _raise(SystemExit())  # nobody hears of it: as if the process were gone
    else:
        monkeypatch.setattr(two.members[0].deployer.restarts, "ready", lambda _note: _raise(SystemExit()))
        monkeypatch.setattr(two.members[1].deployer.restarts, "ready", lambda _note: _raise(SystemExit()))
    report = push(one)
    assert (report.outcome, report.release) == ("failed", 0), report
    assert report.reasons[0].what == f"busy: {two.name}: no answer"
    assert seen.who("restart") == seen.who("record") == []
    assert texts(one, two) == {"x = 1"}


@pytest.mark.usefixtures("short")
def test_a_deputy_that_dies_before_its_restart_is_named_and_its_workers_leave(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two", 2)
    for member in two.members:
        monkeypatch.setattr(member.deployer.restarts, "follow", lambda *_: _raise(SystemExit()))
    report = push(one)
    assert (report.outcome, report.release, report.workers.at_head) == ("diverged", 1, 1), report
    assert report.workers.behind == (f"{two.name}: no answer, it may still restart",)
    eventually(lambda: recorded(two) == 1)
    assert texts(two) == {"x = 1"}  # they serve until they are replaced
    assert [member.worker.leaving.begun for member in two.members] == [True, True]


# --- the shared store goes away ---


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("when", "what"), [("canary", "no answer"), ("ready", "memory: it is away")])
def test_a_store_that_is_lost_before_it_is_recorded_restarts_nobody(
    host: MakeHost, seen: Seen, store: MemoryStore, when: str, what: str
) -> None:
    one, two = host("one"), host("two")

    def lose(kind: str = "canary") -> None:
        if kind == when:
            eventually(lambda: seen.who("canary") == ["one", "two"])
            store.away = True

    one.canary, seen.dies = lose, lose
    report = push(one)
    assert (report.outcome, report.release, what in report.reasons[0].what) == ("failed", 0, True), report
    assert seen.who("restart") == seen.who("record") == []
    store.away, store.leader, one.canary, seen.dies = False, "", lambda: None, lambda _kind: None
    eventually(lambda: all(map(gives_back_its_lock, (one, two))))
    assert push(two).outcome == "live"


@pytest.mark.usefixtures("short")
def test_a_store_that_is_lost_while_it_decides_is_unknown_and_restarts_nobody_before_it_is_known(
    host: MakeHost, seen: Seen, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    append = MemoryStore.append

    def lost(*given: Any) -> bool:
        append(*given)
        store.away = True
        raise StoreError("memory: it is away")

    monkeypatch.setattr(MemoryStore, "append", lost)
    report = push(one)
    assert report.outcome == "unknown", report
    eventually(lambda: all(map(gives_back_its_lock, (one, two))))
    assert seen.who("restart") == []
    store.away = False
    eventually(lambda: recorded(one) == recorded(two) == 1)
    assert texts(one, two) == {"x = 1"}
    assert [one.members[0].worker.leaving.begun, two.members[0].worker.leaving.begun] == [True, True]


@pytest.mark.usefixtures("short")
def test_a_store_that_is_lost_between_record_and_restart_is_told_and_the_others_come_by_themselves(
    host: MakeHost, seen: Seen, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    record = cold.record

    def then_lost(*given: Any) -> Record:
        done = record(*given)
        store.away = True
        return done

    monkeypatch.setattr(cold, "record", then_lost)
    report = push(one)
    assert (report.outcome, report.release, report.workers.at_head) == ("diverged", 1, 1), report
    assert f"{one.name}: other hosts were not asked: memory: it is away" in report.workers.behind
    assert f"{two.name}: no answer, it may still restart" in report.workers.behind
    assert seen.who("restart") == ["one"]
    eventually(lambda: gives_back_its_lock(two))
    store.away = False
    eventually(lambda: recorded(two) == 1)
    assert texts(two) == {"x = 1"}
    assert two.members[0].worker.leaving.begun


# --- who comes late ---


def test_a_host_that_joins_in_the_middle_serves_on_and_then_restarts_itself_once(
    host: MakeHost, seen: Seen
) -> None:
    one = host("one")
    came: list[ColdHost] = []

    def join() -> None:
        came.append(host("two", 2))
        assert texts(came[0]) == {"x = 1"}  # it has served

    one.canary = join
    assert push(one).outcome == "live"
    (two,) = came
    eventually(lambda: recorded(two) == 1)
    assert texts(two) == {"x = 1"}  # no request fails, as that of a worker that ends would
    assert [(m.worker.ending, m.worker.cold_head) for m in two.members] == [(False, 1)] * 2
    for member in two.members:
        member.deployer.tick()
    eventually(lambda: "two" in seen.who("restart"))
    eventually(lambda: gives_back_its_lock(two))
    for member in two.members:
        member.deployer.tick()
    eventually(lambda: all(member.worker.leaving.begun for member in two.members))
    assert seen.who("canary") == seen.who("restart") == ["one", "two"]
    assert two.note is not None
    assert two.note.counts(mirror(two))


def test_a_host_that_comes_late_and_can_not_is_told_and_tries_once_in_a_while(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    assert push(one).outcome == "live"
    two = host("two", 3, canary=lambda: _raise(CanaryError((Reason("canary", "", "no", ""),))))
    assert texts(two) == {"x = 1"}

    def all_look() -> None:
        for member in two.members:
            eventually(lambda: gives_back_its_lock(two))
            member.deployer.tick()
            eventually(lambda m=member: m.deployer._late._again_at < float("inf"))

    all_look()
    all_look()
    assert seen.who("canary") == ["one", "two"]
    behind = one.peer(one.members[0]).ask("status").workers.behind
    assert len([text for text in behind if text.startswith(f"{two.name}/") and "hot" in text]) == 3, behind
    two.canary = lambda: None
    monkeypatch.setattr(afar, "AGAIN_S", 0.0)
    for member in two.members:
        member.deployer._late._again_at = 0.0
    two.members[0].deployer.tick()
    eventually(lambda: seen.who("restart") == ["one", "two"])


def test_who_was_to_restart_a_late_host_dies_and_its_workers_leave_by_themselves(
    host: MakeHost, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    assert push(one).outcome == "live"
    two = host("two", 2)
    monkeypatch.setattr(two.members[0].deployer.restarts, "follow", lambda *_: _raise(SystemExit()))
    two.members[0].deployer.tick()
    eventually(lambda: two.note is not None)
    eventually(lambda: gives_back_its_lock(two))
    assert not two.members[1].worker.leaving.begun
    two.members[1].deployer.tick()
    eventually(lambda: two.members[1].worker.leaving.begun)
    assert seen.who("restart") == ["one"]


def test_a_late_host_that_can_not_be_restarted_is_as_without(host: MakeHost, seen: Seen) -> None:
    one = host("one")
    assert push(one).outcome == "live"
    two = host("two", obstacle="no gunicorn")
    assert texts(two) == {"x = 1"}
    two.members[0].deployer.tick()
    assert (two.members[0].worker.cold_head, seen.who("canary")) == (1, ["one"])


# --- who follows ---


def follower(one: Host) -> Fleet:
    """Start a process that follows on a host, and speaks for it if nobody else does."""
    config, program = one.config(), FakeProgram(dict(BASE))
    assert one.shared is not None
    ledger = Mirror(config.store, config.app_id, one.keys, one.shared)
    worker = Worker(program, Gate(), ledger, config, Announcer([program]), follows=True)
    fleet = Fleet(worker, config.store, one.keys, kind=FOLLOWER)
    member = Member(program, worker.gate, worker, fleet, None, replaceable=False)
    worker.start(member)
    fleet.start()
    one.members.append(member)
    return fleet


def speaks(fleet: Fleet) -> bool:
    assert fleet._relay is not None
    return fleet._relay._lock >= 0


def test_where_some_follow_and_some_serve_who_serves_speaks_and_restarts(host: MakeHost, seen: Seen) -> None:
    one, two = host("one"), host("two", 0)
    follows = follower(two)
    assert speaks(follows)
    serves = two.worker(BASE)
    eventually(lambda: speaks(serves.fleet) and not speaks(follows), 20)
    report = push(one)
    assert (report.outcome, seen.who("restart")) == ("live", ["one", "two"]), report


def test_a_host_on_which_all_only_follow_has_no_veto(host: MakeHost, seen: Seen) -> None:
    one, two = host("one"), host("two", 0)
    assert speaks(follower(two))
    report = push(one)
    assert (report.outcome, report.workers.at_head, report.workers.total) == ("live", 1, 1), report
    assert seen.who("restart") == ["one"]


# --- who can write to the shared store ---


@dataclass
class Tape:
    """All that lay in the shared store in one push."""

    boxes: list[tuple[str, bytes]] = field(default_factory=list)
    requests: dict[str, bytes] = field(default_factory=dict)

    def play(self, store: MemoryStore) -> None:
        """Put all of it there again."""
        store.requests |= self.requests
        for box, data in list(self.boxes):
            store.send(box, data)


@pytest.fixture
def tape(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Tape:
    tape = Tape()
    send, stage = MemoryStore.send, MemoryStore.stage

    def sent(self: MemoryStore, box: str, data: bytes) -> None:
        tape.boxes.append((box, data))
        send(self, box, data)

    def staged(self: MemoryStore, nonce: str, data: bytes) -> None:
        tape.requests[nonce] = data
        stage(self, nonce, data)

    monkeypatch.setattr(MemoryStore, "send", sent)
    monkeypatch.setattr(MemoryStore, "stage", staged)
    return tape


def settled(store: MemoryStore, *hosts: ColdHost) -> bool:
    """Whether all has been read, and nobody is at work on it."""
    if any(store.boxes[box_of(one.name)] for one in hosts):
        return False
    hosts[0].peer(hosts[0].members[0]).ask("status")  # who answers has taken up what came before
    return not any(thread.name == "habanero-deputy" for thread in threading.enumerate())


def test_no_message_without_the_secret_boots_or_restarts_anything(
    host: MakeHost, seen: Seen, store: MemoryStore
) -> None:
    one = host("one")
    peer = one.peer(one.members[0])
    request = peer.request_for("push", {"shop": COLD})
    store.requests[request.nonce] = request.header.encode() + b"\n" + request.body
    box = box_of(one.name)
    said = {"k": "boot", "id": "0" * 16, "turn": 1, "from": "lead:0", "nonce": request.nonce}
    plain = json.dumps({**said, "app": one.config().app_id, "to": box}).encode()
    for data in (plain, b"k1." + plain + b"." + b"A" * 43, seal_message(json.loads(plain), one.stranger)):
        store.send(box, data)
    eventually(lambda: not store.boxes[box])
    Hosts(one.config().store, "shop/staging", one.keys, store).send(box, said)  # of another app
    Hosts(one.config().store, one.config().app_id, one.keys, store).send("host:other", said)
    store.send(box, store.boxes["host:other"].popleft())  # for another host
    eventually(lambda: settled(store, one))
    assert seen.events == []
    assert push(one).outcome == "live"


@pytest.mark.usefixtures("short")
def test_what_was_said_about_a_push_that_failed_can_not_be_said_again_later(
    host: MakeHost, seen: Seen, store: MemoryStore, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    one.canary = lambda: _raise(CanaryError((Reason("canary", "", "no", ""),)))
    assert push(one).outcome == "failed"
    eventually(lambda: settled(store, one, two))
    seen.events.clear()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 24 * 3600)
    tape.play(store)
    eventually(lambda: settled(store, one, two))
    assert seen.events == []


@pytest.mark.usefixtures("short")
def test_what_was_said_about_a_release_restarts_nothing_a_second_time(
    host: MakeHost, seen: Seen, store: MemoryStore, tape: Tape
) -> None:
    one, two = host("one"), host("two")
    assert push(one).outcome == "live"
    seen.events.clear()
    tape.play(store)
    eventually(lambda: settled(store, one, two))
    assert seen.events == []


@pytest.mark.usefixtures("short")
def test_another_request_in_the_place_of_the_one_that_is_asked_for_is_not_booted(
    host: MakeHost, seen: Seen, store: MemoryStore, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host("one"), host("two")
    one.canary = lambda: _raise(CanaryError((Reason("canary", "", "no", ""),)))
    assert push(one, "x = 3  #cold").outcome == "failed"
    eventually(lambda: settled(store, one, two))
    (old,) = set(tape.requests.values())
    seen.events.clear()
    one.canary = lambda: None
    stage = MemoryStore.stage
    monkeypatch.setattr(MemoryStore, "stage", lambda self, nonce, _data: stage(self, nonce, old))
    report = push(one)
    assert (report.outcome, report.release) == ("failed", 0), report
    assert "another request than the one that was asked for" in report.reasons[0].what
    assert "two" not in seen.who("canary")
    assert seen.who("restart") == []


def test_what_a_store_that_lost_messages_keeps_apart_is_refused_and_not_half_done(
    host: MakeHost, seen: Seen, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold, "READY_S", 0.3)
    monkeypatch.setattr(relay, "BOOTED_S", 0.3)
    one, two = host("one"), host("two")
    send = Hosts.send

    def lossy(self: Hosts, box: str, message: dict[str, Any]) -> None:
        if message.get("k") != "ready":
            send(self, box, message)

    monkeypatch.setattr(Hosts, "send", lossy)
    report = push(one)
    assert (report.outcome, report.reasons[0].what) == ("failed", f"busy: {two.name}: no answer"), report
    assert seen.who("restart") == seen.who("record") == []
