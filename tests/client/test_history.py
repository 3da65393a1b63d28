"""Which release made each module what it is."""

from flask_habanero.client.history import had, is_taken_back, makers


def push(number, *modules, who="ann"):
    return {"number": number, "kind": "push", "who": who, "time": 0, "note": "", "modules": list(modules)}


def back(number, to):
    return {**push(number, who="bob"), "kind": "rollback", "note": f"back to #{to}"}


def numbers(log, first=0):
    return {name: record["number"] for name, record in makers(log, first).items()}


def test_the_newest_push_made_it():
    assert numbers([push(2, "a"), push(1, "a", "b")]) == {"a": 2, "b": 1}


def test_another_epoch_is_no_part_of_it():
    assert numbers([push(1, "a"), push(2, "b"), push(3, "c")], first=2) == {"c": 3}


def test_a_rollback_made_what_it_took_back_and_nothing_else():
    log = [push(1, "a"), push(2, "b"), back(3, 1)]
    assert numbers(log) == {"a": 1, "b": 3}
    assert is_taken_back(makers(log, 0)["b"])
    assert not is_taken_back(makers(log, 0)["a"])


def test_an_edit_that_reverts_is_no_rollback_also_when_something_else_is_rolled_back_later():
    """Content alone can't tell: the log can."""
    log = [push(1, "a"), push(2, "a"), push(3, "b"), back(4, 2)]
    assert numbers(log) == {"a": 2, "b": 4}


def test_a_rollback_of_a_rollback_is_where_it_was():
    log = [push(1, "a"), back(2, 0), back(3, 1)]
    assert numbers(log) == {"a": 3}
    assert numbers([*log, push(4, "a")]) == {"a": 4}


def test_a_log_that_does_not_reach_back_counts_what_it_saw():
    log = [push(31, "a"), back(32, 7)]
    assert numbers(log) == {"a": 32}


def test_a_rollback_to_who_knows_where_is_no_evidence():
    assert numbers([push(1, "a"), {**back(2, 0), "note": ""}]) == {"a": 1}


def test_what_releases_carried():
    assert had([push(1, "old"), push(3, "a", "b"), back(4, 2)], first=1) == {"a", "b"}
    assert not is_taken_back(None)
