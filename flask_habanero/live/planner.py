"""Decide: from the running program and a bundle to ordered steps, or to reasons why not.

Nothing is executed here and nothing is changed. The statements of each changed module are paired
with those that are loaded; each pair says what becomes of it; what others had read from it at
import is then followed (`flow`) until nothing more is stale. What can't be told is a reason.
"""

from __future__ import annotations

import ast
import sys
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from ..errors import Reason
from ..source import Source
from ..unit import Unit
from . import (
    anew,
    bodies,
    checks,
    codes,
    configured,
    definitions,
    diff,
    early,
    entries,
    factory,
    listing,
    mapping,
    names,
    ordering,
    orphans,
    outside,
    recorded,
    redefined,
    rivals,
    searches,
    settling,
    state,
    statements,
    steps,
    unran,
)
from .diff import Kind, Pair
from .draft import Draft
from .flow import Flow
from .plan import Plan

if TYPE_CHECKING:
    from .program import Program


def make_plan(
    program: Program, units: tuple[Unit, ...], deletions: tuple[str, ...], *, templates: bool = False
) -> Plan:
    """Return the plan for a bundle's units and deletions.

    Args:
        program: the running program.
        units: modules that change or come.
        deletions: modules that end.
        templates: whether templates change, too.
    """
    settling.settle(program)

    def fresh() -> Draft:
        draft = Draft(program, units, deletions)
        draft.templates = templates
        return draft

    draft = fresh()
    recorded.count_on(draft)
    if _complete(draft).refused and draft.out.records:
        draft = _complete(fresh())
    return draft.finished()


def _complete(draft: Draft) -> Draft:
    """Return a draft once it says all that is to be done, or why that can't be."""
    _modules(draft)
    for ask in (
        Flow.follow,
        orphans.arms,
        state.tables,
        factory.settle,
        unran.settle,
        checks.cold_start,
        early.check,
        checks.order,
        state.check,
        ordering.check,
        rivals.check,
        outside.check,
        entries.arrange,
        checks.live_objects,
        checks.journals,
        recorded.check,
        listing.check,
        anew.check,
        configured.check,
        mapping.settle,
    ):
        if not draft.refused:
            ask(draft)
    return draft


def reasons_to_boot(twin: Program, units: tuple[Unit, ...], deletions: tuple[str, ...]) -> tuple[Reason, ...]:
    """Return why a process could not come from where `twin` stands to a tree: all but what objects say."""
    draft = Draft(twin, units, deletions)
    draft.boots = True
    _modules(draft)
    for ask in (Flow.follow, checks.cold_start, mapping.settle):
        if not draft.refused:
            ask(draft)
    return draft.finished().reasons


def _modules(draft: Draft) -> None:
    """Say what becomes of each module."""
    ending = orphans.find(draft)
    for name, unit in draft.units.items():
        if name in ending:
            when = "releases changed it: a worker that starts has to do both at once" if draft.boots else ""
            what = f"nothing imports {name} any more, and {when or 'it changes at the same time'}"
            draft.refuse("removed-effect", name, what, "save one after the other, or restart")
        else:
            _module(draft, unit)
    orphans.end(draft, ending)


def _module(draft: Draft, unit: Unit) -> None:
    old, module = draft.program.tree.get(unit.name), draft.program.loaded(unit.name)
    if module is None:
        draft.say(unit.name, "new module" if old is None else "not loaded yet")
        if old is None:
            searches.check(draft, unit.name)
    elif old is None:
        what = f"{unit.name} is loaded, but its source was not here at the start"
        draft.refuse("unknown-module", unit.name, what)
    elif _fits(draft, unit, old, module):
        _statements(draft, unit, old)


def _fits(draft: Draft, unit: Unit, old: Source, module: ModuleType) -> bool:
    """Whether statements can be compared with those that are loaded; else the draft is refused."""
    program, name = draft.program, unit.name
    main = sys.modules.get("__main__")
    if main is not module and main is not None and program.unit_name("__main__") == name:
        draft.refuse(
            "loaded-twice",
            name,
            f"{name} runs twice: as itself and as __main__",
            "start the app with: flask run",
        )
        return False
    if old.package != unit.source.package:
        draft.refuse("package", name, f"{name} becomes a {'package' if unit.source.package else 'module'}")
        return False
    if old.parsed.flags != unit.source.parsed.flags:
        draft.refuse("future", name, f"{name}: its __future__ imports changed, and with them every statement")
        return False
    return True


def _statements(draft: Draft, unit: Unit, old: Source) -> None:
    """Pair the statements of a module with those that are loaded, and say what becomes of each."""
    program, name = draft.program, unit.name
    filename = program.filename(name, old)
    old_codes = program.codes(name)
    new_codes = [codes.load(statement.code, filename) for statement in unit.statements]
    draft.out.codes[name] = new_codes
    draft.out.show.append(steps.ShowSource(filename, unit.source.text))
    before, uids = program.uids(name), [0] * len(new_codes)
    pairs = diff.compare(old.parsed, unit.source.parsed)
    displaced = diff.displaced(pairs)
    for pair in pairs:
        uid = before[pair.old.index] if pair.old else program.new_uid()
        if pair.new:
            uids[pair.new.index] = uid
        draft.out.uids[name] = uids
        if pair.old and pair.new:
            _pair(draft, name, pair, uid, (old_codes[pair.old.index], new_codes[pair.new.index]))
            if pair in displaced:
                statements.moved(draft, name, pair, uid)
        elif pair.new:
            statements.added(draft, name, pair.new, uid)
        elif pair.old:
            statements.removed(draft, name, pair.old, uid)
    hinted = [names.hinted(side) for side in (old, unit.source)]
    if hinted[0] != hinted[1] and not draft.boots:
        gone = tuple(one for one in hinted[0] if one not in hinted[1])
        draft.last(name, steps.OrderHints(draft.live(name), tuple(hinted[1]), gone))


def _pair(draft: Draft, name: str, pair: Pair, uid: int, code: tuple[CodeType, CodeType]) -> None:
    assert pair.old and pair.new
    if code[0] is not code[1] and code[0] != code[1]:  # comparing goes through all that they hold
        found = list(codes.pairs(code[0], code[1] if draft.boots else codes.own(code[1])))
        draft.code_pairs[name] += found
        for was, now in found:  # lambdas, and what functions made: at the start somebody may have called it
            if "<" in was.co_qualname and (now is None or codes.differs(was, now)):
                draft.changed_functions.append((name, was.co_qualname, was.co_firstlineno))
            if now is not None and was.co_freevars != now.co_freevars:
                draft.changed_functions += definitions.makers(draft, name, was)
    if pair.kind is Kind.MOVED:
        statements.moved(draft, name, pair, uid)
    elif pair.kind is Kind.BODY:
        definitions.only_bodies(draft, name, pair)
    elif pair.kind is Kind.CHANGED:
        old, new = pair.old.node, pair.new.node
        functions_both = isinstance(old, bodies.Function) and isinstance(new, bodies.Function)
        if functions_both:
            definitions.function(draft, name, pair, uid)
        elif isinstance(old, ast.ClassDef) and isinstance(new, ast.ClassDef):
            redefined.changed(draft, name, pair, uid)
        else:
            statements.again(draft, name, pair, uid)
