"""The keys that ``[tool.habanero]`` may have. One that is misspelt is said: a check would never run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError

_GATES = ("check", "confirm", "confirm_within", "post_push", "pre_push", "rehearse", "unless_failing")
OF_PROJECT = frozenset({*_GATES, "polling", "roots", "targets"})
OF_TARGET = frozenset({*_GATES, "app", "ca_file", "path", "secret_env", "url"})


def check_keys(settings: Mapping[str, Any]) -> None:
    """Check the keys of a project's settings and of its targets. Raises ConfigError: one is none of ours."""
    _check("[tool.habanero]", settings, OF_PROJECT)
    targets = settings.get("targets", {})
    for name, entry in targets.items() if isinstance(targets, dict) else ():
        if isinstance(entry, dict):
            _check(f"[tool.habanero.targets.{name}]", entry, OF_TARGET)


def _check(table: str, settings: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in settings.keys() - known:
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise ConfigError(f"{table} {key}", "there is no such key", hint)
