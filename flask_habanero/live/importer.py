"""Serves modules from what the program runs, and knows who imported whom.

- Before the program is attached it only notes the import stack of each module.
- After, a module that is not loaded yet comes from the program's tree, whatever lies on the
  disk by now; one that a release deleted is not found.

The only place that touches `sys.meta_path`. Source files are never written.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import io
import linecache
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import CodeType, ModuleType

from ..source import Source
from ..unit import compile_nodes
from . import startup
from .registrations import Frame, stack

Lookup = Callable[[str], tuple[Source, str] | None]
"""Module name -> (source, file name), or None if the import is not ours.

Raises ModuleNotFoundError for a module that a release deleted.
"""

import_stacks: dict[str, tuple[Frame, ...]] = {}


class Finder(importlib.abc.MetaPathFinder):
    """Notes who imports what; serves what `lookup` knows.

    Attributes:
        lookup: what is served.
        depth: how many of the modules that are served are being executed now.
        guard: what the outermost of them is executed in.
        rests: called whenever none is any more, unless one failed.
    """

    lookup: Lookup | None = None
    depth = 0
    guard: Callable[[], AbstractContextManager[None]] = nullcontext
    rests: Callable[[], None] | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how a module is served from the program, or None: the other finders' business."""
        if fullname.partition(".")[0] in sys.stdlib_module_names:
            return None
        import_stacks.setdefault(fullname, stack(sys._getframe(1)))
        if startup.recording():
            startup.watched.add(fullname)
        served = self.lookup(fullname) if self.lookup else None
        if served is None:
            return None
        source, filename = served
        loader = Loader(source, filename)
        return importlib.util.spec_from_file_location(fullname, filename, loader=loader)


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from a source that the program holds. Never reads or writes bytecode."""

    def __init__(self, source: Source, filename: str) -> None:
        super().__init__(source.name, filename)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the source that is held, whatever a file or its bytecode says."""
        return compile_nodes(
            [piece.node for piece in self._source.parsed.pieces], self._source.parsed, self.path
        )

    def get_source(self, fullname: str) -> str:
        """Return the text that is held, for tracebacks."""
        return self._source.text

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, with its lines known to tracebacks before any of them can raise."""
        show_source(self.path, self._source.text)
        with nullcontext() if finder.depth else finder.guard():
            finder.depth += 1
            try:
                super().exec_module(module)
            finally:
                finder.depth -= 1
        if finder.rests is not None and not finder.depth:
            finder.rests()


def show_source(filename: str, text: str) -> None:
    """Let tracebacks and `inspect.getsource` see this text under a file name, whatever the disk says."""
    lines = io.StringIO(text).readlines()  # as linecache reads a file: other ends of lines are none to it
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if sys.version_info >= (3, 13):
        lines = lines or ["\n"]  # as it shows an empty file from then on
    linecache.cache[filename] = (len(text), None, lines, filename)


finder = Finder()


def install() -> None:
    """Put the finder before all others. A second call changes nothing."""
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)
