"""Random edits of a project: what people do between two saves. Each says whether it found something to do."""

from __future__ import annotations

import copy
from random import Random

from . import snippets
from .apps import FORMS, Item, Module, Project, rename, substitute
from .growing import HEADER, KINDS, WEB, Grower


class Editor:
    """Edits one project in place."""

    def __init__(self, rng: Random, project: Project) -> None:
        self.rng = rng
        self.project = project
        self.grower = Grower(rng, project)

    def any_edit(self) -> str:
        """Make one random edit; return its name."""
        while True:
            name = self.rng.choice(EDITS)
            if getattr(self, name)():
                return name

    # what there is

    def _place(self, *kinds: str) -> tuple[Module, Item] | None:
        found = [(m, i) for m in self.project.modules for i in m.items if not kinds or i.kind in kinds]
        return self.rng.choice(found) if found else None

    def _uses(self, name: str) -> bool:
        token = f"«{name}»"
        texts = [
            t
            for m in self.project.modules
            for i in m.items
            for part in [i.parts, *i.members]
            for t in part.values()
        ]
        texts += [d for m in self.project.modules for i in m.items for d in i.decorators]
        return any(token in text or text == name for text in texts)

    # edits of one item

    def change_value(self) -> bool:
        """Change a body, a constant, an answer."""
        place = self._place()
        return place is not None and self._change(*place)

    def _change(self, module: Module, item: Item) -> bool:
        keys = [key for key in ("value", "inner", "answer") if key in item.parts]
        if not keys:
            return False
        key = self.rng.choice(keys)
        if key == "answer":
            local = "int(n)" if "<" in item.parts["path"] else ""
            item.parts[key] = self.grower.answer(module, item.rank, local)
        elif item.kind == "const":
            fresh = self.grower.item(module, item.rank, "const")
            assert fresh is not None
            if item.parts.get("form") == "instance":
                return False
            item.parts = fresh.parts
        else:
            now = item.kind in ("partial", "made", "exc")
            local = "x" if item.kind in ("func", "lambda", "maker") and key == "value" else ""
            item.parts[key] = self.grower.expression(module, item.rank, now=now, local=local)
        return True

    def rewrite_value(self) -> bool:
        """Say a constant, of a module or of a class, in another way: it comes out the same, or nearly."""
        places = [i.parts for m in self.project.modules for i in m.items if i.parts.get("form") == "int"]
        places += [
            member
            for m in self.project.modules
            for i in m.items
            for member in i.members
            if member.get("name") == "SIZE"
        ]
        if not places:
            return False
        parts = self.rng.choice(places)
        parts["value"] = self.rng.choice(REWRITTEN).format(parts["value"])
        return True

    def change_default(self) -> bool:
        """Change a parameter's default."""
        place = self._place("func", "lambda", "maker", "decof")
        if place is None:
            return False
        module, item = place
        item.parts["default"] = self.grower.expression(module, item.rank, now=True, depth=1)
        return True

    def change_header(self) -> bool:
        """Change annotations, the docstring, a keyword parameter, the first line of the body."""
        place = self._place("func", "class", "deco", "maker", "view")
        if place is None:
            return False
        module, item = place
        key = self.rng.choice(("doc", "hint", "extra", "first") if item.kind == "func" else ("doc",))
        if key in item.parts and self.rng.random() < 0.5:
            del item.parts[key]
        else:
            fresh = {
                "doc": f"New {self.rng.randrange(99)}.",
                "hint": self.rng.choice(("int", "str", "'float'")),
                "first": "x = x + 0",
            }
            item.parts[key] = fresh.get(key) or self.grower.expression(module, item.rank, now=True, depth=1)
        return True

    def change_decorators(self) -> bool:
        """Add, remove or change decorators."""
        place = self._place("func")
        if place is None:
            return False
        module, item = place
        before = item.decorators
        item.decorators = self.grower.decorators(module, item.rank, memo=True)
        return item.decorators != before

    def change_style(self) -> bool:
        """Say the same in another way: conditional, nested, in a loop."""
        place = self._place("func", "const", "data")
        if place is None:
            return False
        item = place[1]
        styles = {
            "func": ("", "nested", "comprehension", "if"),
            "const": ("", "if", "try"),
            "data": ("", "(frozen=True)"),
        }
        item.parts.setdefault("inner", "3")
        item.parts.setdefault("test", "True")
        item.style = self.rng.choice(styles[item.kind])
        return True

    def change_snippet(self) -> bool:
        """Say a snippet in another way, or with other values."""
        place = self._place("snippet")
        if place is None:
            return False
        module, item = place
        group = item.style.partition(":")[0]
        if self.rng.random() < 0.5:
            item.style = f"{group}:{self.rng.randrange(len(snippets.GROUPS[group]))}"
            return True
        slot = self.rng.choice([name for name in item.parts if name in "vwb"])
        item.parts[slot] = self.grower.expression(module, item.rank, now=slot != "b", depth=1)
        return True

    def change_free(self) -> bool:
        """Let a closure use another variable of its surroundings."""
        place = self._place("maker")
        if place is None:
            return False
        place[1].parts["free"] = self.rng.choice(("k", "n", "1", "(k + n)"))
        return True

    def change_member(self) -> bool:
        """Change, add, remove or swap members of a class, a dataclass, an enum."""
        place = self._place("class", "class", "class", "data", "enum")
        if place is None:
            return False
        module, item = place
        rng = self.rng
        if item.kind != "class":
            member = rng.choice(item.members)
            if rng.random() < 0.3:
                item.members.append({"name": self.project.fresh("n"), "value": str(rng.randrange(99))})
            else:
                member["value"] = self.grower.expression(module, item.rank, now=True, depth=1)
            return True
        what = rng.choice(("change", "change", "add", "remove", "swap", "kind"))
        if what == "add":
            kind = rng.choice(("attr", "method", "property", "static", "classmethod", "decorated", "super"))
            base = self.project.item(item.parts.get("base", "").strip("«»"))
            item.members.append(self.grower.member(module, item.rank, kind, base))
            item.members = list({m["name"]: m for m in item.members}.values())
        elif what == "remove":
            spare = [m for m in item.members if m["name"] not in ("run", "SIZE")]
            if not spare:
                return False
            item.members.remove(rng.choice(spare))
        elif what == "swap":
            rng.shuffle(item.members)
        else:
            member = rng.choice(item.members)
            if (
                what == "kind"
                and member["kind"] in ("property", "static", "method")
                and member["name"] != "run"
            ):
                member["kind"] = rng.choice(("property", "static", "method"))
            now = member["kind"] == "attr"
            local = "x" if member["kind"] in ("method", "static", "decorated") else ""
            member["value"] = self.grower.expression(module, item.rank, now=now, local=local)
        return True

    def change_base(self) -> bool:
        """Give a class another base."""
        place = self._place("class")
        if place is None:
            return False
        module, item = place
        name = self.grower.pick(module, item.rank, "class")
        item.parts["base"] = self.rng.choice((f"«{name}»" if name else "", "", "object"))
        return True

    def change_route(self) -> bool:
        """Change a path, options, the way in which a view is registered, a hook's kind."""
        place = self._place("view", "view", "hook")
        if place is None:
            return False
        module, item = place
        kind = "view" if item.kind == "view" else "hook"
        fresh = self.grower.item(module, item.rank, kind)
        if fresh is None:
            return False
        if kind == "hook":
            item.style, item.parts = fresh.style, fresh.parts
            return True
        what = self.rng.choice(("path", "options", "style", "target"))
        if what == "style":
            item.style, item.parts, item.decorators = fresh.style, fresh.parts, fresh.decorators
        elif what == "path":
            ending = self.rng.choice(("x", "/", "/y"))
            item.parts["path"] = item.parts["path"].rstrip("/") + ending
        else:
            item.parts[what] = fresh.parts[what]
        return True

    def add_to_view(self) -> bool:
        """Wrap a view into a decorator."""
        place = self._place("view")
        if (
            place is None
            or place[1].style
            or "str(" not in place[1].parts["answer"]
            or "," in place[1].parts["answer"]
        ):
            return False
        module, item = place
        by = self.grower.pick(module, item.rank, "deco")
        item.decorators = [] if item.decorators or not by else [f"«{by}»"]
        return bool(by)

    def rename_item(self) -> bool:
        """Rename an item and all that refers to it."""
        place = self._place(
            "const",
            "func",
            "class",
            "deco",
            "view",
            "hook",
            "lambda",
            "exc",
            "maker",
            "made",
            "data",
            "snippet",
        )
        if place is None:
            return False
        rename(self.project, place[1].name, self.project.fresh("renamed"))
        return True

    # edits of the order of things

    def add_item(self) -> bool:
        """Add a statement, often one that something uses at once."""
        module = self.rng.choice(self.project.modules)
        ranks = sorted(i.rank for i in module.items) or [0]
        web = any(i.style in ("bp", "app") for i in module.items)
        where = self.rng.randrange(len(module.items) + 1)
        kind = self.rng.choice((*KINDS, *WEB * 4) if web else KINDS)
        item = self.grower.item(module, ranks[min(where, len(ranks) - 1)] + self.rng.randrange(1, 9), kind)
        if item is None:
            return False
        first = next((k for k, i in enumerate(module.items) if i.style in ("bp", "app")), -1)
        last = next((k for k, i in enumerate(module.items) if i.style == "register"), len(module.items))
        module.items.insert(min(max(where, first + 1), max(last, first + 1)), item)
        return True

    def remove_item(self) -> bool:
        """Remove a statement that nothing uses; now and then one that something does."""
        place = self._place()
        if place is None or place[1].style in ("bp", "app", "register") or place[1].kind == "factory":
            return False
        module, item = place
        if self._uses(item.name) and self.rng.random() > 0.03:
            others = [i for i in module.items if i.kind == item.kind and i.rank < item.rank and i is not item]
            if not others or item.kind not in ("func", "const", "deco", "class"):
                return False
            if item.kind == "const" and others[0].parts.get("form") != item.parts.get("form"):
                return False
            substitute(self.project, item.name, others[0].name)
        module.items.remove(item)
        return True

    def reorder(self) -> bool:
        """Put a statement elsewhere in its module, sometimes a changed one."""
        place = self._place()
        if place is None or place[1].style in ("bp", "app") or len(place[0].items) < 2:
            return False
        module, item = place
        if self.rng.random() < 0.4:
            self._change(module, item)
        module.items.remove(item)
        names = [i.name for i in module.items]
        after = max([0, *(k + 1 for k, n in enumerate(names) if f"«{n}»" in item.lines())])
        users = [k for k, i in enumerate(module.items) if f"«{item.name}»" in i.lines()]
        until = min([len(names), *users])
        module.items.insert(
            self.rng.randrange(after, until + 1) if after <= until else self.rng.randrange(len(names) + 1),
            item,
        )
        return True

    def move_item(self) -> bool:
        """Move an item to another module, imports and all."""
        place = self._place("const", "func", "class", "deco", "view", "exc", "data", "maker", "lambda")
        if place is None or len(self.project.modules) < 2:
            return False
        module, item = place
        other = self.rng.choice([m for m in self.project.modules if m is not module])
        module.items.remove(item)
        spot = next(
            (k for k, i in enumerate(other.items) if i.style == "register" or i.kind == "factory"),
            len(other.items),
        )
        other.items.insert(spot, item)
        return True

    def add_module(self) -> bool:
        """Add a module, and one statement elsewhere that uses it."""
        rng, project = self.rng, self.project
        module = Module(project.fresh("extra"), [], header=HEADER)
        module.forms = {m.name: rng.choice(FORMS) for m in project.modules}
        project.modules.insert(0, module)
        for rank in range(1, rng.randrange(2, 5)):
            item = self.grower.item(module, rank, rng.choice(("const", "func", "class", "deco")))
            if item:
                module.items.append(item)
        for other in project.modules[1:]:
            other.forms[module.name] = rng.choice(FORMS)
        user = rng.choice(project.modules[1:])
        item = self.grower.item(user, 10**5, rng.choice(("const", "func", "class")))
        if item:
            user.items.append(item)
        return True

    def delete_module(self) -> bool:
        """Delete a module whose items are moved to the next one."""
        modules = [m for m in self.project.modules[:-1] if not any(i.style == "bp" for i in m.items)]
        if not modules:
            return False
        module = self.rng.choice(modules)
        after = self.project.modules[self.project.modules.index(module) + 1]
        after.items[:0] = module.items
        substitute(self.project, f"module:{module.name}", f"module:{after.name}")
        self.project.modules.remove(module)
        return True

    def import_form(self) -> bool:
        """Import a module in another form."""
        module, other = self.rng.choice(self.project.modules), self.rng.choice(self.project.modules)
        module.forms[other.name] = self.rng.choice(FORMS)
        return module is not other

    # edits that change no statement

    def blank_lines(self) -> bool:
        """Insert blank lines and comments."""
        place = self._place()
        if place is None:
            return False
        place[1].before = self.grower.before() + self.rng.choice(("", "# why\n", "\n"))
        return True

    def module_header(self) -> bool:
        """Change a module's docstring, its imports of others, or its __future__."""
        module, rng = self.rng.choice(self.project.modules), self.rng
        what = rng.choice(("doc", "doc", "import", "future"))
        if what == "doc":
            module.doc = rng.choice(("", "Other words.", "More words."))
        elif what == "future":
            module.future = not module.future
        else:
            module.header = HEADER + rng.choice(
                (
                    "",
                    "import math\n",
                    "import json as functools_\n",
                    "from math import floor\n",
                    "import colorsys\n",
                )
            )
        return True

    def register(self) -> bool:
        """Register a blueprint elsewhere, or once more."""
        place = self._place("raw")
        if place is None or place[1].style != "register":
            return False
        text = place[1].parts["text"].partition(")")[0].partition(",")[0]
        prefix = self.rng.choice(("", ", url_prefix='/q'", ", url_prefix='/pq', name='again'"))
        place[1].parts["text"] = f"{text}{prefix})"
        return True

    def factory(self) -> bool:
        """Change what a factory says."""
        place = self._place("factory")
        if place is None:
            return False
        members, rng = place[1].members, self.rng
        what = rng.choice(("change", "add", "remove", "swap"))
        if what == "add":
            name = self.project.fresh("nested")
            members.append(
                {"text": f"@app.route('/{name}')\ndef {name}():\n    return '{rng.randrange(99)}'"}
            )
        elif what == "remove" and len(members) > 1:
            members.remove(rng.choice(members))
        elif what == "swap":
            rng.shuffle(members)
        else:
            member = rng.choice(members)
            member["text"] = (
                member["text"]
                .replace("return str(", "return str(1 + ")
                .replace("] = ", "] = 1 + ")
                .replace("g.n = ", "g.n = 1 + ")
            )
        return True


