"""Each reason of the documentation is given for its example, and nothing has changed then."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import flask_habanero
import pytest

from tests import examples
from tests.examples import DOCS, Example
from tests.fakes import tree_of
from tests.hosts import Host
from tests.oracle.process import differences
from tests.properties.processes import Farm

PACKAGE = Path(flask_habanero.__file__).parent
SECTIONS = examples.sections("reasons.md")
STARTED_AS_MAIN = {"loaded-twice"}
SINCE = {"type-params": (3, 12)}  # the syntax
ABOUT_ASSETS = {"template-syntax", "template-text", "template-read", "assets-size"}
"""No change of code provokes them: see live/test_overlay.py and live/test_rendered.py."""
ABOUT_A_WORKER = {"behind", "fault", "not-loaded", "cold-start", "no-restart"}
"""No push provokes them: see below, test_server.py, live/test_libraries.py and e2e/test_cold.py."""

_WALK = [(code, example) for code, text in SECTIONS.items() for example in examples.examples(text)]


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm(examples.prepare)
    yield farm
    farm.close()


@pytest.mark.parametrize(("code", "example"), _WALK, ids=[code for code, _ in _WALK])
def test_an_example_is_cold_for_its_reason_alone_and_changes_nothing(
    farm: Farm, code: str, example: Example
) -> None:
    """Through the public endpoint; the fingerprint before and after is taken by the oracle."""
    if sys.version_info < SINCE.get(code, (3, 11)):
        pytest.skip("this Python has no such syntax")
    done = farm.run(functools.partial(examples.push, as_main=code in STARTED_AS_MAIN), example)
    assert (done.outcome, done.codes) == ("cold", {code}), done.reasons
    assert differences(done.after, done.before) == []
    assert all(what and hint for _, _, what, hint in done.reasons), (
        "a person must read what is wrong, and what to do"
    )


def test_a_change_that_is_hot_is_not_taken_for_one_that_left_all_as_it_was(farm: Farm) -> None:
    """Else the comparison above could not fail."""
    page = "@@ app.py @@\n- LIMIT = 1\n+ LIMIT = 2\n"
    done = farm.run(examples.push, examples.examples(f"```diff\n{page}```\n")[0])
    assert done.outcome == "live", done.reasons
    assert differences(done.after, done.before)


def test_behind_a_worker_that_is_not_at_head_says_so_beside_its_reasons(tmp_path: Path) -> None:
    host = Host(tmp_path)
    try:
        worker = host.worker(tree_of(shop="x = 1"))
        peer = host.peer(worker)
        worker.worker.trouble = "ZeroDivisionError: division by zero"
        report = peer.push({"shop": "x = 2  #cold"})
    finally:
        host.close()
    assert report.outcome == "cold"
    assert report.reasons[0].code == "behind"
    assert "ZeroDivisionError" in report.reasons[0].what
    assert worker.program.tree["shop"].text == "x = 1"


def _firsts(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what stands in a source where a code is expected."""
    for node in ast.walk(tree):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) and node.args else ""
        if called.rpartition(".")[2] in ("refuse", "Reason"):
            yield node.args[0]


def _codes(tree: ast.AST) -> Iterator[str]:
    """Yield the codes of a source; those that are passed on stand where they were made."""
    for first in _firsts(tree):
        for one in [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.value


def test_each_code_of_the_source_has_its_section_and_each_section_a_code() -> None:
    sources = [path for path in PACKAGE.rglob("*.py") if "client" not in path.relative_to(PACKAGE).parts]
    found = {code for path in sources for code in _codes(ast.parse(path.read_text("utf-8")))}
    assert found == set(SECTIONS)


def test_no_code_is_put_together_at_run_time() -> None:
    """It would not be found by the test above: a code is a text in the source, or that of another reason."""
    known = re.compile(r"'[a-z-]+'( if .* else '[a-z-]+')?|code|.*\.(code|slug)|\*.*")
    found = [code for path in PACKAGE.rglob("*.py") for code in _firsts(ast.parse(path.read_text("utf-8")))]
    assert [code for code in map(ast.unparse, found) if not known.fullmatch(code)] == []


def test_each_section_has_an_example_and_a_way_out() -> None:
    lacking = [code for code, text in SECTIONS.items() if not examples.examples(text)]
    assert set(lacking) == ABOUT_A_WORKER | ABOUT_ASSETS
    assert [code for code, text in SECTIONS.items() if "Way out: " not in " ".join(text.split())] == []


def test_a_section_is_found_under_its_code() -> None:
    """The heading is the anchor that links and the client use."""
    headings = re.findall(r"^### (.+)$", (DOCS / "reasons.md").read_text("utf-8"), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert [heading for heading in headings if not re.fullmatch(r"`[a-z]+(-[a-z]+)*`", heading)] == []
