"""Who called a function at the start: statements of modules, and the bodies of factories.

The startup record says who ran and who called whom; from this it follows what can be done again when a
function that ran does something else now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from . import factory, readers, reading, startup

if TYPE_CHECKING:
    from .draft import Draft
    from .startup import Call, Function


class Callers:
    """Answers for one draft.

    Args:
        draft: the draft.
        loaded: the units that are loaded.
    """

    def __init__(self, draft: Draft, loaded: Iterable[str]) -> None:
        self._draft, self._program, self._loaded = draft, draft.program, list(loaded)
        self._factories: dict[Function, factory.Factory | None] = {}

    def factory(self, key: Function) -> factory.Factory | None:
        """Return the factory of a function, unless the statements that it ran for can just run again."""
        if key not in self._factories:
            owners = self._program.books.ran.get(key, ())
            again = bool(owners) and all(owner is not None and self._runs_again(*owner) for owner in owners)
            self._factories[key] = None if again else factory.find(self._draft, key)
        return self._factories[key]

    def _runs_again(self, module: str, uid: int) -> bool:
        uids = self._draft.uids(module) if module in self._draft.out.target else []
        if uid not in uids or self._program.loaded(module) is None:
            return False
        node = self._draft.out.target[module].parsed.pieces[uids.index(uid)].node
        return self._draft.judge(module).statement(node) is None

    def of(self, key: Function, seen: set[Function] | None = None) -> set[Call] | None:
        """Return the parts of factories, and statements, that called a function; None if others did."""
        found: set[Call] = set()
        seen = seen or set()
        seen.add(key)
        for caller, line in self._program.books.calls.of(key) or {(startup.NOBODY, 0)}:
            if caller == startup.NOBODY:
                return None
            if caller[1] == "<module>" or self.factory(caller) is not None:
                found.add((caller, line))
            elif caller not in seen:
                above = self.of(caller, seen)
                if above is None:
                    return None
                found |= above
        return found

    def may_have_run(self, name: str) -> bool:
        """Whether the start may have called a function, by its last part: for modules that ran before us."""
        sources = [self._program.tree[one] for one in self._loaded]
        reached = readers.reaching(sources, {name})
        return any(not reached.isdisjoint(reading.called(source)) for source in sources)
