"""The door: who holds the secret comes in, everybody else meets the app.

Plain WSGI in front of the user's app, so that nothing the app does (hooks, logins, limits, a
broken push) can lock us out. A request that is not believed falls through untouched, and is
answered as any unknown path is: not one byte of its body is read, not one header is added.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .change import Request
from .envelope import FOR_READERS, REQUEST, REQUEST_CLAIMS, Keyring, check_fresh, same, sha256, unseal
from .errors import AudienceError, EnvelopeError, RejectedError
from .surroundings import software_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .config import Config

HEADER = "HTTP_HABANERO"
BELIEVED = "flask_habanero.request"  # key of the environ under which the control app finds the request
BODY_S = 10.0  # for the whole body; a worker is held meanwhile
PIECE = 64 * 1024
log = logging.getLogger("flask_habanero")


@dataclass
class Sampler:
    """Says which of many equal failures are worth a line: the 1st, 10th, 100th ... of a minute."""

    _minute: int = 0
    _counts: dict[str, int] = field(default_factory=dict)

    def count(self, slug: str, now: float) -> int:
        """Return how many there were in this minute if this one is worth a line, else 0."""
        if int(now / 60) != self._minute:
            self._minute, self._counts = int(now / 60), {}
        count = self._counts[slug] = self._counts.get(slug, 0) + 1
        return count if str(count).strip("0") == "1" else 0


class Endpoint:
    """WSGI: believed requests to `control`, all others to `app`."""

    def __init__(
        self, app: WSGIApplication, control: WSGIApplication, config: Config, app_id: str, keys: Keyring
    ) -> None:
        """Stand before an app. Of `keys`, those among the configured readers' may only read."""
        self._app, self._control, self._path = app, control, config.path
        self._app_id, self._keys, self._max_bytes = app_id, keys, config.max_bytes
        self._allow = config.allow
        self._readers = frozenset(config.readers.kids) if config.readers else frozenset()
        self._failures = Sampler()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("PATH_INFO") == self._path and HEADER in environ and self._is_near(environ):
            try:
                believed = self._believe(environ)
            except RejectedError as error:
                self._note(error, environ)
            else:
                return self._control({**environ, "PATH_INFO": "/", BELIEVED: believed}, start_response)
        return self._app(environ, start_response)

    def _is_near(self, environ: WSGIEnvironment) -> bool:
        """Whether a request comes from where one may come from."""
        return self._allow is None or self._allow.has(environ.get("REMOTE_ADDR", ""))

    def _believe(self, environ: WSGIEnvironment) -> Request:
        """Return the request, believed. The body is read only after all that the header says was checked."""
        header = environ[HEADER]
        if environ["REQUEST_METHOD"] != "POST":
            raise EnvelopeError("method")
        claims, kid = unseal(header, self._keys, REQUEST, REQUEST_CLAIMS)
        check_fresh(claims, int(time.time()))
        self._check_audience(claims)
        _check_length(environ, claims["len"])
        by_reader = kid in self._readers
        if claims["len"] > self._max_bytes or (by_reader and claims["op"] not in FOR_READERS):
            return Request(claims, kid, header, b"", by_reader=by_reader)  # the deployer says so, signed
        body = _body(environ, claims["len"], claims["sha"])
        return Request(claims, kid, header, body, software_of(environ), by_reader)

    def _check_audience(self, claims: dict[str, Any]) -> None:
        anyone = claims["app"] == "*" and claims["op"] == "hello"
        if not anyone and claims["app"] != self._app_id:
            raise AudienceError(self._app_id, claims["app"])

    def _note(self, error: RejectedError, environ: WSGIEnvironment) -> None:
        count = self._failures.count(error.slug, time.monotonic())
        if count:
            address = environ.get("REMOTE_ADDR", "")
            log.warning("not believed: %s, from %r (number %d in this minute)", error.slug, address, count)


def _check_length(environ: WSGIEnvironment, length: int) -> None:
    """Check what HTTP says of the body, so that no server or proxy can have read it differently."""
    if environ.get("HTTP_TRANSFER_ENCODING") or environ.get("HTTP_CONTENT_ENCODING"):
        raise EnvelopeError("coding")
    if (environ.get("CONTENT_LENGTH") or "0") != str(length):  # of no body, some leave it out
        raise EnvelopeError("length")


def _body(environ: WSGIEnvironment, length: int, digest: str) -> bytes:
    """Return the whole body. What was read of a wrong one is put back for the app."""
    with _impatient(environ):
        data = _read(environ["wsgi.input"].read, length, time.monotonic() + BODY_S)
    if len(data) != length or not same(sha256(data), digest):
        environ["wsgi.input"] = BytesIO(data)
        raise EnvelopeError("body")
    return data


def _read(read: Callable[[int], bytes], length: int, deadline: float) -> bytes:
    """Return the body, or what came of it in time.

    A server's `read` waits for all that it is asked for. Pieces that double bound the whole: at one
    byte a second the piece that crosses the deadline takes no longer than all before it did.
    """
    pieces, size = [], 1
    while length > 0 and time.monotonic() < deadline:
        try:
            piece = read(min(length, size))
        except OSError:  # the connection broke, or timed out
            break
        if not piece:
            break
        pieces.append(piece)
        length, size = length - len(piece), min(2 * size, PIECE)
    return b"".join(pieces)


@contextmanager
def _impatient(environ: WSGIEnvironment) -> Iterator[None]:
    """Let a sender that stops altogether time out, where the server shows us its socket."""
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is None:
        yield
        return
    before = connection.gettimeout()
    connection.settimeout(BODY_S)
    try:
        yield
    finally:
        connection.settimeout(before)
