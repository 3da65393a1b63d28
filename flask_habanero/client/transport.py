"""One sealed request, one believed answer.

- An answer counts only if our secret signed it for this very request, with this status and
  these bytes. Anything else is a stranger's word.
- A push or rollback whose answer is lost is asked for by its nonce, and sent again under the
  same nonce, which the server takes once: so its end is known, or said to be unknown. That has
  one deadline, too; whoever waits is told soon, and may leave at any moment (Ctrl-C, SIGTERM).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ..envelope import (
    REQUEST,
    RESPONSE,
    RESPONSE_CLAIMS,
    Key,
    Keyring,
    packed,
    same,
    seal,
    sha256,
    unseal,
)
from ..errors import AbandonedError, DeliveryError, HabaneroError, RejectedError
from ..release import Report, loads_json
from .exchange import Answer, Line, LostError, Patience

EXCHANGE_S = 30.0  # a push may wait for quiesce retries (5 s) and acknowledgements
DELIVERY_S = 60.0  # until a lost answer is called unknown
PAUSES_S = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)  # before each attempt to learn it; the last repeats
GATEWAY = frozenset({429, 502, 503, 504})  # unsigned, they come from a proxy whose app is away
TOO_LARGE = 413  # unsigned, it is a proxy's own limit
BUSY = 423  # signed: another push is under way
BUSY_PAUSE_S = 0.2


@dataclass(frozen=True)
class Request:
    """One operation: what the claims say, and the body before packing."""

    op: str
    app: str = "*"
    epoch: str = ""
    base: int = 0
    release: int = 0
    python: str = "none"
    body: bytes = b""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def changes(self) -> bool:
        """Whether the server may do something because of it."""
        return self.op in ("push", "rollback")

    def outcome(self) -> Request:
        """Return the question what became of this request."""
        body = json.dumps({"nonce": self.nonce}).encode()
        return Request("outcome", self.app, self.epoch, self.base, self.base, self.python, body)


_ENDED = frozenset({"remote end closed connection without response", "connection reset by peer"})


class Wire:
    """One server, one secret. Opens no connection before the first request."""

    def __init__(
        self, endpoint: str, key: Key, who: str, *, ca_file: str = "", exchange_s: float = EXCHANGE_S
    ) -> None:
        self.endpoint = endpoint
        self._key, self._who, self._exchange_s = key, who, exchange_s
        self._offset = 0.0  # server's clock minus ours, in seconds, as hello told it
        self._line = Line(endpoint, ca_file)

    @property
    def skew_s(self) -> float:
        """The server's clock minus ours, in seconds, as the last hello told it."""
        return self._offset

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def ask(self, request: Request, *, within_s: float = 0.0) -> Report:
        """Return the answer to a request that changes nothing, or that may be sent twice.

        It is sent once more if the connection ended without a word: one that was kept may have ended before.

        Args:
            request: what to ask.
            within_s: how long to wait, if not as usual.

        Raises:
            DeliveryError: no answer came; `maybe_live`: what was to be confirmed may be.
            RejectedError: somebody answered, not with our secret.
        """
        assert not request.changes, "deliver() is for those"
        try:
            within_s = within_s or self._exchange_s
            return self._asked(request, Patience(within_s, within_s))
        except LostError as lost:
            if lost.status and lost.status not in GATEWAY:
                raise RejectedError(f"{self.endpoint}: {lost.why}") from None
            if lost.sent and request.op == "confirm":
                raise self._lost(f"{lost.why}; it may be confirmed") from None
            raise DeliveryError(self.endpoint, lost.why, maybe_live=False) from None

    def _asked(self, request: Request, patience: Patience) -> Report:
        try:
            return self._exchange(request, patience)[1]
        except LostError as lost:
            if lost.why not in _ENDED:
                raise
            return self._exchange(request, patience)[1]

    def deliver(
        self, request: Request, unsure: Callable[[DeliveryError], None], *, within_s: float = DELIVERY_S
    ) -> Report:
        """Return the answer to a push or rollback, however many attempts it takes.

        Args:
            request: what to send.
            unsure: told once, while it goes on, if the server is away in the middle of it, or silent.
            within_s: after so long its end counts as unknown.

        Raises:
            DeliveryError: nothing was sent, or (`maybe_live`) its end could not be learnt in time.
            RejectedError: something in between refuses it, and the server never saw it.
            AbandonedError: the person did not wait for it.
        """
        patience = Patience(within_s, self._exchange_s, lambda why: unsure(self._lost(why)))
        try:
            return self._delivered(request, patience)
        except KeyboardInterrupt:
            raise AbandonedError(self._lost("interrupted before there was an answer")) from None

    def _lost(self, why: str) -> DeliveryError:
        return DeliveryError(self.endpoint, why, maybe_live=True)

    def _delivered(self, request: Request, patience: Patience) -> Report:
        try:
            report = self._until_free(request, patience)
            if report.outcome == "unknown":
                report = self._ended(request, report, patience)
        except LostError as lost:
            if not lost.sent:
                raise DeliveryError(self.endpoint, lost.why, maybe_live=False) from None
            report = self._recover(request, lost, patience)
        return self._restarted(request, report, patience)

    def _restarted(self, request: Request, report: Report, patience: Patience) -> Report:
        """Return what came of a release by a restart that its answer could not wait for."""
        for pause in _pauses(patience.deadline):
            if report.data.get("restarting") is not True:
                break
            time.sleep(pause)
            try:
                asked = self._exchange(request.outcome(), patience)[1]
            except LostError as lost:
                patience.tell(lost.why)
                continue
            if asked.data.get("recorded") is True:
                report = replace(asked, steps=report.steps, data={**report.data, **asked.data})
        return report

    def _until_free(self, request: Request, patience: Patience) -> Report:
        while True:
            status, report = self._exchange(request, patience)
            if status != BUSY or patience.left() < 0:
                return report
            time.sleep(BUSY_PAUSE_S)

    def _ended(self, request: Request, report: Report, patience: Patience) -> Report:
        """Return what came of a push that ended in a fault of the server: it says so, and is asked once."""
        asked = self._exchange(request.outcome(), patience)[1]
        if "recorded" not in asked.data:  # it can't read its ledger: nobody can tell
            return report
        return asked if asked.data["recorded"] else replace(report, outcome="failed")

    def _recover(self, request: Request, lost: LostError, patience: Patience) -> Report:
        for pause in _pauses(patience.deadline):
            time.sleep(pause)
            try:
                asked = self._exchange(request.outcome(), patience)[1]
                if asked.data.get("recorded"):
                    return asked
                if "recorded" not in asked.data:
                    why = "; ".join(map(str, asked.reasons))
                    raise LostError(f"it can't tell what became of it: {why}", sent=True)
                if lost.status == TOO_LARGE:
                    why = (
                        f"something before the server takes no body of {len(request.body)} bytes ({lost.why})"
                    )
                    raise RejectedError(f"{self.endpoint}: {why}")
                return self._until_free(request, patience)
            except LostError as error:
                lost = error
                patience.tell(lost.why)
        raise self._lost(lost.why)

    def sealed_for_later(self, request: Request) -> str:
        """Return a request's header, too old from its beginning: who has it can't send it by itself."""
        wire, claims = self._claims(request)
        assert wire == request.body  # so small that it is not packed
        return seal({**claims, "iat": 0, "exp": 0}, self._key, REQUEST)

    def _exchange(self, request: Request, patience: Patience) -> tuple[int, Report]:
        """Send once. Return the status and the report of a believed answer, or raise LostError."""
        wire, claims = self._claims(request)
        token = seal(claims, self._key, REQUEST)
        begun = time.time()
        answer = self._line.post(token, wire, patience)
        claims, report = self._believe(answer, request)
        if request.op == "hello":
            self._offset = claims["t"] + 0.5 - (begun + time.time()) / 2  # 0.5: `t` is cut to whole seconds
        return answer.status, report

    def _claims(self, request: Request) -> tuple[bytes, dict[str, Any]]:
        """Return a request's bytes, and all that its header says."""
        wire, content = packed(request.body, max(0, int(time.time() + self._offset)))
        return wire, {
            "v": 1,
            "op": request.op,
            "app": request.app,
            "epoch": request.epoch,
            "base": request.base,
            "rel": request.release,
            "py": request.python,
            "n": request.nonce,
            "cid": self._who,
            **content,
        }

    def _believe(self, answer: Answer, request: Request) -> tuple[dict[str, Any], Report]:
        try:
            claims, _ = unseal(answer.token, Keyring([self._key]), RESPONSE, RESPONSE_CLAIMS)
            honest = (
                same(claims["rn"], request.nonce)
                and claims["st"] == answer.status
                and claims["len"] == len(answer.body)
                and same(claims["sha"], sha256(answer.body))
            )
            if honest:
                return claims, Report.from_json(loads_json(answer.body))
        except (HabaneroError, ValueError, KeyError, TypeError, AttributeError):
            pass  # said below, in the same words: why it isn't believed is of no use to a person
        raise LostError(_stranger(answer), sent=True, status=answer.status)


def _pauses(deadline: float) -> Iterator[float]:
    attempt = 0
    while time.monotonic() + (pause := PAUSES_S[min(attempt, len(PAUSES_S) - 1)]) < deadline:
        yield pause
        attempt += 1


def _stranger(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return (
            f"HTTP {answer.status}, a redirect to {answer.location[:200]!r}: not followed, give that address"
        )
    signed = "with a signature that does not fit" if answer.token else "without a signature"
    return f"HTTP {answer.status} {signed}: another secret, another address, or a clock that is a day off"
