"""Functions that stay, but for what they say of themselves: their docstrings, their parameters."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from . import names, reading
from .skeleton import alike

if TYPE_CHECKING:
    from .bodies import Body, Function
    from .draft import Draft
    from .flow import Flow
    from .names import Names

_SAID = {"__doc__", "__defaults__", "__kwdefaults__", "__annotations__", "__signature__", "__type_params__"}
_ASKING = {
    "get_annotations", "get_type_hints", "getdoc", "getfullargspec", "help", "signature",
    "update_wrapper", "wraps",
}  # fmt: skip


def compare(draft: Draft, name: str, qualname: str, sides: tuple[Function, Function]) -> None:
    """Note a function of a module that says something else of itself than before."""
    old, new = sides
    same = alike(old.args, new.args) and alike(old.returns, new.returns)
    if not same or ast.get_docstring(old, clean=False) != ast.get_docstring(new, clean=False):
        draft.other_headers.append((name, qualname))


def follow(flow: Flow, module: str, qualname: str) -> None:
    """Let all be stale that asked a function of a module what it says of itself."""
    if not flow.first_time("header", module, qualname):
        return
    top = qualname.partition(".")[0]
    for reader in flow.loaded:
        source = flow.draft.out.target[reader]
        if reader != module and not reading.may_read(source, module, top):
            continue
        rows = names.of_source(source)
        local, modules = reading.aliases(source, reader, module, top)
        for index in sorted(reading.readers_of(source, (*local, *modules))):
            if _asks(rows[index]) and reading.gets_at(rows[index], top, local, modules):
                flow.stale_at(reader, index, qualname, local | modules)
        for key, owners in flow.ran_in(reader):
            body = reading.body_of(source, key[1])
            if body is not None and _asks(body) and reading.gets_at(body, top, local, modules):
                flow.used(key, owners, local | modules | {top})


def _asks(one: Names | Body) -> bool:
    return not (_SAID.isdisjoint(one.attributes) and _ASKING.isdisjoint(one.attributes | one.reads))
