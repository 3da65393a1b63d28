"""Is what statements read that run now still as the start made it? And are they the last to bind a name?

A statement that runs in a serving process would compute something else from what was changed since.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..piece import Piece
from . import configs, entries, environment, fetching, imports, lasting, memos, names, rebinding, statements
from .draft import Draft
from .flow import Flow
from .judge.findings import Findings


def tables(draft: Draft) -> None:
    """Let tables that a statement looks up be made anew, where all they do is to remember what was made."""
    while not draft.refused:
        doubtful = {
            (unit, bound) for name, piece in _running(draft) for unit, bound in _doubtful(draft, name, piece)
        }
        wanted = [(u, b) for u, b in sorted(doubtful) if memos.is_table(draft.out.target, u, b)]
        for unit, bound in wanted:
            index = next(p.index for p in draft.parsed(unit).pieces if bound in draft.binds(unit, p))
            statements.rerun(draft, unit, draft.parsed(unit).pieces[index], draft.uids(unit)[index])
            entries.retire(draft, dict(vars(draft.live(unit))[bound]))
        if not wanted:
            return
        Flow.follow(draft)


def check(draft: Draft) -> None:
    """Refuse statements that compute from what requests changed, or bind what a later one binds."""
    for name, piece in _running(draft):
        for _, bound in _doubtful(draft, name, piece):
            what = f"it reads {bound}, which may have changed since the start"
            draft.refuse("state", draft.where(name, piece), what)
        for other in _others(draft, name, piece):
            what = f"it reads {other}, which may have changed since the start"
            draft.refuse("state", draft.where(name, piece), what)
    draft.out.bound = draft.rebound | _bound(draft)
    for name in _touched(draft):
        rebinding.check(draft, name)


def _bound(draft: Draft) -> set[tuple[str, str]]:
    """Return what the statements bind that run, and bound that end."""
    found = {
        (name, bound)
        for name, piece, uid in _acted(draft)
        for bound in fetching.bound(draft, (name, uid), draft.binds(name, piece))
    }
    for name in {module for module, _ in draft.acted} & set(draft.program.tree):
        rows = names.of_source(draft.program.tree[name])
        for row, uid in zip(rows, draft.program.uids(name), strict=True):
            mine = fetching.bound(draft, (name, uid), row.binds) if (name, uid) in draft.acted else ()
            found |= {(name, bound) for bound in mine}
    return found


def _touched(draft: Draft) -> list[str]:
    """Return the loaded modules of which statements run, end or move."""
    found = {name for name, _ in (*draft.acted, *draft.out.moved, *draft.put_members)}
    found &= draft.out.target.keys()
    return [n for n in sorted(found) if draft.program.loaded(n) is not None and n in draft.program.tree]


def _running(draft: Draft) -> list[tuple[str, Piece]]:
    """Return what runs: statements of loaded modules, and all of modules that are loaded first."""
    found = [(name, piece) for name in _touched(draft) for piece in draft.running(name)]
    return found + [(name, piece) for name in draft.first_loaded for piece in draft.parsed(name).pieces]


def _acted(draft: Draft) -> list[tuple[str, Piece, int]]:
    return [
        (name, piece, uid)
        for name in _touched(draft)
        for piece, uid in zip(draft.parsed(name).pieces, draft.uids(name), strict=True)
        if (name, uid) in draft.acted
    ]


def _doubtful(draft: Draft, name: str, piece: Piece) -> list[tuple[str, str]]:
    """Return what a statement reads and may not be what the start made: it would compute something else."""
    program, read = draft.program, draft.judge(name).read(piece.node)
    asked = {(program.unit_name(module), bound) for module, bound in read.names}
    found = []
    for unit, bound in _read_names(draft, read):
        there = program.loaded(unit) is not None and unit in program.tree
        if there and (unit, bound) not in draft.rebound:
            changed = bound in _rebound(draft, unit) or lasting.has_changed(program, unit, bound, read)
            # what a star brings nobody knows while the import has not run: nor what is asked of it
            brought = (unit, bound) not in asked and lasting.is_filled(program, unit, bound)
            found += [(unit, bound)] if changed or brought else []
    return found


def _read_names(draft: Draft, read: Findings) -> list[tuple[str, str]]:
    """Return the names that are read; of those that are imported then, where they come from."""
    return sorted({_origin(draft, (draft.program.unit_name(module), bound)) for module, bound in read.names})


def _origin(draft: Draft, name: tuple[str, str]) -> tuple[str, str]:
    """Return from where a module to come, or an import that runs, has fetched a name; else the name."""
    seen = set()
    while (name in draft.rebound or not _is_there(draft, *name)) and name not in seen:
        seen.add(name)
        name = next(_fetched(draft, *name), name)
    return name


def _is_there(draft: Draft, module: str, bound: str) -> bool:
    """Whether a name is bound now: not in a module to come, nor where an import that runs will bind it."""
    live = draft.program.loaded(module) if module not in draft.first_loaded else None
    return module not in draft.out.target or (live is not None and bound in vars(live))


def _fetched(draft: Draft, module: str, bound: str) -> Iterator[tuple[str, str]]:
    """Yield from where the imports of a module fetch a name."""
    target = draft.out.target
    rows = names.of_source(target[module]) if module in target else ()
    for item in (item for row in rows for item in row.imports):
        if item.name == "*":
            known = imports.star_names(target[item.module], target) if item.module in target else None
            yield from [(item.module, bound)] if bound in (known or ()) else []
        elif item.bound == bound and item.name:
            yield item.module, item.name


def _others(draft: Draft, name: str, piece: Piece) -> list[str]:
    """Return what else a statement reads and may not be what the start made."""
    read = draft.judge(name).read(piece.node)
    named = [
        vars(live).get(bound)
        for unit, bound in _read_names(draft, read)
        if (live := draft.program.loaded(unit)) is not None
    ]
    gone = frozenset(map(id, draft.retired))  # the tables are empty when it runs: it reads none of these
    return [*lasting.others(draft.program, read, named, gone), *_written_later(draft, name, piece)]


def _written_later(draft: Draft, name: str, piece: Piece) -> list[str]:
    """Return the settings and variables that a statement reads, and a later one of the start writes."""
    program, uids = draft.program, {**draft.program.books.uids, **draft.out.uids}
    place, found = program.position(draft.chain(name, piece), uids), set()
    for config, keys in lasting.settings(draft.judge(name).read(piece.node)):
        book = configs.book_of(config)
        for entry in book.entries if book is not None else ():
            if program.position(entry.chain or (), uids) > place:
                found |= {key for key, _ in entry.changes if keys is None or key in keys}
    words = [configs.said(key) for key in sorted(found)]
    read = draft.judge(name).read(piece.node)
    is_later = environment.set_later(program, read, lambda chain: program.position(chain, uids) < place)
    return [*words, "the environment"] if is_later else words


def _rebound(draft: Draft, module: str) -> set[str]:
    """Return the names that functions of a module rebind, by `global`."""
    rows = names.of_source(draft.program.tree[module])
    return {one for row in rows for body in row.bodies.values() for one in body.rebinds}
