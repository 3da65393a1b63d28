"""`doctor`: one line for each check, also when everything else is broken."""

import json
import subprocess
from pathlib import Path

import pytest
from flask_habanero.client import laptop
from flask_habanero.client.doctor import CHECKS, examine
from flask_habanero.client.finding import Case, Check
from flask_habanero.client.pythons import find, how_to_get, version_in
from flask_habanero.client.surroundings import Surroundings
from flask_habanero.client.target import Options
from flask_habanero.envelope import Key, new_secret
from flask_habanero.errors import EnvelopeError
from flask_habanero.release import Report

from tests.fake_server import stranger


@pytest.fixture
def told(run, server):
    """Run `doctor --json`; return its findings by the check's name."""
    server.max_bytes = 2**16  # else most of the time goes into 4 MiB of noise

    def told(*args):
        ran = run("doctor", "--json", *args)
        findings = {row["check"]: row for row in map(json.loads, ran.out.splitlines())}
        assert list(findings) == [check.name for check in CHECKS], ran
        assert ran.code == any(row["level"] == "fail" for row in findings.values()), ran
        return findings

    return told


def test_all_is_well(told, server):
    findings = told()
    assert {row["level"] for row in findings.values()} == {"ok"}, findings
    assert findings["size"]["what"] == f"a push of {server.max_bytes} bytes gets there"
    assert max(claims["len"] for claims in server.seen) > 0.99 * server.max_bytes
    assert {claims["op"] for claims in server.seen} == {"hello", "status"}


def test_people_get_a_line_each_and_the_next_thing_to_type(run, environ):
    environ.delenv("HABANERO_SECRET")
    ran = run("doctor")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert [line for line in lines if line.startswith("fail  secret")], ran
    assert "hint: export HABANERO_SECRET=" in ran.out
    assert [line.split()[1] for line in lines if not line.startswith(" ")] == [c.name for c in CHECKS]
    assert "1 failed" in ran.err


def test_no_secret_is_ever_shown(run, server, project, environ):
    (project.folder / ".env").write_text(f"HABANERO_SECRET={server.secret}\n")
    body = Key.parse(server.secret).spellings[1].decode()
    for _ in range(2):
        for ran in (run("doctor"), run("doctor", "--json")):
            assert body not in ran.out + ran.err
        environ.setenv("HABANERO_SECRET", server.secret[:-1])  # a character was lost


# What is broken here -> check, level, a part of what it says, a part of its hint

HERE = {
    "no secret": ("secret", "fail", "HABANERO_SECRET is not set", "export HABANERO_SECRET="),
    "damaged secret": ("secret", "fail", "check at its end", "flask habanero secret"),
    "secret in .env only": ("secret", "fail", ".env, which nothing has read", "set -a; . "),
    "secret file for all": ("secret", "warn", "others on this machine may read", "chmod 600 "),
    "another secret in .env": ("dotenv", "warn", "another secret", "unset HABANERO_SECRET"),
    "the secret in .env": ("dotenv", "ok", "gunicorn does not", ""),
    "secret in git": ("dotenv", "warn", "is in git", "git rm --cached .env"),
    "broken pyproject": ("project", "fail", "pyproject.toml", "correct the file"),
    "unknown target": ("project", "fail", "no target of that name", "[tool.habanero.targets.nowhere]"),
    "no address": ("address", "fail", "no server was named", "--url"),
    "plain http": ("address", "fail", "plain http to shop.example", "https://"),
    "no such ca file": ("address", "fail", "no such file of certificates", "--ca-file"),
    "memory in a file": ("memory", "warn", "each push is a first contact", "XDG_STATE_HOME="),
    "no git": ("git", "warn", "no git on PATH", "install git"),
    "files of nobody": ("modules", "fail", "no file below", "HABANERO_MODULES"),
    "a file that is no text": ("modules", "warn", "1 can't be read: shop/views.py:1", "correct it"),
    "another project": ("modules", "warn", "none of the 4 modules that the server runs", "roots"),
    "a file that does not compile": ("imports", "warn", "shop/views.py:1", "correct it"),
    "a package that is not here": (
        "imports",
        "warn",
        "here: nowhere9 (by shop.views). To push",
        "install it",
    ),
    "imports that may fail, and others of the project": ("imports", "ok", "4 modules compile", ""),
    "no inotify": ("watcher", "warn", "no events from the file system", "fs.inotify.max_user_instances"),
    "few watches": ("watcher", "warn", "may watch 1", "fs.inotify.max_user_watches"),
    "network mount": ("watcher", "warn", "nfs4 gives no events", "a local disk"),
    "watchdog 7": ("watcher", "warn", "flask run --debug", "watchdog<7"),
}


