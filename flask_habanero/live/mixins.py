"""Mapped classes that gain or lose mixins: they keep their identity, and derive from others in place.

A class with other bases is another class, and takes the place of the one there was (`redefined.remade`);
a mapped one can't, since its mapper and its table belong to the one there is. SQLAlchemy reads what a class
derives from once, when it maps it. So bases may come and go in which it finds nothing: plain classes whose
members are methods, properties and constants, and which do nothing to what derives from them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType, WrapperDescriptorType
from typing import TYPE_CHECKING, Any

from ..piece import Piece
from ..unit import compile_nodes
from . import adapters, inbody, instances, mapped, members, names, reading, steps
from .judge.known import words
from .judge.values import Class, Live, Value
from .skeleton import alike

if TYPE_CHECKING:
    from .bodies import Body
    from .draft import Draft
    from .flow import Flow

_SPECIAL = words(
    """__bool__ __call__ __contains__ __eq__ __format__ __ge__ __getitem__ __gt__ __hash__ __html__ __iter__
    __le__ __len__ __lt__ __ne__ __repr__ __str__"""
)
"""Methods that Python calls of an object, and never while a class, or an object of one, is made."""
_FACTS = words(
    """__dict__ __doc__ __firstlineno__ __hash__ __module__ __qualname__ __static_attributes__ __weakref__"""
)
"""What each class has of its own."""
_SQLALCHEMYS = words("metadata query query_class registry type_annotation_map")
_KINDS = words("isinstance issubclass mro __base__ __bases__ __mro__ __subclasses__")
"""Names by which code asks what derives from what."""
DERIVES = "__bases__"
"""Stands, among the members that changed, for what a class derives from."""
_METHODS = (FunctionType, staticmethod, classmethod, property, WrapperDescriptorType)
_CONSTANTS = (str, bytes, bool, int, float, type(None), tuple, list, dict, set, frozenset)


@dataclass(frozen=True)
class Trade:
    """A mapped class that derives from others.

    Attributes:
        cls: the class.
        bases: the expressions of what it derives from now.
        members: names of what it inherits of what comes, and inherited of what goes,
            and `DERIVES`; nothing if they are the same under other names.
    """

    cls: type
    bases: tuple[ast.expr, ...]
    members: frozenset[str]

    def act(self, draft: Draft, name: str, piece: Piece, uid: int) -> None:
        """Let it be done where the statement stands, and all follow that read what is inherited."""
        value = ast.copy_location(ast.Tuple([*self.bases], ast.Load()), self.bases[0])
        target = ast.copy_location(ast.Name(steps.RAW, ast.Store()), value)
        assign = ast.copy_location(ast.Assign([target], value), value)
        code = compile_nodes([assign], draft.parsed(name), draft.filename(name))
        step = steps.Derive(self.cls, draft.live(name), code)
        draft.act(name, piece, 0, lambda: step)
        draft.derived[name, uid] = self.cls
        if self.members:
            draft.dirty_members.append((name, self.cls.__name__, self.members))


def trade(draft: Draft, name: str, old: ast.ClassDef, new: ast.ClassDef, cls: object) -> Trade | None:
    """Return what becomes of a class whose statement names other bases, if it can be done in place.

    Args:
        draft: the plan in the making.
        name: the module.
        old: the statement that made it.
        new: the statement as it is now.
        cls: what its name stands for.
    """
    if not _only_bases(old, new):
        return None
    if not isinstance(cls, type) or not mapped.is_mapped(cls) or adapters.below(cls):
        return None
    before = [draft.judge_before(name).value(one) for one in old.bases]
    after = [draft.judge(name).value(one) for one in new.bases]
    if [_live(one) for one in before] != [*cls.__bases__]:
        return None
    kept = [one for one in map(_live, after) if one in cls.__bases__]
    come = [one for one in after if _live(one) not in cls.__bases__]
    go = [one for one in before if _live(one) not in kept]
    if not kept or kept != [one for one in cls.__bases__ if one in kept]:
        return None
    if not all(_stays(draft, one.object) for one in come if isinstance(one, Live)):
        return None
    offered = [_offered(draft, cls, one) for one in (*come, *go)]
    if None in offered:
        return None
    named = frozenset([DERIVES] if come or go else [])  # the same ones may be called by other names
    return Trade(cls, tuple(new.bases), named.union(*filter(None, offered)))


def _only_bases(old: ast.ClassDef, new: ast.ClassDef) -> bool:
    """Whether two headers of a class differ, and in nothing but the bases that they name."""
    sides = [[*one.keywords, *one.decorator_list, *getattr(one, "type_params", [])] for one in (old, new)]
    same = len(sides[0]) == len(sides[1]) and all(map(alike, *sides))
    return same and bool(new.bases) and members.header(old) != members.header(new)


def follow(flow: Flow, module: str, name: str) -> None:
    """Refuse a class with other bases if something asked at the start what derives from what.

    It may have asked this class, or an object of it, without saying its name.
    """
    for unit in flow.loaded:
        source = flow.program.tree[unit]
        rows = zip(source.parsed.pieces, names.of_source(source), strict=True)
        lines = [piece.node.lineno for piece, row in rows if _asks(row)]
        for qualname, body in instances.ran(flow, unit):
            lines += [reading.line_of(source, qualname)] if body is None or _asks(body) else []
        if lines:
            what = f"it asked at the start what derives from what, and {module}.{name} does from others now"
            flow.draft.refuse("class-header", f"{unit}:{lines[0]}", what)
            return


def _asks(one: names.Names | Body) -> bool:
    return not _KINDS.isdisjoint(one.reads | one.attributes)


def _live(value: Value | None) -> object:
    return value.object if isinstance(value, Live) else None


def _offered(draft: Draft, cls: type, base: Value | None) -> frozenset[str] | None:
    """Return the names of what a class inherits of a base; None if some of it is acted on."""
    found: Iterable[str] | None = None
    if isinstance(base, Class):
        found = _of_definition(draft, base)
    elif isinstance(base, Live) and isinstance(base.object, type):
        found = _of_class(base.object)
    names = None if found is None else frozenset(found)
    if names is None or not names.isdisjoint(_SQLALCHEMYS) or not names.isdisjoint(_mapped_names(cls)):
        return None
    return names


def _mapped_names(cls: type) -> Iterator[str]:
    yield from getattr(cls, "__mapper__")._props  # noqa: B009  # typed as any class


def _of_class(base: type) -> list[str] | None:
    """Return the members of a class that is there, and of all that it derives from."""
    found: list[str] = []
    for one in base.__mro__[:-1]:
        own = {key: value for key, value in vars(one).items() if key not in _FACTS}
        own.update({"__hash__": one.__hash__} if vars(one).get("__hash__") else {})
        if type(one) is not type or not all(_passed_over(key, value) for key, value in own.items()):
            return None
        found += own
    return found


def _stays(draft: Draft, cls: Any) -> bool:
    """Whether a class, and all that it derives from, is not of the app's own, or its statement stays."""
    for one in type.mro(cls) if isinstance(cls, type) else ():
        if draft.program.unit_name(one.__module__) in draft.out.target:
            sides = (draft.world_before, draft.world)
            before, after = (world.definition(one.__module__, one.__qualname__) for world in sides)
            if before is None or after is None or not alike(before, after):
                return False
    return True


def _passed_over(name: str, value: object) -> bool:
    """Whether SQLAlchemy passes over a member of a base, as Python does where a class is made."""
    if name.startswith("__") and name not in _SPECIAL:
        return False
    return isinstance(value, _METHODS) or type(value) in _CONSTANTS


def _of_definition(draft: Draft, base: Class) -> list[str] | None:
    """Return the members of a class that the release makes."""
    node = draft.world.definition(base.module, base.name)
    if not isinstance(node, ast.ClassDef) or node.keywords or node.decorator_list:
        return None
    if any(_live(one) is not object for one in base.bases):
        return None
    found = [bound for one in node.body for bound in inbody.bound(one)]
    special = any(bound.startswith("__") and bound not in {*_SPECIAL, "__doc__"} for bound in found)
    plain = all(_is_plain(one) for one in node.body)
    return None if special or not plain or getattr(node, "type_params", None) else found


def _is_plain(member: ast.stmt) -> bool:
    if isinstance(member, ast.FunctionDef) and member.name in _SPECIAL:
        return not member.decorator_list
    return adapters.is_method(member) or mapped.is_constant(member)
