"""Templates and static files travel with the code: real workers, a real watcher, real files."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests
from flask_habanero.asset import MAX_ASSETS

from tests.e2e.conftest import Serve, Server, accepts
from tests.e2e.laptops import Clone, Laptop, restart
from tests.e2e.test_releases import Readers, left
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

APP = '''\
"""An app with a template and a stylesheet, beside the module."""

import os

from flask import Flask, render_template
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)


def word():
    return "one"


@app.get("/")
def index():
    page = render_template("page.html", word=word())
    return {"pid": os.getpid(), "text": page, "style": style()}


@app.get("/page")
def page():
    return {"page": render_template("page.html", word=word())}


def style():
    with app.test_request_context():
        answer = app.send_static_file("shop.css")
        answer.direct_passthrough = False
        return answer.get_data(as_text=True)
'''
FILES = {
    "templates/base.html": "base: {% block inner %}{% endblock %}",
    "templates/page.html": "{% extends 'base.html' %}{% block inner %}{{ word }} page{% endblock %}",
    "static/shop.css": "p { color: red }",
}


def lay(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def options() -> tuple[str, ...]:
    return ()


@pytest.fixture
def server(serve: Serve, tmp_path: Path, options: tuple[str, ...]) -> Server:
    lay(tmp_path / "site", FILES)
    return serve("-w", "2", *options, files={"app": APP})


def shown(server: Server) -> set[tuple[object, object]]:
    """Return what two workers say: page and stylesheet."""
    return {(answer["text"], answer["style"]) for answer in server.ask_all(2).values()}


def css(server: Server, **headers: str) -> requests.Response:
    return requests.get(server.url + "/static/shop.css", headers=headers, timeout=30)


def test_a_push_carries_them_to_every_worker(server: Server) -> None:
    assert shown(server) == {("base: one page", "p { color: red }")}
    peer = server.peer()
    assert set(peer.head.data["assets"]) == set(FILES)
    assert peer.head.data["folders"] == ["static", "templates"]
    report = peer.push(
        {
            "app": APP.replace('"one"', '"two"'),
            "templates/base.html": b"new: {% block inner %}{% endblock %}",
            "static/shop.css": b"p { }",
        }
    )
    assert report.outcome == "live", report.reasons
    steps = ["app.py: ~word", "static/shop.css: ~static", "templates/base.html: ~template"]
    assert list(report.steps) == steps
    assert shown(server) == {("new: two page", "p { }")}
    assert (server.folder / "static/shop.css").read_text() == FILES["static/shop.css"]
    back = peer.rollback()
    assert back.outcome == "live", back.reasons
    assert shown(server) == {("base: one page", "p { color: red }")}


def test_one_burst_of_saves_is_one_release(server: Server, clone: Clone) -> None:
    before = server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    with ann.many_files():
        ann.edit('"one"', '"two"')
        write(
            ann,
            "templates/page.html",
            "{% extends 'base.html' %}{% block inner %}new {{ word }}{% endblock %}",
        )
        write(ann, "static/shop.css", "p { color: green }")
    event = watch.expect("live")
    assert (event["release"], event["workers"]["at_head"]) == (1, 2)
    assert sorted(event["files"]) == ["app.py", "static/shop.css", "templates/page.html"]
    assert shown(server) == {("base: new two", "p { color: green }")}
    assert server.ask_all(2).keys() == before.keys()
    assert watch.end() == 0


@pytest.mark.long
def test_each_save_alone_a_deletion_and_a_rollback(server: Server, clone: Clone) -> None:
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    write(ann, "templates/base.html", "parent: {% block inner %}{% endblock %}")
    watch.expect("live", "templates/base.html")
    assert shown(server) == {("parent: one page", FILES["static/shop.css"])}
    tag = css(server).headers["ETag"]
    write(ann, "static/shop.css", "p { }")
    watch.expect("live", "static/shop.css")
    assert css(server, **{"If-None-Match": tag}).text == "p { }"
    tag = css(server).headers["ETag"]
    assert css(server, **{"If-None-Match": tag}).status_code == 304
    write(ann, "templates/new.html", "a new one")
    watch.expect("live", "templates/new.html")
    (ann.folder / "static/shop.css").unlink()
    watch.expect("live", "static/shop.css")
    assert css(server, **{"If-None-Match": tag}).status_code == 404
    done = ann.run("rollback", "--json")
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    assert css(server).text == "p { }"
    assert (server.folder / "static/shop.css").read_text() == FILES["static/shop.css"]
    assert watch.end() == 0


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["alone", "preload"])
def test_a_worker_that_is_killed_comes_back_with_them(server: Server, clone: Clone) -> None:
    before = server.ask_all(2)
    ann = clone(server)
    assert ann.push().last["outcome"] == "unchanged"  # they have met
    write(ann, "templates/page.html", "pushed {{ word }}")
    (ann.folder / "static/shop.css").unlink()
    (server.folder / "static/upload.png").write_bytes(b"written by the app")
    done = ann.push()
    assert (done.code, done.last["outcome"]) == (0, "live"), done.said
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers() - before.keys()) == 2, 30)
    eventually(lambda: css(server).status_code == 404)
    assert {page(server) for _ in range(20)} == {"pushed one"}
    assert requests.get(server.url + "/static/upload.png", timeout=30).content == b"written by the app"
    status = ann.run("status", "--json")
    assert (status.code, status.last["release"]) == (0, 1), status.said


def test_a_template_that_is_none_is_refused_and_nothing_changes(server: Server, clone: Clone) -> None:
    server.ask_all(2)
    ann = clone(server)
    watch = ann.watch().ready()
    with ann.many_files():
        ann.edit('"one"', '"two"')
        write(ann, "templates/page.html", "fine\n{% if %}\n")
    event = watch.expect("refused")
    reason = event["reasons"][0]
    assert (reason["code"], reason["where"]) == ("template-syntax", "templates/page.html:2")
    assert watch.expect("held")["files"] == ["app.py"]  # it names the template
    assert shown(server) == {("base: one page", FILES["static/shop.css"])}
    with ann.many_files():
        write(ann, "templates/page.html", "mended {{ word }}")
    assert sorted(watch.expect("live")["files"]) == ["app.py", "templates/page.html"]
    assert shown(server) == {("mended two", FILES["static/shop.css"])}
    assert watch.end() == 0


def test_a_cold_deploy_of_a_template_supersedes_what_was_pushed(server: Server) -> None:
    server.ask_all(2)
    peer = server.peer()
    assert peer.push({"templates/page.html": b"pushed"}).outcome == "live"
    (server.folder / "templates/page.html").write_text("deployed")
    server.stop()
    restart(server)
    eventually(lambda: accepts(server.port), 30)
    assert {answer["text"] for answer in server.ask_all(2).values()} == {"deployed"}
    assert server.peer().head.release == 1


@pytest.mark.long
def test_a_rollback_takes_a_static_file_as_the_disk_has_it(server: Server) -> None:
    server.ask_all(2)
    peer = server.peer()
    assert peer.push({"static/shop.css": b"pushed"}).outcome == "live"
    (server.folder / "static/shop.css").write_text("deployed")
    done = peer.rollback()
    assert done.outcome == "live", done.reasons
    words = "~static (as it is on the server's disk now, which has another one than then)"
    assert list(done.steps) == [f"static/shop.css: {words}"]
    assert {style for _, style in shown(server)} == {"deployed"}


@pytest.mark.long
def test_what_was_pushed_outlives_a_folder_that_grows_too_large(server: Server) -> None:
    before = server.ask_all(2)
    peer = server.peer()
    assert peer.push({"app": APP.replace('"one"', '"two"'), "static/shop.css": b"pushed"}).outcome == "live"
    for number in range(MAX_ASSETS):
        (server.folder / f"static/{number}.txt").touch()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers() - before.keys()) == 2, 30)
    assert shown(server) == {("base: two page", "pushed")}
    assert peer.hello().data["folders"] == ["templates"]
    assert peer.ask("status").data["surroundings"]["crowded"] == ["static"]
    refused = peer.push({"static/shop.css": b"more"})
    assert (refused.outcome, refused.reasons[0].code) == ("refused", "not-allowed")
    assert peer.rollback().outcome == "live"
    assert shown(server) == {("base: one page", FILES["static/shop.css"])}


@pytest.mark.long
def test_a_rollback_brings_a_blueprint_and_its_static_files_together(serve: Serve, tmp_path: Path) -> None:
    """Its folder is one of the app's only when the release is live."""
    lay(tmp_path / "site", {**FILES, "more/a.css": "deployed"})
    statics = PAGES.replace('template_folder="pages"', 'static_folder="more", static_url_path="/more"')
    server = serve("-w", "2", files={"app": WITH_PAGES, "admin": statics.format(more="")})

    def css() -> set[str]:
        return {requests.get(server.url + "/more/a.css", timeout=30).text for _ in range(10)}

    server.ask_all(2)
    assert css() == {"deployed"}
    peer = server.peer()
    assert peer.push({"more/a.css": b"pushed"}).outcome == "live"
    assert css() == {"pushed"}
    report = peer.push({"app": APP}, deleted=("admin", "more/a.css"))
    assert report.outcome == "live", report.reasons
    for number, text in ((1, "pushed"), (0, "deployed"), (1, "pushed")):
        done = peer.rollback(number)
        assert done.outcome == "live", done.reasons
        assert css() == {text}


