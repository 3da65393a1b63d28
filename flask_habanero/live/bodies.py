"""What functions read when they are called, told from their text alone: others' names, and attributes."""

from __future__ import annotations

import ast
import re
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
    into.calls_given |= below.calls_given or not reader.called.isdisjoint(local - shared - reader.known)
    into.reads |= (reader.loads | below.reads | shared) - (local - shared)


class _Reader:
    """Walks the body of one function, and stops at the functions in it."""

    def __init__(self, into: Body, local: set[str]) -> None:
        self.local = local
        self.shared: set[str] = set()
        self.loads: set[str] = set()
        self.inner: list[Function | ast.Lambda] = []
        self.called: set[str] = set()  # names
        self.known: set[str] = set()  # names of its own that the text tells: imports, functions, classes
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

    def _function(self, node: Function | ast.Lambda) -> list[ast.AST]:
        """Note a nested function; return what of it runs where it stands."""
        self.inner.append(node)
        decorators: list[ast.expr] = []
        if not isinstance(node, ast.Lambda):
            self.local.add(node.name)
            self.known.add(node.name)
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
        elif isinstance(one, ast.ClassDef | ast.ExceptHandler) and one.name:
            self.local.add(one.name)
            self.known.update([one.name] if isinstance(one, ast.ClassDef) else [])
        elif isinstance(one, ast.Import | ast.ImportFrom):
            bound = {a.asname or a.name.split(".")[0] for a in one.names}
            self.local |= bound
            self.known |= bound

    def _assigned(self, one: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        if isinstance(one, ast.AugAssign):
            self._into.bare.update([one.target.id] if isinstance(one.target, ast.Name) else [])
            return
        for attribute, names in set_attributes(one):
            self._into.sets.setdefault(attribute, set()).update(names)

    def _name(self, one: ast.Name) -> None:
        (self.loads if isinstance(one.ctx, ast.Load) else self.local).add(one.id)
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
        if getattr(function, "attr", getattr(function, "id", "")) in _CALLING:
            self.called |= {one.id for one in one.args if isinstance(one, ast.Name)}
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
_CALLING = {"accumulate", "filter", "map", "max", "min", "partial", "reduce", "sorted", "starmap"}


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


def _is_super(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) and not node.args else None
    return isinstance(called, ast.Name) and called.id == "super"
