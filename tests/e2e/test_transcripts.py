"""The transcripts of the pages are what the commands print: every line is run again, and compared.

``HABANERO_WRITE=1 pytest tests/e2e/test_transcripts.py`` writes what they print now into the pages.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.laptops import ROOT, Clone
from tests.e2e.transcripts import Page, same, shown_by_hand

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SHOP = {
    "shop/__init__.py": """\
from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)

from shop import views
""",
    "shop/views.py": """\
from shop import app


@app.get("/")
def index() -> str:
    return "Hello, world."
""",
}
CART = """

@app.get("/cart")
def cart() -> str:
    return "Empty."
"""
APP = """\
from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index() -> str:
    return "Hello, world."
"""
STAGING = """\
[tool.habanero.targets.staging]
url = "https://my.app"
secret_env = "STAGING_SECRET"
"""
PAGES = [
    Page("README.md", "shop:app", SHOP),
    Page("docs/commands.md", "shop:app", SHOP),
    Page("docs/doctor.md", "app:app", {"app.py": APP}, {"pyproject.toml": STAGING}),
    Page("docs/hooks.md", "shop:app", SHOP | {"shop/views.py": SHOP["shop/views.py"] + CART}),
    Page("docs/quickstart.md", "app:app", {"app.py": APP}),
    Page("docs/turning-it-off.md", "app:app", {"app.py": APP}),
]


@pytest.mark.timeout(400)  # a page has up to forty commands
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_shows_what_the_commands_print(
    serve: Serve, clone: Clone, tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page.path.read_text("utf-8")
    writes = "HABANERO_WRITE" in os.environ
    monkeypatch.delenv("HABANERO_WRITE", raising=False)  # doctor tells that the server knows no such key
    now = page.made(serve, clone, tmp_path / "site")
    if writes:
        page.path.write_text(now, "utf-8")
    assert now == before


def test_no_page_shows_what_no_command_printed() -> None:
    made = {page.path for page in PAGES}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    by_hand = {str(path): shown_by_hand(path.read_text("utf-8"), is_made=path in made) for path in pages}
    assert {path: blocks for path, blocks in by_hand.items() if blocks} == {}


@pytest.mark.parametrize(
    "block",
    [
        "```\n$ flask habanero status\nlive  shop\n```\n",
        "```text\n14:03:02  live  #42\n```\n",
        "   ```sh\n   $ ls\n   $ flask habanero push\n   nothing to do\n   ```\n",
    ],
)
def test_what_was_written_by_hand_is_found(block: str) -> None:
    assert len(shown_by_hand(f"Text.\n{block}\nText.\n", is_made=True)) == 1


def test_what_shows_no_output_needs_none() -> None:
    assert shown_by_hand("```console\n$ ls\n$ flask habanero push\n```\n", is_made=False) == []
    assert shown_by_hand("```console\n$ flask habanero push\nlive\n```\n", is_made=True) == []


def test_what_differs_from_run_to_run_is_made_the_same() -> None:
    assert same("12:00:01  live  #42    a.py   12.3 ms\n#1  13 s ago     ann") == (
        "14:02:11  live  #42    a.py   9.8 ms\n#1  4 s ago      ann"
    )
    assert same("x = 1  \n1/1 workers (1 asleep)\n") == "x = 1\n2/2 workers\n"
