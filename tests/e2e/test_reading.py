"""What the server has, read by real client processes from real workers; and the way back into git."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from flask_habanero.client.tree import read_tree

from tests.e2e.conftest import APP, TEXTS, Serve, Server
from tests.e2e.laptops import Clone, Laptop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SYNC = ("-w", "2")


@pytest.fixture(autouse=True)
def parts(tmp_path: Path) -> Path:
    """Make a package on the server's disk: new modules go there, other top-level names may not change."""
    site = tmp_path / "site"
    (site / "parts").mkdir(parents=True)
    (site / "parts" / "__init__.py").write_text("")
    return site


def committed(clone: Clone, server: Server) -> Laptop:
    ann = clone(server)
    ann.git("commit", "-qm", "as deployed")
    return ann


def two_releases_and_a_rollback(ann: Laptop) -> None:
    ann.edit('"one"', '"two"')
    ann.save("RATE = 20\n", "parts/vat")
    assert ann.push().code == 0
    ann.edit('"hello"', '"good day"', "texts")
    assert ann.push().code == 0
    assert ann.run("rollback").code == 0


def test_log_show_diff_export_and_status_after_two_releases_and_a_rollback(
    serve: Serve, clone: Clone
) -> None:
    server = serve(*SYNC)
    server.ask_all(2)
    ann = committed(clone, server)
    two_releases_and_a_rollback(ann)
    live = ann.read()

    rows = [json.loads(line) for line in ann.out("log", "--json").splitlines()]
    assert [(row["number"], row["kind"], row["changes"], row["live"]) for row in rows] == [
        (3, "rollback", {"texts": "~"}, True),
        (2, "push", {"texts": "~"}, False),
        (1, "push", {"app": "~", "parts.vat": "+"}, True),
        (0, "base", {}, True),
    ]
    assert {row["who"] for row in rows[:3]} == {rows[0]["who"]}
    assert rows[2]["note"].endswith(", dirty")
    assert [line.split()[0] for line in ann.out("log").decode().splitlines()] == ["#3", "#2", "#1", "#0"]

    assert ann.out("show", "app").decode() == live
    assert ann.out("show", "app:text").decode() == 'def text():\n    return "two"\n'
    assert ann.out("show", "app:text", "--at", "base").decode() == 'def text():\n    return "one"\n'
    assert ann.out("show", "texts").decode() == TEXTS
    assert b'+    return "good day"\n' in ann.out("show", "2")
    assert b'-    return "good day"\n' in ann.out("show", "3")

    assert ann.out("diff", "0", "1").count(b"diff --git") == 2
    assert ann.out("diff", "1", "3") == ann.out("diff", "3", "1") == b""
    assert ann.out("diff", "disk") == ann.out("diff", "base", "head") == ann.out("diff", "0", "1")
    assert b'+    return "good day"\n' in ann.out("diff")  # taken back there, and still in the tree
    assert ann.run("diff", "--exit-code").code == 6

    status = ann.run("status", "--json").last
    assert [(row["path"], row["release"]["number"]) for row in status["drift"]] == [
        ("app.py", 1),
        ("parts/vat.py", 1),
    ]
    patch = ann.out("export")
    ann.git("stash", "-qu")
    ann.git("apply", given=patch)
    assert (ann.read(), ann.read("texts"), ann.read("parts/vat")) == (live, TEXTS, "RATE = 20\n")
    assert ann.push().last["outcome"] == "unchanged"


def test_reading_back_after_a_restart_and_from_a_second_laptop(serve: Serve, clone: Clone) -> None:
    """What the workers know of it they read from the ledger, also those that were not there."""
    server = serve(*SYNC)
    server.ask_all(2)
    ann = committed(clone, server)
    two_releases_and_a_rollback(ann)
    bob = clone(server, "bob")
    assert b'return "two"' in bob.out("show", "app:text")
    assert bob.run("status", "--json").last["drift"] == []  # no commit, no HEAD
    assert bob.out("export") == bob.out("diff", "tree", "head")


