"""A plan: what a commit will do, as data. Printable, comparable, with nothing hidden in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from flask.config import Config

from ..errors import Reason
from ..source import Source
from .configs import Written
from .steps import ClearCache, ShowSource, SwapCode


@dataclass(frozen=True)
class Action:
    """A step with its place in cold-start order."""

    order: tuple[int, int]  # rank of its statement in a cold start; 0 for a header, 1 for a run
    where: str
    step: Any  # one of steps.*


@dataclass(frozen=True)
class Step:
    """What people read of a plan: one line a module."""

    module: str
    path: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {' '.join(self.words)}" if self.words else self.path


@dataclass
class Plan:
    """What commit runs. `reasons` is empty if the change is hot.

    Attributes:
        target: the tree that it leads to.
        withdraw: statements, by (module, uid), whose registrations end or are made anew.
        moved: statements that now stand elsewhere, whose registrations move with them.
        dropped: loaded modules that end.
        uids, codes: of each changed module's statements, as they will be.
        renamed: functions that will begin on another line: (module, qualified name, line) before and after.
        preload: modules of other packages to import before any gate closes.
        configs: configurations that change, by id.
        refresh: calls that fill a configuration from an object that changed, by id: with that configuration,
            and the names that the object has then, if not all.
        absent: attributes that a statement sets first, by id of the object and name -> the object.
        runs_code: whether statements run, and so may import and register.
        templates: whether compiled templates may hold results of what changed.
    """

    target: dict[str, Source]
    deletions: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    reasons: tuple[Reason, ...] = ()
    swaps: list[SwapCode] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    withdraw: set[tuple[str, int]] = field(default_factory=set)
    moved: set[tuple[str, int]] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    uids: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[str, list[CodeType]] = field(default_factory=dict)
    renamed: dict[tuple[str, str, int], tuple[str, str, int]] = field(default_factory=dict)
    preload: list[str] = field(default_factory=list)
    show: list[ShowSource] = field(default_factory=list)
    configs: dict[int, Config] = field(default_factory=dict)
    refresh: dict[int, tuple[Config, Written, frozenset[str] | None]] = field(default_factory=dict)
    absent: dict[tuple[int, str], Any] = field(default_factory=dict)
    clear: list[ClearCache] = field(default_factory=list)
    runs_code: bool = False
    templates: bool = False
