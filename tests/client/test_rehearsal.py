"""`rehearse`, and pushes that are rehearsed first: what is asked, and what is sent then."""

import pytest
from flask_habanero.client.rehearsal import MOST_WITHIN_S, Wish, rehearsal_lines
from flask_habanero.errors import ConfigError
from flask_habanero.release import Report

from tests.client.test_session import start  # noqa: F401  # a fixture

GOOD = "def index():\n    return 2\n"
BREAKS = "def index():\n    return 1 / 0  # breaks\n"


@pytest.fixture
def edited(project, run):
    """Give a project that has met the server."""
    assert run("push").code == 0
    project.write("shop.views", GOOD)
    return project


def settings(project, text):
    (project.folder / "pyproject.toml").write_text(f"[tool.habanero]\n{text}\n")


def ops(server):
    return [claims["op"] for claims in server.seen if claims["op"] not in ("hello", "status")]


def test_a_rehearsal_that_holds_says_so_and_changes_nothing(edited, run, server):
    ran = run("rehearse", "--get", "/", "--get", "/cart")
    assert ran.code == 0
    first, *pages = ran.out.splitlines()
    assert "rehearsed #0   shop/views.py   ~index" in first
    assert [page.split() for page in pages] == [
        ["GET", "/", "200", "3.1", "ms"],
        ["GET", "/cart", "200", "3.1", "ms"],
    ]
    assert (server.head, ops(server)) == (0, ["rehearse"])
    assert server.rehearsals == [{"requests": ["/", "/cart"], "within": 20}]
    assert run("push").code == 0  # nothing of it is remembered


def test_functions_are_called_after_the_pages(edited, run, server):
    settings(edited, '[tool.habanero.rehearse]\ncalls = ["shop.checks:stock"]')
    ran = run("rehearse", "--get", "/")
    assert [line.split() for line in ran.out.splitlines()[1:]] == [
        ["GET", "/", "200", "3.1", "ms"],
        ["shop.checks:stock", "yes", "3.1", "ms"],
    ]
    run("rehearse", "--call", "shop.checks:Totals.add_up")
    assert [asked["requests"] for asked in server.rehearsals] == [
        ["/", "shop.checks:stock"],
        ["shop.checks:Totals.add_up"],
    ]


@pytest.mark.parametrize("name", ["stock", "shop.checks", "shop.checks:", ":stock", "shop checks:stock", 3])
def test_what_names_no_function_is_refused(name):
    with pytest.raises(ConfigError, match="calls"):
        Wish().with_(calls=[name])


def test_one_that_does_not_hold_ends_with_1_and_shows_what_the_app_printed(edited, run, server):
    edited.write("shop.views", BREAKS)
    ran = run("rehearse")
    assert ran.code == 1
    assert "failed" in ran.out
    assert "GET /  answered 500: ZeroDivisionError: no  [rehearsal]" in ran.out
    assert "Traceback" in ran.out
    assert server.head == 0


def test_as_json_it_is_a_report_with_the_pages(edited, run):
    report = run("rehearse", "--json").json
    assert (report["outcome"], report["files"]) == ("live", ["shop/views.py"])
    assert report["data"]["rehearsed"] == [{"path": "/", "status": 200, "ms": 3.1, "why": ""}]


def test_pages_that_nobody_knows_the_parameters_of_are_named():
    rules = [f"/{letter}/<int:number>" for letter in "abcd"]
    report = Report("live", data={"rehearsed": [], "output": [], "unasked": rules})
    line, hint = rehearsal_lines(report)
    assert line.endswith("/a/<int:number>, /b/<int:number>, /c/<int:number> and 1 more")
    assert "rehearse --get PATH" in hint


def test_nothing_to_rehearse_is_asked_of_nobody(project, run, server):
    assert run("rehearse").code == 0
    assert ops(server) == []


