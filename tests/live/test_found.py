"""Edits by which the engine was, or is, live and silently wrong: each is compared with a cold start.

A group that is still wrong carries its reason and is expected to fail; one that was put right has none.
"""

# ruff: noqa: E501  # a row of a table is a line

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.properties.generated import Sequence

Row = tuple[str, str, str, str, str]
"""Name, what stands before, the statements before and after the edit, and what the page shows."""

HEAD = "from flask import Flask, Blueprint\napp = Flask(__name__)\n"
PAGE = "\n@app.route('/')\ndef index():\n    return str({})\n"


class SilentlyWrongError(AssertionError):
    """A release was live, and differs from a cold start."""


# entries of objects that were there before

NAMED = "R = {}\ndef reg(n):\n    def put(f):\n        R[n] = f\n        return f\n    return put\n"
A, B = "@reg('x')\ndef a(): return 1\n", "@reg('x')\ndef b(): return 2\n"
OVERRIDDEN_ROWS: list[Row] = [
    ("an-item-of-the-literal", "D = {'a': 1}\n", "D['a'] = 2\n", "", "D"),
    ("setdefault-that-found-one", "D = {'a': 1}\n", "D.setdefault('a', 2)\n", "", "D"),
    ("the-second-of-two-decorated", NAMED, A + B, A, "R['x']()"),
    ("the-first-of-two-decorated", NAMED, A + B, B, "R['x']()"),
    ("a-first-one-is-added", NAMED, B, A + B, "R['x']()"),
    ("a-global-of-jinja", "", "app.jinja_env.globals['range'] = 1\n", "", "app.jinja_env.globals['range']"),
    ("a-filter-of-jinja", "", "app.jinja_env.filters['upper'] = len\n", "", "app.jinja_env.filters['upper']"),
    ("an-attribute-of-a-class", "class C:\n    x = 1\n", "C.x = 2\n", "", "C.x"),
    ("an-attribute-of-a-function", "def f(): pass\nf.x = 1\n", "f.x = 2\n", "", "f.x"),
    ("of-a-class-of-a-library", "import json\n", "json.JSONEncoder.item_separator = ';'\n", "", "json.JSONEncoder().item_separator"),
    ("a-view-function", "", "@app.route('/x')\ndef x(): return 'x'\napp.view_functions['x'] = lambda: 'y'\n", "@app.route('/x')\ndef x(): return 'x'\n", "sorted(app.view_functions)"),
    ("by-a-generator-that-never-ran", "D = {}\ndef g():\n    D['k'] = 1\n    yield\n", "x = g()\nD['k'] = 2\n", "D['k'] = 2\n", "D"),
]  # fmt: skip

LISTED = "R = []\ndef reg(f):\n    R.append(f)\n    return f\n"
MOVED_ROWS: list[Row] = [
    ("items", "D = {}\n", "D['a'] = 1\nD['b'] = 2\n", "D['b'] = 2\nD['a'] = 1\n", "D"),
    ("the-same-item", "D = {}\n", "D['a'] = 1\nD['a'] = 2\n", "D['a'] = 2\nD['a'] = 1\n", "D"),
    ("elements", "D = []\n", "D.append(1)\nD.append(2)\n", "D.append(2)\nD.append(1)\n", "D"),
    ("the-same-attribute", "class C: pass\nc = C()\n", "c.x = 1\nc.x = 2\n", "c.x = 2\nc.x = 1\n", "c.x"),
    ("decorated", LISTED, "@reg\ndef a(): pass\n@reg\ndef b(): pass\n", "@reg\ndef b(): pass\n@reg\ndef a(): pass\n", "[f.__name__ for f in R]"),
    ("subclasses", "R = []\nclass T:\n    def __init_subclass__(cls): R.append(cls)\n", "class P(T): pass\nclass Q(T): pass\n", "class Q(T): pass\nclass P(T): pass\n", "[c.__name__ for c in R]"),
    ("assignments", "R = []\ndef new(x):\n    R.append(x)\n    return x\n", "p = new('p')\nq = new('q')\n", "q = new('q')\np = new('p')\n", "R"),
    ("numbers", "import itertools\nN = itertools.count()\n", "p = next(N)\nq = next(N)\n", "q = next(N)\np = next(N)\n", "(p, q)"),
    ("configuration", "", "app.config['A'] = 1\napp.config['A'] = 2\n", "app.config['A'] = 2\napp.config['A'] = 1\n", "app.config['A']"),
]  # fmt: skip

