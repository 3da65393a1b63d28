"""One push, straight down: look, read, decide, build, deliver, remember.

`plan` is the same line with another operation. What is sent is decided by a *choice*: a
function from a situation to the modules whose server side a person saw and replaces. From
then on the server's version is what was agreed, and deciding is the same pure step again: so
an edit that nobody saw is never replaced, also when someone pushes at this very moment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import DeliveryError, HabaneroError, Reason, UndecidedError
from ..release import Bundle, Report
from ..source import Source
from ..unit import Unit
from .archive import sources_at
from .build import check_size, make_bundle
from .decide import ABSENT, Decision
from .desk import (
    Desk,
    Situation,
    compare,
    conflict_reason,
    look,
    path_of,
    read,
    request_for,
    survey,
    who_changed,
)
from .edits import edits
from .lacking import LACKING, is_lacking
from .memory import Held, Memory
from .rehearsal import MORE_S, REHEARSAL, Wish
from .transport import Request
from .tree import Tree, reread_tree
from .unimported import aside, unimported
from .view import View

ATTEMPTS = 5  # when others push at the same moment, or files change: each costs a hello
RECORDED = frozenset({"live", "unchanged", "diverged"})  # the server's head holds our edit after them
ON_TRIAL = frozenset({"live", "diverged"})  # a release came of it


Before = Callable[[Situation, Bundle], bool]
"""Called before a bundle is sent. Raises HabaneroError to send nothing.

Returns whether files may have changed meanwhile: then what goes is looked at again."""


def at_once(_now: Situation, _bundle: Bundle) -> bool:
    """Send without further ado."""
    return False


Choice = Callable[[Situation], Collection[str]]
"""From a situation to the modules that a person replaces. Raises UndecidedError."""


@dataclass(frozen=True)
class Result:
    """What a push or plan came to.

    Attributes:
        report: the server's, with our own milliseconds.
        sent: modules that were sent, edited and deleted.
        paths: their files, for people.
        decision: what else was decided.
        unimported: files that were sent, are new there, and that nothing imports yet.
        edits: of a plan: file -> what its edit means, in words.
        aside: what lies beside the app's modules and is not sent, since nothing imports it.
    """

    report: Report
    sent: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    decision: Decision = field(default_factory=Decision)
    unimported: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    edits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Unsure = Callable[[DeliveryError], None]
"""Told, while a delivery goes on, that its answer does not come; see `Wire.deliver`."""


def push(desk: Desk, choose: Choice, unsure: Unsure, note: str = "", before: Before = at_once) -> Result:
    """Make this tree's edits live. Tries again when others pushed, or files changed, meanwhile.

    Raises:
        HabaneroError: any; nothing was sent, unless it is a DeliveryError that says `maybe_live`.
    """
    begun = time.monotonic()
    for _ in range(ATTEMPTS):
        result = _once(desk, choose, unsure, note, before)
        if result is not None and result.report.outcome != "conflict":
            break
    if result is None:
        raise UndecidedError(
            (Reason("moving", "", "files change while it is checked what is in them", RETRY),)
        )
    return replace(result, report=timed(result.report, begun))


RETRY = "nothing was sent; when they stand still: flask habanero push"


def _once(desk: Desk, choose: Choice, unsure: Unsure, note: str, before: Before) -> Result | None:
    """Push once. None if files changed before anything was sent."""
    now = _compare_with(desk, choose, remembering(desk))
    units = _compiled(desk, now)
    if now.decision.empty:
        return result_of(now, now.decision, _nothing(now.view))
    bundle = make_bundle(now.decision, units, now.tree, now.view, note)
    if before(now, bundle) and has_moved(now.tree):
        return None
    report = deliver(desk, now.view, bundle, unsure)
    remember(desk, now.tree, now.decision, report)
    return result_of(now, now.decision, report)


def plan(desk: Desk, choose: Choice) -> Result:
    """Ask what a push would do. Changes nothing, remembers nothing."""
    seen: dict[str, tuple[str, ...]] = {}

    def ask(now: Situation, bundle: Bundle) -> Report:
        seen.update(edits_of(desk, now))
        return foresee(desk, now.view, bundle)

    return replace(_asked(desk, choose, ask), edits=seen)


def edits_of(desk: Desk, now: Situation) -> dict[str, tuple[str, ...]]:
    """Return file -> what its edit means, of the modules that would be sent and that the server has."""
    names = [n for n in now.decision.send if n in now.tree.sources and n in now.view.tree]
    try:
        old = sources_at(desk, now.view, now.view.head, {name: now.view.tree[name] for name in names})
    except HabaneroError:  # the plan says why, if it is more than a word less
        return {}
    pairs = [(one, now.tree.sources[name]) for name, one in old.items() if isinstance(one, Source)]
    return {path_of(now, new.name): edits(one, new) for one, new in pairs}


def rehearse(desk: Desk, choose: Choice) -> Result:
    """Ask how this tree's edits do in a fresh process over there. Changes nothing, remembers nothing."""
    wish = desk.rehearsal or Wish()
    return _asked(desk, choose, lambda now, bundle: _rehearsed(desk, wish, now.view, bundle))


