"""What happens in the fresh process that boots a release before any worker does: the canary.

It imports the app from the tree that is asked for, as a worker would that starts when it is head, and asks
for some pages. The change it reads from the ledger's folder, and believes it itself. It writes nothing there
and binds no socket.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .boot import finder
from .bootnote import Note
from .change import Request, change_of
from .cold import FIX
from .coldstart import serve, told
from .concerned import concerned, views_concerned
from .errors import HabaneroError
from .fresh import CanaryError, RehearsalError, Said, Starter
from .ledger import Ledger
from .live import startup
from .moves import plan_to
from .rehearsal import asked_for, imported, live, runtime_of, where_of, words_of

if TYPE_CHECKING:
    from .change import Change
    from .server import Runtime


def main() -> None:
    """Run as a process of its own: boot what its starter asks for, and tell what came of it."""
    live(_booted, _failed)


def _booted(task: Mapping[str, Any], starter: Starter) -> dict[str, Any]:
    """Return how the app's pages are answered. Raises HabaneroError, or whatever the app raises."""
    finder.decide()  # here it is the change that is imported, whatever is head
    config, note = told(os.environ), Note.of_json(task["note"])
    assert config.keys is not None
    ledger = Ledger(config.store, note.app, config.keys)
    request = Request.verified(*ledger.staged(task["nonce"]), config.keys)
    head = ledger.state_at(note.epoch, request.claims["base"])
    change = change_of(request, head, lambda number: ledger.state_at(note.epoch, number))
    disk = note.disk()
    found = ledger.find_epoch(disk, config.build)
    if found is None or found[0] != note.epoch:
        raise RehearsalError("", "the code on the server's disk is another than the app was started from")
    serve(note, disk, change.tree, request.claims["rel"])
    starter.say(at=f"{task['app']} is imported")
    app = imported(task["app"])
    runtime = runtime_of(app)
    startup.stop()  # all that the start did has been done
    runtime.program.overlay.begin(ledger.state_at(*found).assets)
    _serve_assets(runtime, change)

    def pages() -> list[str]:
        return concerned(app, views_concerned(app, head.tree, change.tree))

    return {"reasons": [], "pages": asked_for(app, task["pages"], pages, starter.say)}


def _serve_assets(runtime: Runtime, change: Change) -> None:
    """Serve the assets of a change whose modules are there already. Raises HabaneroError."""
    plan = plan_to(runtime.program, change)
    runtime.program.stage(plan)
    runtime.program.commit(plan)


def _failed(error: BaseException) -> Said:
    if isinstance(error, RehearsalError):
        where, what = error.where, error.what
    elif isinstance(error, HabaneroError):
        where, what = "", str(error)
    else:
        where, what = where_of(error), words_of(error)
    return {"reasons": [[CanaryError.slug, where, what, FIX]], "pages": []}
