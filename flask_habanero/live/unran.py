"""What of a function did not run at the start: a change of that can have changed nothing there.

A function that ran at the start is compared with what it becomes. Where both are the same but for blocks of
which the record says that no line of them ran (a branch not taken, a handler never reached), a fresh start
comes past the same statements, and enters those blocks no more than this one did. So nothing that it did has
to be done again.

Which lines ran is known from 3.12 on; of a function of which it is not known, all may have run.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

from . import bodies, codes, configs, memos, registrations, variables
from .parts import first_line
from .sides import sides
from .skeleton import alike, same_skeleton

if TYPE_CHECKING:
    from .draft import Draft
    from .factory import Factory
    from .startup import Function

_BLOCKS = ("body", "orelse", "finalbody")
_COMPOUND = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match,
)  # fmt: skip
_CLAUSES = (ast.ExceptHandler, ast.match_case)
# what has code of its own, which is known by its name and its place among others of that name
_WITH_CODE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.GeneratorExp)

Span = tuple[int, int, int, int]
"""First and last line of something that stays: before, and after."""


class _Comparison:
    """Compares the statements of two functions, but for blocks of which no line ran.

    Attributes:
        spans: what is on both sides.
        left_out: the statements, of both sides, of those blocks.
    """

    def __init__(self, ran: Iterable[int]) -> None:
        self._ran = ran
        self.spans: list[Span] = []
        self.left_out: list[ast.stmt] = []

    def blocks(self, old: Sequence[ast.stmt], new: Sequence[ast.stmt]) -> bool:
        """Whether two blocks are the same, as far as they ran."""
        return len(old) == len(new) and all(map(self.nodes, old, new))

    def nodes(self, old: ast.AST, new: ast.AST) -> bool:
        """Whether two statements, or clauses of such, are the same, as far as they ran."""
        if type(old) is not type(new):
            return False
        self.spans.append((*_lines(old), *_lines(new)))
        if not isinstance(old, _COMPOUND + _CLAUSES):
            return same_skeleton(old, new)
        return all(self._field(name, getattr(old, name), getattr(new, name)) for name in old._fields)

    def _field(self, name: str, old: Any, new: Any) -> bool:
        if name in ("handlers", "cases"):
            return self.blocks(old, new)
        if name not in _BLOCKS:
            return bool(old == new) if isinstance(old, str) else alike(old, new)
        if old and not self.may_have_run(old):
            self.left_out += [*old, *new]
            return True
        return self.blocks(old, new)

    def may_have_run(self, block: list[ast.stmt]) -> bool:
        """Whether some line of a block ran, or its statements are such that nothing tells of them."""
        silent = all(isinstance(one, ast.Global | ast.Nonlocal | ast.AnnAssign) for one in block)
        first, last = (_lines(block[0])[0], block[-1].end_lineno or 0) if block else (0, -1)
        return silent or any(first <= line <= last for line in self._ran)


def _lines(node: ast.AST) -> tuple[int, int]:
    """Return the lines of a statement or a clause; without those of what is in it, if it has any."""
    first = first_line(node) if isinstance(node, bodies.Function | ast.ClassDef) else _line(node)
    inner = [getattr(node, name)[0] for name in ("body", "cases") if getattr(node, name, None)]
    if not inner or isinstance(node, ast.Lambda):
        return first, getattr(node, "end_lineno", None) or first
    return first, max(first, _line(inner[0]) - 1)


def _line(node: ast.AST) -> int:
    return node.pattern.lineno if isinstance(node, ast.match_case) else int(getattr(node, "lineno", 0))


def read(draft: Draft, key: Function, body: bodies.Body, is_meant: Callable[[bodies.Body], bool]) -> bool:
    """Whether a function read something that is meant at the start: in its body, but for what did not run."""
    ran, found = draft.program.books.lines.get(key), sides(draft, key) if is_meant(body) else None
    told = ran is not None and draft.program.was_watched(key[0])
    if ran is None or found is None or not told or memos.may_hold(draft, key[1]):
        return is_meant(body)
    node, came_to = copy.copy(found[0]), bodies.Body()
    node.body = [pruned(one, ran, found[0]) for one in node.body]
    bodies.read(node, came_to)
    return is_meant(came_to)


def pruned(node: ast.stmt, ran: Iterable[int], function: bodies.Function) -> ast.stmt:
    """Return a statement of a function without the blocks of which no line ran, counted from its first."""
    first = first_line(function)
    found: ast.stmt = _pruned(node, _Comparison([line + first - 1 for line in ran]))
    return found


def _pruned(node: Any, record: _Comparison) -> Any:
    if not isinstance(node, _COMPOUND + _CLAUSES):
        return node
    fields = {name: getattr(node, name) for name in node._fields}
    for name, value in fields.items():
        if name in ("handlers", "cases") or (name in _BLOCKS and record.may_have_run(value)):
            fields[name] = [_pruned(one, record) for one in value]
        elif name in _BLOCKS:
            fields[name] = [ast.copy_location(ast.Pass(), value[0])] if name == "body" else []
    if isinstance(node, ast.ExceptHandler) and not record.may_have_run(node.body):
        fields["name"] = None  # it bound nothing
    return ast.copy_location(type(node)(**fields), node)


def keeps(draft: Draft, key: Function) -> bool:
    """Whether a function that ran at the start becomes another one only where it did not run."""
    made = _compared(draft, key)
    if made is None or memos.may_hold(draft, key[1]):
        return False
    if _led_on(draft, key):
        place, found = _place(draft, key), sides(draft, key)
        if place is None or found is None:
            return False
        old, new = map(first_line, found)
        for first, last, begins, ends in made.spans:
            lines = begins - new + 1, ends - new + 1
            draft.out.relocate[(*place, first - old + 1, last - old + 1)] = lines
    return True


def _compared(draft: Draft, key: Function) -> _Comparison | None:
    """Return the comparison of both sides of a function, if they are the same as far as it ran."""
    ran, found = draft.program.books.lines.get(key), sides(draft, key)
    if ran is None or found is None or not draft.program.was_watched(key[0]):
        return None
    old, new = found
    one = _Comparison([line + key[2] - 1 for line in ran])
    headers = ((getattr(old, name), getattr(new, name)) for name in ("args", "returns", "decorator_list"))
    same = all(alike(*header) for header in headers)
    if not (same and type(old) is type(new) and one.blocks(old.body, new.body)):
        return None
    kept = _same_kind(draft, key) and _same_variables(old, new, one.left_out)
    with_code = any(isinstance(part, _WITH_CODE) for node in one.left_out for part in ast.walk(node))
    return one if kept and not with_code else None


def _same_kind(draft: Draft, key: Function) -> bool:
    """Whether its code needs a function of the same kind: the same cells, variables in the same order.

    One that may be suspended goes on where nobody looks: it is never kept.
    """
    pair = _pair(draft, key)
    if pair is None:
        return True
    old, new = pair
    orders = [
        [name for name in one.co_varnames if name in other.co_varnames] for one, other in (pair, pair[::-1])
    ]
    same = (old.co_flags, old.co_freevars) == (new.co_flags, new.co_freevars) and orders[0] == orders[1]
    return same and not old.co_flags & codes.SUSPENDED


def _pair(draft: Draft, key: Function) -> tuple[CodeType, CodeType] | None:
    for old, new in draft.code_pairs[key[0]]:
        if new is not None and (old.co_qualname, old.co_firstlineno) == key[1:]:
            return old, new
    return None


def _same_variables(old: bodies.Function, new: bodies.Function, left_out: list[ast.stmt]) -> bool:
    """Whether each name outside of what is left out means what it meant: a variable, or one of the module."""
    others = variables.of_function(old) ^ variables.of_function(new)
    out = {id(part) for node in left_out for part in ast.walk(node)} if others else set[int]()
    said = (_words(part) for part in ast.walk(old) if others and id(part) not in out)
    return others.isdisjoint(word for words in said for word in words)


def _words(node: ast.AST) -> Iterator[str]:
    """Yield the names in a node, in whatever way it says them."""
    for word in (getattr(node, "id", None), getattr(node, "name", None), getattr(node, "asname", None)):
        if isinstance(word, str):
            yield word.partition(".")[0]
    if isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names


def _led_on(draft: Draft, key: Function) -> bool:
    """Whether something came about through a function, of which it is known from which line of it."""
    program, (module, _, first) = draft.program, key
    uid = program.statement_at(module, first)
    chains = [e.chain or () for one in list(registrations.targets) for e in registrations.entries_of(one)]
    for config in configs.all_configs():
        book = configs.book_of(config)
        chains += [entry.chain or () for entry in book.entries] if book is not None else []
    chains += program.books.chains.values()
    chains += [left.chain for found in program.books.runs.values() for left in found]
    return any(place[:2] == (module, uid) and place[2] for chain in chains for place in chain)


def _place(draft: Draft, key: Function) -> tuple[str, int] | None:
    """Return the statement that a function is, if lines within that are its own and no other function's."""
    program, (module, qualname, first) = draft.program, key
    uid = program.statement_at(module, first)
    if uid is None or "." in qualname:
        return None
    piece = program.tree[module].parsed.pieces[program.uids(module).index(uid)]
    others = (one for one in program.books.ran if one[0] == module and one[1:] != (qualname, first))
    alone = not any(piece.line <= line <= piece.end_line for _, _, line in others)
    return (module, uid) if alone and piece.line == first else None


