"""Who reads a name of another module: under which names, and inside which functions."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from ..piece import Piece
from ..source import Source, once_for_each_source
from . import bodies, names, reach
from .names import Names


@once_for_each_source
def imported(source: Source) -> tuple[tuple[int, names.Import], ...]:
    """Return what a module's statements import while they run, each with the statement's index."""
    return tuple((index, item) for index, row in enumerate(names.of_source(source)) for item in row.imports)


@once_for_each_source
def _by_name(source: Source) -> dict[str, tuple[int, ...]]:
    """Return name -> indices of the statements that read it while they run."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(names.of_source(source)):
        for name in row.reads:
            found[name].append(index)
    return {name: tuple(indices) for name, indices in found.items()}


def readers_of(source: Source, wanted: Iterable[str]) -> set[int]:
    """Return the indices of the statements that read some names while they run."""
    table = _by_name(source)
    return {index for name in wanted for index in table.get(name, ())}


def gets_at(one: Names | bodies.Body, name: str, local: set[str], modules: set[str]) -> bool:
    """Whether a statement or a function may get at a name of a module.

    Args:
        one: what it reads.
        name: the name.
        local: what stands for it there.
        modules: what stands for its module, or for a package above that.
    """
    by_module = bool(modules & one.reads) and (
        not {name, "__dict__"}.isdisjoint(one.attributes) or bool(modules & one.bare)
    )
    looks_up = "modules" in one.attributes  # `sys.modules`
    by_table = looks_up and not (
        {name, "__dict__"}.isdisjoint(one.attributes) and _TABLES.isdisjoint(one.reads)
    )
    return bool(one.reads & local) or by_module or by_table


_TABLES = {"getattr", "vars", "dir", "hasattr"}


@once_for_each_source
def looks_up_modules(source: Source) -> frozenset[int]:
    """Return the indices of the statements that may look a module up in `sys.modules`, while they run."""
    return frozenset(
        index for index, row in enumerate(names.of_source(source)) if "modules" in row.attributes
    )


def importers_of(source: Source, module: str) -> set[int]:
    """Return the indices of the statements that import from a module while they run."""
    return {index for index, item in imported(source) if item.module == module}


def aliases(source: Source, reader: str, module: str, name: str) -> tuple[set[str], set[str]]:
    """Return what a module calls (module, name), and what it calls the module or a package above it."""
    local = {name} if reader == module else set()
    modules = set()
    above = set(reach.parents(module))
    for _, item in imported(source):
        if item.module == module and item.name in (name, "*"):
            local.add(name if item.name == "*" else item.bound)
        plain = item.name is None and (item.module in above or item.module.startswith(f"{module}."))
        if plain or f"{item.module}.{item.name}" in above:
            modules.add(item.bound)
    return local, modules


@once_for_each_source
def _fetched(source: Source) -> tuple[frozenset[tuple[str, str | None]], frozenset[str]]:
    """Return what a module's imports fetch: (module, name), and the modules that a name of its leads to."""
    rows = names.of_source(source)
    outer = [item for row in rows for item in row.imports]
    inner = [item for row in rows for item in row.inner_imports]
    whole = {f"{item.module}.{item.name}" for item in (*outer, *inner)}
    whole |= {above for item in outer if item.name is None for above in reach.parents(item.module)}
    return frozenset((i.module, i.name) for i in (*outer, *inner)), frozenset(
        {*whole, *(i.module for i in inner)}
    )


def may_read(source: Source, module: str, name: str) -> bool:
    """Whether another module may get at a name of a module, by what it imports."""
    fetched, whole = _fetched(source)
    direct = (module, name) in fetched or (module, "*") in fetched
    return direct or not whole.isdisjoint(reach.parents(module))


def fetches(row: Names, module: str, name: str, *, starred: bool) -> bool:
    """Whether a statement imports a name of a module; `starred` if a star import may bring it."""
    return any(i.module == module and (i.name == name or (i.name == "*" and starred)) for i in row.imports)


def brought_inside(source: Source, qualname: str, module: str, name: str) -> set[str]:
    """Return what stands, in a function that imports it itself, for a name of a module, or for the module."""
    top = qualname.partition(".<locals>")[0]
    row = _bodies(source).get(top)
    if row is None:
        return set()
    body, above = row.bodies[top], set(reach.parents(module))
    local = {name if i.name == "*" else i.bound for i in row.inner_imports if _is_of(i, module, name)}
    modules = {
        i.bound.partition(".")[0]
        for i in row.inner_imports
        if f"{i.module}.{i.name}" in above
        or (i.name is None and (i.module in above or i.module.startswith(f"{module}.")))
    }
    asked = not {name, "__dict__"}.isdisjoint(body.attributes)
    return local | (modules if asked or modules & body.bare else set())


def _is_of(item: names.Import, module: str, name: str) -> bool:
    return item.module == module and item.name in (name, "*")


def body_of(source: Source | None, qualname: str) -> bodies.Body | None:
    """Return what is known of the body of a function; None if the source has none of that name."""
    top = qualname.partition(".<locals>")[0]
    row = _bodies(source).get(top) if source is not None else None
    return row.bodies[top] if row is not None else None


