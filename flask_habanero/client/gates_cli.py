"""Commands and options of what stands around a release: ``rehearse`` before it, ``confirm`` after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ConfigError
from .command import EXIT, guarded, make_desk, screen_of, with_server, with_target
from .options import with_python

if TYPE_CHECKING:  # it imports requests
    from ..release import Report
    from .desk import Desk
    from .show import Lines

LEAST_S, MOST_S = 5, 3_600  # as the server has them
_NO_TRIAL = f"no number of seconds from {LEAST_S} to {MOST_S}, and not 0"
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


def with_trial(command: Command) -> Command:
    """Add whether the release is on trial."""
    help_text = (
        "Let the server take it back after so many seconds (5 to 3600), unless it is confirmed; 0: never."
    )
    return click.option(
        "--confirm-within", type=int, callback=_seconds, default=None, metavar="SECONDS", help=help_text
    )(command)


def with_unless_failing(command: Command) -> Command:
    """Add whether the server takes a release back by itself if it fails."""
    help_text = "Let the server take it back if it fails within so many seconds (5 to 3600); 0: never."
    return click.option(
        "--unless-failing", type=int, callback=_seconds, default=None, metavar="SECONDS", help=help_text
    )(command)


def _seconds(_context: click.Context, _option: click.Parameter, value: int | None) -> int | None:
    if value is not None and not _is_trial(value):
        raise click.BadParameter(_NO_TRIAL)
    return value


def _is_trial(seconds: object) -> bool:
    return type(seconds) is int and (seconds == 0 or LEAST_S <= seconds <= MOST_S)


def on_trial(desk: Desk, options: dict[str, Any]) -> Desk:
    """Return a desk whose releases are on trial until they are confirmed, if that was typed."""
    seconds = options["confirm_within"]
    return replace(desk, trial_s=seconds, stays=False) if seconds else desk


def on_trial_as_wished(desk: Desk, options: dict[str, Any]) -> Desk:
    """Return the same; if nothing was typed, as pyproject.toml says of the target, or of the project."""
    if options["confirm_within"] and options["unless_failing"]:
        raise click.UsageError("--confirm-within or --unless-failing: one of the two")
    unless = unless_failing(desk, options)
    if options["unless_failing"]:
        return unless
    return on_trial(unless, {"confirm_within": _wished(desk, options, "confirm_within")})


def unless_failing(desk: Desk, options: dict[str, Any]) -> Desk:
    """Return a desk whose releases stay unless they fail, if that was typed or pyproject.toml says so."""
    seconds = _wished(desk, options, "unless_failing")
    return replace(desk, trial_s=seconds, stays=True) if seconds else desk


def _wished(desk: Desk, options: dict[str, Any], key: str) -> int:
    """Return the seconds that were typed, or that pyproject.toml says. Raises ConfigError."""
    from .target import entry_of, read_settings

    settings = read_settings(desk.target.project)
    seconds = entry_of(settings, options["name"]).get(key, settings.get(key, 0))
    if not _is_trial(seconds):
        raise ConfigError(key, _NO_TRIAL, f"{key} = 60")
    typed = options[key]
    return int(seconds if typed is None else typed)


def say_trial(screen: Lines, report: Report, options: dict[str, Any]) -> None:
    """Say what to type so that a release on trial stays, or what it would go for."""
    trial = report.data.get("trial")
    if trial and trial["stays"]:
        screen.note(f"on trial: taken back if it fails within {trial['within']} s")
    elif trial:
        words = ["flask habanero confirm", *filter(None, [options["name"]]), str(trial["number"])]
        screen.note(f"on trial: taken back after {trial['within']} s, unless you type:  {' '.join(words)}")


@click.command()
@click.option("--get", "requests", multiple=True, metavar="PATH", help="Page to ask for; may be repeated.")
@click.option(
    "--call", "calls", multiple=True, metavar="MODULE:NAME", help="Function to call; may be repeated."
)
@click.option("--within", type=int, default=None, metavar="SECONDS", help="How long it may take; else 20.")
@click.option("--sync", is_flag=True, help="As `push --sync` would do it.")
@with_python
@with_target
@guarded
def rehearse(**options: Any) -> int:
    """Try this tree's edits in a fresh process on the server's host. Nothing goes live.

    The process starts as the app does, comes to head, makes the edits live in itself, and answers some
    pages: those given, else those that pyproject.toml names, else those that the edits concern. Then
    functions of the app are called, if any are named: your own checks.
    """
    from . import choose
    from . import push as line

    desk, screen = make_desk(options), screen_of(options)
    wish = _wish(desk, options)
    wish = wish.with_(None, options["requests"] or None, options["within"], options["calls"] or None)
    choice = choose.whole_tree(desk) if options["sync"] else choose.own_edits(choose.yes)
    result = line.rehearse(replace(desk, rehearsal=wish), choice)
    screen.others(result)
    screen.rehearsal(result)
    return EXIT[result.report.outcome]


@click.command()
@click.argument("words", nargs=-1, metavar="[NAME] [NUMBER]")
@with_server
@guarded
def confirm(**options: Any) -> int:
    """Let the release on trial stay; with NUMBER only if it is that one."""
    from . import desk as at
    from . import push as line

    options["name"], number = _name_and_number(options["words"])
    desk, screen = make_desk(options), screen_of(options)
    view = at.look(desk)
    report = line.confirm(desk, view, number)
    screen.confirmed(report)
    return EXIT[report.outcome]


def _name_and_number(words: tuple[str, ...]) -> tuple[str, int | None]:
    """Return a target's name, which is no number, and a release's. Raises UsageError."""
    numbers = [word for word in words if word.removeprefix("#").isdecimal()]
    names = [word for word in words if word not in numbers]
    if len(numbers) > 1 or len(names) > 1:
        raise click.UsageError("one release can be confirmed: flask habanero confirm 42")
    return "".join(names), int(numbers[0].removeprefix("#")) if numbers else None


COMMANDS: tuple[click.Command, ...] = (rehearse, confirm)
