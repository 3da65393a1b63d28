"""Transcripts: blocks of pages that are what commands print. They are made by running the commands.

In a page, comments before a block say what its reader does not see::

    <!-- before: COMMAND -->      is run first
    <!-- meanwhile: COMMAND -->   is run once the command, a `watch`, is ready; it ends after what comes of it
    <!-- until: WORDS -->         the line with which that is complete, if it is not one that says `live`

They know ``$SITE``, the server's folder, ``$SERVER``, its process, and ``fails COUNT PATH``, which asks
for a page until it fails, and then so many times more.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from threading import Timer

from tests.e2e.conftest import Serve, Server
from tests.e2e.laptops import ROOT, Clone, Laptop

NOTED = re.compile(r"<!-- (before|meanwhile|until): (.*?) -->\n")
BLOCK = re.compile(
    r"^((?: *<!-- (?:before|meanwhile|until): .*? -->\n)*)( *)```console\n(.*?)^\2```\n",
    re.DOTALL | re.MULTILINE,
)
FENCED = re.compile(r"^( *)```[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
ADDRESS = "https://my.app"  # stands on pages for the address of the test's own server
PATIENCE_S = 90.0  # for one command, on a loaded machine
PRELUDE = """\
fails() { python -c '
import sys, requests
while requests.get(sys.argv[2]).status_code < 500:
    pass
for _ in range(int(sys.argv[1])):
    requests.get(sys.argv[2])
' "$1" "$HABANERO_URL$2"; }
"""
SAME = [  # what differs from run to run -> what stands on the page
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-28 14:02:11"),
    (r"(?m)^\d\d:\d\d:\d\d", "14:02:11"),
    (r"\d+\.\d ms", "9.8 ms"),
    (r"\bin \d+\.\d\ds", "in 0.42s"),
    (r"\b(\d+) of \1 answers", "5 of 5 answers"),
    (r"\bin \d+ ms", "in 9 ms"),
    (r"\b[0-9a-f]{24}\.json", "1a2b3c4d5e6f708192a3b4c5.json"),
    (r"\b\d s apart", "0 s apart"),  # of one clock: what is told is what the answer took, rounded
    (r"gunicorn/[\d.]+", "gunicorn/25.1.0"),
    (r"of at most \d+", "of at most 65536"),
    (r"\b\d+ (s|min) ago *(?=  )", "4 s ago    "),
    (r"\b\d+ (s|min) ago(?=$|:)", "4 s ago"),
    (r"\b\d/\d workers( \(\d asleep\))?", "2/2 workers"),  # who has not served yet is asleep
    (r"epoch [0-9a-f]{8}", "epoch 24c610af"),
    (r"(?<!of )\b[0-9a-f]{7}\b", "1a2b3c4"),
    (r"hab_\w+_[\w-]{43}_[0-9a-f]{8}", "hab_k3f9a1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_0a1b2c3d"),
    (r"CPython 3\.\d+ \(bytecode [0-9a-f]{4}\)", "CPython 3.12 (bytecode cb0d)"),
    (r"[ \t]+$", ""),
]


def same(text: str) -> str:
    for pattern, words in SAME:
        text = re.sub(pattern, words, text, flags=re.MULTILINE)
    return text


def shown_by_hand(text: str, *, is_made: bool) -> list[str]:
    """Return the blocks of a page that show what a command printed, and that no command printed for it."""
    made = {match[3] for match in BLOCK.finditer(text)} if is_made else set()
    blocks = [(block, re.sub(f"(?m)^{space}", "", block)) for space, block in FENCED.findall(text)]
    return [block for block, words in blocks if shows_output(words) and block not in made]


def shows_output(block: str) -> bool:
    """Whether a block holds more than what a person types: a line under a command, or one like its own."""
    if re.search(r"^(\d\d:\d\d:\d\d  \w|error: |hint: |live  )", block, re.MULTILINE):
        return True
    _, typed, beneath = block.partition("$ flask habanero ")
    return bool(typed) and any(not line.startswith("$ ") for line in beneath.splitlines()[1:])


@dataclass
class Page:
    """A page, and the app that its commands are about.

    Attributes:
        name: below the root of the project.
        files: of the server's folder, with its app as `target`.
        extra: files that only the laptop has.
    """

    name: str
    target: str
    files: dict[str, str]
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return ROOT / self.name

    def made(self, serve: Serve, clone: Clone, site: Path) -> str:
        """Return the page with its transcripts as they come out when each command is run, in order."""
        for name, text in self.files.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        server = serve("-w", "2", files={}, target=self.target)
        ann = clone(server)
        ann.git("config", "user.email", "ann@example.org")
        ann.git("config", "user.name", "ann")
        ann.git("commit", "-qm", "as deployed")
        for name, text in self.extra.items():
            (ann.folder / name).write_text(text.replace(ADDRESS, server.url))
        ann.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ann.environ |= {"SITE": str(server.folder), "SERVER": str(server.process.pid)}
        ann.environ["STAGING_SECRET"] = ann.environ["HABANERO_SECRET"]
        page = self.path.read_text("utf-8")
        made = iter(list(transcripts(ann, server, page)))
        return BLOCK.sub(lambda _: next(made), page)


def placed(said: str, ann: Laptop, server: Server) -> str:
    """Return what was said with the address and the folders that pages speak of."""
    places = {
        server.url: ADDRESS,
        ann.environ["XDG_STATE_HOME"]: "/home/ann/.local/state",
        str(ann.folder): "/home/ann/shop",
        str(server.folder): "/tmp/shop",
    }
    for here, there in places.items():
        said = said.replace(here, there)
    return said


def run(ann: Laptop, command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", PRELUDE + command],
        cwd=ann.folder,
        env=ann.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout


def watched(ann: Laptop, command: str, meanwhile: str, until: str) -> str:
    """Return what a watcher prints until it has said what is waited for."""
    said = []
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=ann.folder,
        env=ann.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        patience = Timer(PATIENCE_S, process.kill)
        patience.start()
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("watching "):
                    run(ann, meanwhile)
                elif until in line:
                    process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0, said
        finally:
            patience.cancel()
            process.kill()
    return "".join(said)


def transcripts(ann: Laptop, server: Server, page: str) -> Iterator[str]:
    """Yield the blocks of a page as they come out when each of their commands is run, in order."""
    for match in BLOCK.finditer(page):
        notes = dict(NOTED.findall(match[1]))
        run(ann, notes.get("before", ""))
        lines = []
        for shown in re.findall(r"^ *\$ (.*)$", match[3], re.MULTILINE):
            command = shown.replace(ADDRESS, server.url)
            if "meanwhile" in notes:
                said = watched(ann, command, notes["meanwhile"], notes.get("until", "  live  "))
            else:
                said = run(ann, command)
            lines.append(f"$ {shown}\n{same(placed(said, ann, server))}")
        yield match[1] + indent(f"```console\n{''.join(lines)}```\n", match[2])
