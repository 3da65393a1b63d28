"""Members of a class that go together: who is made from one that changes, and who binds its name, too.

A member is exchanged by running its statement again, where it sees the members that the class has: the last
that were bound under each name, whatever stood above the statement.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from .diff import Kind, Pair, crosses
from .inbody import binds, bound, is_simple, mangled, reads

_KEEPING = (functools.singledispatchmethod,)


@dataclass(frozen=True)
class Above:
    """What a member sees of the class body above it.

    Attributes:
        made: the statements that make it, of those that are exchanged.
        there: what the class has under a name, of those that stay.
    """

    made: tuple[ast.stmt, ...] = ()
    there: tuple[tuple[str, Any], ...] = ()


def crossing(pairs: Iterable[Pair]) -> set[str]:
    """Return the members whose statements change places with others that bind or read the same names."""
    every = [(pair, pair.old.node, pair.new.node) for pair in pairs if pair.old and pair.new]
    found = set[str]()
    for pair, _, node in every:
        if pair.kind is not Kind.SAME:
            others = [other for one, _, other in every if one is not pair and crosses(pair, one)]
            found.update(*(_entangled(node, other) | _entangled(other, node) for other in others))
    return found


def _entangled(node: ast.stmt, other: ast.stmt) -> frozenset[str]:
    """Return what a statement binds, if it depends on whether it stands above or below another one."""
    if (binds(node) | reads(node)).isdisjoint(binds(other)):
        return frozenset()
    return binds(node) if is_simple(node) else binds(node) | binds(other)  # which it may only read


def follow(changed: set[str], sides: tuple[ast.ClassDef, ...], cls: object) -> None:
    """Add the members that must be made anew with those that are, until none is missing.

    Args:
        changed: the members that are other ones, which gains.
        sides: the class statement, before and after.
        cls: the live class.
    """
    there = vars(cls) if isinstance(cls, type) else {}
    names = {one: mangled(one, node.name) for node in sides for one in _all_bound(node.body)}
    keeping = {one for one, key in names.items() if type(there.get(key)) in _KEEPING}
    while more := set().union(*(_partners(changed, one.body, keeping) for one in sides)) - changed:
        changed |= more


def _partners(changed: AbstractSet[str], body: list[ast.stmt], keeping: AbstractSet[str]) -> set[str]:
    found = set[str]()
    for at, member in enumerate(body):
        if reads(member) & changed:
            found.update(bound(member))
        if binds(member) & changed:
            # what it reads must not be what is bound below it; what keeps what it is given must begin anew
            above, below = (_all_bound(side) for side in (body[:at], body[at + 1 :]))
            found |= reads(member) & ((above & below) | keeping)
    return found


def _all_bound(members: Iterable[ast.stmt]) -> AbstractSet[str]:
    return frozenset().union(*map(binds, members))


def exchanged(changed: AbstractSet[str], node: ast.ClassDef) -> list[ast.stmt]:
    """Return the statements that make some members, and those that can't be left out where they change."""
    return [
        one
        for one in node.body
        if changed & {*bound(one)} or (not is_simple(one) and changed & (binds(one) | reads(one)))
    ]


def above(node: ast.ClassDef, member: ast.stmt, changed: AbstractSet[str], cls: object) -> Above:
    """Return what a member sees of the class body above it.

    Args:
        node: the class statement.
        member: one of its body.
        changed: the members that are exchanged.
        cls: the live class, which has the others.
    """
    wanted, made, there = {*reads(member), *bound(member)}, list[ast.stmt](), dict[str, Any]()
    for one in reversed(node.body[: node.body.index(member)]):
        found = binds(one) & wanted
        if found & changed:
            made.insert(0, one)
            wanted |= reads(one)
        elif isinstance(cls, type):
            known = {name: mangled(name, node.name) for name in found}
            there |= {name: vars(cls)[key] for name, key in known.items() if key in vars(cls)}
    return Above(tuple(made), tuple(there.items()))
