"""Random small Flask projects, as models that can be edited and written out as files.

A project is modules; a module is items, each of which becomes one top-level statement. Texts hold
references to other items as ``«name»``; where the item lies and how its module is imported is
decided when a module is written out. So an item can be renamed or moved, and an import can change its form.

What a reference may lead to is kept such that programs end and mostly start: at import time only to
items that stand above or in lower modules; in a body only to items of lower rank.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from . import snippets

TOKEN = re.compile(r"«(\w+)»")
WHOLE = re.compile(r"«module:(\w+)»")  # the module object
NAME = re.compile(r"«name:(\w+)»")  # the name of an item, as it is written in a string
FORMS = ("from", "from", "module", "as", "star", "absolute")


@dataclass
class Item:
    """One top-level statement. `lines` are what it says; `now` is the part of it that runs at import."""

    kind: str
    name: str
    rank: int
    parts: dict[str, str]
    style: str = ""
    decorators: list[str] = field(default_factory=list)
    members: list[dict[str, str]] = field(default_factory=list)
    before: str = "\n"  # blank lines and comments above

    def lines(self) -> str:
        """Return its text, with references."""
        return self.before + WRITERS[self.kind](self)


@dataclass
class Module:
    """One file. `late` are modules that it imports at its end, for bodies only."""

    name: str
    items: list[Item]
    doc: str = ""
    future: bool = False
    forms: dict[str, str] = field(default_factory=dict)
    header: str = ""


@dataclass
class Project:
    """A whole app. Modules are in order: a module imports those before it."""

    package: str  # "" for modules side by side
    modules: list[Module]
    entry: str
    counter: int = 100
    tool: str = ""  # where the entry imports flask_habanero: "first", "last" of its imports, or nowhere

    def fresh(self, stem: str) -> str:
        """Return a name that was never used."""
        self.counter += 1
        return f"{stem}{self.counter}"

    def home(self, name: str) -> Module | None:
        """Return the module that an item lies in."""
        return next((m for m in self.modules for i in m.items if i.name == name), None)

    def item(self, name: str) -> Item | None:
        """Return an item by name."""
        return next((i for m in self.modules for i in m.items if i.name == name), None)

    def files(self) -> dict[str, str]:
        """Return path -> text."""
        return {self._path(module): _module_text(self, module) for module in self.modules}

    def _path(self, module: Module) -> str:
        if not self.package:
            return f"{module.name}.py"
        return (
            f"{self.package}/{module.name}.py" if module.name != "__init__" else f"{self.package}/__init__.py"
        )

    def full(self, module: Module) -> str:
        """Return a module's dotted name."""
        if not self.package:
            return module.name
        return self.package if module.name == "__init__" else f"{self.package}.{module.name}"


def _module_text(project: Project, module: Module) -> str:
    homes = {item.name: other for other in project.modules for item in other.items}
    body = "\n".join(item.lines() for item in module.items)
    here = project.modules.index(module)
    imports: dict[str, set[str]] = {}
    for name in TOKEN.findall(body):
        home = homes.get(name)
        if home is not module:
            imports.setdefault(home.name if home else "gone", set()).add(name)
    top, bottom, words = [], [], {}
    for other, names in sorted(imports.items()):
        late = other != "gone" and project.modules.index(homes[next(iter(names))]) > here
        form = "module" if late else module.forms.get(other, "from")
        if form == "star" and any(name.startswith("_") for name in names):
            form = "from"
        text, found = _import(project, other, sorted(names), form)
        words.update(found)
        (bottom if late else top).append(text)
    whole = sorted(set(WHOLE.findall(body)))
    start = "from . import" if project.package else "import"
    top += [f"{start} {name} as {name}_module\n" for name in whole]
    body = TOKEN.sub(lambda match: words.get(match[1], match[1]), body)
    body = NAME.sub(lambda match: match[1], WHOLE.sub(lambda match: f"{match[1]}_module", body))
    doc = f'"""{module.doc}"""\n' if module.doc else ""
    future = "from __future__ import annotations\n" if module.future else ""
    parts = [module.header, *top]
    if project.tool and project.entry.startswith(f"{project.full(module)}:"):
        parts.insert(0 if project.tool == "first" else len(parts), "from flask_habanero import Habanero\n")
    return "".join([doc, future, *parts, body, "\n", *bottom])


def _import(project: Project, other: str, names: list[str], form: str) -> tuple[str, dict[str, str]]:
    dots = "." if project.package else ""
    module = f"{dots}{other}" if other != "__init__" else "."
    absolute = f"{project.package}.{other}" if project.package else other
    if other == "__init__":
        absolute = project.package
        form = "from" if form == "module" else form
    if form == "module":
        text = f"from . import {other}\n" if project.package else f"import {other}\n"
        return text, {name: f"{other}.{name}" for name in names}
    if form == "absolute":
        return f"import {absolute}\n", {name: f"{absolute}.{name}" for name in names}
    if form == "star":
        return f"from {module} import *\n", {}
    if form == "as":
        return f"from {module} import {', '.join(f'{n} as {n}_' for n in names)}\n", {
            n: f"{n}_" for n in names
        }
    return f"from {module} import {', '.join(names)}\n", {}


