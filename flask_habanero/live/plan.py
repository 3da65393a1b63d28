"""A plan: what a commit will do, as data. Printable, comparable, with nothing hidden in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from flask.config import Config

from ..asset import Assets
from ..errors import Reason
from ..source import Source
from .configs import Written
from .learnt import Mapping
from .registrations import Target
from .steps import ClearCache, ShowSource, SwapCode

Part = tuple[str, int, int, int]
"""A statement of a function: (module, uid of the function's statement, first and last line within it)."""


@dataclass(frozen=True)
class Action:
    """A step with its place in cold-start order."""

    order: tuple[int, ...]  # rank of its statement in a cold start; 0 for a header, 1 for a run
    where: str
    step: Any  # one of steps.*
    chain: tuple[Any, ...] | None = None  # of a part of a factory: what led to the factory


@dataclass(frozen=True)
class Step:
    """What people read of a plan: one line a module."""

    module: str
    path: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {' '.join(self.words)}" if self.words else self.path


@dataclass
class Refresh:
    """What a call fills a configuration with that takes its values from an object that changes.

    Attributes:
        entry: the call.
        keys: those that are taken anew: what is changed otherwise since is no matter of the start.
        readable: the names that the object has then, if not all.
    """

    entry: Written
    keys: set[str]
    readable: frozenset[str] | None

    def changes(self, written: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Return keys and values in order, from what the call would write now."""
        before = dict(self.entry.changes)
        return [
            (key, value if key in self.keys else before[key])
            for key, value in written
            if (key in self.keys or key in before) and (self.readable is None or key in self.readable)
        ]


@dataclass
class Plan:
    """What commit runs. `reasons` is empty if the change is hot.

    Attributes:
        target: the tree that it leads to.
        withdraw: statements, by (module, uid), whose registrations end or are made anew.
        moved: statements that now stand elsewhere, whose registrations move with them.
        parts: statements of factories whose registrations end.
        relocate: those that stay -> the lines within the factory at which they begin and end from now on.
        journals: apps and blueprints of whose registrations some may end, or stand elsewhere.
        dropped: loaded modules that end.
        uids, codes: of each changed module's statements, as they will be.
        renamed: functions that will begin on another line: (module, qualified name, line) before and after.
        lines: functions of which other lines than before are known to have run at the start -> those.
        unlined: those of which it is not known any more.
        preload: modules of other packages to import before any gate closes.
        unloaded: those without which it could not be told what the change does; only if there are reasons.
        configs: configurations that change, by id.
        refresh: calls that fill a configuration from an object that changed, by id.
        absent: what a statement sets first, by id of the object, and attribute, key or element -> the object.
        bound: (module, name): what its statements bind or delete.
        mapping: what SQLAlchemy learns, or forgets.
        records: whether functions that blueprints keep are called once more; see `recorded`.
        runs_code: whether statements run, and so may import and register.
        templates: whether compiled templates may hold results of what changed.
        assets: all that are served from then on; None if they stay as they are.
    """

    target: dict[str, Source]
    deletions: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    reasons: tuple[Reason, ...] = ()
    swaps: list[SwapCode] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    withdraw: set[tuple[str, int]] = field(default_factory=set)
    moved: set[tuple[str, int]] = field(default_factory=set)
    parts: set[Part] = field(default_factory=set)
    relocate: dict[Part, tuple[int, int]] = field(default_factory=dict)
    journals: list[Target] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    uids: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[str, list[CodeType]] = field(default_factory=dict)
    renamed: dict[tuple[str, str, int], tuple[str, str, int]] = field(default_factory=dict)
    lines: dict[tuple[str, str, int], frozenset[int]] = field(default_factory=dict)
    unlined: tuple[tuple[str, str, int], ...] = ()
    preload: list[str] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    show: list[ShowSource] = field(default_factory=list)
    configs: dict[int, Config] = field(default_factory=dict)
    refresh: dict[int, Refresh] = field(default_factory=dict)
    absent: dict[tuple[int, Any], Any] = field(default_factory=dict)
    clear: list[ClearCache] = field(default_factory=list)
    bound: set[tuple[str, str]] = field(default_factory=set)
    mapping: Mapping = field(default_factory=Mapping)
    records: bool = False
    runs_code: bool = False
    templates: bool = False
    assets: Assets | None = None

    def ends(self, chain: tuple[Any, ...]) -> bool:
        """Whether what a chain led to was made by a statement of a factory that ends."""
        return bool(self.parts) and any(_is_in(p, part) for p in since_import(chain) for part in self.parts)

    def touches(self, chain: tuple[Any, ...]) -> bool:
        """Whether what a chain led to may end, or stand elsewhere from now on."""
        ended = any(place[:2] in ends for ends in (self.withdraw, self.moved) if ends for place in chain)
        return ended or self.ends(chain) or self.moved_chain(chain) != chain

    def moved_chain(self, chain: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a chain with the lines at which the statements of factories stand from now on."""
        if not self.relocate:
            return chain
        return tuple((module, uid, self.moved_line(module, uid, within)) for module, uid, within in chain)

    def moved_line(self, module: str, uid: int, within: int) -> int:
        """Return the line within a function to which a line of its statements moves."""
        for part, (first, last) in self.relocate.items():
            if _is_in((module, uid, within), part):
                return min(first + within - part[2], last)
        return within


def since_import(chain: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a chain from where a module was executed last: an import that runs again executes nothing."""
    begins = [index for index, place in enumerate(chain) if place[2] == 0]
    return chain[begins[-1] :] if begins else chain


def _is_in(place: tuple[str, int, int], part: Part) -> bool:
    return place[:2] == part[:2] and part[2] <= place[2] <= part[3]
