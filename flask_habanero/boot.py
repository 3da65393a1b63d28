"""The first of us in a process that `flask habanero run` started, before any module of the app.

It looks on while modules are imported, until the first one comes that belongs to the app: then it asks once
what this process imports, the disk or a release (`coldstart.py`). Where nothing was ever released by a
restart, it costs one look for a file at each import, and loads nothing: no Flask, nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

STORE = "HABANERO_STORE"
NOTE = "cold"  # the file's name, in the store's folder
_OURS = __name__.partition(".")[0]


def folder_in(text: str) -> Path | None:
    """Return the folder that HABANERO_STORE names, alone or beside an address; None if it names none."""
    with suppress(ValueError):
        places = json.loads(text)
        if isinstance(places, list):
            text = next((one for one in places if isinstance(one, str) and "://" not in one), "")
    return Path(text).expanduser().absolute() if text and "://" not in text else None


class Finder(MetaPathFinder):
    """Waits for the first import of one of the app's own modules.

    Attributes:
        folder: the store's; None if this process was not started by `flask habanero run`.
        refusal: why this process does not import a release, and another one would not either.
        passed_over: the head that this process did not import, since it ended others; 0 if there is none.
        pid: of the process that decided, this one or the one that it was forked from; 0 before.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.refusal = ""
        self._start: Callable[[], None]
        self._lock = threading.RLock()
        self._deciding = False
        self._inherited: frozenset[str] = frozenset()  # top-level names that a parent imported
        self.pid = self.passed_over = 0
        self._known: tuple[object, frozenset[str]] = (None, frozenset())

    def begin(self, folder: Path, start: Callable[[], None]) -> None:
        """Look on from now on.

        Args:
            folder: the store's.
            start: called once; puts what finds the app's modules before us, if that is not the disk.
        """
        self.folder, self._start = folder, start
        sys.meta_path.insert(0, self)
        os.register_at_fork(after_in_child=self._inherit)

    def _inherit(self) -> None:
        self._inherited = frozenset(name.partition(".")[0] for name in sys.modules)

    def decide(self) -> None:
        """Look on no more: it is decided elsewhere what this process imports."""
        self.pid = os.getpid()

    def why_not(self, names: Iterable[str], *, forked: bool) -> str:
        """Return why a process in this one's place would not import the release that is head then, or "".

        Args:
            names: the app's top-level names.
            forked: it has what the server's master has imported by now.
        """
        if self.folder is None:
            return "this server's processes import what is on the disk as they start"
        early = ", ".join(sorted(self._inherited.intersection(names)))
        if forked and (early or self.pid not in (0, os.getpid())):
            return f"the server's master imports modules of the app before it forks: {early or 'some'}"
        return self.refusal

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how the first of the app's modules is loaded, or None: the other finders' business."""
        top = fullname.partition(".")[0]
        if self.pid or top in sys.stdlib_module_names or top == _OURS:
            return None
        names = self._names()
        if top not in names:
            return None
        with self._lock:  # a process that forks before has not decided: its children do
            if self._deciding:
                return None  # what the decision imports itself
            if self._is_first(names):
                self._ask()
            self.decide()
        others = [one for one in sys.meta_path if one is not self]  # among them who serves a release, by now
        return next((found for one in others if (found := one.find_spec(fullname, path, target))), None)

    def _ask(self) -> None:
        self._deciding = True
        try:
            self._start()
        finally:
            self._deciding = False

    def _is_first(self, names: frozenset[str]) -> bool:
        """Whether nobody decided, and no module of the app came from the disk: then all others do, too."""
        return not self.pid and not any(name.partition(".")[0] in names for name in list(sys.modules))

    def _names(self) -> frozenset[str]:
        """Return the app's top-level names, as the file says unproved: they only say when to look closer."""
        assert self.folder is not None
        path = self.folder / NOTE
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            about = os.stat(path)  # noqa: PTH116  # pathlib takes as long again, at each import
            seen = about.st_ino, about.st_mtime_ns, about.st_size
            if self._known[0] != seen:
                folders: Mapping[str, str] = json.loads(path.read_bytes().partition(b"\n")[2])["folders"]
                self._known = seen, frozenset(folders)
            return self._known[1]
        return frozenset()


finder = Finder()
