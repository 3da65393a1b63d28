"""The Flask skin: ``Habanero(app)``.

Nothing happens before the first request: no thread, no file, no socket. What belongs to one process
is made there and keyed on its process id, so that a server may load the app and fork afterwards.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

import click
from flask import Blueprint, Flask, Response, request

from .config import Config
from .deploy import Deployer
from .endpoint import BELIEVED, Endpoint
from .envelope import RESPONSE, Key, Keyring, seal, sha256
from .errors import ConfigError, Reason, StoreError
from .fleet import Fleet
from .gate import Gate
from .ledger import Ledger
from .live import startup
from .live.program import Program, attach
from .manager import Manager
from .mirror import Mirror
from .release import Report
from .signals import Announcer
from .surroundings import Surroundings
from .worker import Worker

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .change import Request

NAME = "habanero"  # in app.extensions
CONTROL = "/"  # where the control app has its one route; the endpoint's real path is the app's business
STATUS = {"live": 200, "unchanged": 200, "unknown": 200, "conflict": 409, "diverged": 503}
STATUS_OF_REASON = {"too-large": 413, "in-progress": 423, "store": 503}
STORE_AGAIN_S = 1.0  # a store that is down is asked once a second, not at each request
log = logging.getLogger("flask_habanero")


class Habanero:
    """Lets saved code go live in a running app.

    ``Habanero(app)``, or ``Habanero().init_app(app)`` in a factory. Configuration: see
    docs/configuration.md. Without ``HABANERO_SECRET`` it does nothing at all.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Stand in front of an app.

        Raises:
            ConfigError: a key is wrong, or another app of this process was told otherwise.
            RuntimeError: it was done before for this app.
        """
        if NAME in app.extensions:
            advice = "use Habanero(app) or Habanero().init_app(app), and only once"
            raise RuntimeError(f"Habanero was already initialised for {app.name!r}: {advice}")
        skin = Skin(app, app.wsgi_app)
        app.extensions[NAME] = skin
        skin.configure()
        app.wsgi_app = skin  # type: ignore[method-assign]  # as Flask's documentation says


@dataclass
class Host:
    """What belongs to one process that serves: its worker, its place in the fleet, its deployer."""

    pid: int
    worker: Worker
    fleet: Fleet
    deployer: Deployer


@dataclass
class Runtime:
    """What the apps of one process share."""

    config: Config
    keys: Keyring
    program: Program
    around: Surroundings
    apps: WeakSet[Flask] = field(default_factory=WeakSet)
    gate: Gate = field(default_factory=Gate)
    _host: Host | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    _again_at: float = 0.0

    def before(self) -> None:
        """Come to head before a request is let in. Raises Unavailable: this worker serves no more."""
        host = self._host
        if host is None or host.pid != os.getpid():
            host = self._try_to_start()
        if host is not None:
            host.worker.before()

    def _try_to_start(self) -> Host | None:
        """The store may be down: the app serves on with the code it has."""
        if time.monotonic() < self._again_at:
            return None
        try:
            return self.here()
        except StoreError as error:
            log.error("serving without the ledger: %s", error)
        except Exception:
            log.exception("a fault in flask-habanero; serving without it")
        self._again_at = time.monotonic() + STORE_AGAIN_S
        return None

    def here(self) -> Host:
        """Return what belongs to this process, at head. Raises StoreError."""
        with self.lock:
            if self._host is None or self._host.pid != os.getpid():
                self._host = self._start()
            return self._host

    @property
    def serves(self) -> bool:
        """Whether this process has served a request."""
        return self._host is not None and self._host.pid == os.getpid()

    def _start(self) -> Host:
        ledger = ledger_of(self.config, self.keys)
        worker = Worker(self.program, self.gate, ledger, self.config, Announcer(self.apps))
        worker.start(Manager())
        fleet = Fleet(worker, self.config.store, self.keys)
        deployer = Deployer(worker, fleet, self.config, self.around, self.apps)
        fleet.tick = deployer.tick
        fleet.start()
        return Host(os.getpid(), worker, fleet, deployer)

    def receive(self, believed: Request) -> Report:
        """Return what became of a believed request. Never raises: the sender must get a signed answer."""
        try:
            return self.here().deployer.receive(believed)
        except StoreError as error:
            return Report(error.outcome, reasons=error.reasons)
        except Exception as error:  # a fault of ours; what it left is asked for by nonce
            log.exception("a fault in flask-habanero")
            reason = Reason("fault", place_of(error), repr(error)[:500], "see the server's log")
            return Report("unknown", reasons=(reason,))


def place_of(error: Exception) -> str:
    """Return our line (``module:line``) that a fault came out of: an app may silence our logger."""
    lines = [f"{f.f_globals.get('__name__')}:{line}" for f, line in traceback.walk_tb(error.__traceback__)]
    own = [line for line in lines if line.startswith(f"{__package__}.")]
    return own[-1] if own else ""


def ledger_of(config: Config, keys: Keyring) -> Ledger:
    """Return this process's ledger: one that mirrors a shared one, if several hosts share one."""
    if config.shared is None:
        return Ledger(config.store, config.app_id, keys)
    from .redisstore import RedisStore  # only where there is one: it needs redis

    shared = RedisStore(config.shared, config.app_id)
    return Mirror(config.store, config.app_id, keys, shared)


