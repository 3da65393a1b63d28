"""Decide: from the running program and a bundle to ordered steps, or to reasons why not.

Nothing is executed here and nothing is changed. The statements of each changed module are paired
with those that are loaded; each pair says what becomes of it; what others had read from it at
import is then followed (`flow`) until nothing more is stale. What can't be told is a reason.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import Reason
from ..source import Parsed, Piece, Source, Unit, compile_nodes
from . import codes, diff, effects, functions, imports, members, names, registrations, steps
from .diff import Kind, Pair

if TYPE_CHECKING:
    from .program import Program

Node = tuple[str, str]
"""(module, name at module level)."""

RESTART = "restart to take this change"


@dataclass(frozen=True)
class Action:
    """A step with its place in cold-start order."""

    order: tuple[int, int]  # rank of its statement in a cold start; 0 for a header, 1 for a run
    where: str
    step: Any  # one of steps.*


@dataclass(frozen=True)
class Step:
    """What people read of a plan: one line a module."""

    module: str
    path: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {' '.join(self.words)}" if self.words else self.path


@dataclass
class Plan:
    """What commit runs. `reasons` is empty if the change is hot."""

    target: dict[str, Source]
    deletions: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    reasons: tuple[Reason, ...] = ()
    swaps: list[steps.SwapCode] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    withdraw: set[tuple[str, int]] = field(default_factory=set)  # statements whose registrations end or are made anew
    moved: set[tuple[str, int]] = field(default_factory=set)
    uids: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[str, list[CodeType]] = field(default_factory=dict)
    renamed: dict[tuple[str, str, int], tuple[str, str, int]] = field(default_factory=dict)  # functions on other lines
    preload: list[str] = field(default_factory=list)
    show: list[steps.ShowSource] = field(default_factory=list)
    clear: list[steps.ClearCache] = field(default_factory=list)
    runs_code: bool = False


def make_plan(program: Program, units: tuple[Unit, ...], deletions: tuple[str, ...]) -> Plan:
    """Return the plan for a bundle's units and deletions."""
    program.settle()
    return Planner(program, units, deletions).plan()


