"""Prometheus and Sentry, with the real libraries, in an app of its own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from flask_habanero import testing
from flask_habanero.testing import RunningApp

from tests.e2e.conftest import APP, TEXTS, Serve, serve, start  # noqa: F401  # two fixtures
from tests.hosts import eventually
from tests.receiver import receiver

habanero = testing.habanero
pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PROMETHEUS = """\
from flask import Flask
from flask_habanero import Habanero
from flask_habanero.contrib.prometheus import watch_releases
from prometheus_client import generate_latest

app = Flask(__name__)
Habanero(app)
watch_releases(app)


@app.get("/metrics")
def metrics():
    return generate_latest()
"""
SENTRY = """\
import sentry_sdk
from flask import Flask
from flask_habanero import Habanero
from flask_habanero.contrib.sentry import tag_releases

app = Flask(__name__)
Habanero(app)
tag_releases(app)
sent = []


class Wire(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        sent.append(envelope.get_event())


sentry_sdk.init("http://key@127.0.0.1/1", release="shop@1.4", transport=Wire, default_integrations=False)


def event():
    sentry_sdk.capture_message("hello")
    return [sent[-1]["release"], sent[-1].get("tags", {})]


def answer():
    return 1
"""
MANY = APP.replace("hits = []\n", """\
hits = []
from flask_habanero.contrib.prometheus import watch_releases
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

watch_releases(app)


@app.get("/metrics")
def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return {"text": generate_latest(registry).decode()}
""")  # fmt: skip


def started(habanero: testing.Start, folder: Path, text: str) -> RunningApp:
    (folder / "shop.py").write_text(text)
    return habanero("shop", folder=folder)


def values(text: str) -> dict[str, float]:
    """Return our metrics as they are shown, without what says when they began."""
    rows = re.findall(r"^(habanero_(?!.*_created)\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_metrics_tell_of_pushes_and_of_the_release(habanero, tmp_path):
    shop = started(habanero, tmp_path, PROMETHEUS)
    assert values(shop.get("/metrics").text) == {"habanero_release": 0, "habanero_workers_behind": 0}
    assert shop.push({"shop.py": PROMETHEUS + "\n\ndef more(): ...\n"}).outcome == "live"
    assert shop.push({"shop.py": PROMETHEUS + "\n\napp = Flask('other')\n"}).outcome == "cold"
    assert shop.rollback().outcome == "live"
    eventually(lambda: values(shop.get("/metrics").text)["habanero_release"] == 2)
    eventually(lambda: values(shop.get("/metrics").text)['habanero_pushes_total{outcome="live"}'] == 2)
    found = values(shop.get("/metrics").text)
    assert found['habanero_pushes_total{outcome="cold"}'] == 1
    assert found['habanero_push_seconds_count{stage="total"}'] == 3
    assert found['habanero_push_seconds_count{stage="commit"}'] == 2
    assert found['habanero_push_seconds_sum{stage="total"}'] > 0


def test_events_tell_of_the_release(habanero, tmp_path):
    shop = started(habanero, tmp_path, SENTRY)
    assert shop.call("shop:event") == ["shop@1.4", {}]
    assert shop.edit("shop.py", "return 1", "return 2").outcome == "live"
    eventually(lambda: shop.call("shop:event") == ["shop@1.4+hab.1", {"habanero.release": 1}])
    assert shop.rollback().outcome == "live"
    eventually(lambda: shop.call("shop:event") == ["shop@1.4+hab.2", {"habanero.release": 2}])


def test_of_several_workers_one_counts_and_one_tells(serve: Serve, tmp_path, monkeypatch):  # noqa: F811
    counts = tmp_path / "counts"
    counts.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(counts))
    with receiver() as far:
        monkeypatch.setenv("HABANERO_WEBHOOK", far.url)
        server = serve("-w", "3", files={"app": MANY, "texts": TEXTS})
        server.ask_all(3)
        peer, text = server.peer(), server.source()
        for number, word in ((1, "two"), (2, "three")):
            assert peer.push({"app": text.replace('return "one"', f'return "{word}"')}).release == number
        wanted = {
            "habanero_release": 2.0,
            "habanero_workers_behind": 0.0,
            'habanero_pushes_total{outcome="live"}': 2.0,
        }
        eventually(lambda: wanted.items() <= values(str(server.get("/metrics")["text"])).items(), 20)
        told = far.expect(2)
    assert [(row["habanero"]["release"], row["habanero"]["workers"]["total"]) for row in told] == [
        (1, 3),
        (2, 3),
    ]


STATIC = """\
import functools

from flask import Blueprint, Flask, render_template_string, url_for
from flask_habanero import Habanero
from flask_habanero.contrib.static import version_static

app = Flask(__name__)
Habanero(app)
version_static(app)
admin = Blueprint("admin", __name__, static_folder="looks", url_prefix="/admin")
app.register_blueprint(admin)


@app.get("/")
def index():
    names = [("static", "shop.css"), ("static", "gone.css"), ("admin.static", "admin.css")]
    return [url_for(endpoint, filename=name) for endpoint, name in names]


@functools.lru_cache
def kept():
    return render_template_string("{{ url_for('static', filename='shop.css') }}")


@app.get("/kept")
def kept_page():
    return kept()
"""


def version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_addresses_of_static_files_change_with_them(habanero, tmp_path):
    for folder in ("static", "looks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "static" / "shop.css").write_text("one")
    (tmp_path / "looks" / "admin.css").write_text("blue")
    shop = started(habanero, tmp_path, STATIC)

    def addresses() -> list[str]:
        assert shop.get("/kept").text == shop.get("/").json[0]
        return shop.get("/").json

    one, blue = f"/static/shop.css?v={version('one')}", f"/admin/looks/admin.css?v={version('blue')}"
    assert addresses() == [one, "/static/gone.css", blue]
    assert shop.push({"static/shop.css": "two", "static/gone.css": "here"}).outcome == "live"
    assert addresses()[0] == f"/static/shop.css?v={version('two')}"
    assert addresses()[1] == f"/static/gone.css?v={version('here')}"
    assert shop.push({"static/shop.css": None}).outcome == "live"
    assert addresses()[0] == "/static/shop.css"
    assert shop.rollback(0).outcome == "live"
    assert addresses() == [one, "/static/gone.css", blue]
