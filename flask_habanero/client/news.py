"""What was shown, so that nothing is shown again in the same state."""

from __future__ import annotations

from collections.abc import Hashable


class News:
    """Of one `watch`."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], Hashable] = {}

    def is_new(self, kind: str, name: str, state: Hashable) -> bool:
        """Whether that was not shown of something, or in another state. From now on it was."""
        new = self._shown.get((kind, name)) != state
        self._shown[kind, name] = state
        return new

    def forget(self, kind: str, name: str) -> None:
        """Let that be shown again."""
        self._shown.pop((kind, name), None)

    def forget_all(self) -> None:
        """Let everything be shown again."""
        self._shown.clear()
