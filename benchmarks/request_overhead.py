"""What a request costs more when nothing is pushed.

    python benchmarks/request_overhead.py

One process, no sockets. Three pairs, each called with and without us, in turns: a WSGI callable that does
nothing, one whose answer has a `close` as Flask's have (so that microseconds can be seen), and the smallest
Flask view (so that the ratio means something).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask, send_file
from flask_habanero import Habanero
from flask_habanero.envelope import new_secret
from machine import machine
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import ClosingIterator, FileWrapper

AIM_US = 5.0
BLOCK = 200  # calls between two looks at the clock
PAGE = "<p>pepper</p>\n" * 20

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_app(folder: Path, *, with_us: bool, instead: Wsgi | None = None) -> Wsgi:
    """Return an app, or a WSGI callable in its place, with or without us in front."""
    app = Flask(__name__, instance_path=str(folder))
    app.config["SECRET_KEY"] = "benchmark"

    @app.get("/")
    def index() -> str:
        return PAGE

    @app.get("/file")
    def file() -> Any:
        return send_file(io.BytesIO(b"x" * 100_000), mimetype="text/plain")

    if instead:
        app.wsgi_app = instead  # type: ignore[method-assign,assignment]
    if with_us:
        Habanero(app)
    return app.wsgi_app if instead else app


def nothing(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer at once."""
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def closing(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer at once, with something to close."""
    start_response("200 OK", [("Content-Length", "2")])
    return ClosingIterator([b"ok"])


def environ_of(path: str) -> dict[str, Any]:
    """Return what a server would pass."""
    return EnvironBuilder(path=path).get_environ() | {"wsgi.file_wrapper": FileWrapper}


def call(app: Wsgi, environ: dict[str, Any]) -> int:
    """Make a request as a server does; return the length of the answer."""
    answer = app(dict(environ), ignore)
    length = sum(map(len, answer))
    close = getattr(answer, "close", None)
    if close:
        close()
    return length


def ignore(_status: str, _headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], None]:
    """Be a `start_response`."""
    return lambda _data: None


def block_us(app: Wsgi, environ: dict[str, Any], calls: int) -> float:
    """Return microseconds for one call, of a block of them."""
    begun = time.perf_counter()
    for _ in range(calls):
        call(app, environ)
    return (time.perf_counter() - begun) / calls * 1e6


def compare(folder: Path, blocks: int, instead: Wsgi | None = None) -> dict[str, float]:
    """Return the microseconds of a request without us and with us: medians of blocks, taken in turns."""
    plain = make_app(folder, with_us=False, instead=instead)
    ours = make_app(folder, with_us=True, instead=instead)
    environ, calls = environ_of("/"), BLOCK if instead else BLOCK // 4
    block_us(plain, environ, calls), block_us(ours, environ, calls)  # the first request starts us
    without, with_ = [], []
    for _ in range(blocks):
        without.append(block_us(plain, environ, calls))
        with_.append(block_us(ours, environ, calls))
    a, b = statistics.median(without), statistics.median(with_)
    return {
        "without_us": round(a, 3),
        "with_us": round(b, 3),
        "more_us": round(statistics.median(y - x for x, y in zip(without, with_, strict=True)), 3),
        "least_more_us": round(min(with_) - min(without), 3),  # what a loaded machine adds is not in it
        "ratio": round(b / a, 4),
        "blocks": blocks,
    }


def keeps_file_wrapper(folder: Path) -> bool:
    """Whether a file is returned to the server as such, so that it can be sent by the kernel."""
    app = make_app(folder, with_us=True)
    answer = app(environ_of("/file"), ignore)
    is_file = isinstance(answer, FileWrapper)
    answer.close()  # type: ignore[attr-defined]
    return is_file


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HABANERO_SECRET"] = new_secret()
        results = {
            "machine": machine(),
            "WSGI callable": compare(Path(folder), options.blocks, nothing),
            "WSGI callable with close": compare(Path(folder), options.blocks, closing),
            "Flask view": compare(Path(folder), options.blocks),
            "wsgi.file_wrapper is returned as such": keeps_file_wrapper(Path(folder)),
            "aim_us": AIM_US,
        }
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