def break_here(case, project, environ, server, tmp_path):
    """Break one thing on the laptop. Returns what is typed besides."""
    shop = project.folder / "shop"
    typed = {
        "unknown target": ["nowhere"],
        "plain http": ["--url", "http://shop.example"],
        "no such ca file": ["--ca-file", str(tmp_path / "none.pem")],
    }
    breaks = {
        "broken pyproject": lambda: (project.folder / "pyproject.toml").write_text("[tool"),
        "no address": lambda: environ.delenv("HABANERO_URL"),
        "memory in a file": lambda: (tmp_path / "state").write_text(""),
        "no git": lambda: environ.setenv("PATH", str(tmp_path)),
        "files of nobody": lambda: setattr(server, "allowed", ["blog"]),
        "a file that is no text": lambda: (shop / "views.py").write_bytes(b"x = '\xff'\n"),
        "a file that does not compile": lambda: (shop / "views.py").write_text("def (\n"),
        "a package that is not here": lambda: (shop / "views.py").write_text("import os, nowhere9.deep\n"),
        "imports that may fail, and others of the project": lambda: (
            (shop / "views.py").write_text(
                "from . import models\nfrom shop.pricing import price\nimport scripts, __main__\n"
                "try:\n    import nowhere9\nexcept ImportError:\n    pass\n"
            )
            and (project.folder / "scripts").mkdir()
        ),
        "another project": lambda: (
            shop.rename(project.folder / "another") and server.allowed.append("another")
        ),
    }
    if "secret" in case:
        break_secret(case, project, environ, server, tmp_path)
    elif case in breaks:
        breaks[case]()
    elif case not in typed:
        break_watcher(case, environ, tmp_path)
    return typed.get(case, [])


def break_secret(case, project, environ, server, tmp_path):
    env, secret = project.folder / ".env", server.secret
    if case in ("no secret", "secret in .env only"):
        environ.delenv("HABANERO_SECRET")
    if case == "damaged secret":
        environ.setenv("HABANERO_SECRET", secret[:-1] + ("0" if secret[-1] != "0" else "1"))
    if ".env" in case or case == "secret in git":
        env.write_text(f"export HABANERO_SECRET='{new_secret() if 'another' in case else secret}'\n")
    if case == "secret in git":
        for words in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *words], cwd=project.folder, check=True)
    if case == "secret file for all":
        path = tmp_path / "secret"
        path.write_text(secret)
        path.chmod(0o644)
        environ.delenv("HABANERO_SECRET")
        environ.setenv("HABANERO_SECRET_FILE", str(path))


def break_watcher(case, environ, tmp_path):
    from watchdog.observers import Observer

    def refuse(self):
        raise OSError(24, "inotify instance limit reached")

    if case == "no inotify":
        environ.setattr(Observer, "start", refuse)
    elif case == "few watches":
        (tmp_path / "limit").write_text("1\n")
        environ.setattr(laptop, "INOTIFY", tmp_path / "limit")
    elif case == "network mount":
        environ.setattr("flask_habanero.client.watch.remote_mount", lambda roots: "nfs4")
    else:
        environ.setattr(laptop.importlib.metadata, "version", lambda name: "7.1.0")


@pytest.mark.parametrize("case", HERE)
def test_what_is_broken_here(told, project, environ, server, tmp_path, case):
    check, level, what, hint = HERE[case]
    found = told(*break_here(case, project, environ, server, tmp_path))[check]
    assert found["level"] == level, found
    assert what in found["what"]
    assert hint in found["hint"]


def test_polling_that_is_switched_on_is_said_and_what_is_neither_on_nor_off(told, project):
    (project.folder / "pyproject.toml").write_text("[tool.habanero]\npolling = true\n")
    found = told()["watcher"]
    assert (found["level"], found["what"]) == ("ok", "polling is switched on: `watch` looks every 0.3 s")
    (project.folder / "pyproject.toml").write_text('[tool.habanero]\npolling = "on"\n')
    found = told()["watcher"]
    assert (found["level"], found["hint"]) == ("fail", "polling = true in [tool.habanero]")


def test_plain_http_that_is_meant_is_said_all_the_same(told):
    assert told("--url", "http://shop.invalid", "--allow-http")["address"]["level"] == "warn"


# The same for the server

