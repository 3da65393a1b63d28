"""Whether the views that a release changed left their band: errors, and time taken."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_habanero.band import ENOUGH, FEWEST_ERRORS, KEPT, MUCH_MS, Tally, left

MANY = 40


def tally(*rows: tuple[str, int, float, int]) -> Tally:
    """Return what was noted: (view, answers, milliseconds of each, errors among them)."""
    noted = Tally()
    for view, count, ms, errors in rows:
        for number in range(count):
            noted.note(view, ms, number < errors)
    return noted


USUAL = tally(("cart", MANY, 10.0, 0), ("index", MANY, 10.0, 0))


@pytest.mark.parametrize(
    ("now", "before", "why"),
    [
        pytest.param(tally(("", 10, 1, 5)), Tally(), "5 of 10 answers were server errors", id="half of all"),
        pytest.param(tally(("index", 9, 1, 4)), Tally(), "", id="few"),
        pytest.param(
            tally(("cart", 10, 1, 5), ("index", 90, 1, 0)),
            Tally(),
            "cart: 5 of 10 answers were server errors",
            id="half of a view that changed, few of all",
        ),
        pytest.param(
            tally(("index", 10, 1, 5), ("cart", 90, 1, 0)), Tally(), "", id="of one that did not change"
        ),
        pytest.param(tally(("cart", 11, 1, 5), ("index", 90, 1, 0)), Tally(), "", id="less than half"),
        pytest.param(
            tally(("cart", 40, 1, 5), ("index", 90, 1, 0)),
            USUAL,
            "cart: 5 of 40 answers were server errors, and 0 of 40 before",
            id="more than before",
        ),
        pytest.param(
            tally(("cart", 40, 1, 15), ("index", 90, 1, 0)),
            tally(("cart", MANY, 1, 10)),
            "",
            id="hardly more than before",
        ),
        pytest.param(
            tally(("cart", 40, 1, 30), ("index", 90, 1, 0)), tally(("cart", MANY, 1, 30)), "", id="always so"
        ),
        pytest.param(
            tally(("cart", ENOUGH, 61.0, 0)),
            USUAL,
            "cart: half of 20 answers took over 61 ms, before 19 of 20 within 10 ms",
            id="slow",
        ),
        pytest.param(tally(("cart", ENOUGH - 1, 500.0, 0)), USUAL, "", id="too few to tell"),
        pytest.param(
            tally(("cart", MANY, 500.0, 0)), tally(("cart", ENOUGH - 1, 1.0, 0)), "", id="too few before"
        ),
        pytest.param(tally(("cart", MANY, 500.0, 0)), Tally(), "", id="nobody knows how it was"),
        pytest.param(tally(("cart", MANY, 10.0 + MUCH_MS, 0)), USUAL, "", id="slower by little"),
        pytest.param(
            tally(("cart", MANY, 190.0, 0)), tally(("cart", MANY, 100.0, 0)), "", id="slower, and always slow"
        ),
        pytest.param(
            tally(("cart", MANY, 500.0, 0), ("index", MANY, 500.0, 0)),
            USUAL,
            "",
            id="all are slow: the machine",
        ),
        pytest.param(tally(("index", MANY, 500.0, 0)), USUAL, "", id="slow, and not changed"),
        pytest.param(tally(("new", MANY, 500.0, 0)), USUAL, "", id="a new view"),
    ],
)
def test_what_leaves_the_band(now: Tally, before: Tally, why: str) -> None:
    assert left(now, before, {"cart", "new"}) == why


def test_a_few_answers_that_take_long_are_no_slow_view() -> None:
    now = tally(("cart", 19, 5000.0, 0), ("cart", 21, 10.0, 0))
    assert left(now, USUAL, {"cart"}) == ""
    one_was_slow = tally(("cart", 38, 10.0, 0), ("cart", 2, 5000.0, 0))
    assert left(tally(("cart", MANY, 100.0, 0)), one_was_slow, {"cart"}) != ""


def test_only_the_newest_answers_of_a_view_count() -> None:
    noted = tally(("cart", KEPT, 1.0, KEPT), ("cart", KEPT, 1.0, 0), ("index", KEPT * 3, 1.0, 0))
    assert len(noted.of("cart")) == KEPT
    assert left(noted, Tally(), {"cart"}) == ""


def test_what_was_noted_later_replaces_the_oldest() -> None:
    noted = tally(("cart", KEPT, 1.0, 0))
    noted.take(tally(("cart", 10, 2.0, 0), ("index", 1, 3.0, 1)))
    assert [ms for ms, _ in noted.of("cart")] == [1.0] * (KEPT - 10) + [2.0] * 10
    assert noted.of("index") == [(3.0, True)]


def test_it_notes_which_view_answered_and_how() -> None:
    app = Flask(__name__)
    app.add_url_rule("/", "index", lambda: "index")
    app.add_url_rule("/wrong", "wrong", lambda: 1 / 0)
    noted, inner = Tally(), app.wsgi_app
    app.wsgi_app = lambda environ, answer: inner(environ, noted.heed(answer))  # type: ignore[method-assign]
    client = app.test_client()
    for path in ("/", "/wrong", "/nowhere"):
        client.get(path)
    assert (noted.answers, noted.errors, noted.views()) == (3, 1, ["index", "wrong"])
    (ms, failed), *more = noted.of("wrong")
    assert (failed, more) == (True, [])
    assert ms > 0
    assert FEWEST_ERRORS <= ENOUGH <= KEPT
