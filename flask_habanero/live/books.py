"""The books of the running program: what changes with a release, and goes back when it is undone."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import CellType, CodeType
from typing import Any

from ..source import Source
from . import startup
from .calls import Calls
from .learnt import Learnt

Place = tuple[str, int, int]
"""(module, uid of the statement, line within the function that stood there): a step to a registration."""


@dataclass(eq=False)
class Left:
    """What one run of a function at the start left behind.

    Attributes:
        variables: its local variables, as they are now.
        chain: where it ran, itself last.
        cells: by which functions made in it share its variables, as far as they were asked for.
    """

    variables: dict[str, Any]
    chain: tuple[Place, ...]
    cells: dict[str, CellType] = field(default_factory=dict)


@dataclass
class Books:
    """What changes with a release, and goes back when it is undone."""

    tree: dict[str, Source] = field(default_factory=dict)
    uids: dict[str, list[int]] = field(default_factory=dict)  # module -> uid of each statement
    codes: dict[str, list[CodeType]] = field(default_factory=dict)  # module -> code of each statement
    # function -> statements that it ran for
    ran: dict[startup.Function, frozenset[tuple[str, int] | None]] = field(default_factory=dict)
    # function -> its lines that ran, counted from its first; not of those of which that is not known
    lines: dict[startup.Function, frozenset[int]] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)  # module -> order of first execution
    chains: dict[str, tuple[Place, ...]] = field(default_factory=dict)  # module -> who imported it
    # variables of the environment that were written, and where
    variables: list[tuple[str, tuple[Place, ...]]] = field(default_factory=list)
    # what a release's statement set first: (id of the object, attribute, key or element) -> the object
    absent: dict[tuple[int, Any], Any] = field(default_factory=dict)
    learnt: list[Learnt] = field(
        default_factory=list
    )  # what releases let SQLAlchemy learn, the last at the end
    calls: Calls = field(default_factory=Calls)
    runs: dict[startup.Function, list[Left]] = field(default_factory=dict)

    def copy(self) -> Books:
        """Return books that can be written without touching these: what is in a table is replaced."""
        return Books(**{one.name: getattr(self, one.name).copy() for one in fields(self)})