REWRITTEN = (
    "({}) + 2 - 2",
    "int(str({}))",
    "({}) if 1 < 2 else 7",
    "max(({}), -10**9)",
    "int('1{{}}'.format('')) * ({})",
    "({}) + len('ab'.replace('b', ''))",
    "({}) + int(('x' in 'ab') or '0')",
    "({}) * 2 // 2",
    "bool({}) or 3",
)
"""Of which some say the same, some nearly, and some what they say depends on what is in them."""

EDITS = (
    *["change_value"] * 6,
    *["rewrite_value"] * 2,
    *["change_member"] * 4,
    *["add_item"] * 4,
    *["change_route"] * 3,
    *["rename_item"] * 2,
    *["remove_item"] * 3,
    *["reorder"] * 2,
    *["move_item"] * 2,
    *["change_decorators"] * 2,
    *["change_header"] * 2,
    *["blank_lines"] * 2,
    "change_default",
    "change_style",
    "change_free",
    *["change_snippet"] * 6,
    "change_base",
    "add_to_view",
    "add_module",
    "delete_module",
    "import_form",
    "module_header",
    "register",
    "factory",
)


def edited(rng: Random, project: Project) -> tuple[Project, list[str]]:
    """Return a copy of a project with one to three edits, and their names."""
    other = copy.deepcopy(project)
    editor = Editor(rng, other)
    return other, [editor.any_edit() for _ in range(rng.choice((1, 1, 1, 2, 3)))]
