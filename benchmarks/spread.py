"""What a number of measurements comes to."""

from __future__ import annotations

import statistics


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the spread of each number."""
    return {name: spread([row[name] for row in rows]) for name in rows[0]}


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least, most and number of some milliseconds."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "n": len(values),
    }