ADMIN = """

admin = Blueprint("admin", __name__, template_folder="more")


@admin.get("/admin")
def overview():
    return {"page": render_template("admin.html")}


app.register_blueprint(admin)
"""


@pytest.mark.long
def test_a_blueprint_that_a_release_brings_has_its_templates_after_a_restart_too(server: Server) -> None:
    before = server.ask_all(2)
    peer = server.peer()
    text = APP.replace("import Flask,", "import Blueprint, Flask,") + ADMIN
    report = peer.push({"app": text})
    assert report.outcome == "live", report.reasons
    assert "more" in report.data["folders"]
    assert "more" in peer.hello().data["folders"]
    report = peer.push({"more/admin.html": b"pushed"})
    assert report.outcome == "live", report.reasons
    assert {server.get("/admin")["page"] for _ in range(10)} == {"pushed"}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers() - before.keys()) == 2, 30)
    assert {server.get("/admin")["page"] for _ in range(10)} == {"pushed"}


@pytest.mark.long
def test_watch_sends_what_lies_beside_a_blueprint_that_it_sent_and_what_is_saved_there(
    server: Server, clone: Clone
) -> None:
    """The folder was none of the app's when it began to watch."""
    server.ask_all(2)
    ann = clone(server)
    (ann.folder / "more").mkdir()
    write(ann, "more/admin.html", "first")
    watch = ann.watch().ready()
    write(ann, "app.py", APP.replace("import Flask,", "import Blueprint, Flask,") + ADMIN)
    watch.expect("live", "app.py")
    watch.expect("live", "more/admin.html")
    assert {server.get("/admin")["page"] for _ in range(10)} == {"first"}
    write(ann, "more/admin.html", "second")
    watch.expect("live", "more/admin.html")
    assert {server.get("/admin")["page"] for _ in range(10)} == {"second"}
    assert watch.end() == 0


