"""`watch`, from real files to a fake server's tree: nobody's work is lost or undone."""

import threading
from dataclasses import replace

import pytest
from flask_habanero.client import session as module
from flask_habanero.client.choose import first_watch, nobody, whole_tree, yes
from flask_habanero.client.compiler import Compiler
from flask_habanero.client.desk import Desk
from flask_habanero.client.hooks import Hooks, Wishes
from flask_habanero.client.memory import Store
from flask_habanero.client.session import Session
from flask_habanero.client.target import Options, find_target, here
from flask_habanero.client.transport import Wire
from flask_habanero.errors import ConfigError, HabaneroError, Reason, RejectedError, UndecidedError
from flask_habanero.release import Report

from tests.client.conftest import until


class Screen:
    """Notes what was shown."""

    def __init__(self):
        self.lines = []
        self.begun = threading.Event()

    def begin(self, now):
        self.begun.set()

    def result(self, result, held):
        self.lines.append((result.report.outcome, *sorted(result.paths), f"{held} held"))

    def broken(self, error):
        self.lines.append(("error", error.path, error.line))

    def notice(self, outcome, path, reason):
        self.lines.append((outcome, path, reason.code))

    def held(self, paths, error):
        self.lines.append(("held", *sorted(paths), error.reasons[0].code))

    def away(self, error, pending):
        self.lines.append(("away", pending))

    def back(self):
        self.lines.append(("back",))

    def taken_back(self, number, why):
        self.lines.append(("taken back", number, why))

    def fault(self, error):
        self.lines.append(("fault", repr(error)))

    def note(self, text):
        self.lines.append(("note", text))


class Watching:
    """A session in a thread of its own, as a person has it in a terminal."""

    def __init__(self, ask=yes, choice=None, wishes=Wishes(), rehearsal=None):  # noqa: B008  # it can't be changed
        target = find_target(Options(), *here())
        self.wire = Wire(target.endpoint, target.key, target.who)
        desk = Desk(
            target,
            self.wire,
            Store(target.project.parent / "state", target.endpoint, target.project),
            Compiler("", {}),
            rehearsal,
        )
        self.store, self.screen, self.stop, self.ended = desk.store, Screen(), threading.Event(), None
        hooks = Hooks(wishes, target, here()[1], self.screen.note)
        self.session = Session(desk, self.screen, choice(desk) if choice else first_watch(desk, ask), hooks)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.session.run(self.stop)
        except HabaneroError as error:
            self.ended = error

    def ready(self):
        assert self.screen.begun.wait(10), self.ended
        return self

    def end(self):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.wire.close()

    @property
    def lines(self):
        return self.screen.lines

    def shows(self, line):
        try:
            until(lambda: self.ended or line in self.lines)
        finally:
            assert line in self.lines, f"{self.lines}, {self.ended!r}"


