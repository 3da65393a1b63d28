"""The journal of a configuration: who wrote it, and who read it while the app started."""

from __future__ import annotations

import copy

import pytest
from flask.config import Config
from flask_habanero.live import configs, startup

# neither asks for what is in it nor changes it, or does so by other methods
HARMLESS = {
    "__class__", "__class_getitem__", "__delattr__", "__dict__", "__dir__", "__doc__", "__firstlineno__",
    "__ge__", "__getattribute__", "__getstate__", "__gt__", "__hash__", "__init__", "__init_subclass__",
    "__le__", "__lt__", "__module__", "__new__", "__reduce__", "__reduce_ex__", "__setattr__", "__sizeof__",
    "__static_attributes__", "__subclasshook__", "__weakref__", "fromkeys",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({*dir(dict), *dir(Config)}))
def test_every_method_is_known(name):
    """Fails when a new Python or Flask brings one: does it read, or write?"""
    assert name in {*configs.WRITERS, *configs._READERS, *HARMLESS}


@pytest.fixture
def config(monkeypatch):
    configs.install()
    monkeypatch.setattr(startup, "_ended", [])
    config = Config("", {"A": 1, "B_C": 2})
    configs._watch()
    yield config
    configs._unwatch()


READS = [
    ("item", lambda c: c["A"], {"A"}),
    ("get", lambda c: c.get("A"), {"A"}),
    ("in", lambda c: "A" in c, {"A"}),
    ("len", len, {"*"}),
    ("repr", repr, {"*"}),
    ("str", str, {"*"}),
    ("reversed", lambda c: next(reversed(c)), {"*"}),
    ("list", list, {"*"}),
    ("dict", dict, {"*"}),
    ("spread", lambda c: {**c}, {"*"}),
    ("copy", copy.copy, {"*"}),
    ("equal", lambda c: c == {}, {"*"}),
    ("unequal", lambda c: c != {}, {"*"}),
    ("or", lambda c: c | {}, {"*"}),
    ("or-right", lambda c: {} | c, {"*"}),
    ("namespace", lambda c: c.get_namespace("B_"), {"*"}),
    ("nothing", lambda _c: None, set()),
]


@pytest.mark.parametrize(("read", "keys"), [r[1:] for r in READS], ids=[r[0] for r in READS])
def test_a_read_at_the_start_is_noted(config, read, keys):
    read(config)
    found = set(configs.book_of(config).reads)
    assert found == keys or {"*"} == keys & found  # `dict(config)` asks for the keys, and then for each


@pytest.mark.parametrize("name", configs._READERS)
def test_nothing_is_left_of_the_readers_wrappers(config, name):
    configs._unwatch()
    assert not hasattr(getattr(Config, name), "_habanero")


def _dropped(config):
    config.setdefault("A", 5)
    config.setdefault("N", 5)
    config.pop("A")


def _used(config):
    return config.setdefault("A", 5), config.setdefault("N", 5), config.pop("A")


@pytest.mark.parametrize(("write", "read"), [(_dropped, False), (_used, True)])
def test_what_a_writer_gives_is_used_or_dropped(config, write, read):
    write(config)
    assert [entry.read for entry in configs.book_of(config).entries] == [read] * 3


WRITES = [
    (lambda c: c.__setitem__("X", 1), ["X"]),
    (lambda c: c.update(X=1), ["X"]),
    (lambda c: c.__ior__({"X": 1}), ["X"]),
    (lambda c: c.setdefault("X", 1), ["X"]),
    (lambda c: c.from_mapping(X=1), ["X"]),
    (lambda c: c.from_object(type("K", (), {"X": 1})), ["X"]),
    (lambda c: c.pop("A"), ["A"]),
    (lambda c: c.popitem(), ["B_C"]),
    (lambda c: c.__delitem__("A"), ["A"]),
    (lambda c: c.clear(), ["A", "B_C"]),
]


@pytest.mark.parametrize(("write", "keys"), WRITES)
def test_a_write_is_noted_with_its_keys(config, write, keys):
    write(config)
    book = configs.book_of(config)
    assert [key for entry in book.entries for key, _ in entry.changes] == keys
    assert configs.is_complete(config, book)


@pytest.mark.parametrize(
    ("method", "prepare"),
    [
        ("from_prefixed_env", lambda m, _: m.setenv("HOT_X", "1")),
        ("from_envvar", lambda m, path: m.setenv("HOT_FILE", str(path))),
        ("from_pyfile", lambda _m, _p: None),
        ("from_file", lambda _m, _p: None),
    ],
)
def test_a_write_from_outside_is_noted(config, monkeypatch, tmp_path, method, prepare):
    path = tmp_path / "settings.py"
    path.write_text("X = 1\n")
    prepare(monkeypatch, path)
    args = {
        "from_prefixed_env": ("HOT",),
        "from_envvar": ("HOT_FILE",),
        "from_pyfile": (str(path),),
        "from_file": (str(path), lambda _file: {"X": 1}),
    }[method]
    getattr(config, method)(*args)
    (entry,) = configs.book_of(config).entries
    assert (entry.method, entry.changes) == (method, [("X", 1)])


def test_what_is_written_after_the_start_is_late(config, monkeypatch):
    config["X"] = 1
    monkeypatch.setattr(startup, "_ended", [True])
    config["X"] = 2
    assert [entry.late for entry in configs.book_of(config).entries] == [False, True]
