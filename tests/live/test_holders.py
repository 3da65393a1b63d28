"""Who still holds an object that a release replaces: in each row a module keeps it in one more way."""

from __future__ import annotations

import gc
import threading
import types
from collections import Counter

import pytest
from flask_habanero.live import holders
from flask_habanero.live.holders import UNSEEN, Anew, is_plain

MODULE = """
import collections, contextvars, functools, threading, types, weakref
class Thing:
    def method(self): pass
class Plain:
    def __init__(self, held): self.held = held
class Slotted:
    __slots__ = ("held",)
    def __init__(self, held): self.held = held
def closure(held): return lambda: held
def default(held):
    def f(x=held): return x
    return f
def named_default(held):
    def f(*, x=held): return x
    return f
def tagged(held):
    def f(): pass
    f.tag = held
    return f
def decorated(held):
    def wrapper(f):
        @functools.wraps(f)
        def inner(): return held, f
        return inner
    return wrapper(tagged(None))
def started(held):
    def f(x):
        yield
        yield x
    made = f(held)
    next(made)
    return made
thing = Thing()
"""


def run(text: str) -> types.ModuleType:
    """Run the module with a few lines more. No variable of ours holds what it makes."""
    module = types.ModuleType("kept")
    exec(compile(MODULE + text, "kept.py", "exec"), vars(module))
    return module


def held(module: types.ModuleType, **more: object) -> tuple[str, str] | None:
    """Ask who holds `thing`, which is bound anew."""
    space = id(vars(module))
    names = {"thing", *more.pop("names", ())}
    return holders.held(
        Anew([module.thing], ["kept.thing"], names={space: names}, spaces={space: "kept"}, **more)
    )


def test_what_only_its_name_holds_is_held_by_nobody():
    assert held(run("")) is None


@pytest.mark.parametrize(
    "made",
    [
        "thing",
        "[thing]",
        "(1, (2, thing))",
        "{'a': {'b': [thing]}}",
        "{thing: 1}",
        "{thing}",
        "frozenset([thing])",
        "collections.deque([thing])",
        "collections.defaultdict(list, a=thing)",
        "Plain(thing)",
        "Slotted(thing)",
        "Plain(Slotted([thing]))",
        "thing.method",
        "closure(thing)",
        "default(thing)",
        "named_default(thing)",
        "tagged(thing)",
        "decorated(thing)",
        "started(thing)",
        "iter([thing])",
        "map(str, [thing])",
        "functools.partial(str, thing)",
        "functools.partial(str, object=thing)",
        "functools.lru_cache(closure(thing))",
        "property(closure(thing))",
        "staticmethod(closure(thing))",
        "type('Holds', (), {'held': thing})",
        "types.SimpleNamespace(held=thing)",
        "types.MappingProxyType({'a': thing})",
        "weakref.WeakValueDictionary(), thing",
        "threading.Thread(target=thing.method)",
    ],
)
def test_what_a_name_that_stays_leads_to_is_found(made):
    assert held(run(f"keeper = {made}\n")) == ("kept.thing", "kept.keeper")


@pytest.mark.parametrize(
    "made",
    [
        "weakref.ref(thing)",
        "weakref.WeakValueDictionary(a=thing)",
        "weakref.WeakSet([thing])",
        "weakref.WeakKeyDictionary({thing: 1})",
        "id(thing)",
        "type(thing)",
        "repr(thing)",
    ],
)
def test_what_refers_to_it_weakly_or_by_its_name_holds_nothing(made):
    assert held(run(f"keeper = {made}\n")) is None


@pytest.mark.parametrize(
    "made", ["[thing]", "closure(thing)", "Plain(Slotted(thing))", "functools.partial(str, thing)"]
)
def test_what_is_bound_anew_too_may_hold_it(made):
    assert held(run(f"keeper = {made}\n"), names=["keeper"]) is None


def test_two_that_hold_each_other_hold_themselves_only():
    assert held(run("other = Plain(thing)\nthing.other = other\ndel other\n")) is None


