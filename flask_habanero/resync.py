"""Histories that came apart, brought together: a person says whose branch stays, this host tells all others.

First it is looked: each host tells its branch, verified, and what of the others' would be lost is told to the
person. Then the order comes, signed, with the ends of all branches as the person saw them. Each host
verifies it itself, and does nothing if its own branch ends elsewhere by now.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .branch import End, MovedOnError, Order
from .change import Request, wishes
from .errors import AudienceError, BundleError, Reason, RefusedError, StoreError
from .hosts import box_of
from .ledger import Ledger
from .mirror import Mirror
from .post import Message
from .shared import Position

LOOK_S, GIVE_S, COME_S = 5.0, 25.0, 15.0
_TURN_S = 0.5


class AloneError(RefusedError):
    """There is one host: nothing can have come apart."""

    slug = "alone"

    def __init__(self) -> None:
        super().__init__("this app has one host, whose releases are its own")


class NoSuchHostError(RefusedError):
    """The host whose branch is to stay does not answer, or is none of this deploy."""

    slug = "no-such-host"

    def __init__(self, host: str, others: Collection[str]) -> None:
        super().__init__(f"{host or 'no host'} has a branch that can be believed; there are: {_list(others)}")
        self.host = host

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The error as a reason, with the way to see who there is."""
        return (Reason(self.slug, "", str(self), "flask habanero status"),)


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


@dataclass(frozen=True)
class Asked:
    """What a request asks for: to look, or to carry out an order.

    Attributes:
        host: whose branch is to stay; "" to look which one is the longest.
    """

    host: str
    order: Order | None

    @classmethod
    def of(cls, request: Request, app: str) -> Asked:
        """Return that of a believed request. Raises BundleError, AudienceError."""
        if request.claims["app"] != app or request.op != "resync":
            raise AudienceError(app, str(request.claims["app"]))
        told = wishes(request, "from", "order")
        host, order = told["from"], told["order"]
        if type(host) is not str or not (order is None or type(order) is dict):
            raise BundleError("resync: no host, or no order")
        if order is None:
            return cls(host, None)
        if order.keys() != {"keep", "drop", "seen"} or type(order["drop"]) is not list:
            raise BundleError("resync: wrong keys")
        drop = frozenset(End(*_row(row, str, int, str)) for row in order["drop"])
        keep, seen = End(*_row(order["keep"], str, int, str)), Position(*_row(order["seen"], int, str))
        return cls(host, Order(request.nonce, keep, drop, seen))


def _row(value: Any, *types: type) -> list[Any]:
    if type(value) is not list or [type(item) for item in value] != list(types):
        raise BundleError("resync: no place in a history")
    return value


