"""The fingerprint of a process that serves a Flask app: what a cold start has, as words by path.

It shares no code with the engine: what the engine overlooks, this must not overlook for the same
reason. Two fingerprints are compared with `differences`.
"""

from __future__ import annotations

import gc
import linecache
import logging
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blinker import Signal
from flask import Flask
from flask import signals as flask_signals
from flask.sansio.blueprints import Blueprint
from jinja2 import defaults

from . import libraries
from .graph import ADDRESS, Graph

Fingerprint = dict[str, str]

_HOOKS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "template_context_processors",
    "url_value_preprocessors",
    "url_default_functions",
)
_LISTS = ("teardown_appcontext_funcs", "shell_context_processors")
_TOLD_APART = {  # attributes of an app or blueprint that have words of their own, or change while it serves
    *_HOOKS,
    *_LISTS,
    "url_map",
    "view_functions",
    "error_handler_spec",
    "jinja_env",
    "cli",
    "blueprints",
    "_got_first_request",
    "_habanero_entries",
    "logger",
    "json",
    "instance_path",
    "wsgi_app",
    "jinja_loader",
    "aborter",
}
# the last: which warnings were shown, as it depends on what else was ever imported
_MODULE_UNSEEN = {"__builtins__", "__loader__", "__spec__", "__cached__", "__warningregistry__"}
_SIGNALS = (
    "before_render_template",
    "request_started",
    "request_finished",
    "got_request_exception",
    "appcontext_pushed",
)


