"""Goes through statements: which of them are reached, what they bind, and what they change."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...piece import once_for_each_node
from . import attributes, computed, containers
from .blocks import Blocks, own_nodes
from .findings import Effect
from .stores import mangled
from .values import (
    ANY,
    NONE,
    Args,
    Class,
    Function,
    Live,
    Made,
    Scope,
    Value,
    alternatives,
    join,
    text_of,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Statements(Blocks):
    """Goes through statements on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter
        self._returns: list[list[Value]] = []

    def run(self, function: Function, scope: Scope, _args: Args) -> Value:
        """Go through a function's body; return what it may return."""
        node = function.node
        if isinstance(node, ast.Lambda):
            return self._in.value(node.body, scope)
        found: list[Value] = []
        self._returns.append(found)
        self._in.notes.trail.append(f"{scope.module}.{node.name}")
        self._in.notes.went.add((scope.module, node.name))
        before = self._in.perhaps
        scope.shared.update(_declared(node))  # wherever it stands: also in a branch that is not taken
        try:
            ended = self.block(node.body, scope)
        finally:
            self._in.perhaps = before
            self._in.notes.trail.pop()
            self._returns.pop()
        if is_generator(node):
            return Made(Live(list), rest=ANY)
        return join([*found, *([] if ended else [NONE])]) if found or not ended else NONE

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> Function:
        """Return what a `def` makes, before its decorators; its header is gone through."""
        spec = node.args
        plain = [*spec.posonlyargs, *spec.args]
        pairs = list(zip(plain[len(plain) - len(spec.defaults) :], spec.defaults, strict=True))
        pairs += [(arg, value) for arg, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value]
        defaults = {arg.arg: self._in.value(value, scope) for arg, value in pairs}
        hints = [
            one.annotation for one in (*plain, *spec.kwonlyargs, spec.vararg, spec.kwarg) if one is not None
        ]
        for hint in (*hints, getattr(node, "returns", None)):
            if hint is not None:
                self._in.value(hint, scope)
        return Function(node, scope.around(), defaults, scope.owner)

    def decorated(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, value: Value, scope: Scope
    ) -> Value:
        """Return what a definition's decorators make of it."""
        decorators = [(one, self._in.value(one, scope)) for one in node.decorator_list]
        for one, decorator in reversed(decorators):
            value = self._in.call(decorator, Args((value,), text=text_of(one)))
        return value

    def statement(self, node: ast.stmt, scope: Scope) -> str:
        """Go through one statement.

        Returns:
            Why what follows is certainly not reached: "return" (or it raises), "break", "loop" (it goes on
            with the next turn). Nothing, if it may be.
        """
        self._in.spend()
        method: Callable[[Any, Scope], str | None] | None
        method = getattr(self, f"_do_{type(node).__name__.lower()}", None)
        if method is None:
            self._in.notes.unknown(f"a {type(node).__name__} statement has effects that can't be told")
            return ""
        return method(node, scope) or ""

    def _do_expr(self, node: ast.Expr, scope: Scope) -> None:
        self._in.value(node.value, scope)

    def _do_pass(self, _node: ast.stmt, _scope: Scope) -> None:
        return None

    def _do_break(self, _node: ast.stmt, _scope: Scope) -> str:
        return "break"

    def _do_continue(self, _node: ast.stmt, _scope: Scope) -> str:
        return "loop"

    def _do_return(self, node: ast.Return, scope: Scope) -> str:
        value = self._in.value(node.value, scope) if node.value is not None else NONE
        if self._returns:
            self._returns[-1].append(value)
        return "return"

    def _do_raise(self, node: ast.Raise, scope: Scope) -> str:
        for one in (node.exc, node.cause):
            if one is not None:
                self._in.value(one, scope)
        return "return"

    def _do_assert(self, node: ast.Assert, scope: Scope) -> str:
        return "return" if self._in.truth(self._in.value(node.test, scope)) is False else ""

    def _do_global(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        scope.shared.update(node.names)

    _do_nonlocal = _do_global

    def _do_typealias(self, _node: ast.stmt, _scope: Scope) -> None:
        return None

    def _do_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            self._imports(alias.name)
            self._in.stores.bind(alias.asname or module, self._module(module), scope)

    def _do_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = absolute(node, scope.module)
        self._imports(module)
        for alias in node.names:
            self._in.stores.bind(alias.asname or alias.name, self._member_of(module, alias.name), scope)

    def _do_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self._in.value(node.value, scope)
        for target in node.targets:
            self._in.stores.assign(target, value, scope)

    def _do_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if not scope.this and scope.above is not None:
            self._in.value(node.annotation, scope)
        if node.value is not None:
            self._in.stores.assign(node.target, self._in.value(node.value, scope), scope)

    def _do_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        given = self._in.value(node.value, scope)
        before = self._in.value(load(node.target), scope)
        if self._is_counter(node, before, scope):
            return
        own = self._in.operators.binary(before, node.op, given, in_place=True)
        changed = False
        for one in alternatives(before):
            changed |= self._changes_in_place(one, given, text_of(node))
        adds = isinstance(node.op, ast.Add) and not (self._in.repeats and computed.is_known(before))
        value = containers.plus(before, given) if adds else Made(open=True)
        self._in.stores.assign(node.target, own or (before if changed else value), scope)

    def _changes_in_place(self, before: Value, given: Value, text: str) -> bool:
        """Whether `+=` and its like change an object; that they do is noted."""
        if isinstance(before, Live):
            plain = isinstance(before.object, containers.IMMUTABLE)
            if plain or not any(hasattr(type(before.object), f"__{one}__") for one in _IN_PLACE):
                return False
            self._in.notes.change(before, "__iadd__", text, Args((given,)))
            return True
        if isinstance(before, Made) and before.kind in containers.MUTABLE:
            containers.grow(before, given, sure=not self._in.perhaps)
            return True
        if before is ANY and isinstance(given, Made) and given.kind in containers.MUTABLE:
            self._in.notes.unknown(f"`{text}` changes an object in place")
        return False

    def _do_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                scope.names.pop(target.id, None)
                if target.id in scope.shared:
                    self._in.notes.unknown(f"`{text_of(node)}` changes what others see")
            elif isinstance(target, ast.Attribute):
                name = mangled(target.attr, scope)
                self._in.stores.delete(self._in.value(target.value, scope), name, text_of(node))
            elif isinstance(target, ast.Subscript):
                owner, key = self._in.value(target.value, scope), self._in.value(target.slice, scope)
                self._in.stores.delete_item(owner, key, text_of(node))
            else:
                self._in.notes.unknown(f"`{text_of(node)}` deletes several")

    def _do_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        self._in.stores.bind(node.name, self.decorated(node, self.function(node, scope), scope), scope)

    _do_asyncfunctiondef = _do_functiondef

    def _imports(self, module: str) -> None:
        """An import at module level is the planner's business; in a function that is called, an effect."""
        if module in sys.modules or self._in.world.is_own(module):
            return
        self._in.world.lacks(module)
        if self._returns:
            self._in.notes.add(Effect("import", None, module, f"it imports {module}, which is not loaded"))

    def _module(self, name: str) -> Value:
        module = sys.modules.get(name)
        return Live(module) if module is not None else ANY

    def _member_of(self, module: str, name: str) -> Value:
        if self._in.world.is_own(module):
            found = self._in.name(module, name)
            if found is not None:
                return found
        live = sys.modules.get(module)
        if live is not None and hasattr(live, "__path__") and name not in vars(live):
            self._in.world.lacks(f"{module}.{name}")
        return attributes.joined(attributes.read(Live(live), name)) if live is not None else ANY

    def _is_counter(self, node: ast.AugAssign, before: Value, scope: Scope) -> bool:
        """Whether a library counts what it makes: the number goes on, and means nothing else."""
        plain = isinstance(before, Live) and type(before.object) is int
        return plain and isinstance(node.op, ast.Add) and not self._in.world.is_own(scope.module)

    def _do_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = tuple(self._in.value(base, scope) for base in node.bases)
        keywords = {k.arg or "**": self._in.value(k.value, scope) for k in node.keywords}
        cls = Class(node.name, bases, {}, scope.module)
        inside = Scope({}, scope.around().find, scope.module, owner=cls, body=True)
        self.block(node.body, inside)
        cls.members.update(inside.names)
        found = self._in.classes.complete(cls, keywords, text_of(node))
        self._in.stores.bind(node.name, self.decorated(node, found, scope), scope)


@once_for_each_node
def _declared(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """Return the names that a function declares to be somebody else's."""
    said = (one for one in own_nodes(node) if isinstance(one, ast.Global | ast.Nonlocal))
    return frozenset(name for one in said for name in one.names)


@once_for_each_node
def is_generator(node: ast.AST) -> bool:
    """Whether a function yields."""
    return any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own_nodes(node))


_IN_PLACE = ("iadd", "iand", "imatmul", "imod", "imul", "ior", "ipow", "ilshift", "irshift", "isub", "ixor")


def absolute(node: ast.ImportFrom, module: str) -> str:
    """Return the absolute name of the module that an import inside a module names."""
    if not node.level:
        return node.module or ""
    live = sys.modules.get(module)
    package = module if hasattr(live, "__path__") else module.rpartition(".")[0]
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def load(target: ast.expr) -> ast.expr:
    """Return the expression that reads what a target sets."""
    return ast.copy_location(type(target)(**{**dict(ast.iter_fields(target)), "ctx": ast.Load()}), target)
