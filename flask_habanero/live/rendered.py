"""Who reads templates when the app starts: only a start reads them again, and that reads those on the disk.

What requests read is compiled anew, and memos that may hold what was made of a template are emptied. A module
that keeps a template, or a page, has the one that was there when it was imported. What a release runs, and
what a process imports that starts, runs before the templates are served that were pushed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import Reason
from ..piece import once_for_each_node
from ..source import Source, once_for_each_source
from . import bodies, names, reading, variables

if TYPE_CHECKING:
    from .startup import Function

READING = frozenset(
    [
        "get_or_select_template", "get_template", "get_template_attribute", "list_templates",
        "render_template", "render_template_string", "select_template", "stream_template",
        "stream_template_string",
    ]
)  # fmt: skip
"""Names of Flask's, and methods of Jinja's environments, that read templates."""


def readers(tree: Mapping[str, Source], ran: Iterable[Function]) -> Iterator[Reason]:
    """Yield what of an app reads templates when it starts, as reasons against other templates.

    Args:
        tree: the app's modules.
        ran: the functions that ran at the start.
    """
    began = {(module, _known_as(qualname)) for module, qualname, _ in ran}
    for name, source in sorted(tree.items()):
        for piece in source.parsed.pieces if _says(source) else ():
            for known, (line, called) in _called(piece.node).items():
                if (known == _IMPORT or (name, known) in began) and not called.isdisjoint(_words(source)):
                    text = ast.unparse(piece.node).splitlines()[0][:60] if known == _IMPORT else f"{known}()"
                    yield _reason(f"{name}:{line}", text)


def _reason(where: str, what: str) -> Reason:
    said = f"`{what}` reads templates when the app starts, and then those on the disk"
    return Reason("template-read", where, said, "deploy, which makes them files on the disk")


_IMPORT, _LOCAL = "", "<locals>."


def _known_as(qualname: str) -> str:
    """Return the name of a function; of one made in another, its own name there."""
    _, made_in, last = qualname.rpartition(_LOCAL)
    return made_in + last


@once_for_each_source
def _says(source: Source) -> bool:
    return any(word in source.text for word in READING)


@once_for_each_source
def _words(source: Source) -> frozenset[str]:
    """Return by what names a module calls what reads templates."""
    return READING | {item.bound for _, item in reading.imported(source) if item.name in READING}


@once_for_each_node
def _called(node: ast.stmt) -> dict[str, tuple[int, frozenset[str]]]:
    """Return what a statement calls where it stands, and each of its functions: line, and last names."""
    found = {_IMPORT: (node.lineno, _calls(variables.at_import(node)))}
    for qualname, one in names.functions_in(node):
        found[qualname] = one.lineno, _calls(variables.of_body(one))
        for inner in ast.walk(one):
            if isinstance(inner, bodies.Function) and inner is not one:
                name = _LOCAL + inner.name  # of several that have it: any
                calls = _calls(variables.of_body(inner)) | found.get(name, (0, frozenset()))[1]
                found[name] = inner.lineno, calls
    return found


def _calls(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Return what is called, and what is given to a function, as `map` and `partial` are."""
    calls = [one for one in nodes if isinstance(one, ast.Call)]
    given = (arg for one in calls if isinstance(one.func, ast.Name) for arg in one.args)
    return frozenset(map(_last, (*(call.func for call in calls), *given)))


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
