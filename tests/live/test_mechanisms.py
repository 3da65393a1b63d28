"""How a plan is done, in words: those of the steps that a commit would run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask_habanero.live import mechanisms as said

from tests.live.started import run

APP = """\
import functools
from flask import Flask

app = Flask(__name__)
RATE = 1
TWICE = 2 * RATE


def price(count=1):
    return count * RATE


@functools.lru_cache
def cached():
    return price()


@app.get("/")
def index():
    return str(price())


class Order:
    mood = "good"

    def total(self):
        return 1


def helper():
    return 1
"""
EDITS = {
    "body": ("return count * RATE", "return count + RATE"),
    "header": ("count=1", "count=2"),
    "route": ('app.get("/")', 'app.post("/")'),
    "member": ('    mood = "good"', '    mood = "bad"'),
    "method": ("        return 1\n\n\ndef helper", "        return 2\n\n\ndef helper"),
    "constant": ("RATE = 1", "RATE = 3"),
    "new": ("def helper", "EXTRA = 7\n\n\ndef helper"),
    "new view": ("def helper", '@app.get("/new")\ndef new():\n    return "new"\n\n\ndef helper'),
    "gone": ("\n\ndef helper():\n    return 1\n", ""),
    "bases": ("class Order:", "class Order(dict):"),
    "none": ("APP", "APP"),
}
SCRIPT = """
from flask_habanero.live.mechanisms import mechanisms
edits = json.loads(sys.stdin.read())
text = running.tree["app"].text
told = {}
for name, (old, new) in edits.items():
    plan = planned(text.replace(old, new))
    assert not plan.reasons, (name, plan.reasons)
    told[name] = mechanisms(plan)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    folder: Path = tmp_path_factory.mktemp("app")
    return json.loads(run(folder, APP, SCRIPT, json.dumps(EDITS)))


@pytest.mark.parametrize(
    ("edit", "lines"),
    [
        ("body", [f"price: {said.BODY}"]),
        ("header", [f"price: {said.HEADER}"]),
        ("route", [f"index: {said.DECORATORS}"]),
        ("method", [f"Order.total: {said.BODY}"]),
        ("constant", [f"RATE: {said.ANEW}", f"TWICE: {said.AGAIN}"]),
        ("new", [f"EXTRA: {said.ONCE}"]),
        ("new view", [f"new: {said.REGISTERS}"]),
        ("gone", [f"helper: {said.GONE}"]),
        ("bases", [f"Order: {said.REMADE}"]),
        ("none", []),
    ],
)
def test_each_step_says_how_it_is_done(
    told: dict[str, dict[str, list[str]]], edit: str, lines: list[str]
) -> None:
    assert told[edit].get("app.py", []) == lines


def test_members_are_exchanged_in_the_class_that_there_is(told: dict[str, dict[str, list[str]]]) -> None:
    assert {line.partition(": ")[2] for line in told["member"]["app.py"]} == {said.MEMBERS}


def test_memos_of_what_changes_are_told_once(told: dict[str, dict[str, list[str]]]) -> None:
    assert told["body"][""] == [said.MEMOS]
    assert "" not in told["new"]


ASSETS = """
from flask_habanero.asset import Asset
from flask_habanero.live.mechanisms import mechanisms
running.overlay.begin(running.overlay.disk)
disk = running.overlay.disk
changed = [Asset.of(name, b"changed") for name in disk if "old" in name]
new = [Asset.of(name, b"new") for name in ("templates/new.html", "static/new.css")]
print(json.dumps(mechanisms(running.plan([], [], {one.name: one for one in (*changed, *new)}))))
"""


def test_templates_and_static_files_run_nothing(tmp_path: Path) -> None:
    for name in ("templates/old.html", "templates/gone.html", "static/old.css", "static/gone.css"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    words = {"old": "~", "new": "+", "gone": "-"}
    files = {"template": "templates/{}.html", "static": "static/{}.css"}
    assert json.loads(run(tmp_path, APP, ASSETS)) == {
        path.format(name): [f"{kind}: {said.ASSETS[sign + kind]}"]
        for kind, path in files.items()
        for name, sign in words.items()
    }
