"""Would a cold start get through its imports? Asked of the text, and of real processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random

import pytest
from flask_habanero.live import imports
from flask_habanero.source import Source

from tests.properties.processes import Farm, Sources, cold_imports, folder, write


def tree(files: Sources) -> dict[str, Source]:
    found = {}
    for path, text in files.items():
        parts = path.removesuffix(".py").split("/")
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        found[name] = Source(name, path, package, text)
    return found


def told(files: Sources, root: str = "a") -> str:
    """Return the code of the reason why a cold start would fail, or nothing."""
    modules = tree(files)
    broken = [reason.code for reason in imports.broken({}, modules, set(modules), imports.tops(modules))]
    circle = next(iter(imports.circles(modules, [root])), None)
    return broken[0] if broken else circle.code if circle else ""


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("x = 1\ny = 2", "x = 1", ""),  # nobody wants the one that goes
        ("x = 1", "y = 1", "import-broken"),
        ("y = 1\nglobals()[f'x'] = 1", "y = 1", "import-broken"),
        ("y = 1", "y = 2", ""),  # it lacked the name before, too: whoever imports it has not been started
        ("y = 1\nx = 1", None, "import-broken"),
    ],
)
def test_who_imports_a_module_is_looked_at_if_that_loses_something(
    before: str, after: str | None, code: str
) -> None:
    old = tree({"a": "from m import x", "m": before})
    new = {name: source for name, source in old.items() if name != "m"}
    new |= tree({"m": after}) if after is not None else {}
    found = [reason.code for reason in imports.broken(old, new, {"m"}, imports.tops(old))]
    assert found == ([code] if code else [])


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"a.py": "from b import x", "b.py": "x = 1"}, ""),
        ({"a.py": "from b import y", "b.py": "x = 1"}, "import-broken"),
        ({"a.py": "from a2 import y", "a2/__init__.py": ""}, "import-broken"),
        ({"a.py": "from p import m", "p/__init__.py": "", "p/m.py": ""}, ""),
        ({"a.py": "try:\n from b import y\nexcept ImportError: y = 1", "b.py": "x = 1"}, ""),
        ({"a.py": "from b import y", "b.py": "def __getattr__(n): return n"}, ""),
        ({"a.py": "from b import y", "b.py": "globals()['y'] = 1"}, ""),
        ({"a.py": "x = 1\nfrom b import y", "b.py": "from a import x\ny = x"}, ""),
        ({"a.py": "from b import y\nx = 1", "b.py": "from a import x\ny = x"}, "import-circle"),
        ({"a.py": "import b\nx = 1", "b.py": "def f():\n from a import x"}, ""),
        ({"a.py": "from os import path, sep"}, ""),
    ],
)
def test_a_fault_is_told_before_it_happens(files, code):
    assert told(files) == code


def _imports(files: Sources) -> str:
    with folder() as root:
        write(root, files)
        sys.path.insert(0, root)
        try:
            __import__("a")
        except (ImportError, AttributeError) as error:
            return type(error).__name__
        fell = [path for path in files if hasattr(sys.modules.get(path.removesuffix(".py")), "fell")]
        return "caught" if fell else ""


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm(cold_imports)
    yield farm
    farm.close()


def _random_files(rng: Random) -> Sources:
    names = ["a", "b", "c", "d"][: rng.randrange(2, 5)]
    files = {}
    for name in names:
        lines = [f"{name}{k} = {k}" for k in range(2)]
        for _ in range(rng.randrange(1, 4)):
            other = rng.choice([n for n in names if n != name])
            line = rng.choice((f"import {other}", f"from {other} import {other}{rng.randrange(2)}"))
            late = rng.choice(
                (
                    line,
                    line,
                    f"def f():\n    {line}",
                    f"try:\n    {line}\nexcept ImportError:\n    fell = True",
                )
            )
            lines.insert(rng.randrange(len(lines) + 1), late)
        files[f"{name}.py"] = "\n".join(lines) + "\n"
    return files


@pytest.mark.slow
def test_what_is_told_of_random_circles_is_what_happens(farm):
    failures = 0
    for seed in range(300):
        files = _random_files(Random(seed))
        happens = farm.run(_imports, files)
        assert bool(told(files)) == bool(happens), f"{files}: told {told(files)!r}, happens {happens!r}"
        failures += bool(happens)
    assert 20 < failures < 280


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a = 1\n_b = 2\ndef c(): pass", {"a", "c"}),
        ("__all__ = ['a', '_b']\na = _b = 1", {"a", "_b"}),
        ("__all__ = [n for n in dir()]", None),
        ("from x import *", None),
    ],
)
def test_the_names_that_a_star_brings(text, names):
    modules = tree({"m.py": text})
    assert imports.star_names(modules["m"], modules) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b = a\na = 1", ["a"]),
        ("def f(): return a\na = 1", []),
        ("def f(x=a): pass\na = 1", ["a"]),
        ("class B(A): pass\nclass A: pass", ["A"]),
        ("class A:\n x = 1\n y = x", []),
        ("x = [k for k in range(3)]", []),
        ("try:\n x = y\nexcept NameError:\n x = 1", ["y"]),
        ("print(__name__, __file__)", []),
        ("from m import *\nb = a", []),
    ],
)
def test_names_that_are_read_before_anything_binds_them(text, names):
    found = imports.used_too_early(tree({"m.py": text})["m"], None, {})
    assert [reason.what.split("'")[1] for reason in found] == names


def test_statements_are_ordered_as_a_cold_start_comes_to_them():
    modules = tree({"a.py": "x = 1\nimport b\ny = 2", "b.py": "z = 1\nimport c", "c.py": "w = 1"})
    order = imports.execution_order(modules, ["a"])
    assert sorted(order, key=lambda key: order[key]) == [
        ("a", 0),
        ("b", 0),
        ("c", 0),
        ("b", 1),
        ("a", 1),
        ("a", 2),
    ]
