"""Edits of all kinds, each in a process that runs, each compared with a cold start."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.properties.generated import Sequence

FOLDER = Path(__file__).parent.parent / "cases"


@dataclass(frozen=True)
class Expected:
    """What may become of a release."""

    live: bool
    refused: bool
    codes: frozenset[str]  # a refusal has one of these; empty: any


@dataclass(frozen=True)
class Case:
    """One file of `tests/cases`."""

    says: str
    sequence: Sequence
    python: tuple[int, ...]
    lives: tuple[tuple[int, ...], ...]  # from and before which Python; others may refuse what should be live
    expected: tuple[Expected, ...]  # of each release


def version(head: str, word: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    """Return the version of Python that a line of a case's head names."""
    found = re.findall(rf"^{word}: (\d+)\.(\d+)$", head, re.MULTILINE)
    return tuple(map(int, found[0])) if found else otherwise


def read(path: Path) -> Case:
    """Parse a case."""
    head, *sections = re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)
    says, entry = head.splitlines()[0], re.findall(r"^entry: (\S+)$", head, re.MULTILINE)[0]
    python = version(head, "python", (3, 11))
    lives = version(head, "live-from", (3, 11)), version(head, "live-before", (99,))
    trees: list[dict[str, str]] = []
    expected = []
    for section in sections:
        title, *files = re.split(r"^--- (\S+)( deleted)?\n", section, flags=re.MULTILINE)
        tree = dict(trees[-1]) if trees else {}
        for name, deleted, text in zip(files[::3], files[1::3], files[2::3], strict=True):
            if deleted:
                del tree[name]
            else:
                tree[name] = text
        trees.append(tree)
        word, _, codes = title.strip().partition(": ")
        expected.append(Expected(word != "refused", word != "live", frozenset(codes.split())))
    sequence = Sequence(entry, [*trees, trees[0]], ["by hand"] * (len(trees) - 1))
    return Case(says, sequence, python, lives, tuple(expected[1:]))


def test_a_case_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "case"
    path.write_text(
        "Says.\nentry: app:app\n\n=== start\n--- app.py\na\n--- b.py\n"
        "=== live or refused: x y\n--- app.py deleted\n--- b.py\nc\n"
    )
    case = read(path)
    assert case.says == "Says."
    first = {"app.py": "a\n", "b.py": ""}
    assert case.sequence.sources == [first, {"b.py": "c\n"}, first]
    assert case.expected == (Expected(True, True, frozenset({"x", "y"})),)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_an_edit_is_live_and_right_or_refused_and_left(bench, path):
    case = read(path)
    if sys.version_info < case.python:
        pytest.skip(f"its syntax needs Python {case.python}")
    verdict = bench.judge(case.sequence)
    assert not verdict.bad, f"{case.says} Release {verdict.at}: {verdict.steps} {verdict.differences[:5]}"
    assert verdict.outcomes != ["no start"], case.says
    for number, (outcome, expected) in enumerate(zip(verdict.outcomes, case.expected, strict=False)):
        refused = expected.refused or not case.lives[0] <= sys.version_info < case.lives[1]
        allowed = expected.live if outcome == "live" else refused
        assert allowed, f"{case.says} Release {number}: {outcome} {verdict.refusals}"
        if outcome != "live" and expected.codes:
            assert expected.codes & set(verdict.codes), f"{case.says} Release {number}: {verdict.refusals}"


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="docs/what-is-hot.md, What it does not see")
@pytest.mark.parametrize("path", sorted(FOLDER.glob("known/*.txt")), ids=lambda path: path.stem)
def test_an_edit_that_is_known_to_be_live_and_wrong(bench, path):
    case = read(path)
    verdict = bench.judge(case.sequence)
    assert not verdict.bad, f"{case.says} {verdict.differences[:5]}"
