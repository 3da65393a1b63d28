"""A statement that fills a configuration is written in another way: which of its keys stay as they are.

Of ``app.config.update(A=1, B=2, …)`` mostly one key comes, goes or changes. Who has read the others has read
what a cold start gives, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from flask.config import Config

from . import configs, configured
from .configured import Kept
from .diff import Pair
from .judge.computed import is_plain
from .judge.findings import Effect
from .judge.values import Live, Value
from .program import owner_of

if TYPE_CHECKING:
    from .draft import Draft

_METHODS = ("update", "from_mapping")


def kept(draft: Draft, name: str, pair: Pair, uid: int) -> Kept:
    """Return what a statement that changes writes to a configuration as before, in the same order.

    Of its other keys those are noted that stand before one that it keeps, and that nothing wrote before it:
    none of them is the last of the configuration, then or now.

    Args:
        draft: the plan in the making.
        name: the module.
        pair: the statement, before and after.
        uid: its identity.
    """
    assert pair.old is not None
    assert pair.new is not None
    before = _given(draft.judge_before(name).effects(pair.old.node))
    after = _given(draft.judge(name).effects(pair.new.node))
    if before is None or after is None or before[0] is not after[0]:
        return configured.NOTHING
    config, was = before
    will = after[1]
    found = _written(draft, config, (name, uid))
    if found is None or list(found[0]) != list(was):
        return configured.NOTHING
    written, earlier = found
    same = {key for key in will if _is_same(was.get(key), will[key], written.get(key))}
    orders = list(was), list(will)
    blocks = SequenceMatcher(None, *orders, autojunk=False).get_matching_blocks()
    stay = [key for block in blocks for key in orders[0][block.a : block.a + block.size] if key in same]
    first = [key for key in stay if key not in earlier]
    for key in {*was, *will} - set(stay):
        if first and all(key not in order or order.index(key) < order.index(first[-1]) for order in orders):
            draft.inner_keys.add((id(config), key))
    return Kept(keys=frozenset((id(config), key) for key in stay))


def _given(effects: Iterable[Effect]) -> tuple[Config, dict[str, Value]] | None:
    """Return the configuration that a statement fills by words, and with what; None if it does otherwise."""
    found = [effect for effect in effects if effect.kind == "config"]
    args = found[0].args if len(found) == 1 and found[0].name in _METHODS else None
    if args is None or args.more or args.positional:
        return None
    return found[0].target, dict(args.named)


def _written(
    draft: Draft, config: Config, statement: tuple[str, int]
) -> tuple[dict[str, object], set[str]] | None:
    """Return what a statement wrote when it ran, and which keys were there before; None if untold."""
    book = configs.book_of(config)
    entries = book.entries if book is not None else []
    known = draft.program.tree.__contains__
    places = [at for at, entry in enumerate(entries) if owner_of(entry, known) == statement]
    if book is None or len(places) != 1 or entries[places[0]].method not in _METHODS:
        return None
    earlier = {key for entry in entries[: places[0]] for key, _ in entry.changes}
    return dict(entries[places[0]].changes), earlier | set(book.initial)


def _is_same(was: Value | None, will: Value, written: object) -> bool:
    """Whether a key has been given, is given, and will be given one and the same plain value."""
    told = [one.object for one in (was, will) if isinstance(one, Live) and is_plain(one.object)]
    return len(told) == 2 and all(type(one) is type(written) and one == written for one in told)
