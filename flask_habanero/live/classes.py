"""Classes that change in place: who read, at the start, members that are others now."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..piece import Piece
from . import (
    adapters,
    asking,
    bodies,
    configured,
    effects,
    instances,
    mapped,
    mentioned,
    mixins,
    names,
    reading,
    spelled,
    unran,
    variables,
)
from .judge.computed import is_plain

if TYPE_CHECKING:
    from ..source import Source
    from .flow import Flow


# attributes of a class that Python makes of its members
_OF_MEMBERS = frozenset(["__abstractmethods__", "__annotations__", "__dataclass_fields__", "__match_args__"])


def follow(flow: Flow, module: str, cls: str, members: frozenset[str]) -> None:
    """Let all be stale that read a class under a name, and may have read its members."""
    if not flow.first_time("member", module, cls, members):
        return
    flow.touched |= {cls, *members}
    flow.draft.changed_members[module, cls] |= members
    _inherited(flow, module, cls, members)
    if mixins.DERIVES in members:
        mixins.follow(flow, module, cls)
    home = _home(flow, module, cls)
    noticed = members - asking.unnoticed(flow, *home, members, others=asking.NOBODY)
    unseen = not noticed and instances.is_unnoticed(flow, *home, members)
    for reader in flow.loaded:
        source = flow.draft.out.target[reader]
        if cls in source.text or "*" in source.text:
            _in_module(flow, reader, source, instances.Changed(module, cls, noticed, members, unseen))
    spelled.importer(flow, module, cls)
    spelled.follow(flow, module)
    configured.source_changed(flow.draft, module, cls, members)


def _home(flow: Flow, module: str, name: str) -> tuple[str, str]:
    """Return the module that defines what is known as a class in some module, and its name there."""
    cls = getattr(flow.program.loaded(module), name, None)
    if not isinstance(cls, type):
        return module, name
    home = flow.program.unit_name(cls.__module__), cls.__name__
    return home if getattr(flow.program.loaded(home[0]), home[1], None) is cls else (module, name)


def _only_maps(flow: Flow, changed: instances.Changed, reader: str, node: ast.stmt, local: set[str]) -> bool:
    """Whether a statement names a mapped class to SQLAlchemy, or listens for it, and asks it for nothing."""
    if isinstance(node, ast.FunctionDef | ast.Expr):
        return mentioned.only_listens(node, local, flow.draft.judge(reader).callee)
    name = getattr(node, "name", None) or mapped.member_name(node)
    cls = getattr(flow.program.loaded(reader), name, None) if name else None
    if not (isinstance(cls, type) and (mapped.is_mapped(cls) or mapped.is_peewees(cls))):
        return False
    if isinstance(node, ast.ClassDef):
        other = getattr(flow.program.loaded(changed.module), changed.name, None)
        is_enum = isinstance(other, enum.EnumMeta) and not any(one.startswith("_") for one in changed.every)
        return mentioned.only_names(node, local, flow.draft.judge(reader).callee, is_enum=is_enum)
    return isinstance(node, ast.Assign) and _only_gives(flow, reader, node.value, local)


def _only_computes(flow: Flow, changed: instances.Changed, reader: str, node: ast.stmt) -> bool:
    """Whether a statement only computes, and whatever it calls asks for no attribute of such a name."""
    cls = getattr(flow.program.loaded(changed.module), changed.name, None)
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) or not isinstance(cls, type):
        return False
    found = flow.draft.judge(reader).read(node)
    listed = {"", *instances.ENUMERATING} & found.attributes or "" in found.uses_of(cls)
    special = any(one.startswith("__") for one in changed.every)  # Python itself asks for those
    if instances.is_read(flow, changed.every) or not _leads_nowhere(flow, changed, reader, node, cls):
        return False
    return not (found.effects or listed or special or found.attributes & (changed.every | _OF_MEMBERS))


def _leads_nowhere(flow: Flow, changed: instances.Changed, reader: str, node: ast.stmt, cls: type) -> bool:
    """Whether nobody gets at a class by what a statement binds, but by another name of the class itself."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if isinstance(node, ast.Assign | ast.AnnAssign) and not all(isinstance(one, ast.Name) for one in targets):
        return False
    for name in [one.id for one in targets if isinstance(one, ast.Name)]:
        value = getattr(flow.program.loaded(reader), name, None)
        if value is cls:
            flow.draft.dirty_members.append((reader, name, changed.every))
        elif not (isinstance(value, type) and not issubclass(value, cls)) and not is_plain(value):
            return False
    return True


def _only_gives(flow: Flow, reader: str, node: ast.expr, local: set[str]) -> bool:
    """Whether it calls an own function, which names the class that it is given in one that it makes."""
    if not isinstance(node, ast.Call) or not all(isinstance(one, ast.Name) for one in node.args):
        return False
    named = [one for one in ast.walk(node) if isinstance(one, ast.Name) and one.id in local]
    if node.keywords or any(one not in node.args for one in named):
        return False
    maker = flow.draft.judge(reader).callee(node.func)
    module, qualname = getattr(maker, "__module__", ""), getattr(maker, "__qualname__", "")
    body = flow.draft.world.definition(module, qualname)
    if not isinstance(body, ast.FunctionDef) or body.decorator_list:
        return False
    taken = [one.arg for one in (*body.args.posonlyargs, *body.args.args)]
    given = {name for name, one in zip(taken, node.args, strict=False) if ast.unparse(one) in local}
    inner = (one for statement in body.body for one in ast.walk(statement))
    if len(node.args) > len(taken) or any(isinstance(one, bodies.Function | ast.Lambda) for one in inner):
        return False
    return all(mentioned.only_names(one, given, flow.draft.judge(module).callee) for one in body.body)


