"""Several files that belong together, saved one after the other: as few releases as can be, all live."""

import queue
import threading

import pytest
from flask_habanero.client import session
from flask_habanero.client import watch as watching_files
from flask_habanero.client.watch import COMPLETE, GRACE_S, Collector, Folders

from tests.client import test_session
from tests.client.conftest import until

start, watching = test_session.start, test_session.watching  # the fixtures

NEEDS = "import shop.tools  # needs shop.tools\n"


def sent(server):
    """Return the modules of each release, the first one first."""
    return [sorted(record["modules"]) for record in reversed(server.log)]


def test_what_lacked_a_file_goes_together_with_it(watching, project, server):
    project.write("shop.views", NEEDS)
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.tools", "x = 1\n")
    watching.shows(("live", "shop/tools.py", "shop/views.py", "0 held"))
    assert sent(server) == [["shop.tools", "shop.views"]]
    assert ("note", "shop/views.py: once more, together with what was saved now") in watching.lines


def test_what_took_away_what_another_file_imports_goes_together_with_it(watching, project, server):
    """The one that is saved later imported it until now."""
    project.write("shop.views", "from .models import Order\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    project.write("shop.models", "x = 1  # needs shop.later\n")
    watching.shows(("cold", "shop/models.py", "1 held"))
    server._reasons = lambda bundle: []  # as if all that it needs were what comes now
    project.write("shop.views", "y = 1\n")
    watching.shows(("live", "shop/models.py", "shop/views.py", "0 held"))


def test_what_is_cold_for_the_sake_of_another_file_goes_together_with_it(watching, project, server):
    project.write("shop.models", "x = 1  # blames shop.views\n")
    watching.shows(("cold", "shop/models.py", "1 held"))
    project.write("shop.views", "from .models import x\n")
    watching.shows(("live", "shop/models.py", "shop/views.py", "0 held"))


def test_a_save_that_has_nothing_to_do_with_it_goes_alone(watching, project, server):
    project.write("shop.views", NEEDS)
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.pricing", "x = 1\n")
    watching.shows(("live", "shop/pricing.py", "1 held"))
    assert [claims["op"] for claims in server.seen].count("push") == 2


def test_what_is_cold_for_itself_does_not_go_again(watching, project, server):
    project.write("shop.views", "import shop.tools  # cold\n")
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.tools", "x = 1\n")
    watching.shows(("live", "shop/tools.py", "1 held"))
    assert [claims["op"] for claims in server.seen].count("push") == 2


def test_what_still_lacks_something_is_held_again_and_the_rest_goes(watching, project, server):
    project.write("shop.views", f"{NEEDS}# needs shop.more\n")
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.tools", "x = 1\n")
    watching.shows(("live", "shop/tools.py", "1 held"))
    assert sent(server) == [["shop.tools"]]


def test_what_is_saved_while_a_push_is_under_way_is_one_release(start, project, server, monkeypatch):
    events, goes_on, honest = queue.SimpleQueue(), threading.Event(), server.act
    monkeypatch.setattr(session, "SimpleQueue", lambda: events)

    def slowly(claims, body):
        if claims["op"] == "push":
            assert goes_on.wait(10)
        return honest(claims, body)

    server.act = slowly
    window = start().ready()
    project.write("shop.views", "x = 1\n")
    until(lambda: "push" in [claims["op"] for claims in server.seen])
    project.write("shop.pricing", "x = 1\n")
    project.write("shop.models", "x = 1\n")
    until(lambda: events.qsize() >= 2)
    goes_on.set()
    window.shows(("live", "shop/models.py", "shop/pricing.py", "0 held"))
    assert sent(server) == [["shop.views"], ["shop.models", "shop.pricing"]]


class Events(queue.SimpleQueue):
    """Events, some of which come only when somebody waits for longer than the second of a pair takes."""

    def __init__(self):
        super().__init__()
        self.late = []

    def get(self, block=True, timeout=None):
        if self.late and self.empty() and (timeout or 0) > GRACE_S:
            return (COMPLETE, self.late.pop(0))
        return super().get(block, timeout)


@pytest.fixture
def three(tmp_path):
    paths = [tmp_path / f"{name}.py" for name in "abc"]
    for path in paths:
        path.write_text("x = 1\n")
    events = Events()
    return paths, events, Collector(Folders((tmp_path,), frozenset("abc")), events, 3600, lambda _: None)


def test_who_saved_another_file_during_a_push_has_more_to_come(three):
    (a, b, c), events, collects = three
    events.put((COMPLETE, a))
    assert collects.next(5) == {a}
    events.put((COMPLETE, b))  # while the first was sent
    events.late = [c]
    assert collects.next(5) == {b, c}


def test_a_lone_save_waits_for_nothing_when_nobody_is_busy(three, monkeypatch):
    """Also the same file again, saved while it was sent. With a silence of an hour they still come."""
    monkeypatch.setattr(watching_files, "SILENCE_S", 3600)
    monkeypatch.setattr(watching_files, "CAP_S", 3600)
    (a, b, _), events, collects = three
    for path in (a, b, a):
        events.late = [path]
        assert collects.next(5) == {path}
    events.put((COMPLETE, a))
    assert collects.next(5) == {a}
