"""Logging in and out, and what a customer sees of themself."""

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from .auth import login_required
from .models import Customer, db

bp = Blueprint("account", __name__, url_prefix="/account")


@bp.get("/")
@login_required
def profile() -> str:
    return render_template("account/profile.html", customer=g.customer)


@bp.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    if request.method == "POST":
        name, password = request.form.get("name", ""), request.form.get("password", "")
        customer = db.session.scalar(db.select(Customer).filter_by(name=name))
        if customer is not None and customer.check_password(password):
            session["customer_id"] = customer.id
            return redirect(url_for("account.profile"))
        flash("Wrong name or password.")
    return render_template("account/login.html")


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    session.pop("customer_id", None)
    return redirect(url_for("shop.catalog"))
