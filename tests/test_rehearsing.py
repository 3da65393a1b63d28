"""Rehearsals without an app: what is asked, how a fresh process ends, under which name it finds an app."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from flask_habanero import fresh, rehearsing, server
from flask_habanero.follower import follow
from flask_habanero.fresh import Ended, RehearsalError
from flask_habanero.importable import NamelessError, name_of
from flask_habanero.release import Report
from flask_habanero.server import Habanero

from tests.fakes import FakeProgram, tree_of
from tests.hosts import SECRET, Host, Member, PeerOf
from tests.peer import Peer

BASE = tree_of(shop="x = 1")


@pytest.fixture
def member(host: Host) -> Member:
    member = host.worker(BASE)
    member.deployer.apps = [made("shop.wsgi")]
    return member


@pytest.fixture
def peer(host: Host, member: Member) -> PeerOf:
    return host.peer(member)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], float]]:
    """What fresh processes were given; none is started."""
    given: list[tuple[dict[str, Any], float]] = []

    def run(module: str, task: dict[str, Any], within_s: float) -> Ended:
        given.append((task, within_s))
        came = {"outcome": "live", "steps": ["shop: ~"], "reasons": [], "pages": []}
        return Ended(came, "", ("printed",))

    monkeypatch.setattr(rehearsing.fresh, "run", run)
    return given


def made(name: str) -> Flask:
    """Return an app that a loaded module holds."""
    app, module = Flask("shop"), ModuleType(name)
    module.app = app  # type: ignore[attr-defined]
    sys.modules[name] = module
    return app


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("shop")]:
        del sys.modules[name]


class TestAsked:
    def test_the_fresh_process_is_told_name_nonce_and_pages_and_nothing_changes(
        self, peer: PeerOf, member: Member, asked: list[tuple[dict[str, Any], float]]
    ) -> None:
        report = peer.rehearse({"shop": "x = 2"}, "/", "/cart", within=7)
        assert (report.outcome, report.steps, report.release) == ("live", ("shop: ~",), 0)
        ((task, within),) = asked
        assert (task["app"], task["pages"], within) == ("shop.wsgi:app", ["/", "/cart"], 7)
        assert task["argv"] == sys.argv
        assert report.data["output"] == []  # that of one that held is of no use
        assert member.program.tree == BASE
        assert member.program.calls == []

    def test_the_request_waits_in_the_store_until_it_has_ended(
        self, peer: PeerOf, member: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run(_module: str, task: dict[str, Any], _within: float) -> Ended:
            header, body = member.worker.ledger.staged(task["nonce"])
            assert header.startswith("hbn1.")
            assert body
            return Ended({}, "did not end within 5 s, while x", ("a", "b"))

        monkeypatch.setattr(rehearsing.fresh, "run", run)
        report = peer.rehearse({"shop": "x = 2"}, within=5)
        assert (report.outcome, report.reasons[0].code) == ("failed", "rehearsal")
        assert report.data["output"] == ["a", "b"]
        assert list((member.worker.config.store / "staged").iterdir()) == []

    def test_it_is_refused_for_what_a_push_is_refused_for_before_anything_starts(
        self, peer: PeerOf, asked: list[tuple[dict[str, Any], float]]
    ) -> None:
        assert peer.rehearse({"blog": "x = 2"}).reasons[0].code == "not-allowed"
        peer.push({"shop": "x = 3"})
        stale = Peer(peer.key, peer.send, peer.app, peer.head)
        stale.head = Report("live", 0, data=peer.head.data)
        line = json.dumps({"requests": [], "within": 5}).encode() + b"\n"
        body = line + stale.bundle({"shop": "x = 2"}).encode()
        assert stale.ask("rehearse", body).outcome == "conflict"
        assert asked == []

    def test_one_for_another_head_is_a_conflict(self, peer: PeerOf) -> None:
        number = peer.head.release
        line = json.dumps({"requests": [], "within": 5}).encode() + b"\n"
        body = line + peer.bundle({"shop": "x = 2"}).encode()
        assert peer.ask("rehearse", body, base=number + 1).outcome == "conflict"

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"[]",
            b"{}",
            b'{"requests": [], "within": 5, "command": "id"}',
            b'{"requests": ["cart"], "within": 5}',
            b'{"requests": ["shop.checks:"], "within": 5}',
            b'{"requests": ["shop.checks:stock()"], "within": 5}',
            b'{"requests": ["/\\u001b[2J"], "within": 5}',
            b'{"requests": "/", "within": 5}',
            b'{"requests": [], "within": 0}',
            b'{"requests": [], "within": 301}',
            b'{"requests": [], "within": 1.5}',
            json.dumps({"requests": ["/"] * 51, "within": 5}).encode(),
        ],
    )
    def test_a_line_that_asks_for_something_else_is_refused(
        self, peer: PeerOf, asked: list[tuple[dict[str, Any], float]], line: bytes
    ) -> None:
        report = peer.ask("rehearse", line + b"\n" + peer.bundle({"shop": "x = 2"}).encode())
        assert (report.outcome, report.reasons[0].code) == ("refused", "bundle")
        assert asked == []

    def test_one_at_a_time_and_no_push_waits_for_it(self, peer: PeerOf, member: Member) -> None:
        with member.fleet.lock("rehearsal"):
            report = peer.rehearse({"shop": "x = 2"})
            assert (report.outcome, report.reasons[0].code) == ("refused", "in-progress")
            assert report.reasons[0].what == "another rehearsal is in progress"
            assert peer.push({"shop": "x = 2"}).outcome == "live"

    def test_an_app_that_no_name_leads_to_says_which_key_to_set(self, peer: PeerOf, member: Member) -> None:
        member.deployer.apps = [Flask("shop")]
        report = peer.rehearse({"shop": "x = 2"})
        assert (report.outcome, report.reasons[0].code) == ("refused", "nameless")
        assert report.reasons[0].hint == "on the server: HABANERO_APP='shop:create_app()'"


class TestName:
    def test_the_module_that_was_there_first_imports_the_others(self) -> None:
        app = made("shop.first")
        sys.modules["shop.second"] = second = ModuleType("shop.second")
        second.app = app  # type: ignore[attr-defined]
        assert name_of([app], None) == "shop.first:app"

    def test_what_is_said_counts_before_what_is_found(self) -> None:
        assert name_of([made("shop.wsgi")], "shop:create_app('x')") == "shop:create_app('x')"

    @pytest.mark.parametrize("word", ["shop:create_app", "shop:create_app()", "shop:create_app('x', y=1)"])
    def test_a_factory_stands_on_the_command_line(self, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
        sys.modules["shop"] = module = ModuleType("shop")
        module.create_app = lambda: None  # type: ignore[attr-defined]
        monkeypatch.setattr(sys, "argv", ["gunicorn", "-b", "127.0.0.1:8000", "--log-level=x:y", word])
        assert name_of([Flask("shop")], None) == word

    @pytest.mark.parametrize(
        "word", ["shop:app2", "shop:Worker", "blog:create_app()", "127.0.0.1:8000", "create_app()"]
    )
    def test_a_word_that_is_no_factory_here_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, word: str
    ) -> None:
        sys.modules["shop"] = module = ModuleType("shop")
        module.Worker = Flask  # type: ignore[attr-defined]
        monkeypatch.setattr(sys, "argv", ["gunicorn", word])
        with pytest.raises(NamelessError):
            name_of([Flask("shop")], None)

    def test_several_apps_are_named(self) -> None:
        with pytest.raises(NamelessError, match=r"several apps: shop\.a:app, shop\.b:app"):
            name_of([made("shop.b"), made("shop.a")], None)

    def test_main_would_be_another_module(self) -> None:
        main = sys.modules["__main__"]
        main.shop_app = app = Flask("__main__")  # type: ignore[attr-defined]
        try:
            with pytest.raises(NamelessError) as caught:
                name_of([app], None)
        finally:
            del main.shop_app  # type: ignore[attr-defined]
        assert "app:create_app()" in caught.value.reasons[0].hint


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that runs a text as a fresh process's `main`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def child(text: str, within_s: float = 30.0) -> Ended:
        lines = ["from flask_habanero.fresh import Starter", "def main():", "    starter = Starter()"]
        lines += ["    task = starter.task()", *(f"    {line}" for line in text.splitlines())]
        (tmp_path / "child.py").write_text("\n".join(lines))
        return fresh.run("child", {"number": 3}, within_s)

    return child


class TestFresh:
    def test_it_says_what_came_and_is_ended(self, child: Any) -> None:
        ended = child(
            "import os; print('to a person'); starter.say(came={'n': task['number'], 'pid': os.getpid()}); "
            "starter.wait()"
        )
        assert (ended.came["n"], ended.output) == (3, ("to a person",))
        assert not Path(f"/proc/{ended.came['pid']}").exists()

    def test_it_finds_modules_where_this_process_does(self, child: Any) -> None:
        assert child("import sys; starter.say(came={'path': sys.path})").came["path"] == sys.path

    def test_one_that_raises_has_ended_by_itself(self, child: Any) -> None:
        ended = child("starter.say(at='it counts'); raise SystemExit('no')")
        assert (ended.came, ended.why) == ({}, "ended by itself with 1, while it counts")
        assert ended.output == ("no",)

    def test_one_that_takes_too_long_is_ended(self, child: Any) -> None:
        ended = child("starter.say(at='it sleeps'); import time; time.sleep(100)", within_s=1.5)
        assert ended.came == {}
        assert ended.why.startswith("did not end within 1.5 s, while ")  # on a loaded machine: while starting

    def test_its_output_is_bounded_and_printable(self, child: Any) -> None:
        ended = child("for n in range(9999): print(n, 'x' * 999 + chr(27))\nraise SystemExit(3)")
        assert len(ended.output) <= fresh.LAST_LINES
        assert all(len(line) <= fresh.WIDTH and line.isprintable() for line in ended.output)

    def test_its_pipes_are_not_the_apps(self, child: Any) -> None:
        """What a module prints is no word of ours, and what it reads is nothing."""
        ended = child(
            "import os, sys; os.write(1, b'{\"came\": 1}\\n'); starter.say(came=[sys.stdin.read()])"
        )
        assert ended.came == [""]
        assert ended.output == ('{"came": 1}',)

    def test_a_python_that_is_not_there_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
        monkeypatch.setattr(sys, "prefix", "/nowhere")
        with pytest.raises(RehearsalError, match=r"/nowhere/bin/python3\.\d+ can't be started"):
            fresh.run("child", {}, 1.0)

    def test_a_server_that_names_itself_has_its_python_beside_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        assert fresh._interpreter() == str(Path(sys.prefix) / "bin" / version)


def test_a_process_that_stays_apart_joins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_shared", [])
    monkeypatch.setattr(server, "_apart", [])
    monkeypatch.setattr(server, "attach", lambda app, modules: FakeProgram(dict(BASE)))
    app = Flask("shop", instance_path=str(tmp_path))
    app.config["HABANERO_SECRET"] = SECRET
    Habanero(app)
    server.stay_apart()
    assert app.test_client().get("/").status_code == 404
    with follow(app).task():
        pass
    assert list(tmp_path.iterdir()) == []
