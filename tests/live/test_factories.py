"""Edits of factories: a release is live and what a cold start is, or it is refused.

The rows say which of the two; a row that may be either shows only that nothing is silently wrong.
"""

# ruff: noqa: E501  # a row of a table is a line

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.properties.generated import Sequence

PAGE = "@app.route('/')\ndef index(): return str(x)\n"
Row = tuple[str, str, str, str]
"""Name, expected outcome ("live", "refused", or either), the factory's body before and after."""


def factory(body: str, common: str = "", after: str = "", head: str = "def create_app():") -> str:
    inside = "".join(f"    {line}\n" for line in ("app = Flask(__name__)\n" + body).splitlines())
    return f"from flask import Flask, Blueprint\n{common}{head}\n{inside}    return app\n{after}"


VARIABLES: list[Row] = [
    ("changes", "live", "x = 1\n" + PAGE, "x = 2\n" + PAGE),
    ("hinted", "live", "x: int = 1\n" + PAGE, "x: int = 2\n" + PAGE),
    ("read-by-another", "live", "y = 1\nx = y + 1\n" + PAGE, "y = 5\nx = y + 1\n" + PAGE),
    ("bound-twice", "", "x = 1\nx = x + 1\n" + PAGE, "x = 3\nx = x + 1\n" + PAGE),
    ("bound-twice-read-between", "", "x = 1\ny = x\nx = 2\n" + PAGE, "x = 1\ny = x + 1\nx = 2\n@app.route('/')\ndef index(): return str((x, y))\n"),
    ("walrus-in-a-comprehension", "", "x = 0\ny = [x := n for n in (1, 2)]\n" + PAGE, "x = 5\ny = [x := n for n in (1, 2)]\n" + PAGE),
    ("walrus", "", "x = 0\nif (x := 3): pass\n" + PAGE, "x = 1\nif (x := 3): pass\n" + PAGE),
    ("loop-variable", "", "for x in (1, 2): pass\nfor x in (3, 4): pass\n" + PAGE, "for x in (1, 5): pass\nfor x in (3, 4): pass\n" + PAGE),
    ("with", "", "import contextlib\nx = 1\nwith contextlib.nullcontext(2) as x: pass\n" + PAGE, "import contextlib\nx = 3\nwith contextlib.nullcontext(2) as x: pass\n" + PAGE),
    ("except-as", "", "x = 1\ntry: {}['a']\nexcept KeyError as e: x = repr(e)\n" + PAGE, "x = 1\ntry: {}['b']\nexcept KeyError as e: x = repr(e)\n" + PAGE),
    ("del", "", "y = 1\nx = y\ndel y\n" + PAGE, "y = 1\nx = y + 1\ndel y\n" + PAGE),
    ("import-goes", "", "from os.path import sep as x\n" + PAGE, "x = 2\n" + PAGE),
    ("import-for-a-name-of-the-module", "", "x = 1\nfrom os.path import sep as S\nx = S\n" + PAGE, "x = 1\nx = S\n" + PAGE),
    ("match", "", "x = 0\nmatch [1, 2]:\n    case [x, *_]: pass\n" + PAGE, "x = 1\nmatch [1, 2]:\n    case [x, *_]: pass\n" + PAGE),
    ("global", "", "global G\nG = 1\nx = G\n" + PAGE, "global G\nG = 2\nx = G\n" + PAGE),
    ("nonlocal", "", "x = 1\ndef up():\n    nonlocal x\n    x += 1\nup()\n" + PAGE, "x = 5\ndef up():\n    nonlocal x\n    x += 1\nup()\n" + PAGE),
    ("nonlocal-read", "", "n = 1\ndef up():\n    nonlocal n\n    n += 1\nx = n\nup()\n" + PAGE, "n = 1\ndef up():\n    nonlocal n\n    n += 1\nx = n + 1\nup()\n" + PAGE),
    ("locals", "", "x = 1\ny = 2\nz = sorted(locals())\n@app.route('/')\ndef index(): return str((z, x))\n", "x = 1\nz = sorted(locals())\n@app.route('/')\ndef index(): return str((z, x))\n"),
    ("in-a-class-body", "", "x = 1\nclass C:\n    y = x\nx = C.y\n" + PAGE, "x = 2\nclass C:\n    y = x\nx = C.y\n" + PAGE),
    ("default", "", "y = 1\ndef f(a=y): return a\nx = f()\n" + PAGE, "y = 2\ndef f(a=y): return a\nx = f()\n" + PAGE),
    ("default-of-a-view", "", "y = 1\n@app.route('/')\ndef index(a=y): return str(a)\n", "y = 2\n@app.route('/')\ndef index(a=y): return str(a)\n"),
    ("becomes-the-module's", "", "S = 3\nx = S\n" + PAGE, "x = S\n" + PAGE),
    ("shared-with-what-stays", "live", "x = 1\n@app.route('/')\ndef index(): return str(x)\n", "x = 2\n@app.route('/')\ndef index(): return str(x)\n@app.route('/b')\ndef b(): return str(x)\n"),
    ("through-a-wrapper", "", "import functools\nx = 1\ndef deco(f):\n    @functools.wraps(f)\n    def wrapper(*a): return str(x) + f(*a)\n    return wrapper\n@app.route('/')\n@deco\ndef index(): return 'i'\n", "import functools\nx = 2\ndef deco(f):\n    @functools.wraps(f)\n    def wrapper(*a): return str(x) + f(*a)\n    return wrapper\n@app.route('/')\n@deco\ndef index(): return 'i'\n"),
    ("through-a-wrapper-of-the-module's", "", "import functools\nx = 1\ndef deco(f):\n    @functools.wraps(f)\n    def wrapper(*a): return str(x) + f(*a)\n    return wrapper\napp.add_url_rule('/', 'index', deco(page))\n", "import functools\nx = 2\ndef deco(f):\n    @functools.wraps(f)\n    def wrapper(*a): return str(x) + f(*a)\n    return wrapper\napp.add_url_rule('/', 'index', deco(page))\n"),
    ("in-a-method", "", "x = 1\nclass C:\n    def m(self): return x\napp.c = C()\n@app.route('/')\ndef index(): return str(app.c.m())\n", "x = 2\nclass C:\n    def m(self): return x\napp.c = C()\n@app.route('/')\ndef index(): return str(app.c.m())\n"),
]  # fmt: skip

