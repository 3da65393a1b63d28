"""Edits the journals of apps, blueprints and configurations, and puts what they come to in place.

What statements that end had entered goes; what they enter anew stands where a cold start would have put it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from flask.config import Config
from flask.sansio.app import App

from . import configs, rebuilding, recorded, registrations, steps, templates
from .bookkeeping import relocated
from .program import owner_of
from .registrations import Entry, Target

if TYPE_CHECKING:
    from .plan import Plan
    from .program import Program

Inverse = Callable[[], None]


def edit(program: Program, plan: Plan, pending: list[tuple[Target, Entry]], done: list[Inverse]) -> None:
    """Edit the journals, rebuild what they touch, swap it in."""
    ended = plan.withdraw | plan.moved
    journals: dict[Target, list[Entry]] = {}
    moving: list[tuple[Target, Entry]] = []
    for target in plan.journals:
        entries = registrations.entries_of(target)
        owners = [
            owner_of(entry, plan.target.__contains__) or owner_of(entry, program.books.uids.__contains__)
            for entry in entries
        ]
        pairs = list(zip(entries, owners, strict=True))
        kept = [
            relocated(e, plan) for e, owner in pairs if owner not in ended and not plan.ends(e.chain or ())
        ]
        moving += [(target, e) for e, owner in pairs if owner in plan.moved - plan.withdraw]
        # what came about while an import ran stands where that import stands now
        elsewhere = any(place[:2] in plan.moved for e in kept for place in e.chain or ())
        if len(kept) != len(entries) or any(a is not b for a, b in zip(kept, entries, strict=True)):
            ordered = sorted(kept, key=lambda e: program.position(e.chain or (), program.books.uids))
            if elsewhere or len(kept) != len(entries) or ordered != kept:
                journals[target] = ordered
            else:  # only the lines are others: what was registered past Flask's methods stays
                _write(target, kept, done)
        elif elsewhere:
            journals[target] = sorted(kept, key=lambda e: program.position(e.chain or (), program.books.uids))
    for target, entry in [*moving, *pending]:
        journal = journals.setdefault(target, list(registrations.entries_of(target)))
        keys = [program.position(e.chain or (), program.books.uids) for e in journal]
        journal.insert(bisect_right(keys, program.position(entry.chain or (), program.books.uids)), entry)
    if journals:
        _check_setup(program, journals)
        if plan.records:
            recorded.keeps(journals)
        _swap(journals, done, records=plan.records)


class Edited:
    """A configuration while statements that write it run anew."""

    def __init__(self, config: Config, program: Program, plan: Plan) -> None:
        self._config, self._program, self._plan = config, program, plan
        book = configs.book_of(config)
        assert book is not None
        self._book, self._before = book, list(book.entries)

    def begin(self) -> Inverse:
        """Take out what those statements had written; return what brings all of it back."""
        config, book, entries, content = self._config, self._book, self._before, dict.copy(self._config)
        ended = self._plan.withdraw | self._plan.moved
        known = self._program.books.uids.__contains__
        book.entries = [
            relocated(entry, self._plan)
            for entry in entries
            if owner_of(entry, known) not in ended and not self._plan.ends(entry.chain or ())
        ]
        self._kept, self._moved = (
            list(book.entries),
            [entry for entry in entries if owner_of(entry, known) in self._plan.moved - self._plan.withdraw],
        )
        steps.fill(config, book.folded(book.entries))

        def inverse() -> None:
            book.entries = entries
            steps.fill(config, content)

        return inverse

    def written(self) -> list[configs.Written]:
        """Return what was written since `begin`."""
        return self._book.entries[len(self._kept) :]

    def end(self) -> Inverse:
        """Put what was written where a cold start would have written it, and what that comes to in place."""
        book = self._book
        fresh = [*self._moved, *book.entries[len(self._kept) :]]
        book.entries = [self._refreshed(entry) for entry in self._kept]
        for entry in fresh:
            entry.chain = entry.chain or self._program.chain_from(entry.frames)
            place = self._program.position(entry.chain, self._program.books.uids)
            keys = [self._program.position(e.chain or (), self._program.books.uids) for e in book.entries]
            book.entries.insert(bisect_right(keys, place), self._refreshed(entry))
        steps.fill(self._config, book.folded(book.entries))
        return lambda: None  # begin()'s inverse brings back all

    def _refreshed(self, entry: configs.Written) -> configs.Written:
        again = self._plan.refresh.get(id(entry))
        if again is None:
            return entry
        return replace(entry, changes=again.changes(configs.written_again(self._config, entry)))


def _check_setup(program: Program, journals: dict[Target, list[Entry]]) -> None:
    """Raise what Flask does at a cold start when a blueprint is set up after it was registered."""
    first: dict[Target, tuple[int, ...]] = {}
    for target in {**dict.fromkeys(registrations.targets), **journals}:
        for entry in journals.get(target, registrations.entries_of(target)):
            if entry.method == "register_blueprint":
                at = program.position(entry.chain or (), program.books.uids)
                first[entry.args[0]] = min(at, first.get(entry.args[0], at))
    for blueprint, at in first.items():
        for entry in journals.get(blueprint, ()):
            place = program.position(entry.chain or (), program.books.uids)
            if place > at and place[: len(at)] != at:  # else it was made on the way to being registered
                late = f".{entry.method}() comes after it was registered, where Flask refuses it"
                raise AssertionError(f"blueprint {blueprint.name!r}: {late}")


def _swap(journals: dict[Target, list[Entry]], done: list[Inverse], *, records: bool) -> None:
    targets = [
        t
        for t in {**dict.fromkeys(registrations.targets), **journals}
        if not t.import_name.startswith("flask_habanero")
    ]
    apps = [target for target in targets if isinstance(target, App)]
    before = {one.target: one for one in rebuilding.rebuild(apps, {}, records=records)}
    for one in rebuilding.rebuild(targets, journals, records=records):
        done.append(steps.Assign(one.target, one.tables).apply())
        if isinstance(one.target, App):
            done.append(steps.Assign(one.target.url_map, one.url_map).apply())
            templates.exchange(one.target, before[one.target].jinja, one.jinja, done)
    # a blueprint that has no registrations of its own has no journal
    registered = [bp for app in apps for bp in app.blueprints.values()]
    fresh = [bp for bp in registered if not bp._got_registered_once]
    done.extend(steps.Assign(blueprint, {"_got_registered_once": True}).apply() for blueprint in fresh)
    for target, journal in journals.items():
        _write(target, journal, done)


def _write(target: Target, journal: list[Entry], done: list[Inverse]) -> None:
    """Let a journal be another one."""
    old = registrations.entries_of(target)
    registrations.set_entries(target, journal)
    registrations.targets.add(target)
    done.append(lambda: registrations.set_entries(target, old))
