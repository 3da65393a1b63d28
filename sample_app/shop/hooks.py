"""What happens around every request."""

import os

from flask import Flask, Response, g, render_template, session
from werkzeug.exceptions import NotFound

from .errors import OutOfStockError
from .models import Customer, db
from .state import hits


def init_app(app: Flask) -> None:
    app.before_request(count)
    app.before_request(load_customer)
    app.after_request(name_us)
    app.register_error_handler(NotFound, not_found)
    app.register_error_handler(OutOfStockError, out_of_stock)


def count() -> None:
    hits.increment()


def load_customer() -> None:
    customer_id = session.get("customer_id")
    g.customer = db.session.get(Customer, customer_id) if customer_id else None


def name_us(response: Response) -> Response:
    response.headers["X-Shop"] = "The Pepper Shop"
    response.headers["X-Worker"] = str(os.getpid())
    return response


def not_found(_error: NotFound) -> tuple[str, int]:
    return render_template("error.html", title="Not found", text="There is nothing here."), 404


def out_of_stock(error: OutOfStockError) -> tuple[str, int]:
    return render_template("error.html", title="Out of stock", text=str(error)), 409
