"""Interpreters on this machine, found by their version without running them."""

from __future__ import annotations

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
    on_path = shutil.which(f"python{version}", path=environ.get("PATH", ""))
    # pyenv's shims stand there for versions, too, that are not chosen
    return Path(on_path) if on_path and Path(on_path).parent.name != "shims" else None


def _numbers(path: Path) -> list[int]:
    return [int(text) for text in re.findall(r"\d+", path.name)]


def how_to_get(version: str, environ: Mapping[str, str]) -> str:
    """Return what to type for a virtual environment of a version, with what is on this machine."""
    install = ".venv/bin/pip install Flask-Habanero"
    found = find(version, environ)
    if found is not None:
        return f"{found} -m venv .venv && {install}"
    path = environ.get("PATH", "")
    if shutil.which("uv", path=path):
        return f"uv venv --python {version} .venv && uv pip install --python .venv Flask-Habanero"
    if shutil.which("pyenv", path=path):
        return f"pyenv install {version}, and then again: flask habanero doctor"
    return f"install CPython {version}; then: python{version} -m venv .venv && {install}"
