"""Is what the start made still as it made it? Asked before a statement computes from it anew.

A statement that runs in a serving process reads what requests may have changed; a cold start would
read what the start makes. Functions, classes and modules last; a value lasts if it equals its
literal; of what else may change nobody can say. Whatever is asked here is asked of the objects that
the statement uses (`Findings`), with the attributes that it uses:

- what a name of the app's own stands for: `has_changed`;
- classes and instances of the app's own wherever they are, what its functions and objects hold,
  its configurations and the environment: `others`.

Objects of libraries are trusted, but for containers, and for plain values in their attributes that
the app's own code reads.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from flask.config import Config, ConfigAttribute
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from werkzeug.local import LocalProxy
from werkzeug.routing import Map

from . import configs, environment, names, origin, registrations, stateful, written
from .judge import known
from .written import NO_LITERAL

if TYPE_CHECKING:
    from .judge.findings import Findings
    from .program import Program

# objects and names that an app keeps; what is in them is another question
_KEPT_BY_APPS = frozenset(
    [
        "app_context", "cli", "config", "extensions", "import_name", "instance_path", "jinja_env", "json",
        "logger", "name", "root_path", "static_folder", "static_url_path", "template_folder",
        "test_request_context", "url_map", "_static_folder", "_static_url_path",
    ]
)  # fmt: skip

# of a map of rules; whatever else is asked of it is an answer from the rules that are there by now
_SETTINGS_OF_MAP = {
    "add", "charset", "converters", "default_converters", "default_subdomain", "host_matching", "lock_class",
    "merge_slashes", "redirect_defaults", "sort_parameters", "strict_slashes",
}  # fmt: skip

_ASKED_ELSEWHERE = (LocalProxy, App, Blueprint, ModuleType, FunctionType, type(None))


def has_changed(program: Program, module: str, name: str, found: Findings) -> bool:
    """Whether a name of a loaded module, or what is read of it, may be another than after the start.

    Args:
        program: the running program.
        module: the module that has the name.
        name: the name.
        found: what the reader reads.
    """
    live = program.loaded(module)
    assert live is not None, module
    value = vars(live).get(name)
    if isinstance(value, ModuleType):
        return False  # names of modules are asked for one by one
    if origin.is_rebound(live, name):
        return True
    return differs(program, value, found, written.literal(program.tree[module], name))


def is_filled(program: Program, module: str, name: str) -> bool:
    """Whether a name of a loaded module stands for a container that is not what is written."""
    value = vars(program.loaded(module) or builtins).get(name)
    return stateful.is_container(value) and not _equals(value, written.literal(program.tree[module], name))


def differs(program: Program, value: Any, found: Findings, literal: Any) -> bool:
    """Whether what is used of a value that is bound by a name may be another than what is written."""
    used = found.uses_of(value)
    if type(value) in stateful.VALUES:
        return literal is not NO_LITERAL and not _equals(value, literal)
    if stateful.is_container(value):
        return stateful.looks_inside(value, used) and not _equals(value, literal)
    if not used or isinstance(value, type):
        return False  # which object it is, is all that counts
    if isinstance(value, App | Blueprint):
        there = {*vars(value), *(name for cls in type(value).__mro__ for name in vars(cls))}
        return _target_changed(
            value, {one for one in used if one in there or written.is_stored(program.tree, one)}
        )
    if isinstance(value, FunctionType):
        asked = used & set(vars(value))
        named = used & {"__name__", "__module__"}
        return any(written.is_stored(program.tree, one) for one in named) or any(
            not isinstance(vars(value)[one], stateful.LASTING) or written.is_stored(program.tree, one)
            for one in asked
        )
    return _object_changed(program, value, found)


def _equals(value: Any, literal: Any) -> bool:
    if isinstance(literal, written.Empty):
        return bool(literal == value)
    return type(value) is type(literal) and bool(value == literal)


def reads_state(program: Program, read: Findings) -> bool:
    """Whether a reader reads, by whatever way, what may have changed since the start."""
    named = []
    for where, name in sorted(read.names):
        unit = program.unit_name(where)
        live = program.loaded(unit)
        if live is not None and unit in program.tree:
            named.append(vars(live).get(name))
            if has_changed(program, unit, name, read):
                return True
    return any(True for _ in others(program, read, named))


# apps


def _target_changed(target: App | Blueprint, attributes: set[str]) -> bool:
    methods = registrations.DECORATORS | registrations.CALLS | registrations.UNREPLAYABLE
    rest = attributes - methods - _KEPT_BY_APPS
    keys = {name: key for name in rest if (key := _config_key(target, name))}
    if isinstance(target, App) and any(_keys_changed(target.config, {key}) for key in keys.values()):
        return True
    return bool(rest - set(keys))


def _config_key(target: App | Blueprint, name: str) -> str:
    if name == "debug" and isinstance(target, App):  # a property over the setting
        return "DEBUG"
    member = getattr(type(target), name, None) if isinstance(target, App) else None
    return str(member.__name__) if isinstance(member, ConfigAttribute) else ""


def _config_changed(config: Config, found: Findings) -> bool:
    return _keys_changed(config, None if id(config) in found.whole else found.keys.get(id(config), set()))


def _keys_changed(config: Config, keys: set[Any] | None) -> bool:
    """Whether a request may have written keys of a configuration; None stands for: all of them."""
    book = configs.book_of(config)
    if book is None or not configs.is_complete(config, book):
        return True
    late = {key for entry in book.entries if entry.late for key, _ in entry.changes}
    return bool(late if keys is None else late & keys)


def settings(found: Findings) -> Iterator[tuple[Config, set[Any] | None]]:
    """Yield the configurations that a reader reads, with the keys; None stands for: all of them."""
    for key, (thing, attributes) in list(found.used.items()):
        if isinstance(thing, Config) and "" in attributes:
            yield thing, None if key in found.whole else found.keys.get(key, set())
        elif isinstance(thing, App):
            yield thing.config, {_config_key(thing, name) for name in attributes if name} - {""}


def _environment_changed(found: Findings) -> bool:
    environ = known.environ()
    kept, now = origin.environment, dict(environ)
    asked = None if id(environ) in found.whole else found.keys.get(id(environ), set())
    keys = {*kept, *now} if asked is None else asked
    return bool(kept) and any(kept.get(key) != now.get(key) for key in keys)


# objects


def _object_changed(program: Program, value: Any, found: Findings) -> bool:
    used = found.uses_of(value)
    if hasattr(type(value), "__next__"):
        return True  # an iterator: what is left of it is nobody's guess
    if type(value).__module__ not in program.tree:
        return _library_object_changed(value, found)
    if stateful.is_frozen(value, used):
        return False
    members = {name: member for cls in reversed(type(value).__mro__) for name, member in vars(cls).items()}
    fixed = {name for name, member in members.items() if isinstance(member, stateful.LASTING)}
    fixed |= set() if written.sets_class(program.tree) else {"__class__"}
    left = used - fixed
    if left and left <= members.keys():
        fixed |= {one for one in left if _is_constant(program, type(value), one, found)}
    return not used <= fixed - set(getattr(value, "__dict__", ()))


def _is_constant(program: Program, cls: type, attribute: str, found: Findings) -> bool:
    """Whether a member that objects of an own class read is a plain value that nobody has set since."""
    owner = next(one for one in cls.__mro__ if attribute in vars(one))
    if owner.__module__ not in program.tree or type(vars(owner)[attribute]) not in (
        *stateful.VALUES,
        re.Pattern,
    ):
        return False
    set_since = written.is_stored(program.tree, attribute) or _member_changed(
        program, owner, attribute, found
    )
    return not set_since and not written.is_kept_by_self(program.tree, attribute)


def _library_object_changed(value: Any, found: Findings) -> bool:
    """A library's own object: its methods are trusted, unless keeping something is what it is for."""
    if stateful.keeps(value, found.uses_of(value)):
        return True
    direct = found.direct.get(id(value), (value, set()))[1]
    fields = getattr(value, "__dict__", None)
    plain = fields if type(fields) is dict else {}
    return any(type(plain.get(one, LocalProxy)) in stateful.VALUES for one in direct)


