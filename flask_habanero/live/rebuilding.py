"""Builds Flask's registries anew from the journals, with Flask's own methods, beside the live ones.

Only a journal that reproduces the live registries exactly is believed (`differences`): what somebody
wrote past Flask's methods makes a change of registrations cold, never wrong.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from types import MethodType, SimpleNamespace
from typing import Any

from flask.cli import AppGroup
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from flask.templating import _default_template_ctx_processor
from werkzeug.routing import Map
from werkzeug.routing.matcher import StateMachineMatcher

from .registrations import CALLS, DECORATORS, UNREPLAYABLE, Entry, Target, entries_of, tables_of, unwritten


class UnreplayableError(Exception):
    """The journal holds a call whose effect can't be had twice."""


@dataclass(frozen=True)
class Rebuilt:
    """Fresh registries of one app or blueprint, built beside the live ones."""

    target: Target
    tables: dict[str, Any]
    url_map: dict[str, Any]  # attributes for the live Map; empty for a blueprint
    jinja: dict[str, dict[str, Any]]  # filters, tests, globals


def rebuild(
    targets: Iterable[Target], journals: dict[Target, list[Entry]], *, records: bool = False
) -> list[Rebuilt]:
    """Build fresh registries of apps and blueprints from their journals. The live ones are only read.

    Args:
        targets: apps and blueprints.
        journals: the journal to use instead of a target's own.
        records: whether functions that blueprints keep are called once more, as far as `recorded` tells them.

    Raises:
        UnreplayableError: a call in a journal can't be had twice.
        Exception: what Flask raises at a cold start of such registrations.
    """
    shadows = _Shadows(journals, records)
    with unwritten():
        # all, before any table gets its real objects
        shadowed = [(target, shadows.of(target)) for target in targets]
        return [shadows.rebuilt(target, shadow) for target, shadow in shadowed]


class _Shadows:
    def __init__(self, journals: dict[Target, list[Entry]], records: bool) -> None:
        self._journals, self._records = journals, records
        self._made: dict[Target, Target] = {}
        self._real: dict[int, Any] = {}
        self._copies: list[Any] = []  # an id counts for as long as its object is there

    def rebuilt(self, real: Target, shadow: Target) -> Rebuilt:
        if isinstance(real, Blueprint):
            return Rebuilt(
                real, {name: self._mapped(getattr(shadow, name)) for name in tables_of(real)}, {}, {}
            )
        assert isinstance(shadow, App)
        tables = {name: self._mapped(getattr(shadow, name)) for name in tables_of(real)}
        shadow.url_map.update()
        for rule in shadow.url_map.iter_rules():
            rule.map = real.url_map
        url_map = {
            name: getattr(shadow.url_map, name) for name in ("_matcher", "_rules_by_endpoint", "_remap")
        }
        return Rebuilt(real, tables, url_map, vars(shadow.__dict__["jinja_env"]))

    def of(self, real: Target) -> Target:
        if real not in self._made:
            shadow = copy.copy(real)
            self._made[real], self._real[id(shadow)] = shadow, real
            _blank(shadow)
            for entry in self._journals.get(real, entries_of(real)):
                self._replay(shadow, entry)
        return self._made[real]

    def _replay(self, shadow: Target, entry: Entry) -> None:
        if self._records and entry.method == "record" and entry.sets is not None:
            shadow.record(self._apart(entry.args[0]))  # type: ignore[union-attr]  # a blueprint has it
            return
        if entry.method in UNREPLAYABLE:
            raise UnreplayableError(
                f"{shadow.name}: .{entry.method}() runs a function whose effects are unknown"
            )
        args = entry.args
        if entry.method in ("endpoint", "app_errorhandler"):
            getattr(shadow, entry.method)(*args[1:], **entry.kwargs)(args[0])
            return
        if entry.method == "register_blueprint":
            if type(args[0]).register is not Blueprint.register:
                raise UnreplayableError(f"blueprint {args[0].name!r} has a register() of its own")
            args = (self.of(args[0]), *args[1:])
        getattr(shadow, entry.method)(*args, **entry.kwargs)

    def _apart(self, method: MethodType) -> MethodType:
        """Return a method on a copy of its object, which may set what it likes there."""
        owner = method.__self__
        copied = object.__new__(type(owner))
        vars(copied).update(vars(owner))
        self._real[id(copied)] = owner
        self._copies.append(copied)
        return MethodType(method.__func__, copied)

    def _mapped(self, value: Any) -> Any:
        """Put the real objects back where a shadow got into a table."""
        if isinstance(value, dict):
            for key in value:
                value[key] = self._mapped(value[key])
            return value
        if isinstance(value, list):
            value[:] = [self._mapped(item) for item in value]
            return value
        if isinstance(value, tuple):
            return tuple(self._mapped(item) for item in value)
        if isinstance(value, MethodType) and id(value.__self__) in self._real:
            return MethodType(value.__func__, self._real[id(value.__self__)])
        return self._real.get(id(value), value)