def _asked(desk: Desk, choose: Choice, ask: Callable[[Situation, Bundle], Report]) -> Result:
    begun = time.monotonic()
    now = _compare_with(desk, choose, lambda change, memory: change(memory))
    units = _compiled(desk, now)
    if now.decision.empty:
        return result_of(now, now.decision, _nothing(now.view))
    bundle = make_bundle(now.decision, units, now.tree, now.view)
    return result_of(now, now.decision, timed(ask(now, bundle), begun))


def foresee(desk: Desk, view: View, bundle: Bundle) -> Report:
    """Ask what sending a bundle would do."""
    return desk.wire.ask(request_for("plan", view, _body(bundle, view)))


def _rehearsed(desk: Desk, wish: Wish, view: View, bundle: Bundle) -> Report:
    request = request_for("rehearse", view, wish.asked() + _body(bundle, view))
    return desk.wire.ask(request, within_s=wish.within_s + MORE_S)


def has_moved(tree: Tree) -> bool:
    """Whether a file of a tree is another by now."""
    return reread_tree(tree, tree.files).digests != tree.digests


Keep = Callable[[Callable[[Memory], Memory], Memory], Memory]
"""Applies a change to a memory, on disk or not."""


def remembering(desk: Desk) -> Keep:
    """Return how a change is kept on disk, with what other processes remembered meanwhile."""
    return lambda change, memory: desk.store.update(change) if change(memory) != memory else memory


def _compare_with(desk: Desk, choose: Choice, keep: Keep) -> Situation:
    view = look(desk)
    desk.compiler.other(view)  # before anything is asked of a person
    now = settle(survey(desk, view, read(desk, view)), choose, keep)
    refuse_conflicts(desk, now)
    return now


def settle(now: Situation, choose: Choice, keep: Keep) -> Situation:
    """Return the situation with the first contact, what is alike, and a person's choice in its memory."""
    chosen = choose(now)
    memory = keep(lambda m: _settled(m, now, chosen), now.memory)
    return replace(now, memory=memory, decision=compare(now.tree, now.view, memory))


def _settled(memory: Memory, now: Situation, chosen: Collection[str]) -> Memory:
    mine, theirs = now.tree.digests, now.view.digests
    memory = memory if memory.app == now.view.app else Memory()
    met = memory.met(now.view.app, now.view.epoch, now.view.head)
    alike = met.agree({name: mine.get(name, ABSENT) for name in now.decision.same})
    return alike.replaces({name: theirs.get(name, ABSENT) for name in chosen})


def refuse_conflicts(desk: Desk, now: Situation) -> None:
    """Raise UndecidedError, naming who changed what, if a module was changed on both sides."""
    names = (*now.decision.conflicts, *now.decision.differs)
    if names:
        records = who_changed(desk, now.view)
        raise UndecidedError(tuple(conflict_reason(now, name, records.get(name)) for name in names))


def _compiled(desk: Desk, now: Situation) -> dict[str, Unit]:
    units, wrong = desk.compiler.compile(now.tree, now.decision.send, now.view)
    for error in wrong.values():
        raise error  # the first: a push is all or nothing
    return units


def _nothing(view: View) -> Report:
    return Report("unchanged", view.head, view.digest, workers=view.workers)


def result_of(now: Situation, decision: Decision, report: Report) -> Result:
    """Return the result of having sent a decision."""
    sent = (*decision.send, *decision.delete)
    new = [name for name in decision.send if name not in now.view.tree and report.outcome in RECORDED]
    waiting = tuple(path_of(now, name) for name in unimported(now.tree, new))
    return Result(
        report, sent, tuple(path_of(now, name) for name in sent), decision, waiting, aside(now.tree)
    )


def deliver(desk: Desk, view: View, bundle: Bundle, unsure: Unsure) -> Report:
    """Send a bundle as the release after the view's head; if that is wished for, once its rehearsal held.

    Raises:
        DeliveryError, RejectedError: see `Wire.deliver`.
        TooLargeError: the server said that it takes less.
    """
    told: Mapping[str, Any] = {}
    if desk.rehearsal is not None:
        rehearsed = _rehearsed(desk, desk.rehearsal, view, bundle)
        if rehearsed.outcome != "live":
            return rehearsed
        told = rehearsed.data
    desk.store.sends(
        {unit.name: unit.source.digest for unit in bundle.units}
        | {asset.name: asset.digest for asset in bundle.assets}
        | dict.fromkeys(bundle.deletions, ABSENT),
        view.head,
    )
    report = _delivered(desk, view, request_for("push", view, _body(bundle, view)), unsure)
    return replace(report, data={**told, **report.data})