CALLED: list[Row] = [
    ("lambda", "", "y = 1\nh = lambda: y\nx = h()\n" + PAGE, "y = 2\nh = lambda: y\nx = h()\n" + PAGE),
    ("lambda-itself", "", "h = lambda: 1\nx = h()\n" + PAGE, "h = lambda: 2\nx = h()\n" + PAGE),
    ("nested-body", "", "def h():\n    return 1\nx = h()\n" + PAGE, "def h():\n    return 2\nx = h()\n" + PAGE),
    ("two-deep", "", "y = 1\ndef h(): return y\ndef g(): return h()\nx = g()\n" + PAGE, "y = 2\ndef h(): return y\ndef g(): return h()\nx = g()\n" + PAGE),
    ("by-an-attribute", "", "y = 1\napp.h = lambda: y\nx = app.h()\n" + PAGE, "y = 2\napp.h = lambda: y\nx = app.h()\n" + PAGE),
    ("as-an-argument", "", "y = 1\nx = sorted([3, 2], key=lambda n: n * y)\n" + PAGE, "y = -1\nx = sorted([3, 2], key=lambda n: n * y)\n" + PAGE),
    ("by-the-module", "", "y = 1\ndef h(): return y\nx = call(h)\n" + PAGE, "y = 2\ndef h(): return y\nx = call(h)\n" + PAGE),
    ("reads-what-is-bound-later", "", "y = 1\ndef h(): return y\nx = h()\ny = 2\n" + PAGE, "y = 1\ndef h(): return y\nx = h() + 1\ny = 2\n" + PAGE),
    ("decorator-calls-at-once", "", "y = 1\ndef run(f): return f()\n@run\ndef x(): return y\ny = 2\n" + PAGE, "y = 1\ndef run(f): return f()\n@run\ndef x(): return y + 1\ny = 2\n" + PAGE),
    ("decorator-changes", "", "def deco(f):\n    return lambda: 'a' + f()\n@app.route('/')\n@deco\ndef index(): return 'i'\n", "def deco(f):\n    return lambda: 'b' + f()\n@app.route('/')\n@deco\ndef index(): return 'i'\n"),
    ("partial", "", "import functools\ny = 1\nh = lambda a: y + a\ng = functools.partial(h, 1)\nx = g()\n" + PAGE, "import functools\ny = 2\nh = lambda a: y + a\ng = functools.partial(h, 1)\nx = g()\n" + PAGE),
]  # fmt: skip

