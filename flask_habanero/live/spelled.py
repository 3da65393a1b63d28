"""Who has the name of a module in a string, or computes it: they may have read anything of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import imports, names, reading

if TYPE_CHECKING:
    from .flow import Flow
    from .names import Names


def follow(flow: Flow, module: str) -> None:
    """A string may name the module, or something in it (`from_object("shop.config.Config")`)."""
    if not flow.first_time("named", module):
        return
    for reader in flow.loaded:
        source = flow.draft.out.target[reader]
        if f'"{module}' not in source.text and f"'{module}" not in source.text:
            continue
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if reading.mentions(piece.node, module):
                _stale_or_ran(flow, reader, piece.index, row, module)


def _stale_or_ran(flow: Flow, reader: str, index: int, row: Names, module: str) -> None:
    """A statement, or a function that ran at the start, has a module's name in a string."""
    if not row.bodies:
        flow.stale_at(reader, index, module)
    for key, owners in flow.ran_in(reader):
        if key[1].partition(".<locals>")[0] in row.bodies:
            made = flow.who.factory(key)
            if made is not None:
                made.stale_where(lambda node: reading.mentions(node, module))
            else:
                flow.ran_for(key, owners)


def importer(flow: Flow, module: str, name: str) -> None:
    """Who imports a module by its name (`from_object("settings")`) may have read anything of it."""
    chain = flow.program.books.chains.get(module)
    known = name in imports.binds(flow.program.tree[module]) if module in flow.program.tree else False
    if not chain or not (known or name.isupper()):
        return
    reader, uid, within = chain[-1]
    there = reader in flow.program.tree and reader in flow.draft.out.target
    uids = flow.draft.uids(reader) if there else []
    if uid not in uids:
        return
    row = names.of_source(flow.draft.out.target[reader])[uids.index(uid)]
    if any(
        module in (i.module, f"{i.module}.{i.name}") or i.module.startswith(f"{module}.")
        for i in (*row.imports, *row.inner_imports)
    ):
        return
    if not within:
        flow.stale(reader, uid, module)
    for key, owners in flow.ran_in(reader) if within else ():
        if key[1].partition(".<locals>")[0] in row.bodies:
            made = flow.who.factory(key)
            if made is not None:
                made.stale_at(within)
            else:
                flow.ran_for(key, owners)
