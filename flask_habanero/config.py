"""Configuration: read once, checked here and nowhere else. docs/configuration.md tells each key.

A key is looked up in ``app.config``, then in the environment under its own name, then there
with Flask's ``FLASK_`` prefix. In the environment lists are JSON.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import sentinel
from .addresses import Addresses
from .envelope import Key, Keyring
from .errors import ConfigError

SECRET, SECRET_FILE = "HABANERO_SECRET", "HABANERO_SECRET_FILE"
SECRET_READ, SECRET_READ_FILE = "HABANERO_SECRET_READ", "HABANERO_SECRET_READ_FILE"
APP_ID, PATH, MODULES = "HABANERO_APP_ID", "HABANERO_PATH", "HABANERO_MODULES"
STORE, COLD, BUILD = "HABANERO_STORE", "HABANERO_COLD", "HABANERO_BUILD"
QUIESCE_MS, MAX_BYTES, DISABLED = "HABANERO_QUIESCE_MS", "HABANERO_MAX_BYTES", "HABANERO_DISABLED"
APP, WEBHOOK, MEASURE = "HABANERO_APP", "HABANERO_WEBHOOK", "HABANERO_MEASURE"
ALLOW = "HABANERO_ALLOW"
KEYS = (
    SECRET, SECRET_FILE, SECRET_READ, SECRET_READ_FILE, APP_ID, APP, PATH, MODULES, STORE, COLD,
    QUIESCE_MS, MAX_BYTES, BUILD, WEBHOOK, MEASURE, ALLOW, DISABLED,
)  # fmt: skip

DEFAULT_PATH, DEFAULT_COLD, DEFAULT_STORE = "/_habanero", "refuse", "habanero"
RESTART = "restart"
COLDS = (DEFAULT_COLD, RESTART)
DEFAULT_QUIESCE_MS, LIMITS_QUIESCE_MS = 250, (0, 2_000)  # the lease of a closed gate is 2 s
DEFAULT_MAX_BYTES, LIMITS_MAX_BYTES = 4 * 2**20, (2**10, 2**26)  # a body is held in memory whole

_MAKE = "make a good one with:  flask habanero secret"
_APP_ID = re.compile(r"\A[A-Za-z0-9_.:@/-]{1,100}\Z")  # as the wire has it
_PATH = re.compile(r"\A(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,99}){1,10}\Z")
_MODULE = re.compile(r"\A[^\W\d]\w*\Z", re.ASCII)
_BUILD = re.compile(r"\A[!-~]{1,100}\Z")
_WEBHOOK = re.compile(r"\Ahttps?://[!-~]{1,2000}\Z")
_APP = re.compile(r"\A[A-Za-z_][\w.]*:[A-Za-z_]\w*(\([ -~]*\))?\Z", re.ASCII)
_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_FOR_OTHERS = stat.S_IRWXO | _WRITABLE
_LIST_OF_MODULES = """'["shop", "shop_admin"]'"""
_FOLDER = f"{STORE}=/var/lib/shop/habanero"
_ADDRESS = f"""{STORE}='["redis://cache:6379/0", "/var/lib/shop/habanero"]'"""
_SHARED = re.compile(r"\A(?:(?:redis|valkey)s?|unix|redis\+sentinel)://[!-~]+\Z")
_SENTINELS = f"{STORE}=redis+sentinel://one:26379,two:26379/shop"
_MIN_DISTINCT = 16  # of 32 random bytes fewer than this many differ once in 10**20 secrets


@dataclass(frozen=True)
class Config:
    """What the server part was told.

    Attributes:
        keys: the keyring, or None: no secret, and so no endpoint.
        app_id: audience: which app and environment this is.
        path: where the endpoint answers; begins with a slash and does not end in one.
        modules: top-level packages and modules that may change; None: what belongs to the app.
        store: folder of the ledger, absolute. Nothing is made there yet.
        shared: address of the store that several hosts share, or None: there is one host.
        cold: what a cold change does: "refuse" or "restart".
        quiesce_ms: how long a commit may wait for running requests, in milliseconds.
        max_bytes: largest body, on the wire.
        build: name of this cold deploy; None: the digest of its sources.
        webhook: which address is told of releases, if any; it may be confidential itself.
        app: how a fresh process imports the app, `module:name`; None: as this one seems to have done.
        allow: from where the endpoint may be reached; None: from everywhere.
        readers: the keys of those who may only read, or None: there are none.
        measure: whether answers are noted while no release is on trial, to compare with.
        disabled: the kill switch; then `keys` is None.
    """

    keys: Keyring | None
    app_id: str
    path: str
    modules: tuple[str, ...] | None
    store: Path
    shared: str | None
    cold: str
    quiesce_ms: int
    max_bytes: int
    build: str | None
    webhook: str | None = field(repr=False)
    disabled: bool
    app: str | None = None
    measure: bool = False
    readers: Keyring | None = None
    allow: Addresses | None = None

    @classmethod
    def read(
        cls, mapping: Mapping[str, Any], environ: Mapping[str, str], import_name: str, instance_path: str
    ) -> Config:
        """Return the configuration of an app, from its ``config`` and the environment.

        Without a secret, or with the kill switch, nothing else is read: what is inert
        must not keep an app from starting.

        Raises:
            ConfigError: a key is wrong, with what to type instead.
        """
        given = _given(mapping, environ)
        disabled = _switch(DISABLED, given.get(DISABLED, False))
        keys = None if disabled else _keyring(given)
        if keys is None:
            given = {}
        readers = _readers(given, keys)
        if keys is not None:
            for ring in filter(None, (keys, readers)):
                _refuse_flask_secret(ring, mapping)
            _refuse_typos(mapping)
        return cls(
            keys=keys,
            app_id=import_name if keys is None else _app_id(given.get(APP_ID, import_name)),
            path=_path(given.get(PATH, DEFAULT_PATH)),
            modules=_modules(given.get(MODULES)),
            store=_store(given.get(STORE, DEFAULT_STORE), instance_path),
            shared=_shared(given.get(STORE, DEFAULT_STORE)),
            cold=_cold(given.get(COLD, DEFAULT_COLD)),
            quiesce_ms=_number(QUIESCE_MS, given.get(QUIESCE_MS, DEFAULT_QUIESCE_MS), *LIMITS_QUIESCE_MS),
            max_bytes=_number(MAX_BYTES, given.get(MAX_BYTES, DEFAULT_MAX_BYTES), *LIMITS_MAX_BYTES),
            build=_build(given.get(BUILD)),
            webhook=_webhook(given.get(WEBHOOK)),
            disabled=disabled,
            app=_app(given.get(APP)),
            readers=readers,
            allow=_allow(given.get(ALLOW)),
            measure=_switch(MEASURE, given.get(MEASURE, False)),
        )


def _given(mapping: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys that are set, each from the place that wins. None in app.config is not set."""
    given = {}
    for key in KEYS:
        if mapping.get(key) is not None:
            given[key] = mapping[key]
        elif (text := environ.get(key, environ.get(f"FLASK_{key}"))) is not None:
            given[key] = _from_environment(key, text)
    return given


