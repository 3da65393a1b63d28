"""One believed answer, against servers that lie, drip, cut and redirect."""

import contextlib
import gzip
import json
import signal
import socket
import threading
import time
from dataclasses import replace

import pytest
from flask_habanero import envelope
from flask_habanero.client import exchange, transport
from flask_habanero.client.desk import request_for
from flask_habanero.client.transport import Request, Wire
from flask_habanero.client.view import View
from flask_habanero.envelope import Key
from flask_habanero.errors import AbandonedError, DeliveryError, Reason, RejectedError
from flask_habanero.release import Bundle, Report, WorkerCount, tree_digest

from tests.fake_server import Answer, FakeServer, stranger


@pytest.fixture
def wire(server):
    made = connect(server)
    yield made
    made.close()


def connect(server, secret=None, **more):
    return Wire(server.url + "/_habanero", Key.parse(secret or server.secret), "ann@example.org", **more)


def hello():
    return Request("hello", python="cpython")


def ignored(error):
    """Stand for a person who is told that an answer does not come."""


def deletion(wire):
    """Return a push that deletes shop.models, built on what the server says it runs."""
    view = View.of(wire.ask(hello()))
    left = tree_digest((n, d) for n, d in view.digests.items() if n != "shop.models")
    return request_for("push", view, Bundle((), ("shop.models",), view.python, view.digest, left).encode())


def test_an_honest_answer_is_believed(wire, server):
    report = wire.ask(hello())
    assert report.data["app"] == "shop"
    assert server.seen[-1]["cid"] == "ann@example.org"


def resealed(server, **changes):
    """Return a lie: the honest answer with other claims, sealed by the right key."""

    def lie(answer):
        claims, _ = envelope.unseal(
            answer.headers["Habanero"], server.keys, envelope.RESPONSE, envelope.RESPONSE_CLAIMS
        )
        answer.headers["Habanero"] = envelope.seal(
            {**claims, **changes}, server.keys.first, envelope.RESPONSE
        )
        return answer

    return lie


def with_body(change):
    def lie(answer):
        answer.body = change(answer.body)
        answer.headers["Content-Length"] = str(len(answer.body))
        return answer

    return lie


def with_status(status):
    def lie(answer):
        answer.status = status
        return answer

    return lie


def without_header(answer):
    del answer.headers["Habanero"]
    return answer


def sealed_as_request(server):
    def lie(answer):
        claims, _ = envelope.unseal(
            answer.headers["Habanero"], server.keys, envelope.RESPONSE, envelope.RESPONSE_CLAIMS
        )
        answer.headers["Habanero"] = envelope.seal(claims, server.keys.first, envelope.REQUEST)
        return answer

    return lie


LIES = {
    "a captive portal": lambda s: lambda a: stranger(200),
    "no signature": lambda s: without_header,
    "another nonce": lambda s: resealed(s, rn="0" * 32),
    "another status, signed": lambda s: resealed(s, st=409),
    "another status, sent": lambda s: with_status(201),
    "another length": lambda s: resealed(s, len=3),
    "another digest": lambda s: resealed(s, sha="0" * 64),
    "one byte flipped": lambda s: with_body(lambda b: b[:-2] + bytes([b[-2] ^ 1]) + b[-1:]),
    "a byte more": lambda s: with_body(lambda b: b + b" "),
    "a request's salt": sealed_as_request,
    "a signed body that is no report": lambda s: lambda a: no_report(s, a),
}


def no_report(server, answer):
    answer.body = b"[1, 2]"
    answer.headers["Content-Length"] = "6"
    return resealed(server, sha=envelope.sha256(answer.body), len=6)(answer)


@pytest.mark.parametrize("lie", LIES)
def test_nothing_else_is_believed(wire, server, lie):
    server.lies.append(LIES[lie](server))
    with pytest.raises(RejectedError, match="HTTP"):
        wire.ask(hello())
    assert wire.ask(hello()).outcome == "live"  # the same with honest words: it was the lie


def test_an_answer_to_an_earlier_question_is_not_believed(wire, server):
    kept = []
    server.lies.append(lambda answer: kept.append(answer) or answer)
    wire.ask(hello())
    server.lies.append(lambda answer: kept[0])
    with pytest.raises(RejectedError):
        wire.ask(hello())


