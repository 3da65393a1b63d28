"""Commands that let nobody push for a while: ``freeze``, and ``thaw``."""

from __future__ import annotations

from typing import Any

import click

from .command import EXIT, guarded, make_desk, screen_of, with_server, with_target


@click.command()
@click.argument("words", nargs=-1, metavar="[NAME] WHY")
@with_server
@guarded
def freeze(**options: Any) -> int:
    """Let nobody push until `thaw`; WHY is what they are told. Rollbacks go on."""
    from . import desk as at
    from . import push as line

    *names, why = options["words"] or ("",)
    if len(names) > 1 or not why.strip():
        raise click.UsageError('say why, in quotes: flask habanero freeze "we migrate until 3"')
    desk, screen = make_desk({**options, "name": "".join(names)}), screen_of(options)
    report = line.freeze(desk, at.look(desk), why.strip())
    screen.done(report, {"live": "frozen: nobody pushes until  flask habanero thaw"})
    return EXIT[report.outcome]


@click.command()
@with_target
@guarded
def thaw(**options: Any) -> int:
    """Let everybody push again."""
    from . import desk as at
    from . import push as line

    desk, screen = make_desk(options), screen_of(options)
    view = at.look(desk)
    report = line.thaw(desk, view, at.read_log(desk, view).data.get("frozen"))
    screen.done(report, {"live": "thawed", "unchanged": "not frozen"})
    return EXIT[report.outcome]


COMMANDS: tuple[click.Command, ...] = (freeze, thaw)
