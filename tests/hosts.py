"""A host with several workers, in one process: what a server's forked workers are to each other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask_habanero.change import Request
from flask_habanero.config import Config
from flask_habanero.deploy import Deployer
from flask_habanero.envelope import REQUEST, RESPONSE, Key, Keyring, new_secret, seal, sha256
from flask_habanero.fleet import Fleet
from flask_habanero.gate import Gate, Unavailable
from flask_habanero.ledger import Ledger
from flask_habanero.mirror import Mirror
from flask_habanero.record import Record
from flask_habanero.release import Report
from flask_habanero.server import status_of
from flask_habanero.shared import Shared
from flask_habanero.signals import Announcer
from flask_habanero.source import Source
from flask_habanero.surroundings import Surroundings
from flask_habanero.worker import Worker

from tests.fakes import FakeProgram
from tests.peer import Peer

SECRET = new_secret("k1")
KEY = Key.parse(SECRET)
APP = "shop/tests"
AROUND = Surroundings.of({}, {})


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    turn = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came to be so"
        turn.wait(0.005)


class PeerOf(Peer):
    """A peer that can also seal a request without sending it."""

    def request_for(self, op: str, changed: Mapping[str, str]) -> Request:
        self.hello()
        claims, wire = self.claims(op, self.bundle(changed).encode())
        return Request(claims, self.key.kid, seal(claims, self.key, REQUEST), wire)


@dataclass
class Member:
    """One worker of the host, with all that belongs to it."""

    program: FakeProgram
    gate: Gate
    worker: Worker
    fleet: Fleet
    deployer: Deployer
    replaceable: bool = True
    ended: bool = False

    def would_replace(self) -> bool:
        """Stand in for the process manager."""
        return self.replaceable

    def end_this_worker(self) -> None:
        """Stand in for the process manager."""
        self.ended = True

    def replace_this_worker(self) -> None:
        """Stand in for the process manager."""
        self.ended = True

    @property
    def keeps_imports(self) -> bool:
        """Stand in for the process manager."""
        return True

    def get(self) -> str:
        """Serve one request; the answer is the text of the module `shop`."""
        text = b"".join(self.wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, self._started))
        if text.startswith(b"503"):
            raise Unavailable(text.decode())
        return text.decode()

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            return [self.program.tree["shop"].text.encode()]

        return self.gate.wrap(app, self.worker.before)(environ, start_response)

    @staticmethod
    def _started(*_: object) -> Any:
        return None

    @contextmanager
    def busy(self, path: str) -> Iterator[Callable[[], None]]:
        """Have a request inside, until the block or the function that it gives ends it."""
        inside, leave = threading.Event(), threading.Event()

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            inside.set()
            assert leave.wait(30)
            return []

        gated = self.gate.wrap(app, self.worker.before)
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
        thread = threading.Thread(target=lambda: gated(environ, self._started))
        thread.start()
        assert inside.wait(10)
        try:
            yield leave.set
        finally:
            leave.set()
            thread.join(10)

    def deafen(self) -> None:
        """Hear nothing any more, as if the messages were lost."""
        self.fleet.leave()

    @contextmanager
    def staged(self, request: Request) -> Iterator[None]:
        path = self.worker.ledger.stage(request.nonce, request.header, request.body)
        yield
        self.worker.ledger.unstage(path)

    def record(self, request: Request) -> Record:
        """Record a request without committing it here."""
        claims, change = request.claims, self.worker.change_of(request)
        return self.worker.ledger.record(
            epoch=claims["epoch"],
            base=claims["base"],
            kind="push",
            nonce=request.nonce,
            header=request.header,
            body=request.body,
            tree_digest=change.digest,
            claims=claims,
            note="",
            now=int(time.time()),
        )


@dataclass
class Host:
    """One machine: a store, and workers that share it; with `shared`, one of several."""

    folder: Path
    shared: Shared | None = None
    keys: Keyring = field(default_factory=lambda: Keyring([KEY]))
    stranger: Key = field(default_factory=lambda: Key.parse(new_secret("k1")))
    members: list[Member] = field(default_factory=list)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))

    def config(self) -> Config:
        mapping = {
            "HABANERO_SECRET": SECRET,
            "HABANERO_APP_ID": APP,
            "HABANERO_STORE": str(self.folder / "store"),
        }
        return Config.read(mapping, {}, "shop", str(self.folder))

    def worker(
        self, base: Mapping[str, Source], fails: str = "", on_commit: Callable[[], object] = lambda: None
    ) -> Member:
        """Start a worker over the code that lies on its disk."""
        config, gate, program = (
            self.config(),
            Gate(),
            FakeProgram(dict(base), fails=fails, on_commit=on_commit),
        )
        ledger = Ledger(config.store, config.app_id, self.keys)
        if self.shared is not None:
            ledger = Mirror(config.store, config.app_id, self.keys, self.shared)
        one = Worker(program, gate, ledger, config, Announcer([program]))
        fleet = Fleet(one, config.store, self.keys)
        member = Member(program, gate, one, fleet, Deployer(one, fleet, config, AROUND))
        one.start(member)
        fleet.start()
        self.members.append(member)
        return member

    def workers(self, count: int, base: Mapping[str, Source]) -> list[Member]:
        return [self.worker(base) for _ in range(count)]

    def peer(self, member: Member) -> PeerOf:
        """Return a client whose requests reach this worker."""

        def send(headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            request = Request.verified(headers["Habanero"], body, self.keys)
            report: Report = member.deployer.receive(request)
            data = json.dumps(report.as_json()).encode()
            claims = {"v": 1, "rn": request.nonce, "st": status_of(report), "sha": sha256(data)}
            token = seal({**claims, "len": len(data), "t": int(time.time())}, KEY, RESPONSE)
            return status_of(report), {"Habanero": token}, data

        peer = PeerOf(KEY, send)
        peer.hello()
        return peer

    def in_thread(self, job: Callable[[], Any]) -> Future[Any]:
        return self.pool.submit(job)

    def close(self) -> None:
        self.pool.shutdown()
        for member in self.members:
            member.fleet.leave()
            member.fleet._post.close()  # its thread ends: hundreds of them would wake each second
            if member.fleet._relay is not None:
                member.fleet._relay.leave()


def mirror_of(host: Host) -> Mirror:
    """Return the ledger of a host that shares a store."""
    ledger = host.members[0].worker.ledger
    assert isinstance(ledger, Mirror)
    return ledger


def texts(*hosts: Host) -> set[str]:
    """Return what the workers of some hosts answer."""
    return {member.get() for one in hosts for member in one.members}
