"""What the ledger holds, read back: what each release changed, and the sources of any state.

Reads only. Nothing is written, committed or run for it, and this worker is not brought to head: so it
works as well where the workers have diverged. Nothing is told that was not verified, record by
record; what can't be is told as the sentence that says so. Each answer is bounded: a client
asks for the rest.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .asset import Asset, Assets, digests, is_asset_name
from .change import NothingThereError, Request, wishes
from .errors import BundleError, ConflictError, RefusedError, StoreError
from .record import State
from .release import MAX_UNITS, Tree, module_name
from .source import Source

if TYPE_CHECKING:
    from .record import Record
    from .worker import Worker

DISK = "disk"  # the code that this worker was started from, in the place of a number
PAGE = 50  # releases in one answer
MOST_BYTES = 6 * 2**20  # of JSON in one answer; a client reads 8 MiB at most

Row = dict[str, Any]


class Archive:
    """Answers the operations that read. One per process, beside its worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._ledger = worker, worker.ledger

    def read(self, request: Request) -> dict[str, Any]:
        """Return what `log`, `tree` or `sources` asks for.

        Raises:
            BundleError: it does not ask as it should.
            RefusedError: there is no such number; it is of another epoch; too large.
            StoreError: what was asked for can't be believed, or not be read.
        """
        if request.claims["epoch"] != self._worker.epoch:  # a number is another release there
            raise ConflictError(self._worker.epoch, self._worker.head.number)
        operations = {"log": self._log, "tree": self._tree, "sources": self._sources}
        return operations[request.op](request)

    # --- log ---

    def _log(self, request: Request) -> dict[str, Any]:
        below = wishes(request, "below")["below"]
        if below is not None and (type(below) is not int or below < 0):
            raise BundleError("log: no release number")
        epoch = self._worker.epoch
        first, end = self._ledger.first(epoch), self._ledger.last(epoch) + 1
        end = end if below is None else min(below, end)
        begin = max(first, end - PAGE)
        entries = self._entries(first, begin, end)
        told = _bounded(reversed(entries))
        if entries and not told:
            raise _too_large(f"#{entries[-1]['number']}")
        rest = told[-1]["number"] if told else begin
        return {"first": first, "log": told, "next": rest if rest > first else None}

    def _entries(self, first: int, begin: int, end: int) -> list[Row]:
        """Return the records from a number on, oldest first."""
        entries, before = [], None
        for record, after in self._ledger.retold(self._worker.epoch, range(max(first, begin - 1), end)):
            if record.number >= begin:
                entries.append(_entry(record, before, after))
            before = after
        return entries

    # --- trees and sources ---

    def _tree(self, request: Request) -> dict[str, Any]:
        at = wishes(request, "at")["at"]
        tree, assets = self._files_at(at)
        rows = {s.name: [s.digest, s.path, s.package] for s in tree.values()}
        data = {"at": at, "tree": rows, "assets": digests(assets)}
        if len(json.dumps(data)) > MOST_BYTES:
            raise _too_large(f"a tree of {len(rows) + len(assets):,} files")
        return data

    def _files_at(self, at: object) -> tuple[Tree, Assets]:
        if at == DISK:
            program = self._worker.program
            return program.base, program.overlay.disk
        if type(at) is not int or at < 0:
            raise BundleError('no release number, and not "disk"')
        try:
            state = self._ledger.state_at(self._worker.epoch, at)
        except LookupError:
            raise NothingThereError(at, "to read") from None
        return state.tree, state.assets

    def _sources(self, request: Request) -> dict[str, Any]:
        asked = wishes(request, "at", "names")
        names = _names(asked["names"])
        tree, assets = self._files_at(asked["at"])
        there = [name for name in names if name in tree or name in assets]
        rows = (_row(tree[name]) if name in tree else self._asset_row(assets[name]) for name in there)
        told = _bounded(rows)
        if there and not told:
            raise _too_large(there[0])
        absent = [name for name in names if name not in tree and name not in assets]
        return {"at": asked["at"], "sources": told, "absent": absent, "left": there[len(told) :]}

    def _asset_row(self, asset: Asset) -> list[Any]:
        data = self._worker.program.overlay.data_of(asset)
        return [asset.name, None if data is None else b64encode(data).decode()]


def _row(source: Source) -> list[Any]:
    return [source.name, source.path, source.package, source.text]


def _names(value: object) -> list[str]:
    if type(value) is not list or not 0 < len(value) <= MAX_UNITS:
        raise BundleError(f"sources: no list of names, or more than {MAX_UNITS}")
    names = [item if is_asset_name(item) else module_name(item) for item in value]
    if len(set(names)) != len(names):
        raise BundleError("sources: a name stands twice")
    return names


def _bounded(rows: Iterable[Any]) -> list[Any]:
    """Return the first rows, as many as one answer holds."""
    return list(_within(MOST_BYTES, rows))


def _within(room: int, rows: Iterable[Any]) -> Iterator[Any]:
    for row in rows:
        room -= len(json.dumps(row, ensure_ascii=True)) + 2
        if room < 0:
            return
        yield row


def _too_large(what: str) -> RefusedError:
    return RefusedError(f"{what}: larger than one answer holds ({MOST_BYTES:,} bytes)")


def _entry(record: Record, before: State | StoreError | None, after: State | StoreError) -> Row:
    """Return a record as it is told: by whom, when, and what it changed or why that can't be told."""
    changes: dict[str, str] = {}
    trouble = next((str(state) for state in (after, before) if isinstance(state, StoreError)), "")
    if isinstance(before, State) and isinstance(after, State):
        changes = changed(before, after)
    return {
        "number": record.number,
        "kind": record.kind,
        "who": record.who,
        "key": record.kid,
        "time": record.time,
        "note": record.note,
        "digest": record.tree_digest,
        "changes": changes,
        "trouble": trouble,
    }


def changed(old: State, new: State) -> dict[str, str]:
    """Return module or asset -> what became of it between two states: ``+`` new, ``~`` other, ``-`` gone."""
    marks: dict[str, str] = {}
    for before, after in ((old.tree, new.tree), (old.assets, new.assets)):
        marks |= {name: "+" if name not in before else "~" for name in after if _differs(name, before, after)}
        marks |= dict.fromkeys(before.keys() - after.keys(), "-")
    return dict(sorted(marks.items()))


def _differs(name: str, old: Tree | Assets, new: Tree | Assets) -> bool:
    return name not in old or (old[name] is not new[name] and old[name].digest != new[name].digest)
