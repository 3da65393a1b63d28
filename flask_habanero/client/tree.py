"""The laptop's tree: which files are which modules and assets, and what is in them.

- A module's name is its path below a root; folders without ``__init__.py`` are namespaces.
- Where there is a repository its ignore rules hold, else a list of folders that are nobody's code.
- Only modules under the top-level names that the server allows count; the others are counted. Where it
  allows new ones beside the app's, those that known modules import do, too (`beside.py`).
- An asset's name is its path below a root; those count that lie in the server's folders of assets.
- A file that can't be read is *broken*, never absent: absence would delete it on the server.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

from ..asset import MAX_ASSET, Asset, digests, is_asset_folder, is_asset_name
from ..errors import BuildError
from ..source import Source, decode_source
from . import git
from .beside import BESIDE, imported, may_be_new

IGNORED = frozenset(
    {"__pycache__", "venv", "env", "virtualenv", "node_modules", "build", "dist", "instance", "site-packages"}
    | {"htmlcov", "tests", "test"}
)
TESTS = frozenset({"tests", "test"})  # in a repository, too, unless the server runs them
CLASH = "!clash"  # in the place of a digest: two files are it
_PART = re.compile(r"\A[^\W\d]\w*\Z", re.ASCII)
_Top = tuple[Path, str]
"""A root, and a top-level name below it."""
_Listed = tuple[Path, Path]
"""A root, and a file below it."""


@dataclass(frozen=True)
class Tree:
    """Modules and assets as they were read.

    Attributes:
        roots: folders that names are counted from.
        allowed: top-level names that may change.
        known: modules and assets that the server runs.
        sources: module name -> source.
        broken: name -> why its file gives no source, or asset.
        files: file -> name, of sources, assets and broken ones.
        raw: name -> digest of a broken file's bytes.
        ignored: how many Python files lie under other names.
        folders: names of the folders whose files are assets.
        assets: name -> asset.
        beside: root and top-level name of what lies beside the app's modules, and may be new ones.
        taken: those of them that known modules import.
    """

    roots: tuple[Path, ...]
    allowed: frozenset[str]
    known: frozenset[str]
    sources: Mapping[str, Source] = field(default_factory=dict)
    broken: Mapping[str, BuildError] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    raw: Mapping[str, str] = field(default_factory=dict)
    ignored: int = 0
    folders: tuple[str, ...] = ()
    assets: Mapping[str, Asset] = field(default_factory=dict)
    beside: frozenset[_Top] = frozenset()
    taken: frozenset[_Top] = frozenset()

    @cached_property
    def tops(self) -> frozenset[str]:
        """The top-level names that count below each root: of new modules, those that the server has."""
        new = self.known if BESIDE in self.allowed else ()
        return self.allowed.union(name.partition(".")[0] for name in new if "/" not in name)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Name -> digest. A broken one's is like no digest that a server can have."""
        sources = {name: source.digest for name, source in self.sources.items()}
        return {**sources, **digests(self.assets), **self.raw}

    def text_of(self, name: str) -> str:
        """Return a file's text as far as it is one; of what is deleted or can't be read, none."""
        if name in self.assets:
            return (self.assets[name].data or b"").decode(errors="replace")
        return self.sources[name].text if name in self.sources else ""

    def path_of(self, name: str) -> str:
        """Return what a person calls a file."""
        if "/" in name:
            return name
        if name in self.sources:
            return self.sources[name].path
        return self.broken[name].path if name in self.broken else name.replace(".", "/") + ".py"


def read_tree(
    roots: Collection[Path],
    allowed: Collection[str],
    known: Collection[str] = (),
    folders: Collection[str] = (),
) -> Tree:
    """Read all modules and assets under some roots.

    Args:
        roots: where names are counted from.
        allowed: top-level names of modules.
        known: modules and assets that the server runs.
        folders: names of the folders whose files are assets.
    """
    tree = Tree(tuple(roots), frozenset(allowed), frozenset(known), folders=tuple(folders))
    listed = [(root, path) for root in tree.roots for path in _listed(root, tree.folders)]
    tree, rest = _with_listed(tree, listed)
    if BESIDE in tree.allowed:
        tops = ((root, path.relative_to(root).parts[0].removesuffix(".py")) for root, path in rest)
        tree = replace(tree, beside=frozenset((root, top) for root, top in tops if may_be_new(top)))
        tree, rest = _with_new_ones(tree, rest)
    return replace(tree, ignored=len(rest))


