"""What is known of the functions of Python itself, of its library, and of Flask: what calling them does.

Most only compute. What is not here, and has a source, is read; what has none can't be told. Of what those
call that only compute, and what they change of what they are given, `callbacks.py` tells.
"""

from __future__ import annotations

import builtins
import functools
import logging
import sys
import types
from collections.abc import Iterable, MutableMapping
from typing import Any


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


PURE_BUILTINS = words(
    """abs all any ascii bin bool bytearray bytes callable chr complex delattr dict dir divmod enumerate
    filter float format frozenset getattr globals hasattr hash hex id int isinstance issubclass iter len
    list locals map max memoryview min next object oct ord pow print property range repr reversed round set
    setattr slice sorted staticmethod classmethod str sum super tuple type vars zip"""
)
# their functions only compute, or keep to themselves what they change: memos, counters, random numbers
PURE_MODULES = words(
    """abc _abc _ast _blake2 _collections _collections_abc _contextvars _datetime _decimal _functools
    _hashlib _heapq _hmac _locale _operator _random _sha1 _sha2 _sre _string _struct _thread _typing
    _warnings _weakref _weakrefset ast base64 binascii bisect _bisect calendar cmath collections
    collections.abc colorsys contextlib contextvars copy copyreg dataclasses datetime decimal difflib dis
    enum fnmatch fractions functools gettext greenlet hashlib heapq hmac html html.entities html.parser
    inspect ipaddress itertools json json.decoder json.encoder keyword linecache locale markupsafe
    markupsafe._native markupsafe._speedups math ntpath numbers opcode operator os.path pathlib
    pathlib._local posixpath pprint random re re._compiler re._parser reprlib secrets statistics string
    struct textwrap threading time token tokenize types typing typing_extensions unicodedata urllib.parse
    uuid warnings weakref zlib zoneinfo"""
)
PURE_NAMES = frozenset(
    [
        ("flask.blueprints", "Blueprint"),
        ("flask.sansio.blueprints", "Blueprint"),
        ("importlib.metadata", "version"),
        ("importlib.util", "find_spec"),
        ("logging", "getLogger"),
        ("genericpath", "exists"),
        ("genericpath", "isdir"),
        ("genericpath", "isfile"),
        ("os", "fspath"),
        ("posix", "access"),
        ("posix", "fspath"),
        ("posix", "getcwd"),
        ("posix", "getpid"),
        ("posix", "listdir"),
        ("posix", "lstat"),
        ("posix", "scandir"),
        ("posix", "stat"),
        ("posix", "urandom"),
        ("os", "getenv"),
        ("os", "getpid"),
        ("os", "urandom"),
        ("pkgutil", "get_data"),
        ("sys", "_getframe"),
        ("sys", "exc_info"),
        ("sys", "getsizeof"),
        ("sys", "intern"),
    ]
)
# of libraries that describe things: what they make is a description, in use only once it is put somewhere
DESCRIBING = (
    "attr._make.",
    "attr._next_gen.",
    "attr.validators.",
    "pydantic.aliases.",
    "pydantic.fields.",
    "pydantic.functional_serializers.",
    "pydantic.functional_validators.",
    "pydantic.networks.",
    "pydantic.types.",
    "flask_sqlalchemy.extension.SQLAlchemy.relationship",
    "marshmallow_sqlalchemy.convert.ModelConverter.",
    "sqlalchemy.ext.hybrid.",
    "sqlalchemy.orm._orm_constructors.",
    "sqlalchemy.sql._elements_constructors.",
    "sqlalchemy.sql.functions.",
    "sqlalchemy.sql.schema.CheckConstraint",
    "sqlalchemy.sql.schema.Column",
    "sqlalchemy.sql.schema.Computed",
    "sqlalchemy.sql.schema.DefaultClause",
    "sqlalchemy.sql.schema.ForeignKey",
    "sqlalchemy.sql.schema.Identity",
    "sqlalchemy.sql.schema.Index",
    "sqlalchemy.sql.schema.MetaData",
    "sqlalchemy.sql.schema.PrimaryKeyConstraint",
    "sqlalchemy.sql.schema.UniqueConstraint",
    "sqlalchemy.sql.sqltypes.",
    "sqlalchemy.dialects.",
)
# what they are given under these words they call when the class is made that they describe
CALLED_BACK = ("field_title_generator", "field_transformer")
# `__getattr__` that only looks into modules
LOOKING = frozenset([("flask_sqlalchemy.extension", "SQLAlchemy.__getattr__")])
# what such a function gives is an instance of: module, class
_GIVEN = {"marshmallow_sqlalchemy.convert.ModelConverter.field_for": ("marshmallow.fields", "Field")}
IMPURE_NAMES = frozenset(
    [
        ("_abc", "_abc_register"),
        ("_decimal", "setcontext"),
        ("_locale", "bindtextdomain"),
        ("_locale", "setlocale"),
        ("_locale", "textdomain"),
        ("_warnings", "_filters_mutated"),
        ("abc", "ABCMeta.register"),
        ("abc", "update_abstractmethods"),
        ("calendar", "Calendar.setfirstweekday"),
        ("calendar", "setfirstweekday"),
        ("contextlib", "chdir"),
        ("contextlib", "redirect_stderr"),
        ("contextlib", "redirect_stdout"),
        ("copyreg", "add_extension"),
        ("copyreg", "clear_extension_cache"),
        ("copyreg", "constructor"),
        ("copyreg", "pickle"),
        ("copyreg", "remove_extension"),
        ("dataclasses", "make_dataclass"),
        ("dataclasses", "replace"),
        ("decimal", "setcontext"),
        ("enum", "_simple_enum"),
        ("enum", "global_enum"),
        ("gettext", "bindtextdomain"),
        ("gettext", "install"),
        ("gettext", "textdomain"),
        ("gettext", "NullTranslations.install"),
        ("locale", "setlocale"),
        ("pathlib", "Path.open"),
        ("random", "Random.seed"),
        ("random", "Random.setstate"),
        ("threading", "Thread"),
        ("threading", "Timer"),
        ("threading", "setprofile"),
        ("threading", "setprofile_all_threads"),
        ("threading", "settrace"),
        ("threading", "settrace_all_threads"),
        ("threading", "stack_size"),
        ("time", "clock_settime"),
        ("time", "sleep"),
        ("time", "tzset"),
        ("types", "new_class"),
        ("warnings", "filterwarnings"),
        ("warnings", "resetwarnings"),
        ("warnings", "simplefilter"),
        ("weakref", "finalize"),
    ]
)
# classes of these are made to be derived from: their methods call those of the class that derives
TEMPLATES = words(
    """_collections_abc ast calendar collections collections.abc contextlib html.parser json.decoder
    json.encoder pprint random string"""
)
# methods that reach out of the process, or wait, whatever class of a pure module has them
IMPURE_METHODS = words(
    """acquire chmod join mkdir open release rename replace rmdir sleep start
    symlink_to touch unlink write_bytes write_text"""
)
# decorators, and makers of decorators, that give back what they decorate
GIVE_BACK = frozenset(
    [
        ("abc", "abstractmethod"),
        ("dataclasses", "dataclass"),
        ("enum", "unique"),
        ("functools", "total_ordering"),
        ("functools", "update_wrapper"),
        ("typing", "final"),
        ("typing", "no_type_check"),
        ("typing", "overload"),
        ("typing", "override"),
        ("typing", "runtime_checkable"),
        ("typing_extensions", "final"),
        ("typing_extensions", "override"),
    ]
)
# they give a decorator that gives back what it decorates
GIVE_DECORATOR = frozenset([("functools", "wraps"), ("typing", "dataclass_transform")])
# they make something that calls what they are given
WRAP = frozenset(
    [
        ("builtins", "classmethod"),
        ("builtins", "staticmethod"),
        ("contextlib", "asynccontextmanager"),
        ("contextlib", "contextmanager"),
        ("functools", "cache"),
        ("functools", "lru_cache"),
    ]
)
# modules that reach out of the process, or start something in it
IMPURE_MODULES = words(
    """_ctypes _io _posixsubprocess _signal _socket _sqlite3 _ssl atexit concurrent.futures ctypes fcntl
    ftplib gc http.client importlib io logging.config mmap nt os posix pty resource select selectors shutil
    signal smtplib socket sqlite3 ssl subprocess tempfile urllib.request"""
)
IMPURE_PACKAGES = words("asyncio multiprocessing")
# methods that nothing but strings and mappings has under these names, so that they only read
READING_METHODS = words(
    """capitalize casefold center decode encode endswith expandtabs format format_map isalnum isalpha
    isdigit isidentifier islower isspace isupper items keys ljust lower lstrip partition removeprefix
    removesuffix rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper
    values zfill"""
)