OBJECTS: list[Row] = [
    ("append-changes", "refused", "x = []\nx.append(1)\nx.append(2)\n" + PAGE, "x = []\nx.append(3)\nx.append(2)\n" + PAGE),
    ("append-comes", "", "x = []\nx.append(2)\n" + PAGE, "x = []\nx.append(1)\nx.append(2)\n" + PAGE),
    ("append-comes-last", "", "x = []\nx.append(1)\n" + PAGE, "x = []\nx.append(1)\nx.append(2)\n" + PAGE),
    ("item-comes-before-the-same", "", "x = {}\nx['a'] = 1\n" + PAGE, "x = {}\nx['a'] = 0\nx['a'] = 1\n" + PAGE),
    ("item-comes-before-another", "", "x = {}\nx['a'] = 1\n" + PAGE, "x = {}\nx['b'] = 0\nx['a'] = 1\n" + PAGE),
    ("element-comes-before-len", "", "s = []\nx = len(s)\n" + PAGE, "s = []\ns.append(1)\nx = len(s)\n" + PAGE),
    ("len-comes-before-element", "", "s = []\nx = 1\ns.append(1)\n" + PAGE, "s = []\nx = len(s)\ns.append(1)\n" + PAGE),
    ("literal-changes", "", "x = [1]\nx.append(2)\n" + PAGE, "x = [3]\nx.append(2)\n" + PAGE),
    ("alias", "", "s = []\nx = s\nx.append(1)\n" + PAGE, "s = [0]\nx = s\nx.append(1)\n" + PAGE),
    ("by-a-function", "", "x = []\ndef put(v): x.append(v)\nput(1)\n" + PAGE, "x = []\ndef put(v): x.append(v)\nput(2)\n" + PAGE),
    ("attribute-comes-before-the-same", "", "app.mark = 2\n@app.route('/')\ndef index(): return str(app.mark)\n", "app.mark = 1\napp.mark = 2\n@app.route('/')\ndef index(): return str(app.mark)\n"),
    ("attribute-comes-before-a-reader", "", "x = getattr(app, 'mark', 0)\n" + PAGE, "app.mark = 1\nx = getattr(app, 'mark', 0)\n" + PAGE),
    ("extension-comes-first", "", "app.extensions['b'] = 1\nx = 1\n" + PAGE, "app.extensions['a'] = 1\napp.extensions['b'] = 1\nx = 1\n" + PAGE),
    ("config-between", "", "app.config['A'] = 1\napp.config['A'] = 2\nx = 0\n" + PAGE, "app.config['A'] = 1\nx = app.config['A']\napp.config['A'] = 2\n" + PAGE),
    ("config-twice", "", "app.config['A'] = 1\nx = app.config['A']\napp.config['A'] = 2\n" + PAGE, "app.config['A'] = 1\nx = app.config['A'] + 1\napp.config['A'] = 2\n" + PAGE),
    ("config-in-a-loop", "", "for x in 'AB': app.config[x] = 1\n" + PAGE, "for x in 'ABC': app.config[x] = 1\n" + PAGE),
    ("iterator", "", "s = iter((1, 2, 3))\nx = next(s)\n" + PAGE, "s = iter((1, 2, 3))\nx = next(s) + 10\n" + PAGE),
    ("counter", "", "import itertools\ns = itertools.count()\ny = next(s)\nx = next(s)\n" + PAGE, "import itertools\ns = itertools.count()\nx = next(s)\n" + PAGE),
]  # fmt: skip

