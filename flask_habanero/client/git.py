"""What git knows of a folder: its files, its author, its commit, whether it is at work.

The only place that runs another program. Where there is no git, or no repository, every
function says so with None: nothing here is an error.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection
from pathlib import Path

TIMEOUT_S = 20  # a cold disk with a huge repository; never reached otherwise


def run(folder: Path, *args: str) -> bytes | None:
    """Return what `git args` prints in a folder, or None if it can't say."""
    environ = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
    try:
        # S603, S607: fixed arguments; the person's own git, wherever it is
        done = subprocess.run(  # noqa: S603
            ["git", *args],  # noqa: S607
            cwd=folder,
            env=environ,
            capture_output=True,
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


def lock_of(folder: Path) -> Path | None:
    """Return the path of the lock that git holds while it changes the work tree."""
    for place in (folder, *folder.parents):
        entry = place / ".git"
        if entry.is_dir():
            return entry / "index.lock"
        if entry.is_file():  # a worktree or a submodule: the file names the real folder
            text = entry.read_text(errors="replace").strip()
            return place / text.removeprefix("gitdir:").strip() / "index.lock"
    return None
