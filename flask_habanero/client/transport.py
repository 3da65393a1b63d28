"""The only place that speaks HTTP: one sealed request, one believed answer.

- Nothing of the environment has a say: no proxy, no netrc, no redirect is followed.
- An answer counts only if our secret signed it for this very request, with this status and
  these bytes. Anything else is a stranger's word.
- Each exchange has one deadline of its own, from connect to last byte, and a bounded answer:
  a server that drips or never ends costs that time and that much memory.
- A push or rollback whose answer is lost is asked for by its nonce, and sent again under the
  same nonce, which the server takes once: so its end is known, or said to be unknown. That has
  one deadline, too; whoever waits is told soon, and may leave at any moment (Ctrl-C, SIGTERM).
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import NewConnectionError

from ..envelope import (
    REQUEST,
    RESPONSE,
    RESPONSE_CLAIMS,
    WINDOW_S,
    Key,
    Keyring,
    pack,
    same,
    seal,
    sha256,
    unseal,
)
from ..errors import AbandonedError, DeliveryError, HabaneroError, RejectedError
from ..release import Report, loads_json

HEADER = "Habanero"
MAX_ANSWER = 8 * 2**20  # bytes; the hello of 20,000 modules is 3 MiB
EXCHANGE_S = 30.0  # a push may wait for quiesce retries (5 s) and acknowledgements
CONNECT_S = 5.0
DELIVERY_S = 60.0  # until a lost answer is called unknown
LEAST_S = 1.0  # for one exchange, however near that is: less would only ask in vain
PATIENCE_S = 6.0  # in silence: a push that waits for running requests (5 s) is nothing to be told of
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


class _LostError(Exception):
    """No believable answer to one exchange: why, whether bytes left, and a stranger's status or 0."""

    def __init__(self, why: str, *, sent: bool, status: int = 0) -> None:
        super().__init__(why)
        self.why, self.sent, self.status = why, sent, status


@dataclass(frozen=True)
class _Answer:
    status: int
    token: str
    body: bytes
    location: str