def _delivered(desk: Desk, view: View, request: Request, unsure: Unsure) -> Report:
    """Send a push or rollback; if that is wished for, after the promise that takes its release back again."""
    if not desk.trial_s:
        return desk.wire.deliver(request, unsure)
    promised = desk.wire.ask(_promise(desk, view, request.nonce))
    if promised.outcome != "unchanged":
        return promised
    report = desk.wire.deliver(request, unsure)
    on_trial = {"trial": {"number": report.release, "within": desk.trial_s, "stays": desk.stays}}
    return replace(report, data={**report.data, **(on_trial if report.outcome in ON_TRIAL else {})})


def _promise(desk: Desk, view: View, nonce: str) -> Request:
    """Return the request that hands in, for the release with a nonce, the rollback that takes it back."""
    body = json.dumps({"to": view.head})
    back = Request("rollback", view.app, view.epoch, view.head + 1, view.head + 2, view.python, body.encode())
    wish = {"nonce": nonce, "within": desk.trial_s, "stays": desk.stays}
    told = {**wish, "header": desk.wire.sealed_for_later(back), "body": body}
    return request_for("trial", view, json.dumps(told).encode())


def rollback(desk: Desk, view: View, to: int | None, unsure: Unsure) -> Report:
    """Take the server back, as a new release: to the state of a number, or to that before its head."""
    request = request_for("rollback", view, json.dumps({"to": to}).encode())
    return _delivered(desk, view, request, unsure)


def confirm(desk: Desk, view: View, number: int | None) -> Report:
    """Let the release on trial stay: that of a number, or whichever it is."""
    return desk.wire.ask(request_for("confirm", view, json.dumps({"number": number}).encode()))


def freeze(desk: Desk, view: View, why: str) -> Report:
    """Let nobody push until it is thawed; the refusal says why."""
    return desk.wire.ask(request_for("freeze", view, json.dumps({"why": why}).encode()))


def thaw(desk: Desk, view: View, frozen: Mapping[str, Any] | None) -> Report:
    """End a freeze, as status told it, and no other."""
    nonce = frozen["nonce"] if frozen else ""
    return desk.wire.ask(request_for("thaw", view, json.dumps({"nonce": nonce}).encode()))


def _body(bundle: Bundle, view: View) -> bytes:
    body = bundle.encode()
    check_size(body, view)
    return body


def remember(desk: Desk, tree: Tree, decision: Decision, report: Report) -> Memory:
    """Remember what a delivered decision came to: agreed, or held."""
    mine = tree.digests
    names = (*decision.send, *decision.delete)
    digests = {name: mine.get(name, ABSENT) for name in names}
    if report.outcome in RECORDED:
        return desk.store.update(lambda m: replace(m.agree(digests), release=report.release))
    if report.outcome == "conflict" or is_passing(report):
        return desk.store.load()
    why, code = first_line(report), report.outcome
    if any(reason.code == REHEARSAL for reason in report.reasons):
        code = REHEARSAL
    elif is_lacking(report, names, tree):
        code = LACKING
    blamed = {name: Held(digests[name], code, why) for name in blame(names, tree, report)}
    return desk.store.update(lambda m: m.answered(digests).hold(blamed))


PASSING = frozenset({"busy", "store", "in-progress", "unconfirmed", "frozen"})


def is_passing(report: Report) -> bool:
    """Whether the same push may well succeed later, with no file changed."""
    return bool(report.reasons) and all(r.code in PASSING for r in report.reasons)


def blame(names: Iterable[str], tree: Tree, report: Report) -> set[str]:
    """Return the modules that the reasons of a refusal name; all, if they name none of them."""
    places = {reason.where.partition(":")[0] for reason in report.reasons}
    every = set(names)
    return {name for name in every if name in places or tree.path_of(name) in places} or every


def first_line(report: Report) -> str:
    """Return why a report is what it is, in one line."""
    return report.reasons[0].what.partition("\n")[0] if report.reasons else report.outcome


def timed(report: Report, begun: float, **parts: float) -> Report:
    """Return a report whose total is what the person waited, in ms; the server's own is `server`."""
    total = (time.monotonic() - begun) * 1000
    ours = {**report.ms, "server": report.ms.get("total", 0.0), **parts, "total": total}
    return replace(report, ms=ours)
