"""Changes that need a restart, where several hosts share a store: refused, and what came before heals."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Start, with_gunicorn
from tests.e2e.test_cold import GRACEFUL, RUN, cold, hot
from tests.stores import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_cold_release_of_a_host_that_comes_to_share_is_taken_by_nobody_until_the_next_one_heals(
    start: Start, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    monkeypatch.setenv("HABANERO_STORE", store)
    monkeypatch.setenv("HABANERO_COLD", "restart")
    alone = with_gunicorn(start, *RUN)("-w", "2", *GRACEFUL)
    alone.ask_all(2)
    assert alone.peer().push(cold("two")).data["restarted"] is True
    alone.process.send_signal(signal.SIGTERM)
    alone.process.wait(30)

    monkeypatch.setenv("HABANERO_STORE", json.dumps([redis.url, store]))
    one = with_gunicorn(start)("-w", "2")
    monkeypatch.setenv("HABANERO_STORE", redis.url)
    two = with_gunicorn(start)("-w", "2", site="web2")
    assert one.texts(2) == two.texts(2) == {"one"}  # what is on their disks
    for server in (one, two):
        status = server.peer().ask("status")
        assert (status.outcome, status.release, status.workers.total) == ("diverged", 1, 4)
        assert len([text for text in status.workers.behind if "makes an app" in text]) == 4
        assert "several share this store" in status.data["surroundings"]["obstacle"]
        refused = server.peer().push(cold("three"))
        assert (refused.outcome, refused.release, refused.reasons[-1].code) == ("cold", 1, "one-host")
    healed = two.peer().push(hot("four"))
    assert (healed.outcome, healed.workers.at_head, healed.release) == ("live", 4, 2), healed
    assert one.texts(2) == two.texts(2) == {"four"}
    before = one.workers()
    refused = one.peer().push(cold("three"))
    assert (refused.outcome, refused.release, refused.reasons[-1].code) == ("cold", 2, "one-host")
    assert (one.workers(), one.texts(2)) == (before, {"four"})