# the lines that ran, as they stand from now on


def settle(draft: Draft) -> None:
    """Let what is known of the lines that ran fit the functions as they will be; forget what does not."""
    known = draft.program.books.lines
    put: dict[Function, frozenset[int]] = {}
    same = _Same(draft)
    for key in [key for key in known if key[0] in draft.units]:
        new = same.moved(key)
        found = _lines_of(draft, key, known[key]) if new is not None else None
        if new is not None and found is not None:
            put[new] = found
    for key, made in draft.factories.items():
        if made is not None and key in known and key[0] not in draft.units:
            put[key] = known[key] | _of_parts(made)
    draft.out.lines = put
    draft.out.unlined = tuple(key for key in known if key[0] in draft.units and key not in put)


class _Same:
    """Finds out which functions of the modules that change stay as they are."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._codes: dict[str, tuple[dict[tuple[str, int], CodeType], ...]] = {}  # module -> both sides'

    def moved(self, key: Function) -> Function | None:
        """Return how a function will be known; None if it ends, or is made anew."""
        module, pair = key[0], _pair(self._draft, key)
        if pair is not None:
            return module, key[1], pair[1].co_firstlineno
        if module not in self._draft.out.codes:
            return None
        was, now = (side.get(key[1:]) for side in self._sides(module))
        return key if was is not None and (was is now or was == now) else None

    def _sides(self, module: str) -> tuple[dict[tuple[str, int], CodeType], ...]:
        if module not in self._codes:
            both = self._draft.program.codes(module), self._draft.out.codes[module]
            self._codes[module] = tuple(map(_by_place, both))
        return self._codes[module]


def _by_place(statements: list[CodeType]) -> dict[tuple[str, int], CodeType]:
    """Return the first code of each (qualified name, first line)."""
    found: dict[tuple[str, int], CodeType] = {}
    for one in statements:
        for code in codes.walk(one):
            found.setdefault((code.co_qualname, code.co_firstlineno), code)
    return found


def _lines_of(draft: Draft, key: Function, ran: frozenset[int]) -> frozenset[int] | None:
    """Return which lines of a function ran, as they will stand; None if that can't be told."""
    pair, made = _pair(draft, key), draft.factories.get(key)
    if made is not None:
        return _of_factory(made, ran)
    if pair is None or pair[0].co_linetable == pair[1].co_linetable:
        return ran  # if it does something else on them it runs again, and what ran then is added
    one, found = _compared(draft, key), sides(draft, key)
    return _mapped(ran, one.spans, *map(first_line, found)) if one is not None and found is not None else None


