"""Statements that are added, removed, changed or stale: they run in their namespace, end, or are refused."""

from __future__ import annotations

import ast
import sys

from ..errors import Reason
from ..piece import Piece
from . import (
    configured,
    diff,
    effects,
    entries,
    fetching,
    imports,
    listing,
    mapped,
    mapping,
    names,
    reach,
    registrations,
    rewritten,
    sameness,
    slots,
    stars,
    steps,
)
from .diff import Pair, title
from .draft import RESTART, Draft
from .judge.findings import Effect

_IMPORTS = (ast.Import, ast.ImportFrom)
_BINDERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)

ARMS = (ast.If, ast.Try, ast.TryStar, ast.For, ast.While, ast.With, ast.Match)


def moved(draft: Draft, name: str, pair: Pair, uid: int) -> None:
    """The same statement stands elsewhere among its neighbours."""
    assert pair.new
    node = pair.new.node
    draft.out.moved.add((name, uid))
    twice = diff.bound_twice(draft.program.tree[name].parsed) | diff.bound_twice(draft.parsed(name))
    read = names.of_source(draft.out.target[name])[pair.new.index].reads & twice
    if read:
        what = f"moved, and it reads {min(read)}, which is bound by more than one statement"
        draft.refuse("moved", draft.where(name, pair.new), what)
    if isinstance(node, _BINDERS) and all(isinstance(one, ast.Name) for one in _targets(node)):
        return
    found = draft.judge(name).effects(node)
    if (why := effects.first_refusal(found) or listing.why_not_moved(draft, found)) is not None:
        draft.refuse("moved", draft.where(name, pair.new), f"moved, and {why}")
    _settings_moved(draft, found)


def _targets(node: ast.stmt) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else []


def _settings_moved(draft: Draft, found: list[Effect]) -> None:
    """Keys of a configuration stand in the order in which they were written."""
    for effect in found:
        if effect.kind == "config":
            draft.out.configs.setdefault(id(effect.target), effect.target)


def added(draft: Draft, name: str, piece: Piece, uid: int) -> None:
    """A new statement runs once."""
    _known(draft, name, piece, draft.out.target)
    draft.say(name, f"+{title(piece)}")
    draft.acted.add((name, uid))
    _run(draft, name, piece)
    _clobbers(draft, name, piece)
    draft.dirty += [(name, bound) for bound in draft.binds(name, piece)]
    draft.dirty += [(name, "__doc__")] if _is_docstring(piece) else []


def _clobbers(draft: Draft, name: str, piece: Piece) -> None:
    """A new name that somebody else put into the namespace already is no name of ours to set."""
    source = draft.program.tree[name]
    old = imports.binds(source) | stars.all_brought(source, draft.program.tree)
    for bound in () if draft.boots else draft.binds(name, piece) - old:
        child = sys.modules.get(f"{draft.live(name).__name__}.{bound}")
        if bound in vars(draft.live(name)) and vars(draft.live(name))[bound] is not child:
            draft.refuse(
                "monkeypatched", draft.where(name, piece), f"{bound}: something set this name at run time"
            )


def removed(draft: Draft, name: str, piece: Piece, uid: int, *, quiet: bool = False) -> None:
    """A statement ends: its names go, and what it registered."""
    if not quiet:
        draft.say(name, f"-{title(piece)}")
        _known(draft, name, piece, draft.program.tree)
    draft.acted.add((name, uid))
    _removable(draft, name, piece)
    draft.out.withdraw.add((name, uid))
    new = draft.out.target.get(name)
    gone = _gone(draft, name, piece)
    if _is_docstring(piece) and new and not (new.parsed.pieces and _is_docstring(new.parsed.pieces[0])):
        gone = gone | {"__doc__"}
    if gone:
        if not quiet:
            draft.first(draft.where(name, piece), steps.Forget(draft.live(name), tuple(sorted(gone))))
        draft.dirty += [(name, one) for one in gone]


