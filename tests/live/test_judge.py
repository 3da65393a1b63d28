"""What the interpreter says that a statement would do: each row is a statement of one small module."""

from __future__ import annotations

import ast
import sys
import types
from typing import Any

import pytest
from flask_habanero.live.effects import Judge, first_refusal
from flask_habanero.live.judge.values import Live, Value

NAME = "judged"
MODULE = """
import copy, functools, logging, os, random, subprocess, threading
from flask import Blueprint, Flask
app = Flask("judged")
bp = Blueprint("bp", "judged")
LIST, DICT, SET, NUMBER, FLAG, NONE = [1], {"a": 1}, {1}, 3, True, []

class Plain:
    size = 1
    def __init__(self, x=0): self.x = x
    def put(self, x): LIST.append(x)
    @property
    def counted(self): LIST.append(1)
    def __getattr__(self, name): return DICT.setdefault(name, 1)

class Told:
    def __init_subclass__(cls): LIST.append(cls)

class Kept:
    items = LIST
    @classmethod
    def add(cls, x): cls.items.append(x)

one = Plain()

def double(x): return x * 2
def fill(into, x): into.append(x)
def fill_default(x, into=LIST): into.append(x)
def fill_all(*rest, **more):
    for x in rest: LIST.append(x)
    DICT.update(more)
def early(x):
    if x: return
    LIST.append(x)
def down(n): return down(n - 1) if n else LIST.append(n)
def even(n): return odd(n - 1)
def odd(n): return even(n - 1)
def rebinds():
    global NUMBER
    NUMBER = 4
def makes():
    found = []
    fill(found, 1)
    return found
def register(f):
    LIST.append(f)
    return f
def same(f): return f
def lazy():
    LIST.append(1)
    yield 1
def keeper():
    kept = []
    return kept.append
keep = keeper()
"""


class OneModule:
    """Answers for a module that a release does not change."""

    def __init__(self, module: types.ModuleType, tree: ast.Module) -> None:
        self._module, self._tree = module, tree

    def name(self, module: str, name: str) -> Value | None:
        found = vars(self._module)
        return Live(found[name]) if name in found and module == NAME else None

    def definition(self, module: str, qualname: str) -> ast.AST | None:
        node: Any = self._tree
        for part in filter("<locals>".__ne__, qualname.split(".")):
            node = next((n for n in node.body if getattr(n, "name", "") == part), None)
            if node is None:
                return None
        return node

    def is_changed(self, module: str) -> bool:
        return False

    def gains(self, thing: object, name: str) -> bool:
        return False

    def member(self, cls: type, name: str) -> Value | None:
        return None

    def is_own(self, module: str) -> bool:
        return module == NAME

    def was(self, _thing: object, _name: str) -> None:
        return None

    def lacks(self, module: str) -> None:
        pass

    def is_news(self, names: set[tuple[str, str]], age: int) -> bool:
        return False

    age = 0


@pytest.fixture
def judge(monkeypatch):
    module = types.ModuleType(NAME)
    monkeypatch.setitem(sys.modules, NAME, module)
    exec(compile(MODULE, f"{NAME}.py", "exec"), vars(module))
    return Judge(NAME, OneModule(module, ast.parse(MODULE)))


def statement(text: str) -> ast.stmt:
    (node,) = ast.parse(text).body
    return node


