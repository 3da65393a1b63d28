"""What a process imports as it starts: the code on its disk, or the release that is head.

Asked once, by `boot.py`, when the first of the app's own modules is imported. Everything is verified here
again: the note, the ledger's records, and that the code on the disk is that of the epoch. When anything of
that can't be had or believed, the app starts from its disk, and the log says why.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from . import bootnote
from .boot import finder
from .bootnote import Note
from .config import MODULES, Config
from .disk import Disk
from .envelope import Keyring, seal_message, unseal_message
from .errors import ConfigError, HabaneroError, RejectedError, StoreError
from .guard import DeadlyError, check_imports, importing
from .ledger import Ledger
from .live import importer, program
from .release import Tree

BOOTED = ".booted"
log = logging.getLogger("flask_habanero")


def told(environ: Mapping[str, str]) -> Config:
    """Return what the environment alone says, as there is no app yet. Raises ConfigError."""
    config = Config.read({}, environ, "app", os.sep)
    if config.keys is None:
        raise ConfigError("HABANERO_SECRET", "not in the environment", "export HABANERO_SECRET=hab_...")
    return config


def variable(name: str, environ: Mapping[str, str]) -> str:
    """Return what the environment says for a key, as `config.py` looks it up; "" if nothing."""
    return environ.get(name, environ.get(f"FLASK_{name}", ""))


def start(environ: Mapping[str, str]) -> None:
    """Decide what this process imports."""
    try:
        _start(environ)
        return
    except DeadlyError as error:
        log.error("the app starts from its disk: %s", error)
        return
    except HabaneroError as error:
        finder.refusal = str(error)
    except Exception as error:  # a fault of ours must not keep the app from starting
        log.exception("a fault in flask-habanero")
        finder.refusal = repr(error)
    log.error("the app starts from its disk: %s", finder.refusal)


def _start(environ: Mapping[str, str]) -> None:
    if Config.read({}, environ, "app", os.sep).disabled:
        return
    config = told(environ)
    assert config.keys is not None
    note = bootnote.read(config.store, config.keys)
    if note is None:
        return
    if note.modules != variable(MODULES, environ):
        raise ConfigError(MODULES, "another than when the release was made", "deploy, or set it back")
    ledger = _ledger(config, config.keys, note.app)
    if not note.counts(ledger):
        return  # who wrote it died before its release was recorded
    disk = note.disk()
    found = ledger.find_epoch(disk, config.build)
    if found is None or found[0] != note.epoch:
        log.info("other code lies on the disk than the releases were made for: the app starts from it")
        return
    boots = config.store / "boots"
    number = _not_deadly(boots, ledger.last(note.epoch), ledger.first(note.epoch))
    tree = ledger.state_at(note.epoch, number).tree
    _check_main(note, disk.tree, tree)
    serve(note, disk, tree, number)
    importer.finder.guard = partial(importing, boots, number)
    importer.finder.rests = partial(_booted, config.store, config.keys, note.epoch, number)


def _ledger(config: Config, keys: Keyring, app: str) -> Ledger:
    """Return this host's ledger, with what others recorded while it was away, as far as that can be had."""
    if config.shared is None:
        return Ledger(config.store, app, keys)
    from .mirror import Mirror  # only where hosts share a store: they need redis
    from .redisstore import RedisStore

    mirror = Mirror(config.store, app, keys, RedisStore(config.shared, app))
    try:
        mirror.fetch()
    except StoreError as error:
        log.warning("starting at what this host knows: %s", error)
    return mirror


def _not_deadly(boots: Path, head: int, first: int) -> int:
    """Return the number of the head, or of the release before it if processes failed to import that.

    Raises:
        DeadlyError: in both.
    """
    try:
        check_imports(boots, head)
    except DeadlyError as error:
        finder.passed_over = head
        if head - 1 <= first:
            raise
        check_imports(boots, head - 1)
        log.error("the app starts at #%d: %s", head - 1, error)
        return head - 1
    return head


def _check_main(note: Note, disk: Tree, tree: Tree) -> None:
    """Raise ConfigError if this process was started by a module that the release has changed."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    main = Path(file).resolve() if file else None
    for name in {*disk, *tree}:
        source, folder = tree.get(name) or disk[name], note.belongings.folder(name)
        if folder is not None and folder / source.path == main and tree.get(name) != disk.get(name):
            raise ConfigError("HABANERO_COLD", f"python {source.path} runs what is on the disk", "flask run")


def serve(note: Note, disk: Disk, tree: Tree, number: int) -> None:
    """Let this process import the modules of a release.

    Args:
        note: of its epoch.
        disk: what lies on the disk, and is the epoch's base or a release of it.
        tree: the sources of the release.
        number: of the release.
    """
    # First, and by this name, which does it once: what is imported from here on is seen
    from . import Habanero  # noqa: F401

    begun = program.begin_with(note.belongings, dict(disk.tree), dict(tree), number)
    begun.overlay.found(note.places)


def _booted(folder: Path, keys: Keyring, epoch: str, number: int) -> None:
    """Say to whoever waits for it that this process has imported a release, once there is an app."""
    if not program.is_attached():
        return
    importer.finder.rests = None
    message = {"pid": os.getpid(), "epoch": epoch, "release": number}
    with suppress(OSError):  # who waits names this worker as one that did not come
        place = folder / "run"
        place.mkdir(mode=0o700, exist_ok=True)
        half = place / f"{os.getpid()}-{secrets.token_hex(4)}.half"
        half.write_bytes(seal_message(message, keys.first))
        half.replace(place / f"{os.getpid()}{BOOTED}")


def booted(folder: Path, keys: Keyring, epoch: str, number: int) -> set[int]:
    """Return the pids of the processes that have imported a release, or a later one."""
    found = set()
    for path in (folder / "run").glob(f"*{BOOTED}"):
        with suppress(OSError, RejectedError, json.JSONDecodeError, KeyError, TypeError):
            message = unseal_message(path.read_bytes(), keys)
            if message["epoch"] == epoch and message["release"] >= number:
                found.add(int(message["pid"]))
    return found


def forget_booted(folder: Path) -> None:
    """Take away what processes said that started before."""
    for path in (folder / "run").glob(f"*{BOOTED}"):
        path.unlink(missing_ok=True)
