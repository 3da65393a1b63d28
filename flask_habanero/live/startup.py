"""Which functions of the app ran while it started, and for which statement.

An unchanged statement must run again when a function that it called has changed: only a record
of what really ran can say so without guessing. Recorded from our import until the first request
(`sys.monitoring` on 3.12 and later, `sys.setprofile` before), for code outside the standard
library, site-packages and the folder of installed scripts.

- `ran` maps a function to the innermost module-level line that it ran for, or to None when
  nobody's module was being executed: a factory that the server called.
- `calls` maps it to the functions that called it, with the lines at which they did.
- `lines` maps it to the lines of it that ran, counted from its first; from 3.12 on.
- `missed` has the attributes that something read in vain, by class; from 3.12 on.
- `executed` has all functions that ran, those of others, too: what they may have asked for; from 3.12 on.
- `variables` has the variables of the environment that were written, with the stack of who did.
- `runs` has what the factories left behind: the variables of functions that had an app or a blueprint
  in their hands when they returned.
"""

from __future__ import annotations

import atexit
import dis
import inspect
import opcode
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from .registrations import STEPS, Frame, stack

Function = tuple[str, str, int]
"""(module, qualified name, first line)."""

Owner = tuple[str, int] | None
"""(module, line at module level), or None."""

Call = tuple[Function, int]
"""(caller, line). A module is a caller, too: `<module>`. NOBODY: the server."""

NOBODY: Function = ("", "", 0)

ran: dict[Function, set[Owner]] = {}
calls: dict[Function, set[Call]] = {}
lines: dict[Function, set[int]] = {}
missed: set[tuple[str, str, str]] = set()  # (module, qualified name of a class, attribute)
executed: dict[int, CodeType] = {}  # by id: equal code need not be compared
variables: list[tuple[str, tuple[Frame, ...]]] = []
watched: set[str] = set()  # modules whose import began while we recorded
also: list[tuple[Callable[[], None], Callable[[], None]]] = []  # what else begins and ends with the record

MOST_RUNS = 8  # of one function: what set up more apps than that is no factory


@dataclass(eq=False)
class Run:
    """What one run of a function left behind.

    Attributes:
        variables: its local variables, as they were when it returned.
        frames: where it ran, itself last.
        above: what led to the first frame, if a release ran it: settled places.
    """

    variables: dict[str, Any]
    frames: tuple[Frame, ...]
    above: tuple[Any, ...] | None = None


runs: dict[Function, list[Run]] = {}

_PATHS = sysconfig.get_paths()
# scripts: a server's own, such as bin/gunicorn, is below all that it ever calls
_FOREIGN = tuple(
    f"{_PATHS[name]}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
)
_OURS = __file__.rpartition("live")[0]  # pathlib would tidy the path up, and code keeps the untidy one
_TOOL = 4  # the documentation of sys.monitoring gives 0-2 and 5 to debuggers, coverage, profilers, optimisers
_foreign: dict[CodeType, bool] = {}
_stored: dict[CodeType, frozenset[str]] = {}
_ended: list[bool] = []
_blind: list[bool] = []  # once it has one, something may have run that nobody saw
# by id, because equal code of two modules is not the same: the code, and its lines that ran
_lined: dict[int, tuple[CodeType, set[int]]] = {}
_DISABLE: Any = None  # returned for code that we need not be asked about again
if sys.version_info >= (3, 12):
    _DISABLE = sys.monitoring.DISABLE


def is_foreign(code: CodeType) -> bool:
    """Whether code belongs to the interpreter, an installed package, or us."""
    known = _foreign.get(code)
    if known is None:
        known = _foreign[code] = is_foreign_file(code.co_filename)
    return known


def is_foreign_file(name: object) -> bool:
    """Whether a module's file is none of the app's own."""
    return not isinstance(name, str) or name.startswith((*_FOREIGN, _OURS, "<")) or "site-packages" in name


