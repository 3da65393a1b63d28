"""Checkpoints: a state of the ledger that is kept whole, so that who starts reads few records.

Nothing here touches a disk. A checkpoint is a bundle that leads from an epoch's base to the state in
one step. It is believed exactly as much as the records that it stands for:

- it is sealed for this place of this epoch of this app, and names the link of the record there;
- each key that those records bear has sealed it, and must still be in the ring: a key that is taken
  away takes its checkpoints along;
- its bundle is for this Python, and leads to the tree of the record there.

Nothing depends on one: without it all records are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .envelope import CHECKPOINT, CHECKPOINT_CLAIMS, Keyring, seal, sha256, unseal
from .errors import RejectedError, StoreError
from .record import Record, State, kid_of
from .release import Bundle, digest_of
from .unit import python_tag

EVERY = 64  # releases from one to the next: some 50 ms of a start's reading
KEPT = 4  # the newest ones: rollbacks and the log mostly ask for what is new


@dataclass(frozen=True)
class Folded:
    """A state, and what must be known to go on from it.

    Attributes:
        epoch: whose.
        link: of the record whose state it is.
        state: the state.
        kids: the ids of all keys that the records up to there bear.
        since: the number of the checkpoint, or the base, from which records were read.
    """

    epoch: str
    link: str
    state: State
    kids: frozenset[str]
    since: int


@dataclass(frozen=True)
class Checkpoint:
    """A state as it is kept.

    Attributes:
        epoch: whose.
        number: at which it stands.
        body: a bundle from the base to it, packed.
        seals: one of each key, with spaces between.
    """

    epoch: str
    number: int
    body: bytes
    seals: str


def made_of(folded: Folded, base: State, app: str, keys: Keyring) -> Checkpoint:
    """Return the checkpoint of a state, with the keys that its records bear.

    Raises:
        StoreError: it could not be read back: there is more in it than a bundle holds.
    """
    state = folded.state
    bundle = Bundle(
        tuple(unit for _, unit in sorted(state.units.items())),
        tuple(sorted({*base.tree, *base.assets} - {*state.tree, *state.assets})),
        python_tag(),
        base.digest,
        state.digest,
        "",
        tuple(asset for name, asset in sorted(state.assets.items()) if base.assets.get(name) != asset),
    )
    body = zlib.compress(bundle.encode(), 1)
    claims = _claims(folded.epoch, state.number, folded.link, folded.kids, app, body)
    rings = [keys.get(kid) for kid in sorted(folded.kids)]
    seals = " ".join(seal(claims, key, CHECKPOINT) for key in rings if key is not None)
    made = Checkpoint(folded.epoch, state.number, body, seals)
    if _state(made, folded.link, base, app, keys)[0] != state:
        raise _bad(made, "it would be another state")
    return made


def opened(kept: Checkpoint, record: Record, link: str, base: State, app: str, keys: Keyring) -> Folded:
    """Return what a checkpoint holds. The base, and the record at its number, must have been checked.

    Raises:
        StoreError: it can't be believed, or is for another Python.
    """
    state, kids = _state(kept, link, base, app, keys)
    if (state.number, state.digest) != (record.number, record.tree_digest):
        raise _bad(kept, "it is of another tree than the record there")
    return Folded(kept.epoch, link, state, kids, state.number)


def _claims(
    epoch: str, number: int, link: str, kids: frozenset[str], app: str, body: bytes
) -> dict[str, Any]:
    about = {"v": 1, "app": app, "epoch": epoch, "rel": number, "at": link}
    return {**about, "kids": " ".join(sorted(kids)), "sha": sha256(body)}


def _state(kept: Checkpoint, link: str, base: State, app: str, keys: Keyring) -> tuple[State, frozenset[str]]:
    """Return the state in a checkpoint, and the keys whose records are in it."""
    kids = _sealed(kept, link, app, keys)
    try:
        bundle = Bundle.decode(zlib.decompress(kept.body))
    except (RejectedError, zlib.error) as error:
        raise _bad(kept, f"unreadable: {error}") from None
    if (bundle.python, bundle.parent) != (python_tag(), base.digest):
        raise _bad(kept, "it is for another Python, or another base")
    tree, assets = bundle.applied_to(base.tree), bundle.assets_after(base.assets)
    if digest_of(tree, assets) != bundle.target:
        raise _bad(kept, "it leads to another tree than it says")
    return State(kept.number, bundle.target, tree, {u.name: u for u in bundle.units}, assets), kids


def _sealed(kept: Checkpoint, link: str, app: str, keys: Keyring) -> frozenset[str]:
    """Check the seals: all of one content, and one of each key that it names. Returns those keys."""
    tokens = kept.seals.split(" ")
    kids = frozenset(map(kid_of, tokens))
    expected: Mapping[str, Any] = _claims(kept.epoch, kept.number, link, kids, app, kept.body)
    for token in tokens:
        try:
            claims = unseal(token, keys, CHECKPOINT, CHECKPOINT_CLAIMS)[0]
        except RejectedError as error:
            raise _bad(kept, str(error)) from None
        if claims != expected:
            raise _bad(kept, "its seal is of another content, or another history")
    return kids


def _bad(kept: Checkpoint, why: str) -> StoreError:
    return StoreError(f"checkpoint #{kept.number} of epoch {kept.epoch[:8]}: {why}")
