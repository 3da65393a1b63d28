"""Follow what changed to what had been made from it at import, until nothing more is stale.

- A *name* that stands for something else makes stale every statement that read it at import,
  and every statement for which a function ran that reads it.
- A *function* that keeps its identity and does something else makes stale the statements for
  which it ran (`startup` has the record; for modules that ran before us, the worst is assumed).
- A *member* of a class that changed in place makes stale who read it, or made an instance.

A stale statement runs again if that can be judged harmless. Else the change is cold.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..source import Source, once_for_each_source
from . import (
    classes,
    configs,
    configured,
    definitions,
    fetching,
    headers,
    hits,
    looping,
    memos,
    names,
    reading,
    rebinding,
    redefined,
    rendered,
    sameness,
    spelled,
    stars,
    statements,
    subclasses,
    unran,
    variables,
)
from .callers import Callers

if TYPE_CHECKING:
    from flask.config import Config

    from .draft import Draft
    from .startup import Function

    Owner = tuple[str, int] | None

_SPACES = {"globals", "locals", "vars", "dir"}
_INSPECTING = {
    "__code__", "_getframe", "co_firstlineno", "currentframe", "extract_stack", "extract_tb", "format_exc",
    "format_exception", "getsource", "getsourcelines", "stack", "tb_lineno",
}  # fmt: skip


class Flow:
    """Works on one draft."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.program = draft.program
        tree, dropped = self.program.tree, set(draft.out.dropped)
        staying = (name for name in draft.out.target if name in tree and name not in dropped)
        self.loaded = [name for name in staying if name in draft.loaded]
        self._seen: set[tuple[Any, ...]] = set()
        self.asking: dict[str, tuple[set[str], list[str]]] = {}  # of `headers`, what it asks once
        # functions and names, by their last part, that do or are something else
        self.touched = {memos.called_as(qualname) for _, qualname, _ in draft.unreached}
        self.touched |= rendered.READING if draft.templates else set()
        self.who = Callers(draft, self.loaded)

    def ran_in(self, module: str) -> list[tuple[Function, frozenset[Owner]]]:
        """Return the functions of a module that ran at the start, with the statements that they ran for."""
        return self._ran.get(module, [])

    @cached_property
    def _ran(self) -> dict[str, list[tuple[Function, frozenset[Owner]]]]:
        found = defaultdict(list)
        for key, owners in list(self.program.books.ran.items()):
            found[key[0]].append((key, owners))
        return found

    @cached_property
    def kept(self) -> dict[hits.Place, set[hits.Place]]:
        """The functions that memos keep results of, with the names of those memos."""
        return hits.kept(self.draft)

    @classmethod
    def follow(cls, draft: Draft) -> None:
        """Follow all that a draft has found."""
        cls(draft).run()

    def run(self) -> None:
        """Work until nothing is left."""
        draft = self.draft
        self._appeared()
        subclasses.follow(self)
        self._inspectors()
        while (
            draft.dirty
            or draft.changed_functions
            or draft.dirty_members
            or draft.dirty_config
            or draft.used_variables
            or draft.other_headers
            or sum(one.judge() for one in list(draft.factories.values()) if one is not None)
            or self._bound_twice()
        ):
            while draft.changed_functions:
                self._function(*draft.changed_functions.pop())
            while draft.used_variables:
                key, read = draft.used_variables.pop()
                if key in self.program.books.ran:
                    self.used(key, self.program.books.ran[key], set(read))
            while draft.other_headers:
                headers.follow(self, *draft.other_headers.pop())
            while draft.dirty_members:
                classes.follow(self, *draft.dirty_members.pop())
            while draft.dirty:
                self._name(*draft.dirty.pop())
            while draft.dirty_config:
                self._config(*draft.dirty_config.pop())
        if self.touched and not draft.boots:  # a process that boots later has filled none
            memos.empty(self.draft, self.loaded, self.touched)

    def first_time(self, *what: Any) -> bool:
        """Whether something was not asked before, as it is now noted."""
        new = what not in self._seen
        self._seen.add(what)
        return new

    def _appeared(self) -> None:
        """A module that comes or goes: who tries to import it gets something else than before."""
        draft = self.draft
        news = [name for name in draft.units if name not in self.program.tree]
        for changed in (*news, *draft.out.deletions):
            for reader in self.loaded:
                if changed.rpartition(".")[2] in draft.out.target[reader].text:
                    for index, row in enumerate(names.of_source(draft.out.target[reader])):
                        if any(changed in (i.module, f"{i.module}.{i.name}") for i in row.imports):
                            self.stale_at(reader, index, changed)

    def _inspectors(self) -> None:
        """What looked at code itself (its lines, its source) saw something else than it would now."""
        program, target = self.program, self.draft.out.target
        asking = [one for one in self._ran if one in target and _inspects(target[one])]
        for (unit, qualname, _), owners in [pair for one in asking for pair in self.ran_in(one)]:
            body = reading.body_of(target[unit], qualname)
            for owner in owners if body and body.attributes & _INSPECTING else ():
                if owner and owner[0] in self.draft.out.codes and owner[1] in self.draft.uids(owner[0]):
                    new = self.draft.out.codes[owner[0]][self.draft.uids(owner[0]).index(owner[1])]
                    if new != program.codes(owner[0])[program.uids(owner[0]).index(owner[1])]:
                        self.stale(*owner, qualname)

    def _bound_twice(self) -> bool:
        """Of what binds one name the last counts, and who reads it needs the one before.

        Returns:
            Whether one of those must run, too.
        """
        found = [one for one in stars.outdone(self.draft) if self.first_time("last", *one[:3])]
        for module, index, bound, is_other in found:
            self.stale_at(module, index, bound)
            self.draft.dirty += [(module, bound)] if is_other else []
        before = [one for one in rebinding.earlier(self.draft) if self.first_time("before", *one)]
        for module, index, bound in before:
            if not rebinding.is_definition(self.draft.parsed(module).pieces[index]):
                self.stale_at(module, index, bound)
        return bool(found or before)

    # functions

    def _function(self, module: str, qualname: str, first: int) -> None:
        if not self.first_time("function", module, qualname, first):
            return
        key = (module, qualname, first)
        owners = self.program.books.ran.get(key, frozenset())
        made = self.who.factory(key)
        if made is not None:
            made.take_up()
        else:
            self.ran_for(key, owners)
        if (
            not owners
            and not self.program.was_watched(module)
            and self.who.may_have_run(qualname.rpartition(".")[2])
        ):
            what = f"{qualname} may have run at the start, before we could watch"
            self.draft.refuse(
                "startup",
                f"{module}:{first}",
                what,
                "`from flask_habanero import Habanero` before your own modules, or restart",
            )
        self.touched.update(map(memos.called_as, qualname.split(".<locals>.")))

    def ran_for(self, key: Function, owners: AbstractSet[Owner]) -> None:
        """Let what a function ran for be stale: what called it if it can run again, else statements."""
        if not self._callers(key, key[1]):
            for owner in owners:
                self._owner(owner, *key[:2])

    def _callers(self, key: Function, why: str) -> bool:
        """Let what called a function be stale, if that can all be done again. Returns whether it is."""
        hits.follow(self, key)
        found = self.who.of(key)
        for caller, line in found or ():
            self._stale_call(caller, line, why)
        return found is not None

    def _stale_call(self, caller: Function, line: int, why: str) -> None:
        made = self.who.factory(caller)
        if made is not None:
            made.stale_at(line)
        else:
            self.stale(caller[0], line, why)

    def used(
        self,
        key: Function,
        owners: AbstractSet[Owner],
        read: set[str],
        asked: AbstractSet[str] = frozenset(),
    ) -> None:
        """A function that ran at the start used names, or asked for attributes, that are others now."""
        made = self.who.factory(key)
        if made is not None:
            made.stale_readers(read)
            made.stale_where(lambda node: variables.mentions(variables.own_nodes(node), asked))
        else:
            self.ran_for(key, owners)

    def _owner(self, owner: Owner, module: str, qualname: str) -> None:
        if owner is None:
            what = f"{qualname} runs only at the start"
            self.draft.refuse(
                "startup", f"{module}:{reading.line_of(self.draft.out.target[module], qualname)}", what
            )
        else:
            self.stale(*owner, qualname)

    # names

    def _name(self, module: str, name: str) -> None:
        if not self.first_time("name", module, name):
            return
        self.touched.add(name)
        self.draft.rebound.add((module, name))
        self.draft.world.rebind(module, name)
        sides = (tree[module].text for tree in (self.program.tree, self.draft.out.target) if module in tree)
        starred = not name.startswith("_") or any("__all__" in text for text in sides)
        for reader in self.loaded:
            source = self.draft.out.target[reader]
            tables = reading.looks_up_modules(source)
            if reader != module and not (tables or reading.may_read(source, module, name)):
                continue
            rows = names.of_source(source)
            local, modules = reading.aliases(source, reader, module, name)
            wanted = (*local, *modules, *(_SPACES if reader == module else ()))
            readers = reading.importers_of(source, module) | reading.readers_of(source, wanted) | tables
            for index in sorted(readers):
                row = rows[index]
                everything = reader == module and row.reads & _SPACES
                fetched = reading.fetches(row, module, name, starred=starred)
                if fetched or everything or reading.gets_at(row, name, local, modules):
                    brought = [i.bound for i in row.imports if (i.module, i.name) == (module, name)]
                    self.stale_at(reader, index, name, local | modules, brought if not everything else ())
                    self.draft.dirty += [(reader, bound) for bound in brought]
                if any(item.module == module and item.name == "*" for item in row.imports):
                    statements.star(self.draft, reader, module, name)
            self.readers_that_ran(reader, local, modules, module, name)
        spelled.importer(self, module, name)
        spelled.follow(self, module)
        configured.source_changed(self.draft, module, name)

    def _config(self, config: Config, key: str) -> None:
        """A key of a configuration changes: who read it at the start used what it was then."""
        if not self.first_time("config", id(config), key):
            return
        self.draft.changed_config.add((id(config), key))
        self.touched.add("config")  # what a memo was made of need not have been read at the start
        book = configs.book_of(config)
        for read, calls in book.readers.items() if book is not None else ():
            if configs.EVERY in (read, key) or read == key:
                for caller, line in calls:
                    past = read == configs.EVERY and caller[1] == "<module>"
                    if not (past and looping.comes_past(self.draft, caller[0], line, config, key)):
                        self._config_reader(caller, line, key)

    def _config_reader(self, caller: Function, line: int, key: str) -> None:
        """Who read it is a part of a factory, a statement, or was called by such."""
        if caller[1] == "<module>" or self.who.factory(caller) is not None:
            self._stale_call(caller, line, configs.said(key))
        elif not self._callers(caller, configs.said(key)):
            self.draft.refuse("startup", "", f"{configs.said(key)} was read at the start")

    def readers_that_ran(
        self, reader: str, local: set[str], modules: set[str], module: str, name: str
    ) -> None:
        """Let be stale what functions ran for that may get at a name of a module."""
        for key, owners in self.ran_in(reader):
            unit, qualname, _ = key
            body = reading.body_of(self.draft.out.target.get(unit), qualname)
            if body is None:
                continue
            inside = reading.brought_inside(self.draft.out.target[unit], qualname, module, name)
            if inside or unran.read(
                self.draft, key, body, lambda b: reading.gets_at(b, name, local, modules)
            ):
                self.used(key, owners, local | modules | inside | {name})

    # stale statements

    def stale_at(
        self,
        module: str,
        index: int,
        why: str,
        local: AbstractSet[str] = frozenset(),
        brought: Iterable[str] = (),
    ) -> None:
        """Let a statement be stale, which read something that changed under local names, or brought it."""
        self.stale(module, self.draft.uids(module)[index], why, local, brought)

    def stale(
        self,
        module: str,
        uid: int,
        why: str,
        local: AbstractSet[str] = frozenset(),
        brought: Iterable[str] = (),
    ) -> None:
        """Let a statement be stale, known by its uid; `brought`: see `fetching`."""
        draft = self.draft
        uids = draft.uids(module)
        left = draft.partly | draft.same_headers | draft.same_decorators
        fetching.note(draft, module, uid, brought)
        done = (module, uid) in draft.acted and (module, uid) not in left
        if done or uid not in uids or self.program.loaded(module) is None:
            return
        if (module, uid) in draft.partly and not self.first_time(
            "members", module, uid, frozenset(local), why
        ):
            return
        piece = draft.out.target[module].parsed.pieces[uids.index(uid)]
        node = piece.node
        if (isinstance(node, ast.If) and names.never_runs(node)) or sameness.again(draft, module, piece, uid):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            definitions.redo(draft, module, piece, uid)
        elif isinstance(node, ast.ClassDef):
            redefined.members_again(draft, module, piece, uid, local, why)
        elif (problem := draft.judge(module).statement(node)) is not None:
            draft.acted.add((module, uid))
            text = ast.unparse(node).splitlines()[0][:60]
            draft.refuse(
                "stale", draft.where(module, piece), f"`{text}` used {why}, which changed, and {problem}"
            )
        else:
            statements.rerun(draft, module, piece, uid)


@once_for_each_source
def _inspects(source: Source) -> bool:
    """Whether a function of a module looks at code."""
    rows = names.of_source(source)
    return any(body.attributes & _INSPECTING for row in rows for body in row.bodies.values())
