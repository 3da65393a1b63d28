"""Statements that run, and names and modules that end."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from types import CodeType, ModuleType

from .. import importer
from ..codes import own
from .undo import GONE, Inverse, remember


@dataclass(frozen=True)
class Run:
    """A statement runs in its module's namespace, as it would at a cold start."""

    module: ModuleType
    code: CodeType

    def apply(self) -> Inverse:
        restore = remember(self.module)
        try:
            exec(own(self.code), vars(self.module))
        except BaseException:  # also SystemExit: whatever a statement raises, its names go back
            restore()
            raise
        return restore


@dataclass(frozen=True)
class Forget:
    """Names that a removed statement had bound go from the namespace."""

    module: ModuleType
    names: tuple[str, ...]

    def apply(self) -> Inverse:
        restore = remember(self.module)
        for name in self.names:
            if name == "__doc__":
                vars(self.module)[name] = None
                continue
            vars(self.module).pop(name, None)
            _unhint(self.module, name)
        return restore


@dataclass(frozen=True)
class Unhint:
    """Names that stay are annotated no more."""

    module: ModuleType
    names: tuple[str, ...]

    def apply(self) -> Inverse:
        restore = remember(self.module)
        for name in self.names:
            _unhint(self.module, name)
        return restore


@dataclass(frozen=True)
class OrderHints:
    """A module's annotations are those of its statements, in their order, whichever of them ran."""

    module: ModuleType
    names: tuple[str, ...]
    gone: tuple[str, ...]  # names that no statement annotates any more

    def apply(self) -> Inverse:
        restore = remember(self.module)
        hints = vars(self.module).get("__annotations__", {})
        ordered = {name: hints[name] for name in (*self.names, *hints) if name in hints}
        if list(ordered) != list(hints):
            hints.clear()
            hints.update(ordered)
        for name in self.gone:
            _unhint(self.module, name)
        return restore


def _unhint(module: ModuleType, name: str) -> None:
    hints = vars(module).get("__annotations__", {})
    if hints.pop(name, None) is not None and not hints:
        del vars(module)["__annotations__"]  # as if no name had been annotated


@dataclass(frozen=True)
class DropModule:
    """A module that a release deleted goes from `sys.modules` and from its package."""

    name: str

    def apply(self) -> Inverse:
        module = sys.modules.pop(self.name)
        parent, _, child = self.name.rpartition(".")
        package = sys.modules.get(parent)
        held = vars(package).pop(child, GONE) if package else GONE

        def inverse() -> None:
            sys.modules[self.name] = module
            if package and held is not GONE:
                setattr(package, child, held)

        return inverse


@dataclass(frozen=True)
class ShowSource:
    """Tracebacks and `inspect.getsource` see the pushed text."""

    filename: str
    text: str

    def apply(self) -> Inverse:
        before = linecache.cache.get(self.filename, GONE)
        importer.show_source(self.filename, self.text)

        def inverse() -> None:
            if before is GONE:
                linecache.cache.pop(self.filename, None)
            else:
                linecache.cache[self.filename] = before  # type: ignore[assignment]  # it came from there

        return inverse
