"""One process of a replay: boots an app, takes a release if told to, and writes down what it is then.

Run with the app's own interpreter: ``python worker.py hot|cold JOB OUT``. A cold process never
imports the engine. Both do the same, in the same order, but for the release.

What differs from process to process for no reason of the code is pinned on both sides: random
bytes and the time of day. The network is not to be had.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import re
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Words = dict[str, str]

_NOON = 1_700_000_000.0  # any moment will do
_PATIENCE = 150  # seconds a process may take; only one that hangs takes so long
_PASSING = [  # what an answer says of the moment and of chance
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "<moment>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "<time>"),
    (re.compile(r"(\d+ (years?|months?|weeks?|days?|hours?|mins?|minutes?|secs?|seconds?),? )+ago"), "<ago>"),
    (re.compile(r" at 0x[0-9a-f]+"), " at <address>"),
]


def pin() -> None:
    """Take chance, the clock and the network away."""
    os.urandom = lambda size: b"\x07" * size  # type: ignore[assignment]  # before `random` and `secrets` bind it
    time.time = lambda: _NOON  # type: ignore[assignment]
    import random

    random.seed(7)
    real = socket.getaddrinfo

    def nowhere(host: Any, *args: Any, **options: Any) -> Any:
        if host not in ("localhost", "127.0.0.1", "::1", None):
            raise socket.gaierror("no network in a replay")
        return real(host, *args, **options)

    socket.getaddrinfo = nowhere


def boot(job: Job) -> Any:
    """Return the app of the first entry that the tree has.

    An entry is ``module:expression``; the expression is evaluated among the module's names.
    """
    exec(job["prepare"], {})
    errors = []
    for entry in job["entries"]:
        module, _, expression = entry.partition(":")
        try:
            importlib.import_module(module)
            # ours, from apps.toml; who calls `vars`, as no server does, is taken for one who lists things
            return eval(expression, sys.modules[module].__dict__)
        except (ModuleNotFoundError, NameError) as error:
            if error.name not in (*_prefixes(module), *re.findall(r"\w+", expression)):
                raise  # something else is missing: the app does not boot
            errors.append(str(error))
    raise LookupError("; ".join(errors))


def _prefixes(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def serve(app: Any, job: Job) -> None:
    """Let the app's data be as after a fresh install, then ask for its first pages."""
    if job["setup"]:
        with app.app_context():
            exec(job["setup"], {"app": app})
    for path in job["warm"]:
        with contextlib.suppress(
            Exception
        ):  # old code may not fit the new templates: as little as in real life
            app.test_client().get(path)


def look(app: Any, job: Job) -> Words:
    """Return the fingerprint: the oracle's, and what the libraries of these apps keep."""
    import libraries  # beside this file

    from tests.oracle.process import fingerprint

    _any_bytes_as_text()
    app.wsgi_app = _Frank(app.wsgi_app)
    found = libraries.words(app, set(job["tops"]), job["root"])  # first: answers fill caches
    found.update(fingerprint([app], job["tops"], job["root"], ask=job["ask"]))
    return {path: _lasting(word) for path, word in found.items() if not path.endswith(".creation_counter")}


