"""Draws docs/engine.svg from `results/engine.json`: how plans and commits grow.

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
PICTURE = HERE.parent / "docs" / "engine.svg"
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


def main() -> None:
    """Draw all panels."""
    mpl.rcParams["svg.hashsalt"] = "flask-habanero"  # the same numbers give the same file
    result = json.loads((HERE / "results" / "engine.json").read_text())
    figure, (modules, lines, heap) = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True, layout="constrained")
    panel(modules, "modules of the app", result["modules"], lambda row: row["modules"])
    panel(lines, "lines of the module", result["lines"], lambda row: row["lines"]["function"])
    objects = [row for row in result["heap"]["rows"] if row["held"] == "table"]
    panel(heap, "objects beside it", objects, lambda row: row["objects"])
    modules.set_ylabel("ms")
    heap.legend(fontsize="x-small")
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
