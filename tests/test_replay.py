"""The replay of histories finds what it is there to find: shown on a small history made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.replay import tables
from benchmarks.replay.histories import App, Git, read_apps
from benchmarks.replay.replay import HERE, ROOT, Bench, differences, replay_step

pytestmark = pytest.mark.slow

INIT = """\
from flask import Flask

app = Flask(__name__)

from shop import views
"""
PRICES = "VAT = 0.2\nPRICES = {'tea': 10}\n"
VIEWS = """\
from flask import render_template

from shop import app
from shop.prices import PRICES, VAT

LABEL = f"VAT {VAT}"


@app.get("/")
def index():
    return f"{LABEL}: {sorted(PRICES)}"
"""
TREES = [
    ("first", {"shop/__init__.py": INIT, "shop/prices.py": PRICES, "shop/views.py": VIEWS}),
    ("live-equal", {"shop/views.py": VIEWS.replace("sorted", "list")}),
    ("live-equal", {"shop/prices.py": PRICES.replace("0.2", "0.3")}),
    ("skipped-asset", {"shop/templates/index.html": "<p>"}),
    ("skipped-asset", {"tests/test_shop.py": "assert 1\n"}),
    ("refused", {"shop/__init__.py": INIT.replace("__name__", "__name__, static_folder=None")}),
    ("child-does-not-boot", {"shop/prices.py": PRICES + "1 / 0\n"}),
    ("parent-does-not-boot", {"shop/prices.py": PRICES}),
]
APP = App("shop", "made up", ("shop",), ("shop:app",), (), newest="HEAD")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A repository whose commits are named by what their replay must find."""
    folder = tmp_path_factory.mktemp("shop")
    who = {
        f"GIT_{role}_{part}": f"{role}@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*args):
        subprocess.run(["git", *args], cwd=folder, env=env, check=True, capture_output=True)

    git("init")
    for message, files in TREES:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        git("add", ".")
        git("commit", "-m", message)
    return Git(APP, folder / ".git")


def bench(tmp_path: Path, push: str = "worker:push") -> Bench:
    return Bench(Path(sys.executable), tmp_path, ROOT, push)


def replayed(shop: Git, tmp_path: Path, push: str) -> dict:
    """Replay the first step with another way to push."""
    return replay_step(APP, shop, next(shop.steps()), bench(tmp_path, f"tests.test_replay:{push}"))


# Ways to push that are wrong, as an engine could be. They run in the replayed process.


def nothing(running, job):
    """Say that it is live, and do nothing."""
    return {"outcome": "live"}


def half(running, job):
    """Change something, then refuse."""
    sys.modules["shop.views"].LABEL = "changed"
    return {"outcome": "refused", "reasons": []}


def late(running, job):
    """Take the release, and leave a page behind that nobody registered."""
    from benchmarks.replay.worker import push

    told = push(running, job)
    sys.modules["shop"].app.view_functions["ghost"] = sys.modules["shop.views"].index
    return told


def end(running, job):
    """End the process."""
    os._exit(3)


def test_each_step_has_the_outcome_that_its_change_deserves(shop, tmp_path):
    """Live and equal, refused, not bootable, skipped: told apart, with the dirty ones clean."""
    found = [replay_step(APP, shop, step, bench(tmp_path)) for step in shop.steps()]
    assert [step["outcome"] for step in found] == [message for message, _ in TREES[1:]], found


def test_a_release_that_is_not_live_is_a_difference(shop, tmp_path):
    """A push that does nothing and says "live" is the worst fault: it has the words of both sides."""
    found = replayed(shop, tmp_path, "nothing")
    assert found["outcome"] == "live-DIFFERENT"
    assert any("shop.views" in path for path in found["differences"])


def test_a_refusal_that_changed_something_is_dirty(shop, tmp_path):
    """A refused release must leave the process exactly as before."""
    found = replayed(shop, tmp_path, "half")
    assert found["outcome"] == "refused-DIRTY"
    assert "shop.views.LABEL" in found["differences"]


def test_a_stray_view_beside_a_good_release_is_a_difference(shop, tmp_path):
    """What a cold start would not have is found even where all that is wanted is there."""
    assert list(replayed(shop, tmp_path, "late")["differences"]) == ["app0 view ghost"]


def test_a_process_that_ends_is_a_crash(shop, tmp_path):
    """No answer is no success."""
    assert replayed(shop, tmp_path, "end")["outcome"] == "CRASH-died"


def test_differences_name_what_is_missing_on_either_side():
    """Both directions count: a name too many and a name too few."""
    assert differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == {
        "b": ("2", "3"),
        "c": ("nothing", "4"),
        "a": ("1", "nothing"),
    }


def test_the_list_of_apps_can_be_read():
    """Each app of the list has a history, an entry, and top-level names."""
    apps = read_apps(HERE / "apps.toml")
    assert len({app.name for app in apps}) == len(apps) >= 8
    assert all(app.tops and app.entries and (app.newest or app.versions) for app in apps)


@pytest.mark.parametrize(
    ("path", "shipped"),
    [
        ("shop/views.py", True),
        ("shop/__init__.py", True),
        ("shop/tests/test_views.py", False),
        ("shop/test_views.py", False),
        ("shop/migrations/0001_first.py", False),  # no name that an import statement could have
        ("shop/templates/index.html", False),
        ("setup.py", False),
        ("other/views.py", False),
    ],
)
def test_only_importable_files_of_the_app_are_shipped(path, shipped):
    """Tests, assets and other trees are no steps."""
    assert APP.ships(path) is shipped


def test_the_page_shows_the_results_that_are_there():
    """No number of docs/replay.md was written by hand; ``python -m benchmarks.replay.tables`` writes them."""
    assert tables.PAGE.read_text("utf-8") == tables.write(tables.PAGE, tables.read(HERE / "results"))
