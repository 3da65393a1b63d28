"""How long a worker takes to come from the ledger to head, by the number of releases in it.

The releases are real ones, sealed and bundled, of one module of 200 lines; each start is a process of its
own, with nothing folded before. One JSON object on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

sys.path.insert(0, str(Path(__file__).parents[1]))  # the releases are made as the tests make them

from flask_habanero.ledger import Ledger

from tests.ledgers import APP, KEYS, NOW, TREE, author_at

LINES = "\n".join(f"def f{n}():\n    return {n}\n" for n in range(65))


def start(folder: Path) -> None:
    """Come to head as a worker that starts, and print what that took."""
    ledger = Ledger(folder, APP, KEYS)
    began = time.perf_counter()
    epoch, _ = ledger.open_epoch(TREE, None, NOW)
    ledger.state_at(epoch, ledger.head(epoch).number)
    ms = (time.perf_counter() - began) * 1000
    print(json.dumps([ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measured(folder: Path, times: int) -> dict[str, float]:
    """Return the medians of some starts."""
    words = [sys.executable, __file__, "--start", str(folder)]
    rows = [json.loads(subprocess.run(words, check=True, capture_output=True).stdout) for _ in range(times)]
    ms, mib = (statistics.median(column) for column in zip(*rows, strict=True))
    return {"start_ms": round(ms, 1), "most_mib": round(mib, 1)}


def grown(folder: Path, counts: list[int], times: int) -> list[dict[str, float]]:
    """Push until each count is reached, and measure there."""
    author, found = author_at(folder), []
    for count in sorted(counts):
        while author.number < count:
            author.push(shop=f"N = {author.number}\n{LINES}")
        size = (folder / "ledger.sqlite").stat().st_size / 2**20
        found.append({"releases": count, "ledger_mib": round(size, 1), **measured(folder, times)})
        print(found[-1], file=sys.stderr)
    return found


def main() -> None:
    """Measure, or be one start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="10,100,1000,20000")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--start", type=Path, help="be one start over this folder")
    given = parser.parse_args()
    if given.start:
        start(given.start)
        return
    with tempfile.TemporaryDirectory() as place:
        rows = grown(Path(place) / "store", [int(n) for n in given.counts.split(",")], given.times)
    print(json.dumps({**machine(), "load": os.getloadavg()[0], "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
