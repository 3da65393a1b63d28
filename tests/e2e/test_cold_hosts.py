"""Changes that need a restart, on three hosts that share a Redis: all of them restart, or none."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from flask_habanero.release import Report

from tests.cable import Cable
from tests.e2e.conftest import APP, TEXTS, Server, Start, accepts, with_gunicorn
from tests.e2e.laptops import restart
from tests.e2e.test_cold import BASES, GRACEFUL, RUN, TWICE, cold, fingerprints, hot, load
from tests.hosts import eventually
from tests.oracle.process import differences
from tests.peer import Peer
from tests.stores import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

RunHost = Callable[..., Server]


@pytest.fixture
def run(start: Start, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunHost:
    """Give a function that starts a host of that name, of two workers, by `flask habanero run`."""
    monkeypatch.setenv("HABANERO_COLD", "restart")

    def run(
        name: str, *options: str, app: str = APP, ahead: tuple[str, ...] = RUN, url: str = redis.url
    ) -> Server:
        monkeypatch.setenv("HABANERO_STORE", json.dumps([url, str(tmp_path / f"store-{name}")]))
        files = {"app": app, "texts": TEXTS}
        server = with_gunicorn(start, *ahead)("-w", "2", *GRACEFUL, *options, files=files, site=name)
        server.ask_all(2)
        return server

    return run


def released(peer: Peer, changed: dict[str, str]) -> Report:
    """Push until it is more than tried: on a machine that is busy with other things a canary may be late."""
    deadline = time.monotonic() + 90
    while (report := peer.push(changed)).outcome in ("failed", "refused"):
        assert time.monotonic() < deadline, report
    return report


def pages(hosts: list[Server]) -> set[object]:
    return {text for host in hosts for text in host.texts(2)}


@pytest.mark.parametrize(
    "options",
    [
        [],
        pytest.param(["-k", "gthread", "--threads", "4"], marks=pytest.mark.long),
        pytest.param(["-k", "gevent"], marks=pytest.mark.long),
    ],
    ids=["sync", "gthread", "gevent"],
)
def test_a_cold_change_restarts_all_hosts_and_no_request_fails(run: RunHost, options: list[str]) -> None:
    hosts = [run(name, *options) for name in ("web1", "web2", "web3")]
    old, peer = [host.workers() for host in hosts], hosts[0].peer()
    with ExitStack() as stack:
        seen = [stack.enter_context(load(host, 2)) for host in hosts]
        eventually(lambda: all(one["one"] > 50 for one in seen), 60)
        report = peer.push(cold("two"))
        for one in seen:
            one.acknowledged = "two"
        told = report.outcome, report.release, report.data.get("restarted")
        assert told == ("live", 1, True), (report.reasons, report.workers, report.ms)
        assert (report.workers.at_head, report.workers.total) == (6, 6), report
        eventually(lambda: sum(sum(one.values()) for one in seen) > 1_000, 120)
        eventually(lambda: all(one["two"] > 50 for one in seen), 60)
    assert [set(one) for one in seen] == [{"one", "two"}] * 3
    eventually(lambda: not any(was & host.workers() for was, host in zip(old, hosts, strict=True)), 40)
    assert pages(hosts) == {"two"}


def test_each_host_is_then_what_a_cold_start_makes_and_goes_on(
    run: RunHost, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = [run(name, app=BASES) for name in ("web1", "web2", "web3")]
    first = hosts[1].peer().push({"app": TWICE})
    assert (first.outcome, first.workers.at_head, first.data.get("restarted")) == ("live", 6, True), first
    assert {answer["count"] for host in hosts for answer in host.ask_all(2).values()} == {2}
    second = hosts[2].peer().push(hot("two", TWICE))
    assert (second.outcome, second.workers.at_head, second.data.get("restarted")) == ("live", 6, None), second
    assert pages(hosts) == {"two"}
    pushed = [found for host in hosts for found in fingerprints(host)]
    monkeypatch.setenv("HABANERO_STORE", str(tmp_path / "other"))
    cold_start = with_gunicorn(start)("-w", "2", files={**hot("two", TWICE), "texts": TEXTS}, site="other")
    wanted = fingerprints(cold_start)[0]
    assert [differences(found, wanted) for found in pushed] == [[]] * 6
    back = hosts[0].peer().rollback(0)
    assert (back.outcome, back.workers.at_head, back.data.get("restarted")) == ("live", 6, True), back
    assert pages(hosts) == {"one"}


def test_a_release_that_does_not_come_up_on_one_host_restarts_none(run: RunHost, tmp_path: Path) -> None:
    hosts = [run(name) for name in ("web1", "web2", "web3")]
    old = [host.workers() for host in hosts]
    only_there = "if __file__.split('/')[-2] == 'web3':\n    raise RuntimeError('no')"
    report = (
        hosts[0].peer().push({"app": cold("two")["app"].replace("hits = []", f"hits = []\n{only_there}")})
    )
    assert (report.outcome, report.release, report.reasons[0].code) == ("failed", 0, "canary"), report
    assert "app:" in report.reasons[0].where
    assert "RuntimeError: no" in report.reasons[0].what
    assert [host.workers() for host in hosts] == old
    assert pages(hosts) == {"one"}
    assert not list(tmp_path.glob("store-*/cold"))
    # The canary of another host may be at it still
    eventually(lambda: hosts[1].peer().push(hot("two")).outcome == "live", 30)
    assert pages(hosts) == {"two"}


@pytest.mark.parametrize(
    ("options", "ahead", "code", "what"),
    [(["--preload"], RUN, "no-restart", "--preload"), ([], (), "cold-start", "import what is on the disk")],
    ids=["preload", "without run"],
)
def test_a_host_that_can_not_be_restarted_refuses_for_all_by_its_name(
    run: RunHost, options: list[str], ahead: tuple[str, ...], code: str, what: str
) -> None:
    hosts = [run("web1"), run("web2", *options, ahead=ahead)]
    old = [host.workers() for host in hosts]
    report = hosts[0].peer().push(cold("two"))
    reason = report.reasons[-1]
    assert (report.outcome, report.release, reason.code) == ("cold", 0, code), report
    assert what in reason.what
    assert reason.where in {row["host"] for row in hosts[1].peer().ask("status").data["fleet"]}
    assert [host.workers() for host in hosts] == old
    assert pages(hosts) == {"one"}


DIES = """\
import signal
from pathlib import Path

