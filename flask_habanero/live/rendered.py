"""Templates that change, and who has read some at the start: only a start reads them again.

What requests read is compiled anew, and memos that may hold what was made of a template are emptied. A module
that keeps a template, or a page, has the one that was there when it was imported; and what a release runs,
it runs before its templates are served.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from ..piece import Piece
from ..source import Source, once_for_each_source
from . import bodies, reading, variables
from .sides import sides

if TYPE_CHECKING:
    from .draft import Draft
    from .startup import Function

READING = frozenset(
    [
        "get_or_select_template", "get_template", "get_template_attribute", "list_templates",
        "render_template", "render_template_string", "select_template", "stream_template",
        "stream_template_string",
    ]
)  # fmt: skip
"""Names of Flask's, and methods of Jinja's environments, that read templates."""


def check(draft: Draft) -> None:
    """Refuse a change of templates where a statement, or a function that ran at the start, reads some."""
    if not draft.templates:
        return
    target = draft.out.target
    for name in sorted({*draft.loaded, *draft.units} & target.keys()):
        for piece in _reading(target[name]):
            _refuse(draft, draft.where(name, piece), ast.unparse(piece.node).splitlines()[0][:60])
    for key in list(draft.program.books.ran):
        if key[0] in target and _says(target[key[0]]):
            for node in _definitions(draft, key):
                if _reads(variables.of_body(node), _words(target[key[0]])):
                    _refuse(draft, f"{key[0]}:{node.lineno}", f"{key[1]}()")


def _definitions(draft: Draft, key: Function) -> Iterator[bodies.Function]:
    """Yield the definition of a function as it will be; of one made in another, all of its name in that."""
    both = sides(draft, key)
    if both is not None:
        yield both[1]
    elif "<locals>" in key[1]:
        last = key[1].rpartition(".")[2]
        every = (one for piece in draft.parsed(key[0]).pieces for one in ast.walk(piece.node))
        yield from (one for one in every if isinstance(one, bodies.Function) and one.name == last)


def _refuse(draft: Draft, where: str, what: str) -> None:
    draft.refuse("stale", where, f"`{what}` reads templates when the app starts, and templates change")


@once_for_each_source
def _says(source: Source) -> bool:
    return any(word in source.text for word in READING)


@once_for_each_source
def _words(source: Source) -> frozenset[str]:
    """Return by what names a module calls what reads templates."""
    return READING | {item.bound for _, item in reading.imported(source) if item.name in READING}


@once_for_each_source
def _reading(source: Source) -> tuple[Piece, ...]:
    """Return the statements of a module that read templates while it is imported, as far as they say so."""
    if not _says(source):
        return ()
    words = _words(source)
    return tuple(one for one in source.parsed.pieces if _reads(variables.at_import(one.node), words))


def _reads(nodes: Iterable[ast.AST], words: AbstractSet[str]) -> bool:
    """Whether some nodes call one of some functions, or give it to another one, as `map` and `partial`."""
    calls = [one for one in nodes if isinstance(one, ast.Call)]
    given = (arg for one in calls if isinstance(one.func, ast.Name) for arg in one.args)
    return any(_last(one) in words for one in (*(call.func for call in calls), *given))


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
