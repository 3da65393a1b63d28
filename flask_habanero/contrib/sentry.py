"""Which release an event in Sentry comes from: ``pip install 'flask-habanero[sentry]'``."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from flask import Flask
from sentry_sdk.scope import add_global_event_processor

from ..signals import release_live, release_rolled_back

TAG = "habanero.release"


def tag_releases(app: Flask) -> None:
    """Mark each event of this worker with the release that it serves. Before or after ``sentry_sdk.init``.

    The tag `habanero.release` is its number. The event's own release, where one is set, ends in it, too:
    ``shop@1.4.2+hab.42``. Before a first release events are as they were.
    """
    number = 0

    def arrive(_sender: object, release: int, **_about: Any) -> None:
        nonlocal number
        number = release
        sentry_sdk.get_global_scope().set_tag(TAG, release)

    def name(event: Any, _hint: Any) -> Any:
        # the client's own release is put into an event only after it has been here
        release = event.get("release") or sentry_sdk.get_client().options.get("release")
        if number and release:
            event["release"] = f"{release}{'.' if '+' in release else '+'}hab.{number}"
        return event

    release_live.connect(arrive, app, weak=False)
    release_rolled_back.connect(arrive, app, weak=False)
    add_global_event_processor(name)