def _member_changed(program: Program, cls: type, attribute: str, found: Findings) -> bool:
    """Whether a member of an own class is another than its body says."""
    if attribute == "__subclasses__":
        return True
    direct = found.direct.get(id(cls), (cls, set()))[1]
    if attribute == "__dict__":
        return any(_is_set_from_outside(program, cls, one, direct) for one in list(vars(cls)))
    owner = next((one for one in cls.__mro__ if attribute in vars(one)), cls)
    if owner.__module__ not in program.tree:
        return False
    if _is_set_from_outside(program, owner, attribute, direct):
        return True
    value = vars(owner).get(attribute)
    if isinstance(value, stateful.LASTING):
        return not _is_of_body(owner, attribute) and _is_set(program, attribute, direct)
    if "<locals>" in owner.__qualname__:
        return True  # its body is one of those that are not gone through
    return _differs_from_body(program, owner, attribute, found)


def _is_of_body(cls: type, attribute: str) -> bool:
    """Whether a member is the function that the class's own statement made."""
    function = getattr(vars(cls)[attribute], "__func__", vars(cls)[attribute])
    code = getattr(function, "__code__", None)  # a name can be copied, as wrappers do
    where = f"{cls.__qualname__}.{attribute}"
    return code is not None and (function.__module__, code.co_qualname) == (cls.__module__, where)


