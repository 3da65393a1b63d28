"""What was made of a module's statements, kept with the module: of its last text, and of few before."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .piece import Parsed

_MOST = 8_192  # modules of which something is remembered; then all is forgotten, which costs milliseconds
_Made = TypeVar("_Made")


@dataclass
class Memory:
    """What was made of the statements of one module when it was parsed last, and of few others.

    Keys begin with the text of a statement, and say all that what was made of it depends on.
    """

    last: Parsed | None = None
    digests: dict[Hashable, str] = field(default_factory=dict)
    codes: dict[Hashable, CodeType] = field(default_factory=dict)
    marshalled: dict[Hashable, bytes] = field(default_factory=dict)

    def parsed(self, now: Parsed) -> None:
        """Note what the module was parsed to; forget the rest if that is much."""
        versions = [now] if self.last is None else [now, self.last]
        self.last = now
        most = 2 * sum(len(one.pieces) for one in versions) + 64  # of each text, for two names of a file
        for memo in (self.codes, self.marshalled, self.digests):
            if len(memo) > most:
                texts = {piece.text for one in versions for piece in one.pieces if piece.text}
                known = {text[:3] for text in texts} if memo is self.digests else texts
                for key in [key for key in memo if key[0] not in known]:  # type: ignore[index]  # a tuple
                    del memo[key]


_memories: dict[str, Memory] = {}


def memory_of(name: str) -> Memory:
    """Return what is remembered of a module."""
    if name not in _memories:
        if len(_memories) >= _MOST:
            _memories.clear()
        _memories[name] = Memory()
    return _memories[name]


def remembered(memo: dict[Hashable, _Made], key: Hashable | None, make: Callable[[], _Made]) -> _Made:
    """Return what was made for a key; make it if that is not known, or the key is None."""
    made = memo.get(key) if key is not None else None
    if made is None:
        made = make()
        if key is not None:
            memo[key] = made
    return made
