"""May statements of a factory run at its end, instead of where they stand in it?

They find the variables, and the objects, as they were when the factory had returned. So it is asked

- whether the variables that they read and bind had the same values where they stand;
- whether the factory came past there, and whether it does now;
- whether what they do, and look at, comes out the same after all that stands behind them;
- whether what they look at is still as the start made it.

What does not, or can't be told, is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from flask.config import Config
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from ..piece import Piece
from . import (
    bodies,
    configs,
    configured,
    diff,
    early,
    entries,
    environment,
    lasting,
    loading,
    ordering,
    reading,
    registrations,
    standing,
    written,
)
from .diff import Pair, crosses
from .effects import WRITTEN_DOWN, first_refusal
from .judge.findings import Effect, Findings
from .judge.interpreter import Interpreter
from .judge.values import Live, Scope, Value
from .world import World

if TYPE_CHECKING:
    from .books import Left, Place
    from .factory import Factory

Looked = Callable[[Findings], Any]
"""Returns the objects of whose contents it matters when they are looked at."""

_PLAIN = (str, bytes, int, float, complex, type(None), frozenset, tuple)
_JOURNALED = (App, Blueprint, Config)
_FIXED = (ModuleType, FunctionType, BuiltinFunctionType, MethodType, type)


def why_not(one: Factory) -> str | None:
    """Return why what is to be done about a factory can't be done at its end, or None if it can."""
    if not one.left:
        return None  # whatever it set up ends, or is made again as a whole
    where = (standing.form, standing.lines, standing.bindings, standing.returns)
    for ask in (*where, _loads, _ends, _runs, _order):
        if (why := ask(one)) is not None:
            return why
    return None


# effects


def _loads(one: Factory) -> str | None:
    return loading.why_not(one, _looked_at)


def _ends(one: Factory) -> str | None:
    """Return why what ends can't be taken back: it must have done nothing but register and configure."""
    for piece in one.ending:
        for left in one.left:
            found = gone_through(one, one.draft.world_before, [one.as_it_ran(piece)], left).effects
            configured.written(one.draft, found, _filled_again(one, left))
            rest = [effect for effect in found if effect.kind not in WRITTEN_DOWN]
            if rest and not _put_again(one, left, rest):
                return f"what `{diff.title(piece)}` did can't be taken back: {rest[0].why}"
    return None


def _put_again(one: Factory, left: Left, ended: list[Effect]) -> bool:
    """Whether all that ends was put under keys, where the order makes no difference, that what runs sets."""
    slots = _slots(ended)
    again = _slots(gone_through(one, one.draft.world, one.nodes, left).effects)
    return None not in slots and slots <= again and all(map(_is_there, ended))


def _slots(effects: list[Effect]) -> set[tuple[int, object] | None]:
    """Return the tables without an order, and the keys in them, that effects set; None for all else."""
    return set(map(_slot, effects))


def _slot(effect: Effect) -> tuple[int, object] | None:
    key = ordering.key_of(effect) if effect.kind == "item" and _has_no_order(effect.target) else None
    return (id(effect.target), key.object) if key is not None else None


def _is_there(effect: Effect) -> bool:
    """Whether what an effect put into a table is what stands there: nothing else was put there later."""
    key, value = ordering.key_of(effect), effect.args.get(1, "") if effect.args is not None else None
    return key is not None and isinstance(value, Live) and effect.target.get(key.object) is value.object


def _runs(one: Factory) -> str | None:
    """Return why what is to run may not, or would find something else than where it stands."""
    for left in one.left:
        found = gone_through(one, one.draft.world, one.nodes, left)
        if (why := first_refusal(found.effects)) is not None:
            return why
        configured.written(one.draft, found.effects, _filled_again(one, left))
        entries.touched(one.draft, found.effects)
        one.draft.registers |= any(effect.kind == "registers" for effect in found.effects)
        why = _outside(one, left, found.effects) or _state(one, left, found) or _early(one, left, found)
        if why is not None:
            return why
    return None


def _filled_again(one: Factory, left: Left) -> configured.Kept:
    """Return the classes from which statements fill a configuration whose text stays."""
    nodes = [p.old.node for p in one.pairs if p.old and p.kind is diff.Kind.SAME and p.old.index in one.end]
    return configured.Kept(configured.sources(gone_through(one, one.draft.world_before, nodes, left).effects))


