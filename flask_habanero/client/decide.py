"""Whose edit wins: the laptop, the server, and what they last agreed on. Pure.

::

    mine = agreed   theirs = agreed
    yes             yes              nothing to do
    no              yes              send, or delete
    yes             no               newer: the server's, shown, never sent
    no              no               the same: remember it; else a conflict
    never agreed                     only mine: send; only theirs: left alone; both: differs

- A client sends only its own edits: nothing is in `send` or `delete` whose server side
  moved away from what was agreed.
- Absent is a state like any other: it is the empty digest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

ABSENT = ""


@dataclass(frozen=True)
class Decision:
    """Module names, sorted, each in at most one place.

    Attributes:
        send: edited or made here.
        delete: agreed before, gone here.
        same: equal on both sides: to be remembered.
        newer: changed on the server only.
        conflicts: changed on both sides.
        differs: on both sides, different, and never agreed.
        foreign: only on the server, and never agreed.
        held: would be sent, but was refused or rolled back and has not changed since.
    """

    send: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not (self.send or self.delete)


def decide(mine: Mapping[str, str], theirs: Mapping[str, str], agreed: Mapping[str, str]) -> Decision:
    """Sort modules by whose edit they are. Maps are module name -> digest; see the table above."""
    places: dict[str, list[str]] = {}
    for name in sorted({*mine, *theirs, *agreed}):
        place = _place(mine.get(name, ABSENT), theirs.get(name, ABSENT), agreed.get(name))
        places.setdefault(place, []).append(name)
    return Decision(**{place: tuple(names) for place, names in places.items()})


def _place(mine: str, theirs: str, agreed: str | None) -> str:
    if mine == theirs:
        return "same"
    if agreed is None:
        return "foreign" if mine == ABSENT else "send" if theirs == ABSENT else "differs"
    if theirs == agreed:
        return "delete" if mine == ABSENT else "send"
    return "newer" if mine == agreed else "conflicts"


def hold(decision: Decision, names: Collection[str]) -> Decision:
    """Return the decision without some modules, which wait."""
    held = {*decision.send, *decision.delete} & set(names)
    return replace(
        decision,
        send=tuple(n for n in decision.send if n not in held),
        delete=tuple(n for n in decision.delete if n not in held),
        held=tuple(sorted({*decision.held, *held})),
    )


def disputed(decision: Decision, had: Collection[str]) -> frozenset[str]:
    """Return the modules where a person who says "my tree is the truth" replaces the server's.

    Args:
        decision: what was decided without that.
        had: modules that the ledger has had: only those may go although this client never had them.
    """
    foreign = set(decision.foreign) & set(had)
    return frozenset({*decision.newer, *decision.conflicts, *decision.differs, *foreign})
