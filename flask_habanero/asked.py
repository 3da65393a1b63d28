"""What a rehearsal may be asked for: pages, and functions of the app. Both sides read it alike."""

from __future__ import annotations

import re

_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FUNCTION = re.compile(rf"{_DOTTED}:{_DOTTED}\Z")


def is_page(asked: object) -> bool:
    """Whether it is a path: "/cart"."""
    return isinstance(asked, str) and asked.startswith("/")


def is_function(asked: object) -> bool:
    """Whether it names a function in a module: "shop.checks:stock"."""
    return isinstance(asked, str) and _FUNCTION.match(asked) is not None


def called(asked: str) -> str:
    """Return what people call it."""
    return f"GET {asked}" if is_page(asked) else asked
