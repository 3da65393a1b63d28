"""The threats that concern the server, by their numbers in SECURITY.md. D0: nothing at all has changed."""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import secrets
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, session
from flask_habanero import endpoint
from flask_habanero.envelope import READING, REQUEST, RESPONSE, Key, new_secret, seal, sha256
from werkzeug.test import Client, EnvironBuilder

from tests.fakes import FakeProgram
from tests.hosts import KEY, SECRET
from tests.peer import PATH, Peer, over_client
from tests.test_server import BASE, make, peer_of, program

__all__ = ["make", "program"]  # fixtures

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "FOO"]

Answer = tuple[int, list[tuple[str, str]], bytes]


class Unread(io.BytesIO):
    """A body that must not be touched."""

    def read(self, *_: object) -> bytes:
        pytest.fail("the body was read")

    readline = readinto = readlines = read


@pytest.fixture
def app(make: Callable[..., Flask]) -> Flask:
    app = make()

    @app.errorhandler(404)
    def not_found(error: Exception) -> tuple[str, int, dict[str, str]]:
        return "nothing here", 404, {"X-Theirs": "yes"}

    return app


@pytest.fixture
def peer(app: Flask) -> Peer:
    peer = peer_of(app)
    peer.hello()
    return peer


@pytest.fixture
def unchanged(app: Flask, peer: Peer, program: FakeProgram) -> Iterator[None]:
    """D0, checked at the end."""
    yield
    assert program.tree == BASE
    assert "commit" not in program.calls
    assert peer.hello().release == 0


def call(app: Flask, path: str, method: str = "POST", body: Any = b"", **environ: Any) -> Answer:
    """Call the app and return all that a client could see."""
    builder = EnvironBuilder(path=path, method=method)
    given = {
        **builder.get_environ(),
        "wsgi.input": body if isinstance(body, io.BytesIO) else io.BytesIO(body),
    }
    seen: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        seen[:] = [status, headers]

    given["CONTENT_LENGTH"] = str(len(body)) if isinstance(body, bytes) else "200000"
    answer = app({**given, **environ}, start_response)
    data = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return int(seen[0][:3]), seen[1], data


def assert_unknown(app: Flask, method: str = "POST", body: Any = b"", **environ: Any) -> None:
    """The answer is byte for byte that of an unknown path."""
    same_body = body if isinstance(body, bytes) else b""
    assert call(app, PATH, method, body, **environ) == call(app, "/no-such-path", method, same_body)


def sealed(peer: Peer, op: str = "status", body: bytes = b"", /, **over: Any) -> tuple[str, bytes]:
    claims, wire = peer.claims(op, body, **over)
    return seal(claims, peer.key, REQUEST), wire


def push(peer: Peer) -> bytes:
    return peer.bundle({"shop": "x = 2"}).encode()


# --- the rows ---


def test_t01_an_unsigned_push_is_an_unknown_path(app: Flask, unchanged: None) -> None:
    assert_unknown(app, body=Unread(bytes(200_000)))


@pytest.mark.parametrize(
    "header", ["", "x", "hbn1....", "hbn1.k1.e30." + "A" * 43, "hbn1." + "x" * 5000, "hbn1.k1.é.ü", "\x00"]
)
def test_t02_what_is_no_envelope_is_an_unknown_path(app: Flask, unchanged: None, header: str) -> None:
    assert_unknown(app, body=Unread(), HTTP_HABANERO=header)


def test_t02_a_forged_signature_is_an_unknown_path(app: Flask, peer: Peer, unchanged: None) -> None:
    token, _ = sealed(peer, "push", push(peer))
    head, _, signature = token.rpartition(".")
    forged = [
        base64.urlsafe_b64encode(random.Random(n).randbytes(32)).decode().rstrip("=") for n in range(1000)
    ]
    altered = [signature[:n] + ("A" if signature[n] != "A" else "B") + signature[n + 1 :] for n in range(43)]
    other = seal(peer.claims("push", push(peer))[0], Key.parse(new_secret("k1")), REQUEST).rpartition(".")[2]
    for wrong in [*forged, *altered, other, ""]:
        answer = call(app, PATH, body=Unread(), HTTP_HABANERO=f"{head}.{wrong}")
        assert answer[0] == 404
    assert_unknown(app, body=Unread(), HTTP_HABANERO=f"{head}.{other}")


