"""The overlay: assets that were pushed, in front of those on the disk, which is never written.

- Templates: the loaders that read the folders ask here first, each in its own turn. So an app's own
  templates still go before those of its blueprints.
- Static files: ``send_from_directory``, by which Flask sends them, asks here first.

What is served is one mapping, exchanged at one moment; with nothing in it all is as it was.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import werkzeug.utils
from jinja2 import Environment, FileSystemLoader, TemplateNotFound, TemplateSyntaxError
from jinja2.loaders import split_template_path
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join

from ..asset import Asset, Assets, changed_assets, digests
from ..errors import AssetError, Reason
from . import steps, templates
from .folders import Area, Folder, data_of, folders, is_fixed, is_other, read
from .plan import Plan, Step

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from flask.sansio.app import App
    from werkzeug import Response

    from .program import Program

MAX_HELD = 32 * 2**20  # bytes of all templates, and of the static files that were pushed, in each worker

Found = tuple[str, str | None, Callable[[], bool] | None]
"""A template as Jinja's loaders return it: text, file name, whether it is still that."""


class Overlay:
    """What one process serves in the place of files. Made with the program, does nothing by itself.

    Attributes:
        assets: what the process serves, as the ledger has it: those on the disk and those pushed.
        served: place on the disk -> what is served there: an asset, or None for nothing.
        since: when that came to be, seconds since 1970.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        # names that were in a state, for others are the app's own doing; and those that releases changed here
        self._known: frozenset[str] = frozenset()
        self._touched: frozenset[str] = frozenset()
        self.assets: Assets = {}
        self.served: Mapping[str, Asset | None] = {}
        self.since = 0.0

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders whose files are assets."""
        return tuple(sorted({folder.name for folder in folders(self._program)} - self.crowded))

    @property
    def crowded(self) -> frozenset[str]:
        """The names of folders whose files are none, because there were too many at the start."""
        return self._read[1]

    @property
    def disk(self) -> dict[str, Asset]:
        """The assets on the disk, as this process found them when it was asked first."""
        return self._read[0]

    def is_template(self, name: str) -> bool:
        """Whether an asset is a template, by the folder in which it lies."""
        return any(folder.loader is not None and folder.holds(name) for folder in folders(self._program))

    def is_fixed(self, name: str) -> bool:
        """Whether this process can't have changed the file of an asset on the disk."""
        return is_fixed(name, folders(self._program))

    def data_of(self, asset: Asset) -> bytes | None:
        """Return an asset's bytes, of what nobody pushed from the disk; None if they are there no more."""
        return asset.data if asset.data is not None else data_of(asset, folders(self._program))

    @cached_property
    def areas(self) -> tuple[Area, ...]:
        """Where the assets on the disk lay, as this process found them when it was asked first."""
        return tuple(folders(self._program))

    @cached_property
    def _read(self) -> tuple[dict[str, Asset], frozenset[str]]:
        return read(self.areas)

    def found(self, areas: Iterable[Area]) -> None:
        """Note where the assets on the disk lie, where the modules are not those that lie there."""
        self.areas = tuple(areas)

    def begin(self, assets: Assets) -> None:
        """Note what the ledger says of the assets with which this process started.

        Templates are what the disk says. Static files are what they were when the epoch began: the app may
        have written there since.
        """
        there = digests(self.disk)
        alike = {n: a for n, a in assets.items() if a.data is None or there.get(n) == a.digest}
        self.assets = {name: asset for name, asset in self.disk.items() if asset.data is not None} | alike
        self._known = frozenset(self.assets)

    # planning

    def check(self, target: Assets) -> None:
        """Check that assets can be served.

        Raises:
            AssetError: a template among them is none; together they are too large.
        """
        size = sum(len(asset.data) for asset in target.values() if asset.data is not None)
        if size > MAX_HELD:
            what = f"{size} bytes of templates and of pushed static files, {MAX_HELD} is the most"
            raise AssetError((Reason("assets-size", "", what, "deploy, which makes them files on disk"),))
        every, environments = folders(self._program), dict[int, Environment]()
        fresh = [target[name] for name in changed_assets(self.assets, target) if name in target]
        reasons = [
            reason
            for asset in fresh
            for folder in every
            if folder.loader is not None and folder.holds(asset.name) and not _is_static(asset, folder, every)
            for reason in _wrong_template(asset, folder, environments)
        ]
        if reasons:
            raise AssetError(tuple(dict.fromkeys(reasons)))

    def changes_templates(self, target: Assets, before: Assets | None = None) -> bool:
        """Whether templates would be others than those that are served, or than before, or tell others.

        They tell others where addresses of static files tell of their content (`contrib.static`).
        """
        every = [one for one in folders(self._program) if one.loader is not None or _is_versioned(one.app)]
        changed = changed_assets(self.assets if before is None else before, target)
        return any(folder.holds(name) for name in changed for folder in every)

    def check_readers(self, readers: Iterable[Reason], target: Assets) -> None:
        """Check that nothing reads templates at a start that does not find these there, or has read others.

        Raises:
            AssetError: something does, by these reasons.
        """
        found = tuple(readers)
        if found and (self.changes_templates(target) or self.changes_templates(target, self.disk)):
            raise AssetError(found)

    def plan(self, plan: Plan, target: Assets) -> None:
        """Note in a plan that these are the assets to serve. Raises AssetError as `check` does."""
        names = changed_assets(self.assets, target)
        if names:
            plan.assets = target
            every = folders(self._program)
            plan.steps = (*plan.steps, *(self._step(name, target, every) for name in names))

    def _step(self, name: str, target: Assets, every: list[Folder]) -> Step:
        sign = "-" if name not in target else "~" if name in self.assets else "+"
        is_template = any(folder.loader is not None and folder.holds(name) for folder in every)
        words: tuple[str, ...] = (f"{sign}{'template' if is_template else 'static'}",)
        if name in target and target[name].data is None and is_other(target[name], every):
            words += ("(as it is on the server's disk now, which has another one than then)",)
        return Step("", name, words)

    # serving

    def serve(self, target: Assets, done: list[Callable[[], None]]) -> None:
        """Serve these assets from now on; what takes that back is added to `done`."""
        before = self.assets, self._known, self._touched, self.served, self.since

        def inverse() -> None:
            self.assets, self._known, self._touched, self.served, self.since = before
            templates.forget()

        done.append(inverse)
        every = folders(self._program)
        self._known |= target.keys()
        self._touched |= set(changed_assets(self.assets, target))
        self.assets, self.since = target, time.time()
        self.served = {
            folder.place_of(name): target.get(name)
            for name in self._known
            if self._is_other_than_disk(name, target)
            for folder in every
            if folder.holds(name)
        }
        self._install(every, done)
        templates.forget()

    def _is_other_than_disk(self, name: str, target: Assets) -> bool:
        if name not in target:
            return True
        if target[name].data is None:
            return False
        # what a release has changed may be on the disk by now: a laptop and a server may share their folder
        there = self.disk.get(name)
        return name in self._touched or there is None or there.digest != target[name].digest

    def _install(self, every: list[Folder], done: list[Callable[[], None]]) -> None:
        """Let those ask us who serve the files. Once each: it stays when the overlay is empty again."""
        for folder in every:
            if folder.loader is not None and "get_source" not in vars(folder.loader):
                asking = Templates(self, folder.loader)
                methods = {"get_source": asking.get_source, "list_templates": asking.list_templates}
                done.append(steps.Assign(folder.loader, methods).apply())
        if not isinstance(werkzeug.utils.send_from_directory, Statics):
            sends = {"send_from_directory": Statics(self, werkzeug.utils.send_from_directory)}
            done.append(steps.Assign(werkzeug.utils, sends).apply())


