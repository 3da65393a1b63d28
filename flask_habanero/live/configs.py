"""What an app's configuration was made from, by which statement, and who read it while the app started.

`flask.Config` is wrapped once, when `flask_habanero` is imported: each outermost call that writes is noted
beside the config, with the keys that it set and the frames that it came from. A release edits these notes,
and what they come to takes the place of what is there. While the start is watched, reads are noted, too: a
value that an extension has read then is in use somewhere.

The only place that wraps `flask.Config`. Source: flask/config.py of Flask 3.
"""

from __future__ import annotations

import dis
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from flask.config import Config

from . import startup
from .registrations import Frame, stack

WRITERS = (
    "__setitem__", "__delitem__", "__ior__", "update", "setdefault", "pop", "popitem", "clear",
    "from_envvar", "from_prefixed_env", "from_pyfile", "from_object", "from_file", "from_mapping",
)  # fmt: skip
READING_WRITERS = ("setdefault", "pop", "popitem")  # they also give what they find
_READERS = (
    "__contains__", "__eq__", "__format__", "__getitem__", "__iter__", "__len__", "__ne__", "__or__",
    "__repr__", "__reversed__", "__ror__", "__str__", "copy", "get", "get_namespace", "items", "keys",
    "values",
)  # fmt: skip
# of one key
_LOOKERS = ("__getitem__", "get", "__contains__")
EVERY = "*"  # stands for: all keys
_GONE = object()


def said(key: str) -> str:
    """Return what people call a key, or all of them."""
    return "the configuration" if key == EVERY else f"configuration {key}"


@dataclass(frozen=True)
class _Default:
    """What `setdefault` sets if there is nothing."""

    value: Any


@dataclass(eq=False)
class Written:
    """One call that wrote.

    Attributes:
        method, args, kwargs: the call.
        frames: where it came from.
        changes: keys with their values in order; what `folded` makes of those that are none.
        chain: where it stands in cold-start order; the program resolves it.
        late: whether it was written when the start was over, and by no release.
        read: whether what it gave was used.
    """

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    frames: tuple[Frame, ...]
    changes: list[tuple[str, Any]] = field(default_factory=list)
    chain: tuple[Any, ...] | None = None
    late: bool = False
    read: bool = False

    def writes(self, key: str) -> bool:
        """Whether the call set, or removed, a key."""
        return any(one == key for one, _ in self.changes)


@dataclass
class Book:
    """What is known of one config.

    Attributes:
        initial: what it held when it was made.
        entries: what was written since, in order.
        reads: key -> where it was read, not settled yet.
        readers: key -> where it was read: see `settling.settled_call`.
    """

    initial: dict[str, Any]
    entries: list[Written] = field(default_factory=list)
    reads: dict[str, set[startup.Call]] = field(default_factory=dict)
    readers: dict[str, set[startup.Call]] = field(default_factory=dict)

    def folded(self, entries: Iterable[Written]) -> dict[str, Any]:
        """Return what a config holds after some writes."""
        found = dict(self.initial)
        for entry in entries:
            for key, value in entry.changes:
                if value is _GONE:
                    found.pop(key, None)
                elif isinstance(value, _Default):
                    found.setdefault(key, value.value)
                else:
                    found[key] = value
        return found


class _State(threading.local):
    note: Written | None = None


_state = _State()
_BOOK = "_habanero_book"
books: weakref.WeakSet[_Ref] = weakref.WeakSet()


class _Ref:
    """Holds a config weakly: a dict has no hash."""

    def __init__(self, config: Config) -> None:
        self.config = weakref.ref(config)


def book_of(config: Any) -> Book | None:
    """Return what is known of a config; None if it was made before we could watch."""
    found = getattr(config, "__dict__", {}).get(_BOOK)
    return found[0] if found else None


def all_configs() -> list[Config]:
    """Return the configs that are known, and still there."""
    found = [ref.config() for ref in list(books)]
    return [config for config in found if config is not None]


