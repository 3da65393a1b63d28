"""A Flask app of any size, made by rule: areas of five modules each, as people write them.

An area has constants (some made from others), helpers, models and the views of a blueprint; they import each
other's names. The first area is the app's own package, with the factory; the others are packages below it.
"""

from __future__ import annotations

from dataclasses import dataclass

TOP = "grown"
PARTS = 5  # modules of an area
Sources = dict[str, str]  # path below the root -> text

HEADS = {
    "constants": '"""What is fixed."""\n\n',
    "helpers": '"""What views and models share."""\n\nimport functools\nimport re\n\n',
    "models": '"""What is sold."""\n\nfrom dataclasses import dataclass, field\n\n',
    "views": '"""The pages."""\n\nfrom flask import Blueprint, abort, jsonify, request\n\n',
}

CONSTANTS = """\
CURRENCY{number} = "EUR"
PAGE_SIZE{number} = 20
LARGEST_PAGE{number} = PAGE_SIZE{number} * 5
SIZES{number} = {{"short": PAGE_SIZE{number}, "long": LARGEST_PAGE{number}}}
STATES{number} = ("open", "paid", "sent", "returned")
FINAL{number} = frozenset(STATES{number}[2:])
LABELS{number} = {{state: state.capitalize() for state in STATES{number}}}
RATES{number} = {{"DE": 19, "FR": 20, "NL": 21}}
"""

HELPERS = '''\
from .constants import CURRENCY{number}, LABELS{number}, RATES{number}
from .constants import LARGEST_PAGE{number}, PAGE_SIZE{number}

LIMITS{number} = [PAGE_SIZE{number}, PAGE_SIZE{number} * 2, LARGEST_PAGE{number}]
WORD{number} = re.compile(r"[a-z0-9]+")


def money{number}(cents):
    """Return an amount as people read it."""
    return f"{{cents // 100}}.{{cents % 100:02}} {{CURRENCY{number}}}"


def slug{number}(text):
    return "-".join(WORD{number}.findall(text.lower()))


def page_of{number}(items, number=1, size=PAGE_SIZE{number}):
    """Return some items of many."""
    if size > LARGEST_PAGE{number} or number < 1:
        raise ValueError(number, size)
    begin = (number - 1) * size
    return [item for index, item in enumerate(items) if begin <= index < begin + size]


def gross{number}(cents, country="DE"):
    try:
        return cents + cents * RATES{number}[country] // 100
    except KeyError:
        return cents


def label{number}(state):
    return LABELS{number}.get(state, state)


def counted{number}(view):
    """Count the calls of a view."""

    @functools.wraps(view)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return view(*args, **kwargs)

    wrapper.calls = 0
    return wrapper
'''

MODELS = '''\
from .constants import FINAL{number}, STATES{number}
from .helpers import gross{number}, money{number}, slug{number}


class Refused{number}(Exception):
    """An order can't go on."""

    def __init__(self, state):
        super().__init__(f"{{state}} is the last state")
        self.state = state


@dataclass
class Line{number}:
    """One line of an order."""

    article: str
    cents: int
    count: int = 1
    notes: list = field(default_factory=list)

    @property
    def total(self):
        return self.cents * self.count


class Order{number}:
    """An order of some lines."""

    first_state = STATES{number}[0]

    def __init__(self, name, lines=(), country="DE"):
        self.name = name
        self.lines = list(lines)
        self.country = country
        self.state = self.first_state

    @classmethod
    def from_form(cls, form):
        lines = [Line{number}(article, 100) for article in form.get("articles", "").split()]
        return cls(form.get("name", ""), lines)

    @property
    def total(self):
        return gross{number}(sum(line.total for line in self.lines), self.country)

    @staticmethod
    def is_final(state):
        return state in FINAL{number}

    def go_on(self):
        """Come to the next state."""
        if self.is_final(self.state):
            raise Refused{number}(self.state)
        self.state = STATES{number}[STATES{number}.index(self.state) + 1]

    def as_json(self):
        return {{"id": slug{number}(self.name), "state": self.state, "total": money{number}(self.total)}}


class Gift{number}(Order{number}):
    """An order that costs nothing."""

    @property
    def total(self):
        return 0

    def as_json(self):
        return {{**super().as_json(), "gift": True}}
'''

