"""Folders of assets: where the templates and static files lie of an app, and of its blueprints.

A folder counts if it lies below one in which modules of the app lie, and if it belongs to an app or a
blueprint that one of them made: libraries bring templates, too. Templates count where Jinja reads
them from files, which is Flask's own way; who gives an app another loader keeps it.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flask.sansio.app import App
from flask.templating import DispatchingJinjaLoader
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader

from ..asset import MAX_ASSET, MAX_ASSETS, Asset, is_asset_folder, is_asset_name
from . import registrations

if TYPE_CHECKING:
    from flask.sansio.scaffold import Scaffold

    from .program import Program

log = logging.getLogger("flask_habanero")


@dataclass(frozen=True)
class Area:
    """Where assets lie.

    Attributes:
        name: its path below the folder in which the modules lie: "shop/templates".
        place: its path on this machine, as Flask has it.
        is_of_templates: what lies there are templates, not static files.
    """

    name: str
    place: str
    is_of_templates: bool

    def holds(self, asset: str) -> bool:
        """Whether an asset of that name lies in it."""
        return asset.startswith(self.name + "/")

    def place_of(self, asset: str) -> str:
        """Return where an asset that lies in it is on this machine."""
        return f"{self.place}/{asset[len(self.name) + 1 :]}"


@dataclass(frozen=True)
class Folder(Area):
    """One folder of assets, and whose it is.

    Attributes:
        app: the app that it belongs to.
        loader: what reads templates from it; None for static files.
    """

    app: App
    loader: FileSystemLoader | None = None


def folders(program: Program) -> list[Folder]:
    """Return all folders of assets, as they are now: a release may bring another blueprint."""
    apps = sorted((t for t in list(registrations.targets) if isinstance(t, App)), key=lambda app: app.name)
    return [
        found
        for app in apps
        for owner in (app, *app.blueprints.values())
        for found in _of(owner, app, program)
    ]


def _of(owner: Scaffold, app: App, program: Program) -> Iterator[Folder]:
    module = program.unit_name(owner.import_name)
    root = program.belongs.folder(module) if program.belongs.allows(module) else None
    for place, loader in _places(owner, app) if root is not None else ():
        name = _name(str(root), place)
        if name is not None:
            yield Folder(name, os.path.normpath(place), loader is not None, app, loader)


def _places(owner: Scaffold, app: App) -> Iterator[tuple[str, FileSystemLoader | None]]:
    if owner.static_folder is not None:
        yield owner.static_folder, None
    for loader in _file_loaders(_loader(owner, app)):
        yield from ((place, loader) for place in loader.searchpath)


def _loader(owner: Scaffold, app: App) -> BaseLoader | None:
    env = app.__dict__.get("jinja_env")
    if env is None or isinstance(env.loader, DispatchingJinjaLoader):
        return owner.jinja_loader
    return env.loader if owner is app else None  # the app's own word: Jinja asks nobody else


def _file_loaders(loader: BaseLoader | None) -> Iterator[FileSystemLoader]:
    if type(loader) is FileSystemLoader:
        yield loader
    elif type(loader) is ChoiceLoader:
        for one in loader.loaders:
            yield from _file_loaders(one)


@cache  # asked for each folder several times at each push
def _name(root: str, place: str) -> str | None:
    """Return the name of a folder, if it has one: it lies below the root, and in nothing hidden."""
    real = Path(place).resolve()
    name = real.relative_to(root).as_posix() if real.is_relative_to(root) else ""
    return name if is_asset_folder(name) and "site-packages" not in name.split("/") else None


def read(every: Iterable[Area]) -> tuple[dict[str, Asset], frozenset[str]]:
    """Return the assets on the disk: templates with their bytes, of static files the digests.

    And the names of the folders that have too many files: those are left out.
    """
    found: dict[str, Asset] = {}
    crowded = set()
    for folder in every:
        files = list(islice(_files(folder), MAX_ASSETS + 1))  # what is beyond is not looked at
        if len(files) > MAX_ASSETS:
            log.warning("%s has more than %d files: none of them can go live", folder.name, MAX_ASSETS)
            crowded.add(folder.name)
            continue
        for name, path in files:
            asset = _asset(name, path, template=folder.is_of_templates)
            if asset is not None and (name not in found or asset.data is not None):
                found[name] = asset
    return found, frozenset(crowded)


def is_other(asset: Asset, every: list[Folder]) -> bool:
    """Whether in a static file's place another one lies by now, or none; not if its folder is nobody's."""
    places = [folder.place_of(asset.name) for folder in every if folder.holds(asset.name)]
    there = (_read(asset.name, place) for place in places)
    return bool(places) and all(one is None or one.digest != asset.digest for one in there)


def is_fixed(name: str, every: Iterable[Area]) -> bool:
    """Whether this process can neither write an asset's file, nor put another one in its place."""
    places = [folder.place_of(name) for folder in every if folder.holds(name)]
    return bool(places) and not any(_can_write(place) for place in places)


def _can_write(place: str) -> bool:
    folder = os.path.dirname(place)  # noqa: PTH120  # a text, as above
    return not os.path.isdir(folder) or os.access(folder, os.W_OK) or os.access(place, os.W_OK)  # noqa: PTH112  # too


def _files(folder: Area) -> Iterator[tuple[str, str]]:
    """Yield the names of a folder's files, and where they are: as texts, a Path takes ten times as long."""
    for place, folders, files in os.walk(folder.place):
        folders[:] = sorted(name for name in folders if is_asset_folder(name))
        above = folder.name + place[len(folder.place) :].replace(os.sep, "/")
        for file in sorted(files):
            if is_asset_name(f"{above}/{file}"):
                yield f"{above}/{file}", f"{place}/{file}"


def data_of(asset: Asset, every: list[Folder]) -> bytes | None:
    """Return the bytes of a static file from the disk; None if they are not there any more."""
    there = (_read(asset.name, folder.place_of(asset.name)) for folder in every if folder.holds(asset.name))
    return next((one.data for one in there if one is not None and one.digest == asset.digest), None)


def _asset(name: str, path: str, *, template: bool) -> Asset | None:
    """Return a file as an asset, of a template with its text; None if it is none."""
    asset = _read(name, path)
    if asset is None or (template and _is_text(asset)):
        return asset
    return Asset(name, asset.digest, None)


def _read(name: str, path: str) -> Asset | None:
    """Return a file as an asset with its bytes; None if it is none: a link, too large."""
    try:
        about = os.lstat(path)
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_ASSET:
            return None
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # as above
            return Asset.of(name, file.read())
    except OSError:
        return None


def _is_text(asset: Asset) -> bool:
    try:
        (asset.data or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
