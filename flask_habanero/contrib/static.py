"""Addresses of static files that change with their content, so that no browser shows an old one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask

from ..asset import Asset
from ..live.overlay import VERSIONED, place_of
from ..server import NAME, Skin

LENGTH = 12  # of the digest, in hex: 48 bits tell the versions of one file apart


def version_static(app: Flask, parameter: str = "v") -> None:
    """Let ``url_for("static", filename="shop.css")`` end in ``?v=`` and a digest of what is served there.

    So static files may be cached for as long as you like (`SEND_FILE_MAX_AGE_DEFAULT`). It holds for the
    static routes of blueprints, too, and works the same where the app has no secret. A file that is not
    there has no version. Where pages are kept (`lru_cache`, Flask-Caching), they are made again when a
    static file changes, as when a template does.
    """

    def put(endpoint: str, values: dict[str, Any]) -> None:
        if "filename" in values and (folder := _static_folder(app, endpoint)) is not None:
            version = _version(_served(app), place_of(folder, values["filename"]))
            if version is not None:
                values.setdefault(parameter, version)

    app.extensions[VERSIONED] = parameter
    app.url_defaults(put)


def _static_folder(app: Flask, endpoint: str) -> str | None:
    """Return the folder whose files an endpoint serves; None if it is another view."""
    owner, _, view = endpoint.rpartition(".")
    if view != "static":
        return None
    scaffold = app.blueprints.get(owner) if owner else app
    return scaffold.static_folder if scaffold is not None else None


def _served(app: Flask) -> Mapping[str, Asset | None]:
    skin = app.extensions.get(NAME)
    runtime = skin.runtime if isinstance(skin, Skin) else None
    return runtime.program.overlay.served if runtime is not None else {}


def _version(served: Mapping[str, Asset | None], place: str) -> str | None:
    if place in served:
        asset = served[place]
        return asset.digest[:LENGTH] if asset is not None else None
    try:
        stat = os.stat(place)  # noqa: PTH116  # at each address of each page: no Path for it
        return _of_disk(place, stat.st_mtime_ns, stat.st_size)
    except OSError:
        return None


@lru_cache(maxsize=4_096)  # twice as many files as a folder of assets may have
def _of_disk(place: str, _mtime_ns: int, _size: int) -> str:
    return hashlib.sha256(Path(place).read_bytes()).hexdigest()[:LENGTH]
