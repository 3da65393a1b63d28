"""What `watch` does between a save and a line on the screen.

- Nothing ends it but its start (usage, not believed, nobody to ask) and the person.
- A server that is away is said once; what was saved meanwhile goes when it is back.
- What can't be sent (broken, cold, refused, rolled back) is held until its file changes; the
  rest goes, unless it rests on something held. An edit on both sides is shown, never sent.
- What was shown is not shown again in the same state.
- Nothing goes while git waits for the person to solve the conflicts of a merge.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Protocol

from ..errors import (
    BuildError,
    ConfigError,
    DeliveryError,
    HabaneroError,
    Reason,
    RejectedError,
    StoreError,
    TooLargeError,
    UndecidedError,
)
from ..release import Report
from ..source import Source
from ..unit import Unit
from . import desk, git, push
from .build import make_bundle
from .checkout import Checkout
from .decide import ABSENT, Decision, hold
from .depends import named, waiting
from .desk import Desk, Situation
from .hooks import CheckError, Hooks
from .keys import Keys, NoKeys
from .lacking import LACKING, mended
from .memory import Held
from .news import News
from .push import Choice, Result
from .rehearsal import REHEARSAL
from .suspense import Suspense
from .tree import Tree, reread_tree
from .unimported import aside
from .view import View
from .watch import WOKEN, Folders
from .watching import watch_all

RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0)  # after the server went away; the last repeats
NO_KEYS = NoKeys()
ROUNDS = 100  # of one flush: each sends or holds something, or learns of a newer head


class Screen(Protocol):
    """Where a session shows what happens."""

    def begin(self, now: Situation) -> None:
        """The watcher is ready: from now on no save is missed."""

    def result(self, result: Result, held: int) -> None:
        """Something was sent, and this became of it."""

    def broken(self, error: BuildError) -> None:
        """A file does not compile; nothing of it was sent."""

    def notice(self, outcome: str, path: str, reason: Reason) -> None:
        """A file is not sent, and this is why."""

    def held(self, paths: Sequence[str], error: HabaneroError) -> None:
        """Some files are not sent together, and this is why."""

    def away(self, error: HabaneroError, pending: int) -> None:
        """The server can't be reached or does not take anything now."""

    def back(self) -> None:
        """The server is back."""

    def taken_back(self, number: int, why: str) -> None:
        """The server took the newest release back by itself."""

    def fault(self, error: Exception) -> None:
        """A fault of ours; the session goes on."""

    def note(self, text: str) -> None:
        """Something worth knowing about the watcher itself."""


