"""Releases on trial, from the laptop: what is promised before a push, and what is typed after it."""

import json
import time
from dataclasses import replace

import pytest
from flask_habanero.client import suspense
from flask_habanero.client.show import JsonLines, Lines
from flask_habanero.client.suspense import Suspense
from flask_habanero.envelope import check_fresh
from flask_habanero.errors import Reason, StaleError
from flask_habanero.release import Report

from tests.client.test_session import start  # noqa: F401  # a fixture
from tests.fake_server import stranger

NEW = "def index():\n    return 2\n"


@pytest.fixture
def edited(project, run):
    """Give a project that has met the server, and has an edit."""
    assert run("push").code == 0
    project.write("shop.views", NEW)
    return project


def ops(server):
    return [claims["op"] for claims in server.seen if claims["op"] not in ("hello", "status")]


def test_the_rollback_is_promised_before_the_push_and_for_it_alone(edited, run, server):
    ran = run("push", "--confirm-within", "60")
    assert (ran.code, ops(server)) == (0, ["trial", "push"])
    ((nonce, promise),) = server.promises.items()
    assert nonce == server.seen[-1]["n"]
    assert (promise["within"], promise["body"]) == (60, '{"to": 0}')
    claims = promise["claims"]
    assert (claims["op"], claims["base"], claims["rel"], claims["epoch"]) == ("rollback", 1, 2, server.epoch)
    with pytest.raises(StaleError):  # who reads along can't send it
        check_fresh(claims, int(time.time()))
    assert "on trial: taken back after 60 s, unless you type:  flask habanero confirm 1" in ran.err


def test_the_target_stands_in_what_is_to_be_typed(edited, run, server):
    (edited.folder / "pyproject.toml").write_text(f'[tool.habanero.targets.live]\nurl = "{server.url}"\n')
    assert "flask habanero confirm live 1" in run("push", "live", "--confirm-within", "60").err
    assert run("confirm", "live", "1").code == 0
    assert server.confirmed == [1]


def test_without_it_nothing_is_promised(edited, run, server):
    ran = run("push")
    assert (ops(server), server.promises) == (["push"], {})
    assert "on trial" not in ran.err


def test_a_promise_that_is_not_taken_holds_the_push(edited, run, server):
    refused = server.report("refused", reasons=(Reason("bundle", "", "no", ""),))
    server._trial = lambda claims, body: refused
    ran = run("push", "--confirm-within", "60")
    assert (ran.code, server.head) == (1, 0)
    assert "push" not in ops(server)


def test_a_push_that_fails_is_not_said_to_be_on_trial(edited, run, server):
    edited.write("shop.views", NEW + "# raises\n")
    ran = run("push", "--confirm-within", "60")
    assert ran.code == 1
    assert "on trial" not in ran.err


def test_a_rollback_may_be_on_trial_too(edited, run, server):
    assert run("push").code == 0
    ran = run("rollback", "--confirm-within", "60")
    assert (ran.code, server.head) == (0, 2)
    ((_, promise),) = server.promises.items()
    assert promise["body"] == '{"to": 1}'
    assert "flask habanero confirm 2" in ran.err


@pytest.mark.parametrize("within", ["4", "3601", "soon"])
def test_how_long_has_its_bounds(edited, run, server, within):
    assert run("push", "--confirm-within", within).code == 2
    assert server.head == 0


@pytest.mark.parametrize(
    ("typed", "code"), [((), 0), (("1",), 0), (("#1",), 0), (("7",), 1), (("1", "2"), 2)]
)
def test_confirming(edited, run, server, typed, code):
    run("push", "--confirm-within", "60")
    ran = run("confirm", *typed)
    assert ran.code == code, ran
    assert server.confirmed == ([1] if code == 0 else [])
    if code == 0:
        assert ran.out.split()[1:] == ["live", "#1", "confirmed"]
    if code == 1:
        assert "#7 can't be confirmed: #1 is live" in ran.out


