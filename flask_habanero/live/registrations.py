"""Who registered what on which app or blueprint, from which statement: and how to rebuild it.

Flask's set-up methods are wrapped once, when `flask_habanero` is imported. Each outermost call
is written down beside the app or blueprint: method, arguments, and the frames it came from.
That journal is enough to build all of Flask's registries anew, with Flask's own methods, on a
shadow of the app: so a release edits the journal (withdraws what removed statements registered,
adds what new ones register, at the place where a cold start would put it), rebuilds beside the
live registries, and swaps them by reference.

- Only a journal that reproduces the live registries exactly is believed (`differences`):
  what somebody wrote past Flask's methods makes a change of registrations cold, never wrong.
- While a release runs its statements (`recording`), the methods only write down.

The only place that wraps Flask. Source: flask/sansio/{scaffold,app,blueprints}.py of Flask 3.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import sys
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, MethodType, SimpleNamespace
from typing import Any

from flask.cli import AppGroup
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from flask.sansio.scaffold import Scaffold
from flask.templating import _default_template_ctx_processor
from jinja2.filters import FILTERS
from jinja2.tests import TESTS
from werkzeug.routing import Map
from werkzeug.routing.matcher import StateMachineMatcher

Target = App | Blueprint

_LEAVES: dict[type, tuple[str, ...]] = {
    Scaffold: (
        "endpoint",
        "before_request",
        "after_request",
        "teardown_request",
        "context_processor",
        "url_value_preprocessor",
        "url_defaults",
        "register_error_handler",
    ),
    App: (
        "register_blueprint",
        "add_url_rule",
        "add_template_filter",
        "add_template_test",
        "add_template_global",
        "teardown_appcontext",
        "shell_context_processor",
    ),
    Blueprint: (
        "register_blueprint",
        "add_url_rule",
        "record",
        "record_once",
        "add_app_template_filter",
        "add_app_template_test",
        "add_app_template_global",
        "before_app_request",
        "after_app_request",
        "teardown_app_request",
        "app_context_processor",
        "app_url_value_preprocessor",
        "app_url_defaults",
    ),
}
# They set up through a leaf above (route -> add_url_rule) or give their function back: a statement that uses
# them has no other effect. `app_errorhandler` records a deferred function: see `_wrap_app_errorhandler`.
DECORATORS = frozenset(
    {
        "route", "get", "post", "put", "delete", "patch", "endpoint",
        "before_request", "after_request", "teardown_request", "context_processor",
        "url_value_preprocessor", "url_defaults", "errorhandler",
        "template_filter", "template_test", "template_global",
        "teardown_appcontext", "shell_context_processor",
        "app_template_filter", "app_template_test", "app_template_global",
        "before_app_request", "after_app_request", "teardown_app_request", "app_context_processor",
        "app_errorhandler", "app_url_value_preprocessor", "app_url_defaults",
    }
)  # fmt: skip
PLAIN_DECORATORS = frozenset(  # they take the function itself: no parentheses
    {
        "before_request", "after_request", "teardown_request", "context_processor",
        "url_value_preprocessor", "url_defaults", "teardown_appcontext", "shell_context_processor",
        "before_app_request", "after_app_request", "teardown_app_request", "app_context_processor",
        "app_url_value_preprocessor", "app_url_defaults",
    }
)  # fmt: skip
CALLS = frozenset(itertools.chain(*_LEAVES.values())) - {"record", "record_once", "endpoint"}
# They run a function of the user's: nobody knows what it does twice.
_UNREPLAYABLE = frozenset({"record", "record_once"})
_GIVES_BACK = DECORATORS - {"endpoint"}

_SCAFFOLD_TABLES = (
    "view_functions", "error_handler_spec",
    "before_request_funcs", "after_request_funcs", "teardown_request_funcs",
    "template_context_processors", "url_value_preprocessors", "url_default_functions",
)  # fmt: skip
_APP_TABLES = (*_SCAFFOLD_TABLES, "teardown_appcontext_funcs", "shell_context_processors", "blueprints")
_BLUEPRINT_TABLES = (*_SCAFFOLD_TABLES, "deferred_functions", "_blueprints", "_got_registered_once")
TABLES = frozenset({*_APP_TABLES, *_BLUEPRINT_TABLES})


def tables_of(target: Target) -> tuple[str, ...]:
    """Return the names of the registries of an app or blueprint."""
    return _APP_TABLES if isinstance(target, App) else _BLUEPRINT_TABLES


STEPS = (
    "flask_habanero.live.steps."  # run the statements of a release; they import us, by way of the importer
)
_NOT_OURS = (
    "flask.",
    "flask_habanero.",
    "werkzeug.",
    "importlib.",
    "_frozen_importlib",
    "click.",
    "gunicorn.",
)


@dataclass(frozen=True)
class Frame:
    """Where a call came from: one frame of the stack, by module name and lines."""

    module: str
    function: str  # "<module>", or the code's qualified name
    first: int  # first line of the function
    line: int


@dataclass(eq=False)
class Entry:
    """One registration. `chain` is where it stands in cold-start order; the program resolves it."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    frames: tuple[Frame, ...]
    chain: tuple[Any, ...] | None = field(default=None)


