"""What happens in the fresh process of a rehearsal: boot, come to head, go hot, answer requests, call checks.

It is given a name for the app and a nonce. Releases and the change it reads from the ledger's folder and
believes them itself, as a worker that starts does. It writes nothing there, binds no socket, and tells the
app's own receivers of nothing: no worker learns that it was there.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from flask import Flask, got_request_exception
from flask.cli import NoAppException, find_app_by_string

from .asked import called, is_page
from .change import Request, change_of, change_to
from .concerned import concerned, unasked, views_of
from .disk import Disk
from .errors import HabaneroError
from .fresh import RehearsalError, Said, Starter
from .ledger import Ledger
from .live import startup
from .moves import check_restart, plan_to
from .release import digest_of
from .server import NAME, Skin, stay_apart

if TYPE_CHECKING:
    from .change import Change
    from .record import State
    from .server import Runtime

SERVER_ERROR = 500
DEPLOY = "restart the app, or deploy"
_Page = dict[str, Any]
"""One request: path, status, ms, and why it failed. One call: the same, with its name and no status."""


def main() -> None:
    """Run as a process of its own: do the task that its starter gives, and tell what came of it."""
    live(lambda task, starter: Rehearsal(starter).run(task), _failed)


def live(do: Callable[[dict[str, Any], Starter], Said], failed: Callable[[BaseException], Said]) -> None:
    """Be a fresh process: load an app for a task, and tell what came of it, also if that is an error."""
    starter = Starter()
    task = starter.task()
    sys.argv[:] = task["argv"]  # an app may read it while it starts
    stay_apart()
    try:
        came = do(task, starter)
    except BaseException as error:  # noqa: BLE001  # sys.exit in a module, too: the starter is told of all
        came = failed(error)
    starter.say(came=came)
    starter.wait()


def _failed(error: BaseException) -> Said:
    told = error if isinstance(error, HabaneroError) else RehearsalError(where_of(error), words_of(error))
    return {"outcome": told.outcome, "steps": [], "reasons": _rows(told), "pages": []}


class Rehearsal:
    """One rehearsal."""

    def __init__(self, starter: Starter) -> None:
        self._say = starter.say

    def run(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Return what came of it. Raises HabaneroError, or whatever the app raises."""
        self._say(at=f"{task['app']} is imported")
        app = imported(task["app"])
        runtime = runtime_of(app)
        startup.stop()  # all that the start did has been done
        ledger = Ledger(runtime.config.store, runtime.config.app_id, runtime.keys)
        request = Request.verified(*ledger.staged(task["nonce"]), runtime.keys)
        self._say(at="it comes to head")
        head = _come_to_head(runtime, ledger, request.claims)
        self._say(at="the change goes hot")
        change = change_of(request, head, lambda number: ledger.state_at(request.claims["epoch"], number))
        steps = _go(runtime, change)
        named = any(map(is_page, task["pages"]))
        views = set() if named else views_of(app, runtime.program.overlay, head, change)
        asked = asked_for(app, task["pages"], lambda: concerned(app, views), self._say)
        failed = [RehearsalError(called(one["path"]), one["why"]) for one in asked if one["why"]]
        reasons = [row for error in failed for row in _rows(error)]
        outcome = RehearsalError.outcome if failed else "live"
        return {
            "outcome": outcome,
            "steps": steps,
            "reasons": reasons,
            "pages": asked,
            "unasked": unasked(app, views),
        }


def imported(name: str) -> Flask:
    """Import an app as servers do. Raises RehearsalError, or whatever its modules raise."""
    module, _, attribute = name.partition(":")
    loaded = importlib.import_module(module)
    try:
        return find_app_by_string(loaded, attribute)
    except NoAppException as error:
        raise RehearsalError(name, str(error)) from None


def runtime_of(app: Flask) -> Runtime:
    """Return what stands in front of an app. Raises RehearsalError: nothing does."""
    skin = app.extensions.get(NAME)
    if not isinstance(skin, Skin) or skin.runtime is None:
        what = "the app that a fresh process makes has no Habanero, or no secret"
        raise RehearsalError("", what, "give both to it as to the server: by its code, or the environment")
    return skin.runtime


