"""What code objects tell, on each Python."""

from __future__ import annotations

from types import CodeType

import pytest
from flask_habanero.live import codes


def code(text: str) -> CodeType:
    return compile(text, "a.py", "exec", dont_inherit=True)


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        ("def f(): 'says'", "says"),
        ("def f(): pass", None),
        ("def f(): return 'no'", None),
        ("def f():\n x = 'no'\n return x", None),
        ("async def f():\n 'says'\n return 1", "says"),
        ("def f(): ''", ""),
    ],
)
def test_the_docstring_is_the_one_that_a_function_would_get(text, doc):
    space: dict[str, object] = {}
    exec(text, space)
    assert space["f"].__doc__ == doc
    assert codes.docstring(space["f"].__code__) == doc


def test_code_that_only_moved_does_not_differ():
    one = codes.children(code("def f(x):\n return [x + 1 for y in (lambda: x)()]"))[0]
    moved = codes.children(code("\n\n\ndef f(x):\n return [x + 1 for y in (lambda: x)()]"))[0]
    other = codes.children(code("def f(x):\n return [x + 2 for y in (lambda: x)()]"))[0]
    assert one != moved
    assert not codes.differs(one, moved)
    assert codes.differs(one, other)