THERE = {
    "down": ("server", "fail", "connection refused", "is it up?"),
    "no TLS there": ("server", "fail", "TLS: ", "--ca-file"),
    "another secret": ("server", "fail", "another secret", "the same HABANERO_SECRET there"),
    "store down": ("server", "fail", "disk full", "HABANERO_STORE"),
    "another app": ("app", "fail", "'shop', not 'blog'", "--app-id shop"),
    "clock": ("clock", "warn", "s ahead of ours", "timedatectl"),
    "clock behind": ("clock", "warn", "s behind ours", "timedatectl"),
    "python": ("python", "fail", "the server runs CPython 3.14", "install"),
    "proxy": ("size", "warn", "65536 bytes", "client_max_body_size 1m;"),
    "version": ("version", "warn", "'0.0.9' there", "the same on both sides"),
    "behind": ("workers", "fail", "web/7: busy", "restart"),
    "store in /tmp": ("store", "warn", "forgets the releases", "HABANERO_STORE="),
    "reloader": ("model", "warn", "reloader of Werkzeug", "--no-reload"),
    "preload": ("model", "ok", "--preload", ""),
    "unknown keys": ("settings", "warn", "HABANERO_STOR", "docs/configuration.md"),
    "overridden": ("settings", "warn", "HABANERO_STORE", "app.config counts first"),
    "refuses": ("cold", "ok", "is refused (HABANERO_COLD=restart", ""),
    "restarts": ("cold", "ok", "restarts the workers", ""),
    "can't restart": ("cold", "warn", "and yet a cold change is refused: no run", "flask habanero run"),
    "crowded": (
        "assets",
        "warn",
        "more than 2000 files each, so none of them goes live: shop/static",
        "folder",
    ),
    "nothing told": ("model", "fail", "no surroundings", ""),
}


def break_there(case, server, environ):
    tell = server.surroundings.update
    {
        "down": lambda: environ.setenv("HABANERO_URL", "http://127.0.0.1:9"),
        "no TLS there": lambda: environ.setenv("HABANERO_URL", server.url.replace("http:", "https:")),
        "another secret": lambda: environ.setenv("HABANERO_SECRET", new_secret()),
        "store down": lambda: environ.setattr(server, "_hello", lambda c, b: Report("failed", reasons=STORE)),
        "clock": lambda: setattr(server, "skew_s", 600),
        "clock behind": lambda: setattr(server, "skew_s", -600),
        "python": lambda: setattr(server, "python", "abcd-cpython-314-o0-gil"),
        "proxy": lambda: server.lies.extend([lambda a: a, lambda a: stranger(413)]),
        "version": lambda: setattr(server, "version", "0.0.9"),
        "behind": lambda: setattr(server, "behind", ("web/7: busy",)),
        "store in /tmp": lambda: tell(store="/tmp/habanero"),
        "reloader": lambda: tell(reloader="Werkzeug"),
        "preload": lambda: tell(preloaded=True),
        "unknown keys": lambda: tell(unknown=["HABANERO_STOR"]),
        "overridden": lambda: tell(overridden=["HABANERO_STORE"]),
        "refuses": lambda: None,
        "restarts": lambda: tell(cold="restart"),
        "can't restart": lambda: tell(cold="restart", obstacle="no run", obstacle_hint="flask habanero run"),
        "crowded": lambda: tell(crowded=["shop/static"]),
        "nothing told": lambda: setattr(server, "surroundings", None),
        "another app": lambda: None,
    }[case]()
    return ["--app-id", "blog"] if case == "another app" else []


STORE = Report.from_json(
    {
        **Report("failed").as_json(),
        "reasons": [{"code": "store", "where": "", "what": "disk full", "hint": ""}],
    }
).reasons


@pytest.mark.parametrize("case", THERE)
def test_what_is_broken_there(told, environ, server, case):
    check, level, what, hint = THERE[case]
    found = told(*break_there(case, server, environ))[check]
    assert found["level"] == level, found
    assert what in found["what"]
    assert hint in found["hint"]


GOOD = {"version": "Redis 7.2.5", "keeps": "each write", "eviction": "noeviction", "skew_s": 0.1}
GOOD |= {"exposed": [], "trouble": ""}
SHARED = {
    "good": ({}, "ok", "Redis 7.2.5", ""),
    "copies": ({"keeps": "a copy now and then"}, "ok", "Redis 7.2.5", ""),
    "nobody may ask": ({"keeps": "", "eviction": ""}, "ok", "Redis 7.2.5", ""),
    "away": ({"trouble": "connection refused"}, "fail", "it can't be asked: connection refused", "ping"),
    "too old": ({"version": "Redis 4.0.1"}, "fail", "Redis 4.0.1 is too old", "6.2 or later"),
    "old": ({"version": "Redis 6.0.9"}, "warn", "older than what was tested", "6.2 or later"),
    "no version": ({"version": ""}, "fail", "it is too old", "6.2 or later"),
    "keeps nothing": ({"keeps": "nothing"}, "warn", "its restart loses all releases", "appendonly yes"),
    "throws away": (
        {"eviction": "allkeys-lru"},
        "warn",
        "allkeys-lru: when its memory is full",
        "noeviction",
    ),
    "open": ({"exposed": ["a password", "TLS"]}, "warn", "without a password and TLS", "rediss://"),
    "clock": ({"skew_s": -90.0}, "warn", "its clock is -90 s from the server's", "timedatectl"),
    "worst first": (
        {"version": "Redis 4.0.1", "keeps": "nothing"},
        "fail",
        "too old; its restart",
        "install",
    ),
}