class _Frank:
    """Answers what an app raises past all its error handlers."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, environ: Any, start_response: Any) -> Any:
        try:
            return self.inner(environ, start_response)
        except Exception as error:  # noqa: BLE001  # an answer like another, on both sides
            start_response("500 RAISED", [("Content-Type", "text/plain")])
            return [f"{type(error).__name__}: {error}".encode()]


def _any_bytes_as_text() -> None:
    """Let answers that are no text be compared, too."""
    from werkzeug.test import TestResponse

    def get_data(self: Any, as_text: bool = False) -> Any:
        data = super(TestResponse, self).get_data()
        return data.decode(errors="backslashreplace") if as_text else data

    TestResponse.get_data = get_data


def _lasting(word: str) -> str:
    for pattern, text in _PASSING:
        word = pattern.sub(text, word)
    return word


def looked(app: Any, job: Job) -> Words:
    """Return the fingerprint as a fork sees it: the look leaves no trace in memory or files."""
    files = _data(job["root"])
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # apps have threads; the child only looks
        pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            answer: Any = look(app, job)
        except BaseException:  # noqa: BLE001  # told to the parent
            answer = traceback.format_exc()
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pickle.load(pipe)
    os.waitpid(pid, 0)
    _restore(job["root"], files)
    if isinstance(answer, str):
        raise RuntimeError(answer)
    found: Words = answer
    return found


def _data(root: str) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for path in Path(root).rglob("*") if path.is_file() and path.suffix != ".py"
    }


def _restore(root: str, files: dict[Path, bytes]) -> None:
    for path, data in _data(root).items():
        if path not in files:
            path.unlink()
        elif files[path] != data:
            path.write_bytes(files[path])  # in place: open files stay the same files
    for path, data in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def cold(job: Job) -> Job:
    """Boot and look."""
    app = boot(job)
    serve(app, job)
    serve(app, job)
    return {"outcome": "booted", "found": looked(app, job)}


def hot(job: Job) -> Job:
    """Boot with the engine's books kept, take the release, look before and after."""
    from flask_habanero.live import program, startup

    program.install()
    app = boot(job)
    running = program.attach(app, tuple(name for name in job["tops"] if _there(job["root"], name)))
    startup.stop()
    running.warm()
    serve(app, job)
    before = looked(app, job)
    module, _, name = job["push"].partition(":")
    result: Job = getattr(importlib.import_module(module), name)(running, job)
    if result["outcome"] == "live":
        serve(app, job)
        return {**result, "before": before, "found": looked(app, job)}
    found = looked(app, job)
    if found != before:  # by chance, perhaps: where two looks at one state differ
        again = looked(app, job)
        chance = {path for path, word in found.items() if again.get(path) != word}
        found = {path: before.get(path, word) if path in chance else word for path, word in found.items()}
    return {**result, "before": before, "found": found}


def _there(root: str, top: str) -> bool:
    return Path(root, top).is_dir() or Path(root, f"{top}.py").is_file()


def push(running: Any, job: Job) -> Job:
    """Push the changed modules as the server would: plan, stage, commit."""
    from flask_habanero.errors import BuildError, ColdChangeError, CommitError, UndoError
    from flask_habanero.source import Source
    from flask_habanero.unit import build_unit

    steps: list[str] = []
    try:
        units = [build_unit(Source(**unit)) for unit in job["units"]]
        started = time.perf_counter()
        plan = running.plan_with_libraries(units, job["deletions"])
        steps = [str(step) for step in plan.steps]
        planned = time.perf_counter()
        if plan.reasons:
            return _told("refused", plan.reasons, steps)
        running.stage(plan)
        staged = time.perf_counter()
        running.commit(plan)
        ms = {"plan": planned - started, "stage": staged - planned, "commit": time.perf_counter() - staged}
        return {**_told("live", (), steps), "ms": {key: round(value * 1000, 2) for key, value in ms.items()}}
    except (BuildError, ColdChangeError) as error:
        return _told("refused", error.reasons, steps)
    except UndoError as error:
        return _told("undo", error.reasons, steps)
    except CommitError as error:
        return {**_told("failed", error.reasons, steps), "trace": traceback.format_exc()}
    except Exception:  # noqa: BLE001  # a fault of the engine is what is looked for
        return {**_told("crash", (), steps), "trace": traceback.format_exc()}


def _told(outcome: str, reasons: Any, steps: list[str]) -> Job:
    told = [{"code": r.code, "where": r.where, "what": r.what} for r in reasons]
    return {"outcome": outcome, "reasons": told, "steps": steps}


_ROLES: dict[str, Callable[[Job], Job]] = {"cold": cold, "hot": hot}


def main(role: str, job_file: str, out: str) -> None:
    """Do a job and write its result."""
    signal.alarm(_PATIENCE)
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    job = json.loads(Path(job_file).read_text())
    scratch = Path(job["root"], ".tmp")
    scratch.mkdir()
    os.environ["TMPDIR"] = str(scratch)
    os.environ.update({key: value.replace("{root}", job["root"]) for key, value in job["env"].items()})
    sys.argv = ["app"]  # apps that read their command line find nothing there
    pin()
    importlib.import_module("tests.oracle.process")  # while no app's folder can hide it
    os.chdir(job["root"])
    sys.path.insert(0, job["root"])
    try:
        result = _ROLES[role](job)
    except BaseException as error:  # noqa: BLE001  # the app's own fault is the answer
        result = {
            "outcome": "does-not-boot",
            "error": f"{type(error).__name__}: {error}",
            "trace": traceback.format_exc(),
        }
    Path(out).write_text(json.dumps(result))
    os._exit(0)  # threads of the app are not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
