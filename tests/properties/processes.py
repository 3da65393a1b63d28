"""Processes to compare: cold starts, and hot ones that take releases. All are forks of a warm parent.

A `Farm` is a process that has imported what all its children need; each job runs in a fork of it.
That makes a cold start cost some 20 ms and not half a second. The children of the cold farm have
never seen the engine.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Sources = Mapping[str, str]
"""Path below the root -> text."""

_ROOT = Path(__file__).parents[2]
_PATIENCE = 110  # seconds: of a child that hangs; a loaded machine takes a good part of it


@dataclass
class Started:
    """A process after its start: its fingerprint, or why it did not start."""

    found: dict[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass
class Release:
    """What became of one release in a process that was running."""

    outcome: (
        str  # "live", "refused" by the plan, "failed" (undone), "undo" (left so), "crash" (of the engine)
    )
    codes: tuple[str, ...] = ()
    text: str = ""
    steps: tuple[str, ...] = ()
    found: dict[str, str] = field(default_factory=dict)


@dataclass
class Hot:
    """A process that was started and took releases."""

    started: Started
    releases: list[Release] = field(default_factory=list)
    error: str = ""


class Farm:
    """Forks one child for each job, from a process that holds nothing of the tests that ran before. Close it.

    A fork of the process that runs the tests would hold their objects, too, and the engine walks all objects.

    Args:
        prepare: runs once in the farm's process, before the first job; a function of a module.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        ask, self._ask = os.pipe()
        self._answer, answer = os.pipe()
        begin = f"from {__name__} import _serve; _serve({ask}, {answer})"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(_ROOT)!r}); {begin}"],
            env={**os.environ, "PYTHONHASHSEED": "0"},  # what two farms give is compared, and shows sets
            pass_fds=(ask, answer),
        )
        os.close(ask)
        os.close(answer)
        _send(self._ask, prepare)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function returns in a fork of the farm.

        Raises:
            RuntimeError: it raised, or its process ended.
        """
        _send(self._ask, (function, *args))
        ok, value = _receive(self._answer)
        if not ok:
            raise RuntimeError(value)
        return value

    def close(self) -> None:
        """End the farm's process."""
        os.close(self._ask)
        os.close(self._answer)
        self._process.wait()


def _send(fd: int, value: Any) -> None:
    data = pickle.dumps(value)
    data = struct.pack(">Q", len(data)) + data
    while data:
        data = data[os.write(fd, data) :]


def _receive(fd: int) -> Any:
    size = struct.unpack(">Q", _exactly(fd, 8))[0]
    return pickle.loads(_exactly(fd, size))


def _exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _serve(ask: int, answer: int) -> None:
    _receive(ask)()
    with contextlib.suppress(EOFError):  # the farm was closed
        while True:
            _send(answer, forked(*_receive(ask)))


def forked(function: Callable[..., Any], *args: Any) -> tuple[bool, Any]:
    """Run a function in a fork of this process; return whether it returned, and what, or its traceback."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        signal.alarm(_PATIENCE)
        try:
            result = (True, function(*args))
        except BaseException:  # noqa: BLE001  # all of it is the answer
            result = (False, traceback.format_exc())
        try:
            _send(write, result)
        finally:
            os._exit(0)
    os.close(write)
    try:
        return _receive(read)
    except EOFError:
        return False, "the process ended without an answer"
    finally:
        os.close(read)
        os.waitpid(pid, 0)


# what the children do


def cold_imports() -> None:
    """Import what a cold start needs beside the project."""
    sys.dont_write_bytecode = True
    for name in (
        "tests.oracle.process",
        "flask",
        "flask.views",
        "jinja2.debug",
        "flask.testing",
        "dataclasses",
        "enum",
        "abc",
    ):
        importlib.import_module(name)


def hot_imports() -> None:
    """Import the engine, too, and let it begin its books."""
    cold_imports()
    from flask_habanero.live import commit, flow, plan, program, registrations  # noqa: F401  # so that no child has to

    program.install()
    registrations.targets.clear()  # apps of tests that ran before in this very process


def late_imports() -> None:
    """Load the engine, but let the project's own import of it begin the books."""
    cold_imports()
    for name in ("plan", "flow", "commit", "program"):
        importlib.import_module(f"flask_habanero.live.{name}")
    importlib.import_module("flask_habanero.server")


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Give a folder in memory if there is one."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    path = tempfile.mkdtemp(prefix="edits", dir=base)
    try:
        yield os.path.realpath(path)
    finally:
        shutil.rmtree(path)


