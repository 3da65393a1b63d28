"""Make a failing sequence small: releases, modules and statements go as long as the fault stays."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .generated import Sequence
    from .processes import Sources


def smaller(one: Sequence, fails: Callable[[Sequence], bool]) -> Sequence:
    """Return a sequence as small as it gets by single removals."""
    for size in range(2, len(one.sources)):  # the shortest run of releases that still fails
        for first in range(len(one.sources) - size + 1):
            cut = replace(one, sources=one.sources[first : first + size], edits=["cut"] * (size - 1))
            if fails(cut):
                return _statements(cut, fails)
    return _statements(one, fails)


def _statements(one: Sequence, fails: Callable[[Sequence], bool]) -> Sequence:
    """Take away what can go: many things at once first, then fewer, then one by one."""
    size = 16
    while size:
        cuts = list(_cuts(one))
        at, went = 0, False
        while at < len(cuts):
            candidate = one
            for cut in cuts[at : at + size]:
                candidate = cut(candidate)
            if candidate.sources != one.sources and fails(candidate):
                one, went = candidate, True
            at += size
        size = size // 2 if not went or size > 1 else size
    return one


def _cuts(one: Sequence) -> Iterator[Callable[[Sequence], Sequence]]:
    """Yield the ways to take one thing away: a module, a statement, a statement of a class body."""
    paths = sorted({path for sources in one.sources for path in sources})
    for path in paths:
        if not one.entry.startswith(_module(path) + ":"):
            yield lambda s, path=path: replace(
                s, sources=[{p: t for p, t in x.items() if p != path} for x in s.sources]
            )
    texts = [
        (path, text)
        for path in paths
        for text in sorted(
            {ast.unparse(node) for s in one.sources if path in s for node in ast.parse(s[path]).body},
            key=len,
            reverse=True,
        )
    ]
    for path, text in texts:
        yield lambda s, path=path, text=text: replace(s, sources=[_without(x, path, text) for x in s.sources])
    for path, text in texts:
        for inner in _inner(text):
            yield lambda s, path=path, inner=inner: replace(
                s, sources=[_without_inner(x, path, inner) for x in s.sources]
            )
    for path in paths:
        yield lambda s, path=path: replace(s, sources=[_without_comments(x, path) for x in s.sources])


def _without_comments(sources: Sources, path: str) -> Sources:
    lines = [line for line in sources.get(path, "").splitlines() if line.strip() and not line.startswith("#")]
    return {**sources, path: "\n".join(lines) + "\n"} if path in sources else sources


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _without(sources: Sources, path: str, text: str) -> Sources:
    if path not in sources:
        return sources
    lines = sources[path].splitlines()
    for node in reversed(ast.parse(sources[path]).body):
        if ast.unparse(node) == text:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            del lines[first - 1 : node.end_lineno]
    return {**sources, path: "\n".join(lines) + "\n"}


def _inner(text: str) -> list[str]:
    node = ast.parse(text).body[0]
    return (
        [ast.unparse(n) for n in node.body] if isinstance(node, ast.ClassDef) and len(node.body) > 1 else []
    )


def _without_inner(sources: Sources, path: str, text: str) -> Sources:
    if path not in sources:
        return sources
    lines = sources[path].splitlines()
    for cls in reversed(ast.parse(sources[path]).body):
        if not isinstance(cls, ast.ClassDef) or len(cls.body) < 2:
            continue
        for node in reversed(cls.body):
            if ast.unparse(node) == text:
                first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
                del lines[first - 1 : node.end_lineno]
    try:
        ast.parse("\n".join(lines))
    except SyntaxError:
        return sources
    return {**sources, path: "\n".join(lines) + "\n"}
