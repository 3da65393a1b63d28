"""What ran at the start, and no statement of the app shows: a factory that the server called, a callback.

What is done to an object is told statement by statement. Such a function has its say in it, too. What it set
decides, because it ran after the modules had been loaded; and what it has read, such as a registry that
decorators fill, is another thing once a release makes an entry there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING

from . import codes, factory, reading, replays, rivals, variables
from .judge.findings import Findings
from .judge.interpreter import Interpreter
from .judge.values import ANY, Scope, Value
from .sides import sides

if TYPE_CHECKING:
    from . import bodies
    from .draft import Draft
    from .entries import Entry
    from .startup import Function

    Owner = tuple[str, int] | None

Found = tuple[str, Findings]
"""Where it stands, and what is found there."""


@dataclass
class Inner:
    """Lambdas, and functions and classes that are made inside of functions.

    Attributes:
        words: the names, attributes and strings in the code of each.
        classes: those that are bodies of classes, which run when the function around them does.
    """

    words: dict[Function, set[str]] = field(default_factory=dict)
    classes: set[Function] = field(default_factory=set)

    def read(self, draft: Draft, module: str) -> None:
        """Read those of a module."""
        for one in draft.program.codes(module) if module in draft.loaded else ():
            for code in codes.walk(one):
                if "<" in code.co_qualname:
                    self._note((module, code.co_qualname, code.co_firstlineno), code)

    def _note(self, key: Function, code: CodeType) -> None:
        parts = list(codes.walk(code))
        strings = {text for part in parts for text in part.co_consts if type(text) is str}
        names = (name for part in parts for name in (*part.co_names, *part.co_freevars))
        self.words.setdefault(key, set()).update(strings, names)
        if not code.co_flags & inspect.CO_OPTIMIZED:
            self.classes.add(key)

    def function_of(self, key: Function) -> tuple[str, str]:
        """Return the module and the last name of a function, or of that around the body of a class."""
        qualname = key[1].rpartition(".<locals>.")[0] if key in self.classes else key[1]
        return key[0], qualname.rpartition(".")[2]


def check(draft: Draft) -> None:
    """Refuse entries that such a function overrides, or has read."""
    known: dict[Function, list[Found]] = {}
    inner = Inner()
    for mine in rivals.by_target(draft):
        reached = rivals.reached_by(draft, mine[0].target)
        for key, owners in list(draft.program.books.ran.items()):
            reaches = _may_reach(draft, key, reached, inner)
            if not reaches or all(_shows(draft, inner.function_of(key), one) for one in owners):
                continue
            if key in inner.words:
                _meet_unnamed(draft, mine, key, inner.words[key])
                continue
            if key not in known:
                known[key] = list(_gone_through(draft, key))
            for where, found in known[key]:
                _meet(draft, mine, where, found)


def _may_reach(draft: Draft, key: Function, reached: AbstractSet[str] | None, inner: Inner) -> bool:
    """Whether a function may get at an object by some names; what is in lambdas is noted in `inner`."""
    if "<" not in key[1]:
        return reached is None or _reads(draft, key, reached)
    if key not in inner.words:
        inner.read(draft, key[0])
    mine = inner.words.setdefault(key, set())
    return reached is None or not mine.isdisjoint(reached)


def _shows(draft: Draft, name: tuple[str, str], owner: Owner) -> bool:
    """Whether going through a statement that a function ran for comes past the function."""
    if owner is None:
        return False
    module, uid = owner
    if module not in draft.loaded or module not in draft.out.target or uid not in draft.uids(module):
        return True
    node = draft.parsed(module).pieces[draft.uids(module).index(uid)].node
    return owner in draft.acted or name in draft.judge(module).read(node).went


def _reads(draft: Draft, key: Function, names: AbstractSet[str]) -> bool:
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


def _meet_unnamed(draft: Draft, mine: list[Entry], key: Function, words: set[str]) -> None:
    """Refuse where a lambda, or a function made in another one, may have to do with the object."""
    if any(one.kind != "attribute" or one.key in words for one in mine):
        entry = draft.where(*mine[0].where)
        what = f"it ran at the start, and what it has to do with what {entry} sets can't be told"
        draft.refuse("stale", f"{key[0]}:{key[2]}", what)


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
