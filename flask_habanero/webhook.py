"""Tells one address on the web of each release: a chat, or a program of your own.

Once for a release, by the worker that was asked for it; from a thread of its own, so that no push and no
request waits for it. What can't be delivered is logged, and not tried again: who must know it all asks
`flask habanero log`.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .envelope import Key, sign_webhook, webhook_key
from .record import ROLLBACK
from .release import Report

TIMEOUT_S = (3.0, 5.0)  # to connect, and for the answer
WAITING = 100  # news that wait to be told; an address that hangs must not fill the memory
SHOWN = 5  # steps in the text for people; the report has them all
SIGNATURE = "Habanero-Signature"
log = logging.getLogger("flask_habanero")


def verifying_key(secret: str) -> str:
    """Return the key with which a receiver checks signatures, in hex. Nobody can push with it.

    Raises:
        ConfigError: that is no secret.
    """
    return webhook_key(Key.parse(secret)).hex()


class Webhook:
    """Where news of releases go. One per process, made after the fork; starts with the first news."""

    def __init__(self, url: str, app_id: str, key: Key) -> None:
        self._url, self._app, self._key = url, app_id, key
        self._queue: queue.Queue[bytes] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._is_started = False

    def tell(self, report: Report, *, who: str, kind: str, why: str = "") -> None:
        """Send what became of a push or rollback, soon; why, if the server took a release back by itself."""
        about = {"app": self._app, "kind": kind, "who": who, "why": why, "time": int(time.time())}
        told = {name: value for name, value in report.as_json().items() if name != "data"}
        text = words_of(report, self._app, _doer(who, kind, why))
        body = json.dumps({"text": text, "habanero": {**about, **told}})
        try:
            self._queue.put_nowait(body.encode())
        except queue.Full:
            log.warning("the webhook was not told of #%d: %d others wait", report.release, WAITING)
            return
        with self._lock:
            if not self._is_started:
                threading.Thread(target=self._send_all, name="habanero-webhook", daemon=True).start()
                self._is_started = True

    def _send_all(self) -> None:
        while True:
            trouble = self._send(self._queue.get())
            if trouble:  # never the whole address: those of chats are secrets
                log.warning("the webhook at %s was not told: %s", urlsplit(self._url).hostname, trouble)

    def _send(self, body: bytes) -> str:
        """Send one body. Returns why it was not taken, or ""."""
        import requests

        now = int(time.time())
        signature = sign_webhook(b"%d.%s" % (now, body), self._key)
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: f"kid={self._key.kid},t={now},v1={signature}",
        }
        try:
            with requests.post(
                self._url, body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as answer:
                return "" if answer.ok and not answer.is_redirect else f"it answered {answer.status_code}"
        except (requests.RequestException, ValueError) as error:  # the second: an address that is none
            return type(error).__name__


def _doer(who: str, kind: str, why: str) -> str:
    if why:
        return f"taken back from {who} ({why})"
    return f"rolled back by {who}" if kind == ROLLBACK else f"by {who}"


def words_of(report: Report, app_id: str, doer: str) -> str:
    """Return a release in one line, for people: Slack and Mattermost show it."""
    workers: Mapping[str, Any] = report.as_json()["workers"]
    where = f"{workers['at_head']}/{workers['total']} workers"
    steps = list(report.steps[:SHOWN])
    if len(report.steps) > SHOWN:
        steps.append(f"and {len(report.steps) - SHOWN} more")
    done = "; ".join(steps) or "nothing to do"
    return f"{app_id}: #{report.release} {report.outcome} on {where}, {doer}: {done}"
