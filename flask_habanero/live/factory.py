"""What a factory does differently now is done to the app that it made then.

A factory such as `create_app` ran once, at the start; its variables were kept. Its body is compared
statement by statement, as a module's is: what changed, or used what changed, runs in those variables; what
it had registered or configured before ends. What stays is not run again.

The same holds for each function that had an app or a blueprint in its hands: `register_views(app)`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from ..source import Piece, compile_nodes
from . import codes, configured, diff, entries, names, slots, startup, steps
from .diff import Kind, Pair
from .effects import WRITTEN_DOWN, first_refusal
from .judge.findings import Effect
from .judge.interpreter import Interpreter
from .judge.values import Live, Scope, Value
from .skeleton import alike
from .world import World

if TYPE_CHECKING:
    from .draft import Draft
    from .program import Left

_OUTER = "_habanero_outer"


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
    old: names.Function
    new: names.Function
    runs: list[Left]
    pairs: list[Pair]
    run: set[int] = field(default_factory=set)
    end: set[int] = field(default_factory=set)
    judged: int = 0  # how much was to be done when it was judged last

    @property
    def module(self) -> str:
        """The module that the function is of."""
        return self.key[0]

    def take_up(self) -> None:
        """Let what is different in its own body be made up for."""
        for pair in self.pairs:
            if pair.kind is Kind.SAME or (pair.kind is Kind.BODY and self._keeps_variables(pair)):
                continue
            if pair.kind is Kind.MOVED and isinstance(pair.new and pair.new.node, _DEFINING):
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
        bound = {name for piece in (pair.old, pair.new) if piece for name in self._names(piece).binds}
        self._followed(bound)

    def _followed(self, bound: set[str]) -> None:
        """Variables are others now: follow who read them, also in functions that the factory called."""
        for other in self.pairs:
            if (
                other.new is not None
                and other.new.index not in self.run
                and self._names(other.new).reads & bound
            ):
                self._act(other)
        prefix = f"{self.key[1]}.<locals>."
        for code in (inner for one in self.draft.program.codes(self.module) for inner in codes.walk(one)):
            if code.co_qualname.startswith(prefix) and bound & set(code.co_freevars):
                place = (self.module, code.co_qualname, code.co_firstlineno)
                self.draft.used_variables.append((place, frozenset(bound)))

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
                row = self._names(pair.new)
                inner = {item.bound for item in row.imports if item.bound in read}
                if row.reads & read or inner:
                    self._act(pair)

    def stale_where(self, is_meant: Callable[[ast.AST], bool]) -> None:
        """The statements that something holds for used what is another thing now."""
        for pair in self.pairs:
            if pair.new is not None and pair.old is not None and is_meant(pair.new.node):
                self._act(pair)

    # what comes of it

    def judge(self) -> bool:
        """Judge what runs and what ends, if there is more of it than last time; return whether there is."""
        size = len(self.run) + len(self.end)
        if size == self.judged:
            return False
        self.judged = size
        why = self._judge_variables() or self._judge_returns() or self._judge_end() or self._judge_run()
        if why:
            what = f"{self.key[1]} ran at the start, and {why}"
            self.draft.refuse("startup", f"{self.module}:{self.new.lineno}", what)
        return True

    def settle(self) -> None:
        """Let what was judged be done."""
        if not (self.run or self.end):
            return
        uid = self.draft.program.statement_at(self.module, self.old.lineno)
        assert uid is not None
        for pair in self.pairs:
            if pair.old is not None:
                part = (self.module, uid, *self._offsets(pair.old, self.old))
                if pair.old.index in self.end:
                    self.draft.out.parts.add(part)
                elif pair.new is not None:
                    self.draft.out.relocate[part] = self._offsets(pair.new, self.new)[0]
        for pair in self.pairs:
            if pair.old is not None and pair.old.index in self.end:
                self._functions_end(pair.old)
        for index in sorted(self.run):
            self._do(index)

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
    def _offsets(piece: Piece, function: names.Function) -> tuple[int, int]:
        first = first_line(function)
        return piece.line - first + 1, piece.end_line - first + 1

    def _judge_variables(self) -> str:
        """Return which variable has another value at the end than where a statement that runs stands."""
        given = {one.arg for one in names.parameters(self.new.args)}
        rows = {p.new.index: self._names(p.new) for p in self.pairs if p.new is not None}
        ended = [self._names(p.old) for p in self.pairs if p.old is not None and p.old.index in self.end]
        bound = {name for row in (*ended, *(rows[index] for index in self.run)) for name in row.binds}
        binders = {name: [i for i, row in rows.items() if name in row.binds] for name in _bound_in(self.new)}
        for name in sorted(bound):
            if name in given or not self.run.issuperset(binders.get(name, ())):
                return f"`{name}` is bound more than once"
        for index in self.run:
            for name in rows[index].reads & binders.keys():
                before = [i for i in binders[name] if i < index]
                later = len(before) < len(binders[name])
                if later and before and (name in given or not self.run.issuperset(before)):
                    return f"`{name}` is bound again later"
        return ""

    def _judge_returns(self) -> str:
        """Return why it can't be told whether what runs is reached: the function may have returned before."""
        for pair in self.pairs:
            old, new = pair.old, pair.new
            if old is not None and old.index in self.end and _returns(old.node):
                return f"`{diff.title(old)}` returned"
            if new is None or new.index in self.run or not _returns(new.node):
                continue
            if any(index > new.index for index in self.run) and not self._went_past(new.index):
                return f"`{diff.title(new)}` may have returned before"
        return ""

    def _went_past(self, index: int) -> bool:
        """Whether each run has got beyond a statement: a later one that stays has bound its names."""
        later = [p.new for p in self.pairs if p.new is not None and p.old is not None and p.new.index > index]
        sure = [self._names(one).binds for one in later if isinstance(one.node, _BINDING)]
        before = {n for p in self.pairs if p.new and p.new.index <= index for n in self._names(p.new).binds}
        return any(
            all(bound <= left.variables.keys() for left in self.runs) for bound in sure if bound - before
        )

    def _judge_end(self) -> str:
        """Return why what ends can't be taken back: it must have done nothing but register and configure."""
        world = World(self.draft.program, self.draft.program.tree, set())
        for pair in self.pairs:
            if pair.old is not None and pair.old.index in self.end:
                found = self._gone_through(world, [pair.old.node], self.runs[0])
                configured.written(self.draft, found)
                rest = [effect for effect in found if effect.kind not in WRITTEN_DOWN]
                if rest:
                    return f"what `{diff.title(pair.old)}` did can't be taken back: {rest[0].why}"
        return ""

    def _judge_run(self) -> str:
        nodes = [pair.new.node for pair in self.pairs if pair.new is not None and pair.new.index in self.run]
        nodes.sort(key=lambda node: node.lineno)
        for node in nodes:
            if any(isinstance(one, ast.Return | ast.Global | ast.Nonlocal) for one in own_statements(node)):
                return f"`{ast.unparse(node).splitlines()[0][:50]}` can't be made up for"
            self.draft.ran_imports += self._names(Piece(1, node, "")).imports
        for left in self.runs:
            found = self._gone_through(self.draft.world, nodes, left)
            if (why := first_refusal(found)) is not None:
                return why
            configured.written(self.draft, found)
            entries.touched(self.draft, found)
            self.draft.registers |= any(effect.kind == "registers" for effect in found)
        return ""

    def _gone_through(self, world: World, nodes: Iterable[ast.stmt], left: Left) -> list[Effect]:
        interpreter = Interpreter(world)
        variables: dict[str, Value] = {name: Live(value) for name, value in left.variables.items()}
        scope = Scope(variables, interpreter.scope_of(self.module).find, self.module)
        for node in nodes:
            interpreter.run_statement(node, scope)
        return interpreter.effects

    def _do(self, index: int) -> None:
        node = self.new.body[index]
        bound = self._names(Piece(1, node, "")).binds
        every = set(bound).union(*(left.variables for left in self.runs), _bound_in(self.new))
        parsed, filename = self.draft.parsed(self.module), self.draft.filename(self.module)
        code = compile_part(self.new, node, every, bound, lambda n: compile_nodes(n, parsed, filename))
        code = named(code, self.key[1])
        nested = {old for old, _ in self.draft.code_pairs[self.module]}
        for left in self.runs:
            cells = self._cells(left, nested)
            step = steps.Part(self.draft.live(self.module), code, left, cells, frozenset(bound))
            self.draft.part((self.module, first_line(self.new), index), f"{self.module}:{node.lineno}", step)

    def _cells(self, left: Left, nested: set[CodeType]) -> dict[str, CellType]:
        """Return the cells by which functions of the factory share its variables."""
        found: dict[str, CellType] = dict(left.cells)
        for function in self._inner_functions(left, nested):
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                found.setdefault(name, cell)
        return found

    def _inner_functions(self, left: Left, nested: set[CodeType]) -> Iterator[FunctionType]:
        prefix = f"{self.key[1]}.<locals>."
        candidates = [value for value in left.variables.values() if isinstance(value, FunctionType)]
        for code in nested:
            if code.co_qualname.startswith(prefix):
                candidates += self.draft.holders(self.module, code)
        for one in candidates:
            inner = slots.unwrapped(one)
            if inner.__qualname__.startswith(prefix) and _is_of(inner, left):
                yield inner


