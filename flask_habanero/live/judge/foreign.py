"""The definitions of functions that libraries brought, read from their sources.

A function's lines are cut out of its file and parsed alone: a library's files are large, and of each a
function or two is asked for.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from types import CodeType

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@functools.lru_cache(maxsize=2_048)
def definition_of(code: CodeType) -> Definition | None:
    """Return the definition that a function's code was compiled from; None if it can't be read.

    A file that was exchanged under the running process is told by its functions' variables, which are others.
    """
    lines = linecache.getlines(code.co_filename)
    if code.co_name == "<lambda>" or not 0 < code.co_firstlineno <= len(lines):
        return None
    found = _parsed(inspect.getblock(lines[code.co_firstlineno - 1 :]))
    return found if found is not None and _is_of(found, code) else None


def _parsed(lines: list[str]) -> Definition | None:
    indented = lines[0][:1].isspace()
    try:
        (node,) = ast.parse(("if 1:\n" if indented else "") + "".join(lines)).body
    except (SyntaxError, ValueError):
        return None
    if isinstance(node, ast.If) and indented:
        if len(node.body) != 1:
            return None
        node = node.body[0]
    return node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _is_of(node: Definition, code: CodeType) -> bool:
    args = node.args
    names = [one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    names += [one.arg for one in (args.vararg, args.kwarg) if one is not None]
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return node.name == code.co_name and [_plain(n) for n in names] == [
        _plain(n) for n in code.co_varnames[:count]
    ]


def _plain(name: str) -> str:
    """Return a parameter's name without the class's: `_Thing__x` in the code is `__x` in the source."""
    return name.rpartition("__")[2]
