"""Comprehensions: over a known sequence one by one, else with what may be in it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from . import containers
from .values import Live, Made, Scope, Value, join, made

if TYPE_CHECKING:
    from .interpreter import Interpreter

Node = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
UNROLLED = 24  # elements of a known sequence that a loop is gone through with, one by one


def value(interpreter: Interpreter, node: Node, scope: Scope) -> Value:
    """Return what a comprehension gives; what evaluating it does is noted."""
    unrolled = _unrolled(interpreter, node, scope)
    if unrolled is not None:
        return unrolled
    inside, before = scope.around().inner(), interpreter.perhaps
    with interpreter.repeating():
        for index, generator in enumerate(node.generators):
            source = interpreter.value(generator.iter, inside if index else scope)
            interpreter.stores.assign(generator.target, interpreter.elements(source), inside)
            interpreter.perhaps = True  # there may be nothing in it
            for test in generator.ifs:
                interpreter.truth(interpreter.value(test, inside))
        result = _gathered(interpreter, node, inside)
    interpreter.perhaps = before
    _keep_walrus(node, inside, scope)
    return result


def _gathered(interpreter: Interpreter, node: Node, inside: Scope) -> Value:
    if isinstance(node, ast.DictComp):
        interpreter.operators.hashed(interpreter.value(node.key, inside))
        return Made(Live(dict), rest=interpreter.value(node.value, inside))
    element = interpreter.value(node.elt, inside)
    if isinstance(node, ast.SetComp):
        interpreter.operators.hashed(element)
    return made(set if isinstance(node, ast.SetComp) else list, [element])


def _unrolled(interpreter: Interpreter, node: Node, scope: Scope) -> Value | None:
    """Return what a comprehension over a known sequence gives, one by one; None if that can't be told."""
    if len(node.generators) != 1 or isinstance(node, ast.SetComp):
        return None
    generator, inside, found = node.generators[0], scope.around().inner(), Made(Live(list))
    known = interpreter.sequence(interpreter.value(generator.iter, scope))
    if known is None or len(known) > UNROLLED:
        return None
    for one in known:
        interpreter.stores.assign(generator.target, one, inside)
        tests = {interpreter.truth(interpreter.value(test, inside)) for test in generator.ifs}
        if tests <= {True}:
            if isinstance(node, ast.DictComp):
                key, element = interpreter.value(node.key, inside), node.value
                interpreter.operators.hashed(key)
            else:
                key, element = Live(len(found.items)), node.elt
            containers.put(found, key, interpreter.value(element, inside))
        elif False not in tests:
            return None
    _keep_walrus(node, inside, scope)
    found.cls = Live(dict) if isinstance(node, ast.DictComp) else found.cls
    return found


def _keep_walrus(node: ast.expr, inside: Scope, scope: Scope) -> None:
    """What `:=` binds in a comprehension is a name of the function around it."""
    for one in ast.walk(node):
        if isinstance(one, ast.NamedExpr) and one.target.id in inside.names:
            before = [scope.names[one.target.id]] if one.target.id in scope.names else []
            scope.names[one.target.id] = join([inside.names[one.target.id], *before])
