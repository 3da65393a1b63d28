"""What is written in another way and comes out the same: who read it has read what a cold start gives.

``60 * 60`` that becomes ``3600``, ``get("PORT", "25")`` that becomes ``get("PORT") or "25"``. Told for
numbers, strings and the like, and containers of them, by what the judge says of both texts, if that is also
what is there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from flask.config import Config
from flask.sansio.app import App

from ..source import Piece
from . import lasting
from .diff import Kind, Pair
from .judge import computed
from .judge.findings import Effect, Findings
from .judge.interpreter import Interpreter
from .judge.known import environ
from .judge.values import ANY, Class, Live, Made, Scope, Value
from .world import World

if TYPE_CHECKING:
    from .draft import Draft

_Assignment = (ast.Assign, ast.AnnAssign)


def members(draft: Draft, module: str, classes: tuple[ast.ClassDef, ast.ClassDef], cls: type) -> set[str]:
    """Return the constants of a class that are what they were, though they are written in another way.

    Args:
        draft: the plan in the making.
        module: of the class.
        classes: its statement, before and after.
        cls: the live class.
    """
    sides = zip(_worlds(draft), classes, strict=True)
    (old, _), (new, found) = (_members(world, module, node) for world, node in sides)
    if not _is_sure(draft, found):
        return set()
    return {
        name
        for name in _constants(classes[0]) & _constants(classes[1])
        if (word := _word_of(old.get(name))) == _word_of(new.get(name))
        and word is not None
        and (draft.boots or word == _word(vars(cls).get(name, cls)))
    }


def statement(draft: Draft, module: str, pair: Pair) -> bool:
    """Whether a statement only binds what it bound before, to a name or to a key of a configuration."""
    assert pair.old is not None
    assert pair.new is not None
    nodes = pair.old.node, pair.new.node
    if not all(isinstance(node, ast.Assign) and len(node.targets) == 1 for node in nodes):
        return False
    before, after = (_outcome(world, module, node) for world, node in zip(_worlds(draft), nodes, strict=True))
    if before is None or after is None or after.word is None or before[:3] != after[:3]:
        return False
    live = after.space if after.space is not None else vars(draft.live(module))
    return _is_sure(draft, after.found) and (draft.boots or _word(live.get(after.name, ast)) == after.word)


def again(draft: Draft, module: str, piece: Piece, uid: int) -> bool:
    """Whether a statement whose text stays comes out as before, whatever it used."""
    there = module in draft.program.tree and uid in draft.program.uids(module)
    if not there:
        return False
    before = draft.program.tree[module].parsed.pieces[draft.program.uids(module).index(uid)]
    return statement(draft, module, Pair(Kind.SAME, before, piece))


def _worlds(draft: Draft) -> tuple[World, World]:
    return draft.world_before, draft.world


def _members(world: World, module: str, node: ast.ClassDef) -> tuple[dict[str, Value], Findings]:
    interpreter = Interpreter(world)
    outside = interpreter.scope_of(module)
    inside = Scope({}, outside.find, module, owner=Class("", (), {}, module), body=True)
    for one in node.body:
        if isinstance(one, _Assignment):
            interpreter.run_statement(one, inside)
        else:  # what it makes is no constant; that it makes it counts
            inside.names.update(dict.fromkeys(_made(one), ANY))
    return inside.names, interpreter.notes


def _made(node: ast.stmt) -> Iterable[str]:
    """Return the names that a statement of a class's body may bind."""
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield one.name
        elif isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            yield one.id
        elif isinstance(one, ast.alias):
            yield (one.asname or one.name).partition(".")[0]


def _constants(node: ast.ClassDef) -> set[str]:
    """Return the members that one assignment makes, and nothing else in the class's body binds."""
    bound = [name for one in node.body for name in _made(one)]
    simple = [one.targets[0] for one in node.body if isinstance(one, ast.Assign) and len(one.targets) == 1]
    return {one.id for one in simple if isinstance(one, ast.Name) and bound.count(one.id) == 1}


class _Outcome(NamedTuple):
    """What an assignment comes to: in a configuration or the module (None), which key or name is what."""

    space: Config | None
    name: str
    word: object
    found: Findings


