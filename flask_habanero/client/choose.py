"""Choices: which of the server's versions a person saw and replaces, asked where nobody said it.

`own_edits` is everybody's; `whole_tree` is for whoever typed --sync; `first_watch` is for the
start of `watch`, which goes on whatever the answer is.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Reason, UndecidedError
from .decide import ABSENT, disputed
from .desk import Desk, Situation, path_of, read_log
from .history import had
from .memory import Held
from .push import Choice, remembering, settle

Ask = Callable[[tuple[str, ...], str], bool]
"""Shows lines, asks a question. Raises UndecidedError if nobody is there."""

HINT = "look first: flask habanero plan; then --yes sends these files, --sync makes your tree the truth"
_YES = "say it beforehand: --yes"


def nobody(lines: tuple[str, ...], question: str) -> bool:
    """Answer for a session without a terminal: there is nobody to ask."""
    reasons = (
        Reason("undecided", "", question, HINT if lines else _YES),
        *(Reason("undecided", line[2:], line[:1]) for line in lines),
    )
    raise UndecidedError(reasons)


def yes(_lines: tuple[str, ...], _question: str) -> bool:
    """Answer for whoever typed --yes."""
    return True


def difference(now: Situation) -> tuple[str, ...]:
    """Return what would be sent, one line a file, for a person to look at."""
    letters = {"+": now.decision.send, "~": now.decision.differs, "-": now.decision.delete}
    return tuple(f"{letter} {path_of(now, name)}" for letter, names in letters.items() for name in names)


def is_strange(now: Situation) -> bool:
    """Whether this is a first contact at which something would be overwritten or added."""
    return now.memory.is_first_contact and bool(now.decision.send or now.decision.differs)


def own_edits(ask: Ask) -> Choice:
    """Return the choice of an explicit push: own edits, and at first contact what differs from the base.

    It raises UndecidedError if the server has releases that were never seen, and a person says no.
    """

    def choose(now: Situation) -> tuple[str, ...]:
        if not is_strange(now):
            return ()
        releases = now.view.head - now.view.first
        question = (
            f"first contact, and this tree never saw the server's {releases} releases: send these files?"
        )
        if releases and not ask(difference(now), question):
            raise UndecidedError((Reason("undecided", "", "you said no: nothing was sent", HINT),))
        return now.decision.differs

    return choose


def whole_tree(desk: Desk) -> Choice:
    """Return the choice of --sync: this tree is the truth, also where the server was changed since."""

    def choose(now: Situation) -> frozenset[str]:
        log = read_log(desk, now.view).data.get("log", []) if now.decision.foreign else []
        return disputed(now.decision, had(log, now.view.first))

    return choose


def first_watch(desk: Desk, ask: Ask) -> Choice:
    """Return the choice at the start of `watch`; what a person declines waits until it changes."""

    def choose(now: Situation) -> tuple[str, ...]:
        if not is_strange(now):
            return ()
        if ask(difference(now), "first contact, and the trees differ: send these files now?"):
            return now.decision.differs
        _decline(desk, now)
        return ()

    return choose


def _decline(desk: Desk, now: Situation) -> None:
    settle(now, lambda _: (), remembering(desk))  # met first: a memory of another app would take this along
    mine = now.tree.digests
    declined = {
        name: Held(mine.get(name, ABSENT), "declined", "not sent at first contact")
        for name in (*now.decision.send, *now.decision.differs)
    }
    desk.store.update(lambda memory: memory.hold(declined))
