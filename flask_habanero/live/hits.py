"""What memos gave at the start and no function ran for: who asked for that is in no record.

`functools.lru_cache` is none of Python's functions. Who asks it first is recorded as the caller of the
function that it keeps the results of; who asks it again is not. So whoever may get at such a memo, by one
of its names, is taken for a caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import memos, names, reading, startup

if TYPE_CHECKING:
    from .draft import Draft
    from .flow import Flow
    from .startup import Function

Place = tuple[str, str]
"""(module, qualified name) of a function, or (module, name)."""


def kept(draft: Draft) -> dict[Place, set[Place]]:
    """Return the functions that memos keep results of, and by which names of modules memos are got at."""
    found: dict[Place, set[Place]] = defaultdict(set)
    named: dict[int, set[Place]] = defaultdict(set)
    held = memos.held(draft)
    for unit in draft.loaded if held else ():
        for name, value in list(vars(draft.live(unit)).items()):
            named[id(value)].add((unit, name))
    for memo in held:
        for function in _functions(memo):
            code = function.__code__  # `functools.wraps` changes the names of the function
            module = draft.program.unit_name(function.__globals__["__name__"])
            found[module, code.co_qualname] |= named[id(memo)]
    return found


def _functions(memo: Any) -> Iterator[FunctionType]:
    """Yield the functions that run when a memo has no result yet: of a class, those that make an object."""
    for one in memos.inside(memo):
        makes = (vars(cls).values() for cls in one.__mro__) if isinstance(one, type) else [[one]]
        yield from (function for some in makes for function in some if isinstance(function, FunctionType))


def follow(flow: Flow, key: Function) -> None:
    """Let who may have asked a memo of a function, or of what called that, be stale."""
    ran = key in flow.program.books.ran  # else nobody had a result of it at the start
    for module, qualname, _ in _above(flow, key) if ran and flow.kept else ():
        if (module, qualname) in flow.kept:
            for place in sorted(flow.kept[module, qualname]):
                _asked(flow, *place)
            outer, dot, name = qualname.rpartition(".")
            if outer.endswith(".<locals>"):
                _asked_inside(flow, (module, outer.removesuffix(".<locals>")), name)
            elif dot:
                _asked_of_class(flow, name)


def _above(flow: Flow, key: Function) -> set[Function]:
    """Return a function, and all through which it was called at the start."""
    found, more = {key}, [key]
    while more:
        callers = {caller for caller, _ in flow.program.books.calls.of(more.pop()) or ()}
        new = {one for one in callers - found if one != startup.NOBODY and one[1] != "<module>"}
        found |= new
        more += new
    return found


def _asked(flow: Flow, module: str, name: str) -> None:
    """Let the statements be stale that may get at a name, and those for which such functions ran."""
    if not flow.first_time("asked", module, name):
        return
    target = flow.draft.out.target
    for reader in flow.loaded:
        source = target[reader]
        if reader != module and not (
            reading.looks_up_modules(source) or reading.may_read(source, module, name)
        ):
            continue
        local, modules = reading.aliases(source, reader, module, name)
        for index, row in enumerate(names.of_source(source)):
            if reading.gets_at(row, name, local, modules):
                flow.stale_at(reader, index, name, local | modules)
        flow.readers_that_ran(reader, local, modules, module, name)


def _asked_inside(flow: Flow, outer: Place, name: str) -> None:
    """Let the parts of a factory be stale that may get at a memo which it made."""
    for key in [one for one, _ in flow.ran_in(outer[0]) if one[1] == outer[1]]:
        made = flow.who.factory(key)
        if made is not None:
            made.stale_readers({name})


def _asked_of_class(flow: Flow, name: str) -> None:
    """Let the statements be stale that may ask a class or an object for a memo, told by its name."""
    if not flow.first_time("asked of a class", name):
        return
    target = flow.draft.out.target
    for reader in flow.loaded:
        for index, row in enumerate(names.of_source(target[reader])):
            if name in row.attributes:
                flow.stale_at(reader, index, name)
        for key, owners in flow.ran_in(reader):
            body = reading.body_of(target[reader], key[1])
            if body is not None and name in body.attributes:
                flow.used(key, owners, set(), {name})
