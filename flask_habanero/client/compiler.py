"""Who compiles: this Python, or another one that makes the code of the server's.

The other one runs for each bundle, isolated (``-I -S``), without the environment's secrets, and what it
says is checked: code of another tag than the server's is never sent.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BuildError, ConfigError, PythonMismatchError, RejectedError
from ..release import Bundle, loads_json
from ..source import Source
from ..unit import Unit, python_tag
from .build import compile_all
from .pythons import find, how_to_get, version_in
from .tree import Tree
from .view import View

COMPILE_S = 60.0  # for a whole tree on a loaded machine
PACKAGE = Path(__file__).resolve().parents[1]
# Last on the path: of what lies beside us, only we are meant
_START = "import sys; sys.path.append(sys.argv[1]); from {}.client.abroad import main; main()"

Compiled = tuple[dict[str, Unit], dict[str, BuildError]]
"""Units, and what is wrong with the others."""


class NoPythonError(PythonMismatchError):
    """Client: no Python here makes code for the server. Says how to get one."""

    def __init__(self, expected: str, actual: str, hint: str) -> None:
        super().__init__(expected, actual)
        self.hint = hint


class Compiler:
    """Compiles for a server.

    Args:
        python: path of an interpreter, if a person named one; else it is looked for where it is needed.
        environ: where to look.
    """

    def __init__(self, python: str, environ: Mapping[str, str]) -> None:
        self._named, self._environ = python, environ
        self._found: dict[
            tuple[str, int], Path | None
        ] = {}  # tag and level of a server -> who compiles for it

    def other(self, view: View) -> Path | None:
        """Return the interpreter that compiles for a server, or None: this one.

        Raises:
            NoPythonError: neither this one nor another makes code for it.
            ConfigError: the one that was named does not run.
        """
        asked = (view.python, view.optimize)
        if asked not in self._found:
            self._found[asked] = self._look(view)
        return self._found[asked]

    def _look(self, view: View) -> Path | None:
        here = python_tag(view.optimize)
        if not self._named and here == view.python:
            return None
        version = version_in(view.python)
        found = Path(self._named) if self._named else find(version, self._environ) if version else None
        actual = here if found is None else _ask(found, view.optimize, ())[0].python
        if found is None or actual != view.python:
            hint = self._better(view, version) or (how_to_get(version, self._environ) if version else "")
            raise NoPythonError(view.python, actual if self._named else here, hint)
        return found

    def _better(self, view: View, version: str) -> str:
        """Return what to type if it was another that was named, and one that fits is here."""
        if not self._named or not version:
            return ""
        is_this = python_tag(view.optimize) == view.python
        found = Path(sys.executable) if is_this else find(version, self._environ)
        return f"without --python it is {found}" if found else ""

    def compile(self, tree: Tree, names: tuple[str, ...], view: View) -> Compiled:
        """Compile some modules for a server.

        Raises:
            PythonMismatchError: nobody here can.
            ConfigError: the other interpreter does not run as it should.
        """
        other = self.other(view)
        if other is None:
            return compile_all(tree, names, view.optimize)
        sources = {name: tree.sources[name] for name in names if name in tree.sources}
        bundle, wrong = _ask(other, view.optimize, tuple(sources.values()))
        if bundle.python != view.python:
            raise PythonMismatchError(view.python, bundle.python)
        units = {unit.name: unit for unit in bundle.units}
        whole = {name: source for name, source in sources.items() if name not in wrong}
        if {name: unit.source for name, unit in units.items()} != whole:
            raise _useless(other, "compiled something else than it was asked to")
        return units, {**wrong, **{name: tree.broken[name] for name in names if name in tree.broken}}


def _ask(python: Path, level: int, sources: tuple[Source, ...]) -> tuple[Bundle, dict[str, BuildError]]:
    """Let another interpreter compile. Raises ConfigError: it does not run, or says something else."""
    rows = [[source.name, source.path, source.package, source.text] for source in sources]
    question = json.dumps({"optimize": level, "sources": rows}).encode()
    start = [str(python), "-I", "-S", "-B", "-c", _START.format(PACKAGE.name), str(PACKAGE.parent)]
    try:
        # S603: an interpreter that the person named, or installed where interpreters are
        done = subprocess.run(  # noqa: S603
            start, input=question, capture_output=True, timeout=COMPILE_S, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _useless(python, getattr(error, "strerror", None) or "does not answer") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _useless(python, lines[-1] if lines else f"ended with {done.returncode}")
    try:
        return _decoded(done.stdout)
    except (RejectedError, ValueError, TypeError, struct.error) as error:
        raise _useless(python, f"no answer that can be read ({error})") from None


def _decoded(answer: bytes) -> tuple[Bundle, dict[str, BuildError]]:
    (length,) = struct.unpack_from(">I", answer)
    told: Any = loads_json(answer[4 : 4 + length])
    wrong = {
        str(name): BuildError(str(path), int(line), int(column), str(text), str(why))
        for name, (path, line, column, text, why) in dict(told).items()
    }
    return Bundle.decode(answer[4 + length :]), wrong


def _useless(python: Path, why: str) -> ConfigError:
    return ConfigError(
        "--python", f"{python}: {why}", "--python PATH of a CPython as the server's, 3.11 or later"
    )
