"""What an app runs in, for people who ask why it does not do as it should: never a value, only names.

Nothing here decides anything.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config import KEYS

OF_THE_CLIENT = frozenset({"HABANERO_URL"})
_KEY = re.compile(r"\A(?:FLASK_)?(HABANERO_[A-Z0-9_]{1,80})\Z")


@dataclass(frozen=True)
class Surroundings:
    """What was there when the app was loaded.

    Attributes:
        pid: the process that loaded it; if another one serves it, that one was forked from it.
        reloader: whether it was started by Werkzeug's reloader.
        unknown: names that look like keys of ours, and are none.
        overridden: keys whose value in the environment does not count, since another is set before it.
        pod: whether it runs in Kubernetes, where a push reaches one of several by chance.
    """

    pid: int
    reloader: bool
    unknown: tuple[str, ...]
    overridden: tuple[str, ...]
    pod: bool = False

    @classmethod
    def of(cls, mapping: Mapping[str, Any], environ: Mapping[str, str]) -> Surroundings:
        """Return those of an app, from its ``config`` and the environment."""
        found = {name: match[1] for name in (*mapping, *environ) if (match := _KEY.match(str(name)))}
        unknown = {name for name, key in found.items() if key not in KEYS and key not in OF_THE_CLIENT}
        overridden = {key for key in KEYS if _is_overridden(key, mapping, environ)}
        is_reloaded = environ.get("WERKZEUG_RUN_MAIN") == "true"
        pod = bool(environ.get("KUBERNETES_SERVICE_HOST"))
        return cls(os.getpid(), is_reloaded, tuple(sorted(unknown)), tuple(sorted(overridden)), pod)

    @property
    def preloaded(self) -> bool:
        """Whether another process loaded the app, and this one was forked from it."""
        return self.pid != os.getpid()

    def told(self, server: str, store: object) -> dict[str, Any]:
        """Return what status tells.

        Args:
            server: what the web server calls itself.
            store: where the ledger rests; of an address, user and password are left out.
        """
        return {
            "server": server[:80],
            "store": re.sub(r"//[^/]*@", "//", str(store)),
            "preloaded": self.preloaded,
            "reloader": "Werkzeug" if self.reloader else _gunicorns_reloader(),
            "unknown": list(self.unknown),
            "overridden": list(self.overridden),
            "pod": self.pod,
        }


def _is_overridden(key: str, mapping: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    """Whether an environment variable sets a key to something else than what counts."""
    places = [mapping.get(key), environ.get(key), environ.get(f"FLASK_{key}")]
    given = [str(value) for value in places if value is not None]
    return len(set(given)) > 1


def _gunicorns_reloader() -> str:
    """Return "gunicorn" if a thread of its reloader runs in this worker."""
    kinds = {type(thread).__module__ for thread in threading.enumerate()}
    return "gunicorn" if "gunicorn.reloader" in kinds else ""


def software_of(environ: Mapping[str, Any]) -> str:
    """Return what the web server calls itself in a request's WSGI environ, or ""."""
    if "uwsgi.version" in environ:
        return "uWSGI"
    if "mod_wsgi.version" in environ:
        return "mod_wsgi"
    name = str(environ.get("SERVER_SOFTWARE", ""))
    return name if name.isprintable() else ""
