"""Each row of docs/what-is-hot.md is an edit; one that goes live leaves the process as a cold start would."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests import examples
from tests.examples import DOCS
from tests.oracle.process import differences
from tests.properties.processes import Farm

EDITS = {
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
    "an inner function uses another variable of the outer one": """
@@ app.py @@
  def tagged(view):
      name = view.__name__

      def wrapper():
-         return view()
+         return name
      return wrapper

  PAGE = tagged(len)
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
    "a blueprint's routes, and a new blueprint": """
@@ app.py @@
  from shop import shop
  app.register_blueprint(shop)
+ from admin import admin
+ app.register_blueprint(admin, url_prefix="/admin")
@@ shop.py @@
  from flask import Blueprint
  shop = Blueprint("shop", __name__)

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
    "what a factory itself does": """
@@ app.py @@
  from flask import Flask

  def create_app():
      app = Flask(__name__)
+     app.config["LIMIT"] = 1
      return app
""",
    'a line such as `app.config["X"] = …`': """
@@ app.py @@
- app.config["LIMIT"] = 1
+ app.config["LIMIT"] = 2
""",
    "the line that makes the app": """
@@ app.py @@
  from flask import Flask
- app = Flask(__name__)
+ app = Flask(__name__, static_folder=None)
""",
    "registrations, where some were made past Flask's methods": """
@@ app.py @@
  app.view_functions["ghost"] = lambda: "ghost"

+ @app.route("/new")
+ def new():
+     return "new"
""",
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
    "fields of a dataclass, members of an enum": """
@@ app.py @@
  import enum

  class Colour(enum.Enum):
      RED = 1
+     BLUE = 2
""",
    "a constructor, while no object of the class lives": """
@@ app.py @@
  class Order:
      def __init__(self):
-         self.items = []
+         self.items = {}
""",
    "a constructor, while objects live that the old one made": """
@@ app.py @@
  class Order:
      def __init__(self):
-         self.items = []
+         self.items = {}

  ORDER = Order()
""",
    "bases, metaclass or decorators of a class": """
@@ app.py @@
  class Base:
      pass

- class Order:
+ class Order(Base):
      pass
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
    "something computed from what requests have changed": """
@@ app.py @@
  SEEN = {}

  @app.route("/")
  def index():
      SEEN["index"] = True
      return "seen"

+ COUNT = len(SEEN)
""",
    "a connection, thread, queue or file that was made at the start": """
@@ app.py @@
  import sqlite3
- NAME = ":memory:"
+ NAME = "file::memory:"
  DB = sqlite3.connect(NAME)
""",
    "a call at module level that nobody can judge": """
@@ app.py @@
  import os
+ os.umask(0o027)
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
"""Row of the page -> an edit of that kind."""


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
    """Live: as a cold start. Cold: for the reason that the row names, and nothing has changed."""
    hot, cold = farms
    example = examples.examples(f"```diff{EDITS[kind]}```\n")[0]
    done = hot.run(examples.push, example)
    if ROWS[kind] == "live":
        assert done.outcome == "live", done.reasons
        assert differences(done.after, cold.run(examples.started_cold, example)) == []
        assert differences(done.after, done.before), "an edit that changes nothing shows nothing"
    else:
        assert done.outcome == "cold", "it is hot now: say so on the page"
        assert done.codes <= set(re.findall(r"reasons\.md#([a-z-]+)", ROWS[kind])), done.reasons
        assert differences(done.after, done.before) == []


def test_the_rows_of_the_page_are_those_that_are_tried() -> None:
    assert set(ROWS) == set(EDITS)


def test_each_reason_that_the_page_names_is_explained() -> None:
    text = (DOCS / "what-is-hot.md").read_text("utf-8")
    assert set(re.findall(r"reasons\.md#([a-z-]+)", text)) <= set(examples.sections("reasons.md"))
