"""Whether anybody asked for a member: what plans themselves hold is no answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.started import run

APP = """\
from flask import Flask
from peewee import CharField, Model, SqliteDatabase

database = SqliteDatabase(None)


class Item(Model):
    name = CharField()

    class Meta:
        database = database

    def get_label(self):
        return self.name

    label = property(get_label)


def set_up():
    database.init("file:shop?mode=memory&cache=shared", uri=True)
    with database:
        database.create_tables([Item])


app = Flask(__name__)
set_up()
HELD = []
"""
SCRIPT = """
text = running.tree["app"].text
changed = text.replace("get_label(self)", "get_label(self, more=1)")
assert changed != text
plans = [planned(changed) for _ in range(3)]
print([len(plan.reasons) for plan in plans])
app.HELD.append([app.Item.get_label])
print(len(planned(changed).reasons))
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="who asked for what is recorded from 3.12 on")
def test_a_plan_that_was_made_before_is_nobody_who_holds_a_member(tmp_path: Path) -> None:
    first, then = run(tmp_path, APP, SCRIPT).splitlines()
    assert first == "[0, 0, 0]"
    assert then == "1"


# What a plan has made of the start and keeps for the next, by chance of the memory's layout or on purpose
OURS = """
from flask_habanero.live.judge.values import Live
text = running.tree["app"].text
kept = Live(app.Item.get_label)
print(len(planned(text.replace("get_label(self)", "get_label(self, more=1)")).reasons), kept.object.__name__)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="who asked for what is recorded from 3.12 on")
def test_what_the_engine_itself_holds_is_nobody_who_asked(tmp_path: Path) -> None:
    assert run(tmp_path, APP, OURS).splitlines() == ["0 get_label"]
