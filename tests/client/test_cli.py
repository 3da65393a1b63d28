"""Commands, as a person types them: what is shown, what is sent, and the exit codes of the contract."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest
from flask_habanero.client import command as module
from flask_habanero.client.cli import cli
from flask_habanero.client.command import EXIT, exit_code
from flask_habanero.envelope import Key, new_secret
from flask_habanero.errors import HabaneroError
from flask_habanero.release import Report
from flask_habanero.unit import python_tag

NEW = "def index():\n    return 2\n"


def test_secret_prints_one_that_parses_and_nothing_else_on_stdout(run):
    ran = run("secret")
    assert ran.code == 0
    assert Key.parse(ran.out.strip()).kid
    assert "hint" in ran.err


# What a prompt or a completion would wait for: HTTP, the watcher, the compiler, and what travels
HEAVY = {"requests", "urllib3", "watchdog", "sqlite3", "symtable"}
LIGHT = {
    "flask_habanero",
    "flask_habanero.client",
    "flask_habanero.client.cli",
    "flask_habanero.client.command",
    "flask_habanero.client.freeze_cli",
    "flask_habanero.client.gates_cli",
    "flask_habanero.client.hosts_cli",
    "flask_habanero.client.options",
    "flask_habanero.client.reading_cli",
    "flask_habanero.client.run_cli",
    "flask_habanero.errors",
}


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["--help"], set()),
        (["push", "--help"], set()),
        (["watch", "--help"], set()),
        (["secret"], {"flask_habanero.envelope", "flask_habanero.strict"}),
    ],
    ids=["help", "help of push", "help of watch", "secret"],
)
def test_help_and_secret_load_next_to_nothing(project, words, more):
    """Each module takes its milliseconds: what is loaded here is what is listed here."""
    code = (
        "import json, sys; from flask.cli import main; sys.argv = ['flask', 'habanero', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert {name for name in loaded if name.startswith("flask_habanero")} - more == LIGHT
    assert loaded & HEAVY == set()


def test_it_is_found_by_name_and_works_while_the_app_is_broken(project):
    """A plain click group never loads the app."""
    project.write("shop", "syntax error here\n")
    with_app = (
        "from flask.cli import FlaskGroup; from flask_habanero.client.cli import cli; g = FlaskGroup();"
        "g.add_command(cli, 'habanero'); g.main(['--app', 'shop', 'habanero', 'secret'])"
    )
    done = subprocess.run([sys.executable, "-c", with_app], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("hab_"), done.stderr


def test_push_sends_what_changed_and_says_so_in_one_line(run, project, server):
    assert run("push").code == 0
    project.write("shop.views", NEW)
    ran = run("push")
    assert (ran.code, server.tree["shop.views"].text) == (0, NEW)
    (line,) = ran.out.splitlines()
    for part in ("live", "#1", "shop/views.py", "~index", " ms", "2/2 workers"):
        assert part in line, line


def test_push_again_is_unchanged(run, project, server):
    project.write("shop.views", NEW)
    run("push")
    assert run("push", "--json").json["outcome"] == "unchanged"
    assert [c["op"] for c in server.seen].count("push") == 1


def test_the_last_line_in_json_is_the_contract(run, project):
    project.write("shop.views", NEW)
    for command in ("plan", "push"):
        value = run(command, "--json").json
        assert Report.from_json(value).outcome == "live"
        assert value["ms"]["total"] > 0
        assert value["ms"]["commit"] >= 0
        assert set(value["workers"]) == {"at_head", "asleep", "total", "behind"}
    assert Report.from_json(run("rollback", "--json").json).outcome == "live"


def test_plan_changes_nothing(run, project, server):
    project.write("shop.views", NEW)
    ran = run("plan")
    assert (ran.code, server.head) == (0, 0)
    assert "Plan: 1 to send" in ran.out
    assert not any(c["op"] == "push" for c in server.seen)


@pytest.mark.parametrize(("text", "code"), [(None, 0), (NEW, 6), (NEW + "# cold\n", 1)])
def test_plan_tells_programs_by_its_exit_code(run, project, text, code):
    if text:
        project.write("shop.views", text)
    assert run("plan", "--exit-code").code == code
    assert run("plan").code == (code if code != 6 else 0)


def test_plan_remembers_nothing(run, project, server, tmp_path):
    """A look is no contact: the push after it still asks where it must."""
    server.release({"shop.views": "bob = 1\n"})
    assert run("plan").code == 0
    assert run("push").code == 3


def test_a_deleted_file_is_deleted(run, project, server):
    run("push")
    project.delete("shop.models")
    assert run("push").code == 0
    assert "shop.models" not in server.tree


def test_a_file_that_git_ignores_is_not_deleted(run, project, server):
    run("push")
    subprocess.run(["git", "init", "-q", str(project.folder)], check=True)
    (project.folder / ".gitignore").write_text("models.py\n")
    assert run("push").code == 0
    assert "shop.models" in server.tree


def test_a_file_that_this_tree_never_had_is_not_touched(run, project, server):
    server.put(shop__deployed="x = 1\n")
    project.write("shop.views", NEW)
    ran = run("push")
    assert "shop.deployed" in server.tree
    assert "only on the server, never touched: 1" in ran.err


def test_a_syntax_error_is_shown_with_a_caret_and_nothing_is_sent(run, project, server):
    project.write("shop.views", "def index():\n    return (\n")
    ran = run("push")
    assert (ran.code, server.head) == (1, 0)
    assert "shop/views.py:2:12" in ran.err
    assert ran.err.splitlines()[2].index("^") == ran.err.splitlines()[1].index("(")


def test_a_cold_change_exits_1_and_says_where_why_and_what_to_do(run, project, server):
    project.write("shop.models", "class Order:  # cold\n    pass\n")
    ran = run("push")
    assert (ran.code, server.head) == (1, 0)
    assert "shop.models:1" in ran.out
    assert "hint: restart" in ran.out


def test_an_explicit_push_sends_again_what_was_refused(run, project, server):
    project.write("shop.models", "class Order:  # raises\n    pass\n")
    assert [run("push").code, run("push").code] == [1, 1]
    assert [c["op"] for c in server.seen].count("push") == 2


def test_an_explicit_push_sends_again_what_was_rolled_back(run, project, server):
    project.write("shop.views", NEW)
    run("push")
    assert run("rollback").code == 0
    assert server.tree["shop.views"].text != NEW
    assert run("push").code == 0
    assert server.tree["shop.views"].text == NEW


@pytest.mark.parametrize("edit", ["", "RATE = 8\n"])
def test_an_explicit_push_sends_again_what_was_new_and_rolled_back(run, project, server, edit):
    """The file as it was, or corrected; never the rest without it."""
    project.write("shop.promo", "RATE = 7\n")
    project.write("shop.views", NEW)
    assert run("push").code == 0
    server.roll_back(0, "someone@laptop", ": not confirmed")
    assert "shop.promo" not in server.tree
    project.write("shop.promo", edit or "RATE = 7\n")
    assert run("push").code == 0
    assert server.tree["shop.promo"].text == (edit or "RATE = 7\n")
    assert server.tree["shop.views"].text == NEW


def test_a_server_that_is_newer_exits_3_and_names_who_and_what_to_type(run, project, server):
    run("push")
    server.release({"shop.views": "bob = 1\n"})
    project.write("shop.views", NEW)
    ran = run("push")
    assert ran.code == 3
    assert "bob@example.org in #1" in ran.err
    assert "see it: flask habanero show shop.views; " in ran.err
    assert "flask habanero push --sync" in ran.err
    assert server.tree["shop.views"].text == "bob = 1\n"
    assert run("push", "--sync").code == 0
    assert server.tree["shop.views"].text == NEW


def test_what_only_the_server_changed_is_shown_and_not_sent(run, project, server):
    run("push")
    server.release({"shop.views": "bob = 1\n"})
    project.write("shop.pricing", "x = 1\n")
    ran = run("push")
    assert ran.code == 0
    assert "the server is newer, not sent: shop.views" in ran.err
    assert server.tree["shop.views"].text == "bob = 1\n"


def test_first_contact_with_an_unpatched_base_sends_what_differs(run, project, server):
    project.write("shop.views", NEW)
    assert run("push").code == 0
    assert server.tree["shop.views"].text == NEW


@pytest.mark.parametrize(("args", "code"), [((), 3), (("--yes",), 0), (("--sync",), 0)])
def test_first_contact_with_releases_asks_and_nobody_answers(run, project, server, args, code):
    server.release({"shop.views": "bob = 1\n"})
    ran = run("push", *args)
    assert ran.code == code, ran
    assert (server.tree["shop.views"].text == "bob = 1\n") == (code == 3)
    if code == 3:
        assert "--sync" in ran.err


def test_the_same_tree_at_first_contact_asks_nothing(run, project, server):
    server.release({"shop.views": NEW})
    project.write("shop.views", NEW)
    assert run("push").code == 0


def test_someone_who_pushes_at_the_same_moment_is_no_matter_if_files_differ(run, project, server):
    run("push")
    project.write("shop.views", NEW)
    honest = server._push

    def late(claims, body):
        server._push = honest
        server._record({**server.tree}, [], "bob@example.org", "push")
        return honest(claims, body)

    server._push = late
    assert run("push").code == 0
    assert server.tree["shop.views"].text == NEW
    assert server.head == 2


def test_rollback_takes_one_back_without_asking(run, project, server):
    project.write("shop.views", NEW)
    run("push")
    ran = run("rollback")
    assert (ran.code, server.head) == (0, 2)
    assert "return 1" in server.tree["shop.views"].text


def test_rollback_of_more_asks_and_nobody_answers(run, project, server):
    for number in range(3):
        server.release({"shop.views": f"x = {number}\n"})
    ran = run("rollback", "1")
    assert ran.code == 3
    assert "hint: say it beforehand: --yes" in ran.err  # there are no files to send, and no --sync
    assert server.head == 3
    assert run("rollback", "1", "--yes").code == 0
    assert server.tree["shop.views"].text == "x = 0\n"


def test_a_person_at_a_terminal_is_asked(project, environ, server):
    """A real terminal: the list, the question, and the answer counts."""
    server.release({"shop.views": "bob = 1\n"})
    code = "from flask_habanero.client.cli import cli; cli()"
    for answer, exit_wanted in (("n\n", 3), ("y\n", 0)):
        ours, theirs = pty.openpty()
        child = subprocess.Popen([sys.executable, "-c", code, "push"], stdin=theirs, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)  # fmt: skip
        os.write(ours, answer.encode())
        _, err = child.communicate(timeout=30)
        os.close(ours)
        os.close(theirs)
        assert child.returncode == exit_wanted, err
        assert "~ shop/views.py" in err


def test_status_shows_head_workers_and_the_log(run, project, server):
    server.release({"shop.views": NEW})
    ran = run("status")
    assert ran.code == 0
    for part in ("shop", "#1 by bob@example.org", "2/2 workers", "shop.views", "tree"):
        assert part in ran.out, ran


def test_status_counts_held_files_and_exits_5_when_diverged(run, project, server):
    project.write("shop.models", "class Order:  # cold\n    pass\n")
    run("push")
    server.verdict = "diverged"
    ran = run("status")
    assert ran.code == 5
    assert "held     shop/models.py: cold here" in ran.out
    assert run("status", "--json").json["held"] == {"shop/models.py": "cold here"}


def test_status_needs_no_project(run, project, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("status").code == 0


def test_a_wrong_secret_exits_4_with_one_sentence(run, project, environ):
    environ.setenv("HABANERO_SECRET", new_secret())
    ran = run("push")
    assert ran.code == 4
    assert "without a signature" in ran.err
    assert "HABANERO_SECRET" in ran.err


@pytest.mark.parametrize("secret", ["", "hunter2", "hab_k1_short_00000000"])
def test_a_missing_or_malformed_secret_exits_4_and_is_not_repeated(run, project, environ, secret):
    environ.setenv("HABANERO_SECRET", secret)
    environ.delenv("FLASK_HABANERO_SECRET", raising=False)
    ran = run("push")
    assert ran.code == 4
    assert "flask habanero secret" in ran.err
    assert not secret or secret not in ran.err


def test_an_unreachable_server_exits_4_and_nothing_was_sent(run, project, server):
    server.stop()
    ran = run("push", "--json")
    assert (ran.code, ran.json["outcome"]) == (4, "unreachable")
    assert "connection refused" in ran.err
    server.start(server.port)


def test_another_python_is_one_sentence_that_names_both(run, project, server):
    server.python = "cb0d-cpython-312-o1-gil"
    project.write("shop.views", NEW)
    ran = run("push")
    assert (ran.code, server.head) == (1, 0)
    assert "CPython 3.12 (bytecode cb0d, -O)" in ran.err
    assert f"CPython 3.{sys.version_info.minor}" in ran.err


def test_code_is_made_at_the_servers_optimize_level(run, project, server):
    server.python = python_tag(2)
    honest = server._facts
    server._facts = lambda: {**honest(), "optimize": 2}
    project.write("shop.views", NEW)
    assert run("push").code == 0


def test_another_app_behind_the_same_address_is_not_pushed_to(run, project, server):
    """Learnt once and pinned: a changed proxy can't send one app's code to another."""
    run("push")
    server.app = "billing"
    project.write("shop.views", NEW)
    ran = run("push")
    assert ran.code == 4
    assert "--app-id billing" in ran.err
    assert server.head == 0
    assert run("push", "--app-id", "billing").code == 0


USAGE = [
    ("push", "nowhere"),
    ("push", "--url", "http://example.org"),
    ("push", "--url", "http://192.0.2.1:8000"),
    ("push", "--url", "ftp://127.0.0.1"),
    ("push", "--url", "https://user:pass@example.org"),
    ("push", "--nonsense"),
    ("wach",),
]


@pytest.mark.parametrize("args", USAGE)
def test_usage_exits_2_before_a_socket_opens(run, server, args):
    assert run(*args).code == 2
    assert server.connections == []


def test_no_address_exits_2(run, environ):
    environ.delenv("HABANERO_URL")
    environ.delenv("FLASK_HABANERO_URL", raising=False)
    ran = run("push")
    assert ran.code == 2
    assert "--url" in ran.err


def test_a_named_target_has_its_own_address_and_secret(run, project, environ, server):
    secret = server.secret
    environ.setenv("STAGING_SECRET", secret)
    environ.delenv("HABANERO_SECRET")
    environ.delenv("HABANERO_URL")
    (project.folder / "pyproject.toml").write_text(
        f'[tool.habanero.targets.staging]\nurl = "{server.url}"\nsecret_env = "STAGING_SECRET"\n'
    )
    project.write("shop.views", NEW)
    assert run("push", "staging").code == 0
    assert run("rollback", "staging", "--json").code == 0
    assert server.head == 2


def test_there_is_nothing_to_roll_back_at_the_base(run, project, server):
    ran = run("rollback")
    assert (ran.code, server.head) == (1, 0)
    assert "there is no #-1 to go back to" in ran.out


def test_a_fault_of_ours_exits_70_and_is_shown_whole(run, project, monkeypatch):
    def boom(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("flask_habanero.client.desk.look", boom)
    ran = run("status")
    assert ran.code == 70
    assert "ZeroDivisionError" in ran.err
    assert "Traceback" in ran.err


@pytest.mark.parametrize("command", ["push", "status"])
def test_ctrl_c_exits_130(run, project, monkeypatch, command):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flask_habanero.client.desk.look", interrupted)
    monkeypatch.setattr("flask_habanero.client.push.look", interrupted)
    assert run(command).code == 130


@pytest.mark.parametrize("typed", [True, False])
def test_watch_looks_by_itself_where_polling_is_switched_on(project, environ, server, typed):
    if not typed:
        (project.folder / "pyproject.toml").write_text("[tool.habanero]\npolling = true\n")
    command = [sys.executable, "-c", "from flask_habanero.client.cli import cli; cli()", "watch", "--json"]
    command += ["--polling"] * typed
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr.readline() == "polling is switched on: looking every 0.3 s instead\n"
        assert child.stderr.readline().startswith("watching shop ")
        project.write("shop.views", NEW)
        assert json.loads(child.stdout.readline())["outcome"] == "live"
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 0


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_watch_ends_with_0_by_the_person(project, environ, server, by):
    """A real process: it says when it watches, sends a save, prints one JSON object a line, and ends."""
    command = [sys.executable, "-c", "from flask_habanero.client.cli import cli; cli()", "watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr.readline().startswith("watching shop (4 modules) -> shop #0, 2/2 workers")
        project.write("shop.views", NEW)
        value = json.loads(child.stdout.readline())
        assert (value["outcome"], value["files"], server.tree["shop.views"].text) == (
            "live",
            ["shop/views.py"],
            NEW,
        )
        child.send_signal(by)
        assert child.wait(20) == 0


QUIETLY = ("--yes", "--json")


@pytest.mark.parametrize(
    ("command", "by", "code"), [("watch", signal.SIGTERM, 0), ("push", signal.SIGINT, 130)]
)
def test_the_person_does_not_wait_for_a_server_that_hangs(project, environ, server, command, by, code):
    """Told to end in the middle of a push it ends, and says that it may be live."""
    arrived, done = threading.Event(), threading.Event()
    honest = server._push

    def hang(claims, body):
        arrived.set()
        done.wait(60)
        return honest(claims, body)

    server._push = hang
    project.write("shop.views", NEW)
    words = [sys.executable, "-c", "from flask_habanero.client.cli import cli; cli()", command, *QUIETLY]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert arrived.wait(30)
        child.send_signal(by)
        try:
            assert child.wait(10) == code
        finally:
            child.kill()
        last = json.loads(child.stdout.read().splitlines()[-1])
        assert (last["outcome"], last["reasons"][0]["code"]) == ("unknown", "delivery")
        assert "may be live" in child.stderr.read()
    done.set()


ENDS = [(2, "--url", "http://192.0.2.1"), (3,), (4,)]


@pytest.mark.parametrize("case", ENDS)
def test_watch_ends_at_its_start_with_the_codes_of_the_contract(run, project, environ, server, case):
    """Usage, a first contact that nobody is there to decide, and not believed."""
    code, *args = case
    if code == 4:
        environ.setenv("HABANERO_SECRET", new_secret())
    project.write("shop.views", NEW)
    assert run("watch", *args).code == code
    assert server.head == 0


def test_colours_follow_the_environment(project, environ, server):
    """Click itself does not know NO_COLOR; a program that reads JSON never gets any."""
    project.write("shop.views", NEW)
    code = "from flask_habanero.client.cli import cli; cli()"

    def out(*args, **variables):
        env = {**os.environ, **variables}
        done = subprocess.run(
            [sys.executable, "-c", code, *args], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "\x1b[" in out("plan", FORCE_COLOR="1")
    assert "\x1b[" not in out("plan")
    assert "\x1b[" not in out("plan", FORCE_COLOR="1", NO_COLOR="1")
    assert json.loads(out("plan", "--json", FORCE_COLOR="1"))["outcome"] == "live"


def every(error):
    return [error, *(x for sub in error.__subclasses__() for x in every(sub))]


@pytest.mark.parametrize("error", every(HabaneroError), ids=lambda e: e.__name__)
def test_every_error_has_an_exit_code(error):
    made = error.__new__(error)
    made.key, made.maybe_live = "url", False
    assert exit_code(made) in {1, 2, 3, 4, 5}


def test_the_group_is_plain():
    """A Flask AppGroup would load the app before every command."""
    assert type(cli).__name__ == "Group"
    assert type(cli).__module__.startswith("click")
    assert set(EXIT.values()) == {0, 1, 3, 4, 5}
    assert (module.USAGE, module.CHANGES, module.OUR_FAULT, module.INTERRUPTED) == (2, 6, 70, 130)


def test_a_push_says_why_and_the_log_tells_it(run, project, server, monkeypatch):
    monkeypatch.setattr("flask_habanero.client.git.commit", lambda folder: "1a2b3c4, dirty")
    project.write("shop.views", NEW)
    assert run("push", "-m", " VAT is 19 now ").code == 0
    assert server.log[0]["note"] == "VAT is 19 now; 1a2b3c4, dirty"
    assert "VAT is 19 now; 1a2b3c4, dirty" in run("log").out
    assert "(push: VAT is 19 now; 1a2b3c4, dirty)" in run("show", "shop.views:index").err


@pytest.mark.parametrize("why", ["two\nlines", "\x1b[2J", "x" * 151])
def test_why_is_one_line(run, project, server, why):
    project.write("shop.views", NEW)
    assert run("push", "--message", why).code == 2
    assert server.seen == []
