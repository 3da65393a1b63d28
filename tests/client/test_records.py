"""Records as words: what stands, what was taken back, what can't be believed."""

import click
import pytest
from flask_habanero.client.archive import Told
from flask_habanero.client.drift import Drift, Drifted, who_made
from flask_habanero.client.records import (
    changes_words,
    drift_lines,
    maker_lines,
    paint,
    record_lines,
    standing,
    visible,
)


def told(number, changes=(), back=None, trouble="", who="ann"):
    kind = "push" if back is None else "rollback"
    note = "" if back is None else f"back to #{back}"
    return Told(number, kind, who, "k1", 0, note, "", dict(changes), trouble)


def log(*backs):
    """Records 1..n, newest first: a number for a rollback to it, None for a push; and the base."""
    records = [told(number, back=back) for number, back in enumerate(backs, 1)]
    return [*reversed(records), told(0)]


STANDING = [
    (log(None, None), [2, 1, 0]),
    (log(None, None, 1), [3, 1, 0]),
    (log(None, None, 0), [3, 0]),
    (log(None, 0, 1), [3, 1, 0]),  # a rollback of a rollback
    (log(None, 0, 2), [3, 2, 0]),  # one that went back to a rollback
    (log(None, None, 1, None, 2), [5, 2, 1, 0]),
    (log(), [0]),
]


@pytest.mark.parametrize(("records", "numbers"), STANDING)
def test_heads_state_is_made_of_what_no_rollback_went_behind(records, numbers):
    rows = list(standing(records, records[0].number))
    assert [record.number for record, stands in rows if stands] == numbers
    assert [record for record, _ in rows] == records


def test_a_note_of_a_push_takes_nothing_back():
    """Anybody may write anything there."""
    records = [Told(2, "push", "ann", "k1", 0, "back to #0", "", {}, ""), told(1), told(0)]
    assert all(stands for _, stands in standing(records, 2))


def test_the_newest_that_changed_it_made_it():
    first, second = told(1, {"a": "+", "b": "+"}), told(2, {"a": "~"})
    assert who_made([second, first, told(0)], ["a", "b", "c"]) == {"a": second, "b": first}


def test_nothing_is_read_that_is_not_needed():
    def records():
        yield told(2, {"a": "~"})
        pytest.fail("read on")

    assert set(who_made(records(), ["a"])) == {"a"}


def test_behind_what_can_not_be_believed_nothing_is_told():
    bad = told(2, trouble="its seal is of another content")
    made = who_made([told(3, {"a": "~"}), bad, told(1, {"b": "~"})], ["a", "b"])
    assert (made["a"].number, made["b"]) == (3, bad)
    assert "can't be told: its seal" in click.unstyle(maker_lines(bad)[0])
    (line, *_) = drift_lines(Drift((Drifted("b", "b.py", bad),)))
    assert line.endswith("b.py (which release did it can't be told: its seal is of another content)")


def test_many_modules_are_counted():
    changes = {f"m{n}": "~" for n in range(8)}
    assert changes_words(changes) == "~m0 ~m1 ~m2 ~m3 ~m4 and 3 more"
    assert changes_words(changes, 8).count("~") == 8
    assert changes_words({"a": "+", "b": "-"}) == "+a -b"


def test_a_record_that_can_not_be_believed_says_why_in_a_line_of_its_own():
    lines = [click.unstyle(line) for line in record_lines(told(3, trouble="it is missing"))]
    assert len(lines) == 2
    assert lines[1].strip() == "not to be believed: it is missing"


def test_a_record_that_can_not_be_believed_steers_no_terminal():
    bad = told(3, trouble="why", who="\x1b[2J\nann")
    (line, _) = (click.unstyle(line) for line in record_lines(bad))
    assert "\\x1b[2J\\x0aann" in line


def test_drift_that_can_not_be_told_is_a_line_and_none_is_none():
    assert drift_lines(Drift()) == []
    assert drift_lines(Drift(trouble="why")) == ["  drift    can't be told: why"]


@pytest.mark.parametrize(
    ("line", "seen"), [("\x1b[31mx\t\r", "\\x1b[31mx\t\\x0d"), ("\x9bx", "\\x9bx"), ("ä", "ä")]
)
def test_what_would_steer_a_terminal_is_written_out(line, seen):
    assert visible(line) == seen


@pytest.mark.parametrize(
    ("line", "look"), [("+x", "\x1b[32m"), ("-x", "\x1b[31m"), ("@@ -1", "\x1b[36m"), (" x", " x")]
)
def test_a_patch_has_colours(line, look):
    assert paint(line).startswith(look)
