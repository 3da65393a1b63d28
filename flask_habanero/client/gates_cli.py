"""Commands and options of what stands between a push and everybody: ``rehearse``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .command import EXIT, guarded, make_desk, screen_of, with_target
from .options import with_python

if TYPE_CHECKING:  # it imports requests
    from .desk import Desk

Command = TypeVar("Command", bound=Callable[..., Any])


def with_rehearsal(command: Command) -> Command:
    """Add whether each push is rehearsed first."""
    help_text = "Try it in a fresh process on the server first; push only what held."
    return click.option("--rehearse", is_flag=True, default=None, help=help_text)(command)


def rehearsing(desk: Desk, options: dict[str, Any]) -> Desk:
    """Return a desk that rehearses before each push, if that is wished for."""
    wish = _wish(desk, options).with_(options["rehearse"])
    return replace(desk, rehearsal=wish) if wish.always else desk


def _wish(desk: Desk, options: dict[str, Any]) -> Any:
    from .rehearsal import Wish
    from .target import entry_of, read_settings

    settings = read_settings(desk.target.project)
    return Wish.read(settings, entry_of(settings, options["name"]))


@click.command()
@click.option("--get", "requests", multiple=True, metavar="PATH", help="Page to ask for; may be repeated.")
@click.option("--within", type=int, default=None, metavar="SECONDS", help="How long it may take; else 20.")
@click.option("--sync", is_flag=True, help="As `push --sync` would do it.")
@with_python
@with_target
@guarded
def rehearse(**options: Any) -> int:
    """Try this tree's edits in a fresh process on the server's host. Nothing goes live.

    The process starts as the app does, comes to head, makes the edits live in itself, and answers some
    pages: those given, else those that pyproject.toml names, else those that the edits concern.
    """
    from . import choose
    from . import push as line

    desk, screen = make_desk(options), screen_of(options)
    wish = _wish(desk, options).with_(None, options["requests"] or None, options["within"])
    choice = choose.whole_tree(desk) if options["sync"] else choose.own_edits(choose.yes)
    result = line.rehearse(replace(desk, rehearsal=wish), choice)
    screen.others(result)
    screen.rehearsal(result)
    return EXIT[result.report.outcome]


COMMANDS: tuple[click.Command, ...] = (rehearse,)
