"""The sample app does what its pages say, so that what the demo shows of it means something."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

SAMPLE_APP = Path(__file__).parents[1] / "sample_app"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """A shop of its own modules and database: neither state nor imports reach another test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(SAMPLE_APP)
    from shop import create_app
    from shop.models import db

    app = create_app({"TESTING": True, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shop.sqlite"})
    yield app
    with app.app_context():
        db.engine.dispose()
    for name in sys.modules.keys() - before:
        if name.partition(".")[0] == "shop":
            del sys.modules[name]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def ada(client: FlaskClient) -> FlaskClient:
    """A client that is logged in."""
    client.post("/account/login", data={"name": "ada", "password": "lovelace"})
    return client


def test_catalog_lists_every_product_with_vat(client):
    page = client.get("/").text
    assert "<h1>The Pepper Shop</h1>" in page
    assert [line.strip() for line in page.splitlines() if "<span>" in line] == [
        "<span>€12.10</span>",
        "<span>€5.45</span>",
        "<span>€3.93</span>",
        "<span>€24.19</span>",
    ]


def test_product_page(client):
    page = client.get("/product/1").text
    assert "<h1>Habanero</h1>" in page
    assert "€12.10, 50 in stock" in page


def test_price_is_made_by_the_pricing_module(client):
    assert client.get("/price/2").json == {
        "id": 2,
        "name": "Cayenne",
        "net": 450,
        "vat": 95,
        "vat_percent": 21,
        "gross": 545,
        "label": "€5.45",
    }


@pytest.mark.parametrize("path", ["/nowhere", "/product/9", "/price/9"])
def test_what_is_not_there_is_our_404_page(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is nothing here." in answer.text


def test_cart_starts_empty_and_adds_up(client):
    assert "The cart is empty." in client.get("/cart").text
    for product_id in (1, 1, 2):
        assert client.post("/cart", data={"product_id": product_id}).location == "/cart"
    page = client.get("/cart").text
    assert "2 × Habanero" in page
    assert "1 × Cayenne" in page
    assert "Total: €29.65" in page


def test_what_is_sold_out_is_a_conflict_and_stays_out_of_the_cart(client):
    answer = client.post("/cart", data={"product_id": 4})
    assert answer.status_code == 409
    assert "Carolina Reaper is sold out." in answer.text
    assert "The cart is empty." in client.get("/cart").text


def test_profile_and_checkout_ask_for_a_login(client):
    assert client.get("/account/").location == "/account/login"
    assert client.post("/cart/checkout").location == "/account/login"


def test_wrong_password_is_said_and_logs_nobody_in(client):
    answer = client.post("/account/login", data={"name": "ada", "password": "byron"})
    assert "Wrong name or password." in answer.text
    assert client.get("/account/").location == "/account/login"


def test_login_then_logout(ada):
    assert "Hello, ada" in ada.get("/account/").text
    assert ada.post("/account/logout").location == "/"
    assert ada.get("/account/").location == "/account/login"


def test_an_order_takes_stock_and_empties_the_cart(ada):
    ada.post("/cart", data={"product_id": 3})
    assert ada.post("/cart/checkout").location == "/account/"
    assert "1 × Jalapeño, €3.93" in ada.get("/account/").text
    assert "4 in stock" in ada.get("/product/3").text
    assert "The cart is empty." in ada.get("/cart").text


def test_an_order_that_came_too_late_changes_nothing(ada, app):
    from shop.models import Product, db

    for product_id in (1, 3):
        ada.post("/cart", data={"product_id": product_id})
    with app.app_context():
        db.session.get_one(Product, 3).stock = 0
        db.session.commit()

    answer = ada.post("/cart/checkout")
    assert answer.status_code == 409
    assert "Jalapeño is sold out." in answer.text
    assert "No orders yet." in ada.get("/account/").text
    assert "50 in stock" in ada.get("/product/1").text
    assert "1 × Habanero" in ada.get("/cart").text


def test_who_counts_requests_and_keeps_the_cache(client):
    first = client.get("/who").json
    client.get("/price/1")
    client.get("/price/1")
    client.get("/price/2")
    second = client.get("/who").json
    assert first.keys() == {"pid", "hits", "cache_size", "cache_id"}
    assert second["hits"] == first["hits"] + 4
    assert second["cache_size"] == first["cache_size"] + 2
    assert (second["pid"], second["cache_id"]) == (first["pid"], first["cache_id"])


def test_every_answer_passes_the_hooks(client):
    assert client.get("/price/1").headers["X-Shop"] == "The Pepper Shop"


def test_stylesheet(client):
    with client.get("/static/shop.css") as answer:
        assert answer.mimetype == "text/css"


def test_seed_adds_only_what_is_missing(app):
    from shop.models import Product, db

    runner = app.test_cli_runner()
    assert runner.invoke(args=["seed"]).output == "0 rows added\n"
    with app.app_context():
        db.session.delete(db.session.get_one(Product, 2))
        db.session.commit()
    assert runner.invoke(args=["seed"]).output == "1 rows added\n"


def test_each_statement_of_the_first_boot_bears_that_another_worker_was_faster(app, tmp_path):
    from shop.models import create_and_seed, db

    def be_faster(_connection, _cursor, statement, parameters, _context, executemany):
        if not statement.lstrip().startswith(("CREATE", "INSERT")):
            return
        connect = closing(sqlite3.connect(tmp_path / "shop.sqlite", timeout=0))
        with suppress(sqlite3.OperationalError), connect as other, other:  # if locked, nobody can be faster
            (other.executemany if executemany else other.execute)(statement, parameters)

    with app.app_context():
        db.drop_all()
        event.listen(db.engine, "before_cursor_execute", be_faster)
        assert create_and_seed() == 1  # the customer; the products were there when we came
        assert db.session.scalar(db.text("SELECT count(*) FROM product")) == 4
        assert db.session.scalar(db.text("SELECT count(*) FROM customer")) == 1


@pytest.mark.slow
def test_workers_that_boot_at_once_share_one_database(tmp_path):
    """As under gunicorn: each process creates and seeds, none fails, nothing is there twice."""
    config = {"TESTING": True, "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shop.sqlite"}
    boot = f"from shop import create_app; print('ready', flush=True); input(); create_app({config!r})"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", boot],
            cwd=SAMPLE_APP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 4
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert [worker.communicate()[1] for worker in workers] == [""] * 4
    assert [worker.returncode for worker in workers] == [0] * 4


def test_smallest_app(monkeypatch):
    monkeypatch.syspath_prepend(SAMPLE_APP)
    monkeypatch.delitem(sys.modules, "smallest", raising=False)
    from smallest import app

    monkeypatch.delitem(sys.modules, "smallest")
    assert app.test_client().get("/").text == "Hello, world.\n"


def test_readme_shows_the_smallest_app_as_it_is():
    readme = SAMPLE_APP.with_name("README.md").read_text(encoding="utf-8")
    assert f"```python\n{(SAMPLE_APP / 'smallest.py').read_text(encoding='utf-8')}```" in readme