@pytest.fixture
def start(project, environ, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", (0.05,))
    running = []

    def start(**more):
        running.append(Watching(**more))
        return running[-1]

    yield start
    for watching in running:
        watching.end()


@pytest.fixture
def watching(start):
    return start().ready()


def test_each_save_goes_live(watching, project, server):
    for number in range(5):
        text = f"def index():\n    return {number + 10}\n"
        project.write("shop.views", text)
        server.wait_for(lambda text=text: server.tree["shop.views"].text == text)
    watching.shows(("live", "shop/views.py", "0 held"))
    assert server.head == 5


def test_a_touch_sends_nothing(watching, project, server):
    project.path("shop.views").touch()
    project.write("shop.pricing", "x = 1\n")  # later than the touch, and alone in what is sent
    server.wait_for(lambda: server.head == 1)
    watching.shows(("live", "shop/pricing.py", "0 held"))
    assert server.log[0]["modules"] == ["shop.pricing"]


def test_new_and_deleted_modules_go(watching, project, server):
    project.write("shop.deep.vat", "RATE = 7\n")
    server.wait_for(lambda: "shop.deep.vat" in server.tree)
    project.delete("shop.deep.vat")
    server.wait_for(lambda: "shop.deep.vat" not in server.tree)


def test_what_was_edited_while_nobody_watched_goes_at_the_start(start, project, server):
    start().ready().end()
    project.write("shop.views", "x = 1\n")
    start().ready()
    server.wait_for(lambda: server.tree["shop.views"].text == "x = 1\n")


def test_a_syntax_error_is_shown_and_held_and_the_rest_goes(watching, project, server):
    project.write("shop.views", "def index(:\n")
    watching.shows(("error", "shop/views.py", 1))
    project.write("shop.models", "class Order:\n    x = 1\n")
    watching.shows(("live", "shop/models.py", "1 held"))
    project.write("shop.views", "def index():\n    return 3\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    assert watching.lines.count(("error", "shop/views.py", 1)) == 1


def test_an_edit_that_rests_on_a_held_one_waits_with_it(watching, project, server):
    project.write("shop.pricing", "def price(:\n")
    watching.shows(("error", "shop/pricing.py", 1))
    project.write("shop.views", "from .pricing import price\n\ndef index():\n    return price()\n")
    watching.shows(("held", "shop/views.py", "waits"))
    assert server.head == 0
    project.write("shop.pricing", "def price():\n    return 2\n")
    watching.shows(("live", "shop/pricing.py", "shop/views.py", "0 held"))


def test_a_cold_file_is_held_until_it_changes(watching, project, server):
    project.write("shop.models", "class Order:  # cold\n    pass\n")
    watching.shows(("cold", "shop/models.py", "1 held"))
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "1 held"))
    pushes = [c["op"] for c in server.seen].count("push")
    assert pushes == 2  # the cold one was not tried again
    project.write("shop.models", "class Order:\n    y = 1\n")
    watching.shows(("live", "shop/models.py", "0 held"))


def test_one_cold_file_does_not_hold_back_the_others_of_its_batch(watching, project, server):
    project.write("shop.models", "class Order:  # cold\n    pass\n").touch()
    project.write("shop.views", "x = 1\n")
    project.write("shop.pricing", "y = 1\n")
    server.wait_for(lambda: {"shop.views", "shop.pricing"} <= {n for r in server.log for n in r["modules"]})
    assert "# cold" not in server.tree["shop.models"].text


def test_held_is_remembered_by_the_next_watch(start, project, server):
    first = start().ready()
    project.write("shop.models", "class Order:  # cold\n    pass\n")
    first.shows(("cold", "shop/models.py", "1 held"))
    first.end()
    start().ready()
    project.write("shop.views", "x = 1\n")
    server.wait_for(lambda: server.head == 1)
    assert server.log[0]["modules"] == ["shop.views"]


def test_a_server_that_is_away_is_said_once_and_gets_everything_when_it_is_back(watching, project, server):
    server.stop()
    project.write("shop.views", "x = 1\n")
    until(lambda: watching.session._failures >= 4)  # tried again and again
    project.write("shop.pricing", "y = 1\n")
    server.start(server.port)
    server.wait_for(lambda: {"shop.views", "shop.pricing"} <= {n for r in server.log for n in r["modules"]})
    assert watching.lines[:2] == [("away", 1), ("back",)]


def test_a_server_that_is_away_at_the_start_is_waited_for(start, project, server):
    server.stop()
    watching = start()
    until(lambda: watching.lines)
    server.start(server.port)
    watching.ready()
    assert watching.lines[:2] == [("away", 0), ("back",)]


def test_a_wrong_secret_ends_it_at_the_start(start, server, environ):
    from flask_habanero.envelope import new_secret

    environ.setenv("HABANERO_SECRET", new_secret())
    watching = start()
    watching.thread.join(10)
    assert isinstance(watching.ended, RejectedError)


def test_a_folder_without_code_ends_it_at_the_start(start, server):
    server.allowed = ["elsewhere"]
    watching = start()
    watching.thread.join(10)
    assert isinstance(watching.ended, ConfigError)


