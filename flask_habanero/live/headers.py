"""Functions that stay, but for what they say of themselves: their docstrings, their parameters."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from ..source import Source, once_for_each_source
from . import names, reading, variables
from .sides import sides
from .skeleton import alike

if TYPE_CHECKING:
    from .bodies import Body, Function
    from .draft import Draft
    from .flow import Flow
    from .names import Names

_SAID = {"__doc__", "__defaults__", "__kwdefaults__", "__annotations__", "__signature__", "__type_params__"}
_ASKING = {"get_annotations", "get_type_hints", "getdoc", "getfullargspec", "help", "signature"}
# they copy from a function that they are given: beside it, a decorator is applied anew with its function
_COPYING = {
    "cache", "cached_property", "contextmanager", "lru_cache", "property", "singledispatch",
    "update_wrapper", "wraps",
}  # fmt: skip
_OF_CODE = {
    "__code__", "getsource", "getsourcelines",
    "isasyncgenfunction", "iscoroutinefunction", "isgeneratorfunction",
}  # fmt: skip


def compare(draft: Draft, name: str, qualname: str, sides: tuple[Function, Function]) -> None:
    """Note a function of a module that says something else of itself than before."""
    old, new = sides
    same = alike(old.args, new.args) and alike(old.returns, new.returns)
    if not same or ast.get_docstring(old, clean=False) != ast.get_docstring(new, clean=False):
        draft.other_headers.append((name, qualname, "header"))
    if not alike(old, new):
        draft.other_headers.append((name, qualname, "code"))


def attributes(draft: Draft, name: str, qualname: str, given: frozenset[str]) -> None:
    """Note a function to which decorators give attributes that it may not have had, or had otherwise."""
    if given:
        draft.other_headers.append((name, qualname, given))


def follow(flow: Flow, module: str, qualname: str, what: str | frozenset[str]) -> None:
    """Let all be stale that asked a function of a module for what it says otherwise now.

    Which function somebody asks is often not told: whoever asks any function may have asked this one.

    Args:
        flow: the flow.
        module: the function's module.
        qualname: its qualified name.
        what: "header", "code", or attributes that decorators gave it, or give it now.
    """
    if not flow.first_time("header", module, qualname, what):
        return
    if isinstance(what, frozenset):
        _asked_for(flow, qualname, what | _WHOLE)
    else:
        _asked(flow, module, qualname, what)


def _asked_for(flow: Flow, qualname: str, words: frozenset[str]) -> None:
    for reader in flow.loaded:
        source = flow.draft.out.target[reader]
        if not any(word in source.text for word in words):
            continue
        for piece in source.parsed.pieces:
            if variables.mentions(variables.at_import(piece.node), words):
                flow.stale_at(reader, piece.index, qualname)
        for key, owners in flow.ran_in(reader):
            both = sides(flow.draft, key)
            if both is not None and variables.mentions(variables.of_body(both[1]), words):
                flow.used(key, owners, set(), words)


_WHOLE = {"__dict__", "vars"}  # who asks for all attributes


def _asked(flow: Flow, module: str, qualname: str, what: str) -> None:
    top = qualname.partition(".")[0]
    copying, asking = _who_asks(flow, what)
    for reader in asking:
        source = flow.draft.out.target[reader]
        words = _words_of_code(source) if what == "code" else _words_of_headers(source)
        local, modules = reading.aliases(source, reader, module, top)
        for index, row in enumerate(names.of_source(source)):
            copies = _copies(row, copying) and reading.gets_at(row, top, local, modules)
            if copies or not words.isdisjoint(row.attributes | row.reads):
                flow.stale_at(reader, index, qualname, local | modules)
        for key, owners in flow.ran_in(reader):
            body = reading.body_of(source, key[1])
            if body is None:
                continue
            copies = _copies(body, copying) and reading.gets_at(body, top, local, modules)
            if copies or not words.isdisjoint(body.attributes | body.reads):
                flow.used(key, owners, local | modules | {top}, words)


def _who_asks(flow: Flow, what: str) -> tuple[set[str], list[str]]:
    """Return which functions copy what others say, and the modules that ask: the same for all of a plan."""
    known = flow.asking.get(what)
    if known is None:
        sources = {reader: flow.draft.out.target[reader] for reader in flow.loaded}
        copying = set[str]()  # nobody copies code
        if what == "header":
            copying = _COPYING.union(*map(_copiers, sources.values()))
        tell = _words_of_code if what == "code" else _words_of_headers
        asking = [
            reader
            for reader, source in sources.items()
            if not (tell(source).isdisjoint(_said(source)) and copying.isdisjoint(_said(source)))
        ]
        known = flow.asking[what] = copying, asking
    return known


@once_for_each_source
def _words_of_headers(source: Source) -> set[str]:
    """Return the names and attributes by which a module asks functions for what they say of themselves."""
    return _words(source, _SAID | _ASKING)


@once_for_each_source
def _words_of_code(source: Source) -> set[str]:
    """Return the names and attributes by which a module asks functions for their code."""
    return _words(source, _OF_CODE)


def _words(source: Source, words: set[str]) -> set[str]:
    by_string = {"getattr"} if _QUOTED.search(source.text) else set[str]()
    return words | by_string | {item.bound for _, item in reading.imported(source) if item.name in words}


_QUOTED = re.compile(r"""["']__[a-z]+__["']""")


def _copies(one: Names | Body, copying: set[str]) -> bool:
    return not copying.isdisjoint(one.attributes | one.reads)


@once_for_each_source
def _said(source: Source) -> frozenset[str]:
    """Return all names and attributes that a module reads, or asks for, at any time."""
    rows = names.of_source(source)
    said = [row.reads | row.attributes for row in rows]
    said += [body.reads | body.attributes for row in rows for body in row.bodies.values()]
    return frozenset[str]().union(*said)


@once_for_each_source
def _copiers(source: Source) -> frozenset[str]:
    """Return the functions of a module that give others what a function says of itself."""
    bodies = [item for row in names.of_source(source) for item in row.bodies.items()]
    return frozenset(name.rpartition(".")[2] for name, body in bodies if _copies(body, _COPYING))
