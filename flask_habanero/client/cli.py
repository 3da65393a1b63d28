"""What a person types: ``flask habanero ...``.

A plain click group, found by name through the ``flask.commands`` entry point: it never loads
the app, so it works while the app on the laptop is broken. Each command parses, calls one
function and shows its value. What is slow to import is imported inside the commands.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..envelope import new_secret
from ..errors import AbandonedError, BuildError, ConfigError, HabaneroError, Reason, UndecidedError

if TYPE_CHECKING:  # they import requests
    from .choose import Ask
    from .desk import Desk
    from .show import Lines

EXIT = {
    "live": 0,
    "unchanged": 0,
    "cold": 1,
    "refused": 1,
    "failed": 1,
    "conflict": 3,
    "rejected": 4,
    "unreachable": 4,
    "unknown": 4,
    "diverged": 5,
}
USAGE, CHANGES, OUR_FAULT, INTERRUPTED = 2, 6, 70, 130
Command = TypeVar("Command", bound=Callable[..., Any])


def exit_code(error: HabaneroError) -> int:
    """Return the exit code of what ended a command: docs/errors.md lists them."""
    if isinstance(error, BuildError):
        return 1
    if isinstance(error, ConfigError):
        return EXIT["rejected"] if error.key == "HABANERO_SECRET" else USAGE
    return EXIT[error.outcome]


def guarded(command: Callable[..., int]) -> Callable[..., None]:
    """Make a command end with its exit code, whatever happens; errors become words here."""

    @wraps(command)
    def run(**options: Any) -> None:
        sys.exit(_outcome_of(command, options))

    return run


def _outcome_of(command: Callable[..., int], options: dict[str, Any]) -> int:
    try:
        return command(**options)
    except HabaneroError as error:
        _screen(options).error(error)
        return exit_code(error)
    except AbandonedError as error:
        _screen(options).error(error.delivery)
        return INTERRUPTED
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001  # the outermost: whatever is left is a fault of ours, shown whole
        _screen(options).fault(error)
        return OUR_FAULT


def _screen(options: dict[str, Any]) -> Lines:
    from .show import JsonLines, Lines

    return JsonLines() if options.get("json") else Lines()


def with_target(command: Command) -> Command:
    """Add what says which server."""
    for decorate in (
        click.argument("name", required=False, default=""),
        click.option("--url", default="", help="Address of the app; else HABANERO_URL."),
        click.option("--app-id", default="", help="Which app it must be; else it is learnt once and pinned."),
        click.option("--allow-http", is_flag=True, help="Send code in the clear to another machine."),
        click.option("--ca-file", default="", help="Certificates to trust for https."),
        click.option("--json", is_flag=True, help="One JSON object a line on stdout."),
    ):
        command = decorate(command)
    return command


def with_answers(command: Command) -> Command:
    """Add what answers questions before they are asked."""
    for decorate in (
        click.option("--yes", is_flag=True, help="Answer every question with yes."),
        click.option("--sync", is_flag=True, help="My tree is the truth, also where the server was changed."),
    ):
        command = decorate(command)
    return command


def make_desk(options: dict[str, Any]) -> Desk:
    """Return what a command works with, from what was typed, the environment and pyproject.toml."""
    from .desk import Desk
    from .memory import Store, state_folder
    from .target import Options, find_target, here
    from .transport import Wire

    cwd, environ = here()
    allow_http = "yes" if options["allow_http"] else ""
    typed = Options(options["name"], options["url"], options["app_id"], allow_http, options["ca_file"])
    target = find_target(typed, cwd, environ)
    wire = Wire(target.endpoint, target.key, target.who, ca_file=target.ca_file)
    click.get_current_context().call_on_close(wire.close)
    return Desk(target, wire, Store(state_folder(environ), target.endpoint, target.project))


def ask_person(lines: tuple[str, ...], question: str) -> bool:
    """Show lines and ask. Without a terminal there is nobody: raises UndecidedError."""
    from .choose import nobody

    if not sys.stdin.isatty():
        return nobody(lines, question)
    for line in lines:
        click.echo(f"  {line}", err=True)
    return click.confirm(question, err=True)


def answerer(options: dict[str, Any]) -> Ask:
    """Return who answers questions: --yes, or the person."""
    from .choose import yes

    return yes if options["yes"] else ask_person


@click.group(help="Make saved code live in a running Flask app.")
@click.pass_context
def cli(context: click.Context) -> None:
    """Settle colours: click itself does not know NO_COLOR (no-color.org) and FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        context.color = False
    elif os.environ.get("FORCE_COLOR"):
        context.color = True


