"""What classes that build themselves from their members make of a member that comes or goes later.

One small contract, one adapter a kind of class, and no dependency on any library: a class is known
by what its makers left on it. A class that no adapter knows takes no new members.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol

from . import mapped

Inverse = Callable[[], None]


@dataclass(frozen=True)
class Exchange:
    """Members that come and go.

    Attributes:
        put: the statements that make the new ones.
        gone: those that had made the ones that were there.
        names: of all of them.
        body: the class's body, as it will be.
        callee: what an expression in it stands for.
    """

    put: Sequence[ast.stmt]
    gone: Sequence[ast.stmt]
    names: Set[str]
    body: Sequence[ast.stmt]
    callee: mapped.Callee


class Adapter(Protocol):
    """How members of one kind of class are exchanged in place."""

    def owns(self, cls: type) -> bool:
        """Whether this is a class of that kind."""

    def takes(self, cls: type, change: Exchange) -> bool:
        """Whether a class of that kind has members once they were set, and not once they were deleted."""

    def settle(self, cls: type, order: Iterable[str]) -> Inverse:
        """Do what the maker does once it knows all members, which stand in that order; return the inverse."""


_PLAIN_DECORATORS = frozenset(
    [
        "abc.abstractmethod", "abstractmethod", "cached_property", "classmethod", "functools.cached_property",
        "property", "staticmethod",
    ]
)  # fmt: skip
"""Decorators of methods, as they are written: what they give is a method or a descriptor, and no more."""


def _decorators_of(member: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the decorators of a method as they are written, but those that complete a property."""
    own = {f"{member.name}.{verb}" for verb in ("setter", "getter", "deleter")}
    return {ast.unparse(decorator) for decorator in member.decorator_list} - own


def is_method(member: ast.stmt) -> bool:
    """Whether a member is a method whose decorators leave no mark on it that a maker of classes looks for."""
    if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
        special = member.name.startswith("__") and member.name.endswith("__")
        return not special and _decorators_of(member) <= _PLAIN_DECORATORS
    return isinstance(member, ast.Pass) or (
        isinstance(member, ast.Expr) and isinstance(member.value, ast.Constant)
    )


_DESCRIPTORS = (property, classmethod, staticmethod)


def _is_descriptor(member: ast.stmt, change: Exchange) -> bool:
    """Whether a member is what a call makes of functions, as decorators do: ``total = property(_total)``."""
    value, name = getattr(member, "value", None), mapped.member_name(member)
    if not (
        isinstance(member, ast.Assign) and isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
    ):
        return False
    bound = {getattr(one, "name", None) or mapped.member_name(one) for one in change.body}
    given = [*value.args, *(keyword.value for keyword in value.keywords)]
    return (
        name is not None
        and not name.startswith("__")
        and value.func.id not in bound  # by the class itself
        and change.callee(value.func) in _DESCRIPTORS
        and all(isinstance(one, ast.Name | ast.Lambda | ast.Constant) for one in given)
    )


class _Methods:
    """Classes that read their fields from their members, and pass over plain methods."""

    def owns(self, cls: type) -> bool:
        fields = ("__dataclass_fields__", "__slots__")
        return isinstance(cls, enum.EnumMeta) or any(name in vars(cls) for name in fields)

    def takes(self, cls: type, change: Exchange) -> bool:
        return all(is_method(one) or _is_descriptor(one, change) for one in (*change.put, *change.gone))

    def settle(self, cls: type, order: Iterable[str]) -> Inverse:
        return lambda: None


def _is_assignment(member: ast.stmt) -> bool:
    return isinstance(member, ast.Assign) and all(isinstance(one, ast.Name) for one in member.targets)


class _Mapped:
    """SQLAlchemy: a mapped class takes methods and constants, and such columns as no cold start would refuse.

    It lets no column go, and takes none in the place of another.
    """

    def owns(self, cls: type) -> bool:
        return mapped.is_mapped(cls) and not hasattr(cls, "__dataclass_fields__")

    def takes(self, cls: type, change: Exchange) -> bool:
        altered = mapped.altered(change.gone, change.put, change.callee)
        put, gone = (
            [one for one in side if mapped.member_name(one) not in altered]
            for side in (change.put, change.gone)
        )
        change = replace(change, put=put, gone=gone)
        more = [one for one in change.put if mapped.told_to_mapper(one, change.callee)]
        plain = [one for one in (*change.put, *change.gone) if one not in more]
        passed_over = all(
            is_method(one)
            or mapped.is_constant(one)
            or mapped.is_hybrid(one, change.callee)
            or _is_descriptor(one, change)
            for one in plain
        )
        return passed_over and (not more or mapped.grows(cls, more, change.body, change.callee))

    def settle(self, cls: type, order: Iterable[str]) -> Inverse:
        return lambda: None


class _Peewee:
    """peewee: a model's fields are told when it is made; functions and constants are passed over."""

    def owns(self, cls: type) -> bool:
        return mapped.is_peewees(cls)

    def takes(self, cls: type, change: Exchange) -> bool:
        members = (*change.put, *change.gone)
        return all(
            _is_function(one) or is_method(one) or mapped.is_constant(one) or _is_descriptor(one, change)
            for one in members
        )

    def settle(self, cls: type, order: Iterable[str]) -> Inverse:
        return lambda: None


def _is_function(member: ast.stmt) -> bool:
    """Whether a member is a function, whatever its decorators make of it, and Python does not ask for it."""
    if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not (member.name.startswith("__") and member.name.endswith("__"))


class _Forms:
    """WTForms: a form's fields are its members that are unbound fields, in the order of their making."""

    def owns(self, cls: type) -> bool:
        return type(cls).__module__ == "wtforms.form"  # one below it may read more: a model's columns

    def takes(self, cls: type, change: Exchange) -> bool:
        return all(is_method(one) or _is_assignment(one) for one in (*change.put, *change.gone))

    def settle(self, cls: type, order: Iterable[str]) -> Inverse:
        classes = [cls, *below(cls)]
        before = [(field, field.creation_counter) for one in classes for field in _fields(one, ())]
        count = max((counter for _, counter in before), default=0)
        for one in classes:
            for count, field in enumerate(_fields(one, order if one is cls else ()), count + 1):  # noqa: B020  # goes on
                field.creation_counter = count
            _forget_order(one)

        def inverse() -> None:
            for field, counter in before:
                field.creation_counter = counter
            for one in classes:
                _forget_order(one)

        return inverse


def below(cls: type) -> list[type]:
    """Return all classes that derive from a class."""
    found: list[type] = []
    one: type
    for one in cls.__subclasses__():
        found += [one, *below(one)]
    return found


def _fields(cls: type, order: Iterable[str]) -> list[Any]:
    """Return a form's own fields, as they stand in its source or else as they were made."""
    own = {name: value for name, value in vars(cls).items() if hasattr(value, "creation_counter")}
    by_source = [own.pop(name) for name in order if name in own]
    return by_source + sorted(own.values(), key=lambda field: field.creation_counter)


def _forget_order(cls: Any) -> None:
    cls._unbound_fields = None  # WTForms tells it anew at the next form


_ADAPTERS: tuple[Adapter, ...] = (_Forms(), _Mapped(), _Peewee(), _Methods())


def adapter_of(cls: type) -> Adapter | None:
    """Return the adapter that knows a class, or None."""
    return next((adapter for adapter in _ADAPTERS if adapter.owns(cls)), None)