def gone_through(one: Factory, world: World, nodes: list[ast.stmt], left: Left) -> Findings:
    """Return what is found in some statements of a factory, with the variables that a run of it left."""
    interpreter = Interpreter(world)
    values: dict[str, Value] = {name: Live(value) for name, value in left.variables.items()}
    scope = Scope(values, interpreter.scope_of(one.module).find, one.module)
    for node in nodes:
        interpreter.run_statement(node, scope)
    return interpreter.notes


def _outside(one: Factory, left: Left, effects: list[Effect]) -> str | None:
    """Return which entry of what runs others may have a say in, or have looked for, behind the factory."""
    ending = [one.as_it_ran(piece) for piece in one.ending]
    ended = _slots(gone_through(one, one.draft.world_before, ending, left).effects)
    for effect in effects:
        if effect.kind == "attribute":
            if effect.name in getattr(effect.target, "__dict__", {}):
                return f"{effect.why}, and so did others"
            if (where := _mentions(one, effect.name)) is not None:
                return f"{effect.why}, and {where} has to do with the same attribute"
        elif effect.kind == "item" and effect.target and not _has_no_order(effect.target):
            return f"{effect.why}, and where in its order can't be told"
        elif effect.kind == "item" and (key := ordering.key_of(effect)) and key.object in effect.target:
            if _slot(effect) in ended:
                one.draft.purged[id(effect.target)].append(key.object)  # what is there goes
                continue
            return f"{effect.why}, and so did others"
    return None


def _has_no_order(target: object) -> bool:
    """Whether it is a table of a template environment, or of commands, which are listed by their names."""
    every = list(registrations.targets)
    kept = [env for app in every if (env := vars(app).get("jinja_env")) is not None]
    tables = [table for env in kept for table in (env.globals, env.filters, env.tests)]
    return any(target is table for table in (*tables, *(one.cli.commands for one in every)))


def _mentions(one: Factory, attribute: str) -> str | None:
    """Return which other code of the start reads or sets an attribute of that name."""
    draft = one.draft
    for module, source in draft.out.target.items():
        if attribute in source.text and draft.program.loaded(module) is not None:
            for piece in source.parsed.pieces:
                if not isinstance(piece.node, bodies.Function) and attribute in _words(piece.node):
                    return draft.where(module, piece)
    for module, qualname, _ in draft.program.books.ran:
        body = reading.body_of(draft.out.target.get(module), qualname)
        mine = module == one.module and f"{qualname}.".startswith(f"{one.key[1]}.")
        if body is not None and not mine and attribute in body.attributes:
            return qualname
    return None


# order


def stays(one: Factory, pair: Pair) -> bool:
    """Whether a statement that stands elsewhere comes out the same there: it need not run again."""
    assert pair.old is not None
    assert pair.new is not None
    if loading.matters(one, pair, _looked_at):
        return False
    crossed = [other for other in one.pairs if crosses(pair, other)]
    return all(_independent(one, pair, other) for other in crossed)


def _independent(one: Factory, pair: Pair, other: Pair) -> bool:
    assert pair.new is not None
    assert other.new is not None
    mine, others = one.uses(pair.new), one.uses(other.new)
    if mine.binds & (others.binds | others.reads | others.inside):
        return False
    if others.binds & (mine.reads | mine.inside):
        return False
    nodes = pair.new.node, other.new.node
    return all(
        not any(e.kind != "registers" for e in gone_through(one, one.draft.world, [node], left).effects)
        for left in one.runs
        for node in nodes
    )


def _order(one: Factory) -> str | None:
    """Return why what runs comes out differently after what stands behind it."""
    for left in one.left:
        known: dict[int, Findings] = {}
        for index in sorted(one.run):
            mine = gone_through(one, one.draft.world, [one.new.body[index]], left)
            if (why := _configured(one, index, left, mine)) is not None:
                return why
            mine.effects = [e for e in mine.effects if e.kind not in (*WRITTEN_DOWN, "import")]
            looked = _looked_at(mine)
            if not (mine.effects or looked):
                continue
            for piece in _behind(one, index):
                node = one.as_it_ran(piece)
                other = known.get(piece.index) or gone_through(one, one.draft.world, [node], left)
                known[piece.index] = other
                why = ordering.conflict(mine, other) or _unknown(one, looked, other, piece, left)
                why = why or _tells(mine.effects, piece.node)
                if why is not None:
                    return f"{why}, at `{diff.title(piece)}` behind it"
    return None


def _behind(one: Factory, index: int) -> Iterator[Piece]:
    for pair in one.pairs:
        if pair.new is not None and pair.new.index > index and pair.new.index not in one.run:
            yield pair.new


