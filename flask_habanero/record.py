"""Records: what the ledger keeps, how they are sealed, checked and folded into a state.

Nothing here touches a disk. A record is believed only if all of this holds:

- our own seal is right, and it is of this whole row, at this place of this epoch of this app;
- the seal names the record before, so that none can be taken out, added or exchanged;
- the request that made it bears its sender's signature, for this body.

So write access to the ledger's file is not enough to run code.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .asset import Asset, Assets
from .envelope import RECORD, RECORD_CLAIMS, REQUEST, REQUEST_CLAIMS, Keyring, seal, sha256, unpack, unseal
from .errors import BuildError, RejectedError, StoreError
from .release import Bundle, Tree, digest_of, loads_json
from .source import Source
from .unit import Unit, build_unit, python_tag

BASE, PUSH, ROLLBACK = "base", "push", "rollback"


@dataclass(frozen=True)
class Record:
    """One record: the base of an epoch, or a release.

    Attributes:
        number: of the release; of a base, the highest number used before it.
        epoch: 32 hex digits.
        kind: "base", "push" or "rollback".
        nonce: of the request; of a base, the epoch.
        header: the request's sealed header as it came; of a base, "".
        body: the request's body as it came; of a base, its sources.
        tree_digest: of the tree that it leads to.
        who: the request's ``cid``, for people.
        kid: id of the key that signed the request; of a base, of the key that sealed it.
        time: seconds, by the clock of the server.
        note: for people.
    """

    number: int
    epoch: str
    kind: str
    nonce: str
    header: str
    body: bytes
    tree_digest: str
    who: str
    kid: str
    time: int
    note: str


@dataclass(frozen=True)
class State:
    """What a process at this number runs. To be read, not changed: it may be shared.

    Attributes:
        number: of the release.
        digest: of the tree.
        tree: module name -> source, all of them.
        units: module name -> compiled code, of the modules that came with a push.
        assets: name -> asset, all of them.
    """

    number: int
    digest: str
    tree: dict[str, Source]
    units: dict[str, Unit]
    assets: dict[str, Asset] = field(default_factory=dict)


def kid_of(token: object) -> str:
    """Return the id of the key that a sealed header or record names. It proves nothing."""
    parts = token.split(".", 2) if isinstance(token, str) else ()
    return parts[1] if len(parts) == 3 else ""


def link(token: str) -> str:
    """Return what the next record's seal says of the record with this seal."""
    return sha256(token.encode())


def seal_record(record: Record, prev: str, app: str, keys: Keyring) -> str:
    """Return our seal for a record that follows the one with the link `prev` ("" for a base)."""
    return seal(_claims(record, prev, app), keys.first, RECORD)


def _claims(record: Record, prev: str, app: str) -> dict[str, Any]:
    row = [record.kind, record.nonce, record.header, sha256(record.body), record.tree_digest]
    row += [record.who, record.kid, record.note]
    return {
        "v": 1,
        "app": app,
        "epoch": record.epoch,
        "rel": record.number,
        "prev": prev,
        "sha": sha256(json.dumps(row).encode()),
        "t": record.time,
    }


def check_record(
    record: Record, token: str, app: str, keys: Keyring, prev: str | None = None
) -> Mapping[str, Any]:
    """Check a record against its seal, its place (unless `prev` is None) and its request.

    Returns the request's claims; of a base, nothing.

    Raises:
        StoreError: it can't be believed; names the record and says why.
    """
    claims = _unseal(record, token, keys, RECORD)
    if claims != _claims(record, claims["prev"], app):
        raise _bad(record, "its seal is of another content")
    if prev is not None and claims["prev"] != prev:
        raise _bad(record, "it does not follow the record before it: one is missing or exchanged")
    return {} if record.kind == BASE else check_request(record, app, keys)


def check_request(record: Record, app: str, keys: Keyring) -> Mapping[str, Any]:
    """Return the claims of the request that made a release; its times are not checked again.

    Raises:
        StoreError: it was not signed by one of our keys, or for something else.
    """
    claims = _unseal(record, record.header, keys, REQUEST)
    expected = {
        "op": record.kind,
        "app": app,
        "epoch": record.epoch,
        "base": record.number - 1,
        "rel": record.number,
        "n": record.nonce,
        "cid": record.who,
        "len": len(record.body),
        "sha": sha256(record.body),
    }
    if record.kind not in (PUSH, ROLLBACK) or kid_of(record.header) != record.kid:
        raise _bad(record, "its kind or its key is wrong")
    for name, value in expected.items():
        if claims[name] != value:
            raise _bad(record, f"its sender signed another {name!r}")
    return claims


def _unseal(record: Record, token: str, keys: Keyring, context: str) -> dict[str, Any]:
    kid = kid_of(token)
    if keys.get(kid) is None:
        raise _bad(record, f"its key {kid!r} is not in HABANERO_SECRET any more; put it back, or deploy cold")
    try:
        return unseal(token, keys, context, RECORD_CLAIMS if context == RECORD else REQUEST_CLAIMS)[0]
    except RejectedError as error:
        raise _bad(record, str(error)) from None


