"""What a working copy keeps of the app's modules and assets: in git's HEAD, or on disk. Reads only."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..asset import Asset, is_asset_name
from ..errors import RefusedError
from ..source import Source, decode_source
from . import git
from .patch import MODE, FileChange, dressed
from .target import Target
from .tree import Tree, name_of
from .view import View

LINK = "120000"  # git's mode of a symbolic link


@dataclass(frozen=True)
class Kept:
    """One file: its path below the copy's folder, git's mode, and its bytes."""

    path: str
    mode: str
    data: bytes


@dataclass(frozen=True)
class Copy:
    """The modules and assets of a working copy.

    Attributes:
        folder: what paths are counted from: the top of the work tree, or the project.
        roots: folders that module names are counted from.
        files: name of a module or an asset -> its file.
    """

    folder: Path
    roots: tuple[Path, ...]
    files: Mapping[str, Kept]

    def digest_of(self, name: str) -> str:
        """Return a content digest, "" if there is no such file; of a module that is no text, no server's."""
        kept = self.files.get(name)
        if kept is None:
            return ""
        if is_asset_name(name):
            return Asset.of(name, kept.data).digest
        try:
            return Source(name, kept.path, _is_package(kept.path), decode_source(kept.data)).digest
        except SyntaxError:
            return "!unreadable"

    def place_of(self, name: str, *, package: bool) -> str:
        """Return the path of a file here; of one that is not here, where it would be.

        By its name, and never by a path that the server tells.
        """
        kept = self.files.get(name)
        if kept is not None and _is_package(kept.path) == package:
            return kept.path
        module = "/".join(name.split(".")) + ("/__init__.py" if package else ".py")
        below = name if is_asset_name(name) else module
        return (self._root_of(name) / below).relative_to(self.folder).as_posix()

    def _root_of(self, name: str) -> Path:
        first = name.partition("/" if is_asset_name(name) else ".")[0]
        homes = (root for root in self.roots if (root / first).is_dir())
        return next(homes, self.roots[0])


def file_changes(
    copy: Copy, old: Mapping[str, Source | Asset | Kept], new: Mapping[str, Source | Asset | Kept]
) -> list[FileChange]:
    """Return what becomes of each file, from one version of the app to another; each asset has its data.

    Raises:
        RefusedError: a source can't be written as a file, or its file here is a link.
    """
    changes = []
    for name in sorted({*old, *new}):
        before, after = _file(copy, name, old.get(name)), _file(copy, name, new.get(name))
        if before and after and before.path == after.path:
            changes.append(FileChange(after.path, before.data, after.data, before.mode))
            continue
        if before:
            changes.append(FileChange(before.path, before.data, None, before.mode))
        if after:  # also where a module became a package
            changes.append(FileChange(after.path, None, after.data, after.mode))
    return [change for change in changes if change.old != change.new]


def _file(copy: Copy, name: str, version: Source | Asset | Kept | None) -> Kept | None:
    """Return a version of a file as one of the copy; a source in the form of the file that is there."""
    there = copy.files.get(name)
    if there is not None and there.mode == LINK:
        raise RefusedError(f"{there.path} is a symbolic link in git: no patch can tell its text")
    if version is None or isinstance(version, Kept):
        return version
    path = copy.place_of(name, package=isinstance(version, Source) and version.package)
    mode = there.mode if there and there.path == path else MODE
    if isinstance(version, Asset):
        assert version.data is not None  # the caller left out what is not to be had
        return Kept(path, mode, version.data)
    try:
        data = dressed(version.text, there.data if there else None)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}") from None
    return Kept(path, mode, data)


def _is_package(path: str) -> bool:
    return path.rpartition("/")[2] == "__init__.py"


def in_head(target: Target, view: View, assets: Collection[str]) -> Copy | None:
    """Return what HEAD of the target's repository has; None outside git, and before a first commit.

    Args:
        target: whose.
        view: says which modules there may be.
        assets: the names of those that are wanted.
    """
    top = git.top(target.project)
    files = None if top is None else git.committed(top)
    roots = tuple(root.resolve() for root in target.roots)
    if top is None or files is None or not all(root.is_relative_to(top) for root in roots):
        return None
    tree = Tree(roots, frozenset(view.modules), frozenset(view.tree))
    wanted = {(root / name).relative_to(top).as_posix(): name for root in roots for name in assets}
    found = {}
    for path, (mode, each) in files.items():
        name = _named(top / path, tree) if path.endswith(".py") else wanted.get(path)
        if name is not None:
            found[name] = (path, mode, each)
    data = git.contents(top, [each for _, _, each in found.values()])
    if data is None:
        return None
    kept = zip(found.items(), data, strict=True)
    return Copy(top, roots, {name: Kept(path, mode, text) for (name, (path, mode, _)), text in kept})


def _named(path: Path, tree: Tree) -> str | None:
    below = (root for root in tree.roots if path.is_relative_to(root))
    return next((name for name in (name_of(root, path, tree) for root in below) if name), None)


def on_disk(target: Target, tree: Tree) -> Copy:
    """Return the modules and assets that lie in the tree now."""
    roots = {root: root.resolve() for root in target.roots}
    folder = _folder(target, tuple(roots.values()))
    files = {}
    for path, name in tree.files.items():
        root = next(root for root in target.roots if path.is_relative_to(root))
        shown = (roots[root] / path.relative_to(root)).relative_to(folder).as_posix()
        with suppress(OSError):  # it has just gone, or can't be read: `Tree.broken` says so
            files[name] = Kept(shown, MODE, path.read_bytes())
    return Copy(folder, tuple(roots.values()), files)


def _folder(target: Target, roots: tuple[Path, ...]) -> Path:
    """Return the folder that all roots are in: the top of the work tree, else the project, else another."""
    likely = (git.top(target.project), target.project.resolve())
    found = (place for place in likely if place and all(root.is_relative_to(place) for root in roots))
    return next(found, Path(os.path.commonpath(roots)))
