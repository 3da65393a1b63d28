"""An editor that saves at random, a real watcher, and a server: in the end both trees are the same, always.

    python -m tests.e2e.editing --saves 1000 --kills 100 --seed 1 --json docs/results/random-saves.json

The watcher is a process of its own, over real files; the server is `FakeServer`, which keeps a tree and runs
nothing: what is asked is whether everything that was saved arrives, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from tests.e2e import saving
from tests.e2e.laptops import ROOT, Laptop, Watch
from tests.fake_server import FakeServer

WORD = re.compile(r"w\d+w")
WAYS = [
    saving.vs_code,
    saving.in_pieces,
    saving.like_vim,
    saving.pycharm,
    saving.emacs,
    saving.gedit,
    saving.kate,
    saving.sublime,
    saving.from_outside,
    saving.removed_and_written,
    saving.renamed_and_back,
    saving.windows,
]
TEXTS = {
    ".py": 'def number():\n    return "{}"\n',
    ".html": "<p>{}</p>\n{{% block inner %}}{{% endblock %}}\n",
    ".css": "p {{ content: '{}' }}\n",
}
PLACES = {".py": "shop", ".html": "shop/templates", ".css": "shop/static"}
BRANCHES = ("main", "feature", "fix")
BOBS = [f"shop.bob{number}" for number in range(3)]  # that another person edits, on the server
COMES_S = 20.0


@dataclass
class Editor:
    """A person at one working copy, who does whatever the dice say.

    Attributes:
        folder: of the working copy.
        saves: how many files were written, made, moved or deleted so far.
        did: how often each thing was done.
    """

    laptop: Laptop
    dice: random.Random
    saves: int = 0
    did: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """Lay out a project, and put it under git."""
        for folder in ("shop/inner", "shop/templates/mail", "shop/static/img"):
            (self.folder / folder).mkdir(parents=True)
        for name in ("shop", "shop/inner"):
            (self.folder / name / "__init__.py").write_text("")
        for module in BOBS:
            (self.folder / module.replace(".", "/")).with_suffix(".py").write_text("by = 'nobody'\n")
        (self.folder / "pyproject.toml").write_text("")
        for suffix, place in PLACES.items():
            for number in range(8):
                (self.folder / place / f"f{number}{suffix}").write_text(self.text(suffix))
        self.laptop.git("init", "-q", "-b", BRANCHES[0])
        self.laptop.git("add", "-A")
        self.laptop.git("commit", "-q", "-m", "begin")

    @property
    def folder(self) -> Path:
        return self.laptop.folder

    def text(self, suffix: str) -> str:
        return TEXTS[suffix].format(f"w{self.dice.randrange(10**9)}w")

    def files(self) -> list[Path]:
        """Return what may be edited: not what is another person's, not what makes a package."""
        mine = [p for suffix, place in PLACES.items() for p in (self.folder / place).rglob(f"*{suffix}")]
        return sorted(p for p in mine if not p.name.startswith(("__init__", "bob")))

    def save(self, path: Path) -> None:
        """Put another word into a file, in some way."""
        (old,) = WORD.findall(path.read_text())
        self.dice.choice(WAYS)(path, old, f"w{self.dice.randrange(10**9)}w")
        self.saves += 1

    def act(self) -> None:
        """Do something."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (50, self.one),
            (8, self.burst),
            (8, self.make),
            (5, self.delete),
            (6, self.rename),
            (2, self.rename_folder),
            (4, self.switch),
            (4, self.mistake),
            (3, self.again),
            (10, self.think),
        ]
        act = self.dice.choices([a for _, a in acts], [weight for weight, _ in acts])[0]
        self.did[act.__name__] += 1
        act()

    def one(self) -> None:
        self.save(self.dice.choice(self.files()))

    def burst(self) -> None:
        files = self.files()
        for path in self.dice.sample(files, min(len(files), self.dice.randrange(2, 15))):
            self.save(path)

    def again(self) -> None:
        """The same file several times, as fast as it goes."""
        path = self.dice.choice(self.files())
        for _ in range(4):
            self.save(path)

    def make(self) -> None:
        path = self.fresh(self.dice.choice(list(PLACES)))
        path.write_text(self.text(path.suffix))
        self.saves += 1

    def delete(self) -> None:
        files = self.files()
        if len(files) > 12:
            self.dice.choice(files).unlink()
            self.saves += 1

    def rename(self) -> None:
        path = self.dice.choice(self.files())
        path.rename(self.fresh(path.suffix))
        self.saves += 1

    def rename_folder(self) -> None:
        folders = [p for p in self.folder.glob("shop/**/") if p.name.startswith(("inner", "mail", "img"))]
        folder = self.dice.choice(folders)
        folder.rename(folder.with_name(f"{re.sub('[0-9]', '', folder.name)}{self.dice.randrange(10**6)}"))
        self.saves += 1

    def switch(self) -> None:
        """Commit, and go to another branch, with what other commits have."""
        self.laptop.git("add", "-A")
        self.laptop.git("commit", "-q", "--allow-empty", "-m", "a day's work")
        branch = self.dice.choice(BRANCHES)
        there = self.laptop.git("branch", "--list", branch)
        self.laptop.git("switch", "-q", *(() if there else ("-c",)), branch)
        self.saves += 1

    def mistake(self) -> None:
        """Save what does not compile, think, and correct it."""
        path = self.dice.choice([p for p in self.files() if p.suffix == ".py"])
        right = self.text(".py")
        path.write_text(f"def ({right}")
        self.think()
        path.write_text(right)
        self.saves += 2

    def think(self) -> None:
        Event().wait(self.dice.choice((0.002, 0.02, 0.1)))

    def fresh(self, suffix: str) -> Path:
        """Return a path where nothing is, in some folder of that kind."""
        inner = {".py": "inner", ".html": "mail", ".css": "img"}[suffix]
        place = self.folder / PLACES[suffix]
        folder = self.dice.choice([place, *place.glob(f"{inner}*/")])
        return folder / f"f{self.dice.randrange(10**9)}{suffix}"

    def tree(self) -> dict[str, str]:
        """Return what lies there, as the server is to have it: name -> text."""
        found = {}
        for path in sorted(self.folder.glob("shop/**/*")):
            name = path.relative_to(self.folder).as_posix()
            if path.suffix == ".py":
                module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                found[module] = path.read_text()  # with \n at the ends of lines
            elif path.suffix in TEXTS:
                found[name] = path.read_bytes().decode()
        return {name: text for name, text in found.items() if name not in BOBS}


@dataclass
class Trial:
    """One laptop, one server, and what happened."""

    editor: Editor
    server: FakeServer
    watch: Watch | None = None
    by_bob: dict[str, str] = field(default_factory=dict)

    def served(self) -> dict[str, str]:
        """Return what the server has: name -> text; it holds its lock, or the caller does."""
        modules = {name: source.text for name, source in self.server.tree.items() if name not in BOBS}
        return modules | {a.name: (a.data or b"").decode() for a in self.server.assets.values()}

    def settles(self) -> None:
        """Check that the server comes to have what the laptop has, and that nobody's work was undone."""
        mine = self.editor.tree()
        try:
            self.server.wait_for(lambda: self.served() == mine, COMES_S)
        except AssertionError:
            theirs, events = self.served(), self.watch.events[-3:] if self.watch else []
            names = sorted(n for n in {*mine, *theirs} if mine.get(n) != theirs.get(n))
            rows = [(name, mine.get(name), theirs.get(name)) for name in names]
            raise AssertionError((rows, events, self.watch and self.watch.words)) from None
        for module, text in self.by_bob.items():
            assert self.server.tree[module].text == text, module

    def bob(self) -> None:
        """Let the other person change a module of theirs."""
        module, text = self.editor.dice.choice(BOBS), self.editor.text(".py")
        self.server.release({module: text})
        self.by_bob[module] = text

    def start(self) -> Watch:
        self.watch = self.editor.laptop.watch()
        return self.watch

    def kill(self) -> None:
        """End the watcher as a power cut does, but for the disk's own cache."""
        assert self.watch is not None
        self.watch.kill()


