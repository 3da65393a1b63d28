"""The canonical form of a graph of live objects, as a flat mapping from paths to words.

Objects are visited in an order that depends on names only. The first visit of an object that has
an identity describes it at that path; every later one says ``-> path``. So two processes give the
same mapping exactly when their objects have the same content *and are shared in the same way*.
"""

from __future__ import annotations

import collections
import contextvars
import enum
import functools
import inspect
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Optional

from .code import digest

_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented), range, slice)
_FOREIGN_VARS = {
    "click",
    "blinker",
    "flask",
    "wtforms",
    "functools",
    "dataclasses",
}  # their instances are opened
_UNSEEN = {  # members of a class that say nothing or that differ from process to process
    "__dict__",
    "__weakref__",
    "_abc_impl",
    "__module__",
    "__qualname__",
    "__name__",
}
_COUNTERS = {"creation_counter"}  # WTForms: only their order means something, and that is told of the form
# addresses, also those in the references of pydantic's schemas: `models.User:94834546577056`
ADDRESS = re.compile(r" at 0x[0-9a-f]+|(?<=\w):\d{12,}")
_UNORDERED = {"pydantic_core"}  # what its objects say has the order of a hash


class Graph:
    """Collects the description of one process.

    Args:
        own: says of a module name whether it is the project's: its classes and functions are opened.
        root: the folder that file names are told relative to.
        closed: classes whose instances are only named here; somebody else tells what they hold.
    """

    def __init__(self, own: Callable[[str], bool], root: str = "", closed: tuple[type, ...] = ()) -> None:
        self.own = own
        self.closed = closed
        self.root = root
        self.found: dict[str, str] = {}
        self._paths: dict[int, str] = {}
        self._keep: list[Any] = []  # ids are only good as long as their objects live

    def word(self, path: str, text: str) -> None:
        """Say one thing."""
        self.found[path] = text.replace(self.root, "<root>") if self.root else text

    def visit(self, path: str, value: Any) -> None:
        """Describe an object, or point to where it has been described."""
        kind = type(value)
        if kind in _ATOMS:
            self.word(path, f"{kind.__name__} {ADDRESS.sub('', repr(value))}")
            return
        if kind is tuple and not value:
            self.word(path, "tuple of 0")
            return
        if kind in (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType):
            self.word(path, f"slot {value!r}")
            return
        if kind is types.MethodType:  # made anew at each access: has no identity worth the name
            self.word(path, "method")
            self.visit(f"{path}.__func__", value.__func__)
            self.visit(f"{path}.__self__", value.__self__)
            return
        if kind not in (tuple, frozenset):  # the compiler may share equal constants as it likes
            known = self._paths.get(id(value))
            if known is not None:
                self.word(path, f"-> {known}")
                return
            self._paths[id(value)] = path
            self._keep.append(value)
        self._describe(path, value, kind)

    def _describe(self, path: str, value: Any, kind: type) -> None:
        for cls, method in _KINDS:
            if issubclass(kind, cls):
                getattr(self, method)(path, value)
                return
        self._instance(path, value)

    # containers

    def _dict(self, path: str, value: dict[Any, Any]) -> None:
        self.word(path, f"{type(value).__name__} of {len(value)}: {[self._key(key) for key in value]}")
        for key, item in value.items():
            self.visit(f"{path}[{self._key(key)}]", item)
        self._subclass(path, value)

    def _key(self, key: Any) -> str:
        if isinstance(key, type | types.FunctionType):
            return f"{key.__module__}.{key.__qualname__}"
        if isinstance(key, tuple):
            return f"({', '.join(map(self._key, key))})"
        return ADDRESS.sub("", repr(key))

    def _mappingproxy(self, path: str, value: Any) -> None:
        self._dict(path, dict(value))

    def _sequence(self, path: str, value: Any) -> None:
        self.word(path, f"{type(value).__name__} of {len(value)}")
        for index, item in enumerate(value):
            self.visit(f"{path}[{index}]", item)
        self._subclass(path, value)

    def _subclass(self, path: str, value: Any) -> None:
        """Say what an instance of an own subclass of a builtin container has besides its items."""
        if self.own(type(value).__module__):
            self.visit(f"{path}.__class__", type(value))
            for name, item in attributes(value):
                self.visit(f"{path}.{name}", item)

    def _set(self, path: str, value: Any) -> None:
        items = sorted(value, key=self._key)
        self.word(path, f"{type(value).__name__} of {len(value)}: {[self._key(item) for item in items]}")
        for item in items:
            if type(item) not in _ATOMS:
                self.visit(f"{path}{{{self._key(item)}}}", item)
        self._subclass(path, value)

    # functions

    def _function(self, path: str, value: types.FunctionType) -> None:
        foreign = not self.own(value.__module__ or "")
        if (
            foreign
            and not self._is_own_code(value)
            and ("<locals>" not in value.__qualname__ or not (value.__closure__ or vars(value)))
        ):
            self.word(path, f"foreign function {value.__module__}.{value.__qualname__}")
            return
        code = value.__code__
        told = f"{code.co_qualname}, foreign" if not self._is_own_code(value) else digest(code)
        self.word(path, f"function {value.__module__}.{value.__qualname__} ({value.__name__}) {told}")
        namespace = value.__globals__
        home = sys.modules.get(namespace.get("__name__", ""))
        self.word(
            f"{path}.__globals__",
            f"{namespace.get('__name__')} live={home is not None and vars(home) is namespace}",
        )
        self.visit(f"{path}.__doc__", value.__doc__)
        if not foreign or self._is_own_code(value):
            self.visit(f"{path}.__defaults__", value.__defaults__)
            self.visit(f"{path}.__kwdefaults__", value.__kwdefaults__)
            self.visit(f"{path}.__annotations__", value.__annotations__)
            self.visit(f"{path}.__type_params__", getattr(value, "__type_params__", ()))
        for name, item in sorted(vars(value).items()):
            self.visit(f"{path}.{name}", item)
        for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
            self._cell(f"{path}<{name}>", cell)

    def _is_own_code(self, value: types.FunctionType) -> bool:
        return self.own(value.__globals__.get("__name__", ""))

    def _cell(self, path: str, cell: types.CellType) -> None:
        try:
            self.visit(path, cell.cell_contents)
        except ValueError:
            self.word(path, "empty cell")

    def _wrapping(self, path: str, value: Any) -> None:
        self.word(path, type(value).__name__)
        self.visit(f"{path}.__func__", value.__func__)

    def _property(self, path: str, value: property) -> None:
        self.word(path, f"{type(value).__name__} doc={value.__doc__!r}")
        for name in ("fget", "fset", "fdel"):
            self.visit(f"{path}.{name}", getattr(value, name))

    def _cached_property(self, path: str, value: Any) -> None:
        self.word(path, f"cached_property {value.attrname} doc={value.__doc__!r}")
        self.visit(f"{path}.func", value.func)

    def _partial(self, path: str, value: functools.partial[Any]) -> None:
        self.word(path, type(value).__name__)
        self.visit(f"{path}.func", value.func)
        self.visit(f"{path}.args", value.args)
        self.visit(f"{path}.keywords", value.keywords)

    def _memo(self, path: str, value: Any) -> None:
        name = f"{value.__module__}.{getattr(value, '__qualname__', '?')}"  # of a partial: none
        self.word(path, f"lru_cache {name} {value.cache_parameters()} doc={value.__doc__!r}")
        for name, item in sorted(vars(value).items()):
            self.visit(f"{path}.{name}", item)

    def _builtin(self, path: str, value: Any) -> None:
        self.word(path, f"builtin {getattr(value, '__module__', None)}.{value.__qualname__}")
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType):
            self.visit(f"{path}.__self__", owner)

    # modules and classes

    def _module(self, path: str, value: types.ModuleType) -> None:
        live = sys.modules.get(value.__name__) is value
        self.word(path, f"module {value.__name__} live={live}")

    def _class(self, path: str, value: type) -> None:
        name = f"{value.__module__}.{value.__qualname__}"
        if not self.own(value.__module__):
            self.word(path, f"foreign class {name}")
            return
        order = [f"{c.__module__}.{c.__qualname__}" for c in value.__mro__]
        self.word(path, f"class {name} ({value.__name__}) mro={order}")
        for index, base in enumerate(value.__bases__):
            self.visit(f"{path}.__bases__[{index}]", base)
        self.visit(f"{path}.__class__", type(value))
        for key, item in sorted(vars(value).items()):
            if key in _UNSEEN or isinstance(item, types.GetSetDescriptorType):
                continue
            if key in ("__abstractmethods__", "__static_attributes__"):
                item = frozenset(item)  # noqa: PLW2901  # the order of the second is that of a set
            self.visit(f"{path}.{key}", item)
        below = sorted(
            f"{c.__module__}.{c.__qualname__}" for c in type.__subclasses__(value) if self.own(c.__module__)
        )
        self.word(f"{path}.__subclasses__()", f"{below}")

    def _member(self, path: str, value: Any) -> None:
        self.word(path, f"slot {value.__name__}")

    # instances

    def _enum(self, path: str, value: enum.Enum) -> None:
        self.word(path, f"member {type(value).__module__}.{type(value).__qualname__}.{value.name}")
        self.visit(f"{path}.value", value.value)
        self.visit(f"{path}.__class__", type(value))

    def _named(self, path: str, value: Any) -> None:
        name = getattr(value, "__name__", None) or getattr(value, "name", "")
        self.word(path, f"{type(value).__module__}.{type(value).__qualname__} {name}")

    def _opaque(self, path: str, value: Any) -> None:
        self.word(path, f"a {type(value).__module__}.{type(value).__qualname__}")

    def _alias(self, path: str, value: Any) -> None:
        self.word(path, f"{type(value).__name__} of {len(value.__args__)}")
        self.visit(f"{path}.__origin__", getattr(value, "__origin__", None))
        for index, item in enumerate(value.__args__):
            self.visit(f"{path}.__args__[{index}]", item)

    def _instance(self, path: str, value: Any) -> None:
        kind = type(value)
        own = self.own(kind.__module__)
        if isinstance(value, self.closed):
            self.word(path, f"a {kind.__module__}.{kind.__qualname__} {getattr(value, 'name', '')}")
            return
        opened = own or kind.__module__.partition(".")[0] in _FOREIGN_VARS
        says = not opened and kind.__repr__ is not object.__repr__
        says = says and kind.__module__.partition(".")[0] not in _UNORDERED
        text = ADDRESS.sub("", repr(value)) if says else ""
        self.word(path, f"a {kind.__module__}.{kind.__qualname__} {text}")
        if not opened:
            return
        if own:
            self.visit(f"{path}.__class__", kind)
        for name, item in attributes(value):
            if name not in _COUNTERS:
                self.visit(f"{path}.{name}", item)


