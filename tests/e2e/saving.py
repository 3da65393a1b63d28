"""Every way of saving that is known: each puts one word of a file in another's place, as its program does it.

Those of programs that are on this machine are done by them; those of the others by the same calls to
the system, in the same order (with strace and inotifywait, one sees them).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Save = Callable[[Path, str, str], None]


def changed(path: Path, old: str, new: str) -> str:
    """Return the text of a file with a word in another's place, which must be there."""
    text = path.read_text()
    assert old in text
    return text.replace(old, new)


def run(*words: str, folder: Path) -> None:
    """Run a program that is there, else skip."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    environ = {k: v for k, v in os.environ.items() if k != "TERM"}
    done = subprocess.run(
        words, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)


def vs_code(path: Path, old: str, new: str) -> None:
    """Truncate, write, close; nano and `open("w")` do the same."""
    path.write_text(changed(path, old, new))


def in_pieces(path: Path, old: str, new: str) -> None:
    """As a large file comes: the text in several writes, each flushed."""
    text = changed(path, old, new)
    with path.open("w") as file:
        for at in range(0, len(text), 40):
            file.write(text[at : at + 40])
            file.flush()


def synced(path: Path, old: str, new: str) -> None:
    """Write in place and sync, as VS Code does with `files.hotExit` and editors that are careful."""
    text = changed(path, old, new)
    with path.open("r+") as file:
        file.truncate(0)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def vim(*settings: str) -> Save:
    """Return how vim itself saves, with some settings."""

    def save(path: Path, old: str, new: str) -> None:
        words = [f"+set {setting}" for setting in settings]
        run("vim", "-N", "-u", "NONE", "-i", "NONE", "-es", *words, f"+%s/{old}/{new}/", "+wq", path.name,
            folder=path.parent)  # fmt: skip

    return save


def like_vim(path: Path, old: str, new: str) -> None:
    """Vim as it is without settings: probe, move away, write anew, remove the backup."""
    text = changed(path, old, new)
    (path.parent / "4913").write_text("")
    (path.parent / "4913").unlink()
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    path.chmod(backup.stat().st_mode)
    backup.unlink()


def pycharm(path: Path, old: str, new: str) -> None:
    """Safe write: the file moves away, another moves in."""
    fresh, away = (path.with_name(f"{path.name}___jb_{kind}___") for kind in ("tmp", "old"))
    fresh.write_text(changed(path, old, new))
    path.rename(away)
    fresh.rename(path)
    away.unlink()


def emacs(path: Path, old: str, new: str) -> None:
    """A lock beside the file, what is saved by itself, a backup by renaming, and the file anew."""
    text = changed(path, old, new)
    lock, own = path.with_name(f".#{path.name}"), path.with_name(f"#{path.name}#")
    lock.symlink_to("ann@laptop.1234:1")
    own.write_text(text)
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)
    own.unlink()
    lock.unlink()


def gedit(path: Path, old: str, new: str) -> None:
    """What GLib does: a hidden file, synced, that is renamed."""
    fresh = path.with_name(".goutputstream-A1B2C3")
    fresh.write_text(changed(path, old, new))
    fresh.replace(path)


def kate(path: Path, old: str, new: str) -> None:
    """What Qt's QSaveFile does: the same, with a name that ends otherwise."""
    fresh = path.with_name(f"{path.name}.bTXqWe")
    fresh.write_text(changed(path, old, new))
    fresh.replace(path)


def sublime(path: Path, old: str, new: str) -> None:
    """With `atomic_save`: another name that ends as the file's own."""
    fresh = path.with_name(f".sublime_tmp{path.suffix}")
    fresh.write_text(changed(path, old, new))
    fresh.replace(path)


def sed(path: Path, old: str, new: str) -> None:
    """`sed -i`: writes sedXXXXXX, renames it."""
    run("sed", "-i", f"s/{old}/{new}/", path.name, folder=path.parent)


def perl(path: Path, old: str, new: str) -> None:
    """`perl -pi`: removes the file, writes another."""
    run("perl", "-pi", "-e", f"s/{old}/{new}/", path.name, folder=path.parent)


def formatter(path: Path, old: str, new: str) -> None:
    """A formatter that runs over the file: a program that reads it and writes it in place."""
    code = "import sys; f, *ab = sys.argv[1:]; t = open(f).read(); open(f, 'w').write(t.replace(*ab))"
    run(sys.executable, "-c", code, path.name, old, new, folder=path.parent)


def from_outside(path: Path, old: str, new: str) -> None:
    """`mv` of a file that lay elsewhere: of it there is only `created`."""
    fresh = path.parents[2] / f"elsewhere{path.suffix}"
    fresh.write_text(changed(path, old, new))
    fresh.replace(path)


def removed_and_written(path: Path, old: str, new: str) -> None:
    """What a file manager, or a copy over a share, does."""
    text = changed(path, old, new)
    path.unlink()
    path.write_text(text)


def renamed_and_back(path: Path, old: str, new: str) -> None:
    """Away, edited under another name, and back."""
    away = path.with_name(f"draft{path.suffix}")
    path.rename(away)
    away.write_text(changed(away, old, new))
    away.rename(path)


def windows(path: Path, old: str, new: str) -> None:
    """With CRLF at the end of each line."""
    path.write_bytes(changed(path, old, new).replace("\n", "\r\n").encode())


WAYS: dict[str, Save] = {
    "VS Code, nano": vs_code,
    "in pieces": in_pieces,
    "synced": synced,
    "vim": vim(),
    "vim, backupcopy=yes": vim("writebackup", "backupcopy=yes"),
    "vim, backupcopy=no": vim("writebackup", "backupcopy=no"),
    "vim, nowritebackup": vim("nowritebackup"),
    "vim, backup": vim("backup", "backupcopy=auto"),
    "like vim": like_vim,
    "PyCharm": pycharm,
    "emacs": emacs,
    "gedit": gedit,
    "Kate": kate,
    "Sublime": sublime,
    "sed -i": sed,
    "perl -pi": perl,
    "formatter": formatter,
    "mv from outside": from_outside,
    "rm and write": removed_and_written,
    "renamed and back": renamed_and_back,
}


def touch(path: Path) -> None:
    """Only its time."""
    path.touch()


def chmod(path: Path) -> None:
    """Only who may."""
    path.chmod(0o600)


def same_text(path: Path) -> None:
    """A formatter that found nothing to do, and writes all the same."""
    path.write_bytes(path.read_bytes())


def same_text_renamed(path: Path) -> None:
    """The same, by another file that is renamed."""
    fresh = path.with_name("fresh.tmp")
    fresh.write_bytes(path.read_bytes())
    fresh.replace(path)


def vims_swap(path: Path) -> None:
    """What vim has beside a file that is open."""
    swap = path.with_name(f".{path.name}.swp")
    swap.write_bytes(b"b0VIM 9.0")
    swap.unlink()


NOTHING: dict[str, Callable[[Path], None]] = {
    "touch": touch,
    "chmod": chmod,
    "the same text": same_text,
    "the same text, renamed": same_text_renamed,
    "vim's swap file": vims_swap,
}
