"""Each step gives back what takes it back: then nothing is different. Nor when it raised half-way."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest
from flask import Flask
from flask_habanero.live import steps
from flask_habanero.source import Source
from flask_habanero.unit import compile_nodes

from tests.oracle.graph import Graph

TEXT = '''"""Says."""
import abc
LIMIT: int = 3
TABLE = {"a": [1]}
def plain(x: int = 1, *, y=2) -> int:
    "Plain."
    return x + y
def mark(fn):
    fn.marked = True
    return fn
class Base(abc.ABC):
    """Base."""
    size: int = 1
    def run(self):
        return self.size
class Below(Base):
    def run(self):
        return super().run() + 1
'''


@pytest.fixture
def module() -> Iterator[ModuleType]:
    made = ModuleType("stepped", "Says.")
    sys.modules["stepped"] = made
    exec(code(TEXT), vars(made))
    yield made
    sys.modules.pop("stepped", None)


def code(text: str) -> Any:
    source = Source("stepped", "stepped.py", False, text)
    return compile_nodes([piece.node for piece in source.parsed.pieces], source.parsed, "stepped.py")


def told(module: ModuleType) -> dict[str, str]:
    graph = Graph(lambda name: name == "stepped")
    graph.visit("modules", sorted(name for name in sys.modules if name.startswith("stepped")))
    for name, value in sorted(vars(module).items()):
        if name != "__builtins__":
            graph.visit(name, value)
    return graph.found


def members(cls: type, module: ModuleType, *drop: str, **texts: str) -> steps.Members:
    """Return the step that gives a class members of some texts."""
    put = tuple(
        steps.Put((name,), code(f"class {cls.__name__}:\n    {text}").co_consts[0])
        for name, text in texts.items()
    )
    return steps.Members(cls, module, put, drop, tuple(texts))


def function(text: str) -> FunctionType:
    space: dict[str, Any] = {}
    exec(code(text), space)
    return next(v for v in space.values() if isinstance(v, FunctionType))


GOOD: dict[str, Callable[[ModuleType], Any]] = {
    "code": lambda m: steps.SwapCode(
        (m.plain,), function("def plain(x=1, *, y=2):\n 'Other.'\n return 9").__code__
    ),
    "header": lambda m: steps.Conform(
        m.plain, m, "plain", code("def plain(x: str = LIMIT, *, z=TABLE): 'New.'")
    ),
    "run": lambda m: steps.Run(m, code("LIMIT: str = 4\nNEW: int = 5\nTABLE = {}")),
    "decorate": lambda m: steps.Decorate(m, "plain", m.plain, code(f"plain = [{steps.RAW}]")),
    "forget": lambda m: steps.Forget(m, ("LIMIT", "TABLE")),
    "forget the docstring": lambda m: steps.Forget(m, ("__doc__",)),
    "put members": lambda m: members(
        m.Base, m, size="size: str = 2", new="def new(self): return super().run"
    ),
    "drop members": lambda m: steps.Members(m.Base, m, (), ("size", "run"), ()),
    "make a method abstract": lambda m: members(
        m.Base, m, must="@abc.abstractmethod\n    def must(self): ..."
    ),
    "assign": lambda m: steps.Assign(m, {"LIMIT": 9, "MORE": 1}),
    "items": lambda m: steps.Items(m.TABLE, {"a": [1], "b": 2}, ("a",)),
    "drop the module": lambda m: steps.DropModule("stepped"),
}

BAD: dict[str, Callable[[ModuleType], Any]] = {
    "header": lambda m: steps.Conform(m.plain, m, "plain", code("def plain(x: str = {}['k']): 'New.'")),
    "run": lambda m: steps.Run(m, code("LIMIT = 4\nNEW: int = 5\n[][1]")),
    "run until an exit": lambda m: steps.Run(m, code("LIMIT = 4\nraise SystemExit")),
    "decorate": lambda m: steps.Decorate(m, "plain", m.plain, code(f"plain = {{}}['k']({steps.RAW})")),
    "put members": lambda m: members(m.Base, m, "run", size="size = 2", bad="bad = [][1]"),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_inverse_takes_all_of_a_step_back(module, name):
    step, before = GOOD[name](module), told(module)
    inverse = step.apply()
    assert told(module) != before, "a step that does nothing proves nothing"
    inverse()
    assert told(module) == before


@pytest.mark.parametrize("name", BAD)
def test_a_step_that_raises_leaves_nothing(module, name):
    step, before = BAD[name](module), told(module)
    with pytest.raises((LookupError, SystemExit)):
        step.apply()
    assert told(module) == before


def test_code_is_swapped_without_a_new_function(module):
    plain = module.plain
    steps.SwapCode((plain,), function("def plain(x=1, *, y=2):\n 'Other.'\n return 9").__code__).apply()
    assert module.plain is plain
    assert (plain(), plain.__doc__) == (9, "Other.")


def test_a_docstring_that_was_set_by_hand_is_kept(module):
    module.plain.__doc__ = "By hand."
    steps.SwapCode(
        (module.plain,), function("def plain(x=1, *, y=2):\n 'Other.'\n return 9").__code__
    ).apply()
    assert module.plain.__doc__ == "By hand."


def test_super_in_a_new_method_means_the_class_that_there_is(module):
    below = module.Below()
    members(module.Below, module, run="def run(self): return super().run() + 10").apply()
    assert below.run() == 11


def test_tracebacks_see_the_text_that_runs():
    before = dict(linecache.cache)
    inverse = steps.ShowSource("stepped.py", "one\ntwo\n").apply()
    assert linecache.getline("stepped.py", 2) == "two\n"
    inverse()
    assert linecache.cache == before


def test_modules_that_a_release_imported_go_with_it():
    undo = steps.modules_before()
    sys.modules["stepped_new"] = ModuleType("stepped_new")
    undo()
    assert "stepped_new" not in sys.modules


def test_a_registry_that_the_app_did_not_have_is_taken_away_again():
    app = Flask("stepped")
    inverse = steps.Assign(app, {"made_up": {}}).apply()
    assert app.made_up == {}
    inverse()
    assert not hasattr(app, "made_up")
