"""Several workers of one host, in one process: each with a program, a gate and a socket of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask_habanero import census, fleet, leading, manager, moves
from flask_habanero.envelope import Keyring
from flask_habanero.errors import CommitError, StoreError
from flask_habanero.gate import Unavailable
from flask_habanero.guard import DeadlyError, attempt
from flask_habanero.post import ANSWER_S, LONGEST_PATH, Post, pid_of

from tests.fakes import tree_of
from tests.hosts import KEY, Host, Member, eventually

BASE = tree_of(shop="x = 1", shop__views="y = 1")


def in_child(job: Callable[[], object]) -> int:
    """Do something in a forked process; return how that ended: 0, 1 if it raised, or as it chose."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            job()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_push_is_live_in_every_worker(host: Host) -> None:
    one, two, three = host.workers(3, BASE)
    report = host.peer(one).push({"shop": "x = 2"})
    assert (report.outcome, report.release) == ("live", 1)
    assert (report.workers.at_head, report.workers.total, report.workers.behind) == (3, 3, ())
    for each in (one, two, three):
        assert each.program.tree["shop"].text == "x = 2"
        assert each.worker.number == 1
    assert set(report.ms) == {"verify", "plan", "prepare", "quiesce", "commit", "record", "converge", "total"}


def test_who_is_told_to_commit_what_is_not_recorded_does_not(host: Host) -> None:
    one, two = host.workers(2, BASE)
    request = host.peer(one).request_for("push", {"shop": "x = 2"})
    two.worker.prepare("a move", request)
    assert two.worker.moves.quiesce("a move") == ()
    two.worker.finish("a move")
    assert (two.worker.number, two.program.tree["shop"].text) == (0, "x = 1")
    two.worker.moves.abort("a move")
    assert host.peer(one).push({"shop": "x = 3"}).outcome == "live"
    assert (two.worker.number, two.program.tree["shop"].text) == (1, "x = 3")


