"""One push's conversation with the workers of all hosts.

With those of its own host a leader speaks as ever; on each other host one worker speaks for it
(`relay.py`). What is said between hosts lies in boxes of the store that they share.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from .errors import ConflictError, StoreError
from .hosts import Beat, box_of
from .mirror import Mirror
from .moves import LEASE_S
from .post import Message, Post
from .round import Round
from .shared import SILENT_S

_LOOK_S = 0.5  # then look who is not there any more: it would never answer
STILL_S = LEASE_S / 2  # the rest is for the store's answer, before the first gate opens by itself
_ANSWERED = frozenset({"stage", "quiesce", "commit", "ask", "boot", "ready", "restart"})
_DECIDED = frozenset({"commit", "abort", "restart"})
_RESTART = "flask habanero resync"


class WideRound(Round):
    """A round with the workers of all hosts that run the leader's deploy."""

    def __init__(self, post: Post, names: list[str], mirror: Mirror) -> None:
        super().__init__(post, names)
        self._mirror, self._hosts = mirror, mirror.hosts
        self._told: dict[str, str] = {}  # host -> its box for the next question
        self._apart: list[tuple[str, Message]] = []  # who takes no part in a push, and why
        self._missing: set[str] = set()
        self._decided = False
        self._lost = ""  # why other hosts could not be asked after the decision

    @classmethod
    def of_a_push(cls, post: Post, names: list[str], mirror: Mirror) -> WideRound:
        """Return the round of a push. Raises StoreError: other hosts can't be known, or are ahead."""
        made = cls(post, names, mirror)
        others = made._all_others()
        epoch, number = mirror.at()
        for beat in others:
            if beat.epoch == epoch and beat.number > number:
                raise StoreError(
                    f"{beat.host} knows #{beat.number}, and {mirror.hosts.shared.place} does not"
                )
            if beat.epoch == epoch:
                made._told[beat.host] = box_of(beat.host)
            elif beat.epoch:
                made._apart.append((f"{beat.host}/", _why_apart(beat.deploy == mirror.deploy)))
        return made

    @classmethod
    def with_everybody(cls, post: Post, names: list[str], mirror: Mirror) -> WideRound:
        """Return a round with all hosts, whatever they run."""
        made = cls(post, names, mirror)
        made._decided = True  # nothing hangs on it: who can't be asked is named
        try:
            made._told = {beat.host: box_of(beat.host) for beat in made._others()}
        except StoreError as error:
            made._lost = str(error)
        return made

    def _all_others(self) -> list[Beat]:
        """Return the other hosts; where some may not have been heard of yet, once they were.

        A store that has just lost what was in it, or was away, does not know them. Raises StoreError.
        """
        deadline = time.monotonic() + 2 * SILENT_S
        while True:
            others = self._others()  # first: what it knew before it lost it is as good
            left = SILENT_S - self._hosts.shared.heard_s()
            if left <= 0:
                return others
            if time.monotonic() + left > deadline:
                raise StoreError(f"{self._hosts.shared.place} does not know yet which hosts there are")
            time.sleep(left)  # no gate is closed

    def _others(self) -> list[Beat]:
        return [beat for host, beat in self._hosts.roster().items() if host != self._hosts.own]

    # --- asking ---

    def tell(self, kind: str, **fields: str) -> None:
        """Send a message to everyone. Raises StoreError, unless all is decided."""
        if kind in ("prepare", "boot"):
            header, body = self._mirror.staged(fields["nonce"])
            self._hosts.shared.stage(fields["nonce"], header.encode("latin-1") + b"\n" + body)
        if kind == "quiesce":
            self._mirror.decide_by = time.monotonic() + STILL_S
        self._decided = self._decided or kind in _DECIDED
        super().tell(kind, **fields)
        try:
            if kind == "commit":
                self._welcome()
            elif not self._decided:
                self._mirror.go_on_leading()
            self._tell_others({"k": kind, "id": self.id, "turn": self._turn, "from": self._box, **fields})
        except StoreError as error:
            self._lost = str(error)
            if not self._decided:
                raise
        self._missing = set(self._told) if kind in _ANSWERED else set()

    def _tell_others(self, message: Message) -> None:
        for host, box in self._told.items():
            self._hosts.send(box, message)
            self._told[host] = f"push:{self.id}:{host}"  # where who took up the first one waits for more

    def _welcome(self) -> None:
        """Take in who came meanwhile: they may have looked at the head before it was decided."""
        epoch, _number = self._mirror.at()
        for beat in self._others():
            starts = not beat.epoch and beat.deploy == self._mirror.deploy
            if starts or beat.epoch == epoch:
                self._told.setdefault(beat.host, box_of(beat.host))

    @property
    def _box(self) -> str:
        return f"lead:{self.id}"

    # --- answers ---

    def answers(self, timeout_s: float) -> Iterator[tuple[str, Message | None]]:
        """Yield (name, answer) to the last `tell`, of each worker; None for who did not answer in time.

        Names begin with the host; that is all of it where a whole host answers nothing, or no.
        """
        deadline = time.monotonic() + timeout_s
        for name, answer in super().answers(timeout_s):
            yield f"{self._hosts.own}/{name}", answer
        apart, self._apart = self._apart, []
        yield from apart
        with suppress(StoreError):
            yield from self._answers_of_others(deadline)
        yield from [(f"{host}/", None) for host in sorted(self._missing)]
        if self._lost:
            yield f"{self._hosts.own}/", {"trouble": f"other hosts were not asked: {self._lost}"}

    def _answers_of_others(self, deadline: float) -> Iterator[tuple[str, Message | None]]:
        while self._missing:
            left = deadline - time.monotonic()
            answer = self._hosts.receive(self._box, max(0.01, min(left, _LOOK_S)))
            if answer is not None:
                yield from self._told_by(answer)
            elif left <= 0 or self._is_anybody_gone():
                return

    def _told_by(self, answer: Message) -> Iterator[tuple[str, Message | None]]:
        host = str(answer.get("from"))
        if host not in self._missing or answer.get("id") != self.id:
            return
        if answer.get("turn") not in (self._turn, 0):  # 0: no, whatever is asked
            return
        self._missing.discard(host)
        if "no" in answer:
            yield f"{host}/", answer
        for name, row in answer.get("rows", ()):
            yield f"{host}/{name}", row

    def _is_anybody_gone(self) -> bool:
        roster = self._hosts.roster()
        return any(host not in roster or roster[host].is_silent for host in self._missing)

    def leave_out(self, name: str) -> None:
        """Go on without one that is not where the others are; on another host that is done there."""
        host, _, own = name.rpartition("/")
        if host == self._hosts.own:
            self.names.remove(own)


def _why_apart(same_deploy: bool) -> Message:
    """Return the "no" of a host that runs something else: of the same code that is a fault."""
    kind = StoreError if same_deploy else ConflictError
    what = "it has other releases of this deploy" if same_deploy else "it runs another deploy"
    return {"no": [[kind.slug, "", what, _RESTART if same_deploy else ""]], "outcome": kind.outcome}
