"""Several files that belong together, saved one after the other: as few releases as can be, all live."""

from tests.client.test_session import start, watching  # noqa: F401  # fixtures

NEEDS = "import shop.tools  # needs shop.tools\n"


def sent(server):
    """Return the modules of each push, refused or not, as they came."""
    return [sorted(record["modules"]) for record in reversed(server.log)]


def test_what_lacked_a_file_goes_together_with_it(watching, project, server):  # noqa: F811
    project.write("shop.views", NEEDS)
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.tools", "x = 1\n")
    watching.shows(("live", "shop/tools.py", "shop/views.py", "0 held"))
    assert sent(server) == [["shop.tools", "shop.views"]]
    assert ("note", "shop/views.py: once more, together with what was saved now") in watching.lines


def test_what_took_away_what_another_file_imports_goes_together_with_it(watching, project, server):  # noqa: F811
    """The one that is saved later imported it until now."""
    project.write("shop.views", "from .models import Order\n")
    watching.shows(("live", "shop/views.py", "0 held"))
    project.write("shop.models", "x = 1  # needs shop.later\n")
    watching.shows(("cold", "shop/models.py", "1 held"))
    server._reasons = lambda bundle: []  # as if all that it needs were what comes now
    project.write("shop.views", "y = 1\n")
    watching.shows(("live", "shop/models.py", "shop/views.py", "0 held"))


def test_a_save_that_has_nothing_to_do_with_it_goes_alone(watching, project, server):  # noqa: F811
    project.write("shop.views", NEEDS)
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.pricing", "x = 1\n")
    watching.shows(("live", "shop/pricing.py", "1 held"))
    assert [claims["op"] for claims in server.seen].count("push") == 2


def test_what_is_cold_for_itself_does_not_go_again(watching, project, server):  # noqa: F811
    project.write("shop.views", "import shop.tools  # cold\n")
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.tools", "x = 1\n")
    watching.shows(("live", "shop/tools.py", "1 held"))
    assert [claims["op"] for claims in server.seen].count("push") == 2


def test_what_still_lacks_something_is_held_again_and_the_rest_goes(watching, project, server):  # noqa: F811
    project.write("shop.views", f"{NEEDS}# needs shop.more\n")
    watching.shows(("cold", "shop/views.py", "1 held"))
    project.write("shop.tools", "x = 1\n")
    watching.shows(("live", "shop/tools.py", "1 held"))
    assert sent(server) == [["shop.tools"]]
