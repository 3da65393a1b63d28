"""Functions behind caches of libraries: emptied where a cold start would find none, and only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.started import run

pytestmark = pytest.mark.slow

APP = """\
from flask import Flask, render_template
{head}
app = Flask(__name__)
CALLS = []
{cache}
def price(): return "old"
def other(): return "other"
{view}
"""
SCRIPT = """\
from flask_habanero.asset import Asset

client = app.app.test_client()
overlay = running.overlay
overlay.begin(overlay.disk)

def push(text=None, assets=None):
    text = running.tree["app"].text if text is None else text
    plan = running.plan([build_unit(Source("app", "app.py", package=False, text=text))], [], assets)
    assert not plan.reasons, plan.reasons
    running.commit(plan)
    return client.get("/").text, len(app.CALLS)

text = running.tree["app"].text
found = [[client.get("/").text, len(app.CALLS)], [client.get("/").text, len(app.CALLS)]]
found.append(push(text.replace('"other"', '"another"')))
found.append(push(text.replace('"old"', '"new"')))
page = Asset.of("templates/page.html", b"{{ price }} pushed")
found.append(push(assets={page.name: page}))
print(json.dumps(found))
"""
FLASK = {
    "head": "from flask_caching import Cache",
    "cache": "cache = Cache(app, config={'CACHE_TYPE': 'SimpleCache'})",
}
TOOLS = {"head": "import cachetools", "cache": "cache = cachetools.TTLCache(10, 1000)"}
CACHES: dict[str, dict[str, str]] = {
    "a view": {
        **FLASK,
        "view": "@app.get('/')\n@cache.cached()\ndef index():\n    CALLS.append(1)\n    return SHOWN",
    },
    "what a view calls": {
        **FLASK,
        "view": "@cache.memoize()\ndef page(number):\n    CALLS.append(number)\n    return SHOWN\n"
        "@app.get('/')\ndef index(): return page(1)",
    },
    "a mapping": {
        **TOOLS,
        "view": "@cachetools.cached(cache)\ndef page():\n    CALLS.append(1)\n    return SHOWN\n"
        "@app.get('/')\ndef index(): return page()",
    },
    "a method": {
        **TOOLS,
        "view": "class Page:\n    @staticmethod\n    @cachetools.cached(cache)\n    def text():\n"
        "        CALLS.append(1)\n        return SHOWN\n@app.get('/')\ndef index(): return Page.text()",
    },
}


def answers(folder: Path, name: str, shown: str = "price()", **other: str) -> Any:
    """Return answers and how often they were made: twice before, after other code, the code, the template."""
    (folder / "templates").mkdir()
    (folder / "templates/page.html").write_text("{{ price }}")
    text = APP.format(**CACHES[name] | other).replace("SHOWN", shown)
    return json.loads(run(folder, text, SCRIPT))


@pytest.mark.parametrize("name", CACHES)
def test_it_is_emptied_where_what_it_keeps_would_be_another_thing(tmp_path: Path, name: str) -> None:
    assert answers(tmp_path, name) == [["old", 1], ["old", 1], ["old", 1], ["new", 2], ["new", 2]]


@pytest.mark.parametrize("name", CACHES)
def test_what_was_made_of_a_template_may_have_called_anything(tmp_path: Path, name: str) -> None:
    found = answers(tmp_path, name, "render_template('page.html', price=price())")
    assert found == [["old", 1], ["old", 1], ["old", 2], ["new", 3], ["new pushed", 4]]


def test_what_is_kept_in_files_a_cold_start_finds_too(tmp_path: Path) -> None:
    config = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path / "kept")}
    found = answers(tmp_path, "a view", cache=f"cache = Cache(app, config={config})")
    assert found == [["old", 1]] * 5


def test_what_the_apps_own_does_to_be_emptied_is_not_done(tmp_path: Path) -> None:
    view = "def cached(): return 'page ' + price()\ncached.cache_clear = lambda: CALLS.append('cleared')\n"
    view += "@app.get('/')\ndef index(): return cached()"
    assert [count for _, count in answers(tmp_path, "a view", view=view)] == [0, 0, 0, 0, 0]
