"""A project in a temporary folder, a fake server that runs the same, and the command line."""

import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask_habanero.client.cli import cli

from tests.fake_server import FakeServer

BASE = {
    "shop": "",
    "shop.views": "def index():\n    return 1\n",
    "shop.pricing": "def price():\n    return 1\n",
    "shop.models": "class Order:\n    pass\n",
}


def until(condition, within_s=10.0):
    """Wait until a condition holds; a test fails when it never does."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "never came true"
        threading.Event().wait(0.005)


class Project:
    """A working copy: module names for files."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, module):
        below = self.folder.joinpath(*module.split("."))
        return below / "__init__.py" if module == "shop" else below.with_suffix(".py")

    def write(self, module, text):
        path = self.path(module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def delete(self, module):
        self.path(module).unlink()


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for child processes
    made = Project(folder)
    for module, text in BASE.items():
        made.write(module, text)
    return made


@pytest.fixture
def server():
    fake = FakeServer()
    fake.put(**{module.replace(".", "__"): text for module, text in BASE.items()})
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def environ(tmp_path, server, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "HABANERO_PATH", "HABANERO_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HABANERO_SECRET", server.secret)
    monkeypatch.setenv("HABANERO_URL", server.url)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return monkeypatch


class Ran:
    """What a command came to."""

    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr
        self.raw = result.stdout_bytes  # `out` has lost its carriage returns

    @property
    def json(self):
        """The last line, as programs read it."""
        return json.loads(self.out.splitlines()[-1])

    def __repr__(self):
        return f"<exit {self.code}>\n{self.out}\n{self.err}"


@pytest.fixture
def run(project, environ):
    def run(*args, answer=None):
        return Ran(CliRunner().invoke(cli, list(args), input=answer, catch_exceptions=False))

    return run
