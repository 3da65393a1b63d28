"""One worker of a host speaks for it: says that the host is there, and hears leaders on other hosts.

Whichever worker holds a lock does. A push that another host leads is a round of this host like any other,
led by a *deputy*, which holds the host's own lock, passes on what the leader says, and answers with what all
workers answered.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from .branch import End, Order
from .change import Request
from .envelope import SKEW_S
from .errors import BundleError, EnvelopeError, HabaneroError, StoreError
from .hosts import box_of
from .mirror import Mirror
from .moves import LEASE_S, PREPARED_S
from .post import FOLLOWER, WORKER, Message, pid_of
from .resync import Asked
from .round import Round

if TYPE_CHECKING:
    from .bootnote import Note
    from .fleet import Fleet
    from .record import Record
    from .release import WorkerCount

BEAT_S = 1.0
STAGE_S, ASK_S, COMMIT_S = 18.0, 1.5, 4.0  # below what leaders wait
ALONE_S = 3.0  # for the round before, which ended with the news that the change is cold
LED_S = 60  # from when a leader believed a push to when it has others boot it, at most
BOOTED_S, READY_S = 25.0, 10.0  # what a leader may be at before it speaks again: canaries; the record
RESTART_S = 20.0  # where no leader waits
MOST_REASONS = 50  # of one host
log = logging.getLogger("flask_habanero")


class Relay:
    """What a worker does for its host, if it is the one that does."""

    def __init__(self, fleet: Fleet, mirror: Mirror) -> None:
        self._fleet, self._mirror = fleet, mirror
        self._lock = -1  # held open: the kernel drops it when we die
        self._left = False
        self._beating = threading.Lock()  # who has left must not be heard of again
        self._said = ""  # the last trouble that was logged
        os.register_at_fork(after_in_child=self._retire)  # a child that outlives us must not speak for us

    def stand(self) -> None:
        """Speak for this host from now on, if no other worker does. Called once a second."""
        if self._lock >= 0 or self._left or self._fleet.gives_way:
            return
        try:
            fd = os.open(self._fleet.folder / "relay.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.error("nobody speaks for this host: %s", error)
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return
        self._lock = fd
        threading.Thread(target=self._speak, name="habanero-host", daemon=True).start()

    def leave(self) -> None:
        """Let another worker speak; say that the host is no more, if this was its last one."""
        with self._beating:
            self._retire()
        if not any(self._fleet.folder.glob(f"*{WORKER}")):
            with suppress(StoreError):  # it is noticed
                self._mirror.hosts.leave()

    def _retire(self) -> None:
        self._left = True
        self._let_go()

    def _let_go(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _speak(self) -> None:
        while not self._left:
            try:
                if self._fleet.gives_way:
                    self._let_go()
                    return
                self._turn()
            except StoreError as error:
                self._note(str(error))
                time.sleep(BEAT_S)
            except Exception:
                log.exception("a message of another host was lost")  # the thread must outlive any message
                time.sleep(BEAT_S)

    def _turn(self) -> None:
        hosts = self._mirror.hosts
        with self._beating:
            if self._left:
                return
            self._mirror.beat()
        try:
            self._mirror.refresh()
            self._note("")
        except StoreError as error:  # if it is away, the next call says so, too
            self._note(str(error))
        message = hosts.receive(box_of(hosts.own), BEAT_S)
        if message is not None and message.get("k") in Deputy.begins and not self._left:
            deputy = Deputy(self._fleet, self._mirror, message)
            # Who restarts this host is among those that are replaced, and outlives its last request
            lasts = message["k"] == "boot"
            threading.Thread(target=deputy.serve, name="habanero-deputy", daemon=not lasts).start()

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._said:
            log.error("on its own, as to other hosts: %s", trouble)
        self._said = trouble


class Restarting(Protocol):
    """Makes a release live on this host by a restart, which another host leads; see `cold.py`."""

    def boot(self, request: Request) -> Note:
        """Boot it in a canary. Returns its note. Raises HabaneroError: it can't be made live here."""

    def ready(self, note: Note) -> None:
        """Have starting processes import it, once it is recorded. Raises StoreError."""

    def follow(self, record: Record, within_s: float) -> WorkerCount:
        """Restart, now that it is recorded. Returns who came, and who did not."""


