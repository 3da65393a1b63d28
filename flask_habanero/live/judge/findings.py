"""What a judgement finds: the effects that running something would have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from flask.config import Config
from werkzeug.local import LocalProxy

from .values import Args, Live, Made, Value, alternatives

KEYED = frozenset({"__delitem__", "__setitem__", "pop", "setdefault"})


@dataclass(frozen=True)
class Effect:
    """What running something would do besides making new objects.

    Attributes:
        kind: "unknown", "registers" (by Flask's own methods), "config", "memo" (is to be emptied),
            "attribute", "item" (of a container), "global", "import", "maps" (by SQLAlchemy).
        target: the live object that changes; None where it is not known; of "maps" what learns of it.
        name: the attribute, method or name.
        why: in words, for a person.
        args: what a container's method is called with, or the new value of an attribute.
        trail: the functions that were being gone through.
        perhaps: whether it may not come to it.
    """

    kind: str
    target: Any
    name: str
    why: str
    args: Args | None = None
    trail: tuple[str, ...] = ()
    perhaps: bool = False

    @property
    def key(self) -> Value | None:
        """What it writes, or deletes, an item under; None if that is not what it does."""
        return self.args.get(0, "") if self.name in KEYED and self.args is not None else None


class Raised(Exception):  # noqa: N818  # what is gone through raises; no error of ours
    """What is gone through certainly raises here."""


class Findings:
    """Collects effects, each with the functions that were being gone through.

    Attributes:
        effects: what was found.
        trail: the functions that are being gone through.
        went: those that were gone through, each by its module and name.
        names: the module-level names of the app's own that were read: (module, name).
        used: the live objects of which more than the identity was used: id -> the object, and its attributes
            that were read; an empty name stands for what is in it.
        keys: the keys of live containers that were looked up, by the id of the container.
        whole: ids of the live objects of which it was asked for all that is in them.
        direct: the live objects of which the app's own code read attributes: id -> the object, and which.
        attributes: the attributes that were asked for, of whatever object; an empty name stands for any.
        held: ids of the live objects that came from functions, objects or configurations of the app's own.
        cells: variables of functions that functions made in them read: (module, qualified name, variable).
        doubts: what was read, in words, of which nobody can say how the start left it.
        touched: ids of the live objects that change.
        lost: whether something can't be told.
        perhaps: whether what is gone through may not be reached.
        caught: of how many statements, that what is gone through is in, it may be left by an exception.
    """

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.trail: list[str] = []
        self.went: set[tuple[str, str]] = set()
        self.names: set[tuple[str, str]] = set()
        self.used: dict[int, tuple[Any, set[str]]] = {}
        self.keys: dict[int, set[Any]] = {}
        self.whole: set[int] = set()
        self.direct: dict[int, tuple[Any, set[str]]] = {}
        self.attributes: set[str] = set()
        self.held: set[int] = set()
        self.cells: set[tuple[str, str, str]] = set()
        self.doubts: set[str] = set()
        self.touched: set[int] = set()
        self.lost = self.perhaps = False
        self.caught = 0

    def uses(self, value: Value, attribute: str = "") -> None:
        """Note that what is in an object, or one of its attributes, was asked for."""
        for one in alternatives(value):
            if isinstance(one, Live):
                self.used.setdefault(id(one.object), (one.object, set()))[1].add(attribute)
                if not attribute:
                    self.whole.add(id(one.object))

    def looks_up(self, value: Value, key: Value) -> None:
        """Note that a container was asked for what it has under a key, or whether it has it."""
        for one in alternatives(value):
            if not isinstance(key, Live) or type(key.object) not in (str, bytes, int, bool, tuple):
                self.uses(one)
            elif isinstance(one, Live):
                self.used.setdefault(id(one.object), (one.object, set()))[1].add("")
                self.keys.setdefault(id(one.object), set()).add(key.object)

    def asks(self, value: Value, attribute: str) -> None:
        """Note that the app's own code itself asked an object for an attribute."""
        for one in alternatives(value):
            if isinstance(one, Live) and attribute:
                self.direct.setdefault(id(one.object), (one.object, set()))[1].add(attribute)

    def holds(self, value: Value) -> None:
        """Note that an object came from a function, an object or a configuration of the app's own."""
        self.held.update(id(one.object) for one in alternatives(value) if isinstance(one, Live))

    def asks_for(self, thing: object, key: object) -> bool:
        """Whether a container was asked for all that is in it, or for what it has under a key."""
        return id(thing) in self.whole or key in self.keys.get(id(thing), ())

    def uses_all(self, values: Iterable[Value]) -> None:
        """Note that objects were given to code that may ask for all that is in them."""
        todo, seen = list(values), set()
        while todo:
            value = todo.pop()
            self.uses(value)
            for one in alternatives(value):
                if isinstance(one, Made) and id(one) not in seen:
                    seen.add(id(one))
                    todo += [*one.fields.values(), one.contents()]

    def uses_of(self, thing: object) -> set[str]:
        """Return which attributes of an object were read; an empty name stands for what is in it."""
        return self.used.get(id(thing), (thing, set()))[1]

    def unknown(self, why: str) -> None:
        """Note that something can't be told."""
        self.add(Effect("unknown", None, "", why))

    def registers(self) -> None:
        """Note a registration by Flask's own methods."""
        self.add(Effect("registers", None, "", ""))

    def config(self, config: Config, method: str, args: Args) -> None:
        """Note that an app's configuration is written."""
        self.add(Effect("config", config, method, "", args))

    def maps(self, known_to: tuple[object, ...], what: str) -> None:
        """Note that SQLAlchemy takes a class or a table in, which it does not let go."""
        self.add(Effect("maps", known_to, "", f"{what} can't be taken back"))

    def memo(self, memo: Any) -> None:
        """Note that what a memo holds comes from what changes: it is to be emptied."""
        self.add(Effect("memo", memo, "clear", ""))

    def stored(self, target: object, name: str) -> Value | None:
        """Return what an attribute of a live object was set to last; None if it was not set."""
        if id(target) not in self.touched:
            return None
        same = (e for e in reversed(self.effects) if e.kind == "attribute" and e.target is target)
        return next((e.args.first for e in same if e.name == name and e.args is not None), None)

    def change(self, target: Value, name: str, text: str, args: Args | None = None) -> None:
        """Note that a container changes that was there before."""
        why = f"`{text}` changes an object in place"
        for one in alternatives(target):
            if isinstance(one, Live):
                self.add(Effect("item", one.object, name, why, args))
            elif not isinstance(one, Made):
                self.unknown(why)

    def add(self, effect: Effect) -> None:
        """Note an effect."""
        if issubclass(type(effect.target), LocalProxy):  # what it stands for is another thing at each request
            effect = Effect("unknown", None, effect.name, effect.why)
        self.lost |= effect.kind == "unknown"
        if effect.kind in ("attribute", "item", "config"):
            self.touched.add(id(effect.target))
        perhaps = self.perhaps or self.caught > 0
        self.effects.append(replace(effect, trail=tuple(self.trail), perhaps=perhaps))
