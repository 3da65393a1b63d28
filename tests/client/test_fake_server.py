"""The fake is worth what it has in common with the real server: one suite, run against both."""

import json
import re

import pytest
from flask_habanero.envelope import Key
from flask_habanero.release import tree_digest

from tests.fake_server import FakeServer
from tests.hosts import Host
from tests.peer import Peer


def real(tmp_path, base):
    host = Host(tmp_path)
    return host.peer(host.worker(base)), host.close


def fake(_tmp_path, base):
    server = FakeServer(tree=dict(base))

    def send(headers, body):
        answer = server.answer({**headers, "Content-Length": str(len(body))}, body)
        return answer.status, answer.headers, answer.body

    peer = Peer(Key.parse(server.secret), send)
    peer.hello()
    return peer, lambda: None


@pytest.fixture(params=[real, fake], ids=["real", "fake"])
def peer(request, tmp_path):
    base = FakeServer().put(shop="x = 1\n", shop__views="y = 1\n").tree
    made, close = request.param(tmp_path, base)
    yield made
    close()


KEYS = {
    "app",
    "epoch",
    "python",
    "optimize",
    "modules",
    "path",
    "max_bytes",
    "first",
    "head",
    "time",
    "version",
}


def test_hello_tells_what_a_client_needs(peer):
    report = peer.hello()
    assert {*KEYS, "tree"} <= set(report.data)
    assert (report.outcome, report.data["status"], report.data["head"]) == ("live", 200, None)
    assert report.data["first"] == report.release
    assert report.digest == tree_digest((name, row[0]) for name, row in report.data["tree"].items())


def test_a_push_moves_head_by_one(peer):
    before = peer.hello().release
    report = peer.push({"shop.views": "y = 2\n"})
    assert (report.outcome, report.release, report.data["status"]) == ("live", before + 1, 200)
    after = peer.hello()
    assert (after.release, after.digest) == (report.release, report.digest)
    head = after.data["head"]
    assert (head["number"], head["who"], head["kind"]) == (report.release, "someone@laptop", "push")


def test_the_same_nonce_is_taken_once(peer):
    peer.hello()
    body = peer.bundle({"shop.views": "y = 2\n"}).encode()
    first, again = (peer.ask("push", body, n="ab" * 16) for _ in range(2))
    assert (first.outcome, again.outcome) == ("live", "live")
    assert first.release == again.release == peer.hello().release


def test_what_became_of_a_push_can_be_asked(peer):
    peer.hello()
    nonce = json.dumps({"nonce": "ab" * 16}).encode()
    assert not peer.ask("outcome", nonce).data["recorded"]
    release = peer.ask("push", peer.bundle({"shop.views": "y = 2\n"}).encode(), n="ab" * 16).release
    asked = peer.ask("outcome", nonce)
    assert (asked.outcome, asked.release, asked.data["recorded"]) == ("live", release, True)


def test_a_bundle_on_another_head_is_a_conflict(peer):
    peer.hello()
    late = peer.bundle({"shop.views": "y = 3\n"}).encode()
    old = peer.head
    peer.push({"shop.views": "y = 2\n"})
    peer.head = old
    report = peer.ask("push", late)
    assert (report.outcome, report.data["status"]) == ("conflict", 409)


def test_a_plan_changes_nothing(peer):
    before = peer.hello()
    report = peer.ask("plan", peer.bundle({"shop.views": "y = 2\n"}).encode())
    assert (report.outcome, report.data["planned"]) == ("live", True)
    assert peer.hello().digest == before.digest


def test_a_rollback_is_a_release_and_its_record_names_only_the_number(peer):
    """The client plays the log by this note: see history.py."""
    before = peer.hello()
    peer.push({"shop.views": "y = 2\n"})
    report = peer.rollback()
    assert (report.outcome, report.digest) == ("live", before.digest)
    newest = peer.ask("status").data["log"][0]
    assert (newest["kind"], newest["modules"]) == ("rollback", [])
    assert re.fullmatch(rf"back to #{before.release}", newest["note"])
    assert peer.rollback(before.release + 1).outcome == "live"


def test_there_is_no_way_back_before_the_base(peer):
    report = peer.rollback()
    assert (report.outcome, report.data["status"], report.reasons[0].code) == (
        "refused",
        422,
        "no-such-release",
    )


def test_status_lists_the_newest_first(peer):
    peer.push({"shop.views": "y = 2\n"})
    peer.push({"shop.new": "z = 1\n"}, ("shop.views",))
    log = peer.ask("status").data["log"]
    assert [record["modules"] for record in log[:2]] == [["shop.new", "shop.views"], ["shop.views"]]
    assert set(log[0]) == {"number", "kind", "who", "time", "note", "modules"}
