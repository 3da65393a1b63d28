"""A changed class: which of its members change in place, and what can't."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

from ..errors import Reason
from ..piece import Parsed
from ..unit import compile_nodes
from . import adapters, diff, effects, mapped, together
from .codes import children
from .diff import Kind
from .inbody import bound, is_simple, mangled, running
from .steps import Grow, Members, Put

MAKERS = {"__init__", "__new__", "__post_init__"}  # objects have what these gave them when they were made
_DATACLASS = {"dataclass", "dataclasses.dataclass"}


@dataclass
class ClassChange:
    """What becomes of a class statement."""

    put: list[ast.stmt] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    gone: list[ast.stmt] = field(default_factory=list)  # the statements that these members had before
    names: set[str] = field(default_factory=set)  # members that are new, other, or gone
    mapped: tuple[str, ...] = ()  # of the new ones, those that SQLAlchemy's mapper is told of
    altered: set[str] = field(default_factory=set)  # columns of which only what Python puts into them changes
    unmapped: tuple[str, ...] = ()  # and of those that go, those that it is to forget
    reasons: list[Reason] = field(default_factory=list)

    def leave(self, same: set[str]) -> None:
        """Leave members as they are: they come out the same."""
        self.names -= same
        self.put = [one for one in self.put if not same.issuperset(bound(one))]
        self.gone = [one for one in self.gone if not same.issuperset(bound(one))]


def header_nodes(node: ast.ClassDef) -> list[ast.AST]:
    """Return all of a class but its body."""
    return [*node.bases, *node.keywords, *node.decorator_list, *getattr(node, "type_params", [])]


def header(node: ast.ClassDef) -> str:
    """Return a dump of all of a class but its body."""
    return "|".join(ast.dump(part) for part in header_nodes(node))


def compare(
    old: ast.ClassDef, new: ast.ClassDef, cls: object, module: str, callee: mapped.Callee, derives: bool
) -> ClassChange:
    """Return what must be done to a live class so that it becomes what its statement now says.

    Args:
        old: the statement that made it.
        new: the statement as it is now.
        cls: the class.
        module: whose.
        callee: what an expression in it stands for.
        derives: it has other bases, and takes them in place.
    """
    change = ClassChange()

    def refuse(code: str, node: ast.AST, what: str, hint: str) -> None:
        change.reasons.append(Reason(code, f"{module}:{getattr(node, 'lineno', new.lineno)}", what, hint))

    if header(old) != header(new) and not derives:
        refuse(
            "class-header",
            new,
            f"class {new.name}: its bases, keywords or decorators changed",
            "restart to take this change",
        )
    elif not isinstance(cls, type) or cls.__name__ != new.name:
        refuse(
            "class-replaced",
            new,
            f"{new.name} does not stand for the class that this statement made",
            "restart to take it",
        )
    if change.reasons:
        return change
    assert isinstance(cls, type)
    _compare_bodies(old, new, change, refuse, ordered=adapters.adapter_of(cls) is not None)
    together.follow(change.names, (old, new), cls)
    # a property and its setter are one member: all that bind a name go together
    change.put = together.exchanged(change.names, new)
    change.drop = sorted(change.names - {name for member in new.body for name in bound(member)})
    for member in change.put:
        if not is_simple(member):
            refuse(
                "class-member", member, f"`{_line(member)}` in a class body", "restart to take this change"
            )
    if change.names:
        _exchangeable(cls, new, change, callee, refuse)
    return change


def _compare_bodies(
    old: ast.ClassDef, new: ast.ClassDef, change: ClassChange, refuse: Callable[..., None], *, ordered: bool
) -> None:
    pairs = diff.compare_bodies(old.body, new.body)
    change.names |= together.crossing(pairs)
    for pair in pairs:
        if pair.kind not in (Kind.SAME, Kind.BODY) and (ordered or pair.kind is not Kind.MOVED):
            _member(pair, change, refuse)
        elif pair.kind is Kind.MOVED and pair.new is not None and _assigned_twice(old, new):
            what = f"`{_line(pair.new.node)}` moved in a class body that binds a name twice"
            refuse("class-member", pair.new.node, what, "restart to take this change")


def _exchangeable(
    cls: type, new: ast.ClassDef, change: ClassChange, callee: mapped.Callee, refuse: Callable[..., None]
) -> None:
    """Refuse what the class does not take; note what SQLAlchemy's mapper is told of."""
    if mapped.is_mapped(cls):
        change.unmapped = tuple(name for name in change.drop if mapped.is_told(cls, name))
    if not takes(cls, new, change, callee):
        why = f"class {new.name}: members can't be exchanged in place in a class that builds itself from them"
        refuse(
            "class-builder",
            new,
            mapped.keeps(new.name, cls) if mapped.is_mapped(cls) else why,
            "restart to take it",
        )
    elif mapped.is_mapped(cls):
        change.altered = mapped.altered(change.gone, change.put, callee)
        told = [member for member in change.put if mapped.told_to_mapper(member, callee)]
        told = [member for member in told if mapped.member_name(member) not in change.altered]
        change.mapped = tuple(name for member in told for name in bound(member))


