"""Each row of docs/what-is-hot.md is an edit; one that goes live leaves the process as a cold start would."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests import examples
from tests.examples import DOCS
from tests.oracle.process import differences
from tests.properties.processes import Farm

pytestmark = pytest.mark.slow  # each row starts processes

EDITS: dict[str, str | tuple[str, ...]] = {
    "the body of a view, or of any function": """
@@ app.py @@
  @app.route("/")
  def index():
-     return "old"
+     return "new"
""",
    "a helper that other modules imported by name": """
@@ app.py @@
  from rates import price

  @app.route("/")
  def index():
      return str(price())
@@ rates.py @@
  def price():
-     return 1
+     return 2
""",
    "arguments, default values, annotations, docstring": """
@@ app.py @@
- def price(x=1):
+ def price(x: int = 2, *, rate: int = 1) -> int:
+     "Return the price."
      return x
""",
    "a function is new, renamed or gone": """
@@ app.py @@
- def old():
-     return 1
+ def new():
+     return 1

+ def more():
+     return new()
""",
    "what a function did not come to at the start: a branch, a handler": """
@@ app.py @@
  MADE = []

  def load(strict=False):
      if strict:
-         raise SystemExit("strict")
+         raise SystemExit("very strict")
      try:
          MADE.append(open(__file__))
      except OSError:
-         raise SystemExit("no file")
+         MADE.append(None)

  load()
  NAMES = [load.__name__]
""",
    "the body of a decorator of yours": """
@@ app.py @@
  import functools

  def tagged(view):
      @functools.wraps(view)
      def wrapper():
-         return f"<{view()}>"
+         return f"[{view()}]"
      return wrapper

  @app.route("/")
  @tagged
  def index():
      return "index"
""",
    "which decorators a function has, and their arguments": """
@@ app.py @@
  import functools

  def tagged(tag):
      def decorator(view):
          @functools.wraps(view)
          def wrapper():
              return tag + view()
          return wrapper
      return decorator

  @app.route("/")
- @tagged("old")
+ @tagged("new")
  def index():
      return "index"
""",
    "a function behind `lru_cache`, or what it calls": """
@@ app.py @@
  import functools

  def rate():
-     return 1
+     return 2

  @functools.lru_cache
  def price():
      return rate()

  @app.route("/")
  def index():
      return str(price())
""",
    "a function behind a cache of Flask-Caching or cachetools, or what it calls": """
@@ app.py @@
  import cachetools
  import flask_caching

  cache = flask_caching.Cache(app, config={"CACHE_TYPE": "SimpleCache"})

  def rate():
-     return 1
+     return 2

  @cachetools.cached({})
  def price():
      return rate()

  @app.route("/")
  @cache.cached()
  def index():
      return str(price())
""",
    "a function behind `lru_cache`, and the start keeps an object that it took from the cache": """
@@ app.py @@
  import functools

  class Rates:
      pass

  def rates():
-     return Rates()
+     return Rates() or None

  @functools.lru_cache
  def kept(year):
      return rates() if year > 2000 else Rates()

  OLD = kept(1999)

  @app.route("/")
  def index():
      return str(kept(1999) is OLD)
""",
    "an inner function uses another variable of the outer one": """
@@ app.py @@
  def tagged(view):
      name = view.__name__

      def wrapper():
-         return view()
+         return f"{name}: {view()}"
      return wrapper

  def index():
      return "index"

  app.add_url_rule("/", "index", tagged(index))
""",
    "the same, and something keeps an inner function that a request made": """
@@ app.py @@
  JOBS = []

  def job(name):
      tries = 3

      def run():
-         return name
+         return f"{name}, tried {tries} times"
      return run

  @app.route("/")
  def index():
      JOBS.append(job("mail"))
      return "queued"
""",
    "a function that a thread is inside of, all the time": """
@@ app.py @@
  import threading

  STOP = threading.Event()

  def work():
-     STOP.wait()
+     STOP.wait(10)

  @app.route("/begin")
  def begin():
      threading.Thread(target=work, daemon=True).start()
      return "begun"
""",
    "a route is new or gone; its path, methods or endpoint": """
@@ app.py @@
- @app.route("/")
+ @app.route("/index", methods=["GET", "POST"], endpoint="home")
  def index():
      return "index"

- @app.route("/old")
- def old():
-     return "old"