def _mapped(ran: Iterable[int], spans: Iterable[Span], old: int, new: int) -> frozenset[int]:
    """Return where lines stand: in what is as long as before each for itself, else all of it."""
    found: set[int] = set()
    for first, last, begins, ends in spans:
        inside = [line for line in ran if first <= line + old - 1 <= last]
        same = last - first == ends - begins
        found.update(line + old - first + begins - new for line in inside) if same else None
        found.update(range(begins - new + 1, ends - new + 2)) if inside and not same else None
    return frozenset(found)


def _of_factory(made: Factory, ran: frozenset[int]) -> frozenset[int]:
    old, new = first_line(made.old), first_line(made.new)
    found = set(_of_parts(made))
    for pair in made.pairs:
        if pair.old is None or pair.new is None or pair.new.index in made.run:
            continue
        one = _Comparison([line + old - 1 for line in ran])
        if one.nodes(pair.old.node, pair.new.node):
            found |= _mapped(ran, one.spans, old, new)
        else:
            found.update(range(pair.new.line - new + 1, pair.new.end_line - new + 2))
    return frozenset(found)


def _of_parts(made: Factory) -> frozenset[int]:
    """Return all lines of the statements of a factory that run again: which will, nobody knows yet."""
    first = first_line(made.new)
    return frozenset(
        line - first + 1 for node in made.nodes for line in range(node.lineno, (node.end_lineno or 0) + 1)
    )
