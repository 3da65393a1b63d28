"""A worker that a release reaches by a restart: it serves on until it is replaced.

It can't go there itself, and an answer of 503 would fail a request that its successor is not there for yet.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from . import bootnote
from .boot import finder
from .config import RESTART
from .errors import StoreError

if TYPE_CHECKING:
    from .config import Config
    from .live.program import Program
    from .manager import Manager
    from .record import Record

LEAVE_S = 30.0  # until a worker that is to be replaced ends by itself: as long as gunicorn lets one finish
log = logging.getLogger("flask_habanero")


class Leaving:
    """How one worker leaves. One per process, made after the fork.

    Attributes:
        begun: it serves on with the release that it has, and goes to no other.
    """

    def __init__(self, program: Program, config: Config, manager: Manager) -> None:
        self._program, self._config, self._manager = program, config, manager
        self.begun = False
        self._ends_at = math.inf  # by itself, if nobody replaces it

    def is_for(self, record: Record) -> bool:
        """Whether a release comes to this worker by a restart, and one is on its way."""
        if self._config.cold != RESTART or not self._manager.would_replace():
            return False
        refusal = finder.why_not(self._program.modules, forked=self._manager.keeps_imports)
        if record.number == finder.passed_over or refusal:
            return False  # whoever is started in this one's place does not come to it, either
        assert self._config.keys is not None  # else there is no worker
        try:
            note = bootnote.read(self._config.store, self._config.keys)
        except StoreError as error:
            log.error("whether #%d was made by a restart can't be told: %s", record.number, error)
            return False
        return note is not None and note.is_of(record.number, record.nonce)

    def begin(self) -> None:
        """Wait to be replaced, for `LEAVE_S` at most."""
        self.begun, self._ends_at = True, time.monotonic() + LEAVE_S

    def tick(self) -> None:
        """Have this worker replaced if nobody has in time: who asked for the restart has died before."""
        if time.monotonic() > self._ends_at:
            self._ends_at = math.inf
            self._manager.replace_this_worker()
