"""Whatever way a file is saved: exactly one push, of what lies there then. One server, one watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.e2e import saving
from tests.e2e.conftest import Server, starting, with_gunicorn
from tests.e2e.laptops import Laptop, Watch, cloning
from tests.e2e.test_assets import APP, FILES, lay

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MODULE, TEMPLATE, STYLE = "app.py", "templates/page.html", "static/shop.css"
SENTINEL = "static/last.css"


@dataclass
class Window:
    """One laptop that watches, for all tests of this file.

    Attributes:
        words: what each file says now: one word that the app answers with.
        number: of the newest release.
    """

    server: Server
    laptop: Laptop
    watch: Watch
    words: dict[str, str]
    number: int = 0

    def path(self, file: str) -> Path:
        return self.laptop.folder / file

    def save(self, file: str, way: saving.Save) -> str:
        """Put another word into a file, in some way. Returns it."""
        old = self.words[file]
        new = self.words[file] = f"w{self.number}w"
        way(self.path(file), old, new)
        return new

    def goes_live_once(self, *files: str) -> None:
        """Check that the next thing that happens is one release of these files, and the app says so."""
        event = self.watch.next()
        self.number += 1
        assert event["outcome"] == "live", event
        assert (sorted(event["files"]), event["release"]) == (sorted(files), self.number)
        answer = self.server.get()
        assert str(answer["text"]).strip() == f"base: {self.words[MODULE]} {self.words[TEMPLATE]}"
        assert str(answer["style"]).strip() == f"p {{ color: {self.words[STYLE]} }}"

    def nothing_more_comes(self) -> None:
        """Check that nothing is sent of what was saved before: what is saved now is the next release."""
        self.path(SENTINEL).write_text(f"/* {self.number} */")
        event = self.watch.next()
        self.number += 1
        assert (event["outcome"], event["files"]) == ("live", [SENTINEL]), event
        assert event["release"] == self.number


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    place = tmp_path_factory.mktemp("saves")
    lay(place / "site", {**FILES, SENTINEL: ""})
    with starting(place) as start, cloning(place) as clone:
        server = with_gunicorn(start)("-w", "1", files={"app": APP})
        server.get()
        laptop = clone(server)
        words = {MODULE: "one", TEMPLATE: "page", STYLE: "red"}
        made = Window(server, laptop, laptop.watch().ready(), words)
        yield made
        assert made.watch.end() == 0


def _rows() -> list[ParameterSet]:
    """Each way with each kind of file. Each run tries one with all kinds, and some with a module."""
    each_time = {"vim", "PyCharm", "formatter", "rm and write"}
    return [
        pytest.param(
            way,
            file,
            id=f"{name}-{file}",
            marks=() if at == 0 or (name in each_time and file == MODULE) else pytest.mark.long,
        )
        for at, (name, way) in enumerate(saving.WAYS.items())
        for file in (MODULE, TEMPLATE, STYLE)
    ]


@pytest.mark.parametrize(("way", "file"), _rows())
def test_each_way_to_save_is_one_right_release(window: Window, way: saving.Save, file: str) -> None:
    window.save(file, way)
    window.goes_live_once(file)
    window.nothing_more_comes()


@pytest.mark.long
@pytest.mark.parametrize("file", [MODULE, TEMPLATE])
@pytest.mark.parametrize("way", saving.NOTHING.values(), ids=saving.NOTHING.keys())
def test_what_changes_no_content_sends_nothing(
    window: Window, way: Callable[[Path], None], file: str
) -> None:
    way(window.path(file))
    window.nothing_more_comes()


@pytest.mark.long
def test_windows_line_ends_are_the_same_code(window: Window) -> None:
    """Of a module; of a template and a stylesheet they are content, and go once."""
    path = window.path(MODULE)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    window.nothing_more_comes()
    for file in (MODULE, TEMPLATE):
        window.save(file, saving.windows)
        window.goes_live_once(file)
        window.nothing_more_comes()
        window.save(file, saving.vs_code)  # back, for those who come after
        window.goes_live_once(file)


@pytest.mark.long
def test_a_name_that_changes_is_one_release(window: Window) -> None:
    """A file; then a folder with what is in it."""
    drafts = window.path("templates/drafts")
    drafts.mkdir()
    (drafts / "one.html").write_text("one")
    window.goes_live_once("templates/drafts/one.html")
    (drafts / "one.html").rename(drafts / "two.html")
    window.goes_live_once("templates/drafts/one.html", "templates/drafts/two.html")
    drafts.rename(window.path("templates/done"))
    window.goes_live_once("templates/done/two.html", "templates/drafts/two.html")
    window.path("templates/done/two.html").unlink()
    window.goes_live_once("templates/done/two.html")
    window.nothing_more_comes()


@pytest.mark.long
def test_a_file_that_is_a_link_to_one_elsewhere(window: Window, tmp_path: Path) -> None:
    """The system tells nothing of what is saved there: a look at all files finds it."""
    real = tmp_path / "elsewhere.py"
    path = window.path(MODULE)
    path.rename(real)
    path.symlink_to(real)
    window.nothing_more_comes()
    window.save(MODULE, lambda path, old, new: saving.vs_code(path.resolve(), old, new))
    window.goes_live_once(MODULE)
    window.nothing_more_comes()
    path.unlink()
    real.rename(path)
    window.nothing_more_comes()
