"""What names of the app's own modules hold that a fresh start would not make: requests have gathered it.

Told without running anything of the app's, and by type and size only: what is in there is nobody's business.
So it is told of containers, memos, and the fields of the app's own objects, which are compared with what
there was when the start ended; not of what lies deeper, in libraries' objects, or in closures.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from . import names, origin, startup, stateful, written

if TYPE_CHECKING:
    from .program import Program

MOST = 20  # names that are told
FIELDS = 3  # of one object
_PLAIN = (str, bytes, int, float, complex, bool, type(None))
_CODE = (ModuleType, FunctionType, type, App, Blueprint)
_MEMO = type(functools.cache(len))
_PART = "@"  # between a member's name and the id of what it holds
log = logging.getLogger("flask_habanero")


@dataclass(frozen=True)
class _Seen:
    """What an object had when the start ended; nothing in here keeps it from going."""

    id: int
    sizes: Mapping[str, Any]


_then: dict[tuple[str, str], _Seen] = {}
_taken: list[bool] = []


def take() -> None:
    """Remember how much there is now. Once; a second call changes nothing."""
    if _taken:
        return
    _taken.append(True)
    for module in list(sys.modules.values()):
        if issubclass(type(module), ModuleType) and _is_own(module):
            for name, value in list(vars(module).items()):
                if sizes := _sizes(value):
                    _then[module.__name__, name] = _Seen(id(value), sizes)


def install() -> None:
    """Take it when the record of the start ends."""
    startup.also.append((lambda: None, take))


def told(program: Program) -> list[str]:
    """Return the names that hold what a restart loses, each with what it is.

    The last line counts those that are not told.
    """
    found = [f"{unit}.{name}: {what}" for unit in sorted(program.tree) for name, what in _of(program, unit)]
    return found if len(found) <= MOST else [*found[:MOST], f"and {len(found) - MOST} more"]


def _of(program: Program, unit: str) -> Iterator[tuple[str, str]]:
    module = program.loaded(unit)
    if module is None or not issubclass(type(module), ModuleType):
        return  # nothing has imported it, or it has put something else in its own place
    rows = names.of_source(program.tree[unit])
    imported = {item.bound for row in rows for item in row.imports}
    for name, value in sorted(vars(module).items()):
        if not name.startswith("__") and name not in imported:
            what = _gathered(program, unit, module, name, value)
            if what:
                yield name, what


def _gathered(program: Program, unit: str, module: ModuleType, name: str, value: Any) -> str:
    """Return what a name holds that the start did not make, in words; "" if nothing is known of it."""
    if origin.is_rebound(module, name):
        return "" if issubclass(type(value), _CODE) else f"{type(value).__name__}, bound since the start"
    seen = _then.get((module.__name__, name))
    seen = seen if seen is not None and seen.id == id(value) else None  # else a release has made it
    now = _sizes(value)
    if "" in now:
        return _of_container(value, now[""], seen, written.literal(program.tree[unit], name))
    changed, kind = _changed(seen, now), type(value).__name__
    if issubclass(type(value), type):
        body = written.class_body(program.tree[unit], name)  # whatever else is there, its metaclass keeps it
        changed = [one for one in changed if body is not None and one in names.class_members(body)]
        kind = f"class {name}"
    if not changed:
        return ""
    more = f" and {len(changed) - FIELDS} more" if len(changed) > FIELDS else ""
    return f"{kind}, whose {', '.join(changed[:FIELDS])}{more} changed since the start"


def _changed(seen: _Seen | None, now: Mapping[str, Any]) -> list[str]:
    """Return the fields that have another size, or another plain value, than at the start."""
    if seen is None:
        return []
    # A container in a class is another one after a release that made it anew
    rest = [one for one in now if one in seen.sizes or _PART not in one]
    return sorted(one.partition(_PART)[0] for one in rest if now[one] != seen.sizes.get(one))


def _of_container(value: Any, size: int, seen: _Seen | None, literal: Any) -> str:
    kind = "memo" if type(value) is _MEMO else type(value).__name__
    if seen is not None and seen.sizes[""] != size:
        return f"{kind} of {size}, {seen.sizes['']} at the start"
    if literal is written.NO_LITERAL:
        return ""
    made = 0 if isinstance(literal, written.Empty) else len(literal)
    if seen is not None and seen.sizes[""] != made:
        return ""  # the start itself has put something in
    return f"{kind} of {size}, changed since the start" if size != made or _differs(value, literal) else ""


def _differs(value: Any, literal: Any) -> bool:
    if type(value) is not type(literal):
        return False  # of the app's own, which may compare as it likes
    try:
        return bool(value != literal)
    except Exception as error:  # noqa: BLE001  # what is in there compares as it likes, and requests change it
        log.info("whether a %s has changed can't be told: %r", type(value).__name__, error)
        return True


def _sizes(value: Any) -> dict[str, Any]:
    """Return how much is in an object, under ""; or, of one of the app's own, how much is in which field."""
    size = _size(value)
    if size is not None:
        return {"": size}
    if issubclass(type(value), type):
        fields = _fields(value, value)  # of which a release changes plain ones in place, so they tell nothing
        contained = {name: (one, _size(one)) for name, one in fields.items()}
        return {f"{n}{_PART}{id(one)}": size for n, (one, size) in contained.items() if size is not None}
    if issubclass(type(value), _CODE):
        return {}
    every = {n: one if type(one) in _PLAIN else _size(one) for n, one in _fields(type(value), value).items()}
    return {name: size for name, size in every.items() if size is not None}


def _fields(kind: type, owner: Any) -> dict[str, Any]:
    """Return the fields of an object, or of a class, of the app's own."""
    if not _is_own(sys.modules.get(kind.__module__)):
        return {}
    try:
        fields = dict(object.__getattribute__(owner, "__dict__"))
    except (AttributeError, TypeError):
        return {}
    return {name: value for name, value in fields.items() if not name.startswith("__")}


def _size(value: Any) -> int | None:
    """Return how many things are in a container, or in a memo; None if it is neither."""
    kind = type(value)
    for base in (dict, list, set, deque):
        if issubclass(kind, base):  # what a proxy stands for is not asked: it may be told by code
            return base.__len__(value)  # a class of the app's own may say what it likes
    if kind is _MEMO:
        return int(value.cache_info().currsize)
    known = stateful.is_container(value) and not _is_own(sys.modules.get(kind.__module__))
    return len(value) if known else None


def _is_own(module: ModuleType | None) -> bool:
    return not startup.is_foreign_file(getattr(module, "__file__", None))
