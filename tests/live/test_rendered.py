"""Templates that change, and what was made of them: memos are emptied, what only a start reads is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.started import run

pytestmark = pytest.mark.slow

APP = """\
from functools import cache, cached_property, lru_cache
from flask import Flask, render_template

app = Flask(__name__)
{more}

@app.get("/")
def index():
    return {shown}
"""
SCRIPT = """\
from flask_habanero.asset import Asset
from flask_habanero.errors import AssetError

overlay = running.overlay
overlay.begin(overlay.disk)
page = Asset.of("templates/page.html", b"pushed")
style = Asset.of("static/style.css", b"p { }")

def shown():
    return app.app.test_client().get("/").text

def push(asset, text=None):
    text = running.tree["app"].text if text is None else text
    units = [build_unit(Source("app", "app.py", package=False, text=text))] if text else []
    assets = {**overlay.assets, asset.name: asset}
    try:
        plan = running.plan(units, [], assets)
    except AssetError as error:
        return [[reason.code, reason.where] for reason in error.reasons], shown()
    if not plan.reasons:
        running.commit(plan)
    return [[reason.code, reason.where] for reason in plan.reasons], shown()

text = json.loads(sys.stdin.read())
found = {"before": shown()}
found["style"] = push(style)
found["both"] = push(Asset.of(page.name, b"both"), text)
found["page"] = push(page)
print(json.dumps(found))
"""


def pushed(folder: Path, more: str, shown: str, later: str = "", script: str = SCRIPT) -> Any:
    """Return what became of a stylesheet, a template with code, a template.

    Of each: why and where it was refused, and what the page shows.
    """
    (folder / "templates").mkdir()
    (folder / "templates/page.html").write_text("disk")
    (folder / "static").mkdir()
    (folder / "static/style.css").write_text("a { }")
    text = APP.format(more=more, shown=shown)
    return json.loads(run(folder, text, script, json.dumps(APP.format(more=more + later, shown=shown))))


RENDER = "return render_template('page.html')"
MEMOS = {
    "lru_cache": ("@lru_cache\ndef page():\n    return render_template('page.html')", "page()"),
    "one that calls who renders": (
        "def render():\n    return render_template('page.html')\n@cache\ndef page():\n    return render()",
        "page()",
    ),
    "a property": (
        f"class Page:\n    @cached_property\n    def text(self): {RENDER}\npage = Page()",
        "page.text",
    ),
    "a template that is kept": (
        "@cache\ndef page():\n    return app.jinja_env.get_or_select_template('page.html')",
        "page().render()",
    ),
}


@pytest.mark.parametrize("name", MEMOS)
def test_a_memo_gives_what_the_template_says_now(tmp_path: Path, name: str) -> None:
    found = pushed(tmp_path, *MEMOS[name])
    assert found == {
        "before": "disk",
        "style": [[], "disk"],
        "both": [[], "both"],
        "page": [[], "pushed"],
    }


READ = {
    "by another name": (
        "from flask import render_template as shown\nwith app.app_context():\n    PAGE = shown('page.html')",
        "PAGE",
    ),
    "through a function of Python's": (
        "with app.app_context():\n    PAGE = list(map(render_template, ['page.html']))[0]",
        "PAGE",
    ),
    "a template": (
        "with app.app_context():\n    PAGE = app.jinja_env.get_template('page.html')",
        "PAGE.render()",
    ),
    "a page": ("with app.app_context():\n    PAGE = render_template('page.html')", "PAGE"),
    "in a function": (f"def page(): {RENDER}\nwith app.app_context(): PAGE = page()", "PAGE"),
    "in one that another makes": (
        f"def outer():\n  def page(): {RENDER}\n  return page()\nwith app.app_context(): PAGE = outer()",
        "PAGE",
    ),
    "in a class": (
        "class Page:\n    with app.app_context():\n        text = render_template('page.html')",
        "Page.text",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_start_reads_is_refused_when_it_changes(tmp_path: Path, name: str) -> None:
    found = pushed(tmp_path, *READ[name])
    assert found["style"] == [[], "disk"]
    assert [code for code, _ in found["page"][0]] == ["template-read"]
    assert found["page"][1] == "disk"


NAMED = {
    "listed": "__all__ = ['render_template']",
    "by another name": "show = render_template",
    "given to templates": "app.add_template_global(render_template)",
    "in a view": f"@app.get('/other')\ndef other(): {RENDER}",
}


@pytest.mark.parametrize("name", NAMED)
def test_who_only_names_what_reads_templates_reads_none(tmp_path: Path, name: str) -> None:
    found = pushed(tmp_path, NAMED[name], "render_template('page.html')")
    assert found["page"] == [[], "pushed"]


LATER = {
    "a statement": "\nwith app.app_context():\n    PAGE = app.jinja_env.get_template('page.html')",
    "in a call": f"\ndef page(): {RENDER}\nwith app.app_context(): PAGE = page()",
}


@pytest.mark.parametrize("name", LATER)
def test_so_is_code_that_reads_what_comes_with_it(tmp_path: Path, name: str) -> None:
    """It would read the one that was there: what runs does so before the templates are served."""
    found = pushed(tmp_path, "", "render_template('page.html')", LATER[name])
    assert found["both"][0]
    assert found["both"][1] == "disk"
    assert found["page"] == [[], "pushed"]


def test_a_worker_could_not_start_with_code_that_reads_what_was_pushed_before(tmp_path: Path) -> None:
    """Each release by itself is live; one that starts meets both at once."""
    later = "\nwith app.app_context():\n    PAGE = app.jinja_env.get_template('page.html')"
    script = SCRIPT.replace('push(Asset.of(page.name, b"both"), text)', "push(page)")
    script = script.replace('found["page"] = push(page)', 'found["page"] = push(page, text)')
    found = pushed(tmp_path, "", "render_template('page.html')", later, script)
    assert found["both"] == [[], "pushed"]
    assert found["page"] == [[["template-read", "app:6"]], "pushed"]
