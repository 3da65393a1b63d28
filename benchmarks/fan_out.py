"""How long after the worker that leads has committed a release the last of so many workers has, too.

One gunicorn after the other, with sync workers forked from a preloaded app, of which each has served; one
line of one function is pushed again and again. Each worker notes the moment at which its commit was
through, by the clock that all processes of a machine share. One JSON object on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests
from machine import machine
from spread import summary

sys.path.insert(0, str(Path(__file__).parents[1]))  # the releases are sealed as the tests seal them

from flask_habanero.envelope import Key, new_secret

from tests.e2e.conftest import NO_CONTROL_SOCKET, accepts, free_port, over_http, program
from tests.peer import PATH, Peer

APP = """\
import os
import time

import noting
from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    time.sleep(0.02)
    return {"pid": os.getpid(), "text": text()}


def text():
    return 0
"""
NOTING = """\
import os
import time

from flask_habanero.live.program import Program

file = os.open("commits", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
before = Program.commit


def commit(self, plan):
    undo = before(self, plan)
    os.write(file, b"%d %d\\n" % (os.getpid(), time.monotonic_ns()))
    return undo


Program.commit = commit
"""
ASKING = 16  # at once, until every worker has served


@contextmanager
def serving(folder: Path, workers: int) -> Iterator[tuple[Peer, str]]:
    """Run gunicorn with so many workers, each of which has served; yield who pushes, and the address."""
    (folder / "app.py").write_text(APP)
    (folder / "noting.py").write_text(NOTING)
    port, secret = free_port(), new_secret("bench")
    words = [program("gunicorn"), "-w", str(workers), "--preload", "-b", f"127.0.0.1:{port}"]
    environ = {**os.environ, "HABANERO_SECRET": secret}
    with (folder / "log").open("wb") as log:
        command = [*words, "--timeout", "120", *NO_CONTROL_SOCKET, "app:app"]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        while not accepts(port):
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}"
        wake(url, workers)
        yield Peer(Key.parse(secret), over_http(url + PATH)), url
    finally:
        process.terminate()
        process.wait(60)


def wake(url: str, workers: int) -> None:
    """Ask until each worker has answered."""
    seen: set[int] = set()
    with ThreadPoolExecutor(ASKING) as pool:
        while len(seen) < workers:
            seen |= set(pool.map(lambda _: requests.get(url, timeout=60).json()["pid"], range(ASKING)))


def measured(workers: int, times: int) -> dict[str, object]:
    """Return the spread of some releases over so many workers."""
    rows = []
    with tempfile.TemporaryDirectory() as place, serving(Path(place), workers) as (peer, _url):
        number = 0
        while len(rows) < times + 2:
            number += 1
            (Path(place) / "commits").write_text("")
            report = peer.push({"app": APP.replace("return 0", f"return {number}")})
            if (report.outcome, report.workers.at_head) != ("live", workers):
                print(report, file=sys.stderr)  # a machine that is too busy for a push in time
                continue
            notes = [line.split() for line in (Path(place) / "commits").read_text().splitlines()]
            moments = sorted(int(when) for _, when in notes)
            assert len({pid for pid, _ in notes}) == workers == len(moments)
            half = moments[len(moments) // 2]
            told = {name: (at - moments[0]) / 1e6 for name, at in (("half", half), ("last", moments[-1]))}
            rows.append(told | {name: report.ms[name] for name in ("prepare", "quiesce", "total")})
    return {"workers": workers, **summary(rows[2:])}  # the first ones warm it up


def main() -> None:
    """Measure each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="2,8,32,100")
    parser.add_argument("--times", type=int, default=30)
    given, rows, at = parser.parse_args(), [], machine()
    for workers in map(int, given.workers.split(",")):
        rows.append(measured(workers, given.times))
        print(rows[-1], file=sys.stderr)
    print(json.dumps({"machine": at, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
