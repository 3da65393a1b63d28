"""Words and columns."""

import re

import click
import pytest
from flask_habanero.client.push import Result
from flask_habanero.client.words import (
    ago,
    caret_lines,
    python_name,
    reach,
    reason_lines,
    report_of,
    result_line,
    shorten,
    verbs,
)
from flask_habanero.errors import (
    BuildError,
    ConfigError,
    DeliveryError,
    PythonMismatchError,
    Reason,
    SignatureError,
)
from flask_habanero.release import Report, WorkerCount
from flask_habanero.unit import python_tag


def plain(text):
    return click.unstyle(text)


def test_the_line_of_the_readme():
    report = Report(
        "live",
        42,
        steps=("shop.views: ~index", "shop.views: +vat_rate"),
        workers=WorkerCount(2, 0, 2),
        ms={"total": 9.8123},
    )
    line = plain(result_line("live", Result(report, ("shop.views",), ("shop/views.py",))))
    assert re.sub(r"^\d\d:\d\d:\d\d", "14:02:11", line) == (
        "14:02:11  live  #42  shop/views.py   ~index +vat_rate   9.8 ms   2/2 workers"
    )
    assert plain(result_line("live", Result(report), held=2)).endswith("2 held")


def test_a_path_is_cut_at_its_left():
    assert shorten("shop/views.py") == "shop/views.py"
    long = "a/" * 30 + "views.py"
    assert len(shorten(long)) == 40
    assert shorten(long).startswith("...")
    assert shorten(long).endswith("/views.py")


def test_many_steps_are_counted():
    steps = tuple(f"shop.views: ~function_number_{n}" for n in range(20))
    text = verbs(Result(Report("live", steps=steps), ("shop.views",), ("shop/views.py",)))
    assert len(text) < 90
    assert text.endswith("more")


def test_where_no_statement_changed_it_says_so():
    """A comment is a step without words, which read as the path once more."""
    result = Result(Report("live", steps=("shop/views.py",)), ("shop.views",), ("shop/views.py",))
    assert verbs(result) == "no statement changed"


def test_steps_of_other_modules_keep_their_name():
    result = Result(Report("live", steps=("shop.cart: =price",)), ("shop.pricing",), ("shop/pricing.py",))
    assert verbs(result) == "shop.cart: =price"


def test_sleepers_are_not_missing():
    assert reach(WorkerCount(2, 3, 5)) == "2/2 workers (3 asleep)"


@pytest.mark.parametrize(
    ("text", "column", "under"),
    [("x = (", 5, "("), ("    return (", 12, "("), ("def f(:", 7, ":"), ("x", 0, "x")],
)
def test_the_caret_is_under_the_place(text, column, under):
    line, caret = caret_lines(BuildError("shop/views.py", 57, column, text, "why"))
    assert line[caret.index("^")] == under
    assert "57 |" in line


def test_no_line_no_caret():
    assert caret_lines(BuildError("shop/views.py", 1, 1, "", "null bytes")) == []


def test_reasons_have_place_words_code_and_what_to_do():
    lines = [
        plain(line).strip()
        for line in reason_lines([Reason("bases", "shop.models:12", "one\ntwo", "restart")])
    ]
    assert lines == ["shop.models:12  one  [bases]", "two", "hint: restart"]


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("cb0d-cpython-312-o0-gil", "CPython 3.12 (bytecode cb0d)"),
        ("f30d-cpython-313-o2-nogil", "CPython 3.13 (bytecode f30d, -OO, free-threaded)"),
        ("other", "other"),
    ],
)
def test_a_python_is_named_as_people_name_it(tag, name):
    assert python_name(tag) == name
    assert "CPython 3." in python_name(python_tag())


@pytest.mark.parametrize(
    ("then", "words"), [(100, "0 s ago"), (41, "59 s ago"), (-20, "2 min ago"), (-9000, "2 h ago")]
)
def test_ages_have_the_unit_of_a_person(then, words):
    assert ago(then, 100) == words
    assert ago(500, 100) == "0 s ago"  # another clock


ERRORS = [
    ConfigError("--url", "no server was named", "give --url"),
    DeliveryError("https://x", "connection refused", maybe_live=False),
    DeliveryError("https://x", "cut", maybe_live=True),
    SignatureError("k1"),
    PythonMismatchError("a", "b"),
    BuildError("x.py", 1, 1, "", "why"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.outcome)
def test_every_error_says_what_to_type_next(error):
    report = report_of(error)
    assert report.reasons[0].hint
    assert report.outcome == error.outcome
