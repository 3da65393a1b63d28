"""What the laptop knows of the server: the values of the last hello, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..asset import Asset, is_asset_folder, is_asset_name
from ..errors import EnvelopeError
from ..release import Bundle, Report, WorkerCount, tree_digest
from ..source import Source


@dataclass(frozen=True)
class Entry:
    """One module that the server runs."""

    digest: str
    path: str
    package: bool


@dataclass(frozen=True)
class View:
    """The server as hello told it.

    Attributes:
        head: number of the release that is head.
        first: number at which the epoch began; ``head == first`` is an unpatched base.
        tree: module name -> what the server runs.
        modules: top-level names that may change.
        last: the newest record ({"number", "who", "time", "kind", "note"}), empty at the base.
        assets: name -> digest of what the server serves.
        folders: names of the folders whose files are assets.
    """

    app: str
    epoch: str
    head: int
    first: int
    digest: str
    python: str
    optimize: int
    modules: tuple[str, ...]
    max_bytes: int
    tree: Mapping[str, Entry]
    last: Mapping[str, Any] = field(default_factory=dict)
    workers: WorkerCount = field(default_factory=WorkerCount)
    assets: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()

    @classmethod
    def of(cls, report: Report) -> View:
        """Return the view in a hello's answer.

        Raises:
            EnvelopeError: signed by our secret, yet no answer to a hello.
        """
        data = report.data
        try:
            return cls(
                app=str(data["app"]),
                epoch=str(data["epoch"]),
                head=report.release,
                first=int(data["first"]),
                digest=report.digest,
                python=str(data["python"]),
                optimize=int(data["optimize"]),
                modules=tuple(map(str, data["modules"])),
                max_bytes=int(data["max_bytes"]),
                tree={str(k): Entry(str(d), str(p), bool(x)) for k, (d, p, x) in data["tree"].items()},
                last=dict(data["head"] or {}),
                workers=report.workers,
                assets=checked(data.get("assets", {})),
                folders=tuple(filter(is_asset_folder, data.get("folders", ()))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EnvelopeError(f"a hello that this version does not understand: {error!r}") from None

    @property
    def digests(self) -> dict[str, str]:
        """Name -> digest of what the server runs, modules and assets."""
        return {**{name: entry.digest for name, entry in self.tree.items()}, **self.assets}

    def with_changes(
        self, sources: Iterable[Source], deletions: Iterable[str], assets: Iterable[Asset] = ()
    ) -> View:
        """Return the view of the same server with some modules and assets changed and some gone."""
        gone = set(deletions)
        tree = {name: entry for name, entry in self.tree.items() if name not in gone}
        tree.update((s.name, Entry(s.digest, s.path, s.package)) for s in sources)
        files = {name: digest for name, digest in self.assets.items() if name not in gone}
        files.update((asset.name, asset.digest) for asset in assets)
        changed = replace(self, tree=tree, assets=files)
        return replace(changed, digest=tree_digest(changed.digests.items()))

    def after(self, bundle: Bundle, report: Report) -> View:
        """Return the view after the server made a bundle its new head."""
        sources = (unit.source for unit in bundle.units)
        changed = self.with_changes(sources, bundle.deletions, bundle.assets)
        told = report.data.get("folders", self.folders)
        folders = tuple(filter(is_asset_folder, told))
        last = {"number": report.release}
        return replace(changed, head=report.release, workers=report.workers, last=last, folders=folders)


def checked(assets: Mapping[str, str]) -> dict[str, str]:
    """Return name -> digest. Raises ValueError for what is no asset's name: a name becomes a path here."""
    if not all(map(is_asset_name, assets)):
        raise ValueError("no name of an asset")
    return {name: str(digest) for name, digest in assets.items()}
