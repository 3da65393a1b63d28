"""Changed functions and classes: they keep their identity, and take over what their statement now says."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from types import CodeType, FunctionType

from ..errors import Reason
from ..source import Piece, compile_nodes
from . import (
    adapters,
    bodies,
    codes,
    configured,
    diff,
    effects,
    entries,
    headers,
    mapped,
    mapping,
    members,
    names,
    rivals,
    sameness,
    slots,
    statements,
    steps,
)
from .diff import Pair, title
from .draft import RESTART, Draft, FindFunction
from .parts import first_line
from .skeleton import alike, same_own_level


def only_bodies(draft: Draft, name: str, pair: Pair) -> None:
    """Only bodies differ: swapped; who called a changed function at import is stale."""
    assert pair.old and pair.new
    after = list(names.functions_in(pair.new.node))
    for (qualname, old), (_, new) in zip(names.functions_in(pair.old.node), after, strict=True):
        if not alike(old, new):
            draft.say(name, f"~{qualname}")
        if not same_own_level(old, new):
            _function_changed(draft, name, qualname, old)
        headers.compare(draft, name, qualname, (old, new))
    if not after:
        draft.say(name, f"~{title(pair.new)}")
    if isinstance(pair.new.node, ast.ClassDef):
        _super(draft, name, pair.new, pair.new.node)


def makers(draft: Draft, name: str, code: CodeType) -> Iterator[tuple[str, str, int]]:
    """Yield the function that makes functions of a code, if one does: what it made has another shape now."""
    qualname = code.co_qualname.rpartition(".<locals>.")[0]
    for one in draft.program.codes(name):
        for outer in codes.walk(one):
            if qualname and outer.co_qualname == qualname and code in codes.children(outer):
                yield name, qualname, outer.co_firstlineno


def _super(draft: Draft, name: str, piece: Piece, node: ast.ClassDef) -> None:
    """Methods that gain or lose `super()` need a function of another shape: made anew, as members."""
    found = [
        (old, new)
        for old, new in draft.code_pairs[name]
        if new is not None
        and set(old.co_freevars) ^ set(new.co_freevars) == {"__class__"}
        and new.co_qualname.count(".") == 1
    ]
    put = [
        m
        for m in node.body
        for _, new in found
        if isinstance(m, bodies.Function) and new.co_qualname == f"{node.name}.{m.name}"
    ]
    module = draft.program.loaded(name)
    cls = vars(module).get(node.name) if module else None
    if (
        put
        and module
        and isinstance(cls, type)
        and effects.is_plain_class(cls)
        and all(map(members.is_simple, put))
    ):
        draft.code_pairs[name] = [pair for pair in draft.code_pairs[name] if pair not in found]
        change = members.ClassChange(put=list(put))
        step = members.step(change, node, cls, module, draft.parsed(name), draft.filename(name))
        draft.act(name, piece, 1, lambda: step)


def _function_changed(draft: Draft, name: str, qualname: str, old: bodies.Function) -> None:
    draft.changed_function((name, qualname, first_line(old)))
    owner, _, last = qualname.rpartition(".")
    if owner and last in ("__init__", "__new__", "__post_init__"):
        draft.shape_changed.append((name, owner))


def function(draft: Draft, name: str, pair: Pair, uid: int) -> None:
    """A `def` changed in more than its body."""
    assert (
        pair.old
        and pair.new
        and isinstance(pair.old.node, bodies.Function)
        and isinstance(pair.new.node, bodies.Function)
    )
    old, new = pair.old.node, pair.new.node
    draft.say(name, f"~{new.name}")
    headers.compare(draft, name, new.name, (old, new))
    draft.acted.add((name, uid))
    if getattr(old, "type_params", None) or getattr(new, "type_params", None):
        draft.refuse("type-params", draft.where(name, new), f"{new.name}: type parameters")
        return
    if type(old) is not type(new) or not same_own_level(old, new) or not alike(old.args, new.args):
        _function_changed(draft, name, new.name, old)
    raw = _raw(draft, name, pair.old, old)
    if alike(old.args, new.args) and alike(old.returns, new.returns):
        draft.same_headers.add((name, uid))
    else:
        _header(draft, name, (old, new))
        _conform(draft, name, pair.new, raw)
    if alike(old.decorator_list, new.decorator_list) and draft.judge(name).decorated(new).only_registers:
        draft.same_decorators.add((name, uid))
    else:
        _decorate(draft, name, pair.new, uid, raw, old)


def _header(draft: Draft, name: str, functions: tuple[bodies.Function, ...]) -> None:
    for one in functions:
        if (why := draft.judge(name).header(one.args, one.returns)) is not None:
            draft.refuse("default", draft.where(name, one), why)


def _raw(draft: Draft, name: str, piece: Piece, node: bodies.Function) -> FindFunction:
    """Return a way to the one live function that a top-level `def` made, found when all functions are."""
    code = next(c for c in codes.children(draft.program.codes(name)[piece.index]) if c.co_name == node.name)

    def find() -> FunctionType | None:
        found = [f for f in draft.holders(name, code) if f.__qualname__ == node.name]
        if len(found) == 1:
            return found[0]
        draft.refuse(
            "not-found",
            draft.where(name, node),
            f"{node.name}: {len(found)} live functions come from this definition",
        )
        return None

    return find


def _conform(draft: Draft, name: str, piece: Piece, raw: FindFunction) -> None:
    node = piece.node
    assert isinstance(node, bodies.Function)
    bare = type(node)(**{**dict(ast.iter_fields(node)), "decorator_list": []})
    ast.copy_location(bare, node)
    parsed = draft.parsed(name)
    code = compile_nodes([bare], parsed, draft.filename(name))
    draft.act(name, piece, 0, lambda: (f := raw()) and steps.Conform(f, draft.live(name), node.name, code))


def _decorate(
    draft: Draft, name: str, piece: Piece, uid: int, raw: FindFunction, old: bodies.Function
) -> None:
    """Apply a definition's decorators anew to the function that there is; what they had registered ends."""
    node = piece.node
    assert isinstance(node, bodies.Function)
    before, after = draft.judge_before(name).decorated(old), draft.judge(name).decorated(node)
    loaded = statements.loaded(draft, name, uid)
    kept = slots.keys_of(after.effects)
    for why in (before.why, after.why, entries.removed(draft, name, loaded, before.effects, kept)):
        if why is not None:
            draft.refuse("decorator", draft.where(name, node), why)
    entries.added(draft, name, piece, after.effects)
    rivals.attributes(draft, name, piece, before.attributes | after.attributes)
    configured.written(draft, (*before.effects, *after.effects))
    draft.out.withdraw.add((name, uid))
    value: ast.expr = ast.copy_location(ast.Name(steps.RAW, ast.Load()), node)
    for decorator in reversed(node.decorator_list):
        value = ast.copy_location(ast.Call(decorator, [value], []), decorator)
    assign = ast.copy_location(
        ast.Assign([ast.copy_location(ast.Name(node.name, ast.Store()), node)], value), node
    )
    code = compile_nodes([assign], draft.parsed(name), draft.filename(name))
    draft.registers = True
    step = functools.partial(steps.Decorate, draft.live(name), node.name, code=code, forget=before.attributes)
    draft.act(name, piece, 1, lambda: (f := raw()) and step(function=f))
    if not (before.keeps and after.keeps):
        draft.dirty.append((name, node.name))


