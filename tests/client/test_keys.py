"""A person at a terminal: keys, what is shown, and a terminal that is afterwards as it was."""

import os
import signal
import sys

import pytest

from tests.client.terminals import CODES, Terminal
from tests.hosts import eventually

pytestmark = pytest.mark.slow

NEW = "def index():\n    return {}\n"
WATCH = (sys.executable, "-m", "flask", "habanero", "watch")


@pytest.fixture
def terminal(project, environ):
    """Give a function that runs a program in a terminal."""
    opened = []

    def terminal(*words, term="xterm", **more):
        opened.append(Terminal(*words, folder=project.folder, environ={**os.environ, "TERM": term}, **more))
        return opened[-1]

    yield terminal
    for each in opened:
        each.close()


@pytest.fixture
def watching(terminal):
    """A watcher that listens to keys."""
    made = terminal(*WATCH)
    made.shows("q quit")
    return made


def test_each_key_does_what_the_help_says(watching, project, server):
    watching.press("h")
    watching.shows("undo: take the newest release back")
    project.write("shop.views", NEW.format(2))
    watching.shows("live  #1   shop/views.py")
    watching.press("s")
    watching.shows("head     #1 by")
    watching.press("l")
    watching.shows("the log of this window, 1 lines:")
    watching.shows("live  #1   shop/views.py")
    watching.press("c")
    eventually(lambda: "\x1b[2J" in watching.text)
    watching.press("q")
    assert watching.wait() == 0
    assert watching.is_as_before


def test_undo_asks_and_what_was_taken_back_goes_again_on_demand(watching, project, server):
    watching.press("u")
    watching.shows("there is nothing to take back")
    project.write("shop.views", NEW.format(2))
    watching.shows("live  #1   shop/views.py")
    watching.press("u")
    watching.shows("take back #1 by")
    watching.press("n")
    watching.shows("nothing was taken back")
    assert server.head == 1
    watching.press("u")
    watching.shows("take back #1 by")
    watching.press("y")
    watching.shows("live  #2")
    watching.shows("shop/views.py   was rolled back on the server")
    watching.press("p")
    watching.shows("live  #3   shop/views.py")
    assert server.tree["shop.views"].text == NEW.format(2)


@pytest.mark.long
def test_what_is_pasted_what_arrows_send_and_other_keys_do_nothing(watching, project, server):
    for key in ("quit", "x", "\r", "\x00"):
        watching.press(key)
    watching.press("\x1b[A")
    watching.press("h")
    watching.shows("this help")
    assert watching.process.poll() is None


@pytest.mark.long
def test_a_server_that_is_away_is_said_and_ends_nothing(watching, project, server):
    server.stop()
    watching.press("s")
    watching.shows("error:")
    server.start(server.port)
    project.write("shop.views", NEW.format(2))
    watching.shows("live  #1")


# the terminal is as it was


@pytest.mark.parametrize(
    "end", [lambda t: t.press("\x03"), lambda t: t.process.terminate()], ids=["Ctrl-C", "SIGTERM"]
)
def test_the_terminal_is_given_back(watching, end):
    assert watching.reads_keys
    end(watching)
    assert watching.wait() == 0
    assert watching.is_as_before


WITH_KEYS = """
import queue
from flask_habanero.client.terminal import keys_of
pressed = queue.SimpleQueue()
with keys_of(0, pressed.put):
    print("ready", flush=True)
    print(pressed.get())
    {}
"""


ENDS = {
    "1 / 0": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "__import__('os').kill(0, 3)": -signal.SIGQUIT,
    "__import__('os').kill(0, 1)": -signal.SIGHUP,
}


@pytest.mark.parametrize(("end", "code"), ENDS.items())
def test_the_terminal_is_given_back_however_it_ends(terminal, end, code):
    made = terminal(sys.executable, "-c", WITH_KEYS.format(end))
    made.shows("ready")
    made.takes_keys()
    made.press("a")
    assert made.wait() == code
    assert made.is_as_before


