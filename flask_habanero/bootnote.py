"""The note of an epoch in which a release was made by a restart: from then on processes import the head.

A file beside the ledger, written before the release is recorded. It says what a process must know to
recognise the code on its disk before the app is there to be asked. It is believed exactly as far as this:

- one of our keys sealed it, for this app and this epoch;
- the ledger, whose records are all verified again, has a release of a number and nonce in it: else its
  writer died before it was recorded, and it says nothing;
- the code on the disk is still that of this epoch.

So a note that is old, left over, or somebody else's changes nothing.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .boot import NOTE as FILE
from .disk import Disk
from .envelope import NOTE, NOTE_CLAIMS, Keyring, seal, sha256, unseal
from .errors import RejectedError, StoreError
from .live import belongs
from .live.folders import Area, is_fixed
from .live.folders import read as read_assets
from .strict import loads_json

if TYPE_CHECKING:
    from .ledger import Ledger
    from .live.program import Program

_MOST = 1_000_000  # bytes


@dataclass(frozen=True)
class Note:
    """What a process must know that starts.

    Attributes:
        app: audience.
        epoch: to which it belongs.
        releases: number and nonce of the first release that was made by a restart, and of the newest.
        folders: top-level name of what belongs to the app -> the folder in which it lies.
        beside: where new top-level modules may come, or "".
        areas: of each folder of assets its name, its place, and whether it is one of templates.
        modules: what HABANERO_MODULES was in the environment.
    """

    app: str
    epoch: str
    releases: tuple[tuple[int, str], ...]
    folders: dict[str, str]
    beside: str
    areas: tuple[tuple[str, str, bool], ...]
    modules: str

    @classmethod
    def of(cls, program: Program, app: str, epoch: str, modules: str) -> Note:
        """Return the note of a process whose modules come from the disk; of no release yet."""
        owned, areas = program.belongs, program.overlay.areas
        return cls(
            app,
            epoch,
            (),
            {name: str(folder) for name, folder in sorted(owned.folders.items())},
            str(owned.beside or ""),
            tuple((area.name, area.place, area.is_of_templates) for area in areas),
            modules,
        )

    @classmethod
    def of_json(cls, value: Any) -> Note:
        """Return the note in some JSON values. Raises ValueError."""
        try:
            releases = tuple((int(number), str(nonce)) for number, nonce in value["releases"])
            named = {str(name): str(folder) for name, folder in value["folders"].items()}
            areas = tuple((str(name), str(place), bool(kind)) for name, place, kind in value["areas"])
            words = (str(value[key]) for key in ("app", "epoch", "beside", "modules"))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from None
        app, epoch, beside, modules = words
        return cls(app, epoch, releases, named, beside, areas, modules)

    def as_json(self) -> dict[str, Any]:
        """Return the note as JSON values."""
        return asdict(self)

    @property
    def belongings(self) -> belongs.Belongings:
        """What belongs to the app."""
        found = {name: Path(folder) for name, folder in self.folders.items()}
        return belongs.Belongings(found, Path(self.beside) if self.beside else None)

    @property
    def places(self) -> tuple[Area, ...]:
        """Where assets lie."""
        return tuple(Area(*area) for area in self.areas)

    def disk(self) -> Disk:
        """Return what lies on the disk now."""
        assets, crowded = read_assets(self.places)
        return Disk(belongs.disk_tree(self.belongings), assets, _Places(crowded, self.places))

    def is_of(self, number: int, nonce: str) -> bool:
        """Whether it was written for a release."""
        return (number, nonce) in self.releases

    def counts(self, ledger: Ledger) -> bool:
        """Whether one of its releases was recorded. Raises StoreError."""
        records = [(ledger.by_nonce(nonce), number) for number, nonce in self.releases]
        return any(r is not None and (r.epoch, r.number) == (self.epoch, number) for r, number in records)


@dataclass(frozen=True)
class _Places:
    """What is known of folders of assets without an app."""

    crowded: frozenset[str]
    areas: tuple[Area, ...]

    def is_fixed(self, name: str) -> bool:
        return is_fixed(name, self.areas)


def read(folder: Path, keys: Keyring) -> Note | None:
    """Return the note in a store's folder, if there is one.

    Raises:
        StoreError: it can't be read or believed.
    """
    path = folder / FILE
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        header, _, body = file.read(_MOST).partition(b"\n")
    try:
        claims, _ = unseal(header.decode("latin-1"), keys, NOTE, NOTE_CLAIMS)
        note = Note.of_json(loads_json(body))
    except (RejectedError, ValueError) as error:
        raise StoreError(f"{path}: {error}") from None
    if claims != _claims(note, body):
        raise StoreError(f"{path}: its seal is of another content")
    return note


def write(folder: Path, note: Note, keys: Keyring) -> None:
    """Put a note in the place of the one before, durably. Raises StoreError."""
    body = json.dumps(note.as_json(), separators=(",", ":")).encode()
    data = seal(_claims(note, body), keys.first, NOTE).encode() + b"\n" + body
    path, half = folder / FILE, folder / f"{FILE}.half"
    try:
        with suppress(FileNotFoundError):
            half.unlink()
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
        _sync(folder)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _claims(note: Note, body: bytes) -> dict[str, Any]:
    return {"v": 1, "app": note.app, "epoch": note.epoch, "sha": sha256(body)}
