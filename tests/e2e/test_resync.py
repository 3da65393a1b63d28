"""Hosts whose histories came apart, with real gunicorns, a real Redis and a real client."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from tests.e2e.conftest import Serve, Server, accepts
from tests.e2e.laptops import Clone, restart
from tests.e2e.test_several_hosts import end, hosts, sharing
from tests.e2e.test_workers import asking, numbered
from tests.hosts import eventually
from tests.stores import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def forked(serve: Serve, redis: RedisServer) -> tuple[Server, Server]:
    """Return two hosts: one at #2 and #3 of its own, the other at another #2, which is what Redis has."""
    one, two = hosts(serve, redis, 2)
    assert one.peer().push(sharing(redis, numbered(1))).outcome == "live"
    end(two)
    for number in (2, 3):
        assert one.peer().push(sharing(redis, numbered(number))).outcome == "live"
    end(one)
    with Redis.from_url(redis.url) as client:  # a failover: its successor had not heard of them yet
        for key in client.keys("habanero:*:log:*") + client.keys("habanero:*:links:*"):
            client.ltrim(key, 0, 1)
    for server, text in ((two, "one1"), (one, "one3")):
        restart(server)
        eventually(lambda server=server: accepts(server.port), 30)
        if server is two:
            assert two.texts(2) == {text}
            assert two.peer().push(sharing(redis, numbered(20))).outcome == "live"
    assert (one.texts(2), two.texts(2)) == ({"one3"}, {"one20"})
    return one, two


def test_a_person_says_whose_releases_stay_and_all_workers_serve_them(
    serve: Serve, redis: RedisServer, clone: Clone
) -> None:
    one, two = forked(serve, redis)
    before = two.workers()
    refused = one.peer().push(sharing(redis, numbered(4)))
    assert (refused.outcome, refused.reasons[0].hint) == ("failed", "flask habanero resync")
    laptop = clone(two)
    done = laptop.run("resync")
    assert done.code == 3, done.said
    assert "#2" in done.said
    assert (one.texts(2), two.texts(2)) == ({"one3"}, {"one20"})
    with asking(one, [0]) as at_one, asking(two, [0]) as at_two:  # no request fails
        done = laptop.run("resync", "--yes", "--json")
        assert done.code == 0, done.said
        report = json.loads(done.said[done.said.index('{"outcome"') :].splitlines()[0])
        assert (report["release"], report["workers"]["at_head"]) == (3, 4)
        told = len(at_one), len(at_two)
        eventually(lambda: len(at_one) > told[0] + 10 and len(at_two) > told[1] + 10, 30)
    assert one.texts(2) == two.texts(2) == {"one3"}
    assert two.workers() == before  # hot: nobody was restarted
    pushed = two.peer().push(sharing(redis, numbered(5)))
    assert (pushed.outcome, pushed.release, pushed.workers.at_head) == ("live", 4, 4), pushed
    end(two)
    restart(two)
    eventually(lambda: accepts(two.port), 30)
    assert two.get()["text"] == "one5"


def test_what_was_forged_in_the_middle_is_put_right(serve: Serve, redis: RedisServer, clone: Clone) -> None:
    (one,) = hosts(serve, redis, 1)
    for number in (1, 2, 3):
        assert one.peer().push(sharing(redis, numbered(number))).outcome == "live"
    with Redis.from_url(redis.url) as client:
        (log,) = client.keys("habanero:*:log:*")
        good = client.lrange(log, 0, -1)
        client.lset(log, 2, good[2][:-1] + b"x")
        two = serve("-w", "2", files={p.stem: p.read_text() for p in one.folder.glob("*.py")}, site="web9")
        assert two.texts(2) == {"one"}  # what is on its disk: nothing of it is believed
        done = clone(one).run("resync")
        assert done.code in (0, 5), done.said
        assert client.lrange(log, 0, -1) == good
    eventually(lambda: two.texts(2) == {"one3"}, 30)
