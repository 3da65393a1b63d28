"""What a statement that runs again reads must be what the start made; what has not changed may be read."""

from __future__ import annotations

import ast
import collections
import dataclasses
import enum
import functools
import logging
import queue
import threading
import types

import pytest
from flask_habanero.live import origin, stateful, written
from flask_habanero.source import Source

from tests.properties.generated import Sequence

LOG = "import logging\nlog = logging.getLogger('a')\n"
COUNTER = "import collections\nclass C:\n    s = collections.Counter()\n"
MAKE = "class C: n = 0\ndef make():\n    {}\n    def add():\n        {}\n    def get(): return {}\n"
MAKE += "    return add, get\nadd, get = make()\n"
NONLOCAL = MAKE.format("n = 0", "nonlocal n; n = 1", "n")
IN_A_CLOSURE = MAKE.format("c = C()", "c.n = 1", "c.n")
SPACE = "import types\ndef f(x, s=types.SimpleNamespace(n=0)):\n    s.n = x or s.n\n    return s.n\n"
FROZEN = "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass P:\n    x: int\np = P(1)\n"
ENCODER = "json.JSONEncoder.item_separator"

# requests change it: refused. The page changes it, and then shows `N`.

CHANGED = [
    ("a-list", "S = []\n", "len(S)", "S[:] = [1]"),
    ("of-an-item", "S = {'a': []}\n", "len(S['a'])", "S['a'][:] = [1]"),
    ("a-counter-in-a-class", COUNTER, "len(C.s)", "C.s['a'] = 1"),
    ("a-list-in-a-class", "class C:\n    s = []\n", "len(C.s)", "C.s[:] = [1]"),
    ("by-name", "class C: pass\n", "getattr(C, 'x', 0)", "setattr(C, 'xy'[:1], 1)"),
    ("names-of-a-class", "class C: pass\n", "len([n for n in dir(C) if n == 'x'])", "C.x = 1"),
    ("a-nonlocal-variable", NONLOCAL, "get()", "add()"),
    ("an-object-in-a-closure", IN_A_CLOSURE, "get()", "add()"),
    ("a-namespace-for-a-default", SPACE, "f(0)", "f(1)"),
    ("an-event", "import threading\nS = threading.Event()\n", "S.is_set()", "S.set()"),
    ("a-queue", "import queue\nS = queue.Queue()\n", "S.qsize()", "S.put(1)"),
    ("getenv", "import os\n", "os.getenv('HABANERO_FOUND')", "os.environ['HABANERO_FOUND'] = '1'"),
    ("all-of-the-environment", "import os\n", "len(os.environ)", "os.environ['HABANERO_FOUND'] = '1'"),
    ("a-setting-by-its-attribute", "app.secret_key = 'a'\n", "app.secret_key", "app.secret_key = 'b'"),
    ("a-setting-or-none", "", "app.config.get('X')", "app.config['X'] = 2"),
    ("the-number-of-settings", "", "len(app.config)", "app.config['X'] = 2"),
    ("a-list-setting", "app.config['X'] = [1]\n", "len(app.config['X'])", "app.config['X'][:] = [1, 2]"),
    ("what-a-logger-lets-through", LOG, "log.isEnabledFor(10)", "log.setLevel(10)"),
    ("a-class-of-a-library", "import json\n", ENCODER, f"{ENCODER} = ';'"),
    ("a-global", "S = int('0')\ndef add():\n    global S\n    S = 1\n", "S", "add()"),
    ("deleted", "S = int('0')\n", "S if 'S' in globals() else 1", "globals().pop('S', 0)"),
]  # fmt: skip

# a later statement of the start changes it: refused

