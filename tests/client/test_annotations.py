"""What GitHub is told of a push or plan that did not go."""

import pytest
from flask_habanero.client.annotations import annotating, line_of
from flask_habanero.client.push import Result
from flask_habanero.errors import Reason
from flask_habanero.release import Report

COLD = Reason("cold", "shop.views:3", "it opens, or starts:\n100%", "restart")


@pytest.fixture
def workflow(environ, project):
    environ.setenv("GITHUB_ACTIONS", "true")
    environ.setenv("GITHUB_WORKSPACE", str(project.folder.parent))
    return project.folder.name


def annotations(ran):
    return [line for line in ran.err.splitlines() if line.startswith("::")]


@pytest.mark.parametrize("command", [["push"], ["plan"], ["push", "--json"], ["plan", "--json"]])
def test_a_syntax_error_stands_beside_its_line(run, project, workflow, command):
    project.write("shop.views", "x = 1\ndef index(:\n")
    (line,) = annotations(run(*command))
    assert line.startswith(f"::error file={workflow}/shop/views.py,line=2,col=11::invalid syntax")


@pytest.mark.parametrize("command", ["push", "plan"])
def test_what_is_cold_stands_beside_its_line(run, project, workflow, command):
    project.write("shop.views", "def index():\n    return 2  # cold\n")
    (line,) = annotations(run(command))
    assert line.startswith(f"::error file={workflow}/shop/views.py,line=")
    assert line.endswith(" [cold]")


def test_elsewhere_and_of_what_went_nothing_is_said(run, project, environ, workflow):
    project.write("shop.views", "def index():\n    return 2\n")
    assert annotations(run("push")) == []
    environ.setenv("GITHUB_ACTIONS", "false")
    project.write("shop.views", "def index():\n    return 2  # cold\n")
    assert annotations(run("push")) == []


def test_what_would_end_a_line_or_a_value_is_escaped():
    line = line_of("error", COLD, lambda name: "a,b:c/views.py")
    assert line == ("::error file=a%2Cb%3Ac/views.py,line=3::it opens, or starts:%0A100%25 (restart) [cold]")


@pytest.mark.parametrize("where", ["", "shop.gone:3", "not a : place"])
def test_what_is_no_file_here_stands_in_the_words(where):
    line = line_of("error", Reason("cold", where, "why"), lambda name: "")
    assert line == f"::error::{f'{where}: ' if where else ''}why [cold]"


def test_where_workers_are_restarted_it_is_a_warning(tmp_path):
    said = []
    (tmp_path / "views.py").write_text("")
    with annotating(
        (tmp_path,), {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path)}, said.append
    ) as tell:
        report = Report("cold", reasons=(COLD,), data={"restarts": True})
        tell(Result(report, sent=("shop.views",), paths=("views.py",)))
    assert said[0].startswith("::warning file=views.py,line=3::")
