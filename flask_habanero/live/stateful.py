"""Which objects can become something else while their identity stays, and which uses would notice."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping, MutableSequence, MutableSet
from enum import Enum
from types import BuiltinFunctionType, FunctionType
from typing import Any

from flask.config import Config

VALUES = (str, bytes, int, float, complex, bool, tuple, frozenset, type(None))
LASTING = (FunctionType, BuiltinFunctionType, type, staticmethod, classmethod, property)

_MUTABLE = (MutableMapping, MutableSequence, MutableSet)
# of these only the contents are asked for by name: their methods say themselves whether they look inside
_SAY_THEMSELVES = (dict, list, set)
# modules of Python's library whose objects are what they were made, or whose methods tell nothing of them
_STEADY = frozenset(
    [
        "_blake2", "_decimal", "_hashlib", "_io", "_json", "_operator", "_sre", "_struct", "_thread", "abc",
        "ast", "builtins", "concurrent", "dataclasses", "datetime", "decimal", "enum", "fractions",
        "functools", "hashlib", "hmac", "importlib", "inspect", "ipaddress", "json", "logging", "numbers",
        "operator", "pathlib", "posixpath", "re", "ssl", "string", "struct", "typing", "uuid", "zoneinfo",
    ]
)  # fmt: skip
_TOLD = {
    "_lru_cache_wrapper": {"cache_info"},
    "Logger": {"isEnabledFor", "getEffectiveLevel", "hasHandlers"},
    "RootLogger": {"isEnabledFor", "getEffectiveLevel", "hasHandlers"},
}
_WRITERS = frozenset(["__setitem__", "add", "append", "appendleft", "extend", "insert", "update"])


def is_container(value: Any) -> bool:
    """Whether an object is there to contain others, which may come and go."""
    kind = type(value)
    if issubclass(kind, Config):
        return False
    if type(kind) is not type and not kind.__module__.startswith(("collections", "werkzeug")):
        return issubclass(kind, _SAY_THEMSELVES)
    return issubclass(kind, (*_SAY_THEMSELVES, *_MUTABLE)) and not kind.__name__.startswith("Immutable")


def looks_inside(value: Any, used: set[str]) -> bool:
    """Whether what is used of a container depends on what is in it."""
    if isinstance(value, _SAY_THEMSELVES):
        return "" in used
    return bool(used - _WRITERS)


def keeps(value: Any, used: set[str]) -> bool:
    """Whether what is used of a library's object depends on what it keeps."""
    kind = type(value)
    if kind.__name__ in _TOLD:
        return not used.isdisjoint(_TOLD[kind.__name__])
    package = kind.__module__.partition(".")[0]
    if package not in sys.stdlib_module_names:
        return False
    if kind.__module__ == "types":
        return kind.__name__ == "SimpleNamespace"
    return package not in _STEADY and bool(used)


def is_frozen(value: Any, used: set[str]) -> bool:
    """Whether an own object can't change in what is used of it: a member of an enumeration, a tuple."""
    if isinstance(value, Enum):
        return used.isdisjoint(getattr(value, "__dict__", {}).keys() - {"_value_", "_name_"})
    fields = getattr(value, "__dict__", None)
    if isinstance(value, VALUES):
        return not fields
    params = getattr(type(value), "__dataclass_params__", None)
    if params is None or not params.frozen or not isinstance(fields, dict):
        return False
    return all(one in fields and type(fields[one]) in VALUES for one in used)
