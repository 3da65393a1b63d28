"""``run``: start a server such that its processes can begin at a release, and not at the code on the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from ..errors import ConfigError
from .command import guarded

SECRET, SECRET_FILE, STORE = "HABANERO_SECRET", "HABANERO_SECRET_FILE", "HABANERO_STORE"
EARLY = "it must be in the environment: it is asked before the app is there"
BOTH = """export HABANERO_STORE='["redis://cache:6379/0", "/var/lib/shop/habanero"]'"""
EXAMPLE = "flask habanero run -- gunicorn app:app"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
@guarded
def run(command: tuple[str, ...]) -> int:
    """Start a server whose workers may be restarted into a release: HABANERO_COLD=restart needs it.

    HABANERO_STORE and HABANERO_SECRET must be in the environment: they are asked before the app is there.
    """
    from .target import here

    if not command:
        raise ConfigError("run", "no command", EXAMPLE)
    _, environ = here()
    env = {**environ, "PYTHONPATH": _path(environ)}
    check(environ)
    try:
        os.execvpe(command[0], command, env)  # noqa: S606  # what the person typed, in our place
    except OSError as error:
        raise ConfigError("run", f"{command[0]}: {error.strerror}", EXAMPLE) from None


def check(environ: Mapping[str, str]) -> None:
    """Check that a process can do without the app's configuration. Raises ConfigError."""
    if not any(_get(environ, name) for name in (SECRET, SECRET_FILE)):
        raise ConfigError(SECRET_FILE, EARLY, "export HABANERO_SECRET_FILE=/etc/shop/habanero.secret")
    store, example = _get(environ, STORE), "export HABANERO_STORE=/var/lib/shop/habanero"
    if not store:
        raise ConfigError(STORE, EARLY, example)
    store = _folder(store)
    if "://" in store:
        what = "it must name this host's own folder, too: it is read before the app is there"
        raise ConfigError(STORE, what, BOTH)
    if not Path(store).expanduser().is_absolute():
        raise ConfigError(STORE, f"{store!r} is no absolute path", example)


def _get(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, environ.get(f"FLASK_{name}", ""))


def _folder(store: str) -> str:
    """Return the folder, if it stands beside the address of what hosts share."""
    with suppress(ValueError):
        places = json.loads(store)
        if isinstance(places, list):
            return next((one for one in places if isinstance(one, str) and "://" not in one), "://")
    return store


def _path(environ: Mapping[str, str]) -> str:
    """Return a PYTHONPATH that begins with the folder of our `sitecustomize`."""
    ours = str(Path(__file__).parents[1] / "bootstrap")
    return os.pathsep.join([ours, *filter(None, [environ.get("PYTHONPATH")])])