PLACED_ROWS: list[Row] = [
    ("an-item-between-two", "D = {}\n", "D['a'] = 1\nD['b'] = 2\n", "D['a'] = 1\nD['c'] = 3\nD['b'] = 2\n", "D"),
    ("an-extension", "", "app.extensions['b'] = 1\n", "app.extensions['a'] = 1\napp.extensions['b'] = 1\n", "list(app.extensions)"),
    ("sorted-at-the-start", LISTED, "@reg\ndef b(): pass\nR.sort(key=lambda f: f.__name__)\n", "@reg\ndef b(): pass\n@reg\ndef a(): pass\nR.sort(key=lambda f: f.__name__)\n", "[f.__name__ for f in R]"),
]  # fmt: skip

ONE, TWO = "@reg\ndef a(): pass\n", "@reg\ndef b(): pass\n"
ROUTE = "@app.route('/{0}')\ndef {0}(): return 'x'\n"
READ_LATER_ROWS: list[Row] = [
    ("tuple", LISTED, ONE + "S = tuple(R)\n", ONE + TWO + "S = tuple(R)\n", "len(S)"),
    ("len", LISTED, ONE + "S = len(R)\n", ONE + TWO + "S = len(R)\n", "S"),
    ("loop", LISTED, ONE + "for f in R: pass\n", ONE + TWO + "for f in R: pass\n", "f.__name__"),
    ("dict", "R = {}\n", "R['a'] = 1\nS = dict(R)\n", "R['a'] = 1\nR['b'] = 2\nS = dict(R)\n", "S"),
    ("item", "R = {}\n", "R['a'] = 1\nS = R['a']\n", "R['a'] = 2\nS = R['a']\n", "S"),
    ("set", "R = set()\n", "R.add('a')\nS = len(R)\n", "R.add('a')\nR.add('b')\nS = len(R)\n", "S"),
    ("attribute", "class C: pass\nc = C()\n", "c.x = 1\nS = c.x\n", "c.x = 2\nS = c.x\n", "S"),
    ("attribute-or-none", "class C: pass\nc = C()\n", "S = getattr(c, 'x', 0)\n", "c.x = 1\nS = getattr(c, 'x', 0)\n", "S"),
    ("number-given-by-a-decorator", "R = []\ndef reg(f):\n    f.n = len(R)\n    R.append(f)\n    return f\n", ONE + TWO, TWO, "b.n"),
    ("extensions", "", "S = list(app.extensions)\n", "app.extensions['b'] = 1\nS = list(app.extensions)\n", "S"),
    ("view-functions", "", ROUTE.format("x") + "S = sorted(app.view_functions)\n", ROUTE.format("x") + ROUTE.format("y") + "S = sorted(app.view_functions)\n", "S"),
    ("url-map", "", ROUTE.format("x") + "S = [str(r) for r in app.url_map.iter_rules()]\n", ROUTE.format("x") + ROUTE.format("y") + "S = [str(r) for r in app.url_map.iter_rules()]\n", "S"),
    ("tagged-anew", "def tag(f):\n    f.tag = 1\n    return f\n", "@tag\ndef f(): pass\nf.tag = 7\n", "def tag2(f):\n    f.tag = 2\n    return f\n@tag2\ndef f(): pass\nf.tag = 7\n", "f.tag"),
]  # fmt: skip

# the interpreter