class _Patience:
    """How long one operation and each exchange of it may take, and who is told, once, that it takes long."""

    def __init__(self, within_s: float, exchange_s: float, tell: Callable[[str], None] | None = None) -> None:
        self.deadline = time.monotonic() + within_s
        self.exchange_s, self._tell = exchange_s, tell

    def left(self) -> float:
        """Return the seconds until the deadline, which may have passed."""
        return self.deadline - time.monotonic()

    def tell(self, why: str) -> None:
        """Tell that there is no answer yet."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(why)


class Wire:
    """One server, one secret. Opens no connection before the first request."""

    def __init__(
        self, endpoint: str, key: Key, who: str, *, ca_file: str = "", exchange_s: float = EXCHANGE_S
    ) -> None:
        self.endpoint = endpoint
        self._key, self._who, self._ca_file, self._exchange_s = key, who, ca_file, exchange_s
        self._offset = 0.0  # server's clock minus ours, in seconds, as hello told it
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # no proxy, netrc or CA bundle that the environment names
        session.headers.clear()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.verify = self._ca_file or True
        return session

    @property
    def skew_s(self) -> float:
        """The server's clock minus ours, in seconds, as the last hello told it."""
        return self._offset

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, request: Request, *, within_s: float = 0.0) -> Report:
        """Return the answer to a request that changes nothing.

        It is sent once more if the connection ended without a word: one that was kept may have ended before.

        Args:
            request: what to ask.
            within_s: how long to wait, if not as usual.

        Raises:
            DeliveryError: no answer came.
            RejectedError: somebody answered, not with our secret.
        """
        assert not request.changes, "deliver() is for those"
        try:
            within_s = within_s or self._exchange_s
            return self._asked(request, _Patience(within_s, within_s))
        except _LostError as lost:
            if lost.status and lost.status not in GATEWAY:
                raise RejectedError(f"{self.endpoint}: {lost.why}") from None
            raise DeliveryError(self.endpoint, lost.why, maybe_live=False) from None

    def _asked(self, request: Request, patience: _Patience) -> Report:
        try:
            return self._exchange(request, patience)[1]
        except _LostError as lost:
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
        patience = _Patience(within_s, self._exchange_s, lambda why: unsure(self._lost(why)))
        try:
            return self._delivered(request, patience)
        except KeyboardInterrupt:
            raise AbandonedError(self._lost("interrupted before there was an answer")) from None

    def _lost(self, why: str) -> DeliveryError:
        return DeliveryError(self.endpoint, why, maybe_live=True)

    def _delivered(self, request: Request, patience: _Patience) -> Report:
        try:
            report = self._until_free(request, patience)
            return self._ended(request, report, patience) if report.outcome == "unknown" else report
        except _LostError as lost:
            if not lost.sent:
                raise DeliveryError(self.endpoint, lost.why, maybe_live=False) from None
            return self._recover(request, lost, patience)

    def _until_free(self, request: Request, patience: _Patience) -> Report:
        while True:
            status, report = self._exchange(request, patience)
            if status != BUSY or patience.left() < 0:
                return report
            time.sleep(BUSY_PAUSE_S)

    def _ended(self, request: Request, report: Report, patience: _Patience) -> Report:
        """Return what came of a push that ended in a fault of the server: it says so, and is asked once."""
        asked = self._exchange(request.outcome(), patience)[1]
        if "recorded" not in asked.data:  # it can't read its ledger: nobody can tell
            return report
        return asked if asked.data["recorded"] else replace(report, outcome="failed")

    def _recover(self, request: Request, lost: _LostError, patience: _Patience) -> Report:
        for pause in _pauses(patience.deadline):
            time.sleep(pause)
            try:
                asked = self._exchange(request.outcome(), patience)[1]
                if asked.data.get("recorded"):
                    return asked
                if "recorded" not in asked.data:
                    why = "; ".join(map(str, asked.reasons))
                    raise _LostError(f"it can't tell what became of it: {why}", sent=True)
                if lost.status == TOO_LARGE:
                    why = (
                        f"something before the server takes no body of {len(request.body)} bytes ({lost.why})"
                    )
                    raise RejectedError(f"{self.endpoint}: {why}")
                return self._until_free(request, patience)
            except _LostError as error:
                lost = error
                patience.tell(lost.why)
        raise self._lost(lost.why)

    def sealed_for_later(self, request: Request) -> str:
        """Return a request's header, too old from its beginning: who has it can't send it by itself."""
        assert pack(request.body)[1] == "id"
        claims = self._claims(request, request.body, "id")
        return seal({**claims, "iat": 0, "exp": 0}, self._key, REQUEST)

    def _exchange(self, request: Request, patience: _Patience) -> tuple[int, Report]:
        """Send once. Return the status and the report of a believed answer, or raise _LostError."""
        wire, encoding = pack(request.body)
        token = seal(self._claims(request, wire, encoding), self._key, REQUEST)
        begun = time.time()
        answer = self._within_deadline(token, wire, patience)
        claims, report = self._believe(answer, request)
        if request.op == "hello":
            self._offset = claims["t"] + 0.5 - (begun + time.time()) / 2  # 0.5: `t` is cut to whole seconds
        return answer.status, report

    def _claims(self, request: Request, wire: bytes, encoding: str) -> dict[str, Any]:
        now = max(0, int(time.time() + self._offset))
        return {
            "v": 1,
            "op": request.op,
            "app": request.app,
            "epoch": request.epoch,
            "base": request.base,
            "rel": request.release,
            "py": request.python,
            "len": len(wire),
            "ulen": len(request.body),
            "enc": encoding,
            "sha": sha256(wire),
            "n": request.nonce,
            "iat": now,
            "exp": now + WINDOW_S,
            "cid": self._who,
        }

    def _believe(self, answer: _Answer, request: Request) -> tuple[dict[str, Any], Report]:
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
        raise _LostError(_stranger(answer), sent=True, status=answer.status)

    def _within_deadline(self, token: str, wire: bytes, patience: _Patience) -> _Answer:
        """Post in a thread that can be left behind: sockets know time between bytes, not in all."""
        session = self._session
        seconds = max(LEAST_S, min(patience.exchange_s, patience.left()))
        box: queue.SimpleQueue[_Answer | _LostError] = queue.SimpleQueue()

        def run() -> None:
            try:
                box.put(self._post(session, token, wire, seconds))
            except (requests.RequestException, Urllib3Error, OSError) as error:
                box.put(_LostError(_why(error), sent=_was_sent(error)))
            if session is not self._session:  # nobody waits any more
                session.close()

        threading.Thread(target=run, name="habanero-post", daemon=True).start()
        try:
            result = _patiently(box, seconds, patience)
        except queue.Empty:
            self._session = self._new_session()  # the thread keeps the old one
            raise _LostError(f"no answer within {seconds:.2g} s", sent=True) from None
        if isinstance(result, _LostError):
            raise result
        return result

    def _post(self, session: requests.Session, token: str, wire: bytes, seconds: float) -> _Answer:
        headers = {
            HEADER: token,
            "Content-Type": "application/octet-stream",
            "Accept-Encoding": "identity",  # a compressed answer could unpack to any size
            "User-Agent": "flask-habanero",
        }
        with session.post(
            self.endpoint,
            data=wire,
            headers=headers,
            timeout=(CONNECT_S, seconds),
            allow_redirects=False,  # the body and our header would go along
            stream=True,
        ) as response:
            body = response.raw.read(MAX_ANSWER + 1, decode_content=False)
            found = response.headers
            return _Answer(response.status_code, found.get(HEADER, ""), body, found.get("Location", ""))


def _patiently(
    box: queue.SimpleQueue[_Answer | _LostError], seconds: float, patience: _Patience
) -> _Answer | _LostError:
    """Return what comes within so many seconds, else raise queue.Empty; tells if it takes long."""
    with suppress(queue.Empty):
        return box.get(timeout=min(seconds, PATIENCE_S))
    patience.tell(f"no answer for {min(seconds, PATIENCE_S):.2g} s")
    return box.get(timeout=max(0.0, seconds - PATIENCE_S))


def _pauses(deadline: float) -> Iterator[float]:
    attempt = 0
    while time.monotonic() + (pause := PAUSES_S[min(attempt, len(PAUSES_S) - 1)]) < deadline:
        yield pause
        attempt += 1


def _stranger(answer: _Answer) -> str:
    if 300 <= answer.status < 400:
        return (
            f"HTTP {answer.status}, a redirect to {answer.location[:200]!r}: not followed, give that address"
        )
    signed = "with a signature that does not fit" if answer.token else "without a signature"
    return f"HTTP {answer.status} {signed}: another secret, another address, or a clock that is a day off"


def _was_sent(error: BaseException) -> bool:
    """Whether the server may have seen some of the request."""
    if isinstance(
        error, requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.InvalidURL
    ):
        return False
    inner = error.args[0] if error.args else None
    return not isinstance(getattr(inner, "reason", inner), NewConnectionError)


def _why(error: BaseException) -> str:
    """Return the cause in words, without the libraries' own."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS: {_deepest(error)}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return _deepest(error)


def _deepest(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
