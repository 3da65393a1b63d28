"""One process of `engine.py`: starts a generated app, takes releases, and writes down what they took.

    python engine_worker.py JOB

A job and its result are JSON. The releases go through the engine's own calls, as a server's do.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask_habanero.live import program, startup
from flask_habanero.live.program import Program
from flask_habanero.source import Source
from flask_habanero.unit import build_unit
from generated_app import EDITS, TOP, edited_area, generate
from spread import summary

Job = dict[str, Any]
ROW = 1_000  # entries of a container: one that has more is not gone through for functions


def start(job: Job) -> Program:
    """Write the app, start it as a server does, and answer a request."""
    for path, text in generate(job["modules"], job["sets"]).items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    sys.path.insert(0, str(Path.cwd()))
    program.install()
    app = importlib.import_module(TOP).create_app()
    running = program.attach(app, (TOP,))
    startup.stop()
    running.warm()
    assert app.test_client().get("/grown/states").status_code == 200
    return running


def fill(job: Job) -> int:
    """Let the module that is edited hold many objects; return how many the collector knows in all."""
    kept, kinds = module_of(job, "helpers"), module_of(job, "models")
    wanted, gift = job["objects"], kinds.Gift
    if wanted:
        row = ROW if job["held"] == "nested" else wanted
        kept.STOCK = [list(entries(min(row, wanted - i), gift)) for i in range(0, wanted, row)]
    gc.collect()
    return len(gc.get_objects())


def entries(objects: int, gift: type) -> Iterator[dict[str, Any]]:
    """Yield so many objects, four in each entry: a dict, an object of the app's class, a list, a tuple."""
    for number in range(0, objects, 4):
        one = gift.__new__(gift)
        one.name, one.state = number, "open"
        yield {"order": one, "lines": [one], "key": (number, one)}


def module_of(job: Job, part: str) -> Any:
    """Return a module of the area that is edited."""
    return importlib.import_module(f"{edited_area(job['modules'])}.{part}")


class Releases:
    """Makes releases of edits, and measures each."""

    def __init__(self, running: Program, job: Job) -> None:
        self._running = running
        area = edited_area(job["modules"])
        self._base = {name: running.tree[f"{area}.{edit.part}"] for name, edit in EDITS.items()}

    def edited(self, name: str, number: int) -> dict[str, float]:
        """Release an edit; return the milliseconds of each stage."""
        base = self._base[name]
        return self._release(Source(base.name, base.path, base.package, EDITS[name].of(base.text, number)))

    def back(self, name: str) -> None:
        """Release what was there before an edit."""
        base = self._base[name]
        self._release(Source(base.name, base.path, base.package, base.text))

    def _release(self, source: Source) -> dict[str, float]:
        unit = build_unit(source)
        begun = time.perf_counter()
        plan = self._running.plan([unit], [])
        planned = time.perf_counter()
        assert not plan.reasons, plan.reasons
        self._running.stage(plan)
        staged = time.perf_counter()
        self._running.commit(plan)
        committed = time.perf_counter()
        return {
            "plan": (planned - begun) * 1000,
            "stage": (staged - planned) * 1000,
            "commit": (committed - staged) * 1000,
        }

    def lines(self, name: str) -> int:
        """Return how many lines the module has that is edited."""
        return self._base[name].text.count("\n")


def times(job: Job) -> Job:
    """Return what each edit takes, in turns: the first round apart, then the spread of the others."""
    running = start(job)
    known, releases = fill(job), Releases(running, job)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in EDITS}
    for number in range(1, job["rounds"] + 2):
        for name, found in rows.items():
            found.append(releases.edited(name, number))
            releases.back(name)
    return {
        "objects": known,
        "lines": {name: releases.lines(name) for name in EDITS},
        "first": {name: found[0] for name, found in rows.items()},
        "edits": {name: summary(found[1:]) for name, found in rows.items()},
    }


def memory(job: Job) -> Job:
    """Return the process's memory while it takes many releases, each of them new."""
    releases = Releases(start(job), job)
    names, rows = list(EDITS), []
    for number in range(job["releases"] + 1):
        if number % job["every"] == 0:
            rows.append([number, resident_mb()])
        name = names[number // 2 % len(names)]
        if number % 2:
            releases.back(name)
        else:
            releases.edited(name, number)
    return {"rss_mb": rows}


def resident_mb() -> float:
    """Return how much of the machine's memory the process has, in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps({"times": times, "memory": memory}[asked["measure"]](asked)))
