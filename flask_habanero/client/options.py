"""What is typed besides names and answers: as options of commands, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:  # it imports requests
    from .hooks import Hooks
    from .target import Options, Target

MESSAGE = 150  # characters: of the 200 that a note may have, some are for the commit
Command = TypeVar("Command", bound=Callable[..., Any])


def with_python(command: Command) -> Command:
    """Add who compiles."""
    help_text = "Compiles for the server; else this Python, or one that is found and makes its code."
    return click.option("--python", default="", metavar="PATH", help=help_text)(command)


def with_check(command: Command) -> Command:
    """Add what runs before each push."""
    return click.option("--check", default=None, metavar="COMMAND", help="Must succeed before each push.")(
        command
    )


def with_message(command: Command) -> Command:
    """Add why, for those who read the log."""
    help_text = "Why: `log` and `show` tell it, beside the commit."
    return click.option("-m", "--message", default="", metavar="WHY", callback=_message, help=help_text)(
        command
    )


def _message(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if len(value) > MESSAGE or not value.isprintable():
        raise click.BadParameter(f"no line of at most {MESSAGE} printable characters")
    return value.strip()


def typed(options: dict[str, Any]) -> Options:
    """Return what was typed of the server."""
    from .target import Options

    allow_http = "yes" if options["allow_http"] else ""
    return Options(options["name"], options["url"], options["app_id"], allow_http, options["ca_file"])


def make_hooks(options: dict[str, Any], target: Target, say: Callable[[str], None]) -> Hooks:
    """Return what the person wants to run around each push, of pyproject.toml and what was typed."""
    from .hooks import Hooks, Wishes
    from .target import entry_of, here, read_settings

    settings = read_settings(target.project)
    wishes = Wishes.read(settings, entry_of(settings, options["name"]), options["check"])
    wishes = replace(wishes, confirm=wishes.confirm or options.get("confirm", False))
    hooks = Hooks(wishes, target, here()[1], say)
    click.get_current_context().call_on_close(hooks.close)
    return hooks
