"""Compiled alone, a statement behaves as it does in the whole module."""

from __future__ import annotations

import ast
import dis
import re
import sys
import sysconfig
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_habanero.errors import BuildError
from flask_habanero.source import Source, decode_source
from flask_habanero.unit import compile_piece, dump_code
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.properties.programs import programs

OPTIMIZE = (0, 1, 2)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")


def source(text: str) -> Source:
    return Source("m", "pkg/m.py", False, text)


def valid(text: str) -> Source:
    """Return the source of a generated program, or skip it: some combinations are no Python."""
    made = source(text)
    try:
        made.parsed  # noqa: B018  # computed once, and kept
    except BuildError:
        assume(False)
    return made


def alone(made: Source, optimize: int) -> list[types.CodeType]:
    return [compile_piece(piece, made.parsed, made.path, optimize) for piece in made.parsed.pieces]


def whole(made: Source, optimize: int) -> types.CodeType:
    return compile(made.text, made.path, "exec", dont_inherit=True, optimize=optimize)


def inner(code: types.CodeType) -> list[types.CodeType]:
    """Return the code objects that a code loads.

    Not all of its constants: the first stays even if nothing loads it, as in a lone ``if 0: f = lambda: 1``.
    """
    loaded = {i.arg for i in dis.get_instructions(code) if i.opcode in dis.hasconst}
    consts = [const for index, const in enumerate(code.co_consts) if index in loaded]
    return [const for const in consts if isinstance(const, types.CodeType)]


