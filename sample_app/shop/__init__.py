"""A small shop: a catalog, a cart, accounts and orders."""

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_habanero import Habanero

from . import account, cli, hooks, views
from .models import create_and_seed, db
from .pricing import format_price


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY="dev",
        SESSION_COOKIE_SAMESITE="Lax",
        SQLALCHEMY_DATABASE_URI="sqlite:///shop.sqlite",
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})

    db.init_app(app)
    Habanero().init_app(app)
    hooks.init_app(app)

    app.register_blueprint(views.bp)
    app.register_blueprint(account.bp)
    app.cli.add_command(cli.seed)
    app.add_template_filter(format_price, "price")

    with app.app_context():
        create_and_seed()

    return app
