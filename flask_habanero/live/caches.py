"""Functions behind a cache of a library, which says itself how it is emptied: no library is imported for it.

- A function with a library's ``cache_clear()``, as `functools` has it: cachetools and others follow that.
- A function with ``cache`` and ``cache_key``: cachetools', which are mappings of any kind.
- A function with ``uncached``: Flask-Caching's. What it keeps in the process is lost with that; what it keeps
  in files, or on another machine, a cold start finds there, too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from . import registrations, startup

if TYPE_CHECKING:
    from . import holders
    from .draft import Draft

_IN_PROCESS = "SimpleCache"  # of Flask-Caching's backends, and of cachelib's


@dataclass(frozen=True)
class Cache:
    """A function behind a cache of a library."""

    wrapper: Any

    @property
    def function(self) -> Any:
        """What makes what it gives."""
        return inspect.unwrap(self.wrapper)

    def clear(self) -> None:
        """Empty it."""
        for clear in _clearing(self.wrapper):
            clear()

    def given(self, found: holders.Anew) -> Iterator[Any]:
        """Yield what it gave, if it keeps that as it is; note how it holds that."""
        kept = getattr(self.wrapper, "cache", None)
        if isinstance(kept, MutableMapping):
            found.tables.add(id(kept))
            yield from list(kept.values())


def find(draft: Draft, modules: list[str]) -> Iterator[Cache]:
    """Yield the functions of some modules, and the views, that are behind such a cache."""
    seen = set[int]()
    kinds = dict[type, bool]()  # what can be such a cache: few of the many things that an app holds
    for one in _held(draft, modules):
        kind = type(one)
        if kind is FunctionType:
            may_be = bool(one.__dict__)
        elif (known := kinds.get(kind)) is not None:
            may_be = known
        else:
            may_be = kinds[kind] = any(True for _ in _clearing(one))
        if may_be and id(one) not in seen and any(True for _ in _clearing(one)):
            seen.add(id(one))
            yield Cache(one)


def _held(draft: Draft, modules: list[str]) -> Iterator[Any]:
    """Yield what modules, their own classes, and the tables of views hold."""
    spaces = [vars(live) for name in modules if (live := draft.program.loaded(name)) is not None]
    spaces += [one.view_functions for one in list(registrations.targets) if isinstance(one, App)]
    for value in [value for space in spaces for value in list(space.values())]:
        if type(value) is type and draft.world.is_own(value.__module__):
            members = list(vars(value).values())  # of which only those that are known say what is in them
            yield from [one.__func__ if type(one) in (staticmethod, classmethod) else one for one in members]
        else:
            yield value


def _clearing(wrapper: Any) -> Iterator[Callable[[], Any]]:
    """Yield what empties the cache of a function."""
    kind = type(wrapper)
    if kind is not FunctionType:  # what an object says itself may be a proxy's word for another
        if kind is not functools._lru_cache_wrapper and _is_others(getattr(kind, "cache_clear", None)):
            yield wrapper.cache_clear
        return
    marks = vars(wrapper)
    if _is_others(marks.get("cache_clear")):
        yield marks["cache_clear"]
    elif "cache_key" in marks and isinstance(marks.get("cache"), MutableMapping):
        yield marks["cache"].clear
    elif "uncached" in marks:
        for app in [one for one in list(registrations.targets) if isinstance(one, App)]:
            known = app.extensions.get("cache")
            for backend in list(known.values()) if isinstance(known, dict) else ():
                if type(backend).__name__ == _IN_PROCESS:
                    yield backend.clear


def _is_others(clear: Any) -> bool:
    """Whether it is a function of a library: what the app's own does nobody knows."""
    return type(clear) is FunctionType and startup.is_foreign_file(clear.__code__.co_filename)
