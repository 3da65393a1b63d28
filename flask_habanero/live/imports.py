"""Would a cold start of a tree get through its imports? Told without running it.

Two faults look fine in a process that already runs and stop the next one from starting: a name
that is imported but no longer there, and an import circle that comes to a name before it is bound.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from ..errors import Reason
from ..source import Source, once_for_each_source
from . import names
from .bodies import Body
from .names import Import
from .reach import Tree, named_in, parents

_ALWAYS = {
    *dir(builtins),
    "__name__",
    "__file__",
    "__doc__",
    "__package__",
    "__spec__",
    "__loader__",
    "__path__",
    "__builtins__",
    "__annotations__",
}


def tops(*trees: Tree) -> frozenset[str]:
    """Return the app's own top-level names, of all of some trees."""
    return frozenset(name.partition(".")[0] for tree in trees for name in tree)


def is_own(name: str, own: AbstractSet[str]) -> bool:
    """Whether a module name lies among the app's own top-level names."""
    return name.partition(".")[0] in own


def is_open(source: Source) -> bool:
    """Whether a module may have names that its text doesn't show."""
    return any(one.star for one in names.of_source(source)) or _is_dynamic(source)


def _is_dynamic(source: Source) -> bool:
    return "__getattr__" in source.text or "globals()" in source.text or "sys.modules" in source.text


@once_for_each_source
def binds(source: Source) -> frozenset[str]:
    """Return the names that a module's statements bind."""
    return frozenset(name for one in names.of_source(source) for name in one.binds)


def broken(before: Tree, tree: Tree, changed: set[str], own: AbstractSet[str]) -> Iterator[Reason]:
    """Yield the imports that a cold start fails at: of changed modules, and of those that import them.

    Args:
        before: the modules, as they are.
        tree: the modules, as they will be.
        changed: those that change, or go.
        own: the app's own top-level names.
    """
    lost = {name for name in changed if _loses(before.get(name), tree.get(name))}
    for module, source in tree.items():
        if module not in changed and not (lost and lost & named_in(source)):
            continue
        for one in names.of_source(source):
            for item in one.imports:
                met = module in changed or not lost.isdisjoint({item.module, f"{item.module}.{item.name}"})
                if item.guarded or not met or not is_own(item.module, own):
                    continue
                if (what := _missing(item, tree)) is not None:
                    hint = "import what there is, or send the module that defines it"
                    yield Reason("import-broken", f"{module}:{item.line}", what, hint)


def _loses(before: Source | None, after: Source | None) -> bool:
    """Whether who imports a module may find less than before."""
    if before is None or after is None:
        return after is None
    closes = is_open(before) and not is_open(after)
    return closes or "__all__" in after.text or not binds(before) <= binds(after)


def _missing(item: Import, tree: Tree) -> str | None:
    if item.module not in tree:
        if any(known.startswith(f"{item.module}.") for known in tree):
            return None  # a namespace package
        return f"no module named {item.module!r}"
    source = tree[item.module]
    if item.name == "*":
        there = binds(source) | {
            name.rpartition(".")[2] for name in tree if name.startswith(f"{item.module}.")
        }
        lacking = sorted((star_names(source, tree) or set()) - there) if not is_open(source) else []
        return f"{item.module!r} has no {lacking[0]!r}, which its __all__ names" if lacking else None
    if item.name is None:
        return None
    if item.name in binds(source) or f"{item.module}.{item.name}" in tree or is_open(source):
        return None
    return (
        f"cannot import name {item.name!r} from {item.module!r}" if not item.name.startswith("__") else None
    )


def foreign(items: list[Import], own: AbstractSet[str]) -> list[str]:
    """Return the modules of other packages that some unguarded imports need."""
    return [i.module for i in items if not i.guarded and i.module and not is_own(i.module, own)]


