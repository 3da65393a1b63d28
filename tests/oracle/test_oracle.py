"""The oracle is worth something only if it sees: each fault of an engine is seeded once, and caught."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.oracle.process import differences
from tests.properties.processes import Farm, cold_imports, folder, look, start, warm, write

PROJECT = {
    "shop/__init__.py": "",
    "shop/prices.py": '''"""Prices."""
import abc, dataclasses, enum, functools
from typing import Optional

LIMIT: int = 3
TABLE = {"a": 1, "b": [2]}
STEPS = []

def taxed(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        return fn(*args, **kwargs) + LIMIT
    STEPS.append(wrapper)
    return wrapper

@taxed
def price(x: int = LIMIT, *, more=2) -> int:
    """Says a price."""
    return x + more

@functools.lru_cache(maxsize=8)
def memo(n=1):
    return n

def counter(start):
    def step(by=1):
        return start + by
    return step

step = counter(5)
half = functools.partial(price, 2)
twice = lambda x=2: x * 2

class Base(abc.ABC):
    """Is a base."""
    size: int = 1
    def run(self, x=1):
        return x
    @abc.abstractmethod
    def must(self): ...

class Item(Base):
    rate = LIMIT + 1
    def __init__(self):
        self.state = [1]
    def run(self, x=1):
        return super().run(x) + 1
    def must(self):
        return 1
    @property
    def double(self):
        """Doubles."""
        return self.rate * 2
    @staticmethod
    def help():
        return "h"

@dataclasses.dataclass
class Row:
    a: int = 1
    b: Optional[Item] = None

class Color(enum.Enum):
    RED = 1
    BLUE = 2

one = Item()
''',
    "shop/views.py": """from flask import Blueprint, g, render_template_string
from . import prices
from .prices import TABLE, Item, price, memo as remembered

bp = Blueprint("bp", __name__, url_prefix="/b")

@bp.before_request
def first():
    g.x = 1

@bp.before_request
def second():
    g.x += 1

@bp.route("/<n>")
def any_page(n):
    return n

@bp.route("/<int:n>/more")
def more(n):
    return str(n)

@bp.route("/price")
def show():
    return render_template_string("{{ p|tag }}", p=price() + remembered())

@bp.errorhandler(404)
def lost(error):
    return "lost", 404
""",
    "shop/app.py": '''import click
from flask import Flask, request_started
from . import views

app = Flask(__name__)

@app.route("/<a>")
def by_a(a):
    return a

@app.route("/<b>")
def by_b(b):
    return b

@app.template_filter("tag")
def tag(x):
    return f"<{x}>"

@app.context_processor
def context():
    return {"c": 1}

@app.errorhandler(KeyError)
def broken(error):
    return "broken", 500

@app.cli.command("hello")
@click.option("--n", default=1)
def hello(n):
    """Says hello."""

@request_started.connect
def heard(sender, **more):
    pass

app.register_blueprint(views.bp)
''',
}

START = """
import sys, types, functools
from shop import prices, views
from shop.app import app
shop_app = sys.modules["shop.app"]
def other(text, name, space=vars(prices)):
    scratch = {}
    exec(text, space, scratch)
    return scratch[name]
def copy(f):
    made = types.FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    made.__dict__.update(vars(f))
    made.__kwdefaults__, made.__annotations__ = f.__kwdefaults__, f.__annotations__
    made.__doc__, made.__qualname__, made.__module__ = f.__doc__, f.__qualname__, f.__module__
    return made
raw = prices.price.__wrapped__
"""

SWAP_RULES = """
def swap(state):
    state.rules.reverse()
    for below in [*state.static.values(), *(below for _, below in state.dynamic)]:
        swap(below)
swap(app.url_map._matcher._root)
"""

FAULTS = {
    # names
    "a name is old": "prices.LIMIT = 4",
    "a name was not removed": "prices.GONE = 1",
    "a name was removed": "del prices.twice",
    "an alias stands for an equal copy": "views.price = copy(prices.price)",
    "an alias of a container stands for an equal copy": "views.TABLE = dict(prices.TABLE)",
    "a module's alias is a dead module": """
views.prices = types.ModuleType('shop.prices')
vars(views.prices).update(vars(prices))
""",
    "a module was not removed": "sys.modules['shop.old'] = types.ModuleType('shop.old')",
    "a module's docstring is old": "prices.__doc__ = 'Old.'",
    "a module's annotation is missing": "prices.__annotations__.pop('LIMIT')",
    "a container has an item more": "prices.STEPS.append(prices.STEPS[0])",
    "a container's order differs": "prices.TABLE['a'] = prices.TABLE.pop('a')",
    "a nested container is old": "prices.TABLE['b'][0] = 3",
    # functions
    "a body is old": "raw.__code__ = raw.__code__.replace(co_consts=(*raw.__code__.co_consts, 9))",
    "a line number is off by one": """
raw.__code__ = raw.__code__.replace(co_firstlineno=raw.__code__.co_firstlineno + 1)
""",
    "the code behind a wrapper is another function's": """
prices.STEPS[0].__closure__[0].cell_contents = copy(raw)
""",
    "a default is old": "raw.__defaults__ = (4,)",
    "a keyword default is old": "raw.__kwdefaults__['more'] = 3",
    "an annotation is old": "raw.__annotations__ = {'x': str, 'return': int}",
    "a docstring is old": "raw.__doc__ = 'Said a price.'",
    "a wrapper's docstring is old": "prices.price.__doc__ = 'Said a price.'",
    "a function has an attribute more": "raw.mark = 1",
    "a closure's cell is old": "prices.step.__closure__[0].cell_contents = 6",
    "a partial holds a copy": "prices.half = functools.partial(copy(prices.price), 2)",
    "a partial's argument is old": "prices.half = functools.partial(prices.price, 3)",
    "a memo has another size": """
