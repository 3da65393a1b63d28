"""From events of the file system to batches of files, as a generator.

::

    for batch in watch(folders, stop, note, ahead):      # frozenset of paths; empty: time passed

- A lone, completely written file goes at once: that is a save in an editor. While it is seen
  whether it stays alone, it is looked at ahead.
- Several files, or one that is not complete yet, or git at work, now or just before: wait until
  git is done and nothing happened for SILENCE_S, at most CAP_S. So too for another file than the last
  that was saved while the consumer was busy: who saves all of an editor's files has more to come.
- Events can be lost (overflow, network mounts, symlinks out of the tree): every RESCAN_S the
  sizes and times of all files are compared. What is found is yielded only when it stands still.
- A batch says where to look, never what changed: contents decide.

Only the kinds of events are asked for that mean something: an editor that reads, or any
process that imports, causes none.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

from ..asset import is_asset_name
from . import git
from .beside import BESIDE
from .tree import is_code_folder, walk, walk_assets

GRACE_S = 0.001  # lets the second event of a pair arrive; two files saved together are mostly further apart
SILENCE_S = 0.06  # git checkout pauses up to 48 ms between files
JUST_S = 0.5  # for so long after git has written its index, the events of what it checked out may still come
CAP_S = 3.0  # for a tree that never stands still
LOCK_S = 30.0  # the longest that git works on a tree; older locks are left from a crash
STEP_S = 1.0  # a rebase that still runs takes its next step before that
RESCAN_S = 2.0
POLL_S = 0.3  # instead, where the system gives no events
END_S = 2.0  # for its threads to end; they are no reason to stay
TICK_S = 0.5  # how often an empty batch lets the consumer look at its own clock

COMPLETE = "complete"  # the file is whole
PARTIAL = "partial"  # something happened, more may come
FOLDER = "folder"  # a folder came or went, and what is in it
REBASES = ("rebase-merge", "rebase-apply")  # there while git rebases; each step changes it
WOKEN = ("woken", Path())
VIMS_PROBE = "4913"  # vim makes and deletes it to see whether it may write to a folder
MOUNTS = Path("/proc/self/mountinfo")
REMOTE = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre"),
        *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs"),  # virtual machines: WSL, Vagrant, Lima, Colima
        *("fakeowner", "osxfs", "grpcfuse", "drvfs"),  # Docker Desktop, and Windows' disks in WSL
    }
)
WISHED = "polling is switched on"
Stamp = tuple[int, int, int]
"""mtime in ns, size, inode."""


@dataclass(frozen=True)
class Folders:
    """Where to look: roots, top-level names below them that count (BESIDE: any), and folders of assets.

    Attributes:
        polls: the system is not asked to tell of changes, since the person knows that it does not.
    """

    roots: tuple[Path, ...]
    tops: frozenset[str]
    assets: tuple[str, ...] = ()
    polls: bool = False

    def recursive(self) -> list[Path]:
        """Return the folders to watch whole, none of them in another."""
        found = []
        for root in self.roots:
            names = sorted({*self._below(root), *self.assets})
            outer = [name for name in names if not any(name.startswith(f"{other}/") for other in names)]
            found += [root / name for name in outer if (root / name).is_dir()]
        return found

    def files(self) -> Iterator[Path]:
        """Yield the files that count."""
        for root in self.roots:
            tops = self._below(root)
            yield from (root / f"{top}.py" for top in tops if (root / f"{top}.py").is_file())
            for top in tops:
                yield from walk(root / top)
            for folder in self.assets:
                yield from walk_assets(root / folder)

    def _below(self, root: Path) -> list[str]:
        """Return the top-level names that may count; where new ones may come, all that are there now."""
        if BESIDE not in self.tops:
            return sorted(self.tops)
        there = {path.relative_to(root).parts[0] for kind in ("*.py", "*/*.py") for path in root.glob(kind)}
        return sorted(self.tops | {name.removesuffix(".py") for name in there if is_code_folder(name)})

    def wants(self, path: Path) -> bool:
        """Whether a file of that path counts. No look at the disk."""
        text = str(path)
        for root in self._prefixes:
            if text.startswith(root):
                name = text[len(root) :]
                parts = name.split(os.sep)  # noqa: PTH206  # a Path takes ten times as long
                if text.endswith(".py"):
                    may_be = BESIDE in self.tops or parts[0].removesuffix(".py") in self.tops
                    return may_be and all(map(is_code_folder, parts))
                below = any(name.startswith(f"{folder}/") for folder in self.assets)
                return below and is_asset_name(name) and parts[-1] != VIMS_PROBE
        return False

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(os.path.join(root, "") for root in self.roots)  # noqa: PTH118  # ends with a separator


def snapshot(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return what a cheap look tells of some files; those that are not there are left out."""
    stamps = {}
    for path in files:
        try:
            stat = path.stat()
        except OSError:  # gone between listing and look
            continue
        stamps[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return stamps


def changed(old: dict[Path, Stamp], new: dict[Path, Stamp]) -> set[Path]:
    """Return the files that differ between two snapshots."""
    return {path for path in {*old, *new} if old.get(path) != new.get(path)}


def watch(
    folders: Folders,
    stop: Event,
    note: Callable[[str], None],
    ahead: Callable[[Path], None],
    events: queue.SimpleQueue[tuple[str, Path]],
) -> Generator[frozenset[Path], None, None]:
    """Yield batches of files to look at, until `stop` is set: the first, empty, once all is watched.

    Args:
        folders: where to look.
        stop: ends it, within TICK_S.
        note: takes a sentence if events can't be had.
        ahead: may prepare for a file that is probably in the next batch. It must take milliseconds.
        events: where they come in. Who puts WOKEN there gets a batch at once, be it empty.
    """
    observer, problem = _begin(folders, events)
    try:
        collector = Collector(folders, events, RESCAN_S if observer else POLL_S, ahead)
        if problem:
            note(f"{problem}: looking every {POLL_S:g} s instead")
        yield frozenset()
        while not stop.is_set():
            yield collector.next(TICK_S)
    finally:
        if observer is not None:
            observer.stop()
            observer.join(END_S)


def remote_mount(roots: Iterable[Path], table: Path = MOUNTS) -> str:
    """Return the type of the first root's file system that tells nothing of others' changes, or ""."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()]
    except OSError:  # no Linux
        return ""
    # proc(5): field 5 is the mount point; the type follows the field "-"
    mounts = {Path(row[4]): row[row.index("-") + 1] for row in rows if "-" in row}
    for root in roots:
        kind = next(mounts[place] for place in (root, *root.parents) if place in mounts)
        if kind in REMOTE or kind.startswith("fuse."):
            return kind
    return ""


def why_no_events(folders: Folders) -> str:
    """Return why the file system tells nothing of changes, or "". Tries it, and ends what it began."""
    observer, problem = _begin(folders, queue.SimpleQueue())
    if observer is not None:
        observer.stop()
        observer.join(END_S)
    return problem


def _begin(folders: Folders, events: queue.SimpleQueue[tuple[str, Path]]) -> tuple[Any, str]:
    """Return an observer that was started, or None and why there is none."""
    if folders.polls:
        return None, WISHED
    mount = remote_mount(folders.roots)
    return (None, f"{mount} gives no events") if mount else _observe(folders, events)


def _observe(folders: Folders, events: queue.SimpleQueue[tuple[str, Path]]) -> tuple[Any, str]:
    """Start watchdog. Return its observer, or None and why it can't be had."""
    from watchdog import events as kinds
    from watchdog.observers import Observer

    wanted = [
        kinds.FileClosedEvent,
        kinds.FileMovedEvent,
        kinds.FileCreatedEvent,
        kinds.FileDeletedEvent,
        kinds.DirMovedEvent,
        kinds.DirCreatedEvent,
        kinds.DirDeletedEvent,
    ]

    class Handler(kinds.FileSystemEventHandler):
        def on_any_event(self, event: kinds.FileSystemEvent) -> None:
            for item in translate(event.event_type, event.is_directory, event.src_path, event.dest_path):
                events.put(item)

    observer = Observer()
    try:
        for root in folders.roots:
            observer.schedule(Handler(), str(root), recursive=False, event_filter=wanted)
        for folder in folders.recursive():
            observer.schedule(Handler(), str(folder), recursive=True, event_filter=wanted)
        observer.start()
    except OSError as error:  # inotify's limits, or a file system without events
        return None, f"no events from the file system ({error.strerror})"
    return observer, ""


def translate(kind: str, is_folder: bool, source: str | bytes, dest: str | bytes) -> list[tuple[str, Path]]:
    """Return what an event of watchdog means: (COMPLETE, PARTIAL or FOLDER, path)."""
    path, to = Path(os.fsdecode(source)), Path(os.fsdecode(dest or b""))
    if is_folder:
        return [(FOLDER, path), *([(FOLDER, to)] if kind == "moved" else [])]
    if kind == "moved":
        return [(PARTIAL, path), (COMPLETE, to)]
    return [(COMPLETE if kind == "closed" else PARTIAL, path)]


class Collector:
    """Makes batches of events. Knows how every file looked when it was last in a batch."""

    def __init__(
        self,
        folders: Folders,
        events: queue.SimpleQueue[tuple[str, Path]],
        rescan_s: float,
        ahead: Callable[[Path], None],
    ) -> None:
        self._folders, self._events, self._rescan_s, self._ahead = folders, events, rescan_s, ahead
        self._locks = [lock for lock in map(git.lock_of, folders.roots) if lock]
        self._indexes = [
            lock.with_suffix("") for lock in self._locks
        ]  # git ends by renaming one to the other
        self._rebases = [lock.with_name(name) for lock in self._locks for name in REBASES]
        self._index_seen = snapshot(self._indexes)
        self._seen = snapshot(folders.files())
        self._next_scan = time.monotonic() + rescan_s
        self._batch: dict[Path, str] = {}
        self._last: frozenset[Path] = frozenset()
        self._folder_came_or_went = self._more_may_come = False

    def next(self, timeout_s: float) -> frozenset[Path]:
        """Return the next batch, or an empty one if nothing happened in time."""
        self._batch, self._folder_came_or_went = {}, False
        for _ in range(self._events.qsize()):
            self._take(0)
        self._more_may_come = bool(self._last) and not self._last.issuperset(self._batch)
        if not self._batch and not self._folder_came_or_went:
            self._take(min(timeout_s, max(0.0, self._next_scan - time.monotonic())))
        if time.monotonic() >= self._next_scan:
            self._rescan()
        if not self._batch and not self._folder_came_or_went:
            self._last = frozenset()
            return self._last
        self._gather()
        if not self._may_go():
            self._settle()
        return self._done()

    def _gather(self) -> None:
        """Take what comes within GRACE_S, and again so long after each; use the time."""
        since = time.monotonic()
        if self._may_go():
            self._ahead(*self._batch)
        while self._take(since + GRACE_S - time.monotonic()):
            since = time.monotonic()

    def _take(self, timeout_s: float) -> bool:
        """Add the next event to the batch. Returns whether there was one, of any use or none."""
        try:
            kind, path = self._events.get(timeout=timeout_s) if timeout_s > 0 else self._events.get_nowait()
        except queue.Empty:
            return False
        if kind == FOLDER:
            self._folder_came_or_went |= is_code_folder(path.name)
        elif self._folders.wants(path):
            self._batch[path] = kind
        return True

    def _may_go(self) -> bool:
        """Whether the batch is one save, complete."""
        many = len(self._batch) != 1 or self._folder_came_or_went or self._more_may_come
        if many or self._is_git_at_work():
            return False
        ((path, kind),) = self._batch.items()
        # a new file that is no module may be an editor's own, about to be renamed
        return kind == COMPLETE and _has_content(path) and (path.suffix == ".py" or path in self._seen)

    def _settle(self) -> None:
        """Take events until it is quiet and nobody holds git's lock; drop what is still being written."""
        before = snapshot(self._batch)
        end = time.monotonic() + CAP_S
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < min(end, quiet_since + SILENCE_S):
            if self._take(min(SILENCE_S, end - now)) or self._is_locked():
                quiet_since = time.monotonic()
            if self._may_go():
                return
        if self._folder_came_or_went:
            for path in changed(self._seen, snapshot(self._folders.files())):
                self._batch.setdefault(path, PARTIAL)
        moving = changed(before, snapshot(before))
        for path in [p for p, kind in self._batch.items() if kind == PARTIAL and p in moving]:
            del self._batch[path]  # its own event will come, or the next rescan finds it

    def _is_locked(self) -> bool:
        return any(_is_fresh(lock, LOCK_S) for lock in self._locks) or any(
            _is_fresh(folder, STEP_S) for folder in self._rebases
        )

    def _is_git_at_work(self) -> bool:
        """Whether git holds its lock, or let go of it just now: events come later than what they tell."""
        if self._is_locked():
            return True
        now = snapshot(self._indexes)
        fresh = time.time_ns() - int(JUST_S * 1e9)
        return any(now[path][0] > fresh for path in changed(self._index_seen, now) if path in now)

    def _rescan(self) -> None:
        begun = time.monotonic()
        for path in changed(self._seen, snapshot(self._folders.files())):
            self._batch.setdefault(path, PARTIAL)
        # at most 2 % of the time, however large the tree
        self._next_scan = time.monotonic() + max(self._rescan_s, 50 * (time.monotonic() - begun))

    def _done(self) -> frozenset[Path]:
        """Remember how the batch's files look now, so that the next rescan doesn't find them again."""
        now = snapshot(self._batch)
        for path in self._batch:
            self._seen.pop(path, None)
        self._seen.update(now)
        self._index_seen = snapshot(self._indexes)
        self._last = frozenset(self._batch)
        return self._last


def _is_fresh(path: Path, within_s: float) -> bool:
    """Whether a file is there and somebody at work: what a crash left behind must not slow every save."""
    try:
        return time.time() - path.stat().st_mtime < within_s
    except OSError:
        return False


def _has_content(path: Path) -> bool:
    """Whether a file is there and not empty: an empty one may be about to be written."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
