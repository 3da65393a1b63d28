"""Mapped classes take columns, relationships and other classes in while they serve; queries see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.started import run

pytest.importorskip("flask_sqlalchemy", reason="Flask-SQLAlchemy is not installed")
pytestmark = pytest.mark.slow

APP = """\
import os
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, ForeignKey, Integer, String, event, select, text
from sqlalchemy.orm import Mapper, backref, mapped_column, relationship, validates
{head}
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.path.abspath("shop.db")
db = SQLAlchemy(app)
class User(db.Model):
    {first}
    id = Column(Integer, primary_key=True)
    name = Column(String(20))
    {old}
class Post(db.Model):
    id = Column(Integer, primary_key=True)
    author_id = Column(ForeignKey("user.id"))
    author = db.relationship(User)
    {post}
{after}
"""
SCRIPT = """
with app.app.app_context():
    app.db.create_all()
    app.db.session.add(app.Post(author=app.User(name="ann")))
    app.db.session.commit()
    def all_users():  # compiled once, and kept by the engine
        app.db.session.expire_all()
        return str(app.db.session.execute(app.select(app.User)).scalars().all()[0].__dict__.keys())
    all_users()
plan = planned(sys.stdin.read())
result = {"codes": [reason.code for reason in plan.reasons], "words": [str(step) for step in plan.steps]}
result["why"] = [reason.what for reason in plan.reasons]
if not plan.reasons:
    try:
        running.commit(plan)
    except Exception as error:
        result["failed"] = str(error)
    with app.app.app_context():
        for statement in %r:
            app.db.session.execute(app.text(statement))
        result["users"] = all_users()
        result["columns"] = [column.name for column in app.User.__table__.columns]
        result["attributes"] = [one.key for one in app.User.__mapper__.attrs]
        result["posts"] = [post.author.name for post in app.Post.query]
        if "check" in vars(app):
            result["check"] = app.check()
print(json.dumps(result))
"""


def edit(tmp_path: Path, *migration: str, before: dict[str, str] | None = None, **parts: str) -> Any:
    """Start an app, use it, release an edit, migrate the database; return what became of it."""
    usual = {"head": "", "first": "'''A user.'''", "old": "pass", "post": "pass", "after": ""} | (
        before or {}
    )
    old, new = (APP.format(**usual | more) for more in ({}, parts))
    return json.loads(run(tmp_path, old, SCRIPT % (migration,), new))


ADD_NICK = "alter table user add nick varchar"


def test_queries_that_were_compiled_before_see_a_new_column(tmp_path):
    found = edit(tmp_path, ADD_NICK, old="nick = Column(String(10))")
    assert "'nick'" in found["users"], found
    assert found["posts"] == ["ann"]
    assert "needs a migration" in found["words"][0]


PLAIN = """\
import os
from flask import Flask
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
app = Flask(__name__)
engine = create_engine("sqlite:///" + os.path.abspath("plain.db"))
Local = sessionmaker(engine)
class Base(DeclarativeBase):
    pass
class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    {more}
"""
PLAIN_SCRIPT = """
import gc
app.Base.metadata.create_all(app.engine)
with app.Local.begin() as session:
    session.add(app.User(name="ann"))
def user():
    with app.Local() as session:
        return sorted(vars(session.scalars(app.select(app.User)).first()))
user()
gc.freeze()  # as a server with --preload does: the collector passes the engine over from now on
running.commit(planned(sys.stdin.read()))
with app.engine.begin() as connection:
    connection.execute(app.text("alter table user add nick varchar"))
print(user())
"""


def test_engines_are_found_without_flask_sqlalchemy_and_when_they_are_frozen(tmp_path):
    new = PLAIN.format(more="nick: Mapped[str | None]")
    assert "'nick'" in run(tmp_path, PLAIN.format(more="pass"), PLAIN_SCRIPT, new)


def test_a_new_column_stands_where_the_source_has_it(tmp_path):
    found = edit(tmp_path, ADD_NICK, first="nick = Column(String(10), index=True)")
    assert found["columns"] == found["attributes"] == ["nick", "id", "name"]


def test_a_new_relationship_works_both_ways_and_may_lead_to_a_new_class(tmp_path):
    found = edit(
        tmp_path,
        "create table tag (id integer primary key, user_id integer, name varchar)",
        "insert into tag values (1, 1, 'red')",
        old="tags = relationship('Tag', backref=backref('owner', lazy='joined'))",
        after="""\
class Tag(db.Model):
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("user.id"))
    name = Column(String(10))