B = "@app.route('/b')\ndef b(): return 'b'\n"
C = "@app.route('/c')\ndef c(): return 'c'\n"
WAYS: list[Row] = [
    ("in-a-branch-not-taken", "live", "x = 1\nif not app: return app\n" + PAGE, "x = 2\nif not app: return app\n" + PAGE),
    ("in-a-branch-taken", "refused", PAGE + "x = 1\nif app: return app\n" + B, PAGE + "x = 1\nif app: return app\n" + B + C),
    ("before-the-one-taken", "live", "x = 1\n" + PAGE + "if app: return app\n" + B, "x = 2\n" + PAGE + "if app: return app\n" + B),
    ("comes", "refused", "x = 1\n" + PAGE + B, "x = 1\n" + PAGE + "if app: return app\n" + B),
    ("goes-not-taken", "", "x = 1\n" + PAGE + "if not app: return app\n" + B, "x = 1\n" + PAGE + B),
    ("decided-by-a-variable", "refused", "x = 1\n" + PAGE + "if x == 2: return app\n" + B, "x = 2\n" + PAGE + "if x == 2: return app\n" + B),
    ("in-a-loop", "refused", "x = 1\n" + PAGE + "for n in (1, 2):\n    if n == x: return app\n" + B, "x = 1\n" + PAGE + "for n in (2, 3):\n    if n == x: return app\n" + B),
    ("in-try", "refused", "x = 1\n" + PAGE + "try: return app\nfinally: pass\n", "x = 1\n" + PAGE + B + "try: return app\nfinally: app.config['A'] = 1\n"),
    ("raise-comes", "", "x = 1\n" + PAGE, "x = 1\n" + PAGE + "if x == 2: raise ValueError\n"),
    ("try-import", "live", "try:\n    import nothing_of_that_name as n\nexcept ImportError:\n    n = None\nx = 1\n" + PAGE, "try:\n    import nothing_of_that_name as n\nexcept ImportError:\n    n = None\nx = 2\n" + PAGE),
    ("with-app-context", "", "x = 1\n" + PAGE + "with app.app_context(): app.config['A'] = 1\n", "x = 1\n" + PAGE + "with app.app_context(): app.config['A'] = 2\n"),
]  # fmt: skip

NAMES: list[Row] = [
    ("class", "", "class C:\n    n = 1\nx = C.__qualname__\n" + PAGE, "class C:\n    n = 2\nx = C.__qualname__\n" + PAGE),
    ("class-in-a-class", "", "class C:\n    class D:\n        n = 1\nx = C.D.__qualname__, C.D.__module__\n" + PAGE, "class C:\n    class D:\n        n = 2\nx = C.D.__qualname__, C.D.__module__\n" + PAGE),
    ("class-in-a-view", "", "@app.route('/')\ndef index():\n    class C: pass\n    return C.__qualname__\n", "y = 1\n@app.route('/')\ndef index():\n    class C: pass\n    return C.__qualname__ + str(y)\n"),
    ("function", "", "def f(): return 1\nx = f.__qualname__, f.__code__.co_firstlineno\n" + PAGE, "y = 1\ndef f(): return y\nx = f.__qualname__, f.__code__.co_firstlineno\n" + PAGE),
    ("of-a-part", "", "x = 1\n" + PAGE, "import sys\nx = sys._getframe().f_code.co_qualname\n" + PAGE),
]  # fmt: skip

PLACES: list[Row] = [
    ("views", "live", "x = 1\n" + PAGE + B + C, "x = 1\n" + PAGE + C + B),
    ("hooks", "live", "x = 1\n" + PAGE + "@app.before_request\ndef p(): pass\n@app.before_request\ndef q(): pass\n", "x = 1\n" + PAGE + "@app.before_request\ndef q(): pass\n@app.before_request\ndef p(): pass\n"),
    ("configuration", "", "x = 1\n" + PAGE + "app.config['A'] = 1\napp.config['A'] = 2\n", "x = 1\n" + PAGE + "app.config['A'] = 2\napp.config['A'] = 1\n"),
    ("a-reader", "", "x = 1\ny = x\nx = 2\n@app.route('/')\ndef index(): return str(y)\n", "x = 1\nx = 2\ny = x\n@app.route('/')\ndef index(): return str(y)\n"),
    ("elements", "", "x = []\nx.append(1)\nx.append(2)\n" + PAGE, "x = []\nx.append(2)\nx.append(1)\n" + PAGE),
    ("independent", "", "x = 1\ny = 2\n" + PAGE, "y = 2\nx = 1\n" + PAGE),
    ("a-view-over-its-variable", "", "x = 1\n" + PAGE, PAGE + "x = 1\n"),
    ("called-before-bound", "", "y = 1\ndef run(f): return f()\n@run\ndef x(): return y\n" + PAGE, "def run(f): return f()\ny = 1\n@run\ndef x(): return y\n" + PAGE),
]  # fmt: skip