# what each kind says


def _const(i: Item) -> str:
    hint = f": {i.parts['hint']}" if i.parts.get("hint") else ""
    if i.style == "if":
        return f"if {i.parts['test']}:\n    {i.name} = {i.parts['value']}\nelse:\n    {i.name} = 0"
    if i.style == "try":
        return f"try:\n    {i.name} = {i.parts['value']}\nexcept ZeroDivisionError:\n    {i.name} = -1"
    return f"{i.name}{hint} = {i.parts['value']}"


def _decorated(i: Item, text: str) -> str:
    return "".join(f"@{d}\n" for d in i.decorators) + text


def _docstring(i: Item, indent: str = "    ") -> str:
    return f'{indent}"""{i.parts["doc"]}"""\n' if i.parts.get("doc") else ""


def _func(i: Item) -> str:
    p = i.parts
    hint, returns = (f": {p['hint']}", f" -> {p['hint']}") if p.get("hint") else ("", "")
    more = f", *, extra={p['extra']}" if p.get("extra") else ""
    add = " + extra" if p.get("extra") else ""
    body = f"    {p['first']}\n" if p.get("first") else ""
    end = f"    return ({p['value']}{add}) % 1009"
    if i.style == "nested":
        inner = f"    y = x + 1\n    def inner(z):\n        return z + {p['inner']}\n"
        end = f"{inner}    return (inner(x) + {p['value']}{add}) % 1009"
    if i.style == "comprehension":
        parts = f"sum(k + {p['value']} for k in range(2)) + (lambda q: q + {p['inner']})(1)"
        end = f"    return ({parts}{add}) % 1009"
    text = f"def {i.name}(x{hint} = {p['default']}{more}){returns}:\n{_docstring(i)}{body}{end}"
    if i.style == "if":
        other = f"def {i.name}(x=0, **kw):\n    return 7"
        indented = _decorated(i, text).replace("\n", "\n    ")
        return f"if {p['test']}:\n    {indented}\nelse:\n    " + other.replace("\n", "\n    ")
    return _decorated(i, text)


def _lambda(i: Item) -> str:
    return f"{i.name} = lambda x={i.parts['default']}: ({i.parts['value']}) % 1009"


def _partial(i: Item) -> str:
    return f"{i.name} = functools.partial(«{i.parts['of']}», {i.parts['value']})"


def _maker(i: Item) -> str:
    p = i.parts
    return (
        f"def {i.name}(n={p['default']}):\n{_docstring(i)}    k = n + {p['inner']}\n    def made(x=1):\n"
        f"        return (x + {p.get('free', 'k')} + {p['value']}) % 1009\n    return made"
    )


def _made(i: Item) -> str:
    return f"{i.name} = «{i.parts['of']}»({i.parts['value']})"


def _deco(i: Item) -> str:
    p = i.parts
    return (
        f"def {i.name}(fn):\n{_docstring(i)}    @functools.wraps(fn)\n    def wrapper(*args, **kwargs):\n"
        f"        result = fn(*args, **kwargs)\n        return result + type(result)({p['value']})\n"
        f"{p.get('mark', '')}    return wrapper"
    )


def _decof(i: Item) -> str:
    p = i.parts
    return (
        f"def {i.name}(n={p['default']}):\n    def decorate(fn):\n        @functools.wraps(fn)\n"
        f"        def wrapper(*args, **kwargs):\n            result = fn(*args, **kwargs)\n"
        f"            return result + type(result)(n + {p['value']})\n"
        "        return wrapper\n    return decorate"
    )


def _class(i: Item) -> str:
    base = f"({i.parts['base']})" if i.parts.get("base") else ""
    body = _docstring(i) + "".join(MEMBERS[m["kind"]](m) for m in i.members)
    body = body or "    pass\n"
    return _decorated(i, f"class {i.name}{base}:\n{body}").rstrip("\n")


MEMBERS = {
    "attr": lambda m: f"    {m['name']}{m.get('hint', '')} = {m['value']}\n",
    "method": lambda m: (
        f"    def {m['name']}(self, x={m['default']}):\n{m.get('doc', '')}"
        f"        return ({m['value']}) % 1009\n"
    ),
    "super": lambda m: (
        f"    def {m['name']}(self, x=1):\n        return (super().{m['name']}(x) + {m['value']}) % 1009\n"
    ),
    "property": lambda m: (
        f"    @property\n    def {m['name']}(self):\n        return ({m['value']}) % 1009\n"
    ),
    "static": lambda m: (
        f"    @staticmethod\n    def {m['name']}(x=1):\n        return ({m['value']}) % 1009\n"
    ),
    "classmethod": lambda m: (
        f"    @classmethod\n    def {m['name']}(cls):\n        return (cls.SIZE + {m['value']}) % 1009\n"
    ),
    "init": lambda m: f"    def __init__(self):\n        self.size = {m['value']}\n",
    "decorated": lambda m: (
        f"    @{m['by']}\n    def {m['name']}(self, x=1):\n        return ({m['value']}) % 1009\n"
    ),
    "pass": lambda m: "    pass\n",
}


