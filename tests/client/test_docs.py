"""The pages say what the code does."""

import importlib
import pkgutil
import re
from pathlib import Path

import click
import flask_habanero
import pytest
from flask_habanero.client import command as module
from flask_habanero.client.cli import cli
from flask_habanero.errors import HabaneroError

DOCS = Path(__file__).parents[2] / "docs"
ERRORS = (DOCS / "errors.md").read_text()
QUICKSTART = (DOCS / "quickstart.md").read_text()
COMMANDS = (DOCS / "commands.md").read_text()
LEAVING = (DOCS / "turning-it-off.md").read_text()
ANCHORS = set(re.findall(r"^### ([a-z-]+)$", ERRORS, re.MULTILINE))


def every(error):
    return {error, *(x for sub in error.__subclasses__() for x in every(sub))}


def test_each_error_has_its_anchor_and_each_anchor_its_error():
    """Slugs are links: `docs/errors.md#slug`."""
    for found in pkgutil.walk_packages(flask_habanero.__path__, "flask_habanero."):
        importlib.import_module(found.name)
    slugs = {e.slug for e in every(HabaneroError) if e.__module__.startswith("flask_habanero.")}
    said = set(re.findall(r"^### ([a-z-]+)$", ERRORS.partition("## Reasons that only")[0], re.MULTILINE))
    assert slugs == said


def test_the_reasons_of_the_laptop_are_told():
    """`declined` is a person's own answer, and needs no page."""
    client = Path(module.__file__).parent
    codes = {
        code
        for path in client.glob("*.py")
        for code in re.findall(r'(?:Reason|Held)\((?:[^()"]*, )?"([a-z-]+)"', path.read_text())
    }
    assert {"newer", "waits", "rolled-back", "undecided"} <= codes
    assert codes - {"declined"} <= ANCHORS


def test_the_table_of_exit_codes_is_the_one_that_commands_use():
    table = dict(re.findall(r"^\| `([a-z]+)` \|.*\| (\d) \|$", ERRORS, re.MULTILINE))
    assert {outcome: str(code) for outcome, code in module.EXIT.items()} == table
    for code in (module.USAGE, module.CHANGES, module.OUR_FAULT, module.INTERRUPTED):
        assert re.search(rf"\b{code}\b", ERRORS)


@pytest.mark.parametrize(
    "text", [ERRORS, QUICKSTART, COMMANDS, LEAVING], ids=["errors", "quickstart", "commands", "leaving"]
)
def test_every_command_and_option_that_is_named_exists(text):
    commands = cli.commands
    for name, rest in re.findall(r"flask habanero ([a-z]+)([^\n`]*)", text):
        assert name in commands, name
        options = {opt for p in commands[name].params if isinstance(p, click.Option) for opt in p.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest.partition("#")[0])) <= options, rest


def test_each_command_has_its_part_of_the_page():
    """And those that print the same at each run have a transcript, which another test runs again."""
    parts = dict(re.findall(r"^## ([a-z]+)\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL))
    assert set(cli.commands) == set(parts)
    shown = {name for name, text in parts.items() if f"$ flask habanero {name}" in text}
    assert shown == set(cli.commands) - {"demo", "doctor"}  # doctor tells of this machine


def test_pages_that_are_linked_exist():
    """`reasons.md` is the engine's page."""
    for text in (ERRORS, QUICKSTART, COMMANDS, LEAVING):
        for page in re.findall(r"\]\(([a-z]+\.md)", text):
            assert (DOCS / page).exists() or page == "reasons.md", page