def said(judge: Judge, text: str) -> set[str]:
    return {f"{effect.kind} {effect.name}".strip() for effect in judge.effects(statement(text))}


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "x = [NUMBER, *LIST]",
        "x = {**DICT, 'b': 2}",
        "x = double(NUMBER)",
        "x = makes()",
        "x = [y := n for n in LIST]",
        "x = Plain(2)",
        "x = Plain(2).x",
        "a, *b = LIST",
        "x = sorted(LIST, key=lambda n: -n)",
        "x = f'{NUMBER:>4}'",
        "x = LIST if FLAG else fill(LIST, 1)",
        "early(1)",
        "assert NUMBER, LIST.append(1)",
        "FLAG or LIST.append(1)",
        "def f(x: int = NUMBER) -> str: LIST.append(x)",
        "class C(Plain):\n    size = NUMBER\n    def put(self, x): LIST.clear()",
        "@same\ndef f(): pass",
        "@functools.lru_cache(maxsize=2)\ndef f(x): return x",
        "x = functools.partial(fill, LIST)",
        "x = lambda: LIST.append(1)",
        "x = logging.getLogger('judged')",
        "x = os.path.join('a', 'b')",
        "x = threading.Lock()",
        "x = random.choice((1, 2))",
        "print(NUMBER)",
        "if not FLAG:\n    LIST.append(1)",
        "for n in []:\n    LIST.append(n)",
        "for n in reversed(NONE.copy()):\n    LIST.append(n)",
        "while False:\n    LIST.append(1)",
        "with threading.Lock() as x: pass",
        "try:\n    x = DICT['a']\nexcept KeyError:\n    x = None",
    ],
)
def test_what_only_makes_and_binds_has_no_effects(judge, text):
    found = judge.effects(statement(text))
    if text.startswith("with "):  # a lock is C, and what entering one does is not known
        found = [effect for effect in found if effect.kind != "unknown"]
    assert found == []


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("LIST.append(1)", {"item append"}),
        ("for n in reversed(LIST):\n    LIST.append(n)", {"item append"}),
        ("for n in SET.copy():\n    LIST.append(n)", {"item append"}),
        ("for n in copy.copy(SET):\n    LIST.append(n)", {"item append"}),
        ("LIST += [1]", {"item __iadd__"}),
        ("DICT['b'] = 1", {"item __setitem__"}),
        ("DICT['a'] += 1", {"item __setitem__"}),
        ("del DICT['a']", {"item __delitem__"}),
        ("SET.discard(1)", {"item discard"}),
        ("dict.update(DICT, b=1)", {"item __setitem__"}),
        ("DICT.update({NUMBER: 1})", {"item __setitem__"}),
        ("DICT.update(DICT)", {"item update"}),
        ("one.x = 1", {"attribute x"}),
        ("del one.x", {"attribute x"}),
        ("setattr(one, 'y', 1)", {"attribute y"}),
        ("object.__setattr__(one, 'y', 1)", {"attribute y"}),
        ("Plain.size = 2", {"attribute size"}),
        ("double.tag = 1", {"attribute tag"}),
        ("one.__dict__['y'] = 1", {"item __setitem__"}),
        ("one.put(1)", {"item append"}),
        ("one.counted", {"item append"}),
        ("Plain().counted", {"item append"}),
        ("one.anything", {"item setdefault"}),
        ("Kept.add(1)", {"item append"}),
        ("fill(LIST, 1)", {"item append"}),
        ("fill(into=LIST, x=1)", {"item append"}),
        ("fill_default(1)", {"item append"}),
        ("fill_all(1)", {"item append"}),
        ("fill_all(a=1)", {"item __setitem__"}),
        ("fill_all(*LIST)", {"item append"}),
        ("keep(1)", {"item append"}),
        ("early(0)", {"item append"}),
        ("early(NUMBER - 3)", {"item append"}),
        ("down(1)", {"item append"}),
        ("(lambda into: into.append(1))(LIST)", {"item append"}),
        ("[LIST.append(n) for n in (1, 2)]", {"item append"}),
        ("{LIST.append(n): n for n in SET}", {"item append"}),
        ("list(map(LIST.append, SET))", {"item append"}),
        ("sorted(SET, key=LIST.append)", {"item append"}),
        ("x = lazy()", {"item append"}),
        ("FLAG and LIST.append(1)", {"item append"}),
        ("0 < 1 < (LIST.append(1) or 2)", {"item append"}),
        ("f'{LIST.append(1)}'", {"item append"}),
        ("LIST[: LIST.append(1)]", {"item append"}),
        ("def f(x=LIST.append(1)): pass", {"item append"}),
        ("def f(x: LIST.append(1)): pass", {"item append"}),
        ("@register\ndef f(): pass", {"item append"}),
        ("class C:\n    LIST.append(1)", {"item append"}),
        ("class C(Told): pass", {"item append"}),
        ("for n in SET:\n    pass\nelse:\n    LIST.append(1)", {"item append"}),
        ("while LIST:\n    LIST.pop()", {"item pop"}),
        ("try:\n    {}['b']\nexcept KeyError:\n    LIST.append(1)", {"item append"}),
        ("try:\n    pass\nfinally:\n    LIST.append(1)", {"item append"}),
        ("match NUMBER:\n    case 3: LIST.append(1)", {"item append"}),
        ("app.config['A'] = 1", {"config __setitem__"}),
        ("app.config.update(A=1)", {"config update"}),
        ("app.secret_key = 'a'", {"config __setitem__"}),
        ("app.route('/')(double)", {"registers"}),
        ("@bp.before_request\ndef f(): pass", {"registers"}),
        ("rebinds()", {"global NUMBER"}),
        ("globals()['NUMBER'] = 1", {"unknown"}),
        ("exec('NUMBER = 1')", {"unknown"}),
        ("input()", {"unknown"}),
        ("subprocess.run([])", {"unknown"}),
        ("threading.Thread(target=double)", {"unknown"}),
        ("random.seed(1)", {"unknown"}),
        ("open('x', 'w')", {"unknown"}),
        ("x = Flask('other')", {"unknown"}),
        ("class C(Plain, metaclass=type): pass", {"unknown"}),
    ],
)
def test_what_changes_what_was_there_is_told(judge, text, effects):
    assert said(judge, text) == effects


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("60 * 60 * 24", 86400),
        ("'a,b'.split(',')[1].upper()", "B"),
        ("f'{NUMBER}h'", "3h"),
        ("int(os.environ.get('HABANERO_UNSET') or '25')", 25),
        ("os.getenv('HABANERO_UNSET', 'x' + str(NUMBER))", "x3"),
        ("os.environ['HABANERO_SET']", "set"),
        ("double(NUMBER) > 5", True),
        ("os.path.join('a', os.path.basename('b/c'))", "a/c"),
        ("min(NUMBER, 2) if 'a' in DICT else 7", 2),
    ],
)
def test_what_is_made_of_values_that_are_known_is_known(judge, monkeypatch, expression, value):
    monkeypatch.setenv("HABANERO_SET", "set")
    assert said(judge, f"if ({expression}) != {value!r}: LIST.append(1)") == set()
    assert said(judge, f"if ({expression}) == {value!r}: LIST.append(1)") == {"item append"}


