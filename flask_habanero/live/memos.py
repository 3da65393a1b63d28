"""Memos that may hold results of what changed: emptied, because a cold start would not have them.

By name, and so rather too many: what is computed once more is right, what is kept too long is not. Where a
memo is held does not matter: it is found among all objects, if the app's own text makes any.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ..source import Source, once_for_each_source
from . import bodies, caches, functions, readers, reading, recollected, registrations, steps
from .roster import Memo, roster

if TYPE_CHECKING:
    from .draft import Draft


def is_table(tree: Mapping[str, Source], module: str, name: str) -> bool:
    """Whether a module's name is the table of a function that remembers what it made, and nothing else.

    Such a table starts empty; one function looks it up and writes it: ``if key in TABLE: return TABLE[key]``.
    What is in it would be made again by who asks for it: a new table is as good.
    """
    if any(name in source.text for one, source in tree.items() if one != module):
        return False
    pieces = [p for p in tree[module].parsed.pieces if _occurrences(p.node, name)]
    if len(pieces) != 2:
        return False
    made, used = (piece.node for piece in pieces)
    return _is_empty_table(made, name) and isinstance(used, bodies.Function) and _only_remembers(used, name)


def _occurrences(node: ast.AST, name: str) -> list[ast.expr]:
    return [one for one in ast.walk(node) if isinstance(one, ast.Name) and one.id == name]


def _is_empty_table(node: ast.stmt, name: str) -> bool:
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    is_name = len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == name
    return is_name and (
        (isinstance(value, ast.Dict) and not value.keys)
        or (isinstance(value, ast.Call) and ast.unparse(value) == "dict()")
    )


def _only_remembers(node: bodies.Function, name: str) -> bool:
    fits, written, looked_up = 0, False, False
    for one in ast.walk(node):
        found = _occurrences(one, name)
        if isinstance(one, ast.Subscript) and _occurrences(one.value, name) == [one.value]:
            if isinstance(one.ctx, ast.Del):
                return False
            fits += 1
            written |= isinstance(one.ctx, ast.Store)
        elif isinstance(one, ast.Compare) and isinstance(one.ops[0], ast.In | ast.NotIn):
            fits += one.comparators == found
            looked_up |= one.comparators == found
        elif isinstance(one, ast.Attribute) and one.attr == "get":
            fits += found == [one.value]
            looked_up |= found == [one.value]
    return written and looked_up and fits == len(_occurrences(node, name))


def empty(draft: Draft, loaded: list[str], touched: set[str]) -> None:
    """Let the plan empty memos, cached properties, and Jinja's templates, into which it folds filters.

    Args:
        draft: the plan in the making.
        loaded: the app's loaded modules.
        touched: functions and names, by their last part, that do or are something else now.
    """
    target = draft.out.target
    sources = [target[module] for module in loaded]
    given = frozenset().union(*map(readers.given, sources))
    wanted = given | touched
    reached = readers.reaching(sources, touched, readers.reaching(sources, given))
    if any(map(_keeps, draft.program.tree.values())):
        through = _through_constructors(sources, wanted, reached)
        draft.emptied += [*_memos(draft, through), *_caches(draft, through), *_properties(draft, through)]
        draft.out.clear += [steps.ClearCache(one.clear) for one in draft.emptied]
    draft.out.templates = not reached.isdisjoint(registrations.template_functions())


def may_hold(draft: Draft, qualname: str) -> bool:
    """Whether a memo may hold results of a function, and what ran may have taken from it unseen.

    At the start itself memos were empty: what one gave then, a function had made while it was recorded.
    Whether the start holds such a thing, which a memo that is emptied gives no more, is asked in `anew`.
    """
    target = draft.out.target
    if not draft.program.has_run or not any(map(_keeps, draft.program.tree.values())):
        return False
    sources = [target[module] for module in draft.loaded if module in target]
    wanted = {called_as(qualname)}
    reached = _through_constructors(sources, wanted, readers.reaching(sources, wanted))
    return any(True for found in (_memos, _caches, _properties) for _ in found(draft, reached))


def called_as(qualname: str) -> str:
    """Return by which name a function is called: a constructor by that of its class."""
    owner, _, last = qualname.rpartition(".")
    return owner.rpartition(".")[2] if owner and last == _CONSTRUCTOR else last


def _through_constructors(
    sources: list[Source], wanted: AbstractSet[str], reached: AbstractSet[str]
) -> AbstractSet[str]:
    """Return through what some names are reached. A constructor is called by the name of its class."""
    found = reached
    while more := set().union(*(reading.constructed(source, found) for source in sources)) - found:
        found = readers.reaching(sources, more | _WITHOUT_A_NAME, found)
    return found - {"__class__", *({_CONSTRUCTOR} - wanted)}


_CONSTRUCTOR = "__init__"
_WITHOUT_A_NAME = {"type", "__class__", readers.ANYTHING}  # who makes an object of a class that it was given


@once_for_each_source
def _keeps(source: Source) -> bool:
    """Whether a module may make memos."""
    return _KEEPING.search(source.text) is not None


_KEEPING = re.compile(r"lru_cache|cached|memoize|functools\.cache\b|import\b.*\bcache\b")


def _memos(draft: Draft, reached: AbstractSet[str]) -> Iterator[recollected.Memo]:
    """Yield the memos of the app's own functions that are reached, wherever those are held."""
    everything = _is_anything(reached)
    for memo in held(draft):
        if everything or any(_may_reach(function, reached) for function in inside(memo)):
            yield recollected.Memo(memo)


