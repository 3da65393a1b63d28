"""A web server on loopback that notes what it is sent: the far end of a webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.hosts import eventually


@dataclass
class Receiver:
    """What came, and how it is answered.

    Attributes:
        requests: headers and body of each, in order.
        status: of the answers.
        go_on: no answer is given before it is set.
    """

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 204
    go_on: threading.Event = field(default_factory=threading.Event)

    def expect(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many came; return the bodies of all that are there."""
        eventually(lambda: len(self.requests) >= count, 20)
        return [json.loads(body) for _, body in self.requests]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on a free port of this machine."""
    found = Receiver()
    found.go_on.set()

    class Listening(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((dict(self.headers), body))
            found.go_on.wait(30)
            self.send_response(found.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    found.url = f"http://127.0.0.1:{server.server_port}/told/of-a-secret-path"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
