"""What is assigned to: names, attributes, items. On an object that was there before, that is an effect."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from flask.config import Config, ConfigAttribute
from flask.sansio.app import App

from . import attributes, containers
from .findings import Effect
from .values import (
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

    def store(self, owner: Value, name: str, value: Value, text: str) -> None:
        """Set an attribute of an object; of a live one, that is an effect."""
        for one in alternatives(owner):
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

    def _store_in_made(self, owner: Made, name: str, value: Value, text: str) -> None:
        member = attributes.find(owner.cls, name) if owner.cls is not None and name else None
        raw = member.raw.object if member is not None and isinstance(member.raw, Live) else None
        if isinstance(raw, property) and raw.fset is not None:
            self._in.call(Bound(Live(raw.fset), owner), Args((value,), text=text))
        elif name and self._in.perhaps:
            before = owner.fields.get(name) or (member.raw if member is not None else None)
            owner.fields[name] = join([value, *([before] if before is not None else [])])
        elif name:
            owner.fields[name] = value
        else:
            owner.open = True

    def set_item(self, owner: Value, key: Value, value: Value, text: str) -> None:
        """Set an item of an object; of a live one, that is an effect."""
        for one in alternatives(owner):
            if (
                isinstance(one, Made)
                and (setter := attributes.function_in(one.cls, "__setitem__")) is not None
            ):
                self._in.call(Bound(Live(setter), one), Args((key, value), text=text))
            elif isinstance(one, Made):
                containers.put(one, key, value, sure=not self._in.perhaps and one is owner)
            elif isinstance(one, Live) and isinstance(one.object, Config):
                self._in.notes.config(one.object, "__setitem__", Args((key, value)))
            else:
                self._in.notes.change(one, "__setitem__", text, Args((key, value)))


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
