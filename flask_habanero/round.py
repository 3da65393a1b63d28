"""One push's conversation with the other workers of its host."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from .post import Message, Post


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

    def leave_out(self, name: str) -> None:
        """Go on without one that is not where the others are, and stays so."""
        self.names.remove(name)

    def _dead(self) -> set[str]:
        # Not by their pids: a container that shares the folder has other ones
        dead = {name for name in self._waiting if not self.post.reaches(name)}
        self.names = [name for name in self.names if name not in dead]
        return dead