class Templates:
    """In the place of a file loader's methods: the same folders in the same order, with the overlay."""

    def __init__(self, overlay: Overlay, loader: FileSystemLoader) -> None:
        self._overlay, self._loader = overlay, loader

    def get_source(self, environment: Environment, template: str) -> Found:
        """Return a template. Raises TemplateNotFound."""
        parts = split_template_path(template)
        for place in self._loader.searchpath:
            path, served = place_of(place, *parts), self._overlay.served
            if path not in served:
                try:
                    return self._alone(place).get_source(environment, template)
                except TemplateNotFound:
                    continue
            asset = served[path]
            if asset is not None:
                text = (asset.data or b"").decode()
                return text, path, partial(self._is_served, path, asset)
        raise TemplateNotFound(template)

    def _is_served(self, path: str, asset: Asset) -> bool:
        return self._overlay.served.get(path) is asset

    def list_templates(self) -> list[str]:
        """Return the names of all templates."""
        found: set[str] = set()
        for place in self._loader.searchpath:
            base, served = place_of(place) + "/", self._overlay.served
            found.update(one for one in self._alone(place).list_templates() if base + one not in served)
            found.update(
                path[len(base) :] for path, asset in served.items() if asset and path.startswith(base)
            )
        return sorted(found)

    def _alone(self, place: str) -> FileSystemLoader:
        """Return a loader that does for one folder what ours did."""
        return FileSystemLoader(place, self._loader.encoding, self._loader.followlinks)


