"""Which state of an epoch lies on a disk: the question of each process that starts.

Modules and templates count, and of static files those that were pushed, and those that the app can't write.
Others don't: apps write some while they run (uploads, pictures of a plot, bundles that they pack): that is
no deploy.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Protocol

from .asset import Assets, changed_assets
from .record import State
from .release import Tree


class Places(Protocol):
    """What is to be known of the folders of assets."""

    @property
    def crowded(self) -> Set[str]:
        """The names of those that have too many files: of them no asset is known."""

    def is_fixed(self, name: str, /) -> bool:
        """Whether this process can't have changed the asset of that name."""


class _Open:
    """Folders of which nothing is said."""

    crowded: Set[str] = frozenset()

    def is_fixed(self, _name: str) -> bool:
        return False


OPEN = _Open()


@dataclass(frozen=True)
class Disk:
    """What a process found on its disk when it started.

    Attributes:
        tree: all sources that may change.
        assets: all assets; templates with their bytes.
        places: what is known of their folders.
    """

    tree: Tree
    assets: Assets
    places: Places = OPEN

    def is_at(self, head: State, base: State) -> bool:
        """Whether this is what a head's releases made of a base, as when they were deployed."""
        other, pushed = self._other(head), _pushed(head, base)
        return _is_same(self.tree, head.tree) and not self._deployed(other, base, pushed)

    def is_before(self, head: State, base: State) -> bool:
        """Whether this is a base; of what was pushed since, static files may be here, too."""
        pushed = {name for name in _pushed(head, base) if not _is_below(name, self.places.crowded)}
        arrived = pushed - self._templates(base) - self._other(head)
        return _is_same(self.tree, base.tree) and not self._deployed(
            self._other(base) - arrived, base, pushed
        )

    def _deployed(self, names: Set[str], base: State, pushed: Set[str]) -> set[str]:
        """Return those of some assets that only a deploy can have made what they are."""
        counted = self._templates(base) | pushed
        return {name for name in names if name in counted or self._is_fixed(name)}

    def _is_fixed(self, name: str) -> bool:
        return not _is_below(name, self.places.crowded) and self.places.is_fixed(name)

    def _other(self, state: State) -> set[str]:
        """Return the names of the assets that are others here than in a state."""
        return set(changed_assets(self.assets, state.assets))

    def _templates(self, base: State) -> set[str]:
        both = (*self.assets.values(), *base.assets.values())
        return {asset.name for asset in both if asset.data is not None}


def _is_below(name: str, folders: Iterable[str]) -> bool:
    return any(name.startswith(f"{folder}/") for folder in folders)


def _is_same(one: Tree, two: Tree) -> bool:
    return one.keys() == two.keys() and all(one[name].digest == two[name].digest for name in one)


def _pushed(head: State, base: State) -> set[str]:
    """Return the names of the assets that releases changed."""
    return set(changed_assets(base.assets, head.assets))
