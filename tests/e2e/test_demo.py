"""The demo shows what is so: it passes on us as we are, and fails on us broken."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask_habanero.client import backstage
from flask_habanero.errors import ConfigError

from tests.e2e.laptops import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SAYS_S = 60.0  # the whole demo, on a loaded machine

COMMIT_NOTHING = """
from flask_habanero.live.program import Program
Program.commit = lambda self, plan: lambda: None
"""

COMMIT_IN_ONE_WORKER = """
import threading
from flask_habanero.live.program import Program
commit = Program.commit
def commit_unless_told_by_another(self, plan):
    told = threading.current_thread().name == "habanero"
    return (lambda: None) if told else commit(self, plan)
Program.commit = commit_unless_told_by_another
"""

FORGET_STATE = """
import sys
from flask_habanero.live.program import Program
commit = Program.commit
def commit_and_forget(self, plan):
    undo = commit(self, plan)
    sys.modules["shop.state"].items.clear()
    return undo
Program.commit = commit_and_forget
"""


@dataclass
class Demo:
    """A running ``flask habanero demo``, and its lines as they come."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    def expect(self, pattern: str) -> re.Match[str]:
        """Return the match in the first line that has one; there must be one in time."""

        def search() -> re.Match[str] | None:
            return next((m for line in self.lines if (m := re.search(pattern, line))), None)

        with self._news:
            found = self._news.wait_for(search, SAYS_S)
        assert found, (pattern, "".join(self.lines))
        return found

    def end(self) -> tuple[int, str]:
        """Wait for its end; return exit code and output."""
        try:
            code = self.process.wait(SAYS_S)
        finally:
            self.process.kill()
            self._listener.join()
        return code, "".join(self.lines)


Start = Callable[..., Demo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts the demo, with a sitecustomize in each of its processes."""
    demos: list[Demo] = []
    (tmp_path / "temporary").mkdir()
    (tmp_path / "sabotage").mkdir()

    def start(*words: str, sabotage: str = "") -> Demo:
        (tmp_path / "sabotage" / "sitecustomize.py").write_text(sabotage)
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "sabotage"), str(ROOT)]),
            "TMPDIR": str(tmp_path / "temporary"),
            # what a developer may have set for an app of their own
            "FLASK_APP": "nowhere",
            "GUNICORN_CMD_ARGS": "--workers=5",
            "HABANERO_URL": "https://elsewhere.example",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "habanero", "demo", *words],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        demos.append(Demo(process))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.terminate()  # it ends what it started
            demo.end()
        assert demo.process.stdout is not None
        demo.process.stdout.close()
    assert list((tmp_path / "temporary").iterdir()) == []


def is_gone(pid: int) -> bool:
    """Whether a process has ended; where nobody reaps orphans, its entry stays."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def workers(demo: Demo) -> list[int]:
    return [int(pid) for pid in demo.expect(r"its workers are (\d+) and (\d+)").groups()]


def test_demo_holds_and_leaves_nothing_behind(start: Start) -> None:
    demo = start()
    code, said = demo.end()
    assert code == 0, said
    assert "All of it held: 10 acts" in said
    assert said.count("2/2 workers") >= 6
    assert "^" in said
    assert "FAILED" not in said
    assert all(map(is_gone, workers(demo)))


@pytest.mark.parametrize(
    ("sabotage", "complaint"),
    [
        (COMMIT_NOTHING, "not GET /"),
        (COMMIT_IN_ONE_WORKER, "not GET /"),
        (FORGET_STATE, "forgot"),
    ],
    ids=["nothing is committed", "only one worker commits", "memory is lost"],
)
def test_demo_fails_if_a_promise_is_broken(start: Start, sabotage: str, complaint: str) -> None:
    demo = start(sabotage=sabotage)
    code, said = demo.end()
    assert code == 1, said
    assert f"FAILED: {complaint}" in said or re.search(f"FAILED: .*{complaint}", said)
    assert all(map(is_gone, workers(demo)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_that_is_interrupted_ends_all_that_it_started(start: Start, number: signal.Signals) -> None:
    demo = start()
    demo.expect(r"ok    GET /")
    demo.process.send_signal(number)
    code, said = demo.end()
    assert code == 130, said
    assert "Traceback" not in said
    assert all(map(is_gone, workers(demo)))


def test_demo_that_is_kept_takes_edits_until_it_is_ended(start: Start) -> None:
    demo = start("--keep")
    file = Path(demo.expect(r"^Edit  (\S+)").group(1))
    file.write_text(file.read_text().replace("Peppers, again", "Peppers, mine"))
    demo.expect(r"live  #7 .*shop/views.py")
    demo.process.send_signal(signal.SIGINT)
    code, said = demo.end()
    assert code == 0, said
    assert all(map(is_gone, workers(demo)))


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("SAMPLE", Path("/nowhere"), "comes with a clone"),
        ("find_spec", lambda name: None, "is not installed"),
    ],
    ids=["no sample app", "no gunicorn"],
)
def test_demo_says_what_is_missing_first(monkeypatch, name, value, complaint) -> None:
    monkeypatch.setattr(backstage, name, value)
    with pytest.raises(ConfigError, match=complaint), backstage.stage():
        pass
