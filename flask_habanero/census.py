"""Who is where: the workers as status shows them, and how many of them are at head."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

from .errors import ColdChangeError, CommitError, HabaneroError, Reason, RefusedError, StoreError
from .post import Message, label
from .release import WorkerCount

if TYPE_CHECKING:
    from .fleet import Fleet
    from .worker import Worker

ASK_S = 2.0  # a worker that lives answers in a millisecond, on a loaded machine in a hundred
AT_HEAD = "live"
ASLEEP = "asleep"  # comes to head before it does anything

Row = dict[str, Any]
"""One worker in status: host, pid, release, since, state."""


class Census:
    """Asks the workers of this host what they run."""

    def __init__(self, worker: Worker, fleet: Fleet) -> None:
        self._worker, self._fleet = worker, fleet

    def ask(self) -> list[Row]:
        """Return every worker that has served, our own first, and all that follow."""
        with self._fleet.survey() as others:
            others.tell("ask")
            answers = list(others.answers(ASK_S))
        own = self._row(self._fleet.own, self._fleet.describe())
        host, trouble = self._fleet.own.rpartition("/")[0], self._worker.ledger.trouble
        if trouble and (f"{host}/") not in dict(answers):
            answers.append((f"{host}/", {"trouble": trouble}))
        return [own, *(self._row(name, answer) for name, answer in answers)]

    def count(self, rows: Sequence[Row]) -> WorkerCount:
        """Return how many are where, of what `ask` returned."""
        asleep = {_label(row) for row in rows if row["state"] == ASLEEP}
        arrived = [_label(row) for row in rows if row["state"] == AT_HEAD]
        behind = [f"{_label(row)}: {row['state']}" for row in rows if row["state"] not in (AT_HEAD, ASLEEP)]
        return counted(arrived, tuple(behind), asleep | self._fleet.siblings())

    def _row(self, name: str, answer: Message | None) -> Row:
        host, _, pid = label(name).partition("/")
        row: Row = {"host": host, "pid": int(pid or 0), "release": 0, "since": 0, "state": "no answer"}
        if answer is not None and "asleep" in answer:
            return {**row, "state": ASLEEP}
        if answer is None or "release" not in answer:
            return {**row, "state": words_of(answer)}
        return {**row, "release": answer["release"], "since": answer["since"], "state": self._state(answer)}

    def _state(self, answer: Message) -> str:
        if answer["epoch"] != self._worker.epoch:
            return "runs another deploy"
        if answer["trouble"]:
            return str(answer["trouble"])
        at_head = answer["release"] == self._worker.head.number
        if at_head:
            return AT_HEAD
        return ASLEEP if answer.get("follows") else "comes to head at its next request"


def _label(row: Row) -> str:
    return f"{row['host']}/{row['pid']}" if row["pid"] else str(row["host"])


def counted(arrived: Sequence[str], behind: tuple[str, ...], siblings: Set[str]) -> WorkerCount:
    """Return the count of those at head, those behind ("host/pid: why"), and siblings of neither.

    Those are asleep: they have not served yet, and come to head before they do.
    """
    named = {text.partition(":")[0] for text in behind}
    asleep = len(siblings - set(arrived) - named)
    return WorkerCount(len(arrived), asleep, len(arrived) + asleep + len(behind), behind)


def words_of(answer: Message | None) -> str:
    """Return in words why a worker is not where it should be."""
    if answer is None:
        return "no answer"
    if "no" in answer:
        return "; ".join(str(row[2]) for row in answer["no"])
    return str(answer.get("trouble") or f"at #{answer.get('release')}")


def holders_of(name: str, answer: Message | None) -> list[str]:
    """Return what keeps a worker from being still."""
    if answer is None:
        return [f"{label(name)}: no answer"]
    if "no" in answer:
        return [f"{label(name)}: {words_of(answer)}"]
    return [f"{label(name)}: {holder}" for holder in answer["holders"]]


def refusal_of(name: str, answer: Message) -> HabaneroError:
    """Return another worker's "no" as the error that it was there."""
    rows = answer["no"]
    if answer["outcome"] == "cold":
        return ColdChangeError(tuple(Reason(*map(str, row)) for row in rows))
    if answer["outcome"] == "refused":
        return RefusedError(f"{label(name)}: {words_of(answer)}")
    if answer["outcome"] == "failed" and rows and rows[0][0] == StoreError.slug:
        return StoreError(f"{label(name)}: {words_of(answer)}")
    return CommitError(label(name), words_of(answer))
