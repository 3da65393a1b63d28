"""Commands of the person's own around a push: a check and a hook before it, a hook after it.

- What runs before it decides: anything but success, and nothing is sent.
- What runs after it decides nothing: it is given the report and little time, and what it says of
  itself is shown. A push, or the next save, never waits for it.
- Each runs in a process group of its own, all of which ends when we are interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import ConfigError, Reason, RefusedError, UndecidedError
from ..release import Bundle, Report
from .choose import Ask
from .desk import Desk, Situation, path_of
from .push import Before, Result, foresee, result_of
from .target import SECRET_VARIABLES, Target

BEFORE_S = 600.0  # a check that takes longer hangs
AFTER_S = 10.0
END_S = 2.0  # from the polite signal to the other one; and for the rest of an output
Say = Callable[[str], None]


class CheckError(RefusedError):
    """Client: a command that runs before each push did not succeed; nothing was sent."""

    slug = "check"

    def __init__(self, command: str, why: str, last: str) -> None:
        super().__init__(f"`{command}` {why}" + (f": {last}" if last else ""))
        self.command, self.why, self.last = command, why, last

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with what to do."""
        return (Reason("check", "", str(self), "correct it and save; nothing was sent"),)


@dataclass(frozen=True)
class Wishes:
    """What a person wants to happen around each push. An empty command is none.

    Attributes:
        check: must succeed; it is run without the secret.
        pre_push: must succeed, too; it is told on its stdin what is about to go, and where.
        post_push: is told the report on its stdin.
        confirm: show the plan and ask first.
    """

    check: str = ""
    pre_push: str = ""
    post_push: str = ""
    confirm: bool = False

    @property
    def is_checked(self) -> bool:
        """Whether something must succeed before a push."""
        return bool(self.check or self.pre_push)

    @classmethod
    def read(cls, settings: Mapping[str, Any], entry: Mapping[str, Any], check: str | None) -> Wishes:
        """Return those of a target, else of the project; what was typed wins.

        Raises:
            ConfigError: one is no command.
        """
        wishes = {key: _command(key, settings, entry) for key in ("check", "pre_push", "post_push")}
        confirm = entry.get("confirm", settings.get("confirm", False))
        if type(confirm) is not bool:
            raise ConfigError("confirm", "is neither true nor false", "confirm = true in pyproject.toml")
        return cls(**{**wishes, **({} if check is None else {"check": check})}, confirm=confirm)


