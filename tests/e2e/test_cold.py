"""Changes that can't be hot: a canary boots them, gunicorn restarts its workers, and no request fails."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import APP, TEXTS, Serve, Server, Start, accepts, free_port, program, with_gunicorn
from tests.e2e.laptops import Clone, restart
from tests.hosts import eventually
from tests.oracle.process import differences

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RUN = (sys.executable, "-m", "flask", "habanero", "run", "--")
OF_A_REQUEST = r"came|jinja globals request"
GRACEFUL = ("--graceful-timeout", "30")


def cold(text: str, app: str = APP) -> dict[str, str]:
    """Return the app with another constructor, which no running process can take, and another text."""
    changed = app.replace("Flask(__name__", f'Flask(__name__, static_url_path="/{text}"')
    return {"app": hot(text, changed)["app"]}


def hot(text: str, app: str = APP) -> dict[str, str]:
    return {"app": app.replace('return "one"', f'return "{text}"')}


@pytest.fixture
def run(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Give a function that starts gunicorn by `flask habanero run`, which restarts for cold changes."""
    monkeypatch.setenv("HABANERO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("HABANERO_COLD", "restart")
    return with_gunicorn(start, *RUN)


class Load(Counter[str]):
    """What was answered, counted.

    Attributes:
        acknowledged: the only text that a request may get which begins when this is set.
    """

    acknowledged = ""


@contextmanager
def load(server: Server, threads: int = 4) -> Iterator[Load]:
    """Ask all the while, by so many threads; give what was answered."""
    seen = Load()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            allowed = seen.acknowledged
            try:
                answer = requests.get(server.url + "/", timeout=30)
                text = answer.json()["text"] if answer.status_code == 200 else str(answer.status_code)
                seen[text if allowed in ("", text) else f"{text}, when {allowed} was acknowledged"] += 1
            except requests.RequestException as error:
                seen[type(error).__name__] += 1

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in asking:
            thread.join()


@pytest.mark.parametrize(
    "options",
    [
        [],
        pytest.param(["-k", "gthread", "--threads", "4"], marks=pytest.mark.long),
        pytest.param(["-k", "gevent"], marks=pytest.mark.long),
    ],
    ids=["sync", "gthread", "gevent"],
)
def test_a_cold_change_is_restarted_into_and_no_request_fails(run: Serve, options: list[str]) -> None:
    server = run("-w", "2", *options, *GRACEFUL)
    server.ask_all(2)
    old, peer = server.workers(), server.peer()
    with load(server) as seen:
        eventually(lambda: seen["one"] > 100, 60)
        report = peer.push(cold("two"))
        seen.acknowledged = "two"
        assert (report.outcome, report.release, report.data.get("restarted")) == ("live", 1, True), report
        assert (report.workers.at_head, report.workers.total) == (2, 2)
        assert [text.partition(" ")[0] for text in report.data["gathered"]] == ["app.hits:"]
        eventually(lambda: sum(seen.values()) > 1_000, 120)
    assert set(seen) == {"one", "two"}
    eventually(lambda: not old & server.workers(), 40)
    assert server.texts(2) == {"two"}


BASES = '''\
"""An app whose class has living instances."""

import os
import re
import signal

from flask import Flask
from flask_habanero import Habanero, release_live

app = Flask(__name__)
Habanero(app)
came = []


@release_live.connect
def note(sender, release, steps):
    came.append([release, list(steps)])


class Counting:
    def count(self):
        return 1


class Cart(Counting):
    pass


cart = Cart()


@app.get("/")
def index():
    return {"pid": os.getpid(), "text": text(), "count": cart.count(), "came": came}


@app.get("/fingerprint")
def of_this_process():
    from tests.oracle.process import fingerprint

    return {"pid": os.getpid(), **fingerprint([app], ["app", "texts"], app.root_path, ask=False)}


def text():
    return "one"
'''
TWICE = BASES.replace("Flask(__name__)", 'Flask(__name__, static_url_path="/s")').replace(
    "class Cart(Counting)", "class Twice:\n    def count(self):\n        return 2\n\n\nclass Cart(Twice)"
)


def fingerprints(server: Server) -> list[dict[str, str]]:
    """Return what each of two workers is, but for its pid and for what it was told of releases."""
    found: dict[object, dict[str, str]] = {}

    def asked() -> bool:
        answer = server.get("/fingerprint")
        pid = answer.pop("pid")
        found[pid] = {key: str(word) for key, word in answer.items() if not re.search(OF_A_REQUEST, key)}
        return len(found) == 2

    eventually(asked, 60)
    return list(found.values())


def test_what_comes_after_a_cold_release(
    run: Serve, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hot releases, killed workers, a cold rollback, and a cold deploy."""
    server = run("-w", "2", *GRACEFUL, files={"app": BASES, "texts": TEXTS})
    server.ask_all(2)
    peer = server.peer()
    first = peer.push({"app": TWICE})
    assert (first.outcome, first.steps, first.data.get("restarted")) == ("live", ("app.py: restarted",), True)
    assert {answer["count"] for answer in server.ask_all(2).values()} == {2}

    second = peer.push(hot("two", TWICE))
    assert (second.outcome, second.data.get("restarted"), second.steps) == ("live", None, ("app.py: ~text",))
    for pid in (killed := server.workers()):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not killed & server.workers(), 30)
    eventually(lambda: [a["came"] for a in server.ask_all(2).values()] == [[[2, []]]] * 2, 30)
    assert server.texts(2) == {"two"}
    third = peer.push(hot("three", TWICE))
    assert (third.outcome, third.steps) == ("live", ("app.py: ~text",))

    back = peer.rollback(0)
    assert (back.outcome, back.release, back.data.get("restarted")) == ("live", 4, True), back
    assert {(a["count"], a["text"]) for a in server.ask_all(2).values()} == {(1, "one")}
    again = peer.rollback(3)
    assert (again.outcome, again.data.get("restarted")) == ("live", True), again
    assert {(a["count"], a["text"]) for a in server.ask_all(2).values()} == {(2, "three")}

    pushed = fingerprints(server)
    (server.folder / "app.py").write_text(hot("deployed", BASES)["app"])
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.texts(2) == {"deployed"}, 30)
    assert peer.hello().data["first"] == peer.head.release == 5
    server.stop()

    monkeypatch.setenv("HABANERO_STORE", str(tmp_path / "other"))
    cold_start = with_gunicorn(start)("-w", "2", files={**hot("three", TWICE), "texts": TEXTS}, site="other")
    wanted = fingerprints(cold_start)[0]
    assert [differences(found, wanted) for found in pushed] == [[], []]


@pytest.mark.parametrize(
    ("wrong", "where", "what"),
    [
        ("raise RuntimeError('no')", "app:", "RuntimeError: no"),
        ("import sys; sys.exit('no')", "app:", "SystemExit: no"),
        ("import os; os._exit(7)", "", "ended by itself with 7"),
        ("@app.before_request\ndef fail():\n    return 1 / 0\n", "GET /", "answered 500"),
    ],
)
def test_a_change_whose_canary_fails_restarts_nothing(run: Serve, wrong: str, where: str, what: str) -> None:
    server = run("-w", "2", *GRACEFUL)
    server.ask_all(2)
    old, peer, text = server.workers(), server.peer(), cold("two")["app"]
    report = peer.push({"app": text.replace("hits = []", f"hits = []\n{wrong}")})
    assert (report.outcome, report.release) == ("failed", 0), report
    reason = report.reasons[0]
    assert (reason.code, reason.where.startswith(where), what in reason.what) == ("canary", True, True), (
        reason
    )
    assert server.workers() == old
    assert server.texts(2) == {"one"}
    assert not (server.folder.parent / "store" / "cold").exists()
    assert peer.push(hot("two")).outcome == "live"


def test_a_rehearsal_of_a_cold_change_is_a_canary(run: Serve) -> None:
    server = run("-w", "2", *GRACEFUL)
    server.ask_all(2)
    old, peer = server.workers(), server.peer()
    held = peer.rehearse(cold("two"), "/")
    assert (held.outcome, [page["status"] for page in held.data["rehearsed"]]) == ("live", [200]), held
    called = peer.rehearse(cold("two"), "/", "app:nothing")
    assert (called.reasons[0].code, called.reasons[0].where) == ("canary", "app:nothing"), called
    bad = peer.rehearse({"app": cold("two")["app"].replace('"hits": len(hits)', '"hits": 1 / 0')}, "/")
    assert (bad.outcome, bad.reasons[0].code, bad.reasons[0].where) == ("failed", "canary", "GET /"), bad
    assert (server.workers(), server.texts(2), peer.hello().release) == (old, {"one"}, 0)


def test_without_run_it_is_refused_with_what_to_type(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HABANERO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("HABANERO_COLD", "restart")
    peer = with_gunicorn(start)("-w", "2").peer()
    report = peer.push(cold("two"))
    assert (report.outcome, report.reasons[-1].code) == ("cold", "cold-start"), report
    assert "flask habanero run -- gunicorn" in report.reasons[-1].hint


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            "uwsgi --master --processes 2 --module app:app --http 127.0.0.1:{port}",
            "uWSGI drops what its router (--http) holds",
        ),
        ("flask run", "no gunicorn"),
    ],
    ids=["uwsgi", "flask"],
)
def test_below_another_server_it_is_refused_with_the_reason(
    start: Start, run: Serve, command: str, why: str
) -> None:
    name, *words = command.split()
    if not Path(program(name)).exists():
        pytest.skip(f"{name} is not installed")
    port = free_port()
    peer = start([*RUN, program(name), *(word.format(port=port) for word in words)], port, None).peer()
    report = peer.push(cold("two"))
    assert (report.outcome, report.reasons[-1].code) == ("cold", "no-restart"), report
    assert why in report.reasons[-1].what


def test_one_worker_is_replaced_by_one(run: Serve) -> None:
    server = run("-w", "1", *GRACEFUL)
    old, peer = server.workers(), server.peer()
    report = peer.push(cold("two"))
    assert (report.outcome, report.workers.at_head, report.workers.total) == ("live", 1, 1), report
    eventually(lambda: not old & server.workers(), 30)
    assert server.texts(1) == {"two"}


def test_where_the_master_imports_modules_of_the_app_it_is_refused_with_their_names(run: Serve) -> None:
    (config := Path(os.environ["HABANERO_STORE"]).with_name("conf.py")).write_text(
        "from texts import greeting\n"
    )
    peer = run("-w", "2", "--chdir", ".", "-c", str(config)).peer()
    report = peer.push(cold("two"))
    assert (report.outcome, report.reasons[-1].code) == ("cold", "cold-start"), report
    assert "before it forks: texts" in report.reasons[-1].what


def test_a_person_pushes_plans_and_rolls_back_a_cold_change(run: Serve, clone: Clone) -> None:
    server = run("-w", "2", *GRACEFUL)
    laptop = clone(server)
    server.ask_all(2)
    laptop.edit("Flask(__name__)", 'Flask(__name__, static_url_path="/s")')
    planned = laptop.run("plan")
    assert (planned.code, "cold, the workers would be restarted" in planned.said) == (0, True), planned.said
    assert re.search(r"would be gone\n\s+app\.hits: list of \d+, 0 at the start\n", planned.said), (
        planned.said
    )
    done = laptop.push()
    assert (done.code, done.last["outcome"], done.last["restarted"]) == (0, "live", True), done.said
    assert done.last["steps"] == ["app.py: restarted"]
    assert "cold change restarts the workers" in laptop.run("doctor").said
    server.ask_all(2)
    back = laptop.run("rollback", "--yes")
    assert (back.code, "restarted" in back.said, "what the workers kept" in back.said) == (0, True, True), (
        back.said
    )
    assert "app.hits: list of " in back.said


def test_with_preload_it_is_refused_with_the_reason(run: Serve) -> None:
    peer = run("-w", "2", "--preload").peer()
    report = peer.push(cold("two"))
    assert (report.outcome, report.reasons[-1].code) == ("cold", "no-restart"), report
    assert "--preload" in report.reasons[-1].what


DIES = """\
import signal
from pathlib import Path

from flask_habanero import cold
from flask_habanero.manager import Manager


def dying(name, real):
    def call(*given):
        if Path(app.root_path, "dies").exists() and Path(app.root_path, "dies").read_text() == name:
            Path(app.root_path, "dies").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)

    return call


cold.record = dying("after the note", cold.record)
Manager.start_all_anew = dying("after the record", Manager.start_all_anew)
"""
MORTAL = APP.replace("from flask import Flask\n", f"from flask import Flask\n{DIES}")


@pytest.mark.parametrize(
    ("when", "text", "number"), [("after the note", "one", 0), ("after the record", "two", 1)]
)
def test_a_leader_that_is_killed_loses_nothing_and_leaves_nothing_half_done(
    run: Serve, when: str, text: str, number: int
) -> None:
    server = run("-w", "2", *GRACEFUL, files={"app": MORTAL, "texts": TEXTS})
    server.ask_all(2)
    old, peer = server.workers(), server.peer()
    (server.folder / "dies").write_text(when)
    with load(server) as seen:
        with pytest.raises(requests.ConnectionError):
            peer.push(cold("two", MORTAL))
        eventually(lambda: len(old & server.workers()) == 1, 30)
        if number:  # the other worker ends by itself, when nobody has replaced it
            eventually(lambda: not old & server.workers(), 60)
            at_once = seen["one"]
            eventually(lambda: seen["two"] > 20, 30)
            assert seen["one"] == at_once
    assert "503" not in seen
    assert server.texts(2) == {text}
    assert peer.hello().release == number
    assert peer.push(cold("three", MORTAL)).outcome == "live"
    assert server.texts(2) == {"three"}


ORPHANED = """\
import time

from flask_habanero import cold


def orphaned(name, real):
    def call(*given):
        done = real(*given)
        if Path(app.root_path, "dies").read_text() == name:
            master = os.getppid()
            os.kill(master, signal.SIGKILL)
            while os.getppid() == master:
                time.sleep(0.01)
        return done

    return call


cold.fresh.run = orphaned("after the canary", cold.fresh.run)
cold.record = orphaned("after the record", cold.record)
"""
WITHOUT_A_MASTER = MORTAL.replace(DIES, f"import signal\nfrom pathlib import Path\n{ORPHANED}")


@pytest.mark.parametrize(
    ("when", "outcome", "why", "text"),
    [
        ("after the canary", "cold", "the process above this one is no gunicorn", "one"),
        ("after the record", "diverged", "the server's master is gone: start it again", "two"),
    ],
)
def test_a_master_that_dies_before_the_restart_is_told_and_whoever_starts_it_again_has_what_was_recorded(
    run: Serve, when: str, outcome: str, why: str, text: str
) -> None:
    server = run("-w", "2", *GRACEFUL, files={"app": WITHOUT_A_MASTER, "texts": TEXTS})
    server.ask_all(2)
    (server.folder / "dies").write_text(when)
    report = server.peer().push(cold("two", WITHOUT_A_MASTER))
    (server.folder / "dies").write_text("")
    said = [*report.workers.behind, *(reason.what for reason in report.reasons)]
    assert (report.outcome, any(why in words for words in said)) == (outcome, True), report
    assert server.process.wait(10) == -signal.SIGKILL
    eventually(lambda: not accepts(server.port), 30)  # its workers end, too
    restart(server)
    eventually(lambda: accepts(server.port), 30)
    assert server.texts(2) == {text}
    peer = server.peer()
    assert (peer.hello().outcome, peer.head.release) == ("live", int(outcome == "diverged"))
    assert peer.push(cold("three", WITHOUT_A_MASTER)).outcome == "live"
    assert server.texts(2) == {"three"}


def test_a_release_that_ends_workers_at_their_start_is_left_for_the_one_before(run: Serve) -> None:
    server = run("-w", "2", *GRACEFUL)
    server.ask_all(2)
    peer, text = server.peer(), cold("two")["app"]
    assert peer.push({"app": text}).outcome == "live"
    bad = "if os.path.exists(os.path.join(os.path.dirname(__file__), 'bad')):\n    os._exit(9)"
    report = peer.push({"app": cold("three")["app"].replace("hits = []", f"hits = []\n{bad}")})
    assert (report.outcome, report.release, report.data.get("restarted")) == ("live", 2, True), report
    workers = server.ask_all(2).keys()
    (server.folder / "bad").touch()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 30)
    assert server.texts(2) == {"two"}
    assert server.process.poll() is None
    assert peer.ask("status").outcome == "diverged"
    (server.folder / "bad").unlink()
    assert peer.push({"app": cold("four")["app"]}).outcome == "live"
    assert server.texts(2) == {"four"}


PAGES = """\
import os

from flask import Flask, render_template
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    return {"pid": os.getpid(), "text": render_template("page.html"), "static": static()}


def static():
    return app.test_client().get(app.static_url_path + "/a.txt").text
"""


def test_templates_and_static_files_come_with_a_cold_release_and_stay(run: Serve, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name, text in (("templates/page.html", "one"), ("static/a.txt", "one")):
        (site / name).parent.mkdir(parents=True)
        (site / name).write_text(text)
    server = run("-w", "2", *GRACEFUL, files={"app": PAGES})
    server.ask_all(2)
    peer = server.peer()
    pushed = peer.push({**cold("s", PAGES), "templates/page.html": b"two", "static/a.txt": b"two"})
    assert (pushed.outcome, pushed.data.get("restarted")) == ("live", True), pushed
    answers = {(a["text"], a["static"]) for a in server.ask_all(2).values()}
    assert answers == {("two", "two")}
    assert peer.hello().outcome == "live"
    back = peer.rollback()
    assert (back.outcome, back.data.get("restarted")) == ("live", True), back
    assert {(a["text"], a["static"]) for a in server.ask_all(2).values()} == {("one", "one")}
    (site / "templates" / "page.html").write_text("deployed")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.texts(2) == {"deployed"}, 30)
    assert peer.hello().data["first"] == 2


def test_a_cold_release_on_trial_is_taken_back_by_another_restart(run: Serve) -> None:
    server = run("-w", "2", *GRACEFUL)
    server.ask_all(2)
    peer = server.peer()
    report = peer.push_on_trial(cold("two"), within=5)
    assert (report.outcome, report.data.get("restarted")) == ("live", True), report
    assert server.texts(2) == {"two"}
    eventually(lambda: server.texts(2) == {"one"}, 60)
    assert peer.hello().release == 2
