"""`resync`, from the laptop: what is shown, what is asked, and what is sent then."""

import json

import pytest
from flask_habanero.errors import Reason

ORDER = {"keep": ["e" * 32, 4, "1" * 64], "drop": [["e" * 32, 3, "2" * 64]], "seen": [5, "1" * 64]}
LOST = {
    "number": 3,
    "kind": "push",
    "who": "ann",
    "time": 940,
    "note": "",
    "modules": ["shop.views"],
    "at": ["web1"],
}


@pytest.fixture
def told():
    return {
        "now": 1000,
        "from": "web2",
        "order": ORDER,
        "hosts": [
            {"host": "web1", "release": 3, "records": 4, "stays": False},
            {"host": "web2", "release": 4, "records": 5, "stays": True},
        ],
        "lost": [LOST],
        "older": 0,
        "strange": 0,
        "trouble": {},
    }


@pytest.fixture
def asked(server, told):
    """Have the server answer; give what it was asked."""
    seen = []

    def answer(claims, body):
        seen.append(json.loads(body))
        if seen[-1]["order"] is None:
            return server.report("unchanged", data={"resync": told})
        return server.report("live", data={"resync": {"written": 2, "given_up": {"web1": 1}, "refused": {}}})

    server._resync = answer
    return seen


def test_what_would_be_lost_is_shown_and_without_a_terminal_nothing_is_sent(project, run, asked):
    ran = run("resync")
    assert ran.code == 3
    assert asked == [{"from": "", "order": None}]
    assert "web1  #3, 3 releases: another branch" in ran.err
    assert "web2  #4, 4 releases: stays, and is given to the others" in ran.err
    assert "#3  60 s ago  ann  shop.views  (on web1)" in ran.err
    assert "give up 1 release for the branch of web2?" in ran.err
    assert "flask habanero resync --yes" in ran.err


def test_with_yes_the_order_goes_back_as_it_came(project, run, asked):
    ran = run("resync", "--from", "web2", "--yes")
    assert ran.code == 0
    assert asked == [{"from": "web2", "order": None}, {"from": "web2", "order": ORDER}]
    assert "web1 came to the branch of web2; 2 records written to the shared store" in ran.out


def test_where_nothing_is_lost_nobody_is_asked(project, run, asked, told):
    told["lost"], told["strange"] = [], 2
    ran = run("resync")
    assert (ran.code, len(asked)) == (0, 2)
    assert "2 records in the shared store that none of ours made are replaced" in ran.err


def test_for_a_program_it_is_one_report(project, run, asked):
    assert run("resync", "--yes", "--json").json["data"]["resync"]["given_up"] == {"web1": 1}


def test_what_was_not_told_and_who_is_in_trouble_is_said(project, run, asked, told):
    told["older"], told["trouble"] = 7, {"web3": "no answer\x1b[2J"}
    ran = run("resync")
    assert "and 7 releases before those" in ran.err
    assert "give up 8 releases" in ran.err
    assert "web3: no answer\\x1b[2J" in ran.err


def test_hosts_that_did_not_come_are_named(project, run, server, asked):
    reasons = (Reason("store", "web1", "no answer", "flask habanero resync, once it answers"),)
    looked = server._resync

    def answer(claims, body):
        report = looked(claims, body)
        return report if json.loads(body)["order"] is None else server.report("diverged", reasons=reasons)

    server._resync = answer
    ran = run("resync", "--yes")
    assert ran.code == 5
    assert "web1  no answer" in ran.out


@pytest.mark.parametrize(("outcome", "code"), [("refused", 1), ("failed", 1), ("conflict", 3)])
def test_why_not_is_the_servers_word(project, run, server, outcome, code):
    server._resync = lambda claims, body: server.report(
        outcome, reasons=(Reason("alone", "", "one host", ""),)
    )
    ran = run("resync", "--yes")
    assert ran.code == code
    assert "one host" in ran.err


@pytest.mark.parametrize("without", ["from", "order", "lost", "hosts", "older", "trouble", "now"])
def test_an_answer_that_lacks_something_is_not_understood(project, run, asked, told, without):
    del told[without]
    ran = run("resync", "--yes")
    assert (ran.code, len(asked)) == (4, 1)
    assert "does not understand" in ran.err