@dataclass
class Came:
    """What became of an order.

    Attributes:
        written: records that were put into the shared store, or taken out at its end.
        given_up: host -> how many releases it gave up.
        refused: host -> why it did not come.
    """

    written: int
    given_up: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"written": self.written, "given_up": self.given_up, "refused": self.refused}

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why hosts did not come."""
        hint = "flask habanero resync, once it answers"
        return tuple(Reason(StoreError.slug, host, why, hint) for host, why in sorted(self.refused.items()))


class Resync:
    """One look, or one order, on its way to all hosts of a deploy. Calls may raise StoreError."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror, self._hosts = mirror, mirror.hosts
        self._id, self._turn = secrets.token_hex(8), 0
        self._box = f"resync:{self._id}"

    @classmethod
    def of(cls, ledger: Ledger) -> Resync:
        """Return one for the hosts that share a ledger. Raises AloneError: there is one host."""
        if not isinstance(ledger, Mirror):
            raise AloneError
        return cls(ledger)

    # --- looking ---

    def look(self, wished: str) -> dict[str, Any]:
        """Return whose branch would stay, the order that says so, and what of the others' would be lost.

        Args:
            wished: whose; "": that of the host with the longest one.

        Raises:
            NoSuchHostError: that host has none that can be believed.
        """
        present, silent = self._present()
        answers = self._ask("branch", present, LOOK_S)
        told = {host: answer for host, answer in answers.items() if "end" in answer}
        chosen = wished or _longest(told)
        if chosen not in told:
            raise NoSuchHostError(chosen, told)
        keep = End(*told[chosen]["end"])
        seen, lying, strange = self._lying(keep.epoch)
        places = {host: answer["releases"] for host, answer in told.items() if host != chosen}
        rows = _rows({**places, self._hosts.shared.place: lying})
        ends = {host: End(*answer["end"]) for host, answer in told.items()}
        stays = self._has(chosen, [*rows, *ends.values()])
        lost = [row for end, row in sorted(rows.items(), key=lambda item: item[0].number) if end not in stays]
        drop = {end for end in ends.values() if end not in stays}
        trouble = {host: _words(answer) for host, answer in answers.items() if host not in told}
        return {
            "now": int(time.time()),
            "from": chosen,
            "order": {"keep": keep, "drop": sorted(drop), "seen": seen},
            "hosts": [_line(host, answer, ends[host] in stays) for host, answer in sorted(told.items())],
            "lost": lost,
            "older": max((_older(a, stays) for a in told.values()), default=0),
            "strange": strange,
            "trouble": {**trouble, **dict.fromkeys(silent, "it was not heard of for some seconds")},
        }

    def _present(self) -> tuple[list[str], list[str]]:
        """Return the hosts of this deploy that speak, and those that do not."""
        epoch, _number = self._mirror.at()
        beats = [
            beat
            for beat in self._hosts.roster().values()
            if beat.deploy == self._mirror.deploy or beat.epoch == epoch
        ]
        return [b.host for b in beats if not b.is_silent], [b.host for b in beats if b.is_silent]

    def _lying(self, epoch: str) -> tuple[Position, list[dict[str, Any]], int]:
        """Return what lies in the shared store, also of another epoch that the deploy leads to there."""
        seen, lying, strange = self._mirror.branch.there(epoch)
        other = self._hosts.shared.known(self._mirror.names).epoch
        if other not in ("", epoch):
            _, more, stranger = self._mirror.branch.there(other)
            lying, strange = lying + more, strange + stranger
        return seen, lying, strange

    def _has(self, host: str, ends: Iterable[End]) -> set[End]:
        answer = self._ask("has", [host], LOOK_S, ends=list(ends))[host]
        if "has" not in answer:
            raise StoreError(f"{host}: {_words(answer)}")
        return {End(*row) for row in answer["has"]}

    # --- carrying out ---

    def carry_out(self, request: Request, host: str) -> Came:
        """Have a host give its branch to the shared store, and all others come to it.

        Raises:
            MovedOnError: it is not as the person saw it.
            StoreError: it can't be done. No host has given anything up.
        """
        self._hosts.shared.stage(request.nonce, request.header.encode("latin-1") + b"\n" + request.body)
        gave = self._ask("give", [host], GIVE_S, nonce=request.nonce)[host]
        if "written" not in gave:
            kind = MovedOnError if gave.get("outcome") == "conflict" else StoreError
            raise kind(f"{host}: {_words(gave)}")
        came = Came(int(gave["written"]))
        present, silent = self._present()
        for other, answer in self._ask("come", present, COME_S, nonce=request.nonce).items():
            if "given_up" not in answer:
                came.refused[other] = _words(answer)
            elif answer["given_up"]:
                came.given_up[other] = int(answer["given_up"])
        came.refused |= dict.fromkeys(silent, "no answer")
        return came

    def _ask(self, kind: str, hosts: Collection[str], timeout_s: float, **fields: Any) -> dict[str, Message]:
        """Return what each host answers; nothing of who does not in time."""
        self._turn += 1
        said = {"k": kind, "id": self._id, "turn": self._turn, "from": self._box, **fields}
        for host in hosts:
            self._hosts.send(box_of(host), said)
        answers: dict[str, Message] = {host: {} for host in hosts}
        missing, deadline = set(hosts), time.monotonic() + timeout_s
        while missing and (left := deadline - time.monotonic()) > 0:
            answer = self._hosts.receive(self._box, min(left, _TURN_S)) or {}
            is_mine = answer.get("id") == self._id and answer.get("turn") in (self._turn, 0)
            if is_mine and answer.get("from") in missing:
                missing.discard(answer["from"])
                answers[answer["from"]] = answer
        return answers


def _longest(told: Mapping[str, Message]) -> str:
    """Return the host with the longest branch; of several, one of the branch that most have."""
    shared = Counter(End(*answer["end"]) for answer in told.values())
    ranked = sorted(told, key=lambda host: (-told[host]["length"], -shared[End(*told[host]["end"])], host))
    return ranked[0] if ranked else ""


def _rows(places: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[End, dict[str, Any]]:
    """Return each release that was told, with the places where it is."""
    found: dict[End, dict[str, Any]] = {}
    for place, releases in places.items():
        for row in releases:
            end = End(*row["end"])
            about = {name: value for name, value in row.items() if name != "end"}
            found.setdefault(end, {"number": end.number, **about, "at": []})["at"].append(place)
    return found


def _line(host: str, answer: Message, stays: bool) -> dict[str, Any]:
    return {"host": host, "release": answer["end"][1], "records": answer["length"], "stays": stays}


def _older(answer: Message, stays: Collection[End]) -> int:
    """Return how many releases of a host were not told, if all that were told would be lost."""
    told = answer["releases"]
    if any(End(*row["end"]) in stays for row in told):
        return 0
    return max(0, int(answer["length"]) - 1 - len(told)) if End(*answer["end"]) not in stays else 0


def _words(answer: Message) -> str:
    return "; ".join(str(row[2]) for row in answer["no"]) if "no" in answer else "no answer"
