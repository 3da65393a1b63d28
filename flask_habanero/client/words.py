"""Values as words and columns: pure, the only place that makes them.

::

    14:02:11  live  #42  shop/views.py   ~index +vat_rate   9.8 ms   2/2 workers
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from ..errors import BuildError, ConfigError, HabaneroError, PythonMismatchError, Reason
from ..release import Report, WorkerCount
from .compiler import NoPythonError
from .desk import Situation, path_of
from .printer import cut, seen
from .push import Result

PATH_WIDTH = 40
STEPS_WIDTH = 60
SOME = 3  # of a list of files
UNCHANGED = "no statement changed"  # comments did, or the layout
LEAST = 12  # columns that a path, and what was done, keep on a narrow screen
COLOURS = {
    "live": "green",
    "unchanged": "green",
    "plan": "green",
    "rehearsed": "green",
    "back": "green",
    "held": "yellow",
    "newer": "yellow",
    "away": "yellow",
    "conflict": "yellow",
    "cold": "yellow",
    "ok": "green",
    "warn": "yellow",
    "skip": "yellow",
}
"""Outcome -> colour; every other is red."""

HINTS = {
    "rejected": "is HABANERO_SECRET here the one that the server has?  a new one: flask habanero secret",
    "unreachable": "nothing was sent; is the address right, and the server up?  flask habanero status",
    "unknown": "it may be live; ask: flask habanero status",
    "failed": "the server keeps its old code",
    "python": "run this command with that Python, in a virtual environment of its own",
    "too-large": "send less at once, or raise HABANERO_MAX_BYTES on the server",
}


def shorten(text: str, width: int = PATH_WIDTH) -> str:
    """Return a path at most `width` characters wide, cut at its left."""
    return text if len(text) <= width else "..." + text[-(width - 3) :]


def clock() -> str:
    """Return the time of day, for the first column."""
    return datetime.now().astimezone().strftime("%H:%M:%S")


def tag(outcome: str) -> str:
    """Return an outcome in its colour, padded to the column."""
    return click.style(f"{outcome:<5}", fg=COLOURS.get(outcome, "red"), bold=True)


def dim(text: str) -> str:
    """Return text that is not what a person looks for first."""
    return click.style(text, dim=True)


def files(paths: Sequence[str]) -> str:
    """Return which files, in one column: one by name, more by number."""
    if len(paths) == 1:
        return shorten(paths[0])
    return f"{len(paths)} files"


def verbs(result: Result) -> str:
    """Return what was done, short: without the module where there is only one, cut at the width."""
    texts = []
    alone = {*result.sent, *result.paths} if len(result.sent) == 1 else set()
    for step in result.report.steps:
        where, _, verb = step.partition(": ")
        texts.append((verb or UNCHANGED) if where in alone else step)
    shown: list[str] = []
    for text in texts:
        if shown and sum(map(len, shown)) + len(text) > STEPS_WIDTH:
            return f"{' '.join(shown)} ... {len(texts) - len(shown)} more"
        shown.append(text)
    return " ".join(shown)


def reach(workers: WorkerCount) -> str:
    """Return how many workers run it."""
    asleep = f" ({workers.asleep} asleep)" if workers.asleep else ""
    return f"{workers.at_head}/{workers.total - workers.asleep} workers{asleep}"


def result_line(outcome: str, result: Result, held: int = 0, width: int = 0) -> str:
    """Return the one line of a push. On a screen that is narrower, it says less: shorter names, no times."""
    path, done = files(result.paths) if result.paths else "", verbs(result)
    line = _result_line(outcome, result, held, path, done)
    if not width or seen(line) <= width:
        return line
    for timed in (True, False):
        bare = seen(_result_line(outcome, result, held, "", "", timed=timed)) + 6  # with what parts columns
        done = cut(done, max(width - bare - len(path), min(len(done), LEAST)))
        path = shorten(path, max(width - bare - len(done), LEAST))
        line = _result_line(outcome, result, held, path, done, timed=timed)
        if seen(line) <= width:
            break
    return line


def _result_line(outcome: str, result: Result, held: int, path: str, done: str, *, timed: bool = True) -> str:
    report = result.report
    when = f"{dim(clock())}  " if timed else ""
    columns = [f"{when}{tag(outcome)} #{report.release:<3} {path}", done]
    if timed and "total" in report.ms:
        columns.append(dim(f"{report.ms['total']:.1f} ms"))
    if report.workers.total:
        columns.append(reach(report.workers))
    if held:
        columns.append(click.style(f"{held} held", fg="yellow"))
    return "   ".join(column.rstrip() for column in columns if column)


def report_lines(report: Report) -> list[str]:
    """Return what stands beneath the line of a push: reasons, and workers that are not at head."""
    behind = [f"          behind: {text}" for text in report.workers.behind]
    return [*reason_lines(report.reasons), *behind, *_lost_lines(report.data)]


def _lost_lines(data: Mapping[str, Any]) -> list[str]:
    """Return what a restart has taken, or would take, from the workers' memory, as far as that is known."""
    if not (data.get("restarted") is True or data.get("restarts") is True):
        return []
    gathered = data.get("gathered")
    names = [f"            {line}" for line in gathered] if isinstance(gathered, list) else []
    return [f"          {data.get('lost', '')}", *names]


def unimported_lines(result: Result) -> list[str]:
    """Return what stands beneath the line of a push that brought files which nothing imports yet."""
    paths = result.unimported
    runs = "it runs" if len(paths) == 1 else "they run"
    return [f"          nothing imports {some(paths)} yet: {runs} once something does"] if paths else []