def is_there(module: str) -> bool:
    """Whether a module of another package can be found here. Its parents may be imported for it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def circles(tree: Tree, roots: list[str]) -> list[Reason]:
    """Walk the imports as a cold start would, from its first modules; return those that are too early."""
    start = _ColdStart(tree)
    for root in roots:
        for one in parents(root):
            start.execute(one)
    return start.early


class _ColdStart:
    """Goes through the imports of a tree in the order of their execution."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._done: dict[str, int] = {}  # module -> statements executed so far; -1: all
        self.early: list[Reason] = []

    def execute(self, name: str) -> None:
        """Execute a module, unless that has begun before."""
        if name in self._done or name not in self._tree:
            return
        self._done[name] = 0
        pieces = self._tree[name].parsed.pieces
        for index, (piece, row) in enumerate(zip(pieces, names.of_source(self._tree[name]), strict=True)):
            self._done[name] = index
            if isinstance(piece.node, ast.If) and names.never_runs(piece.node):
                continue  # `if TYPE_CHECKING:`
            for item in row.imports:
                self._fetch(item, name)  # under a `try`, too: what is caught there binds something else
        self._done[name] = -1

    def _fetch(self, item: Import, importer: str) -> None:
        for one in parents(item.module):
            self.execute(one)
        if item.name is None:
            self._read_early(item, item.module, importer)
        elif item.module not in self._tree:
            self.execute(f"{item.module}.{item.name}")  # of a namespace package
        elif item.name == "*":
            self._take_all(item, importer)
        else:
            self._take(item, item.name, importer)

    def _read_early(self, item: Import, module: str, importer: str) -> None:
        """Whether what is bound to a module is read before that module is complete."""
        done = self._done.get(module, -1)
        if done < 0 or module == importer:
            return
        readers = [one for one in _run_at_import(self._tree[importer]) if item.bound in one.reads]
        source = self._tree[module]
        if any(item.bound in one.bare for one in readers) or _is_below(item) or (readers and is_open(source)):
            what = f"{module!r} is imported in a circle, and read while it is not complete"
            if readers:
                self._circle(item, importer, what)
            return
        asked = {attribute for one in readers for name, attribute in one.dotted if name == item.bound}
        bound = names.bound_before(names.of_source(source), done)
        late = sorted(asked & binds(source) - bound)
        if late:
            self._circle(item, importer, f"{module!r} is imported in a circle: {late[0]!r} is not bound yet")

    def _take(self, item: Import, name: str, importer: str) -> None:
        source, child = self._tree[item.module], f"{item.module}.{name}"
        done = self._done.get(item.module, -1)
        bound = binds(source) if done < 0 else names.bound_before(names.of_source(source), done)
        if name in bound:
            return
        if child in self._tree:
            self.execute(child)
            self._read_early(item, child, importer)
        elif done >= 0 and name in binds(source):
            self._circle(
                item, importer, f"{item.module!r} is imported in a circle: {name!r} is not bound yet"
            )

    def _take_all(self, item: Import, importer: str) -> None:
        """Whether a module is not complete yet, and lacks names that a star import of it brings."""
        source, done = self._tree[item.module], self._done.get(item.module, -1)
        if done < 0:
            return
        rows, brought = names.of_source(source), star_names(source, self._tree)
        late = binds(source) - names.bound_before(rows, done)
        lacking = sorted(late & (late if brought is None else brought))
        lacking += [
            f"from {one.module} import *" for row in rows[done:] for one in row.imports if one.name == "*"
        ]
        if lacking:
            what = f"all of {item.module!r} is imported in a circle: it has no {', '.join(lacking)} yet"
            self._circle(item, importer, what)

    def _circle(self, item: Import, importer: str, what: str) -> None:
        hint = "move the import into the function that needs it"
        self.early.append(Reason("import-circle", f"{importer}:{item.line}", what, hint))


def _is_below(item: Import) -> bool:
    """Whether an import binds the package of what it imports."""
    return item.name is None and item.module.startswith(f"{item.bound}.")