LOOP = "for bp in {}: app.register_blueprint(bp)\n"
BLUEPRINTS = "a = Blueprint('a', __name__, url_prefix='/a')\nb = Blueprint('b', __name__, url_prefix='/b')\n@a.route('/')\ndef pa(): return 'a'\n@b.route('/')\ndef pb(): return 'b'\n"


def _sources() -> Iterator[tuple[str, str, list[dict[str, str]], str]]:
    common = "S = 7\ndef call(f): return f()\ndef page(): return 'p'\n"
    for group, rows in [
        ("variables", VARIABLES),
        ("called", CALLED),
        ("objects", OBJECTS),
        ("ways", WAYS),
        ("names", NAMES),
        ("places", PLACES),
    ]:
        for name, outcome, before, after in rows:
            sides = [{"app.py": factory(body, common)} for body in (before, after)]
            yield f"{group}:{name}", outcome, sides, "app:create_app()"
    yield from _loops()
    yield from _runs()
    yield from _calls()
    yield from _more()


def _loops() -> Iterator[tuple[str, str, list[dict[str, str]], str]]:
    for name, before, after in [
        ("more", "[a]", "[a, b]"),
        ("fewer", "[a, b]", "[b]"),
        ("order", "[a, b]", "[b, a]"),
    ]:
        sides = [
            {"app.py": factory("x = 1\n" + PAGE + LOOP.format(one), BLUEPRINTS)} for one in (before, after)
        ]
        yield f"loop:{name}", "", sides, "app:create_app()"
        sides = [
            {"app.py": factory("x = 1\n" + PAGE + LOOP.format("ALL"), BLUEPRINTS + f"ALL = {one}\n")}
            for one in (before, after)
        ]
        yield f"loop:{name}-of-the-module", "", sides, "app:create_app()"


def _runs() -> Iterator[tuple[str, str, list[dict[str, str]], str]]:
    """More than one run of a factory, with other arguments or the same."""
    head, wsgi = "def create_app(n=0):", "app = create_app(1)\nother = create_app({})\n"
    shown = "@app.route('/')\ndef index(): return str((x, n))\n@app.route('/other')\ndef o(): return other.test_client().get('/').text if app is not other else ''\n"
    for name, before, after, given in [
        ("other-arguments", "x = n\n", "x = n + 10\n", "2"),
        ("the-same-value", "x = 'a'\n", "x = 'b'\n", "2"),
        ("the-same-arguments", "x = 'a'\n", "x = 'b'\n", "1"),
        ("another-way", "x = 1 if n == 1 else 2\n", "x = 1 if n == 2 else 3\n", "2"),
    ]:
        sides = [
            {"app.py": factory(body + shown, head=head, after=wsgi.format(given))} for body in (before, after)
        ]
        yield f"runs:{name}", "", sides, "app:app"
    closing = "@app.route('/')\ndef index(): return x\n@app.route('/other')\ndef o(): return OTHER.test_client().get('/').text if OTHER is not None else ''\n"
    both = "OTHER = None\nOTHER = create_app()\napp = create_app()\n"
    sides = [{"app.py": factory(f"x = {one}\n" + closing, after=both)} for one in ("'a'", "'b'")]
    yield "runs:closures-that-look-alike", "", sides, "app:app"
    late = "@app.route('/')\ndef index(): return x + LATE.setdefault('app', create_app() if len(LATE) < 1 else 0).config['X']\n"
    sides = [
        {"app.py": factory(f"x = {one}\napp.config['X'] = x\n" + late, "LATE = {}\n")}
        for one in ("'a'", "'b'")
    ]
    yield "runs:after-the-start", "", sides, "app:create_app()"


