"""What is remembered of statements is what would be made of them now, whatever was compiled before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask_habanero import source as module
from flask_habanero.errors import BuildError
from flask_habanero.source import Source, Unit, build_unit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.properties.programs import programs

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
MEMOS = (module._digests, module._codes, module._bytes)
FUTURE = "from __future__ import annotations\n"


def built(text: str, optimize: int) -> Unit | str:
    try:
        return build_unit(Source("m", "pkg/m.py", False, text), optimize)
    except BuildError as error:
        return str(error)


@contextmanager
def without_memory() -> Iterator[None]:
    """Forget everything for the block, and know it again after it."""
    kept = [memo.copy() for memo in MEMOS]
    for memo in MEMOS:
        memo.clear()
    try:
        yield
    finally:
        for memo, known in zip(MEMOS, kept, strict=True):
            memo.clear()
            memo.update(known)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 10)
    with without_memory():
        for number in range(100):
            assert built(f"x = {number}\n", 0) != built(f"x = {number + 1}\n", 0)
        assert all(len(memo) <= 10 for memo in MEMOS)
