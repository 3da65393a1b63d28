"""Who reads a name of another module, told from texts: quick answers against the thorough ones."""

from __future__ import annotations

import itertools

import pytest
from flask_habanero.live import names, reading
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


def source(text: str) -> Source:
    return Source("reader", "reader.py", package=False, text=f"{text}\n")


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
        ("def fill(): globals()['a'] = price", {"price", "fill", reading.ANYWHERE}),
        ("for one in 'ab': globals()[one] = price", {"price", "one", reading.ANYWHERE}),
        ("def total(): return 1", {"price"}),
    ],
)
def test_what_leads_to_a_name(text, reached):
    assert reading.reaching([source(text)], {"price"}) == reached


def test_what_leads_to_a_name_goes_through_modules():
    texts = ("def total(): return price()", "def page(): return total()", "def other(): return 1")
    assert reading.reaching(map(source, texts), {"price"}) == {"price", "total", "page"}
