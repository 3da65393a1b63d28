"""What a person types: ``flask habanero ...``.

A plain click group, found by name through the ``flask.commands`` entry point: it never loads
the app, so it works while the app on the laptop is broken. Each command parses, calls one
function and shows its value. What is slow to import is imported inside the commands. Those that only
read what the server has are in `reading_cli.py`; what all have in common is in `command.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from ..errors import AbandonedError, Reason, UndecidedError
from . import freeze_cli, gates_cli, hosts_cli, reading_cli, run_cli
from .command import (
    CHANGES,
    EXIT,
    answerer,
    guarded,
    make_desk,
    screen_of,
    with_answers,
    with_target,
)
from .options import make_hooks, typed, with_check, with_message, with_python

if TYPE_CHECKING:  # it imports requests
    from .choose import Ask


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM do as Ctrl-C does: an exception ends whatever waits, for an answer, a lock or a check."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(help="Make saved code live in a running Flask app.")
@click.pass_context
def cli(context: click.Context) -> None:
    """Settle colours: click itself does not know NO_COLOR (no-color.org), FORCE_COLOR, and dumb terminals."""
    if os.environ.get("NO_COLOR"):
        context.color = False
    elif os.environ.get("FORCE_COLOR"):
        context.color = True
    elif os.environ.get("TERM") == "dumb":
        context.color = False


@cli.command()
@guarded
def secret() -> int:
    """Print a new secret for the server and the laptop."""
    from ..envelope import new_secret

    click.echo(new_secret())
    click.echo("hint: the same on both:  export HABANERO_SECRET=hab_...   (keep it out of git)", err=True)
    return 0


@cli.command()
@with_message
@click.option("--confirm", is_flag=True, help="Show the plan and ask before anything is sent.")
@gates_cli.with_trial
@gates_cli.with_unless_failing
@gates_cli.with_rehearsal
@with_check
@with_python
@with_answers
@with_target
@guarded
def push(**options: Any) -> int:
    """Make this tree's edits live, once."""
    from . import choose, git
    from . import push as line
    from .annotations import annotating
    from .hooks import before_push

    desk, screen, ask = make_desk(options), screen_of(options), answerer(options)
    desk = gates_cli.on_trial_as_wished(gates_cli.rehearsing(desk, options), options)
    hooks = make_hooks(options, desk.target, screen.note)
    choice = choose.whole_tree(desk) if options["sync"] else choose.own_edits(ask)
    before = before_push(desk, hooks, ask, screen.plan)
    note = "; ".join(filter(None, (options["message"], git.commit(desk.target.project))))
    with annotating(desk.target.roots, os.environ, screen.note) as annotate, sigterm_interrupts():
        result = line.push(desk, choice, screen.unsure, note, before)
        annotate(result)
    screen.result(result)
    gates_cli.say_trial(screen, result.report, options)
    screen.others(result)
    if desk.store.problem:
        screen.note(desk.store.problem)
    if result.sent:
        hooks.after(result.report)
        hooks.wait()
    return EXIT[result.report.outcome]


@cli.command()
@click.option("--exit-code", is_flag=True, help="Exit 6 if there are changes, 1 if they are not possible.")
@click.option("--sync", is_flag=True, help="As `push --sync` would do it.")
@with_python
@with_target
@guarded
def plan(**options: Any) -> int:
    """Show what a push would do. Changes nothing."""
    from . import choose
    from . import push as line
    from .annotations import annotating

    desk, screen = make_desk(options), screen_of(options)
    choice = choose.whole_tree(desk) if options["sync"] else choose.own_edits(choose.yes)
    with annotating(desk.target.roots, os.environ, screen.note) as annotate:
        result = line.plan(desk, choice)
        annotate(result)
    screen.others(result)
    screen.plan(result)
    code = 0 if result.report.data.get("restarts") else EXIT[result.report.outcome]
    return CHANGES if options["exit_code"] and not code and result.sent else code


