"""The running program as we know it: sources, statements, live modules, and where things stand.

One per process; several apps attach to it, because modules are the process's. It answers
questions and keeps the books; `plan` decides and `commit` does.

- `tree` is what is loaded (or what an import would load), never what lies on the disk now.
- Each statement has an identity (`uid`) that outlives edits: who registered what, and what ran
  for whom, is kept by it.
"""

from __future__ import annotations

import copy
import functools
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from ..asset import Assets
from ..errors import BundleError, Reason
from ..source import Source
from ..unit import Unit, compile_piece
from . import (
    belongs,
    codes,
    configs,
    gathered,
    importer,
    libraries,
    origin,
    registrations,
    rendered,
    settling,
    startup,
)
from .books import Books, Place
from .overlay import Overlay
from .registrations import Entry, Frame

if TYPE_CHECKING:
    from flask.sansio.app import App

    from .plan import Plan

_uids = itertools.count(1)
_LIBRARIES_IN_TURN = 5  # of which one is seen to need the next only when it is read


class Program:
    """The running program. Made by `attach`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.belongs = belongs.Belongings({}, None)
        self.base: dict[str, Source] = {}
        self.books = Books()
        self.removed: set[str] = set()
        self.first: Books | None = None  # as they were before the first release
        self.then: frozenset[str] = frozenset()  # the modules that were loaded then
        self.has_run = False  # a release has run statements: those may have taken from memos of requests
        self.is_twin = False  # a process that boots later, in which only those are
        self.began: int | None = None  # the release whose modules this process imported, if not those on disk
        self.is_attached = False  # there is an app
        self.overlay = Overlay(self)

    # what others ask

    @property
    def tree(self) -> dict[str, Source]:
        """What this process runs: module name -> source."""
        return self.books.tree

    @property
    def modules(self) -> tuple[str, ...]:
        """The allowed top-level names; "*" stands for new modules beside the app's."""
        return self.belongs.names

    def plan(self, units: Iterable[Unit], deletions: Iterable[str], assets: Assets | None = None) -> Plan:
        """Return what would have to be done. Executes nothing and changes nothing.

        Args:
            units: modules that change or come.
            deletions: modules that end.
            assets: all that are to be served then, if that changes.

        Raises:
            AssetError: one of those can't be served.
        """
        from .planner import make_plan

        with self.lock:
            templates = assets is not None and self.overlay.changes_templates(assets)
            plan = make_plan(self, tuple(units), tuple(deletions), templates=templates)
            if assets is not None:
                self.overlay.check_readers(rendered.readers(plan.target, self.books.ran), assets)
                self.overlay.plan(plan, assets)
            return plan

    def plan_with_libraries(
        self, units: Iterable[Unit], deletions: Iterable[str], assets: Assets | None = None
    ) -> Plan:
        """Return the plan, too, after importing the libraries without which it can't be told.

        Raises:
            AssetError: as `plan` does.
            ColdChangeError: one of them does not load.
        """
        units, deletions = tuple(units), tuple(deletions)
        plan = self.plan(units, deletions, assets)
        for _ in range(_LIBRARIES_IN_TURN):
            if not (plan.reasons and libraries.load(plan.unloaded)):
                break
            plan = self.plan(units, deletions, assets)
        return plan

    def stage(self, plan: Plan) -> None:
        """Do the slow and harmless work of a plan: import what it needs from other packages."""
        libraries.stage(plan)

    def check_inside(self, plan: Plan) -> None:
        """Check, with the gate closed, that no thread is in the middle of code that would change.

        Raises:
            ColdChangeError: one is. It would stay old for as long as it runs.
        """
        from .commit import nobody_inside

        nobody_inside(plan)

    def commit(self, plan: Plan) -> Callable[[], None]:
        """Make a plan live, all or nothing; return what takes it back."""
        from .commit import commit

        with self.lock:
            return commit(self, plan)

    def check(self, units: Iterable[Unit]) -> None:
        """Recompile shipped sources and compare: code that its source doesn't give is refused.

        Raises:
            BundleError: a unit's code is not that of its source.
        """
        for unit in units:
            parsed = unit.source.parsed
            if len(parsed.pieces) != len(unit.statements):
                raise BundleError(f"{unit.name}: another number of statements than its source has")
            for piece, statement in zip(parsed.pieces, unit.statements, strict=True):
                mine = compile_piece(piece, parsed, unit.source.path)
                if statement.digest != piece.digest or codes.load(statement.code, unit.source.path) != mine:
                    raise BundleError(f"{unit.name}:{piece.line}: the code is not that of the source")

    def fold_reasons(self, units: Iterable[Unit], deletions: Iterable[str]) -> tuple[Reason, ...]:
        """Return why a process that boots at the base could not be brought to such a tree in one plan.

        Told from the sources and from what ran when this process started; a process that boots later
        may still find something else, and says so then.
        """
        from .planner import reasons_to_boot

        with self.lock:
            settling.settle(self)
            if self.first is None or self.books.tree == self.base:
                return ()  # the plan itself starts there
            twin = copy.copy(self)
            twin.books, twin.removed, twin.is_twin = self.first.copy(), set(), True
            return reasons_to_boot(twin, tuple(units), tuple(deletions))

    def warm(self) -> None:
        """Do ahead what the first plan would take the time for: load the planner, read the loaded sources."""
        from . import commit, planner, readers, roster  # noqa: F401  # for some the import takes the time

        for name, source in list(self.tree.items()):
            if self.loaded(name) is not None:
                readers.readers(source)
        roster.roster.every()
        self.plan((), ())

    # modules and statements

    def loaded(self, name: str) -> ModuleType | None:
        """Return the live module of a unit, `__main__` included; None if nothing imported it."""
        if self.is_twin and name not in self.then:
            return None
        module = sys.modules.get(name)
        if module is not None:
            return module
        main = sys.modules.get("__main__")
        return main if main is not None and self.unit_name("__main__") == name else None

    def all_loaded(self, names: Set[str]) -> frozenset[str]:
        """Return which of some units something has imported."""
        found = {name for name in names & sys.modules.keys() if sys.modules[name] is not None}
        main = self.unit_name("__main__")
        found |= {main} & names if "__main__" in sys.modules else set()
        return frozenset(found & self.then if self.is_twin else found)

    def unit_name(self, module: str) -> str:
        """Return the name under which a live module's source is known (`__main__` is mapped by file)."""
        return self._main if module == "__main__" else module

    @functools.cached_property
    def _main(self) -> str:
        """The unit that runs as `__main__`, told once: it can't change."""
        file = getattr(sys.modules.get("__main__"), "__file__", None)
        path = Path(file).resolve() if file else None
        for name, source in self.tree.items():
            folder = self.belongs.folder(name)
            if folder is not None and folder / source.path == path:
                return name
        return "__main__"

    def filename(self, name: str, source: Source) -> str:
        """Return the file name that people know a module by on this machine."""
        module = self.loaded(name)
        if module is not None and getattr(module, "__file__", None):
            return str(module.__file__)
        parent, _, last = name.rpartition(".")
        package = self.loaded(parent) if parent else None
        where = next(iter(getattr(package, "__path__", ())), None)
        if where is None:
            return str((self.belongs.folder(name) or Path()) / source.path)
        return str(Path(where) / last / "__init__.py" if source.package else Path(where) / f"{last}.py")

    def uids(self, name: str) -> list[int]:
        """Return the identity of each statement of a module."""
        if name not in self.books.uids:
            self.books.uids[name] = [next(_uids) for _ in self.tree[name].parsed.pieces]
        return self.books.uids[name]

    def codes(self, name: str) -> list[CodeType]:
        """Return the code of each statement of a module, as it is loaded."""
        if name not in self.books.codes:
            source = self.tree[name]
            filename = self.filename(name, source)
            self.books.codes[name] = [compile_piece(p, source.parsed, filename) for p in source.parsed.pieces]
        return self.books.codes[name]

    @staticmethod
    def new_uid() -> int:
        """Return the identity of a statement that was not there before."""
        return next(_uids)

    def statement_at(self, name: str, line: int) -> int | None:
        """Return the uid of the statement that stands at a line of a module as loaded."""
        source = self.tree.get(name)
        if source is None:
            return None
        for piece, uid in zip(source.parsed.pieces, self.uids(name), strict=True):
            if piece.line <= line <= piece.end_line:
                return uid
        return None

    # where things stand

    def chain(self, frames: Iterable[Frame]) -> tuple[Place, ...]:
        """Return where a stack stands in cold-start order, outermost first."""
        found = []
        for frame in frames:
            module = self.unit_name(frame.module)
            self.books.ranks.setdefault(module, len(self.books.ranks))
            uid = self.statement_at(module, frame.line if frame.function == "<module>" else frame.first)
            within = 0 if frame.function == "<module>" else frame.line - frame.first + 1
            found.append((module, uid if uid is not None else -frame.line, within))
        return tuple(found)

    def chain_from(self, frames: tuple[Frame, ...]) -> tuple[Place, ...]:
        """Return where a stack stands, and before that what led to its outermost module at the start."""
        first = self.unit_name(frames[0].module) if frames else ""
        return (*self.books.chains.get(first, ()), *self.chain(frames))

    def position(self, chain: tuple[Place, ...], uids: dict[str, list[int]]) -> tuple[int, ...]:
        """Return a chain as numbers that sort in cold-start order."""
        numbers: list[int] = []
        for module, uid, within in chain:
            order = uids.get(module) or self.books.uids.get(module, [])
            numbers += (self.books.ranks.get(module, 0), order.index(uid) if uid in order else -uid, within)
        return tuple(numbers)

    def was_watched(self, name: str) -> bool:
        """Whether we were there when a module's body ran, so that `ran` is complete for it."""
        module = self.loaded(name)
        real = module.__name__ if module is not None else name
        if real in startup.watched:
            return True
        source = self.tree.get(name)
        return source is not None and _imports_us_first(source)

    # the importer's questions

    def lookup(self, name: str) -> tuple[Source, str] | None:
        """Answer the importer: what to load for a name, or None if it is not ours."""
        if name in self.removed:
            raise ModuleNotFoundError(f"No module named {name!r} (a release deleted it)", name=name)
        source = self.tree.get(name)
        return (source, self.filename(name, source)) if source is not None else None


