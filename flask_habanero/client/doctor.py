"""`doctor`: one check after the other, each on its own.

A check that fails, or that breaks, ends nothing but those that can't be asked without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from ..errors import HabaneroError
from . import importing, laptop, remote, shared
from .finding import FAIL, OK, SKIP, WARN, Case, Check, Finding

CHECKS = (
    Check("project", laptop.project),
    Check("secret", laptop.secret, ("project",)),
    Check("dotenv", laptop.dotenv, ("secret",)),
    Check("git", laptop.repository, ("project",)),
    Check("address", laptop.address, ("project",)),
    Check("memory", laptop.memory, ("address",)),
    Check("server", remote.server, ("address", "secret")),
    Check("app", remote.app, ("server",)),
    Check("clock", remote.clock, ("server",)),
    Check("python", remote.python, ("server",)),
    Check("modules", laptop.modules, ("server",)),
    Check("imports", importing.imports, ("modules",)),
    Check("watcher", laptop.watcher, ("project",)),
    Check("size", remote.size, ("server",)),
    Check("version", remote.version, ("server",)),
    Check("workers", remote.workers, ("version",)),
    Check("store", remote.store, ("version",)),
    Check("shared", shared.shared, ("version",)),
    Check("model", remote.model, ("version",)),
    Check("settings", remote.settings, ("version",)),
    Check("cold", remote.cold, ("version",)),
    Check("assets", remote.assets, ("version",)),
)


def examine(case: Case, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    """Yield what each check comes to, as soon as it is known. Raises nothing."""
    passed: set[str] = set()
    with closing(case):
        for check in checks:
            missing = [name for name in check.needs if name not in passed]
            if missing:
                yield Finding(SKIP, check.name, f"can't be told without: {', '.join(missing)}")
                continue
            finding = _asked(check, case)
            if finding.level in (OK, WARN):
                passed.add(check.name)
            yield finding


def _asked(check: Check, case: Case) -> Finding:
    try:
        level, what, hint = check.ask(case)
    except HabaneroError as error:
        return Finding(FAIL, check.name, str(error))
    except Exception as error:  # noqa: BLE001  # a check that breaks must not hide what the others find
        return Finding(FAIL, check.name, f"the check itself failed: {error!r}", "please report it")
    return Finding(level, check.name, what, hint)


def summary(findings: Iterable[Finding]) -> str:
    """Return the last line: how many of which level."""
    levels = [finding.level for finding in findings]
    words = {FAIL: "failed", WARN: "to look at", SKIP: "skipped", OK: "ok"}
    return ", ".join(f"{levels.count(level)} {word}" for level, word in words.items() if level in levels)
