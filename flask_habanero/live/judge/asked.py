"""What the app's own code itself asks objects for: what libraries ask is their business."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from .values import Live, Value, alternatives, text_in

if TYPE_CHECKING:
    from .findings import Findings


def attribute(notes: Findings, owner: Value, name: str, found: Value) -> None:
    """Note that an attribute was read, and what it gave."""
    notes.asks(owner, name)
    if any(_is_instance(one) for one in alternatives(owner)):
        notes.holds(found)


def _is_instance(value: Value) -> bool:
    return isinstance(value, Live) and not isinstance(value.object, ModuleType | type)


def builtin(notes: Findings, name: str, given: Sequence[Value]) -> None:
    """Note what one of Python's own functions asks an object for."""
    if name in ("getattr", "hasattr") and len(given) > 1:
        notes.asks(given[0], text_in(given[1]))
        notes.uses(given[0], text_in(given[1]))
    elif name in ("vars", "dir") and given:
        notes.asks(given[0], "__dict__")
        notes.uses(given[0], "__dict__")
    elif name in ("vars", "dir", "globals", "locals"):
        notes.doubts.add(f"{name}()")