class Planner:
    """Builds one plan. Thrown away afterwards."""

    def __init__(self, program: Program, units: tuple[Unit, ...], deletions: tuple[str, ...]) -> None:
        self.program = program
        self.units = {unit.name: unit for unit in units}
        target = {name: source for name, source in program.tree.items() if name not in deletions}
        target.update((unit.name, unit.source) for unit in units)
        self.out = Plan(target, deletions)
        self.reasons: dict[tuple[str, str, str], Reason] = {}
        self.words: dict[str, list[str]] = defaultdict(list)
        self.code_pairs: dict[str, list[tuple[CodeType, CodeType | None]]] = defaultdict(list)
        self.acted: set[tuple[str, int]] = set()  # statements that run, or end, in any case
        self.dirty_members: list[tuple[str, str, frozenset[str]]] = []
        self.dirty: list[Node] = []  # names that stand for something else from now on
        self.changed_functions: list[tuple[str, str, int]] = []  # (module, qualified name, first line as loaded)
        self.shape_changed: list[tuple[str, str]] = []  # classes whose constructor changed
        self.registers = False
        self.ran_imports: list[names.Import] = []

    # the way through

    def plan(self) -> Plan:
        """Go through it all, in order."""
        from .flow import Flow

        out = self.out
        for unit in self.units.values():
            self._module(unit)
        for name in out.deletions:
            self._deleted(name)
        if not self.reasons:
            Flow(self).run()
        if not self.reasons:
            self._check_imports()
        if not self.reasons:
            self._find_functions()
            self._check_registrations()
        out.actions.sort(key=lambda action: action.order)
        out.reasons = tuple(self.reasons.values())
        changed = [*self.units, *out.deletions, *(name for name in self.words if name not in self.units)]
        out.steps = tuple(self._step(name) for name in dict.fromkeys(changed))
        return out

    def _step(self, name: str) -> Step:
        source = self.out.target.get(name) or self.program.tree[name]
        return Step(name, source.path, tuple(dict.fromkeys(self.words[name])))

    def refuse(self, code: str, where: str, what: str, hint: str = RESTART) -> None:
        """Note why the plan is impossible. All reasons are collected."""
        self.reasons.setdefault((code, where, what), Reason(code, where, what, hint))

    def where(self, name: str, node: ast.AST | Piece | None) -> str:
        """Return module:line."""
        line = node.line if isinstance(node, Piece) else getattr(node, "lineno", 0)
        return f"{name}:{line}"

    # modules

    def _module(self, unit: Unit) -> None:
        program, name = self.program, unit.name
        old = program.tree.get(name)
        module = program.loaded(name)
        if module is None:
            self.words[name].append("new module" if old is None else "not loaded yet")
            return
        if old is None:
            self.refuse("unknown-module", name, f"{name} is loaded, but its source was not here at the start")
            return
        main = sys.modules.get("__main__")
        if main is not module and main is not None and program.unit_name("__main__") == name:
            self.refuse("loaded-twice", name, f"{name} runs twice: as itself and as __main__", "start the app with: flask run")
            return
        filename = program.filename(name, old)
        old_codes = program.codes(name)
        new_codes = [codes.load(statement.code, filename) for statement in unit.statements]
        self.out.codes[name] = new_codes
        self.out.show.append(steps.ShowSource(filename, unit.source.text))
        before, uids = program.uids(name), [0] * len(new_codes)
        for pair in diff.compare(old.parsed, unit.source.parsed):
            uid = before[pair.old.index] if pair.old else program.new_uid()
            if pair.new:
                uids[pair.new.index] = uid
            self.out.uids[name] = uids
            if pair.old and pair.new:
                self._pair(name, module, pair, uid, (old_codes[pair.old.index], new_codes[pair.new.index]))
            elif pair.new:
                self._added(name, module, pair.new, uid)
            elif pair.old:
                self._removed(name, module, pair.old, uid)
        self._rebinding(name, old.parsed, unit.source.parsed)

    def _pair(self, name: str, module: ModuleType, pair: Pair, uid: int, code: tuple[CodeType, CodeType]) -> None:
        assert pair.old and pair.new
        if code[0] != code[1]:
            self.code_pairs[name] += codes.pairs(*code)
        if pair.kind is Kind.MOVED:
            self._moved(name, pair, uid)
        elif pair.kind is Kind.BODY:
            self._bodies(name, pair)
        elif pair.kind is Kind.CHANGED:
            old, new = pair.old.node, pair.new.node
            functions_both = isinstance(old, names.Function) and isinstance(new, names.Function)
            if functions_both:
                self._function(name, module, pair, uid)
            elif isinstance(old, ast.ClassDef) and isinstance(new, ast.ClassDef):
                self._class(name, module, pair)
            else:
                self._again(name, module, pair, uid)

    def _deleted(self, name: str) -> None:
        old = self.program.tree.get(name)
        if old is None:
            return
        self.words[name].append("-module")
        module = self.program.loaded(name)
        if module is None:
            return
        for piece, uid in zip(old.parsed.pieces, self.program.uids(name), strict=True):
            self._removed(name, module, piece, uid, quiet=True)
        self.out.actions.append(Action((10**9, 0), name, steps.DropModule(module.__name__)))

    def _rebinding(self, name: str, old: Parsed, new: Parsed) -> None:
        """A name stands for what the last statement that binds it made: one that doesn't run must not come after one that does."""
        for bound in diff.bound_twice(old) | diff.bound_twice(new):
            runs = [
                (piece, (name, uid) in self.acted)
                for piece, uid in zip(new.pieces, self.out.uids.get(name) or self.program.uids(name), strict=True)
                if bound in names.parsed_names(new)[piece.index].binds
            ]
            gone = any(bound in row.binds for piece, row in zip(old.pieces, names.parsed_names(old), strict=True) if self._ends(name, piece))
            if runs and not runs[-1][1] and (gone or any(ran for _, ran in runs)):
                hint = "give each a name of its own, or restart"
                self.refuse("bound-twice", self.where(name, runs[-1][0]), f"{bound} is bound by more than one statement", hint)

    def _ends(self, name: str, piece: Piece) -> bool:
        uid = self.program.uids(name)[piece.index]
        return uid not in self.out.uids.get(name, [uid])

    # one statement

    def judge(self, name: str) -> effects.Judge:
        """Return the judge of a module's statements."""
        return effects.Judge(name, self._live)

    def _live(self, module: str, name: str) -> Any:
        """What a name will stand for after the release: a pending definition's AST, or the live object."""
        if name.startswith("def "):
            return self._definition(self.program.unit_name(module), name[4:])
        live = self.program.loaded(module)
        pending = self._pending.get((module, name))
        if pending is not None:
            return pending
        if live is None:
            return self._unloaded(module, name)
        return vars(live).get(name, getattr(_BUILTINS, name, effects.MISSING))

    def _unloaded(self, module: str, name: str) -> Any:
        """Resolve a name of a module that is not loaded yet through its definitions and imports."""
        source = self.out.target.get(module)
        if source is None:
            return effects.MISSING
        found: Any = effects.MISSING
        for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
            if name in row.binds:
                found = self._standing_for(module, piece.node, name, row)
        return found if found is not effects.MISSING else getattr(_BUILTINS, name, effects.MISSING)

    @cached_property
    def _pending(self) -> dict[Node, Any]:
        """What new or changed statements will bind: name -> AST node, or the live object that an import fetches."""
        found: dict[Node, Any] = {}
        for name, unit in self.units.items():
            if self.program.loaded(name) is None:
                continue
            old = self.program.tree.get(name)
            known = {piece.digest for piece in old.parsed.pieces} if old else set()
            for piece, row in zip(unit.source.parsed.pieces, names.of_source(unit.source), strict=True):
                if piece.digest not in known:
                    for bound in row.binds:
                        value = self._standing_for(name, piece.node, bound, row)
                        live = self.program.loaded(name)
                        if isinstance(value, ast.AST) and isinstance(vars(live).get(bound), FunctionType | type):
                            continue  # the live one keeps its identity: _definition finds its new source
                        found[name, bound] = value
        return found

    def _standing_for(self, module: str, node: ast.stmt, bound: str, row: names.Names) -> Any:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return node if not getattr(node, "decorator_list", None) else effects.MISSING
        for item in row.imports:
            if item.bound == bound:
                return self._imported(item)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Constant):
            if isinstance(node.value, ast.Constant):
                return node.value.value
            return effects.Pending(module, node.value.func)
        return effects.MISSING

    def _imported(self, item: names.Import) -> Any:
        if item.name is None:
            return sys.modules.get(item.bound if item.bound == item.module.partition(".")[0] else item.module, effects.MISSING)
        child = sys.modules.get(f"{item.module}.{item.name}")
        unit = self.program.unit_name(item.module)
        if unit in self.out.target:
            found = self._live(unit, item.name)
            return child if found is effects.MISSING and child is not None else found
        live = sys.modules.get(item.module)
        return getattr(live, item.name, effects.MISSING) if live is not None else effects.MISSING

    def _definition(self, module: str, qualname: str) -> Any:
        """Return the AST of the app's own function or class, as it will be; MISSING for anybody else's."""
        source = self.out.target.get(module)
        if source is None:
            return effects.MISSING
        for piece in source.parsed.pieces:
            node = piece.node
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == qualname:
                return node
        return effects.MISSING

    def _moved(self, name: str, pair: Pair, uid: int) -> None:
        assert pair.new
        node = pair.new.node
        self.out.moved.add((name, uid))
        self.acted.add((name, uid)) if self._binds(name, pair.new) else None
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign):
            if (why := self.judge(name).statement(node)) is not None:
                self.refuse("moved", self.where(name, pair.new), f"moved, and {why}")

    def _binds(self, name: str, piece: Piece) -> set[str]:
        return names.of_source(self.out.target[name])[piece.index].binds

    def _bodies(self, name: str, pair: Pair) -> None:
        """Only bodies differ: swapped; who called a changed function at import is stale."""
        assert pair.old and pair.new
        after = list(names.functions_in(pair.new.node))
        for (qualname, old), (_, new) in zip(names.functions_in(pair.old.node), after, strict=True):
            if ast.dump(old) != ast.dump(new):
                self.words[name].append(f"~{qualname}")
            if names.own_level(old) != names.own_level(new):
                self._function_changed(name, qualname, old)
        if not after:
            self.words[name].append(f"~{_title(pair.new)}")
        if isinstance(pair.new.node, ast.ClassDef):
            self._super(name, pair.new, pair.new.node)

    def _super(self, name: str, piece: Piece, node: ast.ClassDef) -> None:
        """Methods that gain or lose `super()` need a function of another shape: made anew, as members."""
        found = [
            (old, new)
            for old, new in self.code_pairs[name]
            if new is not None and set(old.co_freevars) ^ set(new.co_freevars) == {"__class__"} and new.co_qualname.count(".") == 1
        ]
        put = [m for m in node.body for _, new in found if isinstance(m, names.Function) and new.co_qualname == f"{node.name}.{m.name}"]
        module = self.program.loaded(name)
        cls = vars(module).get(node.name) if module else None
        if put and module and isinstance(cls, type) and effects.is_plain_class(cls) and all(map(members.is_simple, put)):
            self.code_pairs[name] = [pair for pair in self.code_pairs[name] if pair not in found]
            change = members.ClassChange(put=put)
            step = members.step(change, node, cls, module, self._parsed(name), self._filename(name))
            self._act(name, piece, 1, lambda: step)

    def _function_changed(self, name: str, qualname: str, old: names.Function) -> None:
        first = min([old.lineno, *(d.lineno for d in old.decorator_list)])
        self.changed_functions.append((name, qualname, first))
        owner, _, last = qualname.rpartition(".")
        if owner and last in ("__init__", "__new__", "__post_init__"):
            self.shape_changed.append((name, owner))

    def _function(self, name: str, module: ModuleType, pair: Pair, uid: int) -> None:
        """A `def` changed in more than its body."""
        assert pair.old and pair.new and isinstance(pair.old.node, names.Function) and isinstance(pair.new.node, names.Function)
        old, new = pair.old.node, pair.new.node
        self.words[name].append(f"~{new.name}")
        self.acted.add((name, uid))
        judge = self.judge(name)
        if getattr(old, "type_params", None) or getattr(new, "type_params", None):
            self.refuse("type-params", self.where(name, new), f"{new.name}: type parameters")
            return
        if type(old) is not type(new) or names.own_level(old) != names.own_level(new) or _dumps(old.args) != _dumps(new.args):
            self._function_changed(name, new.name, old)
        raw = self._raw(name, pair.old, old)
        if _dumps(old.args, old.returns) != _dumps(new.args, new.returns):
            if (why := judge._header(new.args, new.returns)) is not None:
                self.refuse("default", self.where(name, new), why)
            self._conform(name, module, pair.new, raw)
        keepers = all(judge.keeps_function(d) for d in [*old.decorator_list, *new.decorator_list])
        if _dumps(*old.decorator_list) != _dumps(*new.decorator_list) or not keepers:
            self.decorate(name, module, pair.new, uid, raw, old)

    def _raw(self, name: str, piece: Piece, node: names.Function) -> Callable[[], FunctionType | None]:
        """Return a way to the one live function that a top-level `def` made, found when all functions are."""
        code = next(c for c in codes.children(self.program.codes(name)[piece.index]) if c.co_name == node.name)

        def find() -> FunctionType | None:
            found = [f for f in self._live_functions.get(code, []) if f.__qualname__ == node.name]
            if len(found) == 1:
                return found[0]
            self.refuse("not-found", self.where(name, node), f"{node.name}: {len(found)} live functions come from this definition")
            return None

        return find

    @cached_property
    def _live_functions(self) -> dict[CodeType, list[FunctionType]]:
        wanted = {*self.units, *(module for module, _ in self.acted), *self.code_pairs}
        modules = [live for name in wanted if (live := self.program.loaded(name)) is not None]
        return functions.live_functions(modules) if modules else {}

    def _conform(self, name: str, module: ModuleType, piece: Piece, raw: Callable[[], FunctionType | None]) -> None:
        node = piece.node
        assert isinstance(node, names.Function)
        bare = type(node)(**{**dict(ast.iter_fields(node)), "decorator_list": []})
        ast.copy_location(bare, node)
        parsed = self._parsed(name)
        code = compile_nodes([bare], parsed, self._filename(name))
        self._act(name, piece, 0, lambda: (f := raw()) and steps.Conform(f, module, node.name, code))

    def decorate(
        self, name: str, module: ModuleType, piece: Piece, uid: int, raw: Callable[[], FunctionType | None], old: names.Function
    ) -> None:
        """Apply a definition's decorators anew to the function that there is; what they had registered ends."""
        node = piece.node
        assert isinstance(node, names.Function)
        judge = self.judge(name)
        for decorator in [*old.decorator_list, *node.decorator_list]:
            if (why := judge.decorator(decorator)) is not None:
                self.refuse("decorator", self.where(name, decorator if decorator in node.decorator_list else node), why)
        self.out.withdraw.add((name, uid))
        value: ast.expr = ast.copy_location(ast.Name(steps.RAW, ast.Load()), node)
        for decorator in reversed(node.decorator_list):
            value = ast.copy_location(ast.Call(decorator, [value], []), decorator)
        assign = ast.copy_location(ast.Assign([ast.copy_location(ast.Name(node.name, ast.Store()), node)], value), node)
        code = compile_nodes([assign], self._parsed(name), self._filename(name))
        self.registers = True
        self._act(name, piece, 1, lambda: (f := raw()) and steps.Decorate(module, node.name, f, code))
        if not all(judge.keeps_function(d) for d in [*old.decorator_list, *node.decorator_list]):
            self.dirty.append((name, node.name))

    def _class(self, name: str, module: ModuleType, pair: Pair) -> None:
        assert pair.old and pair.new and isinstance(pair.old.node, ast.ClassDef) and isinstance(pair.new.node, ast.ClassDef)
        old, new = pair.old.node, pair.new.node
        self.words[name].append(f"~{new.name}")
        cls = vars(module).get(new.name)
        change = members.compare(old, new, cls, name)
        for reason in change.reasons:
            self.refuse(reason.code, reason.where, reason.what, reason.hint)
        before = dict(names.functions_in(old))
        for qualname, function in names.functions_in(new):
            was = before.get(qualname)
            if was is not None and names.own_level(was) != names.own_level(function):
                self._function_changed(name, qualname, was)
        for member in change.put:
            if (why := self.judge(name).statement(member)) is not None:
                self.refuse("class-member", self.where(name, member), why)
        if change.names and isinstance(cls, type):
            self.words[name] += [f"{'-' if n in change.drop else '~'}{new.name}.{n}" for n in sorted(change.names)]
            step = members.step(change, new, cls, module, self._parsed(name), self._filename(name))
            self._act(name, pair.new, 1, lambda: step)
            self.dirty_members.append((name, new.name, frozenset(change.names)))

    def _added(self, name: str, module: ModuleType, piece: Piece, uid: int) -> None:
        self.words[name].append(f"+{_title(piece)}")
        self.acted.add((name, uid))
        self._run(name, module, piece)
        self._clobbers(name, module, piece)
        self.dirty += [(name, bound) for bound in self._binds(name, piece)]

    def _clobbers(self, name: str, module: ModuleType, piece: Piece) -> None:
        """A new name that somebody else put into the namespace already is no name of ours to set."""
        old = imports.binds(self.program.tree[name])
        for bound in self._binds(name, piece) - old:
            child = sys.modules.get(f"{module.__name__}.{bound}")
            if bound in vars(module) and vars(module)[bound] is not child:
                self.refuse("monkeypatched", self.where(name, piece), f"{bound}: something set this name at run time")

    def _removed(self, name: str, module: ModuleType, piece: Piece, uid: int, *, quiet: bool = False) -> None:
        if not quiet:
            self.words[name].append(f"-{_title(piece)}")
        self.acted.add((name, uid))
        self._removable(name, piece)
        self.out.withdraw.add((name, uid))
        new = self.out.target.get(name)
        gone = names.of_source(self.program.tree[name])[piece.index].binds - (imports.binds(new) if new else set())
        if self._is_docstring(piece) and new and not (new.parsed.pieces and self._is_docstring(new.parsed.pieces[0])):
            gone = gone | {"__doc__"}
        if gone:
            if not quiet:
                self.out.actions.append(Action((-1, 0), self.where(name, piece), steps.Forget(module, tuple(sorted(gone)))))
            self.dirty += [(name, one) for one in gone]

    def _is_docstring(self, piece: Piece) -> bool:
        node = piece.node
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return piece.index == 0 and constant

    def _removable(self, name: str, piece: Piece) -> None:
        node = piece.node
        if isinstance(node, ast.If) and names.never_runs(node):
            return
        if isinstance(node, ast.ClassDef):
            cls = vars(self.program.loaded(name) or ast).get(node.name)
            if isinstance(cls, type) and not effects.is_plain_class(cls):
                self.refuse("removed-class", self.where(name, piece), f"class {node.name} was removed, and something may know it")
            return
        if (why := self.judge(name).statement(node)) is not None:
            self.refuse("removed-effect", self.where(name, piece), f"`{_title(piece)}` went, and {why}")

    def _again(self, name: str, module: ModuleType, pair: Pair, uid: int) -> None:
        """A statement that is neither `def` nor `class` changed: the old one must be removable, the new one runs."""
        assert pair.old and pair.new
        self.words[name].append(f"~{_title(pair.new)}")
        self.acted.add((name, uid))
        if isinstance(pair.new.node, ast.If) and names.never_runs(pair.new.node) and isinstance(pair.old.node, ast.If) and names.never_runs(pair.old.node):
            return
        self._removable(name, pair.old)
        self.out.withdraw.add((name, uid))
        old_row = names.of_source(self.program.tree[name])[pair.old.index]
        new_row = names.of_source(self.out.target[name])[pair.new.index]
        gone = old_row.binds - imports.binds(self.out.target[name])
        if gone:
            self.out.actions.append(Action((-1, 0), self.where(name, pair.old), steps.Forget(module, tuple(sorted(gone)))))
        self._run(name, module, pair.new)
        kept = {i.bound for i in old_row.imports for j in new_row.imports if (i.module, i.name, i.bound) == (j.module, j.name, j.bound)}
        self.dirty += [(name, bound) for bound in (old_row.binds | new_row.binds) - kept]

    def _run(self, name: str, module: ModuleType, piece: Piece) -> None:
        """Let a statement run in its namespace, if that can be judged harmless."""
        node = piece.node
        row = names.of_source(self.out.target[name])[piece.index]
        if isinstance(node, ast.If) and names.never_runs(node) and not node.orelse:
            return
        if (why := self.judge(name).statement(node)) is not None:
            self.refuse("effect", self.where(name, piece), why)
        for item in row.imports:
            if item.name == "*" and (item.module not in self.out.target or imports.star_names(self.out.target[item.module]) is None):
                self.refuse("star-import", self.where(name, piece), "which names this star import brings can't be told")
        self.registers |= bool(row.called_attributes & (registrations.DECORATORS | registrations.CALLS))
        self.ran_imports += row.imports
        self._state(name, piece, row)
        code = self._code(name, piece)
        self._act(name, piece, 1, lambda: steps.Run(module, code))

    def _state(self, name: str, piece: Piece, row: names.Names) -> None:
        """What a statement reads must still be what the start made, or it would compute something else than a cold start."""
        live, source = self.program.loaded(name), self.program.tree[name]
        rebound = {one for other in names.of_source(source) for body in other.bodies.values() for one in body.rebinds}
        for old, uid, other in zip(source.parsed.pieces, self.program.uids(name), names.of_source(source), strict=True):
            for bound in other.binds & row.reads:
                if (name, uid) in self.acted:
                    continue
                value = vars(live).get(bound)
                state = type(value) in (dict, list, set) and not _equals_literal(value, old.node)
                if bound in rebound or state:
                    what = f"it reads {bound}, which has changed since the start"
                    self.refuse("state", self.where(name, piece), what)

    def _code(self, name: str, piece: Piece) -> CodeType:
        known = self.out.codes.get(name)
        return (known if known is not None else self.program.codes(name))[piece.index]

    def star(self, reader: str, module: str, name: str) -> None:
        """Follow a name through a star import: bound anew where it is, refused where it went."""
        if name in (imports.star_names(self.out.target[module]) or ()):
            self.dirty.append((reader, name))
        elif name in vars(self.program.loaded(reader) or ast):
            self.refuse("star-import", reader, f"{name} came by a star import and went", RESTART)

    def rerun(self, name: str, piece: Piece, uid: int) -> None:
        """Let an unchanged statement run again: what it had read is something else now."""
        module = self.program.loaded(name)
        assert module is not None
        self.acted.add((name, uid))
        self.words[name].append(f"={_title(piece)}")
        self.out.withdraw.add((name, uid))
        self._run(name, module, piece)
        self._rebinding(name, self.program.tree[name].parsed, self._parsed(name)) if name in self.out.uids else None
        self.dirty += [(name, bound) for bound in self._binds(name, piece)]

    def redo(self, name: str, piece: Piece, uid: int) -> None:
        """Evaluate an unchanged `def`'s header again and apply its decorators anew."""
        module, node = self.program.loaded(name), piece.node
        assert module is not None and isinstance(node, names.Function)
        self.acted.add((name, uid))
        self.words[name].append(f"={node.name}")
        loaded = self._as_loaded(name, uid)
        raw = self._raw(name, loaded, node)
        if (why := self.judge(name)._header(node.args, node.returns)) is not None:
            self.refuse("default", self.where(name, node), why)
        self._conform(name, module, piece, raw)
        if node.decorator_list:
            self.decorate(name, module, piece, uid, raw, node)

    def _as_loaded(self, name: str, uid: int) -> Piece:
        return self.program.tree[name].parsed.pieces[self.program.uids(name).index(uid)]

    def _parsed(self, name: str) -> Parsed:
        return self.out.target[name].parsed

    def _filename(self, name: str) -> str:
        return self.program.filename(name, self.out.target[name])

    def _act(self, name: str, piece: Piece, turn: int, make: Callable[[], Any]) -> None:
        self.out.runs_code = True
        self.out.actions.append(Action((self._order[name, piece.index], turn), self.where(name, piece), make))

    @cached_property
    def _roots(self) -> list[str]:
        """The app's modules in the order in which their imports began."""
        return [unit for name in list(sys.modules) if (unit := self.program.unit_name(name)) in self.out.target]

    @cached_property
    def _order(self) -> dict[tuple[str, int], int]:
        return imports.execution_order(self.out.target, self._roots)

    # checks at the end

    def _check_imports(self) -> None:
        out, program = self.out, self.program
        changed = {*self.units, *out.deletions}
        for reason in imports.broken(out.target, changed):
            self.refuse(reason.code, reason.where, reason.what, reason.hint)
        loaded = {name for name in out.target if program.loaded(name) is not None}
        fresh = imports.newly_loaded(self.ran_imports, out.target, loaded)
        for name in fresh:
            source = out.target[name]
            for piece, row in zip(source.parsed.pieces, names.of_source(source), strict=True):
                if (why := self.judge(name).statement(piece.node)) is not None:
                    self.refuse("effect", self.where(name, piece), why)
                self.registers |= bool(row.called_attributes & (registrations.DECORATORS | registrations.CALLS))
                self.ran_imports += row.imports
        out.preload = [m for m in dict.fromkeys(imports.foreign(self.ran_imports, out.target)) if m not in sys.modules]
        for missing in [m for m in out.preload if not imports.is_there(m)]:
            self.refuse("import-missing", missing, f"no module named {missing!r} here", "install it on the server and restart")
        moved = {module for module, _ in out.moved}
        for name in {*self.units, *(module for module, _ in self.acted)}:
            if name in out.target and program.loaded(name) is not None:
                for reason in imports.used_too_early(out.target[name], None if name in moved else self._run_indices(name)):
                    self.refuse(reason.code, reason.where, reason.what, reason.hint)
        if imports.imports_differ(program.tree, out.target, changed):
            reason = imports.circles(out.target, self._roots)
            if reason is not None and imports.circles(program.tree, self._roots) is None:
                self.refuse(reason.code, reason.where, reason.what, reason.hint)

    def _run_indices(self, name: str) -> set[int]:
        uids = self.out.uids.get(name) or self.program.uids(name)
        return {index for index, uid in enumerate(uids) if (name, uid) in self.acted}

    def _find_functions(self) -> None:
        """Turn pairs of code into swaps of the functions that live, and deferred actions into steps."""
        out = self.out
        goals: dict[CodeType, CodeType] = {}
        for name, found in self.code_pairs.items():
            for old, new in found:
                if new is not None:
                    out.renamed[name, old.co_qualname, old.co_firstlineno] = (name, new.co_qualname, new.co_firstlineno)
                holders = self._live_functions.get(old, ())
                if not holders or old == new:
                    continue
                if new is None:
                    continue  # made by a call that is over; a cold start would not have made it (see Flow for the start's own)
                if old.co_freevars != new.co_freevars:
                    what = f"{old.co_qualname}: uses other variables of its surroundings than before"
                    self.refuse("closure-shape", f"{name}:{new.co_firstlineno}", what)
                elif goals.setdefault(old, new) != new:
                    self.refuse("ambiguous", f"{name}:{old.co_firstlineno}", f"{old.co_qualname}: two definitions share one code")
                else:
                    out.swaps.append(steps.SwapCode(tuple(holders), new))
        out.actions = [Action(a.order, a.where, a.step() if callable(a.step) else a.step) for a in out.actions]
        for module, qualname in self.shape_changed:
            cls = vars(self.program.loaded(module) or ast).get(qualname)
            if isinstance(cls, type) and (count := functions.instances_of(cls)):
                what = f"{qualname}.__init__ changed, and {count} live object{'s' * (count > 1)} were made by the old one"
                self.refuse("live-instances", module, what)

    def _check_registrations(self) -> None:
        """Registrations may only change on apps whose journal tells all that is there."""
        known = self.program.tree.__contains__
        from .program import owner_of

        affected = {
            target
            for target in list(registrations.targets)
            for entry in registrations.entries_of(target)
            if owner_of(entry, known) in (self.out.withdraw | self.out.moved)
        }
        if not (affected or self.registers):
            return
        targets = [t for t in list(registrations.targets) if t in affected or self._is_users(t)]
        try:
            rebuilt = registrations.rebuild(targets, {})
        except registrations.Unreplayable as error:
            self.refuse("journal", "", str(error))
            return
        for target in targets:
            keys = [self.program.position(entry.chain or (), self.program.books.uids) for entry in registrations.entries_of(target)]
            if keys != sorted(keys):
                self.refuse("order", "", f"{target.name}: the order of its registrations is not that of its lines")
        for one in rebuilt:
            if wrong := registrations.differences(one):
                what = f"{one.target.name}: {', '.join(wrong)} hold more than was registered through Flask's methods since our import"
                self.refuse("journal", "", what, "import flask_habanero before your own modules, or restart")

    def _is_users(self, target: registrations.Target) -> bool:
        return not target.import_name.startswith("flask_habanero")


_BUILTINS = __import__("builtins")


def _title(piece: Piece) -> str:
    """Return what people call a statement."""
    node = piece.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ",".join(name for target in node.targets for name in names.targets(target)) or ast.unparse(node.targets[0])
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return ast.unparse(node.target)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import " + ",".join(alias.asname or alias.name for alias in node.names)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return "docstring"
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 40 else text[:39] + "…"


def _equals_literal(value: object, node: ast.stmt) -> bool:
    """Whether a container is still what its statement's literal says."""
    try:
        return bool(value == ast.literal_eval(getattr(node, "value", node)))
    except (ValueError, TypeError, SyntaxError):
        return False


def _dumps(*nodes: ast.AST | None) -> str:
    return "|".join(ast.dump(node) if node is not None else "" for node in nodes)

