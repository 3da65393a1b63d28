"""Where words go: results to stdout, progress to stderr.

`Lines` is for people, `JsonLines` for programs: one object a line on stdout, no colour.
"""

from __future__ import annotations

import json
import traceback
from typing import Any

import click

from ..errors import BuildError, DeliveryError, HabaneroError, Reason, StoreError
from ..release import Report
from .desk import Situation, path_of
from .push import Result
from .words import (
    PATH_WIDTH,
    also,
    caret_lines,
    clock,
    dim,
    python_name,
    reach,
    reason_lines,
    report_of,
    result_line,
    shorten,
    status_lines,
    tag,
)


class Lines:
    """The screen of a person."""

    def begin(self, now: Situation) -> None:
        """Say what is watched, and for whom."""
        view, tree = now.view, now.tree
        where = f"{view.app} #{view.head}, {reach(view.workers)}, {python_name(view.python)}"
        count = f"{len(tree.digests) - len(tree.assets)} modules"
        if tree.assets:
            count += f", {len(tree.assets)} templates and static files"
        self.note(f"watching {', '.join(sorted(tree.allowed))} ({count}) -> {where}")
        if tree.ignored:
            self.note(dim(f"{tree.ignored} other Python files are not the app's: ignored"))
        for name, held in sorted(now.held.items()):
            self.note(f"held  {path_of(now, name)}: {held.why}")

    def result(self, result: Result, held: int = 0) -> None:
        """Show one push."""
        report = result.report
        click.echo(result_line(report.outcome, result, held))
        self._reasons(report)

    def plan(self, result: Result) -> None:
        """Show what a push would do."""
        click.echo(result_line("plan" if result.report.outcome == "live" else result.report.outcome, result))
        deleted = set(result.decision.delete)
        for name, path in zip(result.sent, result.paths, strict=True):
            parts = (step.partition(": ") for step in result.report.steps)
            steps = [verb for where, _, verb in parts if where in (name, path)]
            click.echo(
                f"  {'-' if name in deleted else '~'} {path:<{PATH_WIDTH}}  {'  '.join(steps)}".rstrip()
            )
        self._reasons(result.report)
        click.echo(f"Plan: {len(result.decision.send)} to send, {len(deleted)} to remove, {also(result)}")

    def _reasons(self, report: Report) -> None:
        for line in (
            *reason_lines(report.reasons),
            *(f"          behind: {text}" for text in report.workers.behind),
        ):
            click.echo(line)

    def others(self, result: Result) -> None:
        """Show what was not sent because it is the server's."""
        if result.decision.newer:
            self.note(f"the server is newer, not sent: {', '.join(result.decision.newer)}")
        if result.decision.foreign:
            self.note(dim(f"only on the server, never touched: {len(result.decision.foreign)} files"))

    def broken(self, error: BuildError) -> None:
        """Show a file that does not compile."""
        place = f"{error.path}:{error.line}:{error.column}"
        click.echo(f"{dim(clock())}  {tag('error')}  {place}  {error.why}   not sent")
        for line in caret_lines(error):
            click.echo(line)

    def notice(self, outcome: str, path: str, reason: Reason) -> None:
        """Show a file that is not sent."""
        click.echo(f"{dim(clock())}  {tag(outcome)}  {shorten(path)}   {reason.what}")
        if reason.hint:
            click.echo(f"          hint: {reason.hint}")

    def away(self, error: HabaneroError, pending: int) -> None:
        """Say once that the server takes nothing now."""
        waits = f"; {pending} to send when it is back" if pending else ""
        label = "away" if isinstance(error, DeliveryError | StoreError) else error.outcome
        click.echo(f"{dim(clock())}  {tag(label)}  {report_of(error).reasons[0].what}{waits}")

    def unsure(self, error: DeliveryError) -> None:
        """Say that what was sent may be live, and that the server is asked."""
        self.note(f"{error.why}: it may be live; asking the server what became of it")

    def back(self) -> None:
        """Say that the server is there again."""
        click.echo(f"{dim(clock())}  {tag('back')}  the server answers again")

    def fault(self, error: Exception) -> None:
        """Show a fault of ours, whole: for a report."""
        self.note("".join(traceback.format_exception(error)))
        self.note(f"error: a fault of flask-habanero itself: {error!r}; please report it")

    def note(self, text: str) -> None:
        """Show progress."""
        click.echo(text, err=True)

    def error(self, error: HabaneroError) -> None:
        """Show what ended a command."""
        report = report_of(error)
        first = report.reasons[0]
        where = f"{first.where}: " if first.where else ""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {where}{first.what}", err=True)
        if isinstance(error, BuildError):
            for line in caret_lines(error):
                click.echo(line, err=True)
        if first.hint:
            click.echo(f"hint: {first.hint}", err=True)
        for line in reason_lines(report.reasons[1:]):
            click.echo(line, err=True)

    def status(self, report: Report, now: Situation) -> None:
        """Show what the server runs."""
        for line in status_lines(report, now):
            click.echo(line)


class JsonLines(Lines):
    """The screen of a program: every event is one JSON object on stdout; words go to stderr."""

    def _put(self, report: Report, **more: Any) -> None:
        click.echo(json.dumps({**report.as_json(), **more}, ensure_ascii=True))

    def result(self, result: Result, held: int = 0) -> None:
        """Show one push."""
        self._put(result.report, files=list(result.paths), held=held)

    def plan(self, result: Result) -> None:
        """Show what a push would do."""
        self._put(result.report, files=list(result.paths))

    def broken(self, error: BuildError) -> None:
        """Show a file that does not compile."""
        self._put(report_of(error), files=[error.path])

    def notice(self, outcome: str, path: str, reason: Reason) -> None:
        """Show a file that is not sent."""
        self._put(Report(outcome, reasons=(reason,)), files=[path])

    def away(self, error: HabaneroError, pending: int) -> None:
        """Say once that the server takes nothing now."""
        maybe_live = isinstance(error, DeliveryError) and error.maybe_live
        self._put(report_of(error), pending=pending, maybe_live=maybe_live)

    def back(self) -> None:
        """Say that the server is there again."""
        self._put(Report("back"))

    def error(self, error: HabaneroError) -> None:
        """Show what ended a command: on both, so that a person who pipes stdout away sees it, too."""
        super().error(error)
        self._put(report_of(error))

    def status(self, report: Report, now: Situation) -> None:
        """Show what the server runs."""
        self._put(report, held={path_of(now, name): held.why for name, held in now.held.items()})
