"""How a release comes to many hosts over Redis: a real one, on loopback. One JSON object on stdout.

*Hosts* are simulated, and take part in pushes: each has a store, a ledger, a worker, a gate and a relay of
its own, and prepares, is still, verifies the release, writes it down and commits as a host does. But all of
them are threads of a few processes of this machine, and what they commit is no code: a program that only
notes the moment. It is told how long after the leading host the last one has committed.

*Hearers* do less: each waits at a box of its own as a host does, and when the message comes verifies it,
fetches the record and verifies that. They have no gate, no worker and no disk. It is told how long after the
first message was sent the last one has the release.

TMPDIR=/dev/shm: the disks of many hosts are not one disk.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from machine import machine
from spread import summary

sys.path.insert(0, str(Path(__file__).parents[1]))  # hosts are those of the tests

from flask_habanero.envelope import Key, Keyring
from flask_habanero.hosts import Hosts
from flask_habanero.mirror import Mirror
from flask_habanero.record import check_record
from flask_habanero.redisstore import RedisStore
from flask_habanero.shared import unpacked

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


def hear(count: int, folder: Path, url: str, commits: Path) -> None:
    """Be so many who only hear of releases, until stdin ends."""
    notes = commits.open("ab", buffering=0)

    def wait(number: int) -> None:
        store = RedisStore(url, APP)
        hosts, box = Hosts(folder, APP, Keyring([KEY]), store), f"{folder.name}:{number}"
        store.send("ready", box.encode())
        while True:
            message = hosts.receive(box, 1.0)
            if message is not None:
                (data,) = store.read(str(message["epoch"]), int(message["place"]), 1)
                check_record(*unpacked(data), APP, Keyring([KEY]))
                notes.write(b"%d\n" % time.monotonic_ns())

    for number in range(count):
        threading.Thread(target=wait, args=(number,), daemon=True).start()
    sys.stdin.read()


@contextmanager
def others(count: int, place: Path, url: str, commits: Path, kind: str = "be") -> Iterator[None]:
    """Run so many hosts, or hearers, in other processes."""
    with ExitStack() as stack:
        for first in range(0, count, TOGETHER):
            folder = place / f"hosts{first}"
            folder.mkdir()
            words = [
                sys.executable,
                __file__,
                f"--{kind}",
                str(min(TOGETHER, count - first)),
                "--folder",
                folder,
            ]
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
            stack.callback(leader.close)
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


def heard(hearers: int, times: int) -> dict[str, object]:
    """Return the spread of some releases that so many hear of."""
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place, commits = Path(name), Path(name) / "commits"
        redis = RedisServer(place / "redis")
        stack.callback(redis.stop)
        redis.start()
        leader = host_at(place / "leader", redis.url, place / "own")
        mirror, peer = leader.members[0].worker.ledger, leader.peer(leader.members[0])
        assert isinstance(mirror, Mirror)
        hosts, store = mirror.hosts, mirror.hosts.shared
        commits.write_text("")
        stack.enter_context(others(hearers, place, redis.url, commits, "hear"))
        boxes: list[str] = []
        while len(boxes) < hearers:
            boxes += [found.decode()] if (found := store.receive("ready", 1.0)) else []
        while len(rows) < times + 2:
            report = peer.push({"shop": f"x = {len(rows) + 1}"})
            assert report.outcome == "live", report
            commits.write_text("")
            begun, message = time.monotonic_ns(), {"epoch": mirror.at()[0], "place": report.release}
            for box in boxes:
                hosts.send(box, message)
            wait_until(lambda: len(commits.read_text().split()) == hearers)
            rows.append(told([begun, *sorted(map(int, commits.read_text().split()))]))
        stack.callback(leader.close)
    return {"workers": hearers, **summary(rows[2:])}


def told(moments: list[int]) -> dict[str, float]:
    """Return how long after the first commit half of them had come, and the last, in ms."""
    half = moments[len(moments) // 2]
    return {name: (at - moments[0]) / 1e6 for name, at in (("half", half), ("last", moments[-1]))}


def wait_for(mirror: Mirror, hosts: int) -> None:
    """Wait until all are there, and run what we run."""
    wait_until(lambda: sum(b.epoch == mirror.at()[0] for b in mirror.hosts.roster().values()) >= hosts)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def main() -> None:
    """Measure each number of hosts, or be some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", default="2,12,48")
    parser.add_argument("--hearers", default="12,48,200")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--be", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--hear", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--commits", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.disable(logging.ERROR)  # of a machine that is full, many lines
    if given.be or given.hear:
        role = be if given.be else hear
        role(given.be or given.hear, given.folder, given.url, given.commits)
        return
    rows, hearing, at = [], [], machine()
    for hosts in map(int, given.hosts.split(",")):
        rows.append(measured(hosts, given.times))
        print(rows[-1], file=sys.stderr)
    for hearers in map(int, given.hearers.split(",")):
        hearing.append(heard(hearers, given.times))
        print(hearing[-1], file=sys.stderr)
    print(json.dumps({"machine": at, "rows": rows, "hearing": hearing}, indent=1))


if __name__ == "__main__":
    main()
