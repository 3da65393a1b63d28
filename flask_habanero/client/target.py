"""Which server, which secret, which project: everything that a person set, read in one place.

Precedence, everywhere: what was typed, the environment, ``[tool.habanero]`` in pyproject.toml.
The secret never stands in pyproject.toml; a target names the variable that holds it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..envelope import Key
from ..errors import ConfigError
from . import git
from .keywords import check_keys

PATH = "/_habanero"
SECRET_VARIABLES = ("HABANERO_SECRET", "FLASK_HABANERO_SECRET")
HOW_TO_SET = "export {}=...  with the server's secret (a new one: flask habanero secret)"


@dataclass(frozen=True)
class Options:
    """What was typed. Empty means: look elsewhere."""

    name: str = ""  # of [tool.habanero.targets.NAME]
    url: str = ""
    app_id: str = ""
    allow_http: str = ""  # "yes" if plain http may leave this machine
    ca_file: str = ""


@dataclass(frozen=True)
class Target:
    """A server, and the project whose code goes there.

    Attributes:
        name: what the person calls it, for the screen.
        endpoint: the whole URL that requests go to.
        key: signs requests, verifies answers.
        project: folder of pyproject.toml, else of the repository, else the current one.
        roots: folders that module names are counted from.
        app_id: the audience, if set; else it is learnt and pinned.
        who: who pushes, for people; fits the envelope's `cid`.
        ca_file: certificates to trust besides none; "" for requests' own.
    """

    name: str
    endpoint: str
    key: Key
    project: Path
    roots: tuple[Path, ...]
    app_id: str
    who: str
    ca_file: str = ""


def find_target(options: Options, cwd: Path, environ: Mapping[str, str]) -> Target:
    """Return the target that a person means.

    Raises:
        ConfigError: no address, an unknown name, plain http to another machine, no secret.
    """
    project = find_project(cwd)
    settings = read_settings(project)
    entry = entry_of(settings, options.name)
    endpoint = find_endpoint(options, entry, environ)
    if options.allow_http != "yes":
        refuse_plain_http(endpoint)
    return Target(
        name=options.name or urlsplit(endpoint).netloc,
        endpoint=endpoint,
        key=read_secret(str(entry.get("secret_env") or ""), environ),
        project=project,
        roots=find_roots(project, settings),
        app_id=options.app_id or str(entry.get("app") or ""),
        who=who(project, environ),
        ca_file=options.ca_file or str(entry.get("ca_file") or ""),
    )


def find_project(cwd: Path) -> Path:
    """Return the project's folder: the nearest with a pyproject.toml, not above the repository."""
    for place in (cwd, *cwd.parents):
        if (place / "pyproject.toml").is_file() or (place / ".git").exists():
            return place
    return cwd


def read_settings(project: Path) -> dict[str, Any]:
    """Return ``[tool.habanero]`` of a project, or nothing.

    Raises:
        ConfigError: pyproject.toml can't be read, or has a key that is none of ours.
    """
    path = project / "pyproject.toml"
    try:
        with path.open("rb") as file:
            found = tomllib.load(file).get("tool", {}).get("habanero", {})
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(path), str(error), "correct the file") from None
    if not isinstance(found, dict):
        raise ConfigError("[tool.habanero]", "is no table", "see docs/quickstart.md")
    check_keys(found)
    return found


def entry_of(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the table of a target, nothing for no name. Raises ConfigError: there is none of that name."""
    targets = settings.get("targets", {})
    if not name:
        return {}
    if not isinstance(targets, dict) or not isinstance(targets.get(name), dict):
        known = ", ".join(targets) if isinstance(targets, dict) and targets else "none"
        hint = f'[tool.habanero.targets.{name}] with url = "https://..." in pyproject.toml'
        raise ConfigError(name, f"no target of that name (there are: {known})", hint)
    entry: dict[str, Any] = targets[name]
    return entry


def find_endpoint(options: Options, entry: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the whole URL that requests go to. Raises ConfigError: there is none."""
    url = (
        options.url
        or entry.get("url")
        or environ.get("HABANERO_URL")
        or environ.get("FLASK_HABANERO_URL")
        or ""
    )
    return check_url(str(url), str(entry.get("path") or environ.get("HABANERO_PATH") or PATH))


def check_url(url: str, path: str) -> str:
    """Return the endpoint's URL for an app's address.

    Raises:
        ConfigError: it is no address.
    """
    hint = "give --url https://my.app, or set HABANERO_URL, or name a target of pyproject.toml"
    if not url:
        raise ConfigError("--url", "no server was named", hint)
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is no number
    except ValueError as error:
        raise ConfigError("--url", f"{url!r}: {error}", hint) from None
    is_plain = not (parts.username or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ConfigError("--url", f"{url!r} is no http(s) address of an app", hint)
    base = url.rstrip("/")
    path = "/" + path.strip("/")
    return base if base.endswith(path) else base + path


def refuse_plain_http(url: str) -> None:
    """Raise ConfigError if code would leave this machine in the clear. Opens no socket."""
    parts = urlsplit(url)
    if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
        return
    hint = "use https://, or an SSH tunnel, or --allow-http (the code can be read on the way, the secret not)"
    raise ConfigError("--url", f"plain http to {parts.hostname}, which is not this machine", hint)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(variable: str, environ: Mapping[str, str]) -> Key:
    """Return the key that signs: the first, if the variable holds a list.

    Raises:
        ConfigError: there is none, or it is no secret of ours. Its text is never repeated.
    """
    for name in (variable,) if variable else SECRET_VARIABLES:
        if environ.get(name):
            return Key.parse(_first(environ[name]))
    for name in () if variable else tuple(f"{name}_FILE" for name in SECRET_VARIABLES):
        if environ.get(name):
            return Key.parse(_first(_read(name, Path(environ[name]))))
    where = variable or "HABANERO_SECRET"
    raise ConfigError("HABANERO_SECRET", f"no secret: {where} is not set", HOW_TO_SET.format(where))


def _first(text: str) -> object:
    if not text.lstrip().startswith("["):
        return text
    try:
        return next(iter(json.loads(text)), "")
    except ValueError:
        return ""


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise ConfigError(
            "HABANERO_SECRET", f"{name}: {path}: {why}", HOW_TO_SET.format("HABANERO_SECRET")
        ) from None


def find_roots(project: Path, settings: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders that module names are counted from.

    ``[tool.habanero] roots``, else ``src`` if it holds packages, else the project itself.

    Raises:
        ConfigError: a root that was named is no folder.
    """
    named = settings.get("roots")
    if named is None:
        source = project / "src"
        return (source if any(source.glob("*/*.py")) else project,)
    if not isinstance(named, list) or not named or not all(isinstance(n, str) for n in named):
        raise ConfigError("roots", "must be a list of folders", 'roots = ["src"] in [tool.habanero]')
    for name in named:
        if not (project / name).is_dir():
            raise ConfigError(
                "roots", f"{name!r} is no folder of {project}", 'roots = ["src"] in [tool.habanero]'
            )
    return tuple((project / name).resolve() for name in named)


def who(project: Path, environ: Mapping[str, str]) -> str:
    """Return who pushes: git's address, else user@host, in the envelope's characters."""
    user = environ.get("USER") or environ.get("LOGNAME") or "someone"
    text = git.email(project) or f"{user}@{socket.gethostname()}"
    return re.sub(r"[^A-Za-z0-9._@+-]", "-", text)[:64] or "someone"


def here() -> tuple[Path, Mapping[str, str]]:
    """Return the current folder and the environment: the one place where the client reads them."""
    return Path.cwd(), os.environ
