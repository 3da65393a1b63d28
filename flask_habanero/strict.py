"""JSON as it travels: strictly, so that both sides read the same in it.

It stands alone: a secret is made without loading what travels.
"""

from __future__ import annotations

import json
from typing import Any


def loads_json(data: bytes) -> Any:
    """Parse ASCII JSON strictly: no duplicate keys, no NaN or infinity.

    Raises:
        ValueError: it is anything else (also for too deep nesting).
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            raise ValueError("duplicate key")
        return result

    def constant(text: str) -> Any:
        raise ValueError(text)

    try:
        return json.loads(data.decode("ascii"), object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
