"""The gate: no request runs while it is closed and still, and none is kept out otherwise."""

from __future__ import annotations

import functools
import gc
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.util import FileWrapper

import pytest
from flask_habanero import gate as gate_module
from flask_habanero.gate import Gate, Unavailable

SOON = 5.0  # seconds that nothing here should take; only a failure waits for so long


def nothing() -> None:
    """A `before` with nothing to do."""


def environ(path: str = "/", **more: Any) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, **more}


class Answered:
    """A `start_response` that remembers."""

    status = ""

    def __call__(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        self.status, self.headers = status, dict(headers)
        return lambda data: None


def get(wsgi: Any, path: str = "/", **more: Any) -> tuple[str, bytes]:
    """Make one request as a server does it."""
    answered = Answered()
    answer = wsgi(environ(path, **more), answered)
    try:
        body = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return answered.status, body


def eventually(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    deadline, turn = time.monotonic() + SOON, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came to be so"
        turn.wait(0.001)


class Chunks:
    """An answer that streams, as Flask's are: an iterable with `close`."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks, self.closed = chunks, 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        self.closed += 1


def app_of(answer: Any) -> Any:
    def app(env: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return answer

    return app


class Slow:
    """An app that stays inside until it is let go."""

    def __init__(self, answer: Any = (b"slow",)) -> None:
        self.inside, self.go, self.answer = threading.Event(), threading.Event(), answer

    def __call__(self, env: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        self.inside.set()
        assert self.go.wait(SOON)
        return self.answer


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def closed_elsewhere(
    pool: ThreadPoolExecutor, gate: Gate, timeout_s: float = SOON
) -> Future[tuple[str, ...]]:
    """Close the gate in another thread."""
    return pool.submit(gate.close, timeout_s)


# --- counting ---


@pytest.mark.parametrize("answer", [[b"a", b"b"], (b"a", b"b")])
def test_whole_answers_are_counted_out_at_once(gate: Gate, answer: Any) -> None:
    assert gate.wrap(app_of(answer), nothing)(environ(), Answered()) is answer
    assert gate.running == 0


def test_a_file_is_handed_on_as_it_is(gate: Gate, tmp_path: Any) -> None:
    """The server knows its own wrapper by its type, and sends the file without Python."""
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file:
        answer = FileWrapper(file)
        wsgi = gate.wrap(app_of(answer), nothing)
        assert wsgi(environ(**{"wsgi.file_wrapper": FileWrapper}), Answered()) is answer
    assert gate.running == 0


def test_a_file_from_a_server_whose_wrapper_is_a_function_is_handed_on_too(gate: Gate, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as answer:
        wsgi = gate.wrap(app_of(answer), nothing)
        assert wsgi(environ(**{"wsgi.file_wrapper": lambda file: file}), Answered()) is answer
    assert gate.running == 0


def test_other_answers_are_counted_out_when_they_are_closed(gate: Gate) -> None:
    chunks = Chunks(b"a", b"b")
    answer: Any = gate.wrap(app_of(chunks), nothing)(environ(), Answered())
    assert gate.running == 1
    assert list(answer) == [b"a", b"b"]
    assert gate.running == 1
    answer.close()
    assert gate.running == 0
    assert chunks.closed == 1


def test_an_answer_needs_no_close(gate: Gate) -> None:
    assert get(gate.wrap(app_of(iter([b"a", b"b"])), nothing)) == ("200 OK", b"ab")
    assert gate.running == 0


def test_an_answer_whose_close_fails_is_counted_out(gate: Gate) -> None:
    class Failing(Chunks):
        def close(self) -> None:
            raise OSError("the client is gone")

    answer: Any = gate.wrap(app_of(Failing(b"a")), nothing)(environ(), Answered())
    with pytest.raises(OSError, match="gone"):
        answer.close()
    assert gate.running == 0


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_app_that_raises_is_counted_out(gate: Gate, error: type[BaseException]) -> None:
    def app(env: dict[str, Any], start_response: Any) -> Any:
        raise error

    with pytest.raises(error):
        gate.wrap(app, nothing)(environ(), Answered())
    assert gate.running == 0
    assert gate.close(0) == ()


def test_an_answer_that_a_server_drops_unclosed_is_counted_out(gate: Gate) -> None:
    answer: Any = gate.wrap(app_of(Chunks(b"a")), nothing)(environ(), Answered())
    assert gate.running == 1
    del answer
    gc.collect()
    assert gate.running == 0


def test_closing_an_answer_twice_counts_once(gate: Gate) -> None:
    wsgi = gate.wrap(app_of(Chunks(b"a")), nothing)
    first: Any = wsgi(environ(), Answered())
    second: Any = wsgi(environ(), Answered())
    first.close()
    first.close()
    assert gate.running == 1
    second.close()
    assert gate.running == 0


# --- closing ---


def test_a_closed_gate_holds_new_requests_until_it_opens(gate: Gate, pool: ThreadPoolExecutor) -> None:
    calls: list[str] = []
    wsgi = gate.wrap(lambda env, start: calls.append("app") or app_of([b"x"])(env, start), nothing)  # type: ignore[func-returns-value]
    assert gate.close(0) == ()
    asked = threading.Event()
    request = pool.submit(lambda: asked.set() or get(wsgi))
    assert asked.wait(SOON)
    assert not request.done()
    assert calls == []
    gate.open()
    assert request.result(SOON) == ("200 OK", b"x")
    assert calls == ["app"]


def test_closing_waits_for_those_who_are_inside(gate: Gate, pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    request = pool.submit(get, gate.wrap(slow, nothing))
    assert slow.inside.wait(SOON)
    closing_ = closed_elsewhere(pool, gate)
    assert not closing_.done()
    slow.go.set()
    began = time.monotonic()
    assert closing_.result(SOON) == ()
    assert time.monotonic() - began < SOON / 2, "it was not woken, it looked again"
    assert request.result(SOON)[1] == b"slow"
    gate.open()


def test_who_stays_inside_is_named_and_the_gate_opens(gate: Gate, pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    wsgi = gate.wrap(slow, nothing)
    request = pool.submit(get, wsgi, "/slow\x1b[2J", SCRIPT_NAME="/shop")
    assert slow.inside.wait(SOON)
    held = pool.submit(get, gate.wrap(app_of([b"x"]), nothing))
    (holder,) = gate.close(0.01)
    assert holder == "GET /shop/slow?[2J 0.0 s"
    assert held.result(SOON) == ("200 OK", b"x")
    slow.go.set()
    request.result(SOON)
    assert gate.close(0) == ()


def test_the_longest_are_named_first(gate: Gate, pool: ThreadPoolExecutor) -> None:
    apps = [Slow() for _ in range(3)]
    for n, app in enumerate(apps):
        pool.submit(get, gate.wrap(app, nothing), f"/{n}")
        assert app.inside.wait(SOON)
    assert [name.split()[1] for name in gate.close(0)] == ["/0", "/1", "/2"]
    for app in apps:
        app.go.set()


def test_an_answer_that_only_streams_is_waited_for_and_then_excepted(gate: Gate) -> None:
    answer: Any = gate.wrap(app_of(Chunks(b"a")), nothing)(environ(), Answered())
    began = time.monotonic()
    assert gate.close(0.05) == ()
    assert time.monotonic() - began >= 0.05
    assert gate.stragglers == 1
    gate.open()
    answer.close()
    assert gate.close(SOON) == ()
    assert gate.stragglers == 0


def test_an_answer_that_ends_in_time_is_no_straggler(gate: Gate, pool: ThreadPoolExecutor) -> None:
    answer: Any = gate.wrap(app_of(Chunks(b"a")), nothing)(environ(), Answered())
    closing_ = closed_elsewhere(pool, gate)
    eventually(lambda: gate._closed)
    answer.close()
    assert closing_.result(SOON) == ()
    assert gate.stragglers == 0


def test_a_generator_is_in_the_app_until_its_first_chunk(gate: Gate, pool: ThreadPoolExecutor) -> None:
    """A generator runs nothing when it is called: all of the app may be in its first step."""
    slow = Slow()

    def generator(env: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield from slow(env, start_response)
        yield b"more"

    request = pool.submit(get, gate.wrap(generator, nothing), "/generated")
    assert slow.inside.wait(SOON)
    assert gate.close(0)[0].startswith("GET /generated")
    slow.go.set()
    assert request.result(SOON) == ("200 OK", b"slowmore")
    assert gate.running == 0

    answer: Any = gate.wrap(generator, nothing)(environ(), Answered())
    assert next(iter(answer)) == b"slow"
    assert gate.close(0.001) == ()
    assert gate.stragglers == 1
    gate.open()
    answer.close()
    assert gate.running == 0


def test_an_interrupted_close_leaves_the_gate_open(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's time-out raises in its main thread, wherever that is."""

    def interrupted(*_: Any) -> bool:
        raise SystemExit(1)

    with monkeypatch.context() as patch:
        patch.setattr(gate._changed, "wait_for", interrupted)
        with pytest.raises(SystemExit):
            gate.close(1)
    assert get(gate.wrap(app_of([b"x"]), nothing)) == ("200 OK", b"x")


# --- who passes ---


def test_an_app_that_calls_itself_passes(gate: Gate, pool: ThreadPoolExecutor) -> None:
    slow, before = Slow(), []

    def outer(env: dict[str, Any], start_response: Any) -> Any:
        slow(env, start_response)
        return [get(inner)[1]]

    inner = gate.wrap(app_of(Chunks(b"in")), lambda: before.append("inner"))
    request = pool.submit(get, gate.wrap(outer, lambda: before.append("outer")))
    assert slow.inside.wait(SOON)
    closing_ = closed_elsewhere(pool, gate)
    eventually(lambda: gate._closed)
    slow.go.set()
    assert request.result(SOON) == ("200 OK", b"in")
    assert closing_.result(SOON) == ()
    assert before == ["outer"]


def test_a_request_can_close_the_gate_around_itself(gate: Gate) -> None:
    def app(env: dict[str, Any], start_response: Any) -> Any:
        assert gate.close(SOON) == ()
        gate.open()
        return app_of([b"pushed"])(env, start_response)

    assert get(gate.wrap(app, nothing)) == ("200 OK", b"pushed")


def test_the_thread_that_closed_the_gate_may_try_what_it_made(gate: Gate) -> None:
    wsgi = gate.wrap(app_of([b"x"]), nothing)
    assert gate.close(0) == ()
    assert get(wsgi) == ("200 OK", b"x")
    gate.open()


# --- before ---


def test_before_runs_uncounted_before_each_request(gate: Gate) -> None:
    seen: list[int] = []
    wsgi = gate.wrap(app_of([b"x"]), lambda: seen.append(gate.running))
    get(wsgi)
    get(wsgi)
    assert seen == [0, 0]


def test_before_may_close_the_gate_itself(gate: Gate) -> None:
    """A worker that finds itself behind comes to head right there."""

    def catch_up() -> None:
        assert gate.close(SOON) == ()
        gate.open()

    assert get(gate.wrap(app_of([b"x"]), catch_up)) == ("200 OK", b"x")


def test_before_runs_again_after_waiting(gate: Gate, pool: ThreadPoolExecutor) -> None:
    """What is live may be another release by then."""
    live, ran, asked = ["old"], [], threading.Event()

    def before() -> None:
        ran.append(live[0])
        asked.set()

    assert gate.close(0) == ()
    request = pool.submit(get, gate.wrap(app_of([b"x"]), before))
    assert asked.wait(SOON)
    live[0] = "new"
    eventually(lambda: gate.running == 0)
    gate.open()
    request.result(SOON)
    assert ran == ["old", "new"]


def test_before_can_send_a_request_away(gate: Gate) -> None:
    def before() -> None:
        raise Unavailable("this worker is being replaced")

    answered = Answered()
    body = b"".join(gate.wrap(app_of([b"x"]), before)(environ(), answered))
    assert answered.status == "503 Service Unavailable"
    assert answered.headers["Retry-After"] == "1"
    assert answered.headers["Content-Length"] == str(len(body))
    assert answered.headers["Cache-Control"] == "no-store"
    assert b"this worker is being replaced" in body
    assert gate.running == 0


def test_a_fault_in_before_is_not_hidden_and_not_counted(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError):
        get(gate.wrap(app_of([b"x"]), lambda: 1 / 0))  # type: ignore[arg-type,return-value]
    assert gate.running == 0


def test_nobody_waits_for_ever(gate: Gate, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "WAIT_S", 0.02)
    assert gate.close(0) == ()
    status, _ = pool.submit(get, gate.wrap(app_of([b"x"]), nothing)).result(SOON)
    assert status == "503 Service Unavailable"
    assert gate.running == 0
    gate.open()


def test_a_503_is_one_that_strict_servers_send(gate: Gate) -> None:
    """PEP 3333 forbids apps to send "Connection: close"; some servers make that a 500."""
    import http.client

    def before() -> None:
        raise Unavailable("not now")

    with make_server("127.0.0.1", 0, gate.wrap(app_of([b"x"]), before)) as server:
        thread = threading.Thread(target=_serve_one, args=(server,))
        thread.start()
        connection = http.client.HTTPConnection(*server.server_address, timeout=SOON)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Retry-After")) == (503, "1")
        answer.read()
        connection.close()
        thread.join()


def _serve_one(server: WSGIServer) -> None:
    server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign,assignment]
    server.handle_request()


# --- several who close ---


def test_the_gate_opens_when_all_have_opened_it_who_closed_it(gate: Gate, pool: ThreadPoolExecutor) -> None:
    done = threading.Event()

    def other() -> tuple[str, ...]:
        result = gate.close(SOON)
        assert done.wait(SOON)
        gate.open()
        return result

    assert gate.close(0) == ()
    elsewhere = pool.submit(other)
    eventually(lambda: len(gate._closers) == 2)
    gate.open()
    request = pool.submit(get, gate.wrap(app_of([b"x"]), nothing))
    assert not request.done()
    done.set()
    assert elsewhere.result(SOON) == ()
    assert request.result(SOON) == ("200 OK", b"x")


def test_closing_and_opening_twice_is_once(gate: Gate) -> None:
    assert gate.close(0) == ()
    assert gate.close(0) == ()
    gate.open()
    gate.open()
    assert get(gate.wrap(app_of([b"x"]), nothing)) == ("200 OK", b"x")


def test_a_thread_that_closed_nothing_opens_for_one_that_is_gone(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    """The lease of a closing that nobody came back for."""
    assert closed_elsewhere(pool, gate).result(SOON) == ()
    gate.open()
    assert get(gate.wrap(app_of([b"x"]), nothing)) == ("200 OK", b"x")


def test_a_closing_that_another_thread_ends_is_not_still(gate: Gate, pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    request = pool.submit(get, gate.wrap(slow, nothing))
    assert slow.inside.wait(SOON)
    closing_ = closed_elsewhere(pool, gate)
    eventually(lambda: gate._closed)
    gate.open()
    assert closing_.result(SOON)[0].startswith("GET / ")
    slow.go.set()
    request.result(SOON)


# --- at every line ---


class Steps:
    """Runs a function and lets something happen at the n-th line of the gate that it executes."""

    def __init__(self, gate: Gate, at: int, act: Callable[[], None]) -> None:
        self.gate, self.left, self.act, self.counting = gate, at, act, True

    def run(self, function: Callable[[], Any]) -> Any:
        sys.settrace(self._trace)
        try:
            return function()
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if frame.f_code.co_filename != gate_module.__file__:
            return None
        # Where this thread holds the lock, nothing that needs it can happen
        if event == "line" and self.counting and not self.gate._changed._is_owned():  # type: ignore[attr-defined]
            self.left -= 1
            if self.left == 0:
                self.act()
        return self._trace

    @property
    def over(self) -> bool:
        """Whether the function had fewer lines than that."""
        return self.left > 0


class Release:
    """Closes the gate, changes the program if all is still, and sees whether a request runs meanwhile."""

    def __init__(self, gate: Gate, pool: ThreadPoolExecutor) -> None:
        self.gate, self.pool = gate, pool
        self.still, self.ran_while_still = False, False
        self.go = threading.Event()

    def app(self, env: dict[str, Any], start_response: Any) -> Any:
        self.ran_while_still |= self.still
        return app_of([b"x"])(env, start_response)

    def begin(self) -> None:
        """Close the gate in another thread, and come back when it is known whether all is still."""
        closed = threading.Event()
        self.pool.submit(self._make, closed)
        assert closed.wait(SOON)

    def _make(self, closed: threading.Event) -> None:
        self.still = not self.gate.close(0)
        closed.set()
        if self.still:
            assert self.go.wait(SOON)
            self.still = False
            self.gate.open()


def waiting(gate: Gate) -> int:
    """Return how many threads wait at the gate, or for it to be still."""
    return len(gate._changed._waiters)  # type: ignore[attr-defined]


def test_the_gate_may_close_at_any_line_of_a_request(gate: Gate, pool: ThreadPoolExecutor) -> None:
    """Either the closing sees the request, or the request sees that it is closed: at no line neither."""
    seen, at, over = set(), 0, False
    while not over:
        at += 1
        release = Release(gate, pool)
        steps, wsgi = Steps(gate, at, release.begin), gate.wrap(release.app, nothing)
        request = pool.submit(steps.run, functools.partial(get, wsgi))
        eventually(lambda request=request: request.done() or waiting(gate))
        seen.add(release.still)
        release.go.set()
        assert request.result(SOON) == ("200 OK", b"x")
        assert not release.ran_while_still, f"it ran in a gate that was still; closed at line {at}"
        eventually(lambda: not gate._closed)
        over = steps.over
    assert seen == {True, False}
    assert at > 10


def test_the_gate_may_close_again_at_any_line_of_a_request_that_waited(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    at, over = 0, False
    while not over:
        at += 1
        release = Release(gate, pool)
        steps, wsgi = Steps(gate, at, release.begin), gate.wrap(release.app, nothing)
        steps.counting = False
        assert gate.close(0) == ()
        request = pool.submit(steps.run, functools.partial(get, wsgi))
        eventually(lambda: waiting(gate))
        steps.counting = True
        gate.open()
        eventually(lambda request=request: request.done() or waiting(gate))
        release.go.set()
        assert request.result(SOON) == ("200 OK", b"x")
        assert not release.ran_while_still, f"it ran in a gate that was still; closed at line {at}"
        eventually(lambda: not gate._closed)
        over = steps.over
    assert at > 10


@pytest.mark.parametrize("answer", [[b"x"], Chunks(b"x")])
def test_a_request_may_end_at_any_line_of_a_closing(
    gate: Gate, pool: ThreadPoolExecutor, answer: Any
) -> None:
    """It is never missed: the closing does not wait its time out for somebody who is gone."""
    at, over = 0, False
    while not over:
        at += 1
        slow = Slow(answer)
        request = pool.submit(get, gate.wrap(slow, nothing))
        assert slow.inside.wait(SOON)

        def end(slow: Slow = slow, request: Future[Any] = request) -> None:
            slow.go.set()
            request.result(SOON)

        steps, began = Steps(gate, at, end), time.monotonic()
        closing_ = pool.submit(steps.run, functools.partial(gate.close, SOON))
        eventually(lambda closing_=closing_: closing_.done() or waiting(gate))
        slow.go.set()  # for the round in which the closing has fewer lines
        assert closing_.result(2 * SOON) == ()
        assert time.monotonic() - began < SOON / 2, f"not woken; it ended at line {at}"
        gate.open()
        over = steps.over


# --- all at once ---


class Program:
    """A program whose release has two halves; whoever sees them differ runs in the middle of a release."""

    def __init__(self) -> None:
        self.one = self.two = 0
        self.torn: list[tuple[int, int]] = []

    def run(self) -> None:
        seen = self.one
        for _ in range(random.randrange(3)):
            time.sleep(0)  # lets another thread run here, in the middle of the request
        if seen != self.two:
            self.torn.append((seen, self.two))

    def release(self) -> None:
        self.one += 1
        time.sleep(0)
        self.two += 1

    def list(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.run()
        return [b"x"]

    def stream(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.run()
        return Chunks(b"x")

    def generator(self, env: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        self.run()
        yield b"x"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["list", "stream", "generator"])
def test_no_request_runs_while_the_gate_is_closed_and_still(gate: Gate, kind: str) -> None:
    """Thousands of requests in many threads, and releases in between."""
    program, stop, served = Program(), threading.Event(), [0] * 6
    wsgi = gate.wrap(getattr(program, kind), nothing)

    def client(n: int) -> None:
        while not stop.is_set():
            get(wsgi)
            served[n] += 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(len(served))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 1.5
    while time.monotonic() < until or min(served) == 0 or program.two < 50:
        if not gate.close(random.choice([0, 0.001, 1])):
            program.release()
            gate.open()
    stop.set()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive(), "a request was never woken"
    assert program.torn == []
    assert gate.running == 0