def line_of(source: Source, qualname: str) -> int:
    """Return the line at which a function or method is defined; 1 if none of that name is."""
    found = (pair for piece in source.parsed.pieces for pair in names.functions_in(piece.node))
    return next((node.lineno for name, node in found if name == qualname), 1)


@once_for_each_source
def asked_inside(source: Source) -> frozenset[str]:
    """Return the attributes that a module's functions read or write, of anything."""
    every = (body for row in names.of_source(source) for body in row.bodies.values())
    return frozenset(name for body in every for name in body.attributes)


@once_for_each_source
def asked_outside(source: Source) -> frozenset[str]:
    """Return the attributes that a module's statements read or write while they run, of anything."""
    return frozenset(name for row in names.of_source(source) for name in row.attributes)


@once_for_each_source
def _bodies(source: Source) -> dict[str, Names]:
    """Return qualified name of a function -> the first statement that defines one of that name."""
    found: dict[str, Names] = {}
    for row in names.of_source(source):
        for key in row.bodies:
            found.setdefault(key, row)
    return found


@once_for_each_source
def called(source: Source) -> frozenset[str]:
    """Return what a module's statements may call while they run, by its last part."""
    return frozenset(name for row in names.of_source(source) for name in (*row.calls, *row.called_attributes))


def constructed(source: Source, found: AbstractSet[str]) -> set[str]:
    """Return the classes whose constructors read any of some names."""
    return {cls for cls, read in _constructors(source) if not found.isdisjoint(read)}


@once_for_each_source
def _constructors(source: Source) -> list[tuple[str, set[str]]]:
    """Return the classes of a module that have constructors, and what those read."""
    return [
        (key.split(".")[-2], (body.reads | body.attributes) - {"__init__"})
        for row in names.of_source(source)
        for key, body in row.bodies.items()
        if key.endswith(".__init__")
    ]


def is_class(source: Source, qualname: str) -> bool:
    """Whether a source defines a class of that name, at the top or in other classes."""
    first, *more = qualname.split(".")
    found = [one for one in _classes(source) if one.name == first]
    for name in more:
        inside = (one for node in found for one in ast.walk(node) if isinstance(one, ast.ClassDef))
        found = [one for one in inside if one.name == name]
    return bool(found)


@once_for_each_source
def _classes(source: Source) -> tuple[ast.ClassDef, ...]:
    """Return the classes that a module's text defines, at whatever place."""
    nodes = (one for piece in source.parsed.pieces for one in ast.walk(piece.node))
    return tuple(one for one in nodes if isinstance(one, ast.ClassDef))


_IMPORTING = {
    "__import__", "find_modules", "find_spec", "from_object", "get_loader", "import_module", "import_string",
    "locate", "resolve", "resolve_name", "run_module", "run_path",
}  # fmt: skip


def uses_class(
    node: ast.stmt, row: Names, source: Source, local: set[str], through: Callable[[Names], bool]
) -> bool:
    """Whether a statement may read members of a class. A definition may name one for a base or a hint.

    Args:
        node: the statement.
        row: what it reads.
        source: its module.
        local: names of the class there.
        through: whether something reads the class as an attribute of a module.
    """
    if isinstance(node, ast.ClassDef):
        return any(one.calls & local or through(one) for one in _of_members(node, row, source))
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return bool((row.calls if is_function else row.calls | row.bare) & local) or through(row)


def _of_members(node: ast.ClassDef, row: Names, source: Source) -> tuple[Names, ...]:
    """Return the names of each statement of a class's body, which are kept with those of the class."""
    if row.members is None:
        row.members = tuple(names.of_piece(Piece(1, one, ""), source) for one in node.body)
    return row.members


def derives(owner: object, qualname: str, base: object) -> bool:
    """Whether a method may be one of a class that derives from another.

    Args:
        owner: what the first part of its qualified name stands for.
        qualname: that name.
        base: the other class.
    """
    if not (isinstance(owner, type) and isinstance(base, type) and qualname.count(".") == 1):
        return True
    return issubclass(owner, base)


def mentions(node: ast.AST, module: str) -> bool:
    """Whether a string below a node names a module, or something in it, and may be imported by it."""
    called = {getattr(one, "attr", getattr(one, "id", "")) for one in ast.walk(node)}
    if _IMPORTING.isdisjoint(called) and "." not in module:
        return False  # a package's name stands for much else: an app, a logger, a folder
    files = {id(arg) for call in ast.walk(node) if _makes_a_path(call) for arg in ast.iter_child_nodes(call)}
    strings = (
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in files
    )
    return any(text == module or text.startswith((f"{module}.", f"{module}:")) for text in strings)


def _makes_a_path(node: ast.AST) -> bool:
    """Whether a call joins names of files: `shop.db` may be one, beside a module of that name."""
    return (
        isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _OF_PATHS
    )


_OF_PATHS = {"Path", "PurePath", "exists", "isfile", "join", "joinpath", "open"}
