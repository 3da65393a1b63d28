"""What both sides have, and whose edits those are: read, compared, nothing sent.

A `Desk` is what one command works with; a `Situation` is what it sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, ConflictError, Reason, RejectedError, StoreError
from ..release import Report
from ..unit import python_tag
from .compiler import Compiler
from .decide import ABSENT, Decision, decide
from .history import is_taken_back, makers
from .memory import ROLLED_BACK, Held, Memory, Store
from .rehearsal import Wish
from .target import Target
from .transport import Request, Wire
from .tree import Tree, is_on_disk, read_tree
from .view import View


@dataclass(frozen=True)
class Desk:
    """What one command works with: where to, how, and what is remembered.

    Attributes:
        rehearsal: how each push is rehearsed first; None: it is not.
        trial_s: for how many seconds a release is on trial; 0: it is not.
        stays: whether such a release stays then, if it did not fail; else it must be confirmed.
    """

    target: Target
    wire: Wire
    store: Store
    compiler: Compiler
    rehearsal: Wish | None = None
    trial_s: int = 0
    stays: bool = False


@dataclass(frozen=True)
class Situation:
    """What both sides have, and whose edits those are."""

    view: View
    tree: Tree
    memory: Memory
    decision: Decision

    @property
    def held(self) -> dict[str, Held]:
        """What waits, of the files as they are now."""
        mine = self.tree.digests
        return {name: h for name, h in self.memory.held.items() if mine.get(name, ABSENT) == h.digest}


def look(desk: Desk) -> View:
    """Ask the server what it runs.

    Raises:
        DeliveryError: it can't be reached.
        RejectedError: it does not believe us, or it is another app than the one that was pinned.
        StoreError: it can't read its ledger, or has a fault.
    """
    report = desk.wire.ask(Request("hello", python=python_tag()))
    if "tree" not in report.data:  # signed, and yet no answer: the server is in trouble itself
        raise StoreError("; ".join(reason.what for reason in report.reasons) or report.outcome)
    view = View.of(report)
    pinned = desk.target.app_id or desk.store.load().app
    if pinned not in ("", view.app):
        known = f"it is app {view.app!r}, and this project's is {pinned!r}"
        raise RejectedError(f"{desk.target.endpoint}: {known}; if that is meant: --app-id {view.app}")
    return view


def read(desk: Desk, view: View) -> Tree:
    """Read the laptop's modules and assets.

    Raises:
        ConfigError: there are none, which would delete all of the server's.
    """
    tree = tree_of(desk, view)
    if not (tree.sources or tree.broken):
        places = ", ".join(map(str, desk.target.roots))
        names = ", ".join(view.modules) or "nothing"
        hint = 'start in the project\'s folder, or set roots = ["..."] in [tool.habanero] of pyproject.toml'
        raise ConfigError("roots", f"no module under {places} is one that the server allows ({names})", hint)
    return tree


def tree_of(desk: Desk, view: View) -> Tree:
    """Return what the laptop has of all that may change on the server, be it nothing."""
    return read_tree(desk.target.roots, view.modules, view.digests, view.folders)


def survey(desk: Desk, view: View, tree: Tree) -> Situation:
    """Compare both sides with what is remembered; believes the server's log where it was rolled back."""
    memory = desk.store.load()
    if memory.app != view.app:
        memory = Memory()
    arrived = memory.arrived(view.digests)
    if arrived:  # the one who sent it was killed before it was told so
        memory = desk.store.update(lambda m: m.agree(arrived))
    decision = compare(tree, view, memory)
    taken_back = _taken_back(desk, view, memory, decision)
    if taken_back:
        memory = desk.store.update(lambda m: m.rolled_back(taken_back))
        decision = compare(tree, view, memory)
    unheard = _taken_back_unheard(desk, view, tree, memory, decision)
    if unheard:
        memory = desk.store.update(lambda m: m.hold(unheard))
    return Situation(view, tree, memory, decision)


def compare(tree: Tree, view: View, memory: Memory) -> Decision:
    """Decide about every file but those that lie here and are ignored: they were not deleted."""
    mine, theirs = tree.digests, view.digests
    aside = {name for name in {*theirs, *memory.agreed} if name not in mine and is_on_disk(tree, name)}

    def without(digests: Mapping[str, str]) -> dict[str, str]:
        return {name: digest for name, digest in digests.items() if name not in aside}

    return decide(mine, without(theirs), without(memory.agreed))


def _taken_back(desk: Desk, view: View, memory: Memory, decision: Decision) -> dict[str, str]:
    """Return module -> digest where the server is at content that we know from before, by a rollback.

    That there is no such file is known of each: to send one replaces nobody's.
    """
    now = {name: view.digests.get(name, ABSENT) for name in (*decision.newer, *decision.conflicts)}
    known = {name: digest for name, digest in now.items() if digest in (ABSENT, *memory.past.get(name, ()))}
    if not known:
        return {}
    records = who_changed(desk, view)
    return {name: digest for name, digest in known.items() if is_taken_back(records.get(name))}


def _taken_back_unheard(
    desk: Desk, view: View, tree: Tree, memory: Memory, decision: Decision
) -> dict[str, Held]:
    """Return what was sent by someone who was killed before it was told so, and then was rolled back."""
    mine = tree.digests
    names = [*decision.send, *decision.delete]
    sent = [n for n in names if n not in memory.held and mine.get(n, ABSENT) in memory.sent.get(n, ())]
    records = who_changed(desk, view) if sent else {}
    return {
        name: Held(mine.get(name, ABSENT), "rolled-back", ROLLED_BACK)
        for name in sent
        if is_taken_back(records.get(name), memory.release)
    }


def read_log(desk: Desk, view: View) -> Report:
    """Return the answer to status."""
    return desk.wire.ask(request_for("status", view))


def who_changed(desk: Desk, view: View) -> Mapping[str, Mapping[str, Any]]:
    """Return module -> the record that made it what the server runs, as far as its log goes back."""
    report = read_log(desk, view)
    return makers(report.data.get("log", []), view.first) if report.release == view.head else {}


def request_for(op: str, view: View, body: bytes = b"") -> Request:
    """Return a request to the server as it was last seen: built on that head, in that epoch."""
    number = view.head + 1 if op in ("push", "rollback") else view.head
    return Request(op, view.app, view.epoch, view.head, number, view.python, body)


def path_of(now: Situation, name: str) -> str:
    """Return what people call a module's file, also where only the server has it."""
    if name not in now.tree.digests and name in now.view.tree:
        return now.view.tree[name].path
    return now.tree.path_of(name)


def conflict_reason(now: Situation, name: str, record: Mapping[str, Any] | None) -> Reason:
    """Return why a module that both sides changed can't be sent."""
    by = f" by {record['who']} in #{record['number']}" if record else ""
    hint = f"{_theirs(now, name)}bring their edit into your file, or replace it: flask habanero push --sync"
    return Reason(ConflictError.slug, path_of(now, name), f"changed here, and on the server{by}", hint)


def newer_reason(now: Situation, name: str, record: Mapping[str, Any] | None) -> Reason:
    """Return why a module that only the server changed is not sent."""
    by = f" by {record['who']} in #{record['number']}" if record else ""
    verb = "changed" if name in now.view.digests else "deleted"
    hint = f"{_theirs(now, name)}bring it into your tree, or replace it: flask habanero push --sync"
    return Reason("newer", path_of(now, name), f"{verb} on the server{by}: the server is newer", hint)


def _theirs(now: Situation, name: str) -> str:
    """Return what to type to see the server's version, if it has one."""
    return f"see it: flask habanero show {name}; " if name in now.view.tree else ""
