"""What of a cold change would be hot alone.

A change is taken apart into the edits of single statements. Those that the reasons name are left out or,
where one names none, those that are cold alone; the rest is planned as if it had come alone. So what is told
as hot was planned, never guessed. Executes nothing, and is asked by `plan` only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .change import Change
from .errors import ColdChangeError, HabaneroError, Reason
from .live.diff import Kind, Pair, compare, title
from .live.mechanisms import mechanisms
from .moves import check_restart, foresee
from .source import Source

if TYPE_CHECKING:
    from .live.plan import Plan
    from .live.program import Program

WITHIN_S = 2.0  # whoever asks for a plan waits for it; a plan of a large app takes most of a second
MARKS = {Kind.ADDED: "+", Kind.REMOVED: "-"}


@dataclass(frozen=True)
class Edit:
    """One edit of a change: of a statement, or of a whole module where that can't be told apart."""

    module: str
    path: str
    pair: Pair | None = None

    def stands_at(self, place: str) -> bool:
        """Whether a reason's place is this edit's: after the change, or before it if it goes."""
        module, _, line = place.rpartition(":")
        if self.pair is None:
            return self.module in (place, module)
        piece = self.pair.new or self.pair.old
        if piece is None or module != self.module or not line.isdecimal():
            return False
        return piece.line <= int(line) <= piece.end_line

    def __str__(self) -> str:
        piece = self.pair and (self.pair.new or self.pair.old)
        mark = MARKS.get(self.pair.kind, "~") if self.pair else "~"
        return f"{self.path}: {mark}{title(piece)}" if piece else self.path


def hot_apart(program: Program, change: Change, reasons: Sequence[Reason]) -> dict[str, Any] | None:
    """Return of a cold change which steps would be hot alone, how each is done, and without which edits.

    None if that is nothing, or can't be told.
    """
    ends = time.monotonic() + WITHIN_S
    edits = [edit for name in _changed(program.tree, change.tree) for edit in _edits(program, change, name)]
    hot, cold, more = edits, list[Edit](), list[Reason]()
    while time.monotonic() < ends:
        named = [[edit for edit in hot if edit.stands_at(reason.where)] for reason in reasons]
        found = [edit for some in named for edit in some]
        if not all(named):  # one stands at what did not change, or says no line
            found = [
                edit for edit in hot if _is_cold(program, change, [e for e in edits if e is not edit], ends)
            ]
        cold += dict.fromkeys(found)
        hot = [edit for edit in hot if edit not in found]
        if not found or not hot:
            break
        try:
            plan = _plan(program, change, cold)
        except ColdChangeError as error:
            reasons = error.reasons
            more += reasons
        except HabaneroError:
            break  # what stays does not compile, or has its assets nowhere, without what is left out
        else:
            told = {"steps": list(map(str, plan.steps)), "how": mechanisms(plan)}
            return {**told, "without": list(map(str, cold)), "reasons": [asdict(reason) for reason in more]}
    return None


def _is_cold(program: Program, change: Change, left: Iterable[Edit], ends: float) -> bool:
    try:
        _plan(program, change, left)
    except HabaneroError:
        return True
    return time.monotonic() >= ends


def _plan(program: Program, change: Change, left: Iterable[Edit]) -> Plan:
    """Return the plan of a change without some edits. Its reasons name the lines of the whole change."""
    tree, lines = dict(change.tree), dict[str, list[int]]()
    by_module: dict[str, list[Edit]] = {}
    for edit in left:
        by_module.setdefault(edit.module, []).append(edit)
    for name, edits in by_module.items():
        before, after = program.tree.get(name), tree.pop(name, None)
        pairs = [edit.pair for edit in edits if edit.pair]
        if before and after and pairs:
            tree[name], lines[name] = _taken_back(before, after, pairs)
        elif before:
            tree[name] = before
    units = {name: unit for name, unit in change.units.items() if tree.get(name) is unit.source}
    part = replace(change, tree=tree, units=units)
    try:
        plan = foresee(program, part)
        check_restart(program, part)
    except ColdChangeError as error:
        raise ColdChangeError(tuple(_at_its_line(reason, lines) for reason in error.reasons)) from None
    return plan


def _at_its_line(reason: Reason, lines: Mapping[str, Sequence[int]]) -> Reason:
    module, _, line = reason.where.rpartition(":")
    known = lines.get(module, ())
    at = int(line) if line.isdecimal() else 0
    return replace(reason, where=f"{module}:{known[at - 1]}") if 0 < at <= len(known) else reason


def _changed(loaded: Mapping[str, Source], tree: Mapping[str, Source]) -> list[str]:
    digests = [{name: source.digest for name, source in one.items()} for one in (loaded, tree)]
    return sorted(name for name in {*loaded, *tree} if digests[0].get(name) != digests[1].get(name))


def _edits(program: Program, change: Change, name: str) -> list[Edit]:
    before, after = program.tree.get(name), change.tree.get(name)
    whole = [Edit(name, source.path) for source in (after, before) if source][:1]
    if not before or not after:
        return whole
    pairs = [pair for pair in compare(before.parsed, after.parsed) if pair.kind is not Kind.SAME]
    moves = any(pair.kind is Kind.MOVED for pair in pairs)
    if moves or before.parsed.flags != after.parsed.flags or _share_lines(before) or _share_lines(after):
        return whole
    return [Edit(name, after.path, pair) for pair in pairs]


def _taken_back(before: Source, after: Source, pairs: Iterable[Pair]) -> tuple[Source, list[int]]:
    """Return a source in which some statements are as before, and for each of its lines that of `after`."""
    old = before.text.split("\n")
    rows = [(text, number) for number, text in enumerate(after.text.split("\n"), 1)]
    stay = {
        pair.old.index: pair.new.end_line
        for pair in compare(before.parsed, after.parsed)
        if pair.old and pair.new
    }
    edits = []
    for pair in pairs:
        text = old[pair.old.line - 1 : pair.old.end_line] if pair.old else []
        if pair.new:
            edits.append((pair.new.line - 1, pair.new.end_line, text))
        elif pair.old:
            above = max((index for index in stay if index < pair.old.index), default=None)
            place = stay[above] if above is not None else 0
            edits.append((place, place, text))
    for first, last, text in sorted(edits, key=lambda edit: edit[0], reverse=True):
        rows[first:last] = [(line, first + 1) for line in text]
    return replace(after, text="\n".join(text for text, _ in rows)), [number for _, number in rows]


def _share_lines(source: Source) -> bool:
    return any(above.end_line >= below.line for above, below in pairwise(source.parsed.pieces))
