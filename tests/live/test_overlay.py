"""Assets in front of the disk: what Flask serves of them, and that nothing else becomes other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import werkzeug.utils
from flask import Blueprint, Flask, render_template, send_from_directory, url_for
from flask_habanero.asset import MAX_ASSET, MAX_ASSETS, Asset, Assets
from flask_habanero.errors import AssetError
from flask_habanero.live import registrations
from flask_habanero.live.belongs import Belongings
from flask_habanero.live.overlay import MAX_HELD
from flask_habanero.live.plan import Plan
from flask_habanero.live.program import Program
from jinja2 import ChoiceLoader, DictLoader
from werkzeug.test import TestResponse

from tests.live.started import run

FILES = {
    "pages/templates/base.html": "<b>{% block inner %}{% endblock %}</b>",
    "pages/templates/child.html": "{% extends 'base.html' %}{% block inner %}child{% endblock %}",
    "pages/templates/both.html": "the app's",
    "pages/static/pages.css": "p { color: red }",
    "pages/static/upload.png": "a picture",
    "pages/admin/templates/both.html": "the blueprint's",
    "pages/admin/templates/admin.html": "admin",
    "pages/admin/static/admin.css": "b { }",
}


@dataclass
class Site:
    """An app over files, with a blueprint, and its overlay."""

    root: Path
    app: Flask
    program: Program
    undo: list[Callable[[], None]] = field(default_factory=list)

    def answer(self, path: str, **more: Any) -> TestResponse:
        """Return an answer, whole: its file is closed."""
        with self.app.test_client().get(path, **more) as answer:
            answer.get_data()
            return answer

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and text of an answer."""
        answer = self.answer(path, headers=headers)
        return answer.status_code, answer.get_data(as_text=True)

    def show(self, template: str) -> str:
        """Return what a template comes to."""
        status, text = self.get(f"/show/{template}")
        assert status == 200, text
        return text

    def after(self, **changed: str | None) -> Assets:
        """Return the assets with some changed (None: gone); ``__`` stands for a slash, ``_`` for a dot."""
        target = dict(self.program.overlay.assets)
        for key, text in changed.items():
            name = "pages/" + key.replace("__", "/").replace("_", ".")
            target.pop(name, None)
            if text is not None:
                target[name] = Asset.of(name, text.encode())
        return target

    def push(self, **changed: str | None) -> Plan:
        """Plan and serve assets; see `after`."""
        return self.go_to(self.after(**changed))

    def go_to(self, target: Assets) -> Plan:
        plan = Plan({}, ())
        self.program.overlay.plan(plan, target)
        assert plan.assets is not None
        self.undo.clear()
        self.program.overlay.serve(plan.assets, self.undo)
        return plan

    def take_back(self) -> None:
        while self.undo:
            self.undo.pop()()


def make(root: Path) -> Site:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    app = Flask("pages", root_path=str(root / "pages"))
    admin = Blueprint(
        "admin",
        "pages.admin",
        root_path=str(root / "pages/admin"),
        template_folder="templates",
        static_folder="static",
        url_prefix="/admin",
    )

    @app.get("/show/<path:name>")
    def show(name: str) -> str:
        return render_template(name)

    @app.get("/favicon")
    def favicon() -> object:
        return send_from_directory(str(app.static_folder), "pages.css")

    app.register_blueprint(admin)
    program = Program()
    program.belongs = Belongings({"pages": root}, None)
    registrations.targets.add(app)
    program.overlay.begin(program.overlay.disk)
    return Site(root, app, program)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    send = werkzeug.utils.send_from_directory
    yield make(tmp_path)
    werkzeug.utils.send_from_directory = send  # type: ignore[assignment]  # a commit that stays exchanges it


