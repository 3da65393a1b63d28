"""What is known of the functions of Python itself, of its library, and of Flask: what calling them does.

Most only compute. What is not here, and has a source, is read; what has none can't be told.
"""

from __future__ import annotations

import builtins
import functools
import logging
import sys
from typing import Any

PURE_BUILTINS = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytearray",
        "bytes",
        "callable",
        "chr",
        "complex",
        "delattr",
        "dict",
        "divmod",
        "enumerate",
        "format",
        "frozenset",
        "getattr",
        "hasattr",
        "hash",
        "hex",
        "id",
        "int",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "memoryview",
        "min",
        "next",
        "object",
        "oct",
        "ord",
        "pow",
        "print",
        "property",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "staticmethod",
        "classmethod",
        "str",
        "sum",
        "super",
        "tuple",
        "type",
        "vars",
        "zip",
        "filter",
        "float",
        "setattr",
        "dir",
        "globals",
        "locals",
    ]
)
# their functions only compute, or keep to themselves what they change: memos, counters, random numbers
PURE_MODULES = frozenset(
    [
        "abc",
        "_abc",
        "base64",
        "binascii",
        "bisect",
        "_bisect",
        "calendar",
        "cmath",
        "collections",
        "collections.abc",
        "_collections",
        "_collections_abc",
        "colorsys",
        "contextlib",
        "copy",
        "copyreg",
        "dataclasses",
        "datetime",
        "_datetime",
        "decimal",
        "_decimal",
        "difflib",
        "enum",
        "fnmatch",
        "fractions",
        "functools",
        "_functools",
        "hashlib",
        "_hashlib",
        "_blake2",
        "_sha2",
        "heapq",
        "_heapq",
        "hmac",
        "html",
        "html.parser",
        "html.entities",
        "ipaddress",
        "itertools",
        "json",
        "json.encoder",
        "json.decoder",
        "keyword",
        "locale",
        "_locale",
        "math",
        "numbers",
        "operator",
        "_operator",
        "os.path",
        "pathlib",
        "pathlib._local",
        "posixpath",
        "ntpath",
        "pprint",
        "random",
        "_random",
        "re",
        "re._parser",
        "re._compiler",
        "_sre",
        "secrets",
        "statistics",
        "string",
        "_string",
        "struct",
        "_struct",
        "textwrap",
        "time",
        "types",
        "typing",
        "_typing",
        "typing_extensions",
        "unicodedata",
        "urllib.parse",
        "uuid",
        "weakref",
        "_weakref",
        "_weakrefset",
        "zlib",
        "zoneinfo",
        "contextvars",
        "_contextvars",
        "threading",
        "_thread",
        "inspect",
        "warnings",
        "_warnings",
        "linecache",
        "tokenize",
        "token",
        "ast",
        "_ast",
        "dis",
        "opcode",
        "reprlib",
        "markupsafe",
        "markupsafe._native",
        "markupsafe._speedups",
        "greenlet",
    ]
)
PURE_NAMES = frozenset(
    [
        ("os", "getenv"),
        ("os", "fspath"),
        ("os", "getpid"),
        ("os", "urandom"),
        ("sys", "intern"),
        ("sys", "_getframe"),
        ("sys", "exc_info"),
        ("sys", "getsizeof"),
        ("logging", "getLogger"),
        ("importlib.util", "find_spec"),
        ("importlib.metadata", "version"),
        ("pkgutil", "get_data"),
        ("flask.blueprints", "Blueprint"),
        ("flask.sansio.blueprints", "Blueprint"),
    ]
)
IMPURE_NAMES = frozenset(
    [
        ("threading", "Thread"),
        ("threading", "Timer"),
        ("time", "sleep"),
        ("weakref", "finalize"),
        ("pathlib", "Path.open"),
        ("random", "seed"),
        ("warnings", "simplefilter"),
        ("warnings", "filterwarnings"),
        ("locale", "setlocale"),
    ]
)
# methods of these that touch files, whatever class of paths it is
IMPURE_METHODS = frozenset(
    [
        "open",
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "mkdir",
        "touch",
        "unlink",
        "rmdir",
        "rename",
        "replace",
        "chmod",
        "symlink_to",
        "start",
        "acquire",
        "release",
        "join",
        "sleep",
    ]
)
# decorators, and makers of decorators, that give back what they decorate
GIVE_BACK = frozenset(
    [
        ("functools", "total_ordering"),
        ("abc", "abstractmethod"),
        ("enum", "unique"),
        ("typing", "final"),
        ("typing", "overload"),
        ("typing", "override"),
        ("typing", "no_type_check"),
        ("typing", "runtime_checkable"),
        ("typing_extensions", "final"),
        ("typing_extensions", "override"),
        ("atexit", "unregister"),
    ]
)
# they give a decorator that gives back what it decorates
GIVE_DECORATOR = frozenset(
    [("functools", "wraps"), ("typing", "dataclass_transform"), ("functools", "update_wrapper")]
)
# they make something that calls what they are given
WRAP = frozenset(
    [
        ("functools", "partial"),
        ("functools", "partialmethod"),
        ("functools", "lru_cache"),
        ("functools", "cache"),
        ("contextlib", "contextmanager"),
        ("contextlib", "asynccontextmanager"),
        ("functools", "singledispatchmethod"),
        ("builtins", "staticmethod"),
        ("builtins", "classmethod"),
    ]
)
# modules that reach out of the process, or start something in it
IMPURE_MODULES = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "_posixsubprocess",
        "socket",
        "_socket",
        "ssl",
        "_ssl",
        "select",
        "selectors",
        "io",
        "_io",
        "shutil",
        "tempfile",
        "signal",
        "_signal",
        "atexit",
        "sqlite3",
        "_sqlite3",
        "multiprocessing",
        "concurrent.futures",
        "asyncio",
        "urllib.request",
        "http.client",
        "smtplib",
        "ftplib",
        "ctypes",
        "_ctypes",
        "mmap",
        "fcntl",
        "resource",
        "pty",
        "gc",
        "logging.config",
        "importlib",
    ]
)