LATER = [
    ("a-setting", "app.config['X'] = 1\n", "app.config['X']", "app.config['X'] = 2\n"),
    ("a-setting-or-none", "", "app.config.get('X')", "app.config['X'] = 2\n"),
    ("the-number-of-settings", "", "len(app.config)", "app.config['X'] = 2\n"),
    ("a-setting-by-its-attribute", "app.secret_key = 'a'\n", "app.secret_key", "app.secret_key = 'b'\n"),
    ("a-list", "S = []\n", "len(S)", "S.append(1)\n"),
    ("an-item", "S = {}\n", "S.get('a')", "S['a'] = 1\n"),
    ("a-member-of-a-class", "class C:\n    x = 1\n", "C.x", "C.x = 2\n"),
    ("whether-a-class-has-it", "class C: pass\n", "hasattr(C, 'x')", "C.x = 2\n"),
    ("an-attribute", "class C: pass\nc = C()\nc.x = 1\n", "c.x", "c.x = 2\n"),
    ("of-a-function", "def f(): pass\nf.x = 1\n", "f.x", "f.x = 2\n"),
    ("of-a-namespace", "import types\nS = types.SimpleNamespace(n=1)\n", "S.n", "S.n = 2\n"),
    ("an-extension", "", "len(app.extensions)", "app.extensions['x'] = 1\n"),
    ("a-global", "S = 1\ndef add():\n    global S\n    S = 2\n", "S", "add()\n"),
]

# nobody changes it: live

KEPT = [
    ("a-list", "S = [1]\n", "len(S)"),
    ("an-empty-counter", "import collections\nS = collections.Counter()\n", "len(S)"),
    ("an-empty-defaultdict", "import collections\nS = collections.defaultdict(list)\n", "len(S)"),
    ("a-member-of-an-enumeration", "import enum\nclass E(enum.Enum):\n    A = 1\n", "E.A.value"),
    ("a-named-tuple", "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\np = P(1)\n", "p.x"),
    ("a-frozen-object", FROZEN, "p.x"),
    ("a-member-of-a-class", "class C:\n    x = 1\n", "C.x"),
    ("whether-a-class-has-it", "class C:\n    x = 1\n", "hasattr(C, 'x')"),
    ("names-of-a-class", "class C:\n    x = 1\n", "'x' in vars(C)"),
    ("a-memo", "import functools\n@functools.lru_cache\ndef f(x): return x\n", "f(1)"),
    ("a-closure", "def make(n):\n    def get(): return n\n    return get\nget = make(1)\n", "get()"),
    ("a-default", "def f(x=1): return x\n", "f()"),
    ("computed", "S = int('3')\n", "S"),
    ("the-environment", "import os\n", "os.environ.get('HABANERO_FOUND')"),
    ("a-setting", "app.config['X'] = 1\n", "app.config['X']"),
    ("a-list-for-a-setting", "app.config['X'] = [1]\n", "len(app.config['X'])"),
    ("a-module-of-a-library", "import string\n", "len(string.punctuation)"),
    ("a-path", "import pathlib\nS = pathlib.Path('a')\n", "S.name"),
    ("a-pattern", "import re\nS = re.compile('a')\n", "S.pattern"),
    ("a-logger", LOG, "log.info('a')"),
]  # fmt: skip


def _sources(common: str, read: str, does: str = "pass", then: str = "") -> list[dict[str, str]]:
    head = f"from flask import Flask\napp = Flask(__name__)\n{common}"
    page = f"@app.route('/')\ndef index():\n    {does}\n    return str(N)\n"
    old, new = ({"app.py": f"{head}N = {one}\n{then}{page}"} for one in ("0", read))
    return [old, new, old]


@pytest.mark.slow
@pytest.mark.parametrize(("common", "read", "does"), [r[1:] for r in CHANGED], ids=[r[0] for r in CHANGED])
def test_what_requests_changed_is_not_read_again(bench, common, read, does):
    verdict = bench.judge(Sequence("app:app", _sources(common, read, does), ["by hand"]))
    assert (verdict.bad, verdict.outcomes[:1]) == ("", ["refused"]), verdict.differences[:3]


@pytest.mark.slow
@pytest.mark.parametrize(("common", "read", "then"), [r[1:] for r in LATER], ids=[r[0] for r in LATER])
def test_what_a_later_statement_changed_is_not_read_before_it(bench, common, read, then):
    verdict = bench.judge(Sequence("app:app", _sources(common, read, then=then), ["by hand"]))
    assert (verdict.bad, verdict.outcomes[:1]) == ("", ["refused"]), verdict.differences[:3]