OWN = "D = []\nclass P:\n    def {}(self, *_):\n        D.append('x')\n        return {}\np = P()\n"
OPERATOR_ROWS: list[Row] = [
    (name.strip("_"), OWN.format(name, gives), f"{text}\n", "", "D")
    for name, gives, text in [
        ("__or__", "self", "p | 1"),
        ("__rshift__", "self", "p >> 1"),
        ("__add__", "self", "p + 1"),
        ("__radd__", "self", "1 + p"),
        ("__neg__", "self", "-p"),
        ("__eq__", "True", "p == 1"),
        ("__lt__", "True", "p < 1"),
        ("__hash__", "1", "{p: 1}"),
        ("__contains__", "True", "1 in p"),
        ("__bool__", "True", "1 if p else 2"),
        ("__len__", "1", "len(p)"),
        ("__iter__", "iter(())", "list(p)"),
        ("__getitem__", "1", "p[0]"),
        ("__str__", "'x'", "str(p)"),
        ("__format__", "'x'", "f'{p}'"),
        ("__int__", "1", "int(p)"),
        ("__instancecheck__", "True", "isinstance(1, p)"),
        ("__reversed__", "()", "reversed(p)"),
        ("__del__", "None", "P()"),
    ]
]

GET = "D = []\nclass G:\n    def __get__(self, *_):\n        D.append(1)\nclass P:\n    x = G()\n"
SET = "D = []\nclass G:\n    def __set__(self, *_): D.append(1)\nclass P:\n    x = G()\n    def __init__(self): self.x = 1\n"
ALL = "D = []\nclass P:\n    def __init__(self): self.x = 1\n    def __setattr__(self, *a):\n        D.append(a[0])\n"
ANY = "D = []\nclass P:\n    x = 1\n    def __getattribute__(self, name): D.append(name)\n"
GIVEN = "D = []\nclass B:\n    def __class_getitem__(cls, key):\n        D.append(key)\n        return cls\n"
TOLD = "D = []\nclass F:\n    def __set_name__(self, owner, name): D.append(name)\n"
ATTRIBUTE_ROWS: list[Row] = [
    ("get", GET, "P().x\n", "", "D"),
    ("set", SET, "P()\n", "", "D"),
    ("setattr", ALL, "P()\n", "", "len(D)"),
    ("getattribute", ANY, "P().x\n", "", "D"),
    ("class-getitem", GIVEN, "B['a']\n", "", "D"),
    ("set-name", TOLD, "class P:\n    a = F()\n", "class P:\n    b = F()\n", "D, P.__name__"),
    ("header", "D = []\n", "def f(x: D.append(1)): pass\n", "def f(x: int): pass\n", "D"),
]

PURE_ROWS: list[Row] = [
    (
        "reduce",
        "import functools\nD = []\n",
        "functools.reduce(lambda a, x: D.append(x), [1, 2], 0)\n",
        "",
        "D",
    ),
    ("sub", "import re\nD = []\n", "re.sub('a', lambda m: D.append(1) or '', 'aa')\n", "", "D"),
    ("starmap", "import itertools\nD = {}\n", "list(itertools.starmap(D.setdefault, [('a', 1)]))\n", "", "D"),
    ("heappush", "import heapq\nD = []\n", "heapq.heappush(D, 3)\n", "", "D"),
    ("insort", "import bisect\nD = []\n", "bisect.insort(D, 3)\n", "", "D"),
    ("setitem", "import operator\nD = {}\n", "operator.setitem(D, 'a', 3)\n", "", "D"),
    ("calendar", "import calendar\n", "calendar.setfirstweekday(3)\n", "", "calendar.firstweekday()"),
    (
        "context",
        "import contextvars\nD = contextvars.ContextVar('D', default=1)\n",
        "D.set(2)\n",
        "",
        "D.get()",
    ),
]

MODEL = "from dataclasses import dataclass\nD = []\ndef model(cls):\n    for f in cls.__dataclass_fields__: D.append(f)\n    return cls\n"
RAISED_ROWS: list[Row] = [
    ("partial", "import functools\nD = []\ndef put(to, x): to.append(x)\n", "functools.partial(put, D)('a')\n", "", "D"),
    ("dataclass", MODEL, "@model\n@dataclass\nclass A:\n    x: int = 1\n", "@model\n@dataclass\nclass A:\n    x: int = 1\n    y: int = 2\n", "D, A.x"),
]  # fmt: skip

