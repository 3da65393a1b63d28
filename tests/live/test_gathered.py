"""What an app's modules have gathered since the start, and a restart would lose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask_habanero.live import gathered

from tests.live.started import run

APP = """\
import collections
import functools
import os
from collections import deque
from flask import Flask, current_app, g

app = Flask(__name__)
settings = {'a': 1}
registry = {}
users = {"ann": 0}
count = 0
made = [int(n) for n in "123"]
since = collections.Counter()
names = collections.defaultdict(list)
line = deque()
request_of_now = g


def register(f):
    registry[f.__name__] = f
    return f


@register
def one():
    return 1


@functools.lru_cache
def squared(n):
    return n * n


class Cart:
    prices = {}
    label = "cart"

    def __init__(self):
        self.items, self.owner, self.total, self.more = [], "", 0, object()


class Angry(dict):
    def __len__(self):
        raise RuntimeError("asked")

    __iter__ = __len__

    def __eq__(self, other):
        raise RuntimeError("asked")


cart, other = Cart(), Cart()
angry = Angry()


class Line(deque):
    def __len__(self):
        raise RuntimeError("asked")


class Meta(type):
    def __new__(kind, name, bases, body):
        return super().__new__(kind, name, bases, {**body, "_kept": {}})


class Model(metaclass=Meta):
    cached = functools.lru_cache(lambda n: n)


ring, model = Line(), Model()
"""

CASES = {
    "settings['b'] = 2": "app.settings: dict of 2, 1 at the start",
    "users['ann'] += 1": "app.users: dict of 1, changed since the start",
    "registry['two'] = 2": "app.registry: dict of 2, 1 at the start",
    "made.append(4)": "app.made: list of 4, 3 at the start",
    "count += 1": "app.count: int, bound since the start",
    "added = []": "app.added: list, bound since the start",
    "since['a'] += 1": "app.since: Counter of 1, 0 at the start",
    "names['a'].append(1)": "app.names: defaultdict of 1, 0 at the start",
    "line.append(1)": "app.line: deque of 1, 0 at the start",
    "squared(2)": "app.squared: memo of 1, 0 at the start",
    "cart.items.append(1)": "app.cart: Cart, whose items changed since the start",
    "other.total = 2; other.x = 1": "app.other: Cart, whose total, x changed since the start",
    "Cart.prices['a'] = 1": "app.Cart: class Cart, whose prices changed since the start",
    "dict.update(angry, a=1)": "app.angry: Angry of 1, 0 at the start",
    "ring.append(1)": "app.ring: Line of 1, 0 at the start",
    "Model.cached(1)": "app.Model: class Model, whose cached changed since the start",
    "Model._kept['a'] = 1": "",
    "one = lambda: 2": "",
    "os.environ['A'] = 'b'": "",
    "globals().update({f'n{i:02}': i for i in range(30)})": "and 26 more",
}
SCRIPT = """
from flask_habanero.live import gathered
said = [gathered.told(running)]
for act in CASES:
    exec(act, vars(app))
    said.append(gathered.told(running))
print(json.dumps(said))
"""


@pytest.mark.slow
def test_what_requests_have_changed_is_told_by_name_and_size(tmp_path: Path) -> None:
    before, *said = json.loads(run(tmp_path, APP, f"CASES = {list(CASES)}\n{SCRIPT}"))
    assert before == []
    for told, expected in zip(said, CASES.values(), strict=True):
        new = [line for line in told if line not in before]
        assert (expected in new) if expected else not new, told
        before = told
    assert len(before) == gathered.MOST + 1


RELEASED = """
from flask_habanero.live import gathered
text = open("app.py").read()
text = text.replace("settings = {'a': 1}", "settings = {'a': 1, 'b': 2}")
text = text.replace('label = "cart"', 'label = "basket"')
plan = planned(text.replace("prices = {}", "prices = {1: 2}"))
assert not plan.reasons, plan.reasons
running.commit(plan)
before = gathered.told(running)
app.settings["c"] = 3
print(json.dumps([before, gathered.told(running)]))
"""


@pytest.mark.slow
def test_what_a_release_made_is_nothing_that_was_gathered(tmp_path: Path) -> None:
    before, after = json.loads(run(tmp_path, APP, RELEASED))
    assert (before, after) == ([], ["app.settings: dict of 3, changed since the start"])
