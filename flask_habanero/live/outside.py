"""What ran at the start for no statement of the app: a factory that the server called, and what that called.

What is done to an object is told statement by statement. Such a function has its say in it, too. What it set
decides, because it ran after the modules had been loaded; and what it has read, such as a registry that
decorators fill, is another thing once a release makes an entry there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import factory, reading, replays, rivals, variables
from .judge.findings import Findings
from .judge.interpreter import Interpreter
from .judge.values import ANY, Scope, Value
from .sides import sides

if TYPE_CHECKING:
    from . import bodies
    from .draft import Draft
    from .entries import Entry
    from .startup import Function

Found = tuple[str, Findings]
"""Where it stands, and what is found there."""


def check(draft: Draft) -> None:
    """Refuse entries that such a function overrides, or has read."""
    ran = [key for key, owners in draft.program.books.ran.items() if None in owners]
    known: dict[Function, list[Found]] = {}
    for mine in rivals.by_target(draft) if ran else ():
        reached = rivals.reached_by(draft, mine[0].target)
        for key in ran:
            if reached is None or _reads(draft, key, reached):
                if key not in known:
                    known[key] = list(_gone_through(draft, key))
                for where, found in known[key]:
                    _meet(draft, mine, where, found)


def _reads(draft: Draft, key: Function, names: set[str]) -> bool:
    body = reading.body_of(draft.out.target.get(key[0]), key[1])
    return body is None or not names.isdisjoint(body.reads | body.attributes)


def _meet(draft: Draft, mine: list[Entry], where: str, found: Findings) -> None:
    effects = [e for e in found.effects if e.target is mine[0].target and e.kind in ("item", "attribute")]
    for entry in mine:
        if why := rivals.overrides(entry, effects, later=True):
            draft.refuse("order", draft.where(*entry.where), f"{why}, at {where}")
        if rivals.has_read(found, entry):
            text = f"it has read what {draft.where(*entry.where)} makes, or made, an entry in"
            draft.refuse("stale", where, text)


def _gone_through(draft: Draft, key: Function) -> Iterator[Found]:
    """Yield what a function does, but for what the release lets it do anew."""
    made, both = factory.find(draft, key), sides(draft, key)
    if made is None:
        if both is not None:
            yield f"{key[0]}:{both[1].lineno}", _of_body(draft, key[0], both[1])
        return
    for piece in [p.new for p in made.pairs if p.new is not None and p.new.index not in made.run]:
        for left in made.left:
            found = replays.gone_through(made, draft.world, [made.as_it_ran(piece)], left)
            yield f"{key[0]}:{piece.line}", found


def _of_body(draft: Draft, module: str, node: bodies.Function) -> Findings:
    """Return what is found in a function of which nobody knows what its variables were."""
    interpreter = Interpreter(draft.world)
    unknown: dict[str, Value] = dict.fromkeys(variables.of_function(node), ANY)
    scope = Scope(unknown, interpreter.scope_of(module).find, module)
    for one in node.body:
        interpreter.run_statement(one, scope)
    return interpreter.notes