@pytest.mark.slow
@pytest.mark.parametrize(("common", "read"), [r[1:] for r in KEPT], ids=[r[0] for r in KEPT])
def test_what_is_as_the_start_left_it_is_read_again(bench, common, read):
    verdict = bench.judge(Sequence("app:app", _sources(common, read), ["by hand"]))
    assert (verdict.bad, verdict.outcomes) == ("", ["live", "live"]), (verdict.refusals, verdict.differences)


# the parts


class _Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class _Frozen:
    x: int
    y: list[int]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], True),
        (collections.Counter(), True),
        (collections.ChainMap(), True),
        (collections.UserDict(), True),
        (bytearray(), True),
        ("", False),
        ((), False),
        (types.SimpleNamespace(), False),
        (_Colour, False),
    ],
)
def test_a_container_is_told_from_its_type(value, expected):
    assert stateful.is_container(value) is expected


@pytest.mark.parametrize(
    ("value", "used", "expected"),
    [
        (threading.Event(), {"is_set"}, True),
        (queue.Queue(), {"qsize"}, True),
        (types.SimpleNamespace(n=0), {"n"}, True),
        (logging.getLogger("a"), {"info"}, False),
        (logging.getLogger("a"), {"isEnabledFor"}, True),
        (functools.lru_cache(len), {"cache_info"}, True),
        (functools.lru_cache(len), {"__wrapped__"}, False),
        (ast.Pass(), {"lineno"}, False),
        (pytest, {"raises"}, False),
    ],
)
def test_objects_of_libraries_that_keep_something(value, used, expected):
    assert stateful.keeps(value, used) is expected


@pytest.mark.parametrize(
    ("value", "used", "expected"),
    [
        (_Colour.RED, {"value", "name"}, True),
        (_Frozen(1, []), {"x"}, True),
        (_Frozen(1, []), {"y"}, False),
        (types.SimpleNamespace(), {"x"}, False),
    ],
)
def test_objects_that_cannot_change(value, used, expected):
    assert stateful.is_frozen(value, used) is expected


def _source(text: str) -> Source:
    return Source("m", "m.py", package=False, text=text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S = {'a': [1]}\n", {"a": [1]}),
        ("S: list = []\n", []),
        ("S = set()\n", set()),
        ("S = collections.Counter()\n", collections.Counter()),
        ("S = defaultdict(list)\n", collections.defaultdict(list)),
    ],
)
def test_the_literal_of_a_name(text, expected):
    assert written.literal(_source(text), "S") == expected


@pytest.mark.parametrize(
    "text", ["S = f()\nS = 1\n", "S = f(1)\n", "S += 1\n", "import S\n", "S = Counter('aa')\n", "S = T = x\n"]
)
def test_what_has_no_literal(text):
    found = written.literal(_source(text), "S")
    assert found is written.NO_LITERAL or found != collections.Counter("aa")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C.x = 1\n", True),
        ("def f(c):\n    del c.x\n", True),
        ("setattr(c, 'x', 1)\n", True),
        ("class C:\n    def f(self): self.x = 1\n", False),
        ("C.x\nC.xy = 1\n", False),
    ],
)
def test_whether_an_attribute_is_set_anywhere(text, expected):
    assert written.is_stored({"m": _source(text)}, "x") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("setattr(c, name, 1)\n", True),
        ("setattr(c, 'x', 1)\n", False),
        ("setattr(self, name, 1)\n", False),
        ("setattr(*given)\n", True),
    ],
)
def test_whether_attributes_are_set_by_computed_names(text, expected):
    assert written.is_set_by_name({"m": _source(text)}) is expected


def test_names_that_a_release_binds_count_as_left_by_the_start(monkeypatch):
    module = types.ModuleType("habanero_left")
    module.a = module.b = module.c = 1
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    monkeypatch.setattr(origin, "_names", {module.__name__: origin._Names(module)})
    module.a = module.b = 2
    del module.c
    assert [name for name in "abc" if origin.is_rebound(module, name)] == ["a", "b", "c"]
    undo = origin.renew([("m", "a"), ("m", "c")], {"m": module}.get)
    assert [name for name in "abc" if origin.is_rebound(module, name)] == ["b"]
    undo()
    assert [name for name in "abc" if origin.is_rebound(module, name)] == ["a", "b", "c"]


def test_of_a_module_that_is_not_known_nothing_is_said():
    assert not origin.is_rebound(types.ModuleType("habanero_unknown"), "a")
