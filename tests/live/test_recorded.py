"""Functions that blueprints keep until they are registered: plans that count on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.started import run

pytestmark = pytest.mark.slow

APP = """\
from flask import Blueprint, Flask
from flask.views import MethodView
from tests.exempting import Api

pages = Blueprint("pages", __name__)
api = Api(pages)

class One(MethodView):
    def get(self): return "one"

api.add_resource(One, "/one")

app = Flask(__name__)
app.register_blueprint(pages)
"""
SCRIPT = """\
client = app.app.test_client()
text, cold = running.tree["app"].text, sys.stdin.read()
more = text.replace('"/one")', '"/one", "/first")')
found = {"before": client.get("/first").status_code}
first, other = planned(more), planned(text.replace("Flask(__name__)", "Flask(__name__, static_folder=None)"))
found["refused"] = [bool(first.reasons), bool(other.reasons)]
undo = running.commit(first)
found["after"] = client.get("/first").text
undo()
found["back"] = client.get("/first").status_code
print(json.dumps(found))
"""


def test_a_plan_that_is_refused_takes_nothing_from_one_that_was_made_before(tmp_path: Path) -> None:
    """Two people look at the same time: what the second one is told changes nothing for the first."""
    found = json.loads(run(tmp_path, APP, SCRIPT))
    assert found == {"before": 404, "refused": [False, True], "after": "one", "back": 404}
