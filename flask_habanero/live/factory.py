"""What a factory does differently now is done to the app that it made then.

A factory such as `create_app` ran once, at the start; its variables were kept. Its body is compared
statement by statement, as a module's is: what changed, or used what changed, runs in those variables; what
it had registered or configured before ends. What stays is not run again.

The same holds for each function that had an app or a blueprint in its hands: `register_views(app)`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import CellType, FunctionType
from typing import TYPE_CHECKING

from flask.sansio.app import App

from ..piece import Piece
from ..unit import compile_nodes
from . import (
    bodies,
    codes,
    configs,
    diff,
    functions,
    names,
    registrations,
    replays,
    startup,
    steps,
    unran,
    variables,
)
from .diff import Kind, Pair
from .parts import compile_part, first_line
from .plan import since_import
from .sides import sides
from .skeleton import alike

if TYPE_CHECKING:
    from .books import Left, Place
    from .draft import Draft

# with them a statement may read every variable
_SPACES = {"locals", "vars", "dir", "eval", "exec"}


@dataclass
class Factory:
    """One function that set up apps, in one plan.

    Attributes:
        key: the function, as it is loaded.
        old, new: its definition, as it is loaded and as it will be.
        runs: what its runs left behind.
        pairs: its statements, before and after.
        run: the new statements that run, by index.
        end: the old statements whose registrations end, by index.
    """

    draft: Draft
    key: startup.Function
    old: bodies.Function
    new: bodies.Function
    runs: list[Left]
    pairs: list[Pair]
    run: set[int] = field(default_factory=set)
    end: set[int] = field(default_factory=set)
    judged: int = 0  # how much was to be done when it was judged last
    _uses: dict[int, variables.Uses] = field(default_factory=dict)  # by ids of nodes
    _ran: dict[int, ast.stmt] = field(default_factory=dict)  # by ids of old statements

    @property
    def module(self) -> str:
        """The module that the function is of."""
        return self.key[0]

    @property
    def left(self) -> list[Left]:
        """What those runs left behind that do not end, and are not made again, as a whole."""
        return [left for left in self.runs if not is_over(self.draft, left)]

    def take_up(self) -> None:
        """Let what is different in its own body be made up for."""
        for pair in self.pairs:
            if pair.kind is Kind.SAME or (pair.kind is Kind.BODY and self._keeps_variables(pair)):
                continue
            if pair.kind is Kind.MOVED and replays.stays(self, pair):
                continue  # what it registered moves with it
            self._act(pair)

    def _keeps_variables(self, pair: Pair) -> bool:
        """Whether functions in a statement use the same variables of the factory as before."""
        assert pair.old is not None
        first, last = pair.old.line, pair.old.end_line
        return all(
            new is None or old.co_freevars == new.co_freevars
            for old, new in self.draft.code_pairs[self.module]
            if first <= old.co_firstlineno <= last and "<locals>" in old.co_qualname
        )

    def _act(self, pair: Pair) -> None:
        before = len(self.run) + len(self.end)
        if pair.old is not None:
            self.end.add(pair.old.index)
        if pair.new is not None:
            self.run.add(pair.new.index)
        if len(self.run) + len(self.end) == before:
            return
        bound = {name for piece in (pair.old, pair.new) if piece for name in self.uses(piece).binds}
        self._others(bound)
        self._called(bound)

    def _others(self, bound: set[str]) -> None:
        """Variables are others now: what reads them did so, and what binds them has a say in it, too."""
        for other in self.pairs if bound else ():
            for piece in (other.old, other.new):
                used = self.uses(piece) if piece is not None else variables.Uses()
                if (used.reads | used.binds) & bound or used.reads & _SPACES:
                    self._act(other)

    def _called(self, bound: set[str]) -> None:
        """Functions of the factory that read variables, and ran at the start, have read others now."""
        for code in (inner for one in self.draft.program.codes(self.module) for inner in codes.walk(one)):
            key = (self.module, code.co_qualname, code.co_firstlineno)
            mine = code.co_qualname.startswith(self._inside) and bound & set(code.co_freevars)
            if mine and key in self.draft.program.books.ran:
                self.draft.used_variables.append((key, frozenset(bound)))

    @property
    def _inside(self) -> str:
        """How the qualified names of functions in it begin."""
        return f"{self.key[1]}.<locals>."

    def uses(self, piece: Piece) -> variables.Uses:
        """Return what one of its statements does to its variables, or did."""
        node = self.as_it_ran(piece)
        if id(node) not in self._uses:
            self._uses[id(node)] = variables.uses([node])
        return self._uses[id(node)]

    def as_it_ran(self, piece: Piece) -> ast.stmt:
        """Return one of its statements; without blocks that did not run, if it ran and stays."""
        old = self._before.get(id(piece))
        if old is None or (old is not piece and piece.index in self.run):
            return piece.node
        if id(old) not in self._ran:
            lines = self.draft.program.books.lines.get(self.key)
            self._ran[id(old)] = old.node if lines is None else unran.pruned(old.node, lines, self.old)
        return self._ran[id(old)]

    @cached_property
    def _before(self) -> dict[int, Piece]:
        """By the ids of old statements, and of new ones that are the same: the old ones."""
        same = [(pair.new, pair.old) for pair in self.pairs if pair.kind is Kind.SAME]
        olds = [(pair.old, pair.old) for pair in self.pairs]
        return {id(piece): old for piece, old in (*same, *olds) if piece is not None and old is not None}

    def _names(self, piece: Piece) -> names.Names:
        return names.of_piece(piece, self.draft.out.target[self.module])

    def stale_at(self, offset: int) -> None:
        """The statement at an offset of the old function used what is another thing now."""
        line = self.key[2] + offset - 1
        for pair in self.pairs:
            if pair.old is not None and pair.old.line <= line <= pair.old.end_line:
                self._act(pair)

    def stale_readers(self, read: set[str]) -> None:
        """The statements that read some names of the module used what is another thing now."""
        for pair in self.pairs:
            if pair.new is not None and pair.old is not None:
                row = self._names(Piece(1, self.as_it_ran(pair.new), ""))
                inner = {item.bound for item in row.imports if item.bound in read}
                if row.reads & read or inner:
                    self._act(pair)

    def stale_where(self, is_meant: Callable[[ast.AST], bool]) -> None:
        """The statements that something holds for used what is another thing now."""
        for pair in self.pairs:
            if pair.new is not None and pair.old is not None and is_meant(self.as_it_ran(pair.new)):
                self._act(pair)

    # what comes of it

    def judge(self) -> bool:
        """Judge what runs and what ends, if there is more of it than last time; return whether there is."""
        size = len(self.run) + len(self.end)
        if size == self.judged:
            return False
        self.judged = size
        why = replays.why_not(self)
        if why:
            what = f"{self.key[1]} ran at the start, and {why}"
            self.draft.refuse("startup", f"{self.module}:{self.new.lineno}", what)
        for index in self.run:
            row = names.of_piece(Piece(1, self.new.body[index], ""), self.draft.out.target[self.module])
            self.draft.ran_imports += row.imports
        return True

    @property
    def uid(self) -> int:
        """The statement that it is, or is in."""
        uid = self.draft.program.statement_at(self.module, self.old.lineno)
        assert uid is not None
        return uid

    def ends(self, place: Place) -> bool:
        """Whether what stands at a place in it ends, or is run again."""
        return place[:2] == (self.module, self.uid) and any(
            first <= place[2] <= last for first, last in map(self.lines, self.ending)
        )

    @property
    def nodes(self) -> list[ast.stmt]:
        """The new statements that run."""
        return [self.new.body[index] for index in sorted(self.run)]

    @property
    def ending(self) -> list[Piece]:
        """The old statements that end."""
        return [pair.old for pair in self.pairs if pair.old is not None and pair.old.index in self.end]

    def lines(self, piece: Piece) -> tuple[int, int]:
        """Return the lines of an old statement within the function."""
        return self._offsets(piece, self.old)

    def configs(self) -> Iterator[configs.Book]:
        """Yield what is known of the configurations of the apps that it set up."""
        for left in self.runs:
            for value in left.variables.values():
                book = configs.book_of(value.config) if isinstance(value, App) else None
                if book is not None:
                    yield book

    def settle(self) -> None:
        """Let what was judged to end do so, and what stays be known by its new lines."""
        uid = self.uid
        for pair in self.pairs:
            if pair.old is not None:
                part = (self.module, uid, *self.lines(pair.old))
                if pair.old.index in self.end:
                    self.draft.out.parts.add(part)
                    self._functions_end(pair.old)
                elif pair.new is not None:
                    self.draft.out.relocate[part] = self._offsets(pair.new, self.new)

    def do(self) -> None:
        """Let all that is to run do so in the variables that each run left behind."""
        for left in self.left if self.run or self.end else ():
            self._do(left)

    def _functions_end(self, piece: Piece) -> None:
        """Functions that an ended statement made are not changed: others take their place."""
        kept = []
        for old, new in self.draft.code_pairs[self.module]:
            inside = piece.line <= old.co_firstlineno <= piece.end_line
            if inside and old.co_qualname.startswith(f"{self.key[1]}.<locals>."):
                self.draft.remade_codes.add((self.module, old))
            else:
                kept.append((old, new))
        self.draft.code_pairs[self.module] = kept

    @staticmethod
    def _offsets(piece: Piece, function: bodies.Function) -> tuple[int, int]:
        first = first_line(function)
        return piece.line - first + 1, piece.end_line - first + 1

    def _do(self, left: Left) -> None:
        draft, every = self.draft, variables.of_function(self.new)
        parsed, filename, first = draft.parsed(self.module), draft.filename(self.module), first_line(self.new)
        cells = self._cells(left)
        bound = {n for p in self.pairs if p.old and p.old.index in self.end for n in self.uses(p.old).binds}
        for index in sorted(self.run):
            bound |= variables.uses([self.new.body[index]]).binds
        draft.part(0, "", steps.Unbind(left, cells, frozenset(bound)))
        for index in sorted(self.run):
            node = self.new.body[index]
            mine = variables.uses([node]).binds & every
            code = compile_part(
                self.new, self.key[1], node, (every, mine), lambda n: compile_nodes(n, parsed, filename)
            )
            step = steps.Part(draft.live(self.module), code, left, cells, frozenset(mine))
            draft.part(node.lineno - first + 1, f"{self.module}:{node.lineno}", step)

    def _cells(self, left: Left) -> dict[str, CellType]:
        """Return the cells by which functions of the factory share its variables."""
        found: dict[str, CellType] = dict(left.cells)
        for function in self._inner_functions:
            if not _is_of(function, left):
                continue
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                if found.setdefault(name, cell) is not cell or self._is_of_others(function, left):
                    self._ambiguous(name)
        return found

    def _ambiguous(self, name: str) -> None:
        what = f"{self.key[1]} ran more than once, and which run's `{name}` its functions use can't be told"
        self.draft.refuse("startup", f"{self.module}:{self.new.lineno}", what)

    def _is_of_others(self, function: FunctionType, left: Left) -> bool:
        return any(other is not left and _is_of(function, other) for other in self.runs)

    @cached_property
    def _inner_functions(self) -> list[FunctionType]:
        """The live functions that runs of the factory have made."""
        live = self.draft.live(self.module)
        index = self.draft.program.uids(self.module).index(self.uid)
        every = codes.walk(self.draft.program.codes(self.module)[index])
        wanted = {code for code in every if code.co_qualname.startswith(self._inside)}
        tables = [vars(target) for target in list(registrations.targets)]
        found = functions.live_functions([live], tables, wanted) if wanted else {}
        return [one for held in found.values() for one in held if one.__globals__ is vars(live)]


def _is_of(function: FunctionType, left: Left) -> bool:
    """Whether a function was made by a certain run: it shares that run's variables."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            if name in left.variables and cell.cell_contents is not left.variables[name]:
                return False
        except ValueError:
            continue
    return True


