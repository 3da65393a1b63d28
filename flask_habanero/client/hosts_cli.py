"""The command for hosts that share their releases: ``resync``."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..errors import Reason, UndecidedError
from .command import EXIT, guarded, make_desk, screen_of, with_target


@click.command()
@click.option("--from", "host", default="", metavar="HOST", help="Whose releases stay; else the longest.")
@click.option("--yes", is_flag=True, help="Answer the question with yes.")
@with_target
@guarded
def resync(**options: Any) -> int:
    """Bring hosts together whose releases came apart. Shows first what would be lost, and asks."""
    from . import desk as at
    from . import resync as line

    desk, screen = make_desk(options), screen_of(options)
    view = at.look(desk)
    found = line.look(desk, view, options["host"])
    for text in line.outlook_lines(found):
        screen.note(text)
    if found.is_loss and not options["yes"]:
        _ask(found.question, line.outlook_lines(found))
    report = line.carry_out(desk, view, found)
    screen.resynced(report, line.came_lines(found, report))
    return EXIT[report.outcome]


def _ask(question: str, lines: list[str]) -> None:
    """Ask a person. Raises UndecidedError: nobody is there, or says no."""
    hint = "look at what would be lost; then  flask habanero resync --yes, or --from HOST for another branch"
    if not sys.stdin.isatty():
        reasons = (Reason("undecided", "", text.strip()) for text in lines)
        raise UndecidedError((Reason("undecided", "", question, hint), *reasons))
    if not click.confirm(question, err=True):
        raise UndecidedError((Reason("undecided", "", "you said no: nothing was changed", hint),))


COMMANDS: tuple[click.Command, ...] = (resync,)
