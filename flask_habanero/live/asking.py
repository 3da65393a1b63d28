"""Members of a class that nobody can have noticed at the start, told by what ran and what failed then.

- A member that the class had not got: who read it in vain got an `AttributeError`, and the record has it; or
  code that ran has its name as a string.
- A method: who called it let it run; who did anything else with it has read it without calling it, or has its
  name as a string.
- A property: who used it of an object let one of its functions run, or has its name.

Code that did not run has asked for nothing.
"""

from __future__ import annotations

import ast
import dis
import gc
import inspect
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache, partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from . import adapters, bodies, codes, effects, functions, mapped, names, startup, written
from .inbody import mangled
from .judge import known

if TYPE_CHECKING:
    from .flow import Flow

_READING = ("LOAD_ATTR", "LOAD_SUPER_ATTR")
_WRITING = ("STORE_ATTR", "DELETE_ATTR")
_CALLING = 1  # the bit of their argument that says that a call follows
_ANSWERING = {"__getattr__", "__getattribute__", "__dir__"}
# what code of C looks for in what it is given, and nobody sees it
ASKED_BY_C = known.words(
    """close closed copy decode encode encoding errors fileno flush get isatty items keys mode mro name peek
    persistent_id read read1 readable readall readinto readline reducer_override seek seekable send tell throw
    truncate values writable write"""
)
_STEADY = ("staticmethod", "classmethod")  # what an object has itself stands before these


Others = frozenset[str] | None
"""The files of code that is not the app's own, or None: whatever ran."""
NOBODY: Others = frozenset()
ANYBODY: Others = None


def unnoticed(
    flow: Flow, module: str, cls: str, members: frozenset[str], *, others: Others
) -> frozenset[str]:
    """Return those of the changed members of a class that nobody can have noticed at the start.

    Args:
        flow: the flow.
        module: the class's module.
        cls: its name.
        members: what comes, goes, or is another thing now.
        others: whose code, besides the app's own, may have had the class, or an object of it.
    """
    live = getattr(flow.program.loaded(module), cls, None)
    watched = startup.sees_all() and all(map(flow.program.was_watched, flow.loaded))
    if not (watched and isinstance(live, type)) or not answers_by_name(live):
        return frozenset()
    body = written.class_body(flow.draft.out.target.get(module), cls)
    # Python itself reads the others
    plain = {n for n in members if n not in ASKED_BY_C and not (n.startswith("__") and n.endswith("__"))}
    new = {name for name in plain if _is_new(live, mangled(name, cls))}
    added = {name for name in new if body is not None and _is_steady(body, name)}
    never = _never_called(flow, module, live, {mangled(name, cls) for name in plain - new})
    called = {name for name in plain - new if mangled(name, cls) in never}
    if not (added or called):
        return frozenset()
    read, quoted = _asked(flow, {mangled(name, cls) for name in added | called}, others=others)
    missed = {name for one in (live, *adapters.below(live)) for name in _missed(one)}
    return frozenset(
        name
        for name in added | called
        for found in [mangled(name, cls)]
        if name not in quoted and found not in quoted and found not in (missed if name in added else read)
    )


def answers_by_name(cls: type) -> bool:
    """Whether a class, made in a plain way or by peewee, gives its members to those only who ask by name."""
    own = [base for base in (*cls.__mro__, *type.mro(type(cls))) if base not in (object, type)]
    plain = effects.is_plain_class(cls) or mapped.is_peewees(cls)
    return plain and all(_ANSWERING.isdisjoint(vars(base)) for base in own)


def _is_new(cls: type, name: str) -> bool:
    return not any(name in vars(base) for base in cls.__mro__)


def _is_steady(body: ast.ClassDef, name: str) -> bool:
    """Whether an object's own attribute of that name stands before a member that comes."""
    found = [one for one in body.body if name in _bound(one)]
    if len(found) != 1:
        return False
    node = found[0]
    if isinstance(node, bodies.Function):
        return all(map(_is_kind, node.decorator_list))
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)


def _bound(node: ast.stmt) -> Iterable[str]:
    if isinstance(node, bodies.Function):
        return [node.name]
    return [name for goal in getattr(node, "targets", []) for name in names.targets(goal)]


def _never_called(flow: Flow, module: str, cls: type, members: AbstractSet[str]) -> frozenset[str]:
    """Return the members that are methods as they were written, or properties of such, and never ran.

    Only their class may have them, and properties of that.
    """
    known = _called.setdefault(flow, {})
    key = id(cls), frozenset(members)
    if key not in known:
        parts = {name: _parts(vars(cls).get(name)) for name in members}
        ran = {qualname for (_, qualname, _), _ in flow.ran_in(module)}
        fit = {
            name: tuple(map(id, found))
            for name, found in parts.items()
            if found and all(_is_as_written(flow, module, cls, part, ran) for part in found)
        }
        things = tuple(part for name in fit for part in parts[name])
        parts.clear()  # it holds them, too
        held = _held_by_others(cls, things)
        known[key] = frozenset(name for name, found in fit.items() if held.isdisjoint(found))
    return known[key]


_called: WeakKeyDictionary[Flow, dict[tuple[int, frozenset[str]], frozenset[str]]] = WeakKeyDictionary()


def _parts(raw: Any) -> list[Any]:
    """Return a member, and the functions in it; nothing if it is neither method nor property."""
    if type(raw) is property:
        return [raw, *(part for part in (raw.fget, raw.fset, raw.fdel) if part is not None)]
    if isinstance(raw, staticmethod | classmethod):
        return [raw, raw.__func__]
    return [raw] if isinstance(raw, FunctionType) else []


