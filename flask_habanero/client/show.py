"""Where words go: results to stdout, progress to stderr.

`Lines` is for people, `JsonLines` for programs: one object a line on stdout, no colour.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from ..errors import BuildError, DeliveryError, HabaneroError, Reason, StoreError
from ..release import Report
from .archive import DISK, Told
from .beside import BESIDE
from .desk import Situation, path_of
from .differences import Difference, Export
from .drift import Drift
from .finding import Finding
from .lookup import Found
from .patch import unified
from .planned import plan_lines
from .printer import Printer, width_of_screen
from .push import Result
from .records import (
    drift_json,
    drift_lines,
    drift_words,
    maker_lines,
    marks_of,
    paint,
    record_json,
    record_lines,
    text_of,
    visible,
)
from .rehearsal import rehearsal_lines
from .view import View
from .words import (
    caret_lines,
    clock,
    dim,
    files,
    python_name,
    reach,
    reason_lines,
    report_lines,
    report_of,
    result_line,
    shorten,
    some,
    status_lines,
    tag,
    unimported_lines,
    verbs,
)


def _beneath(report: Report) -> list[str]:
    return [*report_lines(report), *rehearsal_lines(report)]


class Lines:
    """The screen of a person."""

    def __init__(self) -> None:
        self._printer = Printer()

    def begin(self, now: Situation) -> None:
        """Say what is watched, and for whom."""
        view, tree = now.view, now.tree
        where = f"{view.app} #{view.head}, {reach(view.workers)}, {python_name(view.python)}"
        count = f"{len(tree.digests) - len(tree.assets)} modules"
        if tree.assets:
            count += f", {len(tree.assets)} templates and static files"
        beside = " and what lies beside" if BESIDE in tree.allowed else ""
        self.note(f"watching {', '.join(sorted(tree.allowed - {BESIDE}))}{beside} ({count}) -> {where}")
        if tree.ignored:
            self.note(dim(f"{tree.ignored} other Python files are not the app's: ignored"))
        for name, held in sorted(now.held.items()):
            self.note(f"held  {path_of(now, name)}: {held.why}")

    def result(self, result: Result, held: int = 0) -> None:
        """Show one push."""
        report = result.report
        line = result_line(report.outcome, result, held, width_of_screen())
        said = (report.outcome, result.paths, verbs(result), held, report.workers, report.reasons)
        self._printer.block(line, [*_beneath(report), *unimported_lines(result)], said)

    def confirmed(self, report: Report) -> None:
        """Show what confirming came to."""
        self.done(report, {"live": "confirmed", "unchanged": "not on trial, and live"})

    def done(self, report: Report, by_outcome: dict[str, str]) -> None:
        """Show what became of something that is no push."""
        words = by_outcome.get(report.outcome, "")
        click.echo(f"{dim(clock())}  {tag(report.outcome)} #{report.release:<3} {words}".rstrip())
        self._beneath(report)

    def resynced(self, report: Report, lines: Iterable[str]) -> None:
        """Show what a resync came to."""
        for line in lines:
            click.echo(line)
        self._beneath(report)

    def rehearsal(self, result: Result) -> None:
        """Show how a change did in a fresh process."""
        outcome = result.report.outcome
        is_held = outcome == "live" and "rehearsed" in result.report.data
        click.echo(result_line("rehearsed" if is_held else outcome, result))
        self._beneath(result.report)

    def plan(self, result: Result) -> None:
        """Show what a push would do."""
        click.echo(result_line("plan" if result.report.outcome == "live" else result.report.outcome, result))
        for line in plan_lines(result):
            click.echo(line)

    def _beneath(self, report: Report) -> None:
        for line in _beneath(report):
            click.echo(line)

    def others(self, result: Result) -> None:
        """Show what was not sent because it is the server's."""
        if result.decision.newer:
            self.note(f"the server is newer, not sent: {', '.join(result.decision.newer)}")
        if result.aside:
            self.note(dim(f"not sent, nothing imports it: {some(result.aside)}"))
        if result.decision.foreign:
            self.note(dim(f"only on the server, never touched: {len(result.decision.foreign)} files"))

    def broken(self, error: BuildError) -> None:
        """Show a file that does not compile."""
        place = f"{error.path}:{error.line}:{error.column}"
        first = f"{dim(clock())}  {tag('error')}  {place}  {error.why}   not sent"
        self._printer.block(first, caret_lines(error), (place, error.why, error.text))

    def notice(self, outcome: str, path: str, reason: Reason) -> None:
        """Show a file that is not sent."""
        hint = [f"          hint: {reason.hint}"] if reason.hint else []
        first = f"{dim(clock())}  {tag(outcome)}  {shorten(path)}   {reason.what}"
        self._printer.block(first, hint, (outcome, path, reason))

    def held(self, paths: Sequence[str], error: HabaneroError) -> None:
        """Show files that are not sent together."""
        self.notice("held", files(paths), error.reasons[0])

    def away(self, error: HabaneroError, pending: int) -> None:
        """Say once that the server takes nothing now."""
        waits = f"; {pending} to send when it is back" if pending else ""
        label = "away" if isinstance(error, DeliveryError | StoreError) else error.outcome
        self._printer.block(f"{dim(clock())}  {tag(label)}  {report_of(error).reasons[0].what}{waits}")

    def unsure(self, error: DeliveryError) -> None:
        """Say that what was sent may be live, and that the server is asked."""
        self.note(f"{error.why}: it may be live; asking the server what became of it")

    def taken_back(self, number: int, why: str) -> None:
        """Say that the server took a release back."""
        self.note(f"#{number} was taken back by the server: {why}")

    def back(self) -> None:
        """Say that the server is there again."""
        self._printer.block(f"{dim(clock())}  {tag('back')}  the server answers again")

    def fault(self, error: Exception) -> None:
        """Show a fault of ours, whole: for a report."""
        self.note("".join(traceback.format_exception(error)))
        self.note(f"error: a fault of flask-habanero itself: {error!r}; please report it")

    def note(self, text: str) -> None:
        """Show progress."""
        self._printer.interrupted()
        click.echo(text, err=True)

    def hint(self, text: str) -> None:
        """Show what may be pressed."""
        self.note(dim(text))

    def clear(self) -> None:
        """Make the screen blank, where it is one."""
        self._printer.interrupted()
        click.clear()

    def recall(self) -> None:
        """Show once more what was shown of each save and push since the start."""
        self.note(dim(f"the log of this window, {len(self._printer.shown)} lines:"))
        for line in self._printer.shown:
            click.echo(line)

    def error(self, error: HabaneroError) -> None:
        """Show what ended a command."""
        self._printer.interrupted()
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

    def finding(self, finding: Finding) -> None:
        """Show what a check of `doctor` came to."""
        click.echo(f"{tag(finding.level)} {finding.check:<9} {finding.what}")
        if finding.hint:
            click.echo(f"                hint: {finding.hint}")

    def status(self, report: Report, now: Situation, drift: Drift) -> None:
        """Show what the server runs, and what of it is in no git."""
        self._printer.interrupted()
        for line in status_lines(report, now, drift_lines(drift)):
            click.echo(line)

    def log(self, view: View, told: Iterable[tuple[Told, bool]]) -> int:
        """Show releases as they come. Returns the exit code: 1 if one can't be believed."""
        code = 0
        for record, stands in told:
            marks = marks_of(record, head=view.head, stands=stands)
            if record.number == view.first:
                marks.insert(0, f"epoch {view.epoch[:8]}")
            for line in record_lines(record, marks):
                click.echo(line)
            code = max(code, bool(record.trouble))
        return code

    def source(self, found: Found) -> None:
        """Show a source: about it on stderr, the text alone on stdout."""
        part, source = found.part, found.source
        self.note(f"{found.what}  {source.path}:{part.first}-{part.last}  {found.where}")
        for line in maker_lines(found.by) if found.at != DISK else ():
            self.note(line)
        self._text(part.text.encode("utf-8", "surrogatepass"))

    def release(self, view: View, record: Told, difference: Difference) -> None:
        """Show a release: about it on stderr, what it changed as a patch on stdout."""
        marks = [f"the base of epoch {view.epoch[:8]}"] if record.number == view.first else []
        for line in record_lines(record, marks, shown=len(record.changes)):
            self.note(line)
        self._text(_for_its_reader(difference), paint)

    def difference(self, found: Difference) -> None:
        """Show what differs, as a patch."""
        self._text(_for_its_reader(found), paint)
        for text in found.notes:
            self.note(dim(text))

    def export(self, found: Export, output: str) -> None:
        """Show what is live and not in git: the modules on stderr, the patch on stdout or in a file."""
        if not output:
            self._text(_for_its_reader(found.difference))
        for module in found.modules:
            self.note(f"live but not in {found.missing_in}: {drift_words(module)}")
        for text in found.difference.notes:
            self.note(dim(text))
        if not found.difference.files:
            self.note(f"{found.missing_in} has all that releases made live: nothing to export")
        elif output:
            self.note(f"hint: on a clean checkout of HEAD:  git apply --index {output}")

    def _text(self, data: bytes, painted: Callable[[str], str] = str) -> None:
        """Show bytes: to a person in colours and visible characters, to a program as they are.

        FORCE_COLOR colours what a program reads, too, and changes nothing else of it.
        """
        if sys.stdout.isatty():
            lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else []
            for line in lines:
                click.echo(painted(visible(line)))
        elif click.get_current_context().color:
            text = "\n".join(map(painted, text_of(data).split("\n")))
            click.echo(text.encode("utf-8", "surrogateescape"), nl=False)
        else:
            click.echo(data, nl=False)