def _is_of(function: FunctionType, left: Left) -> bool:
    """Whether a function was made by a certain run: it shares that run's variables."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            if name in left.variables and cell.cell_contents is not left.variables[name]:
                return False
        except ValueError:
            continue
    return True


_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_BINDING = (*_DEFINING, ast.Assign)


def _returns(node: ast.stmt) -> bool:
    return any(isinstance(one, ast.Return) for one in own_statements(node))


def settle(draft: Draft) -> None:
    """Let all that factories must make up for be done."""
    for one in draft.factories.values():
        if one is not None:
            one.settle()


def find(draft: Draft, key: startup.Function) -> Factory | None:
    """Return the factory of a function, made once a plan; None if it can't be compared."""
    if key in draft.factories:
        return draft.factories[key]
    made = _made(draft, key)
    draft.factories[key] = made
    return made


def _made(draft: Draft, key: startup.Function) -> Factory | None:
    module, qualname, first = key
    runs = draft.program.books.runs.get(key, [])
    if draft.boots or not 0 < len(runs) <= startup.MOST_RUNS or module not in draft.program.tree:
        return None
    old = _definition(draft.program.tree[module].parsed.pieces, qualname, first)
    place = draft.out.renamed.get(key) or next(
        (new for was, new in _renames(draft, module) if was == key), key
    )
    new = _definition(draft.parsed(module).pieces, qualname, place[2]) if module in draft.out.target else None
    if old is None or new is None or isinstance(new, ast.AsyncFunctionDef):
        return None
    if not (alike(old.args, new.args) and alike(old.decorator_list, new.decorator_list)):
        return None
    if any(isinstance(one, ast.Yield | ast.YieldFrom | ast.Await) for one in ast.walk(new)):
        return None
    return Factory(draft, key, old, new, runs, diff.compare_bodies(old.body, new.body))