def _command(key: str, settings: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    value = entry.get(key, settings.get(key, ""))
    if not isinstance(value, str):
        raise ConfigError(key, "is no command", f'{key} = "pytest -q -x" in pyproject.toml')
    return value


class Hooks:
    """Runs what a person wished for. Starts nothing before the first push."""

    def __init__(self, wishes: Wishes, target: Target, environ: Mapping[str, str], say: Say) -> None:
        self.wishes = wishes
        self._target, self._environ, self._say = target, environ, say
        self._later = ThreadPoolExecutor(1, "habanero-hook")  # one after the other
        self._after: subprocess.Popen[bytes] | None = None

    def before(self, now: Situation, names: tuple[str, ...]) -> bool:
        """Run what must succeed before some modules are sent. Returns whether there was anything to run.

        Raises:
            CheckError: it did not succeed.
        """
        about = {
            "target": self._target.name,
            "url": self._target.endpoint,
            "head": now.view.head,
            "files": [path_of(now, name) for name in names],
        }
        if self.wishes.check:
            self._must_succeed(self.wishes.check, self._without_secret(), {})
        if self.wishes.pre_push:
            self._must_succeed(self.wishes.pre_push, self._environ, about)
        return self.wishes.is_checked

    def _without_secret(self) -> dict[str, str]:
        """Return the environment for a check: without a secret the app that it tests stays inert."""
        names = {*SECRET_VARIABLES, *(f"{name}_FILE" for name in SECRET_VARIABLES)}
        text = self._target.key.spellings[-1].decode()
        return {n: value for n, value in self._environ.items() if n not in names and text not in value}

    def _must_succeed(self, command: str, environ: Mapping[str, str], about: Mapping[str, Any]) -> None:
        process = _started(command, self._target.project, environ, about)
        last = _followed(process, command, BEFORE_S, self._say)
        if process.returncode:
            raise CheckError(command, f"ended with {process.returncode}", last)

    def after(self, report: Report) -> None:
        """Let the hook after a push know of its report, soon. Raises nothing, waits for nothing."""
        if self.wishes.post_push:
            self._later.submit(self._tell, report)

    def _tell(self, report: Report) -> None:
        command = self.wishes.post_push
        try:
            self._after = _started(command, self._target.project, self._environ, report.as_json())
            _followed(self._after, command, AFTER_S, self._say)
        except (CheckError, OSError) as error:
            self._say(f"post_push: {error}")
        else:
            if self._after.returncode:
                self._say(f"post_push: `{command}` ended with {self._after.returncode}")

    def wait(self) -> None:
        """Wait until what was told is dealt with: AFTER_S for each at most."""
        self._later.shutdown()

    def close(self) -> None:
        """End what still runs, and start nothing more."""
        self._later.shutdown(wait=False, cancel_futures=True)
        if self._after is not None and self._after.poll() is None:
            _end(self._after)


def _started(
    command: str, folder: Path, environ: Mapping[str, str], about: Mapping[str, Any]
) -> subprocess.Popen[bytes]:
    """Start a command in a shell, with something to read on its stdin. Raises CheckError if that fails."""
    with tempfile.TemporaryFile() as told:  # a pipe would wait for a command that does not read
        if about:
            told.write(json.dumps(about).encode())
            told.seek(0)
        try:
            # S602: a command line that the person wrote, in their own project, to be run as they type it
            return subprocess.Popen(  # noqa: S602
                command,
                shell=True,
                cwd=folder,
                env=dict(environ),
                stdin=told,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except (OSError, ValueError) as error:  # the second: null bytes
            raise CheckError(command, "can't be started", str(error)) from None


def _followed(process: subprocess.Popen[bytes], command: str, within_s: float, say: Say) -> str:
    """Wait for the end of a command, saying each line of its output. Returns the last that is not blank.

    Raises:
        CheckError: it did not end in time, and was ended.
    """
    last: deque[str] = deque([""], maxlen=1)
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, last, say), daemon=True)
    reader.start()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        _end(process)
        raise CheckError(command, f"did not end within {within_s:g} s", last[0]) from None
    except BaseException:  # interrupted
        _end(process)
        raise
    reader.join(END_S)  # what it left running may hold its output open
    return last[0]


def _read(output: IO[bytes], last: deque[str], say: Say) -> None:
    with output:
        for line in output:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                last.append(text)
            say(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command, and all that it started and left in its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
            return


def before_push(at: Desk, hooks: Hooks, ask: Ask, show: Callable[[Result], None]) -> Before:
    """Return what runs before a push: the commands, and then the question, if one is wished for."""

    def before(now: Situation, bundle: Bundle) -> bool:
        names = (*now.decision.send, *now.decision.delete)
        took_time = hooks.before(now, names)
        if hooks.wishes.confirm:
            show(result_of(now, now.decision, foresee(at, now.view, bundle)))
            if not ask((), f"push this to {at.target.name}?"):
                raise UndecidedError((Reason("undecided", "", "you said no: nothing was sent", ""),))
        return took_time or hooks.wishes.confirm

    return before


def refuse_unasked(wishes: Wishes, target: Target, *, yes: bool) -> None:
    """Raise UndecidedError if each push is to be asked for, and nobody would be asked."""
    if wishes.confirm and not yes:
        what = f"{target.name} wants to be asked before each push (confirm), and `watch` does not ask"
        hint = "send when you mean it: flask habanero push; or answer before: flask habanero watch --yes"
        raise UndecidedError((Reason("undecided", "", what, hint),))
