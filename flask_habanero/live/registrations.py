"""Who registered what on which app or blueprint, from which statement.

Flask's set-up methods are wrapped once, when `flask_habanero` is imported. Each outermost call
is written down beside the app or blueprint: method, arguments, and the frames it came from.
That journal is enough to build all of Flask's registries anew, with Flask's own methods, on a
shadow of the app: so a release edits the journal (withdraws what removed statements registered,
adds what new ones register, at the place where a cold start would put it), rebuilds beside the
live registries (`rebuilding.py`), and swaps them by reference. While a release runs its statements
(`recording`), the methods only write down.

The only place that wraps Flask. Source: flask/sansio/{scaffold,app,blueprints}.py of Flask 3.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from flask.sansio.scaffold import Scaffold
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

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
UNREPLAYABLE = frozenset({"record", "record_once"})
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
    """One registration. `chain` is where it stands in cold-start order; the program resolves it.

    `sets` is for `.record()` of a method: which attributes of its object it sets when the blueprint is
    registered, and what they were before, if that is told (`recorded.py`).
    """

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    frames: tuple[Frame, ...]
    chain: tuple[Any, ...] | None = field(default=None)
    sets: dict[str, Any] | None = field(default=None)


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
        code = frame.f_code
        is_text = code.co_filename.startswith("<")  # evaluated: its lines are none of the module's
        if not (is_text or f"{module}.".startswith(_NOT_OURS)):
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


@contextmanager
def unwritten() -> Iterator[None]:
    """Let this thread's set-up calls do what Flask's own do, and not be written down."""
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1


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


def template_functions() -> set[str]:
    """Return the names of the functions whose results Jinja may have folded into compiled templates."""
    found = set()
    for target in list(targets):
        env = target.__dict__.get("jinja_env") if isinstance(target, App) else None
        for name, function in [*env.filters.items(), *env.tests.items()] if env else ():
            if function is not FILTERS.get(name) and function is not TESTS.get(name):
                found.add(getattr(inspect.unwrap(function), "__name__", ""))
    return found
