"""Grows random projects: what the items of `apps` are filled with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from . import snippets
from .apps import FORMS, Item, Module, Project


class Grower:
    """Makes items for one project.

    Args:
        rng: all that is random comes from here.
        project: is read to know what there is; items are returned, not put into it.
    """

    def __init__(self, rng: Random, project: Project) -> None:
        self.rng = rng
        self.project = project

    # references

    def _candidates(self, module: Module, rank: int, *, now: bool) -> Iterator[Item]:
        here = self.project.modules.index(module)
        for index, other in enumerate(self.project.modules):
            if now and index > here:
                break
            for item in other.items:
                if item.rank >= rank:
                    if now and other is module:
                        break
                    continue
                if index > here and item.kind in ("const", "made", "partial", "lambda"):
                    continue  # bound to an alias by nobody, so that a circle stays lazy
                yield item

    def expression(self, module: Module, rank: int, *, now: bool, depth: int = 2, local: str = "") -> str:
        """Return an expression that gives an int."""
        rng = self.rng
        if depth == 0 or rng.random() < 0.25:
            return str(rng.randrange(1, 90)) if not local or rng.random() < 0.5 else local
        found = [item for item in self._candidates(module, rank, now=now) if item.kind in _USES]
        if not found or rng.random() < 0.15:
            one, two = (self.expression(module, rank, now=now, depth=depth - 1, local=local) for _ in "ab")
            return f"({one} {rng.choice('+-*')} {two})"
        item = rng.choice(found)
        inner = self.expression(module, rank, now=now, depth=depth - 1, local=local)
        return rng.choice(_USES[item.kind])(item, inner)

    def pick(self, module: Module, rank: int, kind: str, *, now: bool = True) -> str | None:
        """Return the name of an item of a kind that may be referred to."""
        found = [item.name for item in self._candidates(module, rank, now=now) if item.kind == kind]
        return self.rng.choice(found) if found else None

    # items

    def item(self, module: Module, rank: int, kind: str) -> Item | None:
        """Return a new item of a kind, or None if what it needs is not there."""
        made: Item | None = getattr(self, f"_{kind}")(module, rank)
        if made is not None:
            made.before = self.before()
        return made

    def before(self) -> str:
        """Return blank lines and comments."""
        return self.rng.choice(("", "\n", "\n\n", "\n# a comment\n", "# close\n", "\n\n\n"))

    def _const(self, module: Module, rank: int) -> Item:
        rng, name = self.rng, self.project.fresh(self.rng.choice(("LIMIT", "RATE", "_hidden")))
        value = self.expression(module, rank, now=True)
        other = self.expression(module, rank, now=True, depth=1)
        form = rng.choice(("int", "int", "int", "list", "dict", "tuple", "set", "text", "comp"))
        texts = {
            "int": value,
            "list": f"[{value}, {other}]",
            "dict": f"{{'a': {value}, 'b': {other}}}",
            "tuple": f"({value}, {other})",
            "set": f"frozenset([{value}])",
            "text": f"f'v{{{value}}}'",
            "comp": f"[k + {other} for k in range(3)]",
        }
        parts = {"value": texts[form], "form": form, "test": rng.choice(("True", "1 > 2", f"{other} > 3"))}
        if rng.random() < 0.3:
            parts["hint"] = {"int": "int", "list": "list[int]", "dict": "dict", "text": "str"}.get(
                form, "object"
            )
        return Item("const", name, rank, parts, rng.choice(("", "", "", "", "if", "try")))

    def _func(self, module: Module, rank: int) -> Item:
        rng = self.rng
        parts = {
            "default": self.expression(module, rank, now=True, depth=rng.choice((0, 0, 1))),
            "value": self.expression(module, rank, now=False, local="x"),
            "inner": self.expression(module, rank, now=False, depth=1),
            "test": rng.choice(("True", "False", "1 < 2")),
        }
        if rng.random() < 0.4:
            parts["doc"] = f"Says {rng.randrange(9)}."
        if rng.random() < 0.3:
            exc = self.pick(module, rank, "class")
            parts["hint"] = rng.choice(("int", "'int | None'", f"«{exc}»" if exc else "object"))
        if rng.random() < 0.2:
            parts["extra"] = self.expression(module, rank, now=True, depth=1)
        if rng.random() < 0.2:
            parts["first"] = "x = x or 1"
        item = Item(
            "func",
            self.project.fresh("f"),
            rank,
            parts,
            rng.choice(("", "", "", "nested", "comprehension", "if")),
        )
        item.decorators = self.decorators(module, rank, memo=True)
        return item

    def decorators(self, module: Module, rank: int, *, memo: bool = False) -> list[str]:
        """Return decorators for a function that gives a number."""
        rng, found = self.rng, []
        if rng.random() < 0.3:
            name = self.pick(module, rank, "deco")
            found += [f"«{name}»"] if name else []
        if rng.random() < 0.25:
            name = self.pick(module, rank, "decof")
            found += [f"«{name}»({self.expression(module, rank, now=True, depth=1)})"] if name else []
        if memo and rng.random() < 0.2:
            found += [
                rng.choice(("functools.lru_cache", "functools.lru_cache(maxsize=8)", "functools.cache"))
            ]
        return found

    def _lambda(self, module: Module, rank: int) -> Item:
        value = self.expression(module, rank, now=False, local="x")
        parts = {"default": self.expression(module, rank, now=True, depth=1), "value": value}
        return Item("lambda", self.project.fresh("lam"), rank, parts)

    def _partial(self, module: Module, rank: int) -> Item | None:
        of = self.pick(module, rank, "func")
        value = self.expression(module, rank, now=True, depth=1)
        return Item("partial", self.project.fresh("part"), rank, {"of": of, "value": value}) if of else None

    def _maker(self, module: Module, rank: int) -> Item:
        parts = {
            "default": "2",
            "inner": self.expression(module, rank, now=False, depth=1),
            "value": self.expression(module, rank, now=False, depth=1, local="x"),
            "free": self.rng.choice(("k", "k", "n")),
        }
        return Item("maker", self.project.fresh("make"), rank, parts)

    def _made(self, module: Module, rank: int) -> Item | None:
        of = self.pick(module, rank, "maker")
        value = self.expression(module, rank, now=True, depth=1)
        return Item("made", self.project.fresh("made"), rank, {"of": of, "value": value}) if of else None

    def _deco(self, module: Module, rank: int) -> Item:
        parts = {"value": self.expression(module, rank, now=False, depth=1)}
        if self.rng.random() < 0.3:
            parts["doc"] = "Decorates."
        if self.rng.random() < 0.3:
            parts["mark"] = f"    wrapper.mark = {self.rng.randrange(9)}\n"
        return Item("deco", self.project.fresh("deco"), rank, parts)

    def _decof(self, module: Module, rank: int) -> Item:
        parts = {"value": self.expression(module, rank, now=False, depth=1), "default": "1"}
        return Item("decof", self.project.fresh("decof"), rank, parts)

    def member(self, module: Module, rank: int, kind: str, base: Item | None = None) -> dict[str, str]:
        """Return a member of a class."""
        now = kind == "attr"
        local = "x" if kind in ("method", "static", "decorated") else ""
        made = {
            "kind": kind,
            "name": self.project.fresh("m"),
            "value": self.expression(module, rank, now=now, depth=2, local=local),
            "default": self.expression(module, rank, now=True, depth=1),
        }
        if kind == "attr":
            made["hint"] = self.rng.choice(("", "", ": int", ": ClassVar[int]"))
        if kind == "method" and self.rng.random() < 0.2:
            made["doc"] = f'        """Does {self.rng.randrange(9)}."""\n'
        if kind == "super":
            methods = [m["name"] for m in base.members if m["kind"] in ("method", "super")] if base else []
            if not methods:
                made["kind"] = "method"
            else:
                made["name"] = self.rng.choice(methods)
        if kind == "decorated":
            by = self.pick(module, rank, "deco")
            made["by"] = f"«{by}»" if by else "staticmethod"
            if not by:
                made["kind"] = "method"
        return made

    def _class(self, module: Module, rank: int) -> Item:
        rng = self.rng
        base = self.pick(module, rank, "class") if rng.random() < 0.5 else None
        parent = self.project.item(base) if base else None
        size = {"kind": "attr", "name": "SIZE", "value": self.expression(module, rank, now=True, depth=1)}
        run = self.member(module, rank, "super" if parent else "method", parent)
        members = [size] if not parent or rng.random() < 0.3 else []
        if not parent:
            run["name"] = "run"
        members.append(run)
        kinds = ("attr", "method", "property", "static", "classmethod", "init", "decorated", "super")
        for _ in range(rng.randrange(4)):
            members.append(self.member(module, rank, rng.choice(kinds), parent))
            if members[-1]["kind"] == "init":
                members[-1]["name"] = "__init__"
        unique = {m["name"]: m for m in members}
        parts = {"base": f"«{base}»" if base else rng.choice(("", "", "object", "abc.ABC"))}
        if rng.random() < 0.3:
            parts["doc"] = f"Is {rng.randrange(9)}."
        return Item("class", self.project.fresh("C"), rank, parts, members=list(unique.values()))

    def _data(self, module: Module, rank: int) -> Item:
        members = [
            {"name": f"n{k}", "value": self.expression(module, rank, now=True, depth=1)}
            for k in range(self.rng.randrange(1, 4))
        ]
        parts = {"value": self.expression(module, rank, now=False, depth=1)}
        return Item(
            "data",
            self.project.fresh("D"),
            rank,
            parts,
            self.rng.choice(("", "", "(frozen=True)", "(slots=True)")),
            members=members,
        )

    def _enum(self, module: Module, rank: int) -> Item:
        members = [{"name": name, "value": self.expression(module, rank, now=True, depth=1)} for name in "AB"]
        return Item("enum", self.project.fresh("E"), rank, {}, members=members)

    def _exc(self, module: Module, rank: int) -> Item:
        return Item(
            "exc",
            self.project.fresh("Oops"),
            rank,
            {"value": self.expression(module, rank, now=True, depth=1)},
        )

    def _instance(self, module: Module, rank: int) -> Item | None:
        of = self.pick(module, rank, self.rng.choice(("class", "data")))
        return (
            Item(
                "const", self.project.fresh("one"), rank, {"value": f"«{of}»()", "form": "instance", "of": of}
            )
            if of
            else None
        )

    def _snippet(self, module: Module, rank: int) -> Item | None:
        group = self.rng.choice([*snippets.USES, "web", "web", *snippets.CHANGED, "rebound", "setting"])
        style = f"{group}:{self.rng.randrange(len(snippets.GROUPS[group]))}"
        item = Item("snippet", self.project.fresh("s"), rank, {}, style)
        return item if self.fill(module, item) else None

    def fill(self, module: Module, item: Item) -> bool:
        """Fill the slots of a snippet; return whether there was something for each."""
        texts = {name: self.expression(module, item.rank, now=True, depth=1) for name in "vw"}
        texts["b"] = self.expression(module, item.rank, now=False, depth=1)
        group = item.style.partition(":")[0]
        if group in snippets.CHANGED:
            changed = self._changeable(module, item.rank, snippets.CHANGED[group])
            if changed is None:
                return False
            texts["c"] = f"«{changed}»"
        if group == "rebound":
            bound = self._changeable(module, item.rank, "int")
            if bound is None or self.project.home(bound) is not module:
                return False
            texts["g"] = f"«name:{bound}»"
        if group in ("web", "setting", "asked"):
            target = self._target(module, item.rank)
            if target is None or (group != "web" and target != "app"):
                return False
            texts["t"] = f"«{target}»"
        if item.style.startswith("reader"):
            read = self.pick(module, item.rank, "const")
            home = self.project.home(read) if read else None
            if home is None or home is module or home.name == "__init__":
                return False
            texts.update(m=f"«module:{home.name}»", a=f"«name:{read}»")
        item.parts = texts
        return True

    def _changeable(self, module: Module, rank: int, form: str) -> str | None:
        """Return the name of a constant of a form, or of a class, that may be changed in place."""
        kind = "class" if form == "class" else "const"
        found = [
            item.name
            for item in self._candidates(module, rank, now=True)
            if item.kind == kind and (form == "class" or item.parts.get("form") == form)
        ]
        return self.rng.choice(found) if found else None

    # what Flask is told

    def answer(self, module: Module, rank: int, local: str = "") -> str:
        """Return the expression that a view returns."""
        value = self.expression(module, rank, now=False, local=local)
        forms = (
            "f'{%s}'",
            "str(%s)",
            "{'v': %s}",
            "render_template_string('{{ v }}', v=%s)",
            "jsonify(%s)",
            "(str(%s), 201)",
        )
        return self.rng.choice(forms) % value

    def _target(self, module: Module, rank: int) -> str | None:
        found = [
            i.name
            for i in self._candidates(module, rank, now=True)
            if i.kind == "raw" and i.style in ("app", "bp")
        ]
        here = [name for name in found if self.project.home(name) is module]
        apps = [name for name in found if name == "app"]
        return self.rng.choice(here or apps or found) if found else None

    def _view(self, module: Module, rank: int) -> Item | None:
        rng, target = self.rng, self._target(module, rank)
        if target is None:
            return None
        name = self.project.fresh("view")
        style = rng.choice(("", "", "", "", "", "add", "methodview", "lambda", "loop"))
        path = rng.choice((f"/{name}", f"/{name}", f"/{name}/<int:n>", "/<int:n>", "/item/<n>", f"/{name}/"))
        over = self.pick(module, rank, "const")
        known = self.project.item(over) if over else None
        many = f"«{over}»" if known and known.parts.get("form") in ("list", "tuple", "dict") else "('p', 'q')"
        path = f"/{name}" if style == "loop" else path
        options = rng.choice(("", "", "", ", methods=['GET', 'POST']", ", strict_slashes=False"))
        if style in ("lambda", "", "add") and rng.random() < 0.1:
            options += ", defaults={}"
        parts = {
            "target": f"«{target}»",
            "path": path,
            "options": options,
            "over": many,
            "answer": self.answer(module, rank, "int(n)" if "<" in path else ""),
        }
        item = Item("view", name, rank, parts, style)
        if not style and rng.random() < 0.4 and "str(" in parts["answer"] and "," not in parts["answer"]:
            by = self.pick(module, rank, "deco")
            item.decorators = [f"«{by}»"] if by else []
        return item

    def _hook(self, module: Module, rank: int) -> Item | None:
        rng, target = self.rng, self._target(module, rank)
        if target is None:
            return None
        item = self.project.item(target)
        app = item is not None and item.style == "app"
        both = (
            "before_request",
            "after_request",
            "context_processor",
            "teardown_request",
            "errorhandler",
            "url_value_preprocessor",
        )
        style = rng.choice(
            (*both, "template_filter", "template_global", "command")
            if app
            else (
                *both,
                "before_app_request",
                "app_errorhandler",
                "app_template_filter",
                "app_context_processor",
                "after_app_request",
            )
        )
        local = "x" if "template" in style else ""
        exc = self.pick(module, rank, "exc")
        name = self.project.fresh("hook")
        parts = {
            "target": f"«{target}»",
            "value": self.expression(module, rank, now=False, depth=1, local=local),
            "what": rng.choice(("404", "404", "405", f"«{exc}»" if exc else "ValueError")),
            "as": rng.choice(("", repr(name), "'shared'")) if "filter" in style else "",
        }
        return Item("hook", name, rank, parts, style)


_USES = {
    "const": [
        lambda i, e: {
            "list": f"sum(«{i.name}»)",
            "comp": f"len(«{i.name}»)",
            "tuple": f"«{i.name}»[0]",
            "dict": f"«{i.name}»['a']",
            "set": f"len(«{i.name}»)",
            "text": f"len(«{i.name}»)",
            "instance": f"len(type(«{i.name}»).__name__)",
        }.get(i.parts.get("form", ""), f"«{i.name}»")
    ],
    "func": [lambda i, e: f"«{i.name}»({e})", lambda i, e: f"«{i.name}»()"],
    "lambda": [lambda i, e: f"«{i.name}»({e})"],
    "partial": [lambda i, e: f"«{i.name}»()"],
    "made": [lambda i, e: f"«{i.name}»({e})"],
    "maker": [lambda i, e: f"«{i.name}»({e})()"],
    "class": [
        lambda i, e: f"«{i.name}».SIZE",
        lambda i, e: f"«{i.name}»().run({e})",
        lambda i, e: f"«{i.name}».SIZE",
    ],
    "data": [lambda i, e: f"«{i.name}»().total()", lambda i, e: f"«{i.name}»(n0={e}).total()"],
    "enum": [lambda i, e: f"«{i.name}».A.value", lambda i, e: f"len(«{i.name}»)"],
    "snippet": [lambda i, e: _snippet_use(i, e, 0), lambda i, e: _snippet_use(i, e, -1)],
    "exc": [lambda i, e: f"«{i.name}».code"],
}


def _snippet_use(item: Item, inner: str, which: int) -> str:
    forms = snippets.USES.get(item.style.partition(":")[0], ("1",))
    return forms[which].format(n=item.name, e=inner)


KINDS = (
    *["snippet"] * 6,
    *["const"] * 5, *["func"] * 6, "lambda", "partial", "maker", "made", "made", "deco", "decof",
    *["class"] * 3, "data", "enum", "exc", "instance",
)  # fmt: skip
WEB = ("view", "view", "view", "hook", "snippet")
HEADER = (
    "import abc\nimport contextlib\nimport dataclasses\nimport enum\nimport functools\n"
    "from typing import ClassVar\n\n"
    "from flask import Blueprint, Flask, g, jsonify, render_template_string\n"
    "from flask.views import MethodView\n"
)


def grow(rng: Random) -> Project:
    """Return a random project that starts (nearly always)."""
    package = rng.choice(("shop", "shop", ""))
    project = Project(package, [], "")
    grower = Grower(rng, project)
    names = [f"m{k}" for k in range(rng.randrange(1, 4))]
    rank = 0

    def fill(module: Module, kinds: tuple[str, ...], count: int) -> None:
        nonlocal rank
        for _ in range(count):
            rank += 10
            item = grower.item(module, rank, rng.choice(kinds))
            if item is not None:
                module.items.append(item)

    for name in names:
        module = Module(name, [], header=HEADER)
        project.modules.append(module)
        fill(module, KINDS, rng.randrange(2, 7))
    blueprints = []
    for k in range(rng.randrange(3)):
        module = Module(f"views{k}", [], header=HEADER)
        project.modules.append(module)
        rank += 10
        prefix = rng.choice(("", f", url_prefix='/v{k}'"))
        module.items.append(
            Item("raw", f"bp{k}", rank, {"text": f"bp{k} = Blueprint('bp{k}', __name__{prefix})"}, "bp")
        )
        blueprints.append(f"bp{k}")
        fill(module, (*KINDS, *WEB * 6), rng.randrange(2, 7))
    _main(rng, project, blueprints, fill, rank + 10)
    for module in project.modules:
        module.doc = rng.choice(("", "", "Says what it is."))
        module.future = rng.random() < 0.1
        for other in project.modules:
            module.forms[other.name] = rng.choice(FORMS)
    return project


def _main(rng, project, blueprints, fill, rank) -> None:  # grow() alone calls it
    factory = rng.random() < 0.25
    module = Module("app" if not project.package else rng.choice(("__init__", "main")), [], header=HEADER)
    project.modules.append(module)
    if factory:
        _factory(rng, module, blueprints, fill, rank)
    else:
        module.items.append(Item("raw", "app", rank, {"text": "app = Flask(__name__)"}, "app"))
        fill(module, (*KINDS, *WEB * 4), rng.randrange(2, 8))
        _register(rng, module, blueprints, project)
        _sides(rng, project, module, fill)
    project.entry = f"{project.full(module)}:{'create_app()' if factory else 'app'}"


def _register(rng: Random, module: Module, blueprints: list[str], project: Project) -> None:
    for name in blueprints:
        rank = 10**6 + project.counter
        text = (
            f"«app».register_blueprint(«{name}»{rng.choice(('', '', ', url_prefix=' + repr('/p' + name)))})"
        )
        where = rng.randrange(1, len(module.items) + 1) if rng.random() < 0.3 else len(module.items)
        module.items.insert(where, Item("raw", project.fresh("_reg"), rank, {"text": text}, "register"))


def _sides(rng: Random, project: Project, main: Module, fill: Callable[..., None]) -> None:
    """Add modules that register on the app and that main imports for nothing else."""
    if main.name == "__init__" or rng.random() < 0.5:
        return
    for k in range(rng.randrange(1, 3)):
        side = Module(f"side{k}", [], header=HEADER)
        project.modules.append(side)
        fill(side, (*WEB, *WEB, "const"), rng.randrange(1, 4))
        line = f"from . import side{k}" if project.package else f"import side{k}"
        main.items.append(Item("raw", project.fresh("_side"), 10**6 + k, {"text": line}, "side"))


def _factory(rng, module, blueprints, fill, rank) -> None:  # grow() alone calls it
    fill(module, KINDS, rng.randrange(1, 4))
    members = [{"text": f"app.register_blueprint(«{name}»)"} for name in blueprints]
    members += [{"text": f"app.config['K{k}'] = {rng.randrange(9)}"} for k in range(rng.randrange(2))]
    for k in range(rng.randrange(1, 3)):
        members.append(
            {"text": f"@app.route('/nested{k}')\ndef nested{k}():\n    return str({rng.randrange(99)})"}
        )
    if rng.random() < 0.5:
        members.append({"text": f"@app.before_request\ndef nested_hook():\n    g.n = {rng.randrange(9)}"})
    module.items.append(Item("factory", "create_app", rank + 10**5, {}, members=members))
