"""Star imports that bring the same names, beside definitions and each other: the last one counts.

Four modules of few names, written and edited at random; each state is compared with a cold start.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tests.properties.generated import Sequence
from tests.properties.processes import Sources

NAMES = ("alpha", "beta", "GAMMA", "_delta", "json")
RELEASES = 3
APP = f"""
def seen():
    there = {{n: globals()[n] for n in {NAMES[:-1]} if n in globals()}}
    return " ".join(f"{{n}}={{one() if callable(one) else one}}" for n, one in there.items())

@app.route("/")
def index():
    return seen()
"""


def _binder(r: random.Random, name: str, module: str) -> str:
    if name == "json":
        return r.choice(["import json", "from flask import json", "json = 3"])
    if name == "GAMMA":
        return r.choice([f"GAMMA = {r.randrange(4)}", f"GAMMA = [{r.randrange(3)}]"])
    function = f"def {name}(x={r.randrange(3)}): return '{module}{name}{r.randrange(4)}'"
    return r.choice([function, function, f"{name} = '{module}{r.randrange(3)}'"])


def _module(r: random.Random, module: str) -> list[str]:
    there = [name for name in NAMES if r.random() < 0.55]
    r.shuffle(there)
    lines = [_binder(r, name, module) for name in there]
    listed = [name for name in there if r.random() < 0.6]
    return [*lines, f"__all__ = {listed}"] if r.random() < 0.2 else lines


def _app(r: random.Random) -> list[str]:
    lines = [f"from {module} import *" for module in "abc" if r.random() < 0.75]
    lines += ["import a"] if r.random() < 0.4 else []
    lines += [_binder(r, name, "app") for name in NAMES if r.random() < 0.2]
    r.shuffle(lines)
    return ["from flask import Flask", *lines, "app = Flask(__name__)", APP]


def _edited(r: random.Random, module: str, lines: list[str]) -> list[str]:
    if module == "app":
        return _app(r)
    kind = r.randrange(3)
    if kind == 0:
        return _module(r, module)
    at = r.randrange(len(lines) + 1)
    if kind == 1:
        return lines[:at] + lines[at + 1 :]
    return [*lines[:at], _binder(r, r.choice(NAMES), module), *lines[at:]]


def sequence(seed: int) -> Sequence:
    """Return what a seed stands for."""
    r = random.Random(seed)
    modules = {"a": _module(r, "a"), "b": _module(r, "b"), "c": _module(r, "c"), "app": _app(r)}
    trees: list[Sources] = [_sources(modules)]
    for _ in range(RELEASES):
        module = r.choice(sorted(modules))
        modules = {**modules, module: _edited(r, module, modules[module])}
        trees.append(_sources(modules))
    return Sequence("app:app", [*trees, trees[0]], ["by hand"] * RELEASES)


def _sources(modules: dict[str, list[str]]) -> Sources:
    return {f"{module}.py": "\n".join(lines) + "\n" for module, lines in modules.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 1_000), marks=pytest.mark.long)], ids=["some", "many"]
)
@pytest.mark.timeout(1_800)  # some seconds for some, minutes for many
def test_no_star_import_is_silently_wrong(bench: Any, seeds: range) -> None:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        verdict = bench.judge(sequence(seed))
        assert not verdict.bad, (seed, verdict)
        outcomes.update(verdict.outcomes)
    assert outcomes["live"] > len(seeds), outcomes