def _data(i: Item) -> str:
    fields = "".join(f"    {m['name']}: int = {m['value']}\n" for m in i.members)
    total = " + ".join(f"self.{m['name']}" for m in i.members)
    decorator = "".join(f"@{d}\n" for d in i.decorators)
    method = f"    def total(self):\n        return ({total} + {i.parts['value']}) % 1009"
    return f"{decorator}@dataclasses.dataclass{i.style}\nclass {i.name}:\n{fields}{method}"


def _enum(i: Item) -> str:
    return f"class {i.name}(enum.Enum):\n" + "\n".join(f"    {m['name']} = {m['value']}" for m in i.members)


def _exc(i: Item) -> str:
    return f"class {i.name}({i.parts.get('base') or 'Exception'}):\n    code = {i.parts['value']}"


def _view(i: Item) -> str:
    p = i.parts
    target, path, options = p["target"], p["path"], p.get("options", "")
    arg = re.findall(r"<(?:\w+:)?(\w+)>", path)
    body = _docstring(i) + f"    return {p['answer']}"
    if i.style == "add":
        rule = f"{target}.add_url_rule({path!r}, view_func={i.name}{options})"
        return f"def {i.name}({', '.join(arg)}):\n{body}\n\n{rule}"
    if i.style == "methodview":
        return (
            f"class {i.name}(MethodView):\n    def get(self{''.join(', ' + a for a in arg)}):\n"
            f"        return {p['answer']}\n\n"
            f"{target}.add_url_rule({path!r}, view_func={i.name}.as_view('{i.name}'){options})"
        )
    if i.style == "lambda":
        return f"{target}.add_url_rule({path!r}, '{i.name}', lambda {', '.join(arg)}: {p['answer']}{options})"
    if i.style == "loop":
        return (
            f"for _n in {p['over']}:\n    {target}.add_url_rule(f'{path}/{{_n}}', f'{i.name}_{{_n}}', "
            f"functools.partial(str, _n))"
        )
    more = "".join(f"@{d}\n" for d in i.decorators)
    return f"@{target}.route({path!r}{options})\n{more}def {i.name}({', '.join(arg)}):\n{body}"


def _hook(i: Item) -> str:
    p = i.parts
    bodies = {
        "before_request": (f"():\n    g.seen = getattr(g, 'seen', 0) * 3 + {p['value']}", ""),
        "after_request": (
            f"(response):\n    response.headers.add('X-Hook', str({p['value']}))\n    return response",
            "",
        ),
        "context_processor": (f"():\n    return {{'ctx': {p['value']}}}", ""),
        "teardown_request": ("(error):\n    pass", ""),
        "errorhandler": (f"(error):\n    return str({p['value']}), 404", f"({p.get('what', '404')})"),
        "template_filter": (f"(x):\n    return {p['value']}", f"({p.get('as', '')})"),
        "template_global": (f"(x=1):\n    return {p['value']}", "()"),
        "url_value_preprocessor": (f"(endpoint, values):\n    g.pre = {p['value']}", ""),
        "command": (f"():\n    print({p['value']})", f"({i.name!r})"),
    }
    body, call = bodies[i.style.replace("app_", "")]
    method = f"cli.{i.style}" if i.style == "command" else i.style
    more = "".join(f"@{d}\n" for d in i.decorators)
    return f"@{p['target']}.{method}{call}\n{more}def {i.name}{body}"


def _raw(i: Item) -> str:
    return i.parts["text"]


def _snippet(i: Item) -> str:
    group, _, number = i.style.partition(":")
    return snippets.GROUPS[group][int(number)].format(n=i.name, **i.parts).rstrip("\n")


def _factory(i: Item) -> str:
    inner = "\n".join(f"{m['text']}" for m in i.members)
    body = "    " + f"app = Flask(__name__)\n{inner}\nreturn app".replace("\n", "\n    ")
    return f"def {i.name}():\n{body}"


WRITERS = {
    "const": _const,
    "func": _func,
    "lambda": _lambda,
    "partial": _partial,
    "maker": _maker,
    "made": _made,
    "deco": _deco,
    "decof": _decof,
    "class": _class,
    "data": _data,
    "enum": _enum,
    "exc": _exc,
    "view": _view,
    "hook": _hook,
    "raw": _raw,
    "snippet": _snippet,
    "factory": _factory,
}


def rename(project: Project, old: str, new: str) -> None:
    """Rename an item, and all references to it."""
    item = project.item(old)
    assert item is not None
    item.name = new
    substitute(project, old, new)


def _led(text: str, old: str, new: str) -> str:
    return text.replace(f"«{old}»", f"«{new}»").replace(f"«name:{old}»", f"«name:{new}»")


def substitute(project: Project, old: str, new: str) -> None:
    """Let all references to an item lead to another one."""
    for module in project.modules:
        for item in module.items:
            texts = [item.parts, *item.members]
            for part in texts:
                for key, text in part.items():
                    part[key] = _led(text, old, new) if text != old else new
            item.decorators = [d.replace(f"«{old}»", f"«{new}»") for d in item.decorators]
