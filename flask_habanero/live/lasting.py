"""Is what the start made still as it made it? Asked before a statement computes from it anew.

A statement that runs in a serving process reads what requests may have changed; a cold start would
read what the start makes. Functions, classes and modules last; a value lasts if it equals its
literal; of all else nobody can say.
"""

from __future__ import annotations

import ast
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from flask.config import ConfigAttribute
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from . import configs, names, registrations

if TYPE_CHECKING:
    from .judge.findings import Findings
    from .program import Program

_VALUES = (str, bytes, int, float, complex, bool, tuple, frozenset, type(None))
_LASTING = (FunctionType, BuiltinFunctionType, type, staticmethod, classmethod, property)
_NO_LITERAL = object()


def has_changed(program: Program, module: str, name: str, found: Findings) -> bool:
    """Whether a name of a loaded module, or what is read of it, may be another than after the start.

    Args:
        program: the running program.
        module: the module that has the name.
        name: the name.
        found: what the reader reads.
    """
    value = vars(program.loaded(module)).get(name)
    if type(value) in _VALUES:
        written = _literal(program, module, name)
        return written is not _NO_LITERAL and not _equals(value, written)
    used = found.uses_of(value)
    if not used or isinstance(value, ModuleType):
        return False  # which object it is, is all that counts; names of modules are asked for one by one
    if isinstance(value, App | Blueprint):
        return _target_changed(value, used - {""})
    if isinstance(value, type):
        return any(_member_changed(program, value, one) for one in used)
    if isinstance(value, FunctionType):
        return any(not isinstance(vars(value)[one], _LASTING) for one in used & set(vars(value)))
    if type(value) in (dict, list, set):  # its methods say themselves whether they look at what is in it
        return "" in used and not _equals(value, _literal(program, module, name))
    return _object_changed(program, value, used)


# objects and names that an app keeps; what is in them is another question
_KEPT_BY_APPS = frozenset(
    [
        "app_context", "cli", "extensions", "import_name", "instance_path", "jinja_env", "json", "logger",
        "name", "root_path", "static_folder", "static_url_path", "template_folder", "test_request_context",
        "url_map",
    ]
)  # fmt: skip


def _target_changed(target: App | Blueprint, attributes: set[str]) -> bool:
    rest = attributes - registrations.DECORATORS - registrations.CALLS - _KEPT_BY_APPS
    if isinstance(target, App):
        configured = {name for name in rest if name == "config" or _is_in_config(target, name)}
        book = configs.book_of(target.config) if configured else None
        if book is not None and configs.is_complete(target.config, book):
            rest -= configured
    return bool(rest)


def _is_in_config(app: App, name: str) -> bool:
    return isinstance(getattr(type(app), name, None), ConfigAttribute)


def _object_changed(program: Program, value: Any, used: set[str]) -> bool:
    if hasattr(type(value), "__next__"):
        return True  # an iterator: what is left of it is nobody's guess
    if type(value).__module__ not in program.tree:
        return False  # a library's object
    members = {name: member for cls in reversed(type(value).__mro__) for name, member in vars(cls).items()}
    fixed = {name for name, member in members.items() if isinstance(member, _LASTING)}
    return not used <= fixed - set(getattr(value, "__dict__", ()))


def _member_changed(program: Program, cls: type, attribute: str) -> bool:
    value = next((vars(c)[attribute] for c in cls.__mro__ if attribute in vars(c)), None)
    if isinstance(value, _LASTING):
        return False
    source = program.tree.get(cls.__module__)
    for piece in source.parsed.pieces if source else ():
        if isinstance(piece.node, ast.ClassDef) and piece.node.name == cls.__name__:
            written = _written(piece.node.body, attribute)
            return written is not _NO_LITERAL and not _equals(value, written)
    return False


def _literal(program: Program, module: str, name: str) -> Any:
    source = program.tree[module]
    rows = names.of_source(source)
    binding = [p.node for p, row in zip(source.parsed.pieces, rows, strict=True) if name in row.binds]
    return _written(binding, name) if len(binding) == 1 else _NO_LITERAL


def _written(body: list[ast.stmt], name: str) -> Any:
    """Return the value of the literal that a name is assigned, if there is one."""
    for node in body:
        goals = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(goal, ast.Name) and goal.id == name for goal in goals):
            try:
                return ast.literal_eval(getattr(node, "value", node))
            except (ValueError, TypeError, SyntaxError):
                return _NO_LITERAL
    return _NO_LITERAL


def _equals(value: Any, written: Any) -> bool:
    return type(value) is type(written) and bool(value == written)
