"""What a judgement finds: the effects that running something would have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask.config import Config

from .values import Args, Live, Made, Value, alternatives


@dataclass(frozen=True)
class Effect:
    """What running something would do besides making new objects.

    Attributes:
        kind: "unknown", "registers" (by Flask's own methods), "config", "memo" (is to be emptied),
            "attribute", "item" (of a container), "global", "import".
        target: the live object that changes; None where it is not known.
        name: the attribute, method or name.
        why: in words, for a person.
        args: what a container's method is called with, or the new value of an attribute.
        trail: the functions that were being gone through.
    """

    kind: str
    target: Any
    name: str
    why: str
    args: Args | None = None
    trail: tuple[str, ...] = ()


class Raised(Exception):  # noqa: N818  # what is gone through raises; no error of ours
    """What is gone through certainly raises here."""


class Findings:
    """Collects effects, each with the functions that were being gone through.

    Attributes:
        effects: what was found.
        trail: the functions that are being gone through.
    """

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.trail: list[str] = []

    def unknown(self, why: str) -> None:
        """Note that something can't be told."""
        self.add(Effect("unknown", None, "", why))

    def registers(self) -> None:
        """Note a registration by Flask's own methods."""
        self.add(Effect("registers", None, "", ""))

    def config(self, config: Config, method: str, args: Args) -> None:
        """Note that an app's configuration is written."""
        self.add(Effect("config", config, method, "", args))

    def memo(self, memo: Any) -> None:
        """Note that what a memo holds comes from what changes: it is to be emptied."""
        self.add(Effect("memo", memo, "clear", ""))

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
        self.effects.append(replace(effect, trail=tuple(self.trail)))
