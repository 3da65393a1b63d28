"""What extensions do, such as Flask-WTF, Flask-Babel and Flask-RESTful: a library that cases import."""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Any

from flask import Blueprint, Flask, current_app, request
from flask.views import MethodView


class Guard:
    """Refuses to POST to a view, unless it is exempt."""

    def __init__(self, app: Flask | None = None, exempt: tuple[str, ...] = ()) -> None:
        self.exempt_views: set[str] = set(exempt)
        self.exempt_blueprints: set[Any] = set()
        self.limits: dict[str, list[int]] = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Be asked before each request."""
        app.before_request(self.protect)

    def protect(self) -> tuple[str, int] | None:
        """Answer with an error where a view is not exempt."""
        view = current_app.view_functions.get(request.endpoint or "")
        if (
            request.method != "POST"
            or current_app.blueprints.get(request.blueprint or "") in self.exempt_blueprints
        ):
            return None
        return None if f"{view.__module__}.{view.__name__}" in self.exempt_views else ("no", 400)

    def exempt(self, view: Any) -> Any:
        """Let a view, or a blueprint, be exempt."""
        if hasattr(view, "register_blueprint"):
            self.exempt_blueprints.add(view)
            return view
        location = view if isinstance(view, str) else ".".join((view.__module__, view.__name__))  # noqa: FLY002  # as it does
        self.exempt_views.add(location)
        return view

    def limit(self, name: str, value: int) -> Any:
        """Return a decorator that adds to the limits of a name."""

        def mark(view: Any) -> Any:
            self.limits.setdefault(name, []).append(value)
            return view

        return mark


STANDS_FOR: dict[type, type] = {}


def stand_in(cls: type) -> type:
    """Return what stands for a class: itself, if nothing else does."""
    if not isinstance(cls, type) or not cls.__module__:
        raise TypeError(cls)
    return STANDS_FOR.get(cls, cls)


def described(cls: Any) -> str:
    """Return what a class says of itself, where it says something."""
    say = getattr(cls, "say", None)
    return say() if say else "nothing"


def listed(cls: type) -> list[str]:
    """Return the public members of a class."""
    return sorted(name for name in vars(cls) if not name.startswith("_"))


def entered(cls: type) -> list[str]:
    """Return the same, as the class's own namespace has them."""
    return sorted(name for name in cls.__dict__ if not name.startswith("_"))


def made(cls: Any) -> str:
    """Return what an object of a class is called."""
    return str(cls().name)


class Shelf:
    """Gives templates more to work with, as Bootstrap-Flask and Flask-Babel do."""

    def __init__(self, app: Flask, words: tuple[str, ...] = ()) -> None:
        app.config.setdefault("SHELF_WORDS", words)
        app.jinja_env.add_extension("jinja2.ext.do")
        app.jinja_env.globals["shelf_words"] = list
        app.jinja_env.filters.update(shelf_upper=str.upper)
        app.extensions["shelf"] = self


class Resource(MethodView):
    """A view of an API."""


class Api:
    """Adds resources to a blueprint, with rules that it makes when that is registered."""

    def __init__(self, blueprint: Blueprint, prefix: str = "") -> None:
        self.prefix, self.endpoints = prefix, set()
        self.blueprint_setup: Any = None
        self.blueprint = blueprint
        blueprint.record(self._set_up)

    def _set_up(self, state: Any) -> None:
        self.blueprint_setup = state
        if state.add_url_rule.__name__ != "_add_patched":
            state.add_url_rule = MethodType(Api._add_patched, state)
        state.app.handle_exception = partial(self.errors, state.app.handle_exception)

    def errors(self, handle: Any, error: Exception) -> Any:
        """Let the app handle an error."""
        return handle(error)

    @staticmethod
    def _add_patched(
        state: Any, rule: Any, endpoint: str | None = None, view_func: Any = None, **more: Any
    ) -> None:
        rule = rule(state.url_prefix) if callable(rule) else f"{state.url_prefix or ''}{rule}"
        endpoint = f"{state.blueprint.name}.{endpoint or view_func.__name__}"
        state.app.add_url_rule(rule, endpoint, view_func, **more)

    def _complete(self, url: str, prefix: str | None) -> str:
        return "".join(part for part in (prefix, self.prefix, url) if part)

    def add_resource(self, resource: Any, *urls: str) -> None:
        """Add a resource under some URLs."""
        endpoint = resource.__name__.lower()
        self.endpoints.add(endpoint)
        resource.endpoint = endpoint
        view = resource.as_view(endpoint)
        for url in urls:
            if self.blueprint_setup:
                self.blueprint_setup.add_url_rule(url, view_func=view)
            else:
                self.blueprint.add_url_rule(partial(self._complete, url), view_func=view)
