"""Saved code goes live in a running Flask app: signed, on every worker, without a restart.

Naming `Habanero` or `follow` loads the server side and begins to keep the books of what starts: import it
before your own modules. The command line does neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .follower import follow as follow
    from .server import Habanero as Habanero
    from .signals import release_answered as release_answered
    from .signals import release_live as release_live
    from .signals import release_refused as release_refused
    from .signals import release_rolled_back as release_rolled_back

__version__ = "0.1.0"
_SIGNALS = ("release_answered", "release_live", "release_refused", "release_rolled_back")
__all__ = [
    "Habanero",
    "__version__",
    "follow",
    "release_answered",
    "release_live",
    "release_refused",
    "release_rolled_back",
]


def __getattr__(name: str) -> Any:
    if name in _SIGNALS:
        from . import signals

        return getattr(signals, name)
    if name not in ("Habanero", "follow"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .live import program

    program.install()  # first: what is imported from here on is seen
    from .follower import follow
    from .server import Habanero

    globals().update(Habanero=Habanero, follow=follow)
    return globals()[name]
