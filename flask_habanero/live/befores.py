"""What an attribute was before a statement set it: as the object's own constructor left it.

``login.request_loader(f)``, ``login.login_view = "login"``: a statement sets an attribute of an object that
another one made. When it goes, the attribute is again what it was. That is read from the code of the
constructor, which is gone through without running it. What other statements do to it is told elsewhere.
"""

from __future__ import annotations

import ast
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..piece import Piece
from . import lasting, names
from .judge.values import Live, Made, Value
from .slots import Slot, is_common

if TYPE_CHECKING:
    from .draft import Draft

ABSENT = object()
UNKNOWN = object()


def of(draft: Draft, slot: Slot) -> Any:
    """Return what an attribute was; ABSENT if there was none of its own, UNKNOWN if that can't be told."""
    if (id(slot.target), slot.key) in draft.program.books.absent or isinstance(
        slot.target, FunctionType | type
    ):
        return ABSENT
    found = made(draft, slot.target)
    if found is None:
        return UNKNOWN
    value = found.fields.get(slot.key)
    return ABSENT if value is None else _told(value)


def _told(value: Value) -> Any:
    """Return the object that a value stands for, if it is one that nobody else changes."""
    one = value.object if isinstance(value, Live) else UNKNOWN
    return one if is_common(one) or isinstance(one, FunctionType | type) else UNKNOWN


def made(draft: Draft, target: Any) -> Made | None:
    """Return what the one statement makes that binds an object to a name of a module, as it makes it."""
    program, found = draft.program, []
    for module, source in program.tree.items():
        live = program.loaded(module)
        bound = {name for name, value in vars(live).items() if value is target} if live is not None else set()
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True) if bound else ():
            if bound & row.binds and isinstance(getattr(piece.node, "value", None), ast.Call):
                found.append((module, piece))
    if len(found) != 1:
        return None
    ((module, piece),) = found
    value = beginning(draft, module, piece)
    told = isinstance(value, Made) and not value.open and value.kind is type(target)
    return value if told and isinstance(value, Made) else None


def beginning(draft: Draft, module: str, piece: Piece) -> Value | None:
    """Return what a statement makes of the name that it binds; None if that can't be told."""
    value, judge = getattr(piece.node, "value", None), draft.judge_before(module)
    found = judge.made(value) if isinstance(value, ast.expr) else None
    if found is None or lasting.reads_state(draft.program, judge.read(piece.node)):
        return None  # it would make another object now
    return found
