"""`flask habanero run`: what it asks for before it starts anything, and what it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import flask_habanero
import pytest
from flask_habanero.envelope import new_secret

SECRET, STORE = new_secret(), "/srv/shop/habanero"


@pytest.mark.parametrize(
    ("command", "environ", "words"),
    [
        ([], {}, "no command"),
        (["true"], {"SECRET": None}, "HABANERO_SECRET_FILE: it must be in the environment"),
        (["true"], {"STORE": None}, "HABANERO_STORE: it must be in the environment"),
        (["true"], {"STORE": "habanero"}, "'habanero' is no absolute path"),
        (["true"], {"STORE": "redis://cache"}, "it must name this host's own folder, too"),
        (["true"], {"STORE": '["redis://cache"]'}, "it must name this host's own folder, too"),
        (["true"], {"STORE": '["redis://cache", "shop"]'}, "'shop' is no absolute path"),
        (["no-such-program"], {"STORE": '["redis://cache", "/srv/shop"]'}, "no-such-program: No such file"),
        (["no-such-program"], {}, "no-such-program: No such file"),
    ],
)
def test_what_is_missing_is_said_and_nothing_started(run, monkeypatch, command, environ, words):
    for name, value in {"SECRET": SECRET, "STORE": STORE, **environ}.items():
        monkeypatch.delenv(f"HABANERO_{name}", raising=False)
        if value is not None:
            monkeypatch.setenv(f"HABANERO_{name}", value)
    ran = run("run", "--", *command)
    assert (ran.code, words in ran.err) == (2, True), ran.err


def test_the_command_takes_its_place_with_our_folder_first_on_the_path():
    tell = "import json, os; print(json.dumps([os.getpid(), os.environ['PYTHONPATH']]))"
    environ = {
        **os.environ,
        "HABANERO_SECRET": SECRET,
        "FLASK_HABANERO_STORE": STORE,
        "PYTHONPATH": "/one:/two",
    }
    command = [sys.executable, "-m", "flask", "habanero", "run", sys.executable, "-c", tell]
    environ.pop("HABANERO_STORE", None)
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    ours = Path(flask_habanero.__file__).parent / "bootstrap"
    assert json.loads(out) == [process.pid, f"{ours}:/one:/two"]