def test_a_module_that_a_request_imported_meanwhile_is_planned_for(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host.workers(2, BASE)
    monkeypatch.delitem(sys.modules, "shop.views", raising=False)

    def importing(plan: object) -> None:
        monkeypatch.setitem(sys.modules, "shop.views", ModuleType("shop.views"))

    two.program.stage = importing  # type: ignore[method-assign]
    assert host.peer(one).push({"shop.views": "y = 2"}).outcome == "live"
    assert two.program.calls == ["plan", "plan", "commit"]


def test_any_worker_leads(host: Host) -> None:
    one, two = host.workers(2, BASE)
    assert host.peer(one).push({"shop": "x = 2"}).release == 1
    assert host.peer(two).push({"shop": "x = 3"}).release == 2
    assert one.program.tree["shop"].text == two.program.tree["shop"].text == "x = 3"


def test_gates_are_closed_while_code_changes_and_open_afterwards(host: Host) -> None:
    one, two = host.workers(2, BASE)
    seen = []
    for each in (one, two):
        each.program.on_commit = lambda each=each: seen.append(each.gate.close(0))
    host.peer(one).push({"shop": "x = 2"})
    assert len(seen) == 2
    for each in (one, two):
        assert each.get() == "x = 2"


def test_what_is_cold_for_the_leader_reaches_no_other(host: Host) -> None:
    one, two = host.workers(2, BASE)
    report = host.peer(one).push({"shop": "x = 2 #cold"})
    assert (report.outcome, report.release) == ("cold", 0)
    assert [(r.code, r.where) for r in report.reasons] == [("fake-cold", "shop:1")]
    assert "stage" not in two.program.calls
    assert one.program.tree == two.program.tree == BASE


@pytest.mark.parametrize(
    ("word", "outcome"), [("#stage-fails", "refused"), ("#commit-fails", "failed"), ("#undo-fails", "failed")]
)
def test_a_failure_of_the_leader_leaves_everybody_as_before(host: Host, word: str, outcome: str) -> None:
    one, two = host.workers(2, BASE)
    report = host.peer(one).push({"shop": f"x = 2 {word}"})
    assert (report.outcome, report.release) == (outcome, 0)
    assert one.program.tree == two.program.tree == BASE
    assert "commit" not in two.program.calls
    assert two.get() == "x = 1"
    assert host.peer(two).push({"shop": "x = 3"}).release == 1


def test_a_worker_that_can_not_be_undone_asks_for_its_end(host: Host) -> None:
    one, _two = host.workers(2, BASE)
    assert host.peer(one).push({"shop": "x = 2 #undo-fails"}).outcome == "failed"
    with pytest.raises(Unavailable):
        one.get()
    assert one.ended


@pytest.mark.parametrize("word", ["#cold", "#stage-fails"])
def test_what_is_not_possible_in_one_worker_is_done_in_none(host: Host, word: str) -> None:
    one, two, three = host.workers(3, BASE)
    three.program.fails = word
    report = host.peer(one).push({"shop": "x = 2"})
    assert report.outcome in ("cold", "refused")
    assert report.reasons
    for each in (one, two, three):
        assert each.program.tree == BASE
        assert each.get() == "x = 1"


def test_a_release_that_can_not_be_recorded_is_taken_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = host.workers(2, BASE)

    def full(**_: object) -> None:
        raise StoreError("no space left on device")

    monkeypatch.setattr(one.worker.ledger, "record", full)
    report = host.peer(one).push({"shop": "x = 2"})
    assert (report.outcome, report.data["status"]) == ("failed", 503)
    assert one.program.calls[-1] == "undo"
    assert one.get() == two.get() == "x = 1"


def test_a_worker_that_fails_after_the_record_is_named_and_serves_no_more(host: Host) -> None:
    one, two = host.workers(2, BASE)
    two.get()
    two.program.fails = "#commit-fails"
    report = host.peer(one).push({"shop": "x = 2"})
    assert (report.outcome, report.release) == ("diverged", 1)
    (behind,) = report.workers.behind
    assert "ZeroDivisionError" in behind
    eventually(lambda: two.ended)  # also without another request
    with pytest.raises(Unavailable):
        two.get()


def test_a_fault_of_ours_in_a_worker_is_named_too(host: Host) -> None:
    one, two = host.workers(2, BASE)
    two.get()
    two.program.fails = "#crash"
    report = host.peer(one).push({"shop": "x = 2"})
    assert report.outcome == "diverged"
    assert "a fault in flask-habanero" in report.workers.behind[0]


def test_without_a_manager_a_worker_that_fails_serves_what_it_has(host: Host) -> None:
    one, two = host.workers(2, BASE)
    two.get()
    two.replaceable = False
    two.program.fails = "#commit-fails"
    assert host.peer(one).push({"shop": "x = 2"}).outcome == "diverged"
    assert two.get() == "x = 1"
    assert host.peer(two).ask("status").outcome == "diverged"


def test_the_next_push_heals_a_worker_that_stayed_behind(host: Host) -> None:
    one, two = host.workers(2, BASE)
    two.get()
    two.replaceable = False
    two.program.fails = "#commit-fails"
    host.peer(one).push({"shop": "x = 2"})
    two.program.fails = ""
    report = host.peer(one).push({"shop.views": "y = 2"})
    assert (report.outcome, report.workers.at_head) == ("live", 2)
    assert two.get() == "x = 2"


def test_a_busy_worker_lets_nobody_move(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "BUSY_FOR_S", 0.3)
    one, two = host.workers(2, BASE)
    with two.busy("/slow"):
        report = host.peer(one).push({"shop": "x = 2"})
        assert (report.outcome, report.release) == ("failed", 0)
        assert "GET /slow" in report.reasons[0].what
    assert one.get() == two.get() == "x = 1"


def test_requests_run_while_a_push_waits_for_another_worker(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "BACKOFF_S", (2.0,))  # between two attempts of a quarter of one
    monkeypatch.setattr(leading, "BUSY_FOR_S", 3.0)
    one, two, three = host.workers(3, BASE)
    waits = [0.0]
    with two.busy("/slow"):
        pushed = host.in_thread(lambda: host.peer(one).push({"shop": "x = 2"}))
        while not pushed.done():
            began = time.monotonic()
            assert one.get() == three.get() == "x = 1"
            waits.append(time.monotonic() - began)
    assert pushed.result().outcome == "failed"
    assert max(waits) < 1.5


def test_after_a_failure_nobody_waits_for_a_lease(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "LEASE_S", 60.0)
    one, two = host.workers(2, BASE)
    assert host.peer(one).push({"shop": "x = 2 #commit-fails"}).outcome == "failed"
    assert host.in_thread(two.get).result(10) == "x = 1"


def test_a_request_that_ends_in_time_holds_nothing_up(host: Host) -> None:
    one, two = host.workers(2, BASE)
    with two.busy("/slow") as end:
        one.program.on_commit = lambda: seen.append(two.gate.running)
        seen: list[int] = []
        pushed = host.in_thread(lambda: host.peer(one).push({"shop": "x = 2"}))
        eventually(lambda: "stage" in two.program.calls)
        end()
        assert pushed.result(10).outcome == "live"
    assert seen == [0]


def test_one_push_at_a_time(host: Host) -> None:
    one, two = host.workers(2, BASE)
    peer = host.peer(two)
    peer.hello()
    bundle = peer.bundle({"shop": "x = 2"}).encode()
    with one.fleet.lock():
        report = peer.ask("push", bundle)
        assert (report.outcome, report.reasons[0].code, report.data["status"]) == (
            "refused",
            "in-progress",
            423,
        )
    assert peer.ask("push", bundle).outcome == "live"


def test_a_worker_that_missed_everything_comes_to_head_in_one_plan(host: Host) -> None:
    one, two = host.workers(2, BASE)
    two.deafen()
    for number in range(2, 5):
        assert host.peer(one).push({"shop": f"x = {number}"}).outcome == "live"
    assert two.get() == "x = 4"
    assert two.program.calls.count("commit") == 1


def test_a_worker_that_lost_the_first_message_prepares_at_the_second(host: Host) -> None:
    one, two = host.workers(2, BASE)
    send = Post.send

    def lossy(self: Post, to: str, message: dict[str, object]) -> bool:
        return message["k"] == "prepare" or send(self, to, message)  # its socket is full: it is there

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            Post,
            "send",
            lambda self, to, m, *wait: lossy(self, to, m) if "k" in m else send(self, to, m, *wait),
        )
        assert host.peer(one).push({"shop": "x = 2"}).workers.at_head == 2
        two.program.fails = "#cold"
        assert host.peer(one).push({"shop": "x = 3"}).outcome == "cold"
        two.program.fails = ""
        assert host.peer(one).push({"shop": "x = 3"}).workers.at_head == 2
    assert two.get() == "x = 3"


