"""What Python itself imports as it starts, since `flask habanero run` put this folder first on its path.

Another `sitecustomize` that the path has is run, too, as if this one were not there.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path


def _start() -> None:
    from flask_habanero import coldstart

    coldstart.start(os.environ)


def _look_on() -> None:
    try:
        from flask_habanero.boot import STORE, finder, folder_in
    except ModuleNotFoundError:
        return  # another Python, which the app calls, and which does not have us
    folder = folder_in(os.environ.get(STORE, os.environ.get(f"FLASK_{STORE}", "")))
    if folder is not None:
        finder.begin(folder, _start)


def _run_the_other() -> None:
    here = Path(__file__).parent
    path = [entry for entry in sys.path if Path(entry or ".").resolve() != here.resolve()]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _look_on()
    _run_the_other()
