"""What the demo stands on: a gunicorn, a watcher, and questions to every one of its workers.

Real processes over real files, in a temporary folder of their own, on loopback. Whatever was
started here is ended here, by its process id.
"""

from __future__ import annotations

import http.client
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..envelope import new_secret
from ..errors import ConfigError

WORKERS = 2
BOOT_S = 30.0  # a loaded machine imports a Flask app slowly
ANSWER_S = 10.0  # for one answer; also how long a watcher may take to say something
END_S = 15.0  # between a polite end and the other one; a loaded machine ends a server slowly
SAMPLE = Path(__file__).parents[2] / "sample_app"
OURS = ("FLASK_", "HABANERO_", "GUNICORN_")  # what a developer has set for their own app
FROM_A_CLONE = "in a clone of the project:  pip install -e '.[demo]'"


class BrokenPromiseError(Exception):
    """Something that the demo shows did not hold."""


@dataclass(frozen=True)
class Answer:
    """What one worker said to one question."""

    worker: int  # its process id
    status: int
    text: str


@dataclass
class Server:
    """One gunicorn.

    Attributes:
        counted: pid -> how many questions of ours that worker has answered.
    """

    process: subprocess.Popen[bytes]
    port: int
    counted: dict[int, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, within_s: float = ANSWER_S) -> dict[int, Answer]:
        """Return what every worker answers, by process id.

        Raises:
            BrokenPromiseError: not all of them did in time.
        """
        answers: dict[int, Answer] = {}
        deadline = time.monotonic() + within_s
        while len(answers) < WORKERS:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BrokenPromiseError(f"{len(answers)} of {WORKERS} workers answered {path}")
            with suppress(OSError, http.client.HTTPException):  # a worker that died: asked again
                answers |= self._ask_at_once(path, deadline)
        return answers

    def _ask_at_once(self, path: str, deadline: float) -> dict[int, Answer]:
        """Ask on as many connections as there are workers, the one that was opened last first.

        Connections are accepted in their order, and a sync worker that accepted one waits for its
        request: so each is with another worker.
        """
        answers = {}
        with ExitStack() as stack:
            wait_s = max(0.1, deadline - time.monotonic())
            lines = [
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=wait_s) for _ in range(WORKERS)
            ]
            for line in lines:
                stack.callback(line.close)
                line.connect()
            for line in reversed(lines):
                answer = _answer(line, path)
                self.counted[answer.worker] = self.counted.get(answer.worker, 0) + 1
                answers[answer.worker] = answer
        return answers


def _answer(line: http.client.HTTPConnection, path: str) -> Answer:
    line.request("GET", path)
    response = line.getresponse()
    return Answer(int(response.headers["X-Worker"]), response.status, response.read().decode())


class Watcher:
    """A ``flask habanero watch``, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None  # it is a pipe
        for line in self.process.stdout:
            self._lines.put(line.decode(errors="replace").rstrip())
        self._lines.put(None)

    def lines(self, within_s: float) -> Iterator[str]:
        """Yield what it says until it was silent for so long, or has ended."""
        while True:
            try:
                line = self._lines.get(timeout=within_s)
            except queue.Empty:
                return
            if line is None:
                return
            yield line

    def expect(self, patterns: Collection[str]) -> list[str]:
        """Return what it says, to the line that completes the patterns, which it must say in this order.

        Raises:
            BrokenPromiseError: it did not.
        """
        said: list[str] = []
        wanted = list(patterns)
        for line in self.lines(ANSWER_S):
            said.append(line)
            if re.search(wanted[0], line):
                wanted.pop(0)
            if not wanted:
                return said
        raise BrokenPromiseError(f"the watcher did not say {wanted[0]!r} but: {said}")


@dataclass(frozen=True)
class Stage:
    """The running demo.

    Attributes:
        laptop: the working copy that a person edits; the server has a copy of its own.
    """

    laptop: Path
    server: Server
    watcher: Watcher
    environ: Mapping[str, str]

    def command(self, *words: str) -> tuple[int, list[str]]:
        """Run ``flask habanero ...`` on the laptop; return its exit code and what it said."""
        done = subprocess.run(  # noqa: S603  # our own command, words from the demo's script
            flask(*words),
            cwd=self.laptop,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BOOT_S,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace").splitlines()


def flask(*words: str) -> list[str]:
    """Return the command line of one of our commands, with this very Python."""
    return [sys.executable, "-m", "flask", "habanero", *words]


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything; end everything and remove its files, also after Ctrl-C.

    Raises:
        ConfigError: the sample app or what it needs is not here.
        BrokenPromiseError: it does not start; whatever is raised inside comes with the server's log.
    """
    check_installed()
    with ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        place = tempfile.TemporaryDirectory(prefix="habanero-demo-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(place)).resolve()
        for name in ("server", "laptop"):
            shutil.copytree(SAMPLE, folder / name, ignore=shutil.ignore_patterns("__pycache__", "instance"))
        environ, log = environment(folder), folder / "gunicorn.log"
        try:
            server = stack.enter_context(serving(folder / "server", environ, log))
            target = f'[tool.habanero.targets.demo]\nurl = "{server.url}"\n'
            (folder / "laptop" / "pyproject.toml").write_text(target)
            server.ask("/who", BOOT_S)  # a worker that has not served yet would be asleep
            watcher = stack.enter_context(watching(folder / "laptop", environ))
            yield Stage(folder / "laptop", server, watcher, environ)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"{error}\n\nWhat the server wrote:\n{log.read_text()}") from None


def check_installed() -> None:
    """Raise ConfigError if the sample app or a package that it needs is missing."""
    if not (SAMPLE / "wsgi.py").is_file():
        why = f"the sample app is not at {SAMPLE}: it comes with a clone, not with a wheel"
        raise ConfigError("demo", why, FROM_A_CLONE)
    for name in ("gunicorn", "flask_sqlalchemy"):
        if find_spec(name) is None:
            raise ConfigError("demo", f"{name} is not installed", FROM_A_CLONE)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment without the settings of a developer's own app, with a secret for this run."""
    (folder / "run").mkdir(mode=0o700)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
        "FLASK_SKIP_DOTENV": "1",
        "GIT_CEILING_DIRECTORIES": str(folder),  # a temporary folder may lie in somebody's repository
        "HABANERO_SECRET": new_secret("demo"),
        "NO_COLOR": "1",
        "XDG_RUNTIME_DIR": str(folder / "run"),  # gunicorn 25 and later put a control socket there
        "XDG_STATE_HOME": str(folder / "state"),
    }


@contextmanager
def serving(folder: Path, environ: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Run gunicorn on a free port: bound here, so that nobody takes it in between."""
    with socket.socket() as listener, log.open("wb") as out:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        options = ["-w", str(WORKERS), "-b", f"fd://{listener.fileno()}", "wsgi:app"]
        process = subprocess.Popen(  # noqa: S603  # this Python, words of our own
            [sys.executable, "-m", "gunicorn", *options],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[listener.fileno()],
            process_group=0,  # Ctrl-C is for us, who end it
        )
    server = Server(process, port)
    try:
        yield server
    finally:
        if not end(process):  # it had no time to end its workers
            for pid in server.counted:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def watching(folder: Path, environ: Mapping[str, str]) -> Iterator[Watcher]:
    """Run ``flask habanero watch`` in a folder."""
    process = subprocess.Popen(  # noqa: S603  # this Python, words of our own
        flask("watch", "demo"),
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        yield Watcher(process)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> bool:
    """End a process of ours; return whether it did so when it was asked to."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end us as Ctrl-C does: with everything that we started."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
