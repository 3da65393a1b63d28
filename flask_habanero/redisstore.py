"""Redis, or Valkey, as the store that hosts share: the only file that speaks to it.

What must happen at one moment is a Lua script. Lists and not streams: a record's place in its epoch is
its index, and a box is emptied by who reads it. Each call has a bounded time, and all but one are tried
twice: a connection may have ended since the last one, and none of them does harm when it is done twice.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from . import sentinel
from .errors import StoreError
from .shared import SILENT_S, Entry, Facts, Known, Position

CALL_S = 1.0  # Redis answers in less than a millisecond: what takes so long is stuck
LEADS_MS = 15_000  # a leader that died keeps the others from leading for so long
UNREAD_MS = 60_000  # what nobody took out of a box
FORGOTTEN_S = 24 * 3600
_NAMES = {"Valkey": "valkey_version", "Redis": "redis_version"}  # Valkey tells both
_LOCAL = frozenset({"localhost", "::1"})

_BEGIN = """
local seen = redis.call('HGET', KEYS[1], ARGV[5]) or ''
if seen ~= ARGV[1] and seen ~= ARGV[2] then return seen end
if redis.call('LLEN', KEYS[3]) == 0 then
  redis.call('RPUSH', KEYS[3], ARGV[4])
  redis.call('DEL', KEYS[4])
  redis.call('RPUSH', KEYS[4], ARGV[3])
end
for i = 5, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], ARGV[2]) end
redis.call('SET', KEYS[2], ARGV[2])
return ARGV[2]
"""
_APPEND = """
local place, length = tonumber(ARGV[1]), redis.call('LLEN', KEYS[2])
if length > place and redis.call('LINDEX', KEYS[2], place) == ARGV[3] then return 1 end
if ARGV[6] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[6] then return 0 end
if length ~= place or redis.call('LLEN', KEYS[1]) ~= place then return 0 end
if redis.call('LINDEX', KEYS[2], place - 1) ~= ARGV[2] then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[4])
redis.call('RPUSH', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[5], ARGV[7])
return 1
"""
_SPLICE = """
local length, last = redis.call('LLEN', KEYS[1]), redis.call('LINDEX', KEYS[2], -1) or ''
if length ~= tonumber(ARGV[1]) or last ~= ARGV[2] then return 0 end
if redis.call('LLEN', KEYS[5]) ~= tonumber(ARGV[4]) then return 0 end
for i = 1, 2 do
  local old, new = KEYS[i], KEYS[i + 4]
  if ARGV[3] == '0' then redis.call('DEL', old) else redis.call('LTRIM', old, 0, ARGV[3] - 1) end
  for from = 0, ARGV[4] - 1, 64 do
    for _, one in ipairs(redis.call('LRANGE', new, from, from + 63)) do redis.call('RPUSH', old, one) end
  end
  redis.call('DEL', new)
end
for i = 6, #ARGV do redis.call('HSET', KEYS[3], ARGV[i], ARGV[5]) end
redis.call('SET', KEYS[4], ARGV[5])
return 1
"""
_BEAT = """
local now, began = tonumber(redis.call('TIME')[1]), tonumber(redis.call('GET', KEYS[3]) or '')
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if not began or began > now or not last or now - last > tonumber(ARGV[3]) then
  redis.call('SET', KEYS[3], now)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
"""
_HEARD = """
local now, began = tonumber(redis.call('TIME')[1]), redis.call('GET', KEYS[2])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if not began or not last or now - last > tonumber(ARGV[1]) then return 0 end
return now - began
"""
_ROSTER = """
local now, found = redis.call('TIME'), {}
for _, host in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now[1] - ARGV[1])) do
  redis.call('ZREM', KEYS[2], host)
  redis.call('HDEL', KEYS[1], host)