def test_others_edits_of_other_files_do_not_stop_mine(watching, project, server):
    server.release({"shop.models": "class Order:\n    bob = 1\n"})
    project.write("shop.views", "x = 1\n")
    server.wait_for(lambda: server.tree["shop.views"].text == "x = 1\n")
    watching.shows(("newer", "shop/models.py", "newer"))
    assert "bob" in server.tree["shop.models"].text


def test_an_edit_on_both_sides_is_shown_and_never_sent(watching, project, server):
    server.release({"shop.views": "bob = 1\n"})
    project.write("shop.views", "x = 1\n")
    watching.shows(("conflict", "shop/views.py", "conflict"))
    project.write("shop.pricing", "y = 1\n")
    watching.shows(("live", "shop/pricing.py", "0 held"))
    assert server.tree["shop.views"].text == "bob = 1\n"


def test_a_rollback_elsewhere_holds_until_the_file_changes(watching, project, server):
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    server.roll_back(0)
    project.write("shop.pricing", "y = 1\n")
    watching.shows(("held", "shop/views.py", "rolled-back"))
    watching.shows(("live", "shop/pricing.py", "1 held"))
    assert server.tree["shop.views"].text == "def index():\n    return 1\n"
    project.write("shop.views", "x = 2\n")
    server.wait_for(lambda: server.tree["shop.views"].text == "x = 2\n")


def test_a_new_file_that_was_rolled_back_holds_until_it_changes(watching, project, server):
    project.write("shop.promo", "x = 1\n")
    watching.shows(("live", "shop/promo.py", "0 held"))
    server.roll_back(0)
    project.write("shop.pricing", "y = 1\n")
    watching.shows(("held", "shop/promo.py", "rolled-back"))
    watching.shows(("live", "shop/pricing.py", "1 held"))
    assert "shop.promo" not in server.tree
    project.write("shop.promo", "x = 2\n")
    server.wait_for(lambda: "shop.promo" in server.tree and server.tree["shop.promo"].text == "x = 2\n")


def test_assets_of_a_folder_that_a_release_brings_are_watched_from_then_on(watching, project, server):
    """A blueprint of its own folders: what lies there goes, and what is saved there later."""
    new = project.folder / "admin_static"
    new.mkdir()
    (new / "a.css").write_text("a {}\n")
    server.folders = [*server.folders, "admin_static"]  # by the release that comes now
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    watching.shows(("live", "admin_static/a.css", "0 held"))
    (new / "b.css").write_text("b {}\n")
    watching.shows(("live", "admin_static/b.css", "0 held"))
    assert set(server.assets) == {"admin_static/a.css", "admin_static/b.css"}


def test_a_revert_by_an_edit_is_no_rollback(watching, project, server):
    """The same content, but somebody's push: the server is newer."""
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    server.release({"shop.views": "def index():\n    return 1\n"})
    project.write("shop.pricing", "y = 1\n")
    watching.shows(("newer", "shop/views.py", "newer"))


def test_another_cold_deploy_is_newer_not_undone(watching, project, server):
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    server.deploy({"shop.views": "deployed = 1\n"})
    project.write("shop.pricing", "y = 1\n")
    watching.shows(("newer", "shop/views.py", "newer"))
    watching.shows(("live", "shop/pricing.py", "0 held"))
    assert server.tree["shop.views"].text == "deployed = 1\n"


def test_a_stale_checkout_that_starts_to_watch_undoes_nothing(start, project, server):
    """It asks first, and whoever says no keeps the server as it is."""
    server.release({"shop.views": "bob = 1\n"})
    asked = []
    watching = start(ask=lambda lines, question: asked.append(lines) or False).ready()
    assert asked == [("~ shop/views.py",)]
    project.write("shop.pricing", "y = 1\n")
    watching.shows(("live", "shop/pricing.py", "1 held"))
    assert server.tree["shop.views"].text == "bob = 1\n"
    project.write("shop.views", "x = 1\n")  # never agreed: still no edit on top of bob's
    watching.shows(("conflict", "shop/views.py", "conflict"))


def test_without_a_terminal_the_first_contact_ends_it(start, project, server):
    project.write("shop.views", "x = 1\n")
    watching = start(ask=nobody)
    watching.thread.join(10)
    assert isinstance(watching.ended, UndecidedError)
    assert server.head == 0