def owner_of(frame: FrameType | None) -> Owner:
    """Return the innermost module-level line of the app's own that a frame runs for."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and not is_foreign(frame.f_code):
            return (frame.f_globals.get("__name__", ""), frame.f_lineno)
        frame = frame.f_back
    return None


def _key(frame: FrameType) -> Function:
    code = frame.f_code
    return frame.f_globals.get("__name__", ""), code.co_qualname, code.co_firstlineno


def _is_part(frame: FrameType) -> bool:
    """Whether it is a statement of a factory that a release runs: no run of the factory."""
    caller = frame.f_back
    return caller is not None and caller.f_globals.get("__name__", "").startswith(STEPS)


def _note(frame: FrameType) -> None:
    if _is_part(frame):
        return
    key = _key(frame)
    ran.setdefault(key, set()).add(owner_of(frame))
    calls.setdefault(key, set()).add(call_from(frame.f_back))


def call_from(frame: FrameType | None) -> Call:
    """Return where in the app's own code a frame is, or was called from."""
    while frame is not None and is_foreign(frame.f_code):
        frame = frame.f_back
    return (_key(frame), frame.f_lineno) if frame is not None else (NOBODY, 0)


def _note_end(frame: FrameType) -> None:
    """Keep the variables of a function that has an app or a blueprint in its hands."""
    variables = dict(frame.f_locals) if not _is_part(frame) else {}
    values = [*variables.values(), *map(frame.f_globals.get, _stored_globals(frame.f_code))]
    if any(issubclass(type(value), App | Blueprint) for value in values):
        found = runs.setdefault(_key(frame), [])
        if len(found) <= MOST_RUNS:
            found.append(Run(variables, stack(frame)))


def _stored_globals(code: CodeType) -> frozenset[str]:
    """Return the names under `global` that a function binds."""
    if code not in _stored:
        found = (one.argval for one in dis.get_instructions(code) if one.opname == "STORE_GLOBAL")
        _stored[code] = frozenset(found)
    return _stored[code]


_WRITING = {id(vars(os._Environ)[name].__code__) for name in ("__setitem__", "__delitem__")}


def _note_variable(frame: FrameType) -> None:
    """Note a variable of the environment that is being written."""
    key = frame.f_locals.get("key")
    if isinstance(key, str | bytes):
        variables.append((os.fsdecode(key), stack(frame.f_back)))


def _on_start(code: CodeType, _offset: int) -> Any:
    if id(code) in _WRITING:
        _note_variable(sys._getframe(1))
        return None
    if code.co_name != "<module>" and not is_foreign(code):
        frame = sys._getframe(1)
        _note(frame)
        if id(code) not in _lined and not _is_part(frame):
            _watch_lines(code, lines.setdefault(_key(frame), set()))
        return None
    return _DISABLE


def _watch_lines(code: CodeType, found: set[int]) -> None:
    """Let each line of a function be told once, from now on."""
    if sys.version_info >= (3, 12):
        _lined[id(code)] = code, found
        sys.monitoring.set_local_events(_TOOL, code, sys.monitoring.events.LINE)


def _on_line(code: CodeType, line: int) -> Any:
    known = _lined.get(id(code))
    if known is not None:
        known[1].add(line - code.co_firstlineno + 1)
    return _DISABLE


def _on_raise(_code: CodeType, _offset: int, error: BaseException) -> None:
    """Note an attribute that an object does not have."""
    if type(error) is AttributeError and isinstance(error.name, str):
        owner: Any = error.obj
        owner = getattr(owner, "__self_class__", owner) if type(owner) is super else owner
        missed.add((*name_of(owner if issubclass(type(owner), type) else type(owner)), error.name))


def name_of(cls: type) -> tuple[str, str]:
    """Return a class's module and qualified name, without asking its metaclass."""
    module, qualname = (type.__dict__[name].__get__(cls) for name in ("__module__", "__qualname__"))
    return str(module), qualname


