"""What a watcher sent that was killed arrives when the next one has begun: it is its own, and comes right."""

import pytest
from flask_habanero.client import suspense
from flask_habanero.source import Source

from tests.client.conftest import BASE
from tests.client.test_session import start  # noqa: F401  # a fixture

NAME, LATE = "shop.views", "def index():\n    return 'late'\n"


@pytest.fixture
def window(start, project, server, monkeypatch):  # noqa: F811
    """Give a watcher that began while a push of another one, which was killed, was on its way."""
    monkeypatch.setattr(suspense, "EVERY_S", 0.01)
    first = start().ready()
    first.end()
    first.store.sends({NAME: Source(NAME, "", False, LATE).digest}, server.head)
    return start().ready()


def test_it_looks_by_itself_and_the_tree_is_the_truth(window, server):
    server.release({NAME: LATE})
    server.wait_for(lambda: server.tree[NAME].text == BASE[NAME])
    window.shows(("live", "shop/views.py", "0 held"))
    assert not [line for line in window.lines if line[0] in ("newer", "conflict")]


def test_it_is_edited_meanwhile(window, project, server):
    server.release({NAME: LATE})
    project.write(NAME, "def index():\n    return 3\n")
    server.wait_for(lambda: server.tree[NAME].text.endswith("return 3\n"))
    assert not [line for line in window.lines if line[0] in ("newer", "conflict")]


def test_what_somebody_else_pushed_stays_theirs(window, project, server):
    server.release({NAME: "def index():\n    return 'theirs'\n"})
    window.shows(("newer", "shop/views.py", "newer"))
    assert server.head == 1


def test_after_a_while_it_is_not_looked_for_any_more(start, project, server, monkeypatch):  # noqa: F811
    monkeypatch.setattr(suspense, "UNHEARD_S", 0.0)
    first = start().ready()
    first.end()
    first.store.sends({NAME: Source(NAME, "", False, LATE).digest}, server.head)
    start().ready()
    before = len(server.seen)
    project.write("shop.pricing", "x = 1\n")
    server.wait_for(lambda: server.head == 1)
    assert [claims["op"] for claims in server.seen[before:]] == ["push"]


def test_what_was_refused_is_not_waited_for(start, project, server):  # noqa: F811
    window = start().ready()
    project.write(NAME, f"{LATE}# cold\n")
    window.shows(("cold", "shop/views.py", "1 held"))
    window.end()
    assert not window.store.load().sent