@pytest.mark.parametrize(
    ("answers", "said"),
    [([None, None], "it may be confirmed"), ([stranger(502)], "it may be confirmed"), ([None], "")],
)
def test_a_confirmation_whose_answer_is_lost_is_not_called_unsent(edited, run, server, answers, said):
    run("push", "--confirm-within", "60")
    server.lies += [lambda hello: hello, *(lambda _, lie=lie: lie for lie in answers)]
    ran = run("confirm", "1")
    assert server.confirmed
    assert ran.code == (4 if said else 0), ran
    assert said in ran.err
    assert "nothing was sent" not in ran.err


def test_as_json(edited, run):
    report = run("push", "--confirm-within", "60", "--json").json
    assert report["data"]["trial"] == {"number": 1, "within": 60, "stays": False}
    assert run("confirm", "--json").json["data"] == {"confirmed": 1}


def test_status_says_who_waits(edited, run, server):
    server.trial = {"number": 3, "who": "bob", "until": int(time.time()) + 40, "left": 40, "stays": False}
    said = run("status").out
    assert "trial    #3 is taken back at " in said
    assert "in 40 s, unless confirmed" in said
    assert "flask habanero confirm 3" in said


def test_watch_waits_until_somebody_else_has_decided(project, server):
    from flask_habanero.client.push import is_passing

    report = server.report("refused", reasons=(Reason("unconfirmed", "", "#3 by bob is on trial", ""),))
    assert is_passing(report)


@pytest.mark.parametrize("edit", ["", "# more\n"], ids=["as it is", "edited"])
def test_what_was_taken_back_may_be_edited_and_pushed_again(edited, run, server, edit):
    """It is no conflict: nobody else changed anything."""
    assert run("push", "--confirm-within", "60").code == 0
    server.roll_back(0, "someone@laptop", ": not confirmed")
    edited.write("shop.views", NEW + edit)
    assert run("push").code == 0
    assert server.head == 3
    said = run("log").out
    assert "back to #0: not confirmed" in said
    assert said.count("taken back") == 1


def configured(project, server, everywhere="", at_live=""):
    (project.folder / "pyproject.toml").write_text(
        f'[tool.habanero]\n{everywhere}\n[tool.habanero.targets.live]\nurl = "{server.url}"\n{at_live}\n'
    )


@pytest.mark.parametrize(
    ("wishes", "words", "within"),
    [
        (("confirm_within = 60", ""), (), 60),
        (("confirm_within = 60", "confirm_within = 30"), ("live",), 30),
        (("confirm_within = 60", "confirm_within = 0"), ("live",), None),
        (("confirm_within = 60", ""), ("--confirm-within", "20"), 20),
        (("confirm_within = 60", ""), ("--confirm-within", "0"), None),
        (("", "confirm_within = 30"), (), None),
    ],
)
def test_a_project_may_want_it_for_each_push(edited, run, server, wishes, words, within):
    configured(edited, server, *wishes)
    assert run("push", *words).code == 0
    assert [promise["within"] for promise in server.promises.values()] == ([within] if within else [])


def test_a_rollback_is_on_trial_only_if_that_is_typed(edited, run, server):
    assert run("push").code == 0
    configured(edited, server, "confirm_within = 60")
    assert run("rollback").code == 0
    assert server.promises == {}


@pytest.mark.parametrize("value", ["4", '"60"', "true", "60.0", "-1"])
def test_a_wish_that_is_none_is_said(edited, run, server, value):
    configured(edited, server, f"confirm_within = {value}")
    refused = run("push")
    assert (refused.code, server.head) == (2, 0)
    assert "confirm_within" in refused.err


FAILED = "5 of 5 answers were server errors"