def _only_asks(flow: Flow, changed: instances.Changed, reader: str, qualname: str, local: set[str]) -> bool:
    """Whether a function of the start used a class, which is mapped otherwise now, only for rows."""
    module, cls, _, every, _ = changed
    mapping = flow.draft.out.mapping
    node = flow.draft.world.definition(reader, qualname.partition(".<locals>")[0])
    if changed.unseen and isinstance(node, bodies.Function):
        whole = "<locals>" in qualname  # which of those in it ran is not told
        parts = ast.walk(node) if whole else variables.of_body(node)
        if _is_peewees_own(flow, reader, parts, local):
            return True
    if not all((module, f"{cls}.{member}") in mapping.learns | mapping.forgets for member in every):
        return False
    return node is not None and mentioned.only_asks(ast.walk(node), local, flow.draft.judge(reader).callee)


def _is_peewees_own(flow: Flow, reader: str, nodes: Iterable[ast.AST], local: set[str]) -> bool:
    """Whether parts of a function or statement give a class to nobody but peewee."""
    return mentioned.only_asks(nodes, local, flow.draft.judge(reader).callee, mapped.PEEWEES)


def _inherited(flow: Flow, module: str, name: str, members: frozenset[str]) -> None:
    """What derives from a class has other members, too, but those that it has itself."""
    cls = getattr(flow.program.loaded(module), name, None)
    for one in adapters.below(cls) if isinstance(cls, type) else ():
        unit, left = flow.program.unit_name(one.__module__), members.difference(vars(one))
        if left and unit in flow.draft.out.target and flow.first_time("inherited", one, left):
            flow.draft.dirty_members.append((unit, one.__name__, left))


def _in_module(flow: Flow, reader: str, source: Source, changed: instances.Changed) -> None:
    module, cls, members, every, _ = changed
    rows = names.of_source(source)
    imports_it = reader == module or reading.may_read(source, module, cls)
    if not imports_it and (members | _OF_MEMBERS).isdisjoint(reading.asked_inside(source)):
        return
    local, modules = reading.aliases(source, reader, module, cls) if imports_it else (set(), set())
    if reader != module:  # who imports it from here gets the same class
        flow.draft.dirty_members += [(reader, alias, every) for alias in local]

    def through(row: names.Names) -> bool:
        return bool(modules & row.reads) and (cls in row.attributes or bool(modules & row.bare))

    pieces = zip(source.parsed.pieces, rows, strict=True) if local or modules else ()
    for index, (piece, row) in enumerate(pieces):
        told = (*members, *_OF_MEMBERS)
        dotted = any((alias, member) in row.dotted for alias in local for member in told)
        used = dotted or reading.uses_class(piece.node, row, source, local, through)
        used = used or _is_built_from(flow, reader, piece.node, local)
        if not used:
            continue
        harmless = not (dotted or through(row)) and (
            _only_maps(flow, changed, reader, piece.node, local)
            or (changed.unseen and _is_peewees_own(flow, reader, ast.walk(piece.node), local))
            or _only_computes(flow, changed, reader, piece.node)
        )
        if not harmless and (dotted or not instances.may_stay(flow, changed, reader, index, local)):
            flow.stale_at(reader, index, cls, local | modules)
    _functions(flow, reader, changed, local)


def _is_built_from(flow: Flow, reader: str, node: ast.stmt, local: set[str]) -> bool:
    """Whether a class that builds itself from its body names a class there, whose members it may have read.

    `class Meta: model = User` in a schema: a library makes fields of the columns.
    """
    if not isinstance(node, ast.ClassDef):
        return False
    cls = getattr(flow.program.loaded(reader), node.name, None)
    if not isinstance(cls, type) or effects.is_plain_class(cls) or adapters.adapter_of(cls) is not None:
        return False
    source, members = flow.draft.out.target[reader], (one for one in node.body if not _is_function(one))
    return any(names.of_piece(Piece(1, one, ""), source).reads & local for one in members)


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, bodies.Function)


def _functions(flow: Flow, reader: str, changed: instances.Changed, local: set[str]) -> None:
    """Let what ran for functions of the start be stale that read a changed class."""
    module, cls, members, *_ = changed
    source, live = flow.draft.out.target[reader], getattr(flow.program.loaded(module), cls, None)
    for key, owners in flow.ran_in(reader):
        qualname = key[1]
        body = reading.body_of(source, qualname)
        if body is None:
            continue
        owner = getattr(flow.program.loaded(reader), qualname.partition(".")[0], None)
        inherits = reading.derives(owner, qualname, live)

        def is_asked(body: bodies.Body, *, inherits: bool = inherits) -> bool:
            inherited = body.inherited if inherits else set()
            return not (members | _OF_MEMBERS).isdisjoint(body.others) or not members.isdisjoint(inherited)

        asks = unran.read(flow.draft, key, body, is_asked)
        makes = unran.read(flow.draft, key, body, lambda body: not local.isdisjoint(body.reads))
        makes = makes and not instances.may_stay_in(flow, changed, reader, qualname, local)
        makes = makes and not _only_asks(flow, changed, reader, qualname, local)
        if asks or makes or reading.brought_inside(source, qualname, module, cls):
            flow.used(key, owners, local | {cls}, members | _OF_MEMBERS if asks else frozenset())
