"""Code objects: what is loaded, and which became which."""

from __future__ import annotations

import marshal
from types import CodeType

import pytest
from flask_habanero.errors import BundleError
from flask_habanero.live import codes


def code(text: str, filename: str = "a.py") -> CodeType:
    return compile(text, filename, "exec", dont_inherit=True)


@pytest.mark.parametrize(
    "data", [b"", b"x", marshal.dumps(1), marshal.dumps((code("1"),)), marshal.dumps(code("1"))[:-3]]
)
def test_bytes_that_hold_no_code_are_refused(data):
    with pytest.raises(BundleError):
        codes.load(data, "b.py")


def test_code_is_loaded_under_the_file_name_that_people_know():
    loaded = codes.load(marshal.dumps(code("def f():\n return lambda: 1")), "known.py")
    assert {one.co_filename for one in codes.walk(loaded)} == {"known.py"}


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ("def f(): pass", "def f(): return 1", [("f", "f")]),
        ("def f(): pass", "def g(): pass", [("f", None)]),
        ("def f():\n def a(): pass", "def f():\n def a(): return 1", [("f", "f"), ("a", "a")]),
        ("def f():\n def a(): pass", "def f(): pass", [("f", "f"), ("a", None)]),
        (
            "def f():\n def a(): pass\n def a(): pass",
            "def f():\n def a(): pass",
            [("f", "f"), ("a", "a"), ("a", None)],
        ),
        (
            "class A:\n def m(self): pass",
            "class A:\n x = 1\n def m(self): return 1",
            [("A", "A"), ("m", "m")],
        ),
        ("x = lambda: 1", "x = lambda: 2", [("<lambda>", "<lambda>")]),
        ("x = lambda: 1, lambda: 2", "x = lambda: 1, 2", [("<lambda>", None), ("<lambda>", None)]),
    ],
)
def test_codes_are_paired_by_name_and_order(old, new, pairs):
    found = [(a.co_name, b.co_name if b else None) for a, b in codes.pairs(code(old), code(new))]
    assert found == pairs
