"""Where the steps come from: consecutive commits of a git history, or consecutive published versions.

A tree is a mapping from paths to bytes, with the folder of the sources as its root.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Tree = dict[str, bytes]

_NEVER = {"tests", "test", "node_modules", "build", "dist", "venv", "env"}
_DEPENDENCIES = (
    "requirements",
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "Pipfile",
    "poetry.lock",
    "uv.lock",
)


@dataclass(frozen=True)
class App:
    """An app as `apps.toml` names it. See there for what each field means."""

    name: str
    style: str
    tops: tuple[str, ...]
    entries: tuple[str, ...]
    requires: tuple[str, ...]
    url: str = ""
    newest: str = ""
    steps: int = 0
    oldest: str = ""
    package: str = ""
    versions: tuple[str, ...] = ()
    folder: str = ""
    prepare: str = ""
    setup: str = ""
    warm: tuple[str, ...] = ("/",)
    ask: bool = True
    env: dict[str, str] = field(default_factory=dict)

    def ships(self, path: str) -> bool:
        """Whether a path is a Python file that a deploy would carry."""
        parts = path.split("/")
        last = parts[-1]
        inside = parts[0] in self.tops or (len(parts) == 1 and last.removesuffix(".py") in self.tops)
        named = all(
            part.isidentifier() for part in [*parts[:-1], last.removesuffix(".py")]
        )  # can be imported
        kept = named and not set(parts[:-1]) & _NEVER
        return inside and kept and last.endswith(".py") and not last.startswith(("test_", "conftest"))


@dataclass(frozen=True)
class Step:
    """Two consecutive states of an app."""

    old: str
    new: str
    paths: tuple[str, ...]  # what changed, below the app's folder
    dependencies: bool  # whether a file that names dependencies changed


def read_apps(file: Path) -> list[App]:
    """Return the apps of a TOML file."""
    known: dict[str, dict[str, Any]] = {}
    for row in tomllib.loads(file.read_text())["app"]:
        known[row["name"]] = {**known.get(row.pop("like", ""), {}), **row}
    rows = ({key: tuple(v) if isinstance(v, list) else v for key, v in row.items()} for row in known.values())
    return [App(**row) for row in rows]


class Git:
    """Consecutive commits along the first parents: what the main branch was, one deploy after the other."""

    def __init__(self, app: App, repository: Path) -> None:
        self.app = app
        self.prefix = f"{app.folder}/" if app.folder else ""
        self._git = ("git", f"--git-dir={repository}")

    def _run(self, *args: str) -> bytes:
        return subprocess.run([*self._git, *args], check=True, capture_output=True).stdout

    def steps(self) -> Iterator[Step]:
        """Yield the newest steps that ship something, oldest first, with those in between that do not."""
        ids = self._run("rev-list", "--first-parent", "--parents", self.app.newest).decode().splitlines()
        found: list[Step] = []
        shipping = 0
        for line in ids:
            new, *parents = line.split()
            if (
                not parents
                or (self.app.steps and shipping == self.app.steps)
                or new.startswith(self.app.oldest or "-")
            ):
                break
            step = self._step(parents[0], new)
            shipping += any(map(self.app.ships, step.paths))
            found.append(step)
        yield from reversed(found)

    def _step(self, old: str, new: str) -> Step:
        changed = self._run("diff", "--name-only", "--no-renames", "-z", old, new).decode().split("\0")[:-1]
        below = tuple(path.removeprefix(self.prefix) for path in changed if path.startswith(self.prefix))
        names = [path.rpartition("/")[2] for path in changed]
        return Step(old, new, below, any(name.startswith(_DEPENDENCIES) for name in names))

    def tree(self, commit: str) -> Tree:
        """Return the files of a commit below the app's folder."""
        if not self._run("ls-tree", "--name-only", commit, *([self.app.folder] if self.app.folder else [])):
            return {}
        data = self._run("archive", "--format=tar", commit, *([self.app.folder] if self.app.folder else []))
        return {
            path.removeprefix(self.prefix): text
            for path, text in _unpacked(data)
            if path.startswith(self.prefix)
        }


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isfile() and (file := tar.extractfile(member)):
                yield member.name, file.read()


class Published:
    """Consecutive versions from the package index, as wheels have them."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self._folder = app, folder
        self._trees: dict[str, Tree] = {}

    def steps(self) -> Iterator[Step]:
        """Yield each pair of consecutive versions."""
        for old, new in zip(self.app.versions, self.app.versions[1:], strict=False):
            before, after = self.tree(old), self.tree(new)
            paths = [path for path in sorted({**before, **after}) if before.get(path) != after.get(path)]
            yield Step(old, new, tuple(paths), dependencies=self._needs(old) != self._needs(new))

    def tree(self, version: str) -> Tree:
        """Return the files of a version; what belongs to the package's metadata left out."""
        if version not in self._trees:
            self._trees[version] = self._fetched(version)
        return {path: data for path, data in self._trees[version].items() if ".dist-info/" not in path}

    def _needs(self, version: str) -> list[bytes]:
        files = self._trees[version]
        metadata = next((data for path, data in files.items() if path.endswith(".dist-info/METADATA")), b"")
        return sorted(line for line in metadata.splitlines() if line.startswith(b"Requires-Dist"))

    def _fetched(self, version: str) -> Tree:
        wanted = f"{self.app.package}=={version}"
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", scratch, wanted]
            subprocess.run([*command, "--only-binary", ":all:"], check=True, stderr=subprocess.DEVNULL)
            wheel = next(Path(scratch).glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def history(app: App, mirrors: Path, scratch: Path) -> Git | Published:
    """Return an app's history; its repository is cloned below `mirrors` if it is not there yet."""
    if app.package:
        return Published(app, scratch)
    owner, name = app.url.removesuffix(".git").rstrip("/").split("/")[-2:]
    repository = mirrors / f"{owner}+{name}" / "repo"
    if not repository.exists():
        repository.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--bare", app.url, str(repository)], check=True)
    return Git(app, repository)
