"""The journal of registrations: complete, or said not to be; and enough to build all registries anew."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView
from flask_habanero.live import rebuilding, registrations

registrations.install()


def shop() -> Flask:
    """Return an app with a registration of each kind."""
    app = Flask("shop_of_tests")
    inner = Blueprint("inner", "shop_of_tests", url_prefix="/inner")
    bp = Blueprint("bp", "shop_of_tests", url_prefix="/bp")

    class Page(MethodView):
        def get(self, n):
            return n

    def view(**kwargs):
        return "v"

    for target in (app, bp, inner):
        target.add_url_rule("/v", "v", view)
        target.route("/w/<int:n>", methods=["GET", "POST"], defaults={"k": 1})(lambda n, k: "w")
        target.add_url_rule("/page/<n>", view_func=Page.as_view("page"))
        target.before_request(lambda: None)
        target.after_request(lambda response: response)
        target.teardown_request(lambda error: None)
        target.context_processor(dict)
        target.url_value_preprocessor(lambda endpoint, values: None)
        target.url_defaults(lambda endpoint, values: None)
        target.errorhandler(404)(lambda error: ("", 404))
        target.register_error_handler(KeyError, lambda error: ("", 500))
        target.endpoint("free")(view)
    app.template_filter("f")(str)
    app.template_test("t")(bool)
    app.template_global("g")(len)
    app.teardown_appcontext(lambda error: None)
    app.shell_context_processor(dict)
    bp.before_app_request(lambda: None)
    bp.app_errorhandler(405)(lambda error: ("", 405))
    bp.app_template_filter("bf")(str)
    bp.app_context_processor(dict)
    bp.register_blueprint(inner)
    app.register_blueprint(bp)
    app.register_blueprint(bp, name="again", url_prefix="/again")
    app.before_request(lambda: None)
    return app


def test_the_journal_gives_what_there_is():
    app = shop()
    (rebuilt,) = rebuilding.rebuild([app], {})
    assert rebuilding.differences(rebuilt) == []
    live = [rule.rule for rule in app.url_map.iter_rules()]
    assert len(live) > 10
    assert [r.rule for rules in rebuilt.url_map["_rules_by_endpoint"].values() for r in rules] == live


def test_rebuilding_touches_nothing_live():
    app = shop()
    before = {
        name: dict(getattr(app, name)) for name in ("view_functions", "before_request_funcs", "blueprints")
    }
    rules = list(app.url_map.iter_rules())
    rebuilding.rebuild([app, *app.blueprints.values()], {})
    assert {name: dict(getattr(app, name)) for name in before} == before
    assert list(app.url_map.iter_rules()) == rules
    assert all(rule.map is app.url_map for rule in rules)


@pytest.mark.parametrize(
    ("past", "named"),
    [
        (lambda app: app.view_functions.update(x=str), "view_functions"),
        (lambda app: app.view_functions.pop("v"), "view_functions"),
        (lambda app: app.before_request_funcs[None].reverse(), "before_request_funcs"),
        (lambda app: app.after_request_funcs["bp"].append(str), "after_request_funcs"),
        (lambda app: app.error_handler_spec[None][404].clear(), "error_handler_spec"),
        (lambda app: app.template_context_processors[None].insert(0, dict), "template_context_processors"),
        (lambda app: app.teardown_appcontext_funcs.clear(), "teardown_appcontext_funcs"),
        (lambda app: app.url_map._rules_by_endpoint.pop("v"), "url_map"),
    ],
)
def test_what_was_written_past_flasks_methods_is_noticed(past, named):
    app = shop()
    past(app)
    (rebuilt,) = rebuilding.rebuild([app], {})
    assert named in rebuilding.differences(rebuilt)


def test_a_blueprint_that_an_app_which_is_gone_had_registered_is_known():
    app, bp = Flask("shop_of_tests"), Blueprint("bp", "shop_of_tests")
    app.register_blueprint(bp)
    del app
    (rebuilt,) = rebuilding.rebuild([bp], {})
    assert rebuilding.differences(rebuilt) == []


def test_a_withdrawn_entry_is_not_in_what_is_rebuilt():
    app = shop()
    first = next(e for e in registrations.entries_of(app) if e.method == "before_request")
    journal = [entry for entry in registrations.entries_of(app) if entry is not first]
    (rebuilt,) = rebuilding.rebuild([app], {app: journal})
    assert first.args[0] in app.before_request_funcs[None]
    assert first.args[0] not in rebuilt.tables["before_request_funcs"][None]


def test_while_a_release_runs_registrations_are_only_written_down():
    app = shop()
    app._got_first_request = True
    rules, hooks = len(list(app.url_map.iter_rules())), len(app.before_request_funcs[None])
    with registrations.recording() as pending:
        app.route("/late")(lambda: "late")
        app.before_request(lambda: None)
    assert [entry.method for _, entry in pending] == ["add_url_rule", "before_request"]
    assert (len(list(app.url_map.iter_rules())), len(app.before_request_funcs[None])) == (rules, hooks)
    with pytest.raises(AssertionError, match="can no longer be called"):
        app.before_request(lambda: None)


def test_a_deferred_function_of_the_users_is_not_replayed():
    app, bp = Flask("shop_of_tests"), Blueprint("bp", "shop_of_tests")
    bp.record(lambda state: None)
    app.register_blueprint(bp)
    with pytest.raises(rebuilding.UnreplayableError):
        rebuilding.rebuild([app], {})


def test_a_conflict_is_raised_as_a_cold_start_raises_it():
    app = shop()
    with registrations.recording() as pending:
        app.add_url_rule("/other", "v", lambda: "another function")
    journal = [*registrations.entries_of(app), *(entry for _, entry in pending)]
    with pytest.raises(AssertionError, match="overwriting an existing endpoint"):
        rebuilding.rebuild([app], {app: journal})


def test_an_entry_knows_the_line_that_it_came_from():
    app = Flask("shop_of_tests")
    app.add_url_rule("/here", "here", str)
    frame = registrations.entries_of(app)[-1].frames[-1]
    assert frame.module == __name__
    assert frame.function == "test_an_entry_knows_the_line_that_it_came_from"
