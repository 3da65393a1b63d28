"""Which server, which secret, which project."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from flask_habanero.client.keywords import OF_TARGET
from flask_habanero.client.target import (
    Options,
    check_url,
    find_roots,
    find_target,
    read_secret,
    refuse_plain_http,
    who,
)
from flask_habanero.envelope import Key, new_secret
from flask_habanero.errors import ConfigError

ONE, TWO = new_secret("one"), new_secret("two")


@pytest.mark.parametrize(
    ("url", "path", "endpoint"),
    [
        ("https://my.app", "/_habanero", "https://my.app/_habanero"),
        ("https://my.app/", "/_habanero", "https://my.app/_habanero"),
        ("https://my.app/prefix/", "_habanero", "https://my.app/prefix/_habanero"),
        ("https://my.app/_habanero", "/_habanero", "https://my.app/_habanero"),
        ("https://my.app", "/_h/deep", "https://my.app/_h/deep"),
    ],
)
def test_the_endpoint_is_below_the_apps_address(url, path, endpoint):
    assert check_url(url, path) == endpoint


@pytest.mark.parametrize(
    "url", ["", "my.app", "ftp://my.app", "https://", "https://a:b@my.app", "https://my.app:x"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError, match="--url"):
        check_url(url, "/_habanero")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"])
def test_plain_http_stays_on_this_machine(host):
    refuse_plain_http(f"http://{host}:5000/_habanero")


@pytest.mark.parametrize(
    "host", ["my.app", "10.0.0.5", "0.0.0.0", "localhost.evil.org", "127.0.0.1.evil.org"]
)
def test_plain_http_leaves_it_only_if_that_was_typed(host):
    with pytest.raises(ConfigError, match="plain http"):
        refuse_plain_http(f"http://{host}/_habanero")
    refuse_plain_http(f"https://{host}/_habanero")


def test_the_first_of_several_secrets_signs(tmp_path):
    assert read_secret("", {"HABANERO_SECRET": json.dumps([TWO, ONE])}).kid == "two"


def test_where_a_secret_is_looked_for(tmp_path):
    path = tmp_path / "secret"
    path.write_text(ONE + "\n")
    assert read_secret("", {"HABANERO_SECRET_FILE": str(path)}) == Key.parse(ONE)
    assert read_secret("", {"FLASK_HABANERO_SECRET": TWO, "HABANERO_SECRET_FILE": str(path)}).kid == "two"
    assert read_secret("", {"HABANERO_SECRET": ONE, "FLASK_HABANERO_SECRET": TWO}).kid == "one"
    assert read_secret("STAGING", {"STAGING": TWO, "HABANERO_SECRET": ONE}).kid == "two"


BAD = [
    {},
    {"HABANERO_SECRET": "x"},
    {"HABANERO_SECRET": "[]"},
    {"HABANERO_SECRET": "[1"},
    {"HABANERO_SECRET_FILE": "/nix"},
]


@pytest.mark.parametrize("environ", BAD)
def test_no_good_secret_is_a_set_up_error(environ):
    with pytest.raises(ConfigError):
        read_secret("", environ)


def test_a_target_that_names_a_variable_takes_no_other(tmp_path):
    """The production secret never goes to staging because staging's was forgotten."""
    with pytest.raises(ConfigError, match="STAGING is not set"):
        read_secret("STAGING", {"HABANERO_SECRET": ONE})


def test_roots_are_named_or_found(tmp_path):
    assert find_roots(tmp_path, {}) == (tmp_path,)
    (tmp_path / "src").mkdir()
    assert find_roots(tmp_path, {}) == (tmp_path,)
    (tmp_path / "src" / "shop").mkdir()
    (tmp_path / "src" / "shop" / "__init__.py").write_text("")
    assert find_roots(tmp_path, {}) == (tmp_path / "src",)
    assert find_roots(tmp_path, {"roots": ["."]}) == (tmp_path,)
    for wrong in (["nix"], "src", [], [1]):
        with pytest.raises(ConfigError, match="roots"):
            find_roots(tmp_path, {"roots": wrong})


def target(cwd, typed=Options(), **environ):  # noqa: B008  # frozen
    return find_target(typed, cwd, {"HABANERO_SECRET": ONE, **environ})


def test_what_was_typed_wins_then_the_target_then_the_environment(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.habanero.targets.s]\nurl = "https://s"\napp = "shop"\npath = "/x"\n'
    )
    deep = tmp_path / "deep"
    deep.mkdir()
    assert target(deep, HABANERO_URL="https://e").endpoint == "https://e/_habanero"
    found = target(deep, Options("s"), HABANERO_URL="https://e")
    assert (found.endpoint, found.app_id, found.project, found.name) == ("https://s/x", "shop", tmp_path, "s")
    assert target(deep, Options("s", "https://t", "other")).app_id == "other"
    assert target(deep, FLASK_HABANERO_URL="https://f").endpoint == "https://f/_habanero"


@pytest.mark.parametrize("text", ["[tool.habanero", "[tool]\nhabanero = 1\n"])
def test_a_damaged_pyproject_is_said(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError):
        target(tmp_path, HABANERO_URL="https://e")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tool.habanero]\nchek = "pytest"\n', r"\[tool.habanero\] chek.*did you mean check\?"),
        ("[tool.habanero.targets.s]\nconfrim = true\n", r"targets.s\] confrim.*did you mean confirm\?"),
        ("[tool.habanero]\nwhatever = 1\n", "there are check, confirm, .*roots, targets"),
    ],
)
def test_a_key_that_is_misspelt_is_said(tmp_path, text, said):
    """A check that is called by another name would never run."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        target(tmp_path, HABANERO_URL="https://e")
    assert re.search(said, str(raised.value), re.DOTALL)


def test_every_key_of_the_docs_is_one(tmp_path):
    rows = (Path(__file__).parents[2] / "docs/quickstart.md").read_text().partition("key of a target")[2]
    table = rows.partition("\n\n")[0]
    told = {key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert told
    assert told <= OF_TARGET


def test_a_project_ends_at_its_repository(tmp_path):
    """A pyproject.toml further up is another project's."""
    (tmp_path / "pyproject.toml").write_text("")
    inner = tmp_path / "inner"
    (inner / "deep").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(inner)], check=True)
    assert target(inner / "deep", HABANERO_URL="https://e").project == inner


def test_who_pushes_fits_the_envelope(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "config", "user.email", "änn o'x@example.org"], check=True)
    assert who(tmp_path, {}) == "-nn-o-x@example.org"
    assert re.fullmatch(r"[A-Za-z0-9._@+-]{1,64}", who(tmp_path.parent, {"USER": "x" * 99}))
