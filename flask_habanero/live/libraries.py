"""Modules of other packages: imported before any gate closes.

What a library's function does is read from the function. So one that the app has not imported yet is imported
before it can be told what a change does, as a cold start of the new code would. Like all that is imported it
stays, even if the change is refused then.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from ..errors import ColdChangeError, Reason
from . import imports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .plan import Plan


def stage(plan: Plan) -> None:
    """Import what a plan needs from other packages, before any gate closes.

    Raises:
        ColdChangeError: one of them does not load.
    """
    for name in plan.preload:
        _load(name)


def load(wanted: Iterable[str]) -> bool:
    """Import modules of other packages, as far as they are installed; return whether there was one.

    Raises:
        ColdChangeError: one of them does not load.
    """
    found = [name for name in wanted if name not in sys.modules and imports.is_there(name)]
    for name in found:
        _load(name)
    return bool(found)


def _load(name: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises, it is the reason
        what = f"{type(error).__name__}: {error}"
        reason = Reason("import-missing", name, what, "install it on the server, then restart")
        raise ColdChangeError((reason,)) from error