@pytest.mark.parametrize(
    "text",
    [
        "'x' * 10 ** 9",
        "10 ** 10 ** 10",
        "1 << 10 ** 9",
        "'%1000000000d' % 1",
        "'a'.ljust(10 ** 9)",
        "1 / 0",
        "int('one')",
    ],
)
def test_what_would_take_long_or_raise_is_not_computed(judge, text):
    assert said(judge, f"x = {text}") == set()


@pytest.mark.parametrize(
    "loop",
    [
        "while random.choice(LIST) < 0.9: n = n + 1",
        "for _ in range(9): n += 1",
        "while random.choice(LIST) < 0.9: n = double(n) + 1",
        "[n := n + 1 for _ in range(9)]",
        "for _ in range(9):\n    n = int(str(n) + '1')",
        "box = [0]\ndef count(x): box[0] = box[0] + 1\nsorted(range(9), key=count)\nn = box[0]",
        "box = [0]\ndef count(x):\n    box[0] = box[0] + 1\n    x and count(x - 1)\ncount(9)\nn = box[0]",
    ],
)
def test_what_a_loop_counts_is_not_known(judge, loop):
    """It is gone through twice, and runs nine times: what it may come to is more than is seen."""
    lines = ["n = 0", *loop.splitlines(), "if n > 5: LIST.append(1)"]
    body = "".join(f"        {line}\n" for line in lines)
    assert said(judge, f"class C:\n    def run():\n{body}    run()\n") == {"item append"}


