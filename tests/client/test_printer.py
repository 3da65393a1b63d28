"""Lines that fit a terminal, and are whole where there is none."""

import pytest
from flask_habanero.client.printer import Printer, cut, seen, wrapped
from flask_habanero.client.push import Result
from flask_habanero.client.words import result_line
from flask_habanero.release import Report, WorkerCount

RED, END = "\x1b[31m", "\x1b[0m"


def test_a_cut_line_is_as_wide_as_the_screen_and_ends_its_colours():
    assert cut(f"{RED}abcdefghij{END}", 8) == f"{RED}abcde{END}..."
    assert cut(f"ab{RED}cd{END}", 4) == f"ab{RED}cd{END}"
    assert cut("abcdefghij", 0) == "abcdefghij"


def test_wrapped_words_stand_further_in_than_their_line():
    assert wrapped("    one two three four", 16) == ["    one two", "      three four"]
    assert wrapped("one two", 0) == ["one two"]


def result(paths, steps):
    report = Report(
        "live", 42, steps=steps, workers=WorkerCount(8, 0, 8), ms={"total": 12.3}, data={"recorded": True}
    )
    return Result(report, paths, paths)


@pytest.mark.parametrize("width", [120, 100, 80, 62])
@pytest.mark.parametrize("held", [0, 3])
def test_a_line_says_less_on_a_narrow_screen_and_always_where_it_is_live(width, held):
    path = "shop/a/rather/long/path/of/a/module/views.py"
    done = result((path,), tuple(f"{path}: ~function_{n}" for n in range(9)))
    line = result_line("live", done, held, width)
    assert seen(line) <= width
    for word in ("live", "#42", "views.py", "~func", "8/8 workers"):
        assert word in line


def test_without_a_terminal_the_same_line_again_is_a_line(capsys):
    printer = Printer()
    for _ in range(3):
        printer.block("a line that is far wider than any screen " * 9, ["    below"], same=1)
    assert (
        capsys.readouterr().out.splitlines()
        == ["a line that is far wider than any screen " * 9, "    below"] * 3
    )
    assert len(printer.shown) == 3
