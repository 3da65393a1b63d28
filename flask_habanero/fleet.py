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
from pathlib import Path
from typing import TYPE_CHECKING

from .change import Request
from .envelope import Keyring
from .errors import HabaneroError, Reason, RefusedError, RejectedError, StoreError
from .manager import siblings
from .mirror import Mirror
from .post import ANSWER_S, FOLLOWER, WORKER, Message, Post, label, pid_of
from .relay import Relay, Restarting
from .round import Round
from .wide import WideRound

if TYPE_CHECKING:
    from .worker import Worker

# A datagram wakes its receiver on the sender's processor, as if the sender were about to wait, and the
# two take turns there. Who wakes from a sleep gets a processor that is idle
ASIDE_S = 0.0001
LOOK_S = 0.02  # who waits for a lock looks again
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
        self._mirror = worker.ledger if isinstance(worker.ledger, Mirror) else None
        self.restarts: Restarting | None = None  # who restarts this host; None where nothing is served
        self._relay = Relay(self, self._mirror) if self._mirror is not None else None
        self._prepared = ""  # the id of the last move that was prepared, or could not be
        self._refusal: HabaneroError | None = None  # why that was not possible

    def start(self) -> None:
        """Bind this worker's socket and listen. Raises StoreError: the folder can't be used."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error}") from error
        self._post = Post(self.folder, f"{os.getpid()}-{secrets.token_hex(4)}{self._kind}", self.keys)
        atexit.register(self._leave_at_exit, os.getpid())
        if self._relay is not None:
            self._relay.stand()
        threading.Thread(target=self._listen, name="habanero", daemon=True).start()

    @property
    def name(self) -> str:
        """The name of this worker's socket."""
        return self._post.name

    @property
    def own(self) -> str:
        """This worker among those of all hosts."""
        return self.name_of(os.getpid())

    def name_of(self, pid: int) -> str:
        """Return the name of a worker of this host among those of all hosts."""
        return f"{self._host}{pid}-"

    @property
    def _host(self) -> str:
        return "" if self._mirror is None else f"{self._mirror.hosts.own}/"

    @property
    def gives_way(self) -> bool:
        """Whether this process follows, and another one of this host serves: that one speaks for it."""
        serving = self._post.others(WORKER) if self._kind == FOLLOWER else []
        return any(self._post.reaches(name) for name in serving)

    def _look_around(self) -> None:
        self.tick()
        if self._relay is not None:
            self._relay.stand()

    def leave(self) -> None:
        """Take this worker's name out of the folder; the messages that are under way are still answered."""
        with suppress(OSError):
            (self.folder / self.name).unlink()

    def _leave_at_exit(self, pid: int) -> None:
        if os.getpid() == pid:  # not in a child that forked from this worker
            self.leave()
            if self._relay is not None:
                self._relay.leave()

    # --- listening ---

    def _listen(self) -> None:
        try:
            self.worker.program.warm()  # here it costs no request and no push
        except Exception:
            log.exception("a fault in flask-habanero: the first push will be slow")
        while True:
            try:
                message = self._post.receive(self.worker.moves.patience_s)
                if message:
                    self._post.send(str(message["from"]), self._answer(message), ANSWER_S)
                self._look_around()
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
        header, body = self._staged(message["nonce"])
        self._prepared, self._refusal = message["id"], None
        try:
            self.worker.prepare(message["id"], Request.verified(header, body, self.keys))
        except HabaneroError as error:
            self._refusal = error
        return {}

    def _stage(self, message: Message) -> Message:
        if self._prepared != message["id"]:
            self._prepare(message)  # the message was lost: this worker was busy, and its socket full
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
    def lock(self, what: str = "push", patience_s: float = 0.0) -> Iterator[None]:
        """Be the only one on this host that leads a push (or what else there is to be the only one for).

        Raises:
            InProgressError: another does, and for longer than one has patience.
            StoreError: the folder can't be written.
        """
        try:
            fd = os.open(self.folder / f"{what}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error}") from error
        try:
            _lock(fd, what, time.monotonic() + patience_s)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def leading(self, nonce: str) -> Iterator[None]:
        """Be the only one of all hosts that leads a push. Raises InProgressError, StoreError."""
        with self.lock(), self.worker.ledger.leading(nonce) as leads:
            if not leads:
                raise InProgressError("another push is in progress")
            yield

    def round(self) -> Round:
        """Return a conversation with all the others; use it in ``with``. Raises StoreError."""
        return self._conversation(WideRound.of_a_push)

    def hosts(self) -> Round:
        """Return a conversation with the other hosts; with nobody, if there are none. Raises StoreError."""
        if self._mirror is not None:
            self._mirror.undo_quiesce()
        return self._talking(WideRound.of_a_push, [])

    def survey(self) -> Round:
        """Return the same with those that follow: they are asked, and take no part in a push."""
        everybody = self._conversation(WideRound.with_everybody)
        everybody.names += self._post.others(FOLLOWER)
        return everybody

    def _conversation(self, wide: Callable[[Post, list[str], Mirror], Round]) -> Round:
        return self._talking(wide, self._post.others(WORKER))

    def _talking(self, wide: Callable[[Post, list[str], Mirror], Round], names: list[str]) -> Round:
        post = self._leads()
        if self._mirror is None:
            return Round(post, names)
        try:
            return wide(post, names, self._mirror)
        except StoreError:
            post.close()
            raise

    def for_another(self, round_id: str, *kinds: str) -> Round:
        """Return a conversation with all workers of this host, this one too, for a leader on another host."""
        post = self._leads()
        return Round(post, [name for kind in kinds for name in post.others(kind)], round_id)

    def _leads(self) -> Post:
        return Post(self.folder, f"lead-{os.getpid()}-{secrets.token_hex(4)}", self.keys)

    def siblings(self) -> frozenset[str]:
        """Return all workers of our server, those too that have not served yet, and all that follow.

        As people know them: see `post.label`.
        """
        following = {pid_of(name) for name in self._post.others(FOLLOWER) if self._post.reaches(name)}
        others = (siblings() | following) - {os.getpid()}
        return frozenset(label(f"{self._host}{pid}-") for pid in others)


def _lock(fd: int, what: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel drops it when we die
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise InProgressError(f"another {what} is in progress") from None
            time.sleep(LOOK_S)
        else:
            return
