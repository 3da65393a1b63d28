"""The wish that `watch` looks by itself: for mounts that seem to tell of saves, and don't."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError


def is_wished(settings: Mapping[str, Any], *, typed: bool = False) -> bool:
    """Return whether it was typed, or `[tool.habanero] polling` says so.

    Raises:
        ConfigError: it is neither true nor false there.
    """
    said = settings.get("polling", False)
    if not isinstance(said, bool):
        raise ConfigError(
            "polling", f"{said!r} is neither true nor false", "polling = true in [tool.habanero]"
        )
    return typed or said
