"""What an edit of a module means, in words: from its two versions. Pure, and for people only.

::

    index: body, route /cart gains POST
    Order: +nickname ~total
    +vat_rate

What the server makes of it is another matter: only its plan says whether it can go live, and how.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from ..errors import BuildError
from ..piece import digest_node, is_string
from ..source import Source

METHODS = frozenset({"get", "post", "put", "delete", "patch"})
LAYOUT = "only comments, layout or order"
Function = ast.FunctionDef | ast.AsyncFunctionDef
_Routes = Mapping[str, frozenset[str]]
"""Path -> methods."""


def edits(old: Source, new: Source) -> tuple[str, ...]:
    """Return what differs between two versions, one text for each name; nothing if one is no Python."""
    try:
        before, after = ([piece.node for piece in source.parsed.pieces] for source in (old, new))
    except BuildError:
        return ()
    return tuple(_of_statements(before, after)) or (LAYOUT,)


def _of_statements(before: Sequence[ast.stmt], after: Sequence[ast.stmt]) -> Iterable[str]:
    olds, news = _only_there(before, after), _only_there(after, before)
    yield from _of_imports(olds, news)
    was, now = _by_name(olds), _by_name(news)
    for name, node in now.items():
        yield _changed(name, was[name], node) if name in was else f"+{name}{_of_routes(node)}"
    yield from (f"-{name}{_of_routes(node)}" for name, node in was.items() if name not in now)


def _only_there(these: Iterable[ast.stmt], others: Iterable[ast.stmt]) -> list[ast.stmt]:
    digests = set(map(digest_node, others))
    return [node for node in these if digest_node(node) not in digests]


def _by_name(nodes: Iterable[ast.stmt]) -> dict[str, ast.stmt]:
    """Return the statements but imports by the name that each binds; one that binds none, by its text."""
    found: dict[str, ast.stmt] = {}
    for node in nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            found[_name(node)] = node  # of two with one name, the last is what it means
    return found


def _name(node: ast.stmt) -> str:
    if isinstance(node, Function | ast.ClassDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    if len(targets) == 1 and isinstance(targets[0], ast.Name):
        return targets[0].id
    if is_string(node):
        return "docstring"
    first = ast.unparse(node).partition("\n")[0]
    return f"`{first[:37]}...`" if len(first) > 40 else f"`{first}`"


def _changed(name: str, old: ast.stmt, new: ast.stmt) -> str:
    if isinstance(old, Function) and isinstance(new, Function):
        return f"{name}: {', '.join(_of_function(old, new))}"
    if isinstance(old, ast.ClassDef) and isinstance(new, ast.ClassDef):
        return f"{name}: {' '.join(_of_class(old, new))}"
    return f"{name}: value" if type(old) is type(new) else f"{name}: another kind of thing"


def _of_function(old: Function, new: Function) -> list[str]:
    """Return what differs in a function: in the order in which people would ask."""
    body, was = _without_docstring(new.body), _without_docstring(old.body)
    others, routes = _decorators(new)
    others_before, routes_before = _decorators(old)
    parts = {
        "body": _differ(was, body) or type(old) is not type(new),
        "arguments": _differ([old.args], [new.args]),
        "annotation": _differ([old.returns], [new.returns]),
        "docstring": ast.get_docstring(old) != ast.get_docstring(new),
        "decorators": _differ(others_before, others),
    }
    words = [*(part for part, differs in parts.items() if differs), *_of_paths(routes_before, routes)]
    return words or ["decorators"]  # the same routes, said in another way


def _of_class(old: ast.ClassDef, new: ast.ClassDef) -> list[str]:
    """Return what differs in a class: its members by name."""
    was, now = _by_name(_only_there(old.body, new.body)), _by_name(_only_there(new.body, old.body))
    header = {
        "bases": _differ([*old.bases, *old.keywords], [*new.bases, *new.keywords]),
        "decorators": _differ(old.decorator_list, new.decorator_list),
    }
    return [
        *(part for part, differs in header.items() if differs),
        *(f"{'~' if name in was else '+'}{name}" for name in now),
        *(f"-{name}" for name in was if name not in now),
    ] or ["order"]


def _differ(old: Sequence[ast.AST | None], new: Sequence[ast.AST | None]) -> bool:
    return [node and digest_node(node) for node in old] != [node and digest_node(node) for node in new]


def _without_docstring(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    return body[1:] if is_string(body[0]) else body


def _decorators(node: Function) -> tuple[list[ast.expr], _Routes]:
    """Return the decorators that make no route, and the routes that the others make."""
    others: list[ast.expr] = []
    routes: dict[str, frozenset[str]] = {}
    for decorator in node.decorator_list:
        route = _route(decorator)
        if route is None or route[0] in routes:
            others.append(decorator)
        else:
            routes[route[0]] = route[1]
    return others, routes


def _route(decorator: ast.expr) -> tuple[str, frozenset[str]] | None:
    """Return the path and methods of a decorator that is plainly a route, and says nothing more of it."""
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
        return None
    verb, wishes = decorator.func.attr, {keyword.arg: keyword.value for keyword in decorator.keywords}
    path = [arg.value for arg in decorator.args if isinstance(arg, ast.Constant)]
    if len(decorator.args) != 1 or len(path) != 1 or type(path[0]) is not str:
        return None
    if verb in METHODS and not wishes:
        return path[0], frozenset({verb.upper()})
    if verb != "route" or wishes.keys() - {"methods"}:
        return None
    methods = _words(wishes.get("methods"))
    return None if methods is None else (path[0], methods)


def _words(methods: ast.expr | None) -> frozenset[str] | None:
    """Return the methods that are listed; GET if there is no list, None if that can't be told."""
    if methods is None:
        return frozenset({"GET"})
    if not isinstance(methods, ast.List | ast.Tuple | ast.Set):
        return None
    words = [word.value for word in methods.elts if isinstance(word, ast.Constant)]
    known = [word.upper() for word in words if isinstance(word, str)]
    return frozenset(known) if len(known) == len(methods.elts) else None


def _of_paths(old: _Routes, new: _Routes) -> Iterable[str]:
    for path in new:
        gained = _list(new[path] - old.get(path, frozenset()))
        lost = _list(old.get(path, frozenset()) - new[path])
        if path not in old:
            yield f"+route {gained} {path}"
        elif gained or lost:
            words = [f"gains {gained}" if gained else "", f"loses {lost}" if lost else ""]
            yield f"route {path} {' and '.join(filter(None, words))}"
    yield from (f"-route {_list(old[path])} {path}" for path in old if path not in new)


def _list(methods: Iterable[str]) -> str:
    return ", ".join(sorted(methods))


def _of_routes(node: ast.stmt) -> str:
    """Return the routes of a view that comes or goes, to stand after its name."""
    if not isinstance(node, Function):
        return ""
    _, routes = _decorators(node)
    return "".join(f", {_list(methods)} {path}" for path, methods in routes.items())


def _of_imports(olds: Iterable[ast.stmt], news: Iterable[ast.stmt]) -> Iterable[str]:
    was, now = _imported(olds), _imported(news)
    words = [f"{'~' if name in was else '+'}{name}" for name in now if was.get(name) != now[name]]
    words += [f"-{name}" for name in was if name not in now]
    if words:
        yield f"imports: {' '.join(words)}"


def _imported(nodes: Iterable[ast.stmt]) -> dict[str, str]:
    """Return the names that import statements bind -> from where."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            found |= {alias.asname or alias.name: f"{origin}:{alias.name}" for alias in node.names}
    return found
