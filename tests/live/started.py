"""An app that is started in a process of its own, as a server starts it, and takes releases from a script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = """\
import importlib, json, sys
sys.path.insert(0, "")
from flask_habanero.live import functions, program, startup
from flask_habanero.source import Source
from flask_habanero.unit import build_unit
program.install()
import flask_habanero.live.planner  # as a server may: while the start is recorded
app = importlib.import_module("app")
running = program.attach(app.app, ("app", *OTHERS))
startup.stop()

def planned(text):
    return running.plan([build_unit(Source("app", "app.py", package=False, text=text))], [])
"""


def run(folder: Path, app: str, script: str, given: str = "", others: Mapping[str, str] | None = None) -> str:
    """Start an app, then run a script that knows it as `app`; return what it prints.

    Args:
        folder: for the files.
        app: text of the module `app`.
        script: has `app`, `running` (the program), `planned(text)`, and what START imports.
        given: its standard input.
        others: module -> text, of others that are the app's own, too.
    """
    others = others or {}
    for name, text in {"app": app, **others}.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "check.py").write_text(f"OTHERS = {sorted(others)}\n{START}{script}")
    done = subprocess.run(
        [sys.executable, "check.py"],
        input=given,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
