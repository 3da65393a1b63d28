"""What a release changes in an app's configuration, and what was made from it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flask.config import Config

from ..piece import Piece
from . import configs, names, stars
from .judge.findings import Effect
from .judge.values import Class, Live, Made
from .plan import Refresh
from .program import owner_of

if TYPE_CHECKING:
    from .draft import Draft

# Flask makes its template environment and its logger from them when they are first asked for
_KEPT_BY_FLASK = frozenset(["DEBUG", "TESTING", "TEMPLATES_AUTO_RELOAD"])


@dataclass(frozen=True)
class Kept:
    """What a statement does to configurations that it did before, too.

    Attributes:
        sources: classes, by id, from which it fills one; see `sources`.
        keys: (id of a configuration, key) that it sets to what is there; see `rewritten`.
    """

    sources: frozenset[int] = frozenset()
    keys: frozenset[tuple[int, str]] = frozenset()


NOTHING = Kept()


def written(draft: Draft, effects: Iterable[Effect], kept: Kept = NOTHING) -> None:
    """Note what a statement that runs, or ends, writes to configurations, but for what it keeps there."""
    effects = list(effects)
    for effect in (one for one in effects if one.kind == "config"):
        source = _source(effect)
        known = isinstance(source, type) and id(source) in kept.sources
        keys = _other_members(draft, source) if known else keys_of(draft, effect)
        changed(draft, effect.target, {key for key in keys if (id(effect.target), key) not in kept.keys})
    for effect in (one for one in effects if one.kind == "attribute" and one.name.isupper()):
        _source_set(draft, effect)


def sources(effects: Iterable[Effect]) -> frozenset[int]:
    """Return the classes, by id, from which configurations are filled."""
    return frozenset(id(source) for effect in effects if isinstance(source := _source(effect), type))


def _source(effect: Effect) -> object:
    first = effect.args.get(0, "obj") if effect.args is not None and effect.name == "from_object" else None
    return first.object if isinstance(first, Live) and effect.kind == "config" else None


def _other_members(draft: Draft, cls: Any) -> set[str]:
    """Return the upper-case members of a class that are others, as far as that is known by now."""
    found = (
        draft.changed_members[draft.program.unit_name(base.__module__), base.__qualname__]
        for base in cls.__mro__
    )
    return {name for members in found for name in members if name.isupper()}


def _source_set(draft: Draft, effect: Effect) -> None:
    """An attribute is set on what a configuration was filled from: before or after, that can't be told."""
    for config in configs.all_configs():
        book = configs.book_of(config)
        for source in map(configs.read_from, book.entries if book is not None else ()):
            kinds = source.__mro__ if isinstance(source, type) else (source,)
            if any(one is effect.target for one in kinds):
                what = f"{effect.name} is set on what the configuration was filled from"
                draft.refuse("config", "", what)


def changed(draft: Draft, config: Config, keys: set[str]) -> None:
    """Note that keys of a configuration change."""
    draft.out.configs.setdefault(id(config), config)
    draft.dirty_config += [(config, key) for key in sorted(keys)]


def keys_of(draft: Draft, effect: Effect) -> set[str]:
    """Return the keys that a call may write; EVERY among them if that can't be told."""
    args = effect.args
    assert args is not None
    if effect.name in ("update", "from_mapping", "__ior__"):
        found = set(args.named)
        for one in args.positional:
            found |= _text_keys(one)
        return found | ({configs.EVERY} if args.more else set())
    first = args.get(0, "obj")
    if effect.name == "from_object" and first is not None:
        return _attributes(draft, first)
    if effect.name.startswith("from_") or effect.name in ("clear", "popitem") or first is None:
        return {configs.EVERY}
    key = first.object if isinstance(first, Live) else None
    return {key if isinstance(key, str) else configs.EVERY}


def _text_keys(value: object) -> set[str]:
    if isinstance(value, Made) and value.rest is None and all(isinstance(key, str) for key in value.items):
        return {str(key) for key in value.items}
    if isinstance(value, Live) and isinstance(value.object, dict):
        return set(map(str, value.object))
    return {configs.EVERY}


def _attributes(draft: Draft, value: object) -> set[str]:
    """Return the upper-case attributes of an object that `from_object` is given, before and after."""
    if isinstance(value, Class):
        own = {name for name in value.members if name.isupper()}
        return own.union(*(_attributes(draft, base) for base in value.bases))
    if isinstance(value, Live) and isinstance(value.object, type | ModuleType):
        found = {name for name in dir(value.object) if name.isupper()}
        return found | set(_to_come(draft, value.object))
    return {configs.EVERY}


def _to_come(draft: Draft, owner: type | ModuleType) -> Iterator[str]:
    classes = owner.__mro__ if isinstance(owner, type) else ()
    for unit in draft.units:
        for piece, row in zip(
            draft.parsed(unit).pieces, names.of_source(draft.out.target[unit]), strict=True
        ):
            if isinstance(owner, ModuleType) and draft.program.loaded(unit) is owner:
                yield from (name for name in row.binds if name.isupper())
            elif isinstance(piece.node, ast.ClassDef) and any(
                _is(draft, unit, piece, one) for one in classes
            ):
                members = names.class_members(piece.node)
                yield from (name for name in members if name.isupper())