def _tells(effects: list[Effect], node: ast.AST) -> str | None:
    """Return what changes an attribute that a statement has to do with, as far as names tell."""
    said = _words(node)
    return next((e.why for e in effects if e.kind == "attribute" and e.name in said), None)


def _words(node: ast.AST) -> set[str]:
    """Return the attributes and the strings in a statement."""
    words = (getattr(part, "attr", getattr(part, "value", None)) for part in ast.walk(node))
    return {word for word in words if isinstance(word, str)}


def _configured(one: Factory, index: int, left: Left, found: Findings) -> str | None:
    """Return which key of a configuration a statement reads, and others have written behind it."""
    for config, keys in lasting.settings(found):
        book = configs.book_of(config)
        for entry in book.entries if book is not None else ():
            changed = {key for key, _ in entry.changes if keys is None or key in keys}
            if changed and _is_behind(one, index, left, entry.chain or ()):
                return f"configuration {min(changed)} is written behind what reads it"
    return None


def _is_behind(one: Factory, index: int, left: Left, chain: tuple[Place, ...]) -> bool:
    """Whether what a chain led to stands behind a statement, and stays."""
    within = next((place[2] for place in chain if place[:2] == (one.module, one.uid)), 0)
    for pair in one.pairs if within else ():
        if pair.old is not None and one.lines(pair.old)[0] <= within <= one.lines(pair.old)[1]:
            return pair.new is not None and pair.new.index > index and pair.new.index not in one.run
    program = one.draft.program
    return program.position(chain, program.books.uids) > program.position(left.chain, program.books.uids)


def _looked_at(found: Findings) -> dict[int, Any]:
    """Return the objects of whose contents it matters when they are looked at."""
    return {
        key: thing
        for key, (thing, _) in found.used.items()
        if not isinstance(thing, (*_PLAIN, *_JOURNALED, *_FIXED))
    }


def _unknown(one: Factory, looked: dict[int, Any], other: Findings, piece: Piece, left: Left) -> str | None:
    """Return what a statement may have done to an object that was looked at before it."""
    rest = [e for e in other.effects if e.kind not in WRITTEN_DOWN and e.target is None]
    used = one.uses(piece)
    named = {id(left.variables.get(name)) for name in used.reads | used.inside}
    return rest[0].why if rest and named & looked.keys() else None


def _early(one: Factory, left: Left, found: Findings) -> str | None:
    """Return what a statement reads that is bound only below who called the factory."""
    before, after = early.sides(one.draft)
    was = gone_through(one, one.draft.world_before, one.old.body, left)
    new = after.early(found.names, left.chain) - before.early(was.names, left.chain)
    return early.said(*min(new)) if new else None


# what requests may have changed


def _state(one: Factory, left: Left, found: Findings) -> str | None:
    """Return what a statement looks at and may not be as the start made it."""
    return next(
        (f"it reads {what}, which may have changed since the start" for what in _doubtful(one, left, found)),
        None,
    )


def _doubtful(one: Factory, left: Left, found: Findings) -> Iterator[str]:
    draft, named = one.draft, list(left.variables.values())
    for module, name in sorted(found.names):
        unit = draft.program.unit_name(module)
        live = draft.program.loaded(unit)
        if live is not None and unit in draft.program.tree and (unit, name) not in draft.rebound:
            named.append(vars(live).get(name))
            if lasting.has_changed(draft.program, unit, name, found):
                yield name
    for name, value in left.variables.items():
        if id(value) in found.used and lasting.differs(draft.program, value, found, _literal(one, name)):
            yield name
    yield from lasting.others(draft.program, found, named)
    if environment.set_later(draft.program, found, lambda chain: _is_before(one, left, chain)):
        yield "the environment"


def _is_before(one: Factory, left: Left, chain: tuple[Place, ...]) -> bool:
    """Whether a place of the start is before a run of a factory; inside of it is not told apart."""
    program, place = one.draft.program, left.chain
    books, depth = program.books, len(left.chain) - 1
    above = (*chain[:depth], *(step[:2] for step in chain[depth : depth + 1]))
    inside = above == (*place[:depth], place[depth][:2])
    return not inside and program.position(chain, books.uids) < program.position(place, books.uids)


def _literal(one: Factory, name: str) -> Any:
    """Return what the one statement that binds a variable makes of it, if it stands there."""
    binding = standing.binders(one, name)
    body = [one.new.body[index] for index in binding if index not in one.run]
    return written.value_in(body, name) if len(binding) == 1 else written.NO_LITERAL
