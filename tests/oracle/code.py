"""What a code object is: all that can be observed of it, without the name of its file."""

from __future__ import annotations

import hashlib
from types import CodeType
from typing import Any

_FIELDS = (
    "co_name",
    "co_qualname",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
    "co_nlocals",
    "co_stacksize",
    "co_flags",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_firstlineno",
    "co_code",
    "co_exceptiontable",
)


def digest(code: CodeType) -> str:
    """Return a readable digest of a code object and all that it holds."""
    content = hashlib.sha256(repr(_plain(code)).encode()).hexdigest()[:16]
    return f"{code.co_qualname}:{code.co_firstlineno}#{content}"


def _plain(value: Any) -> Any:
    """Return a constant as data that has one `repr`: types told apart, sets sorted, code opened."""
    if isinstance(value, CodeType):
        fields = [(name, getattr(value, name)) for name in _FIELDS]
        positions = list(value.co_positions())
        return ("code", fields, positions, [_plain(const) for const in value.co_consts])
    if isinstance(value, tuple):
        return ("tuple", [_plain(item) for item in value])
    if isinstance(value, frozenset):
        return ("frozenset", sorted(repr(_plain(item)) for item in value))
    return (type(value).__name__, repr(value))
