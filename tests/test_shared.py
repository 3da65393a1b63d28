"""What hosts share, as each store of it keeps it: the one in memory that tests use, and a real Redis."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask_habanero.errors import StoreError
from flask_habanero.record import Record
from flask_habanero.redisstore import RedisStore
from flask_habanero.shared import Entry, Known, Position, Shared, packed, unpacked
from flask_habanero.store import rows

from tests.ledgers import APP, author_at
from tests.stores import MemoryStore, RedisServer, running
from tests.tls import Authority, TlsRedisServer

BASE, ONE, TWO = (Entry(c * 64, c.encode() + b"\n\x00\xff") for c in "abc")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer(tmp_path_factory.mktemp("redis") / "data")) as server:
        yield server


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedisServer]:
    with running(TlsRedisServer(tmp_path_factory.mktemp("tls") / "data")) as server:
        yield server


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.slow) for name in ("redis", "tls"))])
def store(request: pytest.FixtureRequest) -> Shared:
    if request.param == "memory":
        return MemoryStore()
    server: RedisServer = request.getfixturevalue(request.param)
    return RedisStore(server.url, request.node.name)


def begun(store: Shared) -> Shared:
    assert store.begin(["d", "full"], "", "e1", BASE) == "e1"
    return store


def test_nothing_is_there_at_first(store: Shared) -> None:
    assert store.known(["d", "full"]) == Known("", "")
    assert store.position("e1") == Position(0, "")
    assert (store.link_at("e1", 0), store.read("e1", 0, 9), store.roster()) == ("", [], {})


def test_an_epoch_is_found_by_each_of_its_names(store: Shared) -> None:
    begun(store)
    assert store.known(["d"]) == store.known(["?", "full"]) == Known("e1", "e1")
    assert store.position("e1") == Position(1, BASE.link)
    assert store.read("e1", 0, 9) == [BASE.data]


def test_of_two_that_begin_a_deploy_the_first_one_does(store: Shared) -> None:
    begun(store)
    assert store.begin(["d"], "", "e2", ONE) == "e1"
    assert store.begin(["d", "full"], "", "e1", BASE) == "e1"  # again
    assert store.position("e1").length == 1
    assert store.position("e2").length == 0
    assert store.begin(["d"], "e1", "e2", ONE) == "e2"  # who has seen it supersedes it
    assert store.known(["d"]) == Known("e2", "e2")


def test_a_record_is_put_where_it_follows_and_nowhere_else(store: Shared) -> None:
    begun(store)
    assert not store.append("e1", 1, ONE.link, TWO, "n", "")  # it follows another
    assert not store.append("e1", 2, BASE.link, TWO, "n", "")  # one is missing
    assert not store.append("e2", 1, BASE.link, TWO, "n", "")  # there is no such epoch
    assert store.append("e1", 1, BASE.link, ONE, "n", "")
    assert store.append("e1", 1, BASE.link, ONE, "n", "")  # the same again
    assert not store.append("e1", 1, BASE.link, TWO, "n", "")
    assert store.append("e1", 2, ONE.link, TWO, "n", "")
    assert store.position("e1") == Position(3, TWO.link)
    assert (store.link_at("e1", 1), store.link_at("e1", 3)) == (ONE.link, "")
    assert store.read("e1", 1, 1) == [ONE.data]
    assert store.read("e1", 1, 9) == [ONE.data, TWO.data]
    assert store.known(["n"]).epoch == "e1"


def test_records_are_put_in_the_place_of_others_if_nothing_was_added_meanwhile(store: Shared) -> None:
    begun(store)
    store.append("e1", 1, BASE.link, ONE, "n", "")
    seen = store.position("e1")
    assert not store.splice(["d"], "e1", 1, Position(1, BASE.link), [TWO])
    assert not store.splice(["d"], "e1", 1, Position(2, TWO.link), [TWO])
    assert store.read("e1", 0, 9) == [BASE.data, ONE.data]
    assert store.splice(["d"], "e1", 1, seen, [TWO])
    assert store.read("e1", 0, 9) == [BASE.data, TWO.data]
    assert store.position("e1") == Position(2, TWO.link)
    assert store.append("e1", 2, TWO.link, ONE, "n", "")
    assert store.splice(["d"], "e1", 1, store.position("e1"), [])  # none: what was there ends there
    assert store.position("e1") == Position(1, BASE.link)


def test_a_whole_epoch_may_be_put_in_the_place_of_another(store: Shared) -> None:
    begun(store)
    many = [Entry(f"{n:064}", b"%d" % n) for n in range(200)]
    assert store.splice(["d", "more"], "e2", 0, Position(0, ""), many)
    assert store.known(["more"]) == store.known(["d"]) == Known("e2", "e2")
    assert store.read("e2", 0, 999) == [entry.data for entry in many]
    assert store.links("e2", 0, 999) == [entry.link for entry in many]
    assert store.links("e2", 198, 1) == [many[198].link]
    assert store.splice(["d"], "e1", 0, Position(1, BASE.link), [ONE])
    assert (store.known(["d"]).epoch, store.read("e1", 0, 9)) == ("e1", [ONE.data])


def test_one_leads_and_what_others_send_comes_to_nothing(store: Shared) -> None:
    begun(store)
    assert store.lead("x")
    assert store.lead("x")
    assert not store.lead("y")
    assert not store.append("e1", 1, BASE.link, ONE, "n", "y")
    store.resign("y")
    assert not store.lead("y")
    store.resign("x")
    assert not store.append("e1", 1, BASE.link, ONE, "n", "x")  # it was too slow
    assert store.lead("y:1")
    assert store.append("e1", 1, BASE.link, ONE, "n", "y:1")
    store.resign("y")
    assert store.lead("x")


def test_of_those_who_append_at_once_one_wins(store: Shared) -> None:
    begun(store)
    together, won = threading.Barrier(4), []

    def append(index: int) -> None:
        together.wait(10)
        if store.append("e1", 1, BASE.link, Entry(f"{index}" * 64, b"x"), "n", ""):
            won.append(index)

    threads = [threading.Thread(target=append, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(won) == 1
    assert store.position("e1") == Position(2, f"{won[0]}" * 64)


def test_hosts_come_and_go(store: Shared) -> None:
    store.beat("web1", b"one")
    store.beat("web2", b"two")
    store.beat("web1", b"again")
    assert {host: said for host, (_, said) in store.roster().items()} == {"web1": b"again", "web2": b"two"}
    assert all(0 <= age < 60 for age, _ in store.roster().values())
    store.leave("web1")
    assert store.roster().keys() == {"web2"}


def test_it_is_known_for_how_long_hosts_were_heard_of_without_a_gap(store: Shared) -> None:
    def seconds_pass(seconds: float) -> None:
        if isinstance(store, MemoryStore):
            store.later += seconds
            return
        assert isinstance(store, RedisStore)
        client, key = store._redis, store._key
        client.decrby(key("began"), int(seconds))
        for name, when in client.zrange(key("seen"), 0, -1, withscores=True):
            client.zadd(key("seen"), {name: when - seconds})

    def heard() -> float:
        return store.heard_s() // 3 * 3  # whole seconds may pass meanwhile

    assert store.heard_s() == 0
    store.beat("web1", b"")
    assert heard() == 0
    for _ in range(3):
        seconds_pass(3)
        store.beat("web1", b"")
    store.beat("web2", b"")
    assert heard() == 9
    seconds_pass(12)
    assert store.heard_s() == 0  # nobody was heard of
    store.beat("web2", b"")
    assert heard() == 0
    seconds_pass(3)
    store.beat("web1", b"")
    assert heard() == 3


def test_messages_are_taken_in_their_order_and_once(store: Shared) -> None:
    assert store.receive("box", 0.01) is None
    store.send("box", b"1\xff")
    store.send("box", b"2")
    store.send("other", b"3")
    assert [store.receive("box", 1) for _ in range(2)] == [b"1\xff", b"2"]
    assert store.receive("box", 0.01) is None


def test_a_message_wakes_who_waits(store: Shared) -> None:
    got: list[bytes | None] = []
    waiting = threading.Thread(target=lambda: got.append(store.receive("box", 1)))
    waiting.start()
    store.send("box", b"x")
    waiting.join(20)
    assert got == [b"x"]


def test_a_request_lies_where_all_find_it(store: Shared) -> None:
    store.stage("n", b"\x00header\nbody")
    assert store.staged("n") == b"\x00header\nbody"
    with pytest.raises(StoreError, match="not there"):
        store.staged("m")


@pytest.mark.slow
def test_a_redis_that_is_not_there_is_a_sentence_without_the_password() -> None:
    store = RedisStore("redis://ann:hush@127.0.0.1:1/0", APP)
    with pytest.raises(StoreError) as caught:
        store.position("e1")
    assert "redis://127.0.0.1:1/0" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.slow
def test_a_redis_is_reached_by_its_socket_and_by_valkeys_name(redis: RedisServer) -> None:
    begun(RedisStore(f"unix://{redis.folder / 'socket'}?db=0", "sockets"))
    assert RedisStore(redis.url.replace("redis:", "valkey:"), "sockets").known(["d"]) == Known("e1", "e1")


SET = {"--appendonly": "no", "--maxmemory-policy": "allkeys-lru"}
TOLD: dict[str, tuple[dict[str, str], str, str]] = {
    "each write": ({}, "each write", "noeviction"),
    "nothing": (SET, "nothing", "allkeys-lru"),
    "copies": (SET | {"--save": "60 1"}, "a copy now and then", "allkeys-lru"),
    "nobody may ask": (SET | {"--rename-command": "CONFIG hidden"}, "", "allkeys-lru"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", TOLD)
def test_a_redis_says_how_it_is_set(tmp_path: Path, how: str) -> None:
    options, keeps, eviction = TOLD[how]
    server = RedisServer(tmp_path / "data", options=options)
    server.start()
    facts = RedisStore(server.url, APP).facts()
    server.stop()
    assert (facts.keeps, facts.eviction, facts.exposed) == (keeps, eviction, ())
    assert re.fullmatch(r"(Redis|Valkey) \d+\.\d+\.\d+", facts.version)
    assert abs(facts.skew_s) < 5  # one machine, one clock


@pytest.mark.parametrize(
    ("url", "lacks"),
    [
        ("redis://cache:6379/0", ("a password", "TLS")),
        ("redis://:hush@cache:6379/0", ("TLS",)),
        ("rediss://cache:6379/0", ("a password",)),
        ("rediss://ann:hush@10.0.0.7/0", ()),
        ("valkey://cache/0", ("a password", "TLS")),
        ("valkeys://:hush@cache/0", ()),
        ("redis://localhost:6379/0", ()),
        ("redis://127.0.0.2:6379/0", ()),
        ("redis://[::1]:6379/0", ()),
        ("unix:///run/redis.sock", ()),
        ("redis+sentinel://127.0.0.1:1,localhost/shop", ()),
        ("redis+sentinel://:hush@127.0.0.1,two/shop", ("TLS",)),
    ],
)
def test_what_an_address_lacks_for_a_network(url: str, lacks: tuple[str, ...]) -> None:
    assert RedisStore(url, APP)._exposed == lacks


@pytest.mark.slow
def test_apps_in_one_redis_do_not_meet(redis: RedisServer) -> None:
    one, two = RedisStore(redis.url, "one"), RedisStore(redis.url, "two")
    begun(one)
    one.beat("web1", b"x")
    assert two.known(["d"]) == Known("", "")
    assert two.roster() == {}


@pytest.mark.slow
def test_what_a_redis_recorded_is_there_after_it_was_stopped(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "data")
    server.start()
    store = begun(RedisStore(server.url, APP))
    server.stop()
    with pytest.raises(StoreError):
        store.position("e1")
    server.start()
    assert store.position("e1") == Position(1, BASE.link)
    server.stop()


def test_a_record_lies_there_with_its_seal_and_comes_out_the_same(tmp_path: Path) -> None:
    author = author_at(tmp_path / "store")
    author.push(shop="N = 1\n")
    with author.ledger._store.reading() as db:
        for record, token in rows(db, "epoch = ?", author.epoch):
            assert unpacked(packed(record, token).data) == (record, token)


RECORD = Record(1, "e", "push", "n", "h", b"body", "d", "who", "k", 2, "note")


@pytest.mark.parametrize("number", [-1, 2**40, 10**30, True, "1"])
def test_a_number_that_can_be_none_is_none(number: Any) -> None:
    with pytest.raises(StoreError, match="is no record"):
        unpacked(packed(replace(RECORD, number=number), "token").data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}\n", b"[]\nx", b"[1]\n", b'["a"]\n', b"\xff\n", b"[" * 5000, b"[1,2,3,4,5,6,7,8,9,10,11]\nx"],
)
def test_what_is_no_record_is_a_sentence(data: bytes) -> None:
    with pytest.raises(StoreError, match="is no record"):
        unpacked(data)


# TLS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "trusts", "why"),
    [
        ("127.0.0.1", "another", "self-signed certificate in certificate chain|unable to get local issuer"),
        ("localhost", "the right one", "Hostname mismatch"),
        ("127.0.0.1", "the right one", ""),
    ],
)
def test_a_redis_is_believed_whose_certificate_is_for_its_name_and_by_who_is_trusted(
    tls: TlsRedisServer, tmp_path: Path, host: str, trusts: str, why: str
) -> None:
    trusted = tls.authority if trusts == "the right one" else Authority.new(tmp_path / "another")
    store = RedisStore(tls.url_of(host, trusted), "of-a-certificate")
    if why:
        with pytest.raises(StoreError, match=why):
            store.roster()
    else:
        assert store.roster() == {}


@pytest.mark.slow
def test_nobody_speaks_in_the_clear_to_a_port_of_tls(tls: TlsRedisServer) -> None:
    with pytest.raises(StoreError):
        RedisStore(f"redis://127.0.0.1:{tls.tls_port}/0", "in-the-clear").roster()