def _run_at_import(source: Source) -> list[names.Names | Body]:
    """Return what the import of a module may read: statements, and functions, if one of them may run."""
    rows = names.of_source(source)
    own = {name.partition(".")[0] for row in rows for name in row.bodies}
    decorated = any(getattr(piece.node, "decorator_list", ()) for piece in source.parsed.pieces)
    runs = decorated or any("<lambda>" in row.bodies or row.calls & own for row in rows)
    return [*rows, *(body for row in rows if runs for body in row.bodies.values())]


@once_for_each_source
def _needed(source: Source) -> list[list[str]]:
    """Return the names of what each statement's imports load, in their order, if it is a module."""
    found = []
    for row in names.of_source(source):
        items = dict.fromkeys((item.module, item.name) for item in row.imports)
        needed = (one for module, name in items for one in (*parents(module), f"{module}.{name}"))
        found.append(list(dict.fromkeys(needed)))
    return found


def execution_order(
    tree: Tree,
    roots: list[str],
    late: Mapping[tuple[str, int], list[str]] | None = None,
    comes_past: Callable[[str, int, str], bool] | None = None,
) -> dict[tuple[str, int], int]:
    """Return when a cold start ends each statement: (module, index) -> rank. What no root reaches is last.

    Args:
        tree: the modules.
        roots: those that the server imports, in their order.
        late: statement -> modules that are imported by functions while it runs.
        comes_past: whether a statement, by module and index, names another module and does not load it.
    """
    order: dict[tuple[str, int], int] = {}
    begun: set[str] = set()

    def execute(name: str) -> None:
        if name in begun or name not in tree:
            return
        begun.add(name)
        for index, needed in enumerate(_needed(tree[name])):
            passed = [one for one in needed if comes_past is not None and comes_past(name, index, one)]
            for one in (*needed, *(late or {}).get((name, index), ())):
                if one not in passed:
                    execute(one)
            order[name, index] = len(order)

    for root in [*roots, *tree]:
        for one in parents(root):
            execute(one)
    return order


def star_names(source: Source, tree: Tree, above: frozenset[str] = frozenset()) -> set[str] | None:
    """Return what ``from source import *`` binds; None if that can't be told."""
    if _is_dynamic(source) or source.name in above:
        return None
    found = binds(source)
    for one in names.of_source(source):
        for item in one.imports if one.star else ():
            if item.name == "*":
                more = (
                    star_names(tree[item.module], tree, above | {source.name})
                    if item.module in tree
                    else None
                )
                if more is None:
                    return None
                found |= more
    for piece in source.parsed.pieces:
        node = piece.node
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            try:
                return set(ast.literal_eval(node.value))
            except ValueError:
                return None
    return {name for name in found if not name.startswith("_")}


def imports_differ(old: Tree, new: Tree, changed: set[str]) -> bool:
    """Whether changed modules import other things, or bind names in another order, than before."""

    def outline(source: Source | None) -> list[Any]:
        return [row.outline for row in names.of_source(source)] if source else []

    return any(outline(old.get(name)) != outline(new.get(name)) for name in changed)


def used_too_early(source: Source, indices: set[int] | None, tree: Tree) -> Iterator[Reason]:
    """Yield the names that statements read at import before anything has bound them.

    Args:
        source: the module.
        indices: the statements to look at; None for all.
        tree: the modules of the app: what star imports of them bring is known.
    """
    if indices is not None and not indices:
        return
    rows = names.of_source(source)
    brought = [
        star_names(tree[i.module], tree) if i.module in tree else None
        for row in rows
        for i in row.imports
        if i.name == "*"
    ]
    if _is_dynamic(source) or None in brought:
        return
    known = _ALWAYS.union(*(found for found in brought if found is not None))
    for index, (piece, row) in enumerate(zip(source.parsed.pieces, rows, strict=True)):
        wanted = row.reads - known if indices is None or index in indices else set()
        own = (
            row.binds
            if not isinstance(piece.node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AsyncFunctionDef)
            else set()
        )
        for name in sorted(wanted - own):
            yield Reason(
                "name-order",
                f"{source.name}:{piece.line}",
                f"{name!r} is used before it is defined",
                "define it above this line",
            )
        known |= row.binds
