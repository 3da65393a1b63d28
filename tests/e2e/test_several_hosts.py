"""Several hosts: folders and ports of their own, real gunicorns, and one real Redis that they share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from redis import Redis

from tests.e2e.conftest import APP, TEXTS, Serve, Server, accepts, over_http
from tests.e2e.laptops import restart
from tests.e2e.test_workers import asking, numbered, with_text
from tests.hosts import eventually
from tests.peer import PATH, Peer
from tests.stores import RedisServer
from tests.tls import TlsRedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEVERAL = 'app.config["HABANERO_STORE"] = "{url}"\nHabanero(app)'


def files_for(redis: RedisServer) -> dict[str, str]:
    return {"app": APP.replace("Habanero(app)", SEVERAL.format(url=redis.url)), "texts": TEXTS}


def sharing(redis: RedisServer, changed: dict[str, str]) -> dict[str, str]:
    """Return what to push: as written for one host, with the line that names the store."""
    return {n: t.replace("Habanero(app)", SEVERAL.format(url=redis.url)) for n, t in changed.items()}


def hosts(serve: Serve, redis: RedisServer, count: int, workers: int = 2, *kind: str) -> list[Server]:
    """Start hosts, and have all their workers serve."""
    options = ("-w", str(workers), *kind)
    servers = [serve(*options, files=files_for(redis), site=f"web{i}") for i in range(count)]
    for server in servers:
        server.ask_all(workers)
    return servers


def end(server: Server) -> None:
    """End a host as its process manager does."""
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)


def test_a_push_is_live_on_all_workers_of_all_hosts_and_on_one_that_comes_back(
    serve: Serve, redis: RedisServer
) -> None:
    one, two = hosts(serve, redis, 2)
    report = one.peer().push(sharing(redis, with_text("two")))
    assert (report.outcome, report.workers.at_head, report.workers.total) == ("live", 4, 4), report.reasons
    assert one.texts(2) == two.texts(2) == {"two"}
    status = two.peer().ask("status")
    assert len(status.data["fleet"]) == 4
    assert len({row["host"] for row in status.data["fleet"]}) == 2
    assert {row["release"] for row in status.data["fleet"]} == {1}
    end(two)
    report = one.peer().push(sharing(redis, with_text("three")))
    assert (report.outcome, report.workers.total) == ("live", 2), report
    restart(two)
    eventually(lambda: accepts(two.port), 30)
    assert two.get()["text"] == "three"  # its first request
    two.ask_all(2)
    report = two.peer().push(sharing(redis, with_text("four")))
    assert (report.outcome, report.workers.at_head) == ("live", 4), report
    assert one.texts(2) == two.texts(2) == {"four"}


@pytest.mark.long
def test_hosts_share_a_redis_that_speaks_tls(serve: Serve, tmp_path: Path) -> None:
    redis = TlsRedisServer(tmp_path / "redis")
    redis.start()
    try:
        one, two = hosts(serve, redis, 2)
        report = one.peer().push(sharing(redis, with_text("two")))
        assert (report.outcome, report.workers.at_head) == ("live", 4), report.reasons
        assert one.texts(2) == two.texts(2) == {"two"}
        redis.stop()
        assert one.peer().push(sharing(redis, with_text("three"))).reasons[0].code == "store"
        redis.start()
        eventually(lambda: two.peer().push(sharing(redis, with_text("three"))).outcome == "live", 30)
        assert one.texts(2) == two.texts(2) == {"three"}
    finally:
        redis.stop()


@pytest.mark.long
@pytest.mark.parametrize("goes", [RedisServer.stop, pytest.param(RedisServer.hang, marks=pytest.mark.long)])
def test_while_redis_is_away_no_request_fails_and_pushes_are_refused_with_a_sentence(
    serve: Serve, redis: RedisServer, goes: Callable[[RedisServer], None]
) -> None:
    one, two = hosts(serve, redis, 2)
    peer = one.peer()
    assert peer.push(sharing(redis, numbered(1))).outcome == "live"
    with asking(one, [1]) as at_one, asking(two, [1]) as at_two:
        goes(redis)
        report = peer.push(sharing(redis, numbered(2)))
        assert (report.outcome, report.data["status"], report.reasons[0].code) == ("failed", 503, "store")
        assert redis.url in report.reasons[0].what
        told = len(at_one), len(at_two)
        eventually(lambda: len(at_one) > told[0] + 10 and len(at_two) > told[1] + 10, 30)
        redis.start()
        eventually(lambda: peer.push(sharing(redis, numbered(2))).outcome == "live", 30)
    assert {answer["text"] for _, answer in [*at_one, *at_two]} <= {"one1", "one2"}
    assert one.texts(2) == two.texts(2) == {"one2"}
    assert peer.ask("status").workers.at_head == 4


@pytest.mark.long
def test_a_host_that_is_killed_is_forgotten_and_is_at_head_when_it_is_back(
    serve: Serve, redis: RedisServer
) -> None:
    one, two = hosts(serve, redis, 2)
    two.stop()
    peer = one.peer()
    report = peer.push(sharing(redis, with_text("two")))
    assert report.outcome == "failed", report  # nobody knows yet whether it serves
    assert "no answer" in report.reasons[0].what
    assert one.texts(2) == {"one"}
    eventually(lambda: peer.push(sharing(redis, with_text("two"))).outcome == "live", 60)
    restart(two)
    eventually(lambda: accepts(two.port), 30)
    assert two.get()["text"] == "two"


@pytest.mark.long
def test_a_killed_worker_that_spoke_for_its_host_is_followed_by_another(
    serve: Serve, redis: RedisServer
) -> None:
    one, two = hosts(serve, redis, 2)
    assert one.peer().push(sharing(redis, with_text("two"))).outcome == "live"
    for pid in two.workers():
        os.kill(pid, signal.SIGKILL)
    assert two.texts(2) == {"two"}
    report = one.peer().push(sharing(redis, with_text("three")))
    assert (report.outcome, report.workers.at_head) == ("live", 4), report
    assert one.texts(2) == two.texts(2) == {"three"}


@pytest.mark.long
def test_what_was_changed_in_redis_runs_nowhere_and_what_was_deleted_is_put_back(
    serve: Serve, redis: RedisServer
) -> None:
    (one,) = hosts(serve, redis, 1)
    peer = one.peer()
    for number in (1, 2):
        assert peer.push(sharing(redis, numbered(number))).outcome == "live"
    with Redis.from_url(redis.url) as client:
        (log,) = client.keys("habanero:*:log:*")
        client.lset(log, 2, client.lindex(log, 2)[:-1] + b"x")
        two = serve("-w", "2", files=files_for(redis), site="web9")
        assert two.texts(2) == {"one"}  # what is on its disk
        refused = Peer(two.key, over_http(two.url + PATH)).ask("hello")
        assert (refused.outcome, refused.reasons[0].code) == ("failed", "store")
        assert one.texts(2) == {"one2"}
        client.delete(*client.keys("habanero:*"))
    eventually(lambda: two.texts(2) == {"one2"}, 30)
    report = two.peer().push(sharing(redis, numbered(3)))
    assert (report.outcome, report.workers.at_head) == ("live", 4), report


@pytest.mark.long
@pytest.mark.parametrize("kind", [("-k", "gevent"), ("-k", "gthread", "--threads", "4"), ("--preload",)])
def test_below_other_kinds_of_workers(serve: Serve, redis: RedisServer, kind: tuple[str, ...]) -> None:
    one, two = hosts(serve, redis, 2, 2, *kind)
    for number in range(1, 6):
        server = (one, two)[number % 2]
        report = server.peer().push(sharing(redis, numbered(number)))
        assert (report.outcome, report.workers.at_head, report.workers.total) == ("live", 4, 4), (
            report.reasons
        )
    assert one.texts(2) == two.texts(2) == {"one5"}
    end(two)
    assert one.peer().push(sharing(redis, numbered(6))).outcome == "live"
    restart(two)
    eventually(lambda: accepts(two.port), 30)
    assert two.get()["text"] == "one6"


@pytest.mark.long
def test_three_hosts_of_four_workers(serve: Serve, redis: RedisServer) -> None:
    servers = hosts(serve, redis, 3, 4)
    peer = servers[0].peer()
    for number in range(1, 21):
        report = servers[number % 3].peer().push(sharing(redis, numbered(number)))
        assert (report.outcome, report.workers.at_head, report.workers.total) == ("live", 12, 12), report
        assert {requests.get(server.url, timeout=30).json()["text"] for server in servers} == {f"one{number}"}
    assert peer.ask("status").workers.at_head == 12
    for server in servers:
        assert server.texts(4) == {"one20"}