PAGES = """\
from flask import Blueprint, render_template

pages = Blueprint("pages", __name__, template_folder="pages"{more})


@pages.get("/a")
def a():
    return {{"page": render_template("a.txt")}}
"""
WITH_PAGES = APP.replace("Habanero(app)", "Habanero(app)\nimport admin\napp.register_blueprint(admin.pages)")


@pytest.mark.long
def test_a_blueprint_that_is_made_anew_or_goes_and_comes_back_has_what_was_pushed(
    serve: Serve, clone: Clone, tmp_path: Path
) -> None:
    lay(tmp_path / "site", {**FILES, "pages/a.txt": "deployed"})
    server = serve("-w", "2", files={"app": WITH_PAGES, "admin": PAGES.format(more="")})
    ann = clone(server)
    write(ann, "pages/a.txt", "pushed")
    assert ann.push().last["outcome"] == "live"
    write(ann, "admin.py", PAGES.format(more=', url_prefix="/x"'))
    assert ann.push().last["outcome"] == "live"
    assert server.get("/x/a")["page"] == "pushed"
    write(ann, "app.py", APP)
    for gone in ("admin.py", "pages/a.txt"):
        (ann.folder / gone).unlink()
    done = ann.push()
    assert done.last["outcome"] == "live", done.last
    assert ann.run("rollback", "--json", "--yes").last["outcome"] == "live"
    assert server.get("/x/a")["page"] == "pushed"


PAIR = """\
import time

from flask import Flask, render_template
from flask_habanero import Habanero

import left

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index():
    before = left.number()
    time.sleep(0.002)  # a release in between would show
    right, method = render_template("own.txt"), render_template("child.txt")
    return {"left": before, "right": int(right), "method": int(method)}
"""


def numbered(number: int) -> dict[str, str]:
    return {
        "left.py": left(number),
        "templates/own.txt": str(number),
        "templates/parent.txt": f"{number}{{% block none %}}{{% endblock %}}",
    }


def test_every_answer_is_of_one_release(serve: Serve, clone: Clone, tmp_path: Path) -> None:
    lay(tmp_path / "site", {**numbered(0), "templates/child.txt": "{% extends 'parent.txt' %}"})
    server = serve("-w", "2", "-k", "gthread", "--threads", "4", files={"app": PAIR})
    ann = clone(server)
    watch = ann.watch().ready()
    with Readers(server).reading() as readers:
        for number in range(1, 21):
            with ann.many_files():
                lay(ann.folder, numbered(number))
            event = watch.expect("live")
            assert (event["release"], len(event["files"])) == (number, 3), event
            readers.acknowledged = number
    assert not readers.wrong, readers.wrong[:3]
    assert readers.asked > 20
    assert watch.end() == 0


def write(laptop: Laptop, name: str, text: str) -> None:
    (laptop.folder / name).write_text(text)


def page(server: Server) -> object:
    return server.get("/page")["page"]