class Deputy:
    """Leads this host in a push that another host leads."""

    def __init__(self, fleet: Fleet, mirror: Mirror, first: Message) -> None:
        self._fleet, self._mirror, self._first = fleet, mirror, first
        self._id, self._leader = str(first["id"]), str(first["from"])
        self._box = f"push:{self._id}:{mirror.hosts.own}"

    def serve(self) -> None:
        """Do what the first message asks for, and what comes of it."""
        try:
            self.begins[self._first["k"]](self)
        except HabaneroError as error:
            reasons = [[r.code, r.where, r.what, r.hint] for r in error.reasons[:MOST_REASONS]]
            self._answer({"turn": 0, "no": reasons, "outcome": error.outcome})
        except Exception:
            log.exception("a fault in flask-habanero")

    def _answer(self, answer: Message) -> None:
        hosts = self._mirror.hosts
        with suppress(StoreError):  # the leader names us
            hosts.send(self._leader, {"id": self._id, "from": hosts.own, **answer})

    # --- a push ---

    def _push(self) -> None:
        with self._fleet.lock(), self._staged(), self._fleet.for_another(self._id, WORKER) as others:
            self._mirror.refresh()
            others.tell("prepare", nonce=self._nonce)
            last = self._obeyed(others)
        if last is not None:  # after all is given back: the next push may come at once
            self._answer(last)

    @property
    def _nonce(self) -> str:
        return str(self._first["nonce"])

    @contextmanager
    def _staged(self) -> Iterator[Request]:
        """Fetch the request to where this host's workers find it, if it is one that we believe."""
        request = self._request()
        path = self._mirror.stage(request.nonce, request.header, request.body)
        try:
            yield request
        finally:
            self._mirror.unstage(path)

    def _request(self) -> Request:
        """Return the one that the leader means. Raises RejectedError: another lies there, or none of ours."""
        header, _, body = self._mirror.hosts.shared.staged(self._nonce).partition(b"\n")
        request = Request.verified(header.decode("latin-1"), body, self._fleet.keys)
        if request.nonce != self._nonce:
            raise EnvelopeError("another request than the one that was asked for")
        return request

    def _obeyed(self, others: Round) -> Message | None:
        """Do what the leader says, until it is decided. Returns the last answer, if one is expected."""
        until = time.monotonic() + PREPARED_S
        while (message := self._next(until)) is not None:
            kind = message["k"]
            if kind == "commit":
                return {"turn": message["turn"], "rows": self._committed(others)}
            others.tell(kind, nonce=self._nonce)
            if kind == "abort":
                return None
            until = time.monotonic() + (LEASE_S * 0.75 if kind == "quiesce" else PREPARED_S)
            if kind != "reopen":
                self._answer({"turn": message["turn"], "rows": self._rows(others, kind)})
        self._without_leader(others)
        return None

    def _next(self, until: float) -> Message | None:
        """Return what the leader says next; None when it says nothing until its time is over."""
        while (left := until - time.monotonic()) > 0:
            try:
                message = self._mirror.hosts.receive(self._box, left)
            except StoreError:
                time.sleep(min(left, 0.1))
                continue
            if message is not None:
                return message
        return None

    def _rows(self, others: Round, kind: str) -> list[tuple[str, Message | None]]:
        quiet = self._fleet.worker.config.quiesce_ms / 1000 + 1.0
        rows = list(others.answers(quiet if kind == "quiesce" else STAGE_S))
        for name, answer in rows:
            if answer is not None and answer.get("outcome") == "conflict":  # the leader knows; see there
                others.leave_out(name)
        return rows

    def _committed(self, others: Round) -> list[tuple[str, Message | None]]:
        self._mirror.refresh()
        others.tell("commit")
        rows = list(others.answers(COMMIT_S))
        return [*rows, *self._asleep(rows)]

    def _without_leader(self, others: Round) -> None:
        """The leader is gone: what it recorded is committed before any gate opens by itself."""
        with suppress(StoreError):
            self._mirror.refresh()
        others.tell("abort" if self._mirror.by_nonce(self._nonce) is None else "commit")

    # --- a release by a restart ---

    def _boot(self) -> None:
        restarts, count = self._fleet.restarts, None
        if restarts is None:
            self._agree()
            return
        with self._fleet.lock(patience_s=ALONE_S), self._staged() as request:
            _check_recent(request)
            self._mirror.refresh()
            note = restarts.boot(request)
            self._yes(self._first)
            last = self._obeyed_by(restarts, note)
            record = self._recorded()  # whatever was said: its leader may have failed after it was decided
            if record is not None:
                count = restarts.follow(record, float(last.get("within", RESTART_S)))
        if count is not None and last.get("k") == "restart":
            told = {"at_head": count.at_head, "total": count.total, "behind": list(count.behind)}
            self._answer({"turn": last["turn"], "rows": [["", told]]})

    def _obeyed_by(self, restarts: Restarting, note: Note) -> Message:
        """Make this host ready, if the leader says so. Returns what it says last; nothing, if it is gone."""
        until = time.monotonic() + BOOTED_S
        while (message := self._next(until)) is not None:
            if message["k"] != "ready":
                return message
            restarts.ready(note)
            self._yes(message)
            until = time.monotonic() + READY_S
        return {}

    def _recorded(self) -> Record | None:
        with suppress(StoreError):
            self._mirror.refresh()
        return self._mirror.by_nonce(self._nonce)

    def _agree(self) -> None:
        """Say yes to all: nothing is served here, and who follows has no veto, as on one host."""
        if self._fleet.gives_way:
            raise StoreError("this host is starting")
        self._yes(self._first)
        while (message := self._next(time.monotonic() + BOOTED_S)) is not None:
            if message["k"] != "abort":
                self._yes(message)
            if message["k"] != "ready":
                return

    def _yes(self, message: Message) -> None:
        self._answer({"turn": message["turn"], "rows": []})

    # --- others ---

    def _catch_up(self) -> None:
        """Come to what was decided while this host was starting."""
        with self._fleet.for_another(self._id, WORKER) as others:
            rows = self._committed(others)
        self._answer({"turn": self._first["turn"], "rows": rows})

    def _tell(self) -> None:
        with self._fleet.for_another(self._id, WORKER, FOLLOWER) as others:
            others.tell("ask")
            rows = list(others.answers(ASK_S))
        self._answer({"turn": self._first["turn"], "rows": [*rows, *self._asleep(rows)]})

    # --- branches ---

    def _branch(self) -> None:
        self._answer({"turn": self._first["turn"], **self._mirror.branch.told()})

    def _has(self) -> None:
        ends = [End(*row) for row in self._first["ends"]]
        self._answer({"turn": self._first["turn"], "has": self._mirror.branch.has(ends)})

    def _give(self) -> None:
        with self._fleet.lock():
            written = self._mirror.branch.give(self._order(), self._mirror.names)
        self._answer({"turn": self._first["turn"], "written": written})

    def _come(self) -> None:
        with self._fleet.lock(), self._fleet.for_another(self._id, WORKER, FOLLOWER) as others:
            given_up = self._mirror.branch.come(self._order())
            self._committed(others)
        self._answer({"turn": self._first["turn"], "given_up": given_up})

    def _order(self) -> Order:
        """Return what a person has decided, who is believed for no other host's sake."""
        order = Asked.of(self._request(), self._fleet.worker.config.app_id).order
        if order is None:
            raise BundleError("resync: no order")
        return order

    def _asleep(self, rows: list[tuple[str, Message | None]]) -> list[tuple[str, Message]]:
        told = {pid_of(name) for name, _ in rows}
        siblings = {int(one.rpartition("/")[2]) for one in self._fleet.siblings()} | {os.getpid()}
        return [(f"{pid}-", {"asleep": True}) for pid in sorted(siblings - told)]

    begins: Mapping[str, Callable[[Deputy], None]] = {
        "prepare": _push,
        "boot": _boot,
        "commit": _catch_up,
        "ask": _tell,
        "branch": _branch,
        "has": _has,
        "give": _give,
        "come": _come,
    }


def _check_recent(request: Request) -> None:
    """Check that a push was sent just now: what an old one leads to is not even tried. Raises StoreError.

    Who can write to the shared store might have kept it, and what was said about it.
    """
    age = int(time.time()) - request.claims["iat"]
    if age > request.claims["exp"] - request.claims["iat"] + SKEW_S + LED_S:
        raise StoreError(f"by its clock the push was sent {age} s ago")
