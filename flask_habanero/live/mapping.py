"""What SQLAlchemy maps: a release lets it learn of classes and tables, and the database must follow."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import Reason
from ..piece import Piece
from . import functions, learnt, mapped, names, reading, steps
from .diff import title
from .judge.findings import Effect

if TYPE_CHECKING:
    from .draft import Draft

_MAKERS = ("create_all", "create_table", "CreateTable", "drop_all", "sorted_tables")


def learn(draft: Draft, name: str, piece: Piece, effects: Iterable[Effect]) -> list[Effect]:
    """Let SQLAlchemy learn of what a statement maps. Returns what the statement does besides."""
    effects = list(effects)
    for effect in effects:
        if effect.kind == "maps":
            for bound in draft.binds(name, piece):
                learn_of(draft, name, bound, effect.target)
            _made_at_start(draft, name, piece)
    return [effect for effect in effects if effect.kind != "maps"]


def learn_of(draft: Draft, name: str, what: str, roots: Iterable[object]) -> None:
    """Let SQLAlchemy learn of a class, a table, or a member of a class: "Class.member"."""
    draft.say(name, "needs a migration")
    draft.out.mapping.learns.add((name, what))
    known = set(map(id, draft.out.mapping.roots))
    draft.out.mapping.roots += [one for one in roots if id(one) not in known]


def forget(draft: Draft, name: str, what: str, refusal: Reason) -> None:
    """Let SQLAlchemy forget such a thing, or the plan is refused for that reason: it is known at the end."""
    draft.say(name, "needs a migration")
    draft.out.mapping.forgets.add((name, what))
    draft.unforgettable.append(refusal)


def settle(draft: Draft) -> None:
    """Refuse what SQLAlchemy can't forget; find the engines that know it only as it was."""
    mapping = draft.out.mapping
    first = learnt.to_forget(draft.program.books, mapping) if mapping.forgets else None
    if mapping.forgets and first is None:
        for one in draft.unforgettable:
            draft.refuse(one.code, one.where, one.what, one.hint)
    changes = mapping.learns or mapping.forgets or mapping.alters
    if changes and not (draft.refused or draft.boots):
        mapping.engines = _engines()


def _engines() -> list[Any]:
    """Return the engines there are: each keeps statements that it compiled without the new columns."""
    kind = getattr(sys.modules.get("sqlalchemy.engine"), "Engine", None)
    with functions.thawed():
        # a proxy would be asked what it stands for by `isinstance`
        return [one for one in gc.get_objects() if issubclass(type(one), kind)] if kind is not None else []


def _made_at_start(draft: Draft, name: str, piece: Piece) -> None:
    """Let new tables be made as the start makes them, or refuse them."""
    for where, module, node in _makers(draft):
        extension = _only_creates(node, draft.judge(module).callee)
        if extension is not None:
            draft.last(where, steps.CreateTables(extension))
        else:
            what = f"`{title(piece)}`: {where} makes tables, and does so at the start only"
            draft.refuse("stale", draft.where(name, piece), what)


def _makers(draft: Draft) -> Iterator[tuple[str, str, ast.AST]]:
    """Yield what made tables at the start: statements, and functions that ran."""
    for name, source in draft.program.tree.items():
        if draft.program.loaded(name) is None or not any(one in source.text for one in _MAKERS):
            continue
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if not row.bodies and not (row.attributes | row.reads).isdisjoint(_MAKERS):
                yield draft.where(name, piece), name, piece.node
        for module, qualname, line in draft.program.books.ran:
            body = reading.body_of(source, qualname) if module == name else None
            if body is not None and not (body.attributes | body.reads).isdisjoint(_MAKERS):
                node = draft.world.definition(name, qualname.partition(".<locals>")[0])
                yield f"{name}:{line}", name, node or ast.Pass()


def _only_creates(node: ast.AST, callee: mapped.Callee) -> object | None:
    """Return the extension of Flask-SQLAlchemy whose `create_all()` is all that makes tables in a node."""
    found = [one for one in ast.walk(node) if isinstance(one, ast.Attribute) and one.attr in _MAKERS]
    plain = [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Call) and one.func in found and not (one.args or one.keywords)
    ]
    extensions = [callee(one.func.value) for one in plain if isinstance(one.func, ast.Attribute)]
    words = {one.id if isinstance(one, ast.Name) else getattr(one, "attr", "") for one in ast.walk(node)}
    alone = len(plain) == len(found) == 1 and words.isdisjoint(_MAKERS[1:])
    known = bool(extensions) and mapped.is_extension(extensions[0])
    return extensions[0] if alone and known else None
