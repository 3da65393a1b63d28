"""``flask habanero watch --json``, with the moments at which things happened in each object.

Moments are of the monotonic clock, which all processes of a machine share: when the first event of a
batch came, when the batch went, and when the answer had been remembered.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click
from flask_habanero.client import session, show, watch
from flask_habanero.client.cli import cli
from flask_habanero.release import Report

events: list[float] = []  # since the last batch went
moments: dict[str, float] = {}
translate, flush = watch.translate, session.Session._flush


def stamped_translate(*event: Any) -> list[Any]:
    """Note when the first event of a batch came."""
    meaning = translate(*event)
    if meaning:
        events.append(time.monotonic())
    return meaning


def stamped_flush(self: session.Session, begun: float) -> None:
    """Note when the batch went."""
    moments.update(begun=begun, event=events[0] if events else begun)
    events.clear()
    flush(self, begun)


def stamped_put(_self: show.JsonLines, report: Report, **more: Any) -> None:
    """Print an object with the moments."""
    done = {"at": {**moments, "done": time.monotonic()}}
    click.echo(json.dumps({**report.as_json(), **more, **done}))


watch.translate = stamped_translate
session.Session._flush = stamped_flush  # type: ignore[method-assign]
show.JsonLines._put = stamped_put  # type: ignore[method-assign]
sys.argv = ["flask habanero", "watch", "--json", *sys.argv[1:]]
cli()