def test_who_is_asked_for_gets_no_message(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    other = Post(one.fleet.folder, f"{os.getpid()}-other.sock", host.keys)
    assert all(one.fleet._post.reaches(other.name) for _ in range(50))
    assert other.receive(0.01) is None
    other._socket.close()
    assert not one.fleet._post.reaches(other.name)
    assert not (one.fleet.folder / other.name).exists()


def test_a_worker_that_lost_the_last_message_commits_at_its_next_request(host: Host) -> None:
    one, two = host.workers(2, BASE)
    with one.fleet.lock():
        request = host.peer(one).request_for("push", {"shop": "x = 2"})
        with one.staged(request), one.fleet.round() as others:
            others.tell("prepare", nonce=request.nonce)
            others.tell("stage")
            assert [answer["id"] for _, answer in others.answers(5)] == [others.id]
            others.tell("quiesce")
            assert [answer["holders"] for _, answer in others.answers(5)] == [[]]
            one.record(request)
    plans = two.program.calls.count("plan")
    assert two.get() == "x = 2"
    assert two.program.calls.count("plan") == plans


def test_a_gate_opens_when_its_leader_is_gone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "LEASE_S", 0.1)
    one, two = host.workers(2, BASE)
    request = host.peer(one).request_for("push", {"shop": "x = 2"})
    with one.staged(request), one.fleet.round() as others:
        others.tell("prepare", nonce=request.nonce)
        list(others.answers(5))
        others.tell("quiesce")
        list(others.answers(5))
    assert two.get() == "x = 1"  # waits at the gate until the lease ends
    assert host.peer(two).push({"shop": "x = 3"}).outcome == "live"