# the same for code of libraries, where what is asked so is a string or a mapping all but always
READING_IN_LIBRARIES = words("copy count find get index join replace")


# objects of the classes of these are values: their methods only read them
VALUE_MODULES = words(
    """_datetime _decimal _operator _sre _struct datetime decimal enum fractions functools inspect ipaddress
    json.decoder json.encoder markupsafe operator pathlib pathlib._local random re string struct types typing
    typing_extensions uuid zoneinfo"""
)
_PLAIN = (str, bytes, int, float, complex, bool, type(None))
VALUES = (
    str, bytes, int, float, complex, bool, frozenset, type(None), range, slice, type,
    types.FunctionType, types.BuiltinFunctionType, types.ModuleType,
)  # fmt: skip
# what is made of values of these, by these, only ever leads to others
_CLOSED = words("_datetime _decimal _struct datetime decimal fractions ipaddress math time uuid zoneinfo")
# methods that only read what they are called on, whatever class has them
_READERS = words(
    """__bool__ __call__ __class_getitem__ __contains__ __enter__ __eq__ __exit__ __ge__ __get__ __getitem__
    __gt__ __hash__ __init__ __init_subclass__ __instancecheck__ __iter__ __le__ __len__ __lt__ __ne__ __new__
    __repr__ __set_name__ __str__ __subclasscheck__ copy count get index is_set items keys locked values"""
)
_CHANGERS = words(
    """__delitem__ __iadd__ __ior__ __setitem__ add append appendleft clear difference_update discard extend
    extendleft insert intersection_update move_to_end pop popitem popleft remove reverse rotate setdefault
    sort subtract symmetric_difference_update update"""
)


