"""``Habanero(app)`` in front of real Flask apps, with a program that is only a tree."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask, abort, send_file
from flask_habanero import server
from flask_habanero.envelope import new_secret
from flask_habanero.errors import ConfigError, StoreError
from flask_habanero.live import startup
from flask_habanero.server import Habanero
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, EnvironBuilder

from tests.fakes import FakeProgram, tree_of
from tests.hosts import KEY, SECRET
from tests.peer import Peer, over_client

BASE = tree_of(shop="x = 1", shop__views="y = 1")
Make = Callable[..., Flask]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> FakeProgram:
    """The program of this process, forgotten at the end of the test."""
    program = FakeProgram(dict(BASE))
    monkeypatch.setattr(server, "_shared", [])
    monkeypatch.setattr(server, "attach", lambda app, modules: program)
    return program


@pytest.fixture
def make(program: FakeProgram, tmp_path: Path) -> Make:
    def make(name: str = "shop", **config: Any) -> Flask:
        app = Flask(name, instance_path=str(tmp_path), root_path=str(tmp_path))
        app.config.update({"HABANERO_SECRET": SECRET, **config})

        @app.get("/")
        def index() -> str:
            return program.tree["shop"].text

        Habanero(app)
        return app

    return make


def peer_of(app: Any, path: str = "/_habanero") -> Peer:
    return Peer(KEY, over_client(Client(app), path))


def test_a_push_through_the_app(make: Make, program: FakeProgram) -> None:
    app = make()
    peer = peer_of(app)
    assert peer.push({"shop": "x = 2"}).outcome == "live"
    assert app.test_client().get("/").text == "x = 2"
    assert program.tree["shop"].text == "x = 2"


def test_in_a_factory(make: Make, program: FakeProgram, tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    app.config["HABANERO_SECRET"] = SECRET
    Habanero().init_app(app)
    assert peer_of(app).hello().outcome == "live"


def test_nothing_is_kept_on_the_extension() -> None:
    assert vars(Habanero()) == {}


def test_a_second_init_of_one_app_is_told_what_to_do(make: Make) -> None:
    app = make()
    with pytest.raises(RuntimeError, match="only once"):
        Habanero(app)


def test_nothing_happens_before_the_first_request(make: Make, tmp_path: Path) -> None:
    make()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "config",
    [{"HABANERO_SECRET": None}, {"HABANERO_DISABLED": True}, {"TESTING": True}],
    ids=["off", "killed", "test"],
)
def test_inert(make: Make, tmp_path: Path, config: dict[str, Any]) -> None:
    app = make(**config)
    assert app.test_client().get("/").text == "x = 1"
    assert app.test_client().post("/_habanero", headers={"Habanero": "hbn1.x.y.z"}).status_code == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secret", [SECRET, None], ids=["on", "inert"])
def test_watching_what_starts_ends_at_the_first_request(make: Make, secret: str | None) -> None:
    startup.start()
    assert startup.recording()
    make(HABANERO_SECRET=secret).test_client().get("/")
    assert not startup.recording()


def test_what_is_configured_after_init_counts(make: Make, tmp_path: Path) -> None:
    late = make(HABANERO_SECRET=None)
    late.config["HABANERO_SECRET"] = SECRET
    assert peer_of(late).hello().outcome == "live"


def test_inert_inside_a_command(make: Make, tmp_path: Path) -> None:
    app = make()

    @click.group()
    def flask() -> None:
        pass

    @flask.command()
    def seed() -> None:
        assert app.test_client().get("/").text == "x = 1"

    flask.main(["seed"], prog_name="flask", standalone_mode=False)
    assert list(tmp_path.iterdir()) == []
    assert peer_of(app).hello().outcome == "live"


def test_a_malformed_secret_stops_the_start(make: Make) -> None:
    with pytest.raises(ConfigError, match="flask habanero secret"):
        make(HABANERO_SECRET="changeme")


def test_two_apps_of_one_process_share_what_they_run(make: Make, program: FakeProgram) -> None:
    one, two = make("shop"), make("admin")
    peer = peer_of(one)
    peer.push({"shop": "x = 2"})
    assert two.test_client().get("/").text == "x = 2"
    assert peer_of(two).hello().release == 1


def test_two_calls_of_a_factory_are_two_apps_of_one_process(make: Make) -> None:
    make("shop").test_client().get("/")
    again = make("shop")
    assert peer_of(again).push({"shop": "x = 2"}).outcome == "live"


@pytest.mark.parametrize("key", ["HABANERO_SECRET", "HABANERO_STORE"])
def test_two_apps_that_were_told_different_things_are_refused(make: Make, tmp_path: Path, key: str) -> None:
    make("shop")
    other = {"HABANERO_SECRET": new_secret(), "HABANERO_STORE": str(tmp_path / "other")}
    with pytest.raises(ConfigError, match="two apps in one process"):
        make("admin", **{key: other[key]})


def test_below_a_prefix(make: Make) -> None:
    mounted = DispatcherMiddleware(Flask("outer", root_path="/"), {"/shop": make()})
    peer = peer_of(mounted, "/shop/_habanero")
    assert peer.push({"shop": "x = 2"}).outcome == "live"
    assert Client(mounted).get("/shop/").text == "x = 2"


def test_behind_middleware_that_sets_the_prefix(make: Make) -> None:
    app = make()
    inner = app.wsgi_app

    def prefixed(environ: dict[str, Any], start_response: Any) -> Any:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/shop", environ["PATH_INFO"].removeprefix("/shop")
        return inner(environ, start_response)

    app.wsgi_app = prefixed
    assert peer_of(app, "/shop/_habanero").hello().outcome == "live"


def test_an_app_that_breaks_can_be_rolled_back(make: Make, program: FakeProgram) -> None:
    app = make()

    @app.before_request
    def broken() -> None:
        if "broken" in program.tree["shop"].text:
            abort(500)

    peer = peer_of(app)
    assert peer.push({"shop": "broken = 1"}).outcome == "live"
    assert app.test_client().get("/").status_code == 500
    assert peer.rollback().outcome == "live"
    assert app.test_client().get("/").text == "x = 1"


def test_a_store_that_can_not_be_used_fails_no_request(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = make(HABANERO_STORE=str(tmp_path / "file" / "store"))
    client = app.test_client()
    assert client.get("/").text == "x = 1"
    assert client.get("/").text == "x = 1"
    report = peer_of(app).ask("hello")
    assert (report.outcome, report.reasons[0].code, report.data["status"]) == ("failed", "store", 503)


def test_a_store_that_is_down_is_logged_once(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make()

    def down(*_: object) -> None:
        raise StoreError("input/output error")

    monkeypatch.setattr(server.Worker, "start", down)
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            assert app.test_client().get("/").text == "x = 1"
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_fault_of_ours_fails_no_request(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    monkeypatch.setattr(server.Worker, "start", lambda *_: 1 / 0)
    assert app.test_client().get("/").text == "x = 1"
    report = peer_of(app).ask("hello")
    assert (report.outcome, report.reasons[0].code) == ("unknown", "fault")


def test_a_fault_of_ours_is_answered_and_signed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    peer = peer_of(app)
    peer.hello()
    monkeypatch.setattr("flask_habanero.answers.Answers.status", lambda self: 1 / 0)
    (reason,) = (report := peer.ask("status")).reasons
    assert (report.outcome, reason.code) == ("unknown", "fault")
    assert re.fullmatch(r"flask_habanero\.\w+:\d+", reason.where)


def test_each_process_has_its_own_worker(make: Make) -> None:
    app = make()
    app.test_client().get("/")
    runtime = app.extensions["habanero"].runtime
    mine = runtime.here()
    child = os.fork()
    if child == 0:
        try:
            app.test_client().get("/")
            theirs = runtime.here()
            os._exit(0 if theirs is not mine and theirs.pid == os.getpid() else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert runtime.here() is mine


def test_an_answer_is_not_stored_by_caches(make: Make) -> None:
    app = make()
    seen: dict[str, str] = {}
    send = over_client(app.test_client())

    def noting(headers: Any, body: bytes) -> Any:
        answer = send(headers, body)
        seen.update(answer[1])
        return answer

    Peer(KEY, noting).hello()
    assert seen["Cache-Control"] == "no-store"
    assert seen["Content-Type"] == "application/json"


def test_file_wrapper_is_handed_through(make: Make, tmp_path: Path) -> None:
    class Wrapper:
        def __init__(self, file: Any, size: int = 8192) -> None:
            self.file = file

        def close(self) -> None:
            self.file.close()

        def __iter__(self) -> Any:
            return iter(self.file)

    app = make()
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    app.add_url_rule("/file", view_func=lambda: send_file(path))
    environ = {"wsgi.file_wrapper": Wrapper, "REQUEST_METHOD": "GET", "PATH_INFO": "/file"}
    builder = EnvironBuilder("/file")
    answer = app({**builder.get_environ(), **environ}, lambda *_: None)
    assert isinstance(answer, Wrapper)
    assert b"".join(answer) == b"12345"
    answer.close()
