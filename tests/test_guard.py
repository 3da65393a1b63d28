"""The timer that ends a process which does not come through, whatever it is held up by."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flask_habanero.errors import UndoError
from flask_habanero.guard import DeadlyError, attempt

from tests.ledgers import ROOT

HELD_UP = {
    "a loop": "while True: pass",
    "a loop that catches all": "while True:\n    try: time.sleep(60)\n    except BaseException: pass",
    "the lock of Python": 're.match(r"(a+)+$", "a" * 60 + "b")',
    "a sleep": "time.sleep(60)",
}
PROGRAM = """
import re, signal, sys, threading, time
from flask_habanero.guard import watched

def go():
    with watched(0.2):
{body}

def in_thread():
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()

{where}()
print("through")
"""


def ran(body: str, where: str = "go", before: str = "") -> subprocess.CompletedProcess[str]:
    text = before + PROGRAM.format(
        body="\n".join(f"        {line}" for line in body.split("\n")), where=where
    )
    words = [sys.executable, "-c", text]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("what", "where"), [*((what, "go") for what in HELD_UP), ("the lock of Python", "in_thread")]
)
def test_whoever_does_not_come_through_is_ended(what: str, where: str) -> None:
    done = ran(HELD_UP[what], where)
    assert done.returncode == -signal.SIGALRM, done.stderr
    assert "in go\n" in done.stderr  # it says where it was
    assert not done.stdout


def test_the_signal_and_its_timer_are_given_back() -> None:
    after = "\nassert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL\n"
    after += "assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)\n"
    after += "time.sleep(0.5)\nsignal.signal(signal.SIGALRM, lambda *_: print('mine'))\n"
    after += "signal.raise_signal(signal.SIGALRM)\n"
    text = PROGRAM.format(body="        pass", where="go") + after
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "through\nmine\n"), done.stderr


@pytest.mark.parametrize(
    "before",
    [
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print('mine'))\nsignal.alarm(1)\n",
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print('mine'))\nsignal.setitimer(0, 0.5)\n",
    ],
)
def test_an_app_that_uses_the_signal_itself_keeps_it(before: str) -> None:
    done = ran("time.sleep(1.5)", before=before)
    assert (done.returncode, done.stdout) == (0, "mine\nthrough\n"), done.stderr


def test_without_a_stderr_it_ends_all_the_same() -> None:
    done = ran("time.sleep(60)", before="import os, sys\nsys.__stderr__ = None\nos.close(2)\n")
    assert (done.returncode, done.stderr) == (-signal.SIGALRM, "")


def test_notes_of_a_later_release_outlive_what_serves_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "attempts"
    path.write_text("7\n7\n5\n")
    with attempt(path, 6, most=1):
        assert path.read_text() == "7\n7\n5\n6\n"
    assert path.read_text() == "7\n7\n"
    with pytest.raises(DeadlyError, match="#7 ended 2 workers"), attempt(path, 7):
        pass
    with attempt(path, 8):
        pass
    assert path.read_text() == ""


def test_notes_that_are_none_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "attempts"
    path.write_bytes(b"\xff\n\nx-7\n")
    with attempt(path, 7):
        pass
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("error", "left"),
    [(UndoError("shop:1", "half-way"), ["7"]), (ZeroDivisionError(), []), (SystemExit(), [])],
)
def test_who_fails_takes_its_note_back_unless_it_ends_of_it(
    tmp_path: Path, error: BaseException, left: list[str]
) -> None:
    """What could not be undone ends the worker as a crash does: after two of those nobody tries again."""
    path = tmp_path / "attempts"
    with pytest.raises(type(error)), attempt(path, 7):
        raise error
    assert path.read_text().split() == left
