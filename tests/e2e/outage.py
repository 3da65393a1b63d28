"""Redis is stopped for a minute while two hosts are under load: what becomes of requests, and of pushes.

::

    python -m tests.e2e.outage --seconds 60 --json docs/results/redis-outage.json

Two gunicorns of two workers, a real Redis, and four threads that ask all the while, each at most fifty times
a second so that the machine is not full. Three phases of the same length: with Redis, without, with it again.
In each a push is tried every ten seconds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.e2e.conftest import Server, starting, with_gunicorn
from tests.e2e.test_several_hosts import hosts, sharing
from tests.e2e.test_workers import numbered
from tests.peer import Peer
from tests.stores import RedisServer

THREADS, PACE_S, PUSH_S = 4, 0.02, 10.0


@dataclass
class Load:
    """Threads that ask, and what they were answered in each phase."""

    servers: list[Server]
    phase: str = "warm"
    took: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    ends: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        """Ask one of the hosts until the end."""
        session, url = requests.Session(), self.servers[number % len(self.servers)].url
        while not self.ends.wait(PACE_S):
            phase, begun = self.phase, time.perf_counter()
            try:
                status = str(session.get(url, timeout=30).status_code)
            except requests.RequestException as error:
                status = repr(error)
            self.took.setdefault(phase, []).append((time.perf_counter() - begun) * 1000)
            if status != "200":
                self.failed.setdefault(phase, []).append(status)

    def told(self, phase: str, pushes: list[str]) -> dict[str, Any]:
        """Return what a phase came to."""
        took = self.took[phase]
        p99 = statistics.quantiles(took, n=100)[98]
        return {
            "requests": len(took),
            "failed": len(self.failed.get(phase, [])),
            "p50_ms": round(statistics.median(took), 2),
            "p99_ms": round(p99, 2),
            "most_ms": round(max(took), 2),
            "pushes": {outcome: pushes.count(outcome) for outcome in sorted(set(pushes))},
        }


def pushed_for(seconds: float, peer: Peer, redis: RedisServer, first: int) -> list[str]:
    """Push every few seconds, for so long. Return what came of each."""
    outcomes, deadline = [], time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        outcomes.append(peer.push(sharing(redis, numbered(first + len(outcomes)))).outcome)
        threading.Event().wait(min(left, PUSH_S))
    return outcomes


def measured(seconds: float, place: Path) -> dict[str, Any]:
    """Return what became of requests in each phase."""
    redis = RedisServer(place / "redis")
    redis.start()
    found: dict[str, Any] = {}
    try:
        with starting(place) as start:
            servers = hosts(with_gunicorn(start), redis, 2)
            peer, load, count = servers[0].peer(), Load(servers), 1
            threads = [threading.Thread(target=load.run, args=(number,)) for number in range(THREADS)]
            for thread in threads:
                thread.start()
            pushed_for(3, peer, redis, count)
            for phase, change in (("with", None), ("without", redis.stop), ("again", redis.start)):
                if change is not None:
                    change()
                load.phase, count = phase, count + 100
                found[phase] = load.told(phase, pushed_for(seconds, peer, redis, count))
            load.ends.set()
            for thread in threads:
                thread.join(60)
    finally:
        redis.stop()
    return found


def main() -> int:
    """Measure, and write it down. Exit 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory() as place:
        phases = measured(given.seconds, Path(place))
    date = dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d")
    at = {"date": date, "python": platform.python_version(), "cores": os.cpu_count(), "load": load}
    told = json.dumps({**at, "seconds": given.seconds, "phases": phases}, indent=1)
    if given.json is not None:
        given.json.write_text(told + "\n")
    sys.stdout.write(told + "\n")
    return 1 if any(phase["failed"] for phase in phases.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
