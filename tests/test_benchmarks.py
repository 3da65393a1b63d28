"""The pages that show measurements show those that are there."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_number_of_the_page_was_written_by_hand():
    tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"), run_name="tables")
    page = ROOT / "docs" / "benchmarks.md"
    assert page.read_text("utf-8") == tables["write"](page, ROOT / "benchmarks" / "results")


def test_what_assets_take_is_a_table_where_it_was_measured():
    live = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"), run_name="tables")["live_table"]
    result = json.loads((ROOT / "benchmarks" / "results" / "save_to_live.json").read_text())
    without = live(result)
    row = {"live": {"median": 12.34}, "answered": {"median": 23.45}}
    result["apps"]["sample_app"]["assets"] = {"code": row, "template": row}
    more = live(result).removeprefix(without)
    assert more.splitlines() == [
        "",
        "",
        "| sample_app, ms, medians, in turns | code | template |",
        "|---|--:|--:|",
        "| live | 12.3 | 12.3 |",
        "| answered | 23.4 | 23.4 |",
    ]