def some(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(names) - SOME} more" if len(names) > SOME else ""
    return ", ".join(names[:SOME]) + more


def reason_lines(reasons: Iterable[Reason]) -> list[str]:
    """Return reasons as they stand beneath a line, each with what to do."""
    lines = []
    for reason in reasons:
        place = f"{reason.where}  " if reason.where else ""
        first, *rest = reason.what.splitlines() or [""]
        lines.append(f"          {place}{first}  {dim(f'[{reason.code}]')}")
        lines += [f"            {text}" for text in rest]
        if reason.hint:
            lines.append(f"          hint: {reason.hint}")
    return lines


def caret_lines(error: BuildError) -> list[str]:
    """Return the line that does not compile, with a caret under the place."""
    if not error.text.strip():
        return []
    margin = f"            {error.line:>5} | "
    cut = len(error.text) - len(error.text.lstrip())
    caret = " " * max(0, error.column - 1 - cut)
    return [margin + error.text.strip(), " " * (len(margin) - 2) + "| " + caret + "^"]


def python_name(python: str) -> str:
    """Return a Python's tag as people say it: "CPython 3.12 (optimize 1)"."""
    match = re.fullmatch(r"([0-9a-f]{4})-cpython-(\d)(\d+)-o(\d)-(gil|nogil)", python)
    if not match:
        return python
    magic, major, minor, level, gil = match.groups()
    extras = [f"bytecode {magic}"]
    extras += [f"-{'O' * int(level)}"] if level != "0" else []
    extras += ["free-threaded"] if gil == "nogil" else []
    return f"CPython {major}.{minor} ({', '.join(extras)})"


def report_of(error: HabaneroError) -> Report:
    """Return an error as the report that ends a command, each reason with what to type next."""
    reasons = error.reasons
    if isinstance(error, PythonMismatchError):
        here, there = python_name(error.actual), python_name(error.expected)
        what = f"this is {here}, the server runs {there}: its code can't be made here"
        hint = error.hint if isinstance(error, NoPythonError) else ""
        reasons = (Reason(error.slug, "", what, hint or HINTS["python"]),)
    elif isinstance(error, ConfigError):
        reasons = (Reason(error.slug, error.key, error.why, error.hint),)
    elif len(reasons) == 1 and not reasons[0].hint:
        hint = HINTS.get(reasons[0].code) or HINTS.get(error.outcome, "")
        if isinstance(error, BuildError):
            hint = "correct it; nothing was sent"
        reasons = (Reason(reasons[0].code, reasons[0].where, reasons[0].what, hint),)
    return Report(error.outcome, reasons=reasons)


def status_lines(report: Report, now: Situation, drift: Iterable[str] = ()) -> list[str]:
    """Return what `status` shows: app, epoch, head, workers, this tree, held files, drift, the newest."""
    data = report.data
    head = data.get("head") or {}
    by = (
        f" by {head['who']}, {ago(head['time'], data.get('time', 0))}"
        if head.get("who")
        else " (the deployed base)"
    )
    lines = [
        f"{tag(report.outcome)} {data.get('app', '?')}  epoch {str(data.get('epoch', ''))[:8]}",
        f"  head     #{report.release}{by}",
        f"  workers  {reach(report.workers)}",
        *trial_lines(data.get("trial")),
        *frozen_lines(data.get("frozen"), data.get("time", 0)),
        *(f"  behind   {text}" for text in report.workers.behind),
        f"  tree     {tree_words(now)}",
        *(f"  held     {path_of(now, name)}: {held.why}" for name, held in sorted(now.held.items())),
        *drift,
    ]
    return [*lines, *(log_line(record, data.get("time", 0)) for record in data.get("log", [])[:5])]


def trial_lines(trial: dict[str, Any] | None) -> list[str]:
    """Return who waits for a confirmation, and until when."""
    if not trial:
        return []
    number, until = trial["number"], datetime.fromtimestamp(trial["until"]).astimezone().strftime("%H:%M:%S")
    if trial["stays"]:
        return [f"  trial    #{number} stays from {until} on, in {trial['left']} s, unless it fails"]
    return [
        f"  trial    #{number} is taken back at {until}, in {trial['left']} s, unless confirmed",
        f"           flask habanero confirm {number}",
    ]


def frozen_lines(frozen: dict[str, Any] | None, now: int) -> list[str]:
    """Return who lets nobody push, since when, and why."""
    if not frozen:
        return []
    return [f"  frozen   by {frozen['who']}, {ago(frozen['since'], now)}: {frozen['why']}"]


def tree_words(now: Situation) -> str:
    """Return how this tree stands to the server's."""
    decision = now.decision
    counts = {
        "to send": len(decision.send) + len(decision.delete),
        "newer on the server": len(decision.newer),
        "changed on both sides": len(decision.conflicts) + len(decision.differs),
        "only on the server": len(decision.foreign),
    }
    return (
        ", ".join(f"{count} {words}" for words, count in counts.items() if count)
        or "the same as the server's"
    )


def log_line(record: dict[str, Any], now: int) -> str:
    """Return one release of the log."""
    modules = " ".join(map(str, record["modules"][:4]))
    more = f" and {len(record['modules']) - 4} more" if len(record["modules"]) > 4 else ""
    what = f"#{record['number']:<4} {ago(record['time'], now):<12} {record['who']:<24} {record['kind']:<9}"
    return f"  {what} {modules}{more}".rstrip()


def ago(then: int, now: int) -> str:
    """Return how long ago, in the unit that a person would say."""
    seconds = max(0, int(now) - int(then))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