HELPER = "def register(app, {}):\n    app.config['N'] = {}\n    @app.route('/h')\n    def h(): return '{}'\n"


def _calls() -> Iterator[tuple[str, str, list[dict[str, str]], str]]:
    """Functions that factories call."""

    def helped(call: str, *given: str) -> dict[str, str]:
        return {"app.py": factory("x = 1\n" + PAGE + call, HELPER.format(*given))}

    first = helped("register(app, 1)\n", "n", "1", "a")
    yield "calls:changes", "", [first, helped("register(app, 1)\n", "n", "2", "b")], "app:create_app()"
    yield "calls:both-change", "", [first, helped("register(app, 2)\n", "n", "2", "b")], "app:create_app()"
    more = "    @app.route('/i')\n    def i(): return 'i'\n"
    both = helped("register(app, 2)\n", "n", "2", "b' + str(n) + '")
    again = {"app.py": both["app.py"].replace("    @app.route('/h')", more + "    @app.route('/h')")}
    yield "calls:both-change-and-again", "", [first, both, again], "app:create_app()"
    yield "calls:goes", "", [first, helped("", "n", "2", "b")], "app:create_app()"
    late = {
        "app.py": factory(
            "x = 1\n" + PAGE, HELPER.format("n", "1", "a"), "app = create_app()\nregister(app, 1)\n"
        )
    }
    changed = {"app.py": late["app.py"].replace("'a'", "'b' + str(n)").replace("['N'] = 1", "['N'] = n")}
    yield "calls:of-the-module", "", [late, changed], "app:app"
    after = "def register(app): {}\n"
    for name, text in [
        ("reads-what-its-caller-writes", "register(app)\n{}"),
        ("is-read-by-its-caller", "{}register(app)\n"),
    ]:
        for end in (False, True):
            one, two = "x = app.config.get('N')\n", "app.config['N'] = 1"
            bodies = [text.format("x = 1\n" if n == 0 else one) + PAGE for n in (0, 1)]
            sides = [
                {
                    "app.py": factory(
                        body,
                        *(("", after.format(text)) if end else (after.format(text), "")),
                    )
                }
                for body, text in zip(bodies, ("pass", two), strict=True)
            ]
            yield f"calls:{name}{'-below' if end else ''}", "", sides, "app:create_app()"
    gone = {"app.py": changed["app.py"].replace("register(app, 1)\n", "")}
    yield "calls:of-the-module-goes", "", [late, gone], "app:app"
    other = {"app.py": changed["app.py"].replace("register(app, 1)\n", "register(app, 2)\n")}
    yield "calls:of-the-module-both", "", [late, other], "app:app"
    sides = [
        {"app.py": factory("x = 1\n" + PAGE + "mark(app)\napp.mark = 2\n", f"def mark(app):\n    {body}\n")}
        for body in ("pass", "app.mark = 1")
    ]
    yield "calls:sets-what-its-caller-sets", "", sides, "app:create_app()"
    inner = "def reg(n):\n    app.config['Q'] = n\n    app.add_url_rule('/' + n, n, page)\nreg('p')\n"
    sides = [
        {
            "app.py": factory(
                f"app.config['A'] = {n}\napp.config['B'] = 1\nx = 1\n" + PAGE + inner,
                "def page(): return 'p'\n",
            )
        }
        for n in (1, 2)
    ]
    yield "calls:nested", "", sides, "app:create_app()"
    methods = "class Maker:\n    def create(self):\n        app = Flask(__name__)\n        app.config['A'] = {}\n        self.views(app)\n        self.__mark = {}\n        return app\n    def views(self, app):\n        app.config['B'] = 1\n        @app.route('/')\n        def index(): return 'i'\nmaker = Maker()\ndef create_app(): return maker.create()\n"
    for name, one, other in [("method", (1, 1), (2, 1)), ("private", (1, 1), (1, 2))]:
        sides = [{"app.py": "from flask import Flask\n" + methods.format(*given)} for given in (one, other)]
        yield f"calls:{name}", "", sides, "app:create_app()"
    grown = "@app.route('/')\ndef index():\n    {}return 'i'\n"
    steps = [
        grown.format("") + B,
        grown.format("1\n    2\n    ") + B,
        grown.format("1\n    2\n    ") + B.replace("/b", "/bb") + C,
        grown.format("") + B + C,
    ]
    yield "lines:grow-then-change", "", [{"app.py": factory(one)} for one in steps], "app:create_app()"
    steps = ["x = 1\n" + PAGE + B, "x = 1\n" + PAGE + C, "x = 1\n" + PAGE + C + B, "x = 2\n" + C + PAGE + B]
    yield (
        "lines:again-and-again",
        "",
        [
            {"app.py": factory(one).replace("    return app\n", "")[:-1] + "\n    return app\n"}
            for one in steps
        ],
        "app:create_app()",
    )
    sides = [
        {
            "app.py": factory(
                f"x = {n}\n" + PAGE,
                head="async def made():",
                after="import asyncio\ndef create_app(): return asyncio.run(made())\n",
            )
        }
        for n in (1, 2)
    ]
    yield "kinds:async", "refused", sides, "app:create_app()"
    sides = [
        {
            "app.py": factory(
                f"yield\nx = {n}\n" + PAGE,
                head="def made():",
                after="def create_app():\n    g = made()\n    next(g)\n    try: next(g)\n    except StopIteration as e: return e.value\n",
            )
        }
        for n in (1, 2)
    ]
    yield "kinds:generator", "refused", sides, "app:create_app()"
    sides = [
        {
            "app.py": factory(
                f"x = {n}\n" + PAGE, "import functools\n", head="@functools.lru_cache\ndef create_app():"
            )
        }
        for n in (1, 2)
    ]
    yield "kinds:cached", "", sides, "app:create_app()"
    sides = [
        {
            "app.py": factory(
                f"x = {n}\n@app.route('/')\ndef index():\n    def g(): yield str(x)\n    return g()\n"
            )
        }
        for n in (1, 2)
    ]
    yield "kinds:nested-generator", "live", sides, "app:create_app()"