def check():
    return [User.query.one().tags[0].name, Tag.query.one().owner.name]""",
    )
    assert found["check"] == ["red", "ann"], found
    assert found["attributes"] == ["tags", "id", "name"]


def test_a_relationship_that_leads_nowhere_fails_the_release_and_not_each_query_from_then_on(tmp_path):
    found = edit(tmp_path, old="tags = relationship('Tga')")
    assert "Tga" in found["failed"]
    assert found["posts"] == ["ann"]
    assert found["attributes"] == ["id", "name"]


def test_what_was_made_of_all_columns_is_made_again(tmp_path):
    names = "NAMES = [column.name for column in User.__table__.columns]\ndef check(): return NAMES"
    found = edit(tmp_path, ADD_NICK, old="nick = Column(String(10))", before={"after": names}, after=names)
    assert found["check"] == ["id", "name", "nick"]


@pytest.mark.parametrize("how", ["with app.app_context():", "def setup():\n  with app.app_context():"])
def test_a_new_table_is_made_where_the_start_makes_tables(tmp_path, how):
    made = f"{how}\n    db.create_all()\n" + ("setup()\n" if "def" in how else "")
    tag = "class Tag(db.Model):\n    id = Column(Integer, primary_key=True)\n"
    tag += "def check(): return Tag.query.count()"
    assert edit(tmp_path, before={"after": made}, after=made + tag)["check"] == 0


def test_what_the_start_put_into_the_database_needs_no_second_time(tmp_path):
    seed = """\
def seed():
    with app.app_context():
        db.create_all()
        if not User.query.filter(User.name == "root").first():
            db.session.add(User(name="root"))
            db.session.commit()
        assert isinstance(db.session.get(User, 1), User)
seed()"""
    found = edit(tmp_path, ADD_NICK, before={"after": seed}, old="nick = Column(String(10))", after=seed)
    assert found["codes"] == []
    assert "'nick'" in found["users"]


def test_constants_and_methods_need_no_migration(tmp_path):
    found = edit(tmp_path, old="KINDS = ('a', 'b')\n    def shout(self): return self.name.upper()")
    assert found["codes"] == []
    assert "migration" not in found["words"][0]


SEVERAL = """
def go(text):
    plan = planned(text)
    if not plan.reasons:
        running.commit(plan)
    return [reason.code for reason in plan.reasons]
with app.app.app_context():
    app.db.create_all()
    sent = iter(json.loads(sys.stdin.read()))
    codes = [go(next(sent))]
    {between}
    codes += [go(text) for text in sent]
    app.db.session.add(app.User(name="ann"))
    app.db.session.commit()
    app.User.query.all()
    print(json.dumps([codes, [one.key for one in app.User.__mapper__.attrs], getattr(app, "check", str)()]))
"""


def releases(tmp_path: Path, *edits: dict[str, str], between: str = "pass") -> Any:
    """Start an app as the first edit says, take the others as releases, use it; return what became of it."""
    usual = {"head": "", "first": "'''A user.'''", "old": "pass", "post": "pass", "after": ""}
    first, *others = (APP.format(**usual | parts) for parts in edits)
    return json.loads(run(tmp_path, first, SEVERAL.format(between=between), json.dumps(others)))


def test_what_a_release_brought_can_be_rolled_back(tmp_path):
    grown = {"old": "nick = Column(String(10))\n    posts = relationship('Post', overlaps='author')"}
    codes, attributes, _ = releases(tmp_path, {}, grown, {}, grown, {})
    assert codes == [[], [], [], []]
    assert attributes == ["id", "name"]


def test_several_releases_can_be_rolled_back_at_once_from_the_last_backwards(tmp_path):
    one, two = {"first": "a = Column(Integer)"}, {"first": "a = Column(Integer)\n    b = Column(Integer)"}
    assert releases(tmp_path, {}, one, two, {})[:2] == [[[], [], []], ["id", "name"]]
    only_b = {"first": "b = Column(Integer)"}
    migrate = "app.db.session.execute(app.text('alter table user add a integer'));"
    migrate += "app.db.session.execute(app.text('alter table user add b integer'))"
    assert releases(tmp_path, {}, one, two, only_b, between=migrate)[0] == [[], [], ["class-builder"]]


def test_a_rollback_of_a_column_leaves_methods_that_changed_since(tmp_path):
    after, column = {"after": "def check(): return User().says()"}, "nick = Column(String(10))\n    "
    old, new = "def says(self): return 'old'", "def says(self): return 'new'\n    def more(self): pass"
    texts = [{"old": text, **after} for text in (old, column + old, column + new, new)]
    codes, _, said = releases(tmp_path, *texts)
    assert (codes, said) == ([[], [], []], "new")


@pytest.mark.parametrize("kept", ["pass", "app.KEPT.append(app.Tag())"])
def test_a_new_class_goes_again_unless_something_of_the_app_holds_one(tmp_path, kept):
    key, to_user = "id = Column(Integer, primary_key=True)", "user_id = Column(ForeignKey('user.id'))"
    tag = f"class Tag(db.Model):\n    {key}\n    {to_user}"
    more = {"old": "tags = relationship('Tag', backref='owner')", "after": f"KEPT = []\n{tag}"}
    found = releases(tmp_path, {"after": "KEPT = []"}, more, {"after": "KEPT = []"}, between=kept)
    assert found[0] == [[], [] if kept == "pass" else ["held"]]


def test_what_somebody_else_mapped_since_is_not_forgotten_with_it(tmp_path):
    other = "class Other(app.db.Model): id = app.Column(app.Integer, primary_key=True)"
    migrate = "app.db.session.execute(app.text('alter table user add nick varchar'))"
    more = {"old": "nick = Column(String(10))"}
    found = releases(tmp_path, {}, more, {}, between=f"{migrate}\n    {other}")
    assert found[0] == [[], ["class-builder"]]


READS = """\
def read(): open('names', 'w').write(str([column.name for column in User.__table__.columns]))
read()"""
LISTENS = """\
@event.listens_for(Mapper, "mapper_configured")
def listens(mapper, cls):
    pass