GUARD_ROWS: list[Row] = [("guard", "D = []\n", "match 1:\n    case x if D.append(x): pass\n", "", "D")]

# what requests have changed meanwhile. The page changes it, and then shows `N`.

SERVED = "\n@app.route('/')\ndef index():\n    {}\n    return str(N)\n"
STATE_ROWS: list[tuple[str, str, str, str]] = [
    ("counter", "import collections\nS = collections.Counter()\n", "len(S)", "S['a'] = 1"),
    ("defaultdict", "import collections\nS = collections.defaultdict(int)\n", "len(S)", "S['a'] = 1"),
    ("ordereddict", "import collections\nS = collections.OrderedDict()\n", "len(S)", "S['a'] = 1"),
    ("chainmap", "import collections\nS = collections.ChainMap({})\n", "len(S)", "S['a'] = 1"),
    ("userdict", "import collections\nS = collections.UserDict()\n", "len(S)", "S['a'] = 1"),
    ("namespace", "import types\nS = types.SimpleNamespace(n=0)\n", "S.n", "S.n = 1"),
    ("array", "import array\nS = array.array('i', [0])\n", "S[0]", "S[0] = 1"),
    ("bytearray", "S = bytearray(b'a')\n", "bytes(S)", "S[0] = 98"),
    ("local", "import threading\nS = threading.local()\nS.n = 0\n", "S.n", "S.n = 1"),
    ("contextvar", "import contextvars\nS = contextvars.ContextVar('S', default=0)\n", "S.get()", "S.set(1)"),
    ("weakset", "import weakref\nS = weakref.WeakSet()\ndef k(): pass\n", "len(S)", "S.add(k)"),
    ("memo", "import functools\n@functools.lru_cache\ndef f(x): return x\n", "f.cache_info().currsize", "f(1)"),
    ("logger", "import logging\nlog = logging.getLogger('a')\n", "log.level", "log.setLevel(10)"),
    ("spread", "S = {}\n", "len({**S})", "S['a'] = 1"),
    ("spread-in-a-call", "S = {}\n", "dict(**S)", "S['a'] = 1"),
    ("closure", "def make():\n    s = []\n    def add(x): s[:] = [x]\n    def count(): return len(s)\n    return add, count\nadd, count = make()\n", "count()", "add(1)"),
    ("default", "def put(x, s=[]):\n    if x: s[:] = [x]\n    return len(s)\n", "put(0)", "put(1)"),
    ("vars", "class C: pass\nc = C()\n", "dict(vars(c))", "c.x = 1"),
    ("vars-of-a-class", "class C: pass\n", "'x' in vars(C)", "C.x = 1"),
    ("hasattr", "class C: pass\n", "hasattr(C, 'x')", "C.x = 1"),
    ("hasattr-of-an-object", "class C: pass\nc = C()\n", "hasattr(c, 'x')", "c.x = 1"),
    ("globals", "", "'Q' in globals()", "globals()['Q'] = 1"),
    ("subclasses", "class C: pass\n", "len(C.__subclasses__())", "globals().setdefault('Q', type('Q', (C,), {}))"),
    ("computed", "S = int('0')\n", "S", "globals().update(S=1)"),
    ("module", "import string\n", "string.punctuation", "string.punctuation = ''"),
    ("environment", "import os\n", "os.environ.get('HABANERO_FOUND')", "os.environ['HABANERO_FOUND'] = '1'"),
    ("configuration", "app.config['X'] = 1\n", "app.config['X']", "app.config['X'] = 2"),
    ("extensions", "", "len(app.extensions)", "app.extensions['x'] = 1"),
    ("jinja", "", "'x' in app.jinja_env.globals", "app.jinja_env.globals['x'] = 1"),
]  # fmt: skip
MATCHED = (
    "S = {}\nN = 0\n",
    "S = {}\nN = 0\nmatch S:\n    case {'a': 1}: N = 1\n    case _: N = 2\n",
    "S['a'] = 1",
)

