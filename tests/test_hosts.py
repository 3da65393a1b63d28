"""Several hosts in one process: each with a folder, workers and a relay, and one store that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import tree_of
from tests.hosts import Host
from tests.stores import MemoryStore

BASE = tree_of(shop="x = 1", shop__views="y = 1")
MakeHost = Callable[..., Host]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def host(tmp_path: Path, store: MemoryStore) -> Iterator[MakeHost]:
    """Give a function that starts a host of that name, with so many workers."""
    hosts: list[Host] = []

    def make(name: str, workers: int = 1, base: dict = BASE) -> Host:
        (tmp_path / name).mkdir(exist_ok=True)
        hosts.append(Host(tmp_path / name, store))
        hosts[-1].workers(workers, base)
        return hosts[-1]

    yield make
    for one in hosts:
        one.close()


def texts(*hosts: Host) -> set[str]:
    return {member.get() for one in hosts for member in one.members}


def test_a_push_is_live_in_every_worker_of_every_host(host: MakeHost) -> None:
    one, two, three = host("one", 2), host("two", 2), host("three", 1)
    report = one.peer(one.members[0]).push({"shop": "x = 2"})
    assert (report.outcome, report.release) == ("live", 1), report
    assert (report.workers.at_head, report.workers.behind) == (5, ())
    assert texts(one, two, three) == {"x = 2"}
    report = three.peer(three.members[0]).push({"shop": "x = 3"})
    assert (report.outcome, report.release, report.workers.at_head) == ("live", 2, 5)
    assert texts(one, two, three) == {"x = 3"}