def takes(cls: type, new: ast.ClassDef, change: ClassChange, callee: mapped.Callee) -> bool:
    """Whether a class has the new members once they are set, and not the old ones once they are gone."""
    if hasattr(cls, "as_view") and adapters.below(cls):
        return False  # Flask told the methods of the views below it when they were made
    adapter = adapters.adapter_of(cls)
    if not {ast.unparse(d).partition("(")[0] for d in new.decorator_list} <= _DATACLASS:
        return False
    if adapter is None:
        return effects.is_plain_class(cls) and not new.decorator_list
    gone = [one for one in change.gone if not {*bound(one)} & {*change.unmapped}]
    return adapter.takes(cls, adapters.Exchange(change.put, gone, change.names, new.body, callee))


def _member(pair: diff.Pair, change: ClassChange, refuse: object) -> None:
    assert callable(refuse)
    old, new = pair.old.node if pair.old else None, pair.new.node if pair.new else None
    for node in (old, new):
        if node is not None and not is_simple(node):
            refuse(
                "class-member",
                node,
                f"`{_line(node)}` in a class body",
                "restart to take this change",
            )
            return
    gone = set(bound(old)) if old else set()
    there = set(bound(new)) if new else set()
    change.names |= gone | there
    if old is not None:
        change.gone.append(old)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _assigned_twice(*classes: ast.ClassDef) -> bool:
    """Whether a class's body assigns a name more than once; a property and its setter are one."""
    for cls in classes:
        names_of = [name for one in cls.body if not isinstance(one, _FUNCTIONS) for name in bound(one)]
        if len(names_of) != len(set(names_of)):
            return True
    return False


def _line(node: ast.stmt) -> str:
    return ast.unparse(node).splitlines()[0][:60]


def part_of(node: ast.stmt, put: list[ast.stmt]) -> ast.ClassDef:
    """Return a class statement that makes some members of another one, and what they are made from."""
    assert isinstance(node, ast.ClassDef)
    wanted, body = set(map(id, put)), list[ast.stmt]()
    read = set[str]()
    for one in reversed(node.body):
        if id(one) in wanted or not read.isdisjoint(bound(one)):
            body.insert(0, one)
            read |= {inner.id for inner in running(one) if isinstance(inner, ast.Name)}
    part = ast.ClassDef(name=node.name, bases=[], keywords=[], body=body, decorator_list=[])
    return ast.copy_location(part, node)


def step(
    change: ClassChange, node: ast.ClassDef, cls: type, module: ModuleType, parsed: Parsed, filename: str
) -> Members:
    """Return the step that makes the change. Each member is compiled inside a class of that name."""
    put = []
    every = [tuple(mangled(name, node.name) for name in bound(member)) for member in node.body]
    for member in change.put:
        hollow = ast.ClassDef(node.name, [], [], [member], [])
        if hasattr(node, "type_params"):
            hollow.type_params = []  # type: ignore[attr-defined]  # of 3.12 and later
        ast.copy_location(hollow, node)
        (code,) = children(compile_nodes([hollow], parsed, filename))
        at = node.body.index(member)
        made = {name for names in every[:at] for name in names}
        put.append(Put(every[at], code, frozenset(name for names in every[at:] for name in names) - made))
    order = tuple(name for names in every for name in names)
    drop = tuple(mangled(name, node.name) for name in change.drop)
    if change.mapped or change.altered:
        return Grow(cls, module, tuple(put), drop, order, change.mapped, frozenset(change.altered))
    return Members(cls, module, tuple(put), drop, order)
