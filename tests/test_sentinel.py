"""A Redis that is found through sentinels: its address, and a real failover under hosts that push."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask_habanero import mirror as mirror_module
from flask_habanero import relay, sentinel
from flask_habanero.redisstore import RedisStore
from flask_habanero.sentinel import Watched
from redis import Redis

from tests.e2e.conftest import free_port
from tests.fakes import tree_of
from tests.hosts import APP, Host, eventually
from tests.stores import RedisServer, redis_program

BASE = tree_of(shop="x = 1")
GOES_S = 60.0  # for a failover on a loaded machine


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis+sentinel://one/shop", Watched((("one", 26379),), "shop", 0, None, None)),
        ("redis+sentinel://one:1,two/shop/3", Watched((("one", 1), ("two", 26379)), "shop", 3, None, None)),
        ("redis+sentinel://:p%40ss@one/shop", Watched((("one", 26379),), "shop", 0, None, "p@ss")),
        ("redis+sentinel://ann:hush@[::1]:5/a.b", Watched((("::1", 5),), "a.b", 0, "ann", "hush")),
    ],
)
def test_an_address_is_read(url: str, found: Watched) -> None:
    assert sentinel.read(url) == found


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "one",
        "one:26379",
        "one/",
        "/shop",
        "one,/shop",
        "one:x/shop",
        "one:0/shop",
        "one/shop/x",
        "a b/shop",
    ],
)
def test_what_is_no_address(rest: str) -> None:
    with pytest.raises(ValueError, match=r"no address|port"):
        sentinel.read(f"redis+sentinel://{rest}")


@dataclass
class Watch:
    """A master, its replica, and a sentinel that watches them."""

    master: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/shop"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    master = RedisServer(tmp_path / "master")
    master.start()
    replica = RedisServer(tmp_path / "replica", options={"--replicaof": f"127.0.0.1 {master.port}"})
    replica.start()
    with Redis.from_url(replica.url) as client:
        eventually(lambda: client.info("replication")["master_link_status"] == "up", GOES_S)
    watcher = RedisServer(tmp_path / "sentinel", free_port())
    watcher.folder.mkdir()
    config = watcher.folder / "sentinel.conf"
    config.write_text(
        f"port {watcher.port}\nbind 127.0.0.1\ndir {watcher.folder}\n"
        f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds shop 1000\nsentinel failover-timeout shop 5000\n"
    )
    with (watcher.folder / "log").open("wb") as out:
        watcher.process = subprocess.Popen([redis_program(), config, "--sentinel"], stdout=out, stderr=out)
    eventually(watcher.answers, GOES_S)
    with Redis.from_url(watcher.url) as client:
        eventually(lambda: client.execute_command("SENTINEL", "REPLICAS", "shop"), GOES_S)
    yield Watch(master, replica, watcher)
    for server in (watcher, replica, master):
        server.stop()


@pytest.fixture
def host(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Host]]:
    """Give a function that starts a host which finds Redis through the sentinel."""
    monkeypatch.setattr(relay, "BEAT_S", 0.1)
    monkeypatch.setattr(mirror_module, "EMPTY_S", 0.0)
    hosts: list[Host] = []

    def make(name: str) -> Host:
        (tmp_path / name).mkdir()
        hosts.append(Host(tmp_path / name, RedisStore(watch.url, APP)))
        hosts[-1].workers(1, BASE)
        return hosts[-1]

    yield make
    for one in hosts:
        one.close()


def push(one: Host, text: str) -> str:
    return str(one.peer(one.members[0]).push({"shop": text}).outcome)


def texts(*hosts: Host) -> set[str]:
    return {member.get() for one in hosts for member in one.members}


@pytest.mark.slow
def test_pushes_are_refused_while_there_is_no_master_and_go_on_with_the_new_one(
    watch: Watch, host: Callable[[str], Host]
) -> None:
    one, two = host("one"), host("two")
    assert push(one, "x = 2") == "live"
    watch.master.stop()
    assert push(one, "x = 3") in ("failed", "unknown")
    assert texts(one, two) == {"x = 2"}
    eventually(lambda: push(two, "x = 3") == "live", GOES_S)
    assert texts(one, two) == {"x = 3"}
    assert push(one, "x = 4") == "live"
    with Redis.from_url(watch.replica.url) as client:
        assert client.info("replication")["role"] == "master"
    assert texts(one, two, host("three")) == {"x = 4"}


@pytest.mark.slow
def test_what_the_new_master_has_lost_is_given_back(watch: Watch, host: Callable[[str], Host]) -> None:
    one, two = host("one"), host("two")
    assert push(one, "x = 2") == "live"
    with Redis.from_url(watch.replica.url) as client:
        client.replicaof("127.0.0.1", 1)  # where nobody is: the link is broken
        assert push(one, "x = 3") == "live"
        (log,) = client.keys("habanero:*:log:*")
        assert client.llen(log) == 2  # it has not heard of that
    watch.master.stop()
    eventually(lambda: push(two, "x = 4") == "live", GOES_S)
    assert texts(one, two, host("three")) == {"x = 4"}
    assert {member.worker.number for each in (one, two) for member in each.members} == {3}