def attributes(value: Any) -> Iterable[tuple[str, Any]]:
    """Yield an instance's own attributes by name, those in slots too."""
    found = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for name, item in vars(cls).items():
            if isinstance(item, types.MemberDescriptorType) and name not in found:
                try:
                    found[name] = item.__get__(value)
                except AttributeError:
                    continue
    return sorted(found.items())


_KINDS: list[tuple[Any, str]] = [
    (types.FunctionType, "_function"),
    (types.ModuleType, "_module"),
    (type, "_class"),
    (enum.Enum, "_enum"),
    ((staticmethod, classmethod), "_wrapping"),
    (property, "_property"),
    (functools.cached_property, "_cached_property"),
    (functools.partial, "_partial"),
    (functools._lru_cache_wrapper, "_memo"),
    (types.BuiltinFunctionType, "_builtin"),
    (types.MemberDescriptorType, "_member"),
    (types.GenericAlias, "_alias"),
    ((types.UnionType, type(Optional[int]), type(Optional[list[int]])), "_alias"),  # noqa: UP045  # the class of such objects is wanted
    (contextvars.ContextVar, "_named"),
    (
        (type(threading.Lock()), type(threading.RLock()), weakref.WeakKeyDictionary, weakref.ReferenceType),
        "_opaque",
    ),
    (
        (types.GeneratorType, types.CoroutineType, types.FrameType, types.CodeType, threading.Thread),
        "_opaque",
    ),
    (inspect.Signature, "_named"),
    (types.MappingProxyType, "_mappingproxy"),
    ((list, tuple, collections.deque), "_sequence"),
    ((set, frozenset), "_set"),
    (dict, "_dict"),
]
