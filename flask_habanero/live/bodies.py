"""What functions read when they are called, told from their text alone: others' names, and attributes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass
class Body:
    """What a function reads when it is called: names that aren't its own, and attributes.

    Attributes:
        reads: names that aren't its own.
        attributes: of anything; `inherited` of `super()`, and `others` of anything else.
        dotted: a name, and an attribute of it.
        bare: names that are read other than for an attribute.
        rebinds: names under `global`.
        called: attributes that it calls.
        sets: attribute that it sets -> names in what it sets it to.
        calls_given: whether it calls what it was given, or what it looks up by a name that no text tells.
        own: names of its own.
    """

    reads: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    inherited: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    dotted: set[tuple[str, str]] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    rebinds: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    sets: dict[str, set[str]] = field(default_factory=dict)
    calls_given: bool = False
    own: set[str] = field(default_factory=set)


def parameters(args: ast.arguments) -> list[ast.arg]:
    """Return all parameters of a function."""
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return [one for one in every if one]


def read(node: Function | ast.Lambda, into: Body) -> None:
    """Add what a function's own body, and those nested in it, read from outside."""
    reader = _Reader(into, {one.arg for one in parameters(node.args)})
    reader.read(list(node.body) if isinstance(node.body, list) else [node.body])
    below = Body()
    for function in reader.inner:
        read(function, below)
    local, shared = reader.local, reader.shared
    into.attributes |= below.attributes
    into.inherited |= below.inherited
    into.others |= below.others
    into.dotted |= below.dotted
    into.bare |= below.bare
    into.rebinds |= below.rebinds | (shared & local)
    into.called |= below.called
    into.own |= below.own | (local - shared)
    for attribute, names in below.sets.items():
        into.sets.setdefault(attribute, set()).update(names)
    into.calls_given |= below.calls_given or not reader.called.isdisjoint(reader.given() - shared)
    into.reads |= (reader.loads | below.reads | shared) - (local - shared)


