"""Random edits of random apps: live means equal to a cold start, anything else means exactly as before.

A slice of what `python -m tests.properties.generated --count 2000 --seed 0` runs in full.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.properties.generated import Sequence, sequence
from tests.properties.processes import Farm, hot_imports

SEEDS = range(200, 230)


@pytest.mark.slow
@pytest.mark.timeout(300)  # some 15 s on two idle cores; the rest is for busy ones
def test_no_sequence_of_edits_is_silently_wrong(bench):
    outcomes: Counter[str] = Counter()
    for seed in SEEDS:
        verdict = bench.judge(sequence(seed))
        assert not verdict.bad, (
            f"seed {seed}, release {verdict.at}: {verdict.bad} {verdict.steps} {verdict.differences[:5]}"
        )
        outcomes.update(verdict.outcomes)
    assert outcomes["live"] > len(SEEDS), outcomes  # a slice in which nothing happened would prove nothing


def _forgetful() -> None:
    """Let the engine forget to run statements."""
    hot_imports()
    from flask_habanero.live import steps

    steps.Run.apply = lambda self: lambda: None


def _half_way() -> None:
    """Let the engine leave what it did when a step raises."""
    hot_imports()
    from flask_habanero.live import commit

    commit._undo = lambda done: None


def _pair(old: str, new: str) -> Sequence:
    head = "from flask import Flask\napp = Flask(__name__)\n"
    files = [{"app.py": head + text} for text in (old, new)]
    return Sequence("app:app", files, ["by hand"])


@pytest.mark.parametrize(
    ("sabotage", "old", "new", "bad"),
    [
        (_forgetful, "X = 1\n", "X = 2\n", "WRONG"),
        (_half_way, "X = 1\nY = 1\n", "X = 2\nY = [][X]\n", "DIRTY"),
        (hot_imports, "X = 1\nY = 1\n", "X = 2\nY = [][X]\n", ""),
        (hot_imports, "X = 1\n", "X = 2\n", ""),
    ],
)
def test_an_engine_that_breaks_its_word_is_found_out(bench, sabotage, old, new, bad):
    broken = Farm(sabotage)
    kept, bench.hots = bench.hots, broken
    try:
        assert bench.judge(_pair(old, new)).bad == bad
    finally:
        bench.hots = kept
        broken.close()