def _on_return(code: CodeType, _offset: int, _result: object) -> Any:
    if code.co_name != "<module>" and not is_foreign(code):
        _note_end(sys._getframe(1))
        return None
    return _DISABLE


def _on_event(frame: FrameType, event: str, _arg: object) -> None:
    if _ended:
        sys.setprofile(None)  # of this thread: the one that called stop() may have been another
    elif event == "call" and id(frame.f_code) in _WRITING:
        _note_variable(frame)
    elif frame.f_code.co_name != "<module>" and not is_foreign(frame.f_code):
        if event == "call":
            _note(frame)
        elif event == "return" and _is_returning(frame):
            _note_end(frame)


def _is_returning(frame: FrameType) -> bool:
    """Whether a function returns; the profiler says so, too, when it raises."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")


def _forget_lines(frame: FrameType | None) -> None:
    """Forget which lines of functions ran that are still running: more of them will, when nobody looks."""
    while frame is not None:
        lines.pop(_key(frame), None)
        frame = frame.f_back


def _note_running(frame: FrameType | None) -> None:
    """Note the code that was running when the record began: nobody will say that it starts."""
    while frame is not None:
        is_foreign(frame.f_code)
        frame = frame.f_back


def _is_function(code: CodeType) -> bool:
    """Whether code is that of a function, and not of ours."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and not code.co_filename.startswith(_OURS)


def _apart(code: CodeType) -> CodeType:
    """Return code to keep: a copy of the app's own, whose references tell how many functions have it."""
    if is_foreign_file(code.co_filename):
        return code
    return code.replace(co_consts=tuple(None if isinstance(one, CodeType) else one for one in code.co_consts))


def sees_all() -> bool:
    """Whether `executed` and `missed` have all that ran, and all that was missed, since we were imported."""
    return sys.version_info >= (3, 12) and not _blind


def start() -> None:
    """Begin to record, unless another tool has the place (then `recorded` is False)."""
    _ended.clear()
    atexit.register(stop)  # a process may end without a request, and call us when our names are gone
    if sys.version_info >= (3, 12):
        if sys.monitoring.get_tool(_TOOL) is None:
            sys.monitoring.use_tool_id(_TOOL, "flask-habanero")
            events = sys.monitoring.events
            sys.monitoring.register_callback(_TOOL, events.PY_START, _on_start)
            sys.monitoring.register_callback(_TOOL, events.PY_RETURN, _on_return)
            sys.monitoring.register_callback(_TOOL, events.LINE, _on_line)
            sys.monitoring.register_callback(_TOOL, events.RAISE, _on_raise)
            sys.monitoring.set_events(_TOOL, events.PY_START | events.PY_RETURN | events.RAISE)
            sys.monitoring.restart_events()
            for frame in list(sys._current_frames().values()):
                _note_running(frame)
        else:
            _blind.append(True)
    elif sys.getprofile() is None:
        sys.setprofile(_on_event)
    for begin, _ in also:
        begin()


def recording() -> bool:
    """Whether the record is being kept at this moment."""
    if sys.version_info >= (3, 12):
        return sys.monitoring.get_tool(_TOOL) == "flask-habanero"
    return sys.getprofile() is _on_event


def ended() -> bool:
    """Whether the start is over, and no release is running statements."""
    return bool(_ended)


def stop() -> None:
    """End the record. What was recorded stays."""
    atexit.unregister(stop)
    _ended.append(True)
    for frame in list(sys._current_frames().values()):
        _forget_lines(frame)
    for _, end in also:
        end()
    if not recording():
        return
    if sys.version_info >= (3, 12):
        sys.monitoring.set_events(_TOOL, 0)
        for code, _ in _lined.values():
            sys.monitoring.set_local_events(_TOOL, code, 0)
        sys.monitoring.free_tool_id(_TOOL)
    else:
        sys.setprofile(None)
    executed.update((id(code), _apart(code)) for code in _foreign if _is_function(code))
    for known in (_foreign, _stored, _lined):
        known.clear()
