"""What the start left: names of the app's own modules, the environment, containers in configurations.

Taken once, when the record of the start ends, so that it can be told later what requests have changed.
"""

from __future__ import annotations

import copy
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from . import configs, startup

_PLAIN = (str, bytes, int, float, complex, bool, type(None))
_GONE = object()
MOST = 1_000  # of a container in a configuration, so many elements are kept


class _Names(dict[str, Any]):
    """A copy of a module's namespace. A class of ours: `holders` knows that it keeps nothing from going."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(vars(module))
        self.module = module


@dataclass
class _Contents:
    """A container, and a copy of what was in it."""

    container: Any
    copy: Any


_names: dict[str, _Names] = {}
environment: dict[str, str] = {}
_given: dict[str, str] = {}  # the environment as it was when we were imported
_contents: dict[int, _Contents] = {}  # by id of the container
Inverse = Callable[[], None]

_taken: list[bool] = []


def take() -> None:
    """Remember what is there now. Once; a second call changes nothing."""
    if _taken:
        return
    _taken.append(True)
    environment.update(os.environ)
    for name, module in list(sys.modules.items()):
        if not startup.is_foreign_file(getattr(module, "__file__", None)):
            _names[name] = _Names(module)
    for config in configs.all_configs():
        for value in dict.values(config):
            if type(value) in (list, dict, set) and len(value) <= MOST and _is_plain(value):
                _contents[id(value)] = _Contents(value, copy.deepcopy(value))


def begin() -> None:
    """Remember what the server was started with. Once, as `take` does."""
    if not _given:
        _given.update(os.environ)


def has_kept(key: str) -> bool:
    """Whether the environment has under a name what it had when we were imported."""
    return bool(_given) and _given.get(key) == os.environ.get(key)


def changed_variables() -> set[str]:
    """Return the variables of the environment that became others between our import and the start's end."""
    after = environment if _taken else os.environ
    return {key for key in (*_given, *after) if _given.get(key) != after.get(key)} if _given else set()


def is_rebound(module: ModuleType, name: str) -> bool:
    """Whether a module's name stands for something else than when the start, or a release, ended."""
    was = _names.get(module.__name__)
    if was is None or was.module is not module:
        return False
    return was.get(name, _GONE) is not vars(module).get(name, _GONE)


def has_copied(module: ModuleType, name: str, value: object) -> bool:
    """Whether our copy of a module's namespace refers to an object under a name."""
    copied = _names.get(module.__name__)
    return copied is not None and copied.get(name, _GONE) is value


def renew(names: Iterable[tuple[str, str]], loaded: Callable[[str], ModuleType | None]) -> Inverse:
    """Take what a release bound for what the start left; return what takes that back.

    Args:
        names: (unit, name) that the release bound or deleted.
        loaded: returns the live module of a unit.
    """
    before, bound = dict(_names), defaultdict[str, set[str]](set)
    for unit, one in names:
        module = loaded(unit)
        bound[module.__name__ if module is not None else unit].add(one)
    for name in bound.keys() & _names.keys():
        was = _names.pop(name)
        if sys.modules.get(name) is was.module:
            now = _names[name] = _Names(was.module)
            for one in [one for one in {*now, *was} if one not in bound[name]]:
                if one in was:
                    now[one] = was[one]
                else:
                    del now[one]

    def inverse() -> None:
        _names.clear()
        _names.update(before)

    return inverse


def is_as_left(container: object) -> bool:
    """Whether a container in a configuration has what it had when the start ended."""
    kept = _contents.get(id(container))
    return kept is not None and kept.container is container and bool(kept.copy == container)


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple, set, frozenset):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(_is_plain(one) for pair in value.items() for one in pair)
    return type(value) in _PLAIN


def install() -> None:
    """Take it when the record ends."""
    startup.also.append((begin, take))
