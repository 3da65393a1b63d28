"""Real servers and a real watcher for the benchmarks: on loopback, ended by their process ids."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps import ROOT, App

WORKERS = 2
BOOT_S = 60.0  # a large app on a loaded machine
HERE = Path(__file__).parent


@dataclass
class Server:
    """A gunicorn with two sync workers over a copy of an app."""

    app: App
    folder: Path
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str) -> dict[int, str]:
        """Return what the workers answer at a path: process id -> headers and body.

        As many connections as workers, the last one asked first: a sync worker waits for the request of the
        connection that it accepted, so each is with another.
        """
        answers = {}
        with ExitStack() as stack:
            lines = [
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOOT_S) for _ in range(WORKERS)
            ]
            for line in lines:
                stack.callback(line.close)
                line.connect()
            for line in reversed(lines):
                line.request("GET", path)
                answer = line.getresponse()
                text = f"{answer.headers}\n{answer.read().decode()}"
                assert answer.status == 200, text
                answers[int(answer.headers["X-Worker"])] = text
        return answers

    def await_all(self, path: str, text: str) -> float:
        """Ask until all workers have answered with a text; return when the last of them did."""
        seen: set[int] = set()
        deadline = time.monotonic() + BOOT_S
        while len(seen) < WORKERS:
            assert time.monotonic() < deadline, (self.folder, text)
            with suppress(OSError, http.client.HTTPException):  # a worker that is just ending
                seen |= {pid for pid, answer in self.ask(path).items() if text in answer}
        return time.monotonic()


def cpu_ms(pid: int) -> float:
    """Return the milliseconds of a processor that a process and its children, ended ones too, have used."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK") * 1000  # of itself and of ended children
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return own + sum(cpu_ms(int(child)) for task in tasks for child in task.read_text().split())


@contextmanager
def serving(app: App, folder: Path, environ: dict[str, str]) -> Iterator[Server]:
    """Copy an app and serve it; all workers have answered."""
    shutil.copytree(app.sources, folder, ignore=shutil.ignore_patterns("__pycache__", "instance"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        options = ["-w", str(WORKERS), "-b", f"fd://{listener.fileno()}", "wsgi:app"]
        with (folder.parent / f"{folder.name}.log").open("wb") as out:
            process = subprocess.Popen(
                [str(app.python), "-m", "gunicorn", *options],
                cwd=folder,
                env=environ,
                stdout=out,
                stderr=out,
                pass_fds=[listener.fileno()],
            )
    server = Server(app, folder, process, port)
    try:
        server.await_all(app.code.path, "")
        yield server
    finally:
        process.terminate()
        process.wait(BOOT_S)


class Watcher:
    """A running `stamped_watch.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def next(self) -> dict[str, Any]:
        """Return the next object that it prints."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise AssertionError("the watcher ended")


@contextmanager
def watching(app: App, folder: Path, server: Server, environ: dict[str, str]) -> Iterator[Watcher]:
    """Copy an app as a working copy and watch it."""
    shutil.copytree(app.sources, folder, ignore=shutil.ignore_patterns("__pycache__", "instance"))
    (folder / "pyproject.toml").write_text("")  # the project's folder is this one
    process = subprocess.Popen(
        [str(app.python), str(HERE / "stamped_watch.py"), "--url", server.url],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "watching" in line:
                break
        yield Watcher(process)
    finally:
        process.terminate()
        process.wait(BOOT_S)


def environment(folder: Path, secret: str) -> dict[str, str]:
    """Return an environment without the settings of somebody's own app. Without a secret we are inert."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "HABANERO_", "GUNICORN_"))}
    ours = {"HABANERO_SECRET": secret, "HABANERO_STORE": str(folder / "store")} if secret else {}
    return {
        **kept,
        **ours,
        "GIT_CEILING_DIRECTORIES": str(folder),
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(run),
        "XDG_STATE_HOME": str(folder / "state"),
    }
