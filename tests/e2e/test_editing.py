"""Whatever an editor does, and whenever the watcher is killed: both trees are the same in the end."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from tests.e2e.editing import many_kills, many_saves, trial

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_an_editor_saves_at_random_arrives(tmp_path: Path) -> None:
    assert many_saves(tmp_path, seed=1, saves=70)["releases"]


def test_a_watcher_that_is_killed_at_any_instant_goes_on_where_it_was(tmp_path: Path) -> None:
    assert many_kills(tmp_path, seed=1, kills=2)["releases"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_saves(tmp_path: Path) -> None:
    assert many_saves(tmp_path, seed=2, saves=1000)["releases"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    assert many_kills(tmp_path, seed=2, kills=100)["releases"]


def test_a_kill_between_the_release_and_the_answer(tmp_path: Path) -> None:
    """The server has it, the laptop was not told; then the file changes. Both are ours: no conflict."""
    killed = Event()
    with trial(tmp_path, seed=1) as made:
        made.start().ready()
        head, path = made.server.head, made.editor.folder / "shop" / "f1.py"
        made.server.lies.append(lambda _: killed.wait(30) and None)
        path.write_text(made.editor.text(".py"))
        made.server.wait_for(lambda: made.server.head == head + 1)
        made.kill()
        killed.set()
        path.write_text(made.editor.text(".py"))
        made.start().ready()
        made.settles()
        assert made.server.head == head + 2
