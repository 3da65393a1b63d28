"""What the app's own names and functions will be after a release: told without running anything.

Answers the interpreter (`judge`). What a release does not touch is what it is now; what it changes in place
keeps its identity and has its new source; what a statement of the release will make is what the
interpreter finds when it goes through that statement.
"""

from __future__ import annotations

import ast
import functools
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..source import Source
from . import imports, names
from .judge.computed import is_plain
from .judge.interpreter import Interpreter
from .judge.values import ANY, Function, Live, Made, Value

if TYPE_CHECKING:
    from .program import Program

Row = tuple[ast.stmt, names.Names]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


class World:
    """Answers for one target tree. `changed` are the units of the release."""

    def __init__(self, program: Program, target: dict[str, Source], changed: set[str]) -> None:
        self._program, self._target, self._changed = program, target, changed
        self.unset: dict[tuple[int, str], Value] = {}  # (id of an object, attribute) -> as it was made
        self.unloaded: set[str] = set()  # modules of other packages that the judge would have had to read
        self._rebound: dict[tuple[str, str], int] = {}  # -> how many there were then
        self._asked: set[tuple[str, str]] = set()
        self._news: dict[str, list[Row]] = {}
        self._values: dict[tuple[str, str], Value] = {}
        self._definitions: dict[tuple[str, str], Definition | None] = {}

    @functools.cached_property
    def _old(self) -> World:
        """The world as it is now."""
        return World(self._program, self._program.tree, set())

    def is_own(self, module: str) -> bool:
        """Whether a module is the app's own, as it was or as it will be."""
        unit = self._program.unit_name(module)
        return unit in self._target or unit in self._program.tree

    def rebind(self, unit: str, name: str) -> None:
        """Note that a name will stand for something else, also if the text of what binds it stays."""
        self._rebound.setdefault((unit, name), len(self._rebound))
        self._values.clear()

    @property
    def age(self) -> int:
        """How many names it was told of that will stand for something else."""
        return len(self._rebound)

    def is_news(self, names: set[tuple[str, str]], age: int) -> bool:
        """Whether it was told of one of some names (module, name) since it had an age."""
        if age == len(self._rebound):
            return False
        units = ((self._program.unit_name(module), name) for module, name in names)
        return any(self._rebound.get(one, -1) >= age for one in units)

    def was(self, thing: object, name: str) -> Value | None:
        """Return what an attribute will be while statements run, if it is something else now."""
        return self.unset.get((id(thing), name)) if self.unset else None

    def lacks(self, module: str) -> None:
        """Note that a module is not loaded: one of another package, so that nobody can tell what is in it."""
        if not imports.is_own(module, self._tops):
            self.unloaded.add(module)

    @functools.cached_property
    def _tops(self) -> frozenset[str]:
        return imports.tops(self._program.tree, self._target)

    def is_changed(self, module: str) -> bool:
        """Whether the release changes a module."""
        return self._program.unit_name(module) in self._changed

    def name(self, module: str, name: str) -> Value | None:
        """Return what a module-level name will stand for; None if the module will not have it."""
        key = (self._program.unit_name(module), name)
        if key in self._asked:
            return ANY  # names that are imported in a circle
        self._asked.add(key)
        try:
            return self._found(*key)
        finally:
            self._asked.discard(key)

    def _found(self, module: str, name: str) -> Value | None:
        live = self._program.loaded(module)
        value = vars(live).get(name) if live is not None else None
        # for an object that is no plain value, the one that there is stands better than a text that makes one
        again = (module, name) in self._rebound and (is_plain(value) or isinstance(value, FunctionType))
        rows = self._rows(module) if live is None or again else self._new_rows(module)
        binding = [row for row in rows if name in row[1].binds]
        there = live is not None and name in vars(live)
        if not binding and isinstance(value, FunctionType) and value.__name__ == "<lambda>":
            binding = [
                row for row in self._rows(module) if name in row[1].binds
            ]  # its own name finds no text
            if not (binding and isinstance(getattr(binding[-1][0], "value", None), ast.Lambda)):
                binding = []
        if binding and not (there and _keeps_identity(binding[-1][0], vars(live).get(name))):
            return self._made_by(module, binding[-1][0], name)
        return Live(vars(live)[name]) if there else None

    def _made_by(self, module: str, node: ast.stmt, name: str) -> Value:
        """Return what a statement that has not run yet will make of a name."""
        key = (module, name)
        if key not in self._values:
            interpreter = Interpreter(self)
            scope = interpreter.scope_of(module)
            interpreter.run_statement(node, scope)
            self._values[key] = scope.names.get(name, ANY)
        return self._values[key]

    def _rows(self, module: str) -> list[Row]:
        source = self._target.get(module)
        if source is None:
            return []
        return [(p.node, row) for p, row in zip(source.parsed.pieces, names.of_source(source), strict=True)]

    def _new_rows(self, module: str) -> list[Row]:
        """Return the statements of a loaded module that are new or changed."""
        if module not in self._changed:
            return []
        if module not in self._news:
            old, new = self._program.tree.get(module), self._target[module]
            known = {piece.digest for piece in old.parsed.pieces} if old else set()
            pieces = zip(new.parsed.pieces, names.of_source(new), strict=True)
            self._news[module] = [(p.node, row) for p, row in pieces if p.digest not in known]
        return self._news[module]

    def definition(self, module: str, qualname: str) -> Definition | None:
        """Return the one definition of a name in the app's own sources, as it will be; None if there is none.

        Nested ones have names as Python gives them: ``decorate.<locals>.wrapper``, ``Page.get``.
        """
        key = (self._program.unit_name(module), qualname)
        if key not in self._definitions:
            self._definitions[key] = self._definition(*key)
        return self._definitions[key]

    def _definition(self, module: str, qualname: str) -> Definition | None:
        source = self._target.get(module)
        if source is None:
            return None
        found: list[ast.AST] = [ast.Module([piece.node for piece in source.parsed.pieces], [])]
        for part in qualname.split("."):
            if part != "<locals>":
                found = [one for node in found for one in _defined(node, part)]
        return found[-1] if found and isinstance(found[-1], Definition) and _is_one(found) else None

    def gains(self, thing: object, name: str) -> bool:
        """Whether a class, a module or a function may have an attribute then that it has not now."""
        module = str(getattr(thing, "__module__", "") or getattr(thing, "__name__", ""))
        if not self.is_changed(module):
            return False
        if not isinstance(thing, type):
            return True
        node, old = (one.definition(module, thing.__qualname__) for one in (self, self._old))
        if not isinstance(node, ast.ClassDef) or not isinstance(old, ast.ClassDef):
            return True
        return name in names.class_members(node) or [*map(ast.dump, old.bases)] != [
            *map(ast.dump, node.bases)
        ]

    def member(self, cls: type, name: str) -> Value | None:
        """Return the raw method that a live class of the app's own will have, and has not now."""
        node = (
            self.definition(cls.__module__, f"{cls.__qualname__}.{name}")
            if self.is_own(cls.__module__)
            else None
        )
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        interpreter = Interpreter(self)
        scope = interpreter.scope_of(cls.__module__)
        function = Function(node, scope, owner=Live(cls))
        if not node.decorator_list:
            return function
        body = self.definition(cls.__module__, cls.__qualname__)
        own = names.class_members(body) if isinstance(body, ast.ClassDef) else {}
        if len(node.decorator_list) == 1 and ast.unparse(node.decorator_list[0]) not in own:
            kind = interpreter.value(node.decorator_list[0], scope)
            if isinstance(kind, Live) and kind.object in (staticmethod, classmethod):
                return Made(kind, calls=function)
        return Made(open=True)


def _keeps_identity(node: ast.stmt, live: Any) -> bool:
    """Whether a changed definition stays the object that there is: `definition` has its new source."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return isinstance(live, FunctionType)
    return isinstance(node, ast.ClassDef) and isinstance(live, type)


def _defined(node: ast.AST, name: str) -> list[ast.AST]:
    """Return the definitions of a name in the same scope as a node's body."""
    found: list[ast.AST] = []
    todo = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    while todo:
        one = todo.pop(0)
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if one.name == name:
                found.append(one)
        else:
            nested = [s for s in ast.iter_child_nodes(one) if isinstance(s, ast.stmt)]
            nested += [s for h in getattr(one, "handlers", []) for s in h.body]
            nested += [s for c in getattr(one, "cases", []) for s in c.body]
            todo = nested + todo
    return found


def _is_one(found: list[ast.AST]) -> bool:
    """Whether it can be told which of some definitions counts."""
    return len(found) == 1
