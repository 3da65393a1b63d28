"""`doctor` against real servers: a healthy one, one with another secret, one that is down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask_habanero.envelope import new_secret

from tests.e2e.conftest import Serve
from tests.e2e.laptops import Clone, Done, Laptop

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def examined(laptop: Laptop, **environ: str) -> tuple[Done, dict[str, dict[str, Any]]]:
    done = laptop.run("doctor", "--json", **environ)
    rows = [json.loads(line) for line in done.said.splitlines() if line.startswith("{")]
    return done, {row["check"]: row for row in rows}


def levels(findings: dict[str, dict[str, Any]], level: str) -> set[str]:
    return {name for name, row in findings.items() if row["level"] == level}


def test_a_healthy_server(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "2", "--preload")
    server.ask_all(2)
    done, findings = examined(clone(server))
    assert done.code == 0, done.said
    assert levels(findings, "fail") | levels(findings, "skip") == set()
    assert levels(findings, "warn") <= {"store"}  # the test's folder lies below /tmp
    assert findings["model"]["what"].startswith("gunicorn/")
    assert "--preload" in findings["model"]["what"]
    assert str(server.folder) in findings["store"]["what"]
    assert findings["workers"]["what"].startswith("2/2 workers at #0")
    assert findings["size"]["what"] == "a push of 4194304 bytes gets there"
    assert server.key.spellings[1].decode() not in done.said


def test_another_secret_and_then_a_server_that_is_down(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "1")
    laptop = clone(server)
    done, findings = examined(laptop, HABANERO_SECRET=new_secret())
    assert done.code == 1
    assert levels(findings, "fail") == {"server"}
    assert "another secret" in findings["server"]["what"]
    assert {"app", "python", "model", "settings"} <= levels(findings, "skip")
    server.stop()
    done, findings = examined(laptop)
    assert done.code == 1
    assert "connection refused" in findings["server"]["what"]
    assert {"secret", "memory", "git", "watcher"} <= levels(findings, "ok")


def test_a_reloader_and_a_misspelt_key(serve: Serve, clone: Clone) -> None:
    server = serve("-w", "1", "--reload", "-e", "HABANERO_STOR=x")
    done, findings = examined(clone(server))
    assert done.code == 0, done.said
    assert "reloader of gunicorn" in findings["model"]["what"]
    assert findings["settings"]["what"] == "no such keys: HABANERO_STOR"
