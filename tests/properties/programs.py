"""Small programs for property tests: text that imports, with every kind of statement that we know traps in.

They are strings, not trees: the layout (one line or many, comments, blank lines) is part of what is tested.
Every program ends; it may raise, and then it raises the same when its statements run one by one.
"""

from __future__ import annotations

import sys
import textwrap

from hypothesis import strategies as st

# Not on 3.12: after "class A[T]" its compiler mangles the names that follow in the module's own scope
# (_A__m), which is a fault of its first releases that a statement compiled alone does not share.
PRIVATE = "_m" if sys.version_info[:2] == (3, 12) else "__m"
NAMES = ("a", "b", "c", "f", "g", "_h", PRIVATE, "C", "D", "x1")
names = st.sampled_from(NAMES)

_literals = st.sampled_from(
    (
        "0",
        "1",
        "-2",
        "1.5",
        "2j",
        "None",
        "True",
        "...",
        "'s'",
        "b'by'",
        "u'u'",
        "'a' 'b'",
        "()",
        "[1, 2]",
        "{'k': 1}",
    )
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda t: f"({t[0]}, {t[1]})"),
        two.map(lambda t: f"[{t[0]}, *[{t[1]}]]"),
        two.map(lambda t: f"({t[0]} if {t[1]} else {t[0]})"),
        two.map(lambda t: f"({t[0]} == {t[1]})"),
        two.map(lambda t: f"({t[0]} in ({t[1]},))"),
        two.map(lambda t: f"{{'p': {t[0]}, **{{'q': {t[1]}}}}}"),
        inner.map(lambda e: f"(lambda v=1, *r, k={e}: (v, k, r))"),
        inner.map(lambda e: f"(lambda: {e})()"),
        inner.map(lambda e: f"[i for i in range(2) if {e} is not None]"),
        inner.map(lambda e: f"{{j: {e} for j in 'xy'}}"),
        inner.map(lambda e: f"list((i, {e}) for i in range(2))"),
        inner.map(lambda e: f"[(lambda: (i, {e}))() for i in range(2)]"),
        inner.map(lambda e: f"f'{{ {e}!r:>5}}'"),
        st.tuples(names, inner).map(lambda t: f"({t[0]} := {t[1]})"),
        inner.map(lambda e: f"[c for _ in range(1) if (c := {e}) is None]"),
        inner.map(lambda e: f"({e} in {{'u', 'v', 1}})"),
    )


expressions = st.recursive(st.one_of(_literals, names), _compound, max_leaves=4)
annotations = st.one_of(
    names, st.sampled_from(("int", "'Later'", "list[int]", "Undefined | None", "dict[str, 'x']"))
)


def _indent(body: list[str]) -> str:
    return textwrap.indent("\n".join(body), "    ")


@st.composite
def _parameters(draw: st.DrawFn) -> str:
    annotation, default = draw(annotations), draw(expressions)
    return draw(
        st.sampled_from(
            (
                "",
                "p",
                "p, /, q=1",
                f"p: {annotation} = {default}",
                f"*args, key={default}, **kw",
                f"p=({default}), *, only: {annotation} = 3",
            )
        )
    )


_DECORATORS = (
    "",
    "@(lambda fn: fn)",
    "@keep",
    "@keep\n@keep",
    "@tag('x')  # why",
    "@functools.wraps(keep)",
)


@st.composite
def functions(draw: st.DrawFn, depth: int = 1) -> str:
    name, expression = draw(names), draw(expressions)
    body = draw(
        st.lists(
            st.one_of(
                st.just("'''A docstring,\n    of two lines.'''"),
                st.just("pass  # nothing"),
                expressions.map(lambda e: f"v = {e}"),
                expressions.map(lambda e: f"w: int = {e}"),
                st.just("def inner(n=1):\n    nonlocal_ = n\n    return lambda: (n, nonlocal_, __name__)"),
                st.just("class Local:\n    def m(self):\n        return __class__, self.__private"),
                st.just("global b\nb = 'by a function'"),
                st.just("global made\ndef made():\n    'A function with a global name.'"),
                st.just("cell = 1\ndef bump():\n    nonlocal cell\n    cell += 1\n    return cell\nbump()"),
                st.just("try:\n    raise ValueError(1)\nexcept ValueError as e:\n    caught = e"),
                st.just("try:\n    pass\nfinally:\n    z = [k for k in 'ab']"),
                st.just("assert True, 'gone under -O'"),
                st.just("for i in range(2):\n    if i: break\nelse:\n    pass"),
                *([functions(depth - 1)] if depth else []),
            ),
            max_size=3,
        )
    )
    header = draw(st.sampled_from(("def", "async def") if not depth else ("def", "def", "async def")))
    generic = draw(st.sampled_from(("", "[T]", "[T: int, *Ts, **P]"))) if sys.version_info >= (3, 12) else ""
    returns = draw(st.one_of(st.just(""), annotations.map(lambda a: f" -> {a}")))
    last = draw(
        st.sampled_from((f"return {expression}", f"yield {expression}", "pass", "return locals().keys()"))
    )
    decorator = draw(st.sampled_from(_DECORATORS))
    text = f"{header} {name}{generic}({draw(_parameters())}){returns}:\n{_indent([*body, last])}"
    return f"{decorator}\n{text}" if decorator else text


