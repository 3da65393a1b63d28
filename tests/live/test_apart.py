"""What of a cold change is told as hot alone: all that is, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.started import run

APP = """\
import rates
from flask import Flask

app = Flask(__name__)


class Slotted:
    __slots__ = ("one",)


KEPT = Slotted()


class Other:
    __slots__ = ("one",)


ALSO = Other()


@app.get("/")
def index():
    return "one"


@app.get("/gone")
def gone():
    return "gone"


open("asked", "a").close()
TAKEN = rates.ask(1)


def last():
    return 1
"""
RATES = """\
import random


def ask(n):
    return random.random() + n


def helper():
    return 1
"""
COLD = ('class Slotted:\n    __slots__ = ("one",)', 'class Slotted:\n    __slots__ = ("one", "two", "three")')
TALLER = (COLD[0], COLD[1].replace(", ", ",\n        "))
ALSO_COLD = ('class Other:\n    __slots__ = ("one",)', 'class Other:\n    __slots__ = ("one", "two")')
VIEW = ('return "one"', 'return "two"')
NEW = ("def last", '@app.get("/new")\ndef new():\n    return "new"\n\n\ndef last')
REMOVED = ('open("asked", "a").close()\n', "")
ASK = ("random.random() + n", "random.random() - n")
HELPER = ("def helper():\n    return 1", "def helper():\n    return 2")
EARLY = ("def last", "EARLY = BELOW\n\n\ndef last")
BELOW = ("    return 1\n", "    return 1\n\n\nBELOW = 2\n")
EDITS: dict[str, dict[str, list[tuple[str, str]]]] = {
    "one cold": {"app": [COLD, VIEW]},
    "two cold": {"app": [COLD, ALSO_COLD, VIEW, NEW]},
    "cold alone": {"app": [COLD]},
    "longer": {"app": [TALLER, ALSO_COLD, VIEW]},
    "removed": {"app": [REMOVED, VIEW]},
    "hidden": {"app": [REMOVED, VIEW, EARLY, BELOW]},
    "where nothing changes": {"rates": [ASK, HELPER], "app": [VIEW]},
    "moved": {"app": [COLD, ("KEPT = Slotted()\n", ""), ("def last", "KEPT = Slotted()\n\n\ndef last")]},
    "a module that comes": {"app": [COLD, VIEW], "more": [("", "x = 1\n")]},
}
SCRIPT = """
from flask_habanero.apart import hot_apart
from flask_habanero.change import Change
from flask_habanero.errors import ColdChangeError
from flask_habanero.moves import foresee

told = {}
for name, edits in json.loads(sys.stdin.read()).items():
    tree = dict(running.tree)
    for module, changes in edits.items():
        text = tree[module].text if module in tree else ""
        for old, new in changes:
            assert old in text, (module, old)
            text = text.replace(old, new) if old else new
        tree[module] = Source(module, f"{module}.py", package=False, text=text)
    before = dict(sys.modules), dict(vars(app))
    change = Change(tree, {}, "")
    try:
        foresee(running, change)
    except ColdChangeError as cold:
        told[name] = [[r.where for r in cold.reasons], hot_apart(running, change, cold.reasons)]
    assert (dict(sys.modules), dict(vars(app))) == before
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("app")
    return json.loads(run(folder, APP, SCRIPT, json.dumps(EDITS), {"rates": RATES}))


@pytest.mark.parametrize(
    ("edit", "steps", "without"),
    [
        ("one cold", ["app.py: ~index"], ["app.py: ~Slotted"]),
        ("two cold", ["app.py: ~index +new"], ["app.py: ~Slotted", "app.py: ~Other"]),
        ("longer", ["app.py: ~index"], ["app.py: ~Slotted", "app.py: ~Other"]),
        ("removed", ["app.py: ~index"], ["app.py: -open('asked', 'a').close()"]),
        ("where nothing changes", ["app.py: ~index", "rates.py: ~helper"], ["rates.py: ~ask"]),
        ("a module that comes", ["app.py: ~index", "more.py: new module"], ["app.py: ~Slotted"]),
    ],
)
def test_what_is_hot_alone_is_told_and_without_what(
    told: dict[str, Any], edit: str, steps: list[str], without: list[str]
) -> None:
    _, apart = told[edit]
    assert (sorted(apart["steps"]), apart["without"]) == (steps, without)
    assert set(apart["how"]) == {step.partition(":")[0] for step in steps}
    assert apart["reasons"] == []


@pytest.mark.parametrize("edit", ["cold alone", "moved"])
def test_nothing_is_told_where_nothing_is_left_or_it_cant_be_taken_apart(
    told: dict[str, Any], edit: str
) -> None:
    places, apart = told[edit]
    assert places
    assert apart is None


def test_what_was_hidden_behind_another_reason_is_told_at_its_line(told: dict[str, Any]) -> None:
    text = APP
    for old, new in EDITS["hidden"]["app"]:
        text = text.replace(old, new)
    _, apart = told["hidden"]
    assert apart["steps"] == ["app.py: ~index +BELOW"]
    assert apart["without"] == ["app.py: -open('asked', 'a').close()", "app.py: +EARLY"]
    lines = text.split("\n")
    assert [reason["where"] for reason in apart["reasons"]] == [f"app:{lines.index('EARLY = BELOW') + 1}"]
