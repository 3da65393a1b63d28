"""Compiling for another Python: what runs in that Python's process, and nothing else.

It reads a question from stdin and writes one answer to stdout. It imports what both sides of the wire
share, and of that only what needs nothing but the standard library.

::

    question   JSON: {"optimize": level, "sources": [[name, path, whether it is a package, text], ...]}
    answer     length of the next, four bytes, big-endian
               JSON: {name: [path, line, column, text, why], ...}, what does not compile
               a bundle (docs/wire.md) of what does, with this Python's tag; it has no parent and no target
"""

from __future__ import annotations

import json
import struct
import sys

from ..errors import BuildError
from ..release import Bundle, digest_of, loads_json
from ..source import Source
from ..unit import build_unit, python_tag

NOWHERE = digest_of({})


def answer(question: bytes) -> bytes:
    """Return the answer to a question. It comes from our own other half, so whatever is wrong may raise."""
    asked = loads_json(question)
    level = asked["optimize"]
    units, wrong = [], {}
    for name, path, package, text in asked["sources"]:
        try:
            units.append(build_unit(Source(name, path, package, text), level))
        except BuildError as error:
            wrong[name] = [error.path, error.line, error.column, error.text, error.why]
    told = json.dumps(wrong).encode()
    bundle = Bundle(tuple(units), (), python_tag(level), NOWHERE, NOWHERE)
    return struct.pack(">I", len(told)) + told + bundle.encode()


def main() -> None:
    """Answer once."""
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))
