"""Carries the shared cases through the public endpoint of a live app.

Run by the cases' own runner, in a process of its own, with this folder's parents on the path.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import worker  # type: ignore[import-not-found]  # the cases' runner
from _base import Base  # type: ignore[import-not-found]  # the cases' runner
from flask_habanero import Habanero
from flask_habanero.envelope import Key, new_secret
from flask_habanero.errors import BuildError
from flask_habanero.live.belongs import read_source
from flask_habanero.unit import build_unit

from tests.peer import Peer, over_client

REFUSALS = {"cold", "refused", "conflict"}


class Engine(Base):  # type: ignore[misc]  # its type is not known here
    """Sends what changed as the client does, and maps the outcome."""

    def load(self, env):
        secret = new_secret()
        self.store = tempfile.TemporaryDirectory()
        os.environ.update(HABANERO_SECRET=secret, HABANERO_STORE=f"{self.store.name}/ledger")
        env.start()
        Habanero(env.app)
        self.peer = Peer(Key.parse(secret), over_client(env.client()))
        self.env = env

    def apply(self, env, changed):
        changes, deleted = {}, []
        for path in changed:
            if path.suffix != ".py":
                raise worker.Refused("an asset")
            name = ".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__")
            if path.exists():
                changes[name] = self._text(path)
            else:
                deleted.append(name)
        report = self.peer.push(changes, tuple(deleted))
        said = "; ".join(map(str, report.reasons))
        if report.outcome in REFUSALS:
            raise worker.Refused(said)
        if report.outcome not in ("live", "unchanged"):
            raise worker.EngineError(f"{report.outcome}: {said}")

    def _text(self, path):
        source = read_source(self.root, path)
        try:
            build_unit(source)
        except BuildError as error:
            raise worker.Refused(str(error)) from None
        return source.text
