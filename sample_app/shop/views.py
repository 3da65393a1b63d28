"""The catalog and the cart."""

import os

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from . import state
from .auth import login_required
from .models import Order, Product, db
from .pricing import VAT_PERCENT, format_price, vat, with_vat
from .state import Item

bp = Blueprint("shop", __name__)


def find_item(product_id: int) -> Item:
    item = state.items.get(product_id)
    if item is None:
        product = db.get_or_404(Product, product_id)
        item = state.items[product_id] = Item(product.id, product.name, product.net)
    return item


@bp.get("/")
def catalog() -> str:
    products = db.session.scalars(db.select(Product).order_by(Product.id))
    return render_template("catalog.html", title="The Pepper Shop", products=products)


@bp.get("/product/<int:product_id>")
def product(product_id: int) -> str:
    return render_template("product.html", product=db.get_or_404(Product, product_id))


@bp.get("/price/<int:product_id>")
def price(product_id: int) -> dict[str, object]:
    item = find_item(product_id)
    gross = with_vat(item.net)
    return {
        "id": item.id,
        "name": item.name,
        "net": item.net,
        "vat": vat(item.net),
        "vat_percent": VAT_PERCENT,
        "gross": gross,
        "label": format_price(gross),
    }


@bp.get("/cart")
def cart() -> str:
    lines = [(find_item(int(key)), quantity) for key, quantity in session.get("cart", {}).items()]
    total = sum(with_vat(item.net) * quantity for item, quantity in lines)
    return render_template("cart.html", lines=lines, total=total)


@bp.post("/cart")
def add_to_cart() -> ResponseReturnValue:
    product = db.get_or_404(Product, request.form.get("product_id", type=int))
    lines = session.get("cart", {})
    quantity = lines.get(str(product.id), 0) + 1
    product.require(quantity)
    session["cart"] = lines | {str(product.id): quantity}
    return redirect(url_for("shop.cart"))


@bp.post("/cart/checkout")
@login_required
def checkout() -> ResponseReturnValue:
    for key, quantity in session.get("cart", {}).items():
        product = db.get_or_404(Product, int(key))
        product.take(quantity)
        total = product.price * quantity
        db.session.add(Order(customer=g.customer, product=product, quantity=quantity, total=total))
    db.session.commit()
    session.pop("cart", None)
    return redirect(url_for("account.profile"))


@bp.get("/who")
def who() -> dict[str, int]:
    """Which process answers, and what it remembers."""
    return {
        "pid": os.getpid(),
        "hits": state.hits.value,
        "cache_size": len(state.items),
        "cache_id": id(state.items),
    }