def test_a_tree_that_is_the_truth_replaces_what_differs(start, project, server):
    server.release({"shop.views": "bob = 1\n", "shop.extra": "pushed = 1\n"})
    server.put(shop__deployed="kept = 1\n")
    start(choice=whole_tree).ready()
    server.wait_for(lambda: "bob" not in server.tree["shop.views"].text)
    assert "shop.extra" not in server.tree  # the ledger had it
    assert "shop.deployed" in server.tree  # nobody here ever did


def test_a_file_that_is_too_large_is_held(watching, project, server):
    server.max_bytes = 1
    watching.session._view = replace(watching.session._view, max_bytes=1)
    project.write("shop.views", "x = 1\n")
    watching.shows(("refused", "shop/views.py", "1 held"))


def test_a_server_in_trouble_is_waited_for(watching, project, server):
    """Its ledger can't be read: signed, and no answer to a hello."""
    honest, server.act = (
        server.act,
        lambda claims, body: Report("failed", reasons=(Reason("store", "", "disk full"),)),
    )
    project.write("shop.views", "x = 1\n")
    watching.shows(("away", 1))
    server.act = honest
    watching.shows(("live", "shop/views.py", "0 held"))


def test_a_fault_of_ours_does_not_end_it(watching, project, server, monkeypatch):
    """Shown whole, and the save goes at the next try."""
    honest = module.push.deliver

    def boom(*args):
        monkeypatch.setattr(module.push, "deliver", honest)
        raise ZeroDivisionError

    monkeypatch.setattr(module.push, "deliver", boom)
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    assert ("fault", "ZeroDivisionError()") in watching.lines


@pytest.mark.parametrize(
    ("text", "units"), [("class Order:\n    z = 1\n", 1), ("class Order(:\n", 0), ("\0", 0), (None, 0)]
)
def test_a_file_is_compiled_ahead_whatever_is_in_it_and_nothing_is_sent(
    watching, project, server, text, units, monkeypatch
):
    watching.stop.set()
    watching.thread.join(10)
    compiled = []
    honest = Compiler.compile
    monkeypatch.setattr(Compiler, "compile", lambda *a: compiled.append(honest(*a)))
    path, head = project.path("shop.models"), server.head
    path.unlink() if text is None else path.write_text(text)
    watching.session._ahead(path)
    watching.session._ahead(path.with_name("new.py"))  # which the tree does not know
    assert [len(found) for found, _ in compiled if found] == [1] * units
    assert server.head == head


def test_a_fault_of_what_is_compiled_ahead_does_not_end_the_watcher(watching, project, monkeypatch):
    watching.stop.set()
    watching.thread.join(10)
    calls = []

    def boom(*args):
        calls.append(args)
        raise ZeroDivisionError

    monkeypatch.setattr(Compiler, "compile", boom)
    watching.session._ahead(project.write("shop.models", "class Order:\n    z = 1\n"))
    assert len(calls) == 1


def test_a_burst_is_one_release(watching, project, server):
    for number in range(200):
        project.write(f"shop.m{number}", f"x = {number}\n")
    server.wait_for(lambda: len(server.tree) == 204)
    assert server.head <= 2  # the first file may have gone alone


def test_a_fault_of_the_server_is_asked_about(watching, project, server):
    """It says that it does not know what it did; its ledger knows."""
    honest = server._push

    def fault(claims, body):
        server._push = honest
        honest(claims, body)
        return Report("unknown", reasons=(Reason("fault", "", "ZeroDivisionError()"),))

    server._push = fault
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    assert server.head == 1


def test_a_busy_server_is_tried_again(watching, project, server):
    """Nothing is wrong with the file: it is not held."""
    server.verdict = "in-progress"
    project.write("shop.views", "x = 1  # busy\n")
    until(lambda: [c["op"] for c in server.seen].count("push") >= 1)
    server.verdict = "live"
    watching.shows(("away", 1))
    assert not watching.store.load().held