def _bad(record: Record, why: str) -> StoreError:
    return StoreError(f"record #{record.number} of epoch {record.epoch[:8]}: {why}")


def pack_tree(tree: Tree, assets: Assets) -> bytes:
    """Return the body of a base record: of each module its source, of each asset its digest, and its text.

    The text is there of assets that have data: templates. What a static file is, its place on the disk says.
    """
    rows: dict[str, list[Any]] = {
        name: [source.path, source.package, source.text] for name, source in sorted(tree.items())
    }
    for name, asset in sorted(assets.items()):
        rows[name] = [asset.digest, None if asset.data is None else asset.data.decode()]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 6)


def base_state(record: Record) -> State:
    """Return the state at the base of an epoch. The record must have been checked.

    Raises:
        StoreError: it holds another tree than it says.
    """
    try:
        rows = loads_json(zlib.decompress(record.body))
        assets = {name: _base_asset(name, *row) for name, row in rows.items() if "/" in name}
        tree = {name: Source(name, *row) for name, row in rows.items() if name not in assets}
        digest = digest_of(tree, assets)
    except (ValueError, TypeError, AttributeError, zlib.error) as error:
        raise _bad(record, f"unreadable: {error}") from None
    if digest != record.tree_digest:
        raise _bad(record, "it holds another tree than it says")
    return State(record.number, record.tree_digest, tree, {}, assets)


def _base_asset(name: str, digest: str, text: str | None) -> Asset:
    return Asset(name, digest, None) if text is None else Asset.of(name, text.encode())


def deployed(tree: Tree, assets: Assets) -> str:
    """Return the digest of what tells one cold deploy from another: modules and templates.

    Not static files: apps write some of them while they run. `Ledger` asks for those that were pushed.
    """
    return digest_of(tree, {name: asset for name, asset in assets.items() if asset.data is not None})


def restored(record: Record, claims: Mapping[str, Any], first: int) -> int:
    """Return the number of the state that a rollback restores.

    Its body is ``{"to": number}``, or ``{"to": null}``: the state before the head's last release.

    Raises:
        StoreError: there is no such state in its epoch, which begins at `first`.
    """
    try:
        to = loads_json(unpack(record.body, claims["enc"], claims["ulen"]))["to"]
    except (ValueError, TypeError, KeyError, RejectedError):
        raise _bad(record, "its body is no rollback") from None
    number = record.number - 2 if to is None else to
    if type(number) is not int or not first <= number < record.number:
        raise _bad(record, f"it goes back to {number!r}, and there is no such state")
    return number


def lineage(restores: Mapping[int, int], number: int, first: int) -> tuple[int, set[int]]:
    """Return where a state begins, and which pushes after that make it up.

    `restores` says of each rollback whose state it restores. The walk ends at `first`, or below
    it if a rollback leads there.
    """
    pushes = set()
    while number > first:
        if number in restores:
            number = restores[number]
        else:
            pushes.add(number)
            number -= 1
    return number, pushes


class Fold:
    """Applies pushes to a state, one after the other."""

    def __init__(self, state: State) -> None:
        self._tree, self._units, self._assets = dict(state.tree), dict(state.units), state.assets
        self._foreign: set[str] = set()  # modules whose code is of another Python than ours

    def push(self, record: Record, claims: Mapping[str, Any]) -> None:
        """Apply a push that has been checked. Raises StoreError if it holds no bundle."""
        try:
            bundle = Bundle.decode(unpack(record.body, claims["enc"], claims["ulen"]))
        except RejectedError as error:
            raise _bad(record, str(error)) from None
        self._tree = bundle.applied_to(self._tree)
        self._assets = bundle.assets_after(self._assets)
        for name in bundle.deletions:
            self._units.pop(name, None)
        names = {unit.name for unit in bundle.units}
        self._units.update((unit.name, unit) for unit in bundle.units)
        self._foreign = (self._foreign - names) | (names if bundle.python != python_tag() else set())

    def state(self, record: Record) -> State:
        """Return the state, which must be that of `record`. Raises StoreError if it is not."""
        if digest_of(self._tree, self._assets) != record.tree_digest:
            raise _bad(record, "it leads to another tree than it says")
        units = self._units | dict(self._rebuilt(record))
        return State(record.number, record.tree_digest, self._tree, units, self._assets)

    def _rebuilt(self, record: Record) -> Iterable[tuple[str, Unit]]:
        # The server's Python was exchanged beneath the ledger: the sources hold, the code does not
        for name in self._foreign & self._units.keys():
            try:
                yield name, build_unit(self._units[name].source)
            except BuildError as error:
                raise _bad(
                    record, f"compiled for another Python, and not good for this one: {error}"
                ) from None
