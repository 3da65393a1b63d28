"""Which memos (`functools.lru_cache`) there are in the process, wherever they are held.

A walk over the heap finds them, and takes the longer the more is in it. Each memo refers to its type: whether
one came or went since the last walk is told by how many references that has.
"""

from __future__ import annotations

import functools
import gc
import sys
import weakref
from typing import Any

from .functions import thawed

Memo = functools._lru_cache_wrapper


def _is_counted() -> bool:
    """Whether this Python counts the references to the type: a free-threaded one need not."""
    before = sys.getrefcount(Memo)
    memo = functools.lru_cache(len)
    return sys.getrefcount(Memo) == before + 1 and memo is not None


class Roster:
    """The memos of the last walk."""

    def __init__(self) -> None:
        self._count = -1  # of references to their type, when they were all
        self._refs: list[weakref.ref[Any]] = []

    def every(self) -> list[Any]:
        """Return all memos that there are."""
        count = sys.getrefcount(Memo)
        if count == self._count and _is_counted():
            known = [ref() for ref in self._refs]
            if all(one is not None for one in known):
                return known
        with thawed():
            found = [one for one in gc.get_referrers(Memo) if type(one) is Memo]
        self._refs = [weakref.ref(one) for one in found]
        self._count = count if sys.getrefcount(Memo) == count else -1  # else another thread made one
        return found


roster = Roster()
