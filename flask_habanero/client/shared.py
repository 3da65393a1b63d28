"""What `doctor` asks about the store that hosts share: all of it as the server was told by it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import FAIL, OK, WARN, Case, Told, fail, ok, warn
from .surroundings import SharedStore, Surroundings

OLDEST = (5, 0)  # below, a script that has read the clock may not write
TESTED = (6, 2)
CLOCK_S = 30
_NUMBER = re.compile(r"\b(\d+)\.(\d+)")


def shared(case: Case) -> Told:
    """Look at the store that hosts share; of what is found the worst comes first."""
    around = Surroundings.of(case.status)
    if around.shared is None and around.pod:
        what = "a pod of Kubernetes that shares nothing: a push reaches it alone, and no pod that comes later"
        return warn(what, "HABANERO_STORE=redis://HOST:PORT/0, unless there is one pod, with a volume")
    if around.shared is None:
        return ok("one host: nothing is shared")
    found = sorted(_findings(around.shared, around.store), key=lambda told: (FAIL, WARN, OK).index(told[0]))
    level, _, hint = found[0]
    return level, "; ".join(what for _, what, _ in found), hint


def _findings(store: SharedStore, place: str) -> Iterator[Told]:
    if store.trouble:
        ping = (
            f"redis-cli -u {place} ping"
            if "+sentinel:" not in place
            else "redis-cli -p 26379 sentinel masters"
        )
        yield fail(f"it can't be asked: {store.trouble}", f"on the server:  {ping}")
        return
    yield _version(store.version)
    if store.keeps == "nothing":
        what = "its restart loses all releases, which a host that is up then gives back"
        yield warn(what, f"redis-cli -u {place} config set appendonly yes")
    if store.eviction not in ("", "noeviction"):
        what = f"{store.eviction}: when its memory is full it throws keys away, and pushes fail"
        yield warn(what, f"redis-cli -u {place} config set maxmemory-policy noeviction")
    if store.exposed:
        what = f"without {' and '.join(store.exposed)}: who reaches it can hold up pushes"
        yield warn(what, "HABANERO_STORE=rediss://USER:PASSWORD@HOST:PORT/0")
    if abs(store.skew_s) > CLOCK_S:
        what = f"its clock is {store.skew_s:+.0f} s from the server's, which does no harm to releases"
        yield warn(what, "timedatectl set-ntp true     (on the side that is wrong)")


def _version(name: str) -> Told:
    found = _NUMBER.search(name)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    upgrade = "install Redis 6.2 or later, or Valkey"
    if number < OLDEST:
        return fail(f"{name or 'it'} is too old", upgrade)
    if number < TESTED:
        return warn(f"{name} is older than what was tested", upgrade)
    return ok(name)
