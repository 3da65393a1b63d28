"""Secrets that may only read: what they see, and that nothing they send is looked into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask_habanero import endpoint, server
from flask_habanero.envelope import FOR_READERS, OPERATIONS, Key, new_secret
from flask_habanero.errors import ConfigError, EnvelopeError
from werkzeug.test import Client

from tests import test_server
from tests.fakes import FakeProgram
from tests.hosts import SECRET
from tests.peer import Peer, over_client
from tests.test_server import Make, peer_of

make, program = test_server.make, test_server.program  # the fixtures
READ = new_secret("reader")
BODIES: dict[str, Any] = {
    "rollback": {"to": None},
    "confirm": {"number": None},
    "freeze": {"why": "no"},
    "thaw": {"nonce": ""},
    "trial": {},
}


def reader_of(app: Any) -> Peer:
    return Peer(Key.parse(READ), over_client(Client(app)))


def test_a_reader_sees_what_there_is(make: Make) -> None:
    app = make(HABANERO_SECRET_READ=READ)
    assert peer_of(app).push({"shop": "x = 2"}).outcome == "live"
    reader = reader_of(app)
    assert reader.hello().release == 1
    assert reader.ask("status").data["log"][0]["number"] == 1
    assert reader.ask("log", json.dumps({"below": None}).encode()).outcome == "unchanged"
    wanted = json.dumps({"at": 1, "names": ["shop"]}).encode()
    assert reader.ask("sources", wanted).data["sources"][0][-1] == "x = 2"


@pytest.mark.parametrize("op", sorted(OPERATIONS - FOR_READERS))
def test_t53_a_reader_does_nothing_and_its_body_is_not_read(
    make: Make, program: FakeProgram, op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(HABANERO_SECRET_READ=[READ])
    reader = reader_of(app)
    reader.hello()
    body = json.dumps(BODIES[op]).encode() if op in BODIES else reader.bundle({"shop": "x = 2"}).encode()
    monkeypatch.setattr(endpoint, "_body", lambda *_: pytest.fail("it was read"))
    refused = reader.ask(op, body)
    assert (refused.outcome, refused.reasons[0].code) == ("refused", "read-only")
    assert "'reader' may only read" in refused.reasons[0].what
    assert (program.tree["shop"].text, refused.release) == ("x = 1", 0)


def test_what_may_only_read_is_what_changes_and_unmarshals_nothing() -> None:
    assert sorted(FOR_READERS) == ["hello", "log", "outcome", "sources", "status", "tree"]


def test_t53_workers_and_the_ledger_believe_none_of_them(make: Make) -> None:
    app = make(HABANERO_SECRET_READ=READ)
    reader_of(app).hello()
    (runtime,) = server._shared
    assert runtime.keys.kids == (Key.parse(SECRET).kid,)
    assert runtime.here().fleet.keys.kids == runtime.keys.kids


def test_without_the_key_a_reader_is_a_stranger(make: Make) -> None:
    with pytest.raises(EnvelopeError):
        reader_of(make()).hello()


@pytest.mark.parametrize("same", [SECRET, new_secret(Key.parse(SECRET).kid)], ids=["secret", "id"])
def test_t53_who_may_push_is_no_reader(make: Make, same: str) -> None:
    with pytest.raises(ConfigError, match="also among those that push"):
        make(HABANERO_SECRET_READ=same)


def test_it_may_lie_in_a_file(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "reader"
    path.write_text(READ)
    path.chmod(0o600)
    assert reader_of(make(HABANERO_SECRET_READ_FILE=str(path))).hello().outcome == "live"
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        make("other", HABANERO_SECRET_READ_FILE=str(path))
