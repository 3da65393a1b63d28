"""A change is tried in a fresh process on the server's host: what that finds, and that nobody notices."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from tests.e2e.conftest import Serve, Server, Start, children, free_port, program
from tests.e2e.laptops import Clone
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

APP = '''\
"""An app that notes each process that loads it."""

import os
from pathlib import Path

from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)
here = Path(app.root_path)
(here / "loaded").open("a").write(f"{os.getpid()}\\n")


@app.get("/")
def index():
    return {"pid": os.getpid(), "text": text()}


@app.get("/cart")
def cart():
    return {"pid": os.getpid(), "text": text()}


@app.get("/item/<int:number>")
def item(number):
    return {"text": number}


@app.get("/note")
def note():
    (here / "noted").touch()
    return {}


def text():
    return "one"
'''
CHECKED = f"""{APP}

def holds():
    from flask import current_app

    assert current_app.name == "app"
    assert text() == "two"


def says_no():
    return False


def raises():
    raise ValueError("no stock")


class Checks:
    @staticmethod
    def of_class():
        return text()
"""
FACTORY = """\
import os

from flask import Flask
from flask_habanero import Habanero


def create_app(text):
    app = Flask(__name__)
    Habanero(app)

    @app.get("/")
    def index():
        return {"pid": os.getpid(), "text": text + suffix()}

    return app


def suffix():
    return ""
"""


def body(new: str, text: str = APP) -> dict[str, str]:
    """Return the app with another body of `text`."""
    assert '    return "one"\n' in text
    return {"app": text.replace('    return "one"\n', indent(new, "    "))}


TWO = body('return "two"\n')


def served(server: Server) -> dict[str, Any]:
    """Return what lies in the store's folder but for locks, and what the workers answer."""
    folder = server.folder / "instance" / "habanero"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    sockets = [path.name for path in sorted(folder.rglob("*")) if path.is_socket()]
    return {
        "texts": server.texts(2),
        "workers": server.workers(),
        "sockets": sockets,
        **{path.name: path.read_bytes() for path in files},
    }


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


TEMPLATES = {
    "templates/base.html": "{% block body %}{% endblock %}",
    "templates/cart.html": "{% extends 'base.html' %}{% block body %}cart{% endblock %}",
}
RENDERS = APP.replace("import Flask\n", "import Flask, render_template\n").replace(
    'def cart():\n    return {"pid": os.getpid(), "text": text()}',
    'def cart():\n    return render_template("cart.html")',
)


def test_pages_are_asked_whose_template_changed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "site/templates").mkdir(parents=True)
    for name, text in TEMPLATES.items():
        (tmp_path / "site" / name).write_text(text)
    server = serve("-w", "1", files={"app": RENDERS})
    for changed in TEMPLATES:
        failed = server.peer().rehearse({changed: b"{{ nothing.there }}"})
        assert [page["path"] for page in failed.data["rehearsed"]] == ["/cart"], failed
        assert "'nothing' is undefined" in failed.reasons[0].what


def test_what_a_rehearsal_finds_and_that_nobody_else_notices(serve: Serve) -> None:
    server = serve("-w", "2", files={"app": APP})
    server.ask_all(2)
    peer, before = server.peer(), served(server)
    processes = (server.folder / "loaded").read_text().split()

    good = peer.rehearse(TWO, "/", "/cart", "/item/3", "/nowhere")
    assert (good.outcome, good.steps, good.release) == ("live", ("app.py: ~text",), 0), good
    asked = [(page["path"], page["status"]) for page in good.data["rehearsed"]]
    assert asked == [("/", 200), ("/cart", 200), ("/item/3", 200), ("/nowhere", 404)]
    assert (good.data["app"], good.data["output"]) == ("app:app", [])

    raises = peer.rehearse(body("return 1 / 0\n"))
    line = APP.splitlines().index('    return "one"') + 1
    why = f"answered 500: app:{line}: ZeroDivisionError: division by zero"
    assert raises.outcome == "failed"
    assert [(r.code, r.where, r.what) for r in raises.reasons] == [
        ("rehearsal", "GET /", why),
        ("rehearsal", "GET /cart", why),  # the two that use what changes
    ]
    other = peer.rehearse({"app": APP.replace('"text": number}', '"text": number + 1}')})
    assert (raises.data["unasked"], other.data["unasked"]) == ([], ["/item/<int:number>"])
    assert not (server.folder / "noted").exists()
    assert any("ZeroDivisionError" in line for line in raises.data["output"])

    checks = body('return "two"\n', CHECKED)
    calls = ["app:holds", "app:says_no", "app:raises", "app:Checks.of_class", "app:gone", "nowhere:holds"]
    called = peer.rehearse(checks, "/", *calls)
    assert [one["path"] for one in called.data["rehearsed"]] == ["/", *calls]
    place = CHECKED.splitlines().index('    raise ValueError("no stock")') + 1
    assert [(reason.where, reason.what) for reason in called.reasons] == [
        ("app:says_no", "returned False"),
        ("app:raises", f"app:{place}: ValueError: no stock"),
        ("app:gone", "AttributeError: module 'app' has no attribute 'gone'"),
        ("nowhere:holds", "ModuleNotFoundError: No module named 'nowhere'"),
    ]
    held = peer.rehearse(checks, "app:holds")  # no page is named: those that the change concerns
    assert [one["path"] for one in held.data["rehearsed"]] == ["/", "/cart", "app:holds"], held
    assert held.outcome == "live"

    module = {"app": "import texts\n" + TWO["app"], "texts": "VALUE = int('x')\n"}
    (reason,) = peer.rehearse(module).reasons
    assert (reason.code, reason.where) == ("commit", "app:1"), reason
    assert "texts.py:1: ValueError: invalid literal" in reason.what

    cold = {"app": APP.replace("Flask(__name__)", "Flask(__name__, static_folder=None)")}
    assert [r.code for r in peer.rehearse(cold).reasons] == [r.code for r in peer.push(cold).reasons]

    ends = peer.rehearse(body("os._exit(0)\n"), "/")
    assert ends.outcome == "failed"
    assert ends.reasons[0].what == "the fresh process ended by itself with 0, while it answers GET /"

    assert served(server) == before
    fresh = set((server.folder / "loaded").read_text().split()) - set(processes)
    assert len(fresh) == 8
    assert not any(Path(f"/proc/{pid}").exists() for pid in fresh)