from flask_habanero.cold import Restarts


def dying(name, real):
    def call(*given):
        if Path(app.root_path, "dies").exists() and Path(app.root_path, "dies").read_text() == name:
            Path(app.root_path, "dies").unlink()
            for pid in Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read_text().split():
                if int(pid) != os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)

    return call


Restarts.boot = dying("before the canary", Restarts.boot)
Restarts.follow = dying("before the restart", Restarts.follow)
"""
ALONE = """\
import signal
from pathlib import Path

from flask_habanero import cold
from flask_habanero.cold import Restarts
from flask_habanero.manager import Manager


def dying(name, real, after=False):
    def call(*given):
        done = real(*given) if after else None
        dies = Path(app.root_path, "dies")
        who, _, pid = dies.read_text().partition(":") if dies.exists() else ("", "", "")
        if who == name:
            dies.unlink()
            os.kill(int(pid or os.getpid()), signal.SIGKILL)
        return done if after else real(*given)

    return call


Manager.start_all_anew = dying("the leader", Manager.start_all_anew)
Restarts.follow = dying("the deputy", Restarts.follow)
cold.record = dying("redis", cold.record, after=True)
"""
MORTAL, KILLING = (
    APP.replace("from flask import Flask\n", f"from flask import Flask\n{t}") for t in (DIES, ALONE)
)


def test_a_host_that_is_killed_after_the_decision_is_named_and_comes_back_at_head(run: RunHost) -> None:
    hosts = [run(name, app=MORTAL) for name in ("web1", "web2", "web3")]
    (hosts[2].folder / "dies").write_text("before the restart")
    report = hosts[0].peer().push(cold("two", MORTAL))
    assert (report.outcome, report.release, report.workers.at_head) == ("diverged", 1, 4), report
    assert ["no answer" in text for text in report.workers.behind] == [True]
    assert pages(hosts[:2]) == {"two"}
    assert hosts[2].process.wait(10) == -signal.SIGKILL
    eventually(lambda: not accepts(hosts[2].port), 30)
    restart(hosts[2])
    eventually(lambda: accepts(hosts[2].port), 30)
    assert hosts[2].get()["text"] == "two"  # its first request
    assert pages(hosts) == {"two"}


def test_a_host_that_is_killed_before_stops_the_release_and_comes_to_the_next_one(run: RunHost) -> None:
    hosts = [run(name, app=MORTAL) for name in ("web1", "web2")]
    old, peer = hosts[0].workers(), hosts[0].peer()
    (hosts[1].folder / "dies").write_text("before the canary")
    report = peer.push(cold("two", MORTAL))
    assert (report.outcome, report.release, "no answer" in report.reasons[0].what) == ("failed", 0, True)
    assert (hosts[0].workers(), hosts[0].texts(2)) == (old, {"one"})
    assert hosts[1].process.wait(10) == -signal.SIGKILL
    eventually(lambda: peer.push(cold("two", MORTAL)).outcome == "live", 60)
    restart(hosts[1])
    eventually(lambda: accepts(hosts[1].port), 30)
    eventually(lambda: hosts[1].texts(2) == {"two"}, 60)  # by a restart of its own
    eventually(lambda: peer.ask("status").workers.at_head == 4, 30)


def test_a_leader_that_is_killed_after_the_decision_is_not_missed(run: RunHost) -> None:
    hosts = [run(name, app=KILLING) for name in ("web1", "web2", "web3")]
    old, peer = [host.workers() for host in hosts], hosts[0].peer()
    (hosts[0].folder / "dies").write_text("the leader")
    with ExitStack() as stack:
        seen = [stack.enter_context(load(host, 1)) for host in hosts[1:]]
        eventually(lambda: all(one["one"] > 20 for one in seen), 60)
        with pytest.raises(requests.ConnectionError):
            released(peer, cold("two", KILLING))
        eventually(lambda: all(one["two"] > 20 for one in seen), 60)
    assert [set(one) for one in seen] == [{"one", "two"}] * 2
    eventually(lambda: not any(was & host.workers() for was, host in zip(old, hosts, strict=True)), 60)
    assert pages(hosts) == {"two"}
    eventually(lambda: peer.ask("status").workers.at_head == 6, 30)


def test_a_deputy_that_is_killed_alone_is_named_and_its_host_comes_by_itself(run: RunHost) -> None:
    hosts = [run(name, app=KILLING) for name in ("web1", "web2")]
    (hosts[1].folder / "dies").write_text("the deputy")
    report = released(hosts[0].peer(), cold("two", KILLING))
    assert (report.outcome, report.release, report.workers.at_head) == ("diverged", 1, 2), report
    assert ["no answer, it may still restart" in text for text in report.workers.behind] == [True]
    eventually(lambda: hosts[1].texts(2) == {"two"}, 60)
    eventually(lambda: hosts[0].peer().ask("status").workers.at_head == 4, 30)


def test_a_redis_that_is_lost_between_the_decision_and_the_restart_is_told_and_lets_nobody_behind(
    run: RunHost, redis: RedisServer
) -> None:
    hosts = [run(name, app=KILLING) for name in ("web1", "web2")]
    assert redis.process is not None
    (hosts[0].folder / "dies").write_text(f"redis:{redis.process.pid}")
    with load(hosts[1], 1) as seen:
        report = released(hosts[0].peer(), cold("two", KILLING))
        assert (report.outcome, report.release, report.workers.at_head) == ("diverged", 1, 2), report
        assert any("other hosts were not asked" in text for text in report.workers.behind), report
        assert hosts[0].texts(2) == {"two"}
        redis.process.wait(10)
        redis.process = None
        redis.start()
        eventually(lambda: hosts[1].texts(2) == {"two"}, 60)
    assert set(seen) == {"one", "two"}
    eventually(lambda: hosts[0].peer().ask("status").workers.at_head == 4, 30)


def test_a_host_that_is_cut_off_meanwhile_serves_on_and_then_restarts_itself(
    run: RunHost, redis: RedisServer
) -> None:
    cable = Cable(redis.port)
    try:
        hosts = [run("web1"), run("web2", url=f"redis://127.0.0.1:{cable.port}/0")]
        old, peer = hosts[1].workers(), hosts[0].peer()
        with load(hosts[1], 1) as seen:
            cable.cut()
            eventually(lambda: peer.push(cold("two")).outcome == "live", 60)
            before = seen["one"]
            eventually(lambda: seen["one"] > before + 20, 60)
            assert hosts[1].workers() == old
            cable.mend()
            eventually(lambda: seen["two"] > 50, 60)
        eventually(lambda: peer.ask("status").workers.at_head == 4, 60)
    finally:
        cable.remove()
    assert set(seen) == {"one", "two"}


def test_while_redis_is_away_nothing_is_restarted(run: RunHost, redis: RedisServer) -> None:
    hosts = [run(name) for name in ("web1", "web2")]
    old, peer = [host.workers() for host in hosts], hosts[0].peer()
    redis.stop()
    report = peer.push(cold("two"))
    assert (report.outcome, report.reasons[0].code) == ("failed", "store"), report
    redis.start()
    assert ([host.workers() for host in hosts], pages(hosts)) == (old, {"one"})
    eventually(lambda: peer.push(cold("two")).outcome == "live", 60)
    assert pages(hosts) == {"two"}
