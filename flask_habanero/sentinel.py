"""The address of a Redis that is found by asking sentinels which one is the master now."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

USUAL_PORT = 26379
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
_ADDRESS = re.compile(
    r"\Aredis\+sentinel://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)/(?P<name>[A-Za-z0-9._-]+)(?:/(?P<db>[0-9]{{1,4}}))?\Z"
)


class Watched(NamedTuple):
    """What such an address says: who to ask, for which master, and how one logs in there."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    db: int
    user: str | None
    password: str | None


def is_watched(url: str) -> bool:
    """Whether an address names sentinels, or means to."""
    return url.startswith("redis+sentinel:")


def read(url: str) -> Watched:
    """Return what an address of sentinels says. Raises ValueError: it is none."""
    found = _ADDRESS.match(url)
    if found is None:
        raise ValueError("no address of sentinels")
    user, password = (unquote(found[name]) if found[name] else None for name in ("user", "password"))
    hosts = tuple(_host(one) for one in found["hosts"].split(","))
    return Watched(hosts, found["name"], int(found["db"] or 0), user, password)


def _host(text: str) -> tuple[str, int]:
    host, port = re.fullmatch(r"(\[.*\]|[^:]*)(?::(\d+))?", text).groups()  # type: ignore[union-attr]  # read before
    number = int(port or USUAL_PORT)
    if not 0 < number < 65536:
        raise ValueError("a port that is none")
    return host.strip("[]"), number
