"""What a check of `doctor` comes to, and what checks know from those before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..envelope import Key
from ..errors import ConfigError
from ..release import Report
from .target import Options

if TYPE_CHECKING:  # they import requests
    from .transport import Wire
    from .view import View

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`.

    Attributes:
        level: OK, WARN (it works, and may surprise), FAIL (it does not work), SKIP (it could not be told).
        check: name of the check.
        what: what was found.
        hint: the next thing to type, if there is one.
    """

    level: str
    check: str
    what: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding as JSON values."""
        return {"check": self.check, "level": self.level, "what": self.what, "hint": self.hint}


@dataclass
class Case:
    """What is examined: what was typed and the environment, and what the checks found there so far.

    A check that needs what another one finds says so (`Check.needs`), and is not run without it.
    """

    options: Options
    cwd: Path
    environ: Mapping[str, str]
    project: Path = field(init=False)
    settings: Mapping[str, Any] = field(init=False)
    entry: Mapping[str, Any] = field(init=False)
    roots: tuple[Path, ...] = field(init=False)
    key: Key = field(init=False)
    endpoint: str = field(init=False)
    ca_file: str = field(init=False)
    wire: Wire = field(init=False)
    view: View = field(init=False)
    status: Report = field(init=False)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if "wire" in vars(self):
            self.wire.close()


Told = tuple[str, str, str]
"""Level, what was found, hint."""


@dataclass(frozen=True)
class Check:
    """One question, and the checks that it can't be asked without."""

    name: str
    ask: Callable[[Case], Told]
    needs: tuple[str, ...] = ()


def ok(what: str) -> Told:
    """Say that it is well."""
    return OK, what, ""


def warn(what: str, hint: str) -> Told:
    """Say that it works, and what may surprise."""
    return WARN, what, hint


def fail(what: str, hint: str) -> Told:
    """Say that it does not work, and what to type."""
    return FAIL, what, hint


def misconfigured(error: ConfigError) -> Told:
    """Say what is wrong with the set-up."""
    return fail(f"{error.key}: {error.why}", error.hint)