+ @app.route("/new")
+ def new():
+     return "new"
""",
    "hooks, error handlers, context processors, template filters": """
@@ app.py @@
- @app.before_request
- def second():
-     pass

  @app.before_request
  def first():
      pass

+ @app.before_request
+ def second():
+     pass

+ @app.errorhandler(404)
+ def missing(error):
+     return "missing", 404

+ @app.context_processor
+ def names():
+     return {"name": "shop"}

- @app.template_filter("old")
+ @app.template_filter("new")
  def mark(text):
      return text + "!"
""",
    "a resource of Flask-RESTful's `Api` of a blueprint is new or gone; its URLs": """
@@ app.py @@
  from shop import shop
  app.register_blueprint(shop, url_prefix="/shop")
@@ shop.py @@
  from flask import Blueprint
  from tests.exempting import Api, Resource
  shop = Blueprint("shop", __name__)
  api = Api(shop)

- class Cart(Resource):
-     def get(self):
-         return "cart"
-
- api.add_resource(Cart, "/cart")

+ class Order(Resource):
+     def get(self):
+         return "order"
+
+ api.add_resource(Order, "/order", "/orders")
""",
    "a blueprint's routes and prefix, and a new blueprint": """
@@ app.py @@
  from shop import shop
  app.register_blueprint(shop)
+ from admin import admin
+ app.register_blueprint(admin, url_prefix="/admin")
@@ shop.py @@
  from flask import Blueprint
- shop = Blueprint("shop", __name__)
+ shop = Blueprint("shop", __name__, url_prefix="/shop")

+ @shop.route("/carts")
+ def carts():
+     return "carts"
@@ admin.py @@
+ from flask import Blueprint
+ admin = Blueprint("admin", __name__)
+
+ @admin.route("/")
+ def index():
+     return "admin"
""",
    "commands (`@app.cli.command`)": """
@@ app.py @@
  import click

- @app.cli.command()
- def old():
-     click.echo("old")

+ @app.cli.command()
+ @click.argument("name")
+ def new(name):
+     click.echo(name)
""",
    "views, hooks and helpers inside a factory: their bodies": """
@@ app.py @@
  from flask import Flask

  def create_app():
      app = Flask(__name__)

      @app.route("/")
      def index():
-         return "old"
+         return "new"

      return app
""",
    "what a factory itself does: routes, blueprints, configuration, its own variables": """
@@ app.py @@
  from flask import Flask

  def create_app():
      app = Flask(__name__)
-     app.config["LIMIT"] = 1
+     app.config["LIMIT"] = 2
-     greeting = "hello"
+     greeting = "good morning"

+     @app.before_request
+     def hook():
+         pass

      @app.route("/")
      def index():
          return f"{greeting} {app.config['LIMIT']}"

-     @app.route("/old")
-     def old():
-         return "old"

+     from admin import admin
+     app.register_blueprint(admin, url_prefix="/admin")

      return app
@@ admin.py @@
+ from flask import Blueprint
+ admin = Blueprint("admin", __name__)
+
+ @admin.route("/")
+ def index():
+     return "admin"
""",
    "what a factory opens or starts, and its arguments": (
        """
@@ app.py @@
  import sqlite3

  from flask import Flask

  def create_app():
      app = Flask(__name__)
-     app.db = sqlite3.connect(":memory:")
+     app.db = sqlite3.connect(":memory:", timeout=10)
      return app
""",
        """
@@ app.py @@
  from flask import Flask

- def create_app():
+ def create_app(testing=False):
      app = Flask(__name__)
      return app
""",
    ),
    '`app.config["X"] = …`, and the class that `from_object` was given': """
@@ app.py @@
  from flask import Flask
  import settings

  app = Flask(__name__)
  app.config.from_object(settings.Production)
- app.config["RATE"] = 1
+ app.config["RATE"] = 2
  PRICE = 10 * app.config["RATE"]

  @app.route("/")
  def index():
      return f"{PRICE} {app.config['LIMIT']}"
@@ settings.py @@
  class Base:
-     LIMIT = 1
+     LIMIT = 2

  class Production(Base):
      pass
""",
    "one of the settings in `app.config.update(X=1, …)`": """
