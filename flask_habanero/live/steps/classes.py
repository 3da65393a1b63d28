"""Members of a class that keeps its identity."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from flask.views import MethodView

from .. import adapters
from .functions import RAW
from .undo import GONE, Inverse

_FACTS = ("__firstlineno__", "__static_attributes__")


class Put(NamedTuple):
    """One statement of a class's body, to run again.

    Attributes:
        names: the members that it makes.
        code: a class body of only this statement.
        unseen: members that the whole body has not made yet when it comes there.
    """

    names: tuple[str, ...]
    code: CodeType
    unseen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Members:
    """Members of a class are set and deleted in place."""

    cls: type
    module: ModuleType
    put: tuple[Put, ...]
    drop: tuple[str, ...]
    order: tuple[str, ...]  # of all members, as they stand in the source

    def apply(self) -> Inverse:
        put = {name for one in self.put for name in one.names}
        names = {"__annotations__", "__doc__", "methods", *self.drop, *put}
        before = {name: self.cls.__dict__.get(name, GONE) for name in names}
        inverse = self._inverse(before)
        try:
            unsettle = self._exchange(before)
        except BaseException:
            inverse()
            raise

        def both() -> None:
            unsettle()
            inverse()

        return both

    def _exchange(self, before: Mapping[str, Any]) -> Inverse:
        hints = dict(before["__annotations__"]) if isinstance(before["__annotations__"], dict) else None
        for name in self.drop:
            if name == "__doc__":
                self.cls.__doc__ = None  # it can't be deleted
            elif name in self.cls.__dict__:
                delattr(self.cls, name)
            if hints is not None:
                self.cls.__dict__["__annotations__"].pop(name, None)
        for one in self.put:
            self._put(one)
        if "__annotations__" in self.cls.__dict__ and hints is not None:
            self._hints_in_order()
        _abstract_methods(self.cls)
        self._http_methods()
        adapter = adapters.adapter_of(self.cls)
        return adapter.settle(self.cls, self.order) if adapter else lambda: None

    def _inverse(self, before: Mapping[str, Any]) -> Inverse:
        hints = dict(before["__annotations__"]) if isinstance(before["__annotations__"], dict) else None

        def inverse() -> None:
            for name, value in before.items():
                if value is GONE:
                    if name in self.cls.__dict__:
                        delattr(self.cls, name)
                elif self.cls.__dict__.get(name) is not value:
                    setattr(self.cls, name, value)
            if hints is not None:
                self.cls.__annotations__ = hints
            _abstract_methods(self.cls)

        return inverse

    def _hints_in_order(self) -> None:
        """Annotations stand in the order of the members."""
        hints = self.cls.__dict__["__annotations__"]
        if not hints and self.drop:  # a class that annotates nothing has none
            del self.cls.__annotations__
            return
        names = [name for name in self.order if name in hints]
        self.cls.__annotations__ = {name: hints[name] for name in dict.fromkeys([*names, *hints])}

    def _http_methods(self) -> None:
        """Flask tells a view's HTTP methods from its members once, when the class is made."""
        if (
            issubclass(self.cls, MethodView)
            and "methods" not in self.order
            and "methods" in self.cls.__dict__
        ):
            del self.cls.methods
            self.cls.__init_subclass__()

    def _put(self, put: Put) -> None:
        """Run one statement of the class body where it sees the class's names; take what it binds."""
        body = self._body(put)
        if "__classcell__" in body:  # super() and __class__ in the new method mean the class that there is
            body["__classcell__"].cell_contents = self.cls
        if "__annotations__" in body:
            self.cls.__annotations__ = {
                **self.cls.__dict__.get("__annotations__", {}),
                **body["__annotations__"],
            }
        for name in put.names:
            if name in body:
                self._set(put, name, body)

    def _body(self, put: Put) -> dict[str, Any]:
        """Return the names of a class body in which one of its statements has run."""
        unseen = {"__annotations__", "__doc__", *put.unseen}
        body = {key: value for key, value in self.cls.__dict__.items() if key not in unseen}
        exec(put.code, vars(self.module), body)
        return body

    def _set(self, put: Put, name: str, body: Mapping[str, Any]) -> None:
        """Let the class have a member that a statement has made."""
        setattr(self.cls, name, body[name])
        if hasattr(body[name], "__set_name__"):
            body[name].__set_name__(self.cls, name)


@dataclass(frozen=True)
class Derive:
    """A class derives from others, in place."""

    cls: type
    module: ModuleType
    code: CodeType  # binds `RAW` to a tuple of them

    def apply(self) -> Inverse:
        made: dict[str, Any] = {}
        exec(self.code, vars(self.module), made)
        before = self.cls.__bases__
        type.__setattr__(self.cls, "__bases__", made[RAW])  # a metaclass would take it for a new member
        return lambda: type.__setattr__(self.cls, "__bases__", before)


@dataclass(frozen=True)
class ClassFacts:
    """Classes say, from 3.13 on, where they stand, and what their methods set."""

    module: ModuleType
    facts: Mapping[tuple[str, int], Mapping[str, object]]  # (qualified name, line as loaded) -> what is other

    def apply(self) -> Inverse:
        before: list[tuple[type, str, Any]] = []
        for cls in filter(None, map(self._named, {name for name, _ in self.facts})):
            found = self.facts.get((cls.__qualname__, vars(cls)["__firstlineno__"]), {})
            for name, value in found.items():
                before.append((cls, name, vars(cls)[name]))
                type.__setattr__(cls, name, value)

        def inverse() -> None:
            for cls, name, was in before:
                type.__setattr__(cls, name, was)

        return inverse

    def _named(self, name: str) -> type | None:
        """Return the module's own class of a name, if it says where it stands."""
        one: Any = self.module
        for part in name.split("."):
            one = vars(one).get(part) if isinstance(one, type | ModuleType) else None
        ours = isinstance(one, type) and (one.__module__, one.__qualname__) == (self.module.__name__, name)
        return one if ours and all(fact in vars(one) for fact in _FACTS) else None


def _abstract_methods(cls: type) -> None:
    for one in (cls, *adapters.below(cls)):
        if isinstance(one, abc.ABCMeta):
            abc.update_abstractmethods(one)  # type: ignore[arg-type]  # typeshed wants a type variable
