"""Which statement of the old source became which of the new one."""

from __future__ import annotations

import pytest
from flask_habanero.live import diff
from flask_habanero.live.diff import Kind
from flask_habanero.source import Source


def compared(old: str, new: str) -> set[tuple[str, int | None, int | None]]:
    sides = [Source("m", "m.py", False, text).parsed for text in (old, new)]
    pairs = diff.compare(sides[0], sides[1])
    return {(p.kind.value, p.old.index if p.old else None, p.new.index if p.new else None) for p in pairs}


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ("a = 1\nb = 2", "a = 1\n\n\n# c\nb = 2", {("same", 0, 0), ("same", 1, 1)}),
        ("a = 1\nb = 2", "b = 2\na = 1", {("same", 0, 1), ("moved", 1, 0)}),
        ("a = 1", "a = 2", {("changed", 0, 0)}),
        ("def f(): return 1", "def f(): return 2", {("body", 0, 0)}),
        ("def f(x=1): pass", "def f(x=2): pass", {("changed", 0, 0)}),
        ("@d\ndef f(): pass", "@e\ndef f(): pass", {("changed", 0, 0)}),
        ("class A:\n def m(self): return 1", "class A:\n def m(self): return 2", {("body", 0, 0)}),
        ("class A:\n x = 1", "class A:\n x = 2", {("changed", 0, 0)}),
        ("def f(): pass", "def g(): pass", {("removed", 0, None), ("added", None, 0)}),
        ("def f(): pass", "f = 1", {("removed", 0, None), ("added", None, 0)}),
        ("def f(): pass", "async def f(): pass", {("changed", 0, 0)}),
        ("a = 1", "a: int = 1", {("changed", 0, 0)}),
        ("from m import a", "from m import a, b", {("changed", 0, 0)}),
        ("x()\ny()", "y()\nz()", {("removed", 0, None), ("same", 1, 0), ("added", None, 1)}),
        ("'doc'\na = 1", "a = 1", {("removed", 0, None), ("same", 1, 0)}),
        ("a = lambda: 1", "a = lambda: 2", {("body", 0, 0)}),
    ],
)
def test_statements_are_paired(old, new, pairs):
    assert compared(old, new) == pairs


def test_each_statement_is_in_exactly_one_pair():
    old = "import a\nx = 1\nx = 2\ndef f(): pass\ndef f(): return 1\nclass A: pass\nprint(1)\nprint(1)"
    new = "x = 2\nclass A:\n y = 1\ndef f(): return 2\nprint(1)\nimport a, b\nx = 1\nprint(2)"
    pairs = compared(old, new)
    assert sorted(a for _, a, _ in pairs if a is not None) == list(range(8))
    assert sorted(b for _, _, b in pairs if b is not None) == list(range(7))


def test_names_bound_by_more_than_one_statement_are_found():
    parsed = Source("m", "m.py", False, "a = 1\na = 2\ndef b(): pass\nif a:\n def b(): pass\nc = 1").parsed
    assert diff.bound_twice(parsed) == {"a", "b"}


def test_a_moved_statement_is_no_removal():
    assert Kind.MOVED.value in {kind for kind, *_ in compared("f()\na = 1\nb = 1", "a = 1\nb = 1\nf()")}
