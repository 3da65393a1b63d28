"""May a statement run again, or for the first time, in a process that already serves?

It may if all that it does is to bind names and to register through Flask's own methods: then
running it once gives what a cold start gives, and taking it back is possible. Everything else
(an engine, a thread, an open file, an entry in somebody's registry) has effects that nobody can
see, and the answer is no, with the words for it. The judgement is made on the AST and on the
live objects that names stand for; nothing is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from . import names, registrations
from .expressions import Expressions, Pending, bound_by, first, short, views

_PURE_DECORATORS = {"staticmethod", "classmethod", "property"}


class Judge(Expressions):
    """Judges the statements of one module."""

    def statement(self, node: ast.stmt) -> str | None:
        """Return why a top-level statement may not run, or None if it may."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        return method(node) if method else f"a {type(node).__name__} statement has effects that can't be told"

    def _import(self, node: ast.Import) -> None:
        return None

    _importfrom = _import

    def _pass(self, node: ast.Pass) -> None:
        return None

    _global = _typealias = _pass

    def _expr(self, node: ast.Expr) -> str | None:
        if isinstance(node.value, ast.Constant):
            return None
        printed = isinstance(node.value, ast.Call) and self.value(node.value.func) is print
        if isinstance(node.value, ast.Call) and (printed or self._is_setup_call(node.value)):
            return self.all_of([*node.value.args, *(k.value for k in node.value.keywords)])
        return f"what `{short(node)}` does can't be told"

    def _is_setup_call(self, call: ast.Call) -> bool:
        return (
            isinstance(call.func, ast.Attribute)
            and call.func.attr in registrations.CALLS
            and self._is_target(call.func.value)
        )

    def _is_target(self, node: ast.expr) -> bool:
        """Whether an expression stands for an app or a blueprint."""
        value = self.value(node)
        if type(value) is Pending:  # `bp = Blueprint(...)` in the same release
            maker = Judge(value.module, self.live).value(value.maker)
            return isinstance(maker, type) and issubclass(maker, Blueprint)
        return issubclass(type(value), App | Blueprint)  # type(): isinstance would wake a LocalProxy up

    def _assign(self, node: ast.Assign) -> str | None:
        for target in node.targets:
            if not self._is_plain(target):
                return f"`{short(target)} = …` changes an object in place"
        return self.expression(node.value)

    def _is_plain(self, target: ast.expr) -> bool:
        if isinstance(target, ast.Tuple | ast.List):
            return all(map(self._is_plain, target.elts))
        if isinstance(target, ast.Starred):
            return self._is_plain(target.value)
        return isinstance(target, ast.Name) or self._is_fresh_store(target)

    def _is_fresh_store(self, target: ast.expr) -> bool:
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        return isinstance(target, ast.Name) and target.id in self.fresh

    def _annassign(self, node: ast.AnnAssign) -> str | None:
        if not self._is_plain(node.target):
            return f"`{short(node.target)} = …` changes an object in place"
        return self.all_of([node.annotation, *([node.value] if node.value else [])])

    def _augassign(self, node: ast.AugAssign) -> str | None:
        if isinstance(node.target, ast.Name) and node.target.id in self.local:
            return self.expression(node.value)
        return f"`{short(node)}` changes what is there"

    def _assert(self, node: ast.Assert) -> str | None:
        return self.expression(node.test)

    def _if(self, node: ast.If) -> str | None:
        if names.never_runs(node):
            return self._block(node.orelse)
        return self.expression(node.test) or self._block([*node.body, *node.orelse])

    def _try(self, node: ast.Try) -> str | None:
        handlers = [statement for handler in node.handlers for statement in handler.body]
        return self._block([*node.body, *handlers, *node.orelse, *node.finalbody])

    def _for(self, node: ast.For) -> str | None:
        if not self._is_plain(node.target):
            return f"`for {short(node.target)}` changes an object in place"
        return self.expression(node.iter) or self._block([*node.body, *node.orelse])

    def _block(self, nodes: Iterable[ast.stmt]) -> str | None:
        return first(map(self.statement, nodes))

    def _functiondef(self, node: names.Function) -> str | None:
        return first(self.decorator(one) for one in node.decorator_list) or self.header(
            node.args, node.returns
        )

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef) -> str | None:
        if getattr(node, "type_params", None) or node.keywords:
            return "a class with keywords or type parameters"
        for base in node.bases:
            value = self.value(base)
            if isinstance(value, ast.ClassDef):
                continue  # pending in this release: judged by itself
            if not isinstance(value, type) or not is_plain_class(value):
                return f"base class `{short(base)}` may act on its subclasses"
        for decorator in node.decorator_list:
            if (why := self.decorator(decorator)) is not None:
                return why
        inside = Judge(self.module, self.live, self.depth, set(self.local), set(self.fresh))
        inside.local |= {name for statement in node.body for name in bound_by(statement)}
        return inside._block(node.body)

    # decorators

    def decorator(self, node: ast.expr) -> str | None:
        """Return why a decorator may not be applied, or None."""
        call = node if isinstance(node, ast.Call) else None
        target = call.func if call else node
        if isinstance(target, ast.Attribute):
            if target.attr in registrations.DECORATORS and self._is_target(target.value):
                return self.all_of([*call.args, *(k.value for k in call.keywords)]) if call else None
            if (
                isinstance(target.value, ast.Name)
                and target.value.id in self.local
                and target.attr in ("setter", "getter", "deleter")
            ):
                return None
        if isinstance(target, ast.Name) and target.id in _PURE_DECORATORS:
            return None
        return self.call(target, call.args if call else [], call.keywords if call else [])

    def keeps_function(self, node: ast.expr) -> bool:
        """Whether a decorator is one of Flask's that registers its function and gives it back."""
        target = node.func if isinstance(node, ast.Call) else node
        return (
            isinstance(target, ast.Attribute)
            and target.attr in registrations.DECORATORS
            and self._is_target(target.value)
        )


def is_plain_class(cls: type) -> bool:
    """Whether subclassing or changing a class in place runs nobody's code."""
    if type(cls) is not type and type(cls).__name__ != "ABCMeta":
        return False
    allowed = {object, *views()}
    return not any("__init_subclass__" in vars(one) for one in cls.__mro__ if one not in allowed)