class TestUnlessFailing:
    def test_it_is_promised_and_said(self, edited, run, server):
        ran = run("push", "--unless-failing", "30")
        assert (ran.code, ops(server)) == (0, ["trial", "push"])
        ((_, promise),) = server.promises.items()
        assert (promise["within"], promise["stays"], promise["body"]) == (30, True, '{"to": 0}')
        assert "on trial: taken back if it fails within 30 s" in ran.err
        assert "confirm" not in ran.err

    @pytest.mark.parametrize(
        ("wishes", "words", "promised"),
        [
            (("unless_failing = 60", ""), (), (60, True)),
            (("unless_failing = 60", "unless_failing = 30"), ("live",), (30, True)),
            (("unless_failing = 60", ""), ("--unless-failing", "0"), None),
            (("unless_failing = 60", ""), ("--confirm-within", "20"), (20, False)),
            (("confirm_within = 60", ""), ("--unless-failing", "20"), (20, True)),
            (("confirm_within = 60\nunless_failing = 30", ""), (), (60, False)),
        ],
    )
    def test_a_project_may_want_it(self, edited, run, server, wishes, words, promised):
        configured(edited, server, *wishes)
        assert run("push", *words).code == 0
        promises = [(promise["within"], promise["stays"]) for promise in server.promises.values()]
        assert promises == ([promised] if promised else [])

    @pytest.mark.parametrize(
        "words", [("--unless-failing", "4"), ("--confirm-within", "9", "--unless-failing", "9")]
    )
    def test_what_can_not_be_is_said(self, edited, run, server, words):
        assert (run("push", *words).code, server.head) == (2, 0)

    def test_status_says_that_it_stays(self, edited, run, server):
        until = int(time.time()) + 40
        server.trial = {"number": 3, "who": "bob", "until": until, "left": 40, "stays": True}
        said = run("status").out
        assert "trial    #3 stays from " in said
        assert "in 40 s, unless it fails" in said
        assert "confirm" not in said

    @pytest.fixture
    def window(self, start, monkeypatch):  # noqa: F811
        monkeypatch.setattr(suspense, "EVERY_S", 0.01)
        window = start().ready()
        window.session.desk = replace(window.session.desk, trial_s=5, stays=True)
        return window

    def test_a_window_says_by_itself_that_a_save_was_taken_back(self, window, project, server):
        project.write("shop.views", NEW)
        window.shows(("live", "shop/views.py", "0 held"))
        server.roll_back(0, "someone@laptop", f": {FAILED}")
        window.shows(("taken back", 1, FAILED))
        window.shows(("held", "shop/views.py", "rolled-back"))
        project.write("shop.views", f"{NEW}# better\n")
        server.wait_for(lambda: server.head == 3)

    def test_who_saves_sooner_than_it_looks_is_told_too(self, window, project, server, monkeypatch):
        monkeypatch.setattr(suspense, "EVERY_S", 3600)
        project.write("shop.views", NEW)
        window.shows(("live", "shop/views.py", "0 held"))
        server.roll_back(0, "someone@laptop", f": {FAILED}")
        project.write("shop.views", f"{NEW}# better\n")
        server.wait_for(lambda: server.head == 3)
        assert ("taken back", 1, FAILED) in window.lines

    def test_a_rollback_by_a_person_is_no_such_thing(self, window, project, server):
        project.write("shop.views", NEW)
        window.shows(("live", "shop/views.py", "0 held"))
        server.roll_back(0, "bob@example.org")
        window.shows(("held", "shop/views.py", "rolled-back"))
        assert not any("by the server" in line[1] for line in window.lines if line[0] == "note")

    def test_when_it_looks(self):
        one, now = Suspense(), 100.0
        assert not one.is_due(now)
        one.begin(Report("live", 7, data={"trial": {"within": 5}}), now)
        assert [at for at in range(100, 120) if one.is_due(float(at))] == [102, 104, 106]
        one.begin(Report("live", 8), now)
        assert not any(one.is_due(float(at)) for at in range(100, 120))


def test_a_program_is_told_what_was_taken_back_as_an_object(capsys):
    Lines().taken_back(3, FAILED)
    JsonLines().taken_back(3, FAILED)
    said = capsys.readouterr()
    assert said.err == f"#3 was taken back by the server: {FAILED}\n"
    told = json.loads(said.out)
    assert (told["outcome"], told["release"], told["data"]) == ("taken-back", 3, {"why": FAILED})
