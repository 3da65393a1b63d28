"""A server that speaks the wire with a real keyring and runs no code: the client's other side.

It believes what the real one believes (docs/wire.md), keeps a tree, a ledger and the nonces, and
refuses sources by marks in their text: ``# cold`` is cold, ``# raises`` fails, ``# busy`` is busy,
``# needs NAME`` is cold until there is a module of that name, ``# blames NAME`` while that is not sent, too.

A test can make it lie: `server.lies.append(f)` gives each next answer, in order, to `f(answer)`,
which returns other bytes for the socket, or None to send nothing and close.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from flask_habanero import envelope
from flask_habanero.asset import Asset, Assets, digests
from flask_habanero.envelope import Key, Keyring
from flask_habanero.errors import BundleError, HabaneroError, Reason
from flask_habanero.release import Bundle, Report, WorkerCount, digest_of, loads_json
from flask_habanero.source import Source
from flask_habanero.unit import python_tag

STATUS = {
    "live": 200,
    "unchanged": 200,
    "conflict": 409,
    "cold": 422,
    "refused": 422,
    "failed": 422,
    "busy": 423,
    "diverged": 503,
    "unknown": 200,
}


@dataclass
class Answer:
    """What would go over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    def raw(self) -> bytes:
        """Return the bytes of the whole answer."""
        head = f"HTTP/1.1 {self.status} Whatever\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in self.headers.items()
        )
        return head.encode() + b"\r\n" + self.body


def stranger(status: int = 404) -> Answer:
    """Return what the user's app, or a proxy, would answer."""
    body = b"<h1>Not Found</h1>"
    return Answer(status, {"Content-Type": "text/html", "Content-Length": str(len(body))}, body)