TWO = {"a.py": "R = [1]\n", "b.py": "import a\na.R.append(2)\n"}
LOADING = [
    ("passed-by", "from a import R\nimport b\nx = list(R)\n", "from a import R\nx = list(R)\nimport b\n"),
    ("earlier", "from a import R\nx = list(R)\nimport b\n", "import b\nfrom a import R\nx = list(R)\n"),
    ("goes", "import b\nfrom a import R\nx = list(R)\n", "from a import R\nx = list(R)\n"),
]


def _more() -> Iterator[tuple[str, str, list[dict[str, str]], str]]:
    for name, before, after in LOADING:
        sides = [{"app.py": factory(body + PAGE), **TWO} for body in (before, after)]
        yield f"loading:{name}", "refused", sides, "app:create_app()"
    counted = "class C:\n    n = 0\nx = {}\n" + PAGE + "@app.before_request\ndef change(): C.n = 1\n"
    sides = [{"app.py": factory(counted.format(one))} for one in ("1", "C.n")]
    yield "state:member-of-a-class", "refused", sides, "app:create_app()"
    late = "@app.route('/b')\ndef b(): return str(x)\n"
    bodies = ["x = 1\n" + PAGE + late, "x = 2\n" + PAGE, "x = 3\n" + PAGE + late]
    yield "lines:comes-back", "live", [{"app.py": factory(body)} for body in bodies], "app:create_app()"
    bodies = ["S = 3\nx = S\n" + PAGE, "x = 1\n" + PAGE, "x = S\n" + PAGE]
    yield (
        "variables:not-there-any-more",
        "live",
        [{"app.py": factory(body, "S = 9\n")} for body in bodies],
        "app:create_app()",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "sources", "entry"), [pytest.param(*row[1:], id=row[0]) for row in _sources()]
)
def test_a_factory_is_what_a_cold_start_makes_or_is_left(bench, outcome, sources, entry):
    verdict = bench.judge(Sequence(entry, [*sources, sources[0]], ["by hand"] * (len(sources) - 1)))
    assert not verdict.bad, (
        f"{verdict.bad} release {verdict.at}: {verdict.steps} {verdict.differences[:5]} {verdict.refusals}"
    )
    assert verdict.outcomes[0] != "no start"
    if outcome:
        assert verdict.outcomes[0] == outcome, verdict.refusals
