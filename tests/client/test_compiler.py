"""Compiling for the server's Python where this one is another: in a process of its own, and checked."""

import json
import os
import subprocess
import sys

import pytest
from flask_habanero.client import compiler as module
from flask_habanero.client.compiler import Compiler, NoPythonError
from flask_habanero.client.pythons import find
from flask_habanero.client.tree import read_tree
from flask_habanero.client.view import View
from flask_habanero.errors import ConfigError
from flask_habanero.release import Report
from flask_habanero.unit import python_tag

NEW = "def index():\n    return 2\n"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHERS = {
    version: path
    for version in ("3.11", "3.12", "3.13")
    if version != HERE and (path := find(version, os.environ)) is not None
}


def tag_of(python):
    """Ask another interpreter for its tag, in its own words."""
    code = (
        "import sys, importlib.util as u;"
        "print(u.MAGIC_NUMBER[:2].hex(), sys.implementation.cache_tag, 'o0', 'gil', sep='-')"
    )
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(params=sorted({"3.11", "3.12", "3.13"} - {HERE}))
def other(request):
    """Give another CPython that this project runs on."""
    if request.param not in OTHERS:
        pytest.skip(f"no CPython {request.param} on PATH, of pyenv or of uv")
    return OTHERS[request.param]


@pytest.fixture
def view(server):
    """Give the server as it was seen, for a Python that it is said to run."""

    def view(tag, optimize=0):
        server.python = tag
        data = {**server._facts(), "tree": {}, "optimize": optimize}
        return View.of(Report("live", data=data))

    return view


@pytest.fixture
def tree(project):
    return lambda: read_tree([project.folder], ["shop"])


def test_it_is_found_and_asked_where_this_python_does_not_do(other, view, tree):
    tag = tag_of(other)
    compiler = Compiler("", os.environ)
    assert compiler.other(view(tag)) == other
    units, wrong = compiler.compile(tree(), ("shop.views", "shop.models"), view(tag))
    assert wrong == {}
    assert [unit.source for unit in units.values()] == [tree().sources[name] for name in units]
    marked = subprocess.run(
        [other, "-c", "import sys, marshal; print(marshal.loads(sys.stdin.buffer.read()).co_consts)"],
        input=units["shop.views"].statements[0].code,
        capture_output=True,
        check=True,
    )
    assert b"code object index" in marked.stdout


def test_this_python_does_what_it_can(view):
    assert Compiler("", {}).other(view(python_tag(0))) is None


def test_the_one_that_was_named_compiles_even_if_this_one_could(view, tree):
    compiler = Compiler(sys.executable, {})
    here = view(python_tag(0))
    assert str(compiler.other(here)) == sys.executable
    units, _ = compiler.compile(tree(), ("shop.views",), here)
    assert units == Compiler("", {}).compile(tree(), ("shop.views",), here)[0]


def test_levels_of_optimisation_are_the_servers(view, tree, project):
    project.write("shop.views", "assert False\n")
    codes = [
        Compiler(sys.executable, {})
        .compile(tree(), ("shop.views",), view(python_tag(level), level))[0]["shop.views"]
        .statements[0]
        .code
        for level in (0, 1)
    ]
    assert codes[0] != codes[1]


def test_what_does_not_compile_there_is_said_as_here(other, view, tree, project):
    project.write("shop.views", "x = 1\n\n    y = 2\n")
    project.path("shop.models").write_bytes(b"x = '\xff'\n")
    names = ("shop.views", "shop.models", "shop.pricing")
    units, wrong = Compiler("", os.environ).compile(tree(), names, view(tag_of(other)))
    assert list(units) == ["shop.pricing"]
    assert (wrong["shop.views"].line, wrong["shop.views"].text) == (3, "    y = 2")
    assert wrong["shop.models"].path == "shop/models.py"


