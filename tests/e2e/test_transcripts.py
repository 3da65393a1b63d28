"""The transcripts of docs/commands.md are what the commands print: every line is run again, and compared.

``HABANERO_WRITE=1 pytest tests/e2e/test_transcripts.py`` writes what they print now into the page.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.laptops import SAYS_S, Clone, Laptop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
BLOCK = re.compile(r"(?:<!-- meanwhile: (.*?) -->\n)?```console\n(.*?)```\n", re.DOTALL)
FILES = {
    "shop/__init__.py": """\
from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)

from shop import views
""",
    "shop/views.py": """\
from shop import app


@app.get("/")
def index() -> str:
    return "Hello, world."
""",
}
SAME = [  # what differs from run to run -> what stands on the page
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-28 14:02:11"),
    (r"(?m)^\d\d:\d\d:\d\d", "14:02:11"),
    (r"\d+\.\d ms", "9.8 ms"),
    (r"\b\d+ (s|min) ago *(?=  )", "4 s ago    "),
    (r"\b\d+ (s|min) ago(?=$|:)", "4 s ago"),
    (r"\b\d/\d workers( \(\d asleep\))?", "2/2 workers"),  # who has not served yet is asleep
    (r"epoch [0-9a-f]{8}", "epoch 24c610af"),
    (r"\b[0-9a-f]{7}\b", "1a2b3c4"),
    (r"hab_\w+_[\w-]{43}_[0-9a-f]{8}", "hab_k3f9a1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_0a1b2c3d"),
    (r"CPython 3\.\d+ \(bytecode [0-9a-f]{4}\)", "CPython 3.12 (bytecode cb0d)"),
    (r"[ \t]+$", ""),
]


def same(text: str) -> str:
    for pattern, words in SAME:
        text = re.sub(pattern, words, text, flags=re.MULTILINE)
    return text


def commands_of(block: str) -> list[str]:
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def run(ann: Laptop, command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ann.folder,
        env=ann.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SAYS_S,
        check=False,
    )
    return done.stdout


def watched(ann: Laptop, command: str, meanwhile: str) -> str:
    """Return what a watcher prints until a save is live."""
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
        for line in process.stdout:
            said.append(line)
            if line.startswith("watching "):
                run(ann, meanwhile)
            elif "  live  " in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(SAYS_S) == 0, said
    return "".join(said)


def transcripts(ann: Laptop, page: str) -> Iterator[str]:
    """Yield the blocks of a page as they come out when each of their commands is run, in order."""
    for match in BLOCK.finditer(page):
        meanwhile, lines = match[1], []
        for command in commands_of(match[2]):
            said = watched(ann, command, meanwhile) if meanwhile else run(ann, command)
            lines.append(f"$ {command}\n{same(said)}")
        comment = f"<!-- meanwhile: {meanwhile} -->\n" if meanwhile else ""
        yield f"{comment}```console\n{''.join(lines)}```\n"


def test_the_page_shows_what_the_commands_print(serve: Serve, clone: Clone, tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    server = serve("-w", "2", files={}, target="shop:app")
    ann = clone(server)
    ann.git("config", "user.email", "ann@example.org")
    ann.git("config", "user.name", "ann")
    ann.git("commit", "-qm", "as deployed")
    ann.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    page = PAGE.read_text("utf-8")
    made = iter(list(transcripts(ann, page)))
    now = BLOCK.sub(lambda _: next(made), page)
    if os.environ.get("HABANERO_WRITE"):
        PAGE.write_text(now, "utf-8")
    assert now == page


def test_what_differs_from_run_to_run_is_made_the_same() -> None:
    assert same("12:00:01  live  #42    a.py   12.3 ms\n#1  13 s ago     ann") == (
        "14:02:11  live  #42    a.py   9.8 ms\n#1  4 s ago      ann"
    )
    assert same("x = 1  \n1/1 workers (1 asleep)\n") == "x = 1\n2/2 workers\n"
