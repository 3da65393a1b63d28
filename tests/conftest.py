"""What tests share: which of the many cases run each time, and what judges them.

A slice runs; all of them with ``-m long`` beside the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.hosts import Host

# Each case starts processes of its own. One in so many runs in every run; the others are `long`.
SLICES = {
    "test_cases.py": 10,
    "test_shared_cases.py": 4,
    "test_what_is_hot.py": 4,
    "test_failures.py": 4,
    "test_found.py": 4,
    "test_factories.py": 4,
    "test_lasting.py": 2,
    "test_holders.py": 3,
    "test_mapped.py": 3,
    "test_rendered.py": 3,
    "test_lazy_values.py": 2,
}


@pytest.hookimpl(tryfirst=True)  # before the marks are asked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is not in this run's slice."""
    seen: dict[str, int] = {}
    for item in items:
        name = item.path.name
        if name in SLICES and hasattr(item, "callspec"):
            seen[name] = seen.get(name, -1) + 1
            if seen[name] % SLICES[name]:
                item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """What judges sequences of edits against cold starts: two processes that fork."""
    from tests.properties.generated import Bench  # only where it is wanted

    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """One machine, on which tests start workers."""
    from tests.hosts import Host  # only where it is wanted

    host = Host(tmp_path)
    yield host
    host.close()
