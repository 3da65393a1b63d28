"""States of the app by the words that people type: 41, #41, head, base, disk, tree. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError
from .archive import DISK, State
from .view import View

HEAD, BASE, TREE = "head", "base", "tree"
_OF_THE_SERVER = f"the number of a release, {HEAD}, {BASE} or {DISK}"


def is_number(word: str) -> bool:
    """Whether a word is the number of a release: ``41`` or ``#41``."""
    digits = word.removeprefix("#")
    return digits.isascii() and digits.isdigit() and len(digits) < 12


def is_state(word: str) -> bool:
    """Whether a word is a state; if not it may be the name of a target."""
    return word in (HEAD, BASE, DISK, TREE) or is_number(word)


def name_first(words: Sequence[str]) -> list[str]:
    """Return a target's name, or "", and after it the words that are states.

    Raises:
        ConfigError: more than one word is no state, or there are more than two states.
    """
    names = [word for word in words if not is_state(word)]
    states = [word for word in words if is_state(word)]
    if len(names) > 1:
        raise ConfigError(names[1], "is no state", f"say {_OF_THE_SERVER}; or {TREE}, for what lies here")
    if len(states) > 2:
        raise ConfigError(states[2], "is a third state", "say from which one to which other")
    return [*(names or [""]), *states]


def state(word: str, view: View) -> State:
    """Return the state of the server that a person means. Raises ConfigError."""
    if word in (HEAD, BASE):
        return view.head if word == HEAD else view.first
    if is_number(word):
        return int(word.removeprefix("#"))
    if word != DISK:
        raise ConfigError(word, "is no state of the server", f"say {_OF_THE_SERVER}")
    return DISK


def state_words(at: State, view: View) -> str:
    """Return a state as people read it."""
    if isinstance(at, str):
        return "on the server's disk"
    notes = {view.first: ", the deployed base", view.head: ", which is head"}
    return f"at #{at}{notes.get(at, '')}"
