"""Draws the pictures of docs/benchmarks.md: how plans and commits grow, and how a fleet converges.

pip install matplotlib && python benchmarks/plot.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
COLORS = {"function": "tab:blue", "constant": "tab:orange", "method": "tab:green"}
Row = dict[str, Any]


def panel(axes: Axes, title: str, rows: list[Row], size: Callable[[Row], int]) -> None:
    """Draw what each edit takes against one size: the plan solid, the commit dashed."""
    for edit, color in COLORS.items():
        for stage, style in (("plan", "-"), ("commit", "--")):
            points = [(size(row), row["edits"][edit][stage]["median"]) for row in rows]
            axes.plot(*zip(*points, strict=True), style, marker=".", color=color, label=f"{edit}, {stage}")
    axes.set(xscale="log", yscale="log", xlabel=title)
    axes.grid(visible=True, alpha=0.3)


def engine() -> None:
    """Draw what plans and commits take."""
    result = json.loads((HERE / "results" / "engine.json").read_text())
    figure, (modules, lines, heap) = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True, layout="constrained")
    panel(modules, "modules of the app", result["modules"], lambda row: row["modules"])
    panel(lines, "lines of the module", result["lines"], lambda row: row["lines"]["function"])
    objects = [row for row in result["heap"]["rows"] if row["held"] == "table"]
    panel(heap, "objects beside it", objects, lambda row: row["objects"])
    modules.set_ylabel("ms")
    heap.legend(fontsize="x-small")
    figure.savefig(DOCS / "engine.svg", metadata={"Date": None})


def fan_out(name: str, what: str) -> None:
    """Draw how long after the first worker, or host, the last one has a release, by their number."""
    rows = json.loads((HERE / "results" / f"{name}.json").read_text())["rows"]
    figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    workers = [row["workers"] for row in rows]
    for part, words in (("last", f"the last {what}"), ("half", f"half of the {what}s")):
        least, median, most = ([row[part][key] for row in rows] for key in ("min", "median", "max"))
        (line,) = axes.plot(workers, median, marker=".", label=words)
        axes.fill_between(workers, least, most, color=line.get_color(), alpha=0.15)
    linear = [rows[0]["last"]["median"] * count / workers[0] for count in workers]
    axes.plot(workers, linear, ":", color="gray", label=f"in proportion to the {what}s")
    axes.set(
        xscale="log", yscale="log", xlabel=f"{what}s", ylabel="ms after the first commit", xticks=workers
    )
    axes.set_xticklabels(map(str, workers))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="x-small")
    figure.savefig(DOCS / f"{name}.svg", metadata={"Date": None})


def main() -> None:
    """Draw both."""
    mpl.rcParams["svg.hashsalt"] = "flask-habanero"  # the same numbers give the same file
    engine()
    fan_out("fan_out", "worker")
    fan_out("fan_out_redis", "host")


if __name__ == "__main__":
    main()
