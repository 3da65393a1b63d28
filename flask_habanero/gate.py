"""The gate: counts the requests of this process, and holds new ones while it is closed.

One per process, shared by all its apps. It knows WSGI and nothing of Flask.

Counting in and closing race without a lock on a request's way. Each side first writes and
then reads what the other wrote: a request notes itself and then looks whether the gate is
closed; a closer marks the gate closed and then looks who has noted itself. Whatever the
interleaving, at least one of them sees the other, and a request that sees a closed gate
takes its note back before it waits.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WAIT_S = 30.0  # a request waits this long at a closed gate: the usual time-out of a proxy in front of us
_WHOLE = (list, tuple)  # answers with nothing left to run
_NAMED = 8  # holders that an answer names; more would only be noise


class Unavailable(Exception):  # noqa: N818  # an answer to a request (503), not a fault
    """This process must not serve now: the request gets a 503 and may come again in a second."""


class _Request:
    """One counted request, and the answer that is handed to the server in its app's place.

    The server asks it for an iterator once and closes it once, so that passing chunks on
    costs nothing here.
    """

    __slots__ = ("_gate", "_ident", "answer", "environ", "since")

    def __init__(self, gate: Gate, ident: int, environ: WSGIEnvironment) -> None:
        self._gate, self._ident, self.environ = gate, ident, environ
        self.answer: Iterable[bytes] = ()
        self.since = time.monotonic()

    def __str__(self) -> str:
        path = f"{self.environ.get('SCRIPT_NAME', '')}{self.environ.get('PATH_INFO', '')}"[:100]
        shown = "".join(c if c.isprintable() else "?" for c in path)  # of a stranger, for a terminal
        return f"{self.environ.get('REQUEST_METHOD', '')} {shown} {time.monotonic() - self.since:.1f} s"

    def __iter__(self) -> Iterator[bytes]:
        if type(self.answer) is GeneratorType:
            return self._noticing_the_first()
        return iter(self.answer)

    def _noticing_the_first(self) -> Iterator[bytes]:
        for chunk in self.answer:
            self._gate._begun(self._ident, self)
            yield chunk

    def close(self) -> None:
        try:
            close = getattr(self.answer, "close", None)
            if close is not None:
                close()
        finally:
            self._gate._leave(self._ident, self)

    def __del__(self) -> None:
        # Dropped unclosed, against PEP 3333. No lock here: this may run in the middle of anything.
        self._gate._streaming.discard(id(self))


class Gate:
    """Counts the requests in this process; holds new ones while closed.

    A thread that is inside passes freely: an app may call itself, and gated apps may be
    nested. So does a thread that closed the gate.

    Closings belong to the thread that made them. While two threads hold the gate closed,
    it opens when both have opened it.

    Attributes:
        stragglers: answers that were still streaming when the last `close` gave up waiting
            for them.
        heed: if not None, takes the server's ``start_response`` and returns what the app is given instead.
    """

    def __init__(self) -> None:
        self._calling: dict[int, _Request] = {}  # thread -> the request whose app runs in it
        self._streaming: set[int] = set()  # ids of requests: a server that drops an answer unclosed frees it
        self._closers: set[int] = set()
        self._closed = False  # bool(self._closers), written before the counts are read
        self._changed = threading.Condition()
        self.stragglers = 0
        self.heed: Callable[[StartResponse], StartResponse] | None = None

    @property
    def running(self) -> int:
        """How many requests are inside, streaming ones included."""
        return len(self._calling) + len(self._streaming)

    def wrap(self, wsgi_app: WSGIApplication, before: Callable[[], None]) -> WSGIApplication:
        """Return the app behind the gate.

        `before` is called at the start of every outermost request, before it is counted in,
        and again after the request waited. What it changes is seen by the request. It, and a
        wait beyond `WAIT_S` seconds, may end the request with `Unavailable`: a 503.
        """
        calling, streaming, get_ident = self._calling, self._streaming, threading.get_ident

        def gated(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            ident = get_ident()
            if ident in calling:
                return wsgi_app(environ, start_response)
            try:
                before()
                calling[ident] = request = _Request(self, ident, environ)
                if self._closed:
                    self._wait(ident, request, before)
            except Unavailable as error:
                return _unavailable(error, start_response)
            heed = self.heed  # another thread may take it away
            if heed is not None:
                start_response = heed(start_response)
            try:
                answer = wsgi_app(environ, start_response)
            except BaseException:  # SystemExit and GreenletExit leave the app too
                self._leave(ident, request)
                if heed is not None:  # as the server answers it
                    heed(_nobodys)("500 Internal Server Error", [])
                raise
            if type(answer) in _WHOLE or _is_file(answer, environ):
                self._leave(ident, request)
                return answer
            request.answer = answer
            if type(answer) is not GeneratorType:  # that has run nothing yet: it may be the whole app
                streaming.add(id(request))  # as _begun does: each call in here is paid by every request
                del calling[ident]
            return request

        return gated

    def close(self, timeout_s: float) -> tuple[str, ...]:
        """Hold new requests, and wait until none is inside an app, for at most `timeout_s`.

        Returns:
            Nothing when all is still: the gate is closed, and this thread must `open` it.
            Else who held it ("GET /slow 3.2 s", longest first), and it is open again.
        """
        me = threading.get_ident()
        with self._changed:
            self._closers.add(me)
            self._closed = True
            try:
                self._changed.wait_for(lambda: self._is_still(me), timeout_s)
            except BaseException:  # an interrupt, a worker's time-out: a gate left closed holds every request
                self._reopen(me)
                raise
            inside = self._inside(me)
            if not inside and me in self._closers:
                self.stragglers = len(self._streaming)
                return ()
            self._reopen(me)
        return tuple(map(str, inside[:_NAMED])) or ("another thread opened the gate",)

    def open(self) -> None:
        """Take this thread's closing back; all of them, if it made none (a lease that ended)."""
        with self._changed:
            self._reopen(threading.get_ident())

    def _reopen(self, me: int) -> None:
        if me in self._closers:
            self._closers.remove(me)
        else:
            self._closers.clear()
        self._closed = bool(self._closers)
        self._changed.notify_all()

    def _inside(self, me: int) -> list[_Request]:
        inside = [request for ident, request in self._calling.copy().items() if ident != me]
        return sorted(inside, key=lambda request: request.since)

    def _is_still(self, me: int) -> bool:
        return me not in self._closers or not (self._streaming or self._inside(me))

    def _wait(self, ident: int, request: _Request, before: Callable[[], None]) -> None:
        """Take a request's note back until the gate opens; return when it is counted in.

        Raises:
            Unavailable: the gate stayed closed.
        """
        deadline = time.monotonic() + WAIT_S
        while self._closed and ident not in self._closers:
            self._leave(ident, request)
            with self._changed:
                if not self._changed.wait_for(lambda: not self._closed, deadline - time.monotonic()):
                    raise Unavailable("a release is being made live")
            before()  # the code may be another one now
            request.since = time.monotonic()
            self._calling[ident] = request

    def _begun(self, ident: int, request: _Request) -> None:
        """The answer has begun, what is left only streams: a closer waits for it, but not for ever."""
        if self._calling.get(ident) is request:
            self._streaming.add(id(request))  # first, so that no closer sees it in neither place
            del self._calling[ident]  # nobody to wake: a closer waits for the stream, too

    def _leave(self, ident: int, request: _Request) -> None:
        """Count a request out, wherever it is. Doing it twice does no harm."""
        if self._calling.get(ident) is request:
            del self._calling[ident]
        self._streaming.discard(id(request))
        if self._closed:  # read after the count was changed: see the module's docstring
            self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _nobodys(_status: str, _headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[..., None]:
    """Stand for a server's `start_response`."""
    return lambda *_: None


def _is_file(answer: object, environ: dict[str, Any]) -> bool:
    """Whether the server must see this very object, to send it by sendfile."""
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return False
    # uWSGI's is a function, which hands back the file that it was given
    return isinstance(answer, wrapper if isinstance(wrapper, type) else io.IOBase)


def _unavailable(error: Unavailable, start_response: StartResponse) -> Iterable[bytes]:
    body = f"503 Service Unavailable: {error}\n".encode()
    # No "Connection: close": PEP 3333 forbids it to apps, and waitress and wsgiref answer it with a 500
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("503 Service Unavailable", [*headers, ("Retry-After", "1"), ("Cache-Control", "no-store")])
    return [body]