@pytest.mark.long
def test_stopped_continued_in_the_background_and_brought_back(terminal, project, server):
    """With a real shell, which itself puts nothing right."""
    shell = terminal("sh", "-i")
    shell.press(f"{' '.join(WATCH)}\n")
    shell.shows("q quit")
    shell.press("\x1a")
    shell.shows("Stopped")
    shell.press("stty -a; echo set-as-$((40 + 2))\n")
    shell.shows(" icanon")
    shell.shows("set-as-42")
    shell.press("fg\n")
    shell.takes_keys()
    shell.press("h")
    shell.shows("this help")
    shell.press("\x1a")
    shell.shows("Stopped")
    shell.press("bg\n")
    project.write("shop.views", NEW.format(2))
    shell.shows("live  #1")
    shell.press("echo to-the-shell-$((40 + 2))\n")
    shell.shows("to-the-shell-42")
    shell.press("fg\n")
    shell.takes_keys()
    shell.press("q")
    shell.gives_keys_back()
    shell.press("stty -a; echo set-as-$((40 + 3))\n")
    shell.shows(" icanon")
    shell.shows("set-as-43")
    shell.press("exit\n")
    assert shell.wait() == 0


@pytest.mark.long
def test_started_in_the_background_it_leaves_the_terminal_to_the_shell(terminal, project, server):
    shell = terminal("sh", "-i")
    shell.press(f"{' '.join(WATCH)} &\n")
    shell.shows("watching shop")
    shell.press("echo to-the-shell-$((40 + 2))\n")
    shell.shows("to-the-shell-42")
    project.write("shop.views", NEW.format(2))
    shell.shows("live  #1")
    shell.press("fg\n")
    shell.takes_keys()
    shell.press("q")
    shell.gives_keys_back()
    shell.press("exit\n")
    assert shell.wait() == 0


def test_without_a_terminal_nobody_is_told_of_keys(terminal, project):
    shell = terminal("sh", "-c", f"{' '.join(WATCH)} < /dev/null")
    shell.shows("watching shop")
    assert not shell.reads_keys
    project.write("shop.views", NEW.format(2))
    shell.shows("live  #1")
    assert "quit" not in shell.text


# what is shown


@pytest.mark.long
def test_the_same_again_is_counted_in_its_place(watching, project, server):
    for number in range(1, 5):
        project.write("shop.views", NEW.format(number + 10))
        watching.shows(f"#{number}" + ("   shop/views.py   ~index" if number == 1 else ""))
        eventually(lambda number=number: server.head == number)
    watching.shows("(x4)")
    assert watching.text.count("\x1b[1A\r\x1b[J") == 3
    project.write("shop.pricing", "def price():\n    return 2\n")
    watching.shows("#5   shop/pricing.py")
    project.write("shop.views", NEW.format(1))
    watching.shows("#6   shop/views.py")
    watching.press("l")
    watching.shows("3 lines:")


@pytest.mark.long
def test_a_narrow_terminal_gets_lines_that_fit(terminal, project, server):
    made = terminal(*WATCH, columns=50)
    made.shows("q quit")
    project.write("shop.a_long_name_for_a_module_of_a_shop", "x = 1\n")
    made.shows("2/2 workers")
    line = next(line for line in made.text.splitlines() if "2/2 workers" in line and "live" in line)
    assert len(CODES.sub("", line)) <= 50
    project.write("shop.views", NEW.format("# cold"))
    made.shows("cold here")


@pytest.mark.long
@pytest.mark.parametrize(("name", "coloured"), [("NO_COLOR", False), ("", True)])
def test_colours_are_for_those_who_want_them(terminal, project, environ, name, coloured):
    if name:
        environ.setenv(name, "1")
    made = terminal(*WATCH)
    made.shows("q quit")
    for number in (1, 2):
        project.write("shop.views", NEW.format(number + 1))
        made.shows(f"#{number}")
    made.shows("(x2)")
    assert ("\x1b[32m" in made.text) == coloured


def test_a_dumb_terminal_is_sent_text_only(terminal, project):
    made = terminal(*WATCH, term="dumb")
    made.shows("q quit")
    for number in (1, 2):
        project.write("shop.views", NEW.format(number + 1))
        made.shows(f"#{number}")
    assert "\x1b" not in made.text