def _differs_from_body(program: Program, cls: type, attribute: str, found: Findings) -> bool:
    value = vars(cls).get(attribute)
    body = written.class_body(program.tree.get(cls.__module__), cls.__name__)
    literal = written.value_in(body.body, attribute) if body is not None else NO_LITERAL
    if type(value) not in stateful.VALUES and type(value) not in (list, dict, set):
        if stateful.is_container(value):
            return differs(program, value, found, literal)
        return written.is_stored(program.tree, attribute)
    if literal is not NO_LITERAL:
        return not _equals(value, literal)
    if body is None or attribute not in names.class_members(body):
        return False  # a metaclass made it, or nobody did
    of_classes = ((one, asked) for one, asked in found.direct.values() if isinstance(one, type))
    direct = set[str]().union(*(asked for one, asked in of_classes if issubclass(one, cls)))
    return _is_set(program, attribute, direct) or differs(program, value, found, literal)


def _is_set_from_outside(program: Program, cls: type, attribute: str, direct: set[str]) -> bool:
    """Whether a member is none of a class's body, or gone, and the app's own code may have done that.

    Args:
        program: the running program.
        cls: a class of the app's own.
        attribute: the member's name.
        direct: what the app's own code itself reads of it.
    """
    body = written.class_body(program.tree.get(cls.__module__), cls.__name__)
    if body is None or attribute.startswith("__"):
        return False
    if (attribute in names.class_members(body)) == (attribute in vars(cls)):
        return False
    return _is_set(program, attribute, direct)


def _is_set(program: Program, attribute: str, direct: set[str]) -> bool:
    """Whether the app's own code may set an attribute of that name."""
    by_name = not direct.isdisjoint({attribute, "__dict__"}) and written.is_set_by_name(program.tree)
    return by_name or written.is_stored(program.tree, attribute)


# what is used, however it was come by


def others(
    program: Program, found: Findings, named: list[Any], gone: AbstractSet[int] = frozenset()
) -> Iterator[str]:
    """Yield what else a reader uses and may not be as the start made it, in words.

    Args:
        program: the running program.
        found: what the reader reads.
        named: what the names stand for that it reads: asked for by name, or made anew.
        gone: ids of what will not be there any more when it reads.
    """
    yield from sorted(found.doubts)
    for module, qualname, name in sorted(found.cells):
        source = program.tree.get(program.unit_name(module))
        if source is not None and written.is_nonlocal(source, qualname, name):
            yield f"{name} of {qualname}"
    known = {id(one) for one in named}
    for key, (thing, used) in list(found.used.items()):
        if key not in gone and _is_doubtful(program, thing, used, found, is_named=key in known):
            yield _words(thing)
    for thing, asked in list(found.direct.values()):
        is_library = isinstance(thing, ModuleType) or (
            isinstance(thing, type) and thing.__module__ not in program.tree
        )
        for one in sorted(asked) if is_library else ():
            if _set_in_library(program, vars(thing).get(one), one, found):
                yield f"{thing.__name__}.{one}"


def _set_in_library(program: Program, value: Any, attribute: str, found: Findings) -> bool:
    """Whether the app's own code may have set, or filled, an attribute of a library's module or class."""
    if type(value) in stateful.VALUES or isinstance(value, stateful.LASTING):
        return written.is_stored(program.tree, attribute)
    filled = stateful.is_container(value) and written.is_filled(program.tree, attribute)
    return filled and stateful.looks_inside(value, found.uses_of(value))


def _is_doubtful(program: Program, thing: Any, used: set[str], found: Findings, *, is_named: bool) -> bool:
    kind = type(thing)
    if isinstance(thing, type):
        own = thing.__module__ in program.tree
        return own and any(_member_changed(program, thing, one, found) for one in used)
    if issubclass(kind, Config | Map) or thing is known.environ():
        return _settings_changed(program, thing, used, found)
    if is_named or issubclass(kind, _ASKED_ELSEWHERE):
        return False
    if kind.__module__ in program.tree and not stateful.is_container(thing):
        return _object_changed(program, thing, found)
    if kind.__module__ not in program.tree and (id(thing) not in found.held or origin.is_as_left(thing)):
        return False
    if stateful.is_container(thing):
        return stateful.looks_inside(thing, used)
    return _library_object_changed(thing, found)


def _settings_changed(program: Program, thing: Any, used: set[str], found: Findings) -> bool:
    if isinstance(thing, Config):
        return _config_changed(thing, found)
    if isinstance(thing, Map):
        return not used <= _SETTINGS_OF_MAP
    return bool(environment.written(program.tree, program.books.ran)) or _environment_changed(found)


def _words(thing: Any) -> str:
    if isinstance(thing, type):
        return f"class {thing.__name__}"
    if isinstance(thing, Config):
        return "the configuration"
    return "the environment" if thing is known.environ() else f"a {type(thing).__name__}"
