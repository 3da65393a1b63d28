"""Who called whom stays known, whatever line each begins on."""

from __future__ import annotations

from flask_habanero.live.calls import Calls, move

MAIN = ("shop", "<module>", 0)
F, G = ("shop", "f", 10), ("shop", "g", 20)


def made():
    calls = Calls()
    calls.add(G, [(F, 2), (MAIN, 7)])
    calls.add(F, [(MAIN, 8)])
    return calls


def test_who_called_is_told_where_it_begins_now():
    calls = made()
    calls.move({F: ("shop", "f", 11), G: ("shop", "g", 21)}, [])
    assert calls.of(("shop", "g", 21)) == {(("shop", "f", 11), 2), (MAIN, 7)}
    assert calls.of(("shop", "f", 11)) == {(MAIN, 8)}


def test_of_what_has_moved_nothing_is_known_where_it_was():
    calls = made()
    calls.move({F: ("shop", "f", 11)}, [])
    assert calls.of(F) is None


def test_one_may_begin_where_another_of_that_name_began():
    first, second, third = (("shop", "f", line) for line in (1, 5, 9))
    calls = Calls()
    calls.add(first, [(MAIN, 1)])
    calls.add(second, [(MAIN, 2)])
    calls.move({first: second, second: third}, [])
    assert (calls.of(second), calls.of(third)) == ({(MAIN, 1)}, {(MAIN, 2)})


def test_what_moved_comes_back():
    calls, done = made(), []
    calls.move({F: ("shop", "f", 11), G: F}, done)
    while done:
        done.pop()()
    assert (calls.of(F), calls.of(G)) == ({(MAIN, 8)}, {(F, 2), (MAIN, 7)})
    assert calls.of(("shop", "f", 11)) is None


def test_a_copy_is_not_touched():
    calls = made()
    copy = calls.copy()
    copy.move({F: ("shop", "f", 11)}, [])
    copy.move_lines(lambda caller, line: line + 1)
    copy.add(F, [(G, 1)])
    assert (calls.of(F), calls.of(G)) == ({(MAIN, 8)}, {(F, 2), (MAIN, 7)})


def test_a_call_moves_within_its_caller():
    calls = made()
    calls.move_lines(lambda caller, line: line + 3 if caller == F else line)
    assert calls.of(G) == {(F, 5), (MAIN, 7)}


def test_what_is_not_in_a_table_moves_nothing():
    table = {F: 1}
    move(table, {G: F})
    assert table == {F: 1}
