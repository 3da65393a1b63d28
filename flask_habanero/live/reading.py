"""Who reads a name of another module: under which names, and inside which functions."""

from __future__ import annotations

from collections.abc import Iterable

from ..source import Source
from . import imports, names
from .names import Names


def aliases(rows: Iterable[Names], reader: str, module: str, name: str) -> tuple[set[str], set[str]]:
    """Return what a module calls (module, name), and what it calls the module or a package above it."""
    local = {name} if reader == module else set()
    modules = set()
    above = set(imports.parents(module))
    for row in rows:
        for item in row.imports:
            if item.module == module and item.name == name:
                local.add(item.bound)
            plain = item.name is None and (item.module in above or item.module.startswith(f"{module}."))
            if plain or f"{item.module}.{item.name}" in above:
                modules.add(item.bound)
    return local, modules


def fetches(row: Names, module: str, name: str) -> bool:
    """Whether a statement imports a name of a module."""
    public = name == "__all__" or not name.startswith("_")
    return any(i.module == module and (i.name == name or (i.name == "*" and public)) for i in row.imports)


def fetches_inside(source: Source, qualname: str, module: str, name: str) -> bool:
    """Whether an import inside a function brings a name, or its module."""
    top = qualname.partition(".<locals>")[0]
    for row in names.of_source(source):
        if top in row.bodies:
            direct = any(i.module == module and i.name in (name, "*") for i in row.inner_imports)
            whole = any(module in (i.module, f"{i.module}.{i.name}") for i in row.inner_imports)
            return direct or (whole and name in row.bodies[top].attributes)
    return False


def body_of(source: Source | None, qualname: str) -> names.Body | None:
    """Return what is known of the body of a function; None if the source has none of that name."""
    top = qualname.partition(".<locals>")[0]
    for row in names.of_source(source) if source else ():
        if top in row.bodies:
            return row.bodies[top]
    return None
