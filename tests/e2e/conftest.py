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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give what `starting` gives, for one test."""
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
def serve(start: Start) -> Serve:
    """Give a function that starts gunicorn: ``serve("-w", "4", files={"app": "..."}, target="app:app")``."""
    return with_gunicorn(start)


def with_gunicorn(start: Start) -> Serve:
    """Return how gunicorn is started."""

    def serve(
        *options: str, files: Mapping[str, str] | None = None, target: str = "app:app", site: str = "site"
    ) -> Server:
        port = free_port()
        # The script, not -m: a second master is started with the first one's sys.argv
        bound = [
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
