"""The live functions of a definition are found by counting, also after releases: no heap is walked."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.live.started import run

SCRIPT = """
import gc
gc.collect()  # what the start left behind, unreachable and not collected yet, refers to code, too
kept = []
walk = functions._walk_heap
functions._walk_heap = lambda modules: print("walked") or walk(modules)
text = open("app.py").read()
for number in range(1, 4):
    text = text.replace(f"return {number - 1}", f"return {number}") + "\\n"
    plan = planned("\\n" * number + text)
    assert not plan.reasons, plan.reasons
    kept += [plan, running.commit(plan)]
    print(app.app.test_client().get("/").text, app.made())
"""
APP = """\
import functools
from flask import Flask
app = Flask(__name__)
def shown(view):
    @functools.wraps(view)
    def wrapper():
        return f"<{view()}>"
    return wrapper
def make():
    def inner():
        return 0
    return inner
made = make()
@app.route("/")
@shown
def index():
    return 0
class Page:
    def get(self):
        return 0
"""


def test_releases_walk_no_heap_for_functions_that_namespaces_lead_to(tmp_path: Path) -> None:
    lines = run(tmp_path, APP, SCRIPT).splitlines()
    if sys.version_info < (3, 12) and lines[0] == "walked":
        del lines[0]  # what recorded the start there still refers to code that ran
    assert lines == [f"<{number}> {number}" for number in (1, 2, 3)]