class Statics:
    """In the place of werkzeug's ``send_from_directory``, which Flask calls by that name."""

    def __init__(self, overlay: Overlay, send: Callable[..., Response]) -> None:
        self._overlay, self._send = overlay, send

    def __call__(
        self,
        directory: os.PathLike[str] | str,
        path: os.PathLike[str] | str,
        environ: WSGIEnvironment,
        **more: Any,
    ) -> Response:
        """Return a response with a file of a folder. Raises NotFound."""
        served, below = self._overlay.served, safe_join(os.fspath(directory), os.fspath(path))
        place = place_of(more.get("_root_path") or "", below) if below is not None else ""
        if place not in served:
            return self._send(directory, path, environ, **more)
        asset = served[place]
        if asset is None:
            raise NotFound
        known = {"download_name": os.path.basename(place), "last_modified": self._overlay.since, **more}  # noqa: PTH119  # a text
        if known.get("etag", True) is True:
            known["etag"] = asset.digest[:32]
        if callable(known.get("max_age")):
            known["max_age"] = known["max_age"](place)  # it would be asked with no path
        # a server's own way to send a file needs one with a descriptor
        plain = {key: value for key, value in environ.items() if key != "wsgi.file_wrapper"}
        return werkzeug.utils.send_file(io.BytesIO(asset.data or b""), plain, **known)


VERSIONED = "habanero_static"  # in the extensions of an app whose addresses tell of static files


def _is_versioned(app: App) -> bool:
    return VERSIONED in app.extensions


def place_of(*parts: str) -> str:
    """Return the key of a file in what is served: its place on the disk."""
    return os.path.normpath(os.path.join(*parts))  # noqa: PTH118  # as Flask does it: no Path at each request


def _is_static(asset: Asset, folder: Folder, every: list[Folder]) -> bool:
    return any(one.loader is None and one.holds(asset.name) and folder.holds(one.name) for one in every)


def _wrong_template(asset: Asset, folder: Folder, environments: dict[int, Environment]) -> list[Reason]:
    """Return why an asset is no template, if it is none."""
    try:
        text = (asset.data or b"").decode()
    except UnicodeDecodeError as error:
        what = f"a template is text in UTF-8: {error.reason} at byte {error.start}"
        return [Reason("template-text", asset.name, what, "save it as UTF-8, or among the static files")]
    try:
        name = asset.name[len(folder.name) + 1 :]
        _environment(folder.app, environments).parse(text, name, asset.name)
    except TemplateSyntaxError as error:
        where = f"{asset.name}:{error.lineno}"
        return [
            Reason("template-syntax", where, error.message or "syntax error", "correct it and save it again")
        ]
    except RecursionError:
        what = "nested too deeply for Jinja"
        return [Reason("template-syntax", asset.name, what, "correct it and save it again")]
    except Exception as error:  # noqa: BLE001  # an extension of the app's own parses, too
        what = f"{type(error).__name__}: {error}"
        return [Reason("template-syntax", asset.name, what, "correct it and save it again")]
    return []


def _environment(app: App, known: dict[int, Environment]) -> Environment:
    """Return the app's Jinja environment; if nothing has made it yet, one like it: a plan changes nothing."""
    made: Environment | None = app.__dict__.get("jinja_env")
    if made is None:
        made = known.get(id(app)) or app.create_jinja_environment()
        known[id(app)] = made
    return made
