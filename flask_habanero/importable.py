"""Under which name a fresh process finds an app: the one under which the server found it.

It is written as servers write it: ``shop:app``, or ``shop:create_app("production")`` for a factory.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from inspect import isfunction

from flask import Flask

from .config import APP
from .errors import Reason, RefusedError

_TYPED = re.compile(r"\A([A-Za-z_][\w.]*):([A-Za-z_]\w*)(?:\(.*\))?\Z", re.ASCII)
_OURS = __name__.partition(".")[0]


class NamelessError(RefusedError):
    """It can't be told how the server imported the app."""

    slug = "nameless"

    def __init__(self, why: str, example: str) -> None:
        super().__init__(why)
        self.example = example

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The error as a reason, with the key that tells it."""
        return (Reason(self.slug, "", str(self), f"on the server: {APP}='{self.example}'"),)


def name_of(apps: Iterable[Flask], said: str | None) -> str:
    """Return a name that leads a fresh process to the app.

    Args:
        apps: those of this process.
        said: what the configuration says, which counts before all else.

    Raises:
        NamelessError: there is none, or there are several.
    """
    if said:
        return said
    apps = list(apps)
    names = sorted({name for app in apps if (name := _bound(app) or _typed())})
    if len(names) == 1:
        return names[0]
    if names:
        raise NamelessError(f"this process has several apps: {', '.join(names)}", names[0])
    example = f"{apps[0].import_name.replace('__main__', 'app')}:create_app()" if apps else "app:app"
    raise NamelessError("no module holds the app, so a fresh process can't be told how to make it", example)


def _bound(app: Flask) -> str:
    """Return the first name that a module gives the app. Who imports others was there before them."""
    for name, module in list(sys.modules.items()):
        if name in ("__main__", "__mp_main__") or name.partition(".")[0] == _OURS:
            continue  # to import the first is to run it as another module than the server did
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app:
                return f"{name}:{attribute}"
    return ""


def _typed() -> str:
    """Return the factory that stands on the server's command line."""
    for word in sys.argv:
        match = _TYPED.match(word)
        # A class would be one of workers, say
        if match and isfunction(getattr(sys.modules.get(match[1]), match[2], None)):
            return word
    return ""
