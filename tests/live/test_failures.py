"""A release that raises on its way leaves nothing behind, wherever it raises."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from tests.oracle.process import differences
from tests.properties.processes import (
    Farm,
    Sources,
    folder,
    forked,
    hot_imports,
    look,
    release,
    start,
    warm,
    write,
)

pytestmark = pytest.mark.slow  # each release starts processes, for each step

OLD: Sources = {
    "shop/__init__.py": "",
    "shop/rates.py": """LIMIT = 1
TABLE = {"a": LIMIT}
HINT: int = 1

def rate(x=LIMIT, *, more: int = 1):
    "Says one."
    return x + more

class Base:
    size = LIMIT
    def run(self):
        return 1
    def gone(self):
        return 1

class Sub(Base):
    def run(self):
        return super().run() + 1
""",
    "shop/old.py": "NAME = 'old'\n",
    "shop/app.py": """import functools
from flask import Flask, render_template_string
from . import old
from .rates import LIMIT, Sub, TABLE, rate

app = Flask(__name__)

def shown(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return f"<{fn(*args)}>"
    return wrapper

@functools.lru_cache
def memo():
    return rate()

@app.before_request
def before():
    pass

@app.template_filter("tag")
def tag(x):
    return f"[{x}]"

@app.route("/")
@shown
def index():
    return render_template_string("{{ x|tag }}", x=memo() + Sub().run())

@app.route("/old")
def gone():
    return "gone"

PLUGINS = {}
ORDER = []

def plugin(fn):
    PLUGINS[fn.__name__] = fn
    ORDER.append(fn)
    return fn

@plugin
def one():
    return 1

@plugin
def two():
    return 2

@plugin
def three():
    return 3

app.config["LEVEL"] = 1
app.jinja_env.globals["level"] = 1

def set_up(target):
    suffix = "old"
    @target.context_processor
    def words():
        return {"suffix": suffix}
    target.config["SUFFIX"] = suffix

set_up(app)

FIRST = LIMIT + 1
SECOND = FIRST + 1
""",
}

NEW: Sources = {
    "shop/__init__.py": "",
    "shop/rates.py": """\"\"\"Rates.\"\"\"
LIMIT = 2
TABLE = {"a": LIMIT}
ADDED: int = 1

def rate(x=LIMIT, *, more: str = 2):
    "Says two."
    return x + more + ADDED

class Base:
    size = LIMIT
    kind = "b"
    def run(self):
        return 2
    def added(self):
        return super().__repr__()

class Sub(Base):
    def run(self):
        return super().run() + 2
""",
    "shop/new.py": "from .rates import LIMIT\nNAME = f'new{LIMIT}'\n",
    "shop/app.py": """import functools
from flask import Flask, render_template_string
from . import new
from .rates import LIMIT, Sub, TABLE, rate

app = Flask(__name__)

def shown(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return f"<<{fn(*args)}>>"
    return wrapper

@functools.lru_cache
def memo():
    return rate() + 1

@app.before_request
def first():
    pass

@app.before_request
def before():
    pass

@app.template_filter("mark")
def mark(x):
    return f"({x})"

@app.route("/", methods=["GET", "POST"])
@shown
def index():
    return render_template_string("{{ x|mark }}", x=memo() + Sub().run())

@app.route("/new")
def fresh():
    return new.NAME

PLUGINS = {}
ORDER = []

def plugin(fn):
    PLUGINS[fn.__name__] = fn
    ORDER.append(fn)
    return fn

@plugin
def two():
    return 2

@plugin
def four():
    return 4

@plugin
def three():
    return 3

app.config["LEVEL"] = 2
app.jinja_env.globals["level"] = 2

def set_up(target):
    suffix = "new"
    target.config["MORE"] = suffix
    @target.context_processor
    def words():
        return {"suffix": suffix}
    target.config["SUFFIX"] = suffix

set_up(app)

FIRST = LIMIT + 1
SECOND = FIRST + 2
""",
}


MODELS: Sources = {
    "shop/__init__.py": "",
    "shop/models.py": """from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, ForeignKey, Integer, String, Table
from sqlalchemy.orm import Mapped, mapped_column

db = SQLAlchemy()

class User(db.Model):
    id = Column(Integer, primary_key=True)
    name = Column(String(20))

class Post(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id = Column(ForeignKey("user.id"))
    author = db.relationship("User", backref="posts")
""",
    "shop/app.py": """from flask import Flask
from .models import Post, User, db

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
db.init_app(app)

@app.route("/")
def index():
    db.create_all()  # not at the start: a request's own
    db.session.add(Post(author=User(name="a")))
    return f"{[post.author.name for post in Post.query]} {len(db.metadata.tables)}"
""",
}
MORE_MODELS: Sources = {
    **MODELS,
    "shop/models.py": """from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, ForeignKey, Integer, String, Table
from sqlalchemy.orm import Mapped, mapped_column

db = SQLAlchemy()

keys = Column("user_id", ForeignKey("user.id")), Column("post_id", ForeignKey("post.id"))
likes = Table("likes", db.metadata, *keys)

class User(db.Model):
    id = Column(Integer, primary_key=True)
    email = Column(String(20), unique=True, index=True)
    name = Column(String(20))
    liked = db.relationship("Post", secondary=likes, back_populates="likers")
    KIND = "user"

class Post(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None]
    author_id = Column(ForeignKey("user.id"))
    author = db.relationship("User", backref="posts")
    likers: Mapped[list["User"]] = db.relationship(secondary=likes, back_populates="liked")
    tags = db.relationship("Tag", back_populates="post")

class Tag(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id = Column(ForeignKey("post.id"))
    post = db.relationship("Post", back_populates="tags")
    owner_id = Column(ForeignKey("user.id"))
    owner = db.relationship("User", backref="tags")
""",
}
EDITS = {"all kinds": (OLD, NEW), "models": (MODELS, MORE_MODELS)}


class BoomError(Exception):
    """Raised by the test inside a commit."""


def _raise_at(wanted: int) -> list[int]:
    """Let the step number `wanted` raise before it does anything; return where the count is kept."""
    from flask_habanero.live import steps

    count = [0]

    def counted(apply: Any) -> Any:
        def wrapper(self: Any) -> Any:
            count[0] += 1
            if count[0] == wanted:
                raise BoomError(type(self).__name__)
            return apply(self)

        return wrapper

    for _, cls in inspect.getmembers(steps, inspect.isclass):
        if cls.__module__.startswith(steps.__name__) and "apply" in vars(cls):
            cls.apply = counted(cls.apply)
    return count


Attempt = tuple[str, str, int, dict[str, str]]
"""Outcome, text, number of steps that were begun, fingerprint."""


def _attempt(app: Any, root: str, running: Any, target: Sources, step: int) -> Attempt:
    count = _raise_at(step)
    done = release(running, target)
    return done.outcome, done.text, count[0], look(app, {"shop"}, root)


def _try_all(old: Sources, target: Sources) -> tuple[dict[str, str], list[Attempt]]:
    """Start, then take the release in one fork for each step that could raise; the first without."""
    from flask_habanero.live import program, startup

    with folder() as root:
        write(root, old)
        app = start(root, "shop.app:app")
        running = program.attach(app)
        startup.stop()
        warm(app)
        before = forked(look, app, {"shop"}, root)[1]
        ok, first = forked(_attempt, app, root, running, target, 0)
        assert ok, first
        results = [first]
        for step in range(1, first[2] + 1):
            ok, one = forked(_attempt, app, root, running, target, step)
            assert ok, one
            results.append(one)
        return before, results


def _raising(new: Sources, path: str, line: int) -> Sources | None:
    """Return the new sources with a statement that raises before a line, if a statement may stand there."""
    lines = new[path].splitlines()
    lines.insert(line, "_BOOM = int('boom')")
    text = "\n".join(lines) + "\n"
    with contextlib.suppress(SyntaxError):
        compile(text, path, "exec")
        return {**new, path: text}
    return None


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm(hot_imports)
    yield farm
    farm.close()


@pytest.mark.parametrize("edit", EDITS)
def test_an_exception_at_any_step_leaves_everything_as_it_was(farm, edit):
    before, (good, *failed) = farm.run(_try_all, *EDITS[edit])
    assert good[0] == "live", good[:2]
    assert differences(good[3], before)
    assert len(failed) > 6
    for number, (outcome, text, _, found) in enumerate(failed, 1):
        assert outcome == "failed", f"step {number}: {outcome} {text}"
        assert "BoomError" in text
        assert differences(found, before) == [], f"step {number} left something behind: {text}"


def _takes(old: Sources, sources: list[Sources]) -> list[tuple[str, str, list[str]]]:
    from flask_habanero.live import program, startup

    with folder() as root:
        write(root, old)
        app = start(root, "shop.app:app")
        running = program.attach(app)
        startup.stop()
        warm(app)
        before = forked(look, app, {"shop"}, root)[1]
        results = []
        for target in sources:
            ok, one = forked(_attempt, app, root, running, target, 0)
            assert ok, one
            results.append((one[0], one[1], differences(one[3], before)))
        return results


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        ("all kinds", "shop/rates.py"),
        ("all kinds", "shop/app.py"),
        ("all kinds", "shop/new.py"),
        ("models", "shop/models.py"),
    ],
)
def test_a_statement_that_raises_leaves_everything_as_it_was(farm, edit, path):
    old, new = EDITS[edit]
    lines = [k for k in range(len(new[path].splitlines()) + 1) if _raising(new, path, k)]
    assert lines
    sources = [one for k in lines if (one := _raising(new, path, k))]
    for line, (outcome, text, left) in zip(lines, farm.run(_takes, old, sources), strict=True):
        assert outcome == "failed", f"line {line}: {outcome} {text}"
        assert "ValueError" in text
        assert left == [], f"line {line} left something behind"
