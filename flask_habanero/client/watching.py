"""Watches what counts, also when that changes: a release may bring a blueprint, and its folders of assets."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from .watch import PARTIAL, Folders, watch


def watch_all(
    wanted: Callable[[], Folders],
    stop: Event,
    note: Callable[[str], None],
    ahead: Callable[[Path], None],
    events: SimpleQueue[tuple[str, Path]],
) -> Generator[frozenset[Path], None, None]:
    """Yield what `watch` does, of the folders that are wanted, which is asked after each batch.

    What lies in those that came is in one of the next batches.
    """
    folders = wanted()
    batches = watch(folders, stop, note, ahead, events)
    try:
        while (batch := next(batches, None)) is not None:
            yield batch
            if (now := wanted()) != folders:
                before, batches = batches, watch(now, stop, note, ahead, events)
                next(batches)  # before the other ends: no event is lost
                before.close()
                for path in {*now.files()} - {*folders.files()}:
                    events.put((PARTIAL, path))
                folders = now
    finally:
        batches.close()