class TestFolders:
    def test_they_are_those_of_the_app_and_of_its_blueprints(self, site: Site) -> None:
        folders = ["pages/admin/static", "pages/admin/templates", "pages/static", "pages/templates"]
        assert list(site.program.overlay.folders) == folders

    def test_all_files_in_them_are_assets_and_templates_have_their_bytes(self, site: Site) -> None:
        disk = site.program.overlay.disk
        assert disk.keys() == FILES.keys()
        assert {n: disk[n].digest for n in FILES} == {
            n: Asset.of(n, t.encode()).digest for n, t in FILES.items()
        }
        assert {name for name, asset in disk.items() if asset.data is None} == {
            n for n in FILES if "static" in n
        }

    def test_what_a_library_brings_or_what_lies_elsewhere_is_none(self, site: Site, tmp_path: Path) -> None:
        before = site.program.overlay.folders
        for name, import_name, folder in (
            ("one", "library", tmp_path / "library"),
            ("two", "pages.two", tmp_path / "venv/lib/site-packages/two"),
            ("three", "pages.three", tmp_path / ".hidden"),
            ("four", "pages.four", tmp_path.parent / "elsewhere"),
        ):
            site.app.register_blueprint(
                Blueprint(name, import_name, root_path=str(folder), template_folder="t", static_folder="s")
            )
        assert site.program.overlay.folders == before

    def test_hidden_files_links_and_what_is_too_large_are_none(self, tmp_path: Path) -> None:
        folder = tmp_path / "pages/templates"
        folder.mkdir(parents=True)
        (tmp_path / "secret").write_text("secret")
        (folder / ".env").write_text("secret")
        (folder / "link.html").symlink_to(tmp_path / "secret")
        (folder / "large.html").write_bytes(b"x" * (MAX_ASSET + 1))
        assert make(tmp_path).program.overlay.disk.keys() == FILES.keys()

    def test_what_is_no_text_among_templates_is_known_by_its_digest(self, tmp_path: Path) -> None:
        folder = tmp_path / "pages/templates"
        folder.mkdir(parents=True)
        (folder / "logo.png").write_bytes(b"\xff")
        asset = make(tmp_path).program.overlay.disk["pages/templates/logo.png"]
        assert asset == Asset(asset.name, Asset.of(asset.name, b"\xff").digest, None)

    def test_a_folder_of_too_many_files_is_none(self, tmp_path: Path) -> None:
        folder = tmp_path / "pages/static/many"
        folder.mkdir(parents=True)
        for number in range(MAX_ASSETS):
            (folder / f"{number}.txt").touch()
        overlay = make(tmp_path).program.overlay
        assert "pages/static" not in overlay.folders
        assert overlay.crowded == {"pages/static"}
        assert {name for name in overlay.disk if name.startswith("pages/static/")} == set()

    def test_bytes_of_a_static_file_are_those_of_the_disk_while_they_are_there(self, site: Site) -> None:
        overlay, name = site.program.overlay, "pages/static/pages.css"
        base = overlay.assets[name]
        assert base.data is None
        assert overlay.data_of(base) == b"p { color: red }"
        site.push(static__pages_css="pushed")
        assert (overlay.data_of(overlay.assets[name]), overlay.data_of(base)) == (
            b"pushed",
            b"p { color: red }",
        )
        (site.root / name).write_text("another")
        assert overlay.data_of(base) is None

    def test_what_this_process_can_not_write_is_fixed(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By a stand-in for what the system says: who runs as root may write all of it."""
        closed: set[str] = set()
        monkeypatch.setattr("os.access", lambda place, _: str(place) not in closed)
        overlay, folder = site.program.overlay, site.root / "pages/static"
        name = "pages/static/pages.css"
        assert not overlay.is_fixed(name)
        closed.add(str(folder / "pages.css"))
        assert not overlay.is_fixed(name)  # another can be put in its place
        closed.add(str(folder))
        assert overlay.is_fixed(name)
        closed.remove(str(folder / "pages.css"))
        assert not overlay.is_fixed(name)
        assert not overlay.is_fixed("pages/static/none/none.css")  # its folder is gone: who knows
        assert not overlay.is_fixed("elsewhere/none.css")

    def test_a_loader_of_ones_own_is_left_alone(self, site: Site) -> None:
        site.app.jinja_loader = DictLoader({"x.html": "x"})
        assert "pages/templates" not in site.program.overlay.folders


class TestTemplates:
    def test_a_pushed_template_is_rendered_and_the_file_stays(self, site: Site) -> None:
        assert site.show("both.html") == "the app's"
        plan = site.push(templates__both_html="pushed")
        assert site.show("both.html") == "pushed"
        assert [str(step) for step in plan.steps] == ["pages/templates/both.html: ~template"]
        assert (site.root / "pages/templates/both.html").read_text() == "the app's"

    def test_children_of_a_pushed_parent_have_it(self, site: Site) -> None:
        assert site.show("child.html") == "<b>child</b>"
        site.push(templates__base_html="<i>{% block inner %}{% endblock %}</i>")
        assert site.show("child.html") == "<i>child</i>"

    def test_a_pushed_child_extends_a_parent_on_the_disk(self, site: Site) -> None:
        site.push(templates__new_html="{% extends 'base.html' %}{% block inner %}new{% endblock %}")
        assert site.show("new.html") == "<b>new</b>"

    def test_an_apps_templates_go_before_those_of_a_blueprint(self, site: Site) -> None:
        site.push(
            admin__templates__both_html="the blueprint's, pushed", admin__templates__admin_html="pushed"
        )
        assert site.show("both.html") == "the app's"
        assert site.show("admin.html") == "pushed"
        site.push(templates__admin_html="the app's, new")
        assert site.show("admin.html") == "the app's, new"

    def test_behind_a_deleted_one_the_blueprints_is_found(self, site: Site) -> None:
        site.push(templates__both_html=None)
        assert site.show("both.html") == "the blueprint's"
        site.push(admin__templates__both_html=None)
        assert site.get("/show/both.html")[0] == 500
        assert {"both.html", "child.html"} & set(site.app.jinja_env.list_templates()) == {"child.html"}

    def test_a_new_one_is_listed(self, site: Site) -> None:
        site.push(templates__new_html="new", static__new_html="new")
        names = ["admin.html", "base.html", "both.html", "child.html", "new.html"]
        assert sorted(site.app.jinja_env.list_templates()) == names

    def test_what_is_taken_back_is_as_it_was(self, site: Site) -> None:
        assert site.show("child.html") == "<b>child</b>"
        site.push(templates__base_html="other", templates__both_html=None)
        assert site.show("child.html") == "other"
        site.take_back()
        assert site.show("child.html") == "<b>child</b>"
        assert site.show("both.html") == "the app's"
        assert "get_source" not in vars(site.app.jinja_loader)

    def test_taking_back_the_second_leaves_the_first(self, site: Site) -> None:
        site.push(templates__both_html="one")
        site.push(templates__both_html="two")
        assert site.show("both.html") == "two"
        site.take_back()
        assert site.show("both.html") == "one"

    def test_back_to_the_base_it_is_the_bases_text_though_the_disk_has_another(self, site: Site) -> None:
        """A laptop and a server may share one folder: then the file is what was pushed."""
        base = site.program.overlay.assets
        site.push(templates__both_html="saved")
        (site.root / "pages/templates/both.html").write_text("saved")
        site.go_to(base)
        assert site.show("both.html") == "the app's"

    def test_a_loader_in_a_choice_has_its_place_there(self, site: Site) -> None:
        assert site.app.jinja_loader is not None
        site.app.jinja_loader = ChoiceLoader([DictLoader({"both.html": "theirs"}), site.app.jinja_loader])
        site.push(templates__both_html="pushed", templates__new_html="new")
        assert site.show("both.html") == "theirs"
        assert site.show("new.html") == "new"

    def test_a_start_on_another_template_than_the_ledgers_says_so(self, site: Site) -> None:
        """With the name of a build the ledger may know another text of it than the disk has."""
        overlay, name = site.program.overlay, "pages/templates/both.html"
        base = {**overlay.assets, name: Asset.of(name, b"deployed")}
        overlay.begin(base)
        assert overlay.assets[name].data == b"the app's"
        site.go_to(base)
        assert site.show("both.html") == "deployed"

    def test_with_auto_reload_a_pushed_one_is_compiled_once(self, site: Site) -> None:
        site.app.config["TEMPLATES_AUTO_RELOAD"] = True
        site.push(templates__both_html="pushed")
        site.show("both.html")
        template = site.app.jinja_env.get_template("both.html")
        assert template.is_up_to_date
        site.push(templates__both_html="again")
        assert not template.is_up_to_date

    def test_planning_makes_no_environment(self, site: Site) -> None:
        site.program.overlay.plan(Plan({}, ()), site.after(templates__both_html="pushed"))
        assert "jinja_env" not in vars(site.app)


class TestRefused:
    def codes(self, site: Site, target: Assets) -> list[tuple[str, str]]:
        before = dict(site.program.overlay.assets)
        with pytest.raises(AssetError) as caught:
            site.program.overlay.check(target)
        assert site.program.overlay.assets == before
        assert all(reason.what and reason.hint for reason in caught.value.reasons)
        return [(reason.code, reason.where) for reason in caught.value.reasons]

    def test_what_jinja_can_not_parse(self, site: Site) -> None:
        target = site.after(templates__both_html="fine\n{% if %}\n", templates__new_html="{{ ")
        where = ["pages/templates/both.html:2", "pages/templates/new.html:1"]
        assert self.codes(site, target) == [("template-syntax", one) for one in where]
        assert site.show("both.html") == "the app's"

    def test_tags_of_an_apps_extensions_are_no_mistakes(self, site: Site) -> None:
        target = site.after(templates__both_html="{% do x.append(1) %}")
        assert self.codes(site, target) == [("template-syntax", "pages/templates/both.html:1")]
        site.app.jinja_env.add_extension("jinja2.ext.do")
        site.program.overlay.check(target)

    def test_a_template_that_is_no_text(self, site: Site) -> None:
        name = "pages/templates/both.html"
        target = {**site.program.overlay.assets, name: Asset.of(name, b"\xff")}
        assert self.codes(site, target) == [("template-text", name)]

    def test_a_static_file_is_no_template(self, site: Site) -> None:
        name = "pages/static/pages.css"
        site.program.overlay.check({**site.program.overlay.assets, name: Asset.of(name, b"\xff {% if %}")})

    def test_more_than_workers_are_to_hold(self, site: Site) -> None:
        data = bytes(MAX_ASSET)
        names = [f"pages/static/{n}.bin" for n in range(MAX_HELD // MAX_ASSET + 1)]
        target = {**site.program.overlay.assets, **{name: Asset.of(name, data) for name in names}}
        assert self.codes(site, target) == [("assets-size", "")]

    def test_back_to_a_static_file_that_is_another_one_now_is_said(self, site: Site) -> None:
        """A rollback must not fail for it: what nobody pushed is served as it lies on the disk anyway."""
        base, place = site.program.overlay.assets, site.root / "pages/static/pages.css"
        words = "(as it is on the server's disk now, which has another one than then)"
        site.push(static__pages_css="pushed")
        assert list(map(str, site.go_to(base).steps)) == ["pages/static/pages.css: ~static"]
        site.push(static__pages_css="pushed")
        place.write_text("somebody else's")
        assert list(map(str, site.go_to(base).steps)) == [f"pages/static/pages.css: ~static {words}"]
        assert site.get("/static/pages.css") == (200, "somebody else's")
        site.push(static__pages_css="pushed")
        place.unlink()
        assert list(map(str, site.go_to(base).steps)) == [f"pages/static/pages.css: ~static {words}"]
        assert site.get("/static/pages.css")[0] == 404


class TestStatic:
    def test_a_pushed_file_is_sent_as_flask_sends_files(self, site: Site) -> None:
        before = site.answer("/static/pages.css")
        site.push(static__pages_css="p { color: green }")
        after = site.answer("/static/pages.css")
        assert after.data == b"p { color: green }"
        same = ("Content-Type", "Cache-Control", "Content-Disposition", "Accept-Ranges")
        assert {key: after.headers.get(key) for key in same} == {key: before.headers.get(key) for key in same}
        assert after.headers["ETag"] != before.headers["ETag"]
        assert after.content_length == len(after.data)

    def test_conditional_requests(self, site: Site) -> None:
        old = site.answer("/static/pages.css").headers["ETag"]
        site.push(static__pages_css="one")
        assert site.answer("/static/pages.css", headers={"If-None-Match": old}).status_code == 200
        tag = site.answer("/static/pages.css").headers["ETag"]
        assert site.answer("/static/pages.css", headers={"If-None-Match": tag}).status_code == 304
        site.push(static__pages_css="two")
        answer = site.answer("/static/pages.css", headers={"If-None-Match": tag})
        assert (answer.status_code, answer.data) == (200, b"two")

    def test_a_part_of_it(self, site: Site) -> None:
        site.push(static__pages_css="0123456789")
        assert site.get("/static/pages.css", Range="bytes=2-4") == (206, "234")

    def test_a_servers_own_way_to_send_files_is_not_given_what_is_none(self, site: Site) -> None:
        site.push(static__pages_css="pushed")

        def wrapper(*_: object) -> object:
            raise AssertionError("it has no descriptor")

        answer = site.answer("/static/pages.css", environ_base={"wsgi.file_wrapper": wrapper})
        assert answer.data == b"pushed"

    def test_new_gone_and_back(self, site: Site) -> None:
        base = site.program.overlay.assets
        site.push(static__pages_css=None, static__new_js="new", admin__static__admin_css="i { }")
        assert site.get("/static/pages.css")[0] == 404
        assert site.get("/static/new.js") == (200, "new")
        assert site.get("/admin/static/admin.css") == (200, "i { }")
        site.go_to(base)
        assert site.get("/static/pages.css") == (200, "p { color: red }")
        assert site.get("/static/new.js")[0] == 404
        assert site.get("/admin/static/admin.css") == (200, "b { }")

    def test_views_that_send_from_the_folder_have_it_too(self, site: Site) -> None:
        site.push(static__pages_css="pushed")
        assert site.get("/favicon") == (200, "pushed")

    def test_what_the_app_writes_there_itself_is_served(self, site: Site) -> None:
        site.push(static__pages_css="pushed")
        (site.root / "pages/static/upload.png").write_text("another picture")
        (site.root / "pages/static/later.png").write_text("a third")
        assert site.get("/static/upload.png") == (200, "another picture")
        assert site.get("/static/later.png") == (200, "a third")

    def test_an_apps_own_word_on_how_long_it_is_kept_is_asked_with_its_path(self, site: Site) -> None:
        site.app.get_send_file_max_age = lambda name: 60 if str(name).endswith(".css") else 5  # type: ignore[method-assign]  # as apps do
        site.push(static__pages_css="pushed")
        for path in ("/static/pages.css", "/favicon"):
            assert site.answer(path).cache_control.max_age == 60

    def test_a_path_that_leads_out_is_not_found(self, site: Site) -> None:
        site.push(static__pages_css="pushed")
        assert site.get("/static/../templates/both.html")[0] == 404
        assert site.get("/static/%2e%2e/templates/both.html")[0] == 404

    def test_its_address_stays(self, site: Site) -> None:
        site.push(static__pages_css="pushed")
        with site.app.test_request_context():
            assert url_for("static", filename="pages.css") == "/static/pages.css"

    def test_taken_back(self, site: Site) -> None:
        send = werkzeug.utils.send_from_directory
        site.push(static__pages_css="pushed")
        site.take_back()
        assert site.get("/static/pages.css") == (200, "p { color: red }")
        assert werkzeug.utils.send_from_directory is send


SITE = """\
from flask import Flask, render_template

app = Flask(__name__)
WORD = "one"


@app.get("/")
def index():
    return render_template("page.html", word=WORD)
"""
SCRIPT = """\
from flask_habanero.asset import Asset
from flask_habanero.errors import CommitError

overlay = running.overlay
overlay.begin(overlay.disk)
page = Asset.of("templates/page.html", b"pushed {{ word }}")

def shown():
    return app.app.test_client().get("/").text

def plan(text):
    unit = build_unit(Source("app", "app.py", package=False, text=text))
    return running.plan([unit], [], {page.name: page})

before = running.tree["app"].text
print(shown())
undo = running.commit(plan(before.replace("one", "two")))
print(shown())
undo()
print(shown())
undo = running.commit(running.plan([], [], {page.name: page}))
print(shown())
undo()
print(shown())
try:
    running.commit(plan(before.replace('"one"', "int('x')")))
except CommitError as error:
    print("failed", shown(), overlay.served, overlay.assets == overlay.disk)
"""


def test_code_and_assets_go_together_and_come_back_together(tmp_path: Path) -> None:
    """Through the real program: a release of both, one of assets alone, and one whose code raises."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/page.html").write_text("disk {{ word }}")
    told = run(tmp_path, SITE, SCRIPT).splitlines()
    assert told[:5] == ["disk one", "pushed two", "disk one", "pushed one", "disk one"]
    assert told[5] == "failed disk one {} True"