@st.composite
def classes(draw: st.DrawFn) -> str:
    name, expression, annotation = draw(names), draw(expressions), draw(annotations)
    members = (
        "'''Says what it is.'''",
        "__slots__ = ('one', '__two')",
        f"field: {annotation} = {expression}",
        f"bare: {annotation}",
        "__private = 1\ndef get(self):\n    return self.__private, __class__, super().__repr__",
        "@property\ndef p(self): return self._p\n@p.setter\ndef p(self, v):\n    self._p = self.__q = v",
        "@classmethod\ndef make(cls, *a):\n    return cls(*a)",
        "@staticmethod\ndef plain(): return [x for x in 'ab']",
        "seen = [n for n in range(3)]\nlast = (lambda: 1)()",
        "class Inner:\n    __deep = 2\n    def up(self): return self.__deep, __class__",
        "for _i in range(2): locals()[f'made_{_i}'] = _i",
        "def __init__(self):\n    self.alpha, self.beta = 1, 2\n    self.gamma = super()",
        "async def wait(self):\n    async with self as s, s: yield [y async for y in s]",
        "def __init_subclass__(cls, **kw): cls.kw = kw",
        "if True:\n    def maybe(self): 'x'\nelse:\n    def maybe(self): 'y'",
    )
    body = draw(st.lists(st.sampled_from(members), min_size=1, max_size=4, unique=True))
    bases = draw(st.sampled_from(("", "(object)", "(Base)", "(Base, metaclass=type)", "(*[Base])")))
    decorator = draw(
        st.sampled_from(("", "@dataclasses.dataclass", "@dataclasses.dataclass(frozen=True)\n@keep"))
    )
    generic = draw(st.sampled_from(("", "[T]"))) if sys.version_info >= (3, 12) else ""
    text = f"class {name}{generic}{bases}:\n{_indent(body)}"
    return f"{decorator}\n{text}" if decorator else text


_simple = st.one_of(
    st.tuples(names, expressions).map(lambda t: f"{t[0]} = {t[1]}"),
    st.tuples(names, names, expressions).map(lambda t: f"{t[0]} = {t[1]} = {t[2]}"),
    st.tuples(names, names, expressions).map(lambda t: f"{t[0]}, *{t[1]} = [{t[2]}, 1, 2]"),
    st.tuples(names, annotations, expressions).map(lambda t: f"{t[0]}: {t[1]} = {t[2]}"),
    st.tuples(names, annotations).map(lambda t: f"{t[0]}: {t[1]}"),
    st.tuples(names, names).map(lambda t: f"{t[0]} = lambda q, *, {t[1]}=1: (q, {t[1]})"),
    names.map(lambda n: f"{n} = 1; {n} += 1; del {n}; {n} = (lambda: 1), (lambda: 2)"),
    expressions,
    st.sampled_from(
        (
            "'a string that is not the first statement'",
            "'''another\none'''",
            "b'bytes'",
            "'joined ' 'string'",
            "'added ' + 'string'",
            "f'formatted'",
            "...",
            "pass",
            "import functools, os.path as p",
            "from collections import OrderedDict as _h, deque",
            "assert a, 'no a'",
            "global g",
            "(a, [b, *c]) = 1, (2, 3, 4)",
            "if __debug__: c = 'not optimised'",
            "if __name__ == '__main__': raise SystemExit",
        )
    ),
    *(
        [st.just("type Alias[T] = list[T]"), st.just("type C = C | int")]
        if sys.version_info >= (3, 12)
        else []
    ),
)


@st.composite
def _blocks(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    one, two = _indent([draw(inner)]), _indent([draw(inner)])
    test, name = draw(expressions), draw(names)
    case, other = f"case [1, *{name}] | {{'k': {name}}}:\n", "case object(__class__=k) if k:\n"
    return draw(
        st.sampled_from(
            (
                f"if {test}:\n{one}\nelif not {test}:\n{two}\nelse:\n    pass",
                f"for {name} in range(2):\n{one}\nelse:\n{two}",
                f"while {test}:\n{one}\n    break\nelse:\n{two}",
                f"try:\n{one}\nexcept (NameError, TypeError) as {name}:\n{two}\nfinally:\n    z = lambda: 1",
                f"try:\n{one}\nexcept* ValueError as e:\n{two}",
                f"with keep(__import__('contextlib').nullcontext({test})) as {name}:\n{one}",
                f"match {test}:\n{_indent([case + one, other + two])}\n    case _:\n        pass",
            )
        )
    )


statements = st.recursive(st.one_of(_simple, _simple, functions(), classes()), _blocks, max_leaves=3)

_HEADS = (
    "",
    '"""Docstring."""\n',
    "from __future__ import annotations\n",
    "'''Docstring.'''  # noted\nfrom __future__ import annotations\n",
    "# a comment\nfrom __future__ import (annotations, generator_stop)\n",
)
PRELUDE = """\
import dataclasses, functools
a, b, c = 1, [2], {'three': 3}
def keep(fn): return fn
def tag(text): return lambda fn: (setattr(fn, 'tag', text), fn)[1] if callable(fn) else fn
class Base:
    def __repr__(self): return type(self).__name__
"""


@st.composite
def programs(draw: st.DrawFn, prelude: str = PRELUDE) -> str:
    """Return the text of a module."""
    head = draw(st.sampled_from(_HEADS))
    body = draw(st.lists(statements, min_size=1, max_size=6))
    gaps = draw(st.lists(st.sampled_from(("\n", "\n\n", "\n# between\n", "\n \n")), min_size=6, max_size=6))
    return head + prelude + "".join(text + gap for text, gap in zip(body, gaps, strict=False))
