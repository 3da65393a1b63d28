"""What an edit means, in words, and that a plan says it."""

import pytest
from flask_habanero.client.edits import LAYOUT, edits
from flask_habanero.client.planned import hot_of
from flask_habanero.release import Report
from flask_habanero.source import Source

VIEW = '@bp.get("/cart")\ndef cart():\n    return 1\n'
COLUMNS = "    id = column()\n    total = column()\n"
ORDER = f"class Order(Model):\n{COLUMNS}\n    def pay(self):\n        return 1\n"


def of(old, new):
    return list(edits(*(Source("shop.views", "shop/views.py", False, text) for text in (old, new))))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("return 1", "return 2", "cart: body"),
        ("def cart", "async def cart", "cart: body"),
        ("cart():", "cart(page=1):", "cart: arguments"),
        ("cart():", "cart() -> int:", "cart: annotation"),
        ("return 1", '"""All of it."""\n    return 1', "cart: docstring"),
        ("@bp", "@login\n@bp", "cart: decorators"),
        ("get(", "post(", "cart: route /cart gains POST and loses GET"),
        ('get("/cart")', 'route("/cart", methods=["GET", "post"])', "cart: route /cart gains POST"),
        ('get("/cart")', 'route("/cart")', "cart: decorators"),
        ("/cart", "/basket", "cart: +route GET /basket, -route GET /cart"),
        ("@bp.get", '@bp.post("/pay")\n@bp.get', "cart: +route POST /pay"),
        ("@bp", '@bp.get("/cart")\n@bp', "cart: decorators"),
        ('get("/cart")', 'get("/cart", endpoint="c")', "cart: decorators, -route GET /cart"),
        ('"/cart"', "PATH", "cart: decorators, -route GET /cart"),
        ('"/cart"', "1", "cart: decorators, -route GET /cart"),
        ('get("/cart")', 'route("/cart", methods=ALL)', "cart: decorators, -route GET /cart"),
        ('get("/cart")', 'route("/cart", methods=[GET])', "cart: decorators, -route GET /cart"),
        ("return 1", "return 1  # one", LAYOUT),
    ],
)
def test_an_edit_of_a_view(old, new, words):
    assert of(VIEW, VIEW.replace(old, new)) == [words]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    total", "    nickname = column()\n    total", "Order: +nickname"),
        ("    total = column()\n", "", "Order: -total"),
        ("return 1", "return 2", "Order: ~pay"),
        ("(Model)", "(Base, Model)", "Order: bases"),
        ("class", "@final\nclass", "Order: decorators"),
        ("total = column()", "total = column(1)\n    due = 1", "Order: ~total +due"),
        (
            "    id = column()\n    total = column()\n",
            "    total = column()\n    id = column()\n",
            "Order: order",
        ),
    ],
)
def test_an_edit_of_a_class(old, new, words):
    assert of(ORDER, ORDER.replace(old, new)) == [words]


def test_a_route_that_takes_less():
    old = VIEW.replace('get("/cart")', 'route("/cart", methods=("GET", "POST"))')
    assert of(old, VIEW) == ["cart: route /cart loses POST"]


def test_names_that_come_and_go_and_values():
    old = "RATE = 20\nNAME: str = 'a'\n\ndef gone():\n    pass\n\nfor x in y:\n    pass\n"
    new = f"RATE = 25\nNAME: str = 'b'\n\n{VIEW}\nsetup(app)\n"
    assert of(old, new) == [
        "RATE: value",
        "NAME: value",
        "+cart, GET /cart",
        "+`setup(app)`",
        "-gone",
        "-`for x in y:`",
    ]
    assert "25" not in "".join(of(old, new))  # a value may be confidential
    assert of("def cart():\n    pass\n", "class cart:\n    pass\n") == ["cart: another kind of thing"]


def test_imports():
    new = "import json\nfrom .b import x\nfrom .a import y as z\n"
    assert of("import os\nfrom .a import x, y\n", new) == ["imports: +json ~x +z -os -y"]