VIEWS = """\
from .constants import PAGE_SIZE{number}, SIZES{number}, STATES{number}
from .helpers import LIMITS{number}, counted{number}, label{number}, page_of{number}
from .models import Gift{number}, Order{number}, Refused{number}

bp{number} = Blueprint("{blueprint}{number}", __name__, url_prefix="/{blueprint}{number}")
orders{number} = {{}}


@bp{number}.before_request
def check_size{number}():
    if request.args.get("size", PAGE_SIZE{number}, type=int) > LIMITS{number}[-1]:
        abort(400)


@bp{number}.get("/")
@counted{number}
def index{number}():
    size = SIZES{number}.get(request.args.get("view"), PAGE_SIZE{number})
    page = page_of{number}(orders{number}.values(), request.args.get("page", 1, type=int), size)
    return jsonify([order.as_json() for order in page])


@bp{number}.get("/states")
def states{number}():
    return jsonify([label{number}(state) for state in STATES{number}])


@bp{number}.post("/")
def add{number}():
    kind = Gift{number} if request.form.get("gift") else Order{number}
    order = orders{number}[request.form["name"]] = kind.from_form(request.form)
    return jsonify(order.as_json()), 201


@bp{number}.post("/<name>/next")
def go_on{number}(name):
    if name not in orders{number}:
        abort(404)
    orders{number}[name].go_on()
    return jsonify(orders{number}[name].as_json())


@bp{number}.errorhandler(Refused{number})
def refused{number}(error):
    return jsonify(state=error.state), 409
"""

PACKAGE = '"""An area of the shop."""\n'

FACTORY = '''\
"""A shop that has grown."""

from flask import Flask

from .constants import CURRENCY, PAGE_SIZE
from .helpers import money
{imports}

def create_app():
    app = Flask(__name__)
    app.config.from_mapping(SECRET_KEY="benchmark", CURRENCY=CURRENCY, PAGE_SIZE=PAGE_SIZE)
{registrations}
    app.add_template_filter(money)

    @app.errorhandler(404)
    def not_found(error):
        return "not here", 404

    return app
'''


@dataclass(frozen=True)
class Edit:
    """One change: some text of one part of an area, with `{}` for the edit's number."""

    part: str
    old: str
    new: str

    def of(self, text: str, number: int) -> str:
        """Return a module's text with the edit of a number."""
        assert self.old in text
        return text.replace(self.old, self.new.format(number), 1)


EDITS = {
    "function": Edit("helpers", '    return "-".join', '    text += "{}"\n    return "-".join'),
    "constant": Edit("constants", "PAGE_SIZE = 20\n", "PAGE_SIZE = 20 + {}\n"),
    "method": Edit("models", "    def go_on", "    def go_back(self):\n        return {}\n\n    def go_on"),
}


def areas(modules: int) -> list[str]:
    """Return the names of the packages of an app."""
    if modules % PARTS:
        raise ValueError(f"an area has {PARTS} modules")
    return [TOP, *(f"{TOP}.area{number:03}" for number in range(1, modules // PARTS))]


def edited_area(modules: int) -> str:
    """Return the area in which things are edited: the middle one."""
    every = areas(modules)
    return every[len(every) // 2]


def area(name: str, sets: int = 1) -> Sources:
    """Return one area. With `sets`, each of its parts defines all of it so many times, under other names."""
    folder = name.replace(".", "/")
    blueprint = name.rpartition(".")[2]
    templates = {"constants": CONSTANTS, "helpers": HELPERS, "models": MODELS, "views": VIEWS}
    texts = {}
    for part, template in templates.items():
        every = (template.format(number=number, blueprint=blueprint) for number in numbers(sets))
        texts[f"{folder}/{part}.py"] = HEADS[part] + "\n\n".join(every)
    return {f"{folder}/__init__.py": PACKAGE, **texts}


def numbers(sets: int) -> list[str]:
    """Return what the names of each set of definitions end with."""
    return ["", *(f"_{number}" for number in range(2, sets + 1))]


def generate(modules: int, sets: int = 1) -> Sources:
    """Return an app of so many modules; each of the area that is edited has so many sets of definitions."""
    every, edited = areas(modules), edited_area(modules)
    sources: Sources = {}
    imports, registrations = [], []
    for name in every:
        own = sets if name == edited else 1
        sources |= area(name, own)
        for number in numbers(own):
            short = f"{name.rpartition('.')[2]}{number}"
            imports.append(f"from {name}.views import bp{number} as {short}\n")
            registrations.append(f"    app.register_blueprint({short})\n")
    sources[f"{TOP}/__init__.py"] = FACTORY.format(
        imports="".join(imports), registrations="".join(registrations)
    )
    return sources