def _never_runs(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and names.never_runs(node) and not node.orelse


def _children(draft: Draft, name: str) -> set[str]:
    """Return the submodules that a package has as names of its own: the import system binds them, too."""
    below = [
        one
        for one in draft.out.target
        if one.startswith(f"{name}.") and draft.program.loaded(one) is not None
    ]
    return {one.removeprefix(f"{name}.") for one in below if one not in draft.out.dropped}


def _is_docstring(piece: Piece) -> bool:
    node = piece.node
    constant = (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
    return piece.index == 0 and constant


def _removable(
    draft: Draft,
    name: str,
    piece: Piece,
    after: Piece | None = None,
    written: configured.Kept = configured.NOTHING,
) -> None:
    """Refuse if what a statement did can't be taken back; its entries in other objects go.

    Args:
        draft: the plan in the making.
        name: the module.
        piece: the statement, as it is loaded.
        after: what it becomes; None if it ends.
        written: what it leaves in configurations.
    """
    node = piece.node
    if _never_runs(node):
        return
    if isinstance(node, ast.ClassDef):
        cls = vars(draft.program.loaded(name) or ast).get(node.name)
        if isinstance(cls, type) and not effects.may_go(cls):
            what = f"class {node.name} was removed, and something may know it"
            reason = Reason("removed-class", draft.where(name, piece), what, RESTART)
            if mapped.is_mapped(cls):
                mapping.forget(draft, name, node.name, reason)
            else:
                draft.refuse(reason.code, reason.where, reason.what)
        return
    if isinstance(node, ARMS) and (dropped := _dropped_in(node)):
        what = f"`{title(piece)}` went, and what it deletes ({min(dropped)}) is not bound again"
        draft.refuse("removed-effect", draft.where(name, piece), what)
    found = _unlearnt(draft, name, piece, draft.judge_before(name).effects(node))
    kept = slots.keys_of(draft.judge(name).effects(after.node)) if after is not None else frozenset()
    why = effects.first_refusal(found) or entries.removed(draft, name, piece, found, kept)
    if why is not None:
        draft.refuse("removed-effect", draft.where(name, piece), f"`{title(piece)}` went, and {why}")
    configured.written(draft, found, written)


def _dropped_in(node: ast.AST) -> set[str]:
    """Return the names that a statement may delete."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Del)}


def _unlearnt(draft: Draft, name: str, piece: Piece, found: list[Effect]) -> list[Effect]:
    """Let SQLAlchemy forget the table that a statement made. Returns what else it had done."""
    for effect in found:
        for bound in (
            names.of_source(draft.program.tree[name])[piece.index].binds if effect.kind == "maps" else ()
        ):
            what = f"`{title(piece)}` went, and {effect.why}"
            reason = Reason("removed-effect", draft.where(name, piece), what, RESTART)
            mapping.forget(draft, name, bound, reason)
    return [effect for effect in found if effect.kind != "maps"]


def again(draft: Draft, name: str, pair: Pair, uid: int) -> None:
    """A statement that is no `def` or `class` changed: the old one must be removable, the new one runs."""
    assert pair.old and pair.new
    draft.say(name, f"~{title(pair.new)}")
    if _never_runs(pair.old.node) and _never_runs(pair.new.node):
        return
    if sameness.statement(draft, name, pair):
        found = draft.judge(name).effects(pair.new.node)
        if any(effect.kind == "config" for effect in found):
            draft.out.moved.add((name, uid))
            _settings_moved(draft, found)
        return
    draft.acted.add((name, uid))
    _known(draft, name, pair.old, draft.program.tree)
    _known(draft, name, pair.new, draft.out.target)
    written = rewritten.kept(draft, name, pair, uid)
    _removable(draft, name, pair.old, pair.new, written)
    draft.out.withdraw.add((name, uid))
    old_row = names.of_source(draft.program.tree[name])[pair.old.index]
    new_row = names.of_source(draft.out.target[name])[pair.new.index]
    gone = _gone(draft, name, pair.old)
    if gone:
        draft.first(draft.where(name, pair.old), steps.Forget(draft.live(name), tuple(sorted(gone))))
    if isinstance(pair.old.node, ast.AnnAssign) and not isinstance(pair.new.node, ast.AnnAssign):
        unhint = steps.Unhint(draft.live(name), tuple(sorted(old_row.binds)))
        draft.first(draft.where(name, pair.old), unhint)
    _run(draft, name, pair.new, written)
    kept = {
        i.bound
        for i in old_row.imports
        for j in new_row.imports
        if (i.module, i.name, i.bound) == (j.module, j.name, j.bound) and _must_import(pair.new.node)
    }
    bound = (gone | old_row.binds | draft.binds(name, pair.new)) - kept
    draft.dirty += [(name, one) for one in (*bound, *(["__doc__"] if _is_docstring(pair.new) else []))]


def _must_import(node: ast.stmt) -> bool:
    """Whether an import statement, or several under one `try` that raises otherwise, bind what they say."""
    if isinstance(node, ast.Try) and not (node.orelse or node.finalbody):
        raises = all(isinstance(handler.body[-1], ast.Raise) for handler in node.handlers)
        return raises and all(isinstance(one, _IMPORTS) for one in node.body)
    return isinstance(node, _IMPORTS)


def _run(draft: Draft, name: str, piece: Piece, written: configured.Kept = configured.NOTHING) -> None:
    """Let a statement run in its namespace, if that can be judged harmless; `written`: see `configured`."""
    node = piece.node
    row = names.of_source(draft.out.target[name])[piece.index]
    if _never_runs(node):
        return
    found = mapping.learn(draft, name, piece, draft.judge(name).effects(node))
    if (why := effects.first_refusal(found)) is not None:
        draft.refuse("effect", draft.where(name, piece), why)
    configured.written(draft, found, written)
    entries.added(draft, name, piece, found)
    if row.star:
        stars.check(draft, name, row, draft.out.target, draft.where(name, piece))
        rest = [r for i, r in enumerate(names.of_source(draft.out.target[name])) if i != piece.index]
        kept = set().union(*(r.binds | (stars.brought(r, draft.out.target) or set()) for r in rest))
        mine = (stars.brought(row, draft.out.target) or set()) - kept - _children(draft, name)
        draft.act(name, piece, 0, lambda: steps.Forget(draft.live(name), tuple(sorted(mine))))
    if isinstance(node, ARMS) or any(isinstance(one, ast.NamedExpr) for one in ast.walk(node)):
        # another arm may run this time: what the first one bound must not stay
        others = [r.binds for i, r in enumerate(names.of_source(draft.out.target[name])) if i != piece.index]
        once = tuple(sorted(row.binds - set().union(*others)))
        draft.act(name, piece, 0, lambda: steps.Forget(draft.live(name), once))
    draft.registers |= bool(row.called_attributes & (registrations.DECORATORS | registrations.CALLS))
    draft.registers |= any(effect.kind == "registers" for effect in found)
    draft.ran_imports += row.imports
    known = draft.out.codes.get(name)
    code = (known if known is not None else draft.program.codes(name))[piece.index]
    draft.act(name, piece, 1, lambda: steps.Run(draft.live(name), fetching.code(draft, name, piece, code)))


def run(draft: Draft, name: str, piece: Piece, uid: int) -> None:
    """Let a statement run in the place of what it made before; what it had registered ends."""
    draft.out.withdraw.add((name, uid))
    _run(draft, name, piece)


def loaded(draft: Draft, name: str, uid: int) -> Piece:
    """Return a statement as it is loaded."""
    return draft.program.tree[name].parsed.pieces[draft.program.uids(name).index(uid)]


def rerun(draft: Draft, name: str, piece: Piece, uid: int) -> None:
    """Let an unchanged statement run again: what it had read is something else now."""
    draft.acted.add((name, uid))
    draft.say(name, f"={title(piece)}")
    draft.out.withdraw.add((name, uid))
    before = loaded(draft, name, uid)
    written = configured.Kept(configured.sources(draft.judge_before(name).effects(before.node)))
    _removable(draft, name, before, piece, written)
    _run(draft, name, piece, written)
    if not isinstance(piece.node, ast.Import | ast.ImportFrom):  # of those, only what is another now
        draft.dirty += [(name, bound) for bound in draft.binds(name, piece)]


def _known(draft: Draft, name: str, piece: Piece, tree: reach.Tree) -> None:
    """Refuse a star import that comes or goes, if it can't be told which names it brings.

    And a name of a package that is one of its modules, too: an import binds it once only.
    """
    row = names.of_source(tree[name])[piece.index]
    itself = {item.bound for item in row.imports if f"{item.module}.{item.name}" == f"{name}.{item.bound}"}
    for one in sorted((row.binds & _children(draft, name)) - itself):
        what = f"{one} is a module of this package, and an import of it binds the name, too"
        draft.refuse("bound-twice", draft.where(name, piece), what)
    if row.star:
        stars.check(draft, name, row, tree, draft.where(name, piece))


def _gone(draft: Draft, name: str, piece: Piece) -> set[str]:
    """Return the names that a statement had bound, and that nothing binds any more."""
    row, new = names.of_source(draft.program.tree[name])[piece.index], draft.out.target.get(name)
    there = imports.binds(new) | stars.all_brought(new, draft.out.target) if new else set()
    gone = (row.binds | (stars.brought(row, draft.program.tree) or set())) - there - _children(draft, name)
    if gone and new and not stars.is_known(new, draft.out.target):
        what = f"a star import may bring {min(gone)}, and which names it brings can't be told"
        draft.refuse("star-import", draft.where(name, piece), what, stars.BY_NAME)
    return gone


def star(draft: Draft, reader: str, module: str, name: str) -> None:
    """Follow a name through a star import: bound anew if it is there, forgotten if nothing binds it now."""
    trees = (draft.program.tree, draft.out.target)
    was, now = (imports.star_names(tree[module], tree) if module in tree else set() for tree in trees)
    source = draft.out.target[reader]
    if name == "__all__":
        for one in (was or set()) ^ (now or set()):
            star(draft, reader, module, one)
    elif was is None or now is None:
        what = f"{reader} imports * from {module}, and which names that brings can't be told"
        draft.refuse("star-import", reader, what, stars.BY_NAME)
    elif name in now:
        draft.dirty.append((reader, name))
    elif name in was - imports.binds(source) - stars.all_brought(source, draft.out.target) - _children(
        draft, reader
    ):
        if not draft.boots:
            draft.first(reader, steps.Forget(draft.live(reader), (name,)))
        draft.dirty.append((reader, name))