def _from_environment(key: str, text: str) -> Any:
    if not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError(key, "looks like a JSON list and is none", f'{key}=\'["one", "two"]\'') from None


def _refuse_typos(mapping: Mapping[str, Any]) -> None:
    """A misspelt key would silently leave the default in force."""
    for key in mapping:
        if key.startswith("HABANERO_") and key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1, 0.85)  # the client's HABANERO_URL is near to none
            if near:
                raise ConfigError(key, "no such key", f"did you mean {near[0]}?")


def _keyring(given: Mapping[str, Any], name: str = SECRET, file: str = SECRET_FILE) -> Keyring | None:
    if name in given and file in given:
        raise ConfigError(name, f"set, and {file} too: which one holds?", f"unset {name}")
    if file in given:
        texts = _secrets_in(file, given[file])
    elif name in given:
        value = given[name]
        texts = list(value) if isinstance(value, list | tuple) else [value]
    else:
        return None
    keys = [Key.parse(text) for text in texts]
    if any(len(set(key.secret)) < _MIN_DISTINCT for key in keys):
        raise ConfigError(name, "weak: not made of random bytes", _MAKE)
    return Keyring(keys)


def _readers(given: Mapping[str, Any], keys: Keyring | None) -> Keyring | None:
    """Return the keys that only read. Who could push with one of them would be believed by it."""
    readers = _keyring(given, SECRET_READ, SECRET_READ_FILE)
    for key in [readers.get(kid) for kid in readers.kids] if readers else []:
        assert key is not None  # it is in the ring
        if keys is not None and (key.kid in keys.kids or keys.has_bytes(key.secret)):
            raise ConfigError(SECRET_READ, f"the secret {key.kid!r} is also among those that push", _MAKE)
    return readers


