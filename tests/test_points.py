"""Killed at any line of a push: it is one release or none, and nobody serves anything else meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.points import kill


@pytest.mark.slow
def test_a_worker_killed_at_some_lines_of_a_push_leaves_it_done_or_not_done(tmp_path: Path) -> None:
    found = kill(tmp_path, range(100, 10**6, 250))
    assert found.wrong == []
    assert found.points >= 4
    assert found.lines > 500


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_worker_killed_at_any_line_of_a_push_leaves_it_done_or_not_done(tmp_path: Path) -> None:
    found = kill(tmp_path, range(1, 10**6))
    assert found.wrong == []
    assert found.points >= 1000
    assert found.recorded >= 10, "it died after the record as well"