@contextmanager
def trial(place: Path, seed: int) -> Iterator[Trial]:
    """Give a laptop that has met a server with the same tree."""
    server = FakeServer().start()
    server.tree.clear()
    folder = place / "work"
    folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "HABANERO_", "GIT_"))}
    laptop = Laptop(
        "ann",
        folder,
        {
            **kept,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "HABANERO_SECRET": server.secret,
            "HABANERO_URL": server.url,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(place / "state"),
        },
    )
    made = Trial(Editor(laptop, random.Random(seed)), server)
    try:
        made.editor.begin()
        done = laptop.push()
        assert done.code == 0, done.said
        made.settles()
        yield made
    finally:
        for watch in laptop.watches:
            watch.end()
        server.stop()


def many_saves(place: Path, seed: int, saves: int) -> dict[str, object]:
    """Save so often, and look now and then, and in the end, whether both have the same."""
    with trial(place, seed) as made:
        made.start().ready()
        editor, looks, due = made.editor, 0, 0
        begun = time.monotonic()
        while editor.saves < saves:
            editor.act()
            if editor.saves >= due:
                made.settles()
                looks, due = looks + 1, editor.saves + editor.dice.randrange(1, 20)
        made.settles()
        assert made.watch is not None
        assert made.watch.end() == 0
        outcomes = Counter(event["outcome"] for event in made.watch.events)
        return {
            "saves": editor.saves,
            "compared": looks + 1,
            "releases": made.server.head,
            "outcomes": dict(outcomes),
            "did": dict(editor.did),
            "seconds": round(time.monotonic() - begun),
        }


def many_kills(place: Path, seed: int, kills: int) -> dict[str, object]:
    """Kill the watcher so often, each time at some instant, while it is edited; start it again."""
    with trial(place, seed) as made:
        editor = made.editor
        begun, started_s = time.monotonic(), 1.0
        for number in range(kills):
            start = time.monotonic()
            watch = made.start()
            if number % 2:  # from its start, to when it has watched for a while
                watch.ready()
                started_s = time.monotonic() - start
            end = (
                start + editor.dice.uniform(0, 0.5) + (started_s if number % 2 else editor.dice.uniform(0, 1))
            )
            while time.monotonic() < end:
                editor.act()
                if not editor.dice.randrange(8):
                    made.bob()
            made.kill()
            if editor.dice.randrange(2):
                editor.act()
        made.start()
        made.settles()
        assert made.watch is not None
        assert made.watch.ready().end() == 0
        return {
            "kills": kills,
            "saves": editor.saves,
            "releases": made.server.head,
            "seconds": round(time.monotonic() - begun),
        }


def main() -> None:
    """Run both, print, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--saves", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write what came out there")
    options = parser.parse_args()
    results: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "seed": options.seed,
    }
    for name, run, count in (("saves", many_saves, options.saves), ("kills", many_kills, options.kills)):
        place = Path(tempfile.mkdtemp(prefix="habanero-editing-"))
        try:
            results[name] = run(place, options.seed, count)
        finally:
            shutil.rmtree(place)
        sys.stdout.write(f"{name} {results[name]}\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
