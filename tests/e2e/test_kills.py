"""Workers are killed at random under load: nothing acknowledged is lost, done twice, torn or stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import program
from tests.e2e.kills import KINDS, kill, started

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_some_workers_are_killed_under_load(tmp_path: Path) -> None:
    with started(tmp_path, KINDS["sync"]) as server:
        found = kill(server, count=4, seed=1, seconds=30)
    assert found.wrong == []
    assert found.kills
    assert found.pushes
    assert found.reads > found.kills


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_many_workers_are_killed_under_load(tmp_path: Path, kind: str) -> None:
    name = KINDS[kind].partition(" ")[0]
    if not Path(program(name)).exists():
        pytest.skip(f"{name} is not installed")
    if kind == "gevent":
        pytest.importorskip("gevent")
    with started(tmp_path, KINDS[kind]) as server:
        found = kill(server, count=100, seed=2, seconds=600)
    assert found.wrong == []
    assert found.pushes > 10