@cli.command()
@guarded
def secret() -> int:
    """Print a new secret for the server and the laptop."""
    click.echo(new_secret())
    click.echo("hint: the same on both:  export HABANERO_SECRET=hab_...   (keep it out of git)", err=True)
    return 0


@cli.command()
@with_answers
@with_target
@guarded
def push(**options: Any) -> int:
    """Make this tree's edits live, once."""
    from . import choose, git
    from . import push as line

    desk, screen = make_desk(options), _screen(options)
    choice = choose.whole_tree(desk) if options["sync"] else choose.own_edits(answerer(options))
    result = line.push(desk, choice, screen.unsure, git.commit(desk.target.project))
    screen.result(result)
    screen.others(result)
    if desk.store.problem:
        screen.note(desk.store.problem)
    return EXIT[result.report.outcome]


@cli.command()
@click.option("--exit-code", is_flag=True, help="Exit 6 if there are changes, 1 if they are not possible.")
@click.option("--sync", is_flag=True, help="As `push --sync` would do it.")
@with_target
@guarded
def plan(**options: Any) -> int:
    """Show what a push would do. Changes nothing."""
    from . import choose
    from . import push as line

    desk, screen = make_desk(options), _screen(options)
    choice = choose.whole_tree(desk) if options["sync"] else choose.own_edits(choose.yes)
    result = line.plan(desk, choice)
    screen.others(result)
    screen.plan(result)
    code = EXIT[result.report.outcome]
    return CHANGES if options["exit_code"] and not code and result.sent else code


@cli.command()
@with_answers
@with_target
@guarded
def watch(**options: Any) -> int:
    """Make every save live, until Ctrl-C."""
    from . import choose
    from .session import Session

    desk, screen = make_desk(options), _screen(options)
    choice = choose.whole_tree(desk) if options["sync"] else choose.first_watch(desk, answerer(options))
    # An exception, not an event: it ends whatever waits, for an answer or a lock
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Session(desk, screen, choice).run(Event())
    except AbandonedError as error:
        screen.error(error.delivery)
    except KeyboardInterrupt:
        pass  # the person ends it so
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


@cli.command()
@with_target
@guarded
def status(**options: Any) -> int:
    """Show what the server runs, who pushed it, and what is held here."""
    from . import desk as at

    desk, screen = make_desk(options), _screen(options)
    view = at.look(desk)
    report = at.read_log(desk, view)
    screen.status(report, at.survey(desk, view, at.tree_of(desk, view)))
    return EXIT[report.outcome]


@cli.command()
@click.option("--to", type=int, default=None, help="Number of the release to go back to.")
@click.option("--yes", is_flag=True, help="Answer every question with yes.")
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
    desk, screen, begun = make_desk(options), _screen(options), time.monotonic()
    view = at.look(desk)
    confirm_rollback(view.head, to, answerer(options))
    report = line.timed(line.rollback(desk, view, to, screen.unsure), begun)
    screen.result(line.Result(report))
    return EXIT[report.outcome]


def confirm_rollback(head: int, to: int | None, ask: Ask) -> None:
    """Ask before more than the newest release is taken back. Raises UndecidedError if that is not meant."""
    if to is None or head - to <= 1 or ask((), f"take back {head - to} releases, to #{to}?"):
        return
    raise UndecidedError((Reason("undecided", "", "you said no: nothing was taken back", ""),))


@cli.command()
@click.option("--keep", is_flag=True, help="Leave it running, and say which file to edit.")
@guarded
def demo(**options: Any) -> int:
    """Run a small shop, edit it, and check what every worker answers."""
    from .demo import run

    return run(options["keep"], click.echo)