def test_what_nobody_reaches_any_more_holds_nothing():
    """A view that failed: its frame, and the exception that leads to it, refer to each other."""
    failing = """
def view(held):
    try:
        raise ValueError
    except ValueError as error:
        kept = error
view(thing)
"""
    gc.disable()  # it is there until somebody collects it
    try:
        assert held(run(failing)) is None
    finally:
        gc.enable()


def test_another_module_of_the_app_is_named():
    module = run("")
    other = types.ModuleType("other")
    other.alias = module.thing
    space = id(vars(module))
    anew = Anew([module.thing], ["kept.thing"], {space: {"thing"}}, {space: "kept", id(vars(other)): "other"})
    assert holders.held(anew) == ("kept.thing", "other.alias")


def test_a_registry_that_is_rebuilt_may_hold_it_and_a_registration_that_stays_may_not():
    module = run("keeper = {'a': thing}\n")
    assert held(module, tables={id(module.keeper)}) is None
    assert held(module, kept={id(module.keeper): "app.route()"}) == ("kept.thing", "app.route()")


@pytest.mark.parametrize(
    ("made", "gone", "stays"),
    [
        ("{'a': thing}", "['a']", False),
        ("{'a': thing, 'b': thing}", "['a']", True),
        ("[1, thing]", "[thing]", False),
        ("{thing, 2}", "[thing]", False),
        ("[thing, [thing]]", "[thing]", True),
        ("{'a': [thing]}", "['b']", True),
    ],
)
def test_an_entry_that_goes_holds_nothing(made, gone, stays):
    module = run(f"keeper = {made}\n")
    space = id(vars(module))
    anew = Anew([module.thing], ["kept.thing"], {space: {"thing"}}, {space: "kept"})
    anew.purged[id(module.keeper)] = eval(gone, vars(module))  # held by nothing of the test's own
    assert (holders.held(anew) is not None) is stays


def test_a_thread_that_has_it_in_a_variable_is_found():
    module = run(
        "ready, end = threading.Event(), threading.Event()\n"
        "def work(mine):\n    ready.set()\n    end.wait()\n    return mine\n"
        "def begin():\n    t = threading.Thread(target=lambda: work(thing))\n    t.start()\n    return t\n"
    )
    worker: threading.Thread = module.begin()
    try:
        assert module.ready.wait(5)
        assert held(module) in (("kept.thing", "work, which is running"), ("kept.thing", UNSEEN))
    finally:
        module.end.set()
        worker.join()
    assert held(module) is None


def test_a_variable_of_a_context_is_found():
    module = run("var = contextvars.ContextVar('var')\n")
    token = module.var.set(module.thing)
    try:
        assert held(module) is not None
    finally:
        module.var.reset(token)


@pytest.mark.parametrize("value", [1, "a", None, (1, ("a", None)), frozenset([1]), threading])
def test_of_equal_constants_any_will_do(value):
    assert is_plain(value)


@pytest.mark.parametrize("value", [[1], {}, (1, []), object(), print])
def test_all_else_is_told_apart(value):
    assert not is_plain(value)


def refuse_to_walk(_anew: Anew) -> None:
    raise AssertionError("the heap was walked")


def replaced(module: types.ModuleType) -> Anew:
    """Return that `thing` is bound anew, and that its name is known to refer to it."""
    space = id(vars(module))
    known = Counter({id(module.thing): 1})
    return Anew([module.thing], ["kept.thing"], {space: {"thing"}}, {space: "kept"}, known=known)


def test_no_heap_is_walked_for_what_only_known_names_hold(monkeypatch):
    module = run("")
    monkeypatch.setattr(holders, "_walk", refuse_to_walk)
    assert holders.held(replaced(module)) is None


@pytest.mark.parametrize("more", ["other = thing", "other = [thing]", "other = Slotted(thing)"])
def test_a_reference_more_than_is_known_is_looked_for(more, monkeypatch):
    module = run(more)
    assert holders.held(replaced(module)) is not None
    monkeypatch.setattr(holders, "_walk", refuse_to_walk)
    with pytest.raises(AssertionError, match="walked"):
        holders.held(replaced(module))