@@ app.py @@
  import os, sqlite3
  from flask import Flask

  app = Flask(__name__)
  app.config.update(
      DATABASE=":memory:",
-     LIMIT=1,
+     LIMIT=2,
+     OUR_RATE=3,
      NAME="shop",
  )
  for key in app.config:
      if key in os.environ:
          app.config[key] = os.environ[key]
  DB = sqlite3.connect(app.config["DATABASE"])

  @app.route("/")
  def index():
      return f"{app.config['LIMIT']} {app.config.get('OUR_RATE')}"
""",
    "the line that reads settings from the environment, a file, or a module by its name": """
@@ app.py @@
- app.config.from_prefixed_env()
+ app.config.from_prefixed_env("SHOP")
""",
    "a setting that a connection, thread or database was made from": (
        """
@@ app.py @@
  import sqlite3

- app.config["DATABASE"] = ":memory:"
+ app.config["DATABASE"] = "file::memory:"
  DB = sqlite3.connect(app.config["DATABASE"])
""",
        """
@@ app.py @@
  import sqlite3

  from flask import Flask

  def create_app():
      app = Flask(__name__)
-     app.config["DATABASE"] = ":memory:"
+     app.config["DATABASE"] = "file::memory:"
      app.db = sqlite3.connect(app.config["DATABASE"])
      return app
""",
        """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  db = SQLAlchemy()
  app = Flask(__name__)
- app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
+ app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///store.db"
  db.init_app(app)

  @app.route("/")
  def index():
      return str(db.engine.url)
""",
    ),
    "`DEBUG`, `TESTING`, `TEMPLATES_AUTO_RELOAD`": """
@@ app.py @@
- app.config["TEMPLATES_AUTO_RELOAD"] = False
+ app.config["TEMPLATES_AUTO_RELOAD"] = True
""",
    "the line that makes the app": """
@@ app.py @@
  from flask import Flask
- app = Flask(__name__)
+ app = Flask(__name__, static_folder=None)
""",
    "registrations, where some were made past Flask's methods": (
        """
@@ app.py @@
  from flask import Blueprint

  shop = Blueprint("shop", __name__)
  shop.record(lambda state: state.app.add_url_rule("/shop", "shop", str))
  app.register_blueprint(shop)

+ @app.route("/new")
+ def new():
+     return "new"
""",
        """
@@ app.py @@
  app.view_functions["ghost"] = lambda: "ghost"

+ @app.route("/new")
+ def new():
+     return "new"
""",
    ),
    "methods and properties: their bodies, new ones, removed ones": """
@@ app.py @@
  class Order:
      def total(self):
-         return 1
+         return 2

-     def old(self):
-         return 1
+     @property
+     def size(self):
+         return 3

  ORDER = Order()

  @app.route("/")
  def index():
      return str(ORDER.total())
""",
    "attributes of a class": """
@@ app.py @@
  class Order:
-     rate = 1
+     rate = 2
+     unit = "kg"

  ORDER = Order()
""",
    "a new class": """
@@ app.py @@
+ class Order:
+     def __init__(self):
+         self.items = []
""",
    "views that are classes: a new HTTP method": """
@@ app.py @@
  from flask.views import MethodView

  class Page(MethodView):
      def get(self):
          return "get"

+     def post(self):
+         return "post"

  app.add_url_rule("/", view_func=Page.as_view("page"))
""",
    "methods of enums and dataclasses": """
@@ app.py @@
  import dataclasses

  @dataclasses.dataclass
  class Order:
      total: int

      def doubled(self):
-         return self.total
+         return 2 * self.total

+     def halved(self):
+         return self.total / 2
""",
    "a method that dispatches on a class (`singledispatchmethod`), and what is registered with it": """
@@ app.py @@
  from functools import singledispatchmethod

  class Till:
      @singledispatchmethod
      def price(self, thing):
          return 0

      @price.register
-     def _(self, thing: int):
-         return thing
+     def _(self, thing: float):
+         return round(thing)

+     @price.register(str)
+     def _(self, thing):
+         return len(thing)

  till = Till()

  @app.route("/")
  def index():
      return f"{till.price(1)} {till.price(1.6)} {till.price('one')}"
""",
    "methods of an object that holds a file or a connection: new, other, gone": """
@@ app.py @@
  class Store:
      def __init__(self):
          self.file = open(__file__)
-     def rename(self, old, new, files=[]):
-         return [old, new, *files]
+     def rename(self, old, new, files=None):
+         return [old, new, *(files or [])]
+     def update(self):
+         return "updated"
-     def reset(self):
-         pass

  store = Store()
  app.extensions["store"] = store
  @app.route("/")
  def index():
