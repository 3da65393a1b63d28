"""Which modules belong to an app, and where their sources lie."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..source import Source, decode_source

BESIDE = "*"
"""Stands among the allowed names for: any new module beside the app's own."""

_NAME = re.compile(r"\A[^\W\d]\w*\Z", re.ASCII)
_NEVER = {
    "__pycache__",
    "node_modules",
    "site-packages",
    "build",
    "dist",
    "instance",
    "venv",
    "env",
    "tests",
    "test",
}
_NEVER_FILES = re.compile(r"\A(test_.*|.*_test|conftest|setup)\.py\Z")


@dataclass(frozen=True)
class Belongings:
    """The modules that may change: top-level name -> the folder it lies in."""

    folders: dict[str, Path]
    beside: Path | None  # where new top-level modules may come, if anywhere

    @property
    def names(self) -> tuple[str, ...]:
        """The allowed top-level names; "*" among them stands for new modules beside the app's."""
        return (*sorted(self.folders), *([BESIDE] if self.beside else ()))

    def allows(self, module: str) -> bool:
        """Whether a module of this name may be sent."""
        top = module.partition(".")[0]
        if top in self.folders:
            return True
        if self.beside is None or top in sys.stdlib_module_names:
            return False
        loaded = sys.modules.get(top)
        return loaded is None or _lies_in(loaded, self.beside)

    def folder(self, module: str) -> Path | None:
        """Return the folder that a module's top-level name lies in."""
        return self.folders.get(module.partition(".")[0], self.beside)

    def with_(self, other: Belongings) -> Belongings:
        """Return what belongs to either of two apps."""
        return Belongings({**other.folders, **self.folders}, self.beside or other.beside)


def _lies_in(module: object, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder.resolve())


def belongings(import_name: str, explicit: tuple[str, ...] | None) -> Belongings:
    """Return what belongs to the app of an import name.

    In a package: the package. In a module: the modules beside it. Explicit names: just those.

    Raises:
        ConfigError: an explicit name is not to be found.
    """
    if explicit:
        return Belongings({name: _find(name) for name in explicit}, None)
    module = sys.modules.get(import_name)
    file = Path(getattr(module, "__file__", None) or ".").resolve()
    top = import_name.partition(".")[0]
    package = sys.modules.get(top)
    if paths := list(getattr(package, "__path__", ())):
        return Belongings({top: Path(paths[0]).resolve().parent}, None)
    if "site-packages" in file.parts or "dist-packages" in file.parts:
        return Belongings({top: file.parent}, None)
    return Belongings(dict.fromkeys(_top_level(file.parent), file.parent), file.parent)


def _find(name: str) -> Path:
    module = sys.modules.get(name)
    where = getattr(module, "__path__", None) or getattr(module, "__file__", None)
    if where:
        return Path(where if isinstance(where, str) else next(iter(where))).resolve().parent
    for entry in sys.path:
        folder = Path(entry or ".").resolve()
        if (folder / name).is_dir() or (folder / f"{name}.py").is_file():
            return folder
    raise ConfigError(
        "HABANERO_MODULES", f"no module {name!r} is to be found", 'name top-level modules, e.g. ["shop"]'
    )


def _top_level(folder: Path) -> Iterator[str]:
    for entry in sorted(folder.iterdir()):
        if entry.suffix == ".py" and _taken(entry):
            yield entry.stem
        elif entry.is_dir() and _taken(entry) and next(entry.rglob("*.py"), None):
            yield entry.name


def _taken(entry: Path) -> bool:
    if entry.name.startswith(".") or entry.name in _NEVER or not _NAME.match(entry.stem):
        return False
    if entry.is_dir():
        return entry.suffix == "" and not (entry / "pyvenv.cfg").exists()
    return entry.suffix == ".py" and not _NEVER_FILES.match(entry.name)


def disk_tree(belongs: Belongings) -> dict[str, Source]:
    """Read the sources of all that belongs, as they lie on the disk now; no text, no source."""
    tree = {}
    for top, folder in belongs.folders.items():
        for path in _files(folder, top):
            source = read_source(folder, path)
            if source is not None:
                tree[source.name] = source
    return tree


def _files(folder: Path, top: str) -> Iterator[Path]:
    single = folder / f"{top}.py"
    if single.is_file():
        yield single
    todo = [folder / top] if (folder / top).is_dir() else []
    while todo:
        for entry in sorted(todo.pop().iterdir()):
            if not _taken(entry):
                continue
            if entry.is_dir():
                todo.append(entry)
            else:
                yield entry


def read_source(folder: Path, path: Path) -> Source | None:
    """Read one file as a source; None if it is no text or has gone."""
    relative = path.relative_to(folder)
    parts = list(relative.with_suffix("").parts)
    package = parts[-1] == "__init__"
    try:
        text = decode_source(path.read_bytes())
    except (OSError, SyntaxError):
        return None
    return Source(".".join(parts[:-1] if package else parts), relative.as_posix(), package, text)
