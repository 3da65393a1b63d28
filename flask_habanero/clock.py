"""Where the milliseconds of one request went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Where the milliseconds of one request went, by stage."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what happens inside to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - began) * 1000

    def read(self) -> dict[str, float]:
        """Return the stages and the total, in milliseconds."""
        return {**self.ms, "total": (time.perf_counter() - self._began) * 1000}
