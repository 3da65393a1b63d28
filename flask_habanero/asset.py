"""Assets: the files beside the code that go with it, templates and static files.

An asset is known by its path below the folder in which the modules lie, with slashes:
``shop/templates/base.html``. It has at least one slash, so that no module has the name of an asset.
Which folders hold assets the server says; what a file in them must be called is said here, for both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_ASSETS = 2_000  # in one bundle, and in one folder
MAX_ASSET = 2_097_152  # bytes of one: workers hold in memory what was pushed
MAX_NAME = 300
_NOBODYS = frozenset({"node_modules", "__pycache__"})  # folders that tools make
_NOT_ENDS = (".py", ".pyc", "~", "___jb_tmp___", "___jb_old___")  # code, and what editors leave for a moment


@dataclass(frozen=True)
class Asset:
    """One file as it was saved.

    Attributes:
        name: its path below the folder in which the modules lie.
        digest: SHA-256 of its bytes, in hex.
        data: its bytes; None where the file on the server's disk is meant.
    """

    name: str
    digest: str
    data: bytes | None = field(repr=False)

    @classmethod
    def of(cls, name: str, data: bytes) -> Asset:
        """Return the asset of some bytes."""
        return cls(name, hashlib.sha256(data).hexdigest(), data)


Assets = Mapping[str, Asset]
"""Name -> asset."""


def digests(assets: Assets) -> dict[str, str]:
    """Return name -> digest."""
    return {name: asset.digest for name, asset in assets.items()}


def changed_assets(before: Assets, after: Assets) -> list[str]:
    """Return the names of the assets that differ: changed, new and gone, in order."""
    old, new = digests(before), digests(after)
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def is_asset_name(name: object) -> bool:
    """Whether a text may be the name of an asset: nothing hidden, nothing that leads out, no code."""
    if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable() or "\\" in name:
        return False
    *folders, file = name.split("/")
    return bool(folders) and is_asset_folder("/".join(folders)) and _is_seen(file) and not is_passing(file)


def is_asset_folder(name: object) -> bool:
    """Whether a text may be the name of a folder of assets."""
    if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable() or "\\" in name:
        return False
    return all(_is_seen(part) and part not in _NOBODYS for part in name.split("/"))


def is_passing(file: str) -> bool:
    """Whether a file of that name is code, or one that an editor takes away again."""
    return file.endswith(_NOT_ENDS)


def _is_seen(part: str) -> bool:
    return bool(part) and not part.startswith(".")
