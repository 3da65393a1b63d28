"""A definition's own lines, by its qualified name."""

import pytest
from flask_habanero.client.excerpt import excerpt, names, whole
from flask_habanero.errors import BuildError
from flask_habanero.source import Source

TEXT = """\
import os

RATE, LIMIT = 20, 5
\x0cclass Cart:
    size: int = 3

    @property
    def total(self):
        return '''
        sum'''

    class Line:
        def price(self): return 1


if os.name == "posix":
    def index():
        return 1
else:
    def index():
        return 2

try:
    import json
except ImportError:
    json = None
match RATE:
    case 20:
        def vat(): ...
for n in range(3):
    last = n
async def later():
    def inner(): ...
"""


def source(text=TEXT):
    return Source("shop", "shop.py", False, text)


FOUND = {
    "RATE": (3, "RATE, LIMIT = 20, 5\n"),
    "LIMIT": (3, "RATE, LIMIT = 20, 5\n"),
    "Cart.size": (5, "    size: int = 3\n"),
    "Cart.total": (7, "    @property\n    def total(self):\n        return '''\n        sum'''\n"),
    "Cart.Line.price": (13, "        def price(self): return 1\n"),
    "index": (20, "    def index():\n        return 2\n"),
    "json": (26, "    json = None\n"),
    "vat": (29, "        def vat(): ...\n"),
    "last": (31, "    last = n\n"),
    "later": (32, "async def later():\n    def inner(): ...\n"),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_definition_is_its_own_lines(name):
    part = excerpt(source(), name)
    assert part is not None
    assert (part.first, part.text) == FOUND[name]
    assert part.last == part.first + part.text.count("\n") - 1


@pytest.mark.parametrize("name", ["", "inner", "later.inner", "total", "Cart.", "os"])
def test_what_is_no_definition_of_the_module_is_none(name):
    """A function's own names are not the module's; an import defines nothing."""
    assert excerpt(source(), name) is None


def test_every_name_is_found():
    known = names(source())
    assert set(FOUND) <= set(known)
    assert all(excerpt(source(), name) for name in known)


def test_the_last_line_may_have_no_end():
    assert excerpt(source("x = 1\ny = 2"), "y").text == "y = 2\n"
    assert (whole(source("x = 1\ny = 2")).last, whole(source("x = 1\n")).last) == (2, 1)


def test_what_this_python_can_not_read_is_told():
    with pytest.raises(BuildError):
        excerpt(source("def f(:\n"), "f")