def test_t03_an_older_release_sent_again_changes_nothing(peer: Peer, program: FakeProgram) -> None:
    claims, wire = peer.claims("push", push(peer))
    assert peer.raw(claims, wire)[0] == 200
    peer.push({"shop": "x = 3"})
    peer.push({"shop": "x = 4"})
    status, _, body = peer.raw(claims, wire)
    assert (status, b'"duplicate":true' in body, b'"release":1,' in body) == (200, True, True)
    status, _, _ = peer.raw({**claims, "n": secrets.token_hex(16)}, wire)
    assert status == 409
    assert program.tree["shop"].text == "x = 4"
    assert peer.hello().release == 3


def test_t04_the_same_bytes_500_times_are_one_release(app: Flask, peer: Peer, program: FakeProgram) -> None:
    token, wire = sealed(peer, "push", push(peer))
    again = {200: 0, 423: 0}

    def send(_: int) -> bytes:
        status, _headers, body = over_client(app.test_client())({"Habanero": token}, wire)
        again[status] += 1
        return body

    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(send, range(500)))
    assert program.calls.count("commit") == 1
    firsts = [body for body in bodies if b'"duplicate"' not in body and b'"outcome":"live"' in body]
    assert len(firsts) == 1
    assert peer.hello().release == 1


def test_t05_a_request_for_another_app_is_an_unknown_path(app: Flask, peer: Peer, unchanged: None) -> None:
    for name in ("shop/production", "*"):
        token, wire = sealed(peer, "push", push(peer), app=name)
        assert_unknown(app, body=Unread(wire), HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))


def test_t06_a_request_of_another_epoch_is_a_conflict(peer: Peer, unchanged: None) -> None:
    assert peer.ask("push", push(peer), epoch="0" * 32).outcome == "conflict"


@pytest.mark.parametrize("number", [1000, 2**31, 2**39])
def test_t07_the_counter_can_not_be_jumped(peer: Peer, unchanged: None, number: int) -> None:
    assert peer.ask("push", push(peer), rel=number).outcome == "conflict"
    assert peer.ask("push", push(peer), base=number, rel=number + 1).outcome == "conflict"


@pytest.mark.parametrize("age_s", [-3600, -200, 200, 3600])
def test_t08_a_request_delivered_late_is_an_unknown_path(
    app: Flask, peer: Peer, unchanged: None, age_s: int
) -> None:
    now = int(time.time()) - age_s
    token, wire = sealed(peer, "push", push(peer), iat=now, exp=now + 60)
    assert_unknown(app, body=Unread(wire), HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))


def test_t08_no_request_may_ask_for_a_longer_life(app: Flask, peer: Peer, unchanged: None) -> None:
    now = int(time.time())
    token, wire = sealed(peer, "push", push(peer), iat=now, exp=now + 3600)
    assert_unknown(app, body=Unread(wire), HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))


def test_t09_a_body_in_another_order_is_not_taken(app: Flask, peer: Peer, unchanged: None) -> None:
    token, wire = sealed(peer, "push", push(peer))
    for wrong in (wire[::-1], wire[:-1], wire + b"x", bytes([wire[0] ^ 1]) + wire[1:]):
        assert_unknown(app, body=wrong, HTTP_HABANERO=token)


def test_t10_a_body_larger_than_allowed_is_not_read(app: Flask, peer: Peer, unchanged: None) -> None:
    claims, _ = peer.claims("push", b"")
    token = seal({**claims, "len": 4_194_305, "ulen": 4_194_305}, KEY, REQUEST)
    status, headers, _ = call(app, PATH, body=Unread(), HTTP_HABANERO=token, CONTENT_LENGTH="4194305")
    assert status == 413
    assert "Habanero" in dict(headers)


def test_t10_a_body_without_a_length_is_not_read(app: Flask, peer: Peer, unchanged: None) -> None:
    token, wire = sealed(peer, "push", push(peer))
    for more in (
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": str(len(wire)), "HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": str(len(wire)), "HTTP_CONTENT_ENCODING": "gzip"},
        {"CONTENT_LENGTH": f"+{len(wire)}"},
        {"CONTENT_LENGTH": "-1"},
    ):
        assert call(app, PATH, body=Unread(wire), HTTP_HABANERO=token, **more)[0] == 404