def test_another_secret_is_rejected_by_both_sides(server):
    wire = connect(server, envelope.new_secret())
    with pytest.raises(RejectedError, match="another secret"):
        wire.ask(hello())
    assert not server.seen
    wire.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_whose_app_is_away_is_unreachable_not_a_rejection(wire, server, status):
    server.lies.append(lambda answer: stranger(status))
    with pytest.raises(DeliveryError) as caught:
        wire.ask(hello())
    assert caught.value.outcome == "unreachable"


def test_a_redirect_is_named_and_never_followed(wire, server):
    other = FakeServer().start()
    redirect = {"Location": other.url + "/_habanero", "Content-Length": "0"}
    server.lies.append(lambda answer: Answer(307, redirect, b""))
    with pytest.raises(RejectedError, match="redirect to"):
        wire.ask(hello())
    other.stop()
    assert other.connections == []


def test_a_server_that_is_not_there_was_sent_nothing(server):
    server.stop()
    wire = connect(server)
    with pytest.raises(DeliveryError, match="connection refused") as caught:
        wire.deliver(Request("push", "shop", "0" * 32, 0, 1, "cpython", b"x"), ignored)
    assert not caught.value.maybe_live
    with pytest.raises(DeliveryError, match="connection refused") as caught:
        wire.ask(Request("confirm", "shop"))
    assert not caught.value.maybe_live
    server.start()


@pytest.fixture
def serve():
    """Return a function that starts a raw server: it answers the first connection with `talk(socket)`."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def start(talk):
        def run():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                with contextlib.suppress(OSError):  # the client left: that is what is tested
                    talk(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[0].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/_habanero"

    yield start
    for thread in threads:
        thread.join(5)  # not for ever: a test that failed may never have let it go
    listener.close()


def raw_wire(url, **more):
    return Wire(url, Key.parse(envelope.new_secret()), "ann", **more)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_drip_ends_at_the_deadline(serve, head):
    """Each byte comes in time, the whole never does: neither in the header nor in the body."""
    done = threading.Event()

    def talk(connection):
        connection.sendall(head)
        while not done.wait(0.01):
            connection.sendall(b"H")

    wire = raw_wire(serve(talk), exchange_s=0.3)
    begun = time.monotonic()
    with pytest.raises(DeliveryError, match="no answer within"):
        wire.ask(hello())
    assert time.monotonic() - begun < 2
    done.set()
    wire.close()


def test_a_huge_answer_is_cut_at_the_bound(serve, monkeypatch):
    """The bound is on what is read, so memory is bounded, too."""
    monkeypatch.setattr(exchange, "MAX_ANSWER", 2**16)
    sent = []

    def talk(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1_000):  # 65 MB
            connection.sendall(b"x" * 2**16)
            sent.append(2**16)

    wire = raw_wire(serve(talk))
    with pytest.raises(RejectedError, match="without a signature"):
        wire.ask(hello())
    assert sum(sent) < 2**25  # what fits into socket buffers, not what was offered
    wire.close()


def test_a_compressed_answer_is_not_unpacked(serve):
    """A bomb of a kilobyte would be a gigabyte."""
    packed = gzip.compress(b"x" * 10**7)

    def talk(connection):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        connection.sendall(head.encode() + packed)

    wire = raw_wire(serve(talk))
    seen = []
    honest = wire._believe
    wire._believe = lambda answer, request: seen.append(answer.body) or honest(answer, request)
    with pytest.raises(RejectedError):
        wire.ask(hello())
    assert seen == [packed]
    wire.close()


def test_the_environment_has_no_say(server, tmp_path, monkeypatch):
    """No proxy, no netrc, no CA bundle of the environment: the header arrives as it was sealed."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # discard: nobody listens there
    wire = connect(server)
    headers = []
    honest = server.answer
    server.answer = lambda found, body: headers.append(found) or honest(found, body)
    assert wire.ask(hello()).outcome == "live"
    assert "Authorization" not in headers[0]
    assert headers[0]["Accept-Encoding"] == "identity"
    assert headers[0]["Content-Length"] == "0"
    wire.close()


def test_a_laptop_with_a_wrong_clock_is_believed_after_hello(wire, server):
    """Hours off: hello tells the server's time, and what follows is stamped in it."""
    server.skew_s = 5 * 3600
    request = deletion(wire)
    assert wire.deliver(request, ignored).outcome == "live"
    assert "shop.models" not in server.tree