def _imports_us_first(source: Source) -> bool:
    """Whether only imports and constants stand before the import of `flask_habanero`: we saw the rest run."""
    import ast

    for piece in source.parsed.pieces:
        node = piece.node
        found = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in getattr(node, "names", [])]
        )
        if isinstance(node, ast.Import | ast.ImportFrom) and any(
            f.partition(".")[0] == "flask_habanero" for f in found
        ):
            return True
        if not isinstance(node, ast.Import | ast.ImportFrom) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            return False
    return False


def owner_of(entry: Entry | configs.Written, known: Callable[[str], bool]) -> tuple[str, int] | None:
    """Return the statement that made an entry: the innermost one at module level."""
    for module, uid, within in reversed(entry.chain or ()):
        if within == 0 and known(module):
            return module, uid
    return None


_program: Program | None = None


def begin_with(
    belongings: belongs.Belongings, base: dict[str, Source], tree: dict[str, Source], number: int
) -> Program:
    """Return the process's program, before any module of the app is imported: they come from a release.

    Args:
        belongings: what belongs to the app.
        base: the sources on the disk.
        tree: those of the release.
        number: of the release.
    """
    global _program  # noqa: PLW0603  # as below
    _program = Program()
    _program.belongs, _program.began = belongings, number
    _program.base.update(base)
    _program.books.tree.update(tree)
    _program.removed = set(base) - set(tree)
    importer.finder.lookup = _program.lookup
    return _program


