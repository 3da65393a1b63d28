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
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError, Reason, RefusedError, UndecidedError
from ..release import Bundle, Report
from .choose import Ask
from .desk import Desk, Situation, path_of
from .push import Before, Result, edits_of, foresee, result_of
from .target import SECRET_VARIABLES, Target

BEFORE_S = 600.0  # a check that takes longer hangs
AFTER_S = 10.0
LOOK_S = 0.02  # between looks whether it has ended
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
        self._after: _Run | None = None

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
        run = _Run(command, self._target.project, environ, about, self._say)
        code = run.to_its_end(BEFORE_S)
        if code:
            raise CheckError(command, f"ended with {code}", run.last)

    def after(self, report: Report) -> None:
        """Let the hook after a push know of its report, soon. Raises nothing, waits for nothing."""
        if self.wishes.post_push:
            self._later.submit(self._tell, report)

    def _tell(self, report: Report) -> None:
        command = self.wishes.post_push
        self._after = _Run(command, self._target.project, self._environ, report.as_json(), self._say)
        try:
            code = self._after.to_its_end(AFTER_S)
        except CheckError as error:
            self._say(f"post_push: {error}")
        else:
            if code:
                self._say(f"post_push: `{command}` ended with {code}")

    def wait(self) -> None:
        """Wait until what was told is dealt with: AFTER_S for each at most."""
        self._later.shutdown()

    def close(self) -> None:
        """End what still runs, and start nothing more."""
        self._later.shutdown(wait=False, cancel_futures=True)
        if self._after is not None:
            self._after.end()


class _Run:
    """One command, from its start to its end.

    It is started and listened to in a thread, since an interrupt comes to the main thread, at any moment:
    one that came while a process is being made would leave it behind, known to nobody.

    Attributes:
        last: the last line of its output that is not blank.
    """

    def __init__(
        self, command: str, folder: Path, environ: Mapping[str, str], about: Mapping[str, Any], say: Say
    ) -> None:
        self.last = ""
        self._command, self._folder, self._environ, self._about, self._say = (
            command,
            folder,
            environ,
            about,
            say,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = ""
        self._is_started = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="habanero-command", daemon=True)

    def to_its_end(self, within_s: float) -> int:
        """Run it, and return its exit code.

        Raises:
            CheckError: it could not be started, or did not end in time, and was ended.
        """
        try:
            self._thread.start()
            self._is_started.wait()
            if self._process is None:
                raise CheckError(self._command, "can't be started", self._failure)
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.end()
            raise CheckError(self._command, f"did not end within {within_s:g} s", self.last) from None
        except BaseException:  # interrupted
            self.end()
            raise
        self._thread.join(END_S)  # what it left running may hold its output open
        return code

    def _follow(self) -> None:
        try:
            self._process = process = self._start()
        except (OSError, ValueError) as error:  # the second: null bytes
            self._failure = str(error)
            return
        finally:
            self._is_started.set()
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                text = line.decode("utf-8", "replace").rstrip()
                self.last = text or self.last
                self._say(text)

    def _start(self) -> subprocess.Popen[bytes]:
        with tempfile.TemporaryFile() as told:  # a pipe would wait for a command that does not read
            if self._about:
                told.write(json.dumps(self._about).encode())
                told.seek(0)
            # S602: a command line that the person wrote, in their own project, to be run as they type it
            return subprocess.Popen(  # noqa: S602
                self._command,
                shell=True,
                cwd=self._folder,
                env=dict(self._environ),
                stdin=told,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def end(self) -> None:
        """End it, with all that it started and left in its group. If it has ended, do nothing."""
        if self._thread.ident is None:
            return
        self._is_started.wait(END_S)
        process = self._process
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process is None or (number == signal.SIGTERM and process.poll() is not None):
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            if not _goes_on(process.pid):
                return


def _goes_on(group: int) -> bool:
    """Whether some process of a group is still there after a while: its leader may end before the others."""
    until = time.monotonic() + END_S
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(LOOK_S)
        return True
    return False


def before_push(at: Desk, hooks: Hooks, ask: Ask, show: Callable[[Result], None]) -> Before:
    """Return what runs before a push: the commands, and then the question, if one is wished for."""

    def before(now: Situation, bundle: Bundle) -> bool:
        names = (*now.decision.send, *now.decision.delete)
        took_time = hooks.before(now, names)
        if hooks.wishes.confirm:
            planned = result_of(now, now.decision, foresee(at, now.view, bundle))
            show(replace(planned, edits=edits_of(at, now)))
            if not ask((), f"push this to {at.target.name}?"):
                raise UndecidedError((Reason("undecided", "", "you said no: nothing was sent", ""),))
        return took_time or hooks.wishes.confirm

    return before


def refuse_unasked(wishes: Wishes, target: Target, *, yes: bool) -> None:
    """Raise UndecidedError if each push is to be asked for, and nobody would be asked."""
    if wishes.confirm and not yes:
        what = f"{target.name} wants to be asked before each push (confirm), and `watch` does not ask"
        name = "" if target.name == urlsplit(target.endpoint).netloc else f" {target.name}"
        hint = (
            f"send when you mean it: flask habanero push{name}; "
            f"or answer before: flask habanero watch{name} --yes"
        )
        raise UndecidedError((Reason("undecided", "", what, hint),))
