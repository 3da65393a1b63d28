"""Real servers over real files: started on a free loopback port, asked until they are ready, ended by pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import gunicorn
import pytest
import requests
from flask_habanero.envelope import Key, new_secret

from tests.e2e.laptops import clone  # noqa: F401  # a fixture
from tests.hosts import eventually
from tests.peer import PATH, Peer, Send
from tests.stores import RedisServer, running

ROOT = Path(__file__).parents[2]
# Where gunicorn has one, its default is a file in the home folder that all servers share
NO_CONTROL_SOCKET = ["--no-control-socket"] if gunicorn.version_info >= (25, 1) else []
START_S = 30.0  # a loaded machine imports Flask slowly

APP = '''\
"""An app that tells which worker answers."""

import os

from flask import Flask
from flask_habanero import Habanero

from texts import greeting

app = Flask(__name__)
Habanero(app)
hits = []


@app.get("/")
def index():
    hits.append(1)
    return {"pid": os.getpid(), "text": text(), "greeting": greeting(), "hits": len(hits)}


@app.get("/slow/<float:seconds>")
def slow(seconds):
    import time

    time.sleep(seconds)
    return {"pid": os.getpid(), "text": text()}


def text():
    return "one"
'''

TEXTS = """\
def greeting():
    return "hello"
