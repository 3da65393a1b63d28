"""A plan in the making: what was found so far, and the words for it.

Every module that decides writes into one draft. Nothing in it touches the program.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property, partial
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from flask.config import Config

from ..errors import Reason
from ..piece import Parsed, Piece
from ..unit import Unit
from . import (
    caches,
    codes,
    effects,
    fetching,
    functions,
    imports,
    members,
    memos,
    names,
    reach,
    recollected,
    registrations,
    sequence,
    stars,
    startup,
    steps,
    unran,
    written,
)
from .plan import Action, Plan, Step
from .world import World

if TYPE_CHECKING:
    from .books import Place
    from .entries import Entry
    from .factory import Factory
    from .program import Program

RESTART = "restart to take this change"

FindFunction = Callable[[], FunctionType | None]
"""Finds the one live function of a definition, once all functions of the changed modules are known."""


class Draft:
    """Made for one plan and thrown away.

    Attributes:
        acted: statements that run or end in any case, by (module, uid).
        dirty: (module, name): names that stand for something else from now on.
        dirty_members: (module, class, members): classes that change in place.
        changed_functions: (module, qualified name, first line as loaded): same object, does something else.
        code_pairs: module -> code objects as loaded, with what becomes of them.
        deferred: what makes a step once the live functions are known: statement, turn, where, and that.
    """

    def __init__(self, program: Program, units: tuple[Unit, ...], deletions: tuple[str, ...]) -> None:
        self.program = program
        self.units = {unit.name: unit for unit in units}
        target = {name: source for name, source in program.tree.items() if name not in deletions}
        target.update((unit.name, unit.source) for unit in units)
        self.out = Plan(target, deletions)
        self.world = World(program, target, set(self.units))
        self.world_before = World(program, program.tree, set())
        self.acted: set[tuple[str, int]] = set()
        self.partly: set[tuple[str, int]] = set()  # of those, classes of which some members are made anew
        self.derived: dict[tuple[str, int], type] = {}  # classes that get other bases in place
        # functions that changed, and of which that did not: it is not evaluated, or applied, anew so far
        self.same_headers: set[tuple[str, int]] = set()
        self.same_decorators: set[tuple[str, int]] = set()
        self.dirty: list[tuple[str, str]] = []
        self.rebound: set[tuple[str, str]] = set()  # the same, once they were followed
        self.dirty_config: list[tuple[Config, str]] = []  # keys of configurations that change
        self.changed_config: set[tuple[int, str]] = set()  # the same, once they were followed
        self.changed_members: dict[tuple[str, str], set[str]] = defaultdict(set)  # the same, once followed
        self.dirty_members: list[tuple[str, str, frozenset[str]]] = []
        self.unforgettable: list[Reason] = []  # why SQLAlchemy can't forget something, if it can't
        self.made_members: dict[tuple[str, str], set[str]] = defaultdict(set)  # by module and class
        self.put_members: dict[tuple[str, str], list[ast.stmt]] = defaultdict(list)  # their statements
        self.changed_functions: list[tuple[str, str, int]] = []
        self.unreached: list[tuple[str, str, int]] = []  # that changed only where the start did not come to
        # functions of factories, and variables that they read which are others now
        self.used_variables: list[tuple[startup.Function, frozenset[str]]] = []
        # functions that stay, and say something else of themselves
        self.other_headers: list[tuple[str, str, str | frozenset[str]]] = []
        self.shape_changed: list[tuple[str, str]] = []  # classes whose constructor changed
        self.factories: dict[startup.Function, Factory | None] = {}
        self.remade_codes: set[tuple[str, CodeType]] = set()  # of functions that are made anew
        # `from … import …` that runs again -> the names for which it does; see `fetching`
        self.fetched: dict[tuple[str, int], set[str]] = {}
        self.inner_keys: set[tuple[int, str]] = set()  # (id of a configuration, key); see `rewritten`
        self.emptied: list[recollected.Memo | recollected.Property | caches.Cache] = []
        self.touched: dict[int, Any] = {}  # objects in which statements have entries, by id
        self.purged: dict[int, list[Any]] = defaultdict(list)  # of those, the keys (or elements) that go
        self.entries: list[Entry] = []  # what comes, goes, or is made again in objects of several statements
        self.retired: list[Any] = []  # what was in tables that are made anew
        self.remade: list[tuple[str, str]] = []  # classes that are made anew
        self.code_pairs: dict[str, list[tuple[CodeType, CodeType | None]]] = defaultdict(list)
        self.ran_imports: list[names.Import] = []  # of statements that run
        self.first_loaded: list[str] = []  # modules that those load for the first time
        self.deferred: list[tuple[tuple[str, int], int, str, Callable[[], Any]]] = []
        self.templates = False  # whether templates change, too
        self.boots = False  # whether it is about a process that boots later: live objects are not its
        self.registers = False  # whether a statement that runs may register
        self._judges: dict[str, effects.Judge] = {}
        self._judges_before: dict[str, effects.Judge] = {}
        self._reasons: dict[tuple[str, str, str], Reason] = {}
        self._words: dict[str, list[str]] = defaultdict(list)

    def changed_function(self, key: startup.Function) -> None:
        """Note that a function does something else: at the start, or only where that did not come to."""
        (self.unreached if unran.keeps(self, key) else self.changed_functions).append(key)

    def running(self, name: str) -> list[Piece]:
        """Return the statements of a module that run, in order: of a class that is kept, what runs of it."""
        found = []
        for piece, uid in zip(self.parsed(name).pieces, self.uids(name), strict=True):
            put = self.put_members.get((name, getattr(piece.node, "name", "")))
            if put and ((name, uid) not in self.acted or (name, uid) in self.partly):
                found.append(replace(piece, node=members.part_of(piece.node, put)))
            elif (name, uid) in self.acted:
                found.append(fetching.part(piece, self.fetched.get((name, uid))))
        return found

    def chain(self, name: str, piece: Piece) -> tuple[Place, ...]:
        """Return where a statement stands in the start: behind nothing, if that can't be told.

        It is that of who imported its module, and of itself; of a module to come, that of who imports it.
        """
        if self.program.loaded(name) is not None:
            return (*self.program.books.chains.get(name, ()), (name, self.uids(name)[piece.index], 0))
        return self._first_importers.get(name, ())

    @cached_property
    def _first_importers(self) -> dict[str, tuple[Place, ...]]:
        """Modules that are loaded for the first time -> the statement that runs and imports them first."""
        found: dict[str, tuple[Place, ...]] = {}
        running = {module for module, _ in self.acted} & self.out.target.keys()
        for module in sorted(one for one in running if self.program.loaded(one) is not None):
            rows = names.of_source(self.out.target[module])
            for piece in self.running(module):
                for name in reach.newly_loaded(rows[piece.index].imports, self.out.target, self.loaded):
                    found.setdefault(name, self.chain(module, piece))
        return found

    # words

    def refuse(self, code: str, where: str, what: str, hint: str = RESTART) -> None:
        """Note why the plan is impossible. All reasons are collected."""
        self._reasons.setdefault((code, where, what), Reason(code, where, what, hint))

    @property
    def refused(self) -> bool:
        """Whether some reason was found."""
        return bool(self._reasons)

    def say(self, module: str, word: str) -> None:
        """Note what happens to a module, for people."""
        self._words[module].append(word)

    @staticmethod
    def where(name: str, node: ast.AST | Piece) -> str:
        """Return module:line."""
        return f"{name}:{node.line if isinstance(node, Piece) else getattr(node, 'lineno', 0)}"

    # what everybody asks

    def judge(self, name: str) -> effects.Judge:
        """Return the judge of a module's statements."""
        if name not in self._judges:
            self._judges[name] = effects.Judge(name, self.world)
        return self._judges[name]

    def judge_before(self, name: str) -> effects.Judge:
        """Return the judge of a module's statements as they are loaded: what they did when they ran."""
        if name not in self._judges_before:
            self._judges_before[name] = effects.Judge(name, self.world_before)
        return self._judges_before[name]

    def parsed(self, name: str) -> Parsed:
        """Return a module's statements as they will be."""
        return self.out.target[name].parsed

    def uids(self, name: str) -> list[int]:
        """Return the identities of a module's statements as they will be."""
        known = self.out.uids.get(name)  # of a module that is empty now, an empty list
        if known is None and name not in self.program.tree:
            return []  # it is gone, or is not there yet; the books may still know who called from it
        return self.program.uids(name) if known is None else known

    def filename(self, name: str) -> str:
        """Return the file name that people know a module by."""
        return self.program.filename(name, self.out.target[name])

    def binds(self, name: str, piece: Piece) -> set[str]:
        """Return what a statement will bind."""
        row = names.of_source(self.out.target[name])[piece.index]
        return row.binds | (stars.brought(row, self.out.target) or set())

    def live(self, name: str) -> ModuleType:
        """Return the live module of a unit that is loaded."""
        module = self.program.loaded(name)
        assert module is not None, name
        return module

    @cached_property
    def loaded(self) -> frozenset[str]:
        """The units, as they are and as they will be, that were loaded when this was asked first."""
        return self.program.all_loaded({*self.program.tree, *self.out.target})

    @cached_property
    def roots(self) -> list[str]:
        """The app's modules that the server imported, before those that the app itself did."""
        units = [
            unit for name in list(sys.modules) if (unit := self.program.unit_name(name)) in self.out.target
        ]
        chains, tree = self.program.books.chains, self.program.tree
        first = [unit for unit in units if not any(place[0] in tree for place in chains.get(unit, ())[-1:])]
        held = reach.referred({unit: tree[unit] for unit in first if unit in tree})
        # what came before us left no chain: among those, the ones that none of the others imports
        return list(dict.fromkeys([*(unit for unit in first if unit not in held), *first, *units]))

    @cached_property
    def is_stored(self) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
        """Whether the app's own code sets an attribute of that name: before, and after."""
        asked = [partial(written.is_stored, tree) for tree in (self.program.tree, self.out.target)]
        return cache(asked[0]), cache(asked[1])

    @cached_property
    def own(self) -> frozenset[str]:
        """The app's own top-level names, before and after."""
        return imports.tops(self.program.tree, self.out.target)

    @cached_property
    def imports_differ(self) -> bool:
        """Whether modules import other things, or bind names in another order, than before."""
        changed = {*self.units, *self.out.deletions}
        return imports.imports_differ(self.program.tree, self.out.target, changed)

    @cached_property
    def _order(self) -> dict[tuple[str, int], int]:
        return sequence.of(self)

    @cached_property
    def live_functions(self) -> functions.Found:
        """The live functions whose code will change, or whose statement is stale, by their code."""
        wanted = {old for found in self.code_pairs.values() for old, _ in found}
        wanted |= {code for _, code in self.remade_codes}
        for module, uid in self.acted:
            wanted |= self._codes_of(module, uid)
        modules = {module for module, _ in (*self.acted, *self.remade_codes)} | set(self.code_pairs)
        live = [found for name in sorted(modules) if (found := self.program.loaded(name)) is not None]
        tables = [vars(target) for target in list(registrations.targets)]
        return functions.live_functions(live, tables, wanted) if wanted else functions.Found()

    def holders(self, name: str, code: CodeType) -> list[FunctionType]:
        """Return one module's live functions that have a code: equal text elsewhere is somebody else's."""
        space = vars(self.live(name))
        return [f for f in self.live_functions.get(code, ()) if f.__globals__ is space]

    def _codes_of(self, module: str, uid: int) -> set[CodeType]:
        """The codes of an unchanged statement that will run again."""
        if self.program.loaded(module) is None or uid not in self.program.uids(module):
            return set()
        code = self.program.codes(module)[self.program.uids(module).index(uid)]
        return set(codes.walk(code)) - {code}

    @cached_property
    def _tables(self) -> dict[int, Any]:
        """Tables of functions that remember what they made, by id; see `memos.is_table`."""
        found = {}
        for module in self.out.target:
            live = self.program.loaded(module)
            for name, value in list(vars(live).items()) if live is not None else ():
                if type(value) is dict and memos.is_table(self.out.target, module, name):
                    found[id(value)] = value
        return found

    def is_table(self, target: Any) -> bool:
        """Whether an object is such a table: it is made anew when anything that looks it up runs again."""
        return type(target) is dict and id(target) in self._tables

    # what will be done

    def act(self, name: str, piece: Piece, turn: int, make: Callable[[], Any]) -> None:
        """Note a step at its statement's place in a cold start: turn 0 for a header, 1 for a run."""
        self.out.runs_code = True
        self.deferred.append(((name, piece.index), turn, self.where(name, piece), make))

    def remember(self, target: Any) -> None:
        """Note that an object is to be as it was if the release fails: before anything is done to it."""
        self.out.actions.append(Action((-2, 0), "", steps.Remember(target)))

    def first(self, where: str, step: Any) -> None:
        """Note a step that comes before all statements."""
        self.out.actions.append(Action((-1, 0), where, step))

    def part(self, line: int, where: str, step: steps.Part | steps.Unbind) -> None:
        """Note a step that runs a part of a factory, which begins at a line within it: where it ran."""
        self.out.runs_code = True
        above = step.left.chain[:-1]
        start = next((i for i, p in enumerate(above) if p[2] == 0 and p[0] in self.out.target), None)
        inner = above if start is None else above[start + 1 :]
        order = sys.maxsize - 1 if start is None else self._rank_at(above[start])
        way = [self._rank_at(p) if p[2] == 0 else self.out.moved_line(*p) for p in inner]
        self.out.actions.append(Action((order, 0, *way, line), where, step, above))

    def _rank_at(self, place: tuple[str, int, int]) -> int:
        """Return when a cold start comes to the statement at a place."""
        module, uid, _ = place
        uids = self.uids(module) if module in self.out.target else []
        return self._order.get((module, uids.index(uid)), 0) if uid in uids else sys.maxsize - 1

    def last(self, where: str, step: Any) -> None:
        """Note a step that comes after all statements."""
        self.out.actions.append(Action((sys.maxsize, 0), where, step))

    def rank(self, name: str, piece: Piece) -> int:
        """Return when a cold start ends a statement."""
        return self._order.get((name, piece.index), sys.maxsize)

    def rank_of(self, module: str, name: str) -> int | None:
        """Return when a cold start ends the statement that defines a name; None if no statement does."""
        unit = self.program.unit_name(module)
        source = self.out.target.get(unit)
        for piece in source.parsed.pieces if source is not None else ():
            if getattr(piece.node, "name", None) == name:
                return self.rank(unit, piece)
        return None

    def bind(self) -> None:
        """Turn deferred steps into steps: the live functions are known now."""
        self.out.actions += [
            Action((self._order[statement], turn), where, make())
            for statement, turn, where, make in self.deferred
        ]
        self.deferred.clear()

    def finished(self) -> Plan:
        """Return the plan."""
        out = self.out
        out.actions.sort(key=lambda action: action.order)
        out.reasons = tuple(self._reasons.values())
        out.unloaded = sorted(self.world.unloaded) if out.reasons else []
        changed = dict.fromkeys([*self.units, *out.deletions, *self._words])
        out.steps = tuple(self._step(name) for name in changed)
        return out

    def _step(self, name: str) -> Step:
        source = self.out.target.get(name) or self.program.tree[name]
        return Step(name, source.path, tuple(dict.fromkeys(self._words[name])))
