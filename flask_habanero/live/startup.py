"""Which functions of the app ran while it started, and for which statement.

An unchanged statement must run again when a function that it called has changed: only a record
of what really ran can say so without guessing. Recorded from our import until the first request
(`sys.monitoring` on 3.12 and later, `sys.setprofile` before), for code outside the standard
library, site-packages and the folder of installed scripts.

- `ran` maps a function to the innermost module-level line that it ran for, or to None when
  nobody's module was being executed: a factory that the server called.
"""

from __future__ import annotations

import atexit
import os
import sys
import sysconfig
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

Function = tuple[str, str, int]
"""(module, qualified name, first line)."""

Owner = tuple[str, int] | None
"""(module, line at module level), or None."""

ran: dict[Function, set[Owner]] = {}
watched: set[str] = set()  # modules whose import began while we recorded
also: list[tuple[Callable[[], None], Callable[[], None]]] = []  # what else begins and ends with the record

_PATHS = sysconfig.get_paths()
# scripts: a server's own, such as bin/gunicorn, is below all that it ever calls
_FOREIGN = tuple(
    f"{_PATHS[name]}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
)
_OURS = __file__.rpartition("live")[0]  # pathlib would tidy the path up, and code keeps the untidy one
_TOOL = 4  # the documentation of sys.monitoring gives 0-2 and 5 to debuggers, coverage, profilers, optimisers
_foreign: dict[CodeType, bool] = {}
_ended: list[bool] = []
_DISABLE: Any = None  # returned for code that we need not be asked about again
if sys.version_info >= (3, 12):
    _DISABLE = sys.monitoring.DISABLE


def is_foreign(code: CodeType) -> bool:
    """Whether code belongs to the interpreter, an installed package, or us."""
    known = _foreign.get(code)
    if known is None:
        name = code.co_filename
        known = name.startswith((*_FOREIGN, _OURS, "<")) or "site-packages" in name
        _foreign[code] = known
    return known


def owner_of(frame: FrameType | None) -> Owner:
    """Return the innermost module-level line of the app's own that a frame runs for."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and not is_foreign(frame.f_code):
            return (frame.f_globals.get("__name__", ""), frame.f_lineno)
        frame = frame.f_back
    return None


def _note(code: CodeType, frame: FrameType | None) -> None:
    module = frame.f_globals.get("__name__", "") if frame else ""
    ran.setdefault((module, code.co_qualname, code.co_firstlineno), set()).add(owner_of(frame))


def _on_start(code: CodeType, _offset: int) -> Any:
    if code.co_name != "<module>" and not is_foreign(code):
        _note(code, sys._getframe(1))
        return None
    return _DISABLE


def _on_event(frame: FrameType, event: str, _arg: object) -> None:
    if _ended:
        sys.setprofile(None)  # of this thread: the one that called stop() may have been another
    elif event == "call" and frame.f_code.co_name != "<module>" and not is_foreign(frame.f_code):
        _note(frame.f_code, frame)


def start() -> None:
    """Begin to record, unless another tool has the place (then `recorded` is False)."""
    _ended.clear()
    atexit.register(stop)  # a process may end without a request, and call us when our names are gone
    if sys.version_info >= (3, 12):
        if sys.monitoring.get_tool(_TOOL) is None:
            sys.monitoring.use_tool_id(_TOOL, "flask-habanero")
            sys.monitoring.register_callback(_TOOL, sys.monitoring.events.PY_START, _on_start)
            sys.monitoring.set_events(_TOOL, sys.monitoring.events.PY_START)
            sys.monitoring.restart_events()
    elif sys.getprofile() is None:
        sys.setprofile(_on_event)
    for begin, _ in also:
        begin()


def recording() -> bool:
    """Whether the record is being kept at this moment."""
    if sys.version_info >= (3, 12):
        return sys.monitoring.get_tool(_TOOL) == "flask-habanero"
    return sys.getprofile() is _on_event


def stop() -> None:
    """End the record. What was recorded stays."""
    atexit.unregister(stop)
    _ended.append(True)
    for _, end in also:
        end()
    if not recording():
        return
    if sys.version_info >= (3, 12):
        sys.monitoring.set_events(_TOOL, 0)
        sys.monitoring.free_tool_id(_TOOL)
    else:
        sys.setprofile(None)
    _foreign.clear()
