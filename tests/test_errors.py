"""Errors carry fields, each says what a person sees, and all are documented."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import errors
from flask_habanero.errors import HabaneroError, Reason

DOCS = Path(__file__).parent.parent / "docs"
OUTCOMES = {
    *(
        "live",
        "unchanged",
        "cold",
        "refused",
        "conflict",
        "rejected",
        "failed",
        "diverged",
        "unreachable",
        "unknown",
    )
}
REASON = Reason("cold-class", "shop.models:12", "Order gained a base", "restart")

EXAMPLES: dict[str, dict[str, Any]] = {
    "ConfigError": {"key": "HABANERO_SECRET", "why": "no secret", "hint": "flask habanero secret"},
    "BuildError": {
        "path": "shop/views.py",
        "line": 3,
        "column": 7,
        "text": "def f(:",
        "why": "invalid syntax",
    },
    "SignatureError": {"kid": "k1"},
    "StaleError": {"age_s": 91},
    "AudienceError": {"expected": "shop", "actual": "blog"},
    "ConflictError": {"epoch": "e" * 32, "head": 42},
    "PythonMismatchError": {"expected": "cb0d-cpython-312-o0-gil", "actual": "a70d-cpython-311-o0-gil"},
    "TooLargeError": {"limit": 4_194_304, "actual": 5_000_000},
    "ReadOnlyError": {"kid": "k1", "op": "push"},
    "ColdChangeError": {"reasons": (REASON, REASON)},
    "AssetError": {"reasons": (REASON,)},
    "UndecidedError": {"reasons": (REASON,)},
    "UnansweredError": {"outcome": "refused", "reasons": (REASON,)},
    "CommitError": {"where": "shop.views:12", "cause_text": "ZeroDivisionError: division by zero"},
    "BusyError": {"holders": ("GET /slow for 3 s in host/17",)},
    "UndoError": {"where": "shop.views:12", "cause_text": "setattr failed"},
    "DeliveryError": {"url": "https://my.app", "why": "no answer", "maybe_live": True},
}
"""Error -> its fields. A class that isn't here takes a text."""


def classes() -> list[type[HabaneroError]]:
    found = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, HabaneroError)]
    return [c for c in found if c.__module__ == errors.__name__]


def example(cls: type[HabaneroError]) -> HabaneroError:
    if cls.__name__ in EXAMPLES:
        return cls(**EXAMPLES[cls.__name__])
    return cls("what happened")


@pytest.fixture(params=classes(), ids=lambda c: c.__name__)
def error(request) -> HabaneroError:
    return example(request.param)


class TestEach:
    def test_ends_in_error_and_says_why_it_exists(self, error):
        assert type(error).__name__.endswith("Error")
        assert inspect.getdoc(type(error))

    def test_carries_its_fields(self, error):
        fields = EXAMPLES.get(type(error).__name__, {})
        assert fields or str(error) == "what happened"
        for name, value in fields.items():
            assert getattr(error, name) == value

    def test_is_a_sentence_and_an_outcome_that_people_know(self, error):
        assert str(error).strip()
        assert error.outcome in OUTCOMES
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.slug)

    def test_is_reasons_that_a_report_can_carry(self, error):
        assert error.reasons
        for reason in error.reasons:
            assert isinstance(reason, Reason)
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.code)
            assert reason.what
            json.dumps([reason.code, reason.where, reason.what, reason.hint])

    def test_is_documented_under_its_slug(self, error):
        page = DOCS / "errors.md"
        if not page.exists():
            pytest.skip("docs/errors.md is not written yet")
        assert re.search(rf"^#+ .*`?{error.slug}`?", page.read_text(), re.MULTILINE), error.slug

    def test_stands_in_the_tree_at_the_head_of_the_module(self, error):
        assert errors.__doc__ is not None
        line = re.search(rf"^(.*?){type(error).__name__}\b", errors.__doc__, re.MULTILINE)
        assert line is not None
        depth = sum(issubclass(c, HabaneroError) for c in type(error).__mro__) - 1
        assert len(line[1]) == 4 + 4 * depth, "as deep as its base classes say"


class TestAll:
    def test_each_has_a_slug_of_its_own(self):
        slugs = [c.slug for c in classes()]
        assert len(set(slugs)) == len(slugs)

    def test_the_examples_are_of_classes_that_exist(self):
        assert set(EXAMPLES) <= {c.__name__ for c in classes()}


class TestSentences:
    def test_a_reason_reads_as_a_line(self):
        assert str(REASON) == "shop.models:12: Order gained a base [cold-class] (restart)"
        assert str(Reason("busy", "", "no worker was free")) == "no worker was free [busy]"

    def test_a_cold_change_tells_every_reason(self):
        assert str(example(errors.ColdChangeError)).count("Order gained a base") == 2

    def test_a_delivery_that_may_have_arrived_is_unknown(self):
        assert errors.DeliveryError("u", "w", maybe_live=True).outcome == "unknown"
        assert errors.DeliveryError("u", "w", maybe_live=False).outcome == "unreachable"

    def test_a_configuration_error_says_what_to_type(self):
        assert "flask habanero secret" in str(example(errors.ConfigError))

    def test_a_busy_worker_is_named_and_a_silent_one_is_told_of(self):
        assert "GET /slow" in str(example(errors.BusyError))
        assert "did not answer" in str(errors.BusyError(()))
