"""What lives as long as the process: a counter and a cache."""

import threading
from dataclasses import dataclass


class Counter:
    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def increment(self) -> int:
        with self._lock:
            self.value += 1
            return self.value


@dataclass(frozen=True)
class Item:
    """What the catalog says of a product, kept so that the database is asked once."""

    id: int
    name: str
    net: int


hits = Counter()
items: dict[int, Item] = {}
