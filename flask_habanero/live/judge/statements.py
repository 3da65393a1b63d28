"""Goes through statements: which of them are reached, what they bind, and what they change."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..names import never_runs
from . import attributes, containers
from .findings import Effect, Raised
from .values import (
    ANY,
    KEPT,
    NONE,
    Args,
    Bound,
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

UNROLLED = 24  # elements of a known sequence that a loop is gone through with, one by one


class Statements:
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
        before = self._in.perhaps
        try:
            ended = self.block(node.body, scope)
        finally:
            self._in.perhaps = before
            self._in.notes.trail.pop()
            self._returns.pop()
        if is_generator(node):
            return Made(Live(list), rest=ANY)
        return join([*found, *([] if ended else [NONE])]) if found or not ended else NONE

    def block(self, nodes: Iterable[ast.stmt], scope: Scope) -> str:
        """Go through statements; return how they certainly end before what follows: see `statement`."""
        return next(filter(None, (self.statement(node, scope) for node in nodes)), "")

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
        return Function(node, scope, defaults, scope.owner)

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
            Why what follows is certainly not reached: "return" (or it raises), "loop" (it breaks, continues).
            Nothing, if it may be.
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
        return "loop"

    _do_continue = _do_break

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

    def _do_assert(self, node: ast.Assert, scope: Scope) -> None:
        self._in.value(node.test, scope)

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
        if isinstance(node.target, ast.Name):
            changed = [
                one
                for one in alternatives(before)
                if isinstance(one, Live) and isinstance(one.object, containers.MUTABLE)
            ]
            for one in changed:
                self._in.notes.change(one, "__iadd__", text_of(node), Args((given,)))
            adds = isinstance(node.op, ast.Add)
            value = before if changed else containers.plus(before, given) if adds else Made(open=True)
            self._in.stores.bind(node.target.id, value, scope)
        else:
            self._in.stores.assign(node.target, Made(open=True), scope)

    def _do_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                scope.names.pop(target.id, None)
                if target.id in scope.shared:
                    self._in.notes.unknown(f"`{text_of(node)}` changes what others see")
            elif isinstance(target, ast.Attribute):
                self._in.stores.store(self._in.value(target.value, scope), target.attr, ANY, text_of(node))
            elif isinstance(target, ast.Subscript):
                owner, key = self._in.value(target.value, scope), self._in.value(target.slice, scope)
                if isinstance(owner, Made):
                    containers.remove(owner, key, sure=not self._in.perhaps)
                else:
                    self._in.stores.set_item(owner, key, ANY, text_of(node))

    def _do_if(self, node: ast.If, scope: Scope) -> str:
        decided = False if never_runs(node) else self._in.truth(self._in.value(node.test, scope))
        if decided is not None:
            return self.block(node.body if decided else node.orelse, scope)
        return self._branches([node.body, node.orelse], scope)

    def _do_while(self, node: ast.While, scope: Scope) -> None:
        if self._in.truth(self._in.value(node.test, scope)) is not False:
            self._twice(node.body, scope)
        self.block(node.orelse, scope)

    def _do_for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> str:
        source = self._in.value(node.iter, scope)
        known = self._in.sequence(source)
        if known is not None and len(known) <= UNROLLED:
            for one in known:
                self._in.stores.assign(node.target, one, scope)
                if self._branches([node.body], scope) == "return":
                    return "return"
        else:
            self._in.stores.assign(node.target, self._in.elements(source), scope)
            self._twice(node.body, scope)
        self.block(node.orelse, scope)
        return ""

    _do_asyncfor = _do_for

    def _do_try(self, node: ast.Try, scope: Scope) -> str:
        before, sure = scope.copy(), self._in.perhaps
        raised = False
        try:
            ended = self.block(node.body, scope) or self.block(node.orelse, scope)
        except Raised:
            ended, raised = "return", True
        handled: list[str] = []
        self._in.perhaps = sure or not raised or len(node.handlers) > 1
        for handler in node.handlers:
            way = Scope({**before.names}, scope.above, scope.module, scope.shared, scope.owner, scope.this)
            if handler.name:
                way.names[handler.name] = Made(open=True)
            handled.append(self.block(handler.body, way))
            for name, value in way.names.items():
                scope.names[name] = join([value, *([scope.names[name]] if name in scope.names else [])])
        self._in.perhaps = sure or (any(handled) and not all(handled))
        return self.block(node.finalbody, scope) or (ended if all(handled) else "")

    _do_trystar = _do_try

    def _do_with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> str:
        for item in node.items:
            manager = self._in.value(item.context_expr, scope)
            text = text_of(item.context_expr)
            entered = self._enter(manager, text)
            if item.optional_vars is not None:
                self._in.stores.assign(item.optional_vars, entered, scope)
        return self.block(node.body, scope)

    _do_asyncwith = _do_with

    def _do_match(self, node: ast.Match, scope: Scope) -> str:
        self._in.notes.uses_all((self._in.value(node.subject, scope),))
        for case in node.cases:
            for one in ast.walk(case.pattern):
                for name in (getattr(one, "name", None), getattr(one, "rest", None)):
                    if name:
                        self._in.stores.bind(name, ANY, scope)
        return self._branches([*(case.body for case in node.cases), []], scope)

    def _do_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        self._in.stores.bind(node.name, self.decorated(node, self.function(node, scope), scope), scope)

    _do_asyncfunctiondef = _do_functiondef

    def _imports(self, module: str) -> None:
        """An import at module level is the planner's business; in a function that is called, an effect."""
        if self._returns and module not in sys.modules and not self._in.world.is_own(module):
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
        return attributes.joined(attributes.read(Live(live), name)) if live is not None else ANY

    def _is_counter(self, node: ast.AugAssign, before: Value, scope: Scope) -> bool:
        """Whether a library counts what it makes: the number goes on, and means nothing else."""
        plain = isinstance(before, Live) and type(before.object) is int
        return plain and isinstance(node.op, ast.Add) and not self._in.world.is_own(scope.module)

    def _branches(self, bodies: Iterable[list[ast.stmt]], scope: Scope) -> str:
        """Go through each of some branches as if it were the one; join what they bind."""
        ways: list[Scope] = []
        ends: list[str] = []
        bodies, before = list(bodies), self._in.perhaps
        for body in bodies:
            way = scope.copy()
            self._in.perhaps = before or len(bodies) > 1
            try:
                ends.append(self.block(body, way))
            except Raised:
                ends.append("return")
            if not ends[-1]:
                ways.append(way)
        self._in.perhaps = before or (any(ends) and not all(ends))  # what follows may not be reached
        for name in {name for way in ways for name in way.names}:
            scope.names[name] = join([way.names[name] for way in ways if name in way.names])
        if not all(ends):
            return ""
        return "loop" if "loop" in ends else "return"

    def _twice(self, body: list[ast.stmt], scope: Scope) -> None:
        """Go through a loop's body: what the first turn binds, the second sees."""
        for _ in range(2):
            self._branches([body, []], scope)

    def _enter(self, manager: Value, text: str) -> Value:
        found: list[Value] = []
        for one in alternatives(manager):
            kind = (
                one.cls
                if isinstance(one, Made)
                else Live(type(one.object))
                if isinstance(one, Live)
                else None
            )
            enter = attributes.find(kind, "__enter__") if kind is not None else None
            leave = attributes.find(kind, "__exit__") if kind is not None else None
            if isinstance(one, Made) and one.inert:
                found.append(one)
                continue
            if enter is None or leave is None:
                self._in.notes.unknown(f"what `with {text}` does can't be told")
                found.append(ANY)
                continue
            found.append(self._in.call(Bound(enter.raw, one), Args(text=text)))
            self._in.call(Bound(leave.raw, one), Args((NONE, NONE, NONE), text=text))
        return join(found)

    def _do_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = tuple(self._in.value(base, scope) for base in node.bases)
        keywords = {k.arg or "**": self._in.value(k.value, scope) for k in node.keywords}
        cls = Class(node.name, bases, {}, scope.module)
        inside = Scope({}, scope.find, scope.module, owner=cls)
        self.block(node.body, inside)
        cls.members.update(inside.names)
        found = self._in.classes.complete(cls, keywords, text_of(node))
        self._in.stores.bind(node.name, self.decorated(node, found, scope), scope)


@functools.lru_cache(maxsize=KEPT)
def is_generator(node: ast.AST) -> bool:
    """Whether a function yields."""
    return any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own_nodes(node))


def own_nodes(node: ast.AST) -> Iterable[ast.AST]:
    """Yield what is below a function, but not what is below the functions in it."""
    todo = list(ast.iter_child_nodes(node))
    while todo:
        one = todo.pop()
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(one))


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
