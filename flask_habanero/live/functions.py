"""Finds the live function objects of definitions, wherever they are held.

Two ways. *Reach*: from the modules' namespaces and Flask's registries through classes, wrappers,
closures, partials and containers; then the reference count of each code object tells whether all
of its holders were found. Only where it doesn't, one walk over the whole heap: that takes
milliseconds for each hundred thousand objects, and holds the interpreter meanwhile.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from .codes import apart, children, walk


class Found(dict[CodeType, list[FunctionType]]):
    """Live functions by their code.

    Attributes:
        complete: whether nothing else refers to their code, no suspended generator either.
    """

    complete = False


_FARTHEST = 20_000  # objects that are gone through
_LONGEST = 1_000  # a longer container is a cache or a table: what it holds, the reference counts tell


def live_functions(modules: list[ModuleType], roots: Iterable[Any], wanted: Set[CodeType]) -> Found:
    """Return the functions that have a wanted code, all of them, by code.

    Code objects compare equal whatever their file name is, so the result can be asked with code
    that was compiled from the same source.

    Args:
        modules: whose globals the functions have.
        roots: further objects through which functions are held (registries).
        wanted: code of the functions that will change.
    """
    can_count = _can_count() and not any(code.co_qualname in apart for code in wanted)
    reached = _all_reached(modules, roots, wanted) if can_count else None
    found = Found()
    for function in _walk_heap(modules) if reached is None else reached:
        if function.__code__ in wanted:
            found.setdefault(function.__code__, []).append(function)
    found.complete = reached is not None
    return found


def _all_reached(
    modules: list[ModuleType], roots: Iterable[Any], wanted: Set[CodeType]
) -> list[FunctionType] | None:
    """Return the functions with these globals that can be reached; None if one with a wanted code can't."""
    near = [vars(module) for module in modules]
    spaces = set(map(id, near))
    tops = {code.co_qualname.partition(".")[0] for code in wanted}
    named = [space[name] for space in near for name in tops & space.keys()]
    known = [function for module in modules for function in _at_hand.get(module, ())]
    # what registries hold, a namespace mostly holds, too; and most functions are under their own name there
    for depth, start in enumerate(([*named, *known], near, [*near, *roots])):
        reached = [function for function in _reach(start) if id(function.__globals__) in spaces]
        if _is_complete(reached, wanted):
            for module in modules if depth else ():
                _at_hand[module] = WeakSet(one for one in reached if one.__globals__ is vars(module))
            return reached
    return None


# the functions of a module that were once looked for farther off: so they are at hand at the next plan
_at_hand: WeakKeyDictionary[ModuleType, WeakSet[FunctionType]] = WeakKeyDictionary()


# reach


def _reach(roots: list[Any]) -> Iterator[FunctionType]:
    """Yield the functions that some objects lead to, each once."""
    seen: set[int] = set()
    todo: list[Any] = list(roots)
    while todo:
        one = todo.pop()
        if type(one) in _HOLDS_NONE or id(one) in seen:
            continue
        seen.add(id(one))
        if len(seen) > _FARTHEST:
            return  # the counts say whether that was all; going through the heap takes no longer
        if type(one) is FunctionType:
            yield one
        todo += _inside(one)


_HOLDS_NONE = frozenset({str, int, float, bool, bytes, type(None), ModuleType})


def _inside(one: Any) -> Iterable[Any]:
    kind = type(one)
    if kind is FunctionType:
        return _held_by_function(one)
    if kind is CellType:
        return (one.cell_contents,) if _is_filled(one) else ()
    if kind in (staticmethod, classmethod, MethodType):
        return (one.__func__,)
    if issubclass(kind, property):
        return (one.fget, one.fset, one.fdel)
    if kind is functools.partial:
        return (one.func, *one.args, *one.keywords.values())
    if kind is functools.cached_property:
        return (one.func,)
    if kind is functools._lru_cache_wrapper:
        return (one.__wrapped__,)
    return _contained(one, kind)


def _held_by_function(one: FunctionType) -> Iterable[Any]:
    if one.__closure__ is None and one.__defaults__ is None:  # of most
        return one.__dict__.values()
    return (*(one.__closure__ or ()), *one.__dict__.values(), *(one.__defaults__ or ()))


def _contained(one: Any, kind: type) -> Iterable[Any]:
    if kind in (list, tuple, set, frozenset):
        return one if len(one) <= _LONGEST else ()
    if kind in (dict, defaultdict):
        return list(one.values()) if len(one) <= _LONGEST else ()
    if issubclass(kind, type):
        return list(vars(one).values()) if one.__module__ in sys.modules and not _is_foreign(one) else ()
    return ()


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # asking is the only way to know
    except ValueError:
        return False
    return True


def _is_foreign(cls: type) -> bool:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    return not file or "site-packages" in file or cls.__module__.partition(".")[0] in sys.stdlib_module_names


# are they all?


