"""Interpreters on this machine, found by their version without running them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

_TAG = re.compile(r"\A[0-9a-f]{4}-cpython-(\d)(\d+)-o\d-(gil|nogil)\Z")


def version_in(tag: str) -> str:
    """Return the version in a Python's tag: "3.13", or "3.13t" without a GIL; "" if it is no CPython's."""
    match = _TAG.match(tag)
    return f"{match[1]}.{match[2]}{'t' if match[3] == 'nogil' else ''}" if match else ""


def find(version: str, environ: Mapping[str, str]) -> Path | None:
    """Return an interpreter of a version: of pyenv, of uv, or on PATH."""
    home = Path(environ.get("HOME") or "/")
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    share = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "uv" / "python"
    minor = version.removesuffix("t")
    ending = "t" if version.endswith("t") else ""
    for folder, pattern in ((pyenv, f"{minor}.*{ending}"), (share, f"cpython-{minor}.*")):
        for place in sorted(folder.glob(pattern), key=_numbers, reverse=True):
            found = place / "bin" / f"python{version}"
            if found.is_file():
                return found
    folders = environ.get("PATH", "").split(os.pathsep)
    # pyenv's shims stand there for versions, too, that are not chosen
    on_path = shutil.which(
        f"python{version}", path=os.pathsep.join(f for f in folders if not _holds_shims(f))
    )
    return Path(on_path) if on_path else None


def _holds_shims(folder: str) -> bool:
    return Path(folder).name == "shims"


def _numbers(path: Path) -> list[int]:
    return [int(text) for text in re.findall(r"\d+", path.name)]


def how_to_get(version: str, environ: Mapping[str, str]) -> str:
    """Return what to type for an interpreter of a version, with what is on this machine."""
    path = environ.get("PATH", "")
    if shutil.which("uv", path=path):
        return f"uv python install {version}"
    if shutil.which("pyenv", path=path):
        return f"pyenv install {version.removesuffix('t')}"
    return f"install CPython {version}, and name it if it is not found: --python PATH"
