"""How long a release takes inside the engine, against the size of the app, of its modules, and of its heap.

    python benchmarks/engine.py                                       # all, as in docs/benchmarks.md
    python benchmarks/engine.py --modules 10 --objects --sets --releases 0    # one size, and nothing else

Each size is a process of its own, with a generated app. See README.md for what each number means.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import machine

MODULES = [10, 30, 100, 300, 1_000, 3_000]
SETS = [1, 2, 5, 10, 20, 40]  # of the definitions of a module: one is some 50 lines
OBJECTS = [100_000, 1_000_000, 10_000_000]
RELEASES = 10_000
POINTS = 20  # of memory, over the releases
HELD = ("table", "nested")
USUAL = 100  # modules of an app of which something else is measured
SMALL = 30  # of one that takes many releases

OBJECT_BYTES = 150  # what an object takes, generously
SPARE = 0.5  # of the memory that is to be had, not more than this share is asked for
AIMS = {"commit_ms": 1.0, "plan_ms": 10.0, "plan_lines": 1_000}

Result = dict[str, Any]


def in_a_process(**job: Any) -> Result:
    """Return the result of a job in a fresh process, in a folder of its own."""
    worker = Path(__file__).with_name("engine_worker.py")
    environ = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(worker), json.dumps(job)],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    result: Result = json.loads(done.stdout)
    return result


def times(modules: int, rounds: int, *, sets: int = 1, objects: int = 0, held: str = "table") -> Result:
    """Return what the edits take in one size of app."""
    size = {"modules": modules, "sets": sets, "objects": objects, "held": held}
    found = in_a_process(measure="times", rounds=rounds, **size)
    row = {**size, **found}
    show(row)
    return row


def heap(objects: list[int], modules: int, rounds: int) -> Result:
    """Return what the edits take beside many objects; those that do not fit into memory are left out."""
    fits = [count for count in objects if count * OBJECT_BYTES < available_bytes() * SPARE]
    rows = [times(modules, rounds, objects=count, held=held) for held in HELD for count in fits]
    return {"rows": rows, "left_out": [count for count in objects if count not in fits]}


def available_bytes() -> int:
    """Return how much memory a new process may take, as the kernel guesses it."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    fields = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    return int(fields["MemAvailable"].split()[0]) * 1024


def memory(releases: int) -> Result:
    """Return the memory of a process that takes many releases."""
    every = max(releases // POINTS, 1)
    found = in_a_process(measure="memory", modules=SMALL, sets=1, releases=releases, every=every)
    print("memory: " + ", ".join(f"{number}: {mb} MiB" for number, mb in found["rss_mb"]))
    return {"releases": releases, **found}


def show(row: Result) -> None:
    """Print what one size takes."""
    held = f"{row['objects']:,} objects" + (f" ({row['held']})" if row["held"] == "nested" else "")
    print(f"{row['modules']:,} modules, {row['lines']['function']} lines in one, {held}")
    for name, found in row["edits"].items():
        medians = ", ".join(f"{stage} {values['median']:.2f}" for stage, values in found.items())
        first = row["first"][name]
        print(f"  {name:<9} {medians} ms; at first plan {first['plan']:.0f}, commit {first['commit']:.2f}")


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=15, help="rounds")
    parser.add_argument("--modules", type=int, nargs="*", default=MODULES, help="sizes of the app")
    parser.add_argument("--sets", type=int, nargs="*", default=SETS, help="sizes of a module")
    parser.add_argument("--objects", type=int, nargs="*", default=OBJECTS, help="sizes of the heap")
    parser.add_argument("--usual", type=int, default=USUAL, help="modules of an app with other sizes")
    parser.add_argument("--releases", type=int, default=RELEASES, help="in one process; 0 for none")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    options = parser.parse_args()
    results = {
        "machine": machine(),
        "aims": AIMS,
        "modules": [times(modules, options.n) for modules in options.modules],
        "lines": [times(options.usual, options.n, sets=sets) for sets in options.sets],
        "heap": heap(options.objects, options.usual, options.n),
        "memory": memory(options.releases) if options.releases else None,
    }
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
