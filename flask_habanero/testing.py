"""For tests of your own app: is an edit live, and what becomes of what is in memory?

In ``conftest.py``: ``pytest_plugins = ["flask_habanero.testing"]``. Then::

    def test_the_new_price(habanero):
        shop = habanero("shop:create_app")
        release = shop.edit("shop/views.py", "price = 3", "price = 4")
        assert release.outcome == "live", release.reasons
        assert shop.get("/price").text == "4"

The app runs in a process of its own, which ends with the test: no file is written, nothing is left to undo.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .envelope import new_secret
from .release import Report

__all__ = ["Answer", "RunningApp", "habanero"]

PATIENCE_S = 60.0  # for one turn, the start among them: a test that hangs says nothing


@dataclass(frozen=True)
class Answer:
    """What the app answered to one request."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.data.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.data)


class RunningApp:
    """An app in a process of its own, as the code on disk makes it, and then as you change it.

    Each method raises RuntimeError if the process has ended, or hung; what it printed is on stderr.
    """

    def __init__(self, target: str, folder: Path, store: Path, environ: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "flask_habanero.specimen", target, str(store)]
        self._process = subprocess.Popen(  # noqa: S603  # our own module, in this Python
            command, cwd=folder, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self._read()
        except RuntimeError:
            self.close()
            raise

    def push(self, files: Mapping[str, str | bytes | None]) -> Report:
        """Make files live, as a save of all of them at once does. Returns the report.

        Args:
            files: path -> its text or bytes, or None if it goes. Paths are written as `flask habanero plan`
                prints them: ``shop/views.py``, ``shop/templates/base.html``.

        Raises:
            RuntimeError: also if a source does not compile.
        """
        sent = {path: None if data is None else _coded(data) for path, data in files.items()}
        return Report.from_json(self._ask("push", files=sent)["report"])

    def edit(self, path: str, old: str, new: str) -> Report:
        """Make one edit live: a file with `new` in the place of `old`, which stands there once.

        Raises:
            ValueError: `old` does not stand there, or more than once.
            RuntimeError: also if there is no such file.
        """
        text = self.text(path)
        if text.count(old) != 1:
            raise ValueError(f"{old!r} stands in {path} {text.count(old)} times, not once")
        return self.push({path: text.replace(old, new)})

    def rollback(self, to: int | None = None) -> Report:
        """Make an earlier release live again, or the one before; 0 is the code on disk."""
        return Report.from_json(self._ask("rollback", to=to)["report"])

    def text(self, path: str) -> str:
        """Return the text of a file as it is live now."""
        return str(self._ask("text", path=path)["text"])

    def request(self, path: str, **how: Any) -> Answer:
        """Send a request. Arguments as Werkzeug's test client has them: method, json, headers and others.

        Cookies are kept from one to the next.
        """
        found = self._ask("request", path=path, how=how)
        return Answer(found["status"], dict(found["headers"]), b64decode(found["body"]))

    def get(self, path: str, **how: Any) -> Answer:
        """Send a GET request."""
        return self.request(path, method="GET", **how)

    def post(self, path: str, **how: Any) -> Answer:
        """Send a POST request."""
        return self.request(path, method="POST", **how)

    def value(self, name: str) -> Any:
        """Return what a name means in the app now: ``shop.views:price``; what JSON has not, as its repr."""
        return self._ask("value", name=name)["value"]

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the app, in its app context, and return what `value` would.

        Raises:
            RuntimeError: also if the function raises.
        """
        return self._ask("call", name=name, args=args, kwargs=kwargs)["value"]

    def close(self) -> None:
        """End the process."""
        with self._process:  # closes its pipes and waits
            self._process.kill()

    def _ask(self, turn: str, **about: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": turn, **about}).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):  # the second: it was closed
            raise RuntimeError("the app has ended") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(PATIENCE_S, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError("the app has ended, or was ended since it hung: its output says more")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def _coded(data: str | bytes) -> str:
    return b64encode(data.encode() if isinstance(data, str) else data).decode()


Start = Callable[..., RunningApp]


@pytest.fixture
def habanero(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Give a function that starts an app: ``habanero("shop:create_app", folder=..., environ={...})``.

    The target is written as for ``flask --app``. The folder is the current directory of the app, by default
    pytest's root; environment variables are added to those here, or taken out if they are None.
    """
    with ExitStack() as stack:

        def start(
            target: str, *, folder: str | Path = "", environ: Mapping[str, str | None] | None = None
        ) -> RunningApp:
            store = tmp_path_factory.mktemp("habanero") / "store"
            app = RunningApp(target, request.config.rootpath / folder, store, _environ(environ or {}))
            stack.callback(app.close)
            return app

        yield start


def _environ(more: Mapping[str, str | None]) -> dict[str, str]:
    """Return the environment of an app under test: ours, without the keys of a real server."""
    found: dict[str, str | None] = {
        name: value
        for name, value in os.environ.items()
        if not name.removeprefix("FLASK_").startswith("HABANERO_")
    }
    found["PYTHONPATH"] = os.pathsep.join(
        filter(None, sys.path)
    )  # pytest's own settings have their part in it
    found["HABANERO_SECRET"] = new_secret()
    return {name: value for name, value in {**found, **more}.items() if value is not None}