def _renames(draft: Draft, module: str) -> Iterator[tuple[startup.Function, startup.Function]]:
    for old, new in draft.code_pairs[module]:
        if new is not None:
            yield (module, old.co_qualname, old.co_firstlineno), (module, new.co_qualname, new.co_firstlineno)


def _definition(pieces: Iterable[Piece], qualname: str, first: int) -> names.Function | None:
    for piece in pieces:
        for found, node in names.functions_in(piece.node):
            if found == qualname and first_line(node) == first:
                return node
    return None


def first_line(node: names.Function) -> int:
    """Return the line at which a function begins, its decorators included."""
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


def own_statements(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield a statement and what is in it, but not what is in functions and classes in it."""
    todo: list[ast.AST] = [node]
    while todo:
        one = todo.pop()
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(one))


def _bound_in(function: names.Function) -> set[str]:
    found = {one.arg for one in names.parameters(function.args)}
    for statement in function.body:
        for one in own_statements(statement):
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(one.name)
            elif isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
                found.add(one.id)
            elif isinstance(one, ast.Import | ast.ImportFrom):
                found |= {alias.asname or alias.name.partition(".")[0] for alias in one.names}
    return found


def compile_part(
    function: names.Function, node: ast.stmt, every: set[str], bound: set[str], compiled: Any
) -> CodeType:
    """Return the code of one statement of a function, which has all of the function's variables as free ones.

    Args:
        function: the function, as it will be.
        node: the statement.
        every: the names of its variables.
        bound: those that the statement binds.
        compiled: compiles nodes.
    """
    own = sorted(every)
    body: list[ast.stmt] = [ast.Nonlocal(sorted(bound))] if bound else []
    inner = ast.FunctionDef(function.name, _no_args(), [*body, node], [])
    outer = ast.FunctionDef(_OUTER, _no_args(own), [inner], [])
    for made in (inner, outer):
        if hasattr(function, "type_params"):
            made.type_params = []  # type: ignore[attr-defined]  # of 3.12 and later
    place = ast.copy_location(ast.Pass(), function)
    place.lineno = first_line(function)
    for one in (outer, inner, *body):
        ast.copy_location(one, place)
        ast.fix_missing_locations(one)
    (made_outer,) = codes.children(compiled([outer]))
    (found,) = [code for code in codes.children(made_outer) if code.co_name == function.name]
    return found


def _no_args(own: Iterable[str] = ()) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in own], None, [], [], None, [])


def named(code: CodeType, qualname: str) -> CodeType:
    """Return a part's code, and all that it holds, under the names that they have in the whole function."""
    before = f"{_OUTER}.<locals>.{qualname.rpartition('.')[2]}"

    def renamed(one: CodeType) -> CodeType:
        consts = tuple(renamed(c) if type(c) is CodeType else said(c) for c in one.co_consts)
        return one.replace(co_qualname=one.co_qualname.replace(before, qualname, 1), co_consts=consts)

    def said(constant: Any) -> Any:
        """A class takes its qualified name from a constant."""
        is_it = type(constant) is str and constant.startswith(f"{before}.<locals>.")
        return constant.replace(before, qualname, 1) if is_it else constant

    return renamed(code)