def _is(draft: Draft, unit: str, piece: Piece, cls: type) -> bool:
    live = draft.program.loaded(unit)
    return live is not None and vars(live).get(getattr(piece.node, "name", "")) is cls


# what configurations were filled from


def source_changed(draft: Draft, module: str, name: str, members: frozenset[str] | None = None) -> None:
    """A name of a module, or members of a class of it, changed: what took values from there takes them again.

    Args:
        draft: the plan in the making.
        module: the module.
        name: the name, or the class.
        members: of a class, which of its members; None if the name itself stands for something else.
    """
    live = draft.program.loaded(module)
    cls = vars(live).get(name) if live is not None and members is not None else None
    for config in configs.all_configs():
        book = configs.book_of(config)
        for entry in book.entries if book is not None else ():
            source = configs.read_from(entry)
            keys: set[str] = set()
            if isinstance(source, ModuleType) and source is live and name.isupper():
                keys = {name}
            elif (
                members is not None
                and isinstance(source, type)
                and isinstance(cls, type)
                and issubclass(source, cls)
            ):
                keys = {member for member in members if member.isupper()}
            elif (
                members is None and configs.is_named(entry, module, name) and not _is_made_again(draft, entry)
            ):
                keys = {configs.EVERY}  # it stands for something else
            elif members is not None and isinstance(cls, type) and isinstance(source, cls):
                keys = _of_object(entry, source, {member for member in members if member.isupper()})
            if keys:
                again = Refresh(entry, set(), _readable(draft, entry, source))
                draft.out.refresh.setdefault(id(entry), again).keys.update(keys)
                changed(draft, config, keys)


def _is_made_again(draft: Draft, entry: configs.Written) -> bool:
    """Whether the statement that filled a configuration runs again, as far as that is known by now."""
    made = [one for one in draft.factories.values() if one is not None]
    owner = owner_of(entry, draft.program.tree.__contains__)
    return owner in draft.acted or any(one.ends(place) for one in made for place in entry.chain or ())


def _of_object(entry: configs.Written, source: object, members: set[str]) -> set[str]:
    """Return the keys that an object gives otherwise, of whose class members are others; EVERY if untold."""
    kind, own, before = type(source), getattr(source, "__dict__", {}), dict(entry.changes)
    shadowing = members & own.keys()
    told = all(
        own[key] is before.get(key) and own[key] is not getattr(kind, key, None) for key in shadowing
    ) and all(getattr(kind, hook) is getattr(object, hook) for hook in ("__dir__", "__getattribute__"))
    computed = any(
        hasattr(type(member), "__get__") and name.isupper()
        for one in kind.__mro__
        for name, member in vars(one).items()
    )
    keys = members - shadowing
    return {configs.EVERY} if keys and (computed or not told) else keys


def _readable(draft: Draft, entry: configs.Written, source: Any) -> frozenset[str] | None:
    """Return the names that a module has when it fills a configuration from itself; None for: all."""
    owner = owner_of(entry, draft.program.tree.__contains__)
    if owner is None or not isinstance(source, ModuleType) or draft.program.loaded(owner[0]) is not source:
        return None
    uids, tree = draft.uids(owner[0]), draft.out.target
    if owner[1] not in uids:
        return None
    above = names.of_source(tree[owner[0]])[: uids.index(owner[1])]
    for row in above:
        stars.check(draft, owner[0], row, tree, owner[0])
    return frozenset(name for row in above for name in row.binds | (stars.brought(row, tree) or set()))


def _read_by_writers(book: configs.Book | None) -> set[str]:
    """Return the keys of which writers gave the value to somebody: `config.pop("KEY")`."""
    entries = book.entries if book is not None else []
    return {key for entry in entries if entry.read for key, _ in entry.changes}


def _written_twice_and_read(book: configs.Book | None, keys: set[str]) -> list[str]:
    """Return the keys that have several writers, of which a reader that runs again sees the last that ran."""
    if book is None:
        return []
    read = keys if configs.EVERY in book.readers else keys & book.readers.keys()
    return sorted(key for key in read if sum(entry.writes(key) for entry in book.entries) > 1)


def check(draft: Draft) -> None:
    """Refuse to change a configuration of which it is not known what wrote it, or that Flask has used."""
    for config in draft.out.configs.values():
        book = configs.book_of(config)
        if book is None or not configs.is_complete(config, book):
            what = "the configuration holds more than was written through it since our import"
            hint = "`from flask_habanero import Habanero` before your own modules, or restart"
            draft.refuse("config", "", what, hint)
        keys = {key for one, key in draft.changed_config if one == id(config)}
        for key in keys & _read_by_writers(book):
            draft.refuse("config", "", f"{configs.said(key)} is used by a statement that also writes it")
        for key in _written_twice_and_read(book, keys):
            what = f"{configs.said(key)} is written more than once, and read at the start"
            draft.refuse("config", "", what)
    for _, key in draft.changed_config:
        if key in _KEPT_BY_FLASK or key == configs.EVERY:
            what = (
                f"{configs.said(key)}: Flask has made things from it"
                if key != configs.EVERY
                else "which keys of the configuration change can't be told"
            )
            draft.refuse("config", "", what)
