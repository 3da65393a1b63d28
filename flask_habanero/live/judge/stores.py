"""What is assigned to: names, attributes, items. On an object that was there before, that is an effect."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from flask.config import Config, ConfigAttribute
from flask.sansio.app import App

from . import attributes, containers
from .findings import Effect
from .values import (
    ANY,
    Args,
    Bound,
    Class,
    Function,
    Live,
    Made,
    Scope,
    Value,
    alternatives,
    join,
    made,
    text_of,
)

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Stores:
    """Assigns on behalf of an interpreter."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._in = interpreter

    def bind(self, name: str, value: Value, scope: Scope) -> None:
        """Bind a name, here or where it is shared."""
        if name in scope.shared:
            self._in.notes.add(Effect("global", None, name, f"`{name}` is changed where others see it"))
        scope.names[name] = value

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Assign a value to a target."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, made(list, [self._in.elements(value)]), scope)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = self._in.sequence(value)
            for index, one in enumerate(target.elts):
                exact = parts is not None and len(parts) == len(target.elts)
                self.assign(one, parts[index] if exact and parts else self._in.elements(value), scope)
        elif isinstance(target, ast.Attribute):
            owner, name = self._in.value(target.value, scope), mangled(target.attr, scope)
            self.store(owner, name, value, f"{text_of(target)} = …")
        elif isinstance(target, ast.Subscript):
            owner, key = self._in.value(target.value, scope), self._in.value(target.slice, scope)
            self.set_item(owner, key, value, f"{text_of(target)} = …")

    def store(self, owner: Value, name: str, value: Value, text: str, *, plain: bool = False) -> None:
        """Set an attribute of an object; of a live one, that is an effect.

        Args:
            owner: the object.
            name: the attribute; empty if nobody knows which.
            value: what it is set to.
            text: what does it.
            plain: whether the `__setattr__` of its class asks for it.
        """
        for one in alternatives(owner):
            if not plain and self._by_its_class(one, name, value, text):
                continue
            if isinstance(one, Made):
                self._store_in_made(one, name, value, text)
            elif isinstance(one, Function):
                one.fields[name] = value
            elif isinstance(one, Class):
                one.members[name] = value
            elif isinstance(one, Live) and (key := config_key(one.object, name)):
                self._in.notes.config(one.object.config, "__setitem__", Args((Live(key), value)))
            elif isinstance(one, Live):
                why = f"`{text}` changes an object in place"
                self._in.notes.add(Effect("attribute", one.object, name, why, Args((value,))))
            else:
                self._in.notes.unknown(f"`{text}` changes an object in place")

    def _by_its_class(self, owner: Value, name: str, value: Value, text: str) -> bool:
        """Whether an own class sets its objects' attributes itself: that is gone through."""
        asked = self._in.operators.ask(owner, "__setattr__", Live(name) if name else ANY, value, text=text)
        if asked is None:
            return False
        if not isinstance(owner, Made):
            self._in.notes.unknown(f"`{text}` changes an object in place")
        return True

    def delete(self, owner: Value, name: str, text: str) -> None:
        """Delete an attribute of an object; of a live one, that is an effect."""
        for one in alternatives(owner):
            member = attributes.find(attributes.class_of(one), name)
            removing = self._in.operators.method(member.raw, "__delete__") if member is not None else None
            if self._in.operators.ask(one, "__delattr__", Live(name), text=text) is not None:
                continue
            if removing is not None and member is not None:
                self._in.operators.call(removing, member.raw, Args((one,), text=text))
            elif member is not None and attributes.is_property_made(member.raw):
                self._in.notes.unknown(f"what `{text}` does can't be told")
            elif member is not None and isinstance(member.live, property):
                self._in.call(Bound(Live(member.live.fdel), one), Args(text=text))
            elif isinstance(one, Made):
                one.fields.pop(name, None)
                one.open = True
            else:
                self.store(one, name, ANY, text, plain=True)

    def _store_in_made(self, owner: Made, name: str, value: Value, text: str) -> None:
        member = attributes.find(owner.cls, name) if owner.cls is not None and name else None
        raw = member.raw.object if member is not None and isinstance(member.raw, Live) else None
        if isinstance(raw, property) and raw.fset is not None:
            self._in.call(Bound(Live(raw.fset), owner), Args((value,), text=text))
        elif member is not None and attributes.is_property_made(member.raw):
            self._in.call(Bound(self._setter_of(member.raw), owner), Args((value,), text=text))
        elif member is not None and (setter := self._in.operators.method(member.raw, "__set__")) is not None:
            self._in.operators.call(setter, member.raw, Args((owner, value), text=text))
        elif name and self._in.perhaps:
            before = owner.fields.get(name) or (member.raw if member is not None else None)
            owner.fields[name] = join([value, *([before] if before is not None else [])])
        elif name:
            owner.fields[name] = value
        else:
            owner.open = True

    def _setter_of(self, raw: Value) -> Value:
        return raw.fields.get("fset", ANY) if isinstance(raw, Made) else ANY

    def set_item(self, owner: Value, key: Value, value: Value, text: str) -> None:
        """Set an item of an object; of a live one, that is an effect."""
        self._in.operators.hashed(key)
        for one in alternatives(owner):
            setter = attributes.method_in(attributes.class_of(one), "__setitem__")
            own = setter is not None and self._in.operators.method(one, "__setitem__") is not None
            if setter is not None and (isinstance(one, Made) or own):
                self._in.call(Bound(setter, one), Args((key, value), text=text))
            elif isinstance(one, Made):
                containers.put(one, key, value, sure=not self._in.perhaps and one is owner)
            elif isinstance(one, Live) and isinstance(one.object, Config):
                self._in.notes.config(one.object, "__setitem__", Args((key, value)))
            else:
                self._in.notes.change(one, "__setitem__", text, Args((key, value)))

    def delete_item(self, owner: Value, key: Value, text: str) -> None:
        """Delete an item of an object; of a live one, that is an effect."""
        self._in.operators.hashed(key)
        for one in alternatives(owner):
            if self._in.operators.ask(one, "__delitem__", key, text=text) is not None:
                continue
            if isinstance(one, Made):
                containers.remove(one, key, sure=not self._in.perhaps and one is owner)
            else:
                self._in.notes.change(one, "__delitem__", text, Args((key,)))


def mangled(name: str, scope: Scope) -> str:
    """Return the name under which a method of a class finds a private attribute."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    owner = scope.owner
    called = (
        owner.name if isinstance(owner, Class) else getattr(getattr(owner, "object", None), "__name__", "")
    )
    return f"_{called.lstrip('_')}{name}" if called else name


def config_key(owner: object, name: str) -> str:
    """Return the configuration key that setting an app's attribute writes, or nothing."""
    member = next((vars(c)[name] for c in type(owner).__mro__ if name in vars(c)), None)
    return str(member.__name__) if isinstance(owner, App) and isinstance(member, ConfigAttribute) else ""
