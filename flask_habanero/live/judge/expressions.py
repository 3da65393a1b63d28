"""What an expression may stand for; what evaluating it does is noted."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import asked, attributes, comparisons, comprehensions, computed, containers, presence
from .findings import Raised
from .known import READING_IN_LIBRARIES, READING_METHODS
from .stores import mangled
from .values import (
    ANY,
    NONE,
    Args,
    Class,
    Live,
    Made,
    Scope,
    Super,
    Value,
    alternatives,
    join,
    made,
    text_of,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Expressions:
    """Evaluates expressions on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter

    def value(self, node: ast.expr, scope: Scope) -> Value:
        """Return what an expression may stand for; what evaluating it does is noted."""
        self._in.spend()
        method: Callable[[Any, Scope], Value] | None
        method = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if method is not None:
            found: Value = method(node, scope)
            return found
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._in.notes.uses(self.value(child, scope))
        return ANY

    def _of_constant(self, node: ast.Constant, _scope: Scope) -> Value:
        return Live(node.value)

    def _of_name(self, node: ast.Name, scope: Scope) -> Value:
        return scope.find(node.id, self._in)

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        owner = self.value(node.value, scope)
        name = mangled(node.attr, scope)
        if isinstance(owner, Live) and isinstance(owner.object, ModuleType):
            module = owner.object.__name__
            if self._in.world.is_own(module) and (found := self._in.name(module, name)) is not None:
                return found
        found = self.read(owner, name, text_of(node))
        if self._in.world.is_own(scope.module):
            asked.attribute(self._in.notes, owner, name, found)
        return found

    def _of_subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        owner, key = self.value(node.value, scope), self.value(node.slice, scope)
        return join([self._item(one, key) for one in alternatives(owner)])

    def _item(self, owner: Value, key: Value) -> Value:
        if isinstance(owner, Live | Class) and (isinstance(owner, Class) or isinstance(owner.object, type)):
            own = self._in.operators.ask(owner, "__getitem__", key)  # of its metaclass
            maker = self._in.operators.member(owner, "__class_getitem__")
            if own is not None or maker is None:
                return own or Made(open=True, calls=owner)  # `Mapped[int]`, `list[str]`
            return self._in.operators.call_class(maker, owner, key)
        if isinstance(owner, Made) and owner.cls is None and owner.rest is None and not owner.items:
            return Made(open=True)
        return self._in.item(owner, key)

    def _of_call(self, node: ast.Call, scope: Scope) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            return self._super(scope)
        function = self.value(node.func, scope)
        positional: list[Value] = []
        more = False
        for one in node.args:
            given = self.value(one.value if isinstance(one, ast.Starred) else one, scope)
            parts = self._in.sequence(given) if isinstance(one, ast.Starred) else [given]
            if more:  # behind what nobody knows the length of
                self._in.notes.uses(given)
            elif parts is not None:
                positional += parts
            else:
                more = True
        named: dict[str, Value] = {}
        for keyword in node.keywords:
            given = self.value(keyword.value, scope)
            if keyword.arg is not None:
                named[keyword.arg] = given
                continue
            self._spread(given)
            if isinstance(given, Made) and given.rest is None:
                named.update((str(key), value) for key, value in given.items.items())
            else:
                self._in.notes.uses(given)
                more = True
        if (
            function is ANY
            and isinstance(node.func, ast.Attribute)
            and self._only_reads(node.func.attr, scope)
        ):
            return Made(open=True)
        if isinstance(node.func, ast.Name) and self._in.world.is_own(scope.module):
            asked.builtin(self._in.notes, node.func.id, positional)
        return self._in.call(function, Args(tuple(positional), named, more, text_of(node.func)))

    def _spread(self, value: Value) -> None:
        """What `**value` does."""
        self._in.notes.uses(value)
        self._in.operators.ask_all(value, ("keys", "__getitem__"))

    def _of_boolop(self, node: ast.BoolOp, scope: Scope) -> Value:
        stops = isinstance(node.op, ast.Or)  # at the first that is true; `and` at the first that is false
        found, before = [], self._in.perhaps
        for one in node.values:
            found.append(self.value(one, scope))
            decided = self._in.truth(found[-1])
            if decided is stops:
                break
            if decided is not None and one is not node.values[-1]:
                found.pop()
            self._in.perhaps = self._in.perhaps or decided is None
        self._in.perhaps = before
        return join(found)

    def _of_unaryop(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        decided = self._in.truth(value)
        if isinstance(node.op, ast.Not):
            return ANY if decided is None else Live(not decided)
        if isinstance(value, Live) and type(value.object) in (int, float) and isinstance(node.op, ast.USub):
            return Live(-value.object)
        self._in.notes.uses(value)
        return self._in.operators.unary(node.op, value) or Made(open=True)

    def _of_binop(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        self._in.notes.uses_all((left, right))
        own = self._in.operators.binary(left, node.op, right)
        if own is None and not self._in.repeats:
            own = computed.binary(left, node.op, right)
        grows = self._in.repeats and computed.is_known(left)  # a string, with each turn
        if own is not None or grows or not isinstance(node.op, ast.Add):
            return own or Made(open=True, rest=self._parts(left, right))
        return containers.plus(left, right)

    def _parts(self, *operands: Value) -> Value | None:
        """What may be in the result of an operator: `L * 2`, `{**a} | b`."""
        inside = [part for one in operands for part in self._in.operators.inside(one)]
        return join(inside) if inside else None

    def _of_joinedstr(self, node: ast.JoinedStr, scope: Scope) -> Value:
        parts = [self.value(one, scope) for one in node.values]
        known = [one.object for one in parts if isinstance(one, Live) and type(one.object) is str]
        return Live("".join(known)) if len(known) == len(parts) else Made(Live(str), open=True)

    def _of_formattedvalue(self, node: ast.FormattedValue, scope: Scope) -> Value:
        value = self.value(node.value, scope)
        self._in.notes.uses_all((value,))
        self._in.operators.shown(value)
        if node.format_spec is not None:
            self.value(node.format_spec, scope)
        plain = node.conversion == -1 and node.format_spec is None
        text = computed.shown(value) if plain and not self._in.repeats else None
        return Live(text) if text is not None else Made(Live(str), open=True)

    def _of_slice(self, node: ast.Slice, scope: Scope) -> Value:
        parts = [
            NONE if one is None else self.value(one, scope) for one in (node.lower, node.upper, node.step)
        ]
        known = [one.object for one in parts if isinstance(one, Live)]
        return Live(slice(*known)) if len(known) == len(parts) else Made(open=True)

    def _of_compare(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.value(node.left, scope)
        rights = [self.value(one, scope) for one in node.comparators]
        for operator, one in zip(node.ops, rights, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                self._in.notes.looks_up(one, left)
            elif not isinstance(operator, ast.Is | ast.IsNot):
                self._in.notes.uses(one)
                self._in.notes.uses(left)
        own = [
            self._in.operators.compare(one, operator, other)
            for one, operator, other in zip([left, *rights], node.ops, rights, strict=False)
        ]
        sizes = self._in.repeats and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        if len(rights) > 1 or own[0] is not None or sizes:
            return ANY
        return comparisons.compared(self._in.settled(left), node.ops[0], self._in.settled(rights[0]))

    def _of_ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        decided = self._in.truth(self.value(node.test, scope))
        if decided is not None:
            return self.value(node.body if decided else node.orelse, scope)
        before, self._in.perhaps = self._in.perhaps, True
        found = [self.value(node.body, scope), self.value(node.orelse, scope)]
        self._in.perhaps = before
        return join(found)

    def _of_lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        return self._in.statements.function(node, scope)

    def _of_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.value(node.value, scope)
        self._in.stores.assign(node.target, value, scope)
        return value

    def _of_list(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        values = [self.value(one.value if isinstance(one, ast.Starred) else one, scope) for one in node.elts]
        for one in values if kind is set else ():
            self._in.operators.hashed(one)
        if any(isinstance(one, ast.Starred) for one in node.elts):
            spread = zip(node.elts, values, strict=True)
            return made(kind, [self._in.elements(v) if isinstance(n, ast.Starred) else v for n, v in spread])
        return Made(Live(kind), items=dict(enumerate(values)))

    _of_tuple = _of_set = _of_list

    def _of_dict(self, node: ast.Dict, scope: Scope) -> Value:
        result = Made(Live(dict))
        for key, one in zip(node.keys, node.values, strict=True):
            value = self.value(one, scope)
            if key is not None:
                named = self.value(key, scope)
                self._in.operators.hashed(named)
                containers.put(result, named, value)
                continue
            self._spread(value)
            if isinstance(value, Made) and value.kind is dict and value.rest is None:
                result.items.update(value.items)
            else:
                self._in.notes.uses(value)
                result.rest = ANY
        return result

    def _of_await(self, node: ast.expr, scope: Scope) -> Value:
        self._in.notes.unknown(f"`{text_of(node)}` can't run alone")
        return ANY

    def _of_yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope) -> Value:
        if node.value is not None:
            self.value(node.value, scope)
        return ANY

    _of_yieldfrom = _of_yield

    def _only_reads(self, method: str, scope: Scope) -> bool:
        if method in READING_METHODS:
            return True
        return method in READING_IN_LIBRARIES and not self._in.world.is_own(scope.module)

    def _super(self, scope: Scope) -> Value:
        while scope.owner is None or scope.this is None:
            return ANY
        return Super(scope.owner, scope.this)

    def _of_listcomp(self, node: comprehensions.Node, scope: Scope) -> Value:
        return comprehensions.value(self._in, node, scope)

    _of_setcomp = _of_generatorexp = _of_dictcomp = _of_listcomp

    def _attributes(self, owner: Value, name: str) -> Iterator[attributes.Found]:
        for one in alternatives(owner):
            stored = self._in.notes.stored(one.object, name) if isinstance(one, Live) else None
            if stored is None and isinstance(one, Live):
                stored = self._in.world.was(one.object, name)
            if stored is not None:
                yield stored
            if stored is None or self._in.perhaps:
                yield from attributes.read(one, name)

    def has(self, value: Value, name: str) -> bool | None:
        """Return whether an object has an attribute, as it will be then; None if that is not certain."""
        found = presence.has(value, name)
        if found is not False:
            return found
        cls = value.cls if isinstance(value, Made) else value
        live = [one.object for one in attributes.line(cls or ANY) if isinstance(one, Live)]
        if isinstance(value, Live):
            live += [value.object, *type.mro(type(value.object))]
        told = any(
            effect.kind == "attribute" and effect.target is one for effect in self._in.effects for one in live
        )
        comes = any(self._in.world.gains(one, name) for one in live)
        return None if told or comes else False

    def _to_come(self, owner: Value, name: str) -> Value:
        """A method that a class of the app's own will have after the release."""
        cls = owner.cls if isinstance(owner, Made) else owner
        live = cls.object if isinstance(cls, Live) else None
        kind = live if isinstance(live, type) else type(live)
        method = self._in.world.member(kind, name) if live is not None else None
        return ANY if method is None else attributes.of_method(method, owner)

    def read(self, owner: Value, name: str, text: str) -> Value:
        """Return what an attribute is; a property is called for it."""
        found = []
        self._in.notes.uses(owner, name)
        self._in.notes.attributes.add(name)
        if (own := self._in.operators.ask(owner, "__getattribute__", Live(name), text=text)) is not None:
            return own
        if not name:
            self._in.operators.computed(owner)
        if name and all(self.has(one, name) is False for one in alternatives(owner)):
            raise Raised
        for one in self._attributes(owner, name):
            if not isinstance(one, attributes.Property):
                found.append(one)
            elif one.trusted is not None and not self._in.operators.is_own(one.function):
                found.append(one.trusted)
            else:
                found.append(self._in.call(one.function, Args((one.this, *one.args), text=text)))
        result = join(found)
        return self._to_come(owner, name) if result is ANY else result