def test_t11_a_bomb_is_not_unpacked(peer: Peer, unchanged: None) -> None:
    bomb = zlib.compress(bytes(2**26), 9)
    claims, _ = peer.claims("push")
    over = {"len": len(bomb), "sha": sha256(bomb), "enc": "zlib"}
    assert peer.raw({**claims, **over, "ulen": 2**26}, bomb)[0] in (413, 422)
    assert peer.raw({**claims, **over, "ulen": 1_000, "n": "2" * 32}, bomb)[0] == 422
    assert peer.raw({**claims, **over, "ulen": 2**39, "n": "3" * 32}, bomb)[0] == 413


def test_t12_a_body_that_drips_is_given_up(
    app: Flask, peer: Peer, unchanged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "BODY_S", 10.0)
    clock = [0.0]
    monkeypatch.setattr(endpoint.time, "monotonic", lambda: clock[0])
    token, wire = sealed(peer, "push", push(peer))

    class Drip(io.BytesIO):
        def read(self, size: int = -1, /) -> bytes:
            clock[0] += size  # one byte a second
            return super().read(size)

    status, _, _ = call(app, PATH, body=Drip(wire), HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))
    assert status == 404
    assert clock[0] <= 2 * endpoint.BODY_S


@pytest.mark.parametrize("name", ["os", "flask.app", "flask_habanero.server", "site", "__main__"])
def test_t14_modules_that_are_not_the_apps_are_refused(peer: Peer, unchanged: None, name: str) -> None:
    report = peer.push({name: "x = 1"})
    assert (report.outcome, report.reasons[0].code) == ("refused", "not-allowed")


@pytest.mark.parametrize("name", ["../x", "a/../../b", "a\x00b", "\uff21pp", "", "a..b"])  # \uff21: a wide A
def test_t14_names_that_are_no_modules_are_refused(peer: Peer, unchanged: None, name: str) -> None:
    body = push(peer).replace(b'"name":"shop"', b'"name":"shoq"')
    wrong = body.replace(b"shoq", name.encode("ascii", "backslashreplace").ljust(4, b"!")[:4])
    assert peer.ask("push", wrong).outcome == "refused"


def test_t15_code_for_another_python_is_refused(peer: Peer, unchanged: None) -> None:
    report = peer.ask("push", push(peer), py="f30d-cpython-399-o0-gil")
    assert (report.outcome, report.reasons[0].code) == ("refused", "python")


def test_t17_an_answer_is_no_request(app: Flask, peer: Peer, unchanged: None) -> None:
    claims, wire = peer.claims("push", push(peer))
    for context in (RESPONSE, "record", "message"):
        token = seal(claims, KEY, context)
        assert_unknown(app, body=Unread(wire), HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))
    status, headers, _ = peer.raw(*peer.claims("status"))
    assert status == 200
    assert_unknown(app, body=Unread(), HTTP_HABANERO=headers["Habanero"])


@pytest.mark.parametrize("method", [method for method in METHODS if method != "POST"])
def test_t22_only_post_is_believed(app: Flask, peer: Peer, unchanged: None, method: str) -> None:
    token, wire = sealed(peer, "push", push(peer))
    assert_unknown(app, method, wire, HTTP_HABANERO=token)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path", [PATH, PATH + "/", "/" + PATH, PATH.upper(), PATH + ";x", PATH + "%2f", PATH + "?x=1"]
)
def test_t23_the_endpoint_can_not_be_told_from_an_unknown_path(app: Flask, method: str, path: str) -> None:
    other = path.lower().replace("_habanero", "_habanerq")
    assert call(app, path, method) == call(app, other, method)


def test_t26_spellings_of_one_signature_are_one_or_none(app: Flask, peer: Peer, program: FakeProgram) -> None:
    token, wire = sealed(peer, "push", push(peer))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    spellings = [token[:-1] + alphabet[last & ~3 | n] for n in range(4)] + [
        token + "=",
        token + "==",
        " " + token,
    ]
    statuses = [call(app, PATH, body=wire, HTTP_HABANERO=text)[0] for text in spellings]
    assert sorted(statuses) == [200, 404, 404, 404, 404, 404, 404]
    assert program.calls.count("commit") == 1


@pytest.mark.parametrize("prefix", ["hbn0", "hbn2", "HBN1", "none", ""])
def test_t27_no_other_version_or_algorithm(app: Flask, peer: Peer, unchanged: None, prefix: str) -> None:
    token, wire = sealed(peer, "push", push(peer))
    assert_unknown(app, body=Unread(wire), HTTP_HABANERO=prefix + token[4:], CONTENT_LENGTH=str(len(wire)))
    token, _ = sealed(peer, "push", push(peer), v=2)
    assert_unknown(app, body=Unread(wire), HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))


