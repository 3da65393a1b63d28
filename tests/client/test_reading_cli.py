"""The commands that read what the server has, as a person types them."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import pytest
from flask_habanero.asset import Asset

NEW = "def index():\n    return 2\n\n\nclass Cart:\n    @property\n    def total(self):\n        return 3\n"


@pytest.fixture
def git(project, environ):
    """Give git in the project, whose HEAD has what is deployed."""
    environ.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def git(*words):
        who = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
        return subprocess.run(
            ["git", *who, *words], cwd=project.folder, check=True, capture_output=True, text=True
        )

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "base")
    return git


def objects(ran):
    return [json.loads(line) for line in ran.out.splitlines()]


# log


def test_log_shows_releases_newest_first_with_who_and_what(run, server):
    server.release({"shop.views": NEW, "shop.vat": "RATE = 20\n"}, "ann@example.org")
    server.release({"shop.models": None}, "bob@example.org")
    server.roll_back(1, "ann@example.org")
    ran = run("log")
    assert ran.code == 0
    rollback, taken_back, push, base = ran.out.splitlines()
    assert rollback.startswith("#3 ")
    assert rollback.endswith("ann@example.org          rollback  +shop.models  back to #1  head")
    assert taken_back.endswith("bob@example.org          push      -shop.models  taken back")
    assert "~shop.views" in push
    assert "+shop.vat" in push
    assert "taken back" not in push
    assert base.split()[0] == "#0"
    assert base.endswith(f"base      epoch {server.epoch[:8]}")


def test_log_reads_on_where_an_answer_ends_and_no_further_than_asked(run, server):
    server.page = 2
    for number in range(7):
        server.release({"shop.views": f"x = {number}\n"})
    assert [row["number"] for row in objects(run("log", "--json"))] == [7, 6, 5, 4, 3, 2, 1, 0]
    before = len(server.seen)
    assert len(run("log", "-n", "3").out.splitlines()) == 3
    assert [claims["op"] for claims in server.seen[before:]] == ["hello", "log", "log"]
    assert run("log", "-n", "0").code == 2


def test_log_in_json_is_one_object_for_each_release(run, server):
    server.release({"shop.views": NEW}, "ann@example.org")
    server.roll_back(0)
    rollback, push, base = objects(run("log", "--json"))
    assert (rollback["head"], rollback["live"], rollback["changes"]) == (True, True, {"shop.views": "~"})
    assert (push["head"], push["live"], push["who"], push["epoch"]) == (
        False,
        False,
        "ann@example.org",
        server.epoch,
    )
    assert (base["kind"], base["live"]) == ("base", True)


def test_a_release_that_can_not_be_believed_is_said_and_the_exit_code_tells(run, server):
    server.release({"shop.views": NEW})
    server.release({"shop.pricing": NEW})
    server.troubles = dict.fromkeys((2,), "record #2 of epoch 0: its seal is of another content")
    ran = run("log")
    assert ran.code == 1
    assert "not to be believed: record #2 of epoch 0: its seal is of another content" in ran.out
    assert run("log", "--json").code == 1
    assert run("show", "2").code == 1
    assert "its seal is of another content" in run("show", "2").err
    assert "can't be told: record #2" in run("show", "shop.pricing").err


# show


def test_show_prints_the_live_source_alone_and_who_made_it_beside(run, server):
    server.release({"shop.views": NEW}, "ann@example.org")
    server.release({"shop.pricing": "x = 1\n"})
    ran = run("show", "shop.views")
    assert (ran.code, ran.out) == (0, NEW)
    first, second = ran.err.splitlines()
    assert first == "shop.views  shop/views.py:1-8  at #2, which is head"
    assert second.startswith("last changed in #1 by ann@example.org, ")
    untouched = run("show", "shop.models")
    assert "as it was deployed: no release changed it" in untouched.err


def test_show_prints_one_definition(run, server):
    server.release({"shop.views": NEW})
    ran = run("show", "shop.views:Cart.total")
    assert ran.out == "    @property\n    def total(self):\n        return 3\n"
    assert "shop/views.py:6-8" in ran.err


@pytest.mark.parametrize(("at", "text"), [("0", 1), ("base", 1), ("disk", 1), ("#1", 2), ("head", 3)])
def test_show_of_any_state(run, server, at, text):
    server.release({"shop.views": "x = 2\n"})
    server.release({"shop.views": "x = 3\n"})
    ran = run("show", "shop.views", "--at", at)
    assert ran.code == 0
    assert str(text) in ran.out


def test_show_in_json(run, server):
    server.release({"shop.views": NEW}, "ann@example.org")
    value = run("show", "shop.views:index", "--json").json
    assert (value["module"], value["path"], value["at"], value["first"]) == (
        "shop.views",
        "shop/views.py",
        1,
        1,
    )
    assert value["text"] == "def index():\n    return 2\n"
    assert (value["release"]["number"], value["release"]["who"]) == (1, "ann@example.org")


UNKNOWN = [
    ("shop.view", 2, "there is no module of that name at #1, which is head", "did you mean shop.views"),
    ("shop.views:indx", 2, "there is no definition of that name in shop.views", "did you mean index?"),
    ("os", 2, "there is no module of that name", "there are shop, shop.models"),
    ("7", 1, "there is no #7 in this epoch, which began at #0 and is at #1", "flask habanero log"),
]


@pytest.mark.parametrize(("what", "code", "why", "hint"), UNKNOWN)
def test_what_is_not_there_is_said_with_what_is_near(run, server, what, code, why, hint):
    server.release({"shop.views": NEW})
    ran = run("show", what)
    assert (ran.code, ran.out) == (code, "")
    assert why in ran.err
    assert hint in ran.err


def test_show_at_a_number_that_is_not_there(run, server):
    ran = run("show", "shop.views", "--at", "9")
    assert ran.code == 1
    assert "there is no #9 to read" in ran.err
    assert run("show", "shop.views", "--at", "tree").code == 2


def test_show_of_a_number_is_that_release_and_what_it_changed(run, server):
    server.release({"shop.views": "def index():\n    return 2\n", "shop.models": None}, "ann@example.org")
    server.release({"shop.pricing": "x = 1\n"})
    ran = run("show", "1")
    assert "ann@example.org" in ran.err
    assert "-shop.models ~shop.views" in ran.err
    assert ran.out == (
        "diff --git a/shop/models.py b/shop/models.py\ndeleted file mode 100644\n"
        "--- a/shop/models.py\n+++ /dev/null\n"
        "@@ -1,2 +0,0 @@\n-class Order:\n-    pass\n"
        "diff --git a/shop/views.py b/shop/views.py\n--- a/shop/views.py\n+++ b/shop/views.py\n"
        "@@ -1,2 +1,2 @@\n def index():\n-    return 1\n+    return 2\n"
    )
    assert run("show", "1", "--json").json["patch"] == ran.out
    assert run("show", "#0").out == ""


# diff


def test_diff_is_what_a_push_would_change(run, project, server):
    run("push")
    assert (run("diff").out, run("diff", "--exit-code").code) == ("", 0)
    server.release({"shop.models": "theirs = 1\n"})
    project.write("shop.views", "def index():\n    return 2\n")
    project.write("shop.vat", "RATE = 20\n")
    project.delete("shop.pricing")
    ran = run("diff")
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if line.startswith("diff")] == [
        f"diff --git a/shop/{name}.py b/shop/{name}.py" for name in ("pricing", "vat", "views")
    ]
    assert "-    return 1\n+    return 2\n" in ran.out
    assert "the server is newer, not in this difference: shop.models" in ran.err
    assert run("diff", "--exit-code").code == 6


def test_diff_between_states(run, project, server):
    server.release({"shop.views": "x = 2\n"})
    server.release({"shop.views": "x = 3\n"})

    def changed(*words):
        lines = run("diff", *words).out.splitlines()
        return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]

    assert changed("1", "2") == ["-x = 2", "+x = 3"]
    assert changed("#2", "1") == ["-x = 3", "+x = 2"]
    assert changed("1") == changed("1", "head") == ["-x = 2", "+x = 3"]
    assert changed("base")[-1] == changed("disk")[-1] == "+x = 3"
    assert changed("0", "tree") == changed("2", "2") == []
    assert changed("head")[0] == "-x = 3"
    assert changed("head") == changed("head", "tree")


def test_diff_in_json_is_one_object_for_each_file(run, project, server):
    run("push")
    project.write("shop.views", "x = 2\n")
    project.delete("shop.models")
    gone, other = objects(run("diff", "--json"))
    assert (gone["path"], gone["change"]) == ("shop/models.py", "-")
    assert {key: other[key] for key in ("path", "change", "from", "to")} == {
        "path": "shop/views.py",
        "change": "~",
        "from": "#0",
        "to": "tree",
    }
    assert other["patch"].startswith("diff --git a/shop/views.py")


def test_diff_leaves_out_what_is_ignored_here(run, project, server, git):
    server.release({"shop._version": "x = 1\n"})
    (project.folder / ".gitignore").write_text("_version.py\n")
    project.write("shop._version", "x = 2\n")
    ran = run("diff", "head", "tree")
    assert ran.out == ""
    assert "ignored in this tree, not in this difference: shop._version" in ran.err


def test_diff_keeps_the_form_of_the_file_here(run, project, server):
    """So that `git apply -R` takes it, and what is no change is none."""
    path = project.path("shop.views")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    run("push")
    assert run("diff").out == ""
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    assert b"-    return 1\r\n+    return 2\r\n" in run("diff").raw


@pytest.mark.parametrize("words", [("nowhere",), ("1", "2", "3"), ("staging", "1x"), ("41", "staging", "9")])
def test_diff_of_what_is_no_state_is_usage(run, server, words):
    ran = run("diff", *words)
    assert ran.code == 2
    assert server.connections == []


def test_the_state_of_a_named_target(run, project, environ, server):
    environ.delenv("HABANERO_URL")
    (project.folder / "pyproject.toml").write_text(f'[tool.habanero.targets.staging]\nurl = "{server.url}"\n')
    server.release({"shop.views": "x = 2\n"})
    for words in (("diff", "staging", "0", "1"), ("diff", "0", "staging", "1"), ("log", "staging")):
        assert run(*words).out, words
    assert run("show", "shop.views", "staging").out == "x = 2\n"
    assert run("export", "staging").code == 0


# templates and static files

PAGE, CSS, LOGO = "shop/templates/page.html", "shop/static/shop.css", "shop/static/logo.png"
PICTURE = b"\x89PNG\0\xff" * 300


@pytest.fixture
def site(project, server):
    """A project with a template and a stylesheet, as the server has them, which has one file more."""
    server.lay(templates__page_html="one\n", static__shop_css="p { }\n", static__upload_txt="theirs\n")
    for name, text in ((PAGE, "one\n"), (CSS, "p { }\n")):
        (project.folder / name).parent.mkdir(parents=True)
        (project.folder / name).write_text(text)
    return project


def names_in(patch):
    return [line.split(" b/")[1] for line in patch.splitlines() if line.startswith("diff --git")]


def test_diff_shows_assets_that_a_push_would_change(run, site, server):
    run("push")
    assert run("diff").out == run("diff", "tree", "head").out == ""
    (site.folder / PAGE).write_text("two\n")
    (site.folder / CSS).unlink()
    (site.folder / LOGO).write_bytes(PICTURE)
    ran = run("diff")
    assert names_in(ran.out) == [LOGO, CSS, PAGE]
    assert "-one\n+two\n" in ran.out
    assert "GIT binary patch\nliteral 1800\n" in ran.out
    assert "only on the server, never touched: shop/static/upload.txt" in ran.err
    back = run("diff", "tree", "head")
    assert names_in(back.out) == [LOGO, CSS, PAGE]
    assert "only on the server, never touched: shop/static/upload.txt" in back.err
    logo, _, page = objects(run("diff", "--json"))
    assert (logo["path"], logo["change"], page["path"], page["change"]) == (LOGO, "+", PAGE, "~")


def test_diff_and_show_of_releases_have_assets(run, site, server):
    server.release({PAGE: b"two\n", "shop.views": "x = 2\n"})
    server.release({CSS: None, LOGO: PICTURE})
    assert names_in(run("diff", "0", "2").out) == ["shop/views.py", LOGO, CSS, PAGE]
    assert names_in(run("diff", "1").out) == names_in(run("show", "2").out) == [LOGO, CSS]
    assert "+two\n" in run("show", "1").out
    assert run("show", "shop.views").out == "x = 2\n"
    assert "no module of that name" in run("show", PAGE).err
    assert "flask habanero diff base" in run("show", PAGE).err


def test_export_and_status_have_assets(run, site, server, git):
    server.release({PAGE: b"two\r\n", CSS: None, LOGO: PICTURE}, "ann@example.org")
    ran = run("export")
    assert f"live but not in git's HEAD: {PAGE} (#1 by ann@example.org)" in ran.err
    assert names_in(ran.out) == [LOGO, CSS, PAGE]
    drift = run("status", "--json").json["drift"]
    assert [(row["path"], row["release"]["number"]) for row in drift] == [(LOGO, 1), (CSS, 1), (PAGE, 1)]
    assert run("export", "--output", "live.patch").code == 0
    git("apply", "--whitespace=nowarn", "live.patch")
    assert (site.folder / PAGE).read_bytes() == b"two\r\n"
    assert (site.folder / LOGO).read_bytes() == PICTURE
    assert not (site.folder / CSS).exists()
    git("add", "-A")
    git("commit", "-qm", "what was live")
    assert (run("export").out, run("status", "--json").json["drift"]) == ("", [])


def test_assets_that_no_release_changed_are_no_drift(run, site, server, git):
    """An app writes into its static folder, and HEAD may be ahead of the deploy."""
    (site.folder / CSS).write_text("ahead { }\n")
    git("commit", "-qam", "not deployed yet")
    server.release({"shop.views": "x = 2\n"})
    for words in ((), ("--all",)):
        ran = run("export", *words)
        assert names_in(ran.out) == ["shop/views.py"]
        assert "static" not in ran.err


def test_outside_git_export_has_assets_that_the_tree_has_not(run, site, server):
    server.release({PAGE: b"two\n"})
    assert names_in(run("export").out) == [PAGE]


def test_a_static_file_that_is_not_to_be_had_any_more_is_said(run, site, server):
    server.release({CSS: b"pushed { }\n", PAGE: b"two\n"})
    tree, assets = server.states[0]
    server.states[0] = (tree, {**assets, CSS: Asset(CSS, assets[CSS].digest, None)})
    ran = run("diff", "0", "1")
    assert (ran.code, names_in(ran.out)) == (0, [PAGE])
    assert f"the server's disk has another file by now, so not in this difference: {CSS}" in ran.err


@pytest.mark.parametrize(
    "row", [[CSS, "%%%"], [CSS, "aGVsbG8="], ["../../x.css", "aGVsbG8="], [CSS], [CSS, 1], [1, ""]]
)
def test_an_asset_that_is_not_the_one_of_its_tree_is_not_shown(run, site, server, row):
    server.release({CSS: b"pushed { }\n"})
    server._sources = lambda claims, body: server.report("unchanged", data={"sources": [row], "left": []})
    ran = run("diff", "0", "1")
    assert (ran.code, ran.out) == (4, "")


# export and drift


def test_export_is_what_releases_made_live_and_git_has_not(run, project, server, git):
    assert "nothing to export" in run("export").err
    server.release({"shop.views": "x = 2\n", "shop.vat": "RATE = 20\n"}, "ann@example.org")
    server.release({"shop.models": None})
    ran = run("export")
    assert ran.code == 0
    assert "live but not in git's HEAD: shop/vat.py (#1 by ann@example.org)" in ran.err
    assert "live but not in git's HEAD: shop/models.py (#2 by bob@example.org)" in ran.err
    subprocess.run(["git", "apply"], cwd=project.folder, input=ran.out, check=True, text=True)
    assert project.path("shop.views").read_text() == "x = 2\n"
    assert not project.path("shop.models").exists()
    git("add", "-A")
    git("commit", "-qm", "what was live")
    assert (run("export").out, run("status", "--json").json["drift"]) == ("", [])


def test_export_to_a_file(run, project, server, git):
    server.release({"shop.views": "x = 2\n"})
    ran = run("export", "--output", "live.patch")
    assert (ran.code, ran.out) == (0, "")
    assert "git apply --index live.patch" in ran.err
    assert (project.folder / "live.patch").read_text() == run("export").out
    value = run("export", "--output", "live.patch", "--json").json
    assert (value["files"], value["output"], value["patch"]) == (["shop/views.py"], "live.patch", "")
    git("apply", "live.patch")
    git("commit", "-qam", "what was live")
    run("export", "--output", "live.patch")
    assert (project.folder / "live.patch").read_bytes() == b""


def test_a_file_that_can_not_be_written_is_usage(run, project, server, git):
    ran = run("export", "--output", "no/such/folder/live.patch")
    assert ran.code == 2
    assert "no/such/folder/live.patch: No such file or directory" in ran.err


@pytest.mark.parametrize("words", [("show", "shop.long"), ("diff", "0", "1"), ("log", "--json")])
def test_who_has_read_enough_may_close_the_pipe(project, environ, server, words):
    """`show shop.long | head`: that is no fault of ours."""
    server.release({"shop.long": "x = 1\n" * 50_000, **{f"shop.m{n}": "" for n in range(5_000)}})
    command = [sys.executable, "-c", "from flask_habanero.client.cli import cli; cli()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        child.stdout.close()
        said = child.stderr.read()
    assert "fault" not in said
    assert "Traceback" not in said


def test_export_is_against_head_whatever_lies_in_the_tree(run, project, server, git):
    """Usually the tree has what was pushed from it: that is no commit."""
    project.write("shop.views", "x = 2\n")
    run("push")
    assert "+x = 2\n" in run("export").out


def test_what_no_release_changed_is_counted_and_left_out(run, project, server, git):
    server.release({"shop.views": "x = 2\n"})
    project.write("shop.pricing", "ahead = 1\n")
    git("commit", "-qam", "not deployed yet")
    ran = run("export")
    assert "shop/pricing.py" not in ran.out
    assert (
        "differ from git's HEAD, and no release changed them (--all takes them, too): shop.pricing" in ran.err
    )
    assert "-ahead = 1" in run("export", "--all").out
    assert [row["path"] for row in run("status", "--json").json["drift"]] == ["shop/views.py"]


def test_a_module_that_becomes_a_package_is_one_file_gone_and_one_new(run, project, server, git):
    from flask_habanero.source import Source

    server.release({"shop.views": "x = 2\n"})
    server.tree["shop.views"] = Source("shop.views", "shop/views/__init__.py", True, "x = 2\n")
    server.states[1] = (dict(server.tree), server.assets)
    git("apply", "--index", "--whitespace=nowarn", write(project, run("export").out))
    assert not project.path("shop.views").exists()
    assert (project.folder / "shop/views/__init__.py").read_text() == "x = 2\n"


def write(project, patch):
    path = project.folder / "live.patch"
    path.write_text(patch)
    return str(path)


def test_paths_are_made_of_names_and_not_of_what_the_server_says(run, project, server, git):
    from flask_habanero.source import Source

    server.release({"shop.views": "x = 2\n"})
    server.tree["shop.evil"] = Source("shop.evil", "../../evil.py", False, "x = 2\n")
    server.states[1] = (dict(server.tree), server.assets)
    assert "diff --git a/shop/evil.py b/shop/evil.py" in run("export").out


def test_outside_git_export_is_against_the_tree(run, project, server):
    server.release({"shop.views": "x = 2\n"})
    ran = run("export")
    assert "+x = 2\n" in ran.out
    assert "live but not in this tree: shop/views.py (#1 by bob@example.org)" in ran.err
    project.write("shop.views", "x = 2\n")
    assert run("export").out == ""


def test_a_root_below_the_top_of_the_repository(run, project, server, environ, git):
    git("mv", "shop", "code")
    (project.folder / "src").mkdir()
    git("mv", "code", "src/shop")
    git("commit", "-qm", "moved")
    server.release({"shop.views": "x = 2\n", "shop.vat": "RATE = 20\n"})
    out = run("export").out
    assert "--- a/src/shop/views.py\n+++ b/src/shop/views.py\n" in out
    assert "+++ b/src/shop/vat.py" in out


def test_a_project_below_the_top_of_its_repository(run, project, server, environ):
    environ.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def git(*words, given="", folder=project.folder):
        who = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
        subprocess.run(["git", *who, *words], cwd=folder, check=True, input=given, text=True)

    git("init", "-q", folder=project.folder.parent)
    git("add", "-A")
    git("commit", "-qm", "base")
    server.release({"shop.views": "x = 2\n", "shop.vat": "RATE = 20\n"})
    out = run("export").out
    assert "--- a/project/shop/views.py" in out
    git("apply", "--index", given=out)
    assert project.path("shop.vat").read_text() == "RATE = 20\n"
    assert run("diff", "tree", "head").out == ""


def test_a_link_in_git_is_refused_and_named(run, project, server, git):
    project.path("shop.views").rename(project.folder / "elsewhere.py")
    project.path("shop.views").symlink_to("../elsewhere.py")
    git("add", "-A")
    git("commit", "-qm", "a link")
    server.release({"shop.views": "x = 2\n"})
    ran = run("export")
    assert ran.code == 1
    assert "shop/views.py is a symbolic link in git" in ran.err


def test_status_tells_what_is_live_but_not_in_git(run, project, server, git):
    assert "drift" not in run("status").out
    server.release({"shop.views": "x = 2\n"}, "ada@example.org")
    ran = run("status")
    assert "  drift    live but not in git: shop/views.py (#1 by ada@example.org)" in ran.out
    assert "flask habanero export" in ran.out
    (row,) = run("status", "--json").json["drift"]
    assert (row["module"], row["path"], row["release"]["number"]) == ("shop.views", "shop/views.py", 1)


def test_status_tells_no_drift_outside_git_and_before_a_first_commit(run, project, server, environ):
    server.release({"shop.views": "x = 2\n"})
    assert "drift" not in run("status").out
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    assert "drift" not in run("status").out


def test_many_modules_are_counted(run, project, server, git):
    server.release({f"shop.m{n}": "x = 1\n" for n in range(8)})
    out = run("status").out
    assert out.count("live but not in git") == 5
    assert "and 3 more" in out


# all of them


@pytest.mark.parametrize("words", [("log",), ("show", "shop.views"), ("diff", "0", "1"), ("export",)])
def test_reading_sends_no_code_and_needs_no_answers(run, project, server, words):
    server.release({"shop.views": NEW})
    project.write("shop.pricing", "syntax error(\n")
    assert run(*words).code == 0
    assert {claims["op"] for claims in server.seen} <= {"hello", "status", "log", "tree", "sources"}
    assert not (project.folder.parent / "state").exists()


@pytest.mark.parametrize("words", [("log",), ("show", "shop.views"), ("diff", "0", "1"), ("export",)])
def test_the_exit_codes_of_the_contract(run, project, server, environ, words):
    server.release({"shop.views": NEW})
    server.stop()
    assert run(*words).code == 4
    server.start(server.port)
    environ.setenv("HABANERO_SECRET", "hunter2")
    ran = run(*words, "--json")
    assert ran.code == 4
    assert ran.json["reasons"][0]["code"] == "config"


def test_a_source_that_is_not_the_one_of_its_tree_is_not_shown(run, server):
    server.release({"shop.views": NEW})
    honest = server._sources

    def other(claims, body):
        report = honest(claims, body)
        report.data["sources"][0][3] = "evil = 1\n"
        return report

    server._sources = other
    for words in (("show", "shop.views"), ("diff", "0", "1"), ("export",)):
        ran = run(*words)
        assert (ran.code, ran.out) == (4, ""), words
        assert "not those of their tree: shop.views" in ran.err


SENSELESS = [
    ("_log", {"log": [{"number": 1}], "next": None}, ("log",)),
    ("_log", {"log": [], "next": 7}, ("log",)),
    ("_log", {}, ("log",)),
    ("_tree", {"tree": []}, ("diff", "0")),
    ("_tree", {"tree": {}}, ("diff", "0")),
    ("_tree", {"tree": {}, "assets": {"../x.css": ""}}, ("diff", "0")),
    ("_sources", {"sources": [["shop.views"]], "left": []}, ("show", "shop.views")),
    ("_sources", {"sources": [], "left": ["shop.views"]}, ("show", "shop.views")),
    ("_sources", {"sources": [], "left": []}, ("show", "shop.views")),
]


@pytest.mark.parametrize(("op", "data", "words"), SENSELESS)
def test_what_is_signed_and_makes_no_sense_is_an_error(run, server, op, data, words):
    server.release({"shop.views": NEW})
    setattr(server, op, lambda claims, body: server.report("unchanged", data=data))
    ran = run(*words)
    assert (ran.code, ran.out) == (4, "")
    assert "error:" in ran.err


def test_sources_are_asked_for_until_all_are_there(run, server):
    server.page = 1
    server.release({f"shop.m{n}": f"x = {n}\n" for n in range(4)})
    assert run("diff", "0", "1").out.count("new file mode") == 4


def test_a_forced_colour_changes_nothing_else(run, project, environ, server, git):
    """CI sets FORCE_COLOR and pipes the patch into git."""
    path = project.path("shop.views")
    path.write_bytes(b"x = 1\r\n")
    git("commit", "-qam", "with the ends of Windows")
    server.release({"shop.views": "x = '\x1b[2J'\ny = 2"})
    plain = {
        words: run(*words).raw for words in (("export",), ("show", "shop.views"), ("diff", "tree", "head"))
    }
    environ.setenv("FORCE_COLOR", "1")
    assert run("export").raw == plain["export",]
    assert run("show", "shop.views").raw == plain["show", "shop.views"]
    coloured = run("diff", "tree", "head").raw
    assert coloured != plain["diff", "tree", "head"]
    for code in (b"\x1b[1m", b"\x1b[36m", b"\x1b[32m", b"\x1b[31m", b"\x1b[0m"):
        coloured = coloured.replace(code, b"")
    assert coloured == plain["diff", "tree", "head"]


def test_a_terminal_gets_colours_and_nothing_that_steers_it(project, environ, server):
    server.release({"shop.views": "x = '\x1b[2J'\n"})
    code = "from flask_habanero.client.cli import cli; cli()"

    def seen(*words, **variables):
        ours, theirs = pty.openpty()
        env = {**os.environ, **variables}
        subprocess.run(
            [sys.executable, "-c", code, *words], stdout=theirs, stderr=subprocess.PIPE, env=env, check=True
        )
        os.close(theirs)
        out = b""
        with contextlib.suppress(OSError):  # a terminal without a program, and nothing left to read
            out = os.read(ours, 100_000)
        os.close(ours)
        return out.decode()

    for words in (("show", "shop.views"), ("diff", "0", "1")):
        for variables in ({}, {"NO_COLOR": "1"}):
            out = seen(*words, **variables)
            assert "x = '\\x1b[2J'" in out
            assert "\x1b[2J" not in out
    assert "\x1b[32m+x" in seen("diff", "0", "1")
    assert "\x1b[" not in seen("diff", "0", "1", NO_COLOR="1")
    assert seen("diff", "1", "1") == ""
    server.release({LOGO: PICTURE})
    for words in (("diff", "1", "2"), ("show", "2"), ("export",)):
        out = seen(*words, NO_COLOR="1")
        assert f"Binary files a/{LOGO} and b/{LOGO} differ: 1.8 KB" in out
        assert "GIT binary patch" not in out
