"""Which branch is checked out, and that it is another one than before: a switch sends what differs."""

from __future__ import annotations

from pathlib import Path

from ..release import Report
from . import git
from .push import RECORDED

SHORT = 7  # characters of a commit, where no branch is checked out


class Checkout:
    """What git's HEAD names, as it was when somebody was told of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told = self._now()

    def moved(self) -> str:
        """Return "from main to feature", once after each move; else ""."""
        before, now = self._told, self._now()
        if not now or now == before:
            return ""
        self._told = now
        return f"from {before} to {now}" if before else f"to {now}"

    def words(self, count: int, report: Report) -> str:
        """Return what is said, once after each move, of so many files that were sent; else ""."""
        moved = self.moved()
        files = f"{count} {'file' if count == 1 else 'files'}"
        became = f"went out in #{report.release}" if report.outcome in RECORDED else "did not go"
        return moved and f"git went {moved}: {files} {became}"

    def _now(self) -> str:
        """Return a branch or a commit, or "" where there is no repository, or it can't be read just now."""
        home = git.home_of(self._folder)
        try:
            text = (home / "HEAD").read_text("utf-8", "replace").strip() if home else ""
        except OSError:
            return ""
        branch = text.removeprefix("ref: refs/heads/")
        return branch if branch != text else text[:SHORT]
