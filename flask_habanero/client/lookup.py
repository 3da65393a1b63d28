"""One source as it is at a state of the server, or one definition of it; and which release made it so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from ..asset import is_asset_name
from ..errors import BuildError, ConfigError
from ..source import Source
from .archive import DISK, State, Told, releases, sources_at, tree_at
from .desk import Desk
from .drift import who_made
from .excerpt import Excerpt, excerpt, names, whole
from .states import state_words
from .view import View


@dataclass(frozen=True)
class Found:
    """What was looked up.

    Attributes:
        what: as it was asked for: ``shop.views`` or ``shop.views:cart``.
        at: the state that it is of.
        where: that state, as people read it.
        source: the whole module.
        part: the lines that were asked for.
        by: the release that last changed the module; None if none did, and for what lies on disk.
    """

    what: str
    at: State
    where: str
    source: Source
    part: Excerpt
    by: Told | None


def look_up(desk: Desk, view: View, what: str, at: State) -> Found:
    """Return the source of ``module`` or ``module:qualified.name``.

    Raises:
        ConfigError: there is no such module, or no such definition in it; names what is near.
        UnansweredError: there is no such state.
    """
    module, _, name = what.partition(":")
    entries = tree_at(desk, view, at)
    tree = {name: entry for name, entry in entries.items() if not is_asset_name(name)}
    if module not in tree:
        why = f"there is no module of that name {state_words(at, view)}"
        if module in entries:  # a template, or a static file
            raise ConfigError(module, why, "what releases made of that file: flask habanero diff base")
        raise _unknown(module, why, tree)
    source = sources_at(desk, view, at, {module: tree[module]})[module]
    assert isinstance(source, Source)  # as its name is
    part = _part(source, name) if name else whole(source)
    log = releases(desk, view, int(at) + 1) if at != DISK else ()
    return Found(what, at, state_words(at, view), source, part, who_made(log, [module]).get(module))


def _part(source: Source, name: str) -> Excerpt:
    try:
        part, known = excerpt(source, name), names(source)
    except BuildError as error:
        why = f"this Python can't read its module: {error}"
        raise ConfigError(name, why, f"print it whole: flask habanero show {source.name}") from None
    if part is None:
        raise _unknown(name, f"there is no definition of that name in {source.name}", known)
    return part


def _unknown(name: str, why: str, known: Collection[str]) -> ConfigError:
    near = get_close_matches(name, known, cutoff=0.5) or [each for each in sorted(known) if name in each][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known)[:10])}"
    return ConfigError(name, why, hint if known else "there are none at all")
