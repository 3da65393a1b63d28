"""Goes through statements without running them, and notes what running them would change.

Values are those of `values.py`: live objects stand for themselves, so that most calls are followed to
their very function, and most conditions are decided. Where nobody can tell, both branches are gone
through, and what may be anything is `ANY`. All that matters is a list of effects at the end: on objects that
the evaluation did not make itself, or unknown.

What it trusts: operators, comparisons, iteration and attributes have no effects of their own.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any, Protocol

from flask.config import Config, ConfigAttribute
from flask.sansio.app import App

from ..names import never_runs
from . import attributes, containers
from .calls import Args, Calls
from .known import READING_IN_LIBRARIES, READING_METHODS
from .library import definition_of
from .values import (
    ANY,
    NONE,
    Bound,
    Class,
    Function,
    Live,
    Made,
    Scope,
    Super,
    Value,
    alternatives,
    join,
    made,
    truth,
)

MOST_NODES = 60_000  # of one judgement; a few hundred are usual
UNROLLED = 24  # elements of a known sequence that a loop is gone through with, one by one


@dataclass(frozen=True)
class Effect:
    """What running something would do besides making new objects.

    Attributes:
        kind: "unknown", "registers" (by Flask's own methods), "config", "memo" (is to be emptied), "attribute",
            "item" (of a container), "global", "import".
        target: the live object that changes; None where it is not known.
        name: the attribute, method or name.
        why: in words, for a person.
        args: what a container's method is called with, or the new value of an attribute.
        trail: the functions that were being gone through.
    """

    kind: str
    target: Any
    name: str
    why: str
    args: Args | None = None
    trail: tuple[str, ...] = ()


class World(Protocol):
    """Answers what names and functions of the app's own will be once the release is live."""

    def name(self, module: str, name: str) -> Value | None:
        """Return what a module-level name of the app's own modules will stand for; None if it is not there."""

    def definition(self, module: str, qualname: str) -> ast.AST | None:
        """Return the definition of an own function or class as it will be; None if it can't be told which."""

    def is_changed(self, module: str) -> bool:
        """Whether the release changes a module."""

    def member(self, cls: type, name: str) -> Value | None:
        """Return a method that an own class will have, and has not now."""

    def is_own(self, module: str) -> bool:
        """Whether a module is the app's own."""


class TooMuchError(Exception):
    """The judgement would take too long."""


class Raised(Exception):  # noqa: N818  # what is gone through raises; no error of ours
    """What is gone through certainly raises here."""


class Interpreter:
    """Made for one judgement and thrown away.

    Attributes:
        effects: what was found.
    """

    def __init__(self, world: World) -> None:
        self.effects: list[Effect] = []
        self._world, self._calls = world, Calls(self)
        self._left = MOST_NODES
        self._returns: list[list[Value]] = []
        self._trail: list[str] = []

    # what is found

    def note_unknown(self, why: str) -> None:
        """Note that something can't be told."""
        self._note(Effect("unknown", None, "", why))

    def note_registers(self) -> None:
        """Note a registration by Flask's own methods."""
        self._note(Effect("registers", None, "", ""))

    def note_config(self, config: Config, method: str, args: Args) -> None:
        """Note that an app's configuration is written."""
        self._note(Effect("config", config, method, "", args))

    def note_memo(self, memo: Any) -> None:
        """Note that what a memo holds comes from what changes: it is to be emptied."""
        self._note(Effect("memo", memo, "clear", ""))

    def note_change(self, target: Value, name: str, text: str, args: Args | None = None) -> None:
        """Note that a container changes that was there before."""
        why = f"`{text}` changes an object in place"
        for one in alternatives(target):
            if isinstance(one, Live):
                self._note(Effect("item", one.object, name, why, args))
            elif not isinstance(one, Made):
                self.note_unknown(why)

    def _note(self, effect: Effect) -> None:
        self.effects.append(replace(effect, trail=tuple(self._trail)))

    def scope_of(self, module: str) -> Scope:
        """Return the scope of a module of the app's own: what it binds meanwhile is kept apart."""
        return Scope({}, lambda name: self._global(module, name), module)

    def _global(self, module: str, name: str) -> Value:
        found = self._world.name(module, name)
        if found is None:
            found = Live(getattr(builtins, name)) if hasattr(builtins, name) else ANY
        return found

    # functions

    def function_of(self, function: FunctionType) -> Function | None:
        """Return a live function with its definition; None if it has none that can be read."""
        node = self._definition(function)
        if node is None:
            return None
        names: dict[str, Value] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                names[name] = Live(cell.cell_contents)
            except ValueError:
                names[name] = ANY
        module, space = function.__module__ or "", function.__globals__

        def above(name: str) -> Value:
            if name in space:
                return Live(space[name])
            return Live(getattr(builtins, name)) if hasattr(builtins, name) else ANY

        outside = self.scope_of(module).find if self._world.is_own(module) else above
        scope = Scope(names, outside, str(space.get("__name__", "")))
        return Function(node, scope, defaults_of(function), names.get("__class__") or self._owner(function))

    def _definition(self, function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        module = function.__module__ or ""
        if self._world.is_own(module):
            node = self._world.definition(module, function.__qualname__)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                return node
            if self._world.is_changed(module):
                return None
        return definition_of(function.__code__)

    def _owner(self, function: FunctionType) -> Value | None:
        """Return the live class that a method stands in, which it need not know itself."""
        path, _, _ = function.__qualname__.rpartition(".")
        owner: Any = function.__globals__.get(path)
        return Live(owner) if isinstance(owner, type) else None

    def attempt(self, question: Callable[[], Value | None]) -> Value | None:
        """Return what a question comes to. What can't be gone through is an effect that can't be told."""
        try:
            return question()
        except Raised:
            return None  # it fails when it runs, and what was done is undone
        except TooMuchError:
            self.note_unknown("it calls too much to be judged")
        except Exception as error:  # noqa: BLE001  # of some library's code we may misread anything
            self.note_unknown(f"it can't be judged: {type(error).__name__}: {error}")
        return None

    def run_statement(self, node: ast.stmt, scope: Scope) -> None:
        """Go through a statement at module level."""

        def go_through() -> None:
            self.statement(node, scope)

        self.attempt(go_through)

    def run(self, function: Function, scope: Scope, _args: Args) -> Value:
        """Go through a function's body; return what it may return."""
        node = function.node
        if isinstance(node, ast.Lambda):
            return self.value(node.body, scope)
        found: list[Value] = []
        self._returns.append(found)
        self._trail.append(f"{scope.module}.{node.name}")
        try:
            ended = self.block(node.body, scope)
        finally:
            self._trail.pop()
            self._returns.pop()
        if any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own_nodes(node)):
            return Made(Live(list), rest=ANY)
        return join([*found, *([] if ended else [NONE])]) if found or not ended else NONE

    # statements

    def block(self, nodes: Iterable[ast.stmt], scope: Scope) -> str:
        """Go through statements; return how they certainly end before what follows: see `statement`."""
        return next(filter(None, (self.statement(node, scope) for node in nodes)), "")

    def statement(self, node: ast.stmt, scope: Scope) -> str:
        """Go through one statement.

        Returns:
            Why what follows it is certainly not reached: "return" (or it raises), "loop" (it breaks or continues).
            Nothing, if it may be.
        """
        self._spend()
        method: Callable[[Any, Scope], str | None] | None
        method = getattr(self, f"_do_{type(node).__name__.lower()}", None)
        if method is None:
            self.note_unknown(f"a {type(node).__name__} statement has effects that can't be told")
            return ""
        return method(node, scope) or ""

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooMuchError

    def _do_expr(self, node: ast.Expr, scope: Scope) -> None:
        self.value(node.value, scope)

    def _do_pass(self, _node: ast.stmt, _scope: Scope) -> None:
        return None

    def _do_break(self, _node: ast.stmt, _scope: Scope) -> str:
        return "loop"

    _do_continue = _do_break

    def _do_return(self, node: ast.Return, scope: Scope) -> str:
        value = self.value(node.value, scope) if node.value is not None else NONE
        if self._returns:
            self._returns[-1].append(value)
        return "return"

    def _do_raise(self, node: ast.Raise, scope: Scope) -> str:
        for one in (node.exc, node.cause):
            if one is not None:
                self.value(one, scope)
        return "return"

    def _do_assert(self, node: ast.Assert, scope: Scope) -> None:
        self.value(node.test, scope)

    def _do_global(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        scope.shared.update(node.names)

    _do_nonlocal = _do_global

    def _do_typealias(self, _node: ast.stmt, _scope: Scope) -> None:
        return None

    def _do_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            self._imports(alias.name)
            self.bind(alias.asname or module, self._module(module), scope)

    def _do_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = absolute(node, scope.module)
        self._imports(module)
        for alias in node.names:
            self.bind(alias.asname or alias.name, self._member_of(module, alias.name), scope)

    def _imports(self, module: str) -> None:
        """An import at module level is the planner's business; in a function that is called it is an effect."""
        if self._returns and module not in sys.modules and not self._world.is_own(module):
            self._note(Effect("import", None, module, f"it imports {module}, which is not loaded"))

    def _module(self, name: str) -> Value:
        module = sys.modules.get(name)
        return Live(module) if module is not None else ANY

    def _member_of(self, module: str, name: str) -> Value:
        if self._world.is_own(module):
            found = self._world.name(module, name)
            if found is not None:
                return found
        live = sys.modules.get(module)
        return attributes.joined(attributes.read(Live(live), name)) if live is not None else ANY

    def _do_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self.assign(target, value, scope)

    def _do_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if not scope.this and scope.above is not None:
            self.value(node.annotation, scope)
        if node.value is not None:
            self.assign(node.target, self.value(node.value, scope), scope)

    def _do_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        given = self.value(node.value, scope)
        before = self.value(load(node.target), scope)
        if self._is_counter(node, before, scope):
            return
        if isinstance(node.target, ast.Name):
            changed = [
                one
                for one in alternatives(before)
                if isinstance(one, Live) and isinstance(one.object, containers.MUTABLE)
            ]
            for one in changed:
                self.note_change(one, "__iadd__", text_of(node), Args((given,)))
            value = before if changed else Made(open=True, rest=join([given, before]))
            self.bind(node.target.id, value, scope)
        else:
            self.assign(node.target, Made(open=True), scope)

    def _is_counter(self, node: ast.AugAssign, before: Value, scope: Scope) -> bool:
        """Whether a library counts what it makes: the number goes on, and means nothing else."""
        plain = isinstance(before, Live) and type(before.object) is int
        return plain and isinstance(node.op, ast.Add) and not self._world.is_own(scope.module)

    def _do_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                scope.names.pop(target.id, None)
                if target.id in scope.shared:
                    self.note_unknown(f"`{text_of(node)}` changes what others see")
            elif isinstance(target, ast.Attribute):
                self.store(self.value(target.value, scope), target.attr, ANY, text_of(node))
            elif isinstance(target, ast.Subscript):
                self._set_item(
                    self.value(target.value, scope), self.value(target.slice, scope), ANY, text_of(node)
                )

    def _do_if(self, node: ast.If, scope: Scope) -> str:
        decided = False if never_runs(node) else truth(self.value(node.test, scope))
        if decided is not None:
            return self.block(node.body if decided else node.orelse, scope)
        return self._branches([node.body, node.orelse], scope)

    def _branches(self, bodies: Iterable[list[ast.stmt]], scope: Scope) -> str:
        """Go through each of some branches as if it were the one; join what they bind."""
        ways: list[Scope] = []
        ends: list[str] = []
        for body in bodies:
            way = scope.copy()
            try:
                ends.append(self.block(body, way))
            except Raised:
                ends.append("return")
            if not ends[-1]:
                ways.append(way)
        for name in {name for way in ways for name in way.names}:
            scope.names[name] = join([way.names[name] for way in ways if name in way.names])
        if not all(ends):
            return ""
        return "loop" if "loop" in ends else "return"

    def _do_while(self, node: ast.While, scope: Scope) -> None:
        if truth(self.value(node.test, scope)) is not False:
            self._twice(node.body, scope)
        self.block(node.orelse, scope)

    def _twice(self, body: list[ast.stmt], scope: Scope) -> None:
        """Go through a loop's body: what the first turn binds, the second sees."""
        for _ in range(2):
            self._branches([body, []], scope)

    def _do_for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> str:
        source = self.value(node.iter, scope)
        known = containers.sequence(source)
        if known is not None and len(known) <= UNROLLED:
            for one in known:
                self.assign(node.target, one, scope)
                if self._branches([node.body], scope) == "return":
                    return "return"
        else:
            self.assign(node.target, containers.elements(source), scope)
            self._twice(node.body, scope)
        self.block(node.orelse, scope)
        return ""

    _do_asyncfor = _do_for

    def _do_try(self, node: ast.Try, scope: Scope) -> str:
        before = scope.copy()
        try:
            ended = self.block(node.body, scope) or self.block(node.orelse, scope)
        except Raised:
            ended = "return"
        handled: list[str] = []
        for handler in node.handlers:
            way = Scope({**before.names}, scope.above, scope.module, scope.shared, scope.owner, scope.this)
            if handler.name:
                way.names[handler.name] = Made(open=True)
            handled.append(self.block(handler.body, way))
            for name, value in way.names.items():
                scope.names[name] = join([value, *([scope.names[name]] if name in scope.names else [])])
        return self.block(node.finalbody, scope) or (ended if all(handled) else "")

    _do_trystar = _do_try

    def _do_with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> str:
        for item in node.items:
            manager = self.value(item.context_expr, scope)
            text = text_of(item.context_expr)
            entered = self._enter(manager, text)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, entered, scope)
        return self.block(node.body, scope)

    _do_asyncwith = _do_with

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
            if enter is None or leave is None:
                self.note_unknown(f"what `with {text}` does can't be told")
                found.append(ANY)
                continue
            found.append(self.call(Bound(enter.raw, one), Args(text=text)))
            self.call(Bound(leave.raw, one), Args((NONE, NONE, NONE), text=text))
        return join(found)

    def _do_match(self, node: ast.Match, scope: Scope) -> str:
        self.value(node.subject, scope)
        for case in node.cases:
            for one in ast.walk(case.pattern):
                for name in (getattr(one, "name", None), getattr(one, "rest", None)):
                    if name:
                        self.bind(name, ANY, scope)
        return self._branches([*(case.body for case in node.cases), []], scope)

    def _do_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        self.bind(node.name, self.decorated(node, self.function(node, scope), scope), scope)

    _do_asyncfunctiondef = _do_functiondef

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> Function:
        """Return what a `def` makes, before its decorators; its header is gone through."""
        spec = node.args
        plain = [*spec.posonlyargs, *spec.args]
        pairs = list(zip(plain[len(plain) - len(spec.defaults) :], spec.defaults, strict=True))
        pairs += [(arg, value) for arg, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value]
        defaults = {arg.arg: self.value(value, scope) for arg, value in pairs}
        hints = [
            one.annotation for one in (*plain, *spec.kwonlyargs, spec.vararg, spec.kwarg) if one is not None
        ]
        for hint in (*hints, getattr(node, "returns", None)):
            if hint is not None:
                self.value(hint, scope)
        return Function(node, scope, defaults, scope.owner)

    def decorated(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, value: Value, scope: Scope
    ) -> Value:
        """Return what a definition's decorators make of it."""
        decorators = [(one, self.value(one, scope)) for one in node.decorator_list]
        for one, decorator in reversed(decorators):
            value = self.call(decorator, Args((value,), text=text_of(one)))
        return value

    def _do_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = tuple(self.value(base, scope) for base in node.bases)
        keywords = {k.arg or "**": self.value(k.value, scope) for k in node.keywords}
        cls = Class(node.name, bases, {}, scope.module)
        inside = Scope({}, scope.find, scope.module, owner=cls)
        self.block(node.body, inside)
        cls.members.update(inside.names)
        found = self._class_made(cls, keywords, text_of(node))
        self.bind(node.name, self.decorated(node, found, scope), scope)

    def _class_made(self, cls: Class, keywords: dict[str, Value], text: str) -> Value:
        """What a metaclass, the bases and the members do when a class is made."""
        meta = keywords.pop("metaclass", None) or self._metaclass(cls)
        if meta is None:
            self.note_unknown(f"base class of `{cls.name}` may act on its subclasses")
            return cls
        if not (isinstance(meta, Live) and is_plain_meta(meta.object)):
            return self._by_metaclass(meta, cls, keywords, text)
        self._tell_members(cls)
        self._tell_bases(cls, keywords)
        return cls

    def _tell_bases(self, cls: Class, keywords: dict[str, Value]) -> None:
        """`__init_subclass__` of the first base that has one."""
        for base in cls.bases:
            hook = attributes.find(base, "__init_subclass__")
            if hook is not None and not (isinstance(hook.raw, Live) and _is_object(hook.owner)):
                raw = hook.raw
                if isinstance(raw, Live) and isinstance(raw.object, classmethod):
                    raw = Live(raw.object.__func__)
                self.call(Bound(raw, cls), Args(named=dict(keywords), text=cls.name))
                break

    def _tell_members(self, cls: Class) -> None:
        for name, member in cls.members.items():
            kind = member.cls if isinstance(member, Made) else None
            told = attributes.find(kind, "__set_name__") if kind is not None else None
            if told is not None and isinstance(told.raw, Live) and isinstance(told.raw.object, FunctionType):
                self.call(Bound(told.raw, member), Args((cls, Live(name)), text=cls.name))

    def _metaclass(self, cls: Class) -> Value | None:
        """Return the metaclass that the bases give; None if that can't be told."""
        found: type = type
        for base in cls.bases:
            if isinstance(base, Class):
                inner = self._metaclass(base)
                if not (isinstance(inner, Live) and isinstance(inner.object, type)):
                    return None
                kind = inner.object
            elif isinstance(base, Live) and isinstance(base.object, type):
                kind = type(base.object)
            elif isinstance(base, Live) and hasattr(type(base.object), "__mro_entries__"):
                continue  # `Generic[T]` and its like
            elif isinstance(base, Made):
                continue  # `Generic[T]`, `namedtuple(...)`
            else:
                return None
            if issubclass(kind, found):
                found = kind
        return Live(found)

    def _by_metaclass(self, meta: Value, cls: Class, keywords: dict[str, Value], text: str) -> Value:
        """What a metaclass makes of a class: its `__new__` and `__init__` are gone through."""
        names: dict[object, Value] = {name: value for name, value in cls.members.items()}  # noqa: C416  # wider keys
        bases = Made(Live(tuple), items=dict(enumerate(cls.bases)))
        args = Args((Live(cls.name), bases, Made(Live(dict), items=names)), dict(keywords), text=text)
        maker = attributes.find(meta, "__new__")
        raw = maker.raw.object if maker is not None and isinstance(maker.raw, Live) else None
        function = raw.__func__ if isinstance(raw, staticmethod) else raw
        if not isinstance(function, FunctionType):
            made: Value = self.make_class(args.after(meta))
        else:
            made = self.call(Live(function), args.after(meta))
        for one in alternatives(made):
            if isinstance(one, Class):
                one.meta, one.module = meta, cls.module
        initial = attributes.find(meta, "__init__")
        if (
            initial is not None
            and isinstance(initial.raw, Live)
            and isinstance(initial.raw.object, FunctionType)
        ):
            self.call(Bound(initial.raw, made), args)
        return made

    def make_class(self, args: Args) -> Value:
        """Return what ``type(name, bases, members)`` makes; a metaclass stands in front."""
        if len(args.positional) < 3:
            return Class("", (ANY,), {}, "")
        name, bases, members = args.positional[-3:]
        known = members.items if isinstance(members, Made) else {}
        inside = containers.sequence(bases)
        called = name.object if isinstance(name, Live) and isinstance(name.object, str) else ""
        cls = Class(called, tuple(inside or [ANY]), {str(key): value for key, value in known.items()}, "")
        if len(args.positional) > 3:
            cls.meta = args.positional[0]
        self._tell_members(cls)
        self._tell_bases(cls, args.named)
        return cls

    # targets

    def bind(self, name: str, value: Value, scope: Scope) -> None:
        """Bind a name, here or where it is shared."""
        if name in scope.shared:
            self._note(Effect("global", None, name, f"`{name}` is changed where others see it"))
        scope.names[name] = value

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Assign a value to a target."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, made(list, [containers.elements(value)]), scope)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = containers.sequence(value)
            for index, one in enumerate(target.elts):
                exact = parts is not None and len(parts) == len(target.elts)
                self.assign(one, parts[index] if exact and parts else containers.elements(value), scope)
        elif isinstance(target, ast.Attribute):
            owner, name = self.value(target.value, scope), mangled(target.attr, scope)
            self.store(owner, name, value, f"{text_of(target)} = …")
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, scope), self.value(target.slice, scope)
            self._set_item(owner, key, value, f"{text_of(target)} = …")

    def store(self, owner: Value, name: str, value: Value, text: str) -> None:
        """Set an attribute of an object; of a live one, that is an effect."""
        for one in alternatives(owner):
            if isinstance(one, Made):
                self._store_in_made(one, name, value, text)
            elif isinstance(one, Function):
                one.fields[name] = value
            elif isinstance(one, Class):
                one.members[name] = value
            elif isinstance(one, Live) and (key := config_key(one.object, name)):
                self.note_config(one.object.config, "__setitem__", Args((Live(key), value)))
            elif isinstance(one, Live):
                why = f"`{text}` changes an object in place"
                self._note(Effect("attribute", one.object, name, why, Args((value,))))
            else:
                self.note_unknown(f"`{text}` changes an object in place")

    def _store_in_made(self, owner: Made, name: str, value: Value, text: str) -> None:
        member = attributes.find(owner.cls, name) if owner.cls is not None and name else None
        raw = member.raw.object if member is not None and isinstance(member.raw, Live) else None
        if isinstance(raw, property) and raw.fset is not None:
            self.call(Bound(Live(raw.fset), owner), Args((value,), text=text))
        elif name:
            owner.fields[name] = value
        else:
            owner.open = True

    def _set_item(self, owner: Value, key: Value, value: Value, text: str) -> None:
        for one in alternatives(owner):
            if isinstance(one, Made) and (setter := self._own_setter(one)) is not None:
                self.call(Bound(setter, one), Args((key, value), text=text))
            elif isinstance(one, Made):
                containers.put(one, key, value)
            elif isinstance(one, Live) and isinstance(one.object, Config):
                self.note_config(one.object, "__setitem__", Args((key, value)))
            else:
                self.note_change(one, "__setitem__", text, Args((key, value)))

    @staticmethod
    def _own_setter(owner: Made) -> Value | None:
        member = attributes.find(owner.cls, "__setitem__") if owner.cls is not None else None
        plain = (
            member is None
            or not isinstance(member.raw, Live)
            or not isinstance(member.raw.object, FunctionType)
        )
        return None if plain or member is None else member.raw

    # expressions

    def value(self, node: ast.expr, scope: Scope) -> Value:
        """Return what an expression may stand for; what evaluating it does is noted."""
        self._spend()
        method: Callable[[Any, Scope], Value] | None
        method = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if method is not None:
            found: Value = method(node, scope)
            return found
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, scope)
        return Made(open=True)

    def call(self, function: Value, args: Args) -> Value:
        """Return what a call gives."""
        return self._calls.call(function, args)

    def read(self, owner: Value, name: str, text: str) -> Value:
        """Return what an attribute is; a property is called for it."""
        found = []
        if name and all(attributes.has(one, name) is False for one in alternatives(owner)):
            raise Raised
        for one in attributes.read(owner, name):
            if isinstance(one, attributes.Property):
                asked = (Live(one.name),) if one.name else ()
                found.append(self.call(one.function, Args((one.this, *asked), text=text)))
            else:
                found.append(one)
        result = join(found)
        return self._to_come(owner, name) if result is ANY else result

    def _to_come(self, owner: Value, name: str) -> Value:
        """A method that a class of the app's own will have after the release."""
        cls = owner.cls if isinstance(owner, Made) else owner
        live = cls.object if isinstance(cls, Live) else None
        kind = live if isinstance(live, type) else type(live)
        method = self._world.member(kind, name) if live is not None else None
        return ANY if method is None else Bound(method, owner)

    def _of_constant(self, node: ast.Constant, _scope: Scope) -> Value:
        return Live(node.value)

    def _of_name(self, node: ast.Name, scope: Scope) -> Value:
        return scope.find(node.id)

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        owner = self.value(node.value, scope)
        name = mangled(node.attr, scope)
        if isinstance(owner, Live) and isinstance(owner.object, ModuleType):
            module = owner.object.__name__
            if self._world.is_own(module) and (found := self._world.name(module, name)) is not None:
                return found
        return self.read(owner, name, text_of(node))

    def _of_subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        owner, key = self.value(node.value, scope), self.value(node.slice, scope)
        found: list[Value] = []
        for one in alternatives(owner):
            if isinstance(one, Live) and isinstance(one.object, type):
                found.append(Made(open=True, calls=one))  # `Mapped[int]`, `list[str]`
            elif isinstance(one, Made) and one.cls is None:
                found.append(Made(open=True))
            else:
                found.append(containers.item(one, key))
        return join(found)

    def _of_call(self, node: ast.Call, scope: Scope) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            return self._super(scope)
        function = self.value(node.func, scope)
        positional: list[Value] = []
        more = False
        for one in node.args:
            if isinstance(one, ast.Starred):
                parts = containers.sequence(self.value(one.value, scope))
                positional += parts or []
                more = more or parts is None
            else:
                positional.append(self.value(one, scope))
        named: dict[str, Value] = {}
        for keyword in node.keywords:
            given = self.value(keyword.value, scope)
            if keyword.arg is not None:
                named[keyword.arg] = given
            elif isinstance(given, Made) and given.rest is None:
                named.update((str(key), value) for key, value in given.items.items())
            else:
                more = True
        if (
            function is ANY
            and isinstance(node.func, ast.Attribute)
            and self._only_reads(node.func.attr, scope)
        ):
            return Made(open=True)
        return self.call(function, Args(tuple(positional), named, more, text_of(node.func)))

    def _only_reads(self, method: str, scope: Scope) -> bool:
        if method in READING_METHODS:
            return True
        return method in READING_IN_LIBRARIES and not self._world.is_own(scope.module)

    def _super(self, scope: Scope) -> Value:
        while scope.owner is None or scope.this is None:
            return ANY
        return Super(scope.owner, scope.this)

    def _of_boolop(self, node: ast.BoolOp, scope: Scope) -> Value:
        stops = isinstance(node.op, ast.Or)  # at the first that is true; `and` at the first that is false
        found = []
        for one in node.values:
            found.append(self.value(one, scope))
            decided = truth(found[-1])
            if decided is stops:
                break
            if decided is not None and one is not node.values[-1]:
                found.pop()
        return join(found)

    def _of_unaryop(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        decided = truth(value)
        if isinstance(node.op, ast.Not):
            return ANY if decided is None else Live(not decided)
        if isinstance(value, Live) and type(value.object) in (int, float) and isinstance(node.op, ast.USub):
            return Live(-value.object)
        return Made(open=True)

    def _of_compare(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.value(node.left, scope)
        rights = [self.value(one, scope) for one in node.comparators]
        return compared(left, node.ops[0], rights[0]) if len(rights) == 1 else ANY

    def _of_ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        decided = truth(self.value(node.test, scope))
        if decided is not None:
            return self.value(node.body if decided else node.orelse, scope)
        return join([self.value(node.body, scope), self.value(node.orelse, scope)])

    def _of_lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        return self.function(node, scope)

    def _of_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.value(node.value, scope)
        self.assign(node.target, value, scope)
        return value

    def _of_list(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        values = [self.value(one.value if isinstance(one, ast.Starred) else one, scope) for one in node.elts]
        if any(isinstance(one, ast.Starred) for one in node.elts):
            spread = zip(node.elts, values, strict=True)
            return made(
                kind, [containers.elements(v) if isinstance(n, ast.Starred) else v for n, v in spread]
            )
        return Made(Live(kind), items=dict(enumerate(values)))

    _of_tuple = _of_set = _of_list

    def _of_dict(self, node: ast.Dict, scope: Scope) -> Value:
        result = Made(Live(dict))
        for key, one in zip(node.keys, node.values, strict=True):
            value = self.value(one, scope)
            if key is not None:
                containers.put(result, self.value(key, scope), value)
            elif isinstance(value, Made) and value.rest is None:
                result.items.update(value.items)
            else:
                result.rest = ANY
        return result

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> Value:
        inside = scope.inner()
        for generator in node.generators:
            self.assign(generator.target, containers.elements(self.value(generator.iter, inside)), inside)
            for test in generator.ifs:
                self.value(test, inside)
        if isinstance(node, ast.DictComp):
            self.value(node.key, inside)
            return Made(Live(dict), rest=self.value(node.value, inside))
        return made(set if isinstance(node, ast.SetComp) else list, [self.value(node.elt, inside)])

    _of_listcomp = _of_setcomp = _of_generatorexp = _of_dictcomp = _comprehension

    def _of_await(self, node: ast.expr, scope: Scope) -> Value:
        self.note_unknown(f"`{text_of(node)}` can't run alone")
        return ANY

    def _of_yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope) -> Value:
        if node.value is not None:
            self.value(node.value, scope)
        return ANY

    _of_yieldfrom = _of_yield


def mangled(name: str, scope: Scope) -> str:
    """Return the name under which a method of a class finds a private attribute."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    owner = scope.owner
    called = (
        owner.name if isinstance(owner, Class) else getattr(getattr(owner, "object", None), "__name__", "")
    )
    return f"_{called.lstrip('_')}{name}" if called else name


def config_key(owner: object, name: str) -> str:
    """Return the configuration key that setting an app's attribute writes, or nothing."""
    member = next((vars(c)[name] for c in type(owner).__mro__ if name in vars(c)), None)
    return str(member.__name__) if isinstance(owner, App) and isinstance(member, ConfigAttribute) else ""


def defaults_of(function: FunctionType) -> dict[str, Value]:
    """Return a live function's defaults."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    given = function.__defaults__ or ()
    found: dict[str, Value] = {}
    found.update(zip(names[len(names) - len(given) :], map(Live, given), strict=True))
    found.update((name, Live(value)) for name, value in (function.__kwdefaults__ or {}).items())
    return found


def compared(left: Value, operator: ast.cmpop, right: Value) -> Value:
    """Return what a comparison gives, where that is certain."""
    if isinstance(operator, ast.Is | ast.IsNot):
        same = _is_same(left, right)
        return ANY if same is None else Live(same is isinstance(operator, ast.Is))
    plain = (str, int, float, bool, bytes, type(None), tuple)
    if isinstance(left, Live) and isinstance(right, Live) and type(left.object) in plain:
        if isinstance(operator, ast.Eq | ast.NotEq) and type(right.object) in plain:
            return Live((left.object == right.object) is isinstance(operator, ast.Eq))
        if isinstance(operator, ast.In | ast.NotIn) and type(right.object) in (
            dict,
            set,
            frozenset,
            tuple,
            list,
            str,
        ):
            try:
                return Live((left.object in right.object) is isinstance(operator, ast.In))
            except TypeError:
                return ANY
    if isinstance(operator, ast.In | ast.NotIn) and isinstance(left, Live) and isinstance(right, Made):
        if right.rest is None and isinstance(right.cls, Live) and right.cls.object is dict and not right.open:
            return Live((left.object in right.items) is isinstance(operator, ast.In))
    return ANY


def _is_same(left: Value, right: Value) -> bool | None:
    if isinstance(left, Live) and isinstance(right, Live):
        return left.object is right.object
    fresh = (Made, Function, Class)
    if (isinstance(left, fresh) and isinstance(right, Live)) or (
        isinstance(right, fresh) and isinstance(left, Live)
    ):
        return False
    return None


def is_plain_meta(meta: object) -> bool:
    """Whether a metaclass is Python's own, of classes that don't notice their subclasses."""
    return meta is type or (
        isinstance(meta, type) and meta.__name__ == "ABCMeta" and meta.__module__ == "abc"
    )


def _is_object(owner: Value) -> bool:
    return isinstance(owner, Live) and owner.object is object


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


def text_of(node: ast.AST) -> str:
    """Return a node's first line, cut to what a message can bear."""
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 50 else text[:49] + "…"
