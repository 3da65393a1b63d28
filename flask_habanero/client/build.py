"""From a decision to a bundle: compile what goes, for the server's Python."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import BuildError, TooLargeError
from ..release import Bundle
from ..source import Source
from ..unit import Unit, build_unit
from .decide import Decision
from .tree import Tree
from .view import View

NOTE = 200  # characters, of the wire


def compile_all(
    tree: Tree, names: tuple[str, ...], optimize: int
) -> tuple[dict[str, Unit], dict[str, BuildError]]:
    """Compile the modules among some names. Returns the units, and what is wrong with the others."""
    units: dict[str, Unit] = {}
    wrong: dict[str, BuildError] = {}
    for name in (name for name in names if name not in tree.assets):
        try:
            units[name] = _unit(tree, name, optimize)
        except BuildError as error:
            wrong[name] = error
    return units, wrong


def _unit(tree: Tree, name: str, optimize: int) -> Unit:
    if name in tree.broken:
        raise tree.broken[name]
    return build_unit(tree.sources[name], optimize)


def make_bundle(
    decision: Decision, units: Mapping[str, Unit], tree: Tree, view: View, note: str = ""
) -> Bundle:
    """Return the bundle that a decision makes on top of what the server runs.

    Args:
        decision: what goes; see `decide`.
        units: at least those of `decision.send`.
        tree: has the assets of `decision.send`.
        view: what the server runs.
        note: what people read in the log.
    """
    assets = tuple(tree.assets[name] for name in decision.send if name in tree.assets)
    chosen = tuple(units[name] for name in decision.send if name not in tree.assets)
    sources: list[Source] = [unit.source for unit in chosen]
    target = view.with_changes(sources, decision.delete, assets).digest
    return Bundle(chosen, decision.delete, view.python, view.digest, target, note[:NOTE], assets)


def check_size(body: bytes, view: View) -> None:
    """Raise TooLargeError if the server would not take a body of that size on the wire."""
    if len(body) > view.max_bytes:
        raise TooLargeError(view.max_bytes, len(body))
