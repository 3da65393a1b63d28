"""What is written in another way and comes out the same: who read it has read what a cold start gives.

``60 * 60`` that becomes ``3600``, ``get("PORT", "25")`` that becomes ``get("PORT") or "25"``. Told for
constant expressions only (`constants`), if what the old text gives, what the new one gives, and what is
there are the same.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask.sansio.app import App

from ..piece import Piece
from . import environment
from .constants import Constants, Place, UntoldError, bound_in, word
from .diff import Kind, Pair

if TYPE_CHECKING:
    from .draft import Draft


def statement(draft: Draft, module: str, pair: Pair) -> bool:
    """Whether a statement only binds what it bound before, to a name or to a key of a configuration."""
    assert pair.old is not None
    assert pair.new is not None
    try:
        return _is_same(draft, module, (pair.old, pair.new))
    except UntoldError:
        return False


def again(draft: Draft, module: str, piece: Piece, uid: int) -> bool:
    """Whether a statement whose text stays comes out as before, whatever it used."""
    if module not in draft.program.tree or uid not in draft.program.uids(module):
        return False
    before = draft.program.tree[module].parsed.pieces[draft.program.uids(module).index(uid)]
    return statement(draft, module, Pair(Kind.SAME, before, piece))


def members(draft: Draft, module: str, classes: tuple[Piece, Piece], cls: type) -> set[str]:
    """Return the constants of a class that are what they were, though they are written in another way.

    Args:
        draft: the plan in the making.
        module: of the class.
        classes: its statement, before and after.
        cls: the live class.
    """
    orders = [[name for one in _body(piece) for name in sorted(bound_in(one))] for piece in classes]
    both = set(orders[0]) & set(orders[1])
    if [name for name in orders[0] if name in both] != [name for name in orders[1] if name in both]:
        return set()
    return {name for name in both if all(one.count(name) == 1 for one in orders)} & {
        name for name in both if _is_same_member(draft, module, classes, (name, cls))
    }


def _is_same_member(draft: Draft, module: str, classes: tuple[Piece, Piece], which: tuple[str, type]) -> bool:
    name, cls = which
    words, sides = [], _sides(draft)
    try:
        for one, piece in zip(sides, classes, strict=True):
            body = _body(piece)
            at = next(index for index, node in enumerate(body) if name in bound_in(node))
            words.append(word(one.value(_value(body[at], name), Place(module, piece.index, body, at))))
    except UntoldError:
        return False
    there = draft.boots or _is_still(vars(cls).get(name, cls), words[0])
    return words[0] is not None and words[0] == words[1] and there and _asks_no_more(draft, module, *sides)


def _is_still(thing: Any, made: object) -> bool:
    """Whether something is what a text makes, or a list or dict that may be it, with what was put in since.

    Args:
        thing: what is there.
        made: the word for what the text makes.
    """
    # what a library or a request has put into it stays, as if nobody had touched the text
    kept = type(thing) in (dict, list) and isinstance(made, tuple) and made[0] is type(thing)
    return kept or word(thing) == made


def _body(piece: Piece) -> tuple[ast.stmt, ...]:
    return tuple(getattr(piece.node, "body", ()))


def _value(node: ast.stmt, target: str) -> ast.expr:
    """Return what a statement assigns, if that is all, and to that target. Raises UntoldError."""
    if not isinstance(node, ast.Assign) or [ast.unparse(one) for one in node.targets] != [target]:
        raise UntoldError
    return node.value


def _sides(draft: Draft) -> tuple[Constants, Constants]:
    stored = draft.is_stored
    before = Constants(draft.program, draft.program.tree, stored[0])
    return before, Constants(draft.program, draft.out.target, stored[1], None if draft.boots else before)


def _asks_no_more(draft: Draft, module: str, before: Constants, after: Constants) -> bool:
    """Whether each variable of the environment is one that the old text asked for, or is as it was given."""
    return all(environment.is_given(draft.program, module, key) for key in after.keys - before.keys)


def _is_same(draft: Draft, module: str, pieces: tuple[Piece, Piece]) -> bool:
    old, new = pieces
    targets = getattr(new.node, "targets", [])
    if len(targets) != 1 or _above(draft, module, old, new):
        return False
    text = ast.unparse(targets[0])
    before, after = _sides(draft)
    was = before.value(_value(old.node, text), Place(module, old.index))
    found = after.value(_value(new.node, text), Place(module, new.index))
    if word(found) is None or word(found) != word(was) or not _asks_no_more(draft, module, before, after):
        return False
    below = [(side, Place(module, one.index + 1)) for side, one in zip((before, after), pieces, strict=True)]
    there = _there(draft, targets[0], below)
    return draft.boots or _is_still(there, word(found))


def _there(draft: Draft, target: ast.expr, sides: list[tuple[Constants, Place]]) -> Any:
    """Return what is there under a name, or under a key of a configuration. Raises UntoldError.

    Args:
        draft: the plan in the making.
        target: what is assigned to.
        sides: before and after, with the place just below the statement.
    """
    space: Mapping[str, Any] = vars(draft.live(sides[0][1].module))
    if isinstance(target, ast.Name):
        _check_alone(target.id, sides)
        return space.get(target.id, UntoldError)  # which is no value
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        owner = target.value
        if isinstance(owner, ast.Attribute) and owner.attr == "config" and isinstance(owner.value, ast.Name):
            _check_alone(owner.value.id, sides)
            app = space.get(owner.value.id)
            if isinstance(app, App):
                return app.config.get(target.slice.value, UntoldError)
    raise UntoldError


def _check_alone(name: str, sides: list[tuple[Constants, Place]]) -> None:
    for side, below in sides:
        side.binding(name, below)


def _above(draft: Draft, module: str, old: Piece, new: Piece) -> bool:
    """Whether a statement stands elsewhere among those that stay: names come in another order then."""
    sides = (draft.program.tree[module].parsed.pieces, draft.out.target[module].parsed.pieces)
    every = [{piece.digest for piece in side} for side in sides]
    above = [
        {piece.digest for piece in side[: one.index]} & every[0] & every[1]
        for side, one in zip(sides, (old, new), strict=True)
    ]
    return above[0] != above[1]