def place(value: Any) -> tuple[str, str]:
    """Return the module and the name of a function or class, as it says itself."""
    owner = getattr(value, "__self__", None)
    where = getattr(value, "__module__", None) or getattr(owner, "__name__", None) or ""
    return str(where), str(getattr(value, "__qualname__", getattr(value, "__name__", "")))


def is_builtin(value: Any) -> bool:
    """Whether a callable is one of `builtins`."""
    name = getattr(value, "__name__", "")
    return isinstance(name, str) and vars(builtins).get(name) is value


def is_pure(value: Any) -> bool:
    """Whether it is known that calling something has no effect but its result."""
    if is_builtin(value):
        name = value.__name__
        return name in PURE_BUILTINS or (isinstance(value, type) and issubclass(value, BaseException))
    where, name = place(value)
    if "<locals>" in name:
        return False  # somebody called its maker: it may change what that one made
    if (where, name) in IMPURE_NAMES or name.rpartition(".")[2] in IMPURE_METHODS:
        return False
    return (where, name) in PURE_NAMES or where in PURE_MODULES


def is_impure(value: Any) -> bool:
    """Whether it is known that calling something reaches out of the process, or starts something."""
    where, name = place(value)
    if (where, name) in IMPURE_NAMES:
        return True
    return (where in IMPURE_MODULES or where.partition(".")[0] in ("asyncio", "multiprocessing")) and (
        where,
        name,
    ) not in PURE_NAMES


def environ() -> object:
    """Return the process's environment, whose methods only look while we judge."""
    return sys.modules["os"].environ


@functools.cache
def log_methods() -> frozenset[Any]:
    """Return the methods by which something is logged: their effect is what a log is for."""
    names = ("debug", "info", "warning", "error", "critical", "exception", "log")
    return frozenset(vars(logging.Logger)[name] for name in names)
