"""What memos and cached properties hold that they gave: emptied, they give another one to whoever asks next.

A cold start has one object, which the memo gives and the start holds. So nothing that stays may hold one that
the start took from a memo that is emptied.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import functions, holders

if TYPE_CHECKING:
    from .draft import Draft


@dataclass(frozen=True)
class Memo:
    """A function with `functools.lru_cache`."""

    memo: Any

    @property
    def function(self) -> Any:
        """What makes what it gives."""
        return self.memo.__wrapped__

    @property
    def clear(self) -> Callable[[], None]:
        """What empties it."""
        clear: Callable[[], None] = self.memo.cache_clear
        return clear

    def given(self, found: holders.Anew) -> Iterator[Any]:
        """Yield what it gave; note how it holds that."""
        found.tables.add(id(self.memo))
        inside = gc.get_referents(self.memo)  # of one that is bounded, each key and what it gave for that
        table = next((one for one in inside if type(one) is dict and one is not vars(self.memo)), {})
        keys = set(map(id, table))
        bounded = self.memo.cache_parameters()["maxsize"] is not None
        yield from (two for one, two in pairwise(inside) if id(one) in keys) if bounded else table.values()


@dataclass(frozen=True)
class Property:
    """A property that is computed once for each object."""

    function: FunctionType
    cls: type
    name: str

    def clear(self) -> None:
        """Empty it."""
        functions.forget_cached(self.cls, self.name)

    def given(self, found: holders.Anew) -> Iterator[Any]:
        """Yield what it gave; note how it holds that."""
        for one in functions.instances_of(self.cls):
            fields = getattr(one, "__dict__", {})
            if self.name in fields:
                found.purged.setdefault(id(one), []).append(self.name)
                found.purged.setdefault(id(fields), []).append(self.name)
                yield fields[self.name]


def by_start(draft: Draft, spaces: dict[int, str]) -> holders.Anew:
    """Return what is emptied gave, where that was made at the start, but for what is as good as its equal."""
    found = holders.Anew(spaces=spaces)
    for one in draft.emptied:
        code = getattr(one.function, "__code__", None)
        unit = draft.program.unit_name(getattr(one.function, "__module__", None) or "")
        key = (unit, code.co_qualname, code.co_firstlineno) if code is not None else ("", "", 0)
        if key in draft.program.books.ran or not draft.program.was_watched(unit):
            for thing in one.given(found):
                if not holders.is_plain(thing) and all(thing is not other for other in found.objects):
                    found.objects.append(thing)
                    found.words.append(f"{unit}.{key[1]}()")
                    found.known[id(thing)] += 1
    return found
