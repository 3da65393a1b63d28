"""Which files are which modules."""

import os
import subprocess

import pytest
from flask_habanero.client.tree import is_on_disk, read_tree, reread_tree


def fill(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"# {path}\n")


def names(folder, *allowed, known=()):
    return set(read_tree((folder,), allowed, known).sources)


def git(folder, *ignored):
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("\n".join(ignored))


def test_a_name_is_the_path_below_the_root(tmp_path):
    fill(tmp_path, "shop/__init__.py", "shop/views.py", "shop/deep/er/x.py", "app.py")
    tree = read_tree((tmp_path,), {"shop", "app"})
    assert set(tree.sources) == {"shop", "shop.views", "shop.deep.er.x", "app"}  # namespaces, too
    assert tree.sources["shop"].package
    assert tree.sources["shop"].path == "shop/__init__.py"
    assert not tree.sources["shop.views"].package


def test_other_names_are_ignored_and_counted(tmp_path):
    fill(tmp_path, "shop/__init__.py", "setup.py", "scripts/x.py")
    tree = read_tree((tmp_path,), {"shop"})
    assert set(tree.sources) == {"shop"}
    assert tree.ignored == 2


@pytest.mark.parametrize(
    "odd", ["shop/2024.py", "shop/a-b.py", "shop/my dir/x.py", "shop/naïve.py", "__init__.py"]
)
def test_what_can_not_be_a_module_is_none(tmp_path, odd):
    fill(tmp_path, "shop/__init__.py", odd)
    assert names(tmp_path, "shop", "__init__") == {"shop"}


@pytest.mark.parametrize(
    "folder", ["venv", "node_modules", "__pycache__", ".tox", "build", "x.egg-info", "tests"]
)
def test_without_a_repository_nobodys_folders_are_left_out(tmp_path, folder):
    fill(tmp_path, "shop/__init__.py", f"shop/{folder}/x.py")
    assert names(tmp_path, "shop") == {"shop"}


def test_with_a_repository_its_rules_hold(tmp_path):
    fill(tmp_path, "shop/__init__.py", "shop/build/x.py", "shop/_version.py", "shop/gen/y.py")
    git(tmp_path, "_version.py", "gen/")
    assert names(tmp_path, "shop") == {"shop", "shop.build.x"}


def test_what_git_lists_and_is_gone_is_absent(tmp_path):
    fill(tmp_path, "shop/__init__.py", "shop/x.py")
    git(tmp_path)
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    (tmp_path / "shop/x.py").unlink()
    tree = read_tree((tmp_path,), {"shop"})
    assert set(tree.digests) == {"shop"}
    assert tree.ignored == 0


def test_tests_count_only_if_the_server_runs_them(tmp_path):
    fill(tmp_path, "shop/__init__.py", "shop/tests/x.py")
    git(tmp_path)
    assert names(tmp_path, "shop") == {"shop"}
    assert names(tmp_path, "shop", known={"shop.tests.x"}) == {"shop", "shop.tests.x"}


def test_two_files_of_one_module_are_said_and_never_sent(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one, "shop/x.py", "shop/y.py")
    fill(two, "shop/x.py")
    tree = read_tree((one, two), {"shop"})
    assert set(tree.sources) == {"shop.y"}
    assert "two files are the module shop.x" in str(tree.broken["shop.x"])
    assert "shop.x" in tree.digests  # never absent: that would delete it


def test_a_module_beside_its_package_is_such_a_clash(tmp_path):
    fill(tmp_path, "shop/x.py", "shop/x/__init__.py")
    assert "shop.x" in read_tree((tmp_path,), {"shop"}).broken


@pytest.mark.parametrize("file", ["shop/x.py", "shop/x/__init__.py"])
def test_a_clash_stays_one_when_either_file_is_saved_and_ends_when_one_goes(tmp_path, file):
    """Never is one of the two sent, as if the other were not there; what is left is the module."""
    fill(tmp_path, "shop/x.py", "shop/x/__init__.py")
    tree = read_tree((tmp_path,), {"shop"})
    (tmp_path / file).write_text("saved = 'again'\n")
    again = reread_tree(tree, [tmp_path / file])
    assert again.digests == tree.digests
    assert "shop.x" in again.broken
    (tmp_path / file).unlink()
    after = reread_tree(again, [tmp_path / file])
    (other,) = {"shop/x.py", "shop/x/__init__.py"} - {file}
    assert after.sources["shop.x"].path == other
    assert not after.broken


@pytest.mark.parametrize("data", [b"# coding: klingon\n", b"x = '\xff'\n"])
def test_a_file_that_is_no_text_is_broken_never_absent(tmp_path, data):
    fill(tmp_path, "shop/__init__.py")
    (tmp_path / "shop/x.py").write_bytes(data)
    tree = read_tree((tmp_path,), {"shop"})
    assert tree.broken["shop.x"].path == "shop/x.py"
    assert tree.digests["shop.x"].startswith("!")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_broken(tmp_path):
    fill(tmp_path, "shop/x.py")
    (tmp_path / "shop/x.py").chmod(0)
    assert "shop.x" in read_tree((tmp_path,), {"shop"}).broken


def test_reading_again_sees_only_what_was_named(tmp_path):
    fill(tmp_path, "shop/__init__.py", "shop/x.py", "shop/y.py")
    tree = read_tree((tmp_path,), {"shop"})
    (tmp_path / "shop/x.py").write_text("new\n")
    (tmp_path / "shop/y.py").unlink()
    again = reread_tree(tree, [tmp_path / "shop/x.py"])
    assert again.sources["shop.x"].text == "new\n"
    assert "shop.y" in again.sources
    assert "shop.y" not in reread_tree(again, [tmp_path / "shop/y.py"]).sources
    assert again.sources["shop"] is tree.sources["shop"]


def test_reading_again_finds_new_files_and_heals_broken_ones(tmp_path):
    fill(tmp_path, "shop/__init__.py")
    path = tmp_path / "shop/x.py"
    path.write_bytes(b"\xff")
    tree = read_tree((tmp_path,), {"shop"})
    path.write_text("x = 1\n")
    fill(tmp_path, "shop/new.py")
    tree = reread_tree(tree, [path, tmp_path / "shop/new.py"])
    assert (set(tree.sources), tree.broken) == ({"shop", "shop.x", "shop.new"}, {})


def test_a_module_that_became_a_package_is_one_module(tmp_path):
    fill(tmp_path, "shop/__init__.py", "shop/x.py")
    tree = read_tree((tmp_path,), {"shop"})
    (tmp_path / "shop/x.py").unlink()
    fill(tmp_path, "shop/x/__init__.py")
    tree = reread_tree(tree, [tmp_path / "shop/x.py", tmp_path / "shop/x/__init__.py"])
    assert tree.sources["shop.x"].package
    assert not tree.broken


def test_a_file_that_is_ignored_is_still_on_disk(tmp_path):
    fill(tmp_path, "shop/x.py", "shop/y/__init__.py")
    tree = read_tree((tmp_path,), {"shop"})
    assert is_on_disk(tree, "shop.x")
    assert is_on_disk(tree, "shop.y")
    assert not is_on_disk(tree, "shop.z")
