"""How long a worker takes to come from the ledger to head, by the number of releases in it.

The releases are real ones, sealed and bundled, of one module of 200 lines, and checkpoints are kept as
workers keep them; each start is a process of its own, with nothing folded before, once with the
checkpoints and once reading all records. One JSON object on stdout.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

sys.path.insert(0, str(Path(__file__).parents[1]))  # the releases are made as the tests make them

from flask_habanero import replay
from flask_habanero.checkpoint import EVERY
from flask_habanero.ledger import Ledger

from tests.ledgers import APP, KEYS, NOW, TREE, author_at

LINES = "\n".join(f"def f{n}():\n    return {n}\n" for n in range(65))


def start(folder: Path, whole: bool) -> None:
    """Come to head as a worker that starts, and print what that took, by its parts."""
    if whole:
        replay.checkpoints = lambda *_: []  # as it was before there were any
    ledger, took = Ledger(folder, APP, KEYS), []
    began = time.perf_counter()
    epoch, _ = ledger.open_epoch(TREE, None, NOW)
    took.append(time.perf_counter() - began)
    head = ledger.head(epoch)
    ledger.state_at(epoch, head.number)
    took.insert(0, time.perf_counter() - began)
    for ask in (ledger.sweep, lambda: ledger.by_nonce(head.nonce), lambda: ledger.head(epoch)):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    print(json.dumps([*(s * 1000 for s in took), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measured(folder: Path, times: int, whole: bool) -> list[float]:
    """Return the medians of some starts: all, open_epoch, sweep, by_nonce, head, MiB."""
    words = [sys.executable, __file__, "--start", str(folder), *(["--whole"] if whole else [])]
    rows = [json.loads(subprocess.run(words, check=True, capture_output=True).stdout) for _ in range(times)]
    return [round(statistics.median(column), 2) for column in zip(*rows, strict=True)]


def grown(folder: Path, counts: list[int], times: int) -> list[dict[str, float]]:
    """Push until each count is reached, and measure there."""
    author, found, keeping = author_at(folder), [], [0.0]
    for count in sorted(counts):
        while author.number < count:
            author.push(shop=f"N = {author.number}\n{LINES}")
            if author.number % EVERY == 0:
                began = time.perf_counter()
                author.ledger.keep_checkpoint(author.epoch)
                keeping.append((time.perf_counter() - began) * 1000)
        size = (folder / "ledger.sqlite").stat().st_size / 2**20
        row: dict[str, float] = {"releases": count, "ledger_mib": round(size, 1)}
        parts = ("start_ms", "open_epoch_ms", "sweep_ms", "by_nonce_ms", "head_ms", "most_mib")
        row |= zip(parts, measured(folder, times, whole=False), strict=True)
        row["all_records_ms"] = measured(folder, times if count < 5000 else 1, whole=True)[0]
        row["keeping_ms"] = round(statistics.median(keeping[1:] or keeping), 1)
        found.append(row)
        print(row, file=sys.stderr)
    return found


def main() -> None:
    """Measure, or be one start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="10,100,1000,20000")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--start", type=Path, help="be one start over this folder")
    parser.add_argument("--whole", action="store_true", help="and read all records")
    given = parser.parse_args()
    if given.start:
        start(given.start, given.whole)
        return
    at = machine()
    with tempfile.TemporaryDirectory() as place:
        rows = grown(Path(place) / "store", [int(n) for n in given.counts.split(",")], given.times)
    print(json.dumps({"machine": at, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
