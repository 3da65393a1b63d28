"""What an app runs in: names, never values."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any

import pytest
from flask_habanero.surroundings import Surroundings, software_of


def test_names_that_are_no_keys() -> None:
    found = Surroundings.of(
        {"HABANERO_STOR": 1, "HABANERO_PATH": "/x", "SHOP_HABANERO_X": 1},
        {"FLASK_HABANERO_QUIESCE": "1", "HABANERO_URL": "http://x", "HABANERO_x\x1b": "1"},
    )
    assert found.unknown == ("FLASK_HABANERO_QUIESCE", "HABANERO_STOR")
    assert found.overridden == ()


@pytest.mark.parametrize(
    ("mapping", "environ", "overridden"),
    [
        ({"HABANERO_STORE": "a"}, {"HABANERO_STORE": "b"}, ("HABANERO_STORE",)),
        ({"HABANERO_STORE": "a"}, {"HABANERO_STORE": "a"}, ()),
        ({"HABANERO_STORE": None}, {"HABANERO_STORE": "a"}, ()),
        ({"HABANERO_STORE": "a"}, {"FLASK_HABANERO_STORE": "b"}, ("HABANERO_STORE",)),
        ({}, {"HABANERO_STORE": "a", "FLASK_HABANERO_STORE": "b"}, ("HABANERO_STORE",)),
        ({"HABANERO_MAX_BYTES": 5000}, {"HABANERO_MAX_BYTES": "5000"}, ()),
        ({"HABANERO_SECRET": "a"}, {"HABANERO_SECRET": "b\udcff"}, ("HABANERO_SECRET",)),
    ],
)
def test_keys_that_are_set_twice(
    mapping: dict[str, Any], environ: dict[str, str], overridden: tuple[str, ...]
) -> None:
    assert Surroundings.of(mapping, environ).overridden == overridden


def test_no_value_is_told() -> None:
    told = Surroundings.of({"HABANERO_SECRET": "hush", "HABANERO_X": "hush"}, {}).told(
        "gunicorn/23.0.0", "rediss://user:hush@host:6379/0"
    )
    assert "hush" not in str(told)
    assert told["store"] == "rediss://host:6379/0"


def test_whether_it_is_a_pod() -> None:
    assert Surroundings.of({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).told("", "")["pod"] is True
    assert Surroundings.of({}, {}).told("", "")["pod"] is False


def test_who_loaded_the_app_and_who_serves_it() -> None:
    here = Surroundings.of({}, {})
    assert here.told("", "")["preloaded"] is False
    assert replace(here, pid=os.getppid()).told("", "")["preloaded"] is True


def test_a_reloader_beside_us(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Surroundings.of({}, {"WERKZEUG_RUN_MAIN": "true"}).told("", "")["reloader"] == "Werkzeug"
    assert Surroundings.of({}, {}).told("", "")["reloader"] == ""
    from gunicorn.reloader import Reloader

    monkeypatch.setattr(threading, "enumerate", lambda: [Reloader()])
    assert Surroundings.of({}, {}).told("", "")["reloader"] == "gunicorn"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SERVER_SOFTWARE": "gunicorn/23.0.0"}, "gunicorn/23.0.0"),
        ({"uwsgi.version": b"2.0.31"}, "uWSGI"),
        ({"mod_wsgi.version": (4, 9), "SERVER_SOFTWARE": "Apache"}, "mod_wsgi"),
        ({"SERVER_SOFTWARE": "\x1b[2J"}, ""),
        ({}, ""),
    ],
)
def test_what_a_web_server_calls_itself(environ: dict[str, Any], name: str) -> None:
    assert software_of(environ) == name
