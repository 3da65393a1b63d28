"""New modules beside the app's own: those that it imports are its code."""

import pytest
from flask_habanero.client.beside import imported
from flask_habanero.client.tree import read_tree, reread_tree
from flask_habanero.client.watch import Folders
from flask_habanero.source import Source

ALLOWED = ("app", "*")


def lay(folder, **texts):
    for name, text in texts.items():
        path = (folder / name.replace("__", "/")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(folder, known=("app",), allowed=ALLOWED):
    return read_tree((folder,), allowed, known)


def test_what_known_modules_import_counts_and_what_that_imports(tmp_path):
    lay(
        tmp_path, app="import tools\n", tools="from rates import RATE\n", rates="RATE = 1\n", script="x = 1\n"
    )
    tree = read(tmp_path)
    assert set(tree.sources) == {"app", "tools", "rates"}
    assert tree.ignored == 1


@pytest.mark.parametrize(
    "text",
    [
        "import lib.deep\n",
        "from lib import deep\n",
        "def index():\n    from lib.deep import x\n    return x\n",
        "try:\n    import lib\nexcept ImportError:\n    lib = None\n",
    ],
)
def test_a_folder_that_is_imported_counts_as_a_whole(tmp_path, text):
    lay(tmp_path, app=text, lib__deep="x = 1\n", lib__more="y = 1\n")
    assert set(read(tmp_path).sources) == {"app", "lib.deep", "lib.more"}


@pytest.mark.parametrize("name", ["setup", "conftest", "test_shop", "json", "tests", ".hidden", "a-b"])
def test_what_is_no_new_module_does_not_count(tmp_path, name):
    lay(tmp_path, app=f"import {name.strip('.').replace('-', '_')}\n", **{name: "x = 1\n"}, tests__x="")
    assert set(read(tmp_path).sources) == {"app"}


@pytest.mark.parametrize(
    "text", ["# import tools\n", "NAME = 'tools'\n", "from .tools import x\n", "tools(:\n"]
)
def test_only_an_import_counts(tmp_path, text):
    lay(tmp_path, app=text, tools="x = 1\n")
    assert set(read(tmp_path).digests) == {"app"}


def test_where_the_server_takes_no_new_ones_nothing_more_counts(tmp_path):
    lay(tmp_path, app="import tools\n", tools="x = 1\n")
    assert set(read(tmp_path, allowed=("app",)).sources) == {"app"}


def test_what_the_server_has_by_now_counts_without_an_import(tmp_path):
    lay(tmp_path, app="", tools="x = 1\n")
    assert set(read(tmp_path, known=("app", "tools")).sources) == {"app", "tools"}


def test_only_what_lies_in_the_same_root_counts(tmp_path):
    lay(tmp_path, one__app="import tools\n", two__tools="x = 1\n")
    assert set(read_tree((tmp_path / "one", tmp_path / "two"), ALLOWED, ("app",)).sources) == {"app"}


def test_a_module_and_a_package_of_one_name_are_said(tmp_path):
    lay(tmp_path, app="import tools\n", tools="x = 1\n", tools__x="")
    (tmp_path / "tools" / "__init__.py").write_text("")
    assert "two files are the module tools" in str(read(tmp_path).broken["tools"])


STEPS = [
    {"app": "import tools\n"},
    {"app": "import tools, json  # again\n"},
    {"tools": "import rates\n"},
    {"app": "import (\n"},
    {"app": "x = 1\n"},
    {"rates": None},
    {"app": "import tools\n"},
    {"tools": None},
]


def test_reading_again_comes_to_what_reading_comes_to(tmp_path):
    """Whatever was saved: one file read again is the whole tree read again."""
    lay(tmp_path, app="", tools="x = 1\n", rates="x = 1\n", script="")
    tree, seen = read(tmp_path), []
    for step in STEPS:
        ((name, text),) = step.items()
        path = tmp_path / f"{name}.py"
        path.unlink() if text is None else path.write_text(text)
        tree = reread_tree(tree, [path])
        assert tree.digests == read(tmp_path).digests
        seen.append(len(tree.digests))
    assert seen == [2, 2, 3, 1, 1, 1, 2, 1]


def test_a_save_that_imports_nothing_else_reads_one_file(tmp_path):
    lay(tmp_path, app="import tools\n", tools="x = 1\n")
    tree = read(tmp_path)
    lay(tmp_path, app="import tools\nx = 1\n", tools="y = 1\n")
    assert reread_tree(tree, [tmp_path / "app.py"]).sources["tools"] is tree.sources["tools"]


def test_a_text_without_the_names_is_not_parsed():
    source = Source("app", "app.py", False, "import json\n")
    assert imported(source, {"tools"}) == frozenset()
    assert "parsed" not in vars(source)


def test_the_watcher_looks_at_what_may_be_new_modules(tmp_path):
    lay(tmp_path, app="", tools="", lib__x="", venv__x="", docs__deep__x="")
    folders = Folders((tmp_path,), frozenset(ALLOWED))
    assert folders.recursive() == [tmp_path / "lib"]
    assert {path.relative_to(tmp_path).as_posix() for path in folders.files()} == {
        "app.py",
        "tools.py",
        "lib/x.py",
    }
    assert folders.wants(tmp_path / "new.py")
    assert not folders.wants(tmp_path / "venv" / "x.py")
    assert not Folders((tmp_path,), frozenset({"app"})).wants(tmp_path / "new.py")
