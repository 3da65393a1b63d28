"""Changed functions: they keep their identity, and take over what their statement now says."""

from __future__ import annotations

import ast
import functools
from collections.abc import Container, Iterator
from types import CodeType, FunctionType

from ..piece import Piece
from ..unit import compile_nodes
from . import (
    bodies,
    codes,
    configured,
    effects,
    entries,
    headers,
    inbody,
    members,
    names,
    rivals,
    slots,
    statements,
    steps,
    together,
)
from .diff import Pair, title
from .draft import Draft, FindFunction
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
            function_changed(draft, name, qualname, old)
        headers.compare(draft, name, qualname, (old, new))
    if not after:
        draft.say(name, f"~{title(pair.new)}")
    if isinstance(pair.new.node, ast.ClassDef):
        supers(draft, name, pair.new, pair.new.node)


def makers(draft: Draft, name: str, code: CodeType) -> Iterator[tuple[str, str, int]]:
    """Yield the function that makes functions of a code, if one does: what it made has another shape now."""
    qualname = code.co_qualname.rpartition(".<locals>.")[0]
    for one in draft.program.codes(name):
        for outer in codes.walk(one):
            if qualname and outer.co_qualname == qualname and code in codes.children(outer):
                yield name, qualname, outer.co_firstlineno


def supers(draft: Draft, name: str, piece: Piece, node: ast.ClassDef, made: Container[ast.stmt] = ()) -> None:
    """Methods that gain or lose `super()` need a function of another shape: made anew, as members.

    Args:
        draft: the plan in the making.
        name: the module.
        piece: the class.
        node: its statement.
        made: members that are made anew in any case.
    """
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
        if isinstance(m, bodies.Function) and new.co_qualname == f"{node.name}.{m.name}" and m not in made
    ]
    judge, module = draft.judge(name), draft.program.loaded(name)
    cls = vars(module).get(node.name) if module else None
    every = {m.name for m in put}
    put = [m for m in put if judge.member(m, together.above(node, m, every, cls)) is None]  # it may run again
    if (
        put
        and module
        and isinstance(cls, type)
        and effects.is_plain_class(cls)
        and all(map(inbody.is_simple, put))
    ):
        mine = {f"{node.name}.{m.name}" for m in put}
        seen_to = [pair for pair in found if pair[1].co_qualname in mine]
        draft.code_pairs[name] = [pair for pair in draft.code_pairs[name] if pair not in seen_to]
        change = members.ClassChange(put=list(put))
        step = members.step(change, node, cls, module, draft.parsed(name), draft.filename(name))
        draft.act(name, piece, 1, lambda: step)


def function_changed(draft: Draft, name: str, qualname: str, old: bodies.Function) -> None:
    """Note that a function or a method does something else."""
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
        function_changed(draft, name, new.name, old)
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
    headers.attributes(draft, name, node.name, before.attributes | after.attributes)
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