def _come_to_head(runtime: Runtime, ledger: Ledger, claims: Mapping[str, Any]) -> State:
    """Bring this process to where the workers are. Raises HabaneroError."""
    program, epoch = runtime.program, claims["epoch"]
    disk = Disk(program.base, program.overlay.disk, program.overlay)
    found = ledger.find_epoch(disk, runtime.config.build)
    if found is None or found[0] != epoch:
        what = "the code on the server's disk is another than the app was started from"
        raise RehearsalError("", what, DEPLOY)
    program.overlay.begin(ledger.state_at(*found).assets)
    head = ledger.state_at(epoch, claims["base"])
    if digest_of(program.tree, program.overlay.assets) != head.digest:
        plan = plan_to(program, change_to(head))
        program.stage(plan)
        program.commit(plan)
    return head


def _go(runtime: Runtime, change: Change) -> list[str]:
    """Make the change live in this process, as a worker does; return the steps. Raises HabaneroError."""
    program = runtime.program
    plan = plan_to(program, change)
    check_restart(program, change)
    program.stage(plan)
    steps = [str(step) for step in plan.steps]
    program.commit(plan)
    return steps


def asked_for(
    app: Flask, named: list[str], concerned: Callable[[], list[str]], say: Callable[..., None]
) -> list[_Page]:
    """Return how an app answers to some pages, one after the other, and what came of calls.

    Args:
        app: the app.
        named: paths, and functions as ``module:name``.
        concerned: what tells the pages to ask for if none is named.
        say: told before each.
    """
    pages = list(filter(is_page, named)) or concerned()
    asked = []
    for page in pages:
        say(at=f"it answers GET {page}")
        asked.append(_ask(app, page))
    for name in [one for one in named if not is_page(one)]:
        say(at=f"it calls {name}")
        asked.append(_call(app, name))
    return asked


def _call(app: Flask, name: str) -> _Page:
    """Call a function of the app's in its context. It holds if it raises nothing, and does not say False."""
    begun, why = time.perf_counter(), ""
    module, _, function = name.partition(":")
    try:
        with app.app_context():
            if attrgetter(function)(importlib.import_module(module))() is False:
                why = "returned False"
    except Exception as error:  # noqa: BLE001  # whatever a check of theirs raises is what it found
        place = where_of(error)
        why = f"{f'{place}: ' if place else ''}{words_of(error)}"
    return {"path": name, "status": 0, "ms": _ms_since(begun), "why": why}


def _ms_since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 3)


def _ask(app: Flask, page: str) -> _Page:
    """Ask for one page, as a browser does that was never here."""
    raised: list[BaseException] = []

    def note(_app: Flask, exception: BaseException, **_: Any) -> None:
        raised.append(exception)

    begun, status = time.perf_counter(), SERVER_ERROR
    with got_request_exception.connected_to(note, app):
        try:
            status = app.test_client().get(page, buffered=True).status_code
        except Exception as error:  # noqa: BLE001  # an app that propagates them, or a stream that breaks
            raised.append(error)
    ms = _ms_since(begun)
    why = f"answered {status}" if status >= SERVER_ERROR else ""
    if raised and why:
        place = where_of(raised[-1])
        why += f": {f'{place}: ' if place else ''}{words_of(raised[-1])}"
    return {"path": page, "status": status, "ms": ms, "why": why}


def where_of(error: BaseException) -> str:
    """Return the innermost line of the app's own that an error went through: "shop.views:12"."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not startup.is_foreign_file(frame.f_code.co_filename):
            place = f"{frame.f_globals.get('__name__', '')}:{line}"
    return place


def words_of(error: BaseException) -> str:
    """Return an error in one line."""
    return traceback.format_exception_only(error)[-1].strip()[:500]


def _rows(error: HabaneroError) -> list[list[str]]:
    return [[reason.code, reason.where, reason.what, reason.hint] for reason in error.reasons]