def _secrets_in(key: str, value: Any) -> list[Any]:
    """Return the secrets of a file: one a line, or a JSON list; blank space around them is ignored."""
    try:
        path = Path(value).expanduser()
        safe = _is_private(path) or _is_mounted(path)
        text = path.read_text("ascii").strip()
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # no path, no ASCII, no such home
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no readable text file"
        make = "flask habanero secret > FILE; chmod 600 FILE"
        raise ConfigError(key, f"{value!r}: {why}", make) from None
    if not safe:
        raise ConfigError(key, f"{value!r}: others may read or change it", f"chmod o-rwx,g-w {value}")
    parsed = _from_environment(key, text)
    return parsed if isinstance(parsed, list) else text.split() or [""]


def _is_private(path: Path) -> bool:
    """Whether only owner and group may read a file, and only the owner change it. Raises OSError."""
    return not path.stat().st_mode & _FOR_OTHERS


def _is_mounted(path: Path) -> bool:
    """Whether root mounted a file for us, to be read only, as Docker and Kubernetes do. Raises OSError.

    Its mode is for others too, then (0444, 0644), since who reads it there is not known to them.
    """
    status = path.stat()
    own = os.path.ismount(path) or os.path.ismount(path.parent)  # not just some file of a system
    read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return own and read_only and status.st_uid == 0 and not status.st_mode & _WRITABLE


def _refuse_flask_secret(keys: Keyring, mapping: Mapping[str, Any]) -> None:
    """Flask's key is known to more people and places than may push code."""
    fallbacks = mapping.get("SECRET_KEY_FALLBACKS") or ()
    for value in (mapping.get("SECRET_KEY"), *fallbacks):
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        if isinstance(data, bytes) and keys.has_bytes(data):
            why = "the same as Flask's SECRET_KEY: whoever can sign a cookie could push code"
            raise ConfigError(SECRET, why, _MAKE)


