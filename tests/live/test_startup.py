"""The record of what ran while the app started, and for which line."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.properties.processes import Farm, Sources, folder, hot_imports, start, write

FILES: Sources = {
    "shop/__init__.py": "",
    "shop/low.py": """def helper(x):
    def inner():
        return x
    return inner()

class Thing:
    def __init__(self):
        self.x = helper(1)

def unused():
    pass

try:
    Thing.nothing
except AttributeError:
    pass
""",
    "shop/app.py": """from flask import Flask
from .low import Thing, helper

TWICE = helper(
    2,
)
thing = Thing()

def create_app():
    app = Flask(__name__)
    setup(app)
    return app

def setup(app):
    app.extensions["n"] = helper(3)
""",
}


def _record(entry: str) -> tuple[dict[Any, Any], set[str], bool, bool]:
    from flask_habanero.live import startup

    with folder() as root:
        write(root, FILES)
        app: Any = start(root, entry)
        during = startup.recording()
        startup.stop()
        known = {key: set(owners) for key, owners in startup.ran.items()}
        __import__("shop.low").low.unused()
        if callable(app) and not hasattr(app, "wsgi_app"):
            app()
        return known, set(startup.watched), during, dict(startup.ran) == known


@pytest.fixture(scope="module")
def recorded() -> Any:
    farm = Farm(hot_imports)
    try:
        yield farm.run(_record, "shop.app:create_app()")
    finally:
        farm.close()


def test_a_function_is_noted_for_the_line_that_it_ran_for(recorded):
    ran, *_ = recorded
    assert ran["shop.low", "helper", 1] == {("shop.app", 4), ("shop.app", 7), None}
    assert ran["shop.low", "Thing.__init__", 7] == {("shop.app", 7)}
    assert ran["shop.low", "helper.<locals>.inner", 2] == {("shop.app", 4), ("shop.app", 7), None}


def test_a_factory_that_the_server_called_ran_for_nobody(recorded):
    ran, *_ = recorded
    assert ran["shop.app", "create_app", 9] == {None}
    assert ran["shop.app", "setup", 14] == {None}


def test_what_did_not_run_is_not_noted_and_nothing_after_the_end(recorded):
    ran, watched, during, unchanged = recorded
    assert not any(name == "unused" for _, name, _ in ran)
    assert during
    assert unchanged
    assert {"shop", "shop.low", "shop.app"} <= watched


def test_code_of_others_is_not_noted(recorded):
    ran, *_ = recorded
    tops = {module.partition(".")[0] for module, _, _ in ran}
    assert not tops & {"flask", "werkzeug", "jinja2", "importlib", "flask_habanero"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="from 3.12 on")
def test_what_is_missed_is_noted_and_who_ran_of_others():
    farm = Farm(hot_imports)
    try:
        missed, executed = farm.run(_seen)
    finally:
        farm.close()
    assert ("shop.low", "Thing", "nothing") in missed
    assert "Flask.__init__" in executed
    assert "helper" in executed
    assert "Flask.run" not in executed


def _seen() -> tuple[set[tuple[str, str, str]], set[str]]:
    from flask_habanero.live import startup

    with folder() as root:
        write(root, FILES)
        start(root, "shop.app:create_app()")
        startup.stop()
        return set(startup.missed), {code.co_qualname for code in startup.executed.values()}