HANGS = """\
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
(here / "pids").write_text(f"{os.getpid()} {child.pid}")
child.wait()
"""


@pytest.mark.long
def test_one_that_hangs_is_ended_with_all_that_it_started(serve: Serve) -> None:
    """By the time that it has, and by the end of the worker that was asked."""
    server = serve("-w", "2", files={"app": APP})
    server.ask_all(2)
    peer, pids = server.peer(), server.folder / "pids"
    report = peer.rehearse(body(HANGS), "/cart", within=8)
    assert report.outcome == "failed"
    assert report.reasons[0].what == "the fresh process did not end within 8 s, while it answers GET /cart"
    started = list(map(int, pids.read_text().split()))
    eventually(lambda: not any(map(is_alive, started)))
    pids.unlink()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(peer.rehearse, body(HANGS), "/", within=100)
        eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2, 60)
        assert server.peer().rehearse(TWO).reasons[0].code == "in-progress"  # by the other worker
        assert server.peer().push(TWO).outcome == "live"  # a push does not wait for it
        started = list(map(int, pids.read_text().split()))
        (worker,) = [pid for pid in server.workers() if started[0] in children(pid)]
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, started)))
        assert asked.exception(60) is not None


@pytest.mark.long
def test_it_begins_at_head_as_the_server_made_the_app(serve: Serve, clone: Clone) -> None:
    """A factory, whose name stands on the server's command line alone; from a laptop."""
    server = serve("-w", "2", files={"app": FACTORY}, target="app:create_app('one')")
    server.ask_all(2)
    ann = clone(server)
    ann.edit('return ""', 'return " two"')
    done = ann.push("--rehearse")
    assert (done.code, done.last["outcome"], done.last["release"]) == (0, "live", 1), done.said
    assert [page["status"] for page in done.last["data"]["rehearsed"]] == [200]
    assert done.last["data"]["app"] == "app:create_app('one')"
    ann.edit("text + suffix()", 'text + suffix()[" two".index(suffix()):]')
    assert ann.run("rehearse", "--json").last["outcome"] == "live"
    ann.edit('" two".index', '" too".index')
    done = ann.push("--rehearse")
    assert (done.code, done.last["outcome"]) == (1, "failed"), done.said
    assert "ValueError: substring not found" in done.last["reasons"][0]["what"]
    assert server.peer().hello().release == 1
    assert server.texts(2) == {"one two"}


FLASK = [sys.executable, "-m", "flask", "--app"]
MAIN = (
    APP
    + """

if __name__ == "__main__":
    app.run(port=int(os.environ["FLASK_RUN_PORT"]))
"""
)


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "text", "name"),
    [
        ([program("gunicorn"), "-k", "gevent", "-b", "127.0.0.1:{port}", "app:app"], APP, "app:app"),
        ([program("gunicorn"), "-k", "gthread", "-b", "127.0.0.1:{port}", "app:app"], APP, "app:app"),
        ([program("gunicorn"), "--preload", "-b", "127.0.0.1:{port}", "app:app"], APP, "app:app"),
        ([program("waitress-serve"), "--listen", "127.0.0.1:{port}", "app:app"], APP, "app:app"),
        ([program("granian"), "--interface", "wsgi", "--port", "{port}", "app:app"], APP, "app:app"),
        ([*FLASK, "app", "run"], APP, "app:app"),
        ([*FLASK, "app:create_app('one')", "run"], FACTORY, "app:create_app('one')"),
        ([sys.executable, "app.py"], MAIN, ""),
    ],
    ids=["gevent", "gthread", "preload", "waitress", "granian", "flask", "factory", "main"],
)
def test_below_each_usual_server(start: Start, command: list[str], text: str, name: str) -> None:
    port = free_port()
    server = start([word.replace("{port}", str(port)) for word in command], port, {"app": text})
    peer = server.peer()
    report = peer.rehearse({"app": text.replace("os.getpid(),", "os.getpid() + 0,")}, "/")
    if not name:  # `python app.py`: nobody can import it again as `__main__`
        assert (report.reasons[0].code, report.outcome) == ("nameless", "refused")
        return
    assert (report.outcome, report.data["app"]) == ("live", name), (report, server.log.read_text())
    hanging = text.replace("import os\n", "import os\nimport time\n")
    hanging = hanging.replace("os.getpid(),", "time.sleep(99),")
    report = peer.rehearse({"app": hanging}, "/", within=6)
    assert "did not end within 6 s" in report.reasons[0].what