def test_a_long_statement_is_cut_and_what_is_no_python_is_not_told():
    assert of("x = 1\n", f"x = 1\nsetup({'a' * 60})\n") == [f"+`setup({'a' * 31}...`"]
    assert of("x = (\n", "x = 1\n") == []


def test_a_plan_says_it_also_of_what_is_cold(run, project):
    project.write("shop.views", '@bp.post("/")\ndef index():\n    return 1\n')
    planned = run("plan")
    assert "      index: +route POST /\n" in planned.out
    project.write("shop.views", "def index():\n    return 2  # cold\n\n\ndef more():\n    pass\n")
    project.write("shop.vat", "RATE = 1\n")
    planned = run("plan", "--json")
    assert planned.json["outcome"] == "cold"
    assert planned.json["edits"] == {"shop/views.py": ["index: body", "+more"]}


def test_who_is_asked_before_a_push_reads_it_too(run, project):
    project.write("shop.views", "def index():\n    return 2\n")
    assert "      index: body\n" in run("push", "--confirm", "--yes").out


def test_what_would_steer_a_terminal_is_written_out_and_much_is_cut(run, project):
    names = "".join(f"def f{number:02}():\n    pass\n" for number in range(12))
    project.write("shop.views", f'@bp.get("/\\x1b[2J")\ndef index():\n    return 1\n{names}')
    lines = run("plan").out.splitlines()
    assert "      index: +route GET /\\x1b[2J" in lines
    assert "      ... 1 more" in lines


def test_a_server_that_does_not_tell_its_sources_plans_all_the_same(run, project, server, monkeypatch):
    honest = server.act
    monkeypatch.setattr(
        server, "act", lambda claims, body: honest({**claims, "op": "nothing"}, body)
        if claims["op"] == "sources" else honest(claims, body)
    )  # fmt: skip
    project.write("shop.views", "def index():\n    return 2\n")
    planned = run("plan", "--json")
    assert (planned.json["outcome"], planned.json["edits"]) == ("live", {})


def test_a_plan_says_how_each_step_is_done_and_lets_no_control_character_through(project, run):
    project.write("shop.views", "def index():\n    return 2\n")
    planned = run("plan")
    assert "      > index: its body" in planned.out
    assert "\x1b is" not in planned.out
    told = run("plan", "--json").json["data"]["how"]
    assert told == {"shop/views.py": ["index: its body\x1b is exchanged"]}


@pytest.mark.parametrize("how", [None, [], {"shop/views.py": 1}, {"shop/views.py": [1]}])
def test_a_server_that_says_nothing_of_how_is_asked_no_more(how):
    assert not any(hot_of(Report("live", data={"how": how})).how.values())


def test_of_a_cold_change_it_says_what_is_hot_without_which_edit(project, run):
    project.write("shop.views", "def index():\n    return 2\n\n\nCOLD = 1  # cold, the rest is hot\n")
    lines = run("plan").out.splitlines()
    assert [line.strip() for line in lines[1:4]] == [
        "~ shop/views.py                             ~index",
        "index: body",
        "+COLD",
    ]
    assert "      > index: its body" in run("plan").out
    assert "          hot are the steps above, without shop/views.py: +COLD" in lines
    assert [line for line in lines if "hidden" in line] == [
        "          shop.views:5  hidden until then  [cold]"
    ]
    assert lines[-1].endswith("2 in the way")
    told = run("plan", "--json").json
    assert (told["outcome"], told["steps"]) == ("cold", [])
    assert told["data"]["apart"]["without"] == ["shop/views.py: +COLD"]


@pytest.mark.parametrize(
    "apart",
    [
        1,
        {},
        {"steps": 1, "how": [], "without": {}, "reasons": "no"},
        {"steps": [1], "how": {"a": 1}, "without": [1], "reasons": [1, {}, {"code": 1}]},
    ],
)
def test_what_is_malformed_in_it_is_left_out(apart):
    hot = hot_of(Report("cold", data={"apart": apart}))
    assert (hot.steps, hot.without, hot.reasons) == ((), (), ())
    assert not any(hot.how.values())
