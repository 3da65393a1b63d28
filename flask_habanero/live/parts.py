"""The code of one statement of a function, to run in the variables that the function left behind."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterable
from types import CodeType

from . import bodies, codes

_OUTER = "_habanero_outer"
Compiled = Callable[[list[ast.stmt]], CodeType]


def compile_part(
    function: bodies.Function,
    qualname: str,
    node: ast.stmt,
    own: tuple[set[str], set[str]],
    compiled: Compiled,
) -> CodeType:
    """Return the code of one statement of a function, which has all of the function's variables as free ones.

    What is made by it has the names that it has in the whole function.

    Args:
        function: the function, as it will be.
        qualname: its qualified name.
        node: the statement.
        own: the names of the function's variables, and of those that the statement binds.
        compiled: compiles nodes.
    """
    every, bound = map(sorted, own)
    shared: list[ast.stmt] = [ast.Nonlocal(bound)] if bound else []
    inner = ast.FunctionDef(function.name, _no_args(), [*shared, _Unhinted().visit(copy.deepcopy(node))], [])
    outer = ast.FunctionDef(_OUTER, _no_args(every), [inner], [])
    for made in (inner, outer):
        if hasattr(function, "type_params"):
            made.type_params = []  # type: ignore[attr-defined]  # of 3.12 and later
    place = ast.copy_location(ast.Pass(), function)
    place.lineno = first_line(function)
    for one in (outer, inner, *shared):
        ast.copy_location(one, place)
        ast.fix_missing_locations(one)
    (made_outer,) = codes.children(compiled([outer]))
    (found,) = [code for code in codes.children(made_outer) if code.co_name == function.name]
    return _named(found, qualname)


class _Unhinted(ast.NodeTransformer):
    """Takes the annotations of a function's own variables away: Python does not evaluate them, either."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name):
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def _stop(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _stop


def _no_args(own: Iterable[str] = ()) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in own], None, [], [], None, [])


def _named(code: CodeType, qualname: str) -> CodeType:
    """Return a part's code, and all that it holds, under the names that they have in the whole function."""
    before = f"{_OUTER}.<locals>.{qualname.rpartition('.')[2]}"

    def renamed(one: CodeType) -> CodeType:
        consts = tuple(renamed(c) if type(c) is CodeType else said(c) for c in one.co_consts)
        return one.replace(co_qualname=one.co_qualname.replace(before, qualname, 1), co_consts=consts)

    def said(constant: object) -> object:
        """Return the constant from which a class takes its qualified name."""
        is_it = type(constant) is str and constant.startswith(f"{before}.<locals>.")
        return constant.replace(before, qualname, 1) if is_it and isinstance(constant, str) else constant

    return renamed(code)


def first_line(node: bodies.Function | ast.ClassDef) -> int:
    """Return the line at which a function or a class begins, its decorators included."""
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])