-     return str(store.rename(1, 2))
+     return str(store.rename(1, 2)) + store.update()
""",
    "a constructor, where the start made all the objects": """
@@ app.py @@
  class Cart:
      def __init__(self):
-         self.items = []
+         self.items = {}

  CART = Cart()

  @app.route("/")
  def index():
      return str(CART.items)
""",
    "a constructor, and something keeps an object that a request made": """
@@ app.py @@
  class Cart:
      def __init__(self):
-         self.items = []
+         self.items = {}

  CARTS = {}

  @app.route("/")
  def index():
      CARTS["me"] = Cart()
      return "made"
""",
    "bases, decorators or `__slots__` of a class": """
@@ app.py @@
  import functools

  class Base:
      rate = 2

- class Order:
+ class Order(Base):
      pass

  ORDER = Order()

+ @functools.total_ordering
  class Price:
+     __slots__ = ("value",)

      def __lt__(self, other):
          return True

  @app.route("/")
  def index():
      return str(getattr(ORDER, "rate", 1))
""",
    "the same, and something keeps an object that a request made": """
@@ app.py @@
  class Base:
      pass

- class Cart:
+ class Cart(Base):
      pass

  CARTS = {}

  @app.route("/")
  def index():
      CARTS["me"] = Cart()
      return "made"
""",
    "bases or keywords of a class that has keywords (`metaclass=…`)": """
@@ app.py @@
  import abc

- class Order:
+ class Order(metaclass=abc.ABCMeta):
      pass
""",
    "fields of a dataclass, members of an enum": """
@@ app.py @@
  import dataclasses
  import enum

  class Colour(enum.Enum):
      RED = 1
+     BLUE = 2

  @dataclasses.dataclass
  class Order:
      total: int
+     colour: Colour = Colour.BLUE

  ORDER = Order(1)

  @app.route("/")
  def index():
      return f"{ORDER} {Colour.RED}"
""",
    "methods and constants of a model of peewee": """
@@ app.py @@
  from peewee import CharField, ForeignKeyField, Model

  class User(Model):
      name = CharField()
+     LIMIT = 3

-     def label(self):
-         return self.name
+     def label(self, more=""):
+         return self.name + more

  class Post(Model):
      user = ForeignKeyField(User, backref="posts")

  @app.route("/")
  def index():
      return Post(user=User(name="ann")).user.label()
""",
    "a model of pydantic, a class of attrs: fields, validators, limits": """
@@ app.py @@
  import attrs
  from pydantic import BaseModel, Field, field_validator

- MOST = 10
+ MOST = 20

  class Item(BaseModel):
      name: str = Field(max_length=MOST)
+     count: int = 1

      @field_validator("name")
      @classmethod
      def plain(cls, name: str) -> str:
-         return name.strip()
+         return name.strip().lower()

  class Order(BaseModel):
      items: list[Item]

  @attrs.define
  class Place:
      street: str
+     town: str = ""

  @app.route("/")
  def index():
      return f"{Order(items=[Item(name='Tea ')])} {Place('here')}"
""",
    "fields of a form (WTForms)": """
@@ app.py @@
  from wtforms import Form, StringField

  class Login(Form):
      name = StringField("Name")
+     password = StringField("Password")

  @app.route("/")
  def index():
      return str([field.name for field in Login()])
""",
    "a mixin of a model (SQLAlchemy): one more, or one less": """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  app = Flask(__name__)
  app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
  db = SQLAlchemy(app)

  class Priced:
      def price(self):
          return 3

- class Order(db.Model):
+ class Order(Priced, db.Model):
      id = db.Column(db.Integer, primary_key=True)

- class Line(Priced, db.Model):
+ class Line(db.Model):
      id = db.Column(db.Integer, primary_key=True)

  @app.route("/")
  def index():
      return f"{hasattr(Order(), 'price')} {hasattr(Line(), 'price')}"
""",
    "a new model (SQLAlchemy), a new column, a new relationship": """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  app = Flask(__name__)
  app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
  db = SQLAlchemy(app)

  class Order(db.Model):
      id = db.Column(db.Integer, primary_key=True)
+     total = db.Column(db.Integer)
+     lines = db.relationship("Line")