def _with_listed(tree: Tree, listed: Iterable[_Listed]) -> tuple[Tree, list[_Listed]]:
    """Read the files that count. Returns the tree with them, and the Python files that do not."""
    found: dict[str, list[Path]] = {}
    rest = []
    for root, path in listed:
        code = path.suffix == ".py"
        name = name_of(root, path, tree) if code else asset_name_of(root, path, tree.folders)
        if name is not None:
            found.setdefault(name, []).append(path)
        elif code:
            rest.append((root, path))
    clashes = {name: paths for name, paths in found.items() if len(paths) > 1}
    single = {name: paths[0] for name, paths in found.items() if name not in clashes}
    return _with_clashes(_with_files(tree, single), clashes), rest


def _with_new_ones(tree: Tree, rest: list[_Listed]) -> tuple[Tree, list[_Listed]]:
    """Add what the modules that count import from beside them, and what those import, and so on."""
    seen: set[Path] = set()
    while more := {top for path in tree.files.keys() - seen for top in _imports(tree, path) or ()}:
        seen.update(tree.files)
        tree, rest = _with_listed(replace(tree, taken=tree.taken | more), rest)
    return tree, rest


def _imports(tree: Tree, path: Path) -> frozenset[_Top] | None:
    """Return what a file imports of what lies beside the app's modules; None if it is no Python."""
    source = tree.sources.get(tree.files.get(path, ""))
    if source is None:
        return None if path in tree.files else frozenset()
    home = path.parents[source.name.count(".") + source.package]
    found = imported(source, {top for root, top in tree.beside if root == home})
    return None if found is None else frozenset((home, top) for top in found)


def reread_tree(tree: Tree, paths: Iterable[Path]) -> Tree:
    """Read some files again. One that is new to the tree, or imports others, costs a look at all of them."""
    changed = {path: tree.files.get(path) for path in paths}
    # Of two files that are one module, either may be it alone now
    if any(tree.raw.get(name) == CLASH if name else path.exists() for path, name in changed.items()):
        return read_tree(tree.roots, tree.allowed, tree.known, tree.folders)
    names = {name: path for path, name in changed.items() if name is not None}
    kept = replace(
        tree,
        sources={n: s for n, s in tree.sources.items() if n not in names},
        assets={n: a for n, a in tree.assets.items() if n not in names},
        broken={n: e for n, e in tree.broken.items() if n not in names},
        files={p: n for p, n in tree.files.items() if n not in names},
        raw={n: d for n, d in tree.raw.items() if n not in names},
    )
    again = _with_files(kept, names)
    code = [path for path in changed if path.suffix == ".py" and tree.beside]
    if any(_imports(tree, path) != _imports(again, path) for path in code):
        return read_tree(tree.roots, tree.allowed, tree.known, tree.folders)  # new modules may come, or go
    return again


def is_on_disk(tree: Tree, name: str) -> bool:
    """Whether a module or an asset has a file under some root, ignored or not: then it was not deleted."""
    if "/" in name:
        return any((root / name).exists() for root in tree.roots)
    below = Path(*name.split("."))
    places = (
        root / place for root in tree.roots for place in (below.with_suffix(".py"), below / "__init__.py")
    )
    return any(place.exists() for place in places)


def name_of(root: Path, path: Path, tree: Tree) -> str | None:
    """Return the name of a file's module, or None if it is no module that may change."""
    *folders, file = path.relative_to(root).parts
    stem = file.removesuffix(".py")
    parts = folders if stem == "__init__" else [*folders, stem]
    if not parts or not all(map(_PART.match, parts)):
        return None
    if parts[0] not in tree.tops and (root, parts[0]) not in tree.taken:
        return None
    name = ".".join(parts)
    return None if TESTS.intersection(folders) and name not in tree.known else name


