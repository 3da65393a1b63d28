"""Signals: what the app's own code learns of releases, and what it can't harm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import flask_habanero
import pytest
from flask_habanero.signals import Announcer, release_live, release_refused, release_rolled_back

from tests.fakes import tree_of
from tests.hosts import Host, eventually

BASE = tree_of(shop="one = 1\n")
SIGNALS = {"live": release_live, "rolled back": release_rolled_back, "refused": release_refused}


class Heard:
    """What receivers heard, each by its sender."""

    def __init__(self) -> None:
        self.news: list[tuple[str, object, dict[str, Any]]] = []

    def receiver(self, name: str) -> Any:
        return lambda sender, **about: self.news.append((name, sender, about))

    def of(self, sender: object) -> list[tuple[str, int]]:
        return [(name, about["release"]) for name, who, about in self.news if who is sender]


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()
    with ExitStack() as stack:
        for name, signal in SIGNALS.items():
            receiver = found.receiver(name)
            stack.callback(lambda *_: None, receiver)  # a signal holds its receivers weakly
            stack.enter_context(signal.connected_to(receiver))
        yield found


@pytest.fixture
def host(tmp_path: Any) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.close()


def test_each_worker_tells_of_each_release(host: Host, heard: Heard) -> None:
    first, second = host.workers(2, BASE)
    for member in (first, second):
        member.get()
    peer = host.peer(first)
    assert peer.push({"shop": "one = 2\n"}).outcome == "live"
    assert peer.rollback().outcome == "live"
    wanted = [("live", 1), ("rolled back", 2)]
    for member in (first, second):
        eventually(lambda member=member: heard.of(member.program) == wanted)
    steps = [about["steps"] for name, _, about in heard.news if name == "live"]
    assert steps[0] == steps[1] != ()
    assert all(type(step) is str for step in steps[0])


def test_a_worker_that_starts_later_tells_where_it_is(host: Host, heard: Heard) -> None:
    first = host.worker(BASE)
    host.peer(first).push({"shop": "one = 2\n"})
    later = host.worker(BASE)
    eventually(lambda: heard.of(later.program) == [("live", 1)])


def test_a_refusal_is_told_by_the_worker_that_was_asked(host: Host, heard: Heard) -> None:
    first, second = host.workers(2, BASE)
    peer = host.peer(first)
    assert peer.rollback(7).outcome == "refused"
    eventually(lambda: heard.of(first.program) == [("refused", 0)])
    (about,) = [about for _, _, about in heard.news]
    assert (about["outcome"], about["reasons"][0].code) == ("refused", "no-such-release")
    assert heard.of(second.program) == []


def test_a_plan_tells_nothing(host: Host, heard: Heard) -> None:
    first = host.worker(BASE)
    peer = host.peer(first)
    assert peer.ask("plan", peer.bundle({"shop": "one = 2\n"}).encode()).outcome == "live"
    peer.push({"shop": "one = 3\n"})
    eventually(lambda: heard.of(first.program) == [("live", 1)])


def test_a_receiver_that_raises_or_hangs_harms_nothing(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    go_on, hung = threading.Event(), threading.Event()
    releases: list[int] = []

    def raises(_sender: object, **_about: Any) -> None:
        raise ZeroDivisionError("of the app")

    def hangs(_sender: object, **_about: Any) -> None:
        hung.set()
        assert go_on.wait(30)

    def notes(_sender: object, release: int, **_about: Any) -> None:
        releases.append(release)

    with ExitStack() as stack, caplog.at_level(logging.ERROR, "flask_habanero"):
        for receiver in (raises, hangs, notes):
            stack.enter_context(release_live.connected_to(receiver))
        first = host.worker(BASE)
        peer = host.peer(first)
        assert peer.push({"shop": "one = 2\n"}).outcome == "live"
        assert hung.wait(10)
        assert peer.push({"shop": "one = 3\n"}).outcome == "live"  # while a receiver hangs
        assert first.get() == "one = 3\n"
        go_on.set()
        eventually(lambda: releases == [1, 2])
    assert "a receiver of release-live raised" in caplog.text
    assert "of the app" in caplog.text


def test_it_waits_for_the_end_of_the_move() -> None:
    move, told = threading.Lock(), threading.Event()

    def notes(_sender: object, **_about: Any) -> None:
        assert move.acquire(blocking=False)
        told.set()

    with release_live.connected_to(notes):
        with move:
            Announcer(["app"]).tell(release_live, move, release=1)
            assert not told.wait(0.1)
        assert told.wait(10)


def test_without_a_receiver_nothing_is_started() -> None:
    before = threading.active_count()
    Announcer(["app"]).tell(release_live, threading.Lock(), release=1)
    assert threading.active_count() == before


def test_they_are_exported() -> None:
    assert flask_habanero.release_live is release_live
    assert set(flask_habanero.__all__) >= {"release_live", "release_refused", "release_rolled_back"}
