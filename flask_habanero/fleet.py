"""The workers of one host: who they are, and how one talks to all.

Each worker that has served binds a unix datagram socket in the store's folder and listens on it in
one thread. A push is a *round*: the worker that received it asks the others to prepare, to be still,
and to commit, and collects their answers on a socket of its own. Messages are small, signed JSON
objects; nothing that they say is believed beyond that: the release itself is verified by each worker.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .change import Request
from .envelope import Keyring
from .errors import HabaneroError, Reason, RefusedError, RejectedError, StoreError
from .manager import siblings
from .post import ANSWER_S, FOLLOWER, WORKER, Message, Post, pid_of

if TYPE_CHECKING:
    from .worker import Worker

# A datagram wakes its receiver on the sender's processor, as if the sender were about to wait, and the
# two take turns there. Who wakes from a sleep gets a processor that is idle
ASIDE_S = 0.0001
MOST_REASONS = 50  # of one worker: a datagram is short
log = logging.getLogger("flask_habanero")


class InProgressError(RefusedError):
    """Another push, or another rehearsal, is on its way on this host."""

    slug = "in-progress"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The error as a reason, with what to do."""
        return (Reason(self.slug, "", str(self), "try again in a moment"),)


class Fleet:
    """This worker among the others of its host. One per process, made after the fork.

    Attributes:
        tick: called after each message, and at least once a second.
    """

    def __init__(
        self,
        worker: Worker,
        folder: Path,
        keys: Keyring,
        kind: str = WORKER,
        tick: Callable[[], None] | None = None,
    ) -> None:
        self.worker, self.keys, self._kind = worker, keys, kind
        self.tick = tick or worker.tick
        self.folder = folder / "run"
        self._post: Post
        self._staged = worker.ledger.staged
        self._refusal: HabaneroError | None = None  # why the last `prepare` was not possible

    def start(self) -> None:
        """Bind this worker's socket and listen. Raises StoreError: the folder can't be used."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error}") from error
        self._post = Post(self.folder, f"{os.getpid()}-{secrets.token_hex(4)}{self._kind}", self.keys)
        atexit.register(self._leave_at_exit, os.getpid())
        threading.Thread(target=self._listen, name="habanero", daemon=True).start()

    @property
    def name(self) -> str:
        """The name of this worker's socket."""
        return self._post.name

    def leave(self) -> None:
        """Take this worker's name out of the folder; the messages that are under way are still answered."""
        with suppress(OSError):
            (self.folder / self.name).unlink()

    def _leave_at_exit(self, pid: int) -> None:
        if os.getpid() == pid:  # not in a child that forked from this worker
            self.leave()

    # --- listening ---

    def _listen(self) -> None:
        try:
            self.worker.program.warm()  # here it costs no request and no push
        except Exception:
            log.exception("a fault in flask-habanero: the first push will be slow")
        while True:
            try:
                message = self._post.receive(self.worker.moves.patience_s)
                if message and "k" in message:  # else it is an answer to a ping: nobody waits for it
                    self._post.send(str(message["from"]), self._answer(message), ANSWER_S)
                self.tick()
            except OSError:
                return  # the socket was closed
            except Exception:
                log.exception("a message was lost")  # the thread must outlive any message

    def _answer(self, message: Message) -> Message:
        act = self._acts.get(message["k"])
        if act is None:
            raise RejectedError("another version of flask-habanero speaks here")
        answer: Message = {"id": message["id"], "turn": message["turn"], "pid": os.getpid()}
        try:
            return answer | act(self, message)
        except HabaneroError as error:
            reasons = [[r.code, r.where, r.what, r.hint] for r in error.reasons[:MOST_REASONS]]
            return answer | {"no": reasons, "outcome": error.outcome}

    def _prepare(self, message: Message) -> Message:
        """Plan while the leader plans, too. What it came to is asked for by `stage`."""
        time.sleep(ASIDE_S)
        self._refusal = None
        header, body = self._staged(message["nonce"])
        try:
            self.worker.prepare(message["id"], Request.verified(header, body, self.keys))
        except HabaneroError as error:
            self._refusal = error
        return {}

    def _stage(self, message: Message) -> Message:
        if self._refusal is not None:
            raise self._refusal
        self.worker.moves.stage(message["id"])
        return {}

    def _quiesce(self, message: Message) -> Message:
        return {"holders": list(self.worker.moves.quiesce(message["id"]))}

    def _reopen(self, message: Message) -> Message:
        self.worker.moves.reopen(message["id"])
        return {}

    def _commit(self, message: Message) -> Message:
        self.worker.finish(message["id"])
        return self.describe()

    def _abort(self, message: Message) -> Message:
        self.worker.moves.abort(message["id"])
        return {}

    def _ask(self, _message: Message) -> Message:
        return self.describe()

    _acts: Mapping[str, Callable[[Fleet, Message], Message]] = {
        "prepare": _prepare,
        "stage": _stage,
        "quiesce": _quiesce,
        "reopen": _reopen,
        "commit": _commit,
        "abort": _abort,
        "ask": _ask,
        "ping": lambda _self, _message: {},
    }

    def describe(self) -> Message:
        """Return what this worker runs, as status shows it."""
        worker = self.worker
        return {
            "pid": os.getpid(),
            "epoch": worker.epoch,
            "release": worker.number,
            "since": worker.since,
            "trouble": worker.trouble[:500],
            "follows": worker.follows,
        }

    # --- leading ---

    @contextmanager
    def lock(self, what: str = "push") -> Iterator[None]:
        """Be the only one on this host that leads a push (or what else there is to be the only one for).

        Raises:
            InProgressError: another does.
            StoreError: the folder can't be written.
        """
        try:
            fd = os.open(self.folder / f"{what}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error}") from error
        try:
            _lock(fd, what)
            yield
        finally:
            os.close(fd)

    def round(self) -> Round:
        """Return a conversation with all the others; use it in ``with``."""
        post = Post(self.folder, f"lead-{os.getpid()}-{secrets.token_hex(4)}", self.keys)
        return Round(post, self._post.others(WORKER))

    def survey(self) -> Round:
        """Return the same with those that follow: they are asked, and take no part in a push."""
        everybody = self.round()
        everybody.names += self._post.others(FOLLOWER)
        return everybody

    def siblings(self) -> frozenset[int]:
        """Return all workers of our server, those too that have not served yet, and all that follow."""
        ping: Message = {"k": "ping", "id": "", "turn": 0}
        following = {pid_of(name) for name in self._post.others(FOLLOWER) if self._post.send(name, ping)}
        return frozenset((siblings() | following) - {os.getpid()})


