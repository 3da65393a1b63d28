"""What is remembered of statements is what would be made of them now, whatever was compiled before."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask_habanero import remembered
from flask_habanero import source as module
from flask_habanero.errors import BuildError
from flask_habanero.source import Source, parse
from flask_habanero.unit import Unit, build_unit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.properties.programs import programs

pytestmark = [
    pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning"),
    pytest.mark.slow,
]
FUTURE = "from __future__ import annotations\n"


def built(text: str, optimize: int) -> Unit | str:
    try:
        return build_unit(Source("m", "pkg/m.py", False, text), optimize)
    except BuildError as error:
        return str(error)


@contextmanager
def without_memory() -> Iterator[None]:
    """Forget everything for the block, and know it again after it."""
    kept = remembered._memories.copy()
    remembered._memories.clear()
    try:
        yield
    finally:
        remembered._memories.clear()
        remembered._memories.update(kept)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), programs(prelude=""), st.sampled_from((0, 1, 2)))
@example("def f(x: y): return os.path(x)\n", "import os\n", 0)
@example("class A:\n    def f(self): return super().f()\n", "super = 1\n", 0)
@example("'a'\n'b'\n", "'a'\n", 2)
@example("def f(x: y): 'doc'\n", "x = 1; y = 2; x = 1\n", 0)
@example('s = """a\nb"""; x = 1\n', 't = """b"""; x = 1\n', 0)
@example("x = 1\ry = 2\n", "x = 1\ry = 3\n", 0)
def test_what_is_remembered_is_what_would_be_made(one, other, optimize):
    for text in (one, other, one + other, other + one, FUTURE + one, one + FUTURE, "\n" + one, one):
        warm = built(text, optimize)
        with without_memory():
            assert built(text, optimize) == warm


@pytest.mark.parametrize("whole", [False, True], ids=["parsed in parts", "parsed whole"])
def test_what_is_remembered_of_a_module_does_not_grow_with_its_releases(whole):
    sizes = set()
    with without_memory():
        for number in range(400):
            built(f"{'import os' if whole else 'y = 1'}\nx = {number}\n{'super' if whole else 'z'} = 2\n", 0)
            memory = remembered._memories["m"]
            sizes.add(max(map(len, (memory.digests, memory.codes, memory.marshalled))))
    assert max(sizes) < 100


def test_how_many_modules_are_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 10)
    with without_memory():
        for number in range(100):
            build_unit(Source(f"m{number}", "m.py", False, "x = 1\n"), 0)
        assert len(remembered._memories) <= 10


def parsed(text: str) -> object:
    """Return all that parsing told, positions included."""
    try:
        made = parse(Source("m", "pkg/m.py", False, text))
    except BuildError as error:
        return str(error), error.text
    pieces = [
        (p.index, p.digest, p.text, p.line, ast.dump(p.node, include_attributes=True)) for p in made.pieces
    ]
    return pieces, made.flags, made.imported, made.has_super


TEXT = r'''
# a comment
    # one that is indented
x = 1
    x = 1
x = 1; y = 2
a = 1 \
else:
elif x:
except E:
finally: pass
    pass
if x:
for x in y:
try:
while 1: break
def f():
def g(): return 1
class A:
@d
@(
d)
async def f(): await x
return
break
"""
'doc'
(
)
]
x = [
+ 1
\
pass \
import os
    import os
from a import b as super
from __future__ import annotations
global x
    global x
super = 1
super()
    super().f()
os.x()
def f(x: y): os.path.join()
if x: import os
x: int = 1
x <> y
from __future__ import barry_as_FLUFL
match x:
    case 1: pass
'''
LINES = [*TEXT.split("\n"), "'''", "\f", "\fx = 1", "\tx = 1", "\x00", "x = 1\r", "y = 2\rz = 3"]
edits = st.lists(
    st.tuples(
        st.sampled_from(("put", "put", "insert", "delete", "swap")),
        st.integers(0, 10_000),
        st.sampled_from(LINES),
    ),
    min_size=1,
    max_size=3,
)


def edited(text: str, how: list[tuple[str, int, str]]) -> str:
    lines = text.split("\n")
    for verb, where, line in how:
        n = where % len(lines)
        if verb == "put":
            lines[n] = line
        elif verb == "insert":
            lines.insert(n, line)
        elif verb == "delete" and len(lines) > 1:
            del lines[n]
        elif verb == "swap":
            lines[n - 1], lines[n] = lines[n], lines[n - 1]
    return "\n".join(lines)


def put(where: int, line: str) -> list[tuple[str, int, str]]:
    return [("put", where, line)]


METHOD = "class A:\n    def f(self): super().f()"
REAL = textwrap.dedent(inspect.getsource(textwrap))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(programs(), programs(prelude=""), st.just(REAL)), st.lists(edits, min_size=1, max_size=6))
@example("x = 1\n@(\nd)\ndef f(): pass\n", [put(1, "# @(")])
@example("x = 1 \\\n\ny = 2\n", [put(1, "+ 1")])
@example("x = 1\ny = 2\nz = 3 \\\n\n", [put(3, "+ 1")])
@example("x = 1\ny = 2\n+ 1\n", [put(1, "y = 2 \\")])
@example("x = 1\nif x:\n    y = 1\n\nz = 3\n", [put(3, "else: y = 2"), put(3, "    y = 2")])
@example('x = 1\ny = """\na"""; z = 3\n', [put(1, '# """')])
@example("x = 1\ny = 2\nglobal z\n", [put(1, "z = 2")])
@example("x = 1\ny = 2\n", [put(1, "global x")])
@example("x = 1\ny = 2\ndef f(): b.x()\n", [put(1, "from a import b")])
@example("x = 1\ny = 2\nz = 3\n", [put(2, "\\")])
@example("x = 1\ny = 2\nz = 1\n", [put(0, "y = 1\nif y:\n    global q"), put(3, "q = 1")])
@example("x = 1\ny = 2\nimport os\n", [put(2, "os = 1"), put(1, "def f(): os.x()")])
@example("x = 1\ny = 2\ndef f(): os.x()\n", [put(1, "import os")])
@example("x = 1\ny = 2\nsuper = 1\n", [put(1, METHOD)])
@example("x = 1\ny = 2\nz = 1\n", [put(1, "super = 1"), put(2, METHOD)])
@example("import a\nx = 1; y = (\n2)\nz = 3\n", [put(2, "3)"), put(1, "x = 2; y = (")])
@example("'doc'\nx = 1\n", [put(0, ""), put(0, "'doc'")])
@example("x = 1\nfrom __future__ import barry_as_FLUFL\ny = 1 <> 2\n", [put(2, "y = 1 != 2")])
@example("from __future__ import barry_as_FLUFL\nx = 1\ny = 1 <> 2\n", [put(2, "y = 1 != 2")])
@example("x = 1\ny = 2\n", [put(1, "from __future__ import annotations")])
@example("x = 1\ry = 2\nz = 3\nw = 4\n", [put(1, "z = 4")])
@example("x = 1\ny = 2\nz = 3\n", [put(1, "y = 2\rq = 3"), put(1, "y = 3")])
def test_a_text_that_was_edited_is_parsed_as_if_it_were_new(text, history):
    """Step by step, as a person edits: each text is parsed beside what is known of the one before."""
    parsed(text)
    for how in history:
        text = edited(text, how)
        again = parsed(text)
        with without_memory():
            assert parsed(text) == again


def test_an_edit_in_a_function_parses_that_function_alone(monkeypatch):
    seen = []
    whole = module.symtable
    monkeypatch.setattr(module, "symtable", lambda text, *more: seen.append(text) or whole(text, *more))
    parsed(REAL)
    parsed(REAL.replace("max_lines=1, **kwargs", "max_lines=2, **kwargs"))
    assert "max_lines=2" in seen[-1]
    assert len(seen[-1].strip()) < len(REAL) / 5
