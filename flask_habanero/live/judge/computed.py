"""What Python's own operations give for values that are known: told by doing them.

Only for numbers, strings and the like, none of them large, and only operations that look at nothing else and
can't take long. One that would raise gives nothing: whoever asks goes on without. Nor may anything be
computed that is reached again and again, such as a counter in a loop: the judge goes through it twice.
"""

from __future__ import annotations

import ast
import operator
import posixpath
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from . import known
from .values import NONE, Args, Live, Made, Value

_TYPES = frozenset({str, bytes, int, float, bool, type(None)})
_LONGEST = 1_000  # characters: of a few such, whatever is made stays small
_MOST_BITS = 256
_FUNCTIONS: frozenset[Callable[..., Any]] = frozenset(
    [
        abs, bin, bool, chr, float, hex, int, len, max, min, oct, ord, str,
        posixpath.abspath, posixpath.basename, posixpath.dirname, posixpath.isabs, posixpath.join,
        posixpath.normpath, posixpath.splitext,
    ]
)  # fmt: skip
_METHODS = known.words(
    """capitalize casefold count decode encode endswith find index isalnum isalpha isascii isdecimal isdigit
    isidentifier islower isnumeric isspace istitle isupper lower lstrip partition removeprefix removesuffix
    replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase title upper"""
)
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def is_plain(thing: object) -> bool:
    """Whether something is a number, a string or the like, and not large."""
    if type(thing) in (str, bytes):
        return len(thing) <= _LONGEST  # type: ignore[arg-type]  # it has a length
    if type(thing) is int:
        return thing.bit_length() <= _MOST_BITS
    return type(thing) in _TYPES


def call(function: object, args: Args) -> Value | None:
    """Return what a function gives; None if it is none of those, or not all is known."""
    is_one = getattr(function, "__hash__", None) is not None and function in _FUNCTIONS
    if function is re.compile:
        return _pattern(args)
    if not is_one or args.more or args.named or not all(map(is_known, args.positional)):
        return None
    function = _absolute if function is posixpath.abspath else function
    return _done(function, *args.positional)  # type: ignore[arg-type]  # it is one of those


def _absolute(path: str) -> str:
    """Return what `os.path.abspath` gives for a path that needs no working directory."""
    if not posixpath.isabs(path):
        raise ValueError(path)
    return posixpath.normpath(path)


def _pattern(args: Args) -> Value | None:
    """Return a pattern: `re` gives equal ones, whoever asks, for the same text and flags."""
    given = [one.object for one in args.positional if isinstance(one, Live)]
    kinds = tuple(map(type, given))
    if args.more or args.named or len(given) != len(args.positional) or not all(map(_is_of_pattern, given)):
        return None
    if kinds not in ((str,), (bytes,), (str, re.RegexFlag), (bytes, re.RegexFlag)):
        return None
    with suppress(re.error, ValueError):
        return Live(re.compile(*given))
    return None


def _is_of_pattern(thing: object) -> bool:
    return is_plain(thing) or type(thing) is re.RegexFlag


def method(this: Value, name: str, args: Args) -> Value | None:
    """Return what a method of a string or of bytes gives; None if it is another, or not all is known."""
    if name not in _METHODS or args.more or args.named or not is_known(this):
        return None
    return _done(lambda one, *given: getattr(one, name)(*given), this, *args.positional)


def joined(this: Value, parts: list[Value]) -> Value | None:
    """Return what `str.join` gives; None if not all is known."""
    return _done(lambda one, *given: one.join(given), this, *parts)


def binary(left: Value, op: ast.operator, right: Value) -> Value | None:
    """Return what an operator gives; None if not both sides are known, or it is none of those."""
    function = _OPERATORS.get(type(op))
    numbers = all(isinstance(one, Live) and type(one.object) in (int, float, bool) for one in (left, right))
    if function is None or not (numbers or isinstance(op, ast.Add)):
        return None  # `text % values` and `text * number` may become long
    return _done(function, left, right)


def compare(left: Value, op: ast.cmpop, right: Value) -> bool | None:
    """Return what a comparison of sizes gives; None if that is not known."""
    function = _COMPARISONS.get(type(op))
    found = _done(function, left, right) if function is not None else None
    return bool(found.object) if isinstance(found, Live) else None


def shown(value: Value) -> str | None:
    """Return what `str` makes of a value; None if it is not known."""
    found = _done(str, value)
    return str(found.object) if isinstance(found, Live) else None


def variable(key: Value, default: Value = NONE) -> Value | None:
    """Return what the environment has under a name; None if the name is not known."""
    if not isinstance(key, Live) or type(key.object) is not str:
        return None
    found = known.environ().get(key.object)
    return default if found is None else Live(found)


def is_known(value: Value) -> bool:
    """Whether a value is one that is known, and plain."""
    return isinstance(value, Live) and is_plain(value.object)


def _done(function: Callable[..., Any], *values: Value) -> Value | None:
    if not all(map(is_known, values)):
        return None
    with suppress(Exception):  # it would raise then, too: what comes of that is not told here
        return _value(function(*(one.object for one in values if isinstance(one, Live))))
    return None


def _value(found: object) -> Value | None:
    if is_plain(found):
        return Live(found)
    if type(found) in (list, tuple):
        inside: Iterable[object] = found  # type: ignore[assignment]  # it is one
        return Made(Live(type(found)), items=dict(enumerate(map(Live, inside))))
    return None
