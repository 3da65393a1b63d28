"""Modules that no import names yet: on the server they wait until one does; beside the app they are not sent.

What code imports by names that it makes up is not seen: so people are told what was not found, and
nothing is decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from .lacking import imports_of
from .tree import Tree

_IMPORT = re.compile(
    r"(?:^|[:;])[ \t]*(?:"
    r"from\b(?:\\\n|[^\n])*?\bimport[ \t]*\([^)]*\)"
    r"|(?:from|import)\b(?:[^\n]*\\\n)*[^\n]*)",
    re.MULTILINE,
)
"""What looks like an import statement, in a text that nobody parsed."""


def unimported(tree: Tree, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of some modules that no other module of a tree imports, anywhere in it."""
    modules = [name for name in names if name in tree.sources]
    by = _importers(tree, modules) if modules else {}
    return tuple(name for name in modules if not any(_is_outside(one, name) for one in by.get(name, ())))


def _importers(tree: Tree, modules: Iterable[str]) -> dict[str, set[str]]:
    """Return module -> who imports it, or what is in it. Only what may do so is parsed."""
    last = {re.escape(name.rpartition(".")[2]) for name in modules}
    word = re.compile(rf"\b(?:{'|'.join(sorted(last))})\b")  # who imports a module writes that somewhere
    found: dict[str, set[str]] = {}
    for name, source in tree.sources.items():
        likely = any(word.search(text) for text in _IMPORT.findall(source.text))
        for other in imports_of(source) if likely else ():
            parts = other.split(".")
            for length in range(1, len(parts) + 1):
                found.setdefault(".".join(parts[:length]), set()).add(name)
    return found


def _is_outside(name: str, module: str) -> bool:
    return name != module and not name.startswith(f"{module}.")


def aside(tree: Tree, paths: Collection[Path] | None = None) -> tuple[str, ...]:
    """Return what lies beside the app's modules and is not sent, since none of them imports it.

    Args:
        tree: what was read.
        paths: of these files only; else of all.
    """
    alone = {(root, top) for root, top in tree.beside - tree.taken if top.isidentifier()}
    if paths is None:
        return tuple(sorted(_shown(root, top) for root, top in alone))
    return tuple(
        sorted(
            path.relative_to(root).as_posix()
            for path in paths
            for root in tree.roots
            if path not in tree.files and path.is_relative_to(root) and path.is_file()
            if (root, path.relative_to(root).parts[0].removesuffix(".py")) in alone
        )
    )


def _shown(root: Path, top: str) -> str:
    return f"{top}.py" if (root / f"{top}.py").is_file() else f"{top}/"
