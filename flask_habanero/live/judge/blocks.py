"""Goes through statements that hold others: which of them are reached, and in which order."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...piece import once_for_each_node
from ..names import never_runs
from . import attributes
from .comprehensions import UNROLLED
from .findings import Raised
from .values import (
    ANY,
    NONE,
    Args,
    Bound,
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


class Blocks:
    """Goes through statements that hold others; those themselves are `Statements`' business."""

    _in: Interpreter

    def statement(self, node: ast.stmt, scope: Scope) -> str:
        """Go through one statement; see `Statements`."""
        raise NotImplementedError

    def block(self, nodes: Iterable[ast.stmt], scope: Scope) -> str:
        """Go through statements; return how they certainly end before what follows: see `statement`."""
        return next(filter(None, (self.statement(node, scope) for node in nodes)), "")

    def _do_if(self, node: ast.If, scope: Scope) -> str:
        decided = False if never_runs(node) else self._in.truth(self._in.value(node.test, scope))
        if decided is not None:
            return self.block(node.body if decided else node.orelse, scope)
        return self._branches([node.body, node.orelse], scope)

    def _do_while(self, node: ast.While, scope: Scope) -> None:
        if self._in.truth(self._in.value(node.test, scope)) is not False:
            self._twice(node.body, scope)
            self._in.truth(self._in.value(node.test, scope))
        self.block(node.orelse, scope)

    def _do_for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> str:
        source = self._in.value(node.iter, scope)
        known = self._in.sequence(source)
        if known is not None and len(known) <= UNROLLED:
            before = self._in.perhaps
            for one in known:
                self._in.stores.assign(node.target, one, scope)
                ended = self._branches([node.body], scope)
                if ended == "return":
                    return "return"
                if ended == "break":
                    return ""
                self._in.perhaps |= _leaves(node.body, ast.Break)
            self._in.perhaps = before or _leaves(node.body, ast.Return)
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
            ended = self._tried(node, scope) or self.block(node.orelse, scope)
        except Raised:
            ended, raised = "return", True
        handled: list[str] = []
        after = dict(scope.names)
        self._in.perhaps = sure or not raised or len(node.handlers) > 1
        for handler in node.handlers:
            way = before.copy()
            way.names = _either(before.names, after, node.body)
            if handler.type is not None:
                self._in.value(handler.type, way)
            if handler.name:
                way.names[handler.name] = Made(open=True)
            handled.append(self._handled(handler.body, way))
            for name, value in way.names.items():
                scope.names[name] = join([value, *([scope.names[name]] if name in scope.names else [])])
        self._in.perhaps = sure or (any(handled) and not all(handled))
        last = self.block(node.finalbody, scope)
        if raised and not node.handlers and not last:
            raise Raised
        return last or (ended if all(handled) else "")

    def _tried(self, node: ast.Try, scope: Scope) -> str:
        """Go through what may raise: whatever follows the first of it may not be reached."""
        before = self._in.perhaps
        self._in.notes.caught += bool(node.handlers)
        try:
            for one in node.body:
                if ended := self.statement(one, scope):
                    return ended
                self._in.perhaps |= bool(node.handlers)
        finally:
            self._in.perhaps = before
            self._in.notes.caught -= bool(node.handlers)
        return ""

    def _handled(self, body: list[ast.stmt], scope: Scope) -> str:
        try:
            return self.block(body, scope)
        except Raised:
            return "return"

    _do_trystar = _do_try

    def _do_with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> str:
        catches = False
        for item in node.items:
            manager = self._in.value(item.context_expr, scope)
            text = text_of(item.context_expr)
            catches |= any(map(_may_catch, alternatives(manager)))
            entered = self._enter(manager, text)
            if item.optional_vars is not None:
                self._in.stores.assign(item.optional_vars, entered, scope)
        self._in.notes.caught += catches
        try:
            ended = self.block(node.body, scope)
        except Raised:
            ended = "return"
        finally:
            self._in.notes.caught -= catches
        if ended and _leaves(node.body, ast.Raise):  # the manager may catch it
            self._in.perhaps, ended = True, ""
        return ended

    _do_asyncwith = _do_with

    def _do_match(self, node: ast.Match, scope: Scope) -> str:
        subject = self._in.value(node.subject, scope)
        self._in.notes.uses_all((subject,))
        for case in node.cases:
            self._pattern(case.pattern, subject, scope)
            if case.guard is not None:
                before, self._in.perhaps = self._in.perhaps, True
                self._in.truth(self._in.value(case.guard, scope))
                self._in.perhaps = before
        return self._branches([*(case.body for case in node.cases), []], scope)

    def _pattern(self, pattern: ast.pattern, subject: Value, scope: Scope) -> None:
        """What a pattern asks, and binds."""
        self._in.operators.given((subject,))
        for one in ast.walk(pattern):
            for name in (getattr(one, "name", None), getattr(one, "rest", None)):
                if name:
                    self._in.stores.bind(name, ANY, scope)
            if isinstance(one, ast.MatchClass):
                self._in.operators.given((self._in.value(one.cls, scope),))
                self._in.operators.computed(subject)
                self._in.notes.attributes.update([*one.kwd_attrs, *([""] if one.patterns else [])])
            elif isinstance(one, ast.MatchValue):
                self._in.operators.given((self._in.value(one.value, scope),))

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
        left = not all(ends) and any(_leaves(body, ast.Return) for body in bodies)
        mixed = any(ends) and len(set(ends)) > 1
        self._in.perhaps = before or left or mixed  # what follows may not be reached
        for name in {name for way in ways for name in way.names}:
            found = [way.names[name] for way in ways if name in way.names]
            same = all(one is found[0] for one in found)  # as most are: neither branch binds them
            scope.names[name] = found[0] if same else join(found)
        if not all(ends):
            return ""
        return ends[0] if len(set(ends)) == 1 else "loop"

    def _twice(self, body: list[ast.stmt], scope: Scope) -> None:
        """Go through a loop's body: what the first turn binds, the second sees."""
        with self._in.repeating():
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


def _may_catch(manager: Value) -> bool:
    """Whether an exception may leave what is managed, and end there: not with a context of Flask's."""
    cls = attributes.class_of(manager)
    return not (isinstance(cls, Live) and str(cls.object.__module__).startswith("flask."))


def _leaves(body: Iterable[ast.stmt], *kinds: type[ast.stmt]) -> bool:
    """Whether statements leave by some other statements."""
    return any(issubclass(one, kinds) for node in body for one in _kinds(node))


@once_for_each_node
def _kinds(node: ast.stmt) -> frozenset[type[ast.AST]]:
    """Return the kinds of what runs when a statement runs."""
    return frozenset(map(type, _reached([node])))


def _reached(body: Iterable[ast.stmt]) -> Iterable[ast.AST]:
    """Yield what runs when statements run: not what is in the functions that they define."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from own_nodes(node)


def _either(before: dict[str, Value], after: dict[str, Value], body: list[ast.stmt]) -> dict[str, Value]:
    """Return what names may stand for where some statements may have been left at any place."""
    stored = [
        one.id for one in _reached(body) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    ]
    found = {**after, **before}
    for name, value in after.items():
        if name in before and before[name] is not value:
            found[name] = join([before[name], value])
        if stored.count(name) > 1:
            found[name] = ANY
    return found


def own_nodes(node: ast.AST) -> Iterable[ast.AST]:
    """Yield what is below a function, but not what is below the functions in it."""
    todo = list(ast.iter_child_nodes(node))
    while todo:
        one = todo.pop()
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(one))
