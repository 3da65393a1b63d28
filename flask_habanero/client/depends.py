"""Which edits rest on a held one: they wait with it.

The server goes on with the old version of a held module. An edit elsewhere rests on the new
one if a statement that was edited uses a name of the held module that differs between the two.
Where an old version is not known (nobody saw it here), everything counts as edited: when in
doubt an edit waits, and the person is told for what.

What a view and its template have to do with each other no text tells, but their names: one waits for the
other if it is named there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Mapping

from ..errors import BuildError
from ..piece import Piece
from ..source import Source

Known = Callable[[str], Source | None]
"""Module name -> the version that the server runs, if it was ever seen here."""
EVERY = frozenset({"*"})
Local = tuple[set[str], set[str]]
"""Local names of a module's names, local names of the module itself."""


def waiting(edits: Mapping[str, Source], held: Mapping[str, Source | None], known: Known) -> dict[str, str]:
    """Return which edits wait, and for which module.

    Args:
        edits: what would be sent.
        held: module name -> its version here; None if it is deleted or can't be read.
        known: the server's versions.
    """
    result: dict[str, str] = {}
    pending = {name: _differing(source, known(name)) for name, source in held.items()}
    while pending:
        found = {}
        for name, source in edits.items():
            cause = None if name in result else _rests_on(source, known(name), pending)
            if cause:
                result[name] = cause
                found[name] = _differing(source, known(name))
        pending = found
    return result


def named(edits: Mapping[str, str], held: Mapping[str, str], folders: Collection[str]) -> dict[str, str]:
    """Return which edits wait, and for which file, since one of the two is an asset that the other names.

    Args:
        edits: name -> text of what would be sent, modules and assets.
        held: the same of what is not sent; the text is empty if it is deleted or can't be read.
        folders: those whose files are assets.
    """
    result: dict[str, str] = {}
    pending = dict(held)
    while pending:
        found = {}
        for name, text in edits.items():
            causes = (
                h for h, other in pending.items() if _names(text, h, folders) or _names(other, name, folders)
            )
            cause = None if name in result else next(causes, None)
            if cause:
                result[name], found[name] = cause, text
        pending = found
    return result


def _names(text: str, asset: str, folders: Collection[str]) -> bool:
    """Whether a text has the name of an asset below its folder, as code and templates call it."""
    below = [asset[len(folder) + 1 :] for folder in folders if asset.startswith(f"{folder}/")]
    return any(short in text for short in below)


def _differing(new: Source | None, old: Source | None) -> frozenset[str]:
    """Return the top-level names that two versions define differently; EVERY if that can't be known."""
    before, after = _pieces(old), _pieces(new)
    if before is None or after is None:
        return EVERY
    same = {p.digest for p in before} & {p.digest for p in after}
    names: set[str] = set()
    for piece in (*before, *after):
        if piece.digest not in same:
            names |= _bound(piece.node)
    return frozenset(names)


def _pieces(source: Source | None) -> tuple[Piece, ...] | None:
    try:
        return source.parsed.pieces if source else None
    except BuildError:
        return None


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a top-level statement may bind."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for inner in ast.walk(node):
        if isinstance(inner, ast.alias):
            names.add((inner.asname or inner.name).partition(".")[0])
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(inner.name)
    return names


def _rests_on(new: Source, old: Source | None, pending: Mapping[str, frozenset[str]]) -> str | None:
    pieces = _pieces(new)
    if pieces is None:
        return None
    unchanged = {p.digest for p in _pieces(old) or ()}
    edited = [p.node for p in pieces if p.digest not in unchanged]
    nodes = [p.node for p in pieces]
    for module, names in pending.items():
        if _uses(edited, _local_names(nodes, new, module, names), names):
            return module
    return None


def _local_names(nodes: Iterable[ast.stmt], source: Source, module: str, names: frozenset[str]) -> Local:
    """Return the local names of some of a module's names, and those of the module itself."""
    direct: set[str] = set()
    whole: set[str] = set()
    for node in (n for top in nodes for n in ast.walk(top)):
        if isinstance(node, ast.ImportFrom):
            origin = absolute(node, source)
            for alias in node.names:
                if origin == module and (alias.name in names or names == EVERY or alias.name == "*"):
                    direct.add(alias.asname or alias.name)
                elif f"{origin}.{alias.name}" == module:
                    whole.add(alias.asname or alias.name)
        elif isinstance(node, ast.Import):
            whole |= {alias.asname or alias.name for alias in node.names if alias.name == module}
    return direct, whole


def absolute(node: ast.ImportFrom, source: Source) -> str:
    """Return the name of the module that something is imported from."""
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    package = parts if source.package else parts[:-1]
    base = package[: len(package) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _uses(edited: Iterable[ast.stmt], local: Local, names: frozenset[str]) -> bool:
    direct, whole = local
    if "*" in direct:
        return True
    for node in (n for top in edited for n in ast.walk(top)):
        if isinstance(node, ast.Name) and node.id in direct:
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) in direct:
            return True
        is_of_module = isinstance(node, ast.Attribute) and _dotted(node.value) in whole
        if is_of_module and (names == EVERY or getattr(node, "attr", "") in names):
            return True
    return False


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"