"""


@dataclass
class Server:
    """One server over one folder of sources.

    Attributes:
        folder: its current directory, with ``app.py``.
        process: the one that was started: a master, or what serves itself.
        log: what it wrote.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    key: Key

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str = "/") -> dict[str, object]:
        """Return the JSON that the app answers to one request, on a connection of its own."""
        answer = requests.get(self.url + path, timeout=30)
        assert answer.status_code == 200, (answer.status_code, answer.text, self.log.read_text())
        return dict(answer.json())

    def peer(self) -> Peer:
        """Return a client of its endpoint."""
        peer = Peer(self.key, over_http(self.url + PATH))
        peer.hello()
        return peer

    def source(self, name: str = "app") -> str:
        return (self.folder / f"{name}.py").read_text()

    def workers(self) -> set[int]:
        """Return the pids of the workers that the master has."""
        return children(self.process.pid)

    def ask_all(self, count: int) -> dict[int, dict[str, object]]:
        """Ask until so many workers have answered; return the last answer of each.

        Several at once: some servers give all that comes one by one to the same worker.
        """
        answers: dict[int, dict[str, object]] = {}

        def asked() -> bool:
            for answer in pool.map(lambda _: self.get(), range(4)):
                answers[int(str(answer["pid"]))] = answer
            return len(answers) >= count

        with ThreadPoolExecutor(4) as pool:
            eventually(asked, 30)
        return answers

    def texts(self, count: int) -> set[object]:
        """Return what `count` workers say, each asked after this call."""
        return {answer["text"] for answer in self.ask_all(count).values()}

    def pause(self) -> None:
        """Make it hang, for good: it accepts, and answers nothing."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            os.kill(pid, signal.SIGSTOP)

    def stop(self) -> None:
        """End it and its workers, and their masters if there are two; then nobody accepts any more.

        A worker that is being killed lets go of the port a moment after its master has ended: whoever
        connects until then is accepted, cut off, and can't know what became of the request.
        """
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        eventually(lambda: not accepts(self.port), 10)


def children(pid: int) -> set[int]:
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has just ended
            found.update(map(int, path.read_text().split()))
    return found


def descendants(pid: int) -> set[int]:
    return {found for child in children(pid) for found in (child, *descendants(child))}


def over_http(url: str) -> Send:
    """Return how to send to a real server."""

    def send(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = requests.post(url, data=body, headers=dict(headers), timeout=60)
        return answer.status_code, answer.headers, answer.content

    return send


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Serve = Callable[..., Server]
Start = Callable[..., Server]


@contextmanager
def starting(place: Path) -> Iterator[Start]:
    """Give a function that runs a command, which listens at a port, in a folder of sources below a place."""
    servers: list[Server] = []
    secret = new_secret("e2e")

    def start(command: list[str], port: int, files: Mapping[str, str] | None, site: str = "site") -> Server:
        folder = place / site
        folder.mkdir(exist_ok=True)
        for name, text in (files if files is not None else {"app": APP, "texts": TEXTS}).items():
            (folder / f"{name}.py").write_text(text)
        ours = {"HABANERO_SECRET": secret, "PYTHONPATH": str(ROOT), "FLASK_RUN_PORT": str(port)}
        log = place / f"log{len(servers)}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **ours}, stdout=out, stderr=out
            )
        server = Server(folder, port, process, log, Key.parse(secret))
        servers.append(server)
        eventually(lambda: answers(server), START_S)
        return server

    yield start
    for server in servers:
        server.stop()


# Servers take long to start. Of this folder each run takes these; `pytest -m e2e tests/e2e` takes all.
EACH_TIME = {
    "test_a_cold_change_is_restarted_into_and_no_request_fails",
    "test_a_healthy_server",
    "test_a_kill_between_the_release_and_the_answer",
    "test_a_module_body_that_raises_changes_no_worker",
    "test_a_new_module_beside_the_app_goes_live_with_what_imports_it",
    "test_a_push_a_refusal_and_a_rollback_reach_all_workers_or_none",
    "test_a_push_carries_them_to_every_worker",
    "test_a_push_is_live_on_all_workers_of_all_hosts_and_on_one_that_comes_back",
    "test_a_release_on_trial_goes_unless_it_is_confirmed",
    "test_a_release_that_is_bad_at_a_start_leaves_the_app_up_with_the_last_good_one",
    "test_a_reload_comes_to_head_and_other_code_on_disk_ends_the_releases",
    "test_a_rollback_while_others_watch_stays_rolled_back",
    "test_a_save_reaches_every_worker",
    "test_a_save_that_fails_is_taken_back_and_its_window_says_so",
    "test_a_slow_request_that_ends_in_time_only_delays",
    "test_a_task_runs_on_one_release_and_no_push_waits_for_it",
    "test_a_thread_inside_changing_code_makes_the_change_cold_on_all_workers",
    "test_a_worker_that_is_killed_comes_back_at_head",
    "test_below_uwsgi_a_cold_change_is_restarted_into_and_no_request_fails",
    "test_conflicts_are_waited_for",
    "test_demo_fails_if_a_promise_is_broken",
    "test_demo_holds_and_leaves_nothing_behind",
    "test_each_way_to_save_is_one_right_release",
    "test_each_worker_is_told_and_a_receiver_that_raises_harms_nothing",
    "test_no_page_shows_what_no_command_printed",
    "test_r15_a_store_that_fails_while_the_app_serves_refuses_pushes_until_it_is_back",
    "test_r16_a_full_disk_fails_the_push_and_the_next_one_works",
    "test_reading_back_after_a_restart_and_from_a_second_laptop",
    "test_some_workers_are_killed_under_load",
    "test_the_page_shows_what_the_commands_print",
    "test_the_pushed_code_may_be_deployed_cold",
    "test_two_people_edit_the_same_file",
    "test_two_people_push_at_the_same_moment",
    "test_under_load_every_answer_is_of_one_release_and_none_is_older_than_acknowledged",
    "test_views_that_are_slower_than_before",
    "test_what_a_rehearsal_finds_and_that_nobody_else_notices",
    "test_what_an_editor_saves_at_random_arrives",
    "test_what_differs_from_run_to_run_is_made_the_same",
    "test_what_shows_no_output_needs_none",
    "test_what_was_written_by_hand_is_found",
}


@pytest.hookimpl(tryfirst=True)  # before marks are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the others of this folder be long."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.name.partition("[")[0] not in EACH_TIME:
            item.add_marker(pytest.mark.long)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give what `starting` gives, for one test."""
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
def serve(start: Start) -> Serve:
    """Give a function that starts gunicorn: ``serve("-w", "4", files={"app": "..."}, target="app:app")``."""
    return with_gunicorn(start)


def with_gunicorn(start: Start, *ahead: str) -> Serve:
    """Return how gunicorn is started, by a command that stands ahead of it."""

    def serve(
        *options: str, files: Mapping[str, str] | None = None, target: str = "app:app", site: str = "site"
    ) -> Server:
        port = free_port()
        # The script, not -m: a second master is started with the first one's sys.argv
        bound = [
            *ahead,
            sys.executable,
            program("gunicorn"),
            "-b",
            f"127.0.0.1:{port}",
            "--graceful-timeout",
            "5",
            *NO_CONTROL_SOCKET,
        ]
        return start([*bound, *options, target], port, files, site)

    return serve


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis server of this test's own."""
    with running(RedisServer(tmp_path / "redis")) as server:
        yield server


@pytest.fixture
def develop(start: Start) -> Serve:
    """Give a function that starts Flask's development server: ``develop("-m", "flask", "run")``."""
    return lambda *arguments: start([sys.executable, *arguments], free_port(), None)


def program(name: str) -> str:
    """Return the path of a program that was installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def answers(server: Server) -> bool:
    """Whether the server is ready: it accepts, and has not given up."""
    assert server.process.poll() is None, server.log.read_text()
    return accepts(server.port)


def accepts(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
