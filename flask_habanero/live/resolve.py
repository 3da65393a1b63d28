"""What a name will stand for after a release: told without running anything."""

from __future__ import annotations

import ast
import builtins
import sys
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any

from werkzeug.local import LocalProxy

from ..source import Source
from . import effects, names

if TYPE_CHECKING:
    from .program import Program


class Resolver:
    """Answers for one target tree. `changed` are the units of the release."""

    def __init__(self, program: Program, target: dict[str, Source], changed: set[str]) -> None:
        self._program, self._target, self._changed = program, target, changed

    def live(self, module: str, name: str) -> Any:
        """What a name will stand for after the release: a pending definition's AST, or the live object."""
        if name.startswith("def "):
            return self._definition(self._program.unit_name(module), name.removeprefix("def "))
        live = self._program.loaded(module)
        pending = self._pending.get((module, name))
        if pending is not None:
            return pending
        if live is None:
            return self._unloaded(module, name)
        value = vars(live).get(name, getattr(builtins, name, effects.MISSING))
        return effects.MISSING if type(value) is LocalProxy else value  # asking a proxy wakes it up

    def _unloaded(self, module: str, name: str) -> Any:
        """Resolve a name of a module that is not loaded yet through its definitions and imports."""
        source = self._target.get(module)
        if source is None:
            return effects.MISSING
        found: Any = effects.MISSING
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if name in row.binds:
                found = self._standing_for(module, piece.node, name, row)
        return found if found is not effects.MISSING else getattr(builtins, name, effects.MISSING)

    @cached_property
    def _pending(self) -> dict[tuple[str, str], Any]:
        """What new or changed statements bind: an AST node, a constant, or the object that an import fetches."""
        found: dict[tuple[str, str], Any] = {}
        for name in self._changed:
            live, old, new = self._program.loaded(name), self._program.tree.get(name), self._target[name]
            if live is None:
                continue
            known = {piece.digest for piece in old.parsed.pieces} if old else set()
            for piece, row in zip(new.parsed.pieces, names.of_source(new), strict=True):
                for bound in row.binds if piece.digest not in known else ():
                    value = self._standing_for(name, piece.node, bound, row)
                    if issubclass(type(value), ast.AST) and isinstance(
                        vars(live).get(bound), FunctionType | type
                    ):
                        continue  # the live one keeps its identity: _definition finds its new source
                    found[name, bound] = value
        return found

    def _standing_for(self, module: str, node: ast.stmt, bound: str, row: names.Names) -> Any:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return node if not getattr(node, "decorator_list", None) else effects.MISSING
        for item in row.imports:
            if item.bound == bound:
                return self._imported(item)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Constant):
            if isinstance(node.value, ast.Constant):
                return node.value.value
            return effects.Pending(module, node.value.func)
        return effects.MISSING

    def _imported(self, item: names.Import) -> Any:
        if item.name is None:
            return sys.modules.get(
                item.bound if item.bound == item.module.partition(".")[0] else item.module, effects.MISSING
            )
        child = sys.modules.get(f"{item.module}.{item.name}")
        unit = self._program.unit_name(item.module)
        if unit in self._target:
            found = self.live(unit, item.name)
            return child if found is effects.MISSING and child is not None else found
        live = sys.modules.get(item.module)
        return getattr(live, item.name, effects.MISSING) if live is not None else effects.MISSING

    def _definition(self, module: str, qualname: str) -> Any:
        """Return the AST of the app's own function or class, as it will be; MISSING for anybody else's."""
        source = self._target.get(module)
        if source is None:
            return effects.MISSING
        for piece in source.parsed.pieces:
            node = piece.node
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and node.name == qualname
            ):
                return node
        return effects.MISSING