def write(root: str, sources: Sources) -> None:
    """Write files below a root."""
    for name, text in sources.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def start(root: str, entry: str) -> Any:
    """Import the project as a server does, or run its file as the main program; return its app."""
    sys.path.insert(0, root)
    os.chdir(root)
    module, _, name = entry.partition(":")
    live = _run_as_main(Path(root, module)) if module.endswith(".py") else importlib.import_module(module)
    if name.endswith(")"):  # a factory, which may be given what its module knows
        return eval(name, live.__dict__)  # ours; `vars` would count as somebody who lists members
    return getattr(live, name)


def _run_as_main(path: Path) -> types.ModuleType:
    """Run a file as `python file.py` does."""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), main.__dict__)
    return main


def tops(sources: Sources) -> set[str]:
    """Return the top-level module names of some files."""
    return {name.partition("/")[0].removesuffix(".py") for name in sources}


def look(app: Any, names: set[str], root: str) -> dict[str, str]:
    """Return the fingerprint of this process, after each page was asked for: what loads late is loaded."""
    from tests.oracle.process import fingerprint

    warm(app)
    with contextlib.redirect_stderr(io.StringIO()):
        return fingerprint([app], names, root)


def cold(sources: Sources, entry: str) -> Started:
    """Start an app and look at it."""
    with folder() as root:
        write(root, sources)
        try:
            app = start(root, entry)
        except BaseException as error:  # noqa: BLE001  # the app's own fault is the answer
            return Started(error=f"{type(error).__name__}: {error}")
        return Started(look(app, tops(sources), root))


def hot(sources: Sources, entry: str, targets: list[Sources]) -> Hot:
    """Start an app and let it take releases, one after the other; look at it after each."""
    from flask_habanero.live import program, startup

    with folder() as root:
        write(root, sources)
        try:
            app = start(root, entry)
        except BaseException as error:  # noqa: BLE001  # the app's own fault is the answer
            return Hot(Started(error=f"{type(error).__name__}: {error}"))
        running = program.attach(app)
        startup.stop()
        names = set().union(*(tops(one) for one in [sources, *targets]))
        warm(app)
        result = Hot(Started(_looked(app, names, root)))
        for target in targets:
            result.releases.append(release(running, target))
            result.releases[-1].found = _looked(app, names, root)
            if result.releases[-1].outcome == "undo":
                break
        return result


def _looked(app: Any, names: set[str], root: str) -> dict[str, str]:
    ok, found = forked(look, app, names, root)
    if not ok:
        raise RuntimeError(found)
    return found


def warm(app: Any) -> None:
    """Serve each page once, as a process that has been running did."""
    client = app.test_client()
    with contextlib.redirect_stderr(io.StringIO()):
        for rule in list(app.url_map.iter_rules()):
            if not rule.arguments:
                client.get(rule.rule)


def release(running: Any, target: Sources) -> Release:
    from flask_habanero.errors import ColdChangeError, CommitError, UndoError
    from flask_habanero.source import Source
    from flask_habanero.unit import build_unit

    wanted = {}
    for path, text in target.items():
        parts = path.removesuffix(".py").split("/")
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        wanted[name] = Source(name, path, package, text)
    changed = [source for name, source in wanted.items() if running.tree.get(name) != source]
    deleted = [name for name in running.tree if name not in wanted]
    try:
        plan = running.plan_with_libraries([build_unit(source) for source in changed], deleted)
        words = tuple(map(str, plan.steps))
        if plan.reasons:
            return Release(
                "refused", tuple(r.code for r in plan.reasons), "; ".join(map(str, plan.reasons)), words
            )
        running.stage(plan)
        running.commit(plan)
    except ColdChangeError as error:
        return Release("refused", tuple(r.code for r in error.reasons), str(error))
    except UndoError:
        return Release("undo", ("undo",), traceback.format_exc())
    except CommitError as error:
        return Release("failed", ("commit",), str(error), words)
    except Exception:  # noqa: BLE001  # a fault of the engine is what is looked for
        return Release("crash", ("crash",), traceback.format_exc())
    return Release("live", steps=words)
