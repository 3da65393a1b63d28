"""Signals, of the kind that Flask has: what became of releases, for the app's own code.

The sender is the app. They are sent in the worker that they concern, from a thread of ours, after its
gate is open again: a receiver holds no request up, and the next release does not wait for it. One that
raises is logged.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from blinker import NamedSignal, Namespace

_signals = Namespace()
release_live = _signals.signal(
    "release-live",
    "This worker came to a release: release (its number), steps. Also at its start, if that is not the base.",
)
release_rolled_back = _signals.signal(
    "release-rolled-back", "This worker came to a release that is a rollback: release (its number), steps."
)
release_refused = _signals.signal(
    "release-refused",
    "A push or rollback came to nothing in the worker that was asked: release (the head), outcome, reasons.",
)
release_answered = _signals.signal(
    "release-answered",
    "The worker that was asked answered a push or rollback, whatever came of it: report (the whole), who.",
)
log = logging.getLogger("flask_habanero")


@dataclass(frozen=True)
class _News:
    signal: NamedSignal
    about: dict[str, Any]
    move: AbstractContextManager[Any]  # held by who moves this worker: free when its gate is open again


@dataclass
class Announcer:
    """Sends signals, one after the other. One per process, made after the fork; starts with the first news.

    Attributes:
        senders: the apps of this process.
    """

    senders: Collection[object]
    _queue: queue.SimpleQueue[_News] = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_started: bool = False

    def tell(self, signal: NamedSignal, move: AbstractContextManager[Any], **about: Any) -> None:
        """Send a signal once nobody holds the lock `move`; at once it only takes note."""
        if not signal.receivers:
            return
        self._queue.put(_News(signal, about, move))
        with self._lock:
            if not self._is_started:
                threading.Thread(target=self._send_all, name="habanero-signals", daemon=True).start()
                self._is_started = True

    def _send_all(self) -> None:
        while True:
            news = self._queue.get()
            with news.move:
                pass  # now it is over
            for sender in list(self.senders):
                _send(news.signal, sender, news.about)


def _send(signal: NamedSignal, sender: object, about: dict[str, Any]) -> None:
    """Call each receiver by itself: those after one that raises are called, too."""
    for receiver in list(signal.receivers_for(sender)):
        try:
            receiver(sender, **about)
        except Exception:
            log.exception("a receiver of %s raised", signal.name)
