"""The only place that speaks HTTP: what came back for some bytes, or why nothing did.

- Nothing of the environment has a say: no proxy, no netrc, no redirect is followed.
- Each exchange has one deadline of its own, from connect to last byte, and a bounded answer:
  a server that drips or never ends costs that time and that much memory. Who waits may leave at
  any moment (Ctrl-C, SIGTERM).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import NewConnectionError

HEADER = "Habanero"
MAX_ANSWER = 8 * 2**20  # bytes; the hello of 20,000 modules is 3 MiB
CONNECT_S = 5.0
LEAST_S = 1.0  # for one exchange, however near that is: less would only ask in vain
PATIENCE_S = 6.0  # in silence: a push that waits for running requests (5 s) is nothing to be told of


class LostError(Exception):
    """No believable answer to one exchange: why, whether bytes left, and a stranger's status or 0."""

    def __init__(self, why: str, *, sent: bool, status: int = 0) -> None:
        super().__init__(why)
        self.why, self.sent, self.status = why, sent, status


@dataclass(frozen=True)
class Answer:
    """What somebody answered, believed by nobody yet."""

    status: int
    token: str
    body: bytes
    location: str


class Patience:
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


class Line:
    """The way to one address. Opens no connection before the first exchange."""

    def __init__(self, endpoint: str, ca_file: str = "") -> None:
        self._endpoint, self._ca_file = endpoint, ca_file
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # no proxy, netrc or CA bundle that the environment names
        session.headers.clear()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.verify = self._ca_file or True
        return session

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def post(self, token: str, wire: bytes, patience: Patience) -> Answer:
        """Post in a thread that can be left behind: sockets know time between bytes, not in all."""
        session = self._session
        seconds = max(LEAST_S, min(patience.exchange_s, patience.left()))
        box: queue.SimpleQueue[Answer | LostError] = queue.SimpleQueue()

        def run() -> None:
            try:
                box.put(self._post(session, token, wire, seconds))
            except (requests.RequestException, Urllib3Error, OSError) as error:
                box.put(LostError(_why(error), sent=_was_sent(error)))
            if session is not self._session:  # nobody waits any more
                session.close()

        threading.Thread(target=run, name="habanero-post", daemon=True).start()
        try:
            result = _patiently(box, seconds, patience)
        except queue.Empty:
            self._session = self._new_session()  # the thread keeps the old one
            raise LostError(f"no answer within {seconds:.2g} s", sent=True) from None
        if isinstance(result, LostError):
            raise result
        return result

    def _post(self, session: requests.Session, token: str, wire: bytes, seconds: float) -> Answer:
        headers = {
            HEADER: token,
            "Content-Type": "application/octet-stream",
            "Accept-Encoding": "identity",  # a compressed answer could unpack to any size
            "User-Agent": "flask-habanero",
        }
        with session.post(
            self._endpoint,
            data=wire,
            headers=headers,
            timeout=(CONNECT_S, seconds),
            allow_redirects=False,  # the body and our header would go along
            stream=True,
        ) as response:
            body = response.raw.read(MAX_ANSWER + 1, decode_content=False)
            found = response.headers
            return Answer(response.status_code, found.get(HEADER, ""), body, found.get("Location", ""))


def _patiently(
    box: queue.SimpleQueue[Answer | LostError], seconds: float, patience: Patience
) -> Answer | LostError:
    """Return what comes within so many seconds, else raise queue.Empty; tells if it takes long."""
    with suppress(queue.Empty):
        return box.get(timeout=min(seconds, PATIENCE_S))
    patience.tell(f"no answer for {min(seconds, PATIENCE_S):.2g} s")
    return box.get(timeout=max(0.0, seconds - PATIENCE_S))


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
