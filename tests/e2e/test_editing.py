"""Whatever an editor does, and whenever the watcher is killed: both trees are the same in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.e2e.editing import Trial, many_kills, many_saves, trial

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_an_editor_saves_at_random_arrives(tmp_path: Path) -> None:
    assert many_saves(tmp_path, seed=1, saves=70)["releases"]


@pytest.mark.long
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


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Trial, Path]]:
    """A watcher that was killed after the server had its push, and before it was told so; and the file."""
    gone = Event()
    with trial(tmp_path, seed=1) as made:
        made.start().ready()
        head, path = made.server.head, made.editor.folder / "shop" / "f1.py"
        made.server.lies.append(lambda _: gone.wait(30) and None)
        path.write_text(made.editor.text(".py"))
        made.server.wait_for(lambda: made.server.head == head + 1)
        made.kill()
        gone.set()
        yield made, path


def test_a_kill_between_the_release_and_the_answer(killed: tuple[Trial, Path]) -> None:
    """Then the file changes: what the server has is ours, and no conflict."""
    made, path = killed
    head = made.server.head
    path.write_text(made.editor.text(".py"))
    made.start().ready()
    made.settles()
    assert made.server.head == head + 1


def test_what_is_rolled_back_before_its_watcher_is_back_stays_so(killed: tuple[Trial, Path]) -> None:
    made, path = killed
    made.server.roll_back(made.server.head - 1)
    head, before = made.server.head, made.server.tree["shop.f1"].text
    watch = made.start().ready()
    assert watch.expect("held", "shop/f1.py")["reasons"][0]["code"] == "rolled-back"
    assert (made.server.head, made.server.tree["shop.f1"].text) == (head, before)
    path.write_text(made.editor.text(".py"))
    made.settles()