class _State(threading.local):
    depth = 0
    recording: list[tuple[Target, Entry]] | None = None


_state = _State()
targets: weakref.WeakSet[Target] = weakref.WeakSet()
_grown: weakref.WeakSet[Target] = weakref.WeakSet()  # in whose journals there are entries without a chain
_ENTRIES = "_habanero_entries"


def entries_of(target: Target) -> list[Entry]:
    """Return the journal of an app or blueprint, in order. Owned by the target."""
    entries: list[Entry] = target.__dict__.setdefault(_ENTRIES, [])
    return entries


def unplaced() -> list[Entry]:
    """Return the entries that nobody has given a chain. Asked once: the program gives them one."""
    grown = list(_grown)
    _grown.clear()
    return [entry for target in grown for entry in entries_of(target) if entry.chain is None]


def set_entries(target: Target, entries: list[Entry]) -> None:
    """Replace the journal of an app or blueprint."""
    target.__dict__[_ENTRIES] = entries


def stack(frame: FrameType | None) -> tuple[Frame, ...]:
    """Return the frames of everybody's code on a stack, outermost first."""
    found = []
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        if module.startswith(STEPS):
            break  # below stands whatever request brought the release
        if not f"{module}.".startswith(_NOT_OURS):
            code = frame.f_code
            found.append(Frame(module, code.co_qualname, code.co_firstlineno, frame.f_lineno))
        frame = frame.f_back
    return tuple(reversed(found))


@contextmanager
def recording() -> Iterator[list[tuple[Target, Entry]]]:
    """Let this thread's set-up calls only be written down, in the list that is given."""
    pending: list[tuple[Target, Entry]] = []
    _state.recording = pending
    try:
        yield pending
    finally:
        _state.recording = None