_shared: list[Runtime] = []  # none, or the one of this process
_apart: list[bool] = []  # not empty: no app of this process takes part


def stay_apart() -> None:
    """Let no app of this process act, now or later: it boots for a rehearsal, and joins no fleet."""
    _apart.append(True)


def is_apart() -> bool:
    """Whether that was said."""
    return bool(_apart)


def _runtime_for(app: Flask, config: Config, keys: Keyring) -> Runtime:
    """Return this process's runtime, which its apps share.

    Raises:
        ConfigError: the apps were told different things.
    """
    program = attach(app, config.modules)
    if not _shared:
        _shared.append(Runtime(config, keys, program, Surroundings.of(app.config, os.environ)))
    runtime = _shared[0]
    runtime.apps.add(app)
    if not _equal(runtime.keys, keys):
        why = "two apps in one process have different secrets, and they share their modules"
        raise ConfigError("HABANERO_SECRET", why, "give both the same, or run each in a process of its own")
    if (runtime.config.store, runtime.config.shared) != (config.store, config.shared):
        why = f"two apps in one process, with ledgers in {runtime.config.store} and {config.store}"
        raise ConfigError("HABANERO_STORE", why, f"HABANERO_STORE={runtime.config.store} for both")
    return runtime


def _equal(a: Keyring, b: Keyring) -> bool:
    return a.kids == b.kids and all(a.get(kid) == b.get(kid) for kid in a.kids)


class Skin:
    """The WSGI callable in an app's place. Decides at the first request whether it acts at all."""

    def __init__(self, app: Flask, inner: WSGIApplication) -> None:
        self._app, self._inner = app, inner
        self._serve: WSGIApplication = self._first
        self.runtime: Runtime | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        return self._serve(environ, start_response)

    def configure(self) -> Config:
        """Read the configuration; with a secret, find the runtime. Raises ConfigError."""
        app = self._app
        config = Config.read(app.config, os.environ, app.import_name, app.instance_path)
        if config.keys is not None and self.runtime is None:
            self.runtime = _runtime_for(app, config, config.keys)
        return config

    def _first(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _in_a_command():  # of which a later request may not be part
            startup.stop()  # also when we stay inert: watching what starts costs time at each call
            self._serve = self._decided()
            return self._serve(environ, start_response)
        return self._inner(environ, start_response)

    def _decided(self) -> WSGIApplication:
        """Return the app as it is, or with us in front: what was set since `init_app` counts."""
        config = self.configure()
        runtime = self.runtime
        if config.keys is None or runtime is None or self._app.testing or is_apart():
            return self._inner
        gated = runtime.gate.wrap(self._inner, runtime.before)
        app_id = runtime.config.app_id  # of the app that came first: one process, one audience
        doors = config.keys.and_(config.readers)
        return Endpoint(gated, make_control(runtime, doors).wsgi_app, config, app_id, doors)


def _in_a_command() -> bool:
    """Whether this runs inside a one-shot command of the ``flask`` command line, as opposed to a server."""
    context = click.get_current_context(silent=True)
    root = context and context.find_root()
    return bool(root and root.info_name == "flask" and root.invoked_subcommand != "run")


def make_control(runtime: Runtime, keys: Keyring) -> Flask:
    """Return the small app that answers believed requests, apart from all that the user's app does."""
    control = Flask(__name__, static_folder=None, template_folder=None)
    blueprint = Blueprint(NAME, __name__)

    @blueprint.post(CONTROL)
    def answer() -> Response:
        believed: Request = request.environ[BELIEVED]
        key = keys.get(believed.kid)
        assert key is not None  # it has just unsealed the request
        return signed(runtime.receive(believed), believed, key)

    control.register_blueprint(blueprint)
    return control


def signed(report: Report, believed: Request, key: Key) -> Response:
    """Return the answer that only this request's sender believes."""
    body = json.dumps(report.as_json(), separators=(",", ":"), ensure_ascii=True).encode()
    status = status_of(report)
    about = {"sha": sha256(body), "len": len(body), "t": int(time.time())}
    token = seal({"v": 1, "rn": believed.nonce, "st": status, **about}, key, RESPONSE)
    headers = {"Habanero": token, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, status, headers, mimetype="application/json")


def status_of(report: Report) -> int:
    """Return the HTTP status that fits a report, for logs and proxies: clients believe the body."""
    for reason in report.reasons:
        if report.outcome in ("refused", "failed") and reason.code in STATUS_OF_REASON:
            return STATUS_OF_REASON[reason.code]
    return STATUS.get(report.outcome, 422)