def test_an_answer_to_an_earlier_question_does_not_count(host: Host) -> None:
    one, two = host.workers(2, BASE)
    with one.fleet.round() as others:
        others.tell("ask")
        name = two.fleet.name
        first = others.post.receive(5)
        assert first is not None
        others.tell("ask")
        other = Post(one.fleet.folder, f"{os.getpid()}-late", host.keys)
        other.send(others.post.name, first)
        other.close()
        assert [n for n, _ in others.answers(5)] == [name]


def test_a_message_that_none_of_ours_signed_is_not_obeyed(host: Host) -> None:
    one, two = host.workers(2, BASE)
    stranger = Post(one.fleet.folder, f"{os.getpid()}-stranger", Keyring([host.stranger]))
    with one.busy("/slow"):
        stranger.send(one.fleet.name, {"k": "abort", "id": "x", "turn": 1})
        assert stranger.receive(0.1) is None
    stranger.close()
    assert host.peer(one).push({"shop": "x = 2"}).workers.at_head == 2
    assert two.get() == "x = 2"


def test_the_socket_of_a_dead_worker_is_removed(host: Host) -> None:
    one, two = host.workers(2, BASE)
    two.deafen()
    dead = one.fleet.folder / "999999-dead.sock"
    Post(one.fleet.folder, dead.name, host.keys)._socket.close()
    assert host.peer(one).push({"shop": "x = 2"}).workers.total == 1
    assert not dead.exists()


def test_a_worker_that_does_not_answer_stops_a_push(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "PREPARE_S", 0.2)
    monkeypatch.setattr(census, "ASK_S", 0.2)
    (one,) = host.workers(1, BASE)
    silent = Post(one.fleet.folder, f"{os.getpid()}-silent.sock", host.keys)
    report = host.peer(one).push({"shop": "x = 2"})
    silent.close()
    assert report.outcome == "failed"
    assert "no answer" in report.reasons[0].what
    assert one.get() == "x = 1"


def test_a_worker_that_dies_meanwhile_is_not_waited_for(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    dying = Post(one.fleet.folder, f"{os.getpid()}-dying.sock", host.keys)
    dies = host.in_thread(lambda: (dying.receive(5), dying._socket.close()))
    began = time.monotonic()
    report = host.peer(one).push({"shop": "x = 2"})
    assert dies.result(5)
    assert (report.outcome, report.workers.total) == ("live", 1)
    assert time.monotonic() - began < census.ASK_S


def test_sockets_work_below_a_very_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * LONGEST_PATH)
    folder.mkdir()
    ring = Keyring([KEY])
    here, there = Post(folder, "1-here", ring), Post(folder, "2-there", ring)
    assert here.send("2-there", {"k": "ask"})
    assert there.receive(5) == {"k": "ask", "from": "1-here"}
    here.close()
    there.close()
    assert list(folder.iterdir()) == []


# --- the start of a worker ---


