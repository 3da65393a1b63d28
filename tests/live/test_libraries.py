"""A library that nothing has imported yet is imported before it is told what code that calls it does."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from .started import run

APP = "from flask import Flask\napp = Flask(__name__)\n"
OUTER = """\
def made():
    import lib_inner
    return lib_inner.made()
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder on the path with libraries: one imports the next when it is called, one prints, one fails."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "lib_outer.py").write_text(OUTER)
    (folder / "lib_inner.py").write_text("def made():\n    return [1]\n")
    (folder / "lib_forks.py").write_text("import os\ndef made():\n    return os.fork()\n")
    (folder / "lib_broken.py").write_text("1 / 0\n")
    return folder


def told(tmp_path: Path, library: str, method: str) -> list[str]:
    """Return the codes of a plan, then which of the libraries are imported."""
    script = f"""
        sys.path.append(str({str(tmp_path / "site-packages")!r}))
        from flask_habanero.change import Change
        from flask_habanero.errors import ColdChangeError
        from flask_habanero.moves import foresee, plan_to
        text = {APP!r} + "import {library}\\nMADE = {library}.made()\\n"
        source = Source("app", "app.py", package=False, text=text)
        try:
            {method}(running, Change({{"app": source}}, {{}}, "digest"))
        except ColdChangeError as error:
            print(*(reason.code for reason in error.reasons))
        print(*sorted(name for name in sys.modules if name.startswith("lib_")))
    """
    return run(tmp_path, APP, textwrap.dedent(script)).splitlines()


def test_a_push_imports_it_and_what_it_imports_in_turn(tmp_path: Path, installed: Path) -> None:
    assert told(tmp_path, "lib_outer", "plan_to") == ["lib_inner lib_outer"]


def test_a_plan_imports_nothing_and_says_that_first(tmp_path: Path, installed: Path) -> None:
    assert told(tmp_path, "lib_outer", "foresee") == ["not-loaded effect", ""]


def test_one_that_is_read_and_found_wanting_is_a_reason_and_stays(tmp_path: Path, installed: Path) -> None:
    assert told(tmp_path, "lib_forks", "plan_to") == ["effect", "lib_forks"]
    assert told(tmp_path, "lib_forks", "foresee") == ["not-loaded effect", ""]


def test_one_that_does_not_load_is_a_reason(tmp_path: Path, installed: Path) -> None:
    assert told(tmp_path, "lib_broken", "plan_to") == ["import-missing", ""]


def test_one_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    assert told(tmp_path, "lib_absent", "plan_to") == ["effect", ""]
