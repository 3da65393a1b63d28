"""Which branch is checked out, of real repositories."""

import subprocess

import pytest
from flask_habanero.client.checkout import SHORT, Checkout


@pytest.fixture
def git(tmp_path):
    def run(*words, folder=tmp_path / "repository"):
        named = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
        return subprocess.run([*named, *words], check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "repository" / "shop").mkdir(parents=True)
    run("init", "-q", "-b", "main")
    run("commit", "-q", "--allow-empty", "-m", "x")
    return run


def test_a_switch_is_told_once_and_by_name(tmp_path, git):
    checkout = Checkout(tmp_path / "repository" / "shop")
    git("switch", "-q", "-c", "fix/vat")
    assert checkout.moved() == "from main to fix/vat"
    assert checkout.moved() == ""
    git("commit", "-q", "--allow-empty", "-m", "y")  # the branch moves, and stays the branch
    assert checkout.moved() == ""
    git("switch", "-q", "--detach")
    assert checkout.moved() == f"from fix/vat to {git('rev-parse', 'HEAD')[:SHORT]}"


def test_a_worktree_has_a_branch_of_its_own(tmp_path, git):
    git("worktree", "add", "-q", "-b", "feature", str(tmp_path / "tree"))
    checkout = Checkout(tmp_path / "tree")
    git("switch", "-q", "-c", "other")
    assert checkout.moved() == ""
    git("switch", "-q", "-c", "mine", folder=tmp_path / "tree")
    assert checkout.moved() == "from feature to mine"


def test_without_a_repository_nothing_moves_until_there_is_one(tmp_path, git):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    checkout = Checkout(folder)
    assert checkout.moved() == ""
    git("init", "-q", "-b", "main", folder=folder)
    assert checkout.moved() == "to main"
