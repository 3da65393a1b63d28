"""Processes that serve no requests: workers of task queues, and scripts. They change between their tasks.

A follower takes no part in a push: nobody waits for its tasks, and it has no veto. It has the newest
release before its next task, and at the latest a second after the last one has ended.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from .errors import StoreError
from .fleet import Fleet
from .live import startup
from .manager import Manager
from .post import FOLLOWER
from .server import NAME, STORE_AGAIN_S, Runtime, Skin, is_apart, ledger_of
from .signals import Announcer
from .worker import Worker

log = logging.getLogger("flask_habanero")
_followers: list[Follower] = []  # of this process: its apps share one runtime, and that has one follower


def follow(app: Flask) -> Follower:
    """Return what keeps a process at head that serves no requests; use its `task` round each task.

    Nothing happens before the first task. Without a secret, with TESTING, and in a process that serves the
    app, it does nothing: that one is at head anyway.

    Raises:
        RuntimeError: the app was not given to Habanero before.
    """
    skin = app.extensions.get(NAME)
    if not isinstance(skin, Skin):
        raise RuntimeError(f"{app.name!r} has no Habanero: call Habanero(app) first, then follow(app)")
    runtime = None if app.testing or is_apart() else skin.runtime
    for follower in _followers:
        if follower.runtime is runtime:
            return follower
    _followers.append(Follower(runtime))
    return _followers[-1]


class Follower:
    """A process on its way from task to task."""

    def __init__(self, runtime: Runtime | None) -> None:
        self.runtime = runtime
        self._inside = 0
        self._fleet: Fleet | None = None
        self._again_at = 0.0
        os.register_at_fork(after_in_child=self._begin_again)

    def _begin_again(self) -> None:
        self._inside, self._fleet, self._again_at = 0, None, 0.0

    @contextmanager
    def task(self) -> Iterator[None]:
        """Run one task on one release: the newest when it begins.

        Tasks may run side by side, and in each other. While some run in this process, one that begins has
        the release that they have.
        """
        runtime = self.runtime
        if runtime is None:
            yield
            return
        with runtime.lock:
            self._look(runtime)
            self._inside += 1
        try:
            yield
        finally:
            with runtime.lock:
                self._inside -= 1

    def _look(self, runtime: Runtime) -> None:
        """Come to head, if no task is inside. What is wrong with the store is no reason not to work."""
        if self._inside or runtime.serves or time.monotonic() < self._again_at:
            return
        try:
            if self._fleet is None:
                self._fleet = self._start(runtime)
            self._fleet.worker.tick()
            return
        except StoreError as error:
            log.error("following without the ledger: %s", error)
        except Exception:
            log.exception("a fault in flask-habanero; working without it")
        self._again_at = time.monotonic() + STORE_AGAIN_S

    def _start(self, runtime: Runtime) -> Fleet:
        startup.stop()  # watching what starts costs time at each call
        config = runtime.config
        ledger = ledger_of(config, runtime.keys)
        worker = Worker(runtime.program, runtime.gate, ledger, config, Announcer(runtime.apps), follows=True)
        worker.start(Manager())
        fleet = Fleet(worker, config.store, runtime.keys, kind=FOLLOWER, tick=lambda: self._idle(runtime))
        fleet.start()
        return fleet

    def _idle(self, runtime: Runtime) -> None:
        """Called each second, so that who has nothing to do is at head, too."""
        with runtime.lock:
            if runtime.serves and self._fleet is not None:
                self._fleet.leave()  # counted as what serves
            self._look(runtime)
