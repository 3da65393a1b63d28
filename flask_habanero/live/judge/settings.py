"""Calls of an app's configuration: what they write, and what they take it from."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

from .. import configs
from .values import ANY, NONE, Args, Class, Live, Made, Value, alternatives, join

if TYPE_CHECKING:
    from .interpreter import Interpreter


def call(interpreter: Interpreter, this: Live, name: str, args: Args) -> Value:
    """Return what a method of a configuration gives; what it writes is noted by the config itself."""
    notes = interpreter.notes
    if name in configs.WRITERS:
        if name == "from_object":
            args = _with_class(interpreter, args)
        if name in configs.READING_WRITERS:
            notes.looks_up(this, args.get(0, "key") or ANY)
        notes.config(this.object, name, args)
        source = args.get(0, "obj")
        if name == "from_object" and source is not None:
            _filled_from(interpreter, source)
        return ANY if name in ("pop", "popitem", "setdefault") else Live(True)
    key = args.get(0, "key")
    if key is None or name not in ("get", "__getitem__", "__contains__"):
        notes.uses(this)
        return Made(open=True)
    found = interpreter.item(this, key, NONE)
    notes.holds(found)
    return join([found, *args.positional[1:2]]) if name == "get" else found


def _with_class(interpreter: Interpreter, args: Args) -> Args:
    """Return what `from_object` is given, with one of the app's own classes in the place of its name."""
    named = args.get(0, "obj")
    text = named.object if isinstance(named, Live) else None
    if not isinstance(text, str) or text in sys.modules or not args.positional:
        return args
    module, _, name = text.partition(":") if ":" in text else text.rpartition(".")
    if module not in sys.modules or not interpreter.world.is_own(module):
        return args
    found = interpreter.name(module, name)
    if isinstance(found, Class) or (isinstance(found, Live) and isinstance(found.object, type)):
        return replace(args, positional=(found, *args.positional[1:]))
    return args


def _filled_from(interpreter: Interpreter, source: Value) -> None:
    """All upper-case attributes of an object are read."""
    for one in alternatives(source):
        thing = one.object if isinstance(one, Live) else None
        thing = sys.modules.get(thing) if isinstance(thing, str) else thing
        if isinstance(thing, ModuleType | type):
            _attributes_read(interpreter, thing)


def _attributes_read(interpreter: Interpreter, thing: ModuleType | type) -> None:
    home = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    for key in filter(str.isupper, dir(thing)) if interpreter.world.is_own(home) else ():
        if isinstance(thing, ModuleType):
            interpreter.name(home, key)
        else:
            interpreter.expressions.read(Live(thing), key, "")
