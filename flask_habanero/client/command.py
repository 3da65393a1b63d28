"""What every command has: how it ends, which server it is for, and who answers its questions.

Exit codes are those of docs/errors.md; errors become words here. What is slow to import is
imported inside the functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import AbandonedError, BuildError, ConfigError, HabaneroError

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
        screen_of(options).error(error)
        return exit_code(error)
    except AbandonedError as error:
        screen_of(options).error(error.delivery)
        return INTERRUPTED
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
        raise  # the last: `log | head` has read enough, and click ends quietly
    except Exception as error:  # noqa: BLE001  # the outermost: whatever is left is a fault of ours, shown whole
        screen_of(options).fault(error)
        return OUR_FAULT


def screen_of(options: dict[str, Any]) -> Lines:
    """Return where a command's words go: for a person, or with --json for a program."""
    from .show import JsonLines, Lines

    return JsonLines() if options.get("json") else Lines()


def with_server(command: Command) -> Command:
    """Add what says which server, but for its name."""
    for decorate in (
        click.option("--url", default="", help="Address of the app; else HABANERO_URL."),
        click.option("--app-id", default="", help="Which app it must be; else it is learnt once and pinned."),
        click.option("--allow-http", is_flag=True, help="Send code in the clear to another machine."),
        click.option("--ca-file", default="", help="Certificates to trust for https."),
        click.option("--json", is_flag=True, help="One JSON object a line on stdout."),
    ):
        command = decorate(command)
    return command


def with_target(command: Command) -> Command:
    """Add what says which server, its name first."""
    return with_server(click.argument("name", required=False, default="")(command))


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
    from .compiler import Compiler
    from .desk import Desk
    from .memory import Store, state_folder
    from .options import typed
    from .target import find_target, here
    from .transport import Wire

    cwd, environ = here()
    target = find_target(typed(options), cwd, environ)
    wire = Wire(target.endpoint, target.key, target.who, ca_file=target.ca_file)
    click.get_current_context().call_on_close(wire.close)
    store = Store(state_folder(environ), target.endpoint, target.project)
    return Desk(target, wire, store, Compiler(options.get("python", ""), environ))


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
