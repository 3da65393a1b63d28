"""The fixture for users' own tests: the page's example as it stands there, and what the page leaves out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flask_habanero import testing

from tests.hosts import eventually

habanero = testing.habanero
pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "test-your-edits.md").read_text()
APP = """\
import os
import threading

from flask import Flask, request
from flask_habanero import Habanero, release_live

app = Flask(__name__)
app.config["HABANERO_STORE"] = os.environ.get("REAL_STORE")
app.config["HABANERO_WEBHOOK"] = os.environ.get("REAL_WEBHOOK")
Habanero(app)
heard = []


@release_live.connect_via(app)
def note(sender, release, steps, **_):
    heard.append(release)


@app.post("/echo")
def echo():
    print("heard")
    return {"told": request.get_json(), "pid": os.getpid()}


def threads():
    return [thread.name for thread in threading.enumerate()]


def fails():
    raise ZeroDivisionError("of the app")
"""


@pytest.fixture
def shop(habanero, tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "site.css").write_text("body {}\n")
    return habanero("shop", folder=tmp_path, environ={"REAL_STORE": str(tmp_path / "real")})


def test_the_pages_example_holds(tmp_path):
    """In a pytest of its own, as its reader runs it."""
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)
    assert len(files) == 5
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HABANERO_SECRET": "another app's",
        "FLASK_HABANERO_X": "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path,
        env={**environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_files_come_change_and_go(shop):
    assert shop.push({"static/new.css": "", "static/logo.png": b"\xff\x00"}).outcome == "live"
    assert (shop.get("/static/new.css").data, shop.get("/static/logo.png").data) == (b"", b"\xff\x00")
    release = shop.edit("static/site.css", "{}", "{color: red}")
    assert (release.outcome, release.release) == ("live", 2)
    assert shop.get("/static/site.css").text == "body {color: red}\n"
    assert shop.push({"static/new.css": None}).outcome == "live"
    assert shop.get("/static/new.css").status == 404
    assert shop.rollback(0).outcome == "live"
    assert shop.text("static/site.css") == "body {}\n"


def test_it_is_an_app_of_its_own_whose_receivers_hear(shop, tmp_path):
    assert shop.edit("shop.py", '"heard"', '"listened"').outcome == "live"
    eventually(lambda: shop.value("shop:heard") == [1])
    answer = shop.post("/echo", json={"a": 1}, headers={"X-One": "1"})
    assert (answer.status, answer.json["told"]) == (200, {"a": 1})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["pid"] != os.getpid()
    assert not (tmp_path / "real").exists()  # the app's own store is left alone


def test_hosts_that_share_and_a_webhook_hear_nothing_of_it(habanero, tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    nowhere = {"REAL_STORE": "redis://127.0.0.1:9/0", "REAL_WEBHOOK": "http://127.0.0.1:9/told"}
    shop = habanero("shop", folder=tmp_path, environ=nowhere)
    assert shop.edit("shop.py", '"heard"', '"listened"').outcome == "live"
    names = shop.call("shop:threads")
    assert not {"habanero-webhook", "habanero-host"} & set(names)


def test_what_can_not_be_is_said(shop):
    with pytest.raises(ValueError, match=r"'heard' stands in shop.py \d times, not once"):
        shop.edit("shop.py", "heard", "listened")
    with pytest.raises(RuntimeError, match="shoop is not loaded"):
        shop.value("shoop:heard")
    with pytest.raises(RuntimeError, match="ZeroDivisionError: of the app"):
        shop.call("shop:fails")
    with pytest.raises(RuntimeError, match=r"BuildError.*never closed"):
        shop.push({"shop.py": "heard = ["})
    for path in ("nowhere.py", "static/nowhere.css"):
        with pytest.raises(RuntimeError, match=f"there is no {path} in the app, only .*shop.py"):
            shop.text(path)
    assert shop.push({"elsewhere/x.css": "x"}).reasons[0].code == "not-allowed"
    assert shop.value("shop:heard") == []
    assert shop.value("shop:app").startswith("<Flask")
    shop.close()
    with pytest.raises(RuntimeError, match="has ended"):
        shop.value("shop:heard")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from flask import Flask\napp = Flask(__name__)\n", "'shop' has no Habanero"),
        (APP + "\napp.testing = True\n", "TESTING is set"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_an_app_that_is_none_says_why(habanero, tmp_path, capfd, text, said):
    (tmp_path / "shop.py").write_text(text)
    with pytest.raises(RuntimeError, match="the app has ended"):
        habanero("shop:app", folder=tmp_path)
    assert said in capfd.readouterr().err


def test_an_app_that_hangs_is_ended(habanero, tmp_path, monkeypatch):
    monkeypatch.setattr(testing, "PATIENCE_S", 0.5)
    (tmp_path / "shop.py").write_text("import threading\nthreading.Event().wait()\n")
    with pytest.raises(RuntimeError, match="was ended since it hung"):
        habanero("shop:app", folder=tmp_path)


def test_only_this_module_needs_pytest():
    script = "import sys; sys.modules['pytest'] = None\n"
    script += "import flask_habanero as f, flask_habanero.client.cli; f.Habanero, f.follow"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