@dataclass
class Round:
    """One push's conversation with the other workers of the host.

    Left with an exception, it tells them to forget what they prepared.

    Attributes:
        names: who takes part; a worker that died is taken out.
    """

    post: Post
    names: list[str]
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    _turn: int = 0  # an answer that comes too late must not count for the next question
    _waiting: set[str] = field(default_factory=set)

    def __enter__(self) -> Round:
        return self

    def __exit__(self, *raised: object) -> None:
        if raised[0] is not None:
            self.tell("abort")  # nobody waits for the answers: a lease ends the same way
        self.post.close()

    def tell(self, kind: str, **fields: str) -> None:
        """Send a message to everyone that is alive."""
        self._turn += 1
        message = {"k": kind, "id": self.id, "turn": self._turn, **fields}
        self.names = [name for name in self.names if self.post.send(name, message)]
        self._waiting = set(self.names)

    def answers(self, timeout_s: float) -> Iterator[tuple[str, Message | None]]:
        """Yield (name, answer) to the last `tell` as they come; None for who did not answer in time."""
        deadline = time.monotonic() + timeout_s
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            answer = self.post.receive(min(left, 0.25))  # then look who died: it would never answer
            if answer is None:
                self._waiting -= self._dead()
            elif (answer.get("id"), answer.get("turn")) == (self.id, self._turn):
                self._waiting.discard(answer["from"])
                yield answer["from"], answer
        yield from [(name, None) for name in sorted(self._waiting)]

    def _dead(self) -> set[str]:
        # Not by their pids: a container that shares the folder has other ones
        ping: Message = {"k": "ping", "id": "", "turn": 0}
        dead = {name for name in self._waiting if not self.post.send(name, ping)}
        self.names = [name for name in self.names if name not in dead]
        return dead


def _lock(fd: int, what: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel drops it when we die
    except BlockingIOError:
        raise InProgressError(f"another {what} is in progress") from None
