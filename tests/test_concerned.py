"""Which pages a rehearsal asks for: those that a change concerns, since a GET may do more than read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from textwrap import dedent
from types import ModuleType

import pytest
from flask import Flask
from flask_habanero.asset import Asset
from flask_habanero.concerned import (
    MOST_PAGES,
    concerned,
    named_files,
    unasked,
    views_concerned,
    views_naming,
)
from flask_habanero.source import Source

SHOP = """\
from flask import Flask
from flask.views import MethodView

app = Flask("shop")
RATE = 1


def price():
    return rate() + 1


def rate():
    return RATE


def logged(view):
    import functools

    @functools.wraps(view)
    def inner():
        return view()

    return inner


@app.get("/")
def index():
    return "index"


@app.get("/cart")
@logged
def cart():
    return str(price())


@app.get("/demo")
def demo():
    return "makes a record"


@app.post("/order")
def order():
    return "order"


@app.get("/item/<int:number>")
def item(number):
    return str(number)


class About(MethodView):
    def get(self):
        return "about"


app.add_url_rule("/about", view_func=About.as_view("about"))


@app.before_request
def hook():
    pass
"""


Asked = Callable[..., list[str]]


@pytest.fixture
def shop() -> Iterator[str]:
    name = "concerned_shop"
    yield name
    sys.modules.pop(name, None)


def asked(name: str, old: str | None, new: str, whom: Asked = concerned) -> list[str]:
    """Return what is asked for, or is not, if a module comes from one text to another."""
    module = sys.modules[name] = ModuleType(name)
    exec(compile(dedent(new), f"{name}.py", "exec"), vars(module))  # as its import would
    trees = [{name: Source(name, f"{name}.py", False, text)} if text else {} for text in (old, new)]
    app = vars(module)["app"]
    assert isinstance(app, Flask)
    return whom(app, views_concerned(app, *trees))


ALL = ["/", "/about", "/cart", "/demo"]


@pytest.mark.parametrize(
    ("old", "new", "pages"),
    [
        pytest.param('return "index"', 'return "first"', ["/"], id="a view"),
        pytest.param('@app.get("/cart")', '@app.get("/basket")', ["/basket"], id="its rule"),
        pytest.param('return "about"', 'return "of us"', ["/about"], id="a class of views"),
        pytest.param(
            "return RATE", "return RATE + 1", ["/cart"], id="a helper of a helper, behind a decorator"
        ),
        pytest.param("RATE = 1", "RATE = 2", ["/cart"], id="a constant"),
        pytest.param("return view()", "return view() or ''", ["/cart"], id="a decorator"),
        pytest.param("    pass\n", "    return None\n", ALL, id="a hook"),
        pytest.param("RATE = 1\n", "RATE = 1\napp.config['X'] = 1\n", ALL, id="a setting"),
        pytest.param("RATE = 1\n", "if app:\n    RATE = 1\n", ALL, id="a block"),
        pytest.param('return "order"', 'return "ordered"', ["/"], id="what no GET comes to"),
        pytest.param("RATE = 1\n", "RATE = 1  # one\n", ["/"], id="a comment"),
        pytest.param(
            "RATE = 1\n",
            'RATE = 1\n\n\n@app.get("/new")\ndef new():\n    return ""\n',
            ["/new"],
            id="a new view",
        ),
        pytest.param(
            'app.add_url_rule("/about", view_func=About.as_view("about"))',
            "",
            ALL[:1] + ALL[2:],
            id="a rule goes",
        ),
        pytest.param(
            '@app.get("/demo")\ndef demo():\n    return "makes a record"\n', "", ["/"], id="a view goes"
        ),
    ],
)
def test_pages_that_a_change_does_not_reach_are_not_asked_for(
    shop: str, old: str, new: str, pages: list[str]
) -> None:
    assert old in SHOP
    assert asked(shop, SHOP, SHOP.replace(old, new)) == pages


def test_pages_with_parameters_are_told_not_asked_for(shop: str) -> None:
    item = '@app.get("/thing/<int:number>")\ndef thing(number):\n    return str(price() + number)\n'
    old = f"{SHOP}\n\n{item}"
    new = old.replace("+ number", "- number")
    assert (asked(shop, old, new), asked(shop, old, new, unasked)) == (["/"], ["/thing/<int:number>"])
    assert asked(shop, old, old.replace('return "index"', 'return "first"'), unasked) == []
    assert asked(shop, old, old.replace('@app.get("/thing', '@app.post("/thing'), unasked) == []


def test_views_that_name_a_template_are_concerned_by_it_and_by_what_it_extends(shop: str) -> None:
    text = f"""{SHOP}

PAGE = "mail/order.html"


def letter():
    return PAGE


@app.get("/letter")
def write():
    return letter()
"""
    asked(shop, text, text)
    app, tree = sys.modules[shop].app, {shop: Source(shop, f"{shop}.py", False, text)}
    texts = {"mail/order.html": "{% extends 'base.html' %}", "base.html": "base", "other.html": "'mail'"}
    assets = {
        f"shop/templates/{name}": Asset.of(f"shop/templates/{name}", text.encode())
        for name, text in texts.items()
    }
    for changed, pages in (
        ("mail/order.html", ["/letter"]),
        ("base.html", ["/letter"]),
        ("other.html", ["/"]),
    ):
        files = named_files([f"shop/templates/{changed}"], assets)
        assert concerned(app, views_naming(app, tree, files)) == pages, changed


def test_all_pages_of_a_new_module_are_asked_for(shop: str) -> None:
    assert asked(shop, None, SHOP) == ALL


def test_views_inside_a_factory_are_made_by_it(shop: str) -> None:
    text = """\
        from flask import Flask

        def create_app():
            app = Flask("shop")

            @app.get("/")
            def index():
                return "one"

            return app

        app = create_app()
        LATER = 1
        """
    text = dedent(text)
    assert asked(shop, text, text.replace('"one"', '"two"').replace('"/"', '"/x"')) == ["/x"]
    assert asked(shop, text, text.replace("LATER = 1", "LATER = 2")) == ["/"]


def test_it_does_not_ask_for_ever(shop: str) -> None:
    views = "".join(f'@app.get("/{n}")\ndef view{n}():\n    return RATE\n\n' for n in range(MOST_PAGES + 5))
    assert len(asked(shop, SHOP + views, (SHOP + views).replace("RATE = 1", "RATE = 2"))) == MOST_PAGES
