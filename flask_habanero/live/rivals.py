"""Other statements that have a say in an object in which a release makes, or takes out, an entry.

Which value a key has, and in which order entries stand, is decided by all statements that write to an object;
and those that read it at the start have seen what was in it. So before an entry comes or goes, all statements
that may have to do with its object are asked what they do to it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

from jinja2 import defaults
from werkzeug.routing import Map

from ..piece import Piece
from . import elements, holding, inbody, names, ordering, readers, reading, registrations, slots, variables
from .entries import Entry
from .judge.findings import Effect, Findings
from .names import Names
from .slots import ADDERS

if TYPE_CHECKING:
    from .draft import Draft

Statement = tuple[str, Piece, Findings]

OF_JINJA = {
    *defaults.DEFAULT_FILTERS, *defaults.DEFAULT_NAMESPACE, *defaults.DEFAULT_TESTS,  # type: ignore[attr-defined]  # they are there, without a hint
    "config", "g", "get_flashed_messages", "request", "session", "tojson", "url_for",
}  # fmt: skip
"""What an app's template environment has from the beginning."""


def check(draft: Draft) -> None:
    """Refuse entries that another statement overrides, or has overridden, reads, or stands in the way of."""
    for mine in by_target(draft):
        target = mine[0].target
        known = _names_of(draft, target)
        if _is_registry(target):
            draft.refuse("journal", draft.where(*mine[0].where), "it writes to Flask's own registries")
        if isinstance(target, Map) and any(target.iter_rules()):
            what = "it changes what the rules of the URL map were made with"
            draft.refuse("journal", draft.where(*mine[0].where), what)
        again = _set_again(mine)
        for entry in mine:
            if entry.way == "out" and entry.key not in again and (why := _was_there(draft, entry, known)):
                draft.refuse("removed-effect", draft.where(*entry.where), why)
        for other in _others(draft, reached_by(draft, target)):
            _meet(draft, mine, other)
    _readers_of_registries(draft)


def by_target(draft: Draft) -> list[list[Entry]]:
    """Return the entries that come or go, of one object at a time."""
    found: dict[int, list[Entry]] = {}
    for entry in draft.entries:
        found.setdefault(id(entry.target), []).append(entry)
    return list(found.values())


def _is_registry(target: Any) -> bool:
    """Whether an object is one of those that the journal of registrations rebuilds."""
    return any(
        target is getattr(one, name)
        for one in list(registrations.targets)
        for name in registrations.tables_of(one)
    )


def _names_of(draft: Draft, target: Any) -> set[tuple[str, str]]:
    """Return under which names of the app's own modules an object is known."""
    return {
        (module, name)
        for module in draft.out.target
        if (live := draft.program.loaded(module)) is not None
        for name, value in list(vars(live).items())
        if value is target or _keeps(value, target)
    }


def _keeps(value: Any, target: Any) -> bool:
    """Whether a function keeps an object among its variables, as those of `functools.singledispatch` do."""
    kept = _kept_by(value)
    return any(one is target for inner in kept for one in (inner, *_kept_by(inner)))


def _kept_by(value: Any) -> list[Any]:
    cells = value.__closure__ or () if isinstance(value, FunctionType) else ()
    return [cell.cell_contents for cell in cells if cell != CellType()]


# what was there before the statement


def _was_there(draft: Draft, entry: Entry, known: set[tuple[str, str]]) -> str | None:
    """Return why it can't be told that an entry was not there before its statement made it."""
    said = f"what stood under {entry.key!r} before can't be told"
    if entry.kind == "attribute":
        return said if isinstance(entry.target, type) and _is_in_class(draft, entry) else None
    told = slots.is_constant(entry.key) and isinstance(entry.target, dict | set)
    if told and (id(entry.target), entry.key) in draft.program.books.absent:
        return None  # a release has put it there
    if entry.kind == "element":
        return elements.why_it_stays(draft, entry.target, entry.key)
    if known:
        return None if any(_begins_without(draft, *one, entry.key) for one in known) else said
    value = entry.value[0] if type(entry.value) is list and entry.value else entry.value
    called = getattr(value, "__name__", None) or getattr(value, "name", None)
    tells = bool(called) and str(called) in str(entry.key)
    return None if tells and not (entry.key in OF_JINJA and _is_of_jinja(entry.target)) else said


def _set_again(mine: list[Entry]) -> set[Any]:
    """Return the keys of a table of Jinja's that other statements certainly set from then on."""
    if not _is_of_jinja(mine[0].target):
        return set()  # where a key stands among others depends on what was there before
    return {one.key for one in mine if one.way == "in" and one.kind == "key" and not one.perhaps}


