"""News of releases to an address on the web: what is told, once, and what it can't hold up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask_habanero import release_answered, trial
from flask_habanero import webhook as module
from flask_habanero.config import Config
from flask_habanero.errors import Reason
from flask_habanero.release import Report, WorkerCount
from flask_habanero.webhook import Webhook, verifying_key, words_of

from tests.fakes import tree_of
from tests.hosts import APP, KEY, SECRET, Host, eventually
from tests.receiver import Receiver, receiver

BASE = tree_of(shop="one = 1\n")
PAGE = Path(__file__).parents[1] / "docs" / "deployment.md"


class TellingHost(Host):
    """A host whose apps are told of a webhook."""

    url = ""

    def config(self) -> Config:
        mapping = {"HABANERO_SECRET": SECRET, "HABANERO_APP_ID": APP, "HABANERO_WEBHOOK": self.url}
        return Config.read(mapping | {"HABANERO_STORE": str(self.folder / "store")}, {}, "shop", "/")


@pytest.fixture
def far() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def host(tmp_path: Path, far: Receiver) -> Iterator[Host]:
    made = TellingHost(tmp_path)
    made.url = far.url
    yield made
    made.close()


def test_a_release_is_told_once_and_not_by_each_worker(host: Host, far: Receiver) -> None:
    first, second = host.workers(2, BASE)
    for member in (first, second):
        member.get()
    peer = host.peer(first)
    assert peer.push({"shop": "one = 2\n"}).outcome == "live"
    far.expect(1)  # the other worker's news go by a thread of its own
    assert host.peer(second).rollback().outcome == "live"
    told = far.expect(2)
    assert [row["habanero"]["release"] for row in told] == [1, 2]
    about = told[0]["habanero"]
    assert {key: about[key] for key in ("app", "kind", "who", "outcome", "reasons")} == {
        "app": APP,
        "kind": "push",
        "who": "someone@laptop",
        "outcome": "live",
        "reasons": [],
    }
    assert about["workers"] == {"at_head": 2, "asleep": 0, "total": 2, "behind": []}
    assert about["ms"]["total"] > 0
    assert about["steps"] == ["shop: ~"]
    assert told[0]["text"] == f"{APP}: #1 live on 2/2 workers, by someone@laptop: shop: ~"
    assert told[1]["habanero"]["kind"] == "rollback"
    assert told[1]["text"] == f"{APP}: #2 live on 2/2 workers, rolled back by someone@laptop: shop: ~"
    assert [row["habanero"]["why"] for row in told] == ["", ""]
    assert peer.push({"shop": "one = 3\n"}).release == 3
    assert [row["habanero"]["release"] for row in far.expect(3)] == [1, 2, 3]  # in order, and nothing between


def test_what_the_server_takes_back_by_itself_is_not_told_as_its_senders_release(
    host: Host, far: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = host.worker(BASE)
    peer = host.peer(first)
    assert peer.push_on_trial({"shop": "one = 2\n"}, 60).outcome == "live"
    late = SimpleNamespace(time=lambda: time.time() + 61)
    monkeypatch.setattr(trial, "time", late)
    first.deployer.tick()
    told = far.expect(2)[1]
    assert (
        told["text"]
        == f"{APP}: #2 live on 1/1 workers, taken back from someone@laptop (not confirmed): shop: ~"
    )
    assert {key: told["habanero"][key] for key in ("kind", "who", "why")} == {
        "kind": "rollback",
        "who": "someone@laptop",
        "why": "not confirmed",
    }
    assert told["habanero"]["ms"]["total"] > 0


def test_what_makes_no_release_is_not_told(host: Host, far: Receiver) -> None:
    first = host.worker(BASE)
    peer = host.peer(first)
    assert peer.push({"shop": "one = 2  #cold\n"}).outcome == "cold"
    assert peer.rollback(7).outcome == "refused"
    assert peer.ask("plan", peer.bundle({"shop": "one = 2\n"}).encode()).outcome == "live"
    assert peer.push({"shop": "one = 1\n"}).outcome == "unchanged"
    peer.push({"shop": "one = 3\n"})
    assert [row["habanero"]["release"] for row in far.expect(1)] == [1]


def test_an_answer_that_is_given_again_is_told_once(host: Host, far: Receiver) -> None:
    first = host.worker(BASE)
    peer = host.peer(first)
    claims, wire = peer.claims("push", peer.bundle({"shop": "one = 2\n"}).encode())
    for _ in range(2):
        assert peer.raw(claims, wire)[0] == 200
    peer.push({"shop": "one = 3\n"})
    assert [row["habanero"]["release"] for row in far.expect(2)] == [1, 2]


def test_a_push_waits_for_no_answer_and_other_pushes_go_on(host: Host, far: Receiver) -> None:
    far.go_on.clear()
    first = host.worker(BASE)
    peer = host.peer(first)
    for number in (1, 2):
        assert peer.push({"shop": f"one = {number + 1}\n"}).release == number
        assert first.get() == f"one = {number + 1}\n"
    far.expect(1)
    far.go_on.set()
    far.expect(2)


@pytest.mark.parametrize(
    ("status", "said"), [(500, "it answered 500"), (302, "it answered 302"), (0, "ConnectionError")]
)
def test_what_is_not_delivered_is_logged_without_the_address(
    host: Host, far: Receiver, caplog: pytest.LogCaptureFixture, status: int, said: str
) -> None:
    far.status = status
    if not status:
        host.url = "http://127.0.0.1:9/of-a-secret-path"  # type: ignore[attr-defined]  # a TellingHost
    first = host.worker(BASE)
    peer = host.peer(first)
    with caplog.at_level(logging.WARNING, "flask_habanero"):
        assert peer.push({"shop": "one = 2\n"}).outcome == "live"
        eventually(lambda: f"the webhook at 127.0.0.1 was not told: {said}" in caplog.text)
    assert "secret-path" not in caplog.text
    assert len(far.requests) == (1 if status else 0)  # a redirection is not followed


def test_news_that_nobody_takes_do_not_pile_up(
    far: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    far.go_on.clear()
    webhook = Webhook(far.url, APP, KEY)
    webhook.tell(Report("live", 1), who="ann", kind="push")
    far.expect(1)
    for number in (2, 3, 4):
        webhook.tell(Report("live", number), who="ann", kind="push")
    assert "the webhook was not told of #4" in caplog.text
    far.go_on.set()
    assert [row["habanero"]["release"] for row in far.expect(3)] == [1, 2, 3]


def test_the_page_says_how_a_receiver_checks_it(far: Receiver) -> None:
    """With the page's own lines, and with a key that can't be used to push."""
    code = re.search(r"```python\n(# the receiver.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {"KEY": bytes.fromhex(verifying_key(SECRET))}
    exec(code[1], names)
    is_ours = names["is_ours"]
    assert callable(is_ours)
    Webhook(far.url, APP, KEY).tell(Report("live", 1), who="ann", kind="push")
    far.expect(1)
    headers, body = far.requests[0]
    signature = headers["Habanero-Signature"]
    assert is_ours(signature, body)
    assert not is_ours(signature, body + b" ")
    assert not is_ours(signature.replace("t=1", "t=2"), body)
    assert not is_ours(signature[:-1] + ("0" if signature[-1] != "0" else "1"), body)
    old = re.sub(r"t=\d+", "t=1000", signature)
    assert not is_ours(old, body)


def test_the_key_is_the_one_that_the_wire_page_tells() -> None:
    secret = base64.urlsafe_b64decode(SECRET.split("_", 2)[2][:43] + "=")
    derived = hmac.new(secret, b"flask-habanero/1/webhook", hashlib.sha256).hexdigest()
    assert verifying_key(SECRET) == derived != secret.hex()


def test_the_words_name_some_steps_and_stragglers_are_counted() -> None:
    workers = WorkerCount(1, 0, 2, ("host/7: no answer",))
    report = Report("diverged", 3, steps=tuple(f"m{n}: ~f" for n in range(7)), workers=workers)
    words = "shop: #3 diverged on 1/2 workers, by ann: m0: ~f; m1: ~f; m2: ~f; m3: ~f; m4: ~f; and 2 more"
    assert words_of(report, "shop", "by ann") == words


def test_the_signal_has_each_answer_with_the_whole_report(host: Host, far: Receiver) -> None:
    heard: list[tuple[object, str, Report]] = []

    def note(sender: object, report: Report, who: str, **_: object) -> None:
        heard.append((sender, who, report))

    with release_answered.connected_to(note):
        first = host.worker(BASE)
        peer = host.peer(first)
        peer.push({"shop": "one = 2\n"})
        peer.push({"shop": "one = 3  #cold\n"})
        peer.ask("status")
        peer.rollback()
        eventually(lambda: len(heard) == 3)
    assert [report.outcome for _, _, report in heard] == ["live", "cold", "live"]
    assert all(sender is first.program and who == "someone@laptop" for sender, who, _ in heard)
    assert heard[1][2].reasons == (Reason("fake-cold", "shop:1", "can't be hot"),)
    assert all(report.ms["total"] > 0 for _, _, report in heard)


def test_the_body_is_json_and_has_no_tree(far: Receiver) -> None:
    Webhook(far.url, APP, KEY).tell(Report("live", 1, data={"tree": {}}), who="ann", kind="push")
    far.expect(1)
    headers, body = far.requests[0]
    assert headers["Content-Type"] == "application/json"
    assert "data" not in json.loads(body)["habanero"]