def walk(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for child in inner(code):
        yield from walk(child)


def assert_same_codes(made: Source, optimize: int) -> None:
    """Compare the code that the statements load, in any order: a whole module has its handlers at its end.

    As bytes, so that names, qualified names, line tables, flags and constants that are NaN count too.
    """
    expected = {dump_code(code): code for code in inner(whole(made, optimize))}
    actual = {dump_code(child): child for code in alone(made, optimize) for child in inner(code)}
    missing = [expected[data] for data in expected.keys() - actual.keys()]
    assert not missing
    added = [actual[data] for data in actual.keys() - expected.keys()]
    # Python 3.12 makes one of two equal lambdas on a line, at the place of the first
    assert all(code in expected.values() for code in added)
    for code, other in ((code, expected[data]) for data, code in actual.items() if data in expected):
        assert [list(c.co_positions()) for c in walk(code)] == [list(c.co_positions()) for c in walk(other)]


ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def describe(value: Any, depth: int = 3) -> Any:
    """Return a value as something that can be compared between two runs."""
    if isinstance(value, types.FunctionType):
        cells = [describe(c.cell_contents, depth - 1) if depth else 0 for c in value.__closure__ or ()]
        values = (value.__defaults__, value.__kwdefaults__, value.__annotations__, vars(value))
        return value.__code__, value.__qualname__, value.__doc__, value.__module__, cells, shown(values)
    if isinstance(value, type) and value.__module__ == "m" and depth:
        members = {
            k: describe(v, depth - 1) for k, v in vars(value).items() if k not in {"__dict__", "__weakref__"}
        }
        return value.__qualname__, [b.__qualname__ for b in value.__mro__], members
    if isinstance(value, property | classmethod | staticmethod):
        wrapped = [getattr(value, name, None) for name in ("fget", "fset", "__func__")]
        return type(value).__name__, [describe(w, depth) for w in wrapped]
    return type(value).__name__, shown(value)


def shown(value: Any) -> str:
    return ADDRESS.sub("", repr(value))


def run(codes: list[types.CodeType]) -> tuple[dict[str, Any], list[str]]:
    """Return the namespace that some codes make, and the exception they end with."""
    namespace: dict[str, Any] = {"__name__": "m", "__doc__": None}
    raised: list[str] = []
    try:
        for code in codes:
            exec(code, namespace)
    except Exception as error:  # noqa: BLE001  # whatever a program raises, both ways must raise it
        frames = traceback.extract_tb(error.__traceback__)[1:]
        raised = [repr(error), *(f"{f.filename}:{f.lineno}:{f.colno} {f.name}" for f in frames)]
        raised = [ADDRESS.sub("", line) for line in raised]
    del namespace["__builtins__"]
    return namespace, raised


def assert_same_namespace(made: Source, optimize: int) -> None:
    one, raised = run(alone(made, optimize))
    other, expected = run([whole(made, optimize)])
    assert raised == expected
    # a whole module has __annotations__ before its first statement, a statement when it needs it
    order = [[n for n in names if n != "__annotations__"] for names in (one, other)]
    assert order[0] == order[1]
    for name in order[0]:
        assert describe(one[name]) == describe(other[name]), name
    assert shown(one.get("__annotations__", {})) == shown(other.get("__annotations__", {}))


@pytest.mark.slow
class TestGeneratedPrograms:
    @quick
    @given(programs(), st.sampled_from(OPTIMIZE))
    @example("x = 1\n'not a docstring'\n", 0)
    @example("'doc'\n'not a docstring'\n", 2)
    @example("from __future__ import annotations\ndef f(x: Undefined) -> 'y': pass\n", 0)
    @example("x = 1\n'a' 'b'\n'c' + 'd'\nf'e'\n", 1)
    @example("class A:\n    def f(self): return super()\ndef super(*a): return a\nx = A().f()\n", 0)
    @example("import os, sys as s\nx = os.path.join('a', s.byteorder.upper())\n", 0)
    def test_statements_one_by_one_make_the_namespace_of_the_whole(self, text, optimize):
        assert_same_namespace(valid(text), optimize)

    @quick
    @given(programs(), st.sampled_from(OPTIMIZE))
    @example("f = lambda: 1; g = lambda: 1\n", 0)
    @example("class A:\n    __x = 1\n    def f(self): return self.__x, __class__, super().f\n", 0)
    @example("def f():\n    global g\n    def g(): 'named g, not f.<locals>.g'\n", 0)
    @example("import a.b as os\ndef f(): os.path.join(os.sep()); return lambda: os.x()\n", 0)
    @example("try:\n    import os\nexcept ValueError: os = 1\ndef f(): os.stat(); json.dumps()\n", 0)
    @example("class A:\n    def f(self): super().f()\nsuper = 1\n", 0)
    @example("def f():\n    os.x()\nglobal os\nimport os\n", 0)
    @example("try:\n    pass\nfinally:\n    f = lambda: 1\n", 0)
    def test_nested_code_is_that_of_the_whole(self, text, optimize):
        assert_same_codes(valid(text), optimize)

    @quick
    @given(programs(), st.sampled_from(("import a, keep, os, f", "super = 1", "def super(): pass")))
    @example("def f(): return os.stat(keep.x())\n", "import a, keep, os, f")
    @example("class A:\n    def f(self): super().f()\n", "super = 1")
    def test_the_same_statement_in_another_module_is_another(self, text, end):
        """What is remembered of a statement must not be remembered for it where it means something else."""
        assert_same_codes(valid(text), 0)
        assert_same_codes(valid(text + "\n" + end), 0)

    @quick
    @given(programs())
    def test_comments_and_place_do_not_change_a_digest(self, text):
        made = valid(text)
        moved = source("# a comment\n\n" + text.replace("\n\n", "\n\n\n# more\n"))
        assume(ast.dump(ast.parse(moved.text)) == ast.dump(ast.parse(text)))  # no string was changed
        assert [p.digest for p in moved.parsed.pieces] == [p.digest for p in made.parsed.pieces]

    @quick
    @given(programs(prelude=""), programs(prelude=""))
    def test_digests_are_equal_exactly_if_the_trees_are(self, one, other):
        pieces = [*valid(one).parsed.pieces, *valid(other).parsed.pieces]
        for p in pieces:
            for q in pieces:
                same_tree = ast.dump(p.node) == ast.dump(q.node)
                assert same_tree or p.digest != q.digest
        first, second = valid(one).parsed, source("\n" + one).parsed
        assert [p.digest for p in first.pieces] == [p.digest for p in second.pieces]


def library(pattern: str) -> list[Path]:
    """Return files of Python's own library, in an order that mixes the packages."""
    files = Path(sysconfig.get_paths()["stdlib"]).rglob(pattern)
    return sorted((p for p in files if "site-packages" not in p.parts), key=lambda p: (len(p.name), p.name))


def check_file(path: Path, levels: tuple[int, ...]) -> bool:
    """Compare one file's code, and say whether it is Python at all: the library has some that is not."""
    try:
        made = source(decode_source(path.read_bytes()))
        made.parsed  # noqa: B018  # computed once, and kept
    except (SyntaxError, BuildError):
        return False
    for optimize in levels:
        assert_same_codes(made, optimize)
    return True


class TestStandardLibrary:
    CHOSEN = (
        *("dataclasses.py", "enum.py", "typing.py", "functools.py", "inspect.py", "contextlib.py", "ast.py"),
        *("argparse.py", "_pydecimal.py", "collections/__init__.py", "asyncio/tasks.py", "__future__.py"),
        *("logging/__init__.py", "unittest/mock.py", "doctest.py"),
    )

    @pytest.mark.parametrize("name", CHOSEN)
    def test_modules_with_much_of_everything(self, name):
        assert check_file(Path(sysconfig.get_paths()["stdlib"], name), OPTIMIZE)

    @pytest.mark.slow
    def test_every_tenth_module(self):
        checked = [check_file(path, (sys.flags.optimize,)) for path in library("*.py")[::10]]
        assert sum(checked) > 30

    @pytest.mark.long
    @pytest.mark.timeout(1_200)  # some 1,700 files, on a busy machine
    def test_every_module_at_one_level_or_another(self):
        files = library("*.py")
        checked = [check_file(path, (OPTIMIZE[n % 3],)) for n, path in enumerate(files)]
        assert sum(checked) > 300
