"""Entries of containers, and attributes of objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .undo import GONE, Inverse


@dataclass(frozen=True)
class Assign:
    """Attributes of one object are replaced: how fresh registries take the place of the old ones."""

    target: Any
    values: Mapping[str, Any]

    def apply(self) -> Inverse:
        before = {name: self.target.__dict__.get(name, GONE) for name in self.values}
        for name, value in self.values.items():
            setattr(self.target, name, value)

        def inverse() -> None:
            for name, value in before.items():
                delattr(self.target, name) if value is GONE else setattr(self.target, name, value)

        return inverse


@dataclass(frozen=True)
class Items:
    """Items of a mapping are set and deleted: Jinja's tables, our own books."""

    mapping: dict[Any, Any]
    put: Mapping[Any, Any]
    drop: tuple[Any, ...]

    def apply(self) -> Inverse:
        before = {name: self.mapping.get(name, GONE) for name in (*self.put, *self.drop)}
        self.mapping.update(self.put)
        for name in self.drop:
            self.mapping.pop(name, None)

        def inverse() -> None:
            for name, value in before.items():
                if value is GONE:
                    self.mapping.pop(name, None)
                else:
                    self.mapping[name] = value

        return inverse


@dataclass(frozen=True)
class Remember:
    """An object in which statements have entries: a failed release leaves it as it is now."""

    target: Any

    def apply(self) -> Inverse:
        target = self.target
        if type(target) in (list, deque):
            before = list(target)

            def restore_list() -> None:
                target.clear()
                target.extend(before)

            return restore_list
        content = (
            dict(target) if isinstance(target, dict) else set(target) if isinstance(target, set) else None
        )
        fields = dict(vars(target)) if content is None else None

        def restore() -> None:
            if fields is not None:
                for name in [name for name in vars(target) if name not in fields]:
                    delattr(target, name)
                for name, value in fields.items():
                    if vars(target).get(name, GONE) is not value:
                        setattr(target, name, value)
            else:
                target.clear()
                target.update(content)

        return restore


@dataclass(frozen=True)
class TakeOut:
    """The entry of a statement that ends goes from what holds it. `Remember` brings it back."""

    target: Any
    kind: str  # "attribute", "key", "element"
    key: Any

    def apply(self) -> Inverse:
        if self.kind == "attribute":
            if self.key in vars(self.target):  # two statements may have had a part in it
                delattr(self.target, self.key)
        elif self.kind == "key":
            self.target.pop(self.key, None)  # here, too
        elif isinstance(self.target, set):
            self.target.discard(self.key)
        else:
            kept = [one for one in self.target if one is not self.key]
            self.target.clear()
            self.target.extend(kept)
        return lambda: None


@dataclass(frozen=True)
class Arrange:
    """The entries of a list or dict stand in the order in which a cold start would make them."""

    target: Any
    rank: Callable[[Any], int | None]

    def apply(self) -> Inverse:
        target = self.target
        rows = list(target.items()) if isinstance(target, dict) else [(None, one) for one in target]
        ranks = [self.rank(value) for _, value in rows]
        known = sorted((rank, index) for index, rank in enumerate(ranks) if rank is not None)
        places = iter([index for _, index in known])
        # those whose place is not known stay where they are among the others
        order = [next(places) if rank is not None else index for index, rank in enumerate(ranks)]
        if order != sorted(order):
            moved = [rows[index] for index in order]
            target.clear()
            if isinstance(target, dict):
                target.update(moved)
            else:
                target.extend(value for _, value in moved)
        return lambda: None  # `Remember` brings back all


def fill(mapping: dict[str, Any], content: Mapping[str, Any]) -> None:
    """Let a mapping hold other items, in their order. It keeps its identity; its methods are passed by."""
    dict.clear(mapping)
    dict.update(mapping, content)