def fingerprint(
    apps: Iterable[Flask], tops: Iterable[str], root: str = "", *, ask: bool = True
) -> Fingerprint:
    """Return what can be observed of this process.

    Args:
        apps: the apps that are served. They are asked last, since answers may fill caches.
        tops: the project's top-level module names.
        root: the folder of the sources; file names are told relative to it.
        ask: whether parameterless GET routes are asked for their answers.
    """
    gc.collect()  # classes that only await collection are not there any more
    own = frozenset(tops)
    graph = Graph(
        lambda name: name.partition(".")[0] in own or name == "__main__", root, (Flask, Blueprint, Signal)
    )
    main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    ran = ["__main__"] if root and main.startswith(root) else []
    modules = [*ran, *(name for name in sorted(sys.modules) if name.partition(".")[0] in own)]
    graph.word("sys.modules", f"{modules}")
    libraries.settle(graph)
    for name in modules:
        _module(graph, name, sys.modules[name])
    for index, app in enumerate(apps):
        _app(graph, f"app{index}", app)
    _signals(graph, modules)
    libraries.describe(graph, [sys.modules[name] for name in modules])
    if ask:
        for index, app in enumerate(apps):
            _answers(graph, f"app{index}", app)
    return graph.found


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return each path where two fingerprints differ, with both words."""
    paths = [path for path in {**wanted, **found} if found.get(path) != wanted.get(path)]
    return [
        f"{path}: {found.get(path, 'nothing')}  instead of  {wanted.get(path, 'nothing')}" for path in paths
    ]


# modules


def _module(graph: Graph, name: str, module: types.ModuleType) -> None:
    spec = getattr(module, "__spec__", None)
    graph.word(f"{name}.__spec__", f"{getattr(spec, 'name', None)} from {getattr(spec, 'origin', None)}")
    graph.word(f"{name} names", f"{sorted(set(vars(module)) - _MODULE_UNSEEN)}")
    for key, value in sorted(vars(module).items()):
        if key not in _MODULE_UNSEEN:
            graph.visit(f"{name}.{key}", value)
    file = getattr(module, "__file__", None)
    if file:
        graph.word(f"{name} source", repr("".join(linecache.getlines(file, vars(module)))))


# apps


def _app(graph: Graph, path: str, app: Flask) -> None:
    graph.visit(path, app)
    app.url_map.update()
    for number, rule in enumerate(_matching_order(app.url_map._matcher._root)):
        graph.word(f"{path} rule {number}", _rule(rule, app))
    for endpoint, rules in sorted(app.url_map._rules_by_endpoint.items()):
        graph.word(f"{path} builds {endpoint}", f"{[rule.rule for rule in rules]}")
    graph.word(f"{path} rules in order", f"{[rule.endpoint for rule in app.url_map._rules]}")
    _scaffold(graph, path, app)
    for name in _LISTS:
        graph.visit(f"{path} {name}", getattr(app, name))
    graph.word(f"{path} blueprints", f"{list(app.blueprints)}")
    for name, blueprint in app.blueprints.items():
        graph.visit(f"{path} blueprint {name}", blueprint)
        _scaffold(graph, f"{path} blueprint {name}", blueprint)
        _commands(graph, f"{path} blueprint {name} command", blueprint.cli)
    _jinja(graph, path, app)
    _commands(graph, f"{path} command", app.cli)
    for key, value in sorted(app.config.items()):
        graph.visit(f"{path} config {key}", value)
    _rest(graph, path, app)
    for name, blueprint in app.blueprints.items():
        _rest(graph, f"{path} blueprint {name}", blueprint)


def _matching_order(state: Any) -> Iterable[Any]:
    """Yield the rules as matching does: static parts by name, dynamic ones in order, then its end."""
    for _, below in sorted(state.static.items()):
        yield from _matching_order(below)
    for _, below in state.dynamic:
        yield from _matching_order(below)
    yield from state.rules


def _rule(rule: Any, app: Flask) -> str:
    fields = (
        "rule",
        "endpoint",
        "defaults",
        "subdomain",
        "host",
        "strict_slashes",
        "merge_slashes",
        "build_only",
        "alias",
        "websocket",
    )
    told = {name: getattr(rule, name) for name in fields}
    automatic = getattr(rule, "provide_automatic_options", None)
    bound = rule.map is app.url_map
    return f"{told} {sorted(rule.methods or ())} to={rule.redirect_to!r} options={automatic} bound={bound}"


def _scaffold(graph: Graph, path: str, target: Flask | Blueprint) -> None:
    for endpoint, view in sorted(target.view_functions.items()):
        graph.visit(f"{path} view {endpoint}", view)
    for name in _HOOKS:
        table = {scope: found for scope, found in getattr(target, name).items() if found}
        for scope, found in sorted(table.items(), key=repr):
            graph.visit(f"{path} {name} {scope}", found)
    for scope, by_code in sorted(target.error_handler_spec.items(), key=repr):
        for code, handlers in sorted(by_code.items(), key=repr):
            for cls, handler in sorted(handlers.items(), key=repr):
                graph.visit(f"{path} handler {scope} {code} {cls.__module__}.{cls.__qualname__}", handler)
                graph.visit(f"{path} handled {scope} {code} {cls.__module__}.{cls.__qualname__}", cls)


def _rest(graph: Graph, path: str, target: Flask | Blueprint) -> None:
    """Visit the attributes that have no words of their own: what somebody set on an app or blueprint."""
    for name, value in sorted(vars(target).items()):
        if name in _TOLD_APART or name == "config":
            continue
        graph.visit(f"{path}.{name}", value)


def _jinja(graph: Graph, path: str, app: Flask) -> None:
    standard = {
        "filters": defaults.DEFAULT_FILTERS,
        "tests": defaults.DEFAULT_TESTS,
        "globals": defaults.DEFAULT_NAMESPACE,
    }
    for table, known in standard.items():
        live = getattr(app.jinja_env, table)
        graph.word(f"{path} jinja {table}", f"{sorted(live)}")
        for name, value in sorted(live.items()):
            if known.get(name) is not value:
                graph.visit(f"{path} jinja {table} {name}", value)


def _commands(graph: Graph, path: str, group: Any) -> None:
    for name, command in sorted(group.commands.items()):
        graph.word(
            f"{path} {name}",
            f"{type(command).__name__} {command.name} help={command.help!r} hidden={command.hidden}",
        )
        for parameter in command.params:
            graph.visit(f"{path} {name} {parameter.name}", parameter)
        graph.visit(f"{path} {name} callback", command.callback)
        if hasattr(command, "commands"):
            _commands(graph, f"{path} {name}", command)


# signals and answers


def _signals(graph: Graph, modules: list[str]) -> None:
    found: dict[str, Signal] = {name: getattr(flask_signals, name) for name in _SIGNALS}
    for name in modules:
        found.update(
            (f"{name}.{key}", value)
            for key, value in vars(sys.modules[name]).items()
            if isinstance(value, Signal)
        )
    for name, signal in sorted(found.items()):
        receivers = [
            reference() if isinstance(reference, _weak()) else reference
            for reference in signal.receivers.values()
        ]
        graph.word(f"signal {name}", f"{len(receivers)} receivers")
        for index, receiver in enumerate(receivers):
            graph.visit(f"signal {name} {index}", receiver)


def _weak() -> tuple[type, ...]:
    import weakref

    return (weakref.ReferenceType, weakref.WeakMethod)


def _answers(graph: Graph, path: str, app: Flask) -> None:
    app.logger.setLevel(logging.CRITICAL + 1)  # a view that raises says so in its answer
    client = app.test_client()
    asked = sorted({rule.rule for rule in app.url_map.iter_rules() if not rule.arguments})
    concrete: Callable[[str], bool] = lambda url: "<" not in url and not url.startswith("/static")  # noqa: E731  # said once
    for url in [*filter(concrete, asked), "/no/such/page", "/7", "/item/7"]:
        for method in ("GET", "POST"):
            answer = client.open(url, method=method)
            told = {
                name: answer.headers.getlist(name) for name in ("Location", "Allow", "Content-Type", "X-Hook")
            }
            text = ADDRESS.sub("", answer.get_data(as_text=True))
            graph.word(f"{path} {method} {url}", f"{answer.status_code} {told} {text!r}")