@cli.command()
@click.option("--polling", is_flag=True, help="Look by itself: the file system tells of no saves.")
@gates_cli.with_unless_failing
@gates_cli.with_rehearsal
@with_check
@with_python
@with_answers
@with_target
@guarded
def watch(**options: Any) -> int:
    """Make every save live, until Ctrl-C."""
    from . import choose
    from .hooks import refuse_unasked
    from .keys import keys_for
    from .polling import is_wished
    from .session import Session
    from .target import read_settings

    desk, screen = gates_cli.rehearsing(make_desk(options), options), screen_of(options)
    desk = gates_cli.unless_failing(desk, options)
    hooks = make_hooks(options, desk.target, screen.note)
    polls = is_wished(read_settings(desk.target.project), typed=options["polling"])
    refuse_unasked(hooks.wishes, desk.target, yes=options["yes"])
    choice = choose.whole_tree(desk) if options["sync"] else choose.first_watch(desk, answerer(options))
    try:
        with sigterm_interrupts():
            session, stop = Session(desk, screen, choice, hooks, polls=polls), Event()
            session.run(stop, keys_for(session, screen, stop, for_programs=options["json"]))
    except AbandonedError as error:
        screen.error(error.delivery)
    except KeyboardInterrupt:
        pass  # the person ends it so
    return 0


@cli.command()
@with_target
@guarded
def status(**options: Any) -> int:
    """Show what the server runs, what is held here, what is in no git."""
    from . import desk as at
    from .drift import from_head

    desk, screen = make_desk(options), screen_of(options)
    view = at.look(desk)
    report = at.read_log(desk, view)
    now = at.survey(desk, view, at.tree_of(desk, view))
    screen.status(report, now, from_head(desk, view))
    return EXIT[report.outcome]


@cli.command()
@click.option("--to", type=int, default=None, help="Number of the release to go back to.")
@click.option("--yes", is_flag=True, help="Answer every question with yes.")
@gates_cli.with_trial
@with_target
@guarded
def rollback(**options: Any) -> int:
    """Take the server back by one release, or to the state of a number: `rollback 41`. A new release."""
    import time

    from . import desk as at
    from . import push as line

    name, to = options["name"], options["to"]
    if name.isdecimal():  # `rollback 41`: a number is no target's name
        options["name"], to = "", int(name)
    desk, screen, begun = make_desk(options), screen_of(options), time.monotonic()
    desk, view = gates_cli.on_trial(desk, options), at.look(desk)
    confirm_rollback(view.head, to, answerer(options))
    report = line.timed(line.rollback(desk, view, to, screen.unsure), begun)
    screen.result(line.Result(report))
    gates_cli.say_trial(screen, report, options)
    return EXIT[report.outcome]


def confirm_rollback(head: int, to: int | None, ask: Ask) -> None:
    """Ask before more than the newest release is taken back. Raises UndecidedError if that is not meant."""
    if to is None or head - to <= 1 or ask((), f"take back {head - to} releases, to #{to}?"):
        return
    raise UndecidedError((Reason("undecided", "", "you said no: nothing was taken back", ""),))


@cli.command()
@with_target
@guarded
def doctor(**options: Any) -> int:
    """Check the set-up on both sides; changes nothing."""
    from .doctor import examine, summary
    from .finding import FAIL, Case
    from .target import here

    screen, findings = screen_of(options), []
    for finding in examine(Case(typed(options), *here())):
        findings.append(finding)
        screen.finding(finding)
    screen.note(summary(findings))
    return 1 if any(finding.level == FAIL for finding in findings) else 0


@cli.command()
@click.option("--keep", is_flag=True, help="Leave it running, and say which file to edit.")
@guarded
def demo(**options: Any) -> int:
    """Run a small shop, edit it, and check what every worker answers."""
    from .demo import run

    return run(options["keep"], click.echo)


_GROUPS = (reading_cli, gates_cli, freeze_cli, hosts_cli)
for command in (*(one for group in _GROUPS for one in group.COMMANDS), run_cli.run):
    cli.add_command(command)