def asset_name_of(root: Path, path: Path, folders: Collection[str]) -> str | None:
    """Return the name of a file as an asset, or None if it is none."""
    name = path.relative_to(root).as_posix()
    return name if is_asset_name(name) and any(name.startswith(f"{folder}/") for folder in folders) else None


def _listed(root: Path, folders: Collection[str]) -> Iterator[Path]:
    # git takes no path through a link
    real = [folder for folder in folders if (root / folder).resolve() == root.resolve() / folder]
    names = git.listed(root, real)
    if names is None:
        # one folder may lie in another
        return iter(dict.fromkeys(chain(walk(root), *(walk_assets(root / folder) for folder in folders))))
    return (path for path in map(root.joinpath, names) if path.is_file())  # git lists what was deleted, too


def walk(root: Path) -> Iterator[Path]:
    """Yield the Python files below a folder, without hidden folders and those that are nobody's code."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if is_code_folder(name))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def walk_assets(root: Path) -> Iterator[Path]:
    """Yield the files below a folder of assets that may be assets."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(filter(is_asset_folder, folders))
        yield from (Path(folder, name) for name in sorted(files) if is_asset_name(f"{root.name}/{name}"))


def is_code_folder(name: str) -> bool:
    """Whether a folder of that name may hold code of the project."""
    return not name.startswith(".") and name not in IGNORED and not name.endswith(".egg-info")


def _with_files(tree: Tree, files: Mapping[str, Path]) -> Tree:
    sources, broken, raw = dict(tree.sources), dict(tree.broken), dict(tree.raw)
    places, assets = dict(tree.files), dict(tree.assets)
    for name, path in files.items():
        shown = _below(tree.roots, path)
        try:
            if "/" in name and not _is_taken(path, known=name in tree.known):
                continue
            data = path.read_bytes()
            if "/" in name:
                assets[name], places[path] = Asset.of(name, data), name
                continue
            sources[name] = Source(name, shown, path.name == "__init__.py", decode_source(data))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            continue  # gone since it was listed
        except OSError as error:
            broken[name] = BuildError(shown, 1, 1, "", error.strerror or "can't be read")
            raw[name] = "!unreadable"
        except _TooLargeError:
            what = f"larger than {MAX_ASSET} bytes, so it does not go with the code: deploy it"
            broken[name] = BuildError(shown, 1, 1, "", what)
            raw[name] = "!large"
        except SyntaxError as error:
            broken[name] = BuildError(shown, 1, 1, "", error.msg)
            raw[name] = "!" + hashlib.sha256(data).hexdigest()
        places[path] = name
    return replace(tree, sources=sources, assets=assets, broken=broken, raw=raw, files=places)


class _TooLargeError(Exception):
    pass


def _is_taken(path: Path, *, known: bool) -> bool:
    """Whether a file may be an asset: no link, and not too large, which is an error if the server has it."""
    if path.is_symlink():
        return False
    small = path.stat().st_size <= MAX_ASSET
    if known and not small:
        raise _TooLargeError
    return small


def _with_clashes(tree: Tree, clashes: Mapping[str, list[Path]]) -> Tree:
    """Add modules of which there are two files: neither is sent, neither counts as deleted."""
    broken, raw, places = dict(tree.broken), dict(tree.raw), dict(tree.files)
    for name, paths in clashes.items():
        both = " and ".join(map(str, paths))
        shown = _below(tree.roots, paths[0])
        kind = "asset" if "/" in name else "module"
        broken[name] = BuildError(shown, 1, 1, "", f"two files are the {kind} {name}: {both}; remove one")
        raw[name] = CLASH
        places.update(dict.fromkeys(paths, name))
    return replace(tree, broken=broken, raw=raw, files=places)


def _below(roots: Iterable[Path], path: Path) -> str:
    text = str(path)
    for root in roots:
        prefix = os.path.join(root, "")  # noqa: PTH118  # ends with a separator
        if text.startswith(prefix):
            return Path(text[len(prefix) :]).as_posix()
    return path.name