def test_a_new_worker_is_at_head_before_its_first_request(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    host.peer(one).push({"shop": "x = 2"})
    host.peer(one).push({"shop.views": "y = 2"})
    (two,) = host.workers(1, BASE)
    assert two.worker.number == 2
    assert two.get() == "x = 2"
    assert two.program.calls.count("commit") == 1


def test_a_release_that_fails_at_the_start_never_takes_the_app_down(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    host.peer(one).push({"shop": "x = 2"})
    two = host.worker(BASE, fails="#commit-fails")
    assert two.get() == "x = 1"
    assert not two.ended
    assert two.get() == "x = 1"
    assert two.program.calls.count("commit") == 1
    report = host.peer(one).ask("status")
    assert report.outcome == "diverged"
    assert "ZeroDivisionError" in report.workers.behind[0]
    assert [row["release"] for row in report.data["fleet"]] == [1, 0]


def test_other_code_on_disk_begins_a_new_epoch(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    host.peer(one).push({"shop": "x = 2"})
    two = host.worker(tree_of(shop="x = 10"))
    assert two.get() == "x = 10"
    assert two.worker.epoch != one.worker.epoch
    report = host.peer(two).push({"shop": "x = 11"})
    assert (report.outcome, report.release) == ("diverged", 2)  # the old deploy's worker still serves
    assert "another deploy" in host.peer(two).ask("status").workers.behind[0]
    assert one.get() == "x = 2"


def test_a_store_that_is_down_never_fails_a_request(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = host.workers(2, BASE)
    two.deafen()
    host.peer(one).push({"shop": "x = 2"})

    def down(*_: object) -> None:
        raise StoreError("input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(two.worker.ledger, "head", down)
        assert two.get() == "x = 1"
    two.worker._again_at = 0.0  # a second later
    assert two.get() == "x = 2"


def test_a_release_that_kills_workers_as_they_start_leaves_the_app_up(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    host.peer(one).push({"shop": "x = 2"})

    def start(on_commit: Callable[[], object]) -> Member:
        two = host.worker(BASE, on_commit=on_commit)
        assert two.get() == "x = 1"
        return two

    for _ in range(2):
        assert in_child(lambda: start(lambda: os._exit(9))) == 9
    two = start(lambda: pytest.fail("tried again"))
    assert "ended 2 workers" in two.worker.trouble
    two.program.on_commit = lambda: None
    assert host.peer(two).push({"shop": "x = 3"}).outcome == "live"
    assert two.get() == "x = 3"


def test_the_last_good_release_serves_in_the_place_of_a_deadly_one(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    peer = host.peer(one)
    for n in range(2, 5):
        peer.push({"shop": f"x = {n}"})
    deadly = [lambda: os._exit(9), lambda: os._exit(9), lambda: None]

    def start(on_commit: Callable[[], object]) -> Member:
        two = host.worker(BASE, on_commit=on_commit)
        assert two.get() == "x = 3"
        return two

    for act in deadly[:2]:
        assert in_child(lambda act=act: start(act)) == 9
    for _ in range(2):  # and what serves in its place is no reason to try it again
        two = start(lambda: None)
        assert (two.worker.number, two.worker.head.number) == (2, 3)
        assert two.worker.trouble.startswith("#3 ended 2 workers")
        assert two.program.calls.count("commit") == 1
    two.worker.tick()
    assert two.get() == "x = 3"
    report = host.peer(two).ask("status")
    assert (report.outcome, report.release) == ("diverged", 3)
    assert sorted(row["release"] for row in report.data["fleet"]) == [2, 2, 3]
    assert host.peer(two).push({"shop": "x = 5"}).outcome == "live"
    assert {each.get() for each in host.members} == {"x = 5"}


def test_one_that_raises_has_the_one_before_it_in_its_place_too(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    peer = host.peer(one)
    for n in range(2, 4):
        peer.push({"shop": f"x = {n}"})
    raising = iter([True, False])

    def fails_first() -> None:
        if next(raising):
            raise CommitError("shop:1", "ZeroDivisionError")

    two = host.worker(BASE, on_commit=fails_first)
    assert two.get() == "x = 2"
    assert "ZeroDivisionError" in two.worker.trouble
    assert not two.ended


def test_where_the_one_before_is_deadly_too_the_disk_serves(host: Host) -> None:
    (one,) = host.workers(1, BASE)
    peer = host.peer(one)
    for n in range(2, 5):
        peer.push({"shop": f"x = {n}"})

    def start() -> Member:
        return host.worker(BASE, on_commit=lambda: os._exit(9))

    assert [in_child(start) for _ in range(4)] == [9, 9, 9, 0]
    two = start()
    assert two.get() == "x = 1"
    assert (two.worker.number, two.worker.trouble[:17]) == (0, "#3 ended 2 worker")
    assert not two.ended


def test_a_push_that_ends_the_workers_that_lead_it_is_refused_the_third_time(host: Host) -> None:
    """Its client asks again, with the same request, as it does after any lost answer."""
    one, _two = host.workers(2, BASE)
    request = host.peer(one).request_for("push", {"shop": "x = 2"})

    def lead() -> None:
        one.program.on_commit = lambda: os._exit(9)
        one.deployer.receive(request)

    assert [in_child(lead), in_child(lead)] == [9, 9]
    report = one.deployer.receive(request)
    assert (report.outcome, [reason.code for reason in report.reasons]) == ("refused", ["deadly"])
    assert {each.get() for each in host.members} == {"x = 1"}
    assert host.peer(one).push({"shop": "x = 2"}).outcome == "live"  # a person who asks anew may


def test_a_release_that_killed_two_workers_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "attempts"

    def dies() -> None:
        with attempt(path, 7):
            os._exit(9)

    assert [in_child(dies), in_child(dies)] == [9, 9]
    with pytest.raises(DeadlyError), attempt(path, 7):
        pass
    with attempt(path, 8):
        pass
    with attempt(path, 7):  # something else has come to head since
        pass
    for _ in range(3):
        with pytest.raises(CommitError), attempt(path, 7):  # it failed, and killed nobody
            raise CommitError("", "")


def test_an_answer_waits_for_a_leader_that_is_behind_with_reading(tmp_path: Path) -> None:
    """Its socket holds some ten datagrams, and more workers than that answer at one moment."""
    keys = Keyring([KEY])
    leader, sender = Post(tmp_path, "lead-1-a", keys), Post(tmp_path, "2-b.sock", keys)
    try:
        room = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1
        for _ in range(room):
            assert sender.send(leader.name, {"k": "early"})
        turn = threading.Timer(0.5, lambda: leader.receive(1))  # longer than a question waits
        turn.start()
        assert sender.send(leader.name, {"k": "last"}, ANSWER_S)
        turn.join()
        said = [(leader.receive(1) or {}).get("k") for _ in range(room)]
        assert said[-1] == "last"
    finally:
        leader.close()
        sender.close()


# --- who is there ---


def test_without_a_server_that_forked_us_nobody_is_asleep() -> None:
    assert manager.siblings() == {os.getpid()}
    assert not manager.Manager().would_replace()


class Uwsgi(ModuleType):
    """What uWSGI puts into its workers' `sys.modules`, as far as it is asked."""

    def __init__(self, master: int) -> None:
        super().__init__("uwsgi")
        self.master = master
        self.opt: dict[Any, Any] = {}

    def masterpid(self) -> int:
        return self.master

    def workers(self) -> list[dict[str, int]]:
        return [{"pid": os.getpid()}, {"pid": 1_000_001}, {"pid": 0}]  # the last one is not started (cheaper)


def test_uwsgi_tells_its_workers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", Uwsgi(master=1))
    assert manager.siblings() == {os.getpid(), 1_000_001}
    assert manager.Manager().would_replace()


def test_all_workers_are_started_anew_only_where_that_loads_the_app_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(manager.os, "kill", lambda *given: asked.append(given))
    monkeypatch.setattr(manager, "_was_forked", lambda: True)
    monkeypatch.delitem(sys.modules, "gunicorn.arbiter", raising=False)
    master = manager.Manager()
    assert "no gunicorn" in master.why_not_all(preloaded=False)
    assert not master.start_all_anew()
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", ModuleType("gunicorn.arbiter"))
    assert "--preload" in master.why_not_all(preloaded=True)
    assert master.why_not_all(preloaded=False) == ""
    assert asked == []
    assert master.start_all_anew()
    assert asked == [(os.getppid(), signal.SIGHUP)]
    assert master.keeps_imports
    master.replace_this_worker()
    assert asked[1:] == [(os.getpid(), signal.SIGTERM)]


@pytest.mark.parametrize(
    ("has_master", "options", "why"),
    [
        (1, [b"http-socket", b"lazy-apps"], ""),
        (1, [b"http", b"http-socket"], "its router (--http)"),
        (1, ["https"], "its router (--https)"),
        (0, [], "without --master"),
    ],
)
def test_uwsgi_is_asked_for_a_reload_where_that_drops_nothing(
    monkeypatch: pytest.MonkeyPatch, has_master: int, options: list[Any], why: str
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(manager.os, "kill", lambda *given: asked.append(given))
    uwsgi = Uwsgi(master=has_master * 7)
    uwsgi.opt = dict.fromkeys(options, True)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    master = manager.Manager()
    told = master.why_not_all(preloaded=True)
    assert (why in told) if why else not told
    assert (master.keeps_imports, master.waits_for_all) == (False, True)
    master.replace_this_worker()
    assert asked == ([(7, signal.SIGHUP)] if has_master else [(os.getpid(), signal.SIGHUP)])


def test_uwsgi_without_a_master_replaces_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", Uwsgi(master=0))
    assert not manager.Manager().would_replace()


def test_only_a_master_that_is_known_to_replace_its_workers_is_relied_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager, "_was_forked", lambda: True)
    monkeypatch.delitem(sys.modules, "gunicorn.arbiter", raising=False)
    assert not manager.Manager().would_replace()  # granian, the reloader
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", ModuleType("gunicorn.arbiter"))
    assert manager.Manager().would_replace()


def test_below_apache_siblings_can_not_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "_was_forked", lambda: True)
    monkeypatch.setattr(manager, "_children", lambda pid: {os.getpid(), 1} if pid == os.getppid() else set())
    monkeypatch.setattr(manager, "_command", lambda _pid: b"apache2")
    assert manager.siblings() == {os.getpid(), 1}
    monkeypatch.setitem(sys.modules, "mod_wsgi", ModuleType("mod_wsgi"))
    assert manager.siblings() == {os.getpid()}


def test_asleep_are_the_siblings_that_have_not_served(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = host.workers(1, BASE)
    monkeypatch.setattr(fleet, "siblings", lambda: {os.getpid(), 1_000_001, 1_000_002})
    report = host.peer(one).push({"shop": "x = 2"})
    assert (report.outcome, report.workers.at_head, report.workers.asleep, report.workers.total) == (
        "live",
        1,
        2,
        3,
    )


def test_a_name_tells_its_process() -> None:
    assert pid_of("42-abcd.sock") == 42


def test_pushes_at_once_through_all_workers_lose_none(host: Host) -> None:
    all_of_them = host.workers(3, BASE)
    barrier = threading.Barrier(3)

    def pushing(index: int) -> list[str]:
        peer = host.peer(all_of_them[index])
        barrier.wait(10)
        return [peer.push({f"shop.m{index}_{turn}": "z = 1"}).outcome for turn in range(5)]

    jobs = [host.in_thread(lambda i=i: pushing(i)) for i in range(3)]
    outcomes = [outcome for job in jobs for outcome in job.result(60)]
    assert set(outcomes) <= {"live", "conflict", "refused"}
    live = outcomes.count("live")
    assert live
    for each in all_of_them:
        each.get()
        assert each.worker.number == live
        assert len(each.program.tree) == len(BASE) + live
    assert len({frozenset(each.program.tree) for each in all_of_them}) == 1
