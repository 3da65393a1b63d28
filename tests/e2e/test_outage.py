"""Redis is away while two hosts are under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.outage import measured

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.long]


def test_no_request_fails_while_redis_is_away_and_pushes_go_on_when_it_is_back(tmp_path: Path) -> None:
    found = measured(15, tmp_path)
    assert {phase: row["failed"] for phase, row in found.items()} == {"with": 0, "without": 0, "again": 0}
    assert all(row["requests"] > 100 for row in found.values())
    assert found["without"]["pushes"].keys() == {"failed"}
    assert "live" in found["with"]["pushes"]
    assert "live" in found["again"]["pushes"]
