"""What takes a step back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

Inverse = Callable[[], None]
GONE = object()  # stands for: there was no such name


def remember(module: ModuleType) -> Inverse:
    """Return what puts a module's namespace back as it is now."""
    namespace = vars(module)
    before = dict(namespace)
    hints = namespace.get("__annotations__")
    hints_before = dict(hints) if isinstance(hints, dict) else None

    def restore() -> None:
        for name in [name for name in namespace if name not in before]:
            del namespace[name]
        for name, value in before.items():
            if namespace.get(name, GONE) is not value:
                namespace[name] = value
        if hints_before is not None and isinstance(hints, dict):
            hints.clear()
            hints.update(hints_before)

    return restore


def modules_before() -> Inverse:
    """Return what takes modules that were imported since out again."""
    before = set(sys.modules)

    def inverse() -> None:
        for name in [name for name in sys.modules if name not in before]:
            module = sys.modules.pop(name)
            parent, _, child = name.rpartition(".")
            package = sys.modules.get(parent)
            if package is not None and vars(package).get(child) is module:
                delattr(package, child)
        importlib.invalidate_caches()

    return inverse