def _is_of_jinja(target: Any) -> bool:
    environments = [
        one.__dict__["jinja_env"] for one in list(registrations.targets) if "jinja_env" in one.__dict__
    ]
    return any(target is table for one in environments for table in (one.filters, one.globals, one.tests))


def _is_in_class(draft: Draft, entry: Entry) -> bool:
    """Whether a class has an attribute by its own text, or that can't be told."""
    source = draft.program.tree.get(entry.target.__module__)
    bodies = [
        piece.node.body
        for piece in (source.parsed.pieces if source is not None else ())
        if isinstance(piece.node, ast.ClassDef) and piece.node.name == entry.target.__name__
    ]
    if len(bodies) != 1 or not all(map(inbody.is_simple, bodies[0])):
        return True
    return any(entry.key in inbody.bound(node) for node in bodies[0])


def _begins_without(draft: Draft, module: str, name: str, key: Any) -> bool:
    """Whether the one statement that binds a name makes a container that does not have a key."""
    source = draft.program.tree.get(module)
    if source is None:
        return False
    rows = zip(source.parsed.pieces, names.of_source(source), strict=True)
    binding = [piece.node for piece, row in rows if name in row.binds]
    if len(binding) == 1 and isinstance(binding[0], ast.FunctionDef | ast.AsyncFunctionDef):
        return key is not object  # which the function itself is registered for
    value = getattr(binding[0], "value", None) if len(binding) == 1 else None
    if isinstance(value, ast.Call):
        return not (value.args or value.keywords) or ast.unparse(value.func).endswith("defaultdict")
    if isinstance(value, ast.Dict):
        found = [one.value for one in value.keys if isinstance(one, ast.Constant)]
        return len(found) == len(value.keys) and key not in found
    return isinstance(value, ast.List | ast.Set)


# the others


def reached_by(draft: Draft, target: Any) -> AbstractSet[str] | None:
    """Return the names and attributes, by their last part, by which an object is got at; None if by any."""
    found = {name for _, name in _names_of(draft, target)}
    if found:
        found |= holding.ways(draft.program, draft.out.target, target)
    return reaching(draft, found) if found else None


def _others(draft: Draft, reached: AbstractSet[str] | None) -> Iterator[Statement]:
    """Yield the statements that neither run nor end, and may have to do with an object."""
    for module, piece, row, uid in _statements(draft):
        if (module, uid) in draft.acted or not _does_something(piece.node, row):
            continue
        if reached is None or not reached.isdisjoint(row.reads | row.attributes):
            yield module, piece, draft.judge(module).read(piece.node)


def _statements(
    draft: Draft, modules: Iterable[str] | None = None
) -> Iterator[tuple[str, Piece, Names, int]]:
    """Yield the statements of some modules, or of all, that are loaded; once all are compared."""
    for module in _loaded(draft, modules):
        for (piece, row), uid in zip(_rows(draft, module), draft.uids(module), strict=True):
            yield module, piece, row, uid


def _loaded(draft: Draft, modules: Iterable[str] | None = None) -> list[str]:
    among = draft.out.target if modules is None else modules
    return [module for module in among if draft.program.loaded(module) is not None]


def _rows(draft: Draft, module: str) -> Iterator[tuple[Piece, Names]]:
    source = draft.out.target[module]
    return zip(source.parsed.pieces, names.of_source(source), strict=True)


def _does_something(node: ast.stmt, row: Names) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return bool(node.decorator_list)
    return bool(row.reads or row.attributes)


def reaching(draft: Draft, start: set[str]) -> AbstractSet[str]:
    """Return the names, by their last part, through which some names are reached at the start."""
    target = draft.out.target
    return readers.reaching((target[name] for name in draft.loaded if name in target), start)


def _meet(draft: Draft, mine: list[Entry], other: Statement) -> None:
    """Refuse where what another statement does to an object, or reads of it, interferes with an entry."""
    module, piece, findings = other
    target, where, place = mine[0].target, draft.where(module, piece), draft.rank(module, piece)
    effects = [e for e in findings.effects if e.target is target and e.kind in ("item", "attribute")]
    for entry in mine:
        later = place > draft.rank(*entry.where) if entry.way != "out" else True
        if why := overrides(entry, effects, later=later):
            draft.refuse("order", draft.where(*entry.where), f"{why}, at {where}")
        if entry.way != "out" and later and effects and _needs_its_place(draft, entry):
            text = f"a new entry belongs before that of {where}, and there is no telling it in"
            draft.refuse("order", draft.where(*entry.where), text)
        if later and has_read(findings, entry):
            text = f"it has read what {draft.where(*entry.where)} makes, or made, an entry in"
            draft.refuse("stale", where, text)