def _switch(key: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in (*_ON, *_OFF):
        raise ConfigError(key, f"{value!r} is neither on nor off", f"{key}=1")
    return text in _ON


def _match(key: str, value: Any, pattern: re.Pattern[str], rule: str, example: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise ConfigError(key, f"{value!r} is not {rule}", f"{key}={example}")
    return value


def _app_id(value: Any) -> str:
    return _match(APP_ID, value, _APP_ID, "1 to 100 of A-Z a-z 0-9 _ . : @ / -", "shop/production")


def _path(value: Any) -> str:
    return _match(PATH, value, _PATH, "a path: it begins with / and does not end in /", DEFAULT_PATH)


def _build(value: Any) -> str | None:
    rule = "1 to 100 visible ASCII characters"
    return None if value is None else _match(BUILD, value, _BUILD, rule, "2026-03-01.4")


def _webhook(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and _WEBHOOK.match(value) and _has_host(value)):
        raise ConfigError(WEBHOOK, "no address of the web", f"{WEBHOOK}=https://example.org/releases")
    return value


def _allow(value: Any) -> Addresses | None:
    if value is None:
        return None
    texts = value.split(",") if isinstance(value, str) else value
    try:
        return Addresses.of(texts)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(ALLOW, f"{value!r}: {error}", f"{ALLOW}=10.0.0.0/8,127.0.0.1") from None


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:  # half of an IPv6 address
        return False


def _app(value: Any) -> str | None:
    rule = "MODULE:NAME or MODULE:FACTORY(...)"
    return None if value is None else _match(APP, value, _APP, rule, "'shop:create_app()'")


def _modules(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = value if isinstance(value, list | tuple) else [value]
    for name in names:
        _match(MODULES, name, _MODULE, "the name of a top-level package or module", _LIST_OF_MODULES)
    if not names:
        raise ConfigError(MODULES, "an empty list: nothing could change", f"unset {MODULES}, or {DISABLED}=1")
    return tuple(dict.fromkeys(names))


def _store(value: Any, instance_path: str) -> Path:
    folders = [one for one in _places(value) if not _is_address(one)]
    folder = folders[0] if folders else DEFAULT_STORE
    text = os.fspath(folder) if isinstance(folder, str | os.PathLike) else ""
    if not text or "://" in text or "\0" in text:
        raise ConfigError(STORE, f"{_without_password(folder)!r} is no folder", _FOLDER)
    # Workers may differ in their working directory, but not in their instance folder
    return Path(instance_path, Path(text).expanduser()).absolute()


def _shared(value: Any) -> str | None:
    addresses = [one for one in _places(value) if _is_address(one)]
    if not addresses:
        return None
    if find_spec("redis") is None:
        raise ConfigError(STORE, "redis is not installed here", "pip install 'Flask-Habanero[redis]'")
    if sentinel.is_watched(addresses[0]):
        return _watched(addresses[0])
    try:
        urlsplit(addresses[0]).port  # noqa: B018  # it raises, if it is none
    except ValueError:
        place = _without_password(addresses[0])
        raise ConfigError(
            STORE, f"{place!r} has a port that is none", f"{STORE}=redis://cache:6379/0"
        ) from None
    return str(addresses[0])


def _watched(address: str) -> str:
    try:
        sentinel.read(address)
    except ValueError as error:
        raise ConfigError(STORE, f"{_without_password(address)!r}: {error}", _SENTINELS) from None
    return address


def _places(value: Any) -> list[Any]:
    """Return a folder, an address, or one of each: then the ledger of each host rests in that folder."""
    places = list(value) if isinstance(value, list | tuple) else [value]
    if len(places) not in (1, 2) or (len(places) == 2 and sum(map(_is_address, places)) != 1):
        raise ConfigError(STORE, "neither a place, nor an address and a folder", _ADDRESS)
    return places


def _is_address(place: Any) -> bool:
    return isinstance(place, str) and _SHARED.match(place) is not None


def _without_password(place: Any) -> Any:
    return re.sub(r"//[^/]*@", "//", place) if isinstance(place, str) else place


def _cold(value: Any) -> str:
    if value not in COLDS:
        raise ConfigError(COLD, f"{value!r} is nothing that it can do", f"{COLD}={DEFAULT_COLD}")
    return str(value)


def _number(key: str, value: Any, least: int, most: int) -> int:
    text = value.strip() if isinstance(value, str) else value
    number = int(text) if isinstance(text, str) and re.fullmatch("[0-9]{1,12}", text) else text
    if type(number) is not int or not least <= number <= most:
        why = f"{value!r} is not a whole number from {least} to {most}"
        raise ConfigError(key, why, f"{key}={least or most}")
    return number
