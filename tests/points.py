"""Kills the worker that leads a push at each line that the push executes, in a process of its own.

``python -m tests.points --every 3 --json out.json``. A second worker serves on beside it all the while.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from flask_habanero import moves
from flask_habanero.change import Request
from flask_habanero.envelope import Keyring
from flask_habanero.errors import HabaneroError
from flask_habanero.ledger import Ledger
from flask_habanero.server import signed

from tests.fakes import tree_of
from tests.hosts import APP, KEY, Host, Member
from tests.ledgers import Author

KEYS = Keyring([KEY])
BASE = tree_of(shop="x = 0", shop__views="y = 0")


class Other:
    """A worker in a process of its own, which serves on: it is asked through a pipe."""

    def __init__(self, folder: Path) -> None:
        (theirs, self._out), (self._in, answers) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._out)  # else it would never come to an end
            try:
                moves.LEASE_S = 0.5  # a leader that is gone holds its requests for so long
                member = Host(folder).worker(BASE)
                while os.read(theirs, 1):
                    os.write(answers, member.get().encode().ljust(64))
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(answers)

    def get(self) -> str:
        """Serve one request."""
        os.write(self._out, b"?")
        return os.read(self._in, 64).decode().strip()

    def end(self) -> None:
        os.close(self._out)
        os.close(self._in)
        os.waitpid(self.pid, 0)


@dataclass
class Killing:
    """What came of killing at some lines."""

    folder: Path
    points: int = 0
    lines: int = 0
    recorded: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self, lines: range) -> None:
        """Kill at each of some lines; end where a push is through before it comes to one."""
        author = Author(Ledger(self.folder / "store", APP, KEYS), KEY, BASE).begin()
        other = Other(self.folder)
        try:
            for line in lines:
                if self._at(line, author, other):
                    self.lines = line
                    return
        finally:
            other.end()

    def _at(self, line: int, author: Author, other: Other) -> bool:
        """Kill at one line, look at what was left, send the same bytes again. Returns whether it ended."""
        before, after = f"x = {author.number}", f"x = {author.number + 1}"
        tree = author.tree | tree_of(shop=after)
        row = author.pushing(tree)
        request = Request.verified(row["header"], row["body"], KEYS)
        _, ended = _in_child(lambda: _led(self.folder, request, line))
        try:
            assert other.get() in (before, after), "torn, or older than what was acknowledged"
            known = author.ledger.by_nonce(row["nonce"])
            assert other.get() == (after if known else before), "another than what is recorded"
            self.recorded += known is not None and not ended
            told, _ = _in_child(lambda: _led(self.folder, request, 0))
            assert told is not None, "the retry died"
            assert told[:2] == ["live", author.number + 1], told
            assert told[2] is (known is not None), "done again, or not known again"
            assert told[3] == other.get() == after, "acknowledged, and not served"
            head = author.ledger.head(author.epoch)
            assert (head.number, head.nonce) == (author.number + 1, row["nonce"]), "another head"
        except (AssertionError, HabaneroError) as error:
            self.wrong.append(f"line {line}: {error!r}")
        author.tree, author.number = tree, author.number + 1
        self.points += not ended
        return ended


def _in_child(act: Callable[[], list[Any]]) -> tuple[list[Any] | None, bool]:
    """Return what a forked process gives, or None, and whether it came to its end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, json.dumps(act()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (json.loads(text) if text else None), status != -signal.SIGKILL


def _led(folder: Path, request: Request, line: int) -> list[Any]:
    """Lead a push as a worker that has just started, and die at a line of ours; 0: at none."""
    member = Host(folder).worker(BASE)
    left = line

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        if "/flask_habanero/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace if line else None)
    return _answered(member, request)


def _answered(member: Member, request: Request) -> list[Any]:
    report = member.deployer.receive(request)
    signed(report, request, KEY)
    sys.settrace(None)
    told = [report.outcome, report.release, bool(report.data.get("duplicate")), member.get()]
    member.fleet.leave()
    return told


def kill(folder: Path, lines: range) -> Killing:
    """Return what came of killing at each of some lines."""
    killing = Killing(folder)
    killing.run(lines)
    return killing


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="so many lines from one to the next")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--most", type=int, default=10**6, help="the last line")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = kill(Path(place), range(given.first, given.most, given.every))
    text = {name: value for name, value in vars(found).items() if name != "folder"}
    sys.stdout.write(json.dumps(text, indent=1) + "\n")
    if given.json:
        given.json.write_text(json.dumps(text, indent=1) + "\n")
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
