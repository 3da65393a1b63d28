"""What a statement binds and reads at import, told from its text."""

from __future__ import annotations

import pytest
from flask_habanero.live import names
from flask_habanero.source import Source


def rows(text: str, *, name: str = "shop.views", package: bool = False) -> tuple[names.Names, ...]:
    return names.of_source(Source(name, "shop/views.py", package, text))


def row(text: str) -> names.Names:
    return rows(text)[-1]


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("a = b = 1", "a b"),
        ("a, (b, *c) = x", "a b c"),
        ("a: int = 1", "a"),
        ("a: int", ""),
        ("a += 1", "a"),
        ("(a := 1)", "a"),
        ("for a, b in x: c = 1", "a b c"),
        ("with x as (a, b): pass", "a b"),
        ("try: a = 1\nexcept E as b: c = 1", "a b c"),
        ("import a, b.c, d.e as f", "a b f"),
        ("from x import a, b as c", "a c"),
        ("def a(b, c=1): d = 1", "a"),
        ("class a:\n b = 1\n def c(self): d = 1", "a"),
        ("if x: a = 1\nelse: b = 2", "a b"),
        ("match x:\n case [a, *b]: c = 1\n case {'k': d}: pass", "a b c d"),
        ("x.a = 1", ""),
        ("x['a'] = 1", ""),
        ("[a for a in x]", ""),
        ("lambda a: a", ""),
    ],
)
def test_what_a_statement_binds(text, binds):
    assert row(text).binds == set(binds.split())


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("a = b + c.d", "b c"),
        ("def f(x=a, *, y=b) -> c: return d", "a b c"),
        ("@a.b(c)\ndef f(): d", "a c"),
        ("class K(a, metaclass=b):\n x = c\n y = x\n def m(self, z=d): e", "a b c d"),
        ("[a + b for a in c]", "b c"),
        ("{k: v for k, v in a.items() if b}", "a b"),
        ("lambda x=a: b", "a"),
        ("f'{a}{b!r:{c}}'", "a b c"),
        ("x[a] = b", "a b x"),
        ("x.y = b", "b x"),
        ("for a in b: c", "b c"),
    ],
)
def test_what_a_statement_reads_at_import(text, reads):
    assert row(text).reads == set(reads.split())


def test_what_a_body_reads_is_told_apart_from_what_its_statement_reads():
    found = row("class K:\n def m(self, x):\n  y = 1\n  def inner(): return a, y\n  return b.c(x)")
    assert found.reads == set()
    assert found.bodies["K.m"].reads >= {"a", "b"}
    assert not found.bodies["K.m"].reads & {"x", "y", "self"}
    assert ("b", "c") in found.bodies["K.m"].dotted


def test_a_name_under_global_is_one_that_the_body_rebinds():
    assert row("def f():\n global a\n a = 1").bodies["f"].rebinds == {"a"}
    assert row("def f():\n global a\n return a").bodies["f"].rebinds == set()


@pytest.mark.parametrize(
    ("text", "name", "package", "module"),
    [
        ("from . import a", "shop.views", False, "shop"),
        ("from .b import a", "shop.views", False, "shop.b"),
        ("from . import a", "shop", True, "shop"),
        ("from ..b import a", "shop.sub.views", False, "shop.b"),
        ("from ..b import a", "shop.sub", True, "shop.b"),
        ("from b.c import a", "shop.views", False, "b.c"),
    ],
)
def test_a_relative_import_is_told_by_its_absolute_name(text, name, package, module):
    assert [item.module for item in rows(text, name=name, package=package)[0].imports] == [module]


def test_an_import_whose_failure_is_expected_is_guarded():
    text = "try:\n import a\nexcept ImportError:\n a = None\nif TYPE_CHECKING:\n import b\nimport c"
    assert {i.module: i.guarded for one in rows(text) for i in one.imports} == {
        "a": True,
        "b": True,
        "c": False,
    }


def test_functions_are_found_by_qualified_name_in_all_blocks():
    text = (
        "if x:\n def a(): pass\nclass K:\n def b(self):\n  def inner(): pass\n class L:\n  def c(self): pass"
    )
    pieces = Source("m", "m.py", False, text).parsed.pieces
    assert [name for piece in pieces for name, _ in names.functions_in(piece.node)] == ["a", "K.b", "K.L.c"]
