"""The apps that are measured: the sample app, and one larger that is published on PyPI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

WRAPPER = """\
import os

from ihatemoney.run import create_app

from flask_habanero import Habanero


def name_worker(response):
    response.headers["X-Worker"] = str(os.getpid())
    return response


app = create_app()
app.after_request(name_worker)
Habanero(app)
"""


@dataclass(frozen=True)
class App:
    """An app in a folder, and one edit of it.

    Attributes:
        python: the interpreter that has what it needs.
        sources: folder that is copied to server and laptop.
        file: what is edited, below that folder.
        old: text in it.
        new: what stands in its place, with ``{}`` for the number of the edit.
        path: page that shows it.
        shown: how, in headers or body.
    """

    name: str
    python: Path
    sources: Path
    file: str
    old: str
    new: str
    path: str
    shown: str

    @property
    def lines(self) -> dict[str, int]:
        """Lines of Python: of the whole app, and of the file that is edited."""
        files = [f for f in self.sources.rglob("*.py") if "tests" not in f.parts]
        return {"app": sum(map(count, files)), "file": count(self.sources / self.file)}


def count(path: Path) -> int:
    """Return how many lines a file has."""
    return len(path.read_text("utf-8").splitlines())


def sample(_work: Path) -> App:
    """Return the sample app."""
    return App(
        name="sample_app",
        python=Path(sys.executable),
        sources=ROOT / "sample_app",
        file="shop/views.py",
        old='title="The Pepper Shop"',
        new='title="Peppers {}"',
        path="/",
        shown="<h1>Peppers {}</h1>",
    )


def published(work: Path) -> App:
    """Return ihatemoney, installed into a virtual environment of its own below `work`."""
    venv, sources = work / "venv", work / "ihatemoney-sources"
    if not (venv / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        install = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--no-warn-script-location"]
        subprocess.run([*install, "ihatemoney", "gunicorn>=22", "-e", str(ROOT)], check=True)
        (venv / "done").touch()
    (package,) = venv.glob("lib/python*/site-packages/ihatemoney")
    if not sources.exists():
        ignored = shutil.ignore_patterns("tests", "__pycache__")
        shutil.copytree(package, sources / "ihatemoney", ignore=ignored)
        (sources / "wsgi.py").write_text(WRAPPER)
    # Once, and alone: workers that make the same database at the same moment get in each other's way
    subprocess.run(
        [str(venv / "bin" / "python"), "-W", "ignore", "-c", "import wsgi"], cwd=sources, check=True
    )
    return App(
        name="ihatemoney",
        python=venv / "bin" / "python",
        sources=sources,
        file="ihatemoney/web.py",
        old='return render_template("download_mobile_app.html")',
        new='return render_template("download_mobile_app.html"), 200, {{"X-Release": "number {}"}}',
        path="/mobile",
        shown="X-Release: number {}",
    )


APPS = {"sample_app": sample, "ihatemoney": published}
