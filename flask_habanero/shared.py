"""What hosts share: the contract of a store that all of them reach, and how a record lies in it.

Nothing in such a store is believed: records are verified where they are read, as those of a file are,
and messages between hosts are signed. Who may write to it can stop pushes, and can't run code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import NamedTuple, Protocol

from .errors import StoreError
from .record import Record, link
from .release import loads_json
from .store import NUMBER_BITS

SILENT_S = 4.0  # each host is heard of once a second: one that is not for so long is asked nothing
_TYPES = {field.name: int if field.name in ("number", "time") else str for field in fields(Record)}


class Entry(NamedTuple):
    """A record as it lies there: what the next one's seal says of it, and its bytes."""

    link: str
    data: bytes


class Position(NamedTuple):
    """How far an epoch has come there: how many records, its base included, and the last one's link."""

    length: int
    last: str


class Known(NamedTuple):
    """What is there of a deploy: its epoch or "", and the epoch that was begun last."""

    epoch: str
    newest: str


class Facts(NamedTuple):
    """What such a store says of itself, for people who ask whether it is set up well.

    Attributes:
        version: what it calls itself.
        keeps: what outlasts its restart: "each write", "a copy now and then", "nothing"; "" if it won't tell.
        eviction: what it does when its memory is full; "" if it won't tell.
        skew_s: its clock minus ours.
        exposed: what its address lacks for a network that others use: "a password", "TLS".
    """

    version: str
    keeps: str
    eviction: str
    skew_s: float
    exposed: tuple[str, ...]


class Shared(Protocol):
    """A store that all hosts of an app reach. Every call is bounded in time, and may raise StoreError.

    Attributes:
        place: where it is, for people: without its password.
    """

    place: str

    def facts(self) -> Facts:
        """Return what it says of itself."""

    # --- records, by their place in an epoch: 0 is the base ---

    def known(self, names: Sequence[str]) -> Known:
        """Return what is there of the deploy with one of these names; the first that is there counts."""

    def begin(self, names: Sequence[str], seen: str, epoch: str, base: Entry) -> str:
        """Put an epoch there, if the first name still leads to the epoch `seen`. Returns where it leads."""

    def append(self, epoch: str, place: int, prev: str, entry: Entry, name: str, leader: str) -> bool:
        """Put a record there, if it is the next one and follows `prev`, and `leader` leads or is "".

        What is there already is not put there twice, and is True, too. `name` leads to the epoch then.
        """

    def splice(
        self, names: Sequence[str], epoch: str, place: int, seen: Position, entries: Iterable[Entry]
    ) -> bool:
        """Put records where others lie, from a place on to the end, at one moment. Returns whether it did.

        It does if the epoch has still come as far as it was `seen`. Then all names lead to it, and it is
        the newest.
        """

    def position(self, epoch: str) -> Position:
        """Return how far an epoch has come; (0, "") if it is not there."""

    def link_at(self, epoch: str, place: int) -> str:
        """Return the link of one record, "" if there is none."""

    def links(self, epoch: str, place: int, count: int) -> list[str]:
        """Return the links of records from a place on."""

    def read(self, epoch: str, place: int, count: int) -> list[bytes]:
        """Return records from a place on."""

    # --- hosts ---

    def beat(self, host: str, data: bytes) -> None:
        """Note that a host is there, and what it says of itself."""

    def roster(self) -> dict[str, tuple[float, bytes]]:
        """Return of each host how many seconds ago it was there, by the store's clock, and what it said."""

    def heard_s(self) -> float:
        """Return for how many seconds hosts have been heard of, with no gap of `SILENT_S`; 0 if they are not.

        Before that is as long, some that are there may not be among those that were heard of.
        """

    def leave(self, host: str) -> None:
        """Take a host out."""

    def lead(self, leader: str) -> bool:
        """Let nobody else lead a push, for some seconds. Returns whether it could be; again prolongs it."""

    def resign(self, leader: str) -> None:
        """Let others lead, if who does begins so. What it sent, and is still under way, comes to nothing."""

    # --- messages ---

    def send(self, box: str, data: bytes) -> None:
        """Put a message into a box. One that nobody takes is gone after a while."""

    def receive(self, box: str, timeout_s: float) -> bytes | None:
        """Take the oldest message out of a box; None if none comes in time."""

    def stage(self, nonce: str, data: bytes) -> None:
        """Put a request where all hosts find it, for a while."""

    def staged(self, nonce: str) -> bytes:
        """Return a request that was put there."""


def packed(record: Record, token: str) -> Entry:
    """Return a record and its seal as an entry."""
    row = [getattr(record, name) for name in _TYPES if name != "body"]
    head = json.dumps([*row, token], separators=(",", ":"), ensure_ascii=True)
    return Entry(link(token), head.encode() + b"\n" + record.body)


def unpacked(data: bytes) -> tuple[Record, str]:
    """Return the record and the seal in some bytes. Neither is checked. Raises StoreError: there is none."""
    head, _, body = data.partition(b"\n")
    names = [name for name in _TYPES if name != "body"]
    try:
        *row, token = loads_json(head)
        given = dict(zip(names, row, strict=True))
    except (ValueError, TypeError):
        raise StoreError("what lies in the shared store is no record") from None
    types = [type(given[name]) is _TYPES[name] for name in names]
    if type(token) is not str or not all(types) or not 0 <= given["number"] < 2**NUMBER_BITS:
        raise StoreError("what lies in the shared store is no record")
    return Record(**given, body=body), token
