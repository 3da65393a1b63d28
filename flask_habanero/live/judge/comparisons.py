"""What a comparison gives, where that is certain."""

from __future__ import annotations

import ast

from . import computed, containers, known
from .values import ANY, Class, Function, Live, Made, Value

_PLAIN = (str, int, float, bool, bytes, type(None), tuple)


def compared(left: Value, operator: ast.cmpop, right: Value) -> Value:
    """Return what a comparison gives, where that is certain."""
    if isinstance(operator, ast.Is | ast.IsNot):
        answer, wanted = _is_same(left, right), isinstance(operator, ast.Is)
    elif isinstance(operator, ast.In | ast.NotIn):
        answer, wanted = _is_in(left, right), isinstance(operator, ast.In)
    else:
        answer, wanted = _is_equal(left, right), isinstance(operator, ast.Eq)
        if not isinstance(operator, ast.Eq | ast.NotEq):
            answer, wanted = computed.compare(left, operator, right), True
    return ANY if answer is None else Live(answer is wanted)


def _is_in(left: Value, right: Value) -> bool | None:
    environ = known.environ()
    if isinstance(left, Live) and isinstance(right, Live) and right.object is environ:
        return left.object in environ if type(left.object) is str else None
    return containers.has(right, left)


def _is_equal(left: Value, right: Value) -> bool | None:
    if not (isinstance(left, Live) and isinstance(right, Live)):
        return None
    plain = type(left.object) in _PLAIN and type(right.object) in _PLAIN
    return bool(left.object == right.object) if plain else None


def _is_same(left: Value, right: Value) -> bool | None:
    if isinstance(left, Live) and isinstance(right, Live):
        return left.object is right.object
    fresh = (Made, Function, Class)
    if (isinstance(left, fresh) and isinstance(right, Live)) or (
        isinstance(right, fresh) and isinstance(left, Live)
    ):
        return False
    return None
