"""New modules that nothing imports yet: who saves one reads that it is there and does not run yet."""

import pytest
from flask_habanero.client.tree import read_tree
from flask_habanero.client.unimported import aside, unimported

from tests.client.test_beside import lay
from tests.client.test_session import start  # noqa: F401  # a fixture

WORDS = "nothing imports shop/vat.py yet: it runs once something does"
NOT_SENT = "nothing imports it yet, so it is not sent; it goes with what does"


@pytest.mark.parametrize(
    "text",
    [
        "import shop.vat\n",
        "from shop import vat\n",
        "from . import vat as tax\n",
        "from .vat import rate\n",
        "def later():\n    from .vat import rate\n    return rate\n",
        "from shop.vat.deep import x\n",
        "from . import (\n    x,  # one\n    vat,\n)\n",
        "from . import \\\n    x, \\\n    vat\n",
        "from . \\\n    import vat\n",
        "from . \\\n    import (\n    vat)\n",
        "x = 1; import shop.vat\n",
        "if x: from . import vat\n",
    ],
)
def test_each_way_to_import_it_is_seen(tmp_path, text):
    lay(tmp_path, shop__views=text, shop__vat="x = 1\n")
    assert unimported(read_tree((tmp_path,), ("shop",)), ["shop.vat"]) == ()


@pytest.mark.parametrize(
    "text", ["x = 1\n", "vat = 1  # vat\n", "from .other import vat\n", "vat(:\n", "import shop.vats, vat\n"]
)
def test_only_an_import_of_that_module_counts(tmp_path, text):
    lay(tmp_path, shop__views=text, shop__vat="from . import vat\n")
    assert unimported(read_tree((tmp_path,), ("shop",)), ["shop.vat"]) == ("shop.vat",)


def test_a_package_is_imported_with_what_is_in_it_and_not_by_it(tmp_path):
    lay(tmp_path, shop__new____init__="", shop__new__deep="from shop import new\nfrom . import deep\n")
    (tmp_path / "shop/new/__init__.py").write_text("")
    names = ["shop.new", "shop.new.deep"]
    assert unimported(read_tree((tmp_path,), ("shop",)), names) == ("shop.new", "shop.new.deep")
    lay(tmp_path, shop__views="import shop.new.deep\n")
    assert unimported(read_tree((tmp_path,), ("shop",)), names) == ()


def test_a_push_and_a_plan_say_so(run, project):
    project.write("shop.vat", "RATE = 20\n")
    planned = run("plan")
    assert WORDS in planned.out
    assert run("plan", "--json").json["unimported"] == ["shop/vat.py"]
    pushed = run("push")
    assert pushed.out.splitlines()[1] == f"          {WORDS}"


def test_it_is_said_of_what_is_new_there_and_goes_and_of_nothing_else(run, project):
    project.write("shop.vat", "RATE = 20\n")
    project.write("shop.rates", "RATE = 20\n")
    project.write("shop.views", "from shop import rates\n")
    assert run("push", "--json").json["unimported"] == ["shop/vat.py"]
    project.write("shop.vat", "RATE = 21\n")
    assert run("push", "--json").json["unimported"] == []
    project.write("shop.more", "x = 1  # cold\n")
    refused = run("push", "--json").json
    assert (refused["outcome"], refused["unimported"]) == ("cold", [])


def test_a_save_of_one_says_so(start, project, server):  # noqa: F811
    shown = []
    window = start().ready()
    window.screen.result = lambda result, held: shown.append((result.paths, result.unimported))
    project.write("shop.vat", "RATE = 20\n")
    server.wait_for(lambda: server.head == 1)
    window.end()
    assert shown == [(("shop/vat.py",), ("shop/vat.py",))]


class TestBesideTheApp:
    @pytest.fixture(autouse=True)
    def allowed(self, server):
        server.allowed.append("*")

    def test_what_is_not_sent_is_named(self, run, project):
        project.write("tools", "x = 1\n")
        project.write("scripts.load", "x = 1\n")
        for name in ("setup", "test_shop", "a-b", "tests.test_more"):
            project.write(name, "x = 1\n")
        pushed = run("push")
        assert "not sent, nothing imports it: scripts/, tools.py\n" in pushed.err
        assert "not sent" in run("plan").err
        project.write("shop.views", "import tools\nfrom scripts import load\n")
        assert "not sent" not in run("push").err

    def test_a_save_of_it_says_so_once(self, start, project, server):  # noqa: F811
        project.write("script", "x = 1\n")
        window = start().ready()
        for text in ("x = 1\n", "x = 2\n"):
            project.write("tools", text)
        window.shows(("note", f"tools.py: {NOT_SENT}"))
        project.write("test_tools", "x = 1\n")
        project.write("tools", "x = 3\n")
        project.write("shop.views", "import tools\n")
        window.shows(("live", "shop/views.py", "tools.py", "0 held"))
        project.write("tools", "x = 4\n")
        window.shows(("live", "tools.py", "0 held"))
        assert [line for line in window.lines if line[0] == "note"] == [("note", f"tools.py: {NOT_SENT}")]

    def test_of_some_files_only_they_are_told(self, tmp_path):
        lay(tmp_path, app="x = 1\n", tools="x = 1\n", script="x = 1\n", lib__deep="x = 1\n")
        tree = read_tree((tmp_path,), ("app", "*"), ("app",))
        assert aside(tree) == ("lib/", "script.py", "tools.py")
        paths = [tmp_path / name for name in ("tools.py", "lib/deep.py", "app.py", "gone.py")]
        assert aside(tree, paths) == ("lib/deep.py", "tools.py")
