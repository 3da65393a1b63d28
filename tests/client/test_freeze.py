"""`freeze` and `thaw`, from the laptop."""

import pytest

from tests.client import test_session

start = test_session.start  # the fixture


def test_a_freeze_is_told_to_everybody_and_ends(run, project, server):
    assert run("push").code == 0
    frozen = run("freeze", "we migrate until 3")
    assert (frozen.code, server.frozen["why"]) == (0, "we migrate until 3")
    assert "frozen: nobody pushes until  flask habanero thaw" in frozen.out
    assert "we migrate until 3" in run("status").out
    project.write("shop.views", "x = 1\n")
    refused = run("push")
    assert (refused.code, server.head) == (1, 0)
    assert "frozen: we migrate until 3" in refused.out + refused.err
    thawed = run("thaw")
    assert (thawed.code, server.frozen) == (0, None)
    assert "thawed" in thawed.out
    assert "not frozen" in run("thaw").out
    assert "frozen" not in run("status").out
    assert run("push").code == 0


def test_a_target_may_be_named(run, project, server):
    (project.folder / "pyproject.toml").write_text(f'[tool.habanero.targets.live]\nurl = "{server.url}"\n')
    assert run("freeze", "live", "why not", "--json").json["outcome"] == "live"
    assert server.frozen["why"] == "why not"
    assert run("thaw", "live", "--json").json["data"]["frozen"] is None


@pytest.mark.parametrize("words", [(), ("",), (" ",), ("a", "b", "c")])
def test_it_says_why(run, server, words):
    refused = run("freeze", *words)
    assert (refused.code, server.frozen) == (2, None)
    assert 'flask habanero freeze "' in refused.err


def test_a_watcher_waits_until_it_is_thawed(start, project, server):
    watching = start().ready()
    server.frozen = {"why": "we migrate", "nonce": ""}
    project.write("shop.views", "x = 1\n")
    watching.shows(("away", 1))
    server.frozen = None
    watching.shows(("live", "shop/views.py", "0 held"))
    assert not watching.store.load().held