class _Reader:
    """Walks the body of one function, and stops at the functions in it."""

    def __init__(self, into: Body, local: set[str]) -> None:
        self.local = local
        self.shared: set[str] = set()
        self.loads: set[str] = set()
        self.inner: list[Function | ast.Lambda] = []
        self.called: set[str] = set()  # names
        self._given = set(local)  # names of its own of which the text does not tell what they are
        self._other_names: dict[str, set[str]] = defaultdict(set)  # its own name -> what it is another for
        self._told: set[int] = set()  # where a name is bound to what the text tells
        self._into = into
        self._owners: set[int] = set()  # names of which an attribute is read: visited after the attribute

    def read(self, todo: list[ast.AST]) -> None:
        """Read all that is to do."""
        while todo:
            one = todo.pop()
            if isinstance(one, _SCOPES):
                todo.extend(self._function(one))
            else:
                self._note(one)
                todo.extend(ast.iter_child_nodes(one))

    def given(self) -> set[str]:
        """Return the names of its own for what it was given, or found: not written here, nor of others."""
        found = set(self._given)
        while more := {name for name, others in self._other_names.items() if others & found} - found:
            found |= more
        return found

    def _function(self, node: Function | ast.Lambda) -> list[ast.AST]:
        """Note a nested function; return what of it runs where it stands."""
        self.inner.append(node)
        shared = [one.names for one in ast.walk(node) if isinstance(one, ast.Nonlocal)]
        self._given.update(*shared)  # it may bind them to what it was given
        decorators: list[ast.expr] = []
        if not isinstance(node, ast.Lambda):
            self.local.add(node.name)
            decorators = node.decorator_list
        return [*decorators, *node.args.defaults, *filter(None, node.args.kw_defaults)]

    def _note(self, one: ast.AST) -> None:
        if isinstance(one, ast.Name):
            self._name(one)
        elif isinstance(one, ast.Attribute):
            self._attribute(one)
        elif isinstance(one, ast.Call):
            self._call(one)
        elif isinstance(one, ast.Assign | ast.AnnAssign | ast.AugAssign):
            self._assigned(one)
        elif isinstance(one, ast.Constant):
            self._into.attributes |= formatted(one.value)
        elif isinstance(one, ast.Global):
            self.shared.update(one.names)
        elif isinstance(one, ast.ClassDef):
            self.local.add(one.name)
        elif isinstance(one, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and one.name:
            self.local.add(one.name)
            self._given.add(one.name)
        elif isinstance(one, ast.Import | ast.ImportFrom):
            self.local |= {a.asname or a.name.split(".")[0] for a in one.names}

    def _assigned(self, one: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        if isinstance(one, ast.AugAssign):
            self._into.bare.update([one.target.id] if isinstance(one.target, ast.Name) else [])
            return
        others = _other_names(one.value)
        for target in one.targets if others is not None and isinstance(one, ast.Assign) else ():
            if others is not None and isinstance(target, ast.Name):
                self._other_names[target.id] |= others
                self._told.add(id(target))
        for attribute, names in set_attributes(one):
            self._into.sets.setdefault(attribute, set()).update(names)

    def _name(self, one: ast.Name) -> None:
        (self.loads if isinstance(one.ctx, ast.Load) else self.local).add(one.id)
        self._given.update([] if isinstance(one.ctx, ast.Load) or id(one) in self._told else [one.id])
        self._into.calls_given |= one.id in _LOOKING_UP
        if id(one) not in self._owners and not isinstance(one.ctx, ast.Store):
            self._into.bare.add(one.id)

    def _attribute(self, one: ast.Attribute) -> None:
        self._into.attributes.add(one.attr)
        self._into.calls_given |= one.attr in _LOOKING_UP or one.attr == "render"
        (self._into.inherited if _is_super(one.value) else self._into.others).add(one.attr)
        if isinstance(one.value, ast.Name):
            self._into.dotted.add((one.value.id, one.attr))
            self._owners.add(id(one.value))

    def _call(self, one: ast.Call) -> None:
        function = one.func
        if isinstance(function, ast.Attribute):
            self._into.called.add(function.attr)
        while isinstance(function, ast.Subscript):
            function = function.value
            self._into.calls_given |= isinstance(function, ast.Attribute)  # `app.view_functions["index"]()`
        place = _CALLING.get(getattr(function, "attr", getattr(function, "id", "")))
        if place is not None:
            given = [*one.args[place], *(keyword.value for keyword in one.keywords)]
            self.called |= {one.id for one in given if isinstance(one, ast.Name)}
        if isinstance(function, ast.Name):
            self.called.add(function.id)
            if function.id == "getattr" and len(one.args) > 1:
                name = one.args[1]
                known = isinstance(name, ast.Constant)
                self._into.attributes.update([str(name.value)] if isinstance(name, ast.Constant) else [])
                self._into.calls_given |= not known


_LOOKING_UP = {
    "__import__", "eval", "exec", "globals", "import_module", "import_string", "locals", "vars",
    "render_template", "render_template_string", "stream_template", "stream_template_string",
}  # fmt: skip
_FIRST, _SECOND, _BY_NAME = slice(0, 1), slice(1, 2), slice(0, 0)
_CALLING = {  # what calls an argument -> which, if it isn't given by name: `key=`
    "accumulate": _SECOND, "filter": _FIRST, "map": _FIRST, "max": _BY_NAME, "min": _BY_NAME,
    "partial": _FIRST, "reduce": _FIRST, "sort": _BY_NAME, "sorted": _BY_NAME, "starmap": _FIRST,
}  # fmt: skip


def formatted(constant: object) -> set[str]:
    """Return the attributes that a text asks for when it is formatted: `"{0.name}"`."""
    if not isinstance(constant, str) or "{" not in constant:
        return set()
    return {name for field in _FIELD.findall(constant) for name in re.findall(r"\.(\w+)", field)}


_FIELD = re.compile(r"\{\w*((?:\.\w+|\[[^\]}]*\])+)")


def set_attributes(node: ast.Assign | ast.AnnAssign) -> Iterator[tuple[str, set[str]]]:
    """Yield (attribute, names in its value) for what an assignment sets of anything."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    said = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)} if node.value else set()
    for target in targets:
        yield from ((one.attr, said) for one in ast.walk(target) if isinstance(one, ast.Attribute))


def _other_names(value: ast.expr | None) -> set[str] | None:
    """Return the names of which a value is one, or a function written there; None if it may be another."""
    if isinstance(value, ast.IfExp):
        parts = [_other_names(value.body), _other_names(value.orelse)]
        return None if None in parts else set().union(*filter(None, parts))
    if isinstance(value, ast.Lambda):
        return set()
    return {value.id} if isinstance(value, ast.Name) else None


def _is_super(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) and not node.args else None
    return isinstance(called, ast.Name) and called.id == "super"
