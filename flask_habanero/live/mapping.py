"""What SQLAlchemy maps: a release lets it learn of classes and tables, and the database must follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..source import Piece
from . import names, reading, steps
from .diff import title
from .judge.findings import Effect
from .plan import Action

if TYPE_CHECKING:
    from .draft import Draft

_MAKER = "create_all"


def take_in(draft: Draft, name: str, piece: Piece, effects: Iterable[Effect]) -> list[Effect]:
    """Let SQLAlchemy learn of what a statement maps. Returns what the statement does besides."""
    rest = []
    for effect in effects:
        if effect.kind != "maps":
            rest.append(effect)
            continue
        draft.out.actions.append(Action((-2, 0), "", steps.Mappings(effect.target)))
        changes(draft, name)
        if (where := _made_at_start(draft)) is not None:
            what = (
                f"`{title(piece)}`: its table is made by `{_MAKER}` at {where}, which runs only at the start"
            )
            draft.refuse("stale", draft.where(name, piece), what)
    return rest


def changes(draft: Draft, name: str) -> None:
    """Note that what SQLAlchemy maps in a module is another thing now."""
    draft.say(name, "needs a migration")
    draft.last("", steps.ConfigureMappers())


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
