"""Who still holds what a release replaces.

A name that is bound anew stands for another object from then on; a cold start has only that one. So the
old object must go: if something that is not made anew holds it, too (somebody's registry, a running
request, a thread), then that would go on with the old one, and the change is cold.

Told by going from the replaced objects to what refers to them, until every way ends at something that is
made anew; reference counts tell whether there are holders that can't be seen so: frames, objects of C.
"""

from __future__ import annotations

import gc
import re
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any
from zoneinfo import ZoneInfo

from .functions import thawed

ATOMS = (
    str, bytes, int, float, complex, bool, type(None), range, ModuleType,
    # `re` and `zoneinfo` themselves remember them
    re.Pattern, ZoneInfo,
)  # fmt: skip
MOST = 20_000  # objects on the way; beyond, half the process holds it
LEVELS = 12
AGAIN_S = (0.005, 0.02, 0.05)  # a request that just runs holds things for so long
UNSEEN = "something that can't be seen: a running function, or compiled code"


@dataclass
class Anew:
    """What a release makes anew.

    Attributes:
        objects: what is replaced.
        words: what people call each.
        names: namespace, by id -> the names in it that are bound anew.
        spaces: namespace, by id -> the name of its module; of all modules of the app.
        tables: registries, by id, that are rebuilt.
        kept: registrations, by id, that stay -> what people call them.
        purged: objects that hold something, by id -> the keys, attributes or elements that go from them.
        derived: classes, by id, that derive from others from now on.
        forgotten: whether SQLAlchemy is to forget what it knew of them.
        known: objects, by id -> how many references of `names`, and of our own copies, there are to each.
    """

    objects: list[Any] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    names: dict[int, set[str]] = field(default_factory=dict)
    spaces: dict[int, str] = field(default_factory=dict)
    tables: set[int] = field(default_factory=set)
    kept: dict[int, str] = field(default_factory=dict)
    purged: dict[int, list[Any]] = field(default_factory=dict)
    derived: dict[int, type] = field(default_factory=dict)
    forgotten: bool = False
    known: Counter[int] = field(default_factory=Counter)


def is_plain(value: Any) -> bool:
    """Whether it does not matter which of two equal objects somebody holds."""
    if type(value) in (tuple, frozenset):
        return all(map(is_plain, value))
    return type(value) in ATOMS or (isinstance(value, type) and not value.__flags__ & _MADE_AS_IT_RUNS)


_MADE_AS_IT_RUNS = 1 << 9  # Py_TPFLAGS_HEAPTYPE: of a class without it, such as `str`, there is one for all


def held(anew: Anew) -> tuple[str, str] | None:
    """Return (what, by what) for a replaced object that something staying holds; None if there is none."""
    if not _others(anew):
        return None
    with thawed():
        found = _walk(anew)
        for pause in AGAIN_S:
            if found is None or found[1] != UNSEEN:
                break
            time.sleep(pause)  # requests go on meanwhile
            found = _walk(anew)
        if found is not None:
            gc.collect()  # an exception and the frames that it went through, which nobody reaches any more
            found = _walk(anew)
    return found


def _others(anew: Anew) -> bool:
    """Whether more refers to replaced objects than is known: mostly nothing does, and no heap is walked."""
    objects = anew.objects
    return any(
        sys.getrefcount(objects[index]) - _OWN > anew.known[id(objects[index])]
        for index in range(len(objects))
    )


def _walk(anew: Anew) -> tuple[str, str] | None:
    level = anew.objects
    origin = dict(zip(map(id, level), anew.words, strict=True))
    for _ in range(LEVELS):
        above: list[Any] = []
        found = _above(anew, level, origin, above)
        if found is not None or not above:
            return found
        if len(origin) > MOST:
            break
        level = above
    return origin[id(level[0])], "more than can be looked at"


def _above(anew: Anew, level: list[Any], origin: dict[int, str], above: list[Any]) -> tuple[str, str] | None:
    """Put what refers to some objects, and is to be looked at next, into `above`."""
    one: Any = None
    asked = tuple(level)  # passed on as it is, and so known when it is found
    referrers = gc.get_referrers(*asked)
    ours = {id(one) for one in (level, asked, referrers, above, anew.objects)}
    wanted = {id(one) for one in level}
    counts: Counter[int] = Counter()
    for one in referrers:
        if id(one) in ours:
            continue
        below = [id(x) for x in gc.get_referents(one) if id(x) in wanted]
        counts.update(below)
        if id(one) in origin:
            continue
        stays = _stays(anew, one, wanted)
        if isinstance(stays, str):
            return origin[below[0]] if below else "", stays
        if stays:
            origin[id(one)] = origin[below[0]] if below else ""
            above.append(one)
    del asked, referrers, one
    for index in range(len(level)):
        if sys.getrefcount(level[index]) - _OWN > counts[id(level[index])]:
            return origin[id(level[index])], UNSEEN
    return None


_OWN = 2  # the list that is gone through, and getrefcount's argument


def _stays(anew: Anew, one: Any, wanted: set[int]) -> bool | str:
    """Return whether to look at what refers to a referrer; what it is in words, if it stays."""
    if id(one) in anew.tables:
        return False
    if id(one) in anew.kept:
        return anew.kept[id(one)]
    if id(one) in anew.purged:
        return _holds_more(one, anew.purged[id(one)], wanted)
    if id(one) in anew.derived:
        return _holds_beside_its_bases(anew.derived[id(one)], wanted)
    if _is_ours(one) or (anew.forgotten and type(one).__module__.startswith("sqlalchemy.")):
        return False
    if id(one) in anew.spaces:
        names = anew.names.get(id(one), set())
        kept = [name for name, value in one.items() if id(value) in wanted and name not in names]
        return f"{anew.spaces[id(one)]}.{kept[0]}" if kept else False
    if isinstance(one, ModuleType):
        return f"module {one.__name__}"
    return f"{one.f_code.co_qualname}, which is running" if isinstance(one, FrameType) else True


def _holds_more(one: Any, gone: list[Any], wanted: set[int]) -> bool:
    """Whether an object from which entries go holds any of what is looked for elsewhere, too."""
    if isinstance(one, list | set | deque):
        return any(id(value) in wanted and all(value is not other for other in gone) for value in one)
    fields = one if isinstance(one, dict) else vars(one)
    return any(key not in gone and id(value) in wanted for key, value in fields.items())


def _holds_beside_its_bases(cls: type, wanted: set[int]) -> bool:
    """Whether a class that gets other bases holds any of what is looked for in another way."""
    replaced = {id(cls.__bases__), id(cls.__mro__), id(cls.__base__)}
    return any(id(one) in wanted and id(one) not in replaced for one in gc.get_referents(cls))


def _is_ours(one: Any) -> bool:
    if isinstance(one, FrameType):
        return str(one.f_globals.get("__name__", "")).startswith("flask_habanero.")
    return type(one).__module__.startswith("flask_habanero.")
