"""Envelopes on their way: believed requests that the other workers of this host are to look at.

Not durable and not trusted: who takes one up verifies it again.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from .errors import StoreError
from .store import Store

STAGED_S = 600.0  # no push takes ten minutes: what is older was left by a worker that died
_NONCE = re.compile(r"\A[0-9a-f]{32}\Z")


class Staging:
    """One file for each request, in a folder beside the ledger. Calls may raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store, self._folder = store, store.folder / "staged"

    def put(self, nonce: str, header: str, body: bytes) -> Path:
        """Write a request where the others find it by its nonce. Returns its file."""
        path = self._path(nonce)
        with self._store.disk():
            self._store.check_folder()
            self._folder.mkdir(mode=0o700, exist_ok=True)
            half = path.with_suffix(".half")
            with open(half, "wb", opener=_open_private) as file:
                file.write(header.encode("ascii") + b"\n" + body)
            half.replace(path)
        return path

    def get(self, nonce: str) -> tuple[str, bytes]:
        """Return the header and the body that were put under a nonce."""
        with self._store.disk():
            header, _, body = self._path(nonce).read_bytes().partition(b"\n")
        return header.decode("latin-1"), body

    def remove(self, path: Path) -> None:
        """Take a request away again. It may be gone already."""
        with self._store.disk():
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what workers left that died."""
        oldest = time.time() - STAGED_S
        with self._store.disk(), suppress(FileNotFoundError):  # not made yet, or swept by another worker
            for path in self._folder.iterdir():
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _path(self, nonce: str) -> Path:
        if not _NONCE.match(nonce):  # it becomes a name of a file
            raise StoreError("a nonce is 32 hex digits")
        return self._folder / nonce


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
