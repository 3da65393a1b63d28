"""Values that answer nothing outside of a request, as lazy translations do, hold up no plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.properties.generated import Sequence

from .test_cases import FOLDER, read

LAZY = """

from werkzeug.local import LocalProxy as _Proxy
def _outside():
    raise RuntimeError("outside of a request")
_lazy = _Proxy(_outside)
_lists, _by = [_lazy, (_lazy,)], {"key": _lazy}
class _Held:
    one = _lazy
    many = [_lazy]
    def method(self, given=_lazy): pass
def _given(one=_lazy, *, other=_lazy): pass
_given.mark = _lazy
_held = _Held()
_held.attribute = _lazy
"""
EDITS = (  # of what is looked for among such values
    "005-cached-property",
    "009-memo-via-getattr",
    "012-container-alias",
    "081-cond-const",
    "321-regular-expression",
    "325-memos-of-other-kinds",
    "502-release-that-took-from-a-memo",
    "569-resource-of-a-blueprint",
)


def with_lazy_values(sequence: Sequence) -> Sequence:
    """Return a sequence of which each module that is not empty ends with them."""

    def ended(name: str, text: str) -> str:
        return f"{text}{LAZY}" if name.endswith(".py") and text.strip() else text

    sources = [{name: ended(name, text) for name, text in one.items()} for one in sequence.sources]
    return replace(sequence, sources=sources)


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_an_edit_becomes_what_it_would_without_them(bench, name):
    sequence = read(FOLDER / f"{name}.txt").sequence
    without, found = bench.judge(sequence), bench.judge(with_lazy_values(sequence))
    assert not found.bad, (found.bad, found.differences[:5])
    assert found.outcomes == without.outcomes, found.refusals
