"""Objects of a class that changes stay, with what they have become, where making them read nothing of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.started import run

pytestmark = pytest.mark.slow

SCRIPT = """
app.shelf.things.append("put by a request")
before = id(app.shelf)
plan = planned(sys.stdin.read())
if not plan.reasons:
    running.commit(plan)
shown = getattr(app.shelf, "sorted_things", None)
print(json.dumps({
    "codes": [reason.code for reason in plan.reasons],
    "same": id(app.shelf) == before,
    "things": app.shelf.things,
    "shows": str(shown() if callable(shown) else shown),
}))
"""
APP = """\
from flask import Flask
{head}
app = Flask(__name__)
class Shelf({base}):
    def __init__(self):
        self.things = []
        {init}
    {old}
{made}
{after}
"""
NEW = "def sorted_things(self): return sorted(self.things)"


def edit(tmp_path: Path, new: str, **parts: str) -> Any:
    """Start an app, put something on its shelf, release an edit of the class; return what became of it."""
    usual = {"head": "", "base": "object", "init": "", "old": "pass", "made": "shelf = Shelf()", "after": ""}
    before, after = (APP.format(**usual | parts | more) for more in ({}, {"old": new}))
    return json.loads(run(tmp_path, before, SCRIPT, after))


STAY: dict[str, dict[str, str]] = {
    "made at the top": {},
    "a method that others' code has, too": {"new": f"{NEW}\n    def update(self): pass"},
    "a private method, and a docstring": {"new": f"'Things.'\n    def __tidy(self): pass\n    {NEW}"},
    "made in an if": {"made": "if True:\n    shelf = Shelf()"},
    "of another class of the app": {"head": "class Base:\n    pass", "base": "Base"},
    "used at the start": {"after": "shelf.things.append('at the start')"},
}
GO: dict[str, dict[str, str]] = {
    "its constructor reads the member": {
        "old": "def sorted_things(self): return 1",
        "init": "self.size = self.sorted_things",
        "new": f"@property\n    {NEW}",
    },
    "it asks whether there is one": {"init": "self.can = hasattr(self, 'sorted_things')"},
    "it lists its members": {"init": "self.all = dir(self)"},
    "a statement lists them": {"after": "ALL = dir(shelf)"},
    "a statement asks": {"after": "CAN = getattr(shelf, 'sorted_things', None)"},
    "a class answers for all": {
        "head": "class Base:\n    def __getattr__(self, name): raise AttributeError",
        "base": "Base",
    },
    "others read it in vain": {
        "head": "import selectors",
        "after": "try: selectors.SelectSelector().register(shelf, 1)\nexcept ValueError: pass",
        "new": f"{NEW}\n    def fileno(self): return 0",
    },
    "others ask whether there is one": {
        "head": "from http.client import HTTPConnection",
        "after": "SIZE = HTTPConnection._get_content_length(shelf, 'POST')",
        "new": f"{NEW}\n    def read(self): return b''",
    },
}
if sys.version_info >= (3, 12):  # the record of the start has which functions of others ran
    STAY["made by a function"] = {"made": "def make():\n    return Shelf()\nshelf = make()"}
    STAY["given to a function of the app"] = {"after": "def keep(it): app.kept = it\nkeep(shelf)"}
    STAY["kept by the app"] = {"after": "app.extensions['shelf'] = shelf"}
    STAY["of a class of others"] = {
        "head": "import threading",
        "base": "threading.Event",
        "init": "super().__init__()",
    }
    STAY["others hold it, and ask for nothing"] = {
        "after": "import atexit; atexit.register(list, [shelf])",
        "new": f"{NEW}\n    def append(self): pass",
    }
    STAY["a method that others' code calls, too, goes"] = {
        "old": "def strip(self, thing=1): pass",
        "after": "import atexit; atexit.register(list, [shelf])",
    }
    STAY["a method that nobody called gets another default"] = {
        "old": "def strip(self, thing=1): pass",
        "after": "import atexit; atexit.register(list, [shelf])",
        "new": f"def strip(self, thing=2): pass\n    {NEW}",
    }


@pytest.mark.parametrize("name", STAY)
def test_it_stays_with_its_state(tmp_path, name):
    parts = dict(STAY[name])
    found = edit(tmp_path, parts.pop("new", NEW), **parts)
    assert (found["codes"], found["same"]) == ([], True)
    assert "put by a request" in found["things"]
    assert "put by a request" in found["shows"]


@pytest.mark.parametrize("name", GO)
def test_it_does_not_stay(tmp_path, name):
    parts = dict(GO[name])
    found = edit(tmp_path, parts.pop("new", NEW), **parts)
    assert found["codes"] or not found["same"]
