"""How long after the leading host has committed a release the last of so many hosts has, too, over Redis.

A real Redis on loopback. Hosts are simulated: each has a store, a ledger, a worker, a gate and a relay of its
own, and hears of the release, verifies it and writes it down as a host does; but all of them are threads of a
few processes of this machine, and what they commit is no code: a program that only notes the moment. So it is
the way of a release that is measured, and not what committing it takes. One JSON object on stdout.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from machine import machine
from spread import summary

sys.path.insert(0, str(Path(__file__).parents[1]))  # hosts are those of the tests

from flask_habanero.envelope import Key, Keyring
from flask_habanero.mirror import Mirror
from flask_habanero.redisstore import RedisStore

from tests import hosts as simulated
from tests.fakes import tree_of
from tests.hosts import APP, Host
from tests.stores import RedisServer

BASE = tree_of(shop="x = 0")
KEY = simulated.KEY = Key("k1", bytes(range(32)))  # all processes have the same
TOGETHER = 50  # hosts of one process
WAIT_S = 120


def host_at(folder: Path, url: str, commits: Path) -> Host:
    """Start one host, of one worker, which notes when it has committed."""
    folder.mkdir()
    one = Host(folder, RedisStore(url, APP), keys=Keyring([KEY]))
    notes = commits.open("ab", buffering=0)
    one.worker(BASE, on_commit=lambda: notes.write(b"%d\n" % time.monotonic_ns()))
    return one


def be(count: int, folder: Path, url: str, commits: Path) -> None:
    """Be so many hosts, until stdin ends."""
    for number in range(count):
        host_at(folder / str(number), url, commits)
    sys.stdin.read()


@contextmanager
def others(count: int, place: Path, url: str, commits: Path) -> Iterator[None]:
    """Run so many hosts in other processes."""
    with ExitStack() as stack:
        for first in range(0, count, TOGETHER):
            folder = place / f"hosts{first}"
            folder.mkdir()
            words = [sys.executable, __file__, "--be", str(min(TOGETHER, count - first)), "--folder", folder]
            words += ["--url", url, "--commits", commits]
            process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
        yield


def measured(hosts: int, times: int) -> dict[str, object]:
    """Return the spread of some releases over so many hosts."""
    rows, failed = [], []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        commits = place / "commits"
        redis = RedisServer(place / "redis")
        with ExitStack() as stack:
            stack.callback(redis.stop)
            redis.start()
            leader = host_at(place / "leader", redis.url, commits)
            stack.enter_context(others(hosts - 1, place, redis.url, commits))
            mirror, peer = leader.members[0].worker.ledger, leader.peer(leader.members[0])
            assert isinstance(mirror, Mirror)
            wait_for(mirror, hosts)
            while len(rows) < times + 2 and len(failed) < times + 10:
                commits.write_text("")
                report = peer.push({"shop": f"x = {len(rows) + len(failed) + 1}"})
                moments = sorted(map(int, commits.read_text().split()))
                if (report.outcome, report.workers.at_head, len(moments)) != ("live", hosts, hosts):
                    failed.append(report.outcome)
                    print(report.outcome, report.reasons[:2], report.workers, file=sys.stderr)
                    continue
                rows.append(
                    told(moments) | {name: report.ms[name] for name in ("prepare", "quiesce", "total")}
                )
    return {"workers": hosts, "not counted": len(failed), **summary(rows[2:])}  # the first ones warm it up


def told(moments: list[int]) -> dict[str, float]:
    """Return how long after the first commit half of them had come, and the last, in ms."""
    half = moments[len(moments) // 2]
    return {name: (at - moments[0]) / 1e6 for name, at in (("half", half), ("last", moments[-1]))}


def wait_for(mirror: Mirror, hosts: int) -> None:
    """Wait until all are there, and run what we run."""
    deadline = time.monotonic() + WAIT_S
    while sum(beat.epoch == mirror.at()[0] for beat in mirror.hosts.roster().values()) < hosts:
        assert time.monotonic() < deadline, mirror.hosts.roster()
        time.sleep(0.2)


def main() -> None:
    """Measure each number of hosts, or be some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", default="12,48,200")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--be", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--commits", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be:
        be(given.be, given.folder, given.url, given.commits)
        return
    rows, at = [], machine()
    for hosts in map(int, given.hosts.split(",")):
        rows.append(measured(hosts, given.times))
        print(rows[-1], file=sys.stderr)
    print(json.dumps({"machine": at, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
