"""What SQLAlchemy maps: a release lets it learn of classes and tables, and the database must follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import Reason
from ..source import Piece
from . import learnt, mapped, names, reading
from .diff import title
from .judge.findings import Effect

if TYPE_CHECKING:
    from .draft import Draft

_MAKER = "create_all"


def learn(draft: Draft, name: str, piece: Piece, effects: Iterable[Effect]) -> list[Effect]:
    """Let SQLAlchemy learn of what a statement maps. Returns what the statement does besides."""
    effects = list(effects)
    for effect in effects:
        if effect.kind == "maps":
            for bound in draft.binds(name, piece):
                learn_of(draft, name, bound, effect.target)
            if (where := _made_at_start(draft)) is not None:
                what = f"`{title(piece)}`: its table is made by `{_MAKER}` at {where}, only at the start"
                draft.refuse("stale", draft.where(name, piece), what)
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
    if (mapping.learns or mapping.forgets) and not (draft.refused or draft.boots):
        roots = [*mapping.roots, *(first.memory.roots if first else ())]
        mapping.engines = mapped.engines(one for root in roots for one in mapped.kept(root))


def _made_at_start(draft: Draft) -> str | None:
    """Return where tables were made at the start, as a cold start would make new ones."""
    for name, source in draft.program.tree.items():
        if _MAKER not in source.text or draft.program.loaded(name) is None:
            continue
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if _MAKER in row.attributes and not row.bodies:
                return draft.where(name, piece)
        for module, qualname, line in draft.program.books.ran:
            body = reading.body_of(source, qualname) if module == name else None
            if body is not None and _MAKER in body.attributes:
                return f"{name}:{line}"
    return None