+ class Line(db.Model):
+     id = db.Column(db.Integer, primary_key=True)
+     order_id = db.Column(db.ForeignKey("order.id"))
""",
    "`default` and `onupdate` of a column": """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  app = Flask(__name__)
  app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
  db = SQLAlchemy(app)

  class Order(db.Model):
      id = db.Column(db.Integer, primary_key=True)
-     total = db.Column(db.Integer, default=0)
+     total = db.Column(db.Integer, default=1)
""",
    "a column that changes, or goes and was there at the start": (
        """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  app = Flask(__name__)
  app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
  db = SQLAlchemy(app)

  class Order(db.Model):
      id = db.Column(db.Integer, primary_key=True)
-     total = db.Column(db.Integer)
+     total = db.Column(db.String)
""",
    ),
    "a new table, where the start makes tables in another way": (
        """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  app = Flask(__name__)
  app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
  db = SQLAlchemy(app)

  class Order(db.Model):
      id = db.Column(db.Integer, primary_key=True)

+ class Line(db.Model):
+     id = db.Column(db.Integer, primary_key=True)
+
  with app.app_context():
      db.metadata.create_all(db.engine)
""",
    ),
    "a new table, where the start makes tables by `db.create_all()`": """
@@ app.py @@
  from flask import Flask
  from flask_sqlalchemy import SQLAlchemy

  app = Flask(__name__)
  app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
  db = SQLAlchemy(app)

  class Order(db.Model):
      id = db.Column(db.Integer, primary_key=True)

+ class Line(db.Model):
+     id = db.Column(db.Integer, primary_key=True)
+
  with app.app_context():
      db.create_all()
""",
    "fields of a `NamedTuple`": (
        """
@@ app.py @@
  from typing import NamedTuple

  class Order(NamedTuple):
      total: int
+     rate: int = 1
""",
    ),
    "a constant or a setting, in another way that comes out the same": """
@@ app.py @@
  import os
  import sqlite3
- TIMEOUT = int(os.environ.get("HABANERO_UNSET", "60"))
+ TIMEOUT = int(os.environ.get("HABANERO_UNSET") or 60)
  CONNECTION = sqlite3.connect(":memory:", timeout=TIMEOUT)
""",
    "a constant, and all that was computed from it, in any module": """
@@ app.py @@
  from rates import LIMIT

  DOUBLE = 2 * LIMIT

  def price(x=LIMIT):
      return x

  @app.route("/")
  def index():
      return f"{DOUBLE} {price()}"
@@ rates.py @@
- LIMIT = 1
+ LIMIT = 2
""",
    "a list or dict that is written out": """
@@ app.py @@
- NAMES = ["a"]
+ NAMES = ["a", "b"]

  @app.route("/")
  def index():
      return str(NAMES)
""",
    "a queue, a lock, an object of a class of yours": """
@@ app.py @@
  import queue
  import threading

- SIZE = 10
+ SIZE = 20
  JOBS = queue.Queue(SIZE)
- LOCK = threading.Lock()
+ LOCK = threading.RLock()

  class Rates:
      def __init__(self, size):
          self.size = size

  RATES = Rates(SIZE)

  @app.route("/")
  def index():
      JOBS.put("job")
      return f"{JOBS.maxsize} {RATES.size}"
""",
    "the same, and something that stays holds the old one": """
@@ app.py @@
- COUNTRIES = ["Chile"]
+ COUNTRIES = ["Chile", "Peru"]

  ORDERS = []

  @app.route("/")
  def index():
      ORDERS.append({"countries": COUNTRIES})
      return "ordered"
""",
    "what a line or a decorator puts into a dict, list or set": """
@@ app.py @@
  STEPS = []
  PRICES = {}

  def step(function):
      STEPS.append(function)
      return function

+ @step
+ def first():
+     return "first"

  @step
  def last():
      return "last"

- PRICES["tea"] = 1
+ PRICES["tea"] = 2

  @app.route("/")
  def index():
      return f"{[one() for one in STEPS]} {PRICES}"
""",
    "a name that a line or a decorator puts into a set (`csrf.exempt`)": """
@@ app.py @@
  OPEN = set()

  def exempt(view):
      OPEN.add(f"{view.__module__}.{view.__name__}")
      return view

- @exempt
  def first():
      return "first"

+ @exempt
  def second():
      return "second"

  @app.route("/")
  def index():
      return f"{sorted(OPEN)}"
""",
    "the same, and another one puts the same name there": """
@@ app.py @@
  OPEN = set()

  def exempt(view):
      OPEN.add(f"{view.__module__}.{view.__name__}")
      return view