def _is_as_written(flow: Flow, module: str, cls: type, part: Any, ran: AbstractSet[str]) -> bool:
    if isinstance(part, property | staticmethod | classmethod):
        return True
    is_plain = isinstance(part, FunctionType) and not _is_decorated(flow, module, cls, part)
    return is_plain and part.__qualname__ not in ran


def _held_by_others(cls: type, things: tuple[Any, ...]) -> set[int]:
    """Return which things (their ids) something else has than a class, what is in it, a frame, or we."""
    with functions.thawed():
        every = (one for one in gc.get_referrers(*things) if one is not things)
        holders = [one for one in every if not (_is_frame(one) or _is_of_us(one))]
        own = set(map(id, gc.get_referents(cls)))
        own |= {id(held) for one in things for held in (one, getattr(one, "__dict__", one))}
        own |= {id(one) for one in vars(cls).values() if type(one) is property}
        others = [one for one in holders if id(one) not in own]
        # a plan that was made before has such, too
        lists = tuple(one for one in others if type(one) in (list, tuple))
        above = gc.get_referrers(*lists) if lists else []
        ours = (lists, holders, others)
        strange = [one for one in above if not (_is_frame(one) or _is_of_us(one) or _is_one_of(one, ours))]
        kept = {id(one) for one in gc.get_referents(*strange)}
        others = [one for one in others if type(one) not in (list, tuple) or id(one) in kept]
        return set(map(id, gc.get_referents(*others)))


def _is_frame(holder: object) -> bool:
    return type(holder).__name__ == "frame"


def _is_of_us(holder: object) -> bool:
    return type(holder).__module__.startswith("flask_habanero.")


def _is_one_of(thing: object, others: Iterable[object]) -> bool:
    return any(thing is one for one in others)


def _is_decorated(flow: Flow, module: str, cls: type, function: FunctionType) -> bool:
    """Whether something else than a plain `def` in the body of its class made a method, or a property."""
    body = written.class_body(flow.program.tree.get(module), cls.__name__)
    name = function.__name__
    if body is None or function.__module__ != cls.__module__:
        return True
    found = [one for one in body.body if name in _bound(one)]
    decorators = [ast.unparse(one) for node in found for one in getattr(node, "decorator_list", ())]
    of_property = {"property", *(f"{name}.{verb}" for verb in ("setter", "getter", "deleter"))}
    are_parts = len(decorators) == len(found) and of_property.issuperset(decorators)
    is_one = len(found) == 1 and all(one in _STEADY for one in decorators)
    return not (found and (is_one or are_parts) and all(isinstance(one, bodies.Function) for one in found))


def _is_kind(decorator: ast.expr) -> bool:
    """Whether a decorator only says what kind of method it is."""
    return ast.unparse(decorator) in _STEADY


def _missed(cls: type) -> Iterator[str]:
    """Yield the attributes that something read in vain of a class, or of its objects."""
    own = startup.name_of(cls)
    return (name for module, qualname, name in startup.missed if (module, qualname) == own)


def _asked(flow: Flow, wanted: set[str], *, others: Others) -> tuple[set[str], set[str]]:
    """Return which names some code that ran reads without calling them, and which it has as strings."""
    read, quoted = set[str](), set[str]()
    for one in (*map(partial(_of_module, flow), flow.loaded), _executed(len(startup.executed), others)):
        quoted |= wanted & one.strings
        for code in one.codes if wanted & one.names else ():
            if not wanted.isdisjoint(code.co_names):
                read.update(_read(code))
    return read, quoted


class _Told(NamedTuple):
    """What code says, told once."""

    codes: list[CodeType]
    names: frozenset[str]
    strings: frozenset[str]


def _told_of(found: list[CodeType]) -> _Told:
    said = frozenset(name for code in found for name in code.co_names)
    return _Told(found, said, frozenset(word for code in found for word in _strings(code.co_consts)))


def _of_module(flow: Flow, unit: str) -> _Told:
    """Return what ran of a module at the start: its statements, bodies of classes, and some functions."""
    statements = flow.program.codes(unit)
    ran = frozenset(qualname for (_, qualname, _), _ in flow.ran_in(unit))
    known = _modules.get(unit)
    if known is None or known[0] is not statements or known[1] != ran:
        every = (code for statement in statements for code in codes.walk(statement))
        found = [one for one in every if not one.co_flags & inspect.CO_OPTIMIZED or one.co_qualname in ran]
        known = _modules[unit] = statements, ran, _told_of(found)
    return known[2]


_modules: dict[str, tuple[list[CodeType], frozenset[str], _Told]] = {}


def of_others(flow: Flow) -> Iterator[CodeType]:
    """Yield the functions that ran at the start and are not of the app's own modules, wherever they lie."""
    live = map(flow.program.loaded, flow.loaded)
    own = {getattr(module, "__file__", None) for module in live}
    return (one for one in list(startup.executed.values()) if one.co_filename not in own)


@lru_cache(maxsize=4)
def _executed(_count: int, others: Others) -> _Told:
    """Return what the functions say that ran; what was made at run time may be anybody's.

    Args:
        _count: how many that were: more are another question.
        others: of which files, besides those that are the app's own.
    """
    return _told_of(
        [
            code
            for code in list(startup.executed.values())
            if others is None
            or code.co_filename in others
            or code.co_filename.startswith("<")
            or not startup.is_foreign_file(code.co_filename)
        ]
    )


def _read(code: CodeType) -> Iterator[str]:
    for one in dis.get_instructions(code):
        if one.opname in _WRITING or (one.opname in _READING and not (one.arg or 0) & _CALLING):
            yield one.argval


def _strings(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple | frozenset):
            yield from _strings(value)