def held(draft: Draft) -> list[Any]:
    """Return the memos (`functools.lru_cache`) of the app's own functions, wherever they are held."""
    if not any(map(_keeps, draft.program.tree.values())):
        return []
    return [one for one in roster.every() if any(_is_own(draft, function) for function in inside(one))]


def inside(memo: Any) -> Iterator[Any]:
    """Yield what a memo keeps the results of, and what that calls: wrapped, bound, or given its arguments."""
    seen = {id(memo)}
    while (memo := _within(memo)) is not None and id(memo) not in seen:
        seen.add(id(memo))
        yield memo


def _within(one: Any) -> Any:
    if isinstance(one, functools.partial):
        return one.func
    if isinstance(one, MethodType):
        return one.__func__
    if type(one) is Memo:  # its `__wrapped__` is what `functools.wraps` made it
        inside = reversed(gc.get_referents(one))  # before it stands what it keeps, which may be called, too
        return next(thing for thing in inside if callable(thing) and not _is_of_memos(thing))
    wrapped = None if isinstance(one, type) else inspect.getattr_static(one, "__wrapped__", None)
    called = inspect.getattr_static(type(one), "__call__", None)
    return wrapped if wrapped is not None else called if isinstance(called, FunctionType) else None


def _is_of_memos(thing: Any) -> bool:
    """Whether this is one of the types that every memo refers to."""
    return isinstance(thing, type) and thing.__module__ == Memo.__module__


def _caches(draft: Draft, reached: AbstractSet[str]) -> Iterator[caches.Cache]:
    """Yield the caches of libraries with the app's own functions that are reached."""
    everything = _is_anything(reached)
    modules = [name for name in sorted(draft.loaded) if name in draft.program.tree]
    for cache in caches.find(draft, [name for name in modules if _keeps(draft.program.tree[name])]):
        if _is_own(draft, cache.function) and (everything or _may_reach(cache.function, reached)):
            yield cache


def _properties(draft: Draft, reached: AbstractSet[str]) -> Iterator[recollected.Property]:
    """Yield the cached properties of the app's own classes that are reached."""
    if not any(map(_computes_once, draft.program.tree.values())):
        return  # a process has thousands of classes
    everything = _is_anything(reached)
    for cls in _own_classes(draft):
        for key, member in list(vars(cls).items()):
            computes = functions.computes_once(member)
            if computes is not None and (everything or not reached.isdisjoint({key, computes.__name__})):
                yield recollected.Property(computes, cls, key)


def _own_classes(draft: Draft) -> Iterator[type]:
    own: dict[str | None, bool] = {}  # there are many classes, of few modules
    for cls in functions.with_subclasses(object):
        module = getattr(cls, "__module__", None)
        key = module if isinstance(module, str) else None  # which may be the app's own
        if key not in own:
            own[key] = _is_own(draft, cls)
        if own[key]:
            yield cls


def _is_anything(reached: AbstractSet[str]) -> bool:
    """Whether anything may be reached."""
    # special methods are called without a name, and what writes into namespaces may have made anything
    return readers.ANYWHERE in reached or any(_SPECIAL.match(name) for name in reached)


def _may_reach(function: Any, reached: AbstractSet[str]) -> bool:
    """Whether a function may call what is reached: by a name, or by what it was given when it was made."""
    code = getattr(function, "__code__", None)  # `functools.wraps` changes the names of the function
    names = (getattr(function, "__qualname__", "<lambda>"), getattr(code, "co_qualname", ""))
    around = {one for name in names for one in name.split(".")}  # what stands around it reads what it reads
    named = "<lambda>" in around or not reached.isdisjoint(around)
    return named or bool(getattr(function, "__closure__", None))


@once_for_each_source
def _computes_once(source: Source) -> bool:
    """Whether a module names the kind of property, under whatever name it goes on."""
    return "cached_property" in source.text


_SPECIAL = re.compile(r"__\w+__\Z")


def _is_own(draft: Draft, thing: Any) -> bool:
    """Whether a function or a class is the app's own, or does not say whose it is."""
    module = getattr(thing, "__module__", None)
    return not isinstance(module, str) or draft.world.is_own(module)