def _note(target: Target, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    entry = Entry(method, args, dict(kwargs), stack(sys._getframe(2)))
    if _state.recording is not None:
        _state.recording.append((target, entry))
    else:
        entries_of(target).append(entry)
        targets.add(target)
        _grown.add(target)


def _wrap(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(self: Target, *args: Any, **kwargs: Any) -> Any:
        if _state.depth:
            return original(self, *args, **kwargs)
        if _state.recording is not None:
            _note(self, method, args, kwargs)
            return args[0] if method in _GIVES_BACK and args else None
        _state.depth += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            _state.depth -= 1
        _note(self, method, args, kwargs)
        return result

    return wrapper


def _wrap_decorator(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    """`endpoint` and `app_errorhandler` act when their decorator is called: one note per function."""

    @functools.wraps(original)
    def wrapper(self: Target, *args: Any, **kwargs: Any) -> Any:
        if _state.depth:
            return original(self, *args, **kwargs)

        def decorator(function: Any) -> Any:
            if _state.recording is None:
                _state.depth += 1
                try:
                    original(self, *args, **kwargs)(function)
                finally:
                    _state.depth -= 1
            _note(self, method, (function, *args), kwargs)
            return function

        return decorator

    return wrapper


def _wrap_check(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def wrapper(self: Target, name: str) -> None:
        if _state.recording is None:
            original(self, name)

    return wrapper


def install() -> None:
    """Wrap Flask's set-up methods. Once; a second call changes nothing."""
    if hasattr(App.add_url_rule, "_habanero"):
        return
    for cls, names in _LEAVES.items():
        for name in names:
            wrap = _wrap_decorator if name == "endpoint" else _wrap
            setattr(cls, name, wrap(cls.__dict__[name], name))
    for cls, name, wrap_one in (
        (Blueprint, "app_errorhandler", lambda f: _wrap_decorator(f, "app_errorhandler")),
        (App, "_check_setup_finished", _wrap_check),
        (Blueprint, "_check_setup_finished", _wrap_check),
    ):
        setattr(cls, name, wrap_one(cls.__dict__[name]))
    App.add_url_rule._habanero = True  # type: ignore[attr-defined]  # the mark that install() looks for


class UnreplayableError(Exception):
    """The journal holds a call whose effect can't be had twice."""


@dataclass(frozen=True)
class Rebuilt:
    """Fresh registries of one app or blueprint, built beside the live ones."""

    target: Target
    tables: dict[str, Any]
    url_map: dict[str, Any]  # attributes for the live Map; empty for a blueprint
    jinja: dict[str, dict[str, Any]]  # filters, tests, globals


def rebuild(targets: Iterable[Target], journals: dict[Target, list[Entry]]) -> list[Rebuilt]:
    """Build fresh registries of apps and blueprints from their journals. The live ones are only read.

    Args:
        targets: apps and blueprints.
        journals: the journal to use instead of a target's own.

    Raises:
        UnreplayableError: a call in a journal can't be had twice.
        Exception: what Flask raises at a cold start of such registrations.
    """
    shadows = _Shadows(journals)
    _state.depth += 1
    try:
        # all, before any table gets its real objects
        shadowed = [(target, shadows.of(target)) for target in targets]
        return [shadows.rebuilt(target, shadow) for target, shadow in shadowed]
    finally:
        _state.depth -= 1


class _Shadows:
    def __init__(self, journals: dict[Target, list[Entry]]) -> None:
        self._journals = journals
        self._made: dict[Target, Target] = {}
        self._real: dict[int, Target] = {}

    def rebuilt(self, real: Target, shadow: Target) -> Rebuilt:
        if isinstance(real, Blueprint):
            return Rebuilt(
                real, {name: self._mapped(getattr(shadow, name)) for name in _BLUEPRINT_TABLES}, {}, {}
            )
        assert isinstance(shadow, App)
        tables = {name: self._mapped(getattr(shadow, name)) for name in _APP_TABLES}
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
        if entry.method in _UNREPLAYABLE:
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
    """Give a shadow empty registries of its own."""
    for name in ("before_request_funcs", "after_request_funcs", "teardown_request_funcs"):
        setattr(shadow, name, defaultdict(list))
    for name in ("url_value_preprocessors", "url_default_functions"):
        setattr(shadow, name, defaultdict(list))
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


def template_functions() -> set[str]:
    """Return the names of the functions whose results Jinja may have folded into compiled templates."""
    found = set()
    for target in list(targets):
        env = target.__dict__.get("jinja_env") if isinstance(target, App) else None
        for name, function in [*env.filters.items(), *env.tests.items()] if env else ():
            if function is not FILTERS.get(name) and function is not TESTS.get(name):
                found.add(getattr(inspect.unwrap(function), "__name__", ""))
    return found