@pytest.mark.parametrize("case", SHARED)
def test_how_the_shared_store_is_set(told, server, case):
    change, level, what, hint = SHARED[case]
    server.surroundings.update(shared={**GOOD, **change}, store="redis://cache:6379/0")
    found = told()["shared"]
    assert found["level"] == level, found
    assert what in found["what"]
    assert hint in found["hint"]


def test_of_one_host_nothing_is_shared(told):
    assert told()["shared"]["what"] == "one host: nothing is shared"


def test_a_pod_that_shares_nothing(told, server):
    server.surroundings.update(pod=True)
    found = told()["shared"]
    assert (found["level"], found["what"][:39]) == ("warn", "a pod of Kubernetes that shares nothing")
    assert found["hint"].startswith("HABANERO_STORE=redis://")
    server.surroundings.update(shared=GOOD)
    assert told()["shared"]["level"] == "ok"


def test_what_can_not_be_asked_is_skipped_and_all_else_is_not(told, environ):
    environ.setenv("HABANERO_URL", "http://127.0.0.1:9")
    findings = told()
    assert findings["model"] == {
        "check": "model",
        "level": "skip",
        "what": "can't be told without: version",
        "hint": "",
    }
    assert findings["watcher"]["level"] == "ok"


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(tmp_path):
    def breaks(case):
        raise ZeroDivisionError("of ours")

    checks = (
        Check("one", breaks),
        Check("two", lambda case: ("ok", "", "")),
        Check("three", breaks, ("one",)),
    )
    case = Case(Options(), tmp_path, {})
    assert [(f.check, f.level) for f in examine(case, checks)] == [
        ("one", "fail"),
        ("two", "ok"),
        ("three", "skip"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"preloaded": 1},
        {"server": None},
        {"server": "\x1b[2J"},
        {"store": "x" * 5000},
        {"unknown": "HABANERO_X"},
        {"overridden": [1]},
        {"crowded": None},
        {"pod": 1},
        {"shared": {}},
        {"shared": {**GOOD, "skew_s": "1"}},
        {"shared": {**GOOD, "version": "\x1b[2J"}},
        {"shared": {**GOOD, "exposed": "TLS"}},
        {"cold": None},
        {"obstacle": 1},
    ],
)
def test_surroundings_are_decoded_strictly(server, change):
    good = Report("live", data={"surroundings": server.surroundings})
    assert Surroundings.of(good).server == "gunicorn/23.0.0"
    with pytest.raises(EnvelopeError):
        Surroundings.of(Report("live", data={"surroundings": {**server.surroundings, **change}}))


def test_how_to_get_a_python_says_it_with_what_is_here(tmp_path):
    environ = {"PATH": str(tmp_path)}
    assert how_to_get("3.13", environ).startswith("install CPython 3.13")
    executable(tmp_path / "pyenv")
    assert how_to_get("3.13", environ) == "pyenv install 3.13"
    executable(tmp_path / "uv")
    assert how_to_get("3.13", environ) == "uv python install 3.13"


def executable(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_a_python_is_found_where_it_is_installed(tmp_path):
    home = tmp_path / "home"
    environ = {"HOME": str(home), "PATH": f"{home}/.pyenv/shims:{tmp_path}/bin"}
    executable(home / ".pyenv" / "shims" / "python3.13")  # there for each version, also those not installed
    assert find("3.13", environ) is None
    on_path = executable(tmp_path / "bin" / "python3.13")
    assert find("3.13", environ) == on_path
    of_uv = executable(home / ".local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13")
    assert find("3.13", environ) == of_uv
    for patch in (9, 10):
        newest = executable(home / ".pyenv" / "versions" / f"3.13.{patch}" / "bin" / "python3.13")
    assert find("3.13", environ) == newest
    assert find("3.12", environ) is None


def test_versions_are_read_from_tags():
    assert version_in("cb0d-cpython-312-o0-gil") == "3.12"
    assert version_in("cb0d-cpython-313-o2-nogil") == "3.13t"
    assert version_in("pypy") == ""


def test_each_check_has_a_line_in_the_docs():
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    told = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert told == [check.name for check in CHECKS]