def may_change(thing: Any, method: str) -> bool:
    """Whether a method of a class of Python's library may change the live object that it is called on."""
    if method in _READERS or method in _CHANGERS:
        return method in _CHANGERS
    if isinstance(thing, VALUES):
        return False
    return not any(cls.__module__ in VALUE_MODULES for cls in type.mro(type(thing)))


def is_closed(where: str, values: Iterable[Any]) -> bool:
    """Whether functions of a module give, for such values, what leads to values only: a time, a number."""
    kinds = [value if isinstance(value, type) else type(value) for value in values]
    return where in _CLOSED and all(kind in _PLAIN or kind.__module__ in _CLOSED for kind in kinds)


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
    cls, _, last = name.rpartition(".")
    if (where, name) in IMPURE_NAMES or (cls and last in IMPURE_METHODS):
        return False
    return (where, name) in PURE_NAMES or where in PURE_MODULES


def describes(value: Any) -> bool:
    """Whether something makes a description: what is done with that changes nothing else."""
    return ".".join(place(value)).startswith(DESCRIBING)


def given(value: Any) -> type | None:
    """Return what a function that makes a description gives an instance of; None if that is not known."""
    if isinstance(value, type):
        return value
    module, cls = _GIVEN.get(".".join(place(value)), ("", ""))
    return getattr(sys.modules.get(module), cls, None)


def is_impure(value: Any) -> bool:
    """Whether it is known that calling something reaches out of the process, or starts something."""
    where, name = place(value)
    if (where, name) in IMPURE_NAMES:
        return True
    reaches_out = where in IMPURE_MODULES or where.partition(".")[0] in IMPURE_PACKAGES
    return reaches_out and (where, name) not in PURE_NAMES


def environ() -> MutableMapping[str, str]:
    """Return the process's environment."""
    found: MutableMapping[str, str] = sys.modules["os"].environ
    return found


@functools.cache
def log_methods() -> frozenset[Any]:
    """Return the methods by which something is logged: their effect is what a log is for."""
    names = ("debug", "info", "warning", "error", "critical", "exception", "log")
    return frozenset(vars(logging.Logger)[name] for name in names)