def _blank(shadow: Target) -> None:
    """Give a shadow empty registries of its own, and the methods of its class."""
    for name in (DECORATORS | CALLS | UNREPLAYABLE) & vars(shadow).keys():
        del vars(shadow)[name]  # a library's, in the place of a method: it is bound to the real one
    shadow.before_request_funcs, shadow.after_request_funcs = defaultdict(list), defaultdict(list)
    shadow.teardown_request_funcs = defaultdict(list)
    shadow.url_value_preprocessors, shadow.url_default_functions = defaultdict(list), defaultdict(list)
    shadow.view_functions = {}
    shadow.error_handler_spec = defaultdict(lambda: defaultdict(dict))
    shadow.template_context_processors = defaultdict(list, {None: [_default_template_ctx_processor]})
    if isinstance(shadow, Blueprint):
        shadow.deferred_functions, shadow._blueprints, shadow._got_registered_once = [], [], False
        return
    shadow.teardown_appcontext_funcs, shadow.shell_context_processors, shadow.blueprints = [], [], {}
    shadow._got_first_request = False
    shadow.url_map = _blank_map(shadow.url_map)
    shadow.__dict__["jinja_env"] = SimpleNamespace(filters={}, tests={}, globals={})
    shadow.cli = AppGroup("shadow")  # blueprints' commands are merged into it and forgotten


def _blank_map(live: Map) -> Map:
    fresh = copy.copy(live)
    fresh._matcher = StateMachineMatcher(live.merge_slashes)
    fresh._rules_by_endpoint = {}
    fresh._remap = True
    return fresh


def differences(rebuilt: Rebuilt) -> list[str]:
    """Return the names of the live registries that the journal doesn't reproduce; none if it is complete."""
    live = rebuilt.target
    # an app that is gone may have registered a blueprint that lives on: only Flask's check of set-up asks
    tables = {name: table for name, table in rebuilt.tables.items() if name != "_got_registered_once"}
    wrong = [name for name, table in tables.items() if not _equal(name, getattr(live, name), table)]
    if isinstance(live, App):
        live.url_map.update()
        if _rules(live.url_map._rules_by_endpoint) != _rules(rebuilt.url_map["_rules_by_endpoint"]):
            wrong.append("url_map")
    return wrong


def _equal(name: str, live: Any, fresh: Any) -> bool:
    if (
        name == "deferred_functions"
    ):  # closures made anew at each call: their number is all that can be compared
        return len(live) == len(fresh)
    return bool(_plain(live) == _plain(fresh))


def _plain(table: Any) -> Any:
    """Drop empty containers: reading a defaultdict makes them."""
    if isinstance(table, dict):
        items = {key: _plain(value) for key, value in table.items()}
        return {key: value for key, value in items.items() if value not in ({}, [])}
    return table


def _rules(by_endpoint: dict[Any, list[Any]]) -> list[Any]:
    return [
        (
            rule.rule,
            rule.endpoint,
            rule.methods,
            rule.defaults,
            rule.subdomain,
            rule.host,
            rule.strict_slashes,
            rule.build_only,
        )
        for rules in by_endpoint.values()
        for rule in rules
    ]
