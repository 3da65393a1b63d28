"""Descriptions of an app that a library made of its views, and keeps once somebody asked for them."""

from __future__ import annotations

from flask.sansio.app import App

from . import registrations

_FLASGGERS = "flasgger.base"


def forget() -> None:
    """Let them be made anew when somebody asks again, as after a start. No library is imported for it."""
    for target in list(registrations.targets):
        swagger = target.__dict__.get("swag") if isinstance(target, App) else None
        if swagger is not None and type(swagger).__module__ == _FLASGGERS:  # one for each of its endpoints
            swagger.apispecs.clear()
