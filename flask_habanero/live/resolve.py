"""What a name will stand for after a release: told without running anything."""

from __future__ import annotations

import ast
import builtins
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from werkzeug.local import LocalProxy

from ..source import Source
from . import expressions, names

if TYPE_CHECKING:
    from .program import Program

Rows = list[tuple[ast.stmt, names.Names]]


class Resolver:
    """Answers for one target tree. `changed` are the units of the release."""

    def __init__(self, program: Program, target: dict[str, Source], changed: set[str]) -> None:
        self._program, self._target, self._changed = program, target, changed
        self._asked: set[tuple[str, str]] = set()
        self._news: dict[str, Rows] = {}

    def live(self, module: str, name: str) -> Any:
        """What a name will stand for after the release: a pending definition's AST, or the live object."""
        if name.startswith("def "):
            return self._definition(self._program.unit_name(module), name.removeprefix("def "))
        if (module, name) in self._asked:
            return expressions.MISSING  # names that are imported in a circle
        self._asked.add((module, name))
        try:
            return self._found(module, name)
        finally:
            self._asked.discard((module, name))

    def _found(self, module: str, name: str) -> Any:
        live = self._program.loaded(module)
        if live is None:
            return self._written(module, name, self._rows(module))
        pending = self._written(module, name, self._new_rows(module))
        if pending is not expressions.MISSING and not self._keeps_identity(pending, vars(live).get(name)):
            return pending
        value = vars(live).get(name, getattr(builtins, name, expressions.MISSING))
        return expressions.MISSING if type(value) is LocalProxy else value  # asking a proxy wakes it up

    @staticmethod
    def _keeps_identity(pending: Any, live: Any) -> bool:
        """Whether a changed definition stays the object that there is: _definition finds its new source."""
        return issubclass(type(pending), ast.AST) and isinstance(live, FunctionType | type)

    def _written(self, module: str, name: str, rows: Rows) -> Any:
        """What the last of some statements makes of a name."""
        found: Any = expressions.MISSING
        for node, row in rows:
            if name in row.binds:
                found = self._standing_for(module, node, name, row)
        return found

    def _rows(self, module: str) -> Rows:
        source = self._target.get(module)
        if source is None:
            return []
        return [(p.node, row) for p, row in zip(source.parsed.pieces, names.of_source(source), strict=True)]

    def _new_rows(self, module: str) -> Rows:
        """Return the statements of a loaded module that are new or changed."""
        if module not in self._changed:
            return []
        if module not in self._news:
            old, new = self._program.tree.get(module), self._target[module]
            known = {piece.digest for piece in old.parsed.pieces} if old else set()
            pieces = zip(new.parsed.pieces, names.of_source(new), strict=True)
            self._news[module] = [(p.node, row) for p, row in pieces if p.digest not in known]
        return self._news[module]

    def _standing_for(self, module: str, node: ast.stmt, bound: str, row: names.Names) -> Any:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return node if not getattr(node, "decorator_list", None) else expressions.MISSING
        for item in row.imports:
            if item.bound == bound:
                return self._imported(item)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Constant):
            if isinstance(node.value, ast.Constant):
                return node.value.value
            return expressions.Pending(module, node.value.func)
        return expressions.MISSING

    def _imported(self, item: names.Import) -> Any:
        if item.name is None:
            return sys.modules.get(
                item.bound if item.bound == item.module.partition(".")[0] else item.module,
                expressions.MISSING,
            )
        child = sys.modules.get(f"{item.module}.{item.name}")
        unit = self._program.unit_name(item.module)
        if unit in self._target:
            found = self.live(unit, item.name)
            return child if found is expressions.MISSING and child is not None else found
        live = sys.modules.get(item.module)
        return getattr(live, item.name, expressions.MISSING) if live is not None else expressions.MISSING

    def _definition(self, module: str, qualname: str) -> Any:
        """Return the AST of the app's own function or class, as it will be; MISSING for anybody else's."""
        source = self._target.get(module)
        if source is None:
            return expressions.MISSING
        for piece in source.parsed.pieces:
            node = piece.node
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and node.name == qualname
            ):
                return node
        return expressions.MISSING
