"""What GitHub shows beside a line of a pull request: each reason why something did not go, with its place.

A workflow's log is read for lines such as ``::error file=shop/views.py,line=12::...``; they go to stderr.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import HabaneroError, Reason
from .push import RECORDED, Result

PLACE = re.compile(r"(?P<what>[^:]+)(?::(?P<line>\d+))?(?::(?P<column>\d+))?")
DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
VALUE = DATA | {":": "%3A", ",": "%2C"}


@contextmanager
def annotating(
    roots: Sequence[Path], environ: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[Callable[[Result], None]]:
    """Give what takes the result of a push or plan; errors that end the block are told, too, and go on.

    Outside of a workflow nothing is said.

    Args:
        roots: folders that paths are counted from.
        environ: tells whether GitHub runs this, and where its copy of the repository lies.
        say: takes lines of the log.
    """
    top = Path(environ.get("GITHUB_WORKSPACE") or Path.cwd())
    if environ.get("GITHUB_ACTIONS") != "true":
        yield lambda _: None
        return

    def tell(level: str, reasons: Iterable[Reason], paths: Mapping[str, str]) -> None:
        for reason in reasons:
            say(line_of(level, reason, lambda what: _file(paths.get(what, what), roots, top)))

    def told(result: Result) -> None:
        if result.report.outcome not in RECORDED:
            level = "warning" if result.report.data.get("restarts") else "error"
            tell(level, result.report.reasons, dict(zip(result.sent, result.paths, strict=True)))

    try:
        yield told
    except HabaneroError as error:
        tell("error", error.reasons, {})
        raise


def line_of(level: str, reason: Reason, file_of: Callable[[str], str]) -> str:
    """Return a line of the log. A place that is no file of the repository stands in the words."""
    place = PLACE.fullmatch(reason.where)
    name = file_of(place["what"]) if place else ""
    found = {"file": name, "line": place["line"], "col": place["column"]} if place and name else {}
    values = ",".join(f"{key}={_escaped(value, VALUE)}" for key, value in found.items() if value)
    where = "" if name or not reason.where else f"{reason.where}: "
    hint = f" ({reason.hint})" if reason.hint else ""
    return (
        f"::{level} {values}".rstrip() + f"::{_escaped(f'{where}{reason.what}{hint} [{reason.code}]', DATA)}"
    )


def _escaped(text: str, how: Mapping[str, str]) -> str:
    return "".join(how.get(one, one) for one in text)


def _file(name: str, roots: Iterable[Path], top: Path) -> str:
    """Return a file below the top of the repository, as GitHub names it; "" if there is none."""
    for root in roots:
        path = root / name
        if path.is_file():
            return Path(os.path.relpath(path, top)).as_posix()
    return ""
