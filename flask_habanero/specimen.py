"""An app that was started for a test, in this process: the far end of `testing.py`.

::

    python -m flask_habanero.specimen shop:create_app STORE

Reads one JSON object a line from its standard input, and answers each with one on its standard output;
what the app itself prints goes to stderr. The app is loaded as a server loads it, and what is pushed goes the
way of every push, from the believed request on.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flask.cli import ScriptInfo
from werkzeug.test import Client

from .asset import Asset
from .change import Request
from .config import DEFAULT_COLD
from .envelope import REQUEST, packed, seal
from .live import startup
from .release import Bundle, digest_of
from .server import NAME, Runtime, Skin
from .source import Source, decode_source
from .unit import build_unit, python_tag

if TYPE_CHECKING:
    from flask import Flask

    from .record import State

Turn = Mapping[str, Any]


class Specimen:
    """The app of one test, and what the test may ask of it."""

    def __init__(self, app: Flask, runtime: Runtime) -> None:
        self._app, self._runtime = app, runtime
        self._client = Client(app)

    def answer(self, turn: Turn) -> dict[str, Any]:
        """Return what comes of one turn; what the app's own code raises is said under "error"."""
        try:
            return self._turns[turn["do"]](self, turn)
        except Exception as error:  # noqa: BLE001  # told to the test that asked
            return {"error": f"{type(error).__name__}: {error}"}

    # releases

    def _push(self, turn: Turn) -> dict[str, Any]:
        sent = {path: None if data is None else b64decode(data) for path, data in turn["files"].items()}
        return self._ask("push", self._bundle(sent).encode())

    def _rollback(self, turn: Turn) -> dict[str, Any]:
        return self._ask("rollback", json.dumps({"to": turn["to"]}).encode())

    def _ask(self, op: str, body: bytes) -> dict[str, Any]:
        return {"report": self._runtime.receive(self._request(op, body)).as_json()}

    def _request(self, op: str, body: bytes) -> Request:
        wire, content = packed(body, int(time.time()))
        head, epoch = self._head, self._runtime.here().worker.epoch
        claims = {
            "v": 1,
            "op": op,
            "app": self._runtime.config.app_id,
            "epoch": epoch,
            "base": head.number,
            "rel": head.number + 1,
            "py": python_tag(),
            "n": secrets.token_hex(16),
            "cid": "test",
            **content,
        }
        key = self._runtime.keys.first
        return Request(claims, key.kid, seal(claims, key, REQUEST), wire, "a test")

    def _bundle(self, sent: Mapping[str, bytes | None]) -> Bundle:
        head = self._head
        files = {path: data for path, data in sent.items() if data is not None}
        sources = [_source(head, path, data) for path, data in files.items() if path.endswith(".py")]
        assets = [Asset.of(path, data) for path, data in files.items() if not path.endswith(".py")]
        gone = tuple(sorted(_name(head, path) for path in sent.keys() - files.keys()))
        units = tuple(build_unit(source, sys.flags.optimize) for source in sources)
        made = Bundle(units, gone, python_tag(), head.digest, head.digest, "", tuple(assets))
        return replace(made, target=digest_of(made.applied_to(head.tree), made.assets_after(head.assets)))

    @property
    def _head(self) -> State:
        return self._runtime.here().worker.head

    # what is live

    def _text(self, turn: Turn) -> dict[str, Any]:
        path, head = turn["path"], self._head
        texts = {source.path: source.text for source in head.tree.values()}
        if path in texts:
            return {"text": texts[path]}
        asset = head.assets.get(path)
        data = None if asset is None else self._runtime.program.overlay.data_of(asset)
        if data is None:
            raise LookupError(
                f"there is no {path} in the app, only {', '.join([*head.assets, *texts][-10:])}"
            )
        return {"text": data.decode()}

    def _respond(self, turn: Turn) -> dict[str, Any]:
        response = self._client.open(turn["path"], buffered=True, **turn["how"])
        body = b64encode(response.get_data()).decode()
        return {"status": response.status_code, "headers": list(response.headers), "body": body}

    def _value(self, turn: Turn) -> dict[str, Any]:
        return {"value": _plain(_found(turn["name"]))}

    def _call(self, turn: Turn) -> dict[str, Any]:
        with self._app.app_context():
            return {"value": _plain(_found(turn["name"])(*turn["args"], **turn["kwargs"]))}

    _turns: Mapping[str, Callable[[Specimen, Turn], dict[str, Any]]] = {
        "push": _push,
        "rollback": _rollback,
        "text": _text,
        "request": _respond,
        "value": _value,
        "call": _call,
    }


def _source(head: State, path: str, data: bytes) -> Source:
    return Source(_name(head, path), path, path.endswith("__init__.py"), decode_source(data))


def _name(head: State, path: str) -> str:
    """Return the name of the module or asset at a path."""
    if not path.endswith(".py"):
        return path
    known = (source.name for source in head.tree.values() if source.path == path)
    return next(known, path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def _found(name: str) -> Any:
    """Return what a name means in the running app: ``shop.views:Cart.total``. Raises LookupError."""
    module, _, rest = name.partition(":")
    if module not in sys.modules:
        raise LookupError(f"{module} is not loaded; write a name as module:name")
    return attrgetter(rest)(sys.modules[module]) if rest else sys.modules[module]


def _plain(value: object) -> Any:
    """Return a value as JSON has it; what JSON has not, as its repr."""
    with suppress(TypeError, ValueError):  # a key that is no text; a circle
        return json.loads(json.dumps(value, default=repr))
    return repr(value)


def _runtime_of(app: Flask, store: Path) -> Runtime:
    skin = app.extensions.get(NAME)
    if not isinstance(skin, Skin):
        raise RuntimeError(f"{app.name!r} has no Habanero: call Habanero(app) in it")
    if skin.runtime is None or app.testing:
        why = "TESTING is set" if app.testing else "it is disabled, or has no secret"
        raise RuntimeError(f"Habanero does nothing in {app.name!r}: {why}")
    runtime = skin.runtime
    # Never the app's own, whatever its settings say: nobody else hears of what a test does
    runtime.config = replace(runtime.config, store=store, shared=None, webhook=None, cold=DEFAULT_COLD)
    startup.stop()  # as at the first request
    runtime.here()
    return runtime


def main(target: str, store: str, turns: IO[str], answers: IO[str]) -> None:
    """Load an app, and answer until there are no more turns. Raises whatever its import raises."""
    app = ScriptInfo(app_import_path=target, set_debug_flag=False).load_app()
    specimen = Specimen(app, _runtime_of(app, Path(store)))
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in turns:
        answers.write(json.dumps(specimen.answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    ours = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the app prints is no answer
    main(sys.argv[1], sys.argv[2], sys.stdin, ours)