@dataclass
class FakeServer:
    """State and rules; `start()` puts it on a free loopback port."""

    secret: str = field(default_factory=envelope.new_secret)
    app: str = "shop"
    tree: dict[str, Source] = field(default_factory=dict)
    allowed: list[str] = field(default_factory=lambda: ["shop"])
    python: str = field(default_factory=python_tag)
    epoch: str = field(default_factory=lambda: secrets.token_hex(16))
    head: int = 0
    first: int = 0
    skew_s: int = 0
    verdict: str = "live"
    log: list[dict] = field(default_factory=list)
    lies: list[Callable[[Answer], Answer | bytes | None]] = field(default_factory=list)
    seen: list[dict] = field(default_factory=list)  # claims of believed requests
    strangers: list[dict] = field(default_factory=list)  # headers of requests that were not believed
    max_bytes: int = 4 * 2**20
    behind: tuple[str, ...] = ()
    version: str = "0.1.0"
    surroundings: dict = field(
        default_factory=lambda: {
            "server": "gunicorn/23.0.0",
            "store": "/srv/shop/habanero",
            "preloaded": False,
            "reloader": "",
            "unknown": [],
            "overridden": [],
            "pod": False,
            "crowded": [],
            "shared": None,
            "cold": "refuse",
            "obstacle": "",
            "obstacle_hint": "",
        }
    )
    page: int = 50  # records, or sources, in one answer
    troubles: dict[int, str] = field(default_factory=dict)  # number -> why it can't be believed
    assets: Assets = field(default_factory=dict)
    rehearsals: list[dict] = field(default_factory=list)  # what was asked of each
    promises: dict[str, dict] = field(default_factory=dict)  # nonce of a push -> what takes it back
    confirmed: list[int] = field(default_factory=list)
    trial: dict | None = None  # what status tells
    frozen: dict | None = None  # the same
    folders: list[str] = field(default_factory=lambda: ["shop/templates", "shop/static"])

    def __post_init__(self) -> None:
        self.keys = Keyring([Key.parse(self.secret)])
        self.states: dict[int, tuple[dict[str, Source], Assets]] = {self.head: (dict(self.tree), self.assets)}
        self.nonces: dict[str, Report] = {}
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.connections: list[socket.socket] = []

    def put(self, **texts: str) -> FakeServer:
        """Add modules to the base; names with ``__`` for dots."""
        for name, text in texts.items():
            module = name.replace("__", ".")
            is_package = module == "shop"
            path = module.replace(".", "/") + ("/__init__.py" if is_package else ".py")
            self.tree[module] = Source(module, path, is_package, text)
        self.states[self.head] = (dict(self.tree), self.assets)
        return self

    def lay(self, **texts: str) -> FakeServer:
        """Add assets to the base; names with ``__`` for slashes and ``_`` for a dot."""
        named = {"shop/" + name.replace("__", "/").replace("_", "."): text for name, text in texts.items()}
        self.assets = {**self.assets, **{name: Asset.of(name, text.encode()) for name, text in named.items()}}
        return self.put()

    def release(
        self, texts: dict[str, str | bytes | None], who: str = "bob@example.org", kind: str = "push"
    ) -> None:
        """Let somebody else change the server: texts of modules, bytes of assets; None deletes."""
        tree, assets = dict(self.tree), dict(self.assets)
        for name, text in texts.items():
            tree.pop(name, None)
            assets.pop(name, None)
            if isinstance(text, bytes):
                assets[name] = Asset.of(name, text)
            elif text is not None:
                tree[name] = Source(name, name.replace(".", "/") + ".py", False, text)
        with self.lock:
            self.assets = assets
            self._record(tree, list(texts), who, kind)

    def deploy(self, texts: dict[str, str]) -> None:
        """Let another cold deploy supersede the ledger."""
        self.release(texts, "", "base")
        self.epoch, self.first = secrets.token_hex(16), self.head

    def roll_back(self, to: int, who: str = "bob@example.org", why: str = "") -> None:
        """Let somebody take the server back; the record names no modules, as the real one's."""
        with self.lock:
            self.assets = self.states[to][1]
            self._record(dict(self.states[to][0]), [], who, "rollback", f"back to #{to}{why}")

    def _record(
        self, tree: dict[str, Source], modules: list[str], who: str, kind: str, note: str = ""
    ) -> None:
        self.tree, self.head = tree, self.head + 1
        self.states[self.head] = (dict(tree), self.assets)
        record = {"number": self.head, "kind": kind, "who": who, "time": int(time.time()), "note": note}
        self.log.insert(0, {**record, "modules": sorted(modules)})
        self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], within_s: float = 10) -> None:
        """Wait until the server's state is as it should be; fails the test otherwise."""
        with self.lock:
            assert self.changed.wait_for(condition, within_s), f"#{self.head} {sorted(self.tree)}"

    # one request

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """Return the answer to one request, as the real server would."""
        try:
            claims, kid = envelope.unseal(
                headers.get("Habanero"), self.keys, envelope.REQUEST, envelope.REQUEST_CLAIMS
            )
            envelope.check_fresh(claims, int(time.time()) + self.skew_s)
            believed = (
                (claims["app"] == self.app or (claims["op"] == "hello" and claims["app"] == "*"))
                and headers.get("Content-Length") == str(claims["len"])
                and "Transfer-Encoding" not in headers
                and "Content-Encoding" not in headers
                and envelope.sha256(body) == claims["sha"]
            )
        except HabaneroError:
            believed = False
        if not believed:
            self.strangers.append(headers)
            return stranger()
        with self.lock:
            self.seen.append(claims)
            report = self.act(claims, envelope.unpack(body, claims["enc"], claims["ulen"]))
        return self.sealed(report, claims, kid)

    def sealed(self, report: Report, claims: dict, kid: str) -> Answer:
        """Return a report as a signed answer to a request."""
        data = json.dumps(report.as_json()).encode()
        status = STATUS[
            "busy" if self.verdict == "in-progress" and claims["op"] == "push" else report.outcome
        ]
        reply = {
            "v": 1,
            "rn": claims["n"],
            "st": status,
            "sha": envelope.sha256(data),
            "len": len(data),
            "t": int(time.time()) + self.skew_s,
        }
        token = envelope.seal(reply, self.keys.get(kid), envelope.RESPONSE)
        return Answer(
            status, {"Habanero": token, "Content-Length": str(len(data)), "Cache-Control": "no-store"}, data
        )

    def act(self, claims: dict, body: bytes) -> Report:
        """Return the report of one believed request."""
        return getattr(self, f"_{claims['op']}")(claims, body)

    def report(self, outcome: str = "live", **more) -> Report:
        """Return a report about the present head."""
        workers = WorkerCount(2 - len(self.behind), 0, 2, self.behind)
        return Report(
            outcome,
            self.head,
            digest_of(self.tree, self.assets),
            workers=workers,
            ms={"total": 1.0, "commit": 0.1},
            **more,
        )

    def _facts(self) -> dict:
        head = (
            {k: v for k, v in self.log[0].items() if k != "modules"}
            if self.head > self.first and self.log
            else None
        )
        return {
            "app": self.app,
            "epoch": self.epoch,
            "python": self.python,
            "optimize": 0,
            "modules": self.allowed,
            "path": "/_habanero",
            "max_bytes": self.max_bytes,
            "first": self.first,
            "head": head,
            "time": int(time.time()) + self.skew_s,
            "version": self.version,
        }

    def _hello(self, claims: dict, body: bytes) -> Report:
        tree = {name: [s.digest, s.path, s.package] for name, s in self.tree.items()}
        assets = {asset.name: asset.digest for asset in self.assets.values()}
        return self.report(data={**self._facts(), "tree": tree, "assets": assets, "folders": self.folders})

    def _status(self, claims: dict, body: bytes) -> Report:
        fleet = [{"host": "web", "pid": 1, "release": self.head, "since": 0, "state": "at head"}]
        outcome = "diverged" if self.verdict == "diverged" else "live"
        told = {"surroundings": self.surroundings, "drift": False, "trial": self.trial, "frozen": self.frozen}
        return self.report(outcome, data={**self._facts(), **told, "fleet": fleet, "log": self.log[:20]})

    def _log(self, claims: dict, body: bytes) -> Report:
        below = loads_json(body)["below"]
        numbers = range(self.first, self.head + 1 if below is None else min(below, self.head + 1))
        page = list(reversed(numbers))[: self.page]
        rest = page[-1] if page and page[-1] > self.first else None
        rows = [self._told(number) for number in page]
        return self.report("unchanged", data={"first": self.first, "log": rows, "next": rest})

    def _told(self, number: int) -> dict:
        old, new = ({**s[0], **s[1]} for s in (self.states.get(number - 1, ({}, {})), self.states[number]))
        if number == self.first:
            row = {"number": number, "kind": "base", "who": "", "time": 0, "note": ""}
            old = new
        else:
            row = {k: v for k, v in self.log[self.head - number].items() if k != "modules"}
        changes = dict.fromkeys(new.keys() - old.keys(), "+") | dict.fromkeys(old.keys() - new.keys(), "-")
        changes |= {n: "~" for n in old.keys() & new.keys() if old[n] != new[n]}
        trouble = self.troubles.get(number, "")
        more = {"key": "k1", "digest": digest_of(new), "changes": {} if trouble else changes}
        return {**row, **more, "trouble": trouble}

    def _state(self, at: int | str) -> tuple[dict[str, Source], Assets]:
        return self.states[self.first if at == "disk" else at]

    def _tree(self, claims: dict, body: bytes) -> Report:
        at = loads_json(body)["at"]
        if at != "disk" and at not in self.states:
            what = f"there is no #{at} to read"
            return self.report(
                "refused", reasons=(Reason("no-such-release", "", what, "flask habanero log"),)
            )
        tree, assets = self._state(at)
        rows = {name: [s.digest, s.path, s.package] for name, s in tree.items()}
        return self.report("unchanged", data={"at": at, "tree": rows, "assets": digests(assets)})

    def _sources(self, claims: dict, body: bytes) -> Report:
        asked = loads_json(body)
        tree, assets = self._state(asked["at"])
        there = [name for name in asked["names"] if name in {**tree, **assets}]
        rows = [_row(tree.get(name) or assets[name]) for name in there[: self.page]]
        absent = [name for name in asked["names"] if name not in there]
        return self.report(
            "unchanged",
            data={"at": asked["at"], "sources": rows, "absent": absent, "left": there[self.page :]},
        )

    def _outcome(self, claims: dict, body: bytes) -> Report:
        done = self.nonces.get(loads_json(body)["nonce"])
        return done or self.report("unknown", data={"recorded": False})

    def _plan(self, claims: dict, body: bytes) -> Report:
        return self._checked(claims, body)[0]

    def _rehearse(self, claims: dict, body: bytes) -> Report:
        """As a plan; and each page answers 500 if some source has the mark ``# breaks``."""
        line, _, bundle = body.partition(b"\n")
        self.rehearsals.append(loads_json(line))
        report, shipped = self._checked(claims, bundle)
        if report.outcome != "live":
            return report
        broken = any("# breaks" in unit.source.text for unit in shipped.units)
        paths = self.rehearsals[-1]["requests"] or ["/"]
        status, why = (500, "answered 500: ZeroDivisionError: no") if broken else (200, "")
        pages = [{"path": path, "status": status, "ms": 3.1, "why": why} for path in paths]
        data = {"rehearsed": pages, "app": "shop:app", "output": ["Traceback"] if broken else []}
        if not broken:
            return self.report(steps=report.steps, data=data)
        reasons = tuple(Reason("rehearsal", f"GET {path}", why, "correct it") for path in paths)
        return self.report("failed", reasons=reasons, data=data)

    def _trial(self, claims: dict, body: bytes) -> Report:
        """Keep the promise; nobody takes anything back here: `promises` is what a test looks at."""
        if (claims["epoch"], claims["base"]) != (self.epoch, self.head):
            return self.report("conflict")
        told = loads_json(body)
        later, _ = envelope.unseal(told["header"], self.keys, envelope.REQUEST, envelope.REQUEST_CLAIMS)
        assert envelope.sha256(told["body"].encode()) == later["sha"]
        self.promises[told["nonce"]] = {**told, "claims": later}
        return self.report("unchanged")

    def _confirm(self, claims: dict, body: bytes) -> Report:
        number = loads_json(body)["number"]
        if number not in (None, self.head):
            why = f"#{number} can't be confirmed: #{self.head} is live"
            return self.report("refused", reasons=(Reason("not-on-trial", "", why, "flask habanero log"),))
        self.confirmed.append(self.head)
        return self.report("live", data={"confirmed": self.head})

    def _freeze(self, claims: dict, body: bytes) -> Report:
        self.frozen = {"nonce": claims["n"], "who": claims["cid"], "since": 0, **loads_json(body)}
        return self.report("live", data={"frozen": self.frozen})

    def _thaw(self, claims: dict, body: bytes) -> Report:
        held = self.frozen is not None and loads_json(body)["nonce"] == self.frozen["nonce"]
        self.frozen = None if held else self.frozen
        return self.report("live" if held else "unchanged", data={"frozen": self.frozen})

    def _push(self, claims: dict, body: bytes) -> Report:
        if claims["n"] in self.nonces:
            return self.nonces[claims["n"]]
        if self.frozen:
            return self.report("refused", reasons=(Reason("frozen", "", f"frozen: {self.frozen['why']}"),))
        report, bundle = self._checked(claims, body)
        if report.outcome == "live" and self.verdict == "live":
            self.assets = bundle.assets_after(self.assets)
            self._record(
                bundle.applied_to(self.tree),
                [u.name for u in bundle.units] + [a.name for a in bundle.assets] + list(bundle.deletions),
                claims["cid"],
                "push",
                bundle.note,
            )
            report = self.report(steps=report.steps, data={"recorded": True, "folders": self.folders})
            self.nonces[claims["n"]] = report
        return report

    def _checked(self, claims: dict, body: bytes) -> tuple[Report, Bundle]:
        bundle = Bundle.decode(body)
        if claims["op"] == "push":
            assert claims["rel"] == claims["base"] + 1
        if (claims["epoch"], claims["base"]) != (self.epoch, self.head):
            return self.report(
                "conflict", reasons=(Reason("conflict", "", f"the server is at #{self.head}"),)
            ), bundle
        after = digest_of(bundle.applied_to(self.tree), bundle.assets_after(self.assets))
        if bundle.parent != digest_of(self.tree, self.assets) or bundle.target != after:
            raise BundleError("parent or target is wrong")
        if self.verdict == "in-progress":
            return self.report(
                "failed", reasons=(Reason("in-progress", "", "a push is in progress"),)
            ), bundle
        reasons = self._reasons(bundle)
        wrong = [asset.name for asset in bundle.assets if b"# wrong" in (asset.data or b"")]
        if wrong:
            reasons = [Reason("template-syntax", f"{name}:1", "wrong here", "correct it") for name in wrong]
            return self.report("refused", reasons=tuple(reasons)), bundle
        if reasons:
            outcome = "cold" if reasons[0].code in ("cold", "import-broken") else "failed"
            rest = any("the rest is hot" in unit.source.text for unit in bundle.units)
            data = {"planned": True, "apart": _apart(bundle)} if rest else {}
            return self.report(outcome, reasons=tuple(reasons), data=data), bundle
        steps = tuple(f"{unit.name}: ~index" for unit in bundle.units)
        return self.report(steps=steps, data={"planned": True, "how": _how(bundle)}), bundle

    def _reasons(self, bundle: Bundle) -> list[Reason]:
        reasons, there = [], bundle.applied_to(self.tree)
        for unit in bundle.units:
            for mark, code in (("# cold", "cold"), ("# raises", "commit"), ("# busy", "busy")):
                if mark in unit.source.text:
                    where = "" if code == "busy" else f"{unit.name}:1"
                    reasons.append(Reason(code, where, f"{code} here", "restart"))
            for need in re.findall(r"# needs (\S+)", unit.source.text):
                if need not in there:
                    what = f"no module named {need!r}"
                    reasons.append(Reason("import-broken", f"{unit.name}:1", what, "send it, too"))
            absent = set(re.findall(r"# blames (\S+)", unit.source.text)) - {u.name for u in bundle.units}
            reasons += [Reason("cold", f"{name}:1", "used it at the start", "restart") for name in absent]
        return reasons

    def _rollback(self, claims: dict, body: bytes) -> Report:
        if claims["n"] in self.nonces:
            return self.nonces[claims["n"]]
        if (claims["epoch"], claims["base"]) != (self.epoch, self.head):
            return self.report("conflict")
        to = loads_json(body)["to"]
        number = self.head - 1 if to is None else to
        if number not in self.states:
            return self.report(
                "refused", reasons=(Reason("no-such-release", "", f"there is no #{number} to go back to"),)
            )
        self.assets = self.states[number][1]
        self._record(dict(self.states[number][0]), [], claims["cid"], "rollback", f"back to #{number}")
        self.nonces[claims["n"]] = self.report(data={"recorded": True})
        return self.nonces[claims["n"]]

    # the socket

    def start(self, port: int = 0) -> FakeServer:
        """Listen. `url` says where."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # http.server's name
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._send(fake.answer(dict(self.headers.items()), body))

            def _send(self, answer: Answer) -> None:
                result = fake.lies.pop(0)(answer) if fake.lies and answer else answer
                self.close_connection = result is not answer or result is None
                if result is not None:
                    self.wfile.write(result.raw() if isinstance(result, Answer) else result)

            def setup(self) -> None:
                super().setup()
                fake.connections.append(self.connection)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.httpd.daemon_threads = True
        self.port = self.httpd.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; the state stays, for another `start(port)`."""
        self.httpd.shutdown()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # closed long ago
                connection.shutdown(socket.SHUT_RDWR)
        self.httpd.server_close()
        self.thread.join()


def _how(bundle: Bundle) -> dict[str, list[str]]:
    return {unit.source.path: ["index: its body\x1b is exchanged"] for unit in bundle.units}


def _apart(bundle: Bundle) -> dict[str, object]:
    """Return what a plan says of a cold change that is hot but for its last statement."""
    unit = bundle.units[0]
    hidden = {"code": "cold", "where": f"{unit.name}:5", "what": "hidden until then", "hint": ""}
    steps, without = [f"{unit.name}: ~index"], [f"{unit.source.path}: +COLD"]
    return {"steps": steps, "how": _how(bundle), "without": without, "reasons": [hidden]}


def _row(one: Source | Asset) -> list:
    if isinstance(one, Source):
        return [one.name, one.path, one.package, one.text]
    return [one.name, None if one.data is None else b64encode(one.data).decode()]
