"""Where a factory's statements stand: which variables they find there, and whether the factory comes past.

Each question returns why what is to be done about a factory can't be done at its end, or None.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ..piece import Piece
from . import bodies, diff, names, registrations, variables

if TYPE_CHECKING:
    from .books import Left
    from .factory import Factory

_SPACES = {"locals", "vars", "dir", "eval", "exec"}  # with them a statement may read every variable


# what can't run by itself


def form(one: Factory) -> str | None:
    """A statement must be one that can run by itself."""
    owned = "." in one.key[1]
    for node in one.nodes:
        inside = list(variables.own_nodes(node))
        said = f"`{ast.unparse(node).splitlines()[0][:50]}` can't be made up for"
        if any(isinstance(part, ast.Return | ast.Global | ast.Nonlocal) for part in inside):
            return said
        if variables.uses([node]).reads & _SPACES:
            return f"{said}: it may read every variable"
        if owned and any(_needs_class(part) for part in ast.walk(node)):
            return f"{said}: it needs the class around it"
    return None


def _needs_class(node: ast.AST) -> bool:
    name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None) or ""
    private = isinstance(name, str) and name.startswith("__") and not name.endswith("__")
    return private or name in ("super", "__class__")


def lines(one: Factory) -> str | None:
    """Lines within the statement must tell which function stood there."""
    first, last = one.old.lineno, one.old.end_lineno or 0
    books = one.draft.program.books
    around = next(
        p for p in one.draft.program.tree[one.module].parsed.pieces if p.line <= first <= p.end_line
    )
    for module, qualname, line in books.ran:
        if (
            module == one.module
            and around.line <= line <= around.end_line
            and not f"{one.key[1]}.".startswith(f"{qualname}.")
        ):
            if not first <= line <= last:
                return f"{qualname}, of the same statement, did so, too"
            if _registered(one):
                return f"{qualname} registered or configured for it"
    return None


def _registered(one: Factory) -> bool:
    """Whether functions within the statement have made entries, too, so that their lines are mixed up."""
    chains = [e.chain or () for t in list(registrations.targets) for e in registrations.entries_of(t)]
    chains += [e.chain or () for config in one.configs() for e in config.entries]
    return any(sum(place[:2] == (one.module, one.uid) for place in chain) > 1 for chain in chains)


# variables


def bindings(one: Factory) -> str | None:
    """Return which variable a statement that runs finds with another value than where it stands."""
    own = variables.of_function(one.new) | variables.of_function(one.old)
    given = {arg.arg for arg in bodies.parameters(one.new.args)}
    pieces = [piece for pair in one.pairs for piece in (pair.old, pair.new) if piece is not None]
    others = {name for piece in pieces for name in (*one.uses(piece).rebinds, *one.uses(piece).declared)}
    acted = {name for piece in one.ending for name in one.uses(piece).binds}
    acted |= variables.uses(one.nodes).binds
    own |= (shared := _left_to_the_module(one, others - acted))
    others -= shared
    for index in sorted(one.run):
        seen = _seen(one, index)
        for name in sorted((seen | acted) & (own | others)):
            if name in others:
                return f"`{name}` is bound by functions in it, or is not its own"
            if name in acted and (name in given or not _all_run(one, name)):
                return f"`{name}` is bound by more than one of its statements"
            if name in seen - acted and any(after > index for after in binders(one, name)):
                return f"`{name}` is bound again behind what runs"
    if not one.run and any(
        name in given or name in others or not _all_run(one, name) for name in acted & own
    ):
        return "a variable is bound by more than one of its statements"
    return None


def _left_to_the_module(one: Factory, wanted: set[str]) -> set[str]:
    """Return the names that a factory, which ran once, and nobody else bound for its module by `global`."""
    declared: set[str] = set()
    for node in (*one.old.body, *one.new.body):
        for found in variables.own_nodes(node):
            declared.update(found.names if isinstance(found, ast.Global) else ())
    by_others: set[str] = set()
    for row in names.of_source(one.draft.out.target[one.module]):
        for qualname, body in row.bodies.items():
            by_others |= body.rebinds if qualname != one.key[1] else set()
    return wanted & declared - by_others if len(one.runs) == 1 else set()


def binders(one: Factory, name: str) -> list[int]:
    """Return which of the new statements bind a variable."""
    return [pair.new.index for pair in one.pairs if pair.new is not None and name in one.uses(pair.new).binds]


def _all_run(one: Factory, name: str) -> bool:
    old = {pair.old.index for pair in one.pairs if pair.old is not None and name in one.uses(pair.old).binds}
    return one.end >= old and one.run.issuperset(binders(one, name))


def _seen(one: Factory, index: int) -> set[str]:
    """Return the variables that a statement may read when it runs, also through functions that it calls."""
    by_name: dict[str, set[str]] = {}
    for pair in one.pairs:
        if pair.new is not None:
            used = one.uses(pair.new)
            for name in used.binds:
                by_name.setdefault(name, set()).update(used.inside, used.reads if used.inside else ())
    used, node = variables.uses([one.new.body[index]]), one.new.body[index]
    found = used.reads | (set() if _only_registers(node) else used.inside)
    todo = list(found)
    while todo:
        more = by_name.get(todo.pop(), set()) - found
        found |= more
        todo += more
    return found


def _only_registers(node: ast.stmt) -> bool:
    """Whether functions that a statement makes are surely not called by it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return all(_is_flasks(one, registrations.DECORATORS) for one in node.decorator_list)
    called = node.value if isinstance(node, ast.Expr) else None
    return isinstance(called, ast.Call) and _is_flasks(called, registrations.CALLS)


def _is_flasks(node: ast.expr, known: frozenset[str]) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    return isinstance(called, ast.Attribute) and called.attr in known


# ways out


def returns(one: Factory) -> str | None:
    """Return why it can't be told that what runs, or ends, is reached, and was."""
    for left in one.left:
        for pair in one.pairs:
            old, new = pair.old, pair.new
            if old is None or not _returned_at(one, old, left):
                continue
            if new is None or old.index in one.end:
                return f"`{diff.title(old)}` returned"
            if max(one.run, default=-1) > new.index or max(one.end, default=-1) > old.index:
                return f"`{diff.title(old)}` returned before"
    return None


def _returned_at(one: Factory, old: Piece, left: Left) -> bool:
    """Whether a run returned in a statement; if it did so in none, it came to its end."""
    first, last = one.lines(old)
    return first <= left.chain[-1][2] <= last and _returns_itself(old.node)


def _returns_itself(node: ast.stmt) -> bool:
    return any(isinstance(one, ast.Return) for one in variables.own_nodes(node))
