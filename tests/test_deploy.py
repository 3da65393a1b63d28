"""What one worker answers: every operation, every refusal."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from flask_habanero import deploy
from flask_habanero.asset import Asset
from flask_habanero.census import Row
from flask_habanero.change import Request
from flask_habanero.envelope import Keyring, pack, sha256
from flask_habanero.errors import EnvelopeError, SignatureError
from flask_habanero.release import Report, digest_of
from flask_habanero.unit import Statement, Unit, python_tag

from tests.fakes import FakeProgram, tree_of
from tests.hosts import APP, Host, Member, PeerOf

BASE = tree_of(shop="x = 1", shop__views="y = 1")


@pytest.fixture
def member(host: Host) -> Member:
    return host.worker(BASE)


@pytest.fixture
def peer(host: Host, member: Member) -> PeerOf:
    return host.peer(member)


def refused(report: Report, program: FakeProgram) -> tuple[str, str]:
    """Return outcome and code; nothing has changed."""
    assert report.release == 0
    assert program.tree == BASE
    assert "commit" not in program.calls
    return report.outcome, report.reasons[0].code


def test_hello_tells_what_a_client_must_know(peer: PeerOf) -> None:
    report = peer.hello()
    data = report.data
    assert (report.outcome, report.release, report.digest) == ("live", 0, digest_of(BASE))
    assert data["app"] == APP
    assert len(data["epoch"]) == 32
    assert data["python"] == python_tag()
    assert data["tree"]["shop"] == [BASE["shop"].digest, "shop.py", False]
    assert (data["modules"], data["path"], data["first"], data["head"]) == (["shop"], "/_habanero", 0, None)
    assert (report.workers.at_head, report.workers.total) == (1, 1)


def test_hello_tells_who_made_head(peer: PeerOf) -> None:
    peer.push({"shop": "x = 2"})
    head = peer.hello().data["head"]
    assert {**head, "time": 0} == {
        "number": 1,
        "kind": "push",
        "who": "someone@laptop",
        "time": 0,
        "note": "",
        "modules": ["shop"],
    }


@pytest.mark.parametrize("op", ["hello", "status"])
def test_what_is_told_is_of_one_release_also_while_another_goes_live(
    host: Host, peer: PeerOf, member: Member, op: str
) -> None:
    """A client builds its push on number and tree: of two releases, they would make it refused for ever."""
    other, ask = host.peer(member), member.deployer.answers.census.ask

    def asked_during_a_push() -> list[Row]:
        member.deployer.answers.census.ask = ask
        assert other.push({"shop": "x = 2"}).outcome == "live"
        return ask()

    member.deployer.answers.census.ask = asked_during_a_push
    report = peer.ask(op)
    assert (report.release, report.digest) == (0, digest_of(BASE))
    assert op == "status" or report.data["tree"]["shop"][0] == BASE["shop"].digest


def test_status_tells_workers_and_the_newest_releases(peer: PeerOf, member: Member) -> None:
    for number in range(2, 25):
        peer.push({"shop": f"x = {number}"})
    report = peer.ask("status")
    assert [row["number"] for row in report.data["log"]] == list(range(23, 3, -1))
    assert "tree" not in report.data
    (row,) = report.data["fleet"]
    assert (row["pid"], row["release"], row["state"]) == (member.worker.pid, 23, "live")


def test_a_push_changes_adds_and_deletes_modules(peer: PeerOf, member: Member) -> None:
    report = peer.push({"shop": "x = 2", "shop.new": "z = 1"}, deleted=("shop.views",))
    assert report.outcome == "live"
    assert set(report.steps) == {"shop: ~", "shop.new: ~", "shop.views: -"}
    assert {name: source.text for name, source in member.program.tree.items()} == {
        "shop": "x = 2",
        "shop.new": "z = 1",
    }
    assert report.digest == digest_of(member.program.tree) == peer.hello().digest
    assert report.data["folders"] == peer.hello().data["folders"]


def test_a_push_of_what_is_there_is_no_release(peer: PeerOf) -> None:
    assert peer.push({"shop": "x = 1"}).outcome == "unchanged"
    assert peer.hello().release == 0


def test_a_plan_changes_nothing(peer: PeerOf, member: Member) -> None:
    report = peer.ask("plan", peer.bundle({"shop": "x = 2"}).encode())
    assert (report.outcome, report.steps, report.data["planned"]) == ("live", ("shop: ~",), True)
    assert member.program.calls == ["plan"]
    assert peer.hello().release == 0


def test_a_plan_says_what_is_cold(peer: PeerOf, member: Member) -> None:
    report = peer.ask("plan", peer.bundle({"shop": "x = 2 #cold"}).encode())
    assert refused(report, member.program) == ("cold", "fake-cold")


def test_a_rollback_goes_back_by_a_new_release(peer: PeerOf, member: Member) -> None:
    peer.push({"shop": "x = 2"})
    peer.push({"shop": "x = 3"})
    report = peer.rollback()
    assert (report.outcome, report.release) == ("live", 3)
    assert member.program.tree["shop"].text == "x = 2"
    assert peer.rollback(to=0).release == 4
    assert member.program.tree == BASE
    assert [row["kind"] for row in peer.ask("status").data["log"]][:2] == ["rollback", "rollback"]


def test_assets_go_with_the_code_and_back_with_it(peer: PeerOf, member: Member, host: Host) -> None:
    page = Asset.of("shop/templates/page.html", b"page")
    report = peer.push({"shop": "x = 2", page.name: b"page"})
    assert report.outcome == "live"
    assert dict(member.program.overlay.assets) == {page.name: page}
    assert peer.hello().data["assets"] == {page.name: page.digest}
    assert peer.head.data["head"]["modules"] == ["shop", page.name]
    assert report.digest == digest_of(member.program.tree, {page.name: page})
    assert peer.push({page.name: b"page"}).outcome == "unchanged"
    assert host.worker(BASE).get() == "x = 2"  # one that starts later comes to head
    assert dict(host.members[-1].program.overlay.assets) == {page.name: page}
    peer.rollback()
    assert dict(member.program.overlay.assets) == {}


def test_a_push_of_assets_alone_is_one_and_so_is_a_deletion(peer: PeerOf, member: Member) -> None:
    assert peer.push({"shop/static/a.css": b"a", "shop/static/b.css": b"b"}).release == 1
    assert peer.push({}, ("shop/static/a.css",)).release == 2
    assert set(member.program.overlay.assets) == {"shop/static/b.css"}


@pytest.mark.parametrize(
    "name", ["shop/other/page.html", "other/templates/page.html", "shop/templates2/page.html"]
)
def test_assets_elsewhere_are_not_allowed(peer: PeerOf, member: Member, name: str) -> None:
    report = peer.push({name: b"page"})
    assert refused(report, member.program) == ("refused", "not-allowed")
    assert "shop/templates" in report.reasons[0].hint
    assert member.program.overlay.assets == {}


def test_a_rollback_twice_is_the_way_forth_again(peer: PeerOf, member: Member) -> None:
    peer.push({"shop": "x = 2"})
    peer.rollback()
    assert member.program.tree["shop"].text == "x = 1"
    peer.rollback()
    assert member.program.tree["shop"].text == "x = 2"


@pytest.mark.parametrize("to", [None, 5, 0])
def test_there_must_be_something_to_roll_back_to(peer: PeerOf, member: Member, to: int | None) -> None:
    report = peer.rollback(to)
    if to == 0:
        assert report.outcome == "unchanged"
    else:
        assert refused(report, member.program) == ("refused", "no-such-release")
        what = "there is no release yet to take back" if to is None else "there is no #5 to go back to"
        assert report.reasons[0].what == f"{what} in this epoch"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"to":true}', b'{"to":-1}', b'{"to":"1"}', b"[" * 5000])
def test_a_rollback_names_a_release(peer: PeerOf, member: Member, body: bytes) -> None:
    assert refused(peer.ask("rollback", body), member.program) == ("refused", "bundle")


def test_the_same_push_twice_is_done_once(peer: PeerOf, member: Member) -> None:
    body = peer.bundle({"shop": "x = 2"}).encode()
    first = peer.ask("push", body, n="1" * 32)
    again = peer.ask("push", body, n="1" * 32)
    assert (first.outcome, first.release) == (again.outcome, again.release) == ("live", 1)
    assert again.data["duplicate"]
    assert member.program.calls.count("commit") == 1


def test_what_became_of_a_push_is_asked_by_its_nonce(peer: PeerOf) -> None:
    asked = json.dumps({"nonce": "1" * 32}).encode()
    before = peer.ask("outcome", asked)
    assert (before.outcome, before.data["recorded"]) == ("unknown", False)
    peer.push({"shop": "x = 2"}, n="1" * 32)
    after = peer.ask("outcome", asked)
    assert (after.outcome, after.release, after.data["recorded"]) == ("live", 1, True)


def test_a_push_on_another_head_is_a_conflict(peer: PeerOf, member: Member) -> None:
    stale = peer.bundle({"shop": "x = 2"}).encode()
    claims = peer.claims("push", stale)[0]
    assert peer.push({"shop.views": "y = 2"}).outcome == "live"
    report = peer.ask("push", stale, base=claims["base"], rel=claims["rel"])
    assert (report.outcome, report.release, report.data["status"]) == ("conflict", 1, 409)
    assert member.program.tree["shop"].text == "x = 1"


@pytest.mark.parametrize("over", [{"epoch": "f" * 32}, {"base": 7, "rel": 8}, {"rel": 1000}, {"rel": 0}])
def test_a_push_names_the_very_head(peer: PeerOf, member: Member, over: dict[str, object]) -> None:
    report = peer.ask("push", peer.bundle({"shop": "x = 2"}).encode(), **over)
    assert refused(report, member.program) == ("conflict", "conflict")


def test_code_of_another_python_is_not_even_decoded(
    peer: PeerOf, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_habanero.change.Bundle.decode", lambda data: pytest.fail("decoded"))
    report = peer.ask("push", peer.bundle({"shop": "x = 2"}).encode(), py="a60d-cpython-314-o0-gil")
    assert refused(report, member.program) == ("refused", "python")


def test_a_bundle_that_names_another_python_than_its_header_is_refused(peer: PeerOf, member: Member) -> None:
    bundle = replace(peer.bundle({"shop": "x = 2"}), python="a60d-cpython-314-o0-gil")
    assert refused(peer.ask("push", bundle.encode()), member.program) == ("refused", "python")


@pytest.mark.parametrize("name", ["os", "flask.app", "flask_habanero.server", "__main__", "site"])
def test_only_the_apps_modules_change(peer: PeerOf, member: Member, name: str) -> None:
    report = peer.ask("push", peer.bundle({name: "x = 2"}).encode())
    assert refused(report, member.program) == ("refused", "not-allowed")
    assert "HABANERO_MODULES" in report.reasons[0].hint


def test_a_bundle_must_fit_head(peer: PeerOf, member: Member) -> None:
    bundle = peer.bundle({"shop": "x = 2"})
    wrong_parent = replace(bundle, parent="0" * 64)
    assert refused(peer.ask("push", wrong_parent.encode()), member.program) == ("conflict", "conflict")
    wrong_target = replace(bundle, target="0" * 64)
    assert refused(peer.ask("push", wrong_target.encode()), member.program) == ("refused", "bundle")


def test_shipped_code_must_be_its_sources(peer: PeerOf, member: Member) -> None:
    bundle = peer.bundle({"shop": "x = 2"})
    (unit,) = bundle.units
    (other,) = peer.bundle({"shop": "x = 3"}).units
    lying = Unit(unit.source, (Statement(unit.statements[0].digest, 1, other.statements[0].code),))
    report = peer.ask("push", replace(bundle, units=(lying,)).encode())
    assert refused(report, member.program) == ("refused", "bundle")


def test_what_a_restart_could_not_load_is_refused(peer: PeerOf, member: Member) -> None:
    report = peer.push({"shop": "x = 2 #not-foldable"})
    assert refused(report, member.program) == ("cold", "fake-fold")


def test_a_body_that_would_unpack_to_too_much_is_refused_before_it_is(
    peer: PeerOf, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_habanero.change.unpack", lambda *_: pytest.fail("unpacked"))
    report = peer.ask("push", b"x", ulen=2**39)
    assert refused(report, member.program) == ("refused", "too-large")
    assert report.data["status"] == 413


def test_a_body_that_is_no_bundle_is_refused(peer: PeerOf, member: Member) -> None:
    assert refused(peer.ask("push", b"HBNB\0\0\0\1{"), member.program)[0] == "refused"


def test_a_body_larger_than_it_says_is_not_unpacked_further(peer: PeerOf, member: Member) -> None:
    wire, encoding = pack(bytes(10_000_000))
    claims, _ = peer.claims("push")
    over = {"len": len(wire), "sha": sha256(wire), "enc": encoding, "ulen": 1000}
    status, _, _ = peer.raw({**claims, **over}, wire)
    assert status == 422
    assert member.program.tree == BASE


def test_a_staged_request_is_verified_by_who_reads_it(host: Host, peer: PeerOf) -> None:
    request = peer.request_for("push", {"shop": "x = 2"})
    assert Request.verified(request.header, request.body, host.keys) == request
    for body in (request.body[:-1], request.body + b"x", request.body.replace(b"x = 2", b"x = 3")):
        with pytest.raises(EnvelopeError):
            Request.verified(request.header, body, host.keys)
    with pytest.raises(SignatureError):
        Request.verified(request.header, request.body, Keyring([host.stranger]))


def test_a_rollback_may_come_from_another_python(peer: PeerOf, member: Member) -> None:
    peer.push({"shop": "x = 2"})
    peer.hello()
    report = peer.ask("rollback", b'{"to":0}', py="a60d-cpython-314-o0-gil")  # it ships no code
    assert (report.outcome, member.program.tree) == ("live", BASE)


def test_the_milliseconds_of_a_stage_add_up() -> None:
    clock = deploy.Clock()
    with clock.stage("plan"), clock.stage("plan"):
        pass
    read = clock.read()
    assert 0 < read["plan"] <= 2 * read["total"]


def test_the_log_says_of_each_release_why_and_of_a_rollback_what_it_goes_back_to(
    peer: PeerOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "flask_habanero"):
        assert peer.push({"shop": "x = 2"}).outcome == "live"
        assert peer.rollback(0).outcome == "live"
    lines = [record.getMessage() for record in caplog.records if " by " in record.getMessage()]
    assert [line.partition(" by ")[0] for line in lines] == ["#1", "#2"]
    assert lines[0].endswith(": live")
    assert lines[1].endswith(": back to #0: live")