# a push whose answer is lost


def test_a_lost_answer_is_asked_for_and_not_pushed_twice(wire, server):
    request = deletion(wire)
    server.lies.append(lambda answer: None)
    assert wire.deliver(request, ignored).outcome == "live"
    assert (server.head, [c["op"] for c in server.seen]) == (1, ["hello", "push", "outcome"])


def test_a_push_that_never_arrived_goes_again_under_its_nonce(wire, server):
    request = deletion(wire)
    honest, lost = server.answer, []

    def once(headers, body):
        server.answer = honest
        lost.append(headers)

    server.answer = once
    assert wire.deliver(request, ignored).outcome == "live"
    assert lost
    assert [c["op"] for c in server.seen] == ["hello", "outcome", "push"]
    assert server.seen[-1]["n"] == request.nonce


CAN_NOT_TELL = Report("failed", reasons=(Reason("store", "", "it is away"),))


def test_a_server_that_can_not_tell_what_became_of_a_push_is_asked_again(wire, server, monkeypatch):
    request, honest = deletion(wire), server._outcome
    told = [CAN_NOT_TELL, CAN_NOT_TELL]
    monkeypatch.setattr(server, "_outcome", lambda c, b: told.pop() if told else honest(c, b))
    server.lies.append(lambda answer: None)
    assert wire.deliver(request, ignored).outcome == "live"
    assert [c["op"] for c in server.seen] == ["hello", "push", "outcome", "outcome", "outcome"]


def test_a_push_of_which_the_server_can_tell_nothing_is_unknown(wire, server, monkeypatch):
    monkeypatch.setattr(server, "_push", lambda c, b: Report("unknown", reasons=CAN_NOT_TELL.reasons))
    monkeypatch.setattr(server, "_outcome", lambda c, b: CAN_NOT_TELL)
    assert wire.deliver(deletion(wire), ignored).outcome == "unknown"


def test_a_restart_that_its_answer_can_not_wait_for_is_asked_after_until_it_ended(wire, server, monkeypatch):
    begun = {"restarted": True, "restarting": True, "lost": "all"}
    late, there = WorkerCount(0, 0, 2, ("1: it ends", "2: it ends")), WorkerCount(2, 0, 2)
    recorded = {"recorded": True, "restarting": True}
    told = [
        CAN_NOT_TELL,
        CAN_NOT_TELL,
        Report("diverged", 1, workers=late, data=recorded),
        Report("live", 1, workers=there, data={**recorded, "restarting": False}),
    ]
    begins = Report("diverged", 1, steps=("shop: restarted",), workers=late, data=begun)
    monkeypatch.setattr(server, "_push", lambda c, b: begins)
    monkeypatch.setattr(server, "_outcome", lambda c, b: told.pop(0))
    request = deletion(wire)
    server.lies += [lambda answer: answer, lambda answer: None]  # one is lost while nobody is there
    report = wire.deliver(request, ignored)
    assert (report.outcome, report.workers, report.steps) == ("live", there, ("shop: restarted",))
    assert (report.data["restarting"], report.data["lost"], told) == (False, "all", [])


def test_a_restart_that_does_not_end_in_time_is_what_was_last_told(wire, server, monkeypatch):
    late = Report("diverged", 1, workers=WorkerCount(0, 0, 1, ("1: it ends",)), data={"restarting": True})
    monkeypatch.setattr(server, "_push", lambda c, b: late)
    monkeypatch.setattr(server, "_outcome", lambda c, b: replace(late, data={**late.data, "recorded": True}))
    report = wire.deliver(deletion(wire), ignored, within_s=0.5)
    assert (report.outcome, report.workers.behind) == ("diverged", ("1: it ends",))


def test_a_forged_answer_to_a_push_is_no_answer(wire, server):
    """A portal's 200 says nothing: the server is asked, and its word counts."""
    request = deletion(wire)
    server.lies += [lambda answer: stranger(200)] * 2
    assert wire.deliver(request, ignored).outcome == "live"
    assert server.head == 1


def test_an_end_that_can_not_be_learnt_is_unknown(wire, server):
    request = deletion(wire)
    server.lies += [lambda answer: None] * 20
    with pytest.raises(DeliveryError) as caught:
        wire.deliver(request, ignored, within_s=0.5)
    assert (caught.value.maybe_live, caught.value.outcome) == (True, "unknown")