- @exempt
  def first():
      return "first"

  exempt(first)

  @app.route("/")
  def index():
      return f"{sorted(OPEN)}"
""",
    "an extension of Flask that gives templates an extension of Jinja, filters, globals": """
@@ app.py @@
  from flask import Flask
  from flask_habanero import Habanero
+ from tests.exempting import Shelf

  app = Flask(__name__)
  Habanero(app)
+ shelf = Shelf(app)

  @app.route("/")
  def index():
      return f"{sorted(app.extensions)} {sorted(app.jinja_env.extensions)}"
""",
    'an attribute that a line sets (`login.view = "login"`)': """
@@ app.py @@
  class Login:
      view = None

  login = Login()
- login.view = "index"
+ login.view = "login"

  @app.route("/")
  def index():
      return login.view
""",
    "the same, new or gone; a loader that a decorator gives to such an object (`@login.request_loader`)": """
@@ app.py @@
  class Login:
      def __init__(self):
          self.view, self.message, self.load = None, "Please log in", None

      def request_loader(self, function):
          self.load = function
          return function

  login = Login()
- login.message = "Who are you?"
+ login.view = "index"

- @login.request_loader
- def load(request):
-     return None
-
  @app.route("/")
  def index():
      return f"{login.view} {login.message} {login.load}"
""",
    "what a factory reads of a registry, or sets again, after a module's line": (
        """
@@ pages.py @@
  PAGES = []

  def page(function):
      PAGES.append(function)
      return function

  @page
  def tea():
      return "tea"

+ @page
+ def coffee():
+     return "coffee"

@@ app.py @@
  from flask import Flask
  from pages import PAGES

  def create_app():
      app = Flask(__name__)
      for one in PAGES:
          app.add_url_rule(f"/{one.__name__}", view_func=one)
      return app

  app = create_app()
""",
        """
@@ login.py @@
  class Login:
      view = None

  login = Login()
+ login.view = "index"
@@ app.py @@
  from flask import Flask
  from login import login

  def create_app():
      app = Flask(__name__)
      login.view = "login"
      return app

  app = create_app()
""",
    ),
    "a line that adds to a list which has elements": """
@@ app.py @@
  NAMES = ["tea"]
+ NAMES.append("coffee")
""",
    "something computed from what requests have changed": """
@@ app.py @@
  SEEN = {}

  @app.route("/")
  def index():
      SEEN["index"] = True
      return "seen"

+ COUNT = len(SEEN)
""",
    "a connection, thread or file that was made at the start": (
        """
@@ app.py @@
  import sqlite3
- NAME = ":memory:"
+ NAME = "file::memory:"
  DB = sqlite3.connect(NAME)
""",
        """
@@ app.py @@
  import threading

  def work():
      pass

- threading.Thread(target=work).start()
""",
    ),
    "a call at module level that nobody can judge": (
        """
@@ app.py @@
  import os
+ os.umask(0o027)
""",
        """
@@ app.py @@
  import os
- os.umask(0o027)
""",
    ),
    "a receiver of a signal is new or gone": (
        """
@@ app.py @@
  from flask import request_started

+ @request_started.connect
+ def note(sender):
+     pass
""",
        """
@@ app.py @@
  from flask import request_started

- @request_started.connect
- def note(sender):
-     pass
""",
    ),
    "a line that wraps a method in place (`Shop.go = logged(Shop.go)`)": """
@@ app.py @@
  class Shop:
      def go(self):
          return "went"

  def logged(function, word):
      return lambda self: word + function(self)

- Shop.go = logged(Shop.go, "shop ")
+ Shop.go = logged(Shop.go, "store ")

  @app.get("/")
  def index():
      return Shop().go()
""",
    "a new module that something imports": """
@@ app.py @@
+ from rates import price
+
+ @app.route("/")
+ def index():
+     return str(price())
@@ rates.py @@
+ def price():
+     return 1
""",
    "a new module that the start finds by itself (`pkgutil`, `import_module`)": """
@@ app.py @@
  import importlib
  import pkgutil

  import views

  for one in pkgutil.iter_modules(views.__path__, "views."):
      app.register_blueprint(importlib.import_module(one.name).bp)
@@ views/__init__.py @@
@@ views/cart.py @@
  from flask import Blueprint

  bp = Blueprint("cart", __name__)
