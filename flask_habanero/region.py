"""Where two texts of one module differ, in whole statements: what has to be parsed again. Pure.

Parsing runs from left to right, and between two statements, at the start of a line, it knows nothing
of those before. So what lies between unchanged statements can be parsed alone, if it parses at all:
an ``else`` or an indented line, which would belong to the statement above, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Where a statement stands: its first and its last line, from 1."""

    first: int
    last: int


class Region(NamedTuple):
    """Lines `first` to `last` of the new text, between statements that are as they were."""

    before: int  # statements above
    after: int  # statements below; none if the number of lines is another: then they moved
    first: int
    last: int


def find(spans: Sequence[Span], old: Sequence[str], new: Sequence[str]) -> Region | None:
    """Return the region in which new lines differ from old ones, or None if everything may be different.

    Args:
        spans: where the old statements stand.
        old: the lines of the old text.
        new: the lines of the new one.
    """
    top = _alike(old, new)
    before = max((n for n in _cuts(spans) if n and spans[n - 1].last <= top), default=0)
    after = 0
    if len(old) == len(new):
        end = len(new) - min(_alike(old[::-1], new[::-1]), len(new) - top)
        below = (n for n in _cuts(spans) if before <= n < len(spans) and spans[n].first > end)
        after = len(spans) - min(below, default=len(spans))
    first = spans[before - 1].last + 1 if before else 1
    last = spans[-after].first - 1 if after else len(new)
    # a backslash joins its line with the next, whatever stands there
    joined = any(new[n - 1].endswith("\\") for n in (first - 1, last) if n)
    return None if joined or not before else Region(before, after, first, last)


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many lines both begin with; by halves, so that whole runs of lines are compared at once."""
    known, most = 0, min(len(old), len(new))
    while known < most:
        middle = (known + most + 1) // 2
        if old[known:middle] == new[known:middle]:
            known = middle
        else:
            most = middle - 1
    return known


def _cuts(spans: Sequence[Span]) -> list[int]:
    """Return where the statements can be parted: not between two of which one begins where the other ends."""
    inner = [n for n in range(1, len(spans)) if spans[n].first > spans[n - 1].last]
    return [0, *inner, len(spans)]