def test_templates_and_static_files_are_read_back_and_exported(
    serve: Serve, clone: Clone, parts: Path
) -> None:
    page, css, logo = "templates/page.html", "static/shop.css", "static/logo.png"
    picture = bytes(range(256)) * 9
    for name, data in ((page, b"one\n"), (css, b"p { }\n"), (logo, picture)):
        (parts / name).parent.mkdir(exist_ok=True)
        (parts / name).write_bytes(data)
    server = serve(*SYNC)
    server.ask_all(2)
    ann = committed(clone, server)
    assert ann.push().last["outcome"] == "unchanged"  # from now on what is deleted here was there
    (ann.folder / page).write_text("two\n")
    (ann.folder / css).write_text("b { }\n")
    (ann.folder / logo).unlink()
    (ann.folder / "static/new.png").write_bytes(picture[::-1])
    shown = ann.out("diff")
    assert ann.push().last["outcome"] == "live"
    files = ["static/logo.png", "static/new.png", css, page]
    drift = ann.run("status", "--json").last["drift"]
    assert [row["path"] for row in drift] == files
    assert shown == ann.out("diff", "base") == ann.out("show", "1") == ann.out("export")
    assert b"-one\n+two\n" in shown
    clean = ann.folder.parent / "clean"
    ann.git("clone", "-q", str(ann.folder), str(clean))
    ann.git("apply", "--index", folder=clean, given=ann.out("export"))
    for name in (page, css, "static/new.png"):
        assert (clean / name).read_bytes() == (ann.folder / name).read_bytes()
    assert not (clean / logo).exists()
    (server.folder / css).write_text("deployed { }\n")  # of the base there is only a digest
    assert ann.out("diff", "base").count(b"diff --git") == 3
    assert f"another file by now, so not in this difference: {css}" in ann.run("diff", "base").said


FORMS = {
    "plain": b"x = 1\ny = 2\n",
    "windows": "def f(): return 'ü'\r\n\r\n\r\nx = 1\r\n".encode(),
    "open_end": b"x = 1\ny = 2",
    "latin": "# -*- coding: latin-1 -*-\nname = 'Zoë'\n".encode("latin-1"),
    "marked": b"\xef\xbb\xbf" + "x = '\U0001f336'\n".encode(),
    "mixed": b"x = 1\r\ny = 2\nz = 3\r\n",
    "empty": b"",
    "pages": b"x = 1\n\x0c\ny = 2\n",
}
LINES = ["x = 1", "y = 'ä'", "", "    # \u2028", "def f(): return 2", "# ñ", "\x0c"]


IMPORTED = ("app", "texts", "__init__")


class Editor:
    """Edits a working copy at random: changes, adds and deletes files that the app does not import."""

    def __init__(self, ann: Laptop, seed: int) -> None:
        self.ann, self.random, self.made = ann, random.Random(seed), 0

    def edit(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            there = [path for path in sorted(self.ann.folder.rglob("*.py")) if path.stem not in IMPORTED]
            kind = self.random.choice(["change", "change", "add", "delete"])
            if kind == "add" or not there:
                self.made += 1
                folder = self.random.choice(["", "deep/"])
                self.write(self.ann.folder / f"parts/{folder}m{self.made}.py", b"")
            elif kind == "change":
                path = self.random.choice(there)
                self.write(path, path.read_bytes())
            else:
                self.random.choice(there).unlink()

    def write(self, path: Path, old: bytes) -> None:
        """Write some lines of the old ones and some others, in the old one's encoding, with any ends."""
        encoding = "latin-1" if b"latin-1" in old else "utf-8"
        lines = old.decode(encoding).splitlines(keepends=True)
        kept = [line for n, line in enumerate(lines) if n == 0 or self.random.random() < 0.8]
        for _ in range(self.random.randint(0, 4)):
            text = self.random.choice(LINES).encode(encoding, "ignore").decode(encoding)
            kept.insert(self.random.randint(1, len(kept) + 1), text + self.random.choice(["\n", "\r\n"]))
        text = "".join(line if line.endswith("\n") else line + "\n" for line in kept)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((text if self.random.random() < 0.7 else text.rstrip("\r\n")).encode(encoding))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))])
def test_what_is_exported_makes_a_clean_checkout_equal_to_what_is_live(
    serve: Serve, clone: Clone, parts: Path, tmp_path: Path, seed: int
) -> None:
    for name, data in FORMS.items():
        (parts / f"{name}.py").write_bytes(data)
    server = serve(*SYNC, files={"app": APP, "texts": TEXTS})
    server.ask_all(2)
    ann = committed(clone, server)
    editor, changed = Editor(ann, seed), 0
    for number in range(6):
        if number == 4:
            assert ann.run("rollback").code == 0
        else:
            editor.edit()
            pushed = ann.push("--sync")  # also over what the rollback took back
            assert pushed.last["outcome"] in ("live", "unchanged"), pushed.said
        clean = tmp_path / f"clean{number}"
        ann.git("clone", "-q", str(ann.folder), str(clean))
        patch = ann.out("export")
        if patch:
            changed += 1
            ann.git("apply", "--whitespace=nowarn", folder=clean, given=patch)
        live = {name: row[0] for name, row in server.peer().hello().data["tree"].items()}
        tree = read_tree([clean], {name.partition(".")[0] for name in live})
        assert tree.digests == live, (number, patch)
    assert changed >= 4