def class_(draft: Draft, name: str, pair: Pair, uid: int) -> None:
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
    change = members.compare(old, new, cls, name, draft.judge(name).callee)
    reasons = change.reasons or _member_reasons(draft, name, change, (new, old))
    if reasons:
        if not remade(draft, name, pair.old.node, pair.new, uid):
            for reason in reasons:
                draft.refuse(reason.code, reason.where, reason.what, reason.hint)
        return
    before = dict(names.functions_in(old))
    for qualname, function in names.functions_in(new):
        was = before.get(qualname)
        if was is not None and not same_own_level(was, function):
            _function_changed(draft, name, qualname, was)
    for bound in sorted(change.names):
        draft.say(name, f"{'-' if bound in change.drop else '~'}{new.name}.{bound}")
    if change.names and isinstance(cls, type):
        change.leave(_same(draft, name, (pair.old, pair.new), cls))
    if change.names and isinstance(cls, type):
        _exchange(draft, name, pair.new, cls, change)


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
    judged = [
        (member, judge.member(member, _completed(cls, member)))
        for (side, judge), cls in zip(sides, classes, strict=True)
        for member in side
    ]
    return [Reason("class-member", draft.where(name, member), why, RESTART) for member, why in judged if why]


def _completed(cls: ast.ClassDef, member: ast.stmt) -> list[ast.stmt]:
    """Return the members that one goes on with: those of the same name above it."""
    above = cls.body[: cls.body.index(member)]
    return [one for one in above if not {*members.bound(one)}.isdisjoint(members.bound(member))]


def _exchange(draft: Draft, name: str, piece: Piece, cls: type, change: members.ClassChange) -> None:
    """Let members of a live class be exchanged, and all follow that used them."""
    node = piece.node
    assert isinstance(node, ast.ClassDef)
    step = members.step(change, node, cls, draft.live(name), draft.parsed(name), draft.filename(name))
    draft.act(name, piece, 1, lambda: step)
    draft.made_members[name, node.name] |= {bound for one in change.put for bound in members.bound(one)}
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
    change = members.ClassChange(put=put, names={bound for one in put for bound in members.bound(one)})
    members.follow(change, node, name)
    head = {n.id for part in members.header_nodes(node) for n in ast.walk(part) if isinstance(n, ast.Name)}
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
    put = change.put = [one for one in node.body if change.names & set(members.bound(one))]
    fits = isinstance(cls, type) and put and not head & readers and all(map(members.is_simple, put))
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


def redo(draft: Draft, name: str, piece: Piece, uid: int) -> None:
    """Evaluate a `def`'s header again and apply its decorators anew, as far as that was not done."""
    node, loaded = piece.node, statements.loaded(draft, name, uid)
    assert isinstance(node, bodies.Function) and isinstance(loaded.node, bodies.Function)
    first = (name, uid) not in draft.acted
    raw = _raw(draft, name, loaded, loaded.node)
    if first:
        draft.acted.add((name, uid))
        draft.say(name, f"={node.name}")
    if first or (name, uid) in draft.same_headers:
        if node.args.defaults or any(node.args.kw_defaults):
            draft.changed_functions.append((name, node.name, first_line(loaded.node)))
        _header(draft, name, (node,))
        _conform(draft, name, piece, raw)
    if node.decorator_list and (first or (name, uid) in draft.same_decorators):
        _decorate(draft, name, piece, uid, raw, loaded.node)
    draft.same_headers -= {(name, uid)}
    draft.same_decorators -= {(name, uid)}