def _outcome(world: World, module: str, node: ast.stmt) -> _Outcome | None:
    assert isinstance(node, ast.Assign)
    interpreter = Interpreter(world)
    scope = interpreter.scope_of(module)
    interpreter.run_statement(node, scope)
    target, effects = node.targets[0], interpreter.effects
    if isinstance(target, ast.Name) and not effects:
        return _Outcome(None, target.id, _word_of(scope.names.get(target.id)), interpreter.notes)
    if isinstance(target, ast.Subscript) and len(effects) == 1:
        return _configured(effects[0], interpreter.notes)
    return None


def _configured(effect: Effect, found: Findings) -> _Outcome | None:
    args = effect.args.positional if effect.args is not None else ()
    if (effect.kind, effect.name) != ("config", "__setitem__") or len(args) != 2:  # a key and a value
        return None
    key = args[0].object if isinstance(args[0], Live) else None
    return _Outcome(effect.target, key, _word_of(args[1]), found) if isinstance(key, str) else None


_MOST, _DEEPEST = 100, 10  # of what is in a container, and of containers in containers
_CONTAINERS = (dict, list, tuple)


def _word_of(value: Value | None) -> object:
    """Return what tells whether values are the same; None if it is not known what a value is."""
    return _word(_built(value))


def _built(value: Value | None) -> object:
    """Return what a value will be; where that is not known, something that has no word."""
    if isinstance(value, Live):
        return value.object
    if not isinstance(value, Made) or value.rest is not None or value.open or value.fields:
        return object()
    if value.kind is dict:
        return {key: _built(one) for key, one in value.items.items()}
    return value.kind(map(_built, value.items.values())) if value.kind in (list, tuple) else object()


def _word(thing: Any, depth: int = 0) -> object:
    """Return what equals only for the same: 1 is not True, 0.0 not -0.0, NaN is itself, and order counts."""
    if computed.is_plain(thing):
        return type(thing), repr(thing)
    if type(thing) not in _CONTAINERS or len(thing) > _MOST or depth > _DEEPEST:
        return None
    inside = [*thing, *thing.values()] if type(thing) is dict else thing
    words = [_word(one, depth + 1) for one in inside]
    return (type(thing), *words) if None not in words else None


def _is_sure(draft: Draft, found: Findings, above: frozenset[int] = frozenset()) -> bool:
    """Whether all that was read is told by the texts, or as the start made it.

    What is in a class or in an object that is there is none of that: the release may change it.
    """
    if id(found) in above:
        return False  # names that lead to each other
    if not all(_is_sure_of(draft, *name, found, above | {id(found)}) for name in found.names):
        return False
    for thing, used in found.used.values():
        others = isinstance(thing, ModuleType) and not draft.world.is_own(thing.__name__)
        asked = isinstance(thing, FunctionType) and used != {""}  # for its docstring, its defaults
        if asked or not (others or _is_told(thing) or _is_fixed(thing, used, found)):
            return False
    return not any(lasting.others(draft.program, found, []))


def _is_sure_of(draft: Draft, module: str, name: str, found: Findings, above: frozenset[int]) -> bool:
    program, unit = draft.program, draft.program.unit_name(module)
    live = program.loaded(unit)
    if live is None or unit not in program.tree:
        return False
    made = draft.world.read_for(unit, name)
    if made is not None:
        return _is_sure(draft, made, above)
    if name not in vars(live):
        return True
    value = vars(live)[name]
    here = isinstance(value, FunctionType) and (value.__module__, value.__qualname__) == (module, name)
    own = here and draft.world.definition(module, name) is not None  # it stays, and has its new body
    if (unit, name) in draft.rebound or (name in draft.may_change and not own):
        return False  # that is not told by its text, or found out later
    if not (_is_told(value) or isinstance(value, App | ModuleType)):
        return False
    return not lasting.has_changed(program, unit, name, found)


def _is_told(thing: object) -> bool:
    """Whether a text tells what something gives: a value, or a function by its body."""
    if isinstance(thing, FunctionType):
        return not (thing.__defaults__ or thing.__kwdefaults__ or thing.__closure__)
    return computed.is_plain(thing) or isinstance(thing, BuiltinFunctionType)


_OF_APPS = frozenset(["config", "import_name", "instance_path", "name", "root_path"])


def _is_fixed(thing: object, used: set[str], found: Findings) -> bool:
    """Whether what was read of an object is nothing that a release changes."""
    if isinstance(thing, Config):  # into which the value goes
        return id(thing) not in found.whole and not found.keys.get(id(thing))
    return thing is environ() or (isinstance(thing, App) and used <= _OF_APPS)
