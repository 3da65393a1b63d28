"""Where and when something was measured."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib.metadata import version
from typing import Any


def machine() -> dict[str, Any]:
    """Return what a reader of the numbers has to know."""
    packages = ("flask", "gunicorn", "watchdog", "requests")
    return {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in packages},
    }
