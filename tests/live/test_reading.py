"""Who reads a name of another module, told from texts: quick answers against the thorough ones."""

from __future__ import annotations

import itertools
import re
from random import Random

import pytest
from flask_habanero.live import names, readers, reading
from flask_habanero.source import Source

IMPORTS = """\
import shop
import shop as s
import shop.prices
import shop.prices.rates as r
from shop import prices
from shop import prices as p
from shop import views
from shop.prices import rate
from shop.prices import rate as other
from shop.prices import *
from shop.prices.rates import eur
from shop.views import rate
import unrelated
import shopping.prices
def f(): import shop.prices
def f(): from shop.prices import rate
def f(): from shop.prices import tax
def f(): from shop import prices
def f(): import unrelated
rate = 1""".splitlines()
MODULES = ("shop", "shop.prices", "shop.prices.rates", "unrelated")
NAMES = ("rate", "prices", "eur")


def source(text: str, name: str = "reader") -> Source:
    return Source(name, "reader.py", package=False, text=f"{text}\n")


def finds(text: str, module: str, name: str) -> bool:
    """Whether a thorough look at each statement finds a way to the name."""
    reader = source(text)
    rows = names.of_source(reader)
    fetched = any(reading.fetches(row, module, name, starred=True) for row in rows)
    inside = reading.brought_inside(reader, "f", module, name)
    return any(reading.aliases(reader, "reader", module, name)) or fetched or bool(inside)


@pytest.mark.parametrize("text", IMPORTS)
def test_what_can_not_read_a_name_has_no_way_to_it(text):
    ways = {(m, n): finds(text, m, n) for m, n in itertools.product(MODULES, NAMES)}
    told = {(m, n): reading.may_read(source(text), m, n) for m, n in ways}
    assert [key for key, way in ways.items() if way and not told[key]] == []


def test_most_modules_are_told_apart():
    assert not reading.may_read(source("from shop.views import rate"), "shop.prices", "rate")
    assert not reading.may_read(source("import unrelated"), "shop.prices", "rate")


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("def total(): return price()", {"price", "total"}),
        ("def total(): return shop.price", {"price", "total"}),
        ("cached = remember(price)\ndef total(): return cached()", {"price", "cached", "total"}),
        ("class Page:\n def get(self): return price", {"price", "get"}),
        ("def fill():\n global kept\n kept = price", {"price", "fill", "kept"}),
        ("def fill(): globals()['a'] = price", {"price", "fill", readers.ANYWHERE}),
        ("for one in 'ab': globals()[one] = price", {"price", "one", readers.ANYWHERE}),
        ("def total(): return 1", {"price"}),
    ],
)
def test_what_leads_to_a_name(text, reached):
    assert readers.reaching([source(text)], {"price"}) == reached


def test_what_leads_to_a_name_goes_through_modules():
    texts = ("def total(): return price()", "def page(): return total()", "def other(): return 1")
    sources = [source(text, f"m{number}") for number, text in enumerate(texts)]
    assert readers.reaching(sources, {"price"}) == {"price", "total", "page"}


def test_what_leads_to_a_name_is_told_of_other_sources_as_if_asked_for_the_first_time():
    rng = Random(3)  # 200 changes, of two trees in turns, as before and after a release
    trees: list[dict[str, Source]] = [{}, {}]
    for _ in range(200):
        tree, module = rng.choice(trees), f"m{rng.randrange(9)}"
        if rng.random() < 0.2:
            tree.pop(module, None)
        else:
            text = f"def n{rng.randrange(9)}(): return n{rng.randrange(9)}() + {rng.randrange(3)}"
            tree[module] = source(text, module)
        words = [re.findall(r"n\d", one.text) for one in tree.values()]

        def reached(start: str, words: list[list[str]] = words) -> set[str]:
            found = {start}
            while more := {reader for reader, read in words if read in found} - found:
                found |= more
            return found

        assert readers.reaching(tree.values(), {"n0"}) == reached("n0")
        assert readers.reaching(tree.values(), {"n0"}, reached("n1")) == reached("n0") | reached("n1")


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("return given()", True),
        ("y = given\n return y()", True),
        ("y = a if given else (lambda: 1)\n return y()", False),
        ("y = a\n for y in given: y()", True),
        ("y = a\n def g(h):\n  nonlocal y\n  y = h\n g(given)\n return y()", True),
        ("match given:\n  case [y]: y()", True),
        ("with a() as y: y()", True),
        ("def given(): pass\n given()", True),
        ("import y\n y()", False),
        ("return map(a, given)", False),
        ("return map(given, a)", True),
        ("return sorted(given)", False),
        ("return sorted(a, key=given)", True),
        ("a.sort(key=given)", True),
    ],
)
def test_whether_a_function_calls_what_it_was_given(body, calls):
    (row,) = names.of_source(source(f"def f(given):\n {body}"))
    assert row.bodies["f"].calls_given is calls