def attach(app: App, modules: tuple[str, ...] | None = None) -> Program:
    """Return the process's program, which now knows this app.

    Reads the sources of all that belongs to the app: the base.

    Raises:
        ConfigError: an explicit module is not to be found.
    """
    global _program  # noqa: PLW0603  # modules are the process's, and so is what we know of them
    if _program is None:
        _program = Program()
    more = belongs.belongings(app.import_name, modules)
    with _program.lock:
        registrations.targets.add(app)
        fresh = [name for name in more.folders if name not in _program.belongs.folders]
        _program.belongs = _program.belongs.with_(more)
        found = belongs.disk_tree(belongs.Belongings({name: more.folders[name] for name in fresh}, None))
        _program.base.update(found)
        _program.books.tree.update(
            {name: source for name, source in found.items() if name not in _program.books.tree}
        )
        importer.finder.lookup, _program.is_attached = _program.lookup, True
    if importer.finder.rests is not None and not importer.finder.depth:
        importer.finder.rests()
    return _program


def is_attached() -> bool:
    """Whether there is an app already."""
    return _program is not None and _program.is_attached


def install() -> None:
    """Begin to keep the books: journal, import stacks, what ran. Once per process."""
    registrations.install()
    configs.install()
    origin.install()
    gathered.install()
    importer.install()
    startup.start()