def _is_complete(reached: list[FunctionType], wanted: Set[CodeType]) -> bool:
    """Whether every live function with a wanted code was reached, by the count of references to its code."""
    expected: Counter[int] = Counter(id(function.__code__) for function in reached)
    counted: set[int] = set()
    for function in reached:
        if id(function.__code__) not in counted:
            counted.add(id(function.__code__))
            _count_parts(function.__code__, expected, counted)
    for function in reached:
        if function.__code__ in wanted and _references(function.__code__) != expected[id(function.__code__)]:
            return False
        if not _parts_are_counted(function.__code__, expected, wanted):
            return False
    known = {code for function in reached for code in walk(function.__code__)}
    return all(code in known for code in wanted if _is_function(code))


def _count_parts(code: CodeType, expected: Counter[int], counted: set[int]) -> None:
    for part in children(code):
        expected[id(part)] += 1
        if id(part) not in counted:
            counted.add(id(part))
            _count_parts(part, expected, counted)


def _parts_are_counted(code: CodeType, expected: Counter[int], wanted: Set[CodeType]) -> bool:
    consts = code.co_consts
    for index in range(len(consts)):  # by index: a name for the part would be one reference more
        if type(consts[index]) is CodeType:
            if consts[index] in wanted and _references(consts[index]) != expected[id(consts[index])]:
                return False
            if not _parts_are_counted(consts[index], expected, wanted):
                return False
    return True


def _is_function(code: CodeType) -> bool:
    """Whether functions are made from this code: class bodies and comprehensions are gone once they ran."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and (
        code.co_name == "<lambda>" or code.co_name[0] != "<"
    )


_WAY_IN = 2  # our parameter and the one of getrefcount; checked at import, below


def _references(code: CodeType) -> int:
    """Return how often a code object is referred to, not counting the way in here."""
    return sys.getrefcount(code) - _WAY_IN


@functools.cache  # asked at the first plan: while the start is recorded, the record refers to code, too
def _can_count() -> bool:
    """Whether this interpreter counts references to code as we expect."""
    scratch: dict[str, Any] = {}
    exec("def f():\n def g(): pass\n return g", scratch)  # noqa: S102  # a code object that nobody else holds
    scratch["g"] = scratch["f"]()
    return (_references(scratch["f"].__code__), _references(scratch["g"].__code__)) == (1, 2)


_FROZEN = gc.get_freeze_count()  # CPython itself freezes some hundred objects at its start


# the heap


@contextmanager
def thawed() -> Iterator[None]:
    """Let `gc.get_referrers` see what the app froze (as `gunicorn --preload` users do), for a while."""
    with_frozen = gc.get_freeze_count() > _FROZEN
    if with_frozen:
        gc.unfreeze()
    try:
        yield
    finally:
        if with_frozen:
            gc.freeze()


def _walk_heap(modules: list[ModuleType]) -> list[FunctionType]:
    namespaces = [vars(module) for module in modules]
    wanted = {id(namespace) for namespace in namespaces}
    with thawed():
        holders = gc.get_referrers(*namespaces)
        return [one for one in holders if type(one) is FunctionType and id(one.__globals__) in wanted]


def instances_of(cls: type) -> list[Any]:
    """Return the live objects that are instances of a class or of those below it."""
    return [holder for one in with_subclasses(cls) for holder in gc.get_referrers(one) if type(holder) is one]


def with_subclasses(cls: type) -> set[type]:
    """Return a class, and all that are derived from it."""
    classes = {cls}
    todo: list[type] = [cls]
    while todo:
        below: type
        for below in type.__subclasses__(todo.pop()):
            if below not in classes:
                classes.add(below)
                todo.append(below)
    return classes


def computes_once(member: object) -> FunctionType | None:
    """Return the function of a `cached_property`: that of Python, of werkzeug, or another of that name."""
    if not any(kind.__name__ == "cached_property" for kind in type.mro(type(member))):
        return None
    found = vars(member).get("func") or getattr(member, "fget", None)  # which it keeps, or is a property's
    return found if isinstance(found, FunctionType) else None


def forget_cached(cls: type, name: str) -> None:
    """Let a class's live objects compute a `cached_property` anew."""
    slot = getattr(cls, f"_cache_{name}", None)  # werkzeug's, of a class without `__dict__`
    for instance in instances_of(cls):
        getattr(instance, "__dict__", {}).pop(name, None)
        if isinstance(slot, MemberDescriptorType):
            with suppress(AttributeError):  # it is empty
                slot.__delete__(instance)


def suspended(module: ModuleType, changing: Set[CodeType]) -> str | None:
    """Return the name of a module's generator or coroutine that is inside changing code, or None."""
    for name, value in vars(module).items():
        code = getattr(value, _CODE_OF[type(value)]) if type(value) in _CODE_OF else None
        if code in changing:
            return name
    return None


_CODE_OF = {GeneratorType: "gi_code", CoroutineType: "cr_code", AsyncGeneratorType: "ag_code"}