end
local seen = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #seen, 2 do
  local said = redis.call('HGET', KEYS[1], seen[i])
  if said then
    found[#found + 1] = {seen[i], tostring(now[1] - seen[i + 1]), said}
  end
end
return found
"""
_LEAD = """
local leads = redis.call('GET', KEYS[1])
if leads and leads ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RESIGN = """
local leads = redis.call('GET', KEYS[1]) or ''
if string.sub(leads, 1, #ARGV[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisStore:
    """One app's part of a Redis. Making it connects to nothing; after a fork it connects anew."""

    def __init__(self, url: str, app_id: str) -> None:
        self.place = re.sub(r"//[^/]*@", "//", url)
        url = re.sub(r"\Avalkey", "redis", url)  # they speak the same
        self._redis, self._waiting = _client(url, CALL_S), _client(url, 3 * CALL_S)
        self._exposed = _exposed(url)
        self._prefix = f"habanero:{{{app_id}}}:"  # in braces: one slot of a cluster

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    def _run(self, script: str, keys: Sequence[str], *values: object) -> Any:
        with self._calling():
            return self._redis.eval(script, len(keys), *keys, *values)  # type: ignore[arg-type]  # bytes, too

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Turn what the client raises inside into StoreError."""
        try:
            yield
        except redis.RedisError as error:
            raise StoreError(f"{self.place}: {error}") from error
        except OSError as error:
            raise StoreError(f"{self.place}: {error.strerror or error}") from error

    def facts(self) -> Facts:
        begun = time.time()
        with self._calling():
            pipe = self._redis.pipeline(transaction=False)
            pipe.time()
            pipe.info()
            (seconds, micros), told = pipe.execute()
        skew = seconds + micros / 1e6 - (begun + time.time()) / 2
        name, number = next(
            (name, told[key]) for name, key in _NAMES.items() if key in told or key == "redis_version"
        )
        keeps = "each write" if told.get("aof_enabled") else self._copies()
        return Facts(f"{name} {number}", keeps, str(told.get("maxmemory_policy", "")), skew, self._exposed)

    def _copies(self) -> str:
        """Return whether it writes itself to its disk now and then, if it lets us ask."""
        try:
            saves = self._redis.config_get("save").get("save")
        except redis.RedisError:
            return ""
        return "a copy now and then" if saves else "nothing"

    # --- records ---

    def known(self, names: Sequence[str]) -> Known:
        with self._calling():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hmget(self._key("deploys"), list(names))
            pipe.get(self._key("newest"))
            found, newest = pipe.execute()
        epochs = [_text(epoch) for epoch in found if epoch]
        return Known(epochs[0] if epochs else "", _text(newest))

    def begin(self, names: Sequence[str], seen: str, epoch: str, base: Entry) -> str:
        keys = [self._key("deploys"), self._key("newest"), self._key("log", epoch), self._key("links", epoch)]
        return _text(self._run(_BEGIN, keys, seen, epoch, base.link, base.data, *names))

    def append(self, epoch: str, place: int, prev: str, entry: Entry, name: str, leader: str) -> bool:
        keys = [self._key("log", epoch), self._key("links", epoch), self._key("deploys"), self._key("leader")]
        values = (place, prev, entry.link, entry.data, name, leader, epoch)
        with self._calling():
            return bool(self._once("EVAL", _APPEND, len(keys), *keys, *values))

    def _once(self, *words: Any) -> Any:
        """Ask for what must not be done later than within its time, also if that means not at all."""
        pool = self._redis.connection_pool
        connection = pool.get_connection()  # one that works: it connects anew where it has to
        try:
            connection.send_command(*words)  # type: ignore[no-untyped-call]  # redis-py has no types there
            return connection.read_response()
        finally:
            pool.release(connection)

    def splice(
        self, names: Sequence[str], epoch: str, place: int, seen: Position, entries: Iterable[Entry]
    ) -> bool:
        log, links = (self._key(kind, epoch) for kind in ("log", "links"))
        aside = [self._key("aside", secrets.token_hex(8), kind) for kind in ("log", "links")]
        count = 0
        for entry in entries:
            count += 1
            with self._calling():
                pipe = self._redis.pipeline()
                for key, value in ((aside[0], entry.data), (aside[1], entry.link)):
                    pipe.rpush(key, value)
                    pipe.pexpire(key, UNREAD_MS)
                pipe.execute()
        keys = [log, links, self._key("deploys"), self._key("newest"), *aside]
        return bool(self._run(_SPLICE, keys, *seen, place, count, epoch, *names))

    def position(self, epoch: str) -> Position:
        with self._calling():
            pipe = self._redis.pipeline()
            pipe.llen(self._key("log", epoch))
            pipe.lindex(self._key("links", epoch), -1)
            length, last = pipe.execute()
        return Position(int(length), _text(last))

    def link_at(self, epoch: str, place: int) -> str:
        with self._calling():
            return _text(self._redis.lindex(self._key("links", epoch), place))

    def links(self, epoch: str, place: int, count: int) -> list[str]:
        with self._calling():
            found: Any = self._redis.lrange(self._key("links", epoch), place, place + count - 1)
            return [_text(link) for link in found]

    def read(self, epoch: str, place: int, count: int) -> list[bytes]:
        with self._calling():
            found: Any = self._redis.lrange(self._key("log", epoch), place, place + count - 1)
            return list(found)

    # --- hosts ---

    def beat(self, host: str, data: bytes) -> None:
        self._run(_BEAT, [self._key("hosts"), self._key("seen"), self._key("began")], host, data, SILENT_S)

    def roster(self) -> dict[str, tuple[float, bytes]]:
        rows = self._run(_ROSTER, [self._key("hosts"), self._key("seen")], FORGOTTEN_S)
        return {_text(host): (float(age), said) for host, age, said in rows}

    def heard_s(self) -> float:
        return float(self._run(_HEARD, [self._key("seen"), self._key("began")], SILENT_S))

    def leave(self, host: str) -> None:
        with self._calling():
            self._redis.zrem(self._key("seen"), host)
            self._redis.hdel(self._key("hosts"), host)

    def lead(self, leader: str) -> bool:
        return bool(self._run(_LEAD, [self._key("leader")], leader, LEADS_MS))

    def resign(self, leader: str) -> None:
        self._run(_RESIGN, [self._key("leader")], leader)

    # --- messages ---

    def send(self, box: str, data: bytes) -> None:
        with self._calling():
            pipe = self._redis.pipeline()
            pipe.rpush(self._key("box", box), data)
            pipe.pexpire(self._key("box", box), UNREAD_MS)
            pipe.execute()

    def receive(self, box: str, timeout_s: float) -> bytes | None:
        with self._calling():
            found: Any = self._waiting.blpop(
                [self._key("box", box)], timeout=max(0.01, min(timeout_s, CALL_S))
            )
            return None if found is None else bytes(found[1])

    def stage(self, nonce: str, data: bytes) -> None:
        with self._calling():
            self._redis.set(self._key("staged", nonce), data, px=UNREAD_MS)

    def staged(self, nonce: str) -> bytes:
        with self._calling():
            found: Any = self._redis.get(self._key("staged", nonce))
        if found is None:
            raise StoreError(f"{self.place}: the staged request is not there")
        return bytes(found)


def _exposed(url: str) -> tuple[str, ...]:
    """Return what an address lacks, if it is not of this machine."""
    parts = urlsplit(url)
    hosts, password = [parts.hostname or ""], parts.password
    if sentinel.is_watched(url):
        found = sentinel.read(url)
        hosts, password = [host for host, _port in found.sentinels], found.password
    if parts.scheme == "unix" or all(host in _LOCAL or host.startswith("127.") for host in hosts):
        return ()
    lacks = {"a password": not password, "TLS": parts.scheme != "rediss"}
    return tuple(what for what, is_so in lacks.items() if is_so)


def _client(url: str, seconds: float) -> redis.Redis:
    options: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": CALL_S}
    options["retry"] = Retry(NoBackoff(), 1)
    if not sentinel.is_watched(url):
        if url.startswith("rediss:") and "ssl_cert_reqs" not in urlsplit(url).query:
            options["ssl_check_hostname"] = True  # redis-py 5 takes any name, unless it is told
        return redis.Redis.from_url(url, **options)
    found = sentinel.read(url)
    each = CALL_S / len(found.sentinels)  # they are asked one after the other
    asked = {"socket_timeout": each, "socket_connect_timeout": each}
    options |= {"username": found.user, "password": found.password, "db": found.db}
    who = Sentinel(found.sentinels, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]  # no types there
    client: redis.Redis = who.master_for(found.name, **options)  # type: ignore[no-untyped-call]  # the same
    return client


def _text(found: Any) -> str:
    """Return what lies there as text: nobody has checked it."""
    return found.decode("ascii", "replace") if isinstance(found, bytes) else ""
