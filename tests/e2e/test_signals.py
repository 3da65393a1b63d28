"""Signals in real workers."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import APP, TEXTS, Serve
from tests.hosts import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LISTENING = APP.replace(
    "hits = []\n",
    '''heard = []
hits = []


@flask_habanero.release_live.connect_via(app)
def note(sender, release, steps, **_):
    heard.append([release, list(steps)])
    raise ValueError("of the app")
''',
).replace(
    "from flask_habanero import Habanero\n",
    "import flask_habanero\nfrom flask_habanero import Habanero\n",
).replace('"hits": len(hits)', '"hits": len(hits), "heard": heard')  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_each_worker_is_told_and_a_receiver_that_raises_harms_nothing(
    serve: Serve, options: tuple[str, ...]
) -> None:
    server = serve("-w", "2", *options, files={"app": LISTENING, "texts": TEXTS})
    server.ask_all(2)
    peer = server.peer()
    text = server.source()
    for number, word in ((1, "two"), (2, "three")):
        report = peer.push({"app": text.replace('return "one"', f'return "{word}"')})
        assert (report.outcome, report.release) == ("live", number), report
    wanted = [[1, ["app.py: ~text"]], [2, ["app.py: ~text"]]]
    eventually(lambda: all(a["heard"] == wanted for a in server.ask_all(2).values()), 30)
    assert server.texts(2) == {"three"}
    assert "a receiver of release-live raised" in server.log.read_text()
