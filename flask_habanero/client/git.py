"""What git knows of a folder: its files, its author, its commit, whether it is at work.

The only place that runs another program. Where there is no git, or no repository, every
function says so with None: nothing here is an error.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

TIMEOUT_S = 20  # a cold disk with a huge repository; never reached otherwise


def run(folder: Path, *args: str, given: bytes = b"") -> bytes | None:
    """Return what `git args` prints in a folder when it is given some bytes, or None if it can't say."""
    environ = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
    try:
        # S603, S607: fixed arguments; the person's own git, wherever it is
        done = subprocess.run(  # noqa: S603
            ["git", *args],  # noqa: S607
            cwd=folder,
            env=environ,
            capture_output=True,
            input=given,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


# Set by git for its hooks: they would make us look at another repository than the folder's.
_FOREIGN = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


def listed(folder: Path, whole: Collection[str] = ()) -> list[str] | None:
    """Return the files below a folder that git tracks or would track, relative to it.

    Args:
        folder: where to look for Python files.
        whole: folders below it, of which all files are listed.
    """
    literal = [f":(literal){name}" for name in whole]
    found = run(folder, "ls-files", "-co", "--exclude-standard", "-z", "--", "*.py", *literal)
    if found is None:
        return None
    return sorted({os.fsdecode(name) for name in found.split(b"\0") if name})


def email(folder: Path) -> str | None:
    """Return the author's address as git would put it on a commit."""
    found = run(folder, "config", "user.email")
    return found.decode("utf-8", "replace").strip() if found else None


def commit(folder: Path) -> str:
    """Return the commit that is checked out, for people: "1a2b3c4" or "1a2b3c4, dirty", or ""."""
    found = run(folder, "describe", "--always", "--dirty=, dirty", "--exclude=*")
    return found.decode("utf-8", "replace").strip() if found else ""


def top(folder: Path) -> Path | None:
    """Return the folder of the work tree that a folder is in."""
    found = run(folder, "rev-parse", "--show-toplevel")
    return Path(os.fsdecode(found.removesuffix(b"\n"))) if found else None


def committed(top: Path) -> dict[str, tuple[str, str]] | None:
    """Return the files of HEAD: path below the top of the work tree -> mode and id.

    None before a first commit.
    """
    found = run(top, "ls-tree", "-r", "-z", "HEAD")
    if found is None:
        return None
    files = {}
    for row in found.split(b"\0"):
        about, _, path = row.partition(b"\t")
        mode, kind, each = about.decode().split() if path else ("", "", "")
        if kind == "blob":  # not a submodule
            files[os.fsdecode(path)] = (mode, each)
    return files


def contents(top: Path, ids: Collection[str]) -> list[bytes] | None:
    """Return the contents of files of HEAD, by their ids. None if one is not there, as in a partial clone."""
    given = "".join(f"{each}\n" for each in ids).encode()
    found = run(top, "cat-file", "--batch", given=given)
    try:
        return None if found is None else list(_batch(found, len(ids)))
    except (ValueError, IndexError):  # "<id> missing"
        return None


def _batch(data: bytes, count: int) -> Iterator[bytes]:
    """Yield the files in what ``cat-file --batch`` prints: ``<id> blob <size>``, then the bytes, for each."""
    at = 0
    for _ in range(count):
        begin = data.index(b"\n", at) + 1
        at = begin + int(data[at:begin].split()[2])
        yield data[begin:at]
        at += 1


def home_of(folder: Path) -> Path | None:
    """Return the folder in which git notes what it does with the work tree."""
    for place in (folder, *folder.parents):
        entry = place / ".git"
        if entry.is_dir():
            return entry
        if entry.is_file():  # a worktree or a submodule: the file names the real folder
            text = entry.read_text(errors="replace").strip()
            return place / text.removeprefix("gitdir:").strip()
    return None


def lock_of(folder: Path) -> Path | None:
    """Return the path of the lock that git holds while it changes the work tree."""
    home = home_of(folder)
    return home / "index.lock" if home else None


STOPPED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


def unmerged(folder: Path) -> tuple[str, ...]:
    """Return the files that a merge, rebase, cherry-pick or revert left in conflict, until they are added.

    Where git has nothing to go on with this costs a look at a few names.
    """
    home = home_of(folder)
    if home is None or not any((home / name).exists() for name in STOPPED):
        return ()
    found = run(folder, "ls-files", "-u", "-z", "--", ":/") or b""
    return tuple(sorted({os.fsdecode(row.partition(b"\t")[2]) for row in found.split(b"\0") if row}))
