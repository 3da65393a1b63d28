"""Finds the live function objects of a module, wherever they are held."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterable
from types import CodeType, FunctionType, ModuleType


def live_functions(modules: Iterable[ModuleType]) -> dict[CodeType, list[FunctionType]]:
    """Return every function whose globals are those of the modules, by its code object.

    Code objects compare equal whatever their file name is, so the result can be asked with
    code that was compiled from the same source. One walk over the heap.
    """
    namespaces = [vars(module) for module in modules]
    wanted = {id(namespace) for namespace in namespaces}
    found: dict[CodeType, list[FunctionType]] = defaultdict(list)
    with_frozen = gc.get_freeze_count() > 0
    if with_frozen:
        gc.unfreeze()  # a frozen heap is invisible to get_referrers: functions would silently stay old
    try:
        for holder in gc.get_referrers(*namespaces):
            if type(holder) is FunctionType and id(holder.__globals__) in wanted:
                found[holder.__code__].append(holder)
    finally:
        if with_frozen:
            gc.freeze()
    return found


def instances_of(cls: type) -> int:
    """Return how many live objects are instances of a class or of those below it."""
    classes = {cls}
    todo: list[type] = [cls]
    while todo:
        below: type
        for below in todo.pop().__subclasses__():
            if below not in classes:
                classes.add(below)
                todo.append(below)
    count = 0
    for one in classes:
        count += sum(1 for holder in gc.get_referrers(one) if type(holder) is one)
    return count
