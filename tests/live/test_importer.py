"""Modules that load late come from what the program runs, whatever lies on the disk by now."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path
from typing import Any

import pytest
from flask_habanero.live import importer

from tests.properties.processes import Farm, Sources, folder, hot_imports, release, start, write

FILES: Sources = {
    "shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\n",
    "shop/late.py": "WORD = 'as it was'\n",
    "shop/gone.py": "WORD = 'gone'\n",
}


def _late(targets: list[Sources], disk: Sources, wanted: list[str]) -> list[Any]:
    from flask_habanero.live import program, startup

    with folder() as root:
        write(root, FILES)
        running = program.attach(start(root, "shop:app"))
        startup.stop()
        for target in targets:
            assert release(running, target).outcome == "live"
        write(root, disk)
        importlib.invalidate_caches()
        found: list[Any] = []
        for name in wanted:
            try:
                module = importlib.import_module(name)
                found.append(
                    (module.WORD, getattr(module, "__file__", "").replace(root, ""), name in sys.modules)
                )
            except ImportError as error:
                found.append(str(error))
        found.append(sorted(path.name for path in Path(root).rglob("*.py*")))
        return found


@pytest.fixture
def farm() -> Any:
    farm = Farm(hot_imports)
    yield farm
    farm.close()


def test_a_module_that_was_not_loaded_is_what_it_was_when_the_app_started(farm):
    found = farm.run(_late, [], {"shop/late.py": "WORD = 'by somebody else'\n"}, ["shop.late"])
    assert found[0] == ("as it was", "/shop/late.py", True)


def test_a_module_that_was_not_loaded_is_what_a_release_made_it(farm):
    target = {**FILES, "shop/late.py": "WORD = 'released'\n", "shop/new/__init__.py": "WORD = 'new'\n"}
    target["shop/new/deep.py"] = "from . import WORD\n"
    found = farm.run(_late, [target], {}, ["shop.late", "shop.new.deep", "shop.new"])
    assert found[0] == ("released", "/shop/late.py", True)
    assert found[1] == ("new", "/shop/new/deep.py", True)
    assert found[2] == ("new", "/shop/new/__init__.py", True)
    assert found[3] == ["__init__.py", "gone.py", "late.py"], "source files on the server are never written"


def test_a_module_that_a_release_deleted_is_not_found_though_its_file_is_there(farm):
    target = {path: text for path, text in FILES.items() if path != "shop/gone.py"}
    found = farm.run(_late, [target], {}, ["shop.gone", "shop.late"])
    assert "a release deleted it" in found[0]
    assert found[1][0] == "as it was"


def test_a_module_that_came_back_is_found(farm):
    without = {path: text for path, text in FILES.items() if path != "shop/gone.py"}
    again = {**without, "shop/gone.py": "WORD = 'back'\n"}
    assert farm.run(_late, [without, again], {}, ["shop.gone"])[0][0] == "back"


@pytest.mark.parametrize("text", ["", "a = 1\nb = 2", "a = 1\n", "a = '\x0c \x85 \u2028'\n\n", "\n\n"])
def test_lines_are_shown_as_a_file_would_be_read(tmp_path, text):
    file = tmp_path / "m.py"
    file.write_text(text, "utf-8", newline="")
    importer.show_source("shown.py", text)
    assert linecache.getlines("shown.py") == linecache.updatecache(str(file))
    del linecache.cache["shown.py"]