@@ views/stock.py @@
+ from flask import Blueprint
+
+ bp = Blueprint("stock", __name__)
""",
    "whether a branch is taken that imports a module which does more than bind names": """
@@ app.py @@
- DEBUG = True
+ DEBUG = False

  if DEBUG:
      import debug_views
@@ debug_views.py @@
  from app import app

  @app.get("/debug")
  def debug():
      return "debug"
""",
    "a module goes, and nothing imports it any more": """
@@ app.py @@
- from rates import LIMIT
+ LIMIT = 1
@@ rates.py @@
- LIMIT = 1
""",
    "imports, also of packages that were not loaded yet": """
@@ app.py @@
- import json
+ import colorsys
+ from json import dumps
""",
    "code at module level that calls a package for the first time": """
@@ app.py @@
+ import colorsys
+
+ RED = colorsys.hls_to_rgb(0.0, 0.5, 1.0)
""",
    "a star import of a module of yours, and the names that it brings": """
@@ app.py @@
  from rates import *
+ from taxes import *
@@ rates.py @@
  LIMIT = 1
- OLD = 2
+ NEW = 3
@@ taxes.py @@
+ LIMIT = 4
""",
    "an import of a package that is not on the server": """
@@ app.py @@
+ import no_such_library
""",
    "a module becomes a package, or the other way round": """
@@ app.py @@
  import rates
@@ rates.py @@
- LIMIT = 1
@@ rates/__init__.py @@
+ LIMIT = 1
""",
    "`from __future__ import …`": """
@@ app.py @@
  import rates
@@ rates.py @@
+ from __future__ import annotations
  LIMIT: int = 1
""",
}
"""Row of the page -> an edit of that kind; of a cold one, edits for each of its reasons."""

NEEDS = {"fields of a form (WTForms)": "wtforms", "methods and constants of a model of peewee": "peewee"}
SINCE = dict.fromkeys(
    (
        "what a function did not come to at the start: a branch, a handler",
        "methods of an object that holds a file or a connection: new, other, gone",
    ),
    (3, 12),
)
"""Row of the page -> the first Python on which it holds; the row says so, too."""


def _rows() -> dict[str, str]:
    """Return the rows of the page's tables: what changes -> what becomes of it."""
    text = (DOCS / "what-is-hot.md").read_text("utf-8")
    return dict(re.findall(r"^\| (.+?) \| (live|cold.*?) \|", text, re.MULTILINE))


ROWS = _rows()


@pytest.fixture(scope="module")
def farms() -> Iterator[tuple[Farm, Farm]]:
    farms = Farm(examples.prepare), Farm(examples.prepare)
    yield farms
    for farm in farms:
        farm.close()


@pytest.mark.parametrize("kind", EDITS)
def test_a_kind_of_edit_does_what_its_row_says(farms: tuple[Farm, Farm], kind: str) -> None:
    """Live: as a cold start. Cold: for the reasons that the row names, and nothing has changed."""
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    if sys.version_info < SINCE.get(kind, (3, 11)):
        pytest.skip(f"live from Python {'.'.join(map(str, SINCE[kind]))} on")
    edits = EDITS[kind]
    codes = [_codes(farms, kind, edit) for edit in ([edits] if isinstance(edits, str) else edits)]
    assert set().union(*codes) == set(re.findall(r"reasons\.md#([a-z-]+)", ROWS[kind]))


def _codes(farms: tuple[Farm, Farm], kind: str, edit: str) -> set[str]:
    """Make an edit; return for which reasons it is cold."""
    hot, cold = farms
    example = examples.examples(f"```diff{edit}```\n")[0]
    done = hot.run(examples.push, example)
    if ROWS[kind] == "live":
        assert done.outcome == "live", done.reasons
        assert differences(done.after, cold.run(examples.started_cold, example)) == []
        assert differences(done.after, done.before), "an edit that changes nothing shows nothing"
    else:
        assert done.outcome == "cold", "it is hot now: say so on the page"
        assert differences(done.after, done.before) == []
    return done.codes


def test_the_rows_of_the_page_are_those_that_are_tried() -> None:
    assert set(ROWS) == set(EDITS)


def test_each_reason_that_the_page_names_is_explained() -> None:
    text = (DOCS / "what-is-hot.md").read_text("utf-8")
    assert set(re.findall(r"reasons\.md#([a-z-]+)", text)) <= set(examples.sections("reasons.md"))