class JsonLines(Lines):
    """The screen of a program: every event is one JSON object on stdout; words go to stderr."""

    def _put(self, report: Report, **more: Any) -> None:
        self._put_value({**report.as_json(), **more})

    def _put_value(self, value: Mapping[str, Any]) -> None:
        click.echo(json.dumps(value, ensure_ascii=True))

    def result(self, result: Result, held: int = 0) -> None:
        """Show one push."""
        restarted = result.report.data.get("restarted") is True
        self._put(result.report, **_files(result), held=held, restarted=restarted)

    def plan(self, result: Result) -> None:
        """Show what a push would do."""
        edits = {path: list(words) for path, words in result.edits.items()}
        self._put(result.report, **_files(result), edits=edits)

    def confirmed(self, report: Report) -> None:
        """Show what confirming came to."""
        self._put(report)

    def done(self, report: Report, _by_outcome: dict[str, str]) -> None:
        """Show what became of something that is no push."""
        self._put(report)

    def resynced(self, report: Report, lines: Iterable[str]) -> None:
        """Show what a resync came to."""
        for line in lines:
            self.note(line)
        self._put(report)

    def rehearsal(self, result: Result) -> None:
        """Show how a change did in a fresh process."""
        self.plan(result)

    def broken(self, error: BuildError) -> None:
        """Show a file that does not compile."""
        self._put(report_of(error), files=[error.path])

    def notice(self, outcome: str, path: str, reason: Reason) -> None:
        """Show a file that is not sent."""
        self._put(Report(outcome, reasons=(reason,)), files=[path])

    def held(self, paths: Sequence[str], error: HabaneroError) -> None:
        """Show files that are not sent together."""
        self._put(Report("held", reasons=error.reasons), files=list(paths))

    def away(self, error: HabaneroError, pending: int) -> None:
        """Say once that the server takes nothing now."""
        maybe_live = isinstance(error, DeliveryError) and error.maybe_live
        self._put(report_of(error), pending=pending, maybe_live=maybe_live)

    def taken_back(self, number: int, why: str) -> None:
        """Say that the server took a release back."""
        self._put(Report("taken-back", number, data={"why": why}))

    def back(self) -> None:
        """Say that the server is there again."""
        self._put(Report("back"))

    def error(self, error: HabaneroError) -> None:
        """Show what ended a command: on both, so that a person who pipes stdout away sees it, too."""
        super().error(error)
        self._put(report_of(error))

    def finding(self, finding: Finding) -> None:
        """Show what a check of `doctor` came to."""
        click.echo(json.dumps(finding.as_json(), ensure_ascii=True))

    def status(self, report: Report, now: Situation, drift: Drift) -> None:
        """Show what the server runs, and what of it is in no git."""
        held = {path_of(now, name): held.why for name, held in now.held.items()}
        self._put(report, held=held, drift=[drift_json(module) for module in drift.modules])

    def log(self, view: View, told: Iterable[tuple[Told, bool]]) -> int:
        """Show releases, one object each. Returns the exit code: 1 if one can't be believed."""
        code = 0
        for record, stands in told:
            self._put_value(record_json(record, view.epoch, head=view.head, stands=stands))
            code = max(code, bool(record.trouble))
        return code

    def source(self, found: Found) -> None:
        """Show a source."""
        by = None if found.by is None else asdict(found.by)
        place = {"module": found.source.name, "path": found.source.path, "at": found.at, "release": by}
        part = found.part
        self._put_value({**place, "first": part.first, "last": part.last, "text": part.text})

    def release(self, view: View, record: Told, difference: Difference) -> None:
        """Show a release, and the patch of what it changed."""
        self._put_value({**asdict(record), "epoch": view.epoch, "patch": text_of(difference.patch)})

    def difference(self, found: Difference) -> None:
        """Show what differs, one object for each file."""
        for change in found.files:
            about = {"path": change.path, "change": change.mark, "from": found.old, "to": found.new}
            self._put_value({**about, "patch": text_of(unified([change]))})
        for text in found.notes:
            self.note(text)

    def export(self, found: Export, output: str) -> None:
        """Show what is live and not in git."""
        patch = "" if output else text_of(found.difference.patch)
        drift = [drift_json(module) for module in found.modules]
        files = [change.path for change in found.difference.files]
        self._put_value({"files": files, "drift": drift, "output": output, "patch": patch})
        for text in found.difference.notes:
            self.note(text)


def _files(result: Result) -> dict[str, list[str]]:
    return {"files": list(result.paths), "unimported": list(result.unimported)}


def _for_its_reader(found: Difference) -> bytes:
    return found.shown if sys.stdout.isatty() else found.patch