@pytest.mark.parametrize("kid", ["../k1", "k1\r\nX:", "k" * 300, "k2", "", "K1"])
def test_t28_an_unknown_key_id_is_an_unknown_path(app: Flask, peer: Peer, unchanged: None, kid: str) -> None:
    token, _ = sealed(peer, "push", push(peer))
    assert_unknown(app, body=Unread(), HTTP_HABANERO=token.replace(".k1.", f".{kid}."))


HOSTILE: list[Mapping[str, Any]] = [
    {"n": {}},
    {"n": None},
    {"n": "1" * 31},
    {"n": "G" * 32},
    {"len": True},
    {"len": -1},
    {"len": 1.0},
    {"len": "0"},
    {"base": 2**40},
    {"rel": False},
    {"op": "apply"},
    {"op": ["push"]},
    {"op": None},
    {"v": 1.0},
    {"v": True},
    {"app": ""},
    {"app": "a b"},
    {"app": ["shop"]},
    {"epoch": "x" * 32},
    {"py": "\n"},
    {"sha": "0" * 63},
    {"iat": "now"},
    {"exp": 2**63},
    {"cid": "a\nCRITICAL root"},
    {"cid": ""},
    {"enc": "gzip"},
    {"more": 1},
]


@pytest.mark.parametrize("over", HOSTILE, ids=str)
def test_t30_claims_of_another_type_are_not_believed(
    app: Flask, peer: Peer, unchanged: None, over: Mapping[str, Any]
) -> None:
    token, _ = sealed(peer, "push", b"", **over)
    assert_unknown(app, body=Unread(), HTTP_HABANERO=token, CONTENT_LENGTH="0")


def test_t30_a_claim_that_is_missing_is_not_believed(app: Flask, peer: Peer, unchanged: None) -> None:
    claims, _ = peer.claims("push")
    for name in claims:
        token = seal({key: value for key, value in claims.items() if key != name}, KEY, REQUEST)
        assert_unknown(app, body=Unread(), HTTP_HABANERO=token, CONTENT_LENGTH="0")


def test_t31_a_browser_can_not_push(app: Flask, unchanged: None) -> None:
    assert_unknown(app, body=Unread(), HTTP_ORIGIN="https://evil.example", HTTP_COOKIE="session=admin")


def test_t31_what_guards_the_apps_forms_does_not_lock_us_out(app: Flask, peer: Peer) -> None:
    app.secret_key = "x" * 16
    app._got_first_request = False

    @app.before_request
    def csrf() -> None:
        if "token" not in session:
            raise PermissionError

    assert peer.push({"shop": "x = 2"}).outcome == "live"


def test_t32_wrong_headers_do_not_lock_a_right_one_out(
    app: Flask, peer: Peer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=time.time, monotonic=lambda: 0.0)  # each minute has a count of its own
    monkeypatch.setattr("flask_habanero.endpoint.time", clock)
    with caplog.at_level(logging.DEBUG, "flask_habanero"):
        for n in range(2000):
            call(app, PATH, HTTP_HABANERO=f"hbn1.k1.e30.{n:043d}")
    assert [record.args[2] for record in caplog.records if record.args] == [1, 10, 100, 1000]
    assert peer.ask("status").outcome == "live"