def test_a_lost_answer_is_found_again(watching, project, server):
    server.lies.append(lambda answer: None)
    project.write("shop.views", "x = 1\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    assert server.head == 1


def test_a_server_that_dies_with_a_push_is_said_to_be_away_and_asked_when_it_is_back(
    watching, project, server
):
    """It is the same push that goes on, and a save meanwhile goes after it."""

    def die(answer):
        threading.Thread(target=server.stop).start()  # this is one of its own threads
        until(lambda: server.httpd.socket.fileno() < 0)

    server.lies.append(die)
    project.write("shop.views", "x = 1\n")
    watching.shows(("away", 1))
    project.write("shop.pricing", "y = 1\n")
    server.start(server.port)
    watching.shows(("live", "shop/pricing.py", "0 held"))
    assert watching.lines == [
        ("away", 1),
        ("back",),
        ("live", "shop/views.py", "0 held"),
        ("live", "shop/pricing.py", "0 held"),
    ]
    assert server.head == 2


def test_two_people_edit_different_files_at_once(start, project, server, tmp_path, monkeypatch):
    """Every save of both arrives, whoever was first each time."""
    watching = start().ready()
    for number in range(10):
        server.release({"shop.models": f"bob = {number}\n"})
        project.write("shop.views", f"x = {number}\n")
        server.wait_for(lambda number=number: server.tree["shop.views"].text == f"x = {number}\n")
        assert server.tree["shop.models"].text == f"bob = {number}\n"
    assert not watching.ended


# what must succeed before a push

GREP = "echo checking; ! grep -rn BAD shop || { echo no good; exit 1; }"


@pytest.fixture
def checked(start):
    return start(wishes=Wishes(check=GREP)).ready()


def test_a_save_that_does_not_pass_the_check_is_held_until_it_changes(checked, project, server):
    project.write("shop.views", "BAD = 1\n")
    checked.shows(("held", "shop/views.py", "check"))
    assert checked.store.load().held["shop.views"].why.endswith("ended with 1: no good")
    assert server.head == 0
    project.write("shop.views", "good = 1\n")
    checked.shows(("live", "shop/views.py", "0 held"))
    assert ("note", "checking") in checked.lines


def test_what_a_check_held_goes_with_the_save_that_passes_it(checked, project, server):
    """The check saw both files; one without the other was never checked."""
    project.write("shop.models", "BAD = 1\n")
    checked.shows(("held", "shop/models.py", "check"))
    project.write("shop.views", "y = 2\n")
    checked.shows(("held", "shop/models.py", "shop/views.py", "check"))
    project.write("shop.models", "good = 1\n")
    checked.shows(("live", "shop/models.py", "shop/views.py", "0 held"))


def test_what_changes_while_it_is_checked_is_not_sent_unchecked(start, project, server, tmp_path):
    checking, go_on = tmp_path / "checking", tmp_path / "go-on"
    wait = f"[ -e {checking} ] || {{ touch {checking}; while [ ! -e {go_on} ]; do :; done; }}; {GREP}"
    watching = start(wishes=Wishes(check=wait)).ready()
    project.write("shop.views", "BAD = 1\n")
    until(checking.exists)
    project.write("shop.views", "good = 1\n")  # passes for what was first BAD
    go_on.touch()
    watching.shows(("live", "shop/views.py", "0 held"))
    assert [state["shop.views"].text for state, _ in server.states.values()][1:] == ["good = 1\n"]


def test_a_switch_of_branches_is_told_with_what_went(project, start):
    (project.folder / ".git").mkdir(exist_ok=True)
    head = project.folder / ".git" / "HEAD"
    head.write_text("ref: refs/heads/main\n")
    watching = start().ready()
    head.write_text("ref: refs/heads/feature\n")
    project.write("shop.views", "def index():\n    return 2\n")
    watching.shows(("note", "git went from main to feature: 1 file went out in #1"))
    head.write_text("ref: refs/heads/main\n")
    project.write("shop.views", "def index():\n    return 3  # cold\n")
    watching.shows(("note", "git went from feature to main: 1 file did not go"))
