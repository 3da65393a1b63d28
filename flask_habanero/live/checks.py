"""The last questions to a draft: would a cold start get through, and are the live objects what we think."""

from __future__ import annotations

import sys
from types import CodeType

from ..errors import Reason
from . import (
    codes,
    effects,
    entries,
    functions,
    imports,
    mapping,
    names,
    reach,
    rebuilding,
    recorded,
    registrations,
    stars,
    steps,
)
from .draft import Draft
from .program import owner_of


def cold_start(draft: Draft) -> None:
    """Refuse what a cold start of the target would stumble over."""
    changed = {*draft.units, *draft.out.deletions}
    before, target = draft.program.tree, draft.out.target
    for reason in imports.broken(before, target, changed, draft.own):
        if not _is_only_run(draft, reason.where.partition(":")[0]):
            _refuse(draft, reason)
    _first_imports(draft)
    for reason in imports.broken(before, target, set(draft.first_loaded) - changed, draft.own):
        _refuse(draft, reason)
    _packages(draft)
    _name_order(draft)
    _circles(draft)
    stars.check_whole(draft)


def _is_only_run(draft: Draft, name: str) -> bool:
    """Whether it is a package's `__main__`, by which this process was not started, and nothing imports it."""
    if name.rpartition(".")[2] != "__main__" or name in draft.loaded:
        return False
    return not any(name in reach.named_in(source) for source in draft.out.target.values())


def _refuse(draft: Draft, reason: Reason) -> None:
    draft.refuse(reason.code, reason.where, reason.what, reason.hint)


def _first_imports(draft: Draft) -> None:
    """Modules that the release loads for the first time run whole: each statement must be harmless."""
    target = draft.out.target
    for name in reach.newly_loaded(draft.ran_imports, target, draft.loaded):
        source = target[name]
        draft.first_loaded.append(name)
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            found = mapping.learn(draft, name, piece, draft.judge(name).effects(piece.node))
            if (why := effects.first_refusal(found)) is not None:
                draft.refuse("effect", draft.where(name, piece), why)
            if not draft.boots:
                entries.added(draft, name, piece, found)
            draft.registers |= bool(row.called_attributes & (registrations.DECORATORS | registrations.CALLS))
            draft.registers |= any(effect.kind == "registers" for effect in found)
            draft.ran_imports += row.imports


def _packages(draft: Draft) -> None:
    """What comes from other packages is imported before the commit, and must be installed."""
    wanted = dict.fromkeys(imports.foreign(draft.ran_imports, draft.own))
    draft.out.preload = [module for module in wanted if module not in sys.modules]
    for missing in [module for module in draft.out.preload if not imports.is_there(module)]:
        what = f"no module named {missing!r} here"
        draft.refuse("import-missing", missing, what, "install it on the server and restart")


def _name_order(draft: Draft) -> None:
    moved = {module for module, _ in draft.out.moved}
    for name in {*draft.units, *(module for module, _ in draft.acted)}:
        if name in draft.out.target and draft.program.loaded(name) is not None:
            indices = None if name in moved else _run_indices(draft, name)
            for reason in imports.used_too_early(draft.out.target[name], indices, draft.out.target):
                _refuse(draft, reason)


def _circles(draft: Draft) -> None:
    """An import circle that the tree had before is none of the release's."""
    if draft.imports_differ:
        known = {_circle(one) for one in imports.circles(draft.program.tree, draft.roots)}
        for circle in imports.circles(draft.out.target, draft.roots):
            if _circle(circle) not in known:
                _refuse(draft, circle)


def _circle(reason: Reason) -> tuple[str, str]:
    return reason.where.partition(":")[0], reason.what


def _run_indices(draft: Draft, name: str) -> set[int]:
    made = {cls for module, cls in draft.made_members if module == name}
    return {
        piece.index
        for piece, uid in zip(draft.parsed(name).pieces, draft.uids(name), strict=True)
        if (name, uid) in draft.acted or getattr(piece.node, "name", "") in made
    }


def live_objects(draft: Draft) -> None:
    """Turn pairs of code into swaps of the functions that live, and deferred actions into steps."""
    goals: dict[tuple[str, CodeType], CodeType] = {}
    for name, found in draft.code_pairs.items():
        inside: set[int] = (
            set()
        )  # ids of what stands in functions that change: other code, also if it is equal
        for old, new in found:
            if new is None:
                _ended_code(draft, name, old)
            elif _swap(draft, name, (old, new), goals, again=id(new) in inside) or id(new) in inside:
                inside.update(map(id, codes.children(new)))
        _class_facts(draft, name)
    draft.bind()
    _suspended(draft)


def _class_facts(draft: Draft, name: str) -> None:
    """Classes say where they stand, and what their methods set, before any statement makes one anew."""
    facts = {}
    for old, new in draft.code_pairs[name]:
        if new is not None and codes.is_class(old):
            found: dict[str, object] = {}
            if old.co_firstlineno != new.co_firstlineno:
                found["__firstlineno__"] = new.co_firstlineno
            if (attributes := codes.other_attributes(old, new)) is not None:
                found["__static_attributes__"] = attributes
            if found:
                facts[old.co_qualname, old.co_firstlineno] = found
    if facts:
        draft.first(name, steps.ClassFacts(draft.live(name), facts))


