"""From where the endpoint may be reached: for everybody else it is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from flask_habanero.addresses import Addresses
from flask_habanero.config import Config
from flask_habanero.errors import ConfigError
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from tests import test_server
from tests.hosts import KEY, SECRET
from tests.peer import Peer, Send
from tests.test_server import Make

make, program = test_server.make, test_server.program  # the fixtures


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("127.0.0.1", True),
        ("fd00::7", True),
        ("11.0.0.1", False),
        ("127.0.0.2", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("unix:", False),
        ("10.0.0.0/8", False),
    ],
)
def test_which_addresses_lie_in_it(address: str, allowed: bool) -> None:
    assert Addresses.of(["10.0.0.0/8", " 127.0.0.1", "fd00::/8"]).has(address) is allowed


def through(app: Any, **environ: str) -> Send:
    def send(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = Client(app).post("/_habanero", headers=dict(headers), data=body, environ_overrides=environ)
        return answer.status_code, answer.headers, answer.data

    return send


def peer(app: Any, **environ: str) -> Peer:
    return Peer(KEY, through(app, **environ))


@pytest.mark.parametrize("allow", ["10.0.0.0/8,127.0.0.1", ["10.0.0.0/8", "127.0.0.1"]])
def test_from_elsewhere_a_good_signature_is_a_strangers(make: Make, allow: object) -> None:
    app = make(HABANERO_ALLOW=allow)
    assert peer(app, REMOTE_ADDR="10.0.0.7").hello().outcome == "live"
    sent: list[tuple[dict[str, str], bytes]] = []

    def keep(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        sent.append((dict(headers), body))
        return through(app, REMOTE_ADDR="10.0.0.7")(headers, body)

    Peer(KEY, keep).hello()
    ((headers, body),) = sent
    far = through(app, REMOTE_ADDR="192.0.2.1")
    status, told, text = far(headers, body)
    unknown = Client(app).post("/nowhere", data=body, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert (status, text) == (404, unknown.data)
    assert "Habanero" not in told


def test_behind_a_proxy_it_is_the_address_that_the_proxy_says(make: Make) -> None:
    app = make(HABANERO_ALLOW="10.0.0.0/8")
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]  # as Werkzeug's documentation says
    assert peer(app, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="10.0.0.7").hello().outcome == "live"
    status, _, _ = through(app, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.1")({}, b"")
    assert status == 404


@pytest.mark.parametrize("allow", ["10.0.0.0/33", "10.0.0.1/8", "office", "", "10.0.0.0/8,", 7, [7.5], []])
def test_what_is_no_network_is_said(allow: object) -> None:
    given = {"HABANERO_SECRET": SECRET, "HABANERO_ALLOW": allow}
    with pytest.raises(ConfigError, match="HABANERO_ALLOW"):
        Config.read(given, {}, "shop", "/srv")
