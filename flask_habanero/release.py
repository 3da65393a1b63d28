"""The values that travel: tree, bundle, report; and a bundle's bytes.

A bundle is content: units, deletions, assets, the Python it was compiled for, and the digests
of the tree it was built on and of the tree it leads to. It knows no author and no time; those
belong to the envelope around it and to the release that it becomes when the app admits it.

Bytes of a bundle (docs/wire.md): ``b"HBNB"``, a big-endian u32 with the length of the manifest,
the manifest (compact ASCII JSON), then the blobs, which tile the rest exactly.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .asset import MAX_ASSET, MAX_ASSETS, Asset, Assets, digests, is_asset_name
from .errors import BundleError, Reason
from .source import Source
from .strict import loads_json as loads_json  # noqa: PLC0414  # it is part of how a bundle is read: named here, too
from .unit import Statement, Unit

MAGIC = b"HBNB"
VERSION = 1
MAX_UNITS = 2_000  # more modules than any app that we know; bounds the work before the plan
MAX_STATEMENTS = 20_000  # in one unit
MAX_LINE = 2**31 - 1  # what a code object can hold
_NAME = re.compile(r"\A[^\W\d]\w*(?:\.[^\W\d]\w*)*\Z", re.ASCII)
_DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
_SHORT = re.compile(r"\A[0-9a-f]{32}\Z")

Tree = Mapping[str, Source]
"""What a process runs or a laptop has: module name -> source."""


def tree_digest(digests: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 over the sorted (name, content digest) pairs, in hex."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_of(tree: Tree, assets: Assets | None = None) -> str:
    """Return the digest of a tree and of the assets beside it."""
    sources = {name: source.digest for name, source in tree.items()}
    return tree_digest({**sources, **digests(assets or {})}.items())


@dataclass(frozen=True)
class Bundle:
    """Units, assets, deletions, parent: what a push carries.

    Attributes:
        units: the changed and new modules, whole.
        deletions: names of modules and assets that end.
        python: tag of the Python that compiled it (`unit.python_tag`).
        parent: digest of the tree that it was built on.
        target: digest of the tree that it leads to.
        note: printable text for people (a git commit, "dirty"), at most 200 characters.
        assets: the changed and new assets, each with its bytes.
    """

    units: tuple[Unit, ...]
    deletions: tuple[str, ...]
    python: str
    parent: str
    target: str
    note: str = ""
    assets: tuple[Asset, ...] = ()

    def applied_to(self, tree: Tree) -> dict[str, Source]:
        """Return the modules that this bundle makes of a tree's. `target` is not checked here."""
        result = {name: source for name, source in tree.items() if name not in self.deletions}
        result.update((unit.name, unit.source) for unit in self.units)
        return result

    def assets_after(self, assets: Assets) -> dict[str, Asset]:
        """Return the assets that this bundle makes of others."""
        kept = {name: asset for name, asset in assets.items() if name not in self.deletions}
        return kept | {asset.name: asset for asset in self.assets}

    def encode(self) -> bytes:
        """Return the bundle's bytes."""
        blobs: list[bytes] = []

        def blob(data: bytes) -> int:
            blobs.append(data)
            return len(data)

        units = [
            {
                "name": unit.name,
                "path": unit.source.path,
                "package": unit.source.package,
                "source": blob(unit.source.text.encode("utf-8", "surrogatepass")),
                "sha": unit.source.digest,
                "statements": [[s.digest, s.line, blob(s.code)] for s in unit.statements],
            }
            for unit in self.units
        ]
        manifest = {
            "v": VERSION,
            "python": self.python,
            "parent": self.parent,
            "target": self.target,
            "note": self.note,
            "units": units,
            "deletions": list(self.deletions),
            "assets": [[a.name, a.digest, blob(a.data or b"")] for a in self.assets],
        }
        head = json.dumps(manifest, separators=(",", ":"), ensure_ascii=True).encode()
        return b"".join((MAGIC, struct.pack(">I", len(head)), head, *blobs))

    @classmethod
    def decode(cls, data: bytes) -> Bundle:
        """Return the bundle in some bytes. No code is unmarshalled here.

        Raises:
            BundleError: they are not exactly one bundle.
        """
        manifest, rest = _split(data)
        reader = _Reader(rest)
        units = tuple(_unit(item, reader) for item in _list(manifest, "units", MAX_UNITS))
        assets = tuple(_asset(row, reader) for row in _list(manifest, "assets", MAX_ASSETS))
        deletions = tuple(_deletion(item) for item in _list(manifest, "deletions", MAX_UNITS + MAX_ASSETS))
        reader.end()
        names = [*(unit.name for unit in units), *(asset.name for asset in assets), *deletions]
        if len(set(names)) != len(names):
            raise BundleError("a module or an asset stands twice in the manifest")
        return cls(
            units,
            deletions,
            _text(manifest, "python", 64),
            _match(manifest, "parent", _DIGEST),
            _match(manifest, "target", _DIGEST),
            _text(manifest, "note", 200),
            assets,
        )


_MANIFEST_KEYS = {"v", "python", "parent", "target", "note", "units", "deletions", "assets"}
_UNIT_KEYS = {"name", "path", "package", "source", "sha", "statements"}


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    if data[:4] != MAGIC or len(data) < 8:
        raise BundleError("no bundle")
    (length,) = struct.unpack_from(">I", data, 4)
    if 8 + length > len(data):
        raise BundleError("manifest is cut off")
    try:
        manifest = loads_json(data[8 : 8 + length])
    except ValueError as error:
        raise BundleError(f"manifest: {error}") from None
    if type(manifest) is not dict or manifest.keys() != _MANIFEST_KEYS:
        raise BundleError("manifest: wrong keys")
    if type(manifest["v"]) is not int or manifest["v"] != VERSION:  # True == 1
        raise BundleError("manifest: another version")
    return manifest, memoryview(data)[8 + length :]