# configurations

CONFIG_ROWS: list[Row] = [
    ("len", "", "S = len(app.config)\n", "app.config['A'] = 1\nS = len(app.config)\n", "S"),
    ("repr", "", "app.config['A'] = 1\nS = repr(app.config)\n", "app.config['A'] = 2\nS = repr(app.config)\n", "S"),
    ("reversed", "", "app.config['A'] = 1\nS = next(reversed(app.config))\n", "app.config['B'] = 1\nS = next(reversed(app.config))\n", "S"),
    ("pop", "", "app.config['A'] = 1\nS = app.config.pop('A')\n", "app.config['A'] = 2\nS = app.config.pop('A')\n", "S"),
    ("setdefault", "", "app.config['A'] = 1\nS = app.config.setdefault('A', 5)\n", "app.config['A'] = 2\nS = app.config.setdefault('A', 5)\n", "S"),
    ("attribute-set-before", "class K:\n    A = 1\n", "app.config.from_object(K)\n", "K.A = 2\napp.config.from_object(K)\n", "app.config['A']"),
]  # fmt: skip

# factories: the body before and after, whose page shows `x`

FACTORY = "from flask import Flask\n{}def create_app():\n    app = Flask(__name__)\n{}    @app.route('/')\n    def index(): return str(x)\n{}"
REBOUND_ROWS = [
    ("second-goes", "x = 1\nx = x + 1\n", "x = 1\n"),
    ("second-comes", "x = 1\n", "x = 1\nx = x + 1\n"),
    ("first-comes", "x = 1\n", "x = 3\nx = 1\n"),
    ("change-places", "x = 1\nx = 2\n", "x = 2\nx = 1\n"),
    ("perhaps-bound", "x = 1\nx = x + 1 if x else 0\n", "x = 1\nx = x + 2 if x else 0\n"),
    ("bound-in-try", "x = 1\ntry:\n    {}['a']\n    x = 2\nexcept KeyError: pass\n", "x = 1\ntry:\n    {'a': 1}['a']\n    x = 2\nexcept KeyError: pass\n"),
]  # fmt: skip
PARAMETER = "def setup(app, x):\n    {}\n    app.add_url_rule('/x', 'x', lambda: x)\n"
FIELDS = "`lasting` does not look into the fields of a named tuple"
BESIDE = {
    "zero.py": "R = {}\n",
    "one.py": "from zero import R\nR['one'] = 1\n",
    "two.py": "from zero import R\nR['two'] = 2\n",
}
FACTORY_STATE_ROWS = [
    ("variable", "s = []\n", "len(s)", "s[:] = [1]"),
    ("name-of-the-module", "", "len(S)", "S['a'] = 1"),
    ("configuration", "app.config['X'] = 1\n", "app.config['X']", "app.config['X'] = 5"),
]


def _app(before: str, after: str, common: str, page: str) -> tuple[str, str]:
    return HEAD + common + before + page, HEAD + common + after + page


def _factory(
    before: str, after: str, tail: str = "return app\n", new_tail: str = "", common: str = ""
) -> tuple[str, str]:
    def source(body: str, tail: str) -> str:
        inside, end = ("".join(f"    {line}\n" for line in one.splitlines()) for one in (body, tail))
        return FACTORY.format(common, inside, end)

    return source(before, tail), source(after, new_tail or tail)


