"""Blocks of lines on a terminal: fitted to its width, and one that comes again is counted in its place.

What is no terminal gets every line whole, one below the other.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections import deque
from collections.abc import Hashable, Sequence

import click

from .target import here

KEPT = 500  # first lines, for whoever wants to see them again
NARROWEST = 20  # below that nothing can be read, and cutting is no help
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_UP = "\x1b[{}A\r\x1b[J"  # so many rows up, and everything from there is blank


def width_of_screen() -> int:
    """Return how many columns stdout has; 0 if it is no terminal."""
    if not sys.stdout.isatty():
        return 0
    return max(shutil.get_terminal_size().columns, NARROWEST)


def seen(text: str) -> int:
    """Return how many columns a text takes, in colours or without."""
    return len(_STYLE.sub("", text))


def cut(text: str, width: int) -> str:
    """Return a text that takes at most so many columns; colours that it begins are ended."""
    if not width or seen(text) <= width:
        return text
    kept, room = "", width - 3
    for part in re.split(f"({_STYLE.pattern})", text):
        if _STYLE.fullmatch(part):
            kept += part
        else:
            kept += part[:room]
            room -= len(part[:room])
    return f"{kept}..."


def wrapped(text: str, width: int) -> list[str]:
    """Return a line of words as lines of at most so many columns, those that follow a bit further in."""
    if not width or seen(text) <= width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(
        text, width, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    )


class Printer:
    """One screen, from top to bottom.

    Attributes:
        shown: the first lines of the newest blocks.
    """

    def __init__(self) -> None:
        self.shown: deque[str] = deque(maxlen=KEPT)
        self._last: Hashable = None
        self._times = 0
        self._rows = 0

    def block(self, first: str, below: Sequence[str] = (), same: Hashable = None) -> None:
        """Print a block.

        Args:
            first: its first line; it is cut.
            below: lines of words below it; they are wrapped.
            same: what is equal if the block says the same again; None never is.
        """
        width = width_of_screen()
        again = same is not None and same == self._last and bool(width) and _moves()
        times = self._times + 1 if again else 1
        mark = f" (x{times})" if again else ""
        lines = [f"{cut(first, width - len(mark)) if width else first}{mark}"]
        lines += [row for line in below for row in wrapped(line, width)]
        if again:
            sys.stdout.write(_UP.format(self._rows))
            self.shown.pop()
        for line in lines:
            click.echo(line)
        self.shown.append(lines[0])
        self._last, self._times = same, times
        self._rows = sum(max(1, -(-seen(line) // width)) for line in lines) if width else 0

    def interrupted(self) -> None:
        """Note that something else stands below the last block now: it can't be counted in its place."""
        self._last = None


def _moves() -> bool:
    """Whether a terminal's cursor can be moved."""
    return here()[1].get("TERM", "dumb") != "dumb"
