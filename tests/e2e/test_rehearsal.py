"""A change is tried in a fresh process on the server's host: what it finds, and that nothing else notices."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Serve, Server, children
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
(Path(app.root_path) / "loaded").open("a").write(f"{os.getpid()}\\n")


@app.get("/")
def index():
    return {"pid": os.getpid(), "text": text()}


@app.get("/cart")
def cart():
    return {"pid": os.getpid(), "text": text()}


@app.get("/item/<int:number>")
def item(number):
    return {"text": number}


def text():
    return "one"
'''


@pytest.fixture
def server(serve: Serve) -> Server:
    """Give two workers that have both answered."""
    server = serve("-w", "2", files={"app": APP})
    server.ask_all(2)
    return server


def edited(old: str, new: str, text: str = APP) -> dict[str, str]:
    assert old in text
    return {"app": text.replace(old, new)}


def loaded(server: Server) -> list[str]:
    return (server.folder / "loaded").read_text().split()


def store(server: Server) -> dict[str, Any]:
    """Return what lies in the store's folder, but for locks."""
    folder = server.folder / "instance" / "habanero"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    sockets = [path.name for path in sorted(folder.rglob("*")) if path.is_socket()]
    return {"sockets": sockets, **{path.name: path.read_bytes() for path in files}}


def test_a_good_change_is_tried_where_nobody_sees_it(server: Server) -> None:
    peer, before, processes = server.peer(), store(server), loaded(server)
    report = peer.rehearse(edited('"one"', '"two"'), "/", "/cart")
    assert report.outcome == "live", report
    assert [(page["path"], page["status"]) for page in report.data["rehearsed"]] == [
        ("/", 200),
        ("/cart", 200),
    ]
    assert report.steps == ("app.py: ~text",)
    assert (report.release, report.data["app"]) == (0, "app:app")
    assert server.texts(2) == {"one"}
    assert peer.hello().release == 0
    assert store(server) == before
    (fresh,) = set(loaded(server)) - set(processes)
    assert not Path(f"/proc/{fresh}").exists()


def test_it_begins_at_head_and_not_on_the_disk(server: Server) -> None:
    peer = server.peer()
    two = edited('"one"', '"two"')
    assert peer.push(two).outcome == "live"
    report = peer.rehearse(edited('"text": text()', '"text": text().index("one")', two["app"]), "/")
    assert report.outcome == "failed", report  # at head text() is "two", in which there is no "one"
    assert "ValueError: substring not found" in report.reasons[0].what
    assert (
        peer.rehearse(edited('"text": text()', '"text": text().index("two")', two["app"])).outcome == "live"
    )
    assert server.texts(2) == {"two"}


def test_a_view_that_raises_is_found_with_its_line(server: Server) -> None:
    report = server.peer().rehearse(edited('return "one"', "return 1 / 0"))
    assert report.outcome == "failed"
    assert [(page["path"], page["status"]) for page in report.data["rehearsed"]] == [
        ("/", 500),
        ("/cart", 500),
    ]
    reason = report.reasons[0]
    assert (reason.code, reason.where) == ("rehearsal", "GET /")
    assert (
        reason.what
        == f"answered 500: app:{line_of('return text', 'one')}: ZeroDivisionError: division by zero"
    )
    assert any("ZeroDivisionError" in line for line in report.data["output"])
    assert server.texts(2) == {"one"}


def line_of(_old: str, text: str) -> int:
    return APP.splitlines().index(f'    return "{text}"') + 1


def test_a_module_that_raises_is_found(server: Server) -> None:
    report = server.peer().rehearse(
        {**edited("import os\n", "import os\nimport texts\n"), "texts": "TABLE = {}\nVALUE = TABLE['x']\n"}
    )
    assert (report.outcome, report.reasons[0].where) in (("failed", "texts:2"), ("cold", "texts:2")), report
    assert server.texts(2) == {"one"}


def test_what_is_cold_is_told_as_a_push_would_tell_it(server: Server) -> None:
    changed = edited("app = Flask(__name__)", "app = Flask(__name__, static_folder=None)")
    peer = server.peer()
    report = peer.rehearse(changed)
    assert report.outcome == "cold"
    assert [reason.code for reason in report.reasons] == [r.code for r in peer.push(changed).reasons]


def test_one_that_hangs_is_ended_with_all_that_it_started(server: Server) -> None:
    hanging = """\
    import subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (Path(app.root_path) / "child").write_text(str(child.pid))
    child.wait()
    return "one"
"""
    report = server.peer().rehearse(edited('    return "one"\n', hanging), "/cart", within=8)
    assert report.outcome == "failed"
    assert report.reasons[0].what == "the fresh process did not end within 8 s, while it answers GET /cart"
    started = int((server.folder / "child").read_text())
    eventually(lambda: not is_alive(started))
    assert server.texts(2) == {"one"}
    assert all(not children(worker) for worker in server.workers())


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_one_that_ends_itself_is_no_success(server: Server) -> None:
    ending = edited('    return "one"\n', "    os._exit(0)\n")
    report = server.peer().rehearse(ending, "/")
    assert report.outcome == "failed"
    assert report.reasons[0].what == "the fresh process ended by itself with 0, while it answers GET /"


def test_it_ends_with_the_worker_that_was_asked(server: Server) -> None:
    """Else a worker that its master kills would leave it running for ever."""
    hanging = edited(
        '    return "one"\n',
        "    import signal\n    (Path(app.root_path) / 'pid').write_text(str(os.getpid()))\n    signal.pause()\n    return 'one'\n",
    )
    peer, place = server.peer(), server.folder / "pid"
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(peer.rehearse, hanging, "/", within=100)
        eventually(lambda: place.exists() and place.read_text(), 60)
        fresh = int(place.read_text())
        (worker,) = [pid for pid in server.workers() if fresh in children(pid)]
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not is_alive(fresh))
        assert asked.exception(60) is not None


def test_two_at_a_time_are_one_too_many(server: Server) -> None:
    hanging = edited(
        '    return "one"\n',
        "    import time\n    (Path(app.root_path) / 'in').touch()\n    while not (Path(app.root_path) / 'out').exists(): time.sleep(.01)\n    return 'one'\n",
    )
    from concurrent.futures import ThreadPoolExecutor

    first, second = server.peer(), server.peer()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(first.rehearse, hanging, "/", within=100)
        eventually((server.folder / "in").exists, 60)
        report = second.rehearse(edited('"one"', '"two"'))
        assert (report.outcome, report.reasons[0].code) == ("refused", "in-progress")
        assert second.push(edited('"one"', '"two"')).outcome == "live"  # a push does not wait for it
        (server.folder / "out").touch()
        assert asked.result(60).outcome == "live"


FACTORY = APP.replace("app = Flask(__name__)\nHabanero(app)\n", "").replace(
    "\n\n@app.get",
    "\n\ndef create_app(name):\n    app = Flask(name)\n    Habanero(app)\n    app.add_url_rule('/', view_func=index)\n    return app\n\n\n@app.get",
    1,
)
