"""A client in fifty lines: seals requests itself, so that tests can seal wrong ones too."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flask_habanero.asset import Asset
from flask_habanero.envelope import (
    REQUEST,
    RESPONSE,
    RESPONSE_CLAIMS,
    Key,
    Keyring,
    pack,
    seal,
    sha256,
    unseal,
)
from flask_habanero.release import Bundle, Report, tree_digest
from flask_habanero.source import Source
from flask_habanero.unit import build_unit, python_tag

PATH = "/_habanero"

Send = Callable[[Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]
"""Headers and body of a POST to the endpoint -> status, headers, body."""


@dataclass
class Peer:
    """Knows the secret, the server's head as the last hello told it, and how to send.

    Attributes:
        send: carries a request, e.g. `over_client(app.test_client())`.
        head: the last hello.
    """

    key: Key
    send: Send
    app: str = "*"
    head: Report = field(default_factory=lambda: Report("unknown"))

    def claims(self, op: str, body: bytes = b"", /, **over: Any) -> tuple[dict[str, Any], bytes]:
        """Return valid claims and the body on the wire, with some claims exchanged."""
        wire, encoding = pack(body)
        number, now = self.head.release, int(time.time())
        claims = {
            "v": 1,
            "op": op,
            "app": "*" if op == "hello" else self.app,
            "epoch": self.head.data.get("epoch", ""),
            "base": number,
            "rel": number + (op in ("push", "rollback")),
            "py": python_tag(),
            "len": len(wire),
            "ulen": len(body),
            "enc": encoding,
            "sha": sha256(wire),
            "n": secrets.token_hex(16),
            "iat": now,
            "exp": now + 30,
            "cid": "someone@laptop",
        }
        return {**claims, **over}, wire

    def raw(self, claims: Mapping[str, Any], wire: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Send claims, sealed."""
        return self.send({"Habanero": seal(claims, self.key, REQUEST)}, wire)

    def ask(self, op: str, body: bytes = b"", /, **over: Any) -> Report:
        """Send a request and return the report in the answer, which must be signed and ours."""
        claims, wire = self.claims(op, body, **over)
        status, headers, data = self.raw(claims, wire)
        answer, kid = unseal(headers.get("Habanero"), Keyring([self.key]), RESPONSE, RESPONSE_CLAIMS)
        assert (answer["rn"], answer["st"], kid) == (claims["n"], status, self.key.kid)
        assert (answer["len"], answer["sha"]) == (len(data), sha256(data))
        report = Report.from_json(json.loads(data))
        return replace(report, data={**report.data, "status": status})

    def hello(self) -> Report:
        """Learn the server's head."""
        self.head = self.ask("hello")
        self.app = self.head.data["app"]
        return self.head

    def bundle(self, changed: Mapping[str, str | bytes], deleted: tuple[str, ...] = ()) -> Bundle:
        """Return the bundle that gives modules of the server's head these texts, and assets these bytes."""
        digests = {name: row[0] for name, row in self.head.data["tree"].items()} | self.head.data["assets"]
        parent = tree_digest(digests.items())
        units, assets = [], []
        for name, text in changed.items():
            if isinstance(text, bytes):
                assets.append(Asset.of(name, text))
                continue
            _, path, package = self.head.data["tree"].get(name, ["", name.replace(".", "/") + ".py", False])
            units.append(build_unit(Source(name, path, package, text)))
        digests |= {unit.name: unit.source.digest for unit in units}
        digests |= {asset.name: asset.digest for asset in assets}
        for name in deleted:
            del digests[name]
        target = tree_digest(digests.items())
        return Bundle(tuple(units), deleted, python_tag(), parent, target, "", tuple(assets))

    def push(self, changed: Mapping[str, str | bytes], deleted: tuple[str, ...] = (), **over: Any) -> Report:
        """Say hello and push these texts."""
        self.hello()
        return self.ask("push", self.bundle(changed, deleted).encode(), **over)

    def rehearse(self, changed: Mapping[str, str | bytes], *pages: str, within: int = 30) -> Report:
        """Say hello and rehearse these texts."""
        self.hello()
        asked = json.dumps({"requests": pages, "within": within}).encode()
        return self.ask("rehearse", asked + b"\n" + self.bundle(changed).encode())

    def promise(self, nonce: str, within: int, *, stays: bool = False, **over: Any) -> bytes:
        """Return the body that promises to take back the release after head, if it is not confirmed."""
        number = self.head.release
        body = json.dumps({"to": number})
        later = {"base": number + 1, "rel": number + 2, "iat": 0, "exp": 0}
        header = seal(self.claims("rollback", body.encode(), **{**later, **over})[0], self.key, REQUEST)
        told = {"nonce": nonce, "within": within, "stays": stays, "header": header, "body": body}
        return json.dumps(told).encode()

    def push_on_trial(
        self, changed: Mapping[str, str | bytes], within: int = 60, *, stays: bool = False
    ) -> Report:
        """Say hello and push these texts, to be taken back if nobody confirms them, or if they fail."""
        self.hello()
        nonce = secrets.token_hex(16)
        assert self.ask("trial", self.promise(nonce, within, stays=stays)).outcome == "unchanged"
        return self.ask("push", self.bundle(changed).encode(), n=nonce)

    def confirm(self, number: int | None = None) -> Report:
        """Say hello and confirm a release."""
        self.hello()
        return self.ask("confirm", json.dumps({"number": number}).encode())

    def freeze(self, why: str, **over: Any) -> Report:
        """Say hello and freeze."""
        self.hello()
        return self.ask("freeze", json.dumps({"why": why}).encode(), **over)

    def thaw(self, nonce: str) -> Report:
        """Say hello and thaw a freeze."""
        self.hello()
        return self.ask("thaw", json.dumps({"nonce": nonce}).encode())

    def rollback(self, to: int | None = None) -> Report:
        """Say hello and roll back."""
        self.hello()
        return self.ask("rollback", json.dumps({"to": to}).encode())


def over_client(client: Any, path: str = PATH) -> Send:
    """Return how to send through a Werkzeug test client."""

    def send(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = client.post(path, headers=dict(headers), data=body, content_type="application/octet-stream")
        return answer.status_code, answer.headers, answer.data

    return send
