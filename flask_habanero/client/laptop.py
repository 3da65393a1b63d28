"""What `doctor` asks of the laptop: set-up, files, watcher, memory. Changes nothing and sends nothing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ..envelope import Key
from ..errors import ConfigError
from . import git, polling
from .finding import Case, Told, fail, misconfigured, ok, warn
from .memory import Store, state_folder
from .target import (
    SECRET_VARIABLES,
    entry_of,
    find_endpoint,
    find_project,
    find_roots,
    read_secret,
    read_settings,
    refuse_plain_http,
    who,
)
from .tree import is_code_folder, read_tree
from .watch import POLL_S, WISHED, Folders, why_no_events

DOTENV = (".env", ".flaskenv")
_SECRET_LINE = re.compile(r"^\s*(?:export\s+)?(?:FLASK_)?HABANERO_SECRET\s*=\s*(.+?)\s*$", re.MULTILINE)
INOTIFY = Path("/proc/sys/fs/inotify/max_user_watches")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def project(case: Case) -> Told:
    """Read pyproject.toml."""
    case.project = find_project(case.cwd)
    try:
        case.settings = read_settings(case.project)
        case.entry = entry_of(case.settings, case.options.name)
        case.roots = find_roots(case.project, case.settings)
    except ConfigError as error:
        return misconfigured(error)
    return ok(f"{case.project}, modules below {', '.join(map(str, case.roots))}")


def secret(case: Case) -> Told:
    """Read the secret, and say where it is from. It is never shown."""
    variable = str(case.entry.get("secret_env") or "")
    try:
        case.key = read_secret(variable, case.environ)
    except ConfigError as error:
        lines = list(_secret_lines(case))
        if lines and not variable and "no secret" in error.why:
            what = f"{error.why}; it stands in {lines[0][0]}, which nothing has read"
            return fail(what, f"set -a; . {lines[0][0]}; set +a     (or: pip install python-dotenv)")
        return misconfigured(error)
    names = (variable,) if variable else (*SECRET_VARIABLES, *(f"{name}_FILE" for name in SECRET_VARIABLES))
    name = next(name for name in names if case.environ.get(name))
    what = f"well formed, from {name}, key {case.key.kid}"
    if name.endswith("_FILE") and _is_for_others(path := Path(case.environ[name])):
        return warn(f"{what}; others on this machine may read {path}", f"chmod 600 {path}")
    return ok(what)


def _is_for_others(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


def _secret_lines(case: Case) -> Iterator[tuple[Path, str]]:
    """Yield the files of python-dotenv that hold a secret, and their text for it."""
    for path in dict.fromkeys(folder / name for folder in (case.cwd, case.project) for name in DOTENV):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        yield from ((path, match[1].strip("'\"")) for match in _SECRET_LINE.finditer(text))


def dotenv(case: Case) -> Told:
    """Look for secrets in .env: `flask` may read it, gunicorn does not."""
    lines = list(_secret_lines(case))
    if not lines:
        return ok("no secret in .env or .flaskenv")
    path, text = lines[0]
    if git.run(path.parent, "ls-files", "--error-unmatch", "--", path.name) is not None:
        return warn(f"{path} holds the secret, and is in git", f"git rm --cached {path.name}; then a new one")
    if not _is_of(text, case.key):
        return warn(
            f"{path} holds another secret than this shell", f"unset HABANERO_SECRET, or correct {path}"
        )
    return ok(f"{path} holds it, too. `flask run` may read that; gunicorn does not: give it the variable")


def _is_of(text: str, key: Key) -> bool:
    try:
        return Key.parse(text) == key
    except ConfigError:
        return False


def address(case: Case) -> Told:
    """Find out which server is meant."""
    try:
        case.endpoint = find_endpoint(case.options, case.entry, case.environ)
    except ConfigError as error:
        return misconfigured(error)
    case.ca_file = case.options.ca_file or str(case.entry.get("ca_file") or "")
    if case.ca_file and not Path(case.ca_file).exists():
        return fail(
            f"{case.ca_file}: no such file of certificates", "--ca-file FILE, or ca_file in the target"
        )
    try:
        refuse_plain_http(case.endpoint)
    except ConfigError as error:
        if case.options.allow_http != "yes":
            return misconfigured(error)
        return warn(f"{error.why}: who listens on the way can read your code", "https://, or an SSH tunnel")
    scheme = urlsplit(case.endpoint).scheme
    return ok(f"{case.endpoint}{'' if scheme == 'https' else ' (this machine)'}")


def repository(case: Case) -> Told:
    """Look whether git is there, which knows what is ignored and who pushes."""
    name = who(case.project, case.environ)
    if git.run(case.project, "--version") is None:
        return warn("no git on PATH: a short list of folders is ignored instead", "install git")
    if git.run(case.project, "rev-parse", "--git-dir") is None:
        return ok(f"no repository: a short list of folders is ignored. Pushes are by {name}")
    return ok(f"its ignore rules hold. Pushes are by {name}")


def modules(case: Case) -> Told:
    """Compare which files are here with what the server lets change."""
    view = case.view
    tree = read_tree(case.roots, view.modules, view.tree)
    allowed, places = ", ".join(view.modules) or "nothing", ", ".join(map(str, case.roots))
    if not tree.digests:
        what = f"no file below {places} is a module that the server lets change ({allowed})"
        return fail(what, 'roots = ["..."] in [tool.habanero] of pyproject.toml, or HABANERO_MODULES there')
    if tree.broken:
        error = next(iter(tree.broken.values()))
        return warn(f"{len(tree.broken)} can't be read: {error}", "correct it; the others go without it")
    if not set(tree.digests) & set(view.tree):
        what = f"none of the {len(view.tree)} modules that the server runs is below {places}"
        return warn(what, 'is this its project? else: roots = ["..."] in [tool.habanero]')
    others = f"; {tree.ignored} other Python files are never sent" if tree.ignored else ""
    return ok(f"{len(tree.digests)} below {places} may change ({allowed}){others}")


def watcher(case: Case) -> Told:
    """Try whether the file system tells of saves."""
    try:
        if polling.is_wished(case.settings):
            return ok(f"{WISHED}: `watch` looks every {POLL_S:g} s")
    except ConfigError as error:
        return misconfigured(error)
    folders = Folders(case.roots, _tops(case))
    problem = why_no_events(folders)
    count = sum(1 for top in folders.recursive() for _ in os.walk(top))
    limit = int(INOTIFY.read_text()) if INOTIFY.is_file() else 0
    if problem:
        hint = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
        what = f"{problem}: `watch` looks every {POLL_S:g} s instead"
        return warn(what, hint if "file system" in problem else "work on a local disk if that is too slow")
    if limit and count > limit // 2:
        what = f"{count} folders to watch, and all programs of yours together may watch {limit}"
        return warn(what, "sudo sysctl fs.inotify.max_user_watches=524288")
    if int(importlib.metadata.version("watchdog").partition(".")[0]) >= 7:
        return warn("watchdog 7: `flask run --debug` does not reload with it", 'pip install "watchdog<7"')
    return ok(f"events from {count + len(folders.roots)} folders" + (f" of at most {limit}" if limit else ""))


def _tops(case: Case) -> frozenset[str]:
    """Return the top-level names to watch; while the server has not told them, all that are here."""
    if "view" in vars(case):
        return frozenset(case.view.modules)
    return frozenset(p.name for root in case.roots for p in root.iterdir() if is_code_folder(p.name))


def memory(case: Case) -> Told:
    """Try whether it can be remembered what was agreed with the server."""
    store = Store(state_folder(case.environ), case.endpoint, case.project)
    known = store.update(lambda memory: memory)
    if store.problem or not os.access(store.path.parent, os.W_OK):
        what = store.problem or f"{store.path.parent} can't be written"
        return warn(
            f"{what}; each push is a first contact", "export XDG_STATE_HOME=FOLDER that you may write"
        )
    state = "never met" if known.is_first_contact else f"last seen at #{known.release}"
    return ok(f"{store.path}: {state}")