def _wrap_init(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def wrapper(self: Config, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        reference = _Ref(self)
        self.__dict__[_BOOK] = (Book(dict(self)), reference)
        books.add(reference)

    return wrapper


def _wrap_writer(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(self: Config, *args: Any, **kwargs: Any) -> Any:
        book = book_of(self)
        if book is None:
            return original(self, *args, **kwargs)
        if _state.note is not None:
            return _inner(_state.note, original, method, self, args, kwargs)
        frame = sys._getframe(1)
        note = Written(method, args, dict(kwargs), stack(frame), late=startup.ended())
        note.read = method in READING_WRITERS and not _is_dropped(frame)
        _state.note = note
        try:
            return _inner(note, original, method, self, args, kwargs)
        finally:
            _state.note = None
            book.entries.append(note)

    return wrapper


def _is_dropped(frame: FrameType) -> bool:
    """Whether the calling code drops what the call that it is in gives: `config.setdefault("KEY", 1)`."""
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while at < len(code) and code[at] == dis.opmap["CACHE"]:
        at += 2
    return at < len(code) and code[at] == dis.opmap["POP_TOP"]


def _inner(
    note: Written, original: Callable[..., Any], method: str, config: Config, args: Any, kwargs: Any
) -> Any:
    """Call a writer, and note what it set. What is written in C is told by looking before and after."""
    if method == "__setitem__":
        result = original(config, *args, **kwargs)
        note.changes.append((args[0], args[1]))
        return result
    if method == "setdefault":
        note.changes.append((args[0], _Default(args[1] if len(args) > 1 else kwargs.get("default"))))
        return original(config, *args, **kwargs)
    if method.startswith("from_"):
        return original(config, *args, **kwargs)  # sets item by item
    before = dict.copy(config)  # as dict itself does it: reads through the config's own methods are noted
    result = original(config, *args, **kwargs)
    after = dict.copy(config)
    given = dict(*args, **kwargs) if method in ("update", "__ior__") else {}
    # in the order in which they are given: a release takes out first what the statement had written
    note.changes += [(key, after[key]) for key in given if key in after]
    changed = (key for key, value in after.items() if before.get(key, _GONE) is not value)
    note.changes += [(key, after[key]) for key in changed if key not in given]
    note.changes += [(key, _GONE) for key in before if key not in after]
    return result


def _wrap_reader(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(self: Config, *args: Any, **kwargs: Any) -> Any:
        book, frame = book_of(self), sys._getframe(1)
        ours = str(frame.f_globals.get("__name__", "")).startswith("flask_habanero.")
        if book is not None and _state.note is None and not ours:
            key = args[0] if args and method in _LOOKERS else EVERY
            book.reads.setdefault(key, set()).add(startup.call_from(frame))
        return original(self, *args, **kwargs)

    return wrapper


def install() -> None:
    """Wrap `flask.Config`. Once; a second call changes nothing."""
    if hasattr(Config.__init__, "_habanero"):
        return
    for name in WRITERS:
        setattr(Config, name, _wrap_writer(getattr(Config, name), name))
    Config.__init__ = _wrap_init(Config.__init__)  # type: ignore[method-assign]  # what installing is
    Config.__init__._habanero = True  # type: ignore[attr-defined]  # the mark that install() looks for
    startup.also.append((_watch, _unwatch))


def _watch() -> None:
    for name in _READERS:
        if not hasattr(getattr(Config, name), "_habanero"):
            wrapper = _wrap_reader(getattr(Config, name), name)
            wrapper._habanero = True  # type: ignore[attr-defined]  # the mark that _unwatch() looks for
            setattr(Config, name, wrapper)


def _unwatch() -> None:
    """Take the wrappers away again: a request reads its app's config often."""
    for name in _READERS:
        wrapper = getattr(Config, name)
        if hasattr(wrapper, "_habanero"):
            original = wrapper.__wrapped__
            if getattr(original, "__objclass__", None) is dict:
                delattr(Config, name)
            else:
                setattr(Config, name, original)


def is_complete(config: Config, book: Book) -> bool:
    """Whether what was written comes to what is there."""
    folded, live = book.folded(book.entries), dict.copy(config)
    return list(folded) == list(live) and all(_same(folded[key], live[key]) for key in folded)


def _same(one: Any, other: Any) -> bool:
    return one is other or (
        type(one) is type(other) and type(one) in (str, int, float, bytes, bool) and one == other
    )


def written_again(config: Config, entry: Written) -> list[tuple[str, Any]]:
    """Return what a call would write now, into a config that holds nothing yet."""
    scratch = type(config)(config.root_path)
    getattr(scratch, entry.method)(*entry.args, **entry.kwargs)
    book = book_of(scratch)
    assert book is not None
    return [change for written in book.entries for change in written.changes]


def is_named(entry: Written, module: str, name: str) -> bool:
    """Whether a `from_object` call was given a text that names something of a module."""
    source = entry.args[0] if entry.method == "from_object" and entry.args else None
    words = source.replace(":", ".") if isinstance(source, str) else ""
    return f"{words}.".startswith(f"{module}.{name}.")


def read_from(entry: Written) -> Any:
    """Return the object that a `from_object` call took its values from; None for any other call."""
    if entry.method != "from_object" or not entry.args:
        return None
    source = entry.args[0]
    if not isinstance(source, str):
        return source
    module, _, name = source.partition(":") if ":" in source else (source, "", "")
    while module:
        if module in sys.modules:
            found: Any = sys.modules[module]
            for part in filter(None, name.split(".")):
                found = getattr(found, part, None)
            return found
        module, _, last = module.rpartition(".")
        name = f"{last}.{name}".rstrip(".")
    return None
