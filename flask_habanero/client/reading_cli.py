"""Commands that read what the server has: ``log``, ``show``, ``diff``, ``export``. They send no code."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ConfigError
from .command import CHANGES, guarded, make_desk, screen_of, with_server, with_target


@click.command()
@click.option("-n", "count", type=click.IntRange(1), default=20, help="How many releases; else 20.")
@with_target
@guarded
def log(**options: Any) -> int:
    """Show the releases, newest first: who, when, what changed.

    They are those since the code was deployed. Exit 1 if one of them can't be believed.
    """
    from itertools import islice

    from . import desk as at
    from .archive import releases
    from .records import standing

    desk, screen = make_desk(options), screen_of(options)
    view = at.look(desk)
    told = islice(standing(releases(desk, view, view.head + 1), view.head), options["count"])
    return screen.log(view, told)


@click.command()
@click.argument("what")
@click.option(
    "--at", default="head", help="Of which state: a release's number, head, base or disk; else head."
)
@with_target
@guarded
def show(**options: Any) -> int:
    """Print the source that is live, or show a release.

    WHAT is a module (shop.views), a definition in one (shop.views:Cart.total), or a release's number (42).
    """
    from . import desk as at
    from .differences import made_by
    from .lookup import look_up
    from .states import is_number, state

    desk, screen, what = make_desk(options), screen_of(options), options["what"]
    view = at.look(desk)
    if is_number(what):
        screen.release(view, *made_by(desk, view, int(what.removeprefix("#"))))
    else:
        screen.source(look_up(desk, view, what, state(options["at"], view)))
    return 0


@click.command()
@click.argument("words", nargs=-1, metavar="[NAME] [FROM [TO]]")
@click.option("--exit-code", is_flag=True, help="Exit 6 if there is a difference.")
@with_server
@guarded
def diff(**options: Any) -> int:
    """Show what a push would change, or what differs, as a patch.

    FROM and TO are numbers of releases, head (what is live), base (as it was deployed), disk (what the server
    would start from), or tree (what lies here). With FROM alone: from there to head.
    """
    from . import desk as at
    from .differences import compared, to_send
    from .states import name_first

    options["name"], *words = name_first(options["words"])
    desk, screen = make_desk(options), screen_of(options)
    view = at.look(desk)
    found = compared(desk, view, words) if words else to_send(desk, view)
    screen.difference(found)
    return CHANGES if options["exit_code"] and found.files else 0


@click.command()
@click.option(
    "--output", type=click.Path(dir_okay=False, writable=True), default="", help="File for the patch."
)
@click.option("--all", "everything", is_flag=True, help="Also what differs and no release changed.")
@with_target
@guarded
def export(**options: Any) -> int:
    """Write what is live and not in git as a patch.

    It is for `git apply` on a clean checkout of HEAD. Outside git: what is live and not in this tree.
    """
    from . import desk as at
    from .differences import exported

    desk, screen, output = make_desk(options), screen_of(options), options["output"]
    found = exported(desk, at.look(desk), everything=options["everything"])
    if output:
        _write(output, found.difference.patch)
    screen.export(found, output)
    return 0


def _write(output: str, patch: bytes) -> None:
    """Write a patch to a file, also an empty one: it must not be that of last week. Raises ConfigError."""
    from pathlib import Path

    try:
        Path(output).write_bytes(patch)
    except OSError as error:
        raise ConfigError(
            "--output", f"{output}: {error.strerror}", "name a file that can be written"
        ) from None


COMMANDS: tuple[click.Command, ...] = (log, show, diff, export)
