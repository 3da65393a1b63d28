"""Through what a name is reached: who reads it, and who reads those, told by last parts."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Set

from ..source import Source, once_for_each_source
from . import names
from .names import Names

Table = dict[str, Set[str]]

ANYWHERE = "*"  # what a statement binds, or a function, that writes into namespaces
WRITERS = {"globals", "setattr", "vars", "__dict__", "exec"}


@once_for_each_source
def readers(source: Source) -> Table:
    """Return name -> who reads it, by last parts: functions, and what statements made of it."""
    found: Table = {}
    for row in names.of_source(source):
        if row.readers is None:
            row.readers = _readers_in(row)
        for name, those in row.readers.items():
            known = found.get(name)
            found[name] = those if known is None else known | those
    return found


def _readers_in(row: Names) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    bodies = ((b.reads | b.attributes, {key.rpartition(".")[2], *b.rebinds}) for key, b in row.bodies.items())
    for item in (*row.imports, *row.inner_imports):  # under another name
        inside = {key.rpartition(".")[2] for key in row.bodies} if item in row.inner_imports else set()
        for name in filter(None, (item.name, item.module.rpartition(".")[2])):
            found[name] |= {item.bound, *inside}
    for read, made in (*_open(row), *bodies, (row.reads | row.attributes, row.binds)):
        reader = made if WRITERS.isdisjoint(read) else {*made, ANYWHERE}
        for name in read if reader else ():
            found[name] |= reader
    return found


ANYTHING = "()"  # what is called by somebody who was given it


def _open(row: Names) -> Iterator[tuple[set[str], set[str]]]:
    """Yield (names, who reads them) where what is read is not called by its name."""
    for key, body in row.bodies.items():
        yield (
            {*([ANYTHING] if body.calls_given else []), *(f"{one}()" for one in body.called)},
            {key.rpartition(".")[2]},
        )
        yield from ((said, {attribute}) for attribute, said in body.sets.items())
    yield from ((said, {attribute}) for attribute, said in row.sets.items())


@once_for_each_source
def given(source: Source) -> frozenset[str]:
    """Return what stands for whatever somebody is given: by parameters, and by attributes set to those."""
    every = [body for row in names.of_source(source) for body in row.bodies.values()]
    kept = {attribute for body in every for attribute, said in body.sets.items() if said & body.own}
    return frozenset({ANYTHING, *(f"{attribute}()" for attribute in kept)})


class _Index:
    """The readers of all names in some sources. It stays as it is; that of others is made from it.

    Args:
        tables: of each source, by its module's name: itself, and its readers.
        by_name: name -> module -> who reads that name there.
        known: names -> through what they are reached, as far as somebody asked.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[Source, Table]],
        by_name: dict[str, dict[str, Set[str]]],
        known: dict[frozenset[str], frozenset[str]],
    ) -> None:
        self.tables = tables
        self._by_name = by_name
        self._known = known

    def is_of(self, sources: Mapping[str, Source]) -> bool:
        """Whether it is that of some sources."""
        if self.tables.keys() != sources.keys():
            return False
        return all(self.tables[name][0] is one for name, one in sources.items())

    def of(self, sources: Mapping[str, Source]) -> _Index:
        """Return the index of other sources."""
        tables = {name: (one, readers(one)) for name, one in sources.items()}
        others = {name for name in tables if tables[name][0] is not self.tables.get(name, (None,))[0]}
        come = {name for name in others if name not in self.tables or tables[name][1] != self.tables[name][1]}
        gone = {name for name in self.tables if name not in tables or name in come}
        if not (gone or come):  # texts changed, and nobody reads anything else: the most frequent edit
            return _Index(tables, self._by_name, self._known)
        by_name = self._by_name.copy()
        for name in {name for module in gone for name in self.tables[module][1]}:
            others_read = {module: those for module, those in by_name.pop(name).items() if module not in gone}
            by_name.update({name: others_read} if others_read else {})
        for name in {name for module in come for name in tables[module][1]}:
            by_name[name] = by_name.get(name, {}).copy()
        for module in come:
            for name, those in tables[module][1].items():
                by_name[name][module] = those
        return _Index(tables, by_name, {})

    def reaching(self, wanted: Set[str], known: Set[str]) -> Set[str]:
        """Return through what some names are reached, and what is known to be; the names included."""
        key = frozenset(wanted)
        if not known and key in self._known:
            return self._known[key]
        found = {*known, *wanted}
        todo = list(wanted - known)
        while todo:
            more = set().union(*self._by_name.get(todo.pop(), {}).values()) - found
            found |= more
            todo += more
        if not known and len(self._known) < _KEPT:
            self._known[key] = frozenset(found)
        return found


_KEPT = 16  # what each plan asks comes first; the rest is of one edit
# Of the last sources that were asked about, before and after a change: most of an app is in both
_asked: deque[_Index] = deque([_Index({}, {}, {})], maxlen=2)


def reaching(sources: Iterable[Source], wanted: Set[str], known: Set[str] = frozenset()) -> Set[str]:
    """Return through what some names are reached, told by last parts; the names included.

    Args:
        sources: whose functions and statements may reach them; of different modules.
        wanted: the names.
        known: what was found of other names, if that is to go on: it is in what is returned.
    """
    every = {one.name: one for one in sources}
    last = list(_asked)  # another thread may ask, too
    index = next((one for one in last if one.is_of(every)), None)
    if index is None:
        index = last[-1].of(every)
        _asked.append(index)
    return index.reaching(wanted, known)
