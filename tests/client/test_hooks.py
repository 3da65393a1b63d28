"""Commands around a push, with real processes: what holds it, what is told of it, and how they end."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest
from flask_habanero.client.hooks import CheckError, Hooks, Wishes
from flask_habanero.client.target import Options, find_target, here
from flask_habanero.errors import ConfigError
from flask_habanero.release import Report

from tests.client.conftest import until

NEW = "def index():\n    return 2\n"
COMMAND = [sys.executable, "-c", "from flask_habanero.client.cli import cli; cli()"]


@pytest.fixture
def edited(project, run):
    """Give a project with one edit to push."""
    assert run("push").code == 0
    project.write("shop.views", NEW)
    return project


def settings(project, text):
    (project.folder / "pyproject.toml").write_text(f"[tool.habanero]\n{text}\n")


def pushed(*words, stdin=subprocess.DEVNULL):
    return subprocess.run(
        [*COMMAND, "push", *words], stdin=stdin, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_check_that_succeeds_lets_the_push_through(edited, server):
    done = pushed("--check", "echo one; echo two >&2")
    assert (done.returncode, server.head) == (0, 1), done.stderr
    assert done.stderr.splitlines()[:2] == ["one", "two"]
    assert done.stdout.startswith(done.stdout.splitlines()[0])
    assert "live" in done.stdout
    assert "one" not in done.stdout


def test_a_check_that_fails_holds_it_and_its_last_line_says_why(edited, server):
    done = pushed("--json", "--check", "echo first; echo 1 failed; echo; exit 3")
    assert (done.returncode, server.head) == (1, 0)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["outcome"] == "refused"
    (reason,) = report["reasons"]
    assert reason["code"] == "check"
    assert reason["what"].endswith("ended with 3: 1 failed")
    assert "nothing was sent" in reason["hint"]


def test_nothing_to_send_is_nothing_to_check(project, run, tmp_path):
    assert run("push").code == 0
    assert pushed("--check", f"touch {tmp_path}/ran").returncode == 0
    assert not (tmp_path / "ran").exists()


def test_what_does_not_compile_is_not_checked(edited, tmp_path):
    edited.write("shop.views", "def index(:\n")
    assert pushed("--check", f"touch {tmp_path}/ran").returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "typed", "code"),
    [
        ('check = "false"', [], 1),
        ('check = "false"', ["--check", "true"], 0),
        ('check = "false"', ["--check", ""], 0),
        ('check = "false"\n[tool.habanero.targets.staging]\nurl = "{url}"\ncheck = "true"', ["staging"], 0),
        ('check = "true"\n[tool.habanero.targets.staging]\nurl = "{url}"\ncheck = "false"', ["staging"], 1),
        ('pre_push = "false"', [], 1),
        ('check = "true"\npre_push = "false"', [], 1),
        ('post_push = "false"', [], 0),
        ("check = 1", [], 2),
        ('confirm = "yes"', [], 2),
    ],
)
def test_which_command_counts(edited, run, server, text, typed, code):
    settings(edited, text.format(url=server.url))
    ran = run("push", *typed)
    assert ran.code == code, ran
    assert server.head == (1 if code == 0 else 0)


def test_a_check_runs_without_the_secret_and_hooks_with_it(edited, run, server, tmp_path):
    settings(edited, f'check = "env > {tmp_path}/check"\npre_push = "env > {tmp_path}/pre"')
    assert run("push").code == 0
    assert server.secret not in (tmp_path / "check").read_text()
    assert f"HABANERO_SECRET={server.secret}" in (tmp_path / "pre").read_text()


def test_a_hook_is_told_what_goes_where_and_the_other_what_became_of_it(edited, run, server, tmp_path):
    settings(edited, f'pre_push = "cat > {tmp_path}/pre"\npost_push = "cat > {tmp_path}/post"')
    edited.delete("shop.models")
    assert run("push").code == 0
    told = json.loads((tmp_path / "pre").read_text())
    assert told == {
        "target": server.url.removeprefix("http://"),
        "url": f"{server.url}/_habanero",
        "head": 0,
        "files": ["shop/views.py", "shop/models.py"],
    }
    assert Report.from_json(json.loads((tmp_path / "post").read_text())).release == 1


def test_a_hook_after_a_push_fails_nothing_and_says_so(edited, run):
    settings(edited, 'post_push = "echo oh no; exit 4"')
    ran = run("push")
    assert ran.code == 0
    assert "oh no" in ran.err
    assert "post_push: `echo oh no; exit 4` ended with 4" in ran.err


@pytest.fixture
def hooks(project, environ):
    """Give a function that makes hooks, and what they say."""
    made, said = [], []

    def make(**wishes):
        made.append(Hooks(Wishes(**wishes), find_target(Options(), *here()), here()[1], said.append))
        return made[-1], said

    yield make
    for one in made:
        one.close()


def test_a_hook_after_a_push_has_little_time(hooks, monkeypatch, tmp_path):
    monkeypatch.setattr("flask_habanero.client.hooks.AFTER_S", 0.2)
    one, said = hooks(post_push=f"echo $$ > {tmp_path}/pid; exec sleep 60")
    one.after(Report("live"))
    one.wait()
    assert "did not end within 0.2 s" in said[-1]
    until(lambda: is_gone(int((tmp_path / "pid").read_text())))


def test_a_hook_that_does_not_read_or_leaves_something_running_holds_nothing_up(hooks, monkeypatch, tmp_path):
    monkeypatch.setattr("flask_habanero.client.hooks.END_S", 0.05)
    one, said = hooks(post_push=f"sleep 60 & echo $! > {tmp_path}/pid; echo done")
    one.after(Report("live", steps=("x" * 200_000,)))
    one.wait()
    assert said == ["done"]
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_command_that_can_not_be_started_is_an_error_of_its_own(hooks):
    one, _ = hooks(check="true\0")
    with pytest.raises(CheckError, match="can't be started"):
        one._must_succeed(one.wishes.check, {}, {})


def is_gone(pid):
    """Whether a process has ended, or is about to be forgotten."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123  # it may go at any moment
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "code"), [("push", 130), ("watch", 0)])
def test_who_interrupts_ends_the_check_and_nothing_is_sent(edited, server, tmp_path, command, number, code):
    check = f"sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
    child = subprocess.Popen(
        [*COMMAND, command, "--check", check],
        stderr=subprocess.PIPE,
        text=True,
        # PLW1509: no thread holds a lock here; a job in the background hands on that it ignores Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        until((tmp_path / "pid").exists, 30)
        child.send_signal(number)
        assert child.wait(20) == code
        until(lambda: is_gone(int((tmp_path / "pid").read_text())))  # its end is not waited for
    finally:
        child.kill()
        child.communicate()
    assert server.head == 0


def test_a_watch_goes_on_after_a_check_that_failed(edited, server, tmp_path):
    check = "! grep -n BAD shop/views.py || { echo 1 failed; exit 1; }"
    edited.write("shop.views", "BAD = 1\n")
    with subprocess.Popen(
        [*COMMAND, "watch", "--check", check], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        line = child.stdout.readline()
        assert "held   shop/views.py" in line
        assert "ended with 1: 1 failed" in line
        assert "hint: correct it and save" in child.stdout.readline()
        edited.write("shop.views", NEW)
        assert "live" in child.stdout.readline()
        child.terminate()
        assert child.wait(20) == 0
    assert server.tree["shop.views"].text == NEW


def test_files_that_never_stand_still_while_they_are_checked(edited, run, server):
    settings(edited, 'check = "echo >> shop/views.py"')
    ran = run("push", "--json")
    assert (ran.code, server.head) == (3, 0)
    assert ran.json["reasons"][0]["code"] == "moving"


def test_a_file_that_changes_during_the_check_is_checked_again(edited, run, server, tmp_path):
    """What is sent is what was checked."""
    settings(
        edited, f'check = "[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; echo >> shop/views.py; }}"'
    )
    assert run("push").code == 0
    assert server.tree["shop.views"].text == NEW + "\n"


# confirm


def test_who_wants_to_be_asked_and_is_not_there_is_not_asked(edited, run, server):
    assert run("push", "--confirm").code == 3
    settings(edited, f'[tool.habanero.targets.live]\nurl = "{server.url}"\nconfirm = true')
    assert run("push", "live").code == 3
    assert server.head == 0
    ran = run("push", "live", "--yes")
    assert (ran.code, server.head) == (0, 1)
    assert "Plan: 1 to send" in ran.out


def test_a_watch_does_not_ask_at_each_save(edited, run, server):
    settings(edited, "confirm = true")
    ran = run("watch")
    assert (ran.code, server.head) == (3, 0)
    assert "flask habanero push;" in ran.err


def test_who_is_to_push_by_themself_is_told_with_the_target(edited, run, server):
    """Without its name the push would go to HABANERO_URL."""
    settings(edited, f'[tool.habanero.targets.live]\nurl = "{server.url}"\nconfirm = true')
    assert (
        "flask habanero push live; or answer before: flask habanero watch live --yes"
        in run("watch", "live").err
    )


@pytest.mark.parametrize(("answer", "code"), [("n\n", 3), ("y\n", 0)])
def test_a_person_sees_the_plan_and_says(edited, server, answer, code):
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    done = pushed("--confirm", stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Plan: 1 to send" in done.stdout
    assert server.head == (0 if code else 1)


def test_settings_are_read_once_for_all(project):
    with pytest.raises(ConfigError, match="is no command"):
        Wishes.read({"post_push": ["a"]}, {}, None)
    assert Wishes.read({"check": "a"}, {"check": "b", "confirm": True}, None) == Wishes("b", confirm=True)