@pytest.fixture
def silent():
    """Return the address of a server that hangs: its system takes connections, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/_habanero"


@pytest.fixture
def dying(silent):
    """Return the address of a server that dies with the first request in its hands."""
    listener = socket.create_server(("127.0.0.1", 0))

    def die():
        connection, _ = listener.accept()
        connection.recv(65_536)
        listener.close()
        connection.close()

    thread = threading.Thread(target=die)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/_habanero"
    thread.join()


PUSH = Request("push", "shop", "0" * 32, 0, 1, "cpython", b"x")


def test_a_push_has_one_deadline_however_long_one_exchange_may_take(silent, monkeypatch):
    monkeypatch.setattr(exchange, "LEAST_S", 0.1)
    wire, begun = raw_wire(silent, exchange_s=30), time.monotonic()
    with pytest.raises(DeliveryError, match=r"no answer (within|in time)") as caught:
        wire.deliver(PUSH, ignored, within_s=0.1)
    assert caught.value.maybe_live
    assert time.monotonic() - begun < 10
    wire.close()


def test_whoever_waits_for_a_server_that_hangs_is_told_once(silent, monkeypatch):
    monkeypatch.setattr(exchange, "PATIENCE_S", 0.05)
    monkeypatch.setattr(exchange, "LEAST_S", 0.1)
    wire, told = raw_wire(silent), []
    with pytest.raises(DeliveryError):
        wire.deliver(PUSH, told.append, within_s=0.5)
    (error,) = told
    assert (error.outcome, error.why) == ("unknown", "no answer for 0.05 s")
    wire.close()


def test_whoever_waits_is_told_at_once_that_the_server_died_with_the_push(dying):
    wire, told = raw_wire(dying), []
    with pytest.raises(DeliveryError, match="connection refused") as caught:
        wire.deliver(PUSH, told.append, within_s=0.5)
    assert caught.value.maybe_live
    assert [(error.outcome, error.why) for error in told] == [("unknown", "connection refused")]
    wire.close()


def interrupt(*_):
    """Do to the main thread as Ctrl-C does, in a moment: when it waits again."""
    threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()


def test_an_interrupted_push_to_a_server_that_hangs_ends_at_once_and_may_be_live(silent):
    wire, begun = raw_wire(silent), time.monotonic()
    interrupt()
    with pytest.raises(AbandonedError, match="interrupted") as caught:
        wire.deliver(PUSH, ignored)
    assert caught.value.delivery.maybe_live
    assert time.monotonic() - begun < 10
    wire.close()


def test_an_interrupted_push_to_a_server_that_died_with_it_ends_at_once(dying, monkeypatch):
    monkeypatch.setattr(transport, "PAUSES_S", (0.0, 30.0))
    wire, begun = raw_wire(dying), time.monotonic()
    with pytest.raises(AbandonedError):
        wire.deliver(PUSH, interrupt)
    assert time.monotonic() - begun < 10
    wire.close()


def test_a_proxy_with_a_limit_of_its_own_is_named(wire, server):
    request = deletion(wire)
    honest = server.answer

    def limit(headers, body):
        server.answer = honest
        return stranger(413)

    server.answer = limit
    with pytest.raises(RejectedError, match="takes no body of"):
        wire.deliver(request, ignored)
    assert server.head == 0


def test_a_push_waits_while_another_is_under_way(wire, server):
    request = deletion(wire)
    server.verdict = "in-progress"
    honest = server.answer

    def soon(headers, body):
        answer = honest(headers, body)
        server.verdict = "live"
        return answer

    server.answer = soon
    assert wire.deliver(request, ignored).outcome == "live"
    assert [c["op"] for c in server.seen] == ["hello", "push", "push"]


def test_the_body_of_a_request_is_what_the_header_says(wire, server):
    """Packed or not, the claims are those of the bytes on the wire."""
    view = View.of(wire.ask(hello()))
    body = json.dumps({"nonce": "0" * 32, "pad": "x" * 20_000}).encode()
    wire.ask(request_for("outcome", view, body))
    claims = server.seen[-1]
    assert (claims["enc"], claims["ulen"]) == ("zlib", len(body))
    assert claims["len"] < 1_000
