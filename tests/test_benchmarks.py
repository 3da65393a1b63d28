"""The pages that show measurements show those that are there."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_number_of_the_page_was_written_by_hand():
    tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"), run_name="tables")
    page = ROOT / "docs" / "benchmarks.md"
    assert page.read_text("utf-8") == tables["write"](page, ROOT / "benchmarks" / "results")
