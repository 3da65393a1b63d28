"""What `doctor` asks of the app on the laptop: would it import here? Nothing of it is run to find out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec

from ..errors import BuildError
from ..source import Source
from .finding import Case, Told, ok, warn
from .tree import Tree, read_tree


def imports(case: Case) -> Told:
    """Compile each module, and look whether what it imports as it is imported itself is installed here."""
    tree = read_tree(case.roots, case.view.modules, case.view.tree)
    missing: dict[str, str] = {}
    for source in tree.sources.values():
        try:
            names = set(_first_names(source))
        except BuildError as error:
            return warn(str(error), "correct it; what is live goes on, and other files are sent")
        missing |= {name: source.name for name in names if name not in missing and _is_missing(tree, name)}
    if missing:
        found = ", ".join(f"{name} (by {module})" for name, module in sorted(missing.items()))
        what = f"imported, and not installed here: {found}. To push, only the server needs it"
        return warn(what, "for tests and `flask run` here, install it in this environment")
    return ok(f"{len(tree.sources)} modules compile, and what they import is installed here")


def _first_names(source: Source) -> Iterator[str]:
    """Yield the top-level names that importing a module imports in any case. Raises BuildError."""
    for piece in source.parsed.pieces:
        if isinstance(piece.node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in piece.node.names)
        elif isinstance(piece.node, ast.ImportFrom) and not piece.node.level:
            yield (piece.node.module or "").partition(".")[0]


def _is_missing(tree: Tree, name: str) -> bool:
    if any((root / name).is_dir() or (root / f"{name}.py").is_file() for root in tree.roots):
        return False
    try:
        return find_spec(name) is None
    except ValueError:  # a module without a spec, which is there
        return False