@pytest.mark.parametrize("level", [[], ["--python", sys.executable]])
def test_none_that_fits_is_said_with_how_to_get_one(run, project, server, level):
    run("push")
    project.write("shop.views", NEW)
    server.python = "abcd-cpython-314-o0-gil"
    ran = run("push", "--json", *level)
    assert (ran.code, server.head) == (1, 0)
    (reason,) = ran.json["reasons"]
    assert reason["code"] == "python"
    assert "CPython 3.14" in reason["what"]
    assert "3.14" in reason["hint"]


def test_the_wrong_one_is_named_and_one_that_fits_is_here(other, view):
    with pytest.raises(NoPythonError) as raised:
        Compiler(sys.executable, os.environ).other(view(tag_of(other)))
    assert "without --python it is /" in raised.value.hint
    with pytest.raises(NoPythonError) as raised:
        Compiler(str(other), os.environ).other(view(python_tag(0)))
    assert f"without --python it is {sys.executable}" in raised.value.hint


@pytest.mark.parametrize("command", ["push", "plan"])
def test_a_push_goes_as_code_of_the_other(run, project, server, other, command):
    assert run("push").code == 0
    project.write("shop.views", NEW)
    server.python = tag_of(other)
    for words in ([], ["--python", str(other)]):
        assert run(command, *words).code == 0
    assert {c["py"] for c in server.seen if c["op"] == command} == {server.python}
    if command == "push":
        assert server.tree["shop.views"].text == NEW


def script(tmp_path, text):
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("true", "no answer that can be read"),
        ("echo hello", "no answer that can be read"),
        ("echo boom >&2; exit 3", "boom"),
        ("exit 3", "ended with 3"),
        ("exec sleep 60", "does not answer"),
    ],
)
def test_an_interpreter_that_is_none(tmp_path, view, monkeypatch, text, why):
    monkeypatch.setattr(module, "COMPILE_S", 0.5)
    with pytest.raises(ConfigError, match=why):
        Compiler(script(tmp_path, text), {}).other(view(python_tag(0)))


def test_an_interpreter_that_is_not_there(view, run):
    with pytest.raises(ConfigError, match="No such file"):
        Compiler("/nowhere/python", {}).other(view(python_tag(0)))
    assert run("push", "--python", "/nowhere/python").code == 2


def test_code_of_another_tag_is_never_sent(view, tree, monkeypatch):
    """Exchanged between the question who it is and the work."""
    compiler = Compiler(sys.executable, {})
    assert compiler.other(view(python_tag(0)))
    honest = module._ask

    def lie(*question):
        bundle, wrong = honest(*question)
        return module.Bundle(bundle.units, (), "abcd-cpython-314-o0-gil", bundle.parent, bundle.target), wrong

    monkeypatch.setattr(module, "_ask", lie)
    with pytest.raises(NoPythonError.__mro__[1]):
        compiler.compile(tree(), ("shop.views",), view(python_tag(0)))


def test_what_was_not_asked_for_is_never_sent(view, tree, monkeypatch):
    compiler, honest = Compiler(sys.executable, {}), module._ask
    monkeypatch.setattr(module, "_ask", lambda python, level, sources: honest(python, level, sources[1:]))
    with pytest.raises(ConfigError, match="something else"):
        compiler.compile(tree(), ("shop.views", "shop.models"), view(python_tag(0)))


def test_it_is_alone_and_knows_no_secret(tmp_path, view, tree, server, environ):
    """Only the standard library, none of our environment: what it can't read it can't tell."""
    path = script(tmp_path, f'env > {tmp_path}/env; exec {sys.executable} "$@"')
    compiler = Compiler(path, os.environ)
    assert compiler.compile(tree(), ("shop.views",), view(python_tag(0)))[1] == {}
    assert server.secret not in (tmp_path / "env").read_text()
    code = (
        "import sys; sys.path.append(sys.argv[1]); import flask_habanero.client.abroad;"
        "import json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    start = [sys.executable, "-I", "-S", "-B", "-c", code, str(module.PACKAGE.parent)]
    loaded = json.loads(subprocess.run(start, capture_output=True, check=True).stdout)
    assert [name for name in loaded if name not in sys.stdlib_module_names] == ["__main__", "flask_habanero"]