class Session:
    """One `watch`: the server as it was last seen, the tree, and what was shown."""

    def __init__(self, at: Desk, screen: Screen, first: Choice, hooks: Hooks, *, polls: bool = False) -> None:
        self.desk, self.screen, self._first, self._hooks = at, screen, first, hooks
        self._polls, self._checkout = polls, Checkout(at.target.project)
        self._texts: dict[str, Source] = {}  # digest -> source, of all that was ever read here
        self._news = News()
        self._failures, self._retry_at = 0, 0.0  # 0: the server is there
        self._postponed = False  # until git has merged
        self._suspense = Suspense()

    def run(self, stop: Event, keys: Keys = NO_KEYS) -> None:
        """Watch until `stop` is set, which what is under way does not see, or until interrupted.

        Raises:
            RejectedError: at the start: wrong secret, or another app.
            ConfigError: at the start: there is nothing to watch.
            UndecidedError: at the start: the trees differ, and nobody is there to ask.
        """
        met = self._meet(stop)
        if met is None:  # stopped while the server was away
            return
        self._view, self._tree = met.view, met.tree
        events: SimpleQueue[tuple[str, Path]] = SimpleQueue()
        with closing(watch_all(self._folders, stop, self.screen.note, self._ahead, events)) as batches:
            next(batches)  # from here on no event is lost
            self._view, self._tree = met.view, desk.read(self.desk, met.view)
            self._looked_at = self._tree
            self._know(self._tree)
            if self.desk.store.load().may_arrive:
                self._suspense.begin_unheard(met.view.head, time.monotonic())
            self.screen.begin(met)
            with keys.listening(lambda: events.put(WOKEN)):
                self._flush(time.monotonic())
                for batch in batches:
                    self._take(batch)
                    keys.act()

    def _folders(self) -> Folders:
        """Return where to look, by what is known of the server now."""
        return Folders(self._tree.roots, self._tree.tops, self._view.folders, self._polls)

    def _take(self, batch: Collection[Path]) -> None:
        """Send what a batch brought, or what waits, if its time has come."""
        begun = time.monotonic()
        self._read(batch)
        if self._suspense.is_due(begun):
            self._look_by_itself()
        if begun >= self._retry_at if self._retry_at else batch or self._postponed:
            self._flush(begun)

    def _look_by_itself(self) -> None:
        """See whether the server went on: took the newest release back, or got what was on its way."""
        try:
            view = desk.look(self.desk)
        except HabaneroError:  # the next look tells, or the next save
            return
        if view.head != self._view.head:
            self._see(view)
            self._flush(time.monotonic())

    def _see(self, view: View) -> None:
        """Take the server as it is now, and say if it took the newest release back by itself."""
        self._view = view
        if why := self._suspense.end(view):
            self.screen.taken_back(view.head - 1, why)

    def send_again(self) -> None:
        """Send what is held as it is, also what was rolled back; and at once, if the server was away."""
        self.desk.store.update(lambda memory: replace(memory, held={}))
        self._news.forget_all()
        self._flush(time.monotonic())

    def look_again(self) -> None:
        """See the server as it is now, after it was changed other than by a save."""
        self._view = desk.look(self.desk)
        self._flush(time.monotonic())

    def _meet(self, stop: Event) -> Situation | None:
        """Meet the server, as often as it takes, and settle the first contact."""
        while not stop.is_set():
            try:
                view = desk.look(self.desk)
                self.desk.compiler.other(view)
                now = desk.survey(self.desk, view, desk.read(self.desk, view))
                met = push.settle(now, self._first, push.remembering(self.desk))
            except (RejectedError, ConfigError, UndecidedError):
                raise
            except HabaneroError as error:
                self._away(error, 0)
                stop.wait(self._retry_at - time.monotonic())
            else:
                self._back()
                return met
        return None

    def _know(self, tree: Tree) -> None:
        self._texts.update((source.digest, source) for source in tree.sources.values())

    def _read(self, batch: Collection[Path]) -> None:
        before = replace(self._tree, folders=self._view.folders)  # a release may bring others
        self._tree = reread_tree(before, batch)
        self._know(self._tree)
        for file in aside(self._tree, batch):
            if self._news.is_new("aside", file, NOT_SENT):
                self.screen.note(f"{file}: {NOT_SENT}")
        if (self._hooks.wishes.is_checked or self.desk.rehearsal) and self._tree.digests != before.digests:
            # Both are of all files together: what one held may well go with what was saved now
            self.desk.store.update(lambda memory: memory.let_go({CheckError.slug, REHEARSAL}))

    def _ahead(self, path: Path) -> None:
        """Compile a file that may be sent in a moment: of what was compiled, each statement is remembered."""
        if path not in self._tree.files:  # it is new, and all folders would be read
            return
        with suppress(Exception):  # said by _flush, where the same fails again
            if self.desk.compiler.other(self._view):  # whose process remembers nothing of the one before it
                return
            tree = reread_tree(self._tree, [path])
            name = tree.files.get(path, "")
            if name in tree.sources:  # it may be gone, or hold no text
                self.desk.compiler.compile(tree, (name,), self._view)

    def _flush(self, begun: float) -> None:
        """Send what can be sent, until nothing is left or the server is away."""
        try:
            self._postponed = self._is_merging()
            if self._postponed:
                return
            if self._retry_at:
                self._view = desk.look(self.desk)
                self.desk.compiler.other(self._view)
                self._back()
            for _ in range(ROUNDS):
                if not self._send_once(begun):
                    break
        except HabaneroError as error:
            self._away(error, self._pending())
        except Exception as error:  # noqa: BLE001  # the outermost loop: a fault of ours loses nobody's next save
            self._schedule_retry()
            self.screen.fault(error)
        if self.desk.store.problem and self._news.is_new("memory", "", self.desk.store.problem):
            self.screen.note(self.desk.store.problem)

    def _is_merging(self) -> bool:
        """Whether git waits for the person: what lies in the tree then is half of two versions."""
        files = sorted({name for root in self._tree.roots for name in git.unmerged(root)})
        if self._news.is_new("merge", "", tuple(files)) and files:
            self.screen.note(f"git merges, nothing is sent until it is done: conflicts in {', '.join(files)}")
        return bool(files)

    def _pending(self) -> int:
        """Return how many files go when the server is back, without asking it."""
        memory = self.desk.store.load()
        decision = desk.compare(self._tree, self._view, memory)
        now = Situation(self._view, self._tree, memory, decision)
        waits = hold(decision, now.held)
        return len(waits.send) + len(waits.delete)

    def _send_once(self, begun: float) -> bool:
        """Send one bundle, or find out why not. Returns whether to look again."""
        now = desk.survey(self.desk, self._view, self._tree)
        if self._is_mended(now):
            return True
        now = push.settle(now, lambda _: (), push.remembering(self.desk))
        decision = self._possible(now)
        units, wrong = self.desk.compiler.compile(now.tree, decision.send, now.view)
        if wrong:
            self._hold_broken(now, wrong)
            return True
        if decision.empty:
            return False
        return not self._is_let_through(now, decision) or self._deliver(now, decision, units, begun)

    def _is_mended(self, now: Situation) -> bool:
        """Whether what lacked something of another file may go now, with that one."""
        before, self._looked_at = self._looked_at, now.tree
        again = mended(now.memory, before, now.tree)
        if again:
            self.desk.store.update(lambda memory: memory.let_go({LACKING}))
            paths = sorted(desk.path_of(now, name) for name in again)
            self.screen.note(f"{', '.join(paths)}: once more, together with what was saved now")
        return bool(again)

    def _is_let_through(self, now: Situation, decision: Decision) -> bool:
        """Run what must succeed before something is sent. Holds it, or reads again what changed meanwhile."""
        names = (*decision.send, *decision.delete)
        try:
            took_time = self._hooks.before(now, names)
        except CheckError as error:
            digests = now.tree.digests
            held = {name: Held(digests.get(name, ABSENT), error.slug, str(error)) for name in names}
            self.desk.store.update(lambda memory: memory.hold(held))
            self.screen.held([desk.path_of(now, name) for name in names], error)
            return False
        if took_time and push.has_moved(now.tree):
            self._read(now.tree.files)
            return False
        return True

    def _possible(self, now: Situation) -> Decision:
        """Return what may go now; says what may not, and why."""
        self._show_theirs(now)
        held = now.held
        decision = hold(now.decision, held)
        edits = {name: now.tree.sources[name] for name in decision.send if name in now.tree.sources}
        waits = waiting(edits, {name: now.tree.sources.get(name) for name in held}, self._server_text)
        texts = {name: now.tree.text_of(name) for name in (*decision.send, *held)}
        free = {name: texts[name] for name in decision.send if name not in waits}
        waits |= named(free, {name: texts[name] for name in (*held, *waits)}, now.tree.folders)
        for name, cause in waits.items():
            what = f"waits for {desk.path_of(now, cause)}: {_why(now, cause)}"
            self._notice(now, "held", name, Reason("waits", desk.path_of(now, name), what))
        return hold(decision, waits)

    def _server_text(self, name: str) -> Source | None:
        entry = self._view.tree.get(name)
        return self._texts.get(entry.digest) if entry else None

    def _show_theirs(self, now: Situation) -> None:
        """Say which files are the server's business, each once per state."""
        held = now.held
        conflicts = [n for n in (*now.decision.conflicts, *now.decision.differs) if n not in held]
        told = (*conflicts, *now.decision.newer)
        fresh = [n for n in told if self._news.is_new("theirs", n, self._state(now, n))]
        records = desk.who_changed(self.desk, now.view) if fresh else {}
        for name in fresh:
            path, record = desk.path_of(now, name), records.get(name)
            if name in conflicts:
                self.screen.notice("conflict", path, desk.conflict_reason(now, name, record))
            else:
                self.screen.notice("newer", path, desk.newer_reason(now, name, record))
        for name, why in held.items():
            if why.code == "rolled-back":
                self._notice(now, "held", name, Reason(why.code, desk.path_of(now, name), why.why, HELD_HINT))

    def _notice(self, now: Situation, outcome: str, name: str, reason: Reason) -> None:
        if self._news.is_new(outcome, name, (self._state(now, name), reason.what)):
            self.screen.notice(outcome, desk.path_of(now, name), reason)

    @staticmethod
    def _state(now: Situation, name: str) -> Hashable:
        return now.tree.digests.get(name, ABSENT), now.view.digests.get(name, ABSENT)

    def _hold_broken(self, now: Situation, wrong: dict[str, BuildError]) -> None:
        digests = now.tree.digests
        held = {name: Held(digests[name], error.slug, str(error)) for name, error in wrong.items()}
        self.desk.store.update(lambda memory: memory.hold(held))
        for error in wrong.values():
            self.screen.broken(error)

    def _deliver(self, now: Situation, decision: Decision, units: dict[str, Unit], begun: float) -> bool:
        bundle = make_bundle(decision, units, now.tree, now.view)
        built = time.monotonic()
        try:
            report = push.deliver(self.desk, now.view, bundle, self._unsure)
        except TooLargeError as error:  # later it is no smaller
            report = Report(error.outcome, now.view.head, now.view.digest, reasons=error.reasons)
        self._back()  # if it was away in the middle of it
        deliver = (time.monotonic() - built) * 1000
        report = push.timed(report, begun, build=(built - begun) * 1000, deliver=deliver)
        if report.outcome == "conflict":
            self._see(desk.look(self.desk))
            return True
        if push.is_passing(report):
            raise StoreError(push.first_line(report))
        memory = push.remember(self.desk, now.tree, decision, report)
        if report.outcome in push.RECORDED:
            self._view = now.view.after(bundle, report)
            self._suspense.begin(report, time.monotonic())
        self._show(replace(now, memory=memory), decision, report)
        self._hooks.after(report)
        return True

    def _show(self, now: Situation, decision: Decision, report: Report) -> None:
        result = push.result_of(now, decision, report)
        self.screen.result(result, len(now.held))
        if went := self._checkout.words(len(result.paths), report):
            self.screen.note(went)

    def _unsure(self, error: DeliveryError) -> None:
        """Say that the server went away with what is being sent, whose end is still asked for."""
        self._away(error, self._pending())

    def _away(self, error: HabaneroError, pending: int) -> None:
        self._schedule_retry()
        if self._news.is_new("away", "", str(error)):
            self.screen.away(error, pending)

    def _schedule_retry(self) -> None:
        self._retry_at = time.monotonic() + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1

    def _back(self) -> None:
        if self._retry_at:
            self.screen.back()
        self._failures, self._retry_at = 0, 0.0
        self._news.forget("away", "")


NOT_SENT = "nothing imports it yet, so it is not sent; it goes with what does"
HELD_HINT = "edit it, or send it again as it is: flask habanero push"


def _why(now: Situation, name: str) -> str:
    return now.held[name].why if name in now.held else "waits itself"
