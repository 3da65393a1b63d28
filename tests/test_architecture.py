"""The shape of the package: who may import whom, which power lives in which file, how large things may be.

docs/architecture.md says why. A new module takes its place in `ORDER`; a new exception takes its reason here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path

import flask_habanero
import pytest

ROOT = Path(flask_habanero.__file__).parent

# Left to right; a group's modules may know those of all groups before it, and each other without a circle.
ORDER: tuple[tuple[str, ...], ...] = (
    ("errors", "addresses"),
    ("asset", "region", "remembered", "piece", "unit", "source", "strict"),
    ("release", "asked"),
    ("envelope",),
    ("live.*",),
    ("counter", "record", "disk", "checkpoint", "replay", "staging", "store", "kept", "ledger"),
    ("shared", "sentinel", "redisstore", "hosts", "branch", "mirror"),
    ("gate", "config", "surroundings", "guard", "manager", "signals", "boot"),
    ("webhook", "fresh", "importable", "clock", "concerned", "band", "bootnote", "coldstart"),
    ("change", "post", "moves", "leaving", "worker", "round", "wide", "resync", "relay", "fleet", "census"),
    ("freeze", "trial", "admission", "apart"),
    ("answers", "archive", "rehearsing", "leading", "afar", "cold", "deploy"),
    ("endpoint", "server"),
    ("follower", "rehearsal"),
    ("canary",),
    ("specimen", "testing", "contrib.*", "bootstrap.*", "bootstrap"),
)
CLIENT_SEES = {"errors", "asset", "piece", "unit", "source", "release", "envelope", "asked"}

MODULE_LINES = 300  # of code: neither blank, nor comment, docstring, or table
WAIVED_LINES: dict[str, int] = {}
FUNCTION_LINES = 60  # as they stand, docstring included: far above what we want, a bound for what nobody saw
FORBIDDEN_WORDS = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "base", "handler"}
DOMAIN_WORDS = {"manager.py": "the process manager above a worker, such as gunicorn's master"}


class Module:
    """One file of the package, parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path.relative_to(ROOT).as_posix()
        self.name = self.path.removesuffix(".py").replace("/", ".").removesuffix("__init__").rstrip(".")
        self.text = path.read_text("utf-8")
        self.tree = ast.parse(self.text)
        self.package = self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in self.every if isinstance(node, kinds))

    @cached_property
    def every(self) -> list[ast.AST]:
        """All nodes of it: each power asks for them."""
        return list(ast.walk(self.tree))

    @cached_property
    def calls(self) -> set[str]:
        """What is called, as it is written: `compile`, `marshal.loads`."""
        return {ast.unparse(node.func) for node in self.nodes(ast.Call) if isinstance(node, ast.Call)}

    @cached_property
    def assigned(self) -> set[str]:
        """The attributes that something is assigned to."""
        stored = (n for n in self.nodes(ast.Attribute) if isinstance(n, ast.Attribute))
        return {node.attr for node in stored if isinstance(node.ctx, ast.Store | ast.Del)}

    @cached_property
    def imported(self) -> set[str]:
        """The modules of other people that it imports anywhere, and their packages."""
        found = set[str]()
        for node in self.nodes(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                assert isinstance(node, ast.ImportFrom)
                names = [] if node.level else [node.module or ""]
            found.update(part for name in names for part in (name, name.partition(".")[0]))
        return found


@cache
def modules() -> dict[str, Module]:
    return {module.name: module for module in map(Module, sorted(ROOT.rglob("*.py")))}


def own_imports(module: Module, *, running: bool) -> set[str]:
    """Return the modules of ours that a module imports; with `running`, only what its loading loads."""
    found: set[str] = set()
    for node in _import_nodes(module.tree, running):
        base = module.package.split(".") if module.package else []
        parent = base[: len(base) - node.level + 1]
        origin = ".".join([*parent, *([node.module] if node.module else [])])
        for alias in node.names:
            child = f"{origin}.{alias.name}".lstrip(".")
            found.add(child if child in modules() else origin)
    return found - {""}


def _import_nodes(tree: ast.AST, running: bool) -> Iterator[ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node
        elif not (running and _is_later(node)):
            yield from _import_nodes(node, running)


def _is_later(node: ast.AST) -> bool:
    """Whether a statement's imports don't run when the module is loaded."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def rank(name: str) -> int | None:
    for position, group in enumerate(ORDER):
        if name in group or f"{name.partition('.')[0]}.*" in group:
            return position
    return None


class TestImports:
    def test_each_module_has_a_place_in_the_order(self):
        ours = [m for m in modules() if m and m.partition(".")[0] != "client"]
        assert [m for m in ours if rank(m) is None] == []

    def test_the_order_names_modules_that_exist(self):
        names = {name for group in ORDER for name in group if not name.endswith("*")}
        missing = names - set(modules())
        assert missing == set()

    @pytest.mark.parametrize("name", [m for m in modules() if m and m.partition(".")[0] != "client"])
    def test_imports_point_left(self, name):
        mine = rank(name)
        imported = own_imports(modules()[name], running=False)
        assert not any(other.partition(".")[0] == "client" for other in imported)
        if mine is not None:
            assert [other for other in sorted(imported) if (rank(other) or 0) > mine] == []

    @pytest.mark.parametrize("name", [m for m in modules() if m.partition(".")[0] == "client"])
    def test_the_client_sees_what_both_sides_share_and_nothing_of_the_server(self, name):
        imported = own_imports(modules()[name], running=False)
        assert {m for m in imported if m.partition(".")[0] != "client"} <= CLIENT_SEES

    def test_no_imports_run_in_a_circle(self):
        graph = {
            name: own_imports(module, running=True) & set(modules()) for name, module in modules().items()
        }
        while leaves := {name for name, others in graph.items() if not others & set(graph)}:
            graph = {name: others for name, others in graph.items() if name not in leaves}
        assert graph == {}

    def test_importing_the_package_loads_nothing(self):
        """`flask habanero` on a laptop, and `import flask_habanero` in an app's config, must be cheap."""
        assert own_imports(modules()[""], running=True) == set()


Finder = Callable[[Module], bool]


def calls(pattern: str) -> Finder:
    return lambda module: any(re.fullmatch(pattern, call) for call in module.calls)


def imports(*names: str) -> Finder:
    return lambda module: not set(names).isdisjoint(module.imported)


def assigns(*names: str) -> Finder:
    return lambda module: not set(names).isdisjoint(module.assigned)


DEMO = "client/backstage.py"  # starts and ends the demo's own servers, on loopback

POWERS: dict[str, tuple[Finder, set[str]]] = {
    "parsing": (
        calls(r"symtable|ast\.parse|codeop\..*"),
        {"source.py", "live/judge/foreign.py"},  # the second parses other people's sources, to judge them
    ),
    "compiling": (calls("compile"), {"unit.py"}),
    "unmarshalling": (calls(r"marshal\.loads?"), {"live/codes.py"}),
    "marshalling": (calls(r"marshal\.dumps?"), {"unit.py"}),
    "pickling": (imports("pickle", "shelve", "dill"), set()),
    "running code": (
        calls(r"exec|eval|runpy\..*"),
        # the last: a text of its own, to see how references count
        {
            "live/steps/classes.py",
            "live/steps/functions.py",
            "live/steps/namespaces.py",
            "live/functions.py",
        },
    ),
    "assigning code": (assigns("__code__"), {"live/steps/functions.py"}),
    "setting attributes by name": (
        calls(r"setattr|delattr|object\.__setattr__|type\.__setattr__"),
        # the last two wrap Flask's set-up methods, and those of its configuration
        {
            "live/steps/classes.py",
            "live/steps/entries.py",
            "live/steps/functions.py",
            "live/steps/growth.py",
            "live/steps/mappings.py",
            "live/steps/namespaces.py",
            "live/steps/undo.py",
            "live/registrations.py",
            "live/configs.py",
        },
    ),
    "exchanging classes": (assigns("__class__", "__bases__", "__dict__"), set()),
    "MACs": (imports("itsdangerous", "hmac"), {"envelope.py"}),
    "randomness": (imports("random"), set()),  # `secrets` is what there is
    "Redis": (imports("redis"), {"redisstore.py"}),
    "SQLite": (calls(r"sqlite3\.connect"), {"store.py"}),
    "mapped memory": (calls(r"mmap\.mmap"), {"counter.py"}),
    "sockets": (calls(r"socket\.(socket|create_.*)"), {"post.py", DEMO}),
    "signals to others": (
        calls(r"os\.(kill|killpg|abort|_exit)|signal\.raise_signal"),
        {
            "manager.py",
            "fresh.py",
            "client/hooks.py",
            "client/terminal.py",
            DEMO,
        },  # the terminal's are to ourselves
    ),
    "signals to us": (
        calls(r"signal\.(signal|set_wakeup_fd)"),
        {"client/cli.py", "client/terminal.py", DEMO},
    ),
    "timers that end us": (calls(r"signal\.(setitimer|alarm)|faulthandler\.\w+"), {"guard.py"}),
    "setting a terminal": (imports("termios", "tty"), {"client/terminal.py"}),
    "HTTP out": (
        imports("requests", "urllib3", "urllib.request", "http.client"),
        {"client/exchange.py", "webhook.py", DEMO},
    ),
    "the importer": (
        lambda module: any(re.match(r"sys\.meta_path\.", call) for call in module.calls),
        {
            "live/importer.py",
            "boot.py",
        },  # the second waits for the first import of the app's, and loads nothing
    ),
    "other programs": (
        imports("subprocess"),
        {"fresh.py", "client/git.py", "client/hooks.py", "client/compiler.py", "testing.py", DEMO},
    ),
    "ending the process": (calls(r"sys\.exit|exit|quit"), {"client/command.py"}),
    "printing": (
        calls(r"print|click\.echo|click\.secho|sys\.std(out|err)\.write"),
        {"client/show.py", "client/printer.py", "client/cli.py", "client/command.py"},
    ),
    "the environment": (
        lambda module: "os.environ" in {ast.unparse(node) for node in module.nodes(ast.Attribute)},
        {
            "server.py",
            "cold.py",
            "canary.py",
            "bootstrap/sitecustomize.py",
            "client/cli.py",
            "client/git.py",
            "client/target.py",
            "live/origin.py",
            "testing.py",
            DEMO,
        },
    ),
    "configuring logs": (calls(r"logging\.(basicConfig|config\..*)|.*\.addHandler"), set()),
    "watching files": (imports("watchdog"), {"client/watch.py"}),
}
"""Power -> what finds it, and the files that have it."""


@pytest.mark.parametrize("power", POWERS)
def test_one_power_one_file(power):
    finder, allowed = POWERS[power]
    assert sorted(m.path for m in modules().values() if finder(m) and m.path not in allowed) == []


@pytest.mark.parametrize("power", [p for p in POWERS if POWERS[p][1]])
def test_a_power_is_where_it_is_said_to_be(power):
    """A file that lost its power loses its exception: else the next one to take it is not seen."""
    finder, allowed = POWERS[power]
    there = [path for path in sorted(allowed) if path in {m.path for m in modules().values()}]
    assert [path for path in there if not any(m.path == path and finder(m) for m in modules().values())] == []


def test_t24_no_secret_is_compared_but_in_constant_time():
    """`==` ends at the first character that differs, and tells how far it came."""
    confidential = re.compile(r"(?:^|[._])(secret|signature|mac|password|private)s?$")
    found = []
    for module in modules().values():
        for node in module.nodes(ast.Compare):
            assert isinstance(node, ast.Compare)
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            equality = any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
            if equality and any(confidential.search(side) for side in sides):
                found.append(f"{module.path}:{node.lineno} {ast.unparse(node)}")
    assert found == []


BROAD = {
    (
        "client/command.py",
        "Exception",
    ): "the outermost of a command: what is left is a fault of ours, shown whole, exit 70",
    (
        "client/hooks.py",
        "BaseException",
    ): "a check that is interrupted ends with all that it started",
    (
        "client/doctor.py",
        "Exception",
    ): "a check that breaks must not hide what the others find: it is a finding itself",
    (
        "client/keys.py",
        "Exception",
    ): "what a key does: a fault of ours is shown whole, and the saves go on",
    (
        "client/session.py",
        "Exception",
    ): "the watch loop: a fault of ours is shown whole, and the next save still goes",
    (
        "live/libraries.py",
        "Exception",
    ): "a third-party module may raise anything at its first import: the reason",
    ("live/commit.py", "BaseException"): "commit must undo whatever was raised, SystemExit too",
    (
        "live/judge/interpreter.py",
        "Exception",
    ): "code of a library that we misread is code that can't be judged: a reason against the change",
    **dict.fromkeys(
        (
            ("live/steps/" + name, "BaseException")
            for name in ("classes.py", "functions.py", "growth.py", "namespaces.py", "parts.py")
        ),
        "a statement that fails half-way gives its names back, SystemExit too",
    ),
    ("live/program.py", "BaseException"): "a module that fails at its import is not left half in sys.modules",
    (
        "gate.py",
        "BaseException",
    ): "a request that ends by SystemExit or a greenlet's end is out of the app too",
    ("guard.py", "BaseException"): "a replay must never take the app down; it is counted and raised again",
    (
        "rehearsal.py",
        "Exception",
    ): "a page that raises, whatever it raises, is what a rehearsal is for: told with its place",
    (
        "rehearsal.py",
        "BaseException",
    ): "the outermost of a fresh process: sys.exit in a module is told to who started it, too",
    ("leading.py", "BaseException"): "gates are opened and the commit is undone whatever was raised",
    ("worker.py", "Exception"): "a fault of ours must not take the user's app down: told in the log",
    ("live/gathered.py", "Exception"): "objects of the app's may compare as they like: told in the log",
    ("live/overlay.py", "Exception"): "what the app's own Jinja extensions raise while they parse",
    ("signals.py", "Exception"): "what the app's own receivers raise harms nothing: told in the log",
    ("relay.py", "Exception"): "it speaks for its host as long as its worker lives: told in the log",
    ("fleet.py", "Exception"): "the listener lives as long as its worker: told in the log",
    ("cold.py", "Exception"): "a page that fails in the running app, too: told in the log",
    ("coldstart.py", "Exception"): "a fault of ours must not keep the app from starting: told in the log",
    (
        "canary.py",
        "BaseException",
    ): "the outermost of a fresh process: sys.exit in a module is told to who started it, too",
    ("server.py", "Exception"): "the outermost of a request: told in the log, the app serves on",
    ("follower.py", "Exception"): "a fault of ours must not keep a task from running: told in the log",
    ("specimen.py", "Exception"): "what a function of the app raises is told to the test that called it",
}
"""File and class of a broad `except` -> why it stands there."""


def broad_excepts(module: Module) -> list[tuple[str, str]]:
    found = []
    for node in module.nodes(ast.ExceptHandler):
        assert isinstance(node, ast.ExceptHandler)
        caught = {"BaseException"} if node.type is None else set(re.findall(r"\w+", ast.unparse(node.type)))
        found += [(module.path, name) for name in sorted(caught & {"Exception", "BaseException"})]
    return found


def test_whatever_is_raised_is_caught_only_where_there_is_a_reason():
    found = {row for module in modules().values() for row in broad_excepts(module)}
    assert found - set(BROAD) == set()


def test_no_broad_except_is_silent():
    """It raises again, or keeps the error, or tells the log."""
    silent = []
    for module in modules().values():
        for node in module.nodes(ast.ExceptHandler):
            assert isinstance(node, ast.ExceptHandler)
            names = "BaseException" if node.type is None else ast.unparse(node.type)
            body = "\n".join(map(ast.unparse, node.body))
            told = "raise" in body or "log" in body or (node.name and node.name in body)
            if re.search(r"\b(Base)?Exception\b", names) and not told:
                silent.append(f"{module.path}:{node.lineno}")
    assert silent == []


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield node


def code_lines(module: Module) -> int:
    """Return how many lines hold code: neither blank, nor comment, nor part of a docstring or of a table."""
    strings = [
        n for n in module.nodes(ast.Expr) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
    ]
    tables = [n for n in module.tree.body if isinstance(n, ast.Assign | ast.AnnAssign)]
    spans = [(n.lineno, n.end_lineno or n.lineno) for n in (*strings, *tables)]
    texts = {line for start, end in spans for line in range(start, end + 1)}
    lines = enumerate(module.text.splitlines(), 1)
    return sum(1 for number, line in lines if number not in texts and re.match(r"\s*[^\s#]", line))


class TestSizes:
    def test_a_module_fits_a_head(self):
        sizes = {m.path: code_lines(m) for m in modules().values()}
        assert {p: n for p, n in sizes.items() if n > WAIVED_LINES.get(p, MODULE_LINES)} == {}

    def test_a_waiver_ends_with_its_cause(self):
        sizes = {m.path: code_lines(m) for m in modules().values()}
        assert [path for path in WAIVED_LINES if sizes.get(path, 0) <= MODULE_LINES] == []

    def test_a_function_fits_a_screen(self):
        sizes = {
            f"{m.path}:{f.lineno} {f.name}": (f.end_lineno or f.lineno) - f.lineno + 1
            for m in modules().values()
            for f in functions(m)
        }
        assert {place: size for place, size in sizes.items() if size > FUNCTION_LINES} == {}

    def test_the_usual_function_is_short(self):
        sizes = sorted((f.end_lineno or 0) - f.lineno + 1 for m in modules().values() for f in functions(m))
        assert sizes[len(sizes) // 2] <= 10, "the median, docstring included"
        assert sizes[len(sizes) * 95 // 100] <= 32


class TestNames:
    def test_a_module_is_named_after_a_thing(self):
        vague = [m.path for m in modules().values() if FORBIDDEN_WORDS & set(re.split(r"[._]", m.name))]
        assert [path for path in vague if path not in DOMAIN_WORDS] == []

    def test_nothing_is_named_after_nothing(self):
        pattern = re.compile(r"(?i:(util|helper|misc)s?)$|[a-z]Managers?$|^(handle|process|do)_|_\d+$")
        named = [
            f"{m.path}:{node.lineno} {node.name}"
            for m in modules().values()
            for node in m.nodes(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and pattern.search(node.name)
        ]
        assert named == []

    def test_no_comment_speaks_of_what_is_to_be_done(self):
        marks = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
        assert [m.path for m in modules().values() if marks.search(m.text)] == []


def test_each_module_says_what_it_is():
    silent = [m.path for m in modules().values() if m.text and not ast.get_docstring(m.tree)]
    assert silent == []


def test_what_is_exempt_says_why():
    """Each noqa and type: ignore bears its rule, and a reason where the rule alone does not say it."""
    bare = re.compile(r"#\s*(noqa|type:\s*ignore|pragma: no cover)(?!\s*[:\[])")
    assert [m.path for m in modules().values() if bare.search(m.text)] == []


AWAITED: set[str] = set()  # pages that are being written


class TestPages:
    root = ROOT.parent

    def test_each_threat_that_a_test_names_is_on_the_page_and_in_order(self):
        page = (self.root / "SECURITY.md").read_text("utf-8")
        rows = [int(number) for number in re.findall(r"^\| T(\d+) \|", page, re.MULTILINE)]
        assert rows == list(range(1, len(rows) + 1))
        tests = "".join(path.read_text("utf-8") for path in (self.root / "tests").rglob("test_*.py"))
        assert {int(number) for number in re.findall(r"def test_t(\d+)_", tests)} <= set(rows)

    def test_each_fault_has_a_row_and_each_test_that_it_names_is_there(self):
        page = (self.root / "docs" / "reliability.md").read_text("utf-8")
        rows = re.findall(r"^\| R(\d+) \|.*\| (.+) \|$", page, re.MULTILINE)
        assert [int(number) for number, _ in rows] == list(range(1, 53))
        missing = []
        for number, held in rows:
            text = ""
            for path, name in re.findall(r"`(?:([\w/]+\.py)(?:::)?)?(test_\w+)?`", held):
                text = (
                    (self.root / "tests" / path).read_text("utf-8")
                    if path.startswith(("test", "e2e", "client", "live"))
                    else text
                )
                if name and not re.search(rf"def {name}\b", text):
                    missing.append((number, path, name))
        assert missing == []

    def test_the_changelog_begins_with_this_version(self):
        first = re.search(r"^## (\S+)", (self.root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
        assert first is not None
        assert first[1] == flask_habanero.__version__

    def test_decisions_are_numbered_and_have_their_parts(self):
        pages = sorted((self.root / "docs" / "adr").glob("*.md"))
        assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
        for page in pages:
            text = page.read_text("utf-8")
            assert text.startswith(f"# {page.name[:4]}: ")
            assert [
                part
                for part in ("Status:", "## Context", "## Decision", "## Consequences")
                if part not in text
            ] == []

    def test_links_between_pages_lead_somewhere(self):
        pages = [*self.root.glob("*.md"), *(self.root / "docs").rglob("*.md")]
        link = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
        links = [(page, target) for page in pages for target in link.findall(page.read_text("utf-8"))]
        broken = {
            str(page.relative_to(self.root)): to for page, to in links if not (page.parent / to).exists()
        }
        assert {page: to for page, to in broken.items() if Path(to).name not in AWAITED} == {}
