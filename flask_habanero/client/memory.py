"""What the laptop remembers of each server: the digests at which tree and server last agreed.

One small JSON file per target and project, below ``$XDG_STATE_HOME/flask-habanero``.

- It is written whole, to a new file that is synced and then renamed: a kill at any moment
  leaves the old memory or the new one.
- It is changed under a lock, from what is on disk at that moment: a `push` beside a running
  `watch` loses nothing.
- It can be lost: then the next contact is a first contact, which asks before it overwrites. So a
  disk that is full stops no push; `Store.problem` says what could not be kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

VERSION = 1
UNDER_WAY = 5  # digests kept per module of which no answer came
ROLLED_BACK = "was rolled back on the server"
PAST = 20  # earlier digests kept per module; as many as the server's status lists releases


@dataclass(frozen=True)
class Held:
    """Why a module is not sent again by `watch` until it changes."""

    digest: str  # of the tree's file when it was held; "" for a deletion
    code: str
    why: str


@dataclass(frozen=True)
class Memory:
    """What one project remembers of one server.

    Attributes:
        app, epoch: audience and cold deploy of the last contact; "" before the first.
        release: newest number seen.
        agreed: module name -> digest at which tree and server last agreed; "" for "on neither".
        past: module name -> digests that were agreed earlier, oldest first.
        held: module name -> why it waits.
        sent: module name -> digests that were sent and of which no answer is remembered, oldest first.
        base: number of the head that what was sent last was built on.
    """

    app: str = ""
    epoch: str = ""
    release: int = 0
    agreed: Mapping[str, str] = field(default_factory=dict)
    past: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    sent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    base: int = -1

    @property
    def may_arrive(self) -> bool:
        """Whether what was sent may be on its way: the server takes it only on the head it was for."""
        return bool(self.sent) and self.release <= self.base

    @property
    def is_first_contact(self) -> bool:
        """Whether the server was never met."""
        return not self.app

    def met(self, app: str, epoch: str, release: int) -> Memory:
        """Return the memory after an answer of a server."""
        return replace(self, app=app, epoch=epoch, release=release)

    def agree(self, digests: Mapping[str, str]) -> Memory:
        """Return the memory with tree and server agreeing on some modules: those are held no more."""
        agreed, past = dict(self.agreed), dict(self.past)
        for name, digest in digests.items():
            before = agreed.get(name)
            if before is not None and before != digest:
                past[name] = (*past.get(name, ()), before)[-PAST:]
            agreed[name] = digest
        held = {name: why for name, why in self.held.items() if name not in digests}
        return replace(self, agreed=agreed, past=past, held=held, sent=self._still_under_way(digests))

    def _still_under_way(self, digests: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return what was sent after those that arrived now, and what may still arrive."""
        sent = dict(self.sent)
        for name in sent.keys() & digests.keys():
            if self.may_arrive and digests[name] not in sent[name]:
                continue
            after = _after(sent.pop(name), digests[name])
            if after:
                sent[name] = after
        return sent

    def sends(self, digests: Mapping[str, str], base: int) -> Memory:
        """Return the memory before something is sent: whoever is killed then does not know if it arrived.

        Args:
            digests: module name -> digest.
            base: number of the head that it is built on.
        """
        more = {name: (*self.sent.get(name, ()), digest)[-UNDER_WAY:] for name, digest in digests.items()}
        return replace(self, sent={**self.sent, **more}, base=base)

    def answered(self, digests: Mapping[str, str]) -> Memory:
        """Return the memory after the server said that it did not take something."""
        left = {n: tuple(d for d in sent if d != digests.get(n)) for n, sent in self.sent.items()}
        return replace(self, sent={name: sent for name, sent in left.items() if sent})

    def arrived(self, theirs: Mapping[str, str]) -> dict[str, str]:
        """Return module name -> digest of what was sent from here, and is what the server has."""
        return {
            name: theirs.get(name, "") for name, sent in self.sent.items() if theirs.get(name, "") in sent
        }

    def hold(self, reasons: Mapping[str, Held]) -> Memory:
        """Return the memory with some modules held."""
        return replace(self, held={**self.held, **reasons})

    def let_go(self, codes: Collection[str]) -> Memory:
        """Return the memory without what is held for some reasons."""
        return replace(self, held={name: held for name, held in self.held.items() if held.code not in codes})

    def replaces(self, digests: Mapping[str, str]) -> Memory:
        """Return the memory of a person who saw what the server has and puts their tree on top of it.

        Args:
            digests: module name -> digest of the server's version, which is agreed from now on.
        """
        return self.agree(digests)

    def rolled_back(self, digests: Mapping[str, str]) -> Memory:
        """Return the memory after a person took the server back to older content of some modules.

        The older content is agreed from now on, so that the next edit here can be sent; what was
        taken back is held as it stands.

        Args:
            digests: module name -> digest that the server went back to.
        """
        held = {
            name: Held(self.agreed[name], "rolled-back", ROLLED_BACK)
            for name, digest in digests.items()
            if self.agreed[name] != digest
        }
        return self.agree(digests).hold(held)

    def as_json(self) -> dict[str, Any]:
        """Return the memory as JSON values."""
        return {
            "v": VERSION,
            "app": self.app,
            "epoch": self.epoch,
            "release": self.release,
            "agreed": dict(self.agreed),
            "past": {name: list(digests) for name, digests in self.past.items()},
            "held": {name: [h.digest, h.code, h.why] for name, h in self.held.items()},
            "sent": {name: list(digests) for name, digests in self.sent.items()},
            "base": self.base,
        }

    @classmethod
    def from_json(cls, value: Any) -> Memory:
        """Return the memory in some JSON values. Raises KeyError, TypeError or ValueError if it is none."""
        if value["v"] != VERSION:
            raise ValueError("another version")
        return cls(
            str(value["app"]),
            str(value["epoch"]),
            int(value["release"]),
            {str(k): str(v) for k, v in value["agreed"].items()},
            {str(k): tuple(map(str, v)) for k, v in value["past"].items()},
            {str(k): Held(str(d), str(c), str(w)) for k, (d, c, w) in value["held"].items()},
            {str(k): tuple(map(str, v)) for k, v in value.get("sent", {}).items()},
            int(value.get("base", -1)),
        )