class _Reader:
    """Hands out the blobs in order and knows that nothing may be left."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def take(self, size: object) -> bytes:
        if type(size) is not int or size < 0 or self._at + size > len(self._data):
            raise BundleError("a blob's size is wrong")
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def end(self) -> None:
        if self._at != len(self._data):
            raise BundleError("bytes are left over")


def _unit(item: object, reader: _Reader) -> Unit:
    if type(item) is not dict or item.keys() != _UNIT_KEYS or type(item["package"]) is not bool:
        raise BundleError("a unit's keys are wrong")
    try:
        text = reader.take(item["source"]).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise BundleError("a source is no UTF-8") from None
    source = Source(module_name(item["name"]), _path(item), item["package"], text)
    if source.digest != item["sha"]:
        raise BundleError(f"{source.name}: source and digest differ")
    rows = _list(item, "statements", MAX_STATEMENTS)
    return Unit(source, tuple(_statement(row, reader) for row in rows))


def _statement(row: object, reader: _Reader) -> Statement:
    if type(row) is not list or len(row) != 3:
        raise BundleError("a statement is wrong")
    digest, line, size = row
    if type(digest) is not str or not _SHORT.match(digest):
        raise BundleError("a statement's digest is wrong")
    if type(line) is not int or not 1 <= line <= MAX_LINE:
        raise BundleError("a statement's line is wrong")
    return Statement(digest, line, reader.take(size))


def _asset(row: object, reader: _Reader) -> Asset:
    if type(row) is not list or len(row) != 3:
        raise BundleError("an asset is wrong")
    name, digest, size = row
    if not is_asset_name(name):
        raise BundleError("an asset's name is wrong")
    if type(size) is int and size > MAX_ASSET:
        raise BundleError(f"{name}: more than {MAX_ASSET} bytes")
    asset = Asset.of(name, reader.take(size))
    if asset.digest != digest:
        raise BundleError(f"{name}: bytes and digest differ")
    return asset


def _deletion(value: object) -> str:
    return str(value) if is_asset_name(value) else module_name(value)


def _path(item: dict[str, Any]) -> str:
    path = _text(item, "path", 500)
    if not path or path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise BundleError("a path is wrong")
    return path


def _list(item: dict[str, Any], key: str, most: int) -> list[Any]:
    value = item[key]
    if type(value) is not list or len(value) > most:
        raise BundleError(f"{key}: no list, or more than {most}")
    return value


def module_name(value: object) -> str:
    """Return a value that came over the wire, which must be a module's name. Raises BundleError."""
    if type(value) is not str or len(value) > 200 or not _NAME.match(value):
        raise BundleError("a module's name is wrong")
    return value


def _text(item: dict[str, Any], key: str, most: int) -> str:
    value = item[key]
    if type(value) is not str or len(value) > most or not value.isprintable():
        # a terminal and a log show it: no escape sequences, line ends, lone surrogates
        raise BundleError(f"{key}: no printable text, or too long")
    return value


def _match(item: dict[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = item[key]
    if type(value) is not str or not pattern.match(value):
        raise BundleError(f"{key} is wrong")
    return value


@dataclass(frozen=True)
class WorkerCount:
    """How many workers are where. `behind` names stragglers: "host/pid: why"."""

    at_head: int = 0
    asleep: int = 0
    total: int = 0
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What became of one request: the last line of every command, and the body of every answer.

    Attributes:
        outcome: live, unchanged, cold, refused, conflict, rejected, failed, diverged, unknown.
        release: number of the release that is head now.
        digest: digest of the tree at that head.
        steps: what was done or would be done, as people read it ("shop.views: ~index").
        ms: where the milliseconds went, by stage.
        data: what the operation answers besides (the tree for hello, the log for status).
    """

    outcome: str
    release: int = 0
    digest: str = ""
    steps: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    workers: WorkerCount = WorkerCount()
    ms: Mapping[str, float] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values, in the shape of the outside contract."""
        return {
            "outcome": self.outcome,
            "release": self.release,
            "digest": self.digest,
            "steps": list(self.steps),
            "reasons": [asdict(reason) for reason in self.reasons],
            "workers": {**asdict(self.workers), "behind": list(self.workers.behind)},
            "ms": {key: round(value, 3) for key, value in self.ms.items()},
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """Return the report in some JSON values. Raises KeyError or TypeError if it is none."""
        try:
            return cls(
                str(value["outcome"]),
                int(value["release"]),
                str(value["digest"]),
                tuple(map(str, value["steps"])),
                tuple(_reason(item) for item in value["reasons"]),
                _worker_count(value["workers"]),
                {str(k): float(v) for k, v in value["ms"].items()},
                dict(value["data"]),
            )
        except (AttributeError, ValueError, OverflowError) as error:
            raise TypeError(f"no report: {error}") from None


def _reason(item: Mapping[str, Any]) -> Reason:
    return Reason(*(str(item[key]) for key in ("code", "where", "what", "hint")))


def _worker_count(item: Mapping[str, Any]) -> WorkerCount:
    at_head, asleep, total = (int(item[key]) for key in ("at_head", "asleep", "total"))
    return WorkerCount(at_head, asleep, total, tuple(map(str, item["behind"])))
