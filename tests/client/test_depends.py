"""Which edits wait for a held one."""

import pytest
from flask_habanero.client.depends import waiting
from flask_habanero.source import Source


def source(name, text, package=False):
    return Source(name, name.replace(".", "/") + ".py", package, text)


HELD_OLD = "def price():\n    return 1\n\ndef tax():\n    return 2\n\nRATE = 7\n"
HELD_NEW = "def price():\n    return 1\n\ndef tax(country):\n    return 2\n\nRATE = 7\n"

CASES = [
    # how it imports, what the edited function does, does it wait for shop.pricing (whose tax() is new)?
    ("from shop.pricing import tax", "return tax()", True),
    ("from .pricing import tax", "return tax()", True),
    ("from .pricing import tax as t", "return t()", True),
    ("from . import pricing", "return pricing.tax()", True),
    ("import shop.pricing", "return shop.pricing.tax()", True),
    ("import shop.pricing as p", "return p.tax()", True),
    ("from .pricing import *", "return 1", True),
    ("from .pricing import price", "return price()", False),
    ("from .pricing import price, tax", "return price()", False),
    ("from . import pricing", "return pricing.price()", False),
    ("from .other import tax", "return tax()", False),
    ("import os", "return os.tax", False),
]


@pytest.mark.parametrize(("how", "what", "waits"), CASES)
def test_only_what_uses_what_differs_waits(how, what, waits):
    new = source("shop.views", f"{how}\n\ndef index():\n    {what}\n")
    old = source("shop.views", f"{how}\n\ndef index():\n    return 0\n")
    known = {"shop.views": old, "shop.pricing": source("shop.pricing", HELD_OLD)}.get
    held = {"shop.pricing": source("shop.pricing", HELD_NEW)}
    assert waiting({"shop.views": new}, held, known) == ({"shop.views": "shop.pricing"} if waits else {})


def test_an_edit_elsewhere_in_the_same_file_does_not_wait():
    """What was not edited works with the old version already."""
    text = "from .pricing import tax\n\ndef total():\n    return tax()\n\ndef index():\n    return {}\n"
    edits = {"shop.views": source("shop.views", text.format(2))}
    known = {
        "shop.views": source("shop.views", text.format(1)),
        "shop.pricing": source("shop.pricing", HELD_OLD),
    }.get
    assert waiting(edits, {"shop.pricing": source("shop.pricing", HELD_NEW)}, known) == {}


@pytest.mark.parametrize("held", [None, source("shop.pricing", "def tax(:\n")], ids=["deleted", "broken"])
def test_of_a_file_that_can_not_be_read_everything_differs(held):
    edits = {"shop.views": source("shop.views", "from .pricing import price\nx = price()\n")}
    known = {"shop.pricing": source("shop.pricing", HELD_OLD)}.get
    assert waiting(edits, {"shop.pricing": held}, known) == {"shop.views": "shop.pricing"}


def test_without_the_old_version_everything_counts_as_edited():
    edits = {"shop.views": source("shop.views", "from .pricing import price\nx = price()\n")}
    held = {"shop.pricing": source("shop.pricing", HELD_NEW)}
    assert waiting(edits, held, lambda name: None) == {"shop.views": "shop.pricing"}


def test_waiting_goes_on_from_file_to_file():
    edits = {
        "a": source("a", "from b import two\none = two\n"),
        "b": source("b", "from c import three\ntwo = three\n"),
        "d": source("d", "x = 1\n"),
    }
    held = {"c": source("c", "three = 3\n")}
    assert waiting(edits, held, {"c": source("c", "three = 2\n")}.get) == {"b": "c", "a": "b"}


def test_a_package_counts_its_dots_from_itself():
    edits = {"shop": source("shop", "from .pricing import tax\ny = tax\n", package=True)}
    held = {"shop.pricing": source("shop.pricing", HELD_NEW)}
    assert waiting(edits, held, {"shop.pricing": source("shop.pricing", HELD_OLD)}.get) == {
        "shop": "shop.pricing"
    }