def overrides(entry: Entry, effects: Iterable[Effect], *, later: bool) -> str | None:
    """Return why another statement's effects decide about an entry."""
    for effect in effects:
        if effect.kind == "item" and effect.name not in ADDERS:
            return f"`{effect.name}` changes the same object"
        if effect.kind == "attribute":
            same = entry.kind == "attribute" and effect.name in ("", entry.key)
        elif entry.kind == "element":
            same = entry.way == "out" and elements.adds(effect, entry.key)
        else:
            key = ordering.key_of(effect)
            same = entry.kind == "key" and (key is None or entry.key is None or key.object == entry.key)
        if same and (later or entry.way == "out"):
            if entry.kind == "element":
                return f"{elements.said(entry.key)} is put there, too"
            return f"{entry.key!r} of the same object is set"
    return None


def _needs_its_place(draft: Draft, entry: Entry) -> bool:
    """Whether an entry has a place in an order, and is put last if nobody knows it."""
    if entry.way == "same" or entry.kind == "attribute" or isinstance(entry.target, set):
        return False
    module, piece = entry.where
    node = piece.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return draft.rank_of(module, node.name) is None
    return True


def has_read(findings: Findings, entry: Entry) -> bool:
    """Whether what was gone through has looked at an entry, or at the place where it will be, or was."""
    if entry.kind == "attribute":
        return bool(findings.uses_of(entry.target) & {entry.key, ""})
    if id(entry.target) in findings.whole:
        return True
    keys = findings.keys.get(id(entry.target), set())
    by_place = entry.kind == "element" and type(entry.target) is not set
    return bool(keys) if entry.key is None or by_place else entry.key in keys


def attributes(draft: Draft, module: str, piece: Piece, given: frozenset[str]) -> None:
    """Refuse where other statements set the attributes that decorators give to a function."""
    # of modules that nobody has compared yet, too: they have no identities
    every = ((other, *pair) for other in _loaded(draft) for pair in _rows(draft, other)) if given else ()
    for other, second, row in every:
        mine = (other, second.index) == (module, piece.index) or given.isdisjoint(row.attributes)
        if not mine and any(map(given.__contains__, _set_by(second.node))):
            text = f"decorators set an attribute that {draft.where(other, second)} sets, too"
            draft.refuse("decorator", draft.where(module, piece), text)


def _set_by(node: ast.stmt) -> Iterator[str]:
    """Yield the attributes that a statement sets, or deletes, while it runs."""
    for one in variables.at_import(node):
        if isinstance(one, ast.Attribute) and not isinstance(one.ctx, ast.Load):
            yield one.attr


# registries of Flask


def _readers_of_registries(draft: Draft) -> None:
    """What read at the start which views or hooks there are has seen others than there will be."""
    if not (draft.registers or draft.out.withdraw):
        return
    own = {module.rpartition(".")[2] for module in draft.out.target}  # a package may have the same name
    tables = {*registrations.TABLES, "commands", "iter_rules", "url_map"} - own
    ran = {(unit, qualname.partition(".<locals>")[0]) for unit, qualname, _ in draft.program.books.ran}
    asking = [
        name
        for name, source in draft.out.target.items()
        if not tables.isdisjoint(reading.asked_inside(source) | reading.asked_outside(source))
    ]
    for module, piece, row, uid in _statements(draft, asking):
        asks = row.attributes & tables and _asks(piece.node, tables)
        if (module, uid) not in draft.acted and asks:
            text = "it reads or writes Flask's own tables of views, hooks or commands"
            draft.refuse("stale", draft.where(module, piece), text)
        for key, body in row.bodies.items():
            if body.attributes & tables and (module, key) in ran and _asks(piece.node, tables):
                text = f"{key} reads or writes Flask's own tables of views, hooks or commands"
                draft.refuse("startup", draft.where(module, piece), text)


def _asks(node: ast.AST, tables: set[str]) -> bool:
    """Whether a table of Flask is asked for below a node. What the map of rules has beside rules is none."""
    below = list(ast.walk(node))
    settings = {id(one.value) for one in below if isinstance(one, ast.Attribute) and one.attr in _OF_A_MAP}
    asked = (one for one in below if isinstance(one, ast.Attribute) and one.attr in tables)
    return any(one.attr != "url_map" or id(one) not in settings for one in asked)


# `url_map.converters` and the like
_OF_A_MAP = {"converters", "default_converters", "default_subdomain", "host_matching", "strict_slashes"}
