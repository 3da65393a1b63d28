"""A freeze: nothing is pushed until it is thawed. Who, when and why is what the refusal says.

It is the sealed request itself that is kept, and verified whenever somebody asks: so it is of one who has
the secret. So is what thaws it, which names it: else whoever read a request on its way could send it again.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .change import Request, wishes
from .errors import BundleError, Reason, RefusedError, RejectedError
from .kept import FREEZE

if TYPE_CHECKING:
    from .envelope import Keyring
    from .kept import Kept, Sealed

_WHY = re.compile(r"\A[^\x00-\x1f\x7f-\x9f]{1,200}\Z")
log = logging.getLogger("flask_habanero")


class FrozenError(RefusedError):
    """Somebody froze the app: nobody pushes until it is thawed."""

    slug = "frozen"

    def __init__(self, freeze: Freeze) -> None:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(freeze.since))
        super().__init__(f"frozen by {freeze.who} since {since}, by the server's clock: {freeze.why}")

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One, with the way out."""
        return (Reason(self.slug, "", str(self), "ask them, or: flask habanero thaw"),)


@dataclass(frozen=True)
class Freeze:
    """One freeze: the nonce of its request, who asked for it and when (seconds since 1970), and why."""

    nonce: str
    who: str
    since: int
    why: str

    @classmethod
    def of(cls, request: Request) -> Freeze:
        """Return the freeze that a believed request asks for. Raises BundleError: it is none."""
        why = wishes(request, "why")["why"]
        if type(why) is not str or not _WHY.match(why):
            raise BundleError("freeze: no reason of 1 to 200 printable characters")
        return cls(request.nonce, request.claims["cid"], request.claims["iat"], why)

    def told(self) -> dict[str, Any]:
        """Return what people are told."""
        return {"nonce": self.nonce, "who": self.who, "since": self.since, "why": self.why}


class Freezes:
    """Knows whether the app of one ledger is frozen. Calls may raise StoreError."""

    def __init__(self, kept: Kept, keys: Keyring) -> None:
        self._kept, self._keys = kept, keys

    def now(self) -> Freeze | None:
        """Return the freeze that holds, if any."""
        return _freeze_in(self._newest())

    def check(self, kept: Sealed | None) -> None:
        """Raise FrozenError if the app is frozen, by what is kept under `FREEZE`."""
        freeze = _freeze_in(self._believed(kept))
        if freeze is not None:
            raise FrozenError(freeze)

    def begin(self, request: Request) -> bool:
        """Freeze, as a believed request asks. Returns whether that changed anything.

        Raises:
            BundleError: it is no freeze.
            FrozenError: another one holds.
        """
        freeze, newest = Freeze.of(request), self._newest()
        if newest is not None and freeze.nonce in (newest.nonce, _thawed(newest)):
            return False  # sent twice, or thawed since
        held = _freeze_in(newest)
        if held is not None:
            raise FrozenError(held)
        self._keep(request)
        return True

    def end(self, request: Request) -> bool:
        """Thaw what a believed request names. Returns whether it held. Raises BundleError: it names none."""
        named, freeze = _thawed(request), self.now()
        if type(named) is not str:
            raise BundleError("thaw: no nonce")
        if freeze is None or freeze.nonce != named:
            return False
        self._keep(request)
        return True

    def _keep(self, request: Request) -> None:
        self._kept.put(FREEZE, request.header, request.body, int(time.time()))

    def _newest(self) -> Request | None:
        """Return what was asked for last: a freeze, or what thawed it."""
        return self._believed(self._kept.get(FREEZE))

    def _believed(self, kept: Sealed | None) -> Request | None:
        try:
            return None if kept is None else Request.verified(*kept, self._keys)
        except RejectedError as error:  # a key that was taken away, or a store that others write to
            log.error("not frozen: what was asked for can't be believed: %s", error)
            return None


def _freeze_in(newest: Request | None) -> Freeze | None:
    return Freeze.of(newest) if newest is not None and newest.op == "freeze" else None


def _thawed(request: Request) -> Any:
    """Return which freeze a request thaws; None if it is no such request."""
    return wishes(request, "nonce")["nonce"] if request.op == "thaw" else None
