"""What `doctor` asks the server, and what lies between. Changes nothing there."""

from __future__ import annotations

import os
import time

from .. import __version__
from ..asset import MAX_ASSETS
from ..errors import DeliveryError, HabaneroError, PythonMismatchError, RejectedError
from ..unit import python_tag
from .compiler import Compiler
from .desk import request_for
from .finding import Case, Told, fail, ok, warn
from .memory import Store, state_folder
from .surroundings import Surroundings
from .target import who
from .transport import Request, Wire
from .view import View
from .words import python_name, reach, report_of

CLOCK_S = 30  # what a request may be off by, if no hello had told the server's clock
SAME = "the same HABANERO_SECRET there, in the environment of gunicorn itself (it reads no .env), and restart"


def server(case: Case) -> Told:
    """Ask for an answer that our secret signed."""
    case.wire = Wire(case.endpoint, case.key, who(case.project, case.environ), ca_file=case.ca_file)
    begun = time.monotonic()
    try:
        report = case.wire.ask(Request("hello", python=python_tag()))
    except DeliveryError as error:
        tls = error.why.startswith("TLS")
        hint = (
            "--ca-file FILE with the certificates to trust" if tls else f"is it up?  curl -i {case.endpoint}"
        )
        return fail(str(error), hint)
    except RejectedError as error:
        return fail(str(error), SAME)
    if "tree" not in report.data:
        what = "; ".join(reason.what for reason in report.reasons) or report.outcome
        return fail(f"it answers, and has trouble itself: {what}", "look at HABANERO_STORE and its log there")
    case.view = View.of(report)
    secured = "over TLS " if case.endpoint.startswith("https") else ""
    ms = (time.monotonic() - begun) * 1000
    return ok(f"answers {secured}in {ms:.0f} ms, signed with our secret; #{report.release}")


def app(case: Case) -> Told:
    """Compare the app with the one that was met before."""
    store = Store(state_folder(case.environ), case.endpoint, case.project)
    pinned = case.options.app_id or str(case.entry.get("app") or "") or store.load().app
    if pinned not in ("", case.view.app):
        return fail(f"it is {case.view.app!r}, not {pinned!r}", f"--app-id {case.view.app}, if that is meant")
    return ok(f"{case.view.app}, {len(case.view.tree)} modules")


def clock(case: Case) -> Told:
    """Compare the clocks; requests are stamped by the server's, so some difference does no harm."""
    skew = case.wire.skew_s
    if abs(skew) > CLOCK_S:
        ahead = "ahead of" if skew > 0 else "behind"
        what = f"the server's is {abs(skew):.0f} s {ahead} ours. From a day on nothing is believed"
        return warn(what, "timedatectl set-ntp true     (on the side that is wrong)")
    return ok(f"{abs(skew):.0f} s apart")


def python(case: Case) -> Told:
    """Compare the Pythons, whose code must fit."""
    there = python_name(case.view.python)
    try:
        other = Compiler("", case.environ).other(case.view)
    except PythonMismatchError as error:
        what = f"this is {python_name(error.actual)}, the server runs {there}: its code can't be made here"
        return fail(what, report_of(error).reasons[0].hint)
    if other is None:
        return ok(f"{there} on both sides")
    return ok(f"the server runs {there}, and {other} makes its code")


def size(case: Case) -> Told:
    """Send a body as large as a push may be, with a question that changes nothing."""
    most = case.view.max_bytes
    # What is random does not shrink, and what does not shrink grows a little where it is packed
    body = os.urandom(most - most // 1000)
    try:
        case.wire.ask(Request("hello", python=python_tag(), body=body))
    except HabaneroError as error:
        what = f"a push of {most} bytes, which the server takes, does not get there: {error}"
        return warn(what, f"at the proxy, for nginx:  client_max_body_size {-(-most // 2**20)}m;")
    return ok(f"a push of {most} bytes gets there")


def version(case: Case) -> Told:
    """Ask for the status, and compare the versions of Flask-Habanero."""
    case.status = case.wire.ask(request_for("status", case.view))
    theirs = str(case.status.data.get("version", ""))
    if theirs != __version__:
        return warn(f"Flask-Habanero {theirs!r} there, {__version__} here", "install the same on both sides")
    return ok(f"Flask-Habanero {theirs} on both sides")


def workers(case: Case) -> Told:
    """Look which worker runs what."""
    count = case.status.workers
    if count.behind:
        return fail("; ".join(("not at head", *count.behind)), "restart them: they come to head then")
    return ok(f"{reach(count)} at #{case.status.release}")


def store(case: Case) -> Told:
    """Say where the releases rest."""
    place = Surroundings.of(case.status).store
    if place.startswith(("/tmp/", "/run/", "/dev/shm/")):  # noqa: S108  # looked at as text, nothing is put there
        return warn(f"{place}: a restart of the machine forgets the releases", "HABANERO_STORE=/var/lib/...")
    return ok(place)


def model(case: Case) -> Told:
    """Say which web server it is, and what runs beside us there."""
    around = Surroundings.of(case.status)
    name = around.server or "a web server that does not say its name"
    if around.reloader:
        what = (
            f"{name}: the reloader of {around.reloader} runs beside us, and restarts on what is written there"
        )
        return warn(what, "flask run --no-reload, or gunicorn without --reload")
    if around.preloaded:
        what = (
            f"{name}, loaded before it forked (--preload). Works; a new deploy needs a restart of the master"
        )
        return ok(what)
    return ok(name)


def settings(case: Case) -> Told:
    """Say which settings there do nothing."""
    around = Surroundings.of(case.status)
    if around.unknown:
        what = f"no such keys: {', '.join(around.unknown)}"
        return warn(what, "docs/configuration.md has those that there are")
    if around.overridden:
        what = f"set twice, and differently: {', '.join(around.overridden)}"
        return warn(
            what, "app.config counts first, then HABANERO_X, then FLASK_HABANERO_X in the environment"
        )
    return ok("every key that is set there counts")


def cold(case: Case) -> Told:
    """Say what happens to a change that can't be hot."""
    around = Surroundings.of(case.status)
    if not around.restarts:
        return ok("a cold change is refused (HABANERO_COLD=restart there would restart the workers)")
    what, hint = around.obstacle
    if what:
        return warn(f"HABANERO_COLD=restart, and yet a cold change is refused: {what}", hint)
    return ok("a cold change restarts the workers, which flask habanero run has started")


def assets(case: Case) -> Told:
    """Say which folders of templates and static files there are, and which have too many files."""
    crowded, folders = Surroundings.of(case.status).crowded, case.view.folders
    if crowded:
        what = f"more than {MAX_ASSETS} files each, so none of them goes live: {', '.join(crowded)}"
        return warn(what, "let the app write its files into another folder, outside of static_folder")
    return ok(", ".join(folders) or "no folders of templates and static files")