def test_a_push_goes_once_its_rehearsal_held(edited, run, server):
    ran = run("push", "--rehearse")
    assert (ran.code, server.head, ops(server)) == (0, 1, ["rehearse", "push"])
    assert "live" in ran.out
    assert "GET /" in ran.out


def test_a_push_that_did_not_hold_is_not_sent(edited, run, server):
    edited.write("shop.views", BREAKS)
    ran = run("push", "--rehearse", "--json")
    assert (ran.code, server.head, ops(server)) == (1, 0, ["rehearse"])
    assert ran.json["outcome"] == "failed"
    assert ran.json["reasons"][0]["code"] == "rehearsal"


def test_somebody_who_pushes_between_rehearsal_and_push_makes_it_be_rehearsed_again(edited, run, server):
    act, seen = server._push, []

    def push(claims, body):
        if not seen:
            seen.append(claims)
            server.lock.release()
            server.release({"shop.pricing": "def price():\n    return 5\n"})
            server.lock.acquire()
        return act(claims, body)

    server._push = push
    ran = run("push", "--rehearse")
    assert (ran.code, server.head) == (0, 2), ran
    assert ops(server) == ["rehearse", "push", "rehearse", "push"]


@pytest.mark.parametrize(
    ("text", "typed", "expected"),
    [
        ("rehearse = true", [], ["rehearse", "push"]),
        ("rehearse = false", ["--rehearse"], ["rehearse", "push"]),
        ('[tool.habanero.rehearse]\nrequests = ["/x"]', [], ["push"]),
        ('[tool.habanero.rehearse]\nrequests = ["/x"]\nalways = true', [], ["rehearse", "push"]),
        ('rehearse = true\n[tool.habanero.targets.a]\nurl = "{url}"\nrehearse = false', ["a"], ["push"]),
        ('[tool.habanero.targets.a]\nurl = "{url}"\nrehearse = true', ["a"], ["rehearse", "push"]),
    ],
)
def test_who_wishes_for_it(edited, run, server, text, typed, expected):
    settings(edited, text.format(url=server.url))
    assert run("push", *typed).code == 0
    assert ops(server) == expected


def test_pages_of_the_project_hold_for_a_target_that_only_says_when():
    project = {"rehearse": {"requests": ["/", "/cart"], "within": 5}}
    assert Wish.read(project, {"rehearse": True}) == Wish(True, ("/", "/cart"), within_s=5)


@pytest.mark.parametrize(
    "value",
    [1, "yes", {"paths": []}, {"requests": "/"}, {"requests": ["cart"]}, {"always": 1}]
    + [{"within": within} for within in (0, MOST_WITHIN_S + 1, 2.5, True)],
)
def test_a_wish_that_is_none_is_named_with_what_to_type(value):
    with pytest.raises(ConfigError) as caught:
        Wish.read({"rehearse": value}, {})
    assert caught.value.hint


def test_watch_holds_what_did_not_hold_until_some_file_changes(start, project, server):  # noqa: F811  # the fixture
    settings(project, "")
    watching = start(rehearsal=Wish(always=True)).ready()
    project.write("shop.views", BREAKS)
    watching.shows(("failed", "shop/views.py", "1 held"))
    assert (server.head, watching.store.load().held["shop.views"].code) == (0, "rehearsal")
    project.write("shop.pricing", "def price():\n    return 3\n")
    watching.shows(("failed", "shop/pricing.py", "shop/views.py", "2 held"))
    project.write("shop.views", GOOD)
    watching.shows(("live", "shop/pricing.py", "shop/views.py", "0 held"))
    assert server.head == 1


def test_a_rehearsal_may_take_longer_than_other_answers(edited, run, server, monkeypatch):
    from flask_habanero.client import push, transport

    asked = []
    ask = transport.Wire.ask
    monkeypatch.setattr(
        transport.Wire, "ask", lambda self, r, **k: asked.append((r.op, k)) or ask(self, r, **k)
    )
    assert run("rehearse", "--within", "200").code == 0
    assert ("rehearse", {"within_s": 200 + push.MORE_S}) in asked
