"""The examples of the documentation: read from the page, started, and pushed through the public endpoint.

An example is a block marked `diff`: a line `@@ app.py @@` begins a file, lines with `-` were there
before, lines with `+` come with the release, the others are in both.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import types
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.properties.processes import folder, forked, look, start, tops, warm, write

DOCS = Path(__file__).parent.parent / "docs"
OPENING = "from flask import Flask\n\napp = Flask(__name__)\n"
"""How `app.py` begins where an example doesn't say so."""


@dataclass(frozen=True)
class Example:
    """One change, as files before and after (path -> text)."""

    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def entry(self) -> str:
        """Where the server finds the app."""
        return "app:create_app()" if "def create_app" in self.before["app.py"] else "app:app"


@dataclass(frozen=True)
class Pushed:
    """What became of an example: the server's report in short, and what was seen of the process.

    Attributes:
        outcome: "live", "cold", ...
        reasons: (code, where, what, hint) of each.
        before, after: fingerprints, before and after the push.
    """

    outcome: str
    reasons: tuple[tuple[str, str, str, str], ...]
    before: dict[str, str]
    after: dict[str, str]

    @property
    def codes(self) -> set[str]:
        """The codes of all reasons."""
        return {reason[0] for reason in self.reasons}


def sections(page: str) -> dict[str, str]:
    """Return the text under each heading of the third level of a page, by heading."""
    parts = re.split(r"^### (.+)$", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)
    return {
        heading.strip("`"): re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def examples(text: str) -> list[Example]:
    """Return the examples in a text, in order."""
    return [_example(block) for block in re.findall(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def _example(block: str) -> Example:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    path = ""
    for line in block.splitlines():
        if file := re.fullmatch(r"@@ (\S+) @@", line):
            path = file[1]
            continue
        assert line[:2] in ("- ", "+ ", "  ", "-", "+", ""), line
        for sign, side in (("-", before), ("+", after)):
            if line[:1] not in ("-", "+") or line[:1] == sign:
                side.setdefault(path, []).append(line[2:])
    return Example(_texts(before), _texts(after))


def _texts(side: Mapping[str, list[str]]) -> dict[str, str]:
    texts = {path: "".join(f"{line}\n" for line in lines) for path, lines in side.items()}
    if "Flask" not in texts.get("app.py", ""):
        texts["app.py"] = OPENING + texts.get("app.py", "")
    return texts


# in a process of its own


def push(example: Example, *, as_main: bool = False) -> Pushed:
    """Start an example's app, ask each of its pages once, push the change; look before and after."""
    with folder() as root:
        app = _served(root, example.before, "" if as_main else example.entry)
        names = tops(example.before) | tops(example.after)
        before = _seen(app, names, root)
        report = _send(app, example)
        after = _seen(app, names, root)
        reasons = tuple((r.code, r.where, r.what, r.hint) for r in report.reasons)
        return Pushed(report.outcome, reasons, before, after)


def started_cold(example: Example) -> dict[str, str]:
    """Start what an example's app is after the change; return its fingerprint."""
    with folder() as root:
        app = _served(root, example.after, example.entry)
        return _seen(app, tops(example.before) | tops(example.after), root)


def _served(root: str, sources: Mapping[str, str], entry: str) -> Any:
    """Start an app with us in front, and ask each of its pages once. No entry: as `python app.py` does.

    Where an example does not say where we come in, that is last.
    """
    from flask_habanero import Habanero

    write(root, sources)
    os.environ.update(HABANERO_SECRET=_secret(), HABANERO_STORE=f"{root}/.store")
    app = start(root, entry) if entry else start_as_main(root)
    if "habanero" not in app.extensions:
        Habanero(app)
    warm(app)
    return app


def start_as_main(root: str) -> Any:
    """Start `app.py` as `python app.py` does."""
    sys.path.insert(0, root)
    os.chdir(root)
    main = types.ModuleType("__main__")
    main.__file__ = f"{root}/app.py"
    sys.modules["__main__"] = main
    exec(compile(Path(main.__file__).read_text("utf-8"), main.__file__, "exec"), vars(main))
    return main.app


def _secret() -> str:
    from flask_habanero.envelope import new_secret

    return os.environ.get("HABANERO_SECRET") or new_secret("k1")


def _seen(app: Any, names: set[str], root: str) -> dict[str, str]:
    """Look from a fork: asking for the pages may change what they count."""
    with warnings.catch_warnings():
        # the fork has none of our threads, and does nothing but look
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        ok, found = forked(_look, app, names, root)
    assert ok, found
    return found


def _look(app: Any, names: set[str], root: str) -> dict[str, str]:
    skin = app.extensions.get("habanero")
    if skin is not None:
        app.wsgi_app = skin._inner  # the app as it is, without a worker of ours in this fork
    return look(app, names, root)


def _send(app: Any, example: Example) -> Any:
    from flask_habanero.envelope import Key
    from flask_habanero.release import Bundle, tree_digest
    from flask_habanero.source import Source
    from flask_habanero.unit import build_unit, python_tag

    from tests.peer import Peer, over_client

    peer = Peer(Key.parse(os.environ["HABANERO_SECRET"]), over_client(app.test_client()))
    digests = {name: row[0] for name, row in peer.hello().data["tree"].items()}
    parent = tree_digest(digests.items())
    wanted = {
        _name(path): Source(_name(path), path, "__init__" in path, text)
        for path, text in example.after.items()
    }
    units = tuple(build_unit(one) for name, one in wanted.items() if digests.get(name) != one.digest)
    deleted = tuple(sorted({*map(_name, example.before)} - wanted.keys()))
    tree = {name: digest for name, digest in digests.items() if name not in deleted}
    tree |= {unit.name: unit.source.digest for unit in units}
    return peer.ask("push", Bundle(units, deleted, python_tag(), parent, tree_digest(tree.items())).encode())


def _name(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def prepare() -> None:
    """Import what the children need; begin the books."""
    from tests.properties.processes import hot_imports

    hot_imports()
    for name in ("flask_habanero", "flask_habanero.server", "tests.peer"):
        importlib.import_module(name)
    with contextlib.suppress(KeyError):
        del os.environ["HABANERO_SECRET"]
