"""A bad release, in six ways: under a real gunicorn the app answers again, and its master lives.

What is bad about it lies in the server's folder beside the app, so that it is good while it is pushed and
bad when a worker starts; or bad from the beginning.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import APP, TEXTS, Serve, Server
from tests.e2e.laptops import Clone
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FAULTY = '''\
"""Makes a release deadly whose texts say so, once there is a file that says how."""

import ctypes
import os
import re
import signal
import time
from pathlib import Path

from flask_habanero.live.program import Program

KINDS = {
    "raises": lambda: 1 / 0,
    "exits": lambda: exit(3),
    "loops": lambda: [None for _ in iter(int, 1)],
    "holds": lambda: re.match(r"(a+)+$", "a" * 60 + "b"),
    "crashes": lambda: ctypes.string_at(0),
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "ends": lambda: os._exit(9),  # 3 and 4 mean to gunicorn that nothing can boot: its master stops
    "sleeps": lambda: time.sleep(600),
    "has no memory": lambda: [0] * 10**15,
}
good = Program.commit


def commit(self, plan):
    bad = Path("bad")
    if bad.exists() and "deadly" in plan.target["app"].text:
        KINDS[bad.read_text()]()
    return good(self, plan)


Program.commit = commit
'''
FILES = {"app": APP.replace("from texts", "import faulty\nfrom texts"), "faulty": FAULTY, "texts": TEXTS}
KINDS = ("raises", "exits", "loops", "holds", "crashes", "is killed", "ends", "sleeps", "has no memory")


def kinds(*each_time: str, wanted: Iterable[str] = KINDS) -> pytest.MarkDecorator:
    rows = [pytest.param(kind, marks=() if kind in each_time else pytest.mark.long) for kind in wanted]
    return pytest.mark.parametrize("kind", rows)


def answered(server: Server) -> bool:
    """Whether it answers one request; while workers die it may cut one off, or refuse one."""
    with suppress(requests.RequestException):
        return requests.get(server.url, timeout=20).status_code == 200
    return False


@kinds("exits", "crashes")
def test_a_release_that_is_bad_at_a_start_leaves_the_app_up_with_the_last_good_one(
    serve: Serve, kind: str
) -> None:
    server = serve("-w", "2", files=FILES)
    server.ask_all(2)
    peer, text = server.peer(), server.source()
    for release in ("two", "deadly"):
        assert peer.push({"app": text.replace("one", release)}).outcome == "live"
    workers = server.ask_all(2).keys()
    (server.folder / "bad").write_text(kind)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 30)
    eventually(lambda: answered(server), 60)
    assert server.texts(2) == {"two"}
    assert server.process.poll() is None
    boots = server.log.read_text().count("Booting worker")
    assert boots <= 6, "two at first, two for those that were killed, and two deaths"
    status = peer.ask("status")
    assert (status.outcome, status.release) == ("diverged", 2)
    assert [row["release"] for row in status.data["fleet"]] == [1, 1]

    assert peer.push({"app": text.replace("one", "three")}).outcome == "live"
    assert server.texts(2) == {"three"}
    assert server.log.read_text().count("Booting worker") == boots


@kinds("loops", wanted=[kind for kind in KINDS if kind not in ("raises", "exits", "has no memory")])
def test_a_release_that_is_bad_for_the_worker_that_leads_it_is_not_recorded(
    serve: Serve, clone: Clone, kind: str
) -> None:
    server = serve("-w", "2", files=FILES)
    laptop = clone(server)
    server.ask_all(2)
    laptop.edit('"one"', '"two"')
    assert laptop.push().code == 0
    (server.folder / "bad").write_text(kind)
    laptop.edit('"two"', '"deadly"')
    done = laptop.push()
    assert (done.code, done.last["outcome"]) == (1, "refused"), done.said
    assert [reason["code"] for reason in done.last["reasons"]] == ["deadly"], done.said
    assert server.texts(2) == {"two"}
    assert server.process.poll() is None
    assert server.log.read_text().count("Booting worker") <= 4
    laptop.edit('"deadly"', '"three"')
    assert laptop.push().code == 0
    assert server.texts(2) == {"three"}