@pytest.mark.parametrize("add", ["text = text + 'a'", "text += 'a'", "text = f'{text}a'"])
def test_what_a_loop_writes_is_not_known(judge, add):
    lines = ["text = ''", f"for _ in range(9): {add}", "if text == 'aaaaaaaaa': LIST.append(1)"]
    body = "".join(f"        {line}\n" for line in lines)
    assert said(judge, f"class C:\n    def run():\n{body}    run()\n") == {"item append"}


def test_functions_that_call_each_other_without_end_are_gone_through_once(judge):
    assert said(judge, "even(1)") == set()


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("x = [[]]\nfor one in x: one.append(1)", set()),
        ("x = []\ny = x\ny.append(1)\nz = y[0]", set()),
        ("x = LIST\ny = [x]\ny[0].append(1)", {"item append"}),
        ("x = {'to': LIST}\nx['to'].append(1)", {"item append"}),
        ("x = Plain(LIST)\nx.x.append(1)", {"item append"}),
        ("x = (LIST, SET)\na, b = x\nb.add(1)", {"item add"}),
        ("for into in (LIST, []): into.append(1)", {"item append"}),
        ("x = [] if len(LIST) < 4 else LIST\nx.append(1)", {"item append"}),
        ("x = [] if NUMBER < 4 else LIST\nx.append(1)", set()),
        ("def f():\n    LIST.append(1)\nx = f\nx()", {"item append"}),
        ("x = Kept().items\nx.append(1)", {"item append"}),
        ("x = LIST[:]\nx.append(1)", set()),
        ("x = LIST.copy()\nx.append(1)", set()),
        ("x = dict(DICT)\nx['b'] = 1", set()),
    ],
)
def test_an_object_is_followed_through_its_names(judge, text, effects):
    """A function holds the statements: what one of them binds the next one sees."""
    body = "".join(f"        {line}\n" for line in text.splitlines())
    assert said(judge, f"class C:\n    def run():\n{body}    run()\n") == effects


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x = NUMBER", {"NUMBER"}),
        ("x = double(1)", {"double"}),
        ("x = makes()", {"makes", "fill"}),
        ("x = one.put(1)", {"one", "LIST"}),
        ("x = NUMBER if FLAG else LIST", {"NUMBER", "FLAG"}),
        ("def f(): return NUMBER", set()),
        ("def f(x=NUMBER): return LIST", {"NUMBER"}),
        ("x = [n for n in SET]", {"SET"}),
    ],
)
def test_the_names_that_a_statement_reads_are_told(judge, text, names):
    assert {name for _, name in judge.read(statement(text)).names} == names


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("x = LIST", False),
        ("x = [LIST]", False),
        ("fill_default.tag = LIST", False),
        ("x = LIST[0]", True),
        ("x = len(LIST)", True),
        ("x = LIST + [1]", True),
        ("x = f'{LIST}'", True),
        ("x = {**DICT}, [*LIST]", True),
        ("x = bool(LIST)", True),
        ("x = 1 in LIST", True),
        ("a, b = LIST", True),
        ("x = fill_all(*LIST)", True),
        ("for x in LIST: pass", True),
        ("if LIST: x = 1", True),
        ("x = 1 if LIST else 2", True),
        ("match LIST:\n    case []: x = 1", True),
        ("x = str((LIST,))", True),
    ],
)
def test_asking_for_what_is_in_an_object_is_not_naming_it(judge, text, uses):
    live = sys.modules[NAME].LIST
    assert ("" in judge.read(statement(text)).uses_of(live)) is uses


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("DICT['b'] = double", True),
        ("DICT['b'] = 1", True),
        ("LIST.append(double)", True),
        ("one.x = 1", True),
        ("double.tag = 1", True),
        ("DICT.clear()", False),
        ("DICT['a'] += 1", False),
        ("LIST.sort()", False),
        ("del one.x", False),
        ("LIST.append(LIST[0])", True),
        ("setattr(one, str(LIST), 1)", False),
        ("setattr(one, str(NUMBER), 1)", True),
        ("input()", False),
        ("rebinds()", False),
    ],
)
def test_an_entry_that_depends_on_nothing_else_may_be_made(judge, text, may):
    assert (first_refusal(judge.effects(statement(text))) is None) is may
