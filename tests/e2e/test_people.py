"""Several people, one running app: nobody's work is undone silently, by anybody's tool."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Serve, Server
from tests.e2e.laptops import Clone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SYNC = ("-w", "2")


def served(server: Server) -> tuple[object, object]:
    """Return what all workers say, who must agree."""
    (both,) = {(answer["text"], answer["greeting"]) for answer in server.ask_all(2).values()}
    return both


def test_two_people_edit_different_files(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    anns, bobs = ann.watch().ready(), bob.watch().ready()
    ann.edit('"one"', '"of ann"')
    assert anns.expect("live")["release"] == 1
    bob.edit('"hello"', '"from bob"', "texts")
    assert bobs.expect("live")["release"] == 2
    assert served(server) == ("of ann", "from bob")
    newer = bobs.events[0]
    assert (newer["outcome"], newer["files"]) == ("newer", ["app.py"])
    assert "ann" in newer["reasons"][0]["what"]
    ann.edit('"of ann"', '"of ann again"')
    assert anns.expect("live")["files"] == ["app.py"]
    assert served(server) == ("of ann again", "from bob")


def test_two_people_edit_the_same_file(serve: Serve, clone: Clone) -> None:
    """The second one is told by whom and in which release, and nothing is sent until they decide."""
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    anns, bobs = ann.watch().ready(), bob.watch().ready()
    ann.edit('"one"', '"of ann"')
    anns.expect("live")
    bob.edit('"one"', '"of bob"')
    conflict = bobs.expect("conflict", "app.py")
    (reason,) = conflict["reasons"]
    assert "ann" in reason["what"]
    assert "#1" in reason["what"]
    assert "--sync" in reason["hint"]
    assert served(server) == ("of ann", "hello")
    assert bob.push().code == 3
    assert bob.push("--yes").code == 3  # no question was asked that it could answer
    assert served(server) == ("of ann", "hello")
    done = bob.push("--sync")
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    assert served(server) == ("of bob", "hello")
    ann.edit('"of ann"', '"of ann again"')
    assert "bob" in anns.expect("conflict", "app.py")["reasons"][0]["what"]
    assert served(server) == ("of bob", "hello")


def test_bringing_the_other_edit_in_ends_a_conflict(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    ann.edit('"one"', '"of ann"')
    assert ann.push().code == 0
    bob.edit('"hits"', '"count"')
    assert bob.run("push").code == 3
    bob.save(ann.read())  # as a pull does
    assert bob.push().last["outcome"] == "unchanged"
    bob.edit('"of ann"', '"of both"')
    assert bob.push().last["outcome"] == "live"
    assert served(server) == ("of both", "hello")


def test_two_people_push_at_the_same_moment(serve: Serve, clone: Clone) -> None:
    """Each edits a file of their own, ten times: all edits are live in the end, in twenty releases."""
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    anns, bobs = ann.watch().ready(), bob.watch().ready()
    for number in range(10):
        ann.save(ann.read().replace(text_of(number), text_of(number + 1)))
        bob.save(bob.read("texts").replace(greeting_of(number), greeting_of(number + 1)), "texts")
        anns.expect("live", "app.py")
        bobs.expect("live", "texts.py")
        assert served(server) == (f"ann {number + 1}", f"bob {number + 1}")
    assert server.peer().hello().release == 20


def text_of(number: int) -> str:
    return f'"ann {number}"' if number else '"one"'


def greeting_of(number: int) -> str:
    return f'"bob {number}"' if number else '"hello"'


def test_a_stale_checkout_that_starts_to_watch_undoes_nothing(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    assert bob.push().last["outcome"] == "unchanged"  # bob was here before
    ann.edit('"one"', '"of ann"')
    assert ann.push().code == 0
    watch = bob.watch().ready()
    newer = watch.expect("newer", "app.py")
    assert "ann" in newer["reasons"][0]["what"]
    assert served(server) == ("of ann", "hello")
    bob.edit('"hello"', '"from bob"', "texts")
    watch.expect("live", "texts.py")
    assert served(server) == ("of ann", "from bob")
    done = bob.push()
    assert (done.code, done.last["outcome"]) == (0, "unchanged")  # explicitly, too: it is not bob's edit
    assert served(server) == ("of ann", "from bob")


def test_a_stranger_to_the_releases_is_asked_and_without_a_terminal_ends_with_3(
    serve: Serve, clone: Clone
) -> None:
    """A checkout that never met this server, and differs from it, decides nothing by itself."""
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    ann.edit('"one"', '"of ann"')
    assert ann.push().code == 0
    for command in ("watch", "push"):
        done = bob.run(command, "--json")
        assert done.code == 3, done.said
        assert "Traceback" not in done.said
        assert "app.py" in done.said
    assert served(server) == ("of ann", "hello")


def test_a_rollback_while_others_watch_stays_rolled_back(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    anns, bobs = ann.watch().ready(), bob.watch().ready()
    ann.edit('"one"', '"wrong"')
    anns.expect("live")
    done = bob.run("rollback", "--yes", "--json")
    assert (done.code, done.last["outcome"], done.last["release"]) == (0, "live", 2), done.said
    assert served(server) == ("one", "hello")
    ann.edit('"hello"', '"good day"', "texts")  # another file: what was rolled back does not come along
    assert anns.expect("live")["files"] == ["texts.py"]
    assert served(server) == ("one", "good day")
    bob.edit('"good day"' if '"good day"' in bob.read("texts") else '"hello"', '"of bob"', "texts")
    assert bobs.expect("conflict", "texts.py")
    ann.edit('"wrong"', '"right"')  # the file itself: a new edit, by the one whose it is
    assert anns.expect("live")["files"] == ["app.py"]
    assert served(server) == ("right", "good day")


def test_a_rollback_by_number_takes_everyone_back(serve: Serve, clone: Clone) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann, bob = clone(server, "ann"), clone(server, "bob")
    for number in (1, 2, 3):
        ann.save(ann.read().replace(text_of(number - 1), text_of(number)))
        assert ann.push().last["release"] == number
    done = bob.run("rollback", "1", "--json")
    assert done.code == 3  # two releases: a decision, and nobody is there to take it
    assert served(server) == ("ann 3", "hello")
    done = bob.run("rollback", "1", "--yes", "--json")
    assert (done.code, done.last["release"]) == (0, 4), done.said
    assert served(server) == ("ann 1", "hello")
    watch = ann.watch().ready()
    assert watch.expect("held", "app.py")["reasons"][0]["code"] == "rolled-back"
    assert served(server) == ("ann 1", "hello")  # nothing goes by itself
    assert ann.push().last["outcome"] == "live"
    assert served(server) == ("ann 3", "hello")  # only because ann said so