def _params() -> Iterator[object]:
    def row(group: str, name: str, sources: tuple[str, str], reason: str | None) -> object:
        marks = [pytest.mark.xfail(raises=SilentlyWrongError, reason=reason, strict=True)] if reason else []
        return pytest.param(*sources, id=f"{group}:{name}", marks=marks)

    for group, reason, rows in [
        ("overridden", None, OVERRIDDEN_ROWS),
        ("moved", None, MOVED_ROWS),
        ("placed", None, PLACED_ROWS),
        ("read-later", None, READ_LATER_ROWS),
        ("operator", None, OPERATOR_ROWS),
        ("attribute", None, ATTRIBUTE_ROWS),
        ("pure", None, PURE_ROWS),
        ("raised", None, RAISED_ROWS),
        ("guard", None, GUARD_ROWS),
        ("config", None, CONFIG_ROWS),
    ]:
        for name, common, before, after, shown in rows:
            yield row(group, name, _app(before, after, common, PAGE.format(shown)), reason)
    for name, common, read, does in STATE_ROWS:
        page = SERVED.format(does)
        yield row("state", name, _app("N = 0\n", f"N = {read}\n", common, page), None)
    before, after, does = MATCHED
    yield row("state", "match", _app(before, after, "", SERVED.format(does)), None)
    for name, before, after in REBOUND_ROWS:
        yield row("rebound", name, _factory(before, after), None)
    sides = [
        _factory("x = 'a'\nsetup(app, x)\n", "", common=PARAMETER.format(f"x = x + '{end}'"))[0]
        for end in "!?"
    ]
    yield row("rebound", "parameter", (sides[0], sides[1]), None)
    early, more = "if app: return app\n", "@app.route('/{0}')\ndef {0}(): return '{0}'\n"
    end = more.format("b") + "return app\n"
    yield row("returned", "goes", _factory("x = 1\n", "x = 1\n", early + end, end), None)
    late = early + end, early + more.format("c") + end
    yield row("returned", "reached", _factory("x = 1\n", "x = 1\n", *late), None)
    sides = [f"y = {n}\nh = lambda: y\nx = h()\n" for n in (1, 2)]
    yield row("called", "lambda", _factory(*sides), None)
    sides = [f"class C:\n    n = {n}\nx = C.__qualname__\n" for n in (1, 2)]
    yield row("named", "class", _factory(*sides), None)
    a, b = "x['a'] = 1\n", "x['b'] = 2\n"
    yield row("ordered", "items", _factory("x = {}\n" + a + b, "x = {}\n" + b + a), None)
    for name, common, read, does in FACTORY_STATE_ROWS:
        sides = [f"{common}x = {one}\n" for one in (0, read)]
        changing = f"@app.after_request\ndef change(r):\n    {does}\n    return r\nreturn app\n"
        yield row("factory-state", name, _factory(*sides, changing, common="S = {}\n"), None)
    page = SERVED.format("p.x[:] = [1]")
    common = "from typing import NamedTuple\nclass P(NamedTuple):\n    x: list\np = P([])\n"
    yield row("state", "field-of-a-tuple", _app("N = 0\n", "N = len(p.x)\n", common, page), FIELDS)
    a, b = "app.extensions['a'] = 1\n", "app.extensions['b'] = 1\n"
    listed = "x = list(app.extensions)\n"
    shown = f"def x(): return {listed[4:]}return app\n"
    yield row("ordered", "added-before", _factory(b, a + b, shown), None)
    named = "x = 1\n", "x = 1\nz = 2\n"
    said = "y = sorted(k for k in list(locals()) if k != 'y')\napp.extensions['y'] = y\nreturn app\n"
    yield row("called", "locals", _factory(*named, said), None)
    sides = "import one\nimport two\n", "import two\nimport one\n"
    yield row("imports", "change-places", _app(*sides, "", PAGE.format("one.R")), None)
    sides = "import one\n", "import two\nimport one\n"
    yield row("imports", "come-before", _app(*sides, "", PAGE.format("list(one.R)")), None)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), list(_params()))
def test_what_is_live_is_what_a_cold_start_has(bench, before, after):
    entry = "app:create_app()" if "def create_app" in before else "app:app"
    beside = BESIDE if "import one" in before else {}
    old, new = {**beside, "app.py": before}, {**beside, "app.py": after}
    verdict = bench.judge(Sequence(entry, [old, new, old], ["by hand"]))
    told = f"release {verdict.at}: {verdict.steps} {verdict.differences[:5]}"
    if verdict.bad == "WRONG":
        raise SilentlyWrongError(told)
    assert not verdict.bad, told
    assert verdict.outcomes != ["no start"]