def settle(draft: Draft) -> None:
    """Let all that factories must make up for be done."""
    for key in draft.program.books.runs:  # also those of which only lines change
        if key[0] in draft.units:
            find(draft, key)
    made = [one for one in draft.factories.values() if one is not None]
    for one in made:
        one.settle()
    for one in made:  # all lines are known now
        one.do()
    over = [left for found in draft.program.books.runs.values() for left in found if is_over(draft, left)]
    if over:
        draft.last("", steps.EndRuns(draft.program, tuple(over)))


def is_over(draft: Draft, left: Left) -> bool:
    """Whether what a run of a function was made by ends, or is made again."""
    ended = draft.acted | draft.out.withdraw
    by_statement = any(
        within == 0 and ((module, uid) in ended or module in draft.out.dropped)
        for module, uid, within in since_import(left.chain)
    )
    made = [one for one in draft.factories.values() if one is not None]
    return by_statement or any(one.ends(place) for one in made for place in since_import(left.chain)[:-1])


def find(draft: Draft, key: startup.Function) -> Factory | None:
    """Return the factory of a function, made once a plan; None if it can't be compared."""
    if key in draft.factories:
        return draft.factories[key]
    made = _made(draft, key)
    draft.factories[key] = made
    return made


def _made(draft: Draft, key: startup.Function) -> Factory | None:
    runs = draft.program.books.runs.get(key, [])
    if draft.boots or not 0 < len(runs) <= startup.MOST_RUNS:
        return None
    found = sides(draft, key)
    if found is None or isinstance(found[1], ast.AsyncFunctionDef):
        return None
    old, new = found
    if not (alike(old.args, new.args) and alike(old.decorator_list, new.decorator_list)):
        return None
    if any(
        isinstance(one, _SUSPENDING) for node in (*old.body, *new.body) for one in variables.own_nodes(node)
    ):
        return None
    return Factory(draft, key, old, new, runs, diff.compare_bodies(old.body, new.body))


_SUSPENDING = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)