prices.memo = views.remembered = functools.lru_cache(maxsize=9)(prices.memo.__wrapped__)
""",
    "a memo's answer is old": """
prices.memo.__wrapped__.__code__ = other('def memo(n=1): return n + 1', 'memo').__code__
""",
    "a lambda's default is old": "prices.twice.__defaults__ = (3,)",
    "a function's globals are not its module's": """
prices.twice = types.FunctionType(prices.twice.__code__, dict(vars(prices)), '<lambda>', (2,))
""",
    # classes
    "a class attribute is old": "prices.Item.rate = 5",
    "a member was not removed": "prices.Item.gone = 1",
    "a method is missing": "del prices.Item.run",
    "a method's super() means another class": "prices.Item.run.__closure__[0].cell_contents = prices.Base",
    "a property's getter is a copy's": """
prices.Item.double = property(other('def double(self): return 1', 'double'))
""",
    "a property's docstring is old": "prices.Item.double = property(prices.Item.double.fget, doc='Old.')",
    "a static method is a plain one": "prices.Item.help = prices.Item.help",
    "a class's docstring is old": "prices.Item.__doc__ = 'Old.'",
    "a class's annotation is old": "prices.Base.__annotations__['size'] = str",
    "the bases are others": """
prices.Item.__bases__ = (type('Between', (prices.Base,), {'__module__': 'shop.prices'}),)
""",
    "an old class still lives below its base": """
sys.kept = type('Item', (prices.Base,), {'__module__': 'shop.prices'})
""",
    "an abstract method is not abstract": "prices.Base.__abstractmethods__ = frozenset()",
    "a field's default is old": "prices.Row.__dataclass_fields__['a'].default = 2",
    "an instance is of an old class": """
prices.one.__class__ = type('Item', (prices.Base,), {'must': prices.Item.must, '__module__': 'shop.prices'})
""",
    "an instance's attribute is old": "prices.one.state.append(2)",
    "an enum member's value is old": "prices.Color.RED._value_ = 3",
    # registrations
    "a rule is lost": "app.url_map._rules_by_endpoint['by_b'].clear()",
    "two rules are matched in the wrong order": SWAP_RULES,
    "a rule's methods are others": "app.url_map._rules_by_endpoint['by_a'][0].methods.add('POST')",
    "a view is a copy": "app.view_functions['by_a'] = copy(app.view_functions['by_a'])",
    "a view was not removed": "app.view_functions['gone'] = app.view_functions['by_a']",
    "a hook is doubled": "app.before_request_funcs['bp'] *= 2",
    "two hooks run in the wrong order": "app.before_request_funcs['bp'].reverse()",
    "a hook is lost": "app.before_request_funcs['bp'].pop()",
    "an error handler is lost": "app.error_handler_spec[None][None].clear()",
    "an error handler is an old function": """
app.error_handler_spec[None][None][KeyError] = lambda e: ('', 500)
""",
    "a filter is an old function": "app.jinja_env.filters['tag'] = copy(app.jinja_env.filters['tag'])",
    "a filter was not removed": "app.jinja_env.filters['gone'] = str",
    "a context processor is doubled": "app.template_context_processors[None] *= 2",
    "a compiled template is old": """
app.jinja_env.filters['tag'].__code__ = other('def tag(x): return x', 'tag').__code__
""",
    "a command is lost": "app.cli.commands.pop('hello')",
    "a command's help is old": "app.cli.commands['hello'].help = 'Said hello.'",
    "an option's default is old": "app.cli.commands['hello'].params[0].default = 2",
    "a receiver is doubled": """
from flask import request_started
request_started.connect(copy(shop_app.heard), weak=False)
""",
    "a receiver is lost": "from flask import request_started; request_started.disconnect(shop_app.heard)",
    "a blueprint is not known to the app": "app.blueprints.clear()",
    "a blueprint's own table is old": "views.bp.view_functions['gone'] = 1",
    "a deferred registration is doubled": "views.bp.deferred_functions *= 2",
    "a config value is old": "app.config['MAX_COOKIE_SIZE'] = 1",
    # what people see
    "tracebacks show old text": """
import linecache
linecache.cache[prices.__file__] = (3, None, ['old'], prices.__file__)
""",
    "a module's file is another one": "prices.__file__ = 'elsewhere.py'",}  # fmt: skip


def _seeded(fault: str) -> dict[str, str]:
    with folder() as root:
        write(root, PROJECT)
        app: Any = start(root, "shop.app:app")
        warm(app)
        space: dict[str, Any] = {}
        exec(START + fault, space)
        return look(app, {"shop"}, root)


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm(cold_imports)
    yield farm
    farm.close()


@pytest.fixture(scope="module")
def clean(farm) -> dict[str, str]:
    return farm.run(_seeded, "")


def test_two_cold_starts_are_equal(farm, clean):
    assert differences(farm.run(_seeded, ""), clean) == []


def test_all_that_a_process_has_is_told(clean):
    told = "\n".join(f"{path}: {word}" for path, word in clean.items())
    for what in (
        "rule 0",
        "view bp.show",
        "before_request_funcs bp",
        "handler bp 404",
        "jinja filters tag",
        "command hello n",
        "signal request_started 0",
        "GET /b/price",
        "shop.prices.Item.double.fget",
        "shop.prices source",
    ):
        assert what in told


@pytest.mark.parametrize("name", FAULTS)
def test_a_seeded_fault_is_caught(farm, clean, name):
    found = differences(farm.run(_seeded, FAULTS[name]), clean)
    assert found, f"the oracle did not see that {name}"
