"""Changed classes: members are exchanged in place; else another class takes the place of the one there is."""

from __future__ import annotations

import ast
from collections.abc import Set as AbstractSet

from ..errors import Reason
from ..piece import Piece
from . import (
    adapters,
    definitions,
    diff,
    effects,
    entries,
    inbody,
    mapped,
    mapping,
    members,
    mixins,
    names,
    rivals,
    sameness,
    slots,
    statements,
    together,
)
from .diff import Pair
from .draft import RESTART, Draft
from .skeleton import same_own_level


def changed(draft: Draft, name: str, pair: Pair, uid: int) -> None:
    """A class changed in more than its methods' bodies: members are exchanged in place, or it is refused."""
    assert (
        pair.old
        and pair.new
        and isinstance(pair.old.node, ast.ClassDef)
        and isinstance(pair.new.node, ast.ClassDef)
    )
    old, new = pair.old.node, pair.new.node
    draft.say(name, f"~{new.name}")
    cls = vars(draft.live(name)).get(new.name)
    if new.name in diff.bound_twice(draft.program.tree[name].parsed) | diff.bound_twice(draft.parsed(name)):
        draft.refuse("bound-twice", draft.where(name, new), f"{new.name} is bound by more than one statement")
    trade = mixins.trade(draft, name, old, new, cls)
    change = members.compare(old, new, cls, name, draft.judge(name).callee, derives=trade is not None)
    reasons = change.reasons or _member_reasons(draft, name, change, (new, old))
    if reasons:
        if not remade(draft, name, pair.old.node, pair.new, uid):
            for reason in reasons:
                draft.refuse(reason.code, reason.where, reason.what, reason.hint)
        return
    if trade is not None:
        trade.act(draft, name, pair.new, uid)
    _functions(draft, name, old, new)
    definitions.supers(draft, name, pair.new, new, change.put)
    for bound in sorted(change.names):
        draft.say(name, f"{'-' if bound in change.drop else '~'}{new.name}.{bound}")
    if change.names and isinstance(cls, type):
        change.leave(_same(draft, name, (pair.old, pair.new), cls))
    if change.names and isinstance(cls, type):
        _exchange(draft, name, pair.new, cls, change)


def _functions(draft: Draft, name: str, old: ast.ClassDef, new: ast.ClassDef) -> None:
    """Note the functions of a class that do something else."""
    before = dict(names.functions_in(old))
    for qualname, function in names.functions_in(new):
        was = before.get(qualname)
        if was is not None and not same_own_level(was, function):
            definitions.function_changed(draft, name, qualname, was)


def _same(draft: Draft, name: str, classes: tuple[Piece, Piece], cls: type) -> set[str]:
    """Return the constants of a class that come out as before; where their order counts, none."""
    return sameness.members(draft, name, classes, cls) if adapters.adapter_of(cls) is None else set()


def _member_reasons(
    draft: Draft, name: str, change: members.ClassChange, classes: tuple[ast.ClassDef, ast.ClassDef]
) -> list[Reason]:
    """Return why the new members of a class may not be made, or the old ones not go.

    Args:
        draft: the plan in the making.
        name: the module.
        change: the members.
        classes: the statement in which the new ones stand, and that in which the old ones stood.
    """
    sides = ((change.put, draft.judge(name)), (change.gone, draft.judge_before(name)))
    live = vars(draft.live(name)).get(classes[0].name)
    judged = [
        (member, judge.member(member, together.above(cls, member, change.names, live)))
        for (side, judge), cls in zip(sides, classes, strict=True)
        for member in side
    ]
    return [Reason("class-member", draft.where(name, member), why, RESTART) for member, why in judged if why]


def _exchange(draft: Draft, name: str, piece: Piece, cls: type, change: members.ClassChange) -> None:
    """Let members of a live class be exchanged, and all follow that used them."""
    node = piece.node
    assert isinstance(node, ast.ClassDef)
    step = members.step(change, node, cls, draft.live(name), draft.parsed(name), draft.filename(name))
    draft.act(name, piece, 1, lambda: step)
    draft.made_members[name, node.name] |= {bound for one in change.put for bound in inbody.bound(one)}
    draft.put_members[name, node.name] += change.put
    for one in change.mapped:
        mapping.learn_of(draft, name, f"{node.name}.{one}", (cls, *mapped.known_to(cls)))
    draft.out.mapping.alters |= bool(change.altered)
    for one in change.unmapped:
        refusal = Reason("class-builder", draft.where(name, node), mapped.keeps(node.name), RESTART)
        mapping.forget(draft, name, f"{node.name}.{one}", refusal)
    draft.dirty_members.append((name, node.name, frozenset(change.names)))
    if change.names & members.MAKERS:
        draft.shape_changed.append((name, node.name))


