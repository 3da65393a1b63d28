"""Whether a process that boots later could be brought to a tree: told from where the releases began."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask_habanero.live import program, startup
from flask_habanero.live.program import Program
from flask_habanero.source import Source
from flask_habanero.unit import build_unit

from tests.properties.processes import Farm, Sources, folder, hot_imports, start, write

APP = """from flask import Flask
{imports}
app = Flask(__name__)
@app.route("/")
def index():
    return {answer!r}
"""
BASE: Sources = {"app.py": APP.format(imports="", answer="one"), "unused.py": "NAME = 1\n"}
ADMIN = """NAME = {name!r}
def names():
    return [NAME]
"""


def _change(running: Program, sources: Sources, base: dict[str, Source]) -> tuple[list, list[str]]:
    """Return the units and deletions that lead from some sources to others."""
    new = {path.removesuffix(".py"): text for path, text in sources.items()}
    units = [
        build_unit(Source(name, f"{name}.py", False, text))
        for name, text in new.items()
        if name not in base or base[name].text != text
    ]
    return units, sorted(base.keys() - new.keys())


def _releases(entry: str, states: list[Sources]) -> list[list[str]]:
    """Make releases, one after the other; return for each why a process that boots could not come to it."""
    told = []
    with folder() as root:
        write(root, BASE)
        program.install()
        app = start(root, entry)
        running = program.attach(app, ("app", "unused"))
        startup.stop()
        running.warm()
        for sources in states:
            units, deletions = _change(running, sources, running.tree)
            plan = running.plan(units, deletions)
            assert not plan.reasons, plan.reasons
            fold = running.fold_reasons(*_change(running, sources, running.base))
            told.append([str(reason) for reason in fold])
            running.stage(plan)
            running.commit(plan)
    return told


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm(hot_imports)
    yield farm
    farm.close()


def test_after_a_module_came_the_app_can_go_on_changing(farm: Farm) -> None:
    """Loaded here is not loaded there: the module came with a release."""
    imports = APP.format(imports="import admin", answer="one")
    with_admin = {**BASE, "admin.py": ADMIN.format(name="a"), "app.py": imports}
    states: list[Sources] = [
        with_admin,
        {**with_admin, "app.py": APP.format(imports="import admin", answer="two")},
        {**with_admin, "admin.py": ADMIN.format(name="b")},
        {**with_admin, "app.py": APP.format(imports="import admin\nimport unused", answer="two")},
        BASE,
        {**with_admin, "app.py": APP.format(imports="from admin import names", answer="three")},
    ]
    assert farm.run(_releases, "app:app", states) == [[]] * len(states)
