"""Which memos there are: each that came is found, none that went is kept, and mostly without a walk."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator

import pytest
from flask_habanero.live import roster as module
from flask_habanero.live.roster import Roster

WALKS: list[int] = []


@pytest.fixture(autouse=True)
def _walks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Note each walk over the heap. Memos that other tests left in circles must not go meanwhile."""
    gc.collect()
    gc.disable()
    WALKS.clear()
    whole = gc.get_referrers

    def walk(*things: object) -> list[object]:
        WALKS.append(len(things))  # the type itself must not be held: its references are counted
        return whole(*things)

    monkeypatch.setattr(module.gc, "get_referrers", walk)
    yield
    gc.enable()


def make() -> functools._lru_cache_wrapper[int]:
    return functools.lru_cache(lambda: 1)


def has(roster: Roster, memo: object) -> bool:
    return any(one is memo for one in roster.every())


def test_the_heap_is_walked_once_as_long_as_none_comes_or_goes() -> None:
    roster, memo = Roster(), make()
    assert has(roster, memo)
    assert has(roster, memo)
    assert len(WALKS) == 1


def test_one_that_came_is_found() -> None:
    roster = Roster()
    roster.every()
    memo = make()
    assert has(roster, memo)


def test_one_that_came_when_another_went_is_found() -> None:
    roster, first = Roster(), make()
    roster.every()
    del first
    memo = make()
    assert has(roster, memo)
    assert len(WALKS) == 2


def test_none_is_kept() -> None:
    roster, memo = Roster(), make()
    name = id(memo)
    roster.every()
    del memo
    assert name not in map(id, roster.every())


def test_those_that_the_collector_passes_over_are_found() -> None:
    roster, memo = Roster(), make()
    gc.freeze()
    try:
        assert has(roster, memo)
    finally:
        gc.unfreeze()


def test_a_python_that_does_not_count_walks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_counted", lambda: False)
    roster, memo = Roster(), make()
    assert has(roster, memo)
    assert has(roster, memo)
    assert len(WALKS) == 2