def _after(digests: tuple[str, ...], one: str) -> tuple[str, ...]:
    """Return those after the last that is the one; none if it is not there."""
    places = [place for place, digest in enumerate(digests) if digest == one]
    return digests[places[-1] + 1 :] if places else ()


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return where memories rest: below XDG_STATE_HOME, else ~/.local/state."""
    base = environ.get("XDG_STATE_HOME", "")
    # the XDG specification: a relative path is to be ignored
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "flask-habanero"


class Store:
    """The file in which one memory rests. Nothing is touched before the first call."""

    def __init__(self, folder: Path, endpoint: str, project: Path) -> None:
        name = hashlib.sha256(f"{endpoint}\0{project}".encode()).hexdigest()[:24]
        self.path = folder / f"{name}.json"
        self._sent = self.path.with_suffix(".sent")
        self.problem = ""
        self._unkept: Memory | None = None  # what the disk did not take, for as long as we run

    def load(self) -> Memory:
        """Return what is remembered; an empty memory if there is none or it can't be read."""
        if self._unkept is not None:
            return self._unkept
        try:
            return self._with_sent(Memory.from_json(json.loads(self.path.read_bytes())))
        except FileNotFoundError:
            return Memory()
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}: nothing is remembered of earlier pushes"
            return Memory()
        except (KeyError, TypeError, ValueError, AttributeError):
            return Memory()  # not ours or damaged: a first contact, which asks before it overwrites

    def update(self, change: Callable[[Memory], Memory]) -> Memory:
        """Change what is remembered, from what is on disk now, and return it, kept or not."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                old = self.load()
                new = change(old)
                if new != old:
                    self._write(json.dumps(new.as_json(), separators=(",", ":")).encode())
                    self._sent.unlink(missing_ok=True)  # it is in the memory now, as far as it matters
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}: this is not remembered for the next push"
            self._unkept = change(self.load())
            return self._unkept
        self._unkept = None
        return new

    def sends(self, digests: Mapping[str, str], base: int) -> None:
        """Note what is about to be sent: a line in a file of its own, not synced, as each save waits for it.

        It is for a process that is killed; without it, the next edit of the same file is a conflict.
        """
        with contextlib.suppress(OSError), self._sent.open("a") as file:
            file.write(json.dumps([base, digests]) + "\n")

    def _with_sent(self, memory: Memory) -> Memory:
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # none, or half a line
            for line in self._sent.read_text().splitlines():
                base, digests = json.loads(line)
                memory = memory.sends({str(k): str(v) for k, v in digests.items()}, int(base))
        return memory

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # freed by the system when the file closes, also by a kill
            yield

    def _write(self, data: bytes) -> None:
        fresh = self.path.with_suffix(".new")  # one writer at a time: the lock
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself
        finally:
            os.close(folder)
