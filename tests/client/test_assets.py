"""Templates and static files on the laptop: which files count, and that they go as modules go."""

import queue
import subprocess

import pytest
from flask_habanero.asset import MAX_ASSET, Asset
from flask_habanero.client.depends import named
from flask_habanero.client.tree import is_on_disk, read_tree, reread_tree
from flask_habanero.client.view import View
from flask_habanero.client.watch import Collector, Folders
from flask_habanero.errors import EnvelopeError
from flask_habanero.release import Report

from tests.client.test_session import Watching

FOLDERS = ("shop/templates", "shop/static")


def lay(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


def tree_of(folder, known=()):
    return read_tree((folder,), {"shop"}, known, FOLDERS)


class TestTree:
    @pytest.mark.parametrize("repository", [False, True])
    def test_all_files_in_the_servers_folders_are_assets(self, tmp_path, repository):
        good = {
            "shop/templates/base.html": "base",
            "shop/templates/mail/order.txt": "order",
            "shop/static/dist/shop.js": "js",
            "shop/static/dot.gif": bytes(range(256)),
        }
        bad = {
            "shop/templates/.hidden": "",
            "shop/templates/base.html~": "",
            "shop/static/.git/x": "",
            "shop/static/node_modules/x.js": "",
            "shop/other/x.html": "",
            "other/static/x.css": "",
            "shop/static/large.bin": bytes(MAX_ASSET + 1),
            "shop/notes.txt": "",
        }
        lay(tmp_path, {**good, **bad, "shop/views.py": "", "shop/static/gen.py": ""})
        (tmp_path / "shop/templates/link.html").symlink_to(tmp_path / "shop/notes.txt")
        if repository:
            subprocess.run(["git", "init", "-q", tmp_path], check=True)
        tree = tree_of(tmp_path)
        assert tree.assets.keys() == good.keys()
        assert tree.assets["shop/static/dot.gif"] == Asset.of("shop/static/dot.gif", bytes(range(256)))
        assert set(tree.sources) == {"shop.views", "shop.static.gen"}
        assert not tree.broken

    def test_what_git_ignores_is_none_and_was_not_deleted(self, tmp_path):
        lay(tmp_path, {"shop/static/built.css": "", ".gitignore": "built.css\n", "shop/static/own.css": ""})
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        tree = tree_of(tmp_path)
        assert set(tree.assets) == {"shop/static/own.css"}
        assert is_on_disk(tree, "shop/static/built.css")
        assert not is_on_disk(tree, "shop/static/gone.css")

    def test_files_are_read_again_alone(self, tmp_path):
        lay(tmp_path, {"shop/views.py": "", "shop/static/a.css": "a", "shop/static/b.css": "b"})
        tree = tree_of(tmp_path)
        lay(tmp_path, {"shop/static/a.css": "new"})
        (tmp_path / "shop/static/b.css").unlink()
        lay(tmp_path, {"shop/static/c.css": "c"})
        changed = [tmp_path / "shop/static" / name for name in ("a.css", "b.css")]
        again = reread_tree(tree, changed)
        assert {name: asset.data for name, asset in again.assets.items()} == {"shop/static/a.css": b"new"}
        assert set(reread_tree(again, [tmp_path / "shop/static/c.css"]).assets) == {
            "shop/static/a.css",
            "shop/static/c.css",
        }

    def test_a_file_of_the_servers_that_grew_too_large_is_said_and_not_deleted(self, tmp_path):
        name = "shop/static/a.bin"
        lay(tmp_path, {name: bytes(MAX_ASSET + 1)})
        tree = tree_of(tmp_path, known={name})
        assert str(MAX_ASSET) in tree.broken[name].why
        assert name in tree.digests


class TestFolders:
    def folders(self, root, tops=frozenset({"shop"}), assets=FOLDERS):
        return Folders((root,), tops, assets)

    def test_a_file_of_an_asset_counts(self, tmp_path):
        folders = self.folders(tmp_path)
        wanted = ("shop/templates/x.html", "shop/static/build/x.css", "shop/views.py")
        unwanted = (
            "shop/x.html",
            "shop/static/.x",
            "shop/static/x.css~",
            "shop/static/4913",
            "x.html",
            "shop/static",
            "shop/build/x.py",
        )
        assert all(folders.wants(tmp_path / name) for name in wanted)
        assert not any(folders.wants(tmp_path / name) for name in unwanted)

    def test_no_folder_is_watched_twice(self, tmp_path):
        lay(tmp_path, {"shop/static/a.css": "", "templates/x.html": "", "templates/mail/x.txt": ""})
        folders = self.folders(tmp_path, assets=("shop/static", "templates", "templates/mail", "none"))
        assert folders.recursive() == [tmp_path / "shop", tmp_path / "templates"]
        assert {path.name for path in folders.files()} == {"a.css", "x.html", "x.txt"}

    def test_a_new_file_waits_until_it_is_quiet_for_it_may_be_an_editors_own(self, tmp_path):
        lay(tmp_path, {"shop/static/a.css": "a"})
        events = queue.SimpleQueue()
        ahead = []
        collects = Collector(self.folders(tmp_path), events, 3600, ahead.append)
        lay(tmp_path, {"shop/static/a.css": "b", "shop/static/sedX": "c"})
        events.put(("complete", tmp_path / "shop/static/a.css"))
        assert collects.next(1) == {tmp_path / "shop/static/a.css"}
        events.put(("complete", tmp_path / "shop/static/sedX"))
        assert collects.next(1) == {tmp_path / "shop/static/sedX"}
        assert ahead == [tmp_path / "shop/static/a.css"]


class TestView:
    @staticmethod
    def of(**more):
        data = {"app": "shop", "epoch": "0" * 32, "first": 0, "python": "x", "optimize": 0, "max_bytes": 1}
        return View.of(Report("live", data={**data, "modules": ["shop"], "tree": {}, "head": None, **more}))

    def test_a_server_without_assets_has_none(self):
        view = self.of()
        assert (view.assets, view.folders) == ({}, ())

    @pytest.mark.parametrize("name", ["../../.ssh", "/etc", ".git", "shop/../..", 1, ""])
    def test_a_server_can_not_ask_for_other_files(self, name):
        assert self.of(folders=[name, "shop/static"]).folders == ("shop/static",)

    @pytest.mark.parametrize("name", ["../x", "/etc/passwd", "shop/../../x", "shop/.ssh/x"])
    def test_a_name_that_leads_out_is_no_answer(self, name):
        with pytest.raises(EnvelopeError):
            self.of(assets={name: "0" * 64})


TEXTS = {
    "shop.views": "def index():\n    return render_template('page.html')\n",
    "shop/templates/page.html": "{% extends 'base.html' %}",
    "shop/templates/base.html": "<link href='{{ url_for('static', filename='shop.css') }}'>",
    "shop.models": "class Order: ...",
    "shop/static/shop.css": "p { }",
}


class TestWaiting:
    def waits(self, *held):
        edits = {name: text for name, text in TEXTS.items() if name not in held}
        return named(edits, {name: TEXTS[name] for name in held}, FOLDERS)

    def test_a_view_waits_for_its_template_and_a_template_for_its_parent(self):
        assert self.waits("shop/templates/base.html") == {
            "shop/templates/page.html": "shop/templates/base.html",
            "shop/static/shop.css": "shop/templates/base.html",
            "shop.views": "shop/templates/page.html",
        }

    def test_a_template_waits_for_the_view_that_names_it(self):
        assert self.waits("shop.views")["shop/templates/page.html"] == "shop.views"

    def test_what_names_nothing_held_goes(self):
        assert self.waits("shop.models") == {}


@pytest.fixture
def watching(project, server, environ):
    lay(project.folder, {"shop/templates/page.html": "page", "shop/static/shop.css": "css"})
    server.lay(templates__page_html="page", static__shop_css="css")
    started = Watching().ready()
    yield started
    started.end()


def data_of(server, name):
    return server.assets[name].data if name in server.assets else None


def test_saves_and_deletions_of_assets_arrive(watching, project, server):
    lay(project.folder, {"shop/templates/page.html": "new page"})
    server.wait_for(lambda: data_of(server, "shop/templates/page.html") == b"new page")
    lay(project.folder, {"shop/static/more.js": "js"})
    server.wait_for(lambda: data_of(server, "shop/static/more.js") == b"js")
    (project.folder / "shop/static/shop.css").unlink()
    server.wait_for(lambda: "shop/static/shop.css" not in server.assets)


def test_a_template_that_is_refused_is_held_and_what_it_has_nothing_to_do_with_goes(
    watching, project, server
):
    lay(project.folder, {"shop/templates/page.html": "# wrong"})
    watching.shows(("refused", "shop/templates/page.html", "1 held"))
    project.write("shop.views", "x = 1\n")
    server.wait_for(lambda: server.tree["shop.views"].text == "x = 1\n")
    assert data_of(server, "shop/templates/page.html") == b"page"
    lay(project.folder, {"shop/templates/page.html": "right"})
    server.wait_for(lambda: data_of(server, "shop/templates/page.html") == b"right")


def test_both_sides_changed_one_is_a_conflict_and_only_the_servers_is_newer(watching, project, server):
    server.lay(static__shop_css="bob's")
    server.release({"shop.models": "bob = 1\n"})
    lay(project.folder, {"shop/static/shop.css": "mine", "shop/templates/page.html": "mine"})
    server.wait_for(lambda: data_of(server, "shop/templates/page.html") == b"mine")
    watching.shows(("conflict", "shop/static/shop.css", "conflict"))
    assert data_of(server, "shop/static/shop.css") == b"bob's"


def test_push_and_plan_name_the_files(run, project, server):
    lay(project.folder, {"shop/static/shop.css": "css"})
    server.lay(static__shop_css="css")
    assert run("push").code == 0
    lay(project.folder, {"shop/static/shop.css": "new"})
    planned = run("plan", "--json")
    assert planned.json["files"] == ["shop/static/shop.css"]
    assert data_of(server, "shop/static/shop.css") == b"css"
    assert run("push", "--json").json["files"] == ["shop/static/shop.css"]
    assert data_of(server, "shop/static/shop.css") == b"new"