def test_t35_the_secret_is_nowhere_to_be_seen(
    app: Flask, peer: Peer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    with caplog.at_level(logging.DEBUG):
        token, wire = sealed(peer, "push", push(peer))
        call(app, PATH, body=wire, HTTP_HABANERO=token)
        call(app, PATH, body=wire, HTTP_HABANERO=token[:-5] + "AAAAA")
        call(app, PATH, body=wire[:-1], HTTP_HABANERO=token)

        def boom(*_: object) -> None:
            raise OSError("boom")

        monkeypatch.setattr(endpoint, "check_fresh", boom)
        try:
            call(app, PATH, body=wire, HTTP_HABANERO=token)
        except OSError as error:
            report = traceback.TracebackException.from_exception(error, capture_locals=True)
            texts.append("".join(report.format()))
    texts += [record.getMessage() for record in caplog.records] + [repr(app.extensions["habanero"].runtime)]
    body = SECRET.split("_", 2)[2][:43]
    for text in texts:
        for leak in (body, body[:8], KEY.secret.hex(), repr(KEY.secret)):
            assert leak not in text


def test_t36_without_a_secret_there_is_no_endpoint(make: Callable[..., Flask]) -> None:
    app = make(HABANERO_SECRET=None)
    assert [rule.rule for rule in app.url_map.iter_rules()] == ["/static/<path:filename>", "/"]
    assert Client(app).post(PATH).status_code == 404


def test_t37_two_headers_are_none(app: Flask, peer: Peer, unchanged: None) -> None:
    token, wire = sealed(peer, "push", push(peer))
    for both in (f"{token},{token}", f"{token}, {token}"):
        assert_unknown(app, body=Unread(wire), HTTP_HABANERO=both, CONTENT_LENGTH=str(len(wire)))


def test_t38_a_body_that_was_cut_off_is_not_taken(app: Flask, peer: Peer, unchanged: None) -> None:
    token, wire = sealed(peer, "push", push(peer))
    for length in range(0, len(wire), 37):
        half = io.BytesIO(wire[:length])
        status, _, _ = call(app, PATH, body=half, HTTP_HABANERO=token, CONTENT_LENGTH=str(len(wire)))
        assert status == 404


def test_t38_what_was_read_of_a_wrong_body_is_the_apps_to_read(make: Callable[..., Flask]) -> None:
    app = make()

    @app.post("/<path:anything>")
    def anything(anything: str) -> bytes:
        from flask import request

        return request.get_data()

    peer = peer_of(app)
    peer.hello()
    token, wire = sealed(peer, "push", push(peer))
    wrong = bytes([wire[0] ^ 1]) + wire[1:]
    assert call(app, PATH, body=wrong, HTTP_HABANERO=token)[2] == wrong


def test_t43_a_log_line_is_one_line(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "flask_habanero"):
        call(app, PATH, HTTP_HABANERO="x\nCRITICAL root", REMOTE_ADDR="1.2.3.4\nCRITICAL root")
    (record,) = caplog.records
    assert "\n" not in record.getMessage()


def test_t48_prefixes_and_hosts_do_not_matter(app: Flask, peer: Peer) -> None:
    token, wire = sealed(peer)
    assert call(app, PATH, body=wire, HTTP_HABANERO=token, HTTP_HOST="evil", SCRIPT_NAME="/api")[0] == 200


@pytest.mark.parametrize("op", sorted(READING))
def test_t50_a_stranger_reads_nothing(app: Flask, peer: Peer, unchanged: None, op: str) -> None:
    body = b'{"at":0,"names":["shop"]}'
    now, stranger = int(time.time()), Key.parse(new_secret("k1"))
    claims, wire = peer.claims(op, body)
    late = {"iat": now - 200, "exp": now - 140}
    for wrong in (
        seal(claims, stranger, REQUEST),
        seal(claims, KEY, RESPONSE),
        *(
            seal({**claims, **over}, KEY, REQUEST)
            for over in (late, {"app": "*"}, {"app": "shop/production"})
        ),
    ):
        assert_unknown(app, body=Unread(wire), HTTP_HABANERO=wrong, CONTENT_LENGTH=str(len(wire)))
    token = seal(claims, KEY, REQUEST)
    assert_unknown(app, "GET", wire, HTTP_HABANERO=token)
    assert_unknown(app, body=wire[:-1] + b"]", HTTP_HABANERO=token)
    assert call(app, PATH, body=wire, HTTP_HABANERO=token)[0] == (200 if op == "sources" else 422)


def test_t51_the_rollback_in_a_promise_is_never_fresh(app: Flask, peer: Peer) -> None:
    """Who read the promise of a release on trial on its way can't take that release back with it."""
    assert peer.push_on_trial({"shop": "x = 2"}).outcome == "live"
    before = Peer(peer.key, peer.send, peer.app, replace(peer.head, release=0))
    promise = json.loads(before.promise(secrets.token_hex(16), 60))
    body, token = promise["body"].encode(), promise["header"]
    assert_unknown(app, body=body, HTTP_HABANERO=token)
    assert peer.hello().release == 1
    claims, wire = peer.claims("rollback", body)
    assert call(app, PATH, body=wire, HTTP_HABANERO=seal(claims, KEY, REQUEST))[0] == 200  # but for its times