def remade(draft: Draft, name: str, old: ast.stmt, piece: Piece, uid: int) -> bool:
    """Let a class statement run again: it makes another class, which takes the place of the one there is.

    Possible if making it has no effects. That nobody goes on with the old one is asked later (`anew`).
    """
    node = piece.node
    assert isinstance(node, ast.ClassDef)
    program = draft.program
    if draft.boots or any(
        "__subclasses__" in program.tree[n].text for n in program.tree if program.loaded(n)
    ):
        return False  # the old one is among them until it is collected
    after, before = draft.judge(name).effects(node), draft.judge_before(name).effects(old)
    if effects.first_refusal(after) or effects.first_refusal(before):
        return False
    if (
        entries.removed(draft, name, statements.loaded(draft, name, uid), before, slots.keys_of(after))
        is not None
    ):
        return False
    draft.acted.add((name, uid))
    draft.code_pairs[name] = [
        pair for pair in draft.code_pairs[name] if pair[0].co_qualname.partition(".")[0] != node.name
    ]
    draft.say(name, f"={node.name}" if old is node else f"~{node.name}")
    statements.run(draft, name, piece, uid)
    draft.remade.append((name, node.name))
    draft.dirty.append((name, node.name))
    return True


def members_again(draft: Draft, name: str, piece: Piece, uid: int, local: AbstractSet[str], why: str) -> None:
    """An unchanged class was built from what is another thing now: the members that read it are made anew.

    Args:
        draft: the plan in the making.
        name: the module.
        piece: the class.
        uid: its identity.
        local: under which names its body reads what changed; empty if a function did that its body called.
        why: what changed.
    """
    node = piece.node
    assert isinstance(node, ast.ClassDef)
    draft.acted.add((name, uid))
    draft.partly.discard((name, uid))
    where, cls = draft.where(name, piece), vars(draft.live(name)).get(node.name)
    rows = {one: names.of_piece(Piece(1, one, ""), draft.out.target[name]) for one in node.body}
    readers = local or rivals.reaching(draft, {why.rpartition(".")[2]})
    put = [one for one, row in rows.items() if (row.reads | (set() if local else row.attributes)) & readers]
    change = members.ClassChange(put=put, names={bound for one in put for bound in inbody.bound(one)})
    together.follow(change.names, (node,), cls)
    head = {n.id for part in members.header_nodes(node) for n in ast.walk(part) if isinstance(n, ast.Name)}
    if (name, uid) in draft.derived:  # its bases are evaluated anew
        head = set()
        if not put:
            draft.partly.add((name, uid))
            return
    if isinstance(cls, type) and change.names and not head & readers:
        change.leave(_same(draft, name, (statements.loaded(draft, name, uid), piece), cls))
        if not change.names:
            draft.partly.add((name, uid))
            return
    made = draft.made_members[name, node.name]  # by this release, of what is there when it comes to the class
    if change.names and change.names <= made and not head & readers:
        draft.partly.add((name, uid))
        return
    change.names -= made
    put = change.put = together.exchanged(change.names, node)
    fits = isinstance(cls, type) and put and not head & readers and all(map(inbody.is_simple, put))
    if fits and isinstance(cls, type) and members.takes(cls, node, change, draft.judge(name).callee):
        reasons = _member_reasons(draft, name, change, (node, node))
        if not reasons:
            draft.say(name, f"={node.name}")
            draft.partly.add((name, uid))
            _exchange(draft, name, piece, cls, change)
            return
    else:
        what = f"class {node.name} was built from {why}, which changed"
        reasons = [Reason("stale-class", where, what, RESTART)]
    if not remade(draft, name, node, piece, uid):
        for reason in reasons:
            draft.refuse(reason.code, reason.where, reason.what, reason.hint)