"""
# as SQLAlchemy-Continuum does, which makes tables of its own of those that are mapped
LISTENS_BY_METHOD = """\
class Manager:
    def configured(self):
        pass
event.listen(Mapper, "after_configured", Manager().configured)
"""
LISTENS_BY_PARTIAL = """\
import functools
def configured(manager):
    pass
event.listen(Mapper, "after_configured", functools.partial(configured, None))
"""
LISTENS_TO = """\
@event.listens_for({target}, "mapper_configured", propagate=True)
def listens(mapper, cls):
    pass
"""
ALL_GONE = "with app.app_context():\n    db.drop_all()\n    db.create_all()"
BY_HAND = "with app.app_context():\n    db.metadata.create_all(db.engine)"
TABLE = "tags = db.Table('tags', Column('id', Integer))"


def test_a_default_that_changes_goes_into_the_rows_from_then_on_and_back(tmp_path):
    texts = [
        {"first": f"kind = Column(String(10), default=lambda: '{kind}')"} for kind in ("old", "new", "old")
    ]
    use = "app.db.session.add(app.User(name='ben')); app.db.session.commit()"
    check = {"after": "def check(): return [user.kind for user in User.query]"}
    found = releases(tmp_path, *(text | check for text in texts), between=use)
    assert found == [[[], []], ["kind", "id", "name"], ["new", "old"]]


REFUSED: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "a column of another name": ("class-builder", {}, {"old": "nick = Column('nickname', String(10))"}),
    "a part of the key": ("class-builder", {}, {"old": "nick = Column(String(10), primary_key=True)"}),
    "a column that goes": ("class-builder", {"old": "nick = Column(String(10))"}, {"old": "pass"}),
    "a column that changes": (
        "class-builder",
        {"old": "nick = Column(String(10))"},
        {"old": "nick = Column(String(20))"},
    ),
    "a constant that becomes a column": (
        "class-builder",
        {"old": "nick = 1"},
        {"old": "nick = Column(Integer)"},
    ),
    "a name that SQLAlchemy has itself": ("class-builder", {}, {"old": "metadata = Column(Integer)"}),
    "what a mapper asks for": (
        "class-builder",
        {},
        {"old": "@validates('name')\n    def f(self, k, v): return v"},
    ),
    "a class that others derive from": (
        "class-builder",
        {"after": "class Admin(User):\n    pass"},
        {"old": "nick = Column(Integer)"},
    ),
    "somebody listens to mappers": ("class-builder", {"after": LISTENS}, {"old": "nick = Column(Integer)"}),
    **{
        f"somebody listens to {name}": (
            "class-builder",
            {"after": LISTENS_TO.format(target=name)},
            {"old": "nick = Column(Integer)", "after": LISTENS_TO.format(target=name)},
        )
        for name in ("User", "db.Model")
    },
    "somebody listens to the end of all": (
        "class-builder",
        {"after": LISTENS.replace("mapper_configured", "after_configured").replace("mapper, cls", "")},
        {
            "old": "nick = Column(Integer)",
            "after": LISTENS.replace("mapper_configured", "after_configured").replace("mapper, cls", ""),
        },
    ),
    "a method of an object listens": (
        "class-builder",
        {"after": LISTENS_BY_METHOD},
        {"old": "nick = Column(Integer)", "after": LISTENS_BY_METHOD},
    ),
    "a partial listens": (
        "class-builder",
        {"after": LISTENS_BY_PARTIAL},
        {"old": "nick = Column(Integer)", "after": LISTENS_BY_PARTIAL},
    ),
    "somebody listens, a new class": (
        "effect",
        {"after": LISTENS},
        {"after": f"{LISTENS}class Tag(db.Model):\n    id = Column(Integer, primary_key=True)"},
    ),
    "tables that the start makes anew": (
        "stale",
        {"after": ALL_GONE},
        {"after": f"{ALL_GONE}\n{TABLE}"},
    ),
    "tables that the start makes by itself": (
        "stale",
        {"after": BY_HAND},
        {"after": f"{BY_HAND}\n{TABLE}"},
    ),
    "a function of the start that reads all columns": (
        "stale",
        {"after": READS},
        {"old": "nick = Column(Integer)", "after": READS},
    ),
    "a class that reads all columns": (
        "stale-class",
        {"post": "names = [column.name for column in User.__table__.columns]"},
        {"old": "nick = Column(Integer)"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(tmp_path, name):
    code, before, after = REFUSED[name]
    found = edit(tmp_path, before=before, **after)
    assert code in found["codes"]
    is_heard = code == "class-builder" and "listen" in name
    assert any("somebody listens to what SQLAlchemy maps" in one for one in found["why"]) == is_heard
