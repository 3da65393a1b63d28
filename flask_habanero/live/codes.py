"""Code objects: the only place that unmarshals them, after the envelope was believed.

Also: walking the tree of code objects that one statement holds, and pairing two such trees.
"""

from __future__ import annotations

import dis
import functools
import inspect
import marshal
import sys
from collections import Counter
from collections.abc import Iterator
from types import CodeType
from typing import Any

from ..errors import BundleError
from ..unit import dump_code

_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
_MAX_CODES = 50_000  # in one statement; bounds the walk of a hostile or broken one
_CO_HAS_DOCSTRING = 0x4000000  # CPython 3.14, Include/cpython/code.h
_FLAG_TELLS_DOCSTRING = sys.version_info >= (3, 14)  # before, the first constant is the docstring or None


@functools.lru_cache(maxsize=1_024)  # most statements of a release are those of the one before
def load(data: bytes, filename: str) -> CodeType:
    """Return the code object in some believed bytes, under the file name that people know here.

    Raises:
        BundleError: the bytes hold anything but one code object.
    """
    try:
        code = marshal.loads(data)
    except (ValueError, EOFError, TypeError) as error:
        raise BundleError(f"a statement holds no code: {error}") from None
    if type(code) is not CodeType:
        raise BundleError("a statement holds no code")
    return under(code, filename)


def under(code: CodeType, filename: str) -> CodeType:
    """Return the code, and all that it holds, with another file name."""
    budget = [_MAX_CODES]

    def renamed(one: CodeType) -> CodeType:
        budget[0] -= 1
        if budget[0] < 0:
            raise BundleError("a statement holds too much code")
        consts = tuple(renamed(c) if type(c) is CodeType else c for c in one.co_consts)
        return one.replace(co_filename=filename, co_consts=consts)

    return renamed(code)


def own(code: CodeType) -> CodeType:
    """Return a copy of the code, and of all that it holds, for functions that live.

    Nobody else holds it, the books neither; and live functions share it as they do after a cold start, with
    each other and with the function that makes them. So it can be counted whether all were found.
    """
    copied: CodeType = marshal.loads(dump_code(code))  # ten times as fast as `replace`, one by one
    return copied


SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of code that may be suspended."""

apart: set[str] = set()
"""Qualified names of functions that live with a copy of their own, so that counting says nothing of them."""


def is_class(code: CodeType) -> bool:
    """Whether this is the body of a class: alone of what a statement holds it has no variables of its own."""
    return not code.co_flags & inspect.CO_OPTIMIZED


def other_attributes(old: CodeType, new: CodeType) -> tuple[str, ...] | None:
    """Return the attributes that a class says its methods set, in no order, if it says others than before.

    From 3.13 on it does; before, it says none.
    """
    constants = [{frozenset(one) for one in code.co_consts if type(one) is tuple} for code in (old, new)]
    if constants[0] == constants[1]:  # mostly, and told much faster
        return None
    was, now = (_static_attributes(code) for code in (old, new))
    return now if set(was) != set(now) else None


def _static_attributes(code: CodeType) -> tuple[str, ...]:
    value: Any = ()
    for one in dis.get_instructions(code):
        if one.opname == "STORE_NAME" and one.argval == "__static_attributes__":
            return value if isinstance(value, tuple) else ()
        value = one.argval
    return ()


def children(code: CodeType) -> list[CodeType]:
    """Return the code objects that this one creates functions and classes from, in order."""
    return [const for const in code.co_consts if type(const) is CodeType]


def walk(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all that it holds."""
    todo = [code]
    while todo:
        one = todo.pop()
        yield one
        todo += reversed(children(one))


def named_children(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """Return the held code objects by (name, how many of that name stood before)."""
    seen: dict[str, int] = {}
    result = {}
    for child in children(code):
        before = seen.get(child.co_name, 0)
        result[child.co_name, before] = child
        seen[child.co_name] = before + 1
    return result


def pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType | None]]:
    """Yield each code object inside `old` with its counterpart inside `new`, or None if it has none.

    Nested ones are paired by name and order. Anonymous ones (lambdas, comprehensions) are paired
    only where both sides hold equally many: else nobody can say which became which.
    """
    mine, theirs = named_children(old), named_children(new)
    counts = [Counter(name for name, _ in side if name[0] == "<") for side in (mine, theirs) if side]
    for key, child in mine.items():
        partner = theirs.get(key)
        if partner is None or counts[0][key[0]] != counts[1][key[0]]:
            yield from ((code, None) for code in walk(child))
        else:
            yield child, partner
            yield from pairs(child, partner)


def differs(old: CodeType, new: CodeType) -> bool:
    """Whether a function itself does something else: not for lines, nor for the functions that it makes."""

    def plain(code: CodeType) -> list[object]:
        return [(type(const), const) for const in code.co_consts if type(const) is not CodeType]

    def told(code: CodeType) -> tuple[object, ...]:
        variables = (code.co_varnames, code.co_freevars, code.co_cellvars)
        parts = [
            told(part) for part in children(code) if part.co_name in _COMPREHENSIONS
        ]  # inlined from 3.12
        return (code.co_code, code.co_names, *variables, code.co_flags, plain(code), parts)

    return told(old) != told(new)


def docstring(code: CodeType) -> str | None:
    """Return the docstring that a function made from this code would get."""
    if _FLAG_TELLS_DOCSTRING and not code.co_flags & _CO_HAS_DOCSTRING:
        return None
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) else None
