"""Stand-ins with the real interfaces: a program whose faults are written in its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flask_habanero.asset import Asset, Assets
from flask_habanero.errors import BundleError, ColdChangeError, CommitError, Reason, RefusedError, UndoError
from flask_habanero.live.plan import Step
from flask_habanero.release import Bundle, Tree, digest_of
from flask_habanero.source import Source
from flask_habanero.unit import Unit, build_unit, python_tag


def source(name: str, text: str) -> Source:
    """Return a module's source; its path follows from its name."""
    return Source(name, name.replace(".", "/") + ".py", False, text)


def tree_of(**texts: str) -> dict[str, Source]:
    """Return a tree: ``tree_of(shop="x = 1", shop__views="...")``."""
    return {s.name: s for s in (source(name.replace("__", "."), text) for name, text in texts.items())}


def bundle_to(parent: Tree, child: Tree, note: str = "") -> Bundle:
    """Return the bundle that leads from one tree to another."""
    units = tuple(build_unit(s) for name, s in child.items() if parent.get(name) != s)
    deletions = tuple(sorted(parent.keys() - child.keys()))
    return Bundle(units, deletions, python_tag(), digest_of(parent), digest_of(child), note)


@dataclass(frozen=True)
class FakePlan:
    """A plan of the fake program."""

    steps: tuple[Step, ...]
    reasons: tuple[Reason, ...]
    target: dict[str, Source]
    units: tuple[Unit, ...] = ()
    unloaded: tuple[str, ...] = ()
    assets: Assets = field(default_factory=dict)
    swaps: tuple[()] = ()
    actions: tuple[()] = ()
    clear: tuple[()] = ()


@dataclass
class FakeOverlay:
    """Assets without files: what is on the disk is written here."""

    disk: dict[str, Asset] = field(default_factory=dict)
    assets: Assets = field(default_factory=dict)
    folders: tuple[str, ...] = ("shop/templates", "shop/static")
    crowded: frozenset[str] = frozenset()

    def begin(self, assets: Assets) -> None:
        self.assets = assets

    def check(self, assets: Assets) -> None:
        """All of them can be served."""

    def is_template(self, name: str) -> bool:
        return "/templates/" in name

    def is_fixed(self, name: str) -> bool:
        return False

    def data_of(self, asset: Asset) -> bytes | None:
        return asset.data


@dataclass
class FakeProgram:
    """A program that is nothing but its tree.

    A source with one of these words in it fails where the word says:
    ``#cold``, ``#stage-fails``, ``#commit-fails``, ``#undo-fails``, ``#crash``, ``#not-foldable``.

    Attributes:
        calls: what was asked of it, in order.
        on_commit: called in the middle of each commit; may raise.
    """

    base: dict[str, Source]
    modules: tuple[str, ...] = ("shop",)
    began: int | None = None
    calls: list[str] = field(default_factory=list)
    tree: dict[str, Source] = field(init=False)
    on_commit: Callable[[], object] = lambda: None
    fails: str = ""  # one of the words, as if it stood in every source
    overlay: FakeOverlay = field(default_factory=FakeOverlay)

    def __post_init__(self) -> None:
        self.tree = dict(self.base)

    def warm(self) -> None:
        pass

    @property
    def belongs(self) -> FakeProgram:
        return self

    def allows(self, name: str) -> bool:
        return name.partition(".")[0] in self.modules

    def plan(self, units: Iterable[Unit], deletions: Iterable[str], assets: Assets | None = None) -> FakePlan:
        units, deletions = tuple(units), tuple(deletions)
        self.calls.append("plan")
        reasons = tuple(
            Reason("fake-cold", f"{unit.name}:1", "can't be hot")
            for unit in units
            if "#cold" in unit.source.text + self.fails
        )
        words = {**{unit.name: "~" for unit in units}, **dict.fromkeys(deletions, "-")}
        steps = tuple(Step(name, name, (word,)) for name, word in words.items())
        target = {name: s for name, s in self.tree.items() if name not in deletions}
        target |= {unit.name: unit.source for unit in units}
        served = self.overlay.assets if assets is None else assets
        return FakePlan(steps, reasons, target, units, assets=served)

    plan_with_libraries = plan

    def check(self, units: Iterable[Unit]) -> None:
        for unit in units:
            if unit != build_unit(unit.source):
                raise BundleError(f"{unit.name}: shipped code is not its source's")

    def fold_reasons(self, units: Iterable[Unit], deletions: Iterable[str]) -> tuple[Reason, ...]:
        return tuple(
            Reason("fake-fold", unit.name, "can't be folded")
            for unit in units
            if "#not-foldable" in unit.source.text
        )

    def stage(self, plan: FakePlan) -> None:
        self.calls.append("stage")
        if plan.reasons:
            raise ColdChangeError(plan.reasons)
        if self._has(plan, "#stage-fails"):
            raise RefusedError("no module named 'missing'")

    def check_inside(self, plan: FakePlan) -> None:
        """No thread is inside: the fake has none."""

    def commit(self, plan: FakePlan) -> Callable[[], None]:
        self.calls.append("commit")
        self.on_commit()
        if self._has(plan, "#commit-fails"):
            raise CommitError("shop:1", "ZeroDivisionError")
        if self._has(plan, "#undo-fails"):
            raise UndoError("shop:1", "half-way")
        if self._has(plan, "#crash"):
            raise KeyError("a fault of ours")
        before, self.tree = (self.tree, self.overlay.assets), dict(plan.target)
        self.overlay.assets = plan.assets

        def undo() -> None:
            self.calls.append("undo")
            self.tree, self.overlay.assets = before

        return undo

    def _has(self, plan: FakePlan, word: str) -> bool:
        return any(word in unit.source.text + self.fails for unit in plan.units)
