"""What git does to a tree goes live as a whole: a switch, a merge, a rebase; never half of it."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from tests.e2e.conftest import Serve, Server
from tests.e2e.laptops import Clone, Laptop, Watch

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MANY = 500
APP = """\
from flask import Flask
from flask_habanero import Habanero

from parts import m000
from words import ONE, TWO, THREE

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    return {"words": [ONE, TWO, THREE], "first": m000.number()}
"""
WORDS = 'ONE = "one"\n\n\n\n\nTWO = "two"\n\n\n\n\nTHREE = "three"\n'


def part(number: int, of: str) -> str:
    return f"def number():\n    return {of!r}, {number}\n"


def parts(folder: Path, of: str, count: int) -> None:
    for number in range(count):
        (folder / "parts" / f"m{number:03}.py").write_text(part(number, of))


def at_work(serve: Serve, clone: Clone, place: Path, count: int) -> tuple[Server, Laptop]:
    """Return a server of some parts, and a laptop with a first commit."""
    (place / "site" / "parts").mkdir(parents=True)
    (place / "site" / "parts" / "__init__.py").write_text("")
    parts(place / "site", "main", count)
    server = serve("-w", "1", files={"app": APP, "words": WORDS})
    server.get()
    ann = clone(server)
    ann.git("add", "-A")
    ann.git("commit", "-q", "-m", "as deployed")
    return server, ann


def commit_word(ann: Laptop, old: str, new: str) -> None:
    ann.edit(old, new, "words")
    ann.git("commit", "-q", "-a", "-m", new)


def pushed_and_watched(ann: Laptop) -> Watch:
    """Agree with the server, and watch from there."""
    assert ann.push().last["release"] == 1
    return ann.watch().ready()


def nothing_more(ann: Laptop, number: int) -> None:
    """Check that what is saved now is the next release, and alone."""
    ann.save("LAST = 1\n", "parts/last")
    event = ann.watches[-1].next()
    assert (event["outcome"], event["release"], event["files"]) == ("live", number, ["parts/last.py"]), event


def test_a_switch_of_500_files_is_one_release(serve: Serve, clone: Clone, tmp_path: Path) -> None:
    server, ann = at_work(serve, clone, tmp_path, MANY)
    before = ann.git("branch", "--show-current").decode().strip()
    ann.git("switch", "-q", "-c", "feature")
    parts(ann.folder, "feature", MANY)
    (ann.folder / "parts" / "m499.py").unlink()
    (ann.folder / "parts" / "new.py").write_text("NEW = 1\n")
    ann.edit("one", "eins", "words")
    ann.git("add", "-A")
    ann.git("commit", "-q", "-m", "all of them")
    ann.git("switch", "-q", "-")
    watch = ann.watch().ready()
    ann.git("switch", "-q", "feature")
    event = watch.next()
    assert (event["outcome"], event["release"], len(event["files"])) == ("live", 1, MANY + 2), event
    watch.says(f"git went from {before} to feature: {MANY + 2} files went out in #1")
    assert server.get() == {"words": ["eins", "two", "three"], "first": ["feature", 0]}
    nothing_more(ann, 2)


@pytest.mark.long
def test_the_lock_is_waited_for(serve: Serve, clone: Clone, tmp_path: Path) -> None:
    """A git that is slow between two files: longer than any silence."""
    _, ann = at_work(serve, clone, tmp_path, 1)
    watch = ann.watch().ready()
    with ann.many_files():
        ann.edit("one", "eins", "words")
        Event().wait(0.5)
        (ann.folder / "parts" / "m000.py").write_text(part(0, "slow"))
    event = watch.next()
    assert (event["release"], sorted(event["files"])) == (1, ["parts/m000.py", "words.py"])


@pytest.fixture
def diverged(serve: Serve, clone: Clone, tmp_path: Path) -> tuple[Server, Laptop]:
    """Two branches: `feature` has two commits more, and the present one another, that does not touch them."""
    server, ann = at_work(serve, clone, tmp_path, 2)
    ann.git("switch", "-q", "-c", "feature")
    commit_word(ann, "three", "drei")
    parts(ann.folder, "feature", 2)
    ann.git("commit", "-q", "-a", "-m", "parts")
    ann.git("switch", "-q", "-")
    commit_word(ann, "one", "eins")
    return server, ann


@pytest.mark.long
def test_a_merge_is_one_release(diverged: tuple[Server, Laptop]) -> None:
    server, ann = diverged
    watch = pushed_and_watched(ann)
    ann.git("merge", "-q", "--no-edit", "feature")
    event = watch.next()
    assert (event["release"], len(event["files"])) == (2, 3), event
    assert server.get() == {"words": ["eins", "two", "drei"], "first": ["feature", 0]}
    nothing_more(ann, 3)


@pytest.mark.long
def test_a_rebase_is_one_release(diverged: tuple[Server, Laptop]) -> None:
    """It first takes the tree to another commit, then goes on from there step by step."""
    server, ann = diverged
    for number in range(6):
        commit_word(ann, "two" if number == 0 else f"two{number - 1}", f"two{number}")
    watch = pushed_and_watched(ann)
    ann.git("rebase", "-q", "feature")
    event = watch.next()
    assert (event["release"], len(event["files"])) == (2, 3), event
    assert server.get() == {"words": ["eins", "two5", "drei"], "first": ["feature", 0]}
    nothing_more(ann, 3)


def test_conflicts_are_waited_for(diverged: tuple[Server, Laptop]) -> None:
    """A merge stops: what it merged well is half of a version, what it did not has marks in it."""
    server, ann = diverged
    commit_word(ann, "three", "trois")
    watch = pushed_and_watched(ann)
    with pytest.raises(AssertionError):
        ann.git("merge", "-q", "--no-edit", "feature")
    watch.says("nothing is sent until it is done: conflicts in words.py")
    ann.save(WORDS.replace("one", "eins").replace("three", "drei et trois"), "words")
    ann.git("add", "words.py")
    event = watch.next()
    assert (event["release"], len(event["files"])) == (2, 3), event
    assert server.get() == {"words": ["eins", "two", "drei et trois"], "first": ["feature", 0]}
    ann.git("commit", "-q", "--no-edit")
    nothing_more(ann, 3)


@pytest.mark.long
def test_a_merge_that_is_given_up_sends_nothing(diverged: tuple[Server, Laptop]) -> None:
    server, ann = diverged
    commit_word(ann, "three", "trois")
    watch = pushed_and_watched(ann)
    with pytest.raises(AssertionError):
        ann.git("merge", "-q", "--no-edit", "feature")
    watch.says("nothing is sent until it is done: conflicts in words.py")
    ann.git("merge", "--abort")
    nothing_more(ann, 2)
    assert server.get() == {"words": ["eins", "two", "trois"], "first": ["main", 0]}