def _ended_code(draft: Draft, name: str, old: CodeType) -> None:
    """A function goes with its name, or was made by a call that is over; a lambda may be held by anybody."""
    is_anonymous = old.co_name[0] == "<" and "<locals>" not in old.co_qualname
    if draft.holders(name, old) and is_anonymous:
        what = f"{old.co_qualname}: nobody can say which of those here it became"
        draft.refuse("ambiguous", f"{name}:{old.co_firstlineno}", what)


def _swap(
    draft: Draft,
    name: str,
    code: tuple[CodeType, CodeType],
    goals: dict[tuple[str, CodeType], CodeType],
    *,
    again: bool,
) -> bool:
    """Let live functions have their new code. Returns whether there are any, and it is other code."""
    old, new = code
    place = (name, new.co_qualname, new.co_firstlineno)
    draft.out.renamed[name, old.co_qualname, old.co_firstlineno] = place
    holders = draft.holders(name, old)
    if not holders:
        return False
    if old.co_freevars != new.co_freevars:
        draft.remade_codes.add((name, old))  # unless they all are made anew, it is refused
    elif goals.setdefault((name, old), new) != new:
        what = f"{old.co_qualname}: two definitions share one code"
        draft.refuse("ambiguous", f"{name}:{old.co_firstlineno}", what)
    elif old != new or (again and not old.co_flags & codes.SUSPENDED):
        draft.out.swaps.append(steps.SwapCode(tuple(holders), new))
        return True
    return False


def _suspended(draft: Draft) -> None:
    if draft.live_functions.complete:
        return
    changing = {swap.functions[0].__code__ for swap in draft.out.swaps}
    for name in draft.loaded if changing else ():
        live = draft.program.loaded(name)
        if live is not None and (held := functions.suspended(live, changing)):
            draft.refuse("suspended", name, f"{held} is in the middle of code that changed")


def order(draft: Draft) -> None:
    """Refuse when modules that register would run in another order than they did."""
    if not draft.imports_differ:
        return
    who = {
        place[0]
        for t in list(registrations.targets)
        for e in registrations.entries_of(t)
        for place in e.chain or ()
    }
    ranked = [_first_runs(tree, draft.roots) for tree in (draft.program.tree, draft.out.target)]
    both = set(ranked[0]) & set(ranked[1])
    ranks = [sorted(both, key=one.__getitem__) for one in ranked]
    if ranks[0] == ranks[1]:
        return
    who |= {name for name in both if _makes_entries(draft, name)}
    before, after = ([name for name in row if name in who] for row in ranks)
    if before != after:
        what = f"{', '.join(before)} would be imported in another order, and so register in another"
        draft.refuse("order", "", what)


def _makes_entries(draft: Draft, name: str) -> bool:
    """Whether statements of a loaded module make entries in objects that others may share."""
    return draft.program.loaded(name) is not None and any(
        effect.kind in ("attribute", "item", "config", "global")
        for piece in draft.parsed(name).pieces
        for effect in draft.judge(name).read(piece.node).effects
    )


def _first_runs(tree: reach.Tree, roots: list[str]) -> dict[str, int]:
    """Return when each module's first statement ends in a cold start."""
    found: dict[str, int] = {}
    for (name, _), rank in imports.execution_order(tree, roots).items():
        found[name] = min(rank, found.get(name, rank))
    return found


def _is_rebuilt(draft: Draft, target: registrations.Target) -> bool:
    """Whether a factory takes registrations back, or makes them in another order."""
    found = registrations.entries_of(target)
    uids = {**draft.program.books.uids, **draft.out.uids}
    places = [draft.program.position(draft.out.moved_chain(one.chain or ()), uids) for one in found]
    return places != sorted(places) or any(draft.out.ends(one.chain or ()) for one in found)


def journals(draft: Draft) -> None:
    """Registrations may only change on apps whose journal tells all that is there."""
    out = draft.out
    if not (out.withdraw or out.moved or out.parts or out.relocate or draft.registers):
        return  # most saves: nothing that any app has registered ends, moves, or comes
    draft.out.journals = [
        target
        for target in list(registrations.targets)
        if any(draft.out.touches(entry.chain or ()) for entry in registrations.entries_of(target))
    ]
    known = draft.program.tree.__contains__
    affected = {
        target
        for target in list(registrations.targets)
        for entry in registrations.entries_of(target)
        if owner_of(entry, known) in draft.out.withdraw
        or any(place[:2] in draft.out.moved for place in entry.chain or ())
    }
    affected |= {target for target in draft.out.journals if _is_rebuilt(draft, target)}
    if not (affected or draft.registers):
        return
    targets = [
        t
        for t in list(registrations.targets)
        if t in affected or not t.import_name.startswith("flask_habanero")
    ]
    recorded.registered_anew(draft)
    try:
        rebuilt = rebuilding.rebuild(targets, {}, records=draft.out.records)
    except rebuilding.UnreplayableError as error:
        draft.refuse("journal", "", str(error))
        return
    for target in targets:
        keys = [
            draft.program.position(entry.chain or (), draft.program.books.uids)
            for entry in registrations.entries_of(target)
        ]
        if keys != sorted(keys):
            draft.refuse(
                "order", "", f"{target.name}: the order of its registrations is not that of its lines"
            )
    for one in rebuilt:
        if wrong := rebuilding.differences(one):
            more = "hold more than was registered through Flask's methods since our import"
            what = f"{one.target.name}: {', '.join(wrong)} {more}"
            draft.refuse(
                "journal",
                "",
                what,
                "`from flask_habanero import Habanero` before your own modules, or restart",
            )
