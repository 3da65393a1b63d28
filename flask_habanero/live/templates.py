"""What Jinja keeps of an app: tables of its own, and compiled templates."""

from __future__ import annotations

import copy
from collections.abc import Callable

from flask.sansio.app import App
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.tests import TESTS as DEFAULT_TESTS

from . import registrations, steps

Inverse = Callable[[], None]

_STANDARD = {"filters": DEFAULT_FILTERS, "tests": DEFAULT_TESTS, "globals": DEFAULT_NAMESPACE}


def exchange(
    app: App, old: dict[str, dict[str, object]], new: dict[str, dict[str, object]], done: list[Inverse]
) -> None:
    """Filters, tests and globals live in Jinja's own tables, beside its defaults."""
    for table, entries in new.items():
        gone = [name for name in old[table] if name not in entries]
        put = {name: value for name, value in entries.items() if old[table].get(name) is not value}
        put.update({name: _STANDARD[table][name] for name in gone if name in _STANDARD[table]})
        if put or gone:
            live = getattr(app.jinja_env, table)
            done.append(steps.Items(live, put, tuple(name for name in gone if name not in put)).apply())


def forget() -> None:
    """Jinja folds constants through filters into compiled templates: compiled anew at their next use."""
    for target in list(registrations.targets):
        env = target.__dict__.get("jinja_env") if isinstance(target, App) else None
        if env is not None and env.cache is not None:
            env.cache.clear()
            env.loader = copy.copy(env.loader)
